//! Rows that show every column, state and oddity once.

use netstat_user::model::fact::Direction;
use netstat_user::model::*;
use std::net::Ipv6Addr;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

pub const AT: Mono = Mono(60_000_000_000);

/// Those that [`told`] has.
pub fn reset_names() -> ResetNames {
    ResetNames::new([(11, &b"SK_RST_REASON_TCP_ABORT_ON_CLOSE"[..])])
}

/// 2026-01-02T03:04:05Z, at monotonic zero.
pub fn clock() -> Clock {
    Clock::fixed(1_767_323_045_000_000_000)
}

fn end(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().expect("an address");
    Endpoint { addr: socket.ip(), port: socket.port() }
}

fn row(protocol: Protocol, state: TcpState, local: &str, foreign: &str) -> SockRow {
    let (local, foreign) = (end(local), end(foreign));
    SockRow {
        protocol,
        family: if local.addr.is_ipv4() { Family::V4 } else { Family::V6 },
        state,
        local,
        foreign,
        bound_if: 0,
        cookie: NonZeroU64::new(0x1_0000_0000 + u64::from(local.port)),
        netns: 4_026_531_840,
        uid: 1000,
        inode: u32::from(local.port) + 10_000,
        rqueue: 0,
        wqueue: 0,
        timer: Timer { kind: TimerKind::Off, expires_ms: 0, retransmits: 0, probes: 0 },
        drops: None,
        v6only: None,
        cgroup: None,
        totals: None,
    }
}

/// TCP in every state and with every timer, then UDP and raw; `wide` adds addresses and numbers that exceed net-tools'
/// columns.
pub fn inet(wide: bool) -> Vec<SockRow> {
    use Protocol::*;
    use TcpState::*;
    let timer = |kind, expires_ms, retransmits, probes| Timer { kind, expires_ms, retransmits, probes };
    let mut rows = vec![
        SockRow { wqueue: 128, rqueue: 2, uid: 0, ..row(Tcp, Listen, "0.0.0.0:22", "0.0.0.0:0") },
        SockRow {
            timer: timer(TimerKind::On, 209, 3, 0),
            wqueue: 1,
            ..row(Tcp, SynSent, "10.0.0.1:40001", "192.0.2.9:81")
        },
        SockRow {
            inode: 0,
            timer: timer(TimerKind::On, 1_000, 1, 0),
            ..row(Tcp, SynRecv, "10.0.0.1:22", "192.0.2.9:5001")
        },
        SockRow {
            timer: timer(TimerKind::Keepalive, 7_175_549, 0, 0),
            totals: Some(Totals {
                sent: 5,
                received: 1 << 40,
                segs_out: 2,
                segs_in: 3,
                retrans: 1,
                srtt_us: 44,
                ..Totals::default()
            }),
            ..row(Tcp, Established, "10.0.0.1:40002", "192.0.2.9:443")
        },
        SockRow {
            timer: timer(TimerKind::Probe, 400, 0, 2),
            wqueue: 99_999,
            ..row(Tcp, CloseWait, "10.0.0.1:40003", "192.0.2.9:443")
        },
        row(Tcp, FinWait1, "10.0.0.1:40004", "192.0.2.9:443"),
        row(Tcp, FinWait2, "10.0.0.1:40005", "192.0.2.9:443"),
        SockRow {
            inode: 0,
            uid: 0,
            timer: timer(TimerKind::TimeWait, 35_540, 0, 0),
            ..row(Tcp, TimeWait, "10.0.0.1:40006", "192.0.2.9:443")
        },
        row(Tcp, LastAck, "10.0.0.1:40007", "192.0.2.9:443"),
        row(Tcp, Closing, "10.0.0.1:40008", "192.0.2.9:443"),
        SockRow {
            timer: timer(TimerKind::Other(9), 10, 0, 0),
            ..row(Tcp, Close, "10.0.0.1:40009", "192.0.2.9:443")
        },
        SockRow { wqueue: 4096, v6only: Some(false), ..row(Tcp, Listen, "[::]:80", "[::]:0") },
        row(Tcp, Established, "[::ffff:10.0.0.1]:80", "[::ffff:192.0.2.9]:6000"),
        row(Tcp, Established, "[::1]:40010", "[::1]:80"),
        SockRow { drops: Some(17), rqueue: 832, ..row(Udp, Close, "0.0.0.0:53", "0.0.0.0:0") },
        SockRow {
            timer: timer(TimerKind::On, 50, 0, 0),
            ..row(Udp, Established, "10.0.0.1:40011", "192.0.2.9:53")
        },
        row(Udp, Close, "[::]:5353", "[::]:0"),
        row(UdpLite, Close, "0.0.0.0:9", "0.0.0.0:0"),
        row(UdpLite, Close, "[::1]:9", "[::]:0"),
        row(Raw, Close, "0.0.0.0:1", "0.0.0.0:0"),
        row(Raw, Established, "[::1]:58", "[::1]:0"),
    ];
    if wide {
        let full = "[2001:db8:1234:5678:9abc:def0:1234:5678]:443";
        rows.push(row(Tcp, Established, full, "[fe80::fc:ff:fe00:1]:19003"));
        rows.push(SockRow {
            rqueue: u32::MAX,
            uid: u32::MAX,
            inode: u32::MAX,
            ..row(Udp, Close, "10.0.0.1:1", "0.0.0.0:0")
        });
    }
    rows
}

