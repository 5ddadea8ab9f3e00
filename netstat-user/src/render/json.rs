//! JSON lines. The fields are those of [`field`](super::field).

use super::field::{Field, Kind};
use super::json_detail;
use super::object::{Object, Stamp};
use crate::model::counter::Group;
use crate::model::fact::Direction;
use crate::model::{
    Clock, Comm, Conn, Detail, Ended, Family, How, Learnt, Mono, Pid, Protocol, Reason, Repair, SockRow,
    TcpState, TimerKind, Told, Totals, Transition, UnixKind, UnixRow, UnixState,
};
use crate::view::Column;
use std::net::IpAddr;

/// Writes what the table says, and the rows of listings.
pub struct Json {
    /// Connections that ended instead of every transition.
    close: bool,
    stamp: Stamp,
    /// Fields of sockets that are wanted; `None`: all.
    only: Option<Vec<Field>>,
}

impl Json {
    pub fn new(close: bool, clock: Clock) -> Self {
        Self { close, stamp: Stamp::new(clock), only: None }
    }

    /// Of sockets, writes only the fields of these columns; of none, all.
    pub fn only(&mut self, columns: &[Column]) {
        let names = columns.iter().flat_map(|column| column.spec().fields);
        let fields: Vec<Field> = names.filter_map(|name| Field::named(name)).collect();
        self.only = (!fields.is_empty()).then_some(fields);
    }

    /// Replaces the clock; see [`Clock`].
    pub fn set_clock(&mut self, clock: Clock) {
        self.stamp.set_clock(clock);
    }

    /// Appends a line, or nothing when it is not of the wanted kind.
    pub fn told(&mut self, out: &mut Vec<u8>, told: &Told) {
        match told {
            Told::Transition(transition) if !self.close => self.transition(out, transition),
            Told::Ended(ended) if self.close => self.ended(out, ended),
            Told::Transition(_) | Told::Ended(_) => {}
            Told::Queue { change, conn } => {
                let mut object = Object::begin(out, Kind::Queue, self.stamp.at(change.at));
                connection(&mut object, conn);
                object.integer(Field::QueueReceive, change.rqueue);
                object.integer(Field::QueueSend, change.wqueue);
                let cause: &[u8] = match change.direction {
                    Direction::Final => b"final",
                    Direction::Send => b"send",
                    Direction::Receive => b"receive",
                };
                object.text(Field::QueueCause, cause);
                object.integer(Field::QueueSent, change.sent);
                object.integer(Field::QueueReceived, change.received);
                if let Some(actor) = change.actor {
                    object.integer(Field::Actor, actor.get());
                }
                object.end();
            }
            Told::Repaired(repair) => self.repair(out, repair),
        }
    }

    fn transition(&mut self, out: &mut Vec<u8>, transition: &Transition) {
        let Transition { at, from, to: _, spent, learnt, err, actor, conn, reason, totals } = transition;
        let mut object = Object::begin(out, Kind::Transition, self.stamp.at(*at));
        connection(&mut object, conn);
        object.text(Field::From, from.otel().as_bytes());
        if let Some(spent) = spent {
            object.integer64(Field::Spent, nanoseconds(*spent));
        }
        let learnt: &[u8] = match learnt {
            Learnt::Event => b"event",
            Learnt::Deduced => b"deduced",
            Learnt::Listing => b"listing",
        };
        object.text(Field::Learnt, learnt);
        if let Some(actor) = actor {
            object.integer(Field::Actor, actor.get());
        }
        end_of(&mut object, *err, *reason, totals.as_ref());
        object.end();
    }

    fn ended(&mut self, out: &mut Vec<u8>, ended: &Ended) {
        let Ended { at, conn, from, err, reason, totals } = ended;
        let mut object = Object::begin(out, Kind::Connection, self.stamp.at(*at));
        connection(&mut object, conn);
        object.text(Field::From, from.otel().as_bytes());
        if let Some(opened) = conn.opened {
            object.integer64(Field::Duration, nanoseconds(at.since(opened)));
        }
        end_of(&mut object, *err, *reason, totals.as_ref());
        object.end();
    }

