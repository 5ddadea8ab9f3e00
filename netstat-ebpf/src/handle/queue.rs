//! Calls that moved bytes into or out of a socket's queues.

use super::{is_wanted, owner};
use crate::emit::{emit, lost};
use crate::maps::{
    HAS_RECEIVED, HAS_SENT, HASH_QUEUES, KNOWN, Pending, SOCKET_QUEUES, config, config_long, offset,
};
use crate::sock::Sock;
use crate::task;
use crate::word::Word;
use aya_ebpf::bindings::BPF_SK_STORAGE_GET_F_CREATE;
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_sk_storage_get};
use netstat_common::config::{QueueStore, Queues};
use netstat_common::event::{Direction, How, RawQueue};
use netstat_common::{IPPROTO_TCP, Kind, Loss, TcpState, judge};

/// `MSG_PEEK | MSG_ERRQUEUE`: the bytes stay where they are, or are none of the stream (include/linux/socket.h, 6.12).
const NOT_TAKEN: i32 = 0x2 | 0x2000;

/// Whether a receive call with these flags takes bytes out of the queue.
#[inline(always)]
pub fn takes(flags: i32) -> bool {
    flags & NOT_TAKEN == 0
}

/// Whether calls on the socket are counted. One that closed under a process, which may still read, is told about no more:
/// in the hash its address would be taken for that of the next socket there.
#[inline(always)]
fn is_counted<S: Sock>(sock: S) -> bool {
    sock.protocol() == IPPROTO_TCP
        && is_wanted(sock)
        && (config!(queue_store) != QueueStore::Hash as u32 || sock.state() != TcpState::Close as u8)
}

/// A socket begins at an address that another may have had.
#[inline(always)]
pub fn opened<S: Sock>(sock: S) {
    if config!(queue_store) == QueueStore::Hash as u32 {
        // Mostly there is none.
        let _ = HASH_QUEUES.remove(sock.address() as u64);
    }
}

/// A process sent or received `bytes`; nothing happened when they are zero or a negative errno.
#[inline(always)]
pub fn called<S: Sock>(sock: S, direction: Direction, bytes: i32) {
    if bytes <= 0 || !is_counted(sock) {
        return;
    }
    match pending(sock, true) {
        Some(pending) => count(sock, pending, direction, bytes.unsigned_abs(), task::tgid()),
        None => lost(Loss::NoStorage),
    }
}

/// A process is about to send or receive, at a hook that may not see the call's end: remembers where it begins. What a
/// call before it moved unseen is added now and told with the next report.
#[inline(always)]
pub fn begins<S: Sock>(sock: S, direction: Direction) {
    if !is_counted(sock) {
        return;
    }
    match pending(sock, true) {
        Some(pending) => {
            let (amount, bytes) = advance(sock, pending, direction, sock.state());
            amount.add(u64::from(bytes));
        }
        None => lost(Loss::NoStorage),
    }
}

/// Such a call may have moved bytes: what it moved, the distance to the last time tells. A peek and an error move nothing.
#[inline(always)]
pub fn ends<S: Sock>(sock: S, direction: Direction) {
    if !is_counted(sock) {
        return;
    }
    let Some(pending) = pending(sock, true) else {
        lost(Loss::NoStorage);
        return;
    };
    let (_, bytes) = advance(sock, pending, direction, sock.state());
    if bytes != 0 {
        // Only a process sends, but the network may read for one (a socket map, kernel TLS).
        let user = if matches!(direction, Direction::Receive) { task::actor(sock) } else { task::tgid() };
        count(sock, pending, direction, bytes, user);
    }
}

/// The bytes moved since the last time, and where they are counted; none when there was no last time.
#[inline(always)]
fn advance<S: Sock>(sock: S, pending: &Pending, direction: Direction, state: u8) -> (&Word, u32) {
    let (amount, mark, now) = match direction {
        Direction::Receive => (&pending.received, &pending.read, read(sock)),
        _ => (&pending.sent, &pending.written, written(sock, state)),
    };
    let last = mark.load();
    mark.store(KNOWN | u64::from(now));
    (amount, if last == 0 { 0 } else { judge::sequence_gap(now, last as u32) })
}

/// Sequence number up to which the process has read. At the end of the stream the kernel steps over the FIN, which is no
/// byte of the application.
#[inline(always)]
fn read<S: Sock>(sock: S) -> u32 {
    let tcp = sock.tcp();
    let copied: u32 = sock.load(tcp, offset!(tcp_copied_seq));
    let next: u32 = sock.load(tcp, offset!(tcp_rcv_nxt));
    copied.wrapping_sub(u32::from(copied == next && sock.has_peer_fin()))
}

