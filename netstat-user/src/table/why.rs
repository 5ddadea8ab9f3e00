//! Why a connection ended, and the reset that belongs to it.
//!
//! A reset that is received comes before the move to CLOSE that it causes, one that is sent may come after it
//! (`__tcp_close` and `tcp_disconnect`, net/ipv4/tcp.c, 5.10 to 6.18). So a move to CLOSE that a reset may follow is told a
//! moment later, with it.

use super::change::Change;
use super::{Mono, Table};
use crate::model::{Cause, Learnt, Mini, Reason, ResetSeen, TcpState, Told, Totals, Way, Why};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// The answer to data that came too late follows within microseconds, on the same processor; records of others may be that
/// much older.
const GRACE: Duration = Duration::from_millis(5);

/// A process may have to give up the processor between the move to CLOSE and the reset, which is all but certain to follow.
const PATIENCE: Duration = Duration::from_millis(500);

/// A reset belongs to a move to CLOSE that follows within this time: the network may interrupt a process in between.
const BELONGS: Duration = Duration::from_millis(100);

/// Moves to CLOSE that wait for a reset.
#[derive(Debug, Default)]
pub(super) struct Held {
    changes: FxHashMap<u32, (Change, Option<Duration>)>,
    /// Until when each is held.
    until: BinaryHeap<Reverse<(Mono, u32)>>,
    /// Their rows by address in the kernel, where events have no other name.
    pointers: FxHashMap<u64, u32>,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The row is gone.
    pub fn forget(&mut self, index: u32) {
        if let Some((change, _)) = self.changes.remove(&index) {
            self.pointers.remove(&change.pointer);
        }
    }
}

impl Change {
    /// Until when a reset that is sent may follow; `None`: none does. The states are those of `tcp_need_reset`
    /// (net/ipv4/tcp.c, 5.10 to 6.18).
    fn may_reset(&self) -> Option<Mono> {
        use TcpState::{CloseWait, Established, FinWait1, FinWait2, SynRecv};
        let open = matches!(self.from, SynRecv | Established | CloseWait | FinWait1 | FinWait2);
        if self.to != TcpState::Close || self.learnt != Learnt::Event || self.mini.is_some() || !open {
            return None;
        }
        if self.is_late_data() {
            return Some(self.at.after(GRACE));
        }
        let orphan = self.closing.dead && self.from == FinWait1;
        let given_up = self.actor.is_some() || self.closing.unaccepted || orphan;
        (self.err == 0 && given_up).then(|| self.at.after(PATIENCE))
    }

    /// Data for a socket that its process has closed is treated as if it were a reset (`tcp_rcv_state_process`,
    /// net/ipv4/tcp_input.c, 5.10 to 6.18), and answered with one.
    fn is_late_data(&self) -> bool {
        i32::from(self.err) == libc::ECONNRESET
            && self.closing.dead
            && matches!(self.from, TcpState::FinWait1 | TcpState::FinWait2)
    }

    /// Why the connection ends with this.
    pub(super) fn why(&self) -> Why {
        let reset = self.reset;
        if self.is_late_data() && reset.is_some_and(|reset| reset.way == Way::Sent) {
            return Why { reason: Some(Reason::Aborted), cause: Some(Cause::LateData), reset };
        }
        let reason = self.reason();
        let cause = match reason {
            Some(Reason::TimedOut) => self.silence(),
            Some(Reason::Aborted) => self.abort(),
            _ => None,
        };
        Why { reason, cause, reset }
    }

    /// The kernel's error says most (`tcp_reset`, net/ipv4/tcp_input.c, 6.12); the rest follows from the state that is left,
    /// from who has the socket, and from whether a process or the network caused it.
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
            // Its FIN is not acknowledged, and there was no time for that (`tcp_check_oom`, net/ipv4/tcp.c, 6.12).
            (FinWait1, _, None) if self.closing.dead => Some(Reason::Killed),
            (Established | CloseWait, _, None) if self.actor.is_none() && self.closing.unaccepted => {
                Some(Reason::ListenerClosed)
            }
            (SynSent, _, _) if self.actor.is_some() => Some(Reason::GivenUp),
            (SynRecv | Established | CloseWait | FinWait1 | FinWait2, _, _) if self.actor.is_some() => {
                Some(Reason::Aborted)
            }
            _ => None,
        }
    }

    /// Which answer did not come: `tcp_write_timeout`, `tcp_probe_timer` and `tcp_keepalive_timer` (net/ipv4/tcp_timer.c,
    /// 6.12) look at the same.
    fn silence(&self) -> Option<Cause> {
        match (self.from, self.mini, self.totals) {
            (TcpState::FinWait2, Some(Mini::Expired), _) => Some(Cause::FinWait),
            (TcpState::SynRecv, Some(Mini::Expired), _) => Some(Cause::Handshake),
            (_, _, None) => None,
            (_, _, Some(Totals { user_timeout_ms: 1.., .. })) => Some(Cause::UserTimeout),
            (TcpState::SynSent | TcpState::SynRecv, _, _) => Some(Cause::Handshake),
            (
                TcpState::FinWait1 | TcpState::LastAck | TcpState::Closing,
                _,
                Some(Totals { probes: 0, .. }),
            ) => Some(Cause::Retransmission),
            (_, _, Some(Totals { probes: 0, .. })) => Some(Cause::Retransmission),
            (_, _, Some(Totals { wqueue: 0, .. })) => Some(Cause::Keepalive),
            (_, _, Some(_)) => Some(Cause::ZeroWindow),
        }
    }

    /// In the order in which `__tcp_close` looks.
    fn abort(&self) -> Option<Cause> {
        if self.totals?.rqueue > 0 {
            return Some(Cause::Unread);
        }
        Some(if self.closing.linger { Cause::Linger } else { Cause::Disconnect })
    }
}

