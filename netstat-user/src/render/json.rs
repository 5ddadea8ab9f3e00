//! JSON lines. The fields are those of [`field`](super::field).

use super::field::{Field, Kind};
use super::object::{Object, Stamp};
use crate::model::counter::Group;
use crate::model::fact::Direction;
use crate::model::{
    BesideChange, Clock, Comm, Conn, Doing, Ended, Family, How, Learnt, Lodging, Mono, Pid, Protocol, Repair,
    ResetNames, Runtime, SockRow, TcpState, TimerKind, Told, Totals, Transition, Transport, UnixRow, UnixState, Way, Why,
};
use std::net::IpAddr;
use std::rc::Rc;

/// Writes what the table says, and the rows of listings.
pub struct Json {
    /// Connections that ended instead of every transition.
    close: bool,
    stamp: Stamp,
    resets: ResetNames,
    lodging: Rc<Lodging>,
}

impl Json {
    pub fn new(close: bool, clock: Clock) -> Self {
        let lodging = Rc::new(Lodging::UNKNOWN);
        Self { close, stamp: Stamp::new(clock), resets: ResetNames::default(), lodging }
    }

    /// Tells what the kernel calls the reasons of its resets.
    pub fn name_resets(&mut self, names: ResetNames) {
        self.resets = names;
    }