pub fn unix() -> Vec<UnixRow> {
    use UnixKind::*;
    use UnixState::{Connected, Connecting, Disconnecting, Free, Unconnected};
    let row = |kind, state, path: &[u8]| UnixRow {
        kind,
        state,
        listening: false,
        flags: 0,
        refcount: 2,
        inode: 30_000 + path.len() as u64,
        path: path.to_vec(),
        cookie: None,
    };
    vec![
        UnixRow { listening: true, flags: 1 << 16, ..row(Stream, Unconnected, b"/run/with blank") },
        UnixRow { refcount: 3, ..row(Stream, Connected, b"@abstract@name") },
        UnixRow { inode: 0, ..row(Stream, Connecting, b"/run/queued") },
        UnixRow { flags: 1 << 17 | 1 << 18, ..row(Dgram, Unconnected, b"") },
        row(Seqpacket, Disconnecting, b"/run/\x1b[31m\n\xff"),
        row(Rdm, Free, b"/run/rdm"),
        row(Raw, UnixState::Other(9), b"/run/raw"),
        row(UnixKind::Other(77), Connected, "/run/é".as_bytes()),
    ]
}

/// What `-p` shows of the holder of a socket.
pub fn program(inode: u64, wide: bool) -> Option<Vec<u8>> {
    match inode {
        0 => None,
        _ if wide && inode % 2 == 1 => {
            Some(format!("{inode}/a-program-with-a-long-name: worker").into_bytes())
        }
        50_003 => Some(b"50003/evil\x1b[2J".to_vec()),
        _ => Some(format!("{}/sshd", inode % 1_000).into_bytes()),
    }
}

