//! How a change of state is made and told.

use super::Table;
use super::row::Flags;
use crate::model::{Ended, Learnt, Mini, Mono, Moved, Pid, Reason, TcpState, Told, Totals, Transition};
use std::time::Duration;

/// Changes of other connections that one may overtake.
const REACH: usize = 64;

/// A change of state on its way to be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub at: Mono,
    pub from: TcpState,
    pub to: TcpState,
    pub learnt: Learnt,
    pub err: u16,
    pub actor: Option<Pid>,
    pub totals: Option<Totals>,
    /// How the end of a request or timewait socket was seen.
    pub mini: Option<Mini>,
}

impl Change {
    pub fn event(moved: &Moved) -> Self {
        Self {
            at: moved.at,
            from: moved.from,
            to: moved.to,
            learnt: Learnt::Event,
            err: moved.err,
            actor: moved.actor,
            totals: moved.totals,
            mini: None,
        }
    }

    pub fn seen(at: Mono, from: TcpState, to: TcpState, learnt: Learnt) -> Self {
        Self { at, from, to, learnt, err: 0, actor: None, totals: None, mini: None }
    }

    /// Why the connection ends with this. The kernel's error says most (`tcp_reset`, net/ipv4/tcp_input.c, 6.12); the rest
    /// follows from the state that is left, and from whether a process or the network caused it.
    fn reason(&self) -> Option<Reason> {
        use TcpState::{
            CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, SynRecv, SynSent, TimeWait,
        };
        match i32::from(self.err) {
            0 => {}
            libc::ECONNREFUSED => return Some(Reason::Refused),
            libc::ECONNRESET | libc::EPIPE => return Some(Reason::Reset),
            libc::ETIMEDOUT => return Some(Reason::TimedOut),
            libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENETDOWN => {
                return Some(Reason::Unreachable);
            }
            libc::ECONNABORTED => return Some(Reason::Destroyed),
            _ => return Some(Reason::Failed),
        }
        match (self.from, self.to, self.mini) {
            (_, TimeWait, _) | (LastAck | Closing | TimeWait, _, _) => Some(Reason::Closed),
            // It answered nobody: neither the peer's ACK nor its FIN came.
            (SynRecv | FinWait2, _, Some(Mini::Expired)) => Some(Reason::TimedOut),
            (SynRecv, _, Some(Mini::Stopped)) => Some(Reason::Reset),
            (SynSent, _, _) if self.actor.is_some() => Some(Reason::GivenUp),
            (SynRecv | Established | CloseWait | FinWait1 | FinWait2, _, _) if self.actor.is_some() => {
                Some(Reason::Aborted)
            }
            _ => None,
        }
    }
}

impl Table {
    /// Moves a row to another state and tells it.
    pub(super) fn transit(&mut self, index: u32, mut change: Change, out: &mut Vec<Told>) {
        if let Some(totals) = self.orphans.remove(&index) {
            change.totals = change.totals.or(Some(totals));
        }
        if let Some(spent) = self.shift(index, &change) {
            self.tell(index, change, spent, out);
        }
    }

    /// Moves a row to another state without a word; gives the time spent in the former one.
    pub(super) fn shift(&mut self, index: u32, change: &Change) -> Option<Option<Duration>> {
        let row = self.rows.at_mut(index)?;
        let spent =
            (row.flags.has(Flags::SINCE) && row.state == change.from && change.from != TcpState::Close)
                .then(|| change.at.since(row.since));
        let old = row.state;
        match (change.from, change.to) {
            (TcpState::Established | TcpState::SynRecv, TcpState::FinWait1) => {
                row.flags.set(Flags::LOCAL_FIRST)
            }
            (TcpState::Established | TcpState::SynRecv, TcpState::CloseWait) => {
                row.flags.set(Flags::PEER_FIRST)
            }
            (_, TcpState::Closing) => row.flags.set(Flags::LOCAL_FIRST | Flags::PEER_FIRST),
            _ => {}
        }
        row.state = change.to;
        row.since = change.at;
        row.flags.set(Flags::SINCE);
        if change.learnt == Learnt::Listing {
            // It happened at some time before: the time in the new state is not known either.
            row.flags.clear(Flags::SINCE);
        }
        self.reindex(index, old, change.to);
        Some(spent)
    }