    /// Where the sockets live that are written from now on.
    pub fn set_lodging(&mut self, lodging: Rc<Lodging>) {
        self.lodging = lodging;
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
                connection(&mut object, conn, &self.lodging);
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
            Told::Socket(change) if !self.close || change.socket.doing == Doing::Gone => {
                self.beside(out, change);
            }
            Told::Socket(_) => {}
            Told::Repaired(repair) => self.repair(out, repair),
        }
    }

    fn transition(&mut self, out: &mut Vec<u8>, transition: &Transition) {
        let Transition { at, from, to: _, spent, learnt, err, actor, conn, why, totals } = transition;
        let mut object = Object::begin(out, Kind::Transition, self.stamp.at(*at));
        connection(&mut object, conn, &self.lodging);
        object.text(Field::From, from.otel().as_bytes());
        if let Some(spent) = spent {
            object.integer64(Field::Spent, nanoseconds(*spent));
        }
        object.text(Field::Learnt, learnt_word(*learnt));
        if let Some(actor) = actor {
            object.integer(Field::Actor, actor.get());
        }
        end_of(&mut object, &self.resets, *err, why);
        match totals {
            Some(totals) if *from == TcpState::Listen => listener_closes(&mut object, totals),
            Some(totals) => {
                numbers(&mut object, totals);
                at_close(&mut object, totals);
            }
            None => {}
        }
        object.end();
    }

    fn ended(&mut self, out: &mut Vec<u8>, ended: &Ended) {
        let Ended { at, conn, from, err, why, totals } = ended;
        let mut object = Object::begin(out, Kind::Connection, self.stamp.at(*at));
        connection(&mut object, conn, &self.lodging);
        object.text(Field::From, from.otel().as_bytes());
        if let Some(opened) = conn.opened {
            object.integer64(Field::Duration, nanoseconds(at.since(opened)));
        }
        end_of(&mut object, &self.resets, *err, why);
        if let Some(totals) = totals {
            numbers(&mut object, totals);
            at_close(&mut object, totals);
        }
        object.end();
    }

    fn beside(&mut self, out: &mut Vec<u8>, change: &BesideChange) {
        let BesideChange { at, from, spent, learnt, err, socket, dropped } = change;
        let mut object = Object::begin(out, Kind::Change, self.stamp.at(*at));
        object.text(Field::Transport, socket.transport.name().as_bytes());
        let identity = &socket.identity;
        match socket.transport {
            Transport::Unix(kind) => {
                object.text(Field::UnixType, kind.name().as_bytes());
                if !socket.name.bytes().is_empty() {
                    object.bytes(Field::UnixPath, Field::UnixPathHex, socket.name.bytes());
                }
            }
            _ => {
                let (local, foreign) = (identity.tuple.local(), identity.tuple.foreign());
                ends(
                    &mut object,
                    identity.tuple.family,
                    (local.addr, local.port),
                    (foreign.addr, foreign.port),
                );
            }
        }
        object.text(Field::State, socket.doing.otel().as_bytes());
        object.text(Field::From, from.otel().as_bytes());
        if let Some(spent) = spent {
            object.integer64(Field::Spent, nanoseconds(*spent));
        }
        object.text(Field::Learnt, learnt_word(*learnt));
        if let Some((pid, comm)) = &socket.owner {
            object.integer(Field::Pid, pid.get());
            if !comm.bytes().is_empty() {
                object.bytes(Field::Comm, Field::CommHex, comm.bytes());
            }
            object.text(Field::OwnerHow, how_word(socket.how));
        }
        user(&mut object, identity.uid);
        netns(&mut object, identity.netns);
        if let Some(cookie) = socket.id.cookie {
            object.integer64(Field::Cookie, cookie.get());
        }
        if socket.inode != 0 {
            object.integer64(Field::Inode, socket.inode.into());
        }
        if let Some(cgroup) = identity.cgroup {
            object.integer64(Field::Cgroup, cgroup.get());
        }
        lives(&mut object, &self.lodging);
        if let Some((receive, send)) = socket.queues {
            object.integer(Field::QueueReceive, receive);
            object.integer(Field::QueueSend, send);
        }
        if let Some(drops) = socket.drops {
            object.integer64(Field::Drops, drops);
        }
        if *dropped > 0 {
            object.integer64(Field::Dropped, *dropped);
        }
        if *err != 0 {
            object.errno(Field::Error, *err);
        }
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
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
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
        if let Some(cgroup) = row.cgroup {
            object.integer64(Field::Cgroup, cgroup.get());
        }
        lives(&mut object, &self.lodging);
        if row.bound_if != 0 {
            object.integer(Field::Interface, row.bound_if);
        }
        object.integer(Field::QueueReceive, row.rqueue);
        // Without a cookie the row is from /proc, which does not tell the backlog limit of a listener.
        if row.cookie.is_some() || row.state != TcpState::Listen {
            object.integer(Field::QueueSend, row.wqueue);
        }
        timer(&mut object, row);
        let listens = row.protocol == Protocol::Tcp && row.state == TcpState::Listen;
        if listens {
            object.integer(Field::ListenerWaiting, row.rqueue);
            if row.cookie.is_some() {
                object.integer(Field::ListenerLimit, row.wqueue);
            }
            if let Some(totals) = &row.totals {
                object.integer(Field::ListenerHalfOpen, totals.segs_in);
            }
        }
        if let Some(drops) = row.drops {
            object.integer64(if listens { Field::ListenerDropped } else { Field::Drops }, drops);
        }
        if let Some(v6only) = row.v6only {
            object.bool(Field::V6Only, v6only);
        }
        if let Some(totals) = row.totals.as_ref().filter(|_| !listens) {
            numbers(&mut object, totals);
        }
        if let Some(holders) = holders {
            object.processes(Field::Holders, holders);
        }
        object.end();
    }

    /// Appends a TCP connection that reached CLOSE at `closed`, for a listing made at `at`. What is left out is not known.
    pub fn closed(&mut self, out: &mut Vec<u8>, at: Mono, closed: Mono, conn: &Conn) {
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
        connection(&mut object, conn, &self.lodging);
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
        object.text(Field::Transport, b"unix");
        netns(&mut object, inum);
        if let Some(cookie) = row.cookie {
            object.integer64(Field::Cookie, cookie.get());
        }
        if row.inode != 0 {
            object.integer64(Field::Inode, row.inode);
        }
        lives(&mut object, &self.lodging);
        object.text(Field::UnixType, row.kind.name().as_bytes());
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

fn how_word(how: How) -> &'static [u8] {
    match how {
        How::Inherited => b"inherited",
        How::Closed => b"closed",
        How::Used => b"used",
        How::Held => b"held",
        How::Accepted => b"accepted",
        How::Opened => b"opened",
    }
}

