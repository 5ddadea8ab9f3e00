//! How long the peer and the processes took, in as few bits as will do.
//!
//! A row has room for two short numbers: the handshake's time and that in the accept queue. What few connections have, or
//! only those of a trace that was asked for queues, lies beside the rows ([`Extra`]).

use super::Table;
use super::row::{Flags, Row};
use crate::model::fact::WindowSeen;
use crate::model::{Latency, Mono, QueueChange, Reset, TcpState};
use std::num::NonZeroU16;

/// Microseconds to one part in two thousand: four thousand numbers as they are, then two thousand for each doubling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short(NonZeroU16);

const MANTISSA: u32 = 11;

impl Short {
    /// The time between two moments; more than 71 minutes is 71 minutes.
    pub fn between(from: Mono, to: Mono) -> Self {
        let us = u32::try_from(to.since(from).as_micros()).unwrap_or(u32::MAX);
        let shift = (u32::BITS - us.leading_zeros()).saturating_sub(MANTISSA + 1);
        let code = (shift << MANTISSA) + (us >> shift) + 1;
        // At most 20 * 2048 + 4095 + 1.
        Self(NonZeroU16::new(code as u16).unwrap_or(NonZeroU16::MIN))
    }

    /// Microseconds.
    pub fn us(self) -> u32 {
        let code = u32::from(self.0.get()) - 1;
        let shift = (code >> MANTISSA).saturating_sub(1);
        (code - (shift << MANTISSA)) << shift
    }
}

/// What is kept of few rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extra {
    /// How often the SYN, or the answer to it, was sent again.
    pub syn_retrans: u16,
    /// How often the peer's window was closed.
    pub windows: u32,
    pub first_sent: Option<Short>,
    pub first_received: Option<Short>,
    /// A reset that went before the move to CLOSE that it causes.
    pub reset: Option<(Mono, Reset)>,
}

impl Row {
    /// When it was established, if that was seen; exact while it is in that state.
    fn established(&self) -> Option<Mono> {
        if self.state == TcpState::Established {
            return self.flags.has(Flags::SINCE).then_some(self.since);
        }
        let took = self.handshake.filter(|_| self.flags.has(Flags::OPENED))?;
        Some(Mono(self.opened.0.saturating_add(u64::from(took.us()) * 1000)))
    }
}

impl Table {
    /// `accept` returned the connection at this moment.
    pub(super) fn accepted(&mut self, index: u32, at: Mono) {
        let Some(row) = self.rows.at_mut(index) else { return };
        if row.accepted.is_none() && row.flags.has(Flags::PASSIVE) {
            row.accepted = row.established().map(|since| Short::between(since, at));
        }
    }

    /// How often the SYN, or the answer to it, was sent again: mostly never.
    pub(super) fn counted_syns(&mut self, index: u32, count: Option<u16>) {
        let (Some(count), Some(row)) = (count, self.rows.at_mut(index)) else { return };
        row.flags.set(Flags::SYNS);
        if count > 0 {
            self.extras.entry(index).or_default().syn_retrans = count;
        }
    }

    /// The peer's window is closed, once more.
    pub(super) fn window(&mut self, seen: WindowSeen) {
        let Some(index) = self.find(seen.id) else { return };
        let extra = self.extras.entry(index).or_default();
        extra.windows = extra.windows.saturating_add(1);
    }

    /// Whether every time that the peer's window closed was heard of.
    fn counts_windows(&self, row: &Row) -> bool {
        let from = self.limits.attached.max(self.sure);
        self.limits.windows
            && !row.flags.has(Flags::PREEXISTING)
            && row.flags.has(Flags::OPENED)
            && row.opened >= from
    }

    /// A call moved bytes: perhaps the first one of its kind.
    pub(super) fn used(&mut self, index: u32, change: &QueueChange) {
        let Some(row) = self.rows.at(index) else { return };
        if row.flags.has(Flags::PREEXISTING) || (change.sent == 0 && change.received == 0) {
            return;
        }
        let Some(since) = row.established() else { return };
        let took = Short::between(since, change.at);
        let extra = self.extras.entry(index).or_default();
        // The kernel half tells the first call of either kind at once.
        if change.sent > 0 && extra.first_sent.is_none() {
            extra.first_sent = Some(took);
        }
        if change.received > 0 && extra.first_received.is_none() {
            extra.first_received = Some(took);
        }
    }

    pub(super) fn latency(&self, index: u32, row: &Row) -> Latency {
        let extra = self.extras.get(&index);
        Latency {
            handshake_us: row.handshake.map(Short::us),
            accept_us: row.accepted.map(Short::us),
            first_sent_us: extra.and_then(|extra| extra.first_sent).map(Short::us),
            first_received_us: extra.and_then(|extra| extra.first_received).map(Short::us),
            windows: self.counts_windows(row).then(|| extra.map_or(0, |extra| extra.windows)),
            syn_retrans: row.flags.has(Flags::SYNS).then(|| extra.map_or(0, |extra| extra.syn_retrans)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short(us: u64) -> u32 {
        Short::between(Mono(5), Mono(5 + us * 1000)).us()
    }

    #[test]
    fn small_times_are_exact_and_the_largest_is_the_end() {
        for us in 0..4096 {
            assert_eq!(u64::from(short(us)), us);
        }
        assert_eq!(short(4097), 4096);
        assert_eq!(short(u64::from(u32::MAX)), 4095 << 20);
        assert_eq!(short(u64::MAX / 2000), 4095 << 20);
        assert_eq!(Short::between(Mono(9), Mono(3)).us(), 0);
    }

    proptest! {
        #[test]
        fn all_times_are_known_to_a_part_in_two_thousand(us: u32) {
            let us = u64::from(us);
            let kept = u64::from(short(us));
            prop_assert!(kept <= us && us - kept <= us / 2048, "{us} became {kept}");
        }
    }
}
