//! What the table makes of a listing.

use super::answer::{ASK_AGAIN, is_minisock, place, tuple};
use super::row::{Flags, Place, Row, nowhere};
use super::{Change, Table};
use crate::model::{Answer, Identity, Learnt, Listing, Mono, Repair, SockRow, TcpState, Told};
use rustc_hash::{FxHashMap, FxHashSet};
use std::num::NonZeroU64;
use std::time::Duration;

/// Rows found by address when a listing or a row has no cookie. Several may share a place (SO_REUSEPORT listeners).
type ByPlace = FxHashMap<Place, Vec<u32>>;

impl Table {
    pub(super) fn listed(&mut self, now: Mono, listing: Listing, out: &mut Vec<Told>) {
        if let Some(blind) = &mut self.blind
            && listing.began > blind.until
            && listing.states == crate::model::States::ALL
        {
            blind.listed = true;
        }
        let mut nameless = self.nameless(&listing);
        let mut seen = vec![false; self.rows.end() as usize];
        let mut taken = None;
        for row in &listing.rows {
            let found = self.find_listed(row, &mut nameless, &seen);
            match found {
                Some(index) => {
                    if let Some(mark) = seen.get_mut(index as usize) {
                        *mark = true;
                    }
                    self.compare(index, row, &listing, out);
                }
                None if is_request(row) && self.is_taken(row, &listing, &mut taken) => {}
                None => self.discover(row, &listing, out),
            }
        }
        self.ask_about_absent(&listing, &seen, now, out);
        self.finish_repair(listing.ended, out);
    }

    /// Rows to be matched by place: all of them when the listing has no cookies, else those without one.
    fn nameless(&self, listing: &Listing) -> ByPlace {
        let mut by_place = ByPlace::default();
        for (index, row) in self.rows.iter() {
            if was_there(row, listing) && (row.cookie == 0 || !listing.cookies) {
                by_place.entry(row.place()).or_default().push(index);
            }
        }
        by_place
    }

    /// Whether a listed request has become a connection that the table knows: a dump takes hold of some sockets at a time and
    /// tells them afterwards (`inet_diag_dump_icsk`, net/ipv4/inet_diag.c, 6.12), under a cookie made just then.
    fn is_taken(&self, seen: &SockRow, listing: &Listing, taken: &mut Option<FxHashSet<Place>>) -> bool {
        // A request may take the place of a TIME_WAIT, which only events tell.
        let may_go = |row: &Row| row.state == TcpState::TimeWait && !self.limits.minis;
        let all = || {
            self.rows
                .iter()
                .filter(|(_, row)| was_there(row, listing) && !may_go(row))
                .map(|(_, row)| row.place())
                .collect()
        };
        taken.get_or_insert_with(all).contains(&place(seen))
    }

    fn find_listed(&self, row: &SockRow, nameless: &mut ByPlace, seen: &[bool]) -> Option<u32> {
        if let Some(cookie) = row.cookie
            && let Some(index) = self.by_cookie.get(cookie.get())
        {
            return Some(index);
        }
        let mut place = place(row);
        if matches!(row.state, TcpState::SynSent | TcpState::Listen) && !nameless.contains_key(&place) {
            // Told of before its port was chosen.
            place.tuple.lport = 0;
        }
        let candidates = nameless.get_mut(&place)?;
        let fits = |&index: &u32| !seen.get(index as usize).copied().unwrap_or(true);
        let at = candidates.iter().position(|index| {
            fits(index) && self.rows.at(*index).is_some_and(|known| known.state == row.state)
        });
        let at = at.or_else(|| candidates.iter().position(fits))?;
        Some(candidates.swap_remove(at))
    }

    /// A listed socket that the table has.
    fn compare(&mut self, index: u32, seen: &SockRow, listing: &Listing, out: &mut Vec<Told>) {
        let pending = self.pending.contains_key(&index);
        let ends = self.ending(index);
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.flags.has(Flags::ABSENT) {
            row.flags.clear(Flags::ABSENT);
            self.absent = self.absent.saturating_sub(1);
        }
        if pending {
            // As good as an answer: a timewait socket exists only after the move to CLOSE.
            if is_minisock(seen) {
                row.flags.clear(Flags::ASKED);
                let token = 0;
                self.answer_pending(index, Answer { token, at: listing.ended, row: Some(*seen) }, out);
            }
            return;
        }
        if row.flags.has(Flags::SINCE) && row.since >= listing.began {
            if row.state == seen.state {
                self.adopt(index, seen);
            }
            return;
        }
        if let Some(end) = ends {
            if row.state == seen.state && end.at >= listing.began {
                return;
            }
            // What contradicts the end was lost.
            let is_same = row.state == seen.state;
            self.goes_on(index, is_same);
        }
        let Some(row) = self.rows.at(index) else { return };
        let (old, flags) = (row.state, row.flags);
        if old == seen.state {
            self.adopt(index, seen);
            return;
        }
        if self.lags(row, Some(seen.state), listing.ended) {
            return self.ask_at(index, listing.ended.after(ASK_AGAIN));
        }
        // What changes without events is learnt here by design and repairs nothing. A request that was completed does
        // have events, and what is in the ring has been learnt before the listing: they are lost.
        let unannounced = flags.has(Flags::MINISOCK);
        self.completed(index);
        if !unannounced && !listing.initial {
            self.count_repair();
        }
        // First, so that the change is told with what the listing knows.
        self.adopt(index, seen);
        self.transit(index, Change::seen(listing.ended, old, seen.state, Learnt::Listing), out);
        self.watch(index, seen, listing.ended);
    }