    fn repair(&mut self, out: &mut Vec<u8>, repair: &Repair) {
        let mut object = Object::begin(out, Kind::Repair, self.stamp.at(repair.at));
        object.integer64(Field::Lost, repair.lost);
        object.integer64(Field::Repaired, repair.corrected);
        let took = repair.at.since(repair.since);
        object.integer(Field::RepairMs, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        object.end();
    }

    /// Appends the end of a trace.
    pub fn summary(&mut self, out: &mut Vec<u8>, at: Mono, summary: &super::summary::Summary) {
        let super::summary::Summary { transitions, connections, lost, repaired, evicted } = *summary;
        let mut object = Object::begin(out, Kind::Summary, self.stamp.at(at));
        object.integer64(Field::Transitions, transitions);
        object.integer64(Field::Connections, connections);
        object.integer64(Field::Lost, lost);
        object.integer64(Field::Repaired, repaired);
        object.integer64(Field::Evicted, evicted);
        object.end();
    }

    /// Appends an inet socket of a listing made at `at`. `holders` is `None` when nobody looked for them.
    pub fn socket<I>(&mut self, out: &mut Vec<u8>, at: Mono, row: &SockRow, holders: Option<I>)
    where
        I: Iterator<Item = (Pid, Comm)>,
    {
        self.socket_in_detail(out, at, row, None, holders);
    }

    /// The same with what sock_diag tells beside the row.
    pub fn socket_in_detail<I>(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        row: &SockRow,
        detail: Option<&Detail>,
        holders: Option<I>,
    ) where
        I: Iterator<Item = (Pid, Comm)>,
    {
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
        object.only(self.only.as_deref());
        let transport: &[u8] = match row.protocol {
            Protocol::Tcp => b"tcp",
            Protocol::Udp => b"udp",
            Protocol::UdpLite => b"udplite",
            Protocol::Raw => b"raw",
        };
        object.text(Field::Transport, transport);
        ends(&mut object, row.family, (row.local.addr, row.local.port), (row.foreign.addr, row.foreign.port));
        match row.protocol {
            Protocol::Tcp => object.text(Field::State, row.state.otel().as_bytes()),
            Protocol::Raw => object.integer(Field::RawState, row.state as u8),
            Protocol::Udp | Protocol::UdpLite if row.state == TcpState::Established => {
                object.text(Field::State, row.state.otel().as_bytes());
            }
            Protocol::Udp | Protocol::UdpLite => {}
        }
        // What remains of a closed socket, or a request for one, has no user; the kernel says 0.
        let userless =
            row.timer.kind == TimerKind::TimeWait || (row.state == TcpState::SynRecv && row.inode == 0);
        user(&mut object, (!userless).then_some(row.uid));
        netns(&mut object, row.netns);
        if let Some(cookie) = row.cookie {
            object.integer64(Field::Cookie, cookie.get());
        }
        if row.inode != 0 {
            object.integer64(Field::Inode, row.inode.into());
        }
        if row.bound_if != 0 {
            object.integer(Field::Interface, row.bound_if);
        }
        object.integer(Field::QueueReceive, row.rqueue);
        // Without a cookie the row is from /proc, which does not tell the backlog limit of a listener.
        if row.cookie.is_some() || row.state != TcpState::Listen {
            object.integer(Field::QueueSend, row.wqueue);
        }
        timer(&mut object, row);
        if let Some(drops) = row.drops {
            object.integer64(Field::Drops, drops);
        }
        if let Some(v6only) = row.v6only {
            object.bool(Field::V6Only, v6only);
        }
        end_of(&mut object, 0, None, row.totals.as_ref());
        if let Some(detail) = detail {
            json_detail::detail(&mut object, detail);
        }
        if let Some(holders) = holders {
            object.processes(Field::Holders, holders);
        }
        object.end();
    }

    /// Appends a TCP connection that reached CLOSE at `closed`, for a listing made at `at`. What is left out is not known.
    pub fn closed(&mut self, out: &mut Vec<u8>, at: Mono, closed: Mono, conn: &Conn) {
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
        connection(&mut object, conn);
        if let Some(opened) = conn.opened {
            object.integer64(Field::Duration, nanoseconds(closed.since(opened)));
        }
        if let Some(bytes) = conn.rqueue {
            object.integer(Field::QueueReceive, bytes);
        }
        if let Some(bytes) = conn.wqueue {
            object.integer(Field::QueueSend, bytes);
        }
        object.end();
    }

    /// Appends a unix socket of a listing made at `at` in the namespace `inum` (0: unknown).
    pub fn unix<I>(&mut self, out: &mut Vec<u8>, at: Mono, inum: u32, row: &UnixRow, holders: Option<I>)
    where
        I: Iterator<Item = (Pid, Comm)>,
    {
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
        object.only(self.only.as_deref());
        object.text(Field::Transport, b"unix");
        netns(&mut object, inum);
        if let Some(cookie) = row.cookie {
            object.integer64(Field::Cookie, cookie.get());
        }
        if row.inode != 0 {
            object.integer64(Field::Inode, row.inode);
        }
        let kind: &[u8] = match row.kind {
            UnixKind::Stream => b"stream",
            UnixKind::Dgram => b"dgram",
            UnixKind::Raw => b"raw",
            UnixKind::Rdm => b"rdm",
            UnixKind::Seqpacket => b"seqpacket",
            UnixKind::Other(_) => b"unknown",
        };
        object.text(Field::UnixType, kind);
        let state: &[u8] = match row.state {
            UnixState::Free => b"free",
            UnixState::Unconnected if row.listening => b"listening",
            UnixState::Unconnected => b"unconnected",
            UnixState::Connecting => b"connecting",
            UnixState::Connected => b"connected",
            UnixState::Disconnecting => b"disconnecting",
            UnixState::Other(_) => b"unknown",
        };
        object.text(Field::UnixState, state);
        object.integer(Field::UnixRefs, row.refcount);
        if !row.path.is_empty() {
            object.bytes(Field::UnixPath, Field::UnixPathHex, &row.path);
        }
        if let Some(holders) = holders {
            object.processes(Field::Holders, holders);
        }
        object.end();
    }

    /// Appends a line for each counter of a group, read at `at` in the namespace `inum` (0: unknown). `family` is the one it
    /// counts, `None` both.
    pub fn counters(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        inum: u32,
        family: Option<Family>,
        group: &Group,
    ) {
        for counter in &group.counters {
            let mut object = Object::begin(out, Kind::Counter, self.stamp.at(at));
            if let Some(family) = family {
                object.text(Field::NetworkType, otel(family));
            }
            netns(&mut object, inum);
            object.text(Field::CounterGroup, &group.name);
            object.text(Field::CounterName, &counter.name);
            object.signed(Field::CounterValue, counter.value);
            object.end();
        }
    }
}

fn otel(family: Family) -> &'static [u8] {
    match family {
        Family::V4 => b"ipv4",
        Family::V6 => b"ipv6",
    }
}

