//! Events inside events.
//!
//! Since Linux 6.1 a program is left out where it is already running on the same processor (`__bpf_trace_run`,
//! kernel/trace/bpf_trace.c). That happens: a process changes the state of its socket, an interrupt comes while our
//! program runs, and the softirq behind it changes the states of a hundred other sockets. So each such hook has a twin.
//! Both are called for every event; the twin only acts while the first is interrupted, which is when the first was left
//! out. On kernels that nest the first it has finished the inner event by then, and the twin stays quiet.

use crate::maps::{LOSSES, RUNNING};
use netstat_common::loss::SPARED;

/// Runs the first program's part, marked as running on this processor.
#[inline(always)]
pub fn first(work: impl FnOnce()) {
    let Some(running) = RUNNING.get_ptr_mut(0) else { return };
    // SAFETY: a word of this processor's own, which lives as long as the map; volatile, because the twin reads it
    // from inside an interrupt.
    unsafe { running.write_volatile(1) };
    work();
    // SAFETY: as above.
    unsafe { running.write_volatile(0) };
}

/// Runs the twin's part when the first is interrupted, and counts it.
#[inline(always)]
pub fn spare(work: impl FnOnce()) {
    let Some(running) = RUNNING.get_ptr_mut(0) else { return };
    // SAFETY: as in `first`.
    if unsafe { running.read_volatile() } == 0 {
        return;
    }
    if let Some(count) = LOSSES.get_ptr_mut(SPARED) {
        // SAFETY: this processor's counter, which lives as long as the map.
        let count = unsafe { &mut *count };
        *count += 1;
    }
    work();
}
