//! Connections that are no full sockets: their own events.
//!
//! A request becomes a row with its SYN, and that row becomes the child's when it is established. A timewait socket is
//! told of a moment before its socket's move to CLOSE, and takes over its row with that.
//!
//! Who sees only timers cannot tell a timer that is stopped for good from one that is set anew, nor whether a request
//! ended because its connection was established: such an end counts when nothing has contradicted it for [`GRACE`], nor a
//! child that was cloned before is on its way.

use super::answer::ASK_AGAIN;
use super::row::{Flags, Place, Row};
use super::{Change, Table};
use crate::model::{Identity, Learnt, Mini, MiniSeen, Mono, Moved, PortSeen, TcpState, Told};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

/// What contradicts an end follows within microseconds, on the same processor; records of others may be that much older.
const GRACE: Duration = Duration::from_millis(5);

/// A process may have to give up the processor between the move to SYN_SENT and the choice of the port; nothing else is
/// known of its connection meanwhile.
const PORT_GRACE: Duration = Duration::from_millis(500);

/// A timewait socket whose connection has not moved to CLOSE after this time is forgotten: that event was lost.
const FRESH: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Minis {
    /// Rows by [`Row::mini`].
    rows: FxHashMap<u64, u32>,
    /// Rows of half-open connections.
    requests: FxHashMap<Place, u32>,
    /// Timewait sockets whose connections have not yet moved to CLOSE.
    fresh: FxHashMap<Place, Fresh>,
    fresh_by_age: VecDeque<(Mono, Place)>,
    /// Ends that may be contradicted, by address.
    ending: FxHashMap<u64, End>,
    ending_by_age: VecDeque<(Mono, u64)>,
    /// Moves to SYN_SENT that are told when the port is known.
    connecting: FxHashMap<u32, Change>,
    connecting_by_age: VecDeque<(Mono, u32)>,
}

/// An end that is not told yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub at: Mono,
    pub how: Mini,
    /// The state that a timewait socket was in by then.
    state: TcpState,
}

#[derive(Clone, Copy, Debug)]
struct Fresh {
    at: Mono,
    pointer: u64,
    state: TcpState,
}

impl Minis {
    pub fn add_request(&mut self, place: Place, index: u32) {
        self.requests.insert(place, index);
    }

    pub fn forget_request(&mut self, place: &Place, index: u32) {
        if self.requests.get(place) == Some(&index) {
            self.requests.remove(place);
        }
    }

    /// The row is gone.
    pub fn forget(&mut self, mini: u64, index: u32) {
        if self.rows.get(&mini) == Some(&index) {
            self.rows.remove(&mini);
            self.ending.remove(&mini);
        }
        self.connecting.remove(&index);
    }

    fn is_empty(&self) -> bool {
        self.ending.is_empty() && self.connecting.is_empty()
    }
}

impl Table {
    /// Whether a socket that moved to CLOSE at `at` without a word of a timewait socket has left none.
    pub(super) fn leaves_nothing(&self, at: Mono) -> bool {
        self.limits.minis && self.blind.is_none() && at >= self.limits.attached.after(FRESH)
    }

    /// Whether something waits for [`Table::over`].
    pub fn waits(&self) -> bool {
        !self.minis.is_empty() || !self.held.is_empty()
    }

    /// Every event until `until` has been learnt: what nothing has contradicted by then is told.
    pub fn over(&mut self, until: Mono, out: &mut Vec<Told>) {
        self.elapse(until, out);
    }

    /// Tells everything that still waits: nothing more will be learnt.
    pub fn conclude(&mut self, out: &mut Vec<Told>) {
        self.elapse(Mono(u64::MAX), out);
    }

