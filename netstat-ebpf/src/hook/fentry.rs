//! Ends of functions with BTF types (`fexit`, Linux 5.5).
//!
//! A return value follows the arguments, so its place depends on their number, which changed over time. The branches
//! for other numbers are removed by the verifier, which would refuse them. It also wants each word of the context loaded
//! from a constant place, so the loads are spelt out ([`word`]): the compiler would join those of several branches.

use crate::emit::lost;
use crate::handle::{owner, queue};
use crate::maps::config;
use crate::sock::{Address, Cast, Probed, Typed, has_casts};
use crate::undisturbed::undisturbed_call;
use aya_ebpf::EbpfContext;
use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};
use netstat_common::Loss;
use netstat_common::event::Direction;

/// Word `N` of the context: an argument, or behind the last one the return value.
#[inline(always)]
fn word<const N: i32>(ctx: &FExitContext) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let value: u64;
        // SAFETY: the verifier proves that the traced function has a word `N`; the load changes nothing else.
        unsafe {
            core::arch::asm!(
                "{value} = *(u64 *)({ctx} + {at})",
                value = out(reg) value,
                ctx = in(reg) ctx.as_ptr(),
                at = const N * 8,
                options(readonly, nostack),
            );
        }
        value
    }
    // The crate runs on that target only; elsewhere it is merely checked.
    #[cfg(not(target_arch = "bpf"))]
    ctx.arg(N as usize)
}

/// An `int` in a word.
#[inline(always)]
fn int(word: u64) -> i32 {
    (word as u32).cast_signed()
}

/// `tcp_sendmsg(sk, msg, size)`: 5.10 to 7.2.
#[fexit(function = "tcp_sendmsg")]
pub fn send_fexit(ctx: FExitContext) -> i32 {
    undisturbed_call(|| {
        if let Some(sock) = Typed::new(ctx.arg(0)) {
            queue::called(sock, Direction::Send, int(word::<3>(&ctx)));
        }
    });
    0
}

/// `tcp_recvmsg(sk, msg, len, nonblock, flags, addr_len)` up to 5.17, without `nonblock` up to 6.18, later without
/// `addr_len` too.
#[fexit(function = "tcp_recvmsg")]
pub fn receive_fexit(ctx: FExitContext) -> i32 {
    let (flags, bytes) = match config!(recvmsg_args) {
        6 => (word::<4>(&ctx), word::<6>(&ctx)),
        5 => (word::<3>(&ctx), word::<5>(&ctx)),
        4 => (word::<3>(&ctx), word::<4>(&ctx)),
        _ => {
            lost(Loss::NoArgument);
            return 0;
        }
    };
    if !queue::takes(int(flags)) {
        return 0;
    }
    undisturbed_call(|| {
        if let Some(sock) = Typed::new(ctx.arg(0)) {
            queue::called(sock, Direction::Receive, int(bytes));
        }
    });
    0
}

/// `security_sock_graft(sk, parent)`: `accept` gives the connection its socket (`sock_graft`, include/net/sock.h). A thread that
/// has waited in `accept` since before the program was attached is seen, too. Bottom halves are off here, and so is preemption.
#[fentry(function = "security_sock_graft")]
pub fn accept_fentry(ctx: FEntryContext) -> i32 {
    if has_casts() {
        owner::accepted_at(ctx.arg(0), Cast::new);
    } else {
        owner::accepted_at(ctx.arg(0), Probed);
    }
    0
}

/// Where the kernel has no hooks of its own at sockets (`CONFIG_SECURITY_NETWORK`).
///
/// `inet_csk_accept(sk, flags, err, kern)` up to 6.9, `(sk, arg)` later; returns the child or null.
#[fexit(function = "inet_csk_accept")]
pub fn accept_fexit(ctx: FExitContext) -> i32 {
    let child = match config!(accept_args) {
        4 => word::<4>(&ctx),
        2 => word::<2>(&ctx),
        _ => {
            lost(Loss::NoArgument);
            return 0;
        }
    };
    undisturbed_call(|| {
        if let Some(sock) = Typed::new(child as Address) {
            owner::accepted(sock);
        }
    });
    0
}