fn nanoseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn ends(object: &mut Object<'_>, family: Family, local: (IpAddr, u16), foreign: (IpAddr, u16)) {
    object.text(Field::NetworkType, otel(family));
    object.address(Field::LocalAddress, local.0);
    if local.1 != 0 {
        object.integer(Field::LocalPort, local.1);
    }
    object.address(Field::PeerAddress, foreign.0);
    if foreign.1 != 0 {
        object.integer(Field::PeerPort, foreign.1);
    }
}

fn user(object: &mut Object<'_>, uid: Option<u32>) {
    if let Some(uid) = uid {
        let mut digits = Vec::with_capacity(10);
        super::text::number(&mut digits, uid.into());
        object.text(Field::User, &digits);
    }
}

fn netns(object: &mut Object<'_>, inum: u32) {
    if inum != 0 {
        object.integer(Field::Netns, inum);
    }
}

fn connection(object: &mut Object<'_>, conn: &Conn) {
    let tuple = &conn.identity.tuple;
    object.text(Field::Transport, b"tcp");
    let (local, foreign) = (tuple.local(), tuple.foreign());
    ends(object, tuple.family, (local.addr, local.port), (foreign.addr, foreign.port));
    object.text(Field::State, conn.state.otel().as_bytes());
    if let Some(owner) = &conn.owner {
        object.integer(Field::Pid, owner.pid.get());
        if !owner.comm.bytes().is_empty() {
            object.bytes(Field::Comm, Field::CommHex, owner.comm.bytes());
        }
        let how: &[u8] = match owner.how {
            How::Inherited => b"inherited",
            How::Closed => b"closed",
            How::Used => b"used",
            How::Held => b"held",
            How::Accepted => b"accepted",
            How::Opened => b"opened",
        };
        object.text(Field::OwnerHow, how);
    }
    user(object, conn.identity.uid);
    netns(object, conn.identity.netns);
    object.integer(Field::Connection, conn.serial);
    if let Some(cookie) = conn.id.cookie {
        object.integer64(Field::Cookie, cookie.get());
    }
    if conn.inode != 0 {
        object.integer64(Field::Inode, conn.inode.into());
    }
    if let Some(cgroup) = conn.identity.cgroup {
        object.integer64(Field::Cgroup, cgroup.get());
    }
    if tuple.bound_if != 0 {
        object.integer(Field::Interface, tuple.bound_if);
    }
    if conn.preexisting {
        object.bool(Field::Preexisting, true);
    }
    if let Some(active) = conn.active {
        object.text(Field::Role, if active { b"client" } else { b"server" });
    }
    if let Some(first) = conn.first {
        object.text(Field::ClosedFirst, first.name().as_bytes());
    }
}

fn end_of(object: &mut Object<'_>, err: u16, reason: Option<Reason>, totals: Option<&Totals>) {
    if let Some(reason) = reason {
        object.text(Field::Reason, reason.name().as_bytes());
    }
    if err != 0 {
        object.errno(Field::Error, err);
    }
    if let Some(totals) = totals {
        let Totals { sent, received, segs_out, segs_in, retrans, srtt_us, rqueue: _, wqueue: _ } = *totals;
        object.integer64(Field::BytesSent, sent);
        object.integer64(Field::BytesReceived, received);
        object.integer(Field::SegmentsOut, segs_out);
        object.integer(Field::SegmentsIn, segs_in);
        object.integer(Field::Retransmits, retrans);
        if srtt_us != 0 {
            object.integer(Field::Rtt, srtt_us);
        }
    }
}

fn timer(object: &mut Object<'_>, row: &SockRow) {
    let kind: &[u8] = match row.timer.kind {
        TimerKind::Off => return,
        TimerKind::On => b"on",
        TimerKind::Keepalive => b"keepalive",
        TimerKind::TimeWait => b"timewait",
        TimerKind::Probe => b"probe",
        TimerKind::Other(_) => b"unknown",
    };
    object.text(Field::TimerKind, kind);
    object.integer(Field::TimerExpires, row.timer.expires_ms);
    object.integer(Field::TimerRetransmits, row.timer.retransmits);
    object.integer(Field::TimerProbes, row.timer.probes);
}
