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

/// A program for what those before it leave out: see [`nested`].
macro_rules! spare {
    ($name:ident, $which:literal) => {
        #[raw_tracepoint(tracepoint = "inet_sock_set_state")]
        pub fn $name(ctx: RawTracePointContext) -> i32 {
            nested::spare($which, ctx.arg(0), ctx.arg(2), || moved(&ctx));
            0
        }
    };
}

spare!(state_raw_spare, 1);
spare!(state_raw_spare_2, 2);
spare!(state_raw_spare_3, 3);

#[inline(always)]
fn moved(ctx: &RawTracePointContext) {
    state::moved(Probed(ctx.arg(0)), ctx.arg(1), ctx.arg(2));
}
