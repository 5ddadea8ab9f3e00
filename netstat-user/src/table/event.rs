//! What the table makes of the kernel half's events and of answers to its questions.

use super::row::{Flags, Place, Row};
use super::{Change, Table};
use crate::model::fact::Seen;
use crate::model::{
    Answer, How, Identity, Learnt, Mono, Moved, OwnerSeen, Pid, QueueChange, SockId, SockRow, TcpState,
    TimerKind, Told,
};
use std::num::NonZeroU64;
use std::time::Duration;

/// Children that are cloned but neither established nor closed after this time are forgotten.
const CHILD_AGE: Duration = Duration::from_secs(5);
/// The kernel's timers run late by up to an eighth of their time (timer wheel), and by a tick at least.
const TIMER_SLACK: Duration = Duration::from_millis(12);
/// Pause between two questions about a socket that changes without events.
const ASK_AGAIN: Duration = Duration::from_millis(250);

impl Table {
    pub(super) fn find(&self, id: SockId) -> Option<u32> {
        if let Some(cookie) = id.cookie
            && let Some(&index) = self.by_cookie.get(&cookie.get())
        {
            return Some(index);
        }
        let &index = self.by_pointer.get(&id.pointer?.get())?;
        let row = self.rows.at(index)?;
        // An address with another cookie is another socket at the same place.
        (row.cookie == 0 || id.cookie.is_none_or(|cookie| cookie.get() == row.cookie)).then_some(index)
    }

    pub(super) fn child(&mut self, at: Mono, pointer: NonZeroU64) {
        while let Some(&(age, old)) = self.children_by_age.front() {
            if at.since(age) < CHILD_AGE {
                break;
            }
            self.children_by_age.pop_front();
            if self.children.get(&old) == Some(&age) {
                self.children.remove(&old);
            }
        }
        self.children.insert(pointer.get(), at);
        self.children_by_age.push_back((at, pointer.get()));
    }

    /// Two listeners with the same address (SO_REUSEPORT) that a listing had to match by address may have got each
    /// other's cookie; an event that carries both names tells.
    fn untangle(&mut self, id: SockId) {
        let (Some(cookie), Some(pointer)) = (id.cookie, id.pointer) else { return };
        let (Some(&named), Some(&placed)) =
            (self.by_cookie.get(&cookie.get()), self.by_pointer.get(&pointer.get()))
        else {
            return;
        };
        let Some(row) = self.rows.at_mut(named) else { return };
        if named == placed || row.pointer == 0 || row.pointer == pointer.get() {
            return;
        }
        row.cookie = 0;
        self.by_pointer.insert(row.pointer, named);
        self.by_cookie.remove(&cookie.get());
        self.name(placed, cookie);
    }

