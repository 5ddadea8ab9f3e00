//! JSON lines. The fields are those of [`field`](super::field).

pub mod fields;
mod networks;
mod parts;

use super::field::{Field, Kind};
use super::json_detail;
use super::object::{Held, Object, Stamp};
use crate::model::counter::Group;
use crate::model::fact::Direction;
use crate::model::{
    BesideChange, Clock, Conn, Doing, Ended, Family, Lodging, Mono, Protocol, Repair, ResetNames, SockDetail,
    SockRow, TcpState, TimerKind, Told, Transition, Transport, UnixRow, UnixState,
};
use crate::names::Names;
use crate::view::Column;
use parts::{
    at_close, connection, end_of, ends, how_word, learnt_word, listener_closes, lives, nanoseconds, netns,
    numbers, otel, timer, user,
};
use std::rc::Rc;

/// Writes what the table says, and the rows of listings.
pub struct Json {
    /// Connections that ended instead of every transition.
    close: bool,
    stamp: Stamp,
    resets: ResetNames,
    lodging: Rc<Lodging>,
    /// Names of users, where they are wanted.
    users: Option<Box<Names>>,
    /// Names of the fields of sockets that are wanted; `None`: all.
    only: Option<Vec<&'static str>>,
}

impl Json {
    pub fn new(close: bool, clock: Clock) -> Self {
        let lodging = Rc::new(Lodging::UNKNOWN);
        let (resets, users, only) = Default::default();
        Self { close, stamp: Stamp::new(clock), resets, lodging, users, only }
    }

    /// Of sockets, writes only the fields of these columns; of none, all.
    pub fn only(&mut self, columns: &[Column]) {
        let fields: Vec<&str> = columns.iter().flat_map(|column| column.spec().fields).copied().collect();
        self.only = (!fields.is_empty()).then_some(fields);
    }

    /// Tells the names of users, too.
    #[must_use]
    pub fn with_users(self, users: Names) -> Self {
        Self { users: Some(Box::new(users)), ..self }
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
                connection(&mut object, conn, change.at, &self.lodging);
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
        connection(&mut object, conn, *at, &self.lodging);
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
                at_close(&mut object, totals, conn);
            }
            None => {}
        }
        object.end();
    }

    fn ended(&mut self, out: &mut Vec<u8>, ended: &Ended) {
        let Ended { at, conn, from, err, why, totals } = ended;
        let mut object = Object::begin(out, Kind::Connection, self.stamp.at(*at));
        connection(&mut object, conn, *at, &self.lodging);
        object.text(Field::From, from.otel().as_bytes());
        if let Some(opened) = conn.opened {
            object.integer64(Field::Duration, nanoseconds(at.since(opened)));
        }
        end_of(&mut object, &self.resets, *err, why);
        if let Some(totals) = totals {
            numbers(&mut object, totals);
            at_close(&mut object, totals, conn);
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
    pub fn socket<'h, I>(&mut self, out: &mut Vec<u8>, at: Mono, row: &SockRow, holders: Option<I>)
    where
        I: Iterator<Item = Held<'h>>,
    {
        self.socket_in_detail(out, at, row, None, holders);
    }

    /// The same with what sock_diag tells beside the row.
    pub fn socket_in_detail<'h, I>(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        row: &SockRow,
        detail: Option<&SockDetail>,
        holders: Option<I>,
    ) where
        I: Iterator<Item = Held<'h>>,
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
        let uid = (!userless).then_some(row.uid);
        user(&mut object, uid);
        let name = uid
            .zip(self.users.as_mut())
            .and_then(|(uid, users)| users.user(uid))
            .filter(|name| std::str::from_utf8(name).is_ok());
        if let Some(name) = name {
            object.text(Field::UserName, name);
        }
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
        object.only(self.only.as_deref());
        connection(&mut object, conn, at, &self.lodging);
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
    pub fn unix<'h, I>(&mut self, out: &mut Vec<u8>, at: Mono, inum: u32, row: &UnixRow, holders: Option<I>)
    where
        I: Iterator<Item = Held<'h>>,
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