impl Table {
    /// Tells a change that the row already shows, now or, if a reset may follow, with that.
    pub(super) fn tell_or_hold(
        &mut self,
        index: u32,
        mut change: Change,
        spent: Option<Duration>,
        out: &mut Vec<Told>,
    ) {
        if change.to == TcpState::Close
            && let Some((at, reset)) = self.extras.get_mut(&index).and_then(|extra| extra.reset.take())
            && change.at.since(at) < BELONGS
        {
            change.reset = Some(reset);
        }
        let until = change.may_reset().filter(|_| self.limits.resets);
        let known = change.reset.is_some() && !change.is_late_data();
        let Some(until) = until.filter(|_| !known) else {
            return self.tell(index, change, spent, out);
        };
        self.held.until.push(Reverse((until, index)));
        if change.pointer != 0 {
            self.held.pointers.insert(change.pointer, index);
        }
        self.held.changes.insert(index, (change, spent));
    }

    /// Tells what was held back about the row.
    pub(super) fn release(&mut self, index: u32, out: &mut Vec<Told>) {
        if let Some((change, spent)) = self.held.changes.remove(&index) {
            self.held.pointers.remove(&change.pointer);
            self.tell(index, change, spent, out);
        }
    }

    /// Tells what no reset has followed by now.
    pub(super) fn release_old(&mut self, now: Mono, out: &mut Vec<Told>) {
        while let Some(&Reverse((until, index))) = self.held.until.peek() {
            if until > now {
                break;
            }
            self.held.until.pop();
            // The row may have closed once more since: that has a time of its own.
            let is_due = |(change, _): &(Change, _)| change.may_reset().is_none_or(|until| until <= now);
            if self.held.changes.get(&index).is_some_and(is_due) {
                self.release(index, out);
            }
        }
    }

    pub(super) fn reset(&mut self, seen: ResetSeen, out: &mut Vec<Told>) {
        self.elapse(seen.at, out);
        let pointer = seen.id.pointer.and_then(|pointer| self.held.pointers.get(&pointer.get()).copied());
        let Some(index) = pointer.or_else(|| self.find(seen.id)) else { return };
        if let Some((change, _)) = self.held.changes.get_mut(&index) {
            change.reset = Some(seen.reset);
            return self.release(index, out);
        }
        let ends = |state| !matches!(state, TcpState::Listen | TcpState::Close | TcpState::TimeWait);
        if self.rows.at(index).is_some_and(|row| ends(row.state)) {
            self.extras.entry(index).or_default().reset = Some((seen.at, seen.reset));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Closing, Reset, SockId};
    use crate::table::Limits;
    use std::num::{NonZeroU32, NonZeroU64};

    fn change(from: TcpState, to: TcpState, err: i32, acts: bool) -> Change {
        let change = Change::seen(Mono(1), from, to, Learnt::Event);
        Change { err: err as u16, actor: NonZeroU32::new(7).filter(|_| acts), ..change }
    }

    #[test]
    fn why_a_connection_ended_follows_from_its_error_its_state_and_who_acted() {
        use TcpState::{Close, CloseWait, Established, FinWait2, LastAck, SynRecv, SynSent, TimeWait};
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
            let why = Change { mini, ..change(from, to, err, acts) }.why();
            assert_eq!(why.reason, reason, "{from:?} -> {to:?}, {err}");
        }
    }