    pub(super) fn elapse(&mut self, now: Mono, out: &mut Vec<Told>) {
        self.release_old(now, out);
        while let Some(&(at, pointer)) = self.minis.ending_by_age.front() {
            // A machine may stand still for any time between the end of a request and the move of its child.
            if now.since(at) < GRACE || self.has_child(at, now) {
                break;
            }
            self.minis.ending_by_age.pop_front();
            if let Some(&end) = self.minis.ending.get(&pointer).filter(|end| end.at == at)
                && let Some(&index) = self.minis.rows.get(&pointer)
            {
                self.end_mini(index, end, out);
            }
        }
        while let Some(&(at, index)) = self.minis.connecting_by_age.front() {
            if now.since(at) < PORT_GRACE {
                break;
            }
            self.minis.connecting_by_age.pop_front();
            if self.minis.connecting.get(&index).is_some_and(|change| change.at == at) {
                self.connects(index, out);
            }
        }
        while let Some(&(at, place)) = self.minis.fresh_by_age.front() {
            if now.since(at) < FRESH {
                break;
            }
            self.minis.fresh_by_age.pop_front();
            if self.minis.fresh.get(&place).is_some_and(|fresh| fresh.at == at) {
                self.minis.fresh.remove(&place);
            }
        }
    }

    pub(super) fn mini(&mut self, seen: MiniSeen, out: &mut Vec<Told>) {
        self.elapse(seen.at, out);
        if seen.at < self.limits.attached {
            // What became of it was perhaps not watched; what is there is listed.
            return;
        }
        let pointer = seen.pointer.get();
        match (seen.what, seen.identity) {
            (Mini::Begins | Mini::Goes, Some(identity)) => {
                // A segment that ends it is thrown away after that, which is told too: only a timer contradicts.
                let ended = match seen.what {
                    Mini::Begins => self.minis.ending.remove(&pointer),
                    _ => self.minis.ending.get(&pointer).copied(),
                };
                match self.minis.rows.get(&pointer) {
                    Some(&index) => self.goes(index, &seen, &identity, ended, out),
                    None if seen.state == TcpState::SynRecv => self.request(&seen, identity, out),
                    None => self.timewait(&seen, &identity, out),
                }
            }
            (Mini::Begins | Mini::Goes, None) => {}
            (Mini::Stopped | Mini::Expired | Mini::Over, _) => {
                let Some(&index) = self.minis.rows.get(&pointer) else { return };
                let is_request = self.rows.at(index).is_some_and(|row| row.state == TcpState::SynRecv);
                let end = End { at: seen.at, how: seen.what, state: seen.state };
                if is_request || seen.what == Mini::Stopped {
                    self.minis.ending.insert(pointer, end);
                    self.minis.ending_by_age.push_back((seen.at, pointer));
                } else {
                    self.end_mini(index, end, out);
                }
            }
        }
    }

    /// A request or timewait socket that is known is told of again. `ended`: an end of it that waited to be told.
    fn goes(
        &mut self,
        index: u32,
        seen: &MiniSeen,
        identity: &Identity,
        ended: Option<End>,
        out: &mut Vec<Told>,
    ) {
        let Some(row) = self.rows.at(index) else { return };
        if row.place() != Place::of(identity.netns, &identity.tuple) || row.state == TcpState::Close {
            // Its memory is another's now: it is over, or its end was lost.
            let pointer = row.mini;
            self.end_mini(
                index,
                ended.unwrap_or(End { at: seen.at, how: Mini::Over, state: row.state }),
                out,
            );
            self.minis.rows.remove(&pointer);
            if seen.state == TcpState::SynRecv {
                self.request(seen, *identity, out);
            } else {
                self.timewait(seen, identity, out);
            }
        } else if row.state == TcpState::FinWait2 && seen.state == TcpState::TimeWait {
            self.transit(index, Change::seen(seen.at, row.state, seen.state, Learnt::Event), out);
        }
    }

