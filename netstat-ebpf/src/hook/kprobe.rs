//! Breakpoints at functions (`kprobe`, `kretprobe`).
//!
//! A return probe knows the result but not the arguments, so the entry leaves them in `CALLS`. The kernel follows only
//! so many calls at once to their return (`maxactive`: ten, or twice the processors); a call beyond that, which a
//! process full of blocked readers can reach, is not seen. That is why these hooks come after fexit.

use crate::emit::lost;
use crate::handle::{owner, queue};
use crate::maps::{CALLS, config};
use crate::sock::{Address, Probed};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{kprobe, kretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use core::hint::black_box;
use netstat_common::Loss;
use netstat_common::event::Direction;

/// Keeps a call's socket and flags until it returns.
#[inline(always)]
fn enter(ctx: &ProbeContext, flags: Option<i32>) {
    match (ctx.arg::<u64>(0), flags) {
        (Some(sk), Some(flags)) => {
            if CALLS.insert(bpf_get_current_pid_tgid(), [sk, u64::from(flags.cast_unsigned())], 0).is_err() {
                lost(Loss::NoStorage);
            }
        }
        _ => lost(Loss::NoArgument),
    }
}

/// The socket and flags of the call that returns.
#[inline(always)]
fn leave() -> Option<(Probed, i32)> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: two words in the map's own memory, written by this very thread only.
    let &[sk, flags] = unsafe { CALLS.get(thread) }?;
    // It was just found.
    let _ = CALLS.remove(thread);
    Some((Probed(sk as Address), (flags as u32).cast_signed()))
}

#[kprobe(function = "tcp_sendmsg")]
pub fn send_kprobe(ctx: ProbeContext) -> u32 {
    enter(&ctx, Some(0));
    0
}

#[kretprobe(function = "tcp_sendmsg")]
pub fn send_kretprobe(ctx: RetProbeContext) -> u32 {
    if let Some((sock, _)) = leave() {
        queue::called(sock, Direction::Send, ctx.ret());
    }
    0
}

/// The flags are the fifth argument up to 5.17, the fourth later; see `hook::fentry`.
#[kprobe(function = "tcp_recvmsg")]
pub fn receive_kprobe(ctx: ProbeContext) -> u32 {
    // Both are loaded here, from constant places as the verifier wants it; the compiler would join the loads.
    let (fourth, fifth) = (black_box(ctx.arg::<i32>(3)), black_box(ctx.arg::<i32>(4)));
    let flags = match config!(recvmsg_args) {
        6 => fifth,
        5 | 4 => fourth,
        _ => None,
    };
    enter(&ctx, flags);
    0
}

#[kretprobe(function = "tcp_recvmsg")]
pub fn receive_kretprobe(ctx: RetProbeContext) -> u32 {
    if let Some((sock, flags)) = leave()
        && queue::takes(flags)
    {
        queue::called(sock, Direction::Receive, ctx.ret());
    }
    0
}

#[kretprobe(function = "inet_csk_accept")]
pub fn accept_kretprobe(ctx: RetProbeContext) -> u32 {
    let child: Address = ctx.ret();
    if !child.is_null() {
        owner::accepted(Probed(child));
    }
    0
}
