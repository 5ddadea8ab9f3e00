//! Rows for the tests of this crate.

use crate::model::*;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// 2026-01-02T03:04:05Z, at monotonic zero.
pub fn clock() -> Clock {
    Clock::fixed(1_767_323_045_000_000_000)
}

pub fn pid(number: u32) -> Pid {
    NonZeroU32::new(number).unwrap()
}

pub fn end(addr: &str, port: u16) -> Endpoint {
    Endpoint { addr: addr.parse().unwrap(), port }
}

pub fn owner(number: u32, name: &[u8], how: How) -> Owner {
    Owner::alone(Process::named(pid(number), Comm::from_bytes(name)), how)
}

pub fn conn() -> Conn {
    let tuple = Tuple::new(end("192.0.2.1", 40022), end("198.51.100.7", 80), Family::V4, 0);
    Conn {
        serial: 3,
        id: SockId { cookie: NonZeroU64::new(1 << 60), pointer: None },
        identity: Identity { tuple, netns: 4_026_531_840, uid: Some(1000), cgroup: NonZeroU64::new(77) },
        state: TcpState::Established,
        since: Some(Mono(1_123_456_789)),
        opened: Some(Mono(1_123_144_789)),
        owner: Some(owner(4711, b"curl", How::Opened)),
        inode: 0,
        rqueue: None,
        wqueue: None,
        stale: false,
        preexisting: false,
        active: Some(true),
        first: None,
        latency: Latency {
            handshake_us: Some(312),
            syn_retrans: Some(0),
            windows: Some(2),
            ..Latency::default()
        },
    }
}

pub fn transition() -> Transition {
    Transition {
        at: Mono(1_123_456_789),
        from: TcpState::SynSent,
        to: TcpState::Established,
        spent: Some(Duration::from_micros(312)),
        learnt: Learnt::Event,
        err: 0,
        actor: None,
        conn: conn(),
        why: Why::default(),
        totals: None,
    }
}

pub fn totals() -> Totals {
    Totals {
        sent: 77,
        received: 14_480,
        segs_out: 9,
        segs_in: 12,
        retrans: 1,
        srtt_us: 250,
        resent: Some(1448),
        min_rtt_us: Some(180),
        lost: Some(1),
        reordered: Some(0),
        busy: Some(Busy { total_us: 8000, window_us: 4000, buffer_us: 0 }),
        ..Totals::default()
    }
}

pub fn ended() -> Ended {
    let conn = Conn { state: TcpState::TimeWait, first: Some(First::Local), ..conn() };
    let (from, why) = (TcpState::FinWait2, Why { reason: Some(Reason::Closed), ..Why::default() });
    Ended { at: Mono(2_000_000_000), conn, from, err: 0, why, totals: Some(totals()) }
}

pub fn queue() -> Told {
    let change = QueueChange {
        at: Mono(1_500_000_000),
        id: conn().id,
        state: TcpState::Established,
        direction: fact::Direction::Send,
        rqueue: 0,
        wqueue: 1448,
        sent: 1448,
        received: 0,
        actor: Some(pid(4711)),
    };
    Told::Queue { change, conn: Conn { rqueue: Some(0), wqueue: Some(1448), ..conn() } }
}

pub fn repair() -> Repair {
    Repair { since: Mono(1_000_000_000), at: Mono(1_045_100_000), lost: 12, corrected: 3 }
}

/// A TCP connection of a listing.
pub fn row() -> SockRow {
    SockRow {
        protocol: Protocol::Tcp,
        family: Family::V4,
        state: TcpState::Established,
        local: end("192.0.2.1", 40022),
        foreign: end("198.51.100.7", 80),
        bound_if: 0,
        cookie: NonZeroU64::new(77),
        netns: 4_026_531_840,
        uid: 1000,
        inode: 4711,
        rqueue: 3,
        wqueue: 5,
        timer: Timer { kind: TimerKind::Off, expires_ms: 0, retransmits: 0, probes: 0 },
        drops: None,
        v6only: None,
        cgroup: None,
        totals: None,
    }
}
