//! Entering rows, letting closed ones go, and keeping within the limit.

use super::row::{Flags, Row};
use super::{Mono, Table};
use crate::model::{Conn, TcpState};
use std::time::Duration;

/// Closed rows are remembered at least this long, or events that arrive late would bring them back.
const TOMBSTONE: Duration = Duration::from_secs(1);

impl Table {
    pub(super) fn tombstone(&self) -> Duration {
        self.limits.keep_closed.max(TOMBSTONE)
    }

    pub(super) fn visible(&self, row: &Row, now: Mono) -> bool {
        row.state != TcpState::Close || now.since(row.since) < self.limits.keep_closed
    }

    /// Rows that closed after `since` and are still kept, in no order, each with the time when it closed or, where only a
    /// listing showed that, when the listing was made. Listeners that closed are among them.
    pub fn closed_after(&self, since: Mono) -> impl Iterator<Item = (Mono, Conn)> {
        let wanted = move |row: &Row| row.state == TcpState::Close && row.since > since;
        self.rows
            .iter()
            .filter(move |(_, row)| wanted(row))
            .map(|(index, row)| (row.since, self.conn(index, row)))
    }

    /// Lets go of rows that have been closed for long enough.
    pub fn expire(&mut self, now: Mono) {
        let horizon = now.before(self.tombstone());
        while let Some(&(at, index, generation)) = self.closed.front() {
            if at > horizon || self.hold.is_some_and(|began| at >= began) {
                break;
            }
            self.closed.pop_front();
            // The row may have come to life again: then it will be queued again when it closes.
            if self
                .rows
                .get_mut(index, generation)
                .is_some_and(|row| row.state == TcpState::Close && row.since <= at)
            {
                self.drop_row(index);
            }
        }
    }

    /// Enters a row and its names. `None` when the table is full of rows that must not go.
    pub(super) fn enter(&mut self, row: Row) -> Option<u32> {
        if self.rows.len() >= self.limits.rows && !self.evict() {
            self.counts.evicted += 1;
            return None;
        }
        let (cookie, pointer, state) = (row.cookie, row.pointer, row.state);
        let index = self.rows.insert(row);
        if cookie != 0 {
            self.by_cookie.insert(cookie, index);
        }
        if pointer != 0 && (cookie == 0 || self.limits.by_address) {
            self.by_pointer.insert(pointer, index);
        }
        if state != TcpState::Close {
            self.reindex(index, TcpState::Close, state);
        }
        Some(index)
    }

    /// Takes a row out of everything that knows it.
    pub(super) fn drop_row(&mut self, index: u32) {
        let Some(row) = self.rows.at(index) else { return };
        let state = row.state;
        // As if it had closed, which takes it out of the indices by state.
        if state != TcpState::Close {
            let (place, listener) = (row.place(), (row.netns, row.tuple.lport));
            if self.waiting.get(&place) == Some(&index) {
                self.waiting.remove(&place);
            }
            self.minis.forget_request(&place, index);
            if let Some(rows) = self.listeners.get_mut(&listener) {
                rows.retain(|&other| other != index);
                if rows.is_empty() {
                    self.listeners.remove(&listener);
                }
            }
        }
        let Some(row) = self.rows.remove(index) else { return };
        if row.flags.has(Flags::ABSENT) {
            self.absent = self.absent.saturating_sub(1);
        }
        if self.by_cookie.get(row.cookie) == Some(index) {
            self.by_cookie.remove(row.cookie);
        }
        if self.by_pointer.get(&row.pointer) == Some(&index) {
            self.by_pointer.remove(&row.pointer);
        }
        self.pending.remove(&index);
        self.orphans.remove(&index);
        self.extras.remove(&index);
        self.held.forget(index);
        self.minis.forget(row.mini, index);
        self.bonds.release(&mut self.processes, row.owner);
    }

    /// Makes room for one row: a closed one, else one in TIME_WAIT, else any that is no listener.
    fn evict(&mut self) -> bool {
        while let Some((at, index, generation)) = self.closed.pop_front() {
            if self
                .rows
                .get_mut(index, generation)
                .is_some_and(|row| row.state == TcpState::Close && row.since <= at)
            {
                self.drop_row(index);
                // A closed row was there for show only: nothing is lost with it.
                return true;
            }
        }
        let waiting = self.waiting.values().next().copied();
        let victim = waiting.or_else(|| self.next_victim());
        let Some(index) = victim else { return false };
        self.drop_row(index);
        self.counts.evicted += 1;
        true
    }

    /// The next row after the one that went before, by index: roughly the oldest.
    fn next_victim(&mut self) -> Option<u32> {
        let end = self.rows.end();
        for _ in 0..end {
            self.hand = if self.hand + 1 < end { self.hand + 1 } else { 0 };
            if self.rows.at(self.hand).is_some_and(|row| row.state != TcpState::Listen) {
                return Some(self.hand);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Closing, Endpoint, Event, Fact, Family, Identity, Moved, SockId, Totals, Tuple};
    use crate::table::Limits;
    use std::net::Ipv4Addr;
    use std::num::NonZeroU64;

    fn moved(at: u64, cookie: u64, from: TcpState, to: TcpState) -> Fact {
        let end = |port| Endpoint { addr: Ipv4Addr::LOCALHOST.into(), port };
        let tuple = Tuple::new(end(cookie as u16), end(80), Family::V4, 0);
        let totals = Totals { rqueue: 3, wqueue: 4, ..Totals::default() };
        Fact::Event(Event::Moved(Moved {
            at: Mono(at),
            id: SockId { cookie: NonZeroU64::new(cookie), pointer: None },
            from,
            to,
            lport: cookie as u16,
            err: 0,
            actor: None,
            released: false,
            identity: Some(Identity { tuple, netns: 1, uid: None, cgroup: None }),
            totals: (to == TcpState::Close).then_some(totals),
            closing: Closing::default(),
            syn_retrans: None,
        }))
    }

    #[test]
    fn closed_rows_are_told_with_their_last_queues_until_they_expire() {
        let mut table = Table::new(Limits { keep_closed: Duration::from_secs(2), ..Limits::default() });
        let mut out = Vec::new();
        for (at, cookie, from, to) in [
            (10, 1, TcpState::Close, TcpState::SynSent),
            (20, 2, TcpState::Close, TcpState::SynSent),
            (30, 1, TcpState::SynSent, TcpState::Close),
            (40, 3, TcpState::Close, TcpState::SynSent),
            (50, 3, TcpState::SynSent, TcpState::Close),
        ] {
            table.learn(Mono(at), moved(at, cookie, from, to), &mut out);
        }
        let closed = |table: &Table, since| {
            let mut closed: Vec<_> = table.closed_after(Mono(since)).collect();
            closed.sort_by_key(|(at, _)| *at);
            closed.into_iter().map(|(at, conn)| (at.0, conn.identity.tuple.lport)).collect::<Vec<_>>()
        };
        assert_eq!(closed(&table, 0), [(30, 1), (50, 3)]);
        assert_eq!(closed(&table, 30), [(50, 3)]);
        let (_, last) = table.closed_after(Mono(30)).next().unwrap();
        assert_eq!((last.rqueue, last.wqueue), (Some(3), Some(4)));
        table.expire(Mono(2_000_000_040));
        assert_eq!(closed(&table, 0), [(50, 3)]);
    }
}