    /// A SYN came.
    fn request(&mut self, seen: &MiniSeen, identity: Identity, out: &mut Vec<Told>) {
        let place = Place::of(identity.netns, &identity.tuple);
        // Its connection moved to CLOSE before that was watched.
        self.minis.fresh.remove(&place);
        if let Some(&index) = self.minis.requests.get(&place) {
            let mini = self.rows.at(index).map_or(0, |row| row.mini);
            if mini == 0 {
                // A listing was first.
                self.tie(index, seen.pointer);
                if let Some(row) = self.rows.at_mut(index) {
                    row.since = seen.at.min(row.since);
                    row.opened = row.since;
                    row.flags.set(Flags::OPENED | Flags::SINCE | Flags::SYN_SEEN);
                }
                return;
            }
            let end = self.minis.ending.get(&mini).copied();
            let unseen = End { at: seen.at, how: Mini::Over, state: TcpState::SynRecv };
            self.end_mini(index, end.unwrap_or(unseen), out);
        }
        if let Some(index) = seen.cookie.and_then(|cookie| self.by_cookie.get(cookie.get()))
            && self.rows.at(index).is_some_and(|row| row.state != TcpState::Close)
        {
            // Established meanwhile: a retransmitted answer to its SYN.
            return;
        }
        let mut row = Row::new(&identity, TcpState::SynRecv);
        row.cookie = seen.cookie.map_or(0, NonZeroU64::get);
        row.opened = seen.at;
        row.since = seen.at;
        row.flags.set(Flags::REQUEST | Flags::PASSIVE | Flags::OPENED | Flags::SINCE | Flags::SYN_SEEN);
        let Some(index) = self.enter(row) else { return };
        self.counts.connections += 1;
        self.make_room(index, seen.at, out);
        self.inherit(index);
        self.tie(index, seen.pointer);
        let change = Change::seen(seen.at, TcpState::Listen, TcpState::SynRecv, Learnt::Event);
        self.tell(index, change, None, out);
    }

    /// The row's events come by this address from now on.
    fn tie(&mut self, index: u32, pointer: NonZeroU64) {
        let Some(row) = self.rows.at_mut(index) else { return };
        row.mini = pointer.get();
        self.minis.rows.insert(pointer.get(), index);
    }

    fn untie(&mut self, index: u32) {
        let Some(row) = self.rows.at_mut(index) else { return };
        let mini = std::mem::take(&mut row.mini);
        if self.minis.rows.get(&mini) == Some(&index) {
            self.minis.rows.remove(&mini);
            self.minis.ending.remove(&mini);
        }
    }

    /// A timewait socket is told of for the first time: its connection is about to move to CLOSE, unless it was there
    /// before us.
    fn timewait(&mut self, seen: &MiniSeen, identity: &Identity, out: &mut Vec<Told>) {
        let place = Place::of(identity.netns, &identity.tuple);
        let named = seen.cookie.and_then(|cookie| self.by_cookie.get(cookie.get()));
        let known = named.or_else(|| self.waiting.get(&place).copied());
        if let Some(index) = known
            && let Some(row) = self.rows.at(index)
            && row.flags.has(Flags::MINISOCK)
            && row.mini == 0
            && !self.pending.contains_key(&index)
            && row.place() == place
        {
            let state = row.state;
            self.tie(index, seen.pointer);
            if state == TcpState::FinWait2 && seen.state == TcpState::TimeWait {
                self.transit(index, Change::seen(seen.at, state, seen.state, Learnt::Event), out);
            }
            return;
        }
        self.minis.fresh.insert(place, Fresh { at: seen.at, pointer: seen.pointer.get(), state: seen.state });
        self.minis.fresh_by_age.push_back((seen.at, place));
    }

    /// The socket moved to CLOSE. Whether a timewait socket took its place, which is then told.
    pub(super) fn lives_on(&mut self, index: u32, moved: &Moved, out: &mut Vec<Told>) -> bool {
        let Some(place) = self.rows.at(index).map(Row::place) else { return false };
        let Some(fresh) = self.minis.fresh.remove(&place) else { return false };
        let Some(pointer) = NonZeroU64::new(fresh.pointer) else { return false };
        self.tie(index, pointer);
        let Some(row) = self.rows.at_mut(index) else { return false };
        row.flags.set(Flags::MINISOCK);
        let change = Change { to: fresh.state, ..Change::event(moved) };
        if moved.from == fresh.state && row.state == moved.from {
            self.tell(index, change, None, out);
            if let Some(totals) = moved.totals {
                self.orphans.insert(index, totals);
            }
        } else {
            self.transit(index, change, out);
        }
        if fresh.state == TcpState::FinWait2 {
            // Not every kernel tells of the peer's FIN.
            self.ask_at(index, moved.at.after(ASK_AGAIN));
        }
        true
    }

