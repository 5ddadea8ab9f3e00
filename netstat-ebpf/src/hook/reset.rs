//! Resets sent and received (`tcp:tcp_send_reset`, `tcp:tcp_receive_reset`; include/trace/events/tcp.h, 5.10 to 7.2).
//!
//! The socket of one that is sent may be none at all, or no full one: only sockets that change their states are told of. The
//! reason came as a third argument with 6.10; the branch without it is removed where there is one.

use crate::emit::lost;
use crate::handle::reset;
use crate::maps::{ABSENT, config, layout};
use crate::sock::{Address, Probed, Sock, Typed, probed};
use crate::undisturbed::undisturbed;
use aya_ebpf::EbpfContext;
use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint, tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext, TracePointContext};
use netstat_common::event::{NOT_TOLD, Reset};
use netstat_common::{AF_INET, AF_INET6, Loss, TcpState};

/// A reason is far below this; should it not be, it is unknown.
#[inline(always)]
fn reason(code: i32) -> u16 {
    if code < 0 || code >= i32::from(NOT_TOLD) { NOT_TOLD } else { code as u16 }
}

/// `(sk, skb)`, with `reason` behind them since 6.10.
#[btf_tracepoint(function = "tcp_send_reset")]
pub fn reset_sent_btf(ctx: BtfTracePointContext) -> i32 {
    let why = if config!(reset_args) == 3 { reason(ctx.arg(2)) } else { NOT_TOLD };
    undisturbed(|| {
        if let Some(sock) = Typed::new(ctx.arg(0)) {
            reset::happened(sock, Reset::Sent, why);
        }
    });
    0
}

/// `(sk)`
#[btf_tracepoint(function = "tcp_receive_reset")]
pub fn reset_received_btf(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        if let Some(sock) = Typed::new(ctx.arg(0)) {
            reset::happened(sock, Reset::Received, NOT_TOLD);
        }
    });
    0
}

/// See [`reset_sent_btf`].
#[raw_tracepoint(tracepoint = "tcp_send_reset")]
pub fn reset_sent_raw(ctx: RawTracePointContext) -> i32 {
    let why = if config!(reset_args) == 3 { reason(ctx.arg(2)) } else { NOT_TOLD };
    untyped(ctx.arg(0), Reset::Sent, why);
    0
}

/// See [`reset_received_btf`].
#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
pub fn reset_received_raw(ctx: RawTracePointContext) -> i32 {
    untyped(ctx.arg(0), Reset::Received, NOT_TOLD);
    0
}

#[tracepoint(category = "tcp", name = "tcp_send_reset")]
pub fn reset_sent_tracepoint(ctx: TracePointContext) -> u32 {
    let why = layout!(reset_sent_reason);
    let why = if why == ABSENT { NOT_TOLD } else { probed(ctx.as_ptr(), why).map_or(NOT_TOLD, reason) };
    classic(&ctx, layout!(reset_sent_sk), Reset::Sent, why);
    0
}

#[tracepoint(category = "tcp", name = "tcp_receive_reset")]
pub fn reset_received_tracepoint(ctx: TracePointContext) -> u32 {
    classic(&ctx, layout!(reset_received_sk), Reset::Received, NOT_TOLD);
    0
}

#[inline(always)]
fn classic(ctx: &TracePointContext, at: u64, which: Reset, why: u16) {
    match probed::<Address>(ctx.as_ptr(), at).filter(|_| at != ABSENT) {
        Some(sk) => untyped(sk, which, why),
        None => lost(Loss::NoArgument),
    }
}

/// By address only: a request or timewait socket, which has no more than the first fields of a socket, is told by its state.
#[inline(always)]
fn untyped(sk: Address, which: Reset, why: u16) {
    if sk.is_null() {
        return;
    }
    let sock = Probed(sk);
    let state = sock.state();
    // `TCP_NEW_SYN_RECV` (include/net/tcp_states.h).
    let full = state != TcpState::TimeWait as u8 && state != 12;
    if full && matches!(sock.family(), AF_INET | AF_INET6) {
        reset::happened(sock, which, why);
    }
}
