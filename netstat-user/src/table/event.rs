//! What the table makes of the kernel half's events.

use super::row::{Flags, Row};
use super::{Change, Table};
use crate::model::{How, Identity, Learnt, Mono, Moved, QueueChange, SockId, TcpState, Told};
use std::num::NonZeroU64;
use std::time::Duration;

/// A step told again within this time is the same one: a process may be stopped for so long between two programs of a hook.
const REPEAT: Duration = Duration::from_secs(1);
/// Children that are cloned but neither established nor closed after this time are forgotten.
const CHILD_AGE: Duration = Duration::from_secs(5);

impl Table {
    pub(super) fn find(&self, id: SockId) -> Option<u32> {
        if let Some(cookie) = id.cookie
            && let Some(index) = self.by_cookie.get(cookie.get())
        {
            return Some(index);
        }
        let &index = self.by_pointer.get(&id.pointer?.get())?;
        let row = self.rows.at(index)?;
        // An address with another cookie is another socket at the same place.
        (row.cookie == 0 || id.cookie.is_none_or(|cookie| cookie.get() == row.cookie)).then_some(index)
    }

    pub(super) fn child(&mut self, at: Mono, pointer: NonZeroU64) {
        self.forget_children(at);
        self.children.insert(pointer.get(), at);
        self.children_by_age.push_back((at, pointer.get()));
    }

    /// Whether a child that was cloned until `at` may still become established. Its request is over before it is. Where events
    /// were lost, that it became so may have been one of them.
    pub(super) fn has_child(&mut self, at: Mono, now: Mono) -> bool {
        self.forget_children(now);
        self.children_by_age.front().is_some_and(|&(age, _)| age <= at && age > self.sure)
    }

    /// Those that nothing came of in [`CHILD_AGE`], and the oldest that have become somebody.
    fn forget_children(&mut self, now: Mono) {
        while let Some(&(age, old)) = self.children_by_age.front() {
            let is_waiting = self.children.get(&old) == Some(&age);
            if is_waiting && now.since(age) < CHILD_AGE {
                break;
            }
            self.children_by_age.pop_front();
            if is_waiting {
                self.children.remove(&old);
            }
        }
    }

    /// Sockets that a listing had to match by address (listeners that share one, connects to one place before their ports
    /// are chosen) may have got each other's cookie; an event that carries both names tells.
    fn untangle(&mut self, moved: &Moved) {
        let (Some(cookie), Some(pointer)) = (moved.id.cookie, moved.id.pointer) else { return };
        let (Some(named), Some(&placed)) =
            (self.by_cookie.get(cookie.get()), self.by_pointer.get(&pointer.get()))
        else {
            return;
        };
        if named == placed {
            return;
        }
        if self.rows.at(placed).is_some_and(|row| !row.may_move(moved)) {
            self.forget_pointer(placed);
            return;
        }
        let Some(own) = self.rows.at_mut(placed).map(|row| std::mem::replace(&mut row.cookie, cookie.get()))
        else {
            return;
        };
        self.by_cookie.insert(cookie.get(), placed);
        let Some(other) = self.rows.at_mut(named) else { return };
        other.cookie = own;
        if other.pointer == 0 {
            // The listing entered the socket anew: it is the same.
            self.twins.push(named);
        } else if own != 0 {
            self.by_cookie.insert(own, named);
        }
    }

