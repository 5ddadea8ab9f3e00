//! Transitions.

use super::{is_wanted, queue};
use crate::emit::{Draft, emit};
use crate::maps::{ABSENT, MODE, config, offset};
use crate::sock::{Probed, Sock, Typed, has_cookie};
use crate::task;
use crate::undisturbed::has_preemptible_tracepoints;
use netstat_common::config::Queues;
use netstat_common::event::{FLAG_POINTER, FLAG_SHUT, RawClose, RawFull, RawHead};
use netstat_common::{IPPROTO_MPTCP, IPPROTO_SCTP, IPPROTO_TCP, Kind, TcpState, judge};

/// Whether every transition carries the addresses: always when sockets have no cookie here, because an address names
/// another socket as soon as it is reused, and where one may get its cookie late.
#[inline(always)]
fn is_whole() -> bool {
    !has_cookie() || has_preemptible_tracepoints() || MODE.load() != 0
}

/// `sock`, which goes to the state `to`, gets its cookie if it has none. What is cloned from a listener has or gets that of its
/// request.
#[inline(always)]
pub fn named(sock: Typed, to: i32) {
    if to != TcpState::SynRecv as i32 && has_cookie() && !sock.is_named() && is_wanted(sock) {
        sock.give_name();
    }
}

/// `sock` goes from one state to another.
#[inline(always)]
pub fn moved<S: Sock>(sock: S, from: i32, to: i32) {
    // States are below 13; anything else is told as it is and refused by the reader.
    let (from, to) = (from as u8, to as u8);
    let protocol = sock.protocol();
    if protocol != IPPROTO_TCP {
        if !S::TYPED && matches!(protocol, IPPROTO_MPTCP | IPPROTO_SCTP) {
            beside(sock, protocol, from, to);
        }
        return;
    }
    if !is_wanted(sock) {
        return;
    }
    // Who gets its cookie only now may have been told of by its address, where none could be given.
    let Some(kind) = judge::kind_of(from, to, is_whole() || !sock.is_named()) else {
        return;
    };
    let actor = acting(sock, from);
    if config!(queues) != Queues::Off as u32 && (from == TcpState::Close as u8 || matches!(kind, Kind::Child))
    {
        queue::opened(sock);
    }
    match kind {
        Kind::Child => {
            let Some(mut draft) = Draft::<RawHead>::new() else { return };
            let now = draft.now;
            let head = draft.record();
            begin(sock, head, now, kind, from, to, actor);
            head.sock = sock.address() as u64;
            head.flags |= FLAG_POINTER;
            draft.send();
        }
        Kind::Full => {
            let Some(mut draft) = Draft::<RawFull>::new() else { return };
            let now = draft.now;
            let record = draft.record();
            begin(sock, &mut record.head, now, kind, from, to, actor);
            record.tuple.other = sock.name(&mut record.head);
            sock.tuple(&mut record.tuple);
            draft.send();
        }
        Kind::Close => {
            if config!(queues) != Queues::Off as u32 && from != TcpState::Listen as u8 {
                queue::closed(sock, from, actor);
            }
            let Some(mut draft) = Draft::<RawClose>::new() else { return };
            let now = draft.now;
            let record = draft.record();
            begin(sock, &mut record.head, now, kind, from, to, actor);
            record.tuple.other = sock.name(&mut record.head);
            sock.tuple(&mut record.tuple);
            if from == TcpState::Listen as u8 {
                sock.listener(&mut record.totals);
            } else {
                sock.totals(&mut record.totals);
            }
            record.head.flags |= sock.last_flags();
            draft.send();
        }
        _ => {
            let Some(mut draft) = Draft::<RawHead>::new() else { return };
            let now = draft.now;
            let head = draft.record();
            begin(sock, head, now, kind, from, to, actor);
            sock.name(head);
            draft.send();
        }
    }
}

/// A socket at a typed hook that is none of TCP.
#[inline(always)]
pub fn moved_beside(sock: Probed, from: i32, to: i32) {
    let protocol = sock.protocol();
    if matches!(protocol, IPPROTO_MPTCP | IPPROTO_SCTP) {
        beside(sock, protocol, from as u8, to as u8);
    }
}

/// A socket of MPTCP or SCTP, which is no `struct tcp_sock` but begins as one does (`struct inet_sock`).
#[inline(always)]
fn beside<S: Sock>(sock: S, protocol: u16, from: u8, to: u8) {
    if from == to || !is_wanted(sock) {
        return;
    }
    let actor = acting(sock, from);
    emit(|now, record: &mut RawFull| {
        begin(sock, &mut record.head, now, Kind::Beside, from, to, actor);
        record.head.protocol = protocol;
        record.tuple.other = sock.name(&mut record.head);
        sock.tuple(&mut record.tuple);
    });
}

/// The process that acts on `sock`, which is [announced](task::announce); 0 when the network or a timer does. The reader does
/// not act where it did not open: while it looks into /proc/PID/fd the owner may close, and the file's last reference is then
/// dropped by the reader.
#[inline(always)]
fn acting<S: Sock>(sock: S, from: u8) -> u32 {
    if offset!(sk_lock_owned) == ABSENT || !sock.is_owned() {
        return 0;
    }
    let thread = task::running::<S>();
    if thread.tgid == 0 || from != TcpState::Close as u8 && task::is_reader(thread.tgid) {
        return 0;
    }
    task::announce::<S>(thread);
    thread.tgid
}

#[inline(always)]
fn begin<S: Sock>(sock: S, head: &mut RawHead, now: u64, kind: Kind, from: u8, to: u8, actor: u32) {
    head.time = now;
    head.kind = kind as u8;
    head.from = from;
    head.to = to;
    head.lport = lport(sock, from);
    // Before the end it may be a former connection's: `connect` to AF_UNSPEC leaves one, and `connect` clears it late.
    if to == TcpState::Close as u8 {
        head.err = sock.err();
    }
    if to == TcpState::Established as u8 {
        head.detail = sock.syn_retrans();
    }
    head.protocol = IPPROTO_TCP;
    if actor != 0 && sock.is_shut() {
        head.flags |= FLAG_SHUT;
    }
    task::sign(head, actor);
}

/// A socket that is closed and not bound still shows the port of its former connection, but has none.
#[inline(always)]
fn lport<S: Sock>(sock: S, from: u8) -> u16 {
    if from == TcpState::Close as u8 && offset!(skc_num) != ABSENT {
        return sock.get(offset!(skc_num));
    }
    sock.lport()
}
