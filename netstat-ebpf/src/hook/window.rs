//! The timer of a socket's sender runs out: for data, for a SYN, or to probe a window that the peer has closed.

use crate::emit::lost;
use crate::handle::window;
use crate::maps::{HANDLERS, offset};
use crate::sock::{Address, probed, typed};
use aya_ebpf::macros::{btf_tracepoint, kprobe, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, ProbeContext, RawTracePointContext};
use netstat_common::Loss;

/// `tcp_write_timer(timer)`: net/ipv4/tcp_timer.c, 5.10 to 7.2. The kernel's types do not always have it.
#[kprobe(function = "tcp_write_timer")]
pub fn window_kprobe(ctx: ProbeContext) -> u32 {
    match ctx.arg::<Address>(0) {
        Some(timer) => window::expires(timer),
        None => lost(Loss::NoArgument),
    }
    0
}

/// `(timer, ...)`: include/trace/events/timer.h, 5.10 to 7.2. Called for every timer that runs out, which few of those that
/// are started do.
#[btf_tracepoint(function = "timer_expire_entry")]
pub fn window_btf(ctx: BtfTracePointContext) -> i32 {
    let timer: Address = ctx.arg(0);
    if is_sender(typed(timer, offset!(timer_function))) {
        window::expires(timer);
    }
    0
}

/// See [`window_btf`].
#[raw_tracepoint(tracepoint = "timer_expire_entry")]
pub fn window_raw(ctx: RawTracePointContext) -> i32 {
    let timer: Address = ctx.arg(0);
    match probed(timer, offset!(timer_function)) {
        Some(function) if is_sender(function) => window::expires(timer),
        Some(_) => {}
        None => lost(Loss::UnreadableSock),
    }
    0
}

#[inline(always)]
fn is_sender(function: u64) -> bool {
    let [_, _, sender] = &HANDLERS;
    function == sender.load()
}