/// A connection from here, one from a listener, a refused one, what was deduced, a queue, a loss.
pub fn told() -> Vec<Told> {
    use TcpState::*;
    let id = |cookie| SockId { cookie: NonZeroU64::new(cookie), pointer: None };
    let owner = |pid, name: &[u8], how| {
        Some(Owner::alone(Process::named(NonZeroU32::new(pid).expect("not 0"), Comm::from_bytes(name)), how))
    };
    let tuple = |local: &str, foreign: &str| {
        let (local, foreign) = (end(local), end(foreign));
        let family = if local.addr.is_ipv4() { Family::V4 } else { Family::V6 };
        Tuple::new(local, foreign, family, 0)
    };
    let client = Conn {
        serial: 1,
        id: id(1 << 40),
        identity: Identity {
            tuple: tuple("127.0.0.1:40022", "127.0.0.1:80"),
            netns: 4_026_531_840,
            uid: Some(1000),
            cgroup: NonZeroU64::new(9),
        },
        state: Established,
        since: Some(Mono(1_000_312_000)),
        opened: Some(Mono(1_000_000_000)),
        owner: owner(4711, b"curl", How::Opened),
        inode: 0,
        rqueue: None,
        wqueue: None,
        stale: false,
        preexisting: false,
        active: Some(true),
        first: None,
        latency: Latency { handshake_us: Some(312), ..Latency::default() },
    };
    let wide = Identity {
        tuple: tuple("[2001:db8:1234:5678:9abc:def0:1234:5678]:443", "[2001:db8::1]:50000"),
        ..client.identity
    };
    let server = Conn {
        id: id(7),
        identity: wide,
        owner: owner(80, b"nginx", How::Inherited),
        active: Some(false),
        ..client
    };
    let transition = |at, from, to, spent: Option<u64>, conn: Conn| Transition {
        at: Mono(at),
        from,
        to,
        spent: spent.map(Duration::from_nanos),
        learnt: Learnt::Event,
        err: 0,
        actor: None,
        conn: Conn { state: to, ..conn },
        why: Why::default(),
        totals: None,
    };
    let totals = Some(Totals {
        sent: 77,
        received: 14_480,
        segs_out: 9,
        segs_in: 12,
        retrans: 0,
        srtt_us: 40,
        resent: Some(0),
        min_rtt_us: Some(31),
        lost: Some(0),
        busy: Some(Busy { total_us: 12_000, window_us: 4000, buffer_us: 0 }),
        ..Totals::default()
    });
    let because = |reason| Why { reason: Some(reason), ..Why::default() };
    let aborted = Why {
        cause: Some(Cause::Unread),
        reset: Some(Reset { way: Way::Sent, reason: Some(11) }),
        ..because(Reason::Aborted)
    };
    let actor = NonZeroU32::new(4711);
    let mapped = Endpoint { addr: Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1]).into(), port: 8080 };
    let old = Conn {
        identity: Identity {
            tuple: Tuple::new(mapped, mapped, Family::V6, 3),
            netns: 0,
            uid: None,
            cgroup: None,
        },
        id: SockId::default(),
        opened: None,
        preexisting: true,
        owner: None,
        active: None,
        first: Some(First::Peer),
        ..client
    };
    vec![
        Told::Transition(Transition {
            actor,
            ..transition(1_000_000_000, Close, SynSent, None, client.clone())
        }),
        Told::Transition(transition(1_000_312_000, SynSent, Established, Some(312_000), client.clone())),
        Told::Transition(transition(1_000_300_000, SynRecv, Established, Some(9_876), server.clone())),
        Told::Transition(Transition {
            err: libc::ECONNREFUSED as u16,
            why: because(Reason::Refused),
            totals,
            ..transition(1_100_000_000, SynSent, Close, Some(45_600_000), client.clone())
        }),
        Told::Ended(Ended {
            at: Mono(1_100_000_000),
            conn: Conn { state: Close, ..client.clone() },
            from: SynSent,
            err: libc::ECONNREFUSED as u16,
            why: because(Reason::Refused),
            totals,
        }),
        Told::Queue {
            change: QueueChange {
                at: Mono(1_150_000_000),
                id: client.id,
                state: Established,
                direction: Direction::Receive,
                rqueue: 1448,
                wqueue: 0,
                sent: 0,
                received: 100_000,
                actor,
            },
            conn: client.clone(),
        },
        Told::Transition(Transition {
            learnt: Learnt::Deduced,
            ..transition(61_200_000_000, TimeWait, Close, Some(60_000_000_000), client.clone())
        }),
        Told::Transition(Transition {
            learnt: Learnt::Listing,
            ..transition(61_300_000_000, Established, CloseWait, None, old.clone())
        }),
        Told::Ended(Ended {
            at: Mono(61_400_000_000),
            conn: Conn { state: TimeWait, ..old.clone() },
            from: LastAck,
            err: 0,
            why: Why::default(),
            totals: None,
        }),
        Told::Ended(Ended {
            at: Mono(61_500_000_000),
            conn: Conn { state: TimeWait, first: Some(First::Local), ..server.clone() },
            from: FinWait2,
            err: 0,
            why: because(Reason::Closed),
            totals,
        }),
        Told::Transition(Transition {
            why: aborted,
            totals: totals.map(|totals| Totals { rqueue: 6, ..totals }),
            actor,
            ..transition(61_510_000_000, Established, Close, Some(60_000_000), client.clone())
        }),
        Told::Ended(Ended {
            at: Mono(61_510_000_000),
            conn: Conn { state: Close, ..client },
            from: Established,
            err: 0,
            why: aborted,
            totals: totals.map(|totals| Totals { rqueue: 6, ..totals }),
        }),
        Told::Transition(Transition {
            totals: Some(Totals { rqueue: 1, wqueue: 5, segs_in: 2, lost: Some(7), ..Totals::default() }),
            ..transition(61_520_000_000, Listen, Close, Some(60_000_000), server)
        }),
        Told::Repaired(Repair {
            since: Mono(61_500_000_000),
            at: Mono(61_545_100_000),
            lost: 1,
            corrected: 2,
        }),
    ]
}