    pub(super) fn moved(&mut self, moved: Moved, out: &mut Vec<Told>) {
        if self.is_repeated(&moved) {
            return;
        }
        self.elapse(moved.at, out);
        self.untangle(&moved);
        let birth = self.birth(&moved);
        let index = match self.find(moved.id).or_else(|| self.requested(&moved)) {
            Some(index) if self.is_another(index, &moved) => {
                self.replaced(index, moved.at, out);
                self.forget_id(index, moved.id.cookie);
                None
            }
            Some(index) => {
                // A socket that goes on after its move to CLOSE has not gone to TIME_WAIT.
                self.settle(index, out);
                self.release(index, out);
                Some(index)
            }
            None => None,
        };
        let index = match (index, moved.identity) {
            (Some(index), identity) => {
                self.refresh(index, &moved, identity);
                index
            }
            (None, Some(identity)) => match self.born(&moved, identity, birth) {
                Some(index) => index,
                None => return,
            },
            (None, None) => {
                self.counts.unknown += 1;
                // After an eviction strangers are expected, and a listing would bring back what had to go.
                self.wants_listing |= self.counts.evicted == 0;
                return;
            }
        };
        // A connect takes a TIME_WAIT's place only after this, and its own event tells when.
        if !(moved.to == TcpState::SynSent && self.limits.minis) {
            self.make_room(index, moved.at, out);
        }
        self.attribute(index, &moved);
        self.is_full(index, &moved);
        if let Some(at) = birth {
            self.tell_birth(index, at, out);
        }
        // Its port is known now, if ever.
        self.connects(index, out);
        self.counted_syns(index, moved.syn_retrans);
        if moved.to == TcpState::Close {
            self.forget_pointer(index);
        }
        // Only these two leave a timewait socket behind (`tcp_time_wait`, net/ipv4/tcp_minisocks.c, 6.12).
        let may_wait =
            moved.to == TcpState::Close && matches!(moved.from, TcpState::FinWait2 | TcpState::Closing);
        if may_wait && self.lives_on(index, &moved, out) {
            return;
        }
        if may_wait && !self.leaves_nothing(moved.at) {
            self.perhaps_time_wait(index, moved);
        } else if moved.to == TcpState::SynSent && self.limits.minis {
            self.begin_connect(index, &moved, out);
        } else {
            self.transit(index, Change::event(&moved), out);
        }
        // Its children have its port, and belong to it by that.
        self.wants_listing |=
            moved.to == TcpState::Listen && self.rows.at(index).is_some_and(|row| row.tuple.lport == 0);
    }

    /// Whether the row has just made this very step: the kernel half may tell a step twice when an interrupt comes
    /// between its two programs.
    fn is_repeated(&self, moved: &Moved) -> bool {
        let Some((index, row)) = self.find(moved.id).and_then(|index| Some((index, self.rows.at(index)?)))
        else {
            return false;
        };
        // Its timewait socket is known: that the socket closed was told, or shown by a listing that was ahead.
        if row.flags.has(Flags::MINISOCK)
            && !self.pending.contains_key(&index)
            && moved.to == TcpState::Close
            && matches!(moved.from, TcpState::FinWait2 | TcpState::Closing)
        {
            return true;
        }
        let pending = self.pending.get(&index).map(|pending| (pending.from, pending.to, pending.at));
        let last = pending.unwrap_or((moved.from, row.state, row.since));
        row.flags.has(Flags::SINCE)
            && (last.0, last.1) == (moved.from, moved.to)
            && moved.at.since(last.2) < REPEAT
    }

    /// When a child that now leaves SYN_RECV was cloned, if that was seen.
    fn birth(&mut self, moved: &Moved) -> Option<Mono> {
        if moved.from != TcpState::SynRecv {
            return None;
        }
        self.children.remove(&moved.id.pointer?.get())
    }

    /// Whether the row is another connection than the one that moved, under the same name: the socket was used again
    /// after its connection had gone to TIME_WAIT (which keeps the cookie), or its memory was. A row that only a
    /// listing has shown may be the same connection, seen before its first event arrived.
    fn is_another(&self, index: u32, moved: &Moved) -> bool {
        let Some(row) = self.rows.at(index) else { return false };
        let sure = moved.id.cookie.is_some_and(|cookie| cookie.get() == row.cookie);
        if !sure && row.state != TcpState::Close && !row.may_move(moved) {
            // Found by its address in the kernel, but elsewhere: the end of the row's own socket was lost.
            return true;
        }
        moved.from == TcpState::Close
            && row.state != TcpState::Close
            && (row.flags.has(Flags::SINCE) || moved.at > row.since)
    }

