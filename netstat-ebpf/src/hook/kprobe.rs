//! Breakpoints at functions (`kprobe`, `kretprobe`).
//!
//! The kernel follows only so many calls at once to their return: ten or twice the processors, and before 5.14 without
//! preemption just as many as there are processors. Readers spend their life blocked in `tcp_recvmsg`, so its return would
//! mostly go unseen, and so would that of `accept`; that something was read is learnt where the reading ends, in
//! `tcp_cleanup_rbuf`, and who accepts where the connection gets its socket. A sender is rarely blocked: there the return is
//! used. How much was moved is told by the socket's sequence numbers, so that what a call moved whose return went unseen is
//! told with the next one, or at the end.

use crate::emit::lost;
use crate::handle::{owner, queue};
use crate::maps::CALLS;
use crate::sock::{Address, Probed};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{kprobe, kretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use netstat_common::Loss;
use netstat_common::event::Direction;

/// `tcp_sendmsg(sk, msg, size)`: a return probe does not know the arguments, so the socket is left in `CALLS`.
#[kprobe(function = "tcp_sendmsg")]
pub fn send_kprobe(ctx: ProbeContext) -> u32 {
    match ctx.arg::<u64>(0) {
        Some(sk) => {
            queue::begins(Probed(sk as Address), Direction::Send);
            if CALLS.insert(bpf_get_current_pid_tgid(), sk, 0).is_err() {
                lost(Loss::NoStorage);
            }
        }
        None => lost(Loss::NoArgument),
    }
    0
}

#[kretprobe(function = "tcp_sendmsg")]
pub fn send_kretprobe(_: RetProbeContext) -> u32 {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: a word in the map's own memory, written by this very thread only.
    if let Some(&sk) = unsafe { CALLS.get(thread) } {
        // It was just found.
        let _ = CALLS.remove(thread);
        queue::ends(Probed(sk as Address), Direction::Send);
    }
    0
}

/// `tcp_recvmsg(sk, ...)`.
#[kprobe(function = "tcp_recvmsg")]
pub fn receive_kprobe(ctx: ProbeContext) -> u32 {
    match ctx.arg::<Address>(0) {
        Some(sk) => queue::begins(Probed(sk), Direction::Receive),
        None => lost(Loss::NoArgument),
    }
    0
}

/// `tcp_cleanup_rbuf(sk, copied)` and, from 6.1 on, `__tcp_cleanup_rbuf` within it: after every piece that a process, or splice, took; `copied` counts from the beginning
/// of the call and counts peeks, so it is not used.
#[kprobe(function = "tcp_cleanup_rbuf")]
pub fn taken_kprobe(ctx: ProbeContext) -> u32 {
    match ctx.arg::<Address>(0) {
        Some(sk) => queue::ends(Probed(sk), Direction::Receive),
        None => lost(Loss::NoArgument),
    }
    0
}

/// `security_sock_graft(sk, parent)`: `accept` gives the connection its socket (`sock_graft`, include/net/sock.h). An entry, of
/// which none is missed however many threads wait in `accept`.
#[kprobe(function = "security_sock_graft")]
pub fn accept_kprobe(ctx: ProbeContext) -> u32 {
    match ctx.arg::<Address>(0) {
        Some(sk) => owner::accepted_at(sk, Probed),
        None => lost(Loss::NoArgument),
    }
    0
}

/// Where the kernel has no hooks of its own at sockets (`CONFIG_SECURITY_NETWORK`).
#[kretprobe(function = "inet_csk_accept")]
pub fn accept_kretprobe(ctx: RetProbeContext) -> u32 {
    let child: Address = ctx.ret();
    if !child.is_null() {
        owner::accepted(Probed(child));
    }
    0
}