fn learnt_word(learnt: Learnt) -> &'static [u8] {
    match learnt {
        Learnt::Event => b"event",
        Learnt::Deduced => b"deduced",
        Learnt::Listing => b"listing",
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

fn connection(object: &mut Object<'_>, conn: &Conn, lodging: &Lodging) {
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
        object.text(Field::OwnerHow, how_word(owner.how));
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
    lives(object, lodging);
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
    let latency = &conn.latency;
    for (field, us) in [
        (Field::Handshake, latency.handshake_us),
        (Field::AcceptTime, latency.accept_us),
        (Field::FirstSent, latency.first_sent_us),
        (Field::FirstReceived, latency.first_received_us),
        (Field::SynRetransmits, latency.syn_retrans.map(u32::from)),
    ] {
        if let Some(us) = us {
            object.integer(field, us);
        }
    }
}

fn lives(object: &mut Object<'_>, lodging: &Lodging) {
    let Lodging { cgroup, container, pod } = lodging;
    if let Some(path) = cgroup {
        object.bytes(Field::CgroupPath, Field::CgroupPathHex, path);
    }
    let mut told = |field, text: Option<&str>| {
        if let Some(text) = text {
            object.text(field, text.as_bytes());
        }
    };
    if let Some(container) = container {
        told(Field::ContainerId, Some(&container.id));
        told(Field::ContainerName, container.name.as_deref());
        told(Field::ContainerRuntime, container.runtime.map(Runtime::name));
    }
    if let Some(pod) = pod {
        told(Field::PodUid, Some(&pod.uid));
        told(Field::PodName, pod.name.as_deref());
        told(Field::PodNamespace, pod.namespace.as_deref());
        told(Field::PodContainer, pod.container.as_deref());
    }
}

fn end_of(object: &mut Object<'_>, names: &ResetNames, err: u16, why: &Why) {
    let Why { reason, cause, reset } = why;
    if let Some(reason) = reason {
        object.text(Field::Reason, reason.name().as_bytes());
    }
    if let Some(cause) = cause {
        object.text(Field::Cause, cause.name().as_bytes());
    }
    if let Some(reset) = reset {
        let way: &[u8] = match reset.way {
            Way::Sent => b"sent",
            Way::Received => b"received",
        };
        object.text(Field::ResetWay, way);
        if let Some(reason) = reset.reason.and_then(|reason| names.name(reason)) {
            object.text(Field::ResetReason, reason);
        }
    }
    if err != 0 {
        object.errno(Field::Error, err);
    }
}

/// Counters of a connection.
fn numbers(object: &mut Object<'_>, totals: &Totals) {
    let Totals { sent, received, resent, segs_out, segs_in, retrans, srtt_us, .. } = *totals;
    object.integer64(Field::BytesSent, sent);
    object.integer64(Field::BytesReceived, received);
    if let Some(resent) = resent {
        object.integer64(Field::BytesResent, resent);
    }
    object.integer(Field::SegmentsOut, segs_out);
    object.integer(Field::SegmentsIn, segs_in);
    object.integer(Field::Retransmits, retrans);
    if let Some(lost) = totals.lost {
        object.integer(Field::SegmentsLost, lost);
    }
    if let Some(times) = totals.reordered {
        object.integer(Field::Reordered, times);
    }
    if let Some(busy) = totals.busy {
        object.integer64(Field::BusyTime, busy.total_us);
        object.integer64(Field::WindowTime, busy.window_us);
        object.integer64(Field::BufferTime, busy.buffer_us);
    }
    if srtt_us != 0 {
        object.integer(Field::Rtt, srtt_us);
    }
    if let Some(rtt) = totals.min_rtt_us {
        object.integer(Field::RttMin, rtt);
    }
}

/// What was left when it closed.
fn at_close(object: &mut Object<'_>, totals: &Totals) {
    object.integer(Field::Probes, totals.probes);
    object.integer(Field::QueueReceive, totals.rqueue);
    object.integer(Field::QueueSend, totals.wqueue);
}

fn listener_closes(object: &mut Object<'_>, totals: &Totals) {
    object.integer(Field::ListenerWaiting, totals.rqueue);
    object.integer(Field::ListenerLimit, totals.wqueue);
    object.integer(Field::ListenerHalfOpen, totals.segs_in);
    if let Some(dropped) = totals.lost {
        object.integer64(Field::ListenerDropped, dropped.into());
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