    /// A request that became a child without our hearing of it.
    pub(super) fn completed(&mut self, index: u32) {
        if let Some(row) = self.rows.at_mut(index) {
            row.flags.clear(Flags::REQUEST);
        }
    }

    /// A listed socket that the table does not have.
    fn discover(&mut self, seen: &SockRow, listing: &Listing, out: &mut Vec<Told>) {
        let identity = Identity { tuple: tuple(seen), netns: seen.netns, uid: Some(seen.uid), ..nowhere() };
        let mut row = Row::new(&identity, seen.state);
        row.cookie = seen.cookie.map_or(0, NonZeroU64::get);
        // A socket that has data from its SYN (TCP Fast Open) is no request and has events, but is named only when it is
        // established.
        let child = seen.state == TcpState::SynRecv;
        let request = is_request(seen);
        if child {
            row.flags.set(Flags::PASSIVE);
        }
        if request {
            row.flags.set(Flags::REQUEST);
        }
        if is_minisock(seen) {
            // Its process is done with it; had we known it, its end would have been told.
            row.flags.set(Flags::MINISOCK | Flags::ENDED);
        }
        if listing.initial || !child {
            row.flags.set(Flags::PREEXISTING);
        }
        row.since = listing.ended;
        let Some(index) = self.enter(row) else { return };
        self.counts.connections += u64::from(seen.state != TcpState::Listen);
        self.adopt(index, seen);
        self.watch(index, seen, listing.ended);
        if child {
            self.inherit(index);
        }
        if listing.initial {
            return;
        }
        if !child || request && self.limits.minis {
            self.count_repair();
        }
        let from = if child { TcpState::Listen } else { TcpState::Close };
        if child && let Some(row) = self.rows.at_mut(index) {
            row.opened = listing.ended;
            row.flags.set(Flags::SINCE | Flags::OPENED);
        }
        self.tell(index, Change::seen(listing.ended, from, seen.state, Learnt::Listing), None, out);
    }

    /// Plans the next question about a socket that changes without events.
    fn watch(&mut self, index: u32, seen: &SockRow, now: Mono) {
        let pause = Duration::from_millis(seen.timer.expires_ms.into()) + Duration::from_millis(12);
        if seen.state == TcpState::TimeWait {
            self.ask_at(index, now.after(pause));
        } else if is_minisock(seen) || seen.state == TcpState::SynRecv {
            self.ask_at(index, now.after(pause.min(Duration::from_millis(250))));
        }
    }

    /// Rows that the listing should have shown and did not: a dump may skip a socket when the hash chain it stopped in
    /// changes (`inet_diag` resumes by counting), so only a question of their own decides. Where none can be asked by
    /// cookie, the listing decides.
    fn ask_about_absent(&mut self, listing: &Listing, seen: &[bool], now: Mono, out: &mut Vec<Told>) {
        let covered = |row: &Row| {
            listing.states.has(row.state)
                && (listing.netns.is_empty() || listing.netns.contains(&row.netns))
                && !(row.flags.has(Flags::SINCE) && row.since >= listing.began)
        };
        let absent: Vec<u32> = self
            .rows
            .iter()
            .filter(|(index, row)| {
                row.state != TcpState::Close
                    && covered(row)
                    && !row.flags.has(Flags::ASKED)
                    && seen.get(*index as usize) == Some(&false)
                    && !self.pending.contains_key(index)
                    && self.ending(*index).is_none()
            })
            .map(|(index, _)| index)
            .collect();
        for index in absent {
            let Some(row) = self.rows.at(index) else { continue };
            // Without its port a socket cannot be asked about. It has its events, unless some were lost.
            let nameless = row.tuple.lport == 0;
            if nameless && self.blind.is_none() && listing.cookies {
                continue;
            }
            if nameless || !listing.cookies {
                if self.lags(row, None, listing.ended) {
                    continue;
                }
                let (state, quiet) = (row.state, row.flags.has(Flags::MINISOCK | Flags::REQUEST));
                if !quiet {
                    self.count_repair();
                }
                self.transit(
                    index,
                    Change::seen(listing.ended, state, TcpState::Close, Learnt::Listing),
                    out,
                );
                continue;
            }
            if !row.flags.has(Flags::ABSENT)
                && let Some(row) = self.rows.at_mut(index)
            {
                row.flags.set(Flags::ABSENT);
                self.absent += 1;
            }
            self.ask_at(index, now);
        }
    }

    /// Says that the table is whole again once nothing about the listing after a loss is open any more.
    pub(super) fn finish_repair(&mut self, at: Mono, out: &mut Vec<Told>) {
        if self.absent > 0 {
            return;
        }
        let Some(blind) = self.blind.filter(|blind| blind.listed) else { return };
        self.blind = None;
        let corrected = self.counts.corrected - blind.corrected_before;
        out.push(Told::Repaired(Repair { since: blind.since, at, lost: blind.lost, corrected }));
    }
}

/// Whether the listing may show the row: what closed meanwhile may have been listed before.
fn was_there(row: &Row, listing: &Listing) -> bool {
    row.state != TcpState::Close || row.flags.has(Flags::SINCE) && row.since >= listing.began
}

/// Whether a listed socket is a half-open connection: only those have no inode; a socket between two opens has one.
fn is_request(seen: &SockRow) -> bool {
    seen.state == TcpState::SynRecv && seen.inode == 0
}
