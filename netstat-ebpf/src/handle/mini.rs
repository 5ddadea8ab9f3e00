//! Connections that are no full sockets: half-open ones (`struct request_sock`) and those that only wait for their end
//! (`struct inet_timewait_sock`).
//!
//! Both begin with a `struct sock_common`, like every socket, and are told by the address of that. They have no events
//! of their own; they are seen by the functions that make and end them, or by their timers.

use super::is_wanted;
use crate::emit::emit;
use crate::maps::{ABSENT, HANDLERS, config, offset};
use crate::sock::{Address, Cast, Probed, Sock, cast, has_casts, loaded, probed, typed};
use netstat_common::event::{FLAG_POINTER, Mini, RawFull};
use netstat_common::{AF_INET, AF_INET6, IPPROTO_TCP, Kind, RawHead, RawTuple, TcpState};

/// A request or timewait socket; `TYPED` when the verifier knows what the address leads to.
#[derive(Clone, Copy)]
struct Small<const TYPED: bool>(Address);

impl<const TYPED: bool> Sock for Small<TYPED> {
    const TYPED: bool = false;

    #[inline(always)]
    fn address(self) -> Address {
        self.0
    }

    #[inline(always)]
    fn tcp(self) -> Address {
        self.0
    }

    #[inline(always)]
    fn load<T: Copy + Default>(self, base: Address, at: u64) -> T {
        if TYPED { typed(base, at) } else { loaded(base, at) }
    }

    /// Only TCP has them since DCCP is gone (6.16).
    #[inline(always)]
    fn protocol(self) -> u16 {
        IPPROTO_TCP
    }

    #[inline(always)]
    fn lport(self) -> u16 {
        self.get(offset!(skc_num))
    }

    #[inline(always)]
    fn name(self, head: &mut RawHead) -> u64 {
        head.sock = self.0 as u64;
        head.flags |= FLAG_POINTER;
        self.get(offset!(skc_cookie))
    }

    #[inline(always)]
    fn tuple(self, tuple: &mut RawTuple) {
        tuple.netns = if config!(netns) == 0 { self.inum(self.net()) } else { config!(netns) };
        tuple.uid = u32::MAX;
        tuple.family = self.family();
        tuple.rport = self.rport();
        tuple.bound_if = self.get(offset!(skc_bound_dev_if));
        self.addresses(tuple);
    }
}

/// A timewait socket; its state is FIN_WAIT2 (its process is gone and the peer has not closed) or TIME_WAIT.
#[inline(always)]
pub fn timewait(socket: Address, what: Mini) {
    let state = probed(socket, offset!(tw_substate)).unwrap_or(TcpState::TimeWait as u8);
    tell(Small::<false>(socket), what, state);
}

/// The same at a hook with BTF types.
#[inline(always)]
pub fn timewait_typed(socket: Address, what: Mini) {
    tell(Small::<true>(socket), what, typed(socket, offset!(tw_substate)));
}

/// The same by its address alone, the quickest way that there is.
#[inline(always)]
pub fn timewait_at(socket: Address, what: Mini) {
    if has_casts() {
        timewait_typed(cast(socket, config!(types.inet_timewait_sock)), what);
    } else {
        timewait(socket, what);
    }
}

/// A half-open connection.
#[inline(always)]
pub fn request(socket: Address, what: Mini) {
    tell(Small::<false>(socket), what, TcpState::SynRecv as u8);
}

/// The same at a hook with BTF types.
#[inline(always)]
pub fn request_typed(socket: Address, what: Mini) {
    tell(Small::<true>(socket), what, TcpState::SynRecv as u8);
}

/// A half-open connection is established or given up.
#[inline(always)]
pub fn request_over(socket: Address) {
    let link: Option<u64> = if timer_link() == ABSENT { None } else { probed(socket, timer_link()) };
    request(socket, end_of_request(link));
}

/// The same at a hook with BTF types.
#[inline(always)]
pub fn request_over_typed(socket: Address) {
    let link = if timer_link() == ABSENT { None } else { Some(typed(socket, timer_link())) };
    request_typed(socket, end_of_request(link));
}