    pub(super) fn moved(&mut self, moved: Moved, out: &mut Vec<Told>) {
        self.untangle(moved.id);
        let birth = self.birth(&moved);
        let index = match self.find(moved.id) {
            Some(index) if self.is_another(index, &moved) => {
                self.replaced(index, moved.at, out);
                self.forget_id(index);
                None
            }
            found => found,
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
        self.make_room(index, moved.at, out);
        self.attribute(index, &moved);
        if let Some(at) = birth {
            self.tell_birth(index, at, out);
        }
        if moved.to == TcpState::Close && matches!(moved.from, TcpState::FinWait2 | TcpState::Closing) {
            self.perhaps_time_wait(index, moved);
        } else {
            self.transit(index, Change::event(&moved), out);
        }
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

    fn forget_id(&mut self, index: u32) {
        let Some(row) = self.rows.at(index) else { return };
        if self.by_cookie.get(&row.cookie) == Some(&index) {
            self.by_cookie.remove(&row.cookie);
        }
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
                    | Flags::ASKED,
            );
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
        if row.tuple.lport == 0 {
            row.tuple.lport = moved.lport;
        }
        if row.flags.has(Flags::REQUEST) {
            row.flags.clear(Flags::REQUEST);
            row.flags.set(Flags::PASSIVE);
        }
        if row.flags.has(Flags::MINISOCK) && !self.pending.contains_key(&index) {
            // Only a full socket has events: the listing that showed the end was ahead of them.
            row.flags.clear(Flags::MINISOCK | Flags::ENDED);
        }
    }

    /// Gives a row that was known by address its cookie.
    pub(super) fn name(&mut self, index: u32, cookie: NonZeroU64) {
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.cookie != 0 {
            return;
        }
        row.cookie = cookie.get();
        let pointer = row.pointer;
        if self.by_pointer.get(&pointer) == Some(&index) {
            self.by_pointer.remove(&pointer);
        }
        if let Some(twin) = self.by_cookie.insert(cookie.get(), index)
            && twin != index
        {
            // A listing entered the same socket before it could be matched.
            self.drop_row(twin);
        }
    }

    /// A socket in TIME_WAIT whose addresses a new connection has was replaced by it (`tcp_tw_reuse`, or a SYN with
    /// a later sequence number, RFC 9293 section 3.6.1).
    fn make_room(&mut self, index: u32, at: Mono, out: &mut Vec<Told>) {
        let Some(row) = self.rows.at(index) else { return };
        let place = row.place();
        if self.waiting.is_empty() || row.state == TcpState::TimeWait || !place.is_connection() {
            return;
        }
        if let Some(&old) = self.waiting.get(&place)
            && old != index
        {
            self.settle(old, out);
            if self.rows.at(old).is_some_and(|row| row.state == TcpState::TimeWait) {
                self.transit(
                    old,
                    Change::seen(at, TcpState::TimeWait, TcpState::Close, Learnt::Deduced),
                    out,
                );
            }
        }
    }

    /// Tells a move to TIME_WAIT that still waits for the kernel's word, when the word cannot come any more.
    fn settle(&mut self, index: u32, out: &mut Vec<Told>) {
        let Some(moved) = self.pending.remove(&index) else { return };
        self.close_pending(index, &moved, out);
    }

    /// Tells the move to CLOSE as the event had it: nothing is left of the connection, or nothing that can be known.
    fn close_pending(&mut self, index: u32, moved: &Moved, out: &mut Vec<Told>) {
        self.resume(index, moved);
        if let Some(row) = self.rows.at_mut(index) {
            row.flags.clear(Flags::MINISOCK);
        }
        self.transit(index, Change::event(moved), out);
    }

    fn attribute(&mut self, index: u32, moved: &Moved) {
        let Some(pid) = moved.actor else { return };
        let how = match (moved.from, moved.to) {
            (TcpState::Close, _) => How::Opened,
            (_, TcpState::FinWait1 | TcpState::LastAck | TcpState::Close) => How::Closed,
            _ => How::Used,
        };
        self.set_owner(index, pid, how);
    }

    fn set_owner(&mut self, index: u32, pid: Pid, how: How) {
        let Some(row) = self.rows.at(index) else { return };
        if how as u8 <= row.how {
            return;
        }
        let former = row.owner;
        let slot = self.processes.own(pid);
        self.processes.disown(former);
        if let Some(row) = self.rows.at_mut(index) {
            row.owner = slot;
            row.how = how as u8;
        }
    }

    /// Gives a child its listener's owner until somebody accepts it.
    pub(super) fn inherit(&mut self, index: u32) {
        let Some(row) = self.rows.at(index) else { return };
        if row.how != 0 {
            return;
        }
        let (netns, tuple) = (row.netns, row.tuple);
        let Some(listeners) = self.listeners.get(&(netns, tuple.lport)) else { return };
        let rows = || listeners.iter().filter_map(|&index| self.rows.at(index));
        let exact = rows().find(|row| row.tuple.laddr == tuple.laddr && row.tuple.family == tuple.family);
        let Some(listener) = exact.or_else(|| rows().find(|row| row.tuple.laddr == [0; 16])) else { return };
        let (owner, owned) = (listener.owner, listener.how != 0);
        if owned {
            self.processes.share(owner);
            if let Some(row) = self.rows.at_mut(index) {
                row.owner = owner;
                row.how = How::Inherited as u8;
            }
        }
    }

    /// A child's LISTEN -> SYN_RECV, told now that its name and addresses are known.
    fn tell_birth(&mut self, index: u32, at: Mono, out: &mut Vec<Told>) {
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.flags.has(Flags::SINCE) && row.since < at {
            // A listing had shown the half-open connection, and that was told.
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

    fn perhaps_time_wait(&mut self, index: u32, moved: Moved) {
        let Some(row) = self.rows.at_mut(index) else { return };
        let old = row.state;
        if old == moved.from && row.flags.has(Flags::SINCE) {
            // Kept for the time spent: told with the transition.
        } else {
            row.flags.clear(Flags::SINCE);
        }
        row.state = TcpState::TimeWait;
        row.flags.set(Flags::MINISOCK);
        row.flags.clear(Flags::ASKED);
        self.pending.insert(index, moved);
        self.reindex(index, old, TcpState::TimeWait);
        self.ask_at(index, moved.at);
    }

    fn confirm_time_wait(
        &mut self,
        index: u32,
        moved: &Moved,
        left: Duration,
        at: Mono,
        out: &mut Vec<Told>,
    ) {
        self.resume(index, moved);
        let change = Change { to: TcpState::TimeWait, learnt: Learnt::Deduced, ..Change::event(moved) };
        self.transit(index, change, out);
        self.ask_at(index, at.after(left + TIMER_SLACK));
    }

    /// Puts a pending row back into the state it was in before its socket closed.
    fn resume(&mut self, index: u32, moved: &Moved) {
        if let Some(row) = self.rows.at_mut(index) {
            let old = row.state;
            row.state = moved.from;
            self.reindex(index, old, moved.from);
        }
    }

    pub(super) fn answer(&mut self, answer: Answer, out: &mut Vec<Told>) {
        let (index, generation) = (answer.token as u32, (answer.token >> 32) as u32);
        let Some(row) = self.rows.get_mut(index, generation) else { return };
        let was_asked = row.flags.has(Flags::ASKED);
        let absent = row.flags.has(Flags::ABSENT);
        row.flags.clear(Flags::ASKED | Flags::ABSENT);
        if absent {
            self.absent = self.absent.saturating_sub(1);
        }
        if self.pending.contains_key(&index) {
            // A timewait socket exists only after the move to CLOSE, so it answers also when it was asked before.
            if was_asked || answer.row.as_ref().is_some_and(is_minisock) {
                self.answer_pending(index, answer, out);
            }
            return;
        }
        if !was_asked {
            // Its state has changed since: the question was about another time.
            return;
        }
        let Some(row) = self.rows.at(index) else { return };
        let (state, flags, since) = (row.state, row.flags, row.since);
        if state == TcpState::Close || (flags.has(Flags::SINCE) && since > answer.at) {
            return;
        }
        let unannounced = flags.has(Flags::MINISOCK) || flags.has(Flags::REQUEST);
        match answer.row {
            Some(seen) if seen.state == state => {
                self.adopt(index, &seen);
                if unannounced {
                    self.ask_at(index, answer.at.after(self.pause(&seen, since, answer.at)));
                }
            }
            Some(seen) => {
                // A request that was completed has events, which are learnt before an answer: they are lost.
                let unannounced = flags.has(Flags::MINISOCK);
                let learnt = if unannounced { Learnt::Deduced } else { Learnt::Listing };
                if !unannounced {
                    self.completed(index);
                    self.count_repair();
                }
                self.transit(index, Change::seen(answer.at, state, seen.state, learnt), out);
                self.adopt(index, &seen);
                if unannounced {
                    self.ask_at(index, answer.at.after(self.pause(&seen, answer.at, answer.at)));
                }
            }
            None => {
                let learnt = if unannounced { Learnt::Deduced } else { Learnt::Listing };
                if !unannounced {
                    self.count_repair();
                }
                self.transit(index, Change::seen(answer.at, state, TcpState::Close, learnt), out);
            }
        }
    }

    /// The kernel's word on a socket that left FIN_WAIT2 or CLOSING for CLOSE.
    pub(super) fn answer_pending(&mut self, index: u32, answer: Answer, out: &mut Vec<Told>) {
        let Some(moved) = self.pending.remove(&index) else { return };
        match answer.row {
            Some(seen) if seen.state == TcpState::TimeWait => {
                let left = Duration::from_millis(seen.timer.expires_ms.into());
                self.confirm_time_wait(index, &moved, left, answer.at, out);
                self.adopt(index, &seen);
            }
            Some(seen) if seen.state == TcpState::FinWait2 => {
                // An orphan: the kernel waits for the peer's FIN in a timewait socket (`tcp_fin_timeout`).
                self.resume(index, &moved);
                let stays =
                    Change { to: TcpState::FinWait2, learnt: Learnt::Deduced, ..Change::event(&moved) };
                if moved.from == TcpState::FinWait2 {
                    self.tell(index, stays, None, out);
                } else {
                    self.transit(index, stays, out);
                }
                self.adopt(index, &seen);
                self.ask_at(index, answer.at.after(ASK_AGAIN));
            }
            // Gone, or its addresses have a new connection already.
            _ => self.close_pending(index, &moved, out),
        }
    }

    /// How long to wait before asking again about a socket that changes without events: until its timer for
    /// TIME_WAIT, ever longer for the others, so that many of them do not cost much.
    fn pause(&self, seen: &SockRow, since: Mono, now: Mono) -> Duration {
        let timer = Duration::from_millis(seen.timer.expires_ms.into()) + TIMER_SLACK;
        match seen.state {
            TcpState::TimeWait => timer.max(ASK_AGAIN / 10),
            _ => {
                timer.min((now.since(since) / 4).clamp(ASK_AGAIN, Duration::from_secs(1))).max(ASK_AGAIN / 10)
            }
        }
    }

    /// Takes from a listed row what events do not tell.
    pub(super) fn adopt(&mut self, index: u32, seen: &SockRow) {
        if let Some(cookie) = seen.cookie {
            self.name(index, cookie);
        }
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.tuple.lport == 0 && row.state == TcpState::SynSent {
            // The port is chosen after the event that told of the socket, and without one.
            row.tuple.lport = seen.local.port;
        }
        row.inode = seen.inode;
        row.rqueue = seen.rqueue;
        row.wqueue = seen.wqueue;
        row.flags.set(Flags::QUEUES);
        if row.uid == u32::MAX {
            row.uid = seen.uid;
        }
        if row.netns == 0 {
            row.netns = seen.netns;
        }
        if is_minisock(seen) {
            row.flags.set(Flags::MINISOCK);
        }
    }

    pub(super) fn queue(&mut self, change: QueueChange, out: &mut Vec<Told>) {
        let Some(index) = self.find(change.id) else { return };
        let Some(row) = self.rows.at_mut(index) else { return };
        row.rqueue = change.rqueue;
        row.wqueue = change.wqueue;
        row.flags.set(Flags::QUEUES);
        if let Some(pid) = change.actor {
            self.set_owner(index, pid, How::Used);
        }
        if let Some(row) = self.rows.at(index) {
            out.push(Told::Queue { change, conn: self.conn(row) });
        }
    }

    pub(super) fn owner_seen(&mut self, seen: OwnerSeen) {
        let Some(index) = self.find(seen.id) else { return };
        if let (Some(cookie), Some(row)) = (seen.id.cookie, self.rows.at(index))
            && row.cookie == 0
        {
            self.name(index, cookie);
        }
        let how = match seen.how {
            Seen::Accept => How::Accepted,
            Seen::Use => How::Used,
        };
        self.set_owner(index, seen.pid, how);
    }

    /// Takes one pass over /proc: who holds which inode. The lowest process number stands for all, so that two passes
    /// agree.
    pub(super) fn held(&mut self, holders: &[crate::model::Holder]) {
        let mut lowest = rustc_hash::FxHashMap::<u32, usize>::default();
        for (at, holder) in holders.iter().enumerate() {
            self.processes.told(holder.process);
            let best = lowest.entry(holder.inode).or_insert(at);
            if holders[*best].process.pid > holder.process.pid {
                *best = at;
            }
        }
        let owned: Vec<(u32, Pid)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.inode != 0 && row.state != TcpState::Close)
            .filter_map(|(index, row)| Some((index, holders[*lowest.get(&row.inode)?].process.pid)))
            .collect();
        for (index, pid) in owned {
            self.set_owner(index, pid, How::Held);
        }
        // Children that nobody holds yet belong to their listener.
        let children: Vec<u32> = self
            .rows
            .iter()
            .filter(|(_, row)| row.how == 0 && row.inode == 0 && !row.flags.has(Flags::MINISOCK))
            .filter(|(_, row)| !matches!(row.state, TcpState::Close | TcpState::Listen))
            .map(|(index, _)| index)
            .collect();
        for index in children {
            self.inherit(index);
        }
    }
}

/// Whether a listed socket is a timewait socket: TIME_WAIT, or the FIN_WAIT2 of a socket that no process has any more,
/// told by its timer (`inet_twsk_diag_fill`, net/ipv4/inet_diag.c, Linux 6.12).
pub(super) fn is_minisock(seen: &SockRow) -> bool {
    seen.state == TcpState::TimeWait
        || (seen.state == TcpState::FinWait2 && seen.timer.kind == TimerKind::TimeWait)
}

/// The place of a listed socket.
pub(super) fn place(seen: &SockRow) -> Place {
    Place::of(seen.netns, &tuple(seen))
}

pub(super) fn tuple(seen: &SockRow) -> crate::model::Tuple {
    crate::model::Tuple::new(seen.local, seen.foreign, seen.family, seen.bound_if)
}
