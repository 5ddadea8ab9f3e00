//! Events inside events.
//!
//! Since Linux 6.1 a program is left out where it is already running on the same processor (`__bpf_trace_run`,
//! kernel/trace/bpf_trace.c). That happens: a process changes the state of its socket, an interrupt comes while our
//! program runs, and the softirq behind it changes the states of a hundred other sockets. So each such hook has a twin.
//! Both are called for every event; the twin only acts while the first is interrupted, which is when the first was left
//! out: it goes on as the first, by a tail call, which nothing leaves out, so that the code exists once. On kernels that
//! nest the first it has finished the inner event by then, and the twin stays quiet.

use crate::maps::{FIRST, LOSSES, RUNNING};
use aya_ebpf::EbpfContext;
use netstat_common::loss::SPARED;

/// Values of `RUNNING`: the first program does not run on this processor; it does; its twin is about to become it.
const IDLE: u32 = 0;
const RUNS: u32 = 1;
const RESUMED: u32 = 2;

/// Runs the first program's part, marked as running on this processor.
#[inline(always)]
pub fn first(work: impl FnOnce()) {
    let Some(running) = RUNNING.get_ptr_mut(0) else { return };
    // SAFETY: a word of this processor's own, which lives as long as the map; volatile, because the twin reads and writes
    // it from inside an interrupt.
    let before = unsafe { running.read_volatile() };
    // SAFETY: as above.
    unsafe { running.write_volatile(RUNS) };
    work();
    // As the twin, it leaves an interrupted first one behind.
    // SAFETY: as above.
    unsafe { running.write_volatile(if before == RESUMED { RUNS } else { IDLE }) };
}

/// The twin: becomes the first when that is interrupted, and counts it.
#[inline(always)]
pub fn spare<C: EbpfContext>(ctx: &C) {
    let Some(running) = RUNNING.get_ptr_mut(0) else { return };
    // SAFETY: as in `first`.
    if unsafe { running.read_volatile() } != RUNS {
        return;
    }
    let Some(count) = LOSSES.get_ptr_mut(SPARED) else { return };
    // SAFETY: this processor's counter, which lives as long as the map; nothing interrupts the twin to use it.
    let count = unsafe { &mut *count };
    *count += 1;
    // SAFETY: as in `first`.
    unsafe { running.write_volatile(RESUMED) };
    // SAFETY: nothing here is to be dropped, and the first takes the same context.
    unsafe { FIRST.tail_call(ctx, 0) };
    // Only without the first in its place: then the event is one that the kernel left out.
    *count -= 1;
    // SAFETY: as in `first`.
    unsafe { running.write_volatile(RUNS) };
}