    /// Tells a change that the row already shows.
    pub(super) fn tell(&mut self, index: u32, change: Change, spent: Option<Duration>, out: &mut Vec<Told>) {
        let Some(row) = self.rows.at_mut(index) else { return };
        let minisock = row.flags.has(Flags::MINISOCK);
        let over = !row.flags.has(Flags::ENDED)
            && !matches!(change.from, TcpState::Listen | TcpState::Close)
            && (change.to == TcpState::Close || minisock);
        if over {
            row.flags.set(Flags::ENDED);
        }
        let Change { at, from, to, learnt, err, actor, totals, mini: _ } = change;
        let ends = to == TcpState::Close && !matches!(from, TcpState::Listen | TcpState::Close);
        // What is left of an orphan in FIN_WAIT2 has not ended yet.
        let reason = (ends || over && to == TcpState::TimeWait).then(|| change.reason()).flatten();
        let Some(row) = self.rows.at(index) else { return };
        let conn = self.conn(row);
        if from != to {
            self.counts.transitions += 1;
            out.push(Told::Transition(Transition {
                at,
                from,
                to,
                spent,
                learnt,
                err,
                actor,
                conn: conn.clone(),
                reason,
                totals,
            }));
            put_in_order(out);
        }
        if over {
            self.counts.ended += 1;
            out.push(Told::Ended(Ended { at, conn, from, err, reason, totals }));
            put_in_order(out);
        }
    }
}

/// Moves the last change to its place by time, among those of other connections. What was held back for a moment comes
/// late, and so may the records of another processor.
fn put_in_order(out: &mut [Told]) {
    for last in (1..out.len()).rev().take(REACH) {
        let (Some(Some((before, other))), Some(Some((at, own)))) =
            (out.get(last - 1).map(stamp), out.get(last).map(stamp))
        else {
            return;
        };
        if before <= at || other == own {
            return;
        }
        out.swap(last - 1, last);
    }
}

/// Time and connection of what happened to one.
fn stamp(told: &Told) -> Option<(Mono, u32)> {
    match told {
        Told::Transition(Transition { at, conn, .. }) | Told::Ended(Ended { at, conn, .. }) => {
            Some((*at, conn.serial))
        }
        Told::Queue { change, conn } => Some((change.at, conn.serial)),
        Told::Repaired(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn why_a_connection_ended_follows_from_its_error_its_state_and_who_acted() {
        use TcpState::*;
        let ends = |from, to, err: i32, acts: bool, mini| {
            let change = Change::seen(Mono(1), from, to, Learnt::Event);
            let actor = NonZeroU32::new(7).filter(|_| acts);
            Change { err: err as u16, actor, mini, ..change }.reason()
        };
        for (from, to, err, acts, mini, reason) in [
            (LastAck, Close, 0, false, None, Some(Reason::Closed)),
            (FinWait2, TimeWait, 0, false, None, Some(Reason::Closed)),
            (TimeWait, Close, 0, false, Some(Mini::Stopped), Some(Reason::Closed)),
            (LastAck, Close, libc::ECONNRESET, false, None, Some(Reason::Reset)),
            (CloseWait, Close, libc::EPIPE, false, None, Some(Reason::Reset)),
            (SynSent, Close, libc::ECONNREFUSED, false, None, Some(Reason::Refused)),
            (SynSent, Close, libc::ETIMEDOUT, false, None, Some(Reason::TimedOut)),
            (SynSent, Close, libc::EHOSTUNREACH, false, None, Some(Reason::Unreachable)),
            (SynSent, Close, 0, true, None, Some(Reason::GivenUp)),
            (Established, Close, 0, true, None, Some(Reason::Aborted)),
            (Established, Close, libc::ECONNABORTED, true, None, Some(Reason::Destroyed)),
            (Established, Close, libc::EPROTO, false, None, Some(Reason::Failed)),
            (SynRecv, Close, 0, false, Some(Mini::Expired), Some(Reason::TimedOut)),
            (SynRecv, Close, 0, false, Some(Mini::Stopped), Some(Reason::Reset)),
            (FinWait2, Close, 0, false, Some(Mini::Expired), Some(Reason::TimedOut)),
            (Established, Close, 0, false, None, None),
        ] {
            assert_eq!(ends(from, to, err, acts, mini), reason, "{from:?} -> {to:?}, {err}");
        }
    }
}