    pub(super) fn end_mini(&mut self, index: u32, end: End, out: &mut Vec<Told>) {
        self.untie(index);
        let Some(mut state) = self.rows.at(index).map(|row| row.state) else { return };
        if (state, end.state) == (TcpState::FinWait2, TcpState::TimeWait) {
            // The peer's FIN set the timer anew within one slot of the wheel, of which no event tells.
            self.transit(index, Change::seen(end.at, state, end.state, Learnt::Deduced), out);
            state = end.state;
        }
        if state != TcpState::Close {
            let change = Change::seen(end.at, state, TcpState::Close, Learnt::Event);
            self.transit(index, Change { mini: Some(end.how), ..change }, out);
        }
    }

    /// What looked like an end was none: the timer was set again, or the connection established.
    pub(super) fn goes_on(&mut self, index: u32, is_same: bool) {
        let Some(row) = self.rows.at(index) else { return };
        if is_same {
            self.minis.ending.remove(&row.mini);
        } else {
            self.untie(index);
        }
    }

    /// When the row's end was seen, if it is only not told yet.
    pub(super) fn ending(&self, index: u32) -> Option<End> {
        let mini = self.rows.at(index)?.mini;
        self.minis.ending.get(&mini).copied()
    }

    /// The half-open connection that is established with this.
    pub(super) fn requested(&self, moved: &Moved) -> Option<u32> {
        if (moved.from, moved.to) != (TcpState::SynRecv, TcpState::Established) {
            return None;
        }
        let identity = moved.identity.as_ref()?;
        self.minis.requests.get(&Place::of(identity.netns, &identity.tuple)).copied()
    }

    /// Only a full socket moves: what was a request is none any more.
    pub(super) fn is_full(&mut self, index: u32, moved: &Moved) {
        if moved.from != TcpState::SynRecv && self.rows.at(index).is_none_or(|row| row.mini == 0) {
            return;
        }
        self.untie(index);
        let named = moved.id.cookie.is_some() && !self.limits.by_address;
        let Some(row) = self.rows.at_mut(index) else { return };
        if let (false, Some(pointer)) = (named, moved.id.pointer)
            && row.pointer != pointer.get()
        {
            row.pointer = pointer.get();
            self.by_pointer.insert(pointer.get(), index);
        }
    }

    /// The move to SYN_SENT is told with the port, which is chosen a moment later.
    pub(super) fn begin_connect(&mut self, index: u32, moved: &Moved, out: &mut Vec<Told>) {
        let change = Change::event(moved);
        let Some(spent) = self.shift(index, &change) else { return };
        if self.rows.at(index).is_some_and(|row| row.tuple.lport != 0) {
            return self.tell(index, change, spent, out);
        }
        self.minis.connecting.insert(index, change);
        self.minis.connecting_by_age.push_back((change.at, index));
    }

    /// Tells the move to SYN_SENT.
    pub(super) fn connects(&mut self, index: u32, out: &mut Vec<Told>) {
        if let Some(change) = self.minis.connecting.remove(&index) {
            self.tell(index, change, None, out);
        }
    }

    pub(super) fn port(&mut self, seen: PortSeen, out: &mut Vec<Told>) {
        self.elapse(seen.at, out);
        let Some(index) = self.find(seen.id) else { return };
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.state != TcpState::SynSent {
            return;
        }
        row.tuple = seen.identity.tuple;
        self.make_room(index, seen.at, out);
        self.connects(index, out);
    }
}

#[cfg(test)]
mod tests;
