//! Tracepoints without types (`raw_tp`, Linux 4.17).

use super::nested;
use crate::handle::state;
use crate::sock::Probed;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

/// `(sk, oldstate, newstate)`: include/trace/events/sock.h, 6.12.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn state_raw(ctx: RawTracePointContext) -> i32 {
    nested::first(ctx.arg(0), ctx.arg(2), || moved(&ctx));
    0
}

/// For what the first leaves out: see [`nested`].
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn state_raw_spare(ctx: RawTracePointContext) -> i32 {
    nested::spare(ctx.arg(0), ctx.arg(2), || moved(&ctx));
    0
}

#[inline(always)]
fn moved(ctx: &RawTracePointContext) {
    state::moved(Probed(ctx.arg(0)), ctx.arg(1), ctx.arg(2));
}
