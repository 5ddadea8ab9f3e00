//! Decisions of the kernel half, pure so that the host can test them.

use crate::event::Kind;
use crate::state::TcpState;

const SYN_RECV: u8 = TcpState::SynRecv as u8;
const LISTEN: u8 = TcpState::Listen as u8;
const CLOSE: u8 = TcpState::Close as u8;
const SYN_SENT: u8 = TcpState::SynSent as u8;

/// What to send for the transition `from -> to`; `whole` when the reader does not know every socket yet (or sockets
/// have no cookie here), `None` when nothing changed.
#[inline(always)]
pub const fn kind_of(from: u8, to: u8, whole: bool) -> Option<Kind> {
    if from == to {
        return None;
    }
    if from == LISTEN && to == SYN_RECV {
        return Some(Kind::Child);
    }
    if to == CLOSE {
        return Some(Kind::Close);
    }
    // A socket's first transition tells who it is. SYN_SENT does so before its port is chosen; the port comes with
    // the next record. SYN_RECV is left by children, whose own first record was a `Child`, and by simultaneous open.
    if whole || from == CLOSE || from == SYN_RECV || to == SYN_SENT {
        return Some(Kind::Full);
    }
    Some(Kind::Move)
}

/// Whether a socket with these ports is wanted. A local port of 0 is not chosen yet and therefore not refused.
#[inline(always)]
pub fn port_wanted(ports: &[u16], local: u16, foreign: u16) -> bool {
    ports.is_empty() || local == 0 || ports.iter().any(|&port| port == local || port == foreign)
}

/// Nanoseconds after which the time of the last record is noted anew: all processors write that word.
const MARK: u64 = 1_000_000;

/// Whether a record at `now` must note its time, when the last one noted was `last`.
#[inline(always)]
pub const fn must_mark(last: u64, now: u64) -> bool {
    now.saturating_sub(last) >= MARK
}

/// Whether a record at `now` must wake the reader, when the last one [noted](must_mark) was sent at `last`: the reader
/// looks again within `interval` as long as it finds records. Clocks of two CPUs may differ by a little: a `last` in the
/// future counts as just now.
#[inline(always)]
pub const fn must_wake(last: u64, now: u64, interval: u64) -> bool {
    now.saturating_sub(last) >= interval
}

/// Whether a queue change at `now` is reported when the last report was at `last` (0: never).
#[inline(always)]
pub const fn queue_due(last: u64, now: u64, interval: u64) -> bool {
    last == 0 || now.saturating_sub(last) >= interval
}

/// Bytes between two sequence numbers (RFC 9293 section 3.4: modulo 2^32); 0 when `from` is ahead of `to`, which a
/// read without the socket's lock may show, and once more than `1 << 31`.
#[inline(always)]
pub const fn sequence_gap(to: u32, from: u32) -> u32 {
    let gap = to.wrapping_sub(from);
    if gap > i32::MAX as u32 { 0 } else { gap }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TcpState::*;

    fn judged(from: TcpState, to: TcpState) -> Option<Kind> {
        kind_of(from as u8, to as u8, false)
    }

    #[test]
    fn the_first_word_about_a_socket_is_whole_and_the_last_has_totals() {
        assert_eq!(judged(Close, SynSent), Some(Kind::Full));
        assert_eq!(judged(Close, Listen), Some(Kind::Full));
        assert_eq!(judged(Listen, SynRecv), Some(Kind::Child));
        assert_eq!(judged(SynRecv, Established), Some(Kind::Full));
        assert_eq!(judged(SynSent, Established), Some(Kind::Move));
        assert_eq!(judged(Established, FinWait1), Some(Kind::Move));
        assert_eq!(judged(Listen, Close), Some(Kind::Close));
        assert_eq!(judged(SynRecv, Close), Some(Kind::Close));
        assert_eq!(judged(Listen, Listen), None);
        assert_eq!(kind_of(Established as u8, FinWait1 as u8, true), Some(Kind::Full));
    }

    #[test]
    fn ports_not_yet_chosen_pass() {
        assert!(port_wanted(&[], 1, 2));
        assert!(port_wanted(&[80], 0, 443));
        assert!(port_wanted(&[80], 5000, 80));
        assert!(port_wanted(&[80], 80, 5000));
        assert!(!port_wanted(&[80], 5000, 443));
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert_eq!(sequence_gap(5, u32::MAX - 4), 10);
        assert_eq!(sequence_gap(5, 6), 0);
    }

    #[test]
    fn a_clock_that_runs_behind_does_not_wake() {
        assert!(!must_wake(10, 9, 5));
        assert!(must_wake(10, 15, 5));
        assert!(!must_mark(10, 9) && !must_mark(10, 11) && must_mark(0, MARK));
        assert!(queue_due(0, 1, 100));
        assert!(!queue_due(50, 60, 100));
    }
}