    /// A row that nothing will name any more: what became of it can only be asked by its addresses, or is over.
    fn replaced(&mut self, index: u32, at: Mono, out: &mut Vec<Told>) {
        let Some(row) = self.rows.at(index) else { return };
        // A TIME_WAIT lives on beside the new connection and is asked about by its addresses.
        let (state, minisock) = (row.state, row.flags.has(Flags::MINISOCK));
        if !minisock && state != TcpState::Close {
            self.count_repair();
            self.transit(index, Change::seen(at, state, TcpState::Close, Learnt::Deduced), out);
        }
    }

    /// The names that another socket has now are no longer this row's.
    fn forget_id(&mut self, index: u32, taken: Option<NonZeroU64>) {
        if let Some(cookie) = taken
            && self.by_cookie.get(cookie.get()) == Some(index)
        {
            self.by_cookie.remove(cookie.get());
        }
        self.forget_pointer(index);
    }

    /// The socket's memory may be another socket's from now on.
    pub(super) fn forget_pointer(&mut self, index: u32) {
        let Some(row) = self.rows.at(index) else { return };
        if self.by_pointer.get(&row.pointer) == Some(&index) {
            self.by_pointer.remove(&row.pointer);
        }
    }

    /// Enters a row for a socket told of for the first time.
    fn born(&mut self, moved: &Moved, identity: Identity, birth: Option<Mono>) -> Option<u32> {
        let mut row = Row::new(&identity, moved.from);
        row.cookie = moved.id.cookie.map_or(0, NonZeroU64::get);
        row.pointer = moved.id.pointer.map_or(0, NonZeroU64::get);
        if row.tuple.lport == 0 {
            row.tuple.lport = moved.lport;
        }
        match moved.from {
            TcpState::Close => {
                row.opened = moved.at;
                row.flags.set(Flags::OPENED);
                if moved.to == TcpState::SynSent {
                    row.flags.set(Flags::ACTIVE);
                }
            }
            TcpState::SynRecv => {
                // Simultaneous open passes SYN_RECV too, but its socket was told of at SYN_SENT.
                row.flags.set(Flags::PASSIVE);
                match birth {
                    Some(at) => {
                        row.opened = at;
                        row.since = at;
                        row.flags.set(Flags::OPENED | Flags::SINCE);
                    }
                    None => row.flags.set(Flags::PREEXISTING),
                }
            }
            _ => row.flags.set(Flags::PREEXISTING),
        }
        let index = self.enter(row)?;
        self.counts.connections += u64::from(moved.from != TcpState::Listen && moved.to != TcpState::Listen);
        if moved.from == TcpState::SynRecv {
            self.inherit(index);
        }
        Some(index)
    }

    /// Takes from an event what the row does not know yet.
    fn refresh(&mut self, index: u32, moved: &Moved, identity: Option<Identity>) {
        if let Some(cookie) = moved.id.cookie {
            self.name(index, cookie);
        }
        if moved.from == TcpState::Close {
            self.extras.remove(&index);
        }
        let Some(row) = self.rows.at_mut(index) else { return };
        if moved.from == TcpState::Close {
            // The socket is used again after its former connection: all is new but the name.
            if let Some(identity) = identity {
                row.tuple = identity.tuple;
                row.uid = identity.uid.unwrap_or(row.uid);
            }
            row.flags.clear(
                Flags::ENDED
                    | Flags::PREEXISTING
                    | Flags::QUEUES
                    | Flags::ACTIVE
                    | Flags::PASSIVE
                    | Flags::ASKED
                    | Flags::LOCAL_FIRST
                    | Flags::PEER_FIRST
                    | Flags::SYN_SEEN
                    | Flags::SYNS,
            );
            (row.handshake, row.accepted) = (None, None);
            row.opened = moved.at;
            row.flags.set(Flags::OPENED);
            if moved.to == TcpState::SynSent {
                row.flags.set(Flags::ACTIVE);
            }
            row.how = 0;
        }
        if let Some(identity) = identity {
            if row.cgroup == 0 {
                row.cgroup = identity.cgroup.map_or(0, NonZeroU64::get);
            }
            if row.netns == 0 {
                row.netns = identity.netns;
            }
            // Addresses are chosen at connect at the latest; a closed socket may have lost them again.
            if moved.to != TcpState::Close && row.state != TcpState::Listen {
                let lport = row.tuple.lport;
                row.tuple = identity.tuple;
                if row.tuple.lport == 0 {
                    row.tuple.lport = lport;
                }
            }
        }
        if let Some(totals) = moved.totals {
            // What a listing or a queue report said before is older.
            row.rqueue = totals.rqueue;
            row.wqueue = totals.wqueue;
            row.flags.set(Flags::QUEUES);
        }
        if row.flags.has(Flags::REQUEST) {
            row.flags.clear(Flags::REQUEST);
            row.flags.set(Flags::PASSIVE);
        }
        if row.flags.has(Flags::MINISOCK) && !self.pending.contains_key(&index) {
            // Only a full socket has events: the listing that showed the end was ahead of them.
            row.flags.clear(Flags::MINISOCK | Flags::ENDED);
        }
        self.learn_port(index, moved.lport);
    }

