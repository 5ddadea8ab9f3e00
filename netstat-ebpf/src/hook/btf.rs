//! Tracepoints with BTF types (`tp_btf`, Linux 5.5).

use super::nested;
use crate::handle::{queue, state};
use crate::sock::{Probed, Typed};
use crate::undisturbed::undisturbed;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use netstat_common::event::Direction;

/// `(sk, oldstate, newstate)`: include/trace/events/sock.h, 6.12.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn state_btf(ctx: BtfTracePointContext) -> i32 {
    nested::first(ctx.arg(0), ctx.arg(2), || moved(&ctx));
    0
}

/// Gives a socket its cookie before a program that cannot: see [`nested`].
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn naming_btf(ctx: BtfTracePointContext) -> i32 {
    if let Some(sock) = Typed::new(ctx.arg(0)) {
        state::named(sock, ctx.arg(2));
    }
    0
}

/// A program for what those before it leave out: see [`nested`].
macro_rules! spare {
    ($name:ident, $which:literal) => {
        #[btf_tracepoint(function = "inet_sock_set_state")]
        pub fn $name(ctx: BtfTracePointContext) -> i32 {
            nested::spare($which, ctx.arg(0), ctx.arg(2), || moved(&ctx));
            0
        }
    };
}

spare!(state_btf_spare, 1);
spare!(state_btf_spare_2, 2);
spare!(state_btf_spare_3, 3);

#[inline(always)]
fn moved(ctx: &BtfTracePointContext) {
    match Typed::new(ctx.arg(0)) {
        Some(sock) => state::moved(sock, ctx.arg(1), ctx.arg(2)),
        None => state::moved_beside(Probed(ctx.arg(0)), ctx.arg(1), ctx.arg(2)),
    }
}

/// `(sk, ret, flags)`, for sockets of all families; the flags are always 0: net/socket.c, 6.12.
#[btf_tracepoint(function = "sock_send_length")]
pub fn send_btf(ctx: BtfTracePointContext) -> i32 {
    undisturbed(|| {
        if let Some(sock) = Typed::new(ctx.arg(0)) {
            queue::called(sock, Direction::Send, ctx.arg(1));
        }
    });
    0
}

/// `(sk, ret, flags)`.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn receive_btf(ctx: BtfTracePointContext) -> i32 {
    if !queue::takes(ctx.arg(2)) {
        return 0;
    }
    undisturbed(|| {
        if let Some(sock) = Typed::new(ctx.arg(0)) {
            queue::called(sock, Direction::Receive, ctx.arg(1));
        }
    });
    0
}