    #[test]
    fn what_lies_behind_follows_from_the_counters_and_the_socket() {
        use TcpState::{Close, CloseWait, Established, FinWait1, FinWait2, SynSent};
        let none = Totals::default();
        let (dead, linger) =
            (Closing { dead: true, ..Closing::default() }, Closing { linger: true, ..Closing::default() });
        let lone = Closing { unaccepted: true, ..Closing::default() };
        let sent = Some(Reset { way: Way::Sent, reason: Some(8) });
        let timeout = libc::ETIMEDOUT;
        for (from, err, acts, totals, closing, reset, reason, cause) in [
            (
                SynSent,
                timeout,
                false,
                none,
                Closing::default(),
                None,
                Some(Reason::TimedOut),
                Some(Cause::Handshake),
            ),
            (
                Established,
                timeout,
                false,
                Totals { wqueue: 9, ..none },
                Closing::default(),
                None,
                Some(Reason::TimedOut),
                Some(Cause::Retransmission),
            ),
            (
                Established,
                timeout,
                false,
                Totals { probes: 3, ..none },
                Closing::default(),
                sent,
                Some(Reason::TimedOut),
                Some(Cause::Keepalive),
            ),
            (
                CloseWait,
                timeout,
                false,
                Totals { probes: 3, wqueue: 9, ..none },
                Closing::default(),
                None,
                Some(Reason::TimedOut),
                Some(Cause::ZeroWindow),
            ),
            (
                Established,
                timeout,
                false,
                Totals { user_timeout_ms: 50, wqueue: 9, ..none },
                Closing::default(),
                None,
                Some(Reason::TimedOut),
                Some(Cause::UserTimeout),
            ),
            (FinWait1, timeout, false, none, dead, None, Some(Reason::TimedOut), Some(Cause::Retransmission)),
            (
                Established,
                0,
                true,
                Totals { rqueue: 1, ..none },
                linger,
                sent,
                Some(Reason::Aborted),
                Some(Cause::Unread),
            ),
            (Established, 0, true, none, linger, sent, Some(Reason::Aborted), Some(Cause::Linger)),
            (
                CloseWait,
                0,
                true,
                none,
                Closing::default(),
                None,
                Some(Reason::Aborted),
                Some(Cause::Disconnect),
            ),
            (FinWait1, 0, true, none, dead, sent, Some(Reason::Killed), None),
            (Established, 0, false, none, lone, None, Some(Reason::ListenerClosed), None),
            (
                FinWait2,
                libc::ECONNRESET,
                false,
                none,
                dead,
                sent,
                Some(Reason::Aborted),
                Some(Cause::LateData),
            ),
            (FinWait2, libc::ECONNRESET, false, none, dead, None, Some(Reason::Reset), None),
        ] {
            let why = Change { totals: Some(totals), closing, reset, ..change(from, Close, err, acts) }.why();
            assert_eq!(why, Why { reason, cause, reset }, "{from:?} {err} {totals:?} {closing:?}");
        }
        let unknown = Change { totals: None, ..change(Established, Close, timeout, false) }.why();
        assert_eq!((unknown.reason, unknown.cause), (Some(Reason::TimedOut), None));
    }

    /// A table with one connection of this cookie, which is established.
    fn table() -> (Table, Vec<Told>) {
        use crate::model::{Endpoint, Event, Fact, Family, Identity, Moved, Tuple};
        let mut table = Table::new(Limits { resets: true, ..Limits::default() });
        let end = |port| Endpoint { addr: std::net::Ipv4Addr::LOCALHOST.into(), port };
        let tuple = Tuple::new(end(1), end(80), Family::V4, 0);
        let mut out = Vec::new();
        for (at, from, to) in [
            (10, TcpState::Close, TcpState::SynSent),
            (30, TcpState::SynSent, TcpState::Established),
            (900, TcpState::Established, TcpState::Close),
        ] {
            let moved = Moved {
                at: Mono(at * 1000),
                id: SockId { cookie: NonZeroU64::new(5), pointer: NonZeroU64::new(6) },
                from,
                to,
                lport: 1,
                err: 0,
                actor: NonZeroU32::new(7),
                released: false,
                identity: Some(Identity { tuple, netns: 1, uid: None, cgroup: None }),
                totals: (to == TcpState::Close).then(Totals::default),
                closing: Closing::default(),
                syn_retrans: (to == TcpState::Established).then_some(2),
            };
            table.learn(Mono(at * 1000), Fact::Event(Event::Moved(moved)), &mut out);
        }
        (table, out)
    }

    #[test]
    fn a_close_waits_for_the_reset_that_it_sends() {
        use crate::model::{Event, Fact};
        for id in [
            SockId { cookie: NonZeroU64::new(5), pointer: None },
            SockId { cookie: None, pointer: NonZeroU64::new(6) },
        ] {
            let (mut table, mut out) = table();
            assert_eq!(out.len(), 2, "{out:?}");
            assert!(table.waits());
            let reset = Reset { way: Way::Sent, reason: Some(11) };
            table.learn(
                Mono(901_000),
                Fact::Event(Event::Reset(ResetSeen { at: Mono(901_000), id, reset })),
                &mut out,
            );
            let [_, _, Told::Transition(last), Told::Ended(end)] = out.as_slice() else { panic!("{out:?}") };
            assert_eq!((last.at, last.why.reset, end.why.reset), (Mono(900_000), Some(reset), Some(reset)));
            assert_eq!(end.conn.latency.handshake_us, Some(20));
            assert_eq!(end.conn.latency.syn_retrans, Some(2));
            assert!(!table.waits());
        }
    }

    #[test]
    fn a_close_without_a_reset_is_told_a_moment_later() {
        let (mut table, mut out) = table();
        table.over(Mono(900_000 + 499_000_000), &mut out);
        assert_eq!(out.len(), 2);
        table.over(Mono(900_000 + 500_000_000), &mut out);
        assert!(matches!(out.last(), Some(Told::Ended(end)) if end.why.reset.is_none()));
    }
}