/// Where a request tells whether its timer is set.
#[inline(always)]
fn timer_link() -> u64 {
    if offset!(rsk_timer) == ABSENT || offset!(timer_pprev) == ABSENT {
        return ABSENT;
    }
    offset!(rsk_timer) + offset!(timer_pprev)
}

/// Its own timer ends a request, or something else does while the timer is set.
#[inline(always)]
fn end_of_request(link: Option<u64>) -> Mini {
    match link {
        Some(0) => Mini::Expired,
        Some(_) => Mini::Stopped,
        None => Mini::Over,
    }
}

#[inline(always)]
fn tell<S: Sock>(socket: S, what: Mini, state: u8) {
    if !matches!(socket.family(), AF_INET | AF_INET6) || !is_wanted(socket) {
        return;
    }
    if matches!(what, Mini::Begins | Mini::Goes) {
        emit(|now, record: &mut RawFull| {
            begin(socket, &mut record.head, now, Kind::Mini, what, state);
            record.tuple.other = socket.name(&mut record.head);
            socket.tuple(&mut record.tuple);
        });
    } else {
        emit(|now, head: &mut RawHead| {
            begin(socket, head, now, Kind::MiniEnd, what, state);
            socket.name(head);
        });
    }
}

#[inline(always)]
fn begin<S: Sock>(socket: S, head: &mut RawHead, now: u64, kind: Kind, what: Mini, state: u8) {
    head.time = now;
    head.kind = kind as u8;
    head.from = what as u8;
    head.to = state;
    head.lport = socket.lport();
    head.protocol = IPPROTO_TCP;
}

/// A socket in SYN_SENT has its port now.
#[inline(always)]
pub fn connects<S: Sock>(sock: S) {
    if sock.protocol() != IPPROTO_TCP || !is_wanted(sock) {
        return;
    }
    emit(|now, record: &mut RawFull| {
        record.head.time = now;
        record.head.kind = Kind::Port as u8;
        record.head.to = TcpState::SynSent as u8;
        record.head.lport = sock.lport();
        record.head.protocol = IPPROTO_TCP;
        record.tuple.other = sock.name(&mut record.head);
        sock.tuple(&mut record.tuple);
    });
}

/// Something happened to the timer at `timer` that calls `function`: the kinds of timers that matter are known by it.
#[inline(always)]
pub fn timer(timer: Address, function: u64, what: Mini) {
    // Almost every timer of the machine is another one: nothing is done before this is known.
    let [timewait_handler, request_handler, write_handler] = &HANDLERS;
    if matches!(what, Mini::Begins) && function == write_handler.load() {
        let sock = sender_at(timer);
        if has_casts() {
            sends(Cast::new(sock));
        } else {
            sends(Probed(sock));
        }
    } else if function == timewait_handler.load() {
        timewait_at(behind(timer, offset!(tw_timer)), what);
    } else if function == request_handler.load() {
        let request_at = behind(timer, offset!(rsk_timer));
        if has_casts() {
            request_typed(cast(request_at, config!(types.request_sock)), what);
        } else {
            request(request_at, what);
        }
    }
}

/// The timer with which a socket sends again was set.
#[inline(always)]
fn sends<S: Sock>(sock: S) {
    if sock.state() == TcpState::SynSent as u8 {
        connects(sock);
    }
}

/// The socket whose sending the timer is for.
#[inline(always)]
pub fn sender(timer: Address) -> Probed {
    Probed(sender_at(timer))
}

#[inline(always)]
fn sender_at(timer: Address) -> Address {
    let at = if offset!(tcp_retransmit_timer) == ABSENT {
        offset!(icsk_retransmit_timer)
    } else {
        offset!(tcp_retransmit_timer)
    };
    behind(timer, at)
}

/// What the timer is a part of.
#[inline(always)]
fn behind(timer: Address, at: u64) -> Address {
    (timer as u64).wrapping_sub(at) as Address
}
