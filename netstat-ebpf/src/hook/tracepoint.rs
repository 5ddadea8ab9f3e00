//! Classic tracepoints: records whose layout user space reads from tracefs.

use super::nested;
use crate::emit::lost;
use crate::handle::{owner, queue, state};
use crate::maps::{ABSENT, layout, offset};
use crate::sock::{Address, Cast, Probed, Sock, probed};
use aya_ebpf::EbpfContext;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use netstat_common::event::Direction;
use netstat_common::{AF_INET, Loss, RawHead, RawTuple};

/// Reads a field of the tracepoint's record.
#[inline(always)]
fn field<T: Copy + Default>(ctx: &TracePointContext, at: u64) -> Option<T> {
    if at == ABSENT { None } else { probed(ctx.as_ptr(), at) }
}

/// The socket of `sock:inet_sock_set_state`: what the record has is taken from there, the rest, where the kernel's BTF
/// tells its place, from the socket.
#[derive(Clone, Copy)]
struct Told<'a> {
    ctx: &'a TracePointContext,
    sock: Probed,
}

impl Told<'_> {
    #[inline(always)]
    fn told<T: Copy + Default>(self, at: u64) -> T {
        field(self.ctx, at).unwrap_or_default()
    }
}

impl Sock for Told<'_> {
    const TYPED: bool = false;

    #[inline(always)]
    fn address(self) -> Address {
        self.sock.address()
    }

    #[inline(always)]
    fn tcp(self) -> Address {
        self.sock.tcp()
    }

    #[inline(always)]
    fn load<T: Copy + Default>(self, base: Address, at: u64) -> T {
        self.sock.load(base, at)
    }

    #[inline(always)]
    fn name(self, head: &mut RawHead) -> u64 {
        self.sock.name(head)
    }

    #[inline(always)]
    fn protocol(self) -> u16 {
        self.told(layout!(state_protocol))
    }

    #[inline(always)]
    fn family(self) -> u16 {
        self.told(layout!(state_family))
    }

    /// The record has host order.
    #[inline(always)]
    fn lport(self) -> u16 {
        self.told(layout!(state_lport))
    }

    #[inline(always)]
    fn rport(self) -> u16 {
        self.told(layout!(state_rport))
    }

    #[inline(always)]
    fn addresses(self, tuple: &mut RawTuple) {
        if tuple.family == AF_INET {
            tuple.laddr[..4].copy_from_slice(&self.told::<[u8; 4]>(layout!(state_laddr)));
            tuple.raddr[..4].copy_from_slice(&self.told::<[u8; 4]>(layout!(state_raddr)));
        } else {
            tuple.laddr = self.told(layout!(state_laddr6));
            tuple.raddr = self.told(layout!(state_raddr6));
        }
    }
}

#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub fn state_tracepoint(ctx: TracePointContext) -> u32 {
    unpreempted(&ctx, |sk, from, to| state::moved(Told { ctx: &ctx, sock: Probed(sk) }, from, to))
}

/// The first program of the hook where tracepoints can be preempted (see [`nested`]): this kind is not.
#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub fn state_unpreempted(ctx: TracePointContext) -> u32 {
    unpreempted(&ctx, |sk, from, to| {
        nested::first_unpreempted(sk as u64, to, || state::moved(Cast::new(sk), from, to));
    })
}

/// The last spare there, where the first may not be of this kind.
#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub fn state_unpreempted_spare(ctx: TracePointContext) -> u32 {
    unpreempted(&ctx, |sk, from, to| {
        nested::spare_unpreempted(4, sk as u64, to, || state::moved(Cast::new(sk), from, to));
    })
}

#[inline(always)]
fn unpreempted(ctx: &TracePointContext, tell: impl FnOnce(Address, i32, i32)) -> u32 {
    let sk: Option<Address> = field(ctx, layout!(state_sk));
    let from: Option<i32> = field(ctx, layout!(state_from));
    let to: Option<i32> = field(ctx, layout!(state_to));
    match (sk, from, to) {
        (Some(sk), Some(from), Some(to)) => tell(sk, from, to),
        _ => lost(Loss::NoArgument),
    }
    0
}

#[tracepoint(category = "sock", name = "sock_send_length")]
pub fn send_tracepoint(ctx: TracePointContext) -> u32 {
    match (field(&ctx, layout!(send_sk)), field(&ctx, layout!(send_bytes))) {
        (Some(sk), Some(bytes)) => moved(sk, Direction::Send, bytes),
        _ => lost(Loss::NoArgument),
    }
    0
}

#[tracepoint(category = "sock", name = "sock_recv_length")]
pub fn receive_tracepoint(ctx: TracePointContext) -> u32 {
    if !queue::takes(field(&ctx, layout!(receive_flags)).unwrap_or_default()) {
        return 0;
    }
    match (field(&ctx, layout!(receive_sk)), field(&ctx, layout!(receive_bytes))) {
        (Some(sk), Some(bytes)) => moved(sk, Direction::Receive, bytes),
        _ => lost(Loss::NoArgument),
    }
    0
}

#[inline(always)]
fn moved(sk: Address, direction: Direction, bytes: i32) {
    // The record's own family and protocol are not needed: the socket's protocol tells TCP from everything else, and
    // netlink and unix sockets have 0 there.
    if probed::<u16>(sk, offset!(sk_protocol)).is_none() {
        lost(Loss::UnreadableSock);
        return;
    }
    queue::called(Probed(sk), direction, bytes);
}

/// For `accept4` too: the ends of all system calls are told in the same form (`syscall_exit_fields_array`,
/// kernel/trace/trace_syscalls.c, 6.12).
#[tracepoint(category = "syscalls", name = "sys_exit_accept")]
pub fn accept_tracepoint(ctx: TracePointContext) -> u32 {
    match field(&ctx, layout!(accept_fd)) {
        Some(fd) => owner::accepted_fd(&ctx, fd),
        None => lost(Loss::NoArgument),
    }
    0
}
