//! What has no events is asked about: sockets that may have gone to TIME_WAIT, timewait sockets, half-open requests, and
//! whatever a listing did not show.

use super::row::{Flags, Place, Row};
use super::{Change, Table};
use crate::model::{Answer, Learnt, Mono, Moved, SockRow, TcpState, TimerKind, Told};
use std::time::Duration;

/// The kernel's timers run late by up to an eighth of their time (timer wheel), and by a tick at least.
const TIMER_SLACK: Duration = Duration::from_millis(12);
/// Pause between two questions about a socket that changes without events.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(250);
/// An event is told before it takes effect (`inet_sk_set_state`, net/ipv4/af_inet.c, 6.12). Where tracepoints can be preempted
/// (7.x) the process may be stopped in between for as long as others keep the processor.
const LAG: Duration = Duration::from_secs(2);
/// How long a timewait socket lives at most: its minute, or `tcp_fin_timeout` before that, and the timer wheel's delay.
const LAST: Duration = Duration::from_secs(130);

impl Table {
    /// Tells a move to TIME_WAIT that still waits for the kernel's word, when the word cannot come any more.
    pub(super) fn settle(&mut self, index: u32, out: &mut Vec<Told>) {
        let Some(moved) = self.pending.remove(&index) else { return };
        self.close_pending(index, &moved, out);
    }

    /// Tells the move to CLOSE as the event had it: nothing is left of the connection, or nothing that can be known.
    pub(super) fn close_pending(&mut self, index: u32, moved: &Moved, out: &mut Vec<Told>) {
        self.resume(index, moved);
        if let Some(row) = self.rows.at_mut(index) {
            row.flags.clear(Flags::MINISOCK);
        }
        self.transit(index, Change::event(moved), out);
    }

    pub(super) fn perhaps_time_wait(&mut self, index: u32, moved: Moved) {
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
        if let (Some(end), None) = (self.ending(index), answer.row) {
            return self.end_mini(index, end, out);
        }
        if self.lags(row, answer.row.map(|seen| seen.state), answer.at) {
            return self.ask_at(index, answer.at.after(ASK_AGAIN));
        }
        let mini = row.mini;
        let unannounced = (flags.has(Flags::MINISOCK) || flags.has(Flags::REQUEST)) && mini == 0;
        match answer.row {
            Some(seen) if seen.state == state => {
                self.adopt(index, &seen);
                if unannounced || state == TcpState::FinWait2 && flags.has(Flags::MINISOCK) {
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
                self.adopt(index, &seen);
                self.transit(index, Change::seen(answer.at, state, seen.state, learnt), out);
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

    /// Nobody can be asked any more: nothing leads to the namespace. What is left in it are timewait sockets, for until the
    /// kernel has got round to ending it; each of them has an event then.
    pub(super) fn gone(&mut self, answer: Answer, out: &mut Vec<Told>) {
        let (index, generation) = (answer.token as u32, (answer.token >> 32) as u32);
        let has_events = self.blind.is_none();
        if let Some(row) = self.rows.get_mut(index, generation)
            && row.mini != 0
            && has_events
            && answer.at.since(row.since) < LAST
        {
            if row.flags.has(Flags::ABSENT) {
                self.absent = self.absent.saturating_sub(1);
            }
            row.flags.clear(Flags::ASKED | Flags::ABSENT);
            return self.ask_at(index, answer.at.after(Duration::from_secs(1)));
        }
        self.answered(answer, out);
    }

    /// Whether what the kernel shows (`None`: nothing) at the time `at` is only what was before the row's last event. A socket
    /// about to connect or to listen is not shown until it does.
    pub(super) fn lags(&self, row: &Row, shown: Option<TcpState>, at: Mono) -> bool {
        let state = row.state;
        let is_older = match shown {
            _ if !row.flags.has(Flags::SINCE) => false,
            Some(shown) => {
                shown != state
                    && (state == TcpState::Close || shown.may_become(state) && !state.may_become(shown))
            }
            None => matches!(state, TcpState::SynSent | TcpState::Listen),
        };
        let is_known = self.blind.is_none_or(|blind| row.since > blind.until);
        is_older && is_known && at.since(row.since) < LAG
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
                if let Some(totals) = moved.totals {
                    self.orphans.insert(index, totals);
                }
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

    /// The port of a socket that was not bound is chosen after the event that tells of SYN_SENT or LISTEN; the next event,
    /// which brings it, may be lost or far off.
    pub(super) fn learn_port(&mut self, index: u32, port: u16) {
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.tuple.lport != 0 || port == 0 {
            return;
        }
        let (old, state, netns) = (row.place(), row.state, row.netns);
        row.tuple.lport = port;
        let new = row.place();
        if state == TcpState::TimeWait && self.waiting.get(&old) == Some(&index) {
            self.waiting.remove(&old);
            self.waiting.insert(new, index);
        }
        if state == TcpState::Listen {
            if let Some(rows) = self.listeners.get_mut(&(netns, 0)) {
                rows.retain(|&other| other != index);
            }
            self.listeners.entry((netns, port)).or_default().push(index);
        }
    }

    /// Takes from a listed row what events do not tell.
    pub(super) fn adopt(&mut self, index: u32, seen: &SockRow) {
        if let Some(cookie) = seen.cookie {
            self.name(index, cookie);
        }
        self.learn_port(index, seen.local.port);
        let Some(row) = self.rows.at_mut(index) else { return };
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
            self.forget_pointer(index);
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