/// Sequence number up to which the process has written, without the FIN that a closing socket has written behind it.
#[inline(always)]
fn written<S: Sock>(sock: S, state: u8) -> u32 {
    const CLOSING: [TcpState; 4] =
        [TcpState::FinWait1, TcpState::FinWait2, TcpState::Closing, TcpState::LastAck];
    let end: u32 = sock.load(sock.tcp(), offset!(tcp_write_seq));
    let mut fin = 0;
    for closing in CLOSING {
        fin |= u32::from(state == closing as u8);
    }
    end.wrapping_sub(fin)
}

/// The kernel's clock, which takes no call to read. It goes in steps of milliseconds.
#[inline(always)]
fn ticks() -> u64 {
    // SAFETY: the helper takes no argument and every program type has it.
    unsafe { bpf_jiffies64() }
}

/// `bytes` were moved by `user` (0: not by a process).
#[inline(always)]
fn count<S: Sock>(sock: S, pending: &Pending, direction: Direction, bytes: u32, user: u32) {
    let (amount, first) = match direction {
        Direction::Receive => (&pending.received, HAS_RECEIVED),
        _ => (&pending.sent, HAS_SENT),
    };
    let before = pending.user.load();
    let mut after = before | first;
    if user != 0 && before as u32 != user && owner::seen(sock, task::running::<S>(), How::Use) {
        after = after & !u64::from(u32::MAX) | u64::from(user);
    }
    if after != before {
        pending.user.store(after);
    }
    amount.add(u64::from(bytes));
    let due = config!(queues) == Queues::Every as u32
        || before & first == 0
        || judge::queue_due(pending.last.load(), ticks(), config_long!(queue_ticks));
    if due {
        report(sock, pending, direction, user);
    }
}

/// The socket closes from the state `from`: tells what is still untold.
#[inline(always)]
pub fn closed<S: Sock>(sock: S, from: u8, actor: u32) {
    if let Some(pending) = pending(sock, false) {
        for (mark, direction) in [(&pending.read, Direction::Receive), (&pending.written, Direction::Send)] {
            if mark.load() != 0 {
                let (amount, bytes) = advance(sock, pending, direction, from);
                amount.add(u64::from(bytes));
            }
        }
        if pending.sent.load() != 0 || pending.received.load() != 0 {
            report(sock, pending, Direction::Final, actor);
        }
        if config!(queue_store) == QueueStore::Hash as u32 {
            // The address will name another socket. That there was no entry is no error.
            let _ = HASH_QUEUES.remove(sock.address() as u64);
        }
    }
}

#[inline(always)]
fn report<S: Sock>(sock: S, pending: &Pending, direction: Direction, actor: u32) {
    let sent = pending.sent.load();
    let received = pending.received.load();
    let state = sock.state();
    let told = emit(|now, record: &mut RawQueue| {
        record.head.time = now;
        record.head.kind = Kind::Queue as u8;
        record.head.from = direction as u8;
        record.head.to = state;
        record.head.lport = sock.lport();
        record.head.protocol = IPPROTO_TCP;
        task::sign(&mut record.head, actor);
        sock.name(&mut record.head);
        record.rqueue = sock.rqueue();
        record.wqueue = sock.wqueue();
        // More than 4 GiB between two reports cannot be told exactly.
        record.sent = u32::try_from(sent).unwrap_or(u32::MAX);
        record.received = u32::try_from(received).unwrap_or(u32::MAX);
        pending.last.store(ticks());
    });
    if told {
        // Subtracted, not cleared: another processor may have added since.
        pending.sent.add(sent.wrapping_neg());
        pending.received.add(received.wrapping_neg());
    }
}

/// What is kept for the socket; made when missing and `make`.
#[inline(always)]
fn pending<S: Sock>(sock: S, make: bool) -> Option<&'static Pending> {
    let found: *const Pending = if S::TYPED && config!(queue_store) == QueueStore::Socket as u32 {
        let map = (&raw const SOCKET_QUEUES).cast_mut().cast();
        let flags = if make { u64::from(BPF_SK_STORAGE_GET_F_CREATE) } else { 0 };
        let value = core::ptr::null_mut();
        // SAFETY: the verifier proves that `map` is a socket storage and the address a socket; a new value is zeroed.
        unsafe { bpf_sk_storage_get(map, sock.address().cast_mut(), value, flags) }.cast()
    } else if config!(queue_store) == QueueStore::Hash as u32 {
        let key = sock.address() as u64;
        match HASH_QUEUES.get_ptr(key) {
            Some(found) => found.cast(),
            None if make => {
                HASH_QUEUES.insert(key, [0; 6], 0).ok()?;
                HASH_QUEUES.get_ptr(key)?.cast()
            }
            None => return None,
        }
    } else {
        return None;
    };
    // SAFETY: a value of either map is six aligned words, as many as a `Pending`, which other processors may
    // change meanwhile. Values are not freed before the program ends.
    unsafe { found.as_ref() }
}

const _: () = assert!(size_of::<Pending>() == size_of::<[u64; 6]>() && align_of::<Pending>() == 8);
