//! How a change of state is made and told.

use super::Table;
use super::latency::Short;
use super::row::Flags;
use crate::model::{
    Closing, Ended, Learnt, Mini, Mono, Moved, Pid, Reset, TcpState, Told, Totals, Transition, Why,
};
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
    pub closing: Closing,
    /// The reset that causes it, or that it causes.
    pub reset: Option<Reset>,
    /// Address of the socket in the kernel; 0: not told.
    pub pointer: u64,
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
            closing: moved.closing,
            reset: None,
            pointer: moved.id.pointer.map_or(0, std::num::NonZeroU64::get),
        }
    }

    pub fn seen(at: Mono, from: TcpState, to: TcpState, learnt: Learnt) -> Self {
        Self {
            at,
            from,
            to,
            learnt,
            err: 0,
            actor: None,
            totals: None,
            mini: None,
            closing: Closing::default(),
            reset: None,
            pointer: 0,
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
            self.tell_or_hold(index, change, spent, out);
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
        if change.to == TcpState::Established && change.learnt == Learnt::Event {
            let syn = match change.from {
                TcpState::SynSent => spent.is_some().then_some(row.since),
                TcpState::SynRecv if row.flags.has(Flags::SYN_SEEN) => spent.is_some().then_some(row.since),
                // Both ends called connect.
                TcpState::SynRecv if row.flags.has(Flags::ACTIVE) && row.flags.has(Flags::OPENED) => {
                    Some(row.opened)
                }
                _ => None,
            };
            row.handshake = syn.map(|syn| Short::between(syn, change.at));
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
        let Change { at, from, to, learnt, err, actor, totals, .. } = change;
        let ends = to == TcpState::Close && !matches!(from, TcpState::Listen | TcpState::Close);
        // What is left of an orphan in FIN_WAIT2 is over for its process, but has not ended yet.
        let why = if ends || to == TcpState::TimeWait { change.why() } else { Why::default() };
        let Some(row) = self.rows.at(index) else { return };
        let conn = self.conn(index, row);
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
                why,
                totals,
            }));
            put_in_order(out);
        }
        if over {
            self.counts.ended += 1;
            out.push(Told::Ended(Ended { at, conn, from, err, why, totals }));
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
        Told::Repaired(_) | Told::Socket(_) => None,
    }
}
