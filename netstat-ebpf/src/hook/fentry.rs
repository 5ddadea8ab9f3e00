//! Ends of functions with BTF types (`fexit`, Linux 5.5).
//!
//! A return value follows the arguments, so its place depends on their number, which changed over time. The branches
//! for other numbers are removed by the verifier, which would refuse them.

use crate::emit::lost;
use crate::handle::{owner, queue};
use crate::maps::config;
use crate::sock::{Address, Typed};
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use netstat_common::Loss;
use netstat_common::event::Direction;

/// `tcp_sendmsg(sk, msg, size)`: 5.10 to 7.2.
#[fexit(function = "tcp_sendmsg")]
pub fn send_fexit(ctx: FExitContext) -> i32 {
    if let Some(sock) = Typed::new(ctx.arg(0)) {
        queue::called(sock, Direction::Send, ctx.arg(3));
    }
    0
}

/// `tcp_recvmsg(sk, msg, len, nonblock, flags, addr_len)` up to 5.17, without `nonblock` up to 6.18, later without
/// `addr_len` too.
#[fexit(function = "tcp_recvmsg")]
pub fn receive_fexit(ctx: FExitContext) -> i32 {
    let (flags, bytes): (i32, i32) = match config!(recvmsg_args) {
        6 => (ctx.arg(4), ctx.arg(6)),
        5 => (ctx.arg(3), ctx.arg(5)),
        4 => (ctx.arg(3), ctx.arg(4)),
        _ => {
            lost(Loss::NoArgument);
            return 0;
        }
    };
    if !queue::takes(flags) {
        return 0;
    }
    if let Some(sock) = Typed::new(ctx.arg(0)) {
        queue::called(sock, Direction::Receive, bytes);
    }
    0
}

/// `inet_csk_accept(sk, flags, err, kern)` up to 6.9, `(sk, arg)` later; returns the child or null.
#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit(ctx: FExitContext) -> i32 {
    let child: Address = match config!(accept_args) {
        4 => ctx.arg(4),
        2 => ctx.arg(2),
        _ => {
            lost(Loss::NoArgument);
            return 0;
        }
    };
    if let Some(sock) = Typed::new(child) {
        owner::accepted(sock);
    }
    0
}