    /// Gives a row that was known by address its cookie.
    pub(super) fn name(&mut self, index: u32, cookie: NonZeroU64) {
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.cookie != 0 {
            return;
        }
        row.cookie = cookie.get();
        if let Some(twin) = self.by_cookie.insert(cookie.get(), index)
            && twin != index
        {
            self.twins.push(twin);
        }
    }

    /// A socket in TIME_WAIT whose addresses a new connection has was replaced by it (`tcp_tw_reuse`, or a SYN with
    /// a later sequence number, RFC 9293 section 3.6.1).
    pub(super) fn make_room(&mut self, index: u32, at: Mono, out: &mut Vec<Told>) {
        let Some(row) = self.rows.at(index) else { return };
        let place = row.place();
        if self.waiting.is_empty() || row.state == TcpState::TimeWait || !place.is_connection() {
            return;
        }
        if let Some(&old) = self.waiting.get(&place)
            && old != index
        {
            self.settle(old, out);
            if let Some(end) = self.ending(old) {
                self.end_mini(old, end, out);
            } else if self.rows.at(old).is_some_and(|row| row.state == TcpState::TimeWait) {
                self.transit(
                    old,
                    Change::seen(at, TcpState::TimeWait, TcpState::Close, Learnt::Deduced),
                    out,
                );
            }
        }
    }

    /// A child's LISTEN -> SYN_RECV, told now that its name and addresses are known.
    pub(super) fn tell_birth(&mut self, index: u32, at: Mono, out: &mut Vec<Told>) {
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.flags.has(Flags::SINCE) && row.since != at {
            // The SYN's own event or a listing had shown the half-open connection, and that was told.
            row.since = row.since.min(at);
            row.opened = row.opened.min(at);
            return;
        }
        row.state = TcpState::SynRecv;
        row.since = at;
        row.flags.set(Flags::SINCE);
        if !row.flags.has(Flags::OPENED) {
            row.opened = at;
            row.flags.set(Flags::OPENED);
        }
        self.tell(index, Change::seen(at, TcpState::Listen, TcpState::SynRecv, Learnt::Event), None, out);
    }

    pub(super) fn queue(&mut self, change: QueueChange, out: &mut Vec<Told>) {
        let Some(index) = self.find(change.id) else { return };
        let Some(row) = self.rows.at_mut(index) else { return };
        row.rqueue = change.rqueue;
        row.wqueue = change.wqueue;
        row.flags.set(Flags::QUEUES);
        self.used(index, &change);
        if let Some(pid) = change.actor {
            self.set_owner(index, pid, How::Used, change.at);
        }
        if let Some(row) = self.rows.at(index) {
            out.push(Told::Queue { change, conn: self.conn(index, row) });
        }
    }
}
