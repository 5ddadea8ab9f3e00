use super::*;
use crate::model::{Endpoint, TcpState, Timer, TimerKind, UnixKind, UnixState};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn fixture(case: &str) -> Procfs {
    Procfs::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/proc").join(case))
}

fn rows(procfs: &Procfs, protocol: Protocol, family: Family) -> (Vec<SockRow>, Pass) {
    let mut rows = Vec::new();
    let pass = procfs.list(protocol, family, &mut |row| rows.push(*row)).unwrap();
    (rows, pass)
}

fn endpoint(addr: impl Into<IpAddr>, port: u16) -> Endpoint {
    Endpoint { addr: addr.into(), port }
}

#[test]
#[cfg(target_endian = "little")]
fn every_tcp_state_and_timer_is_read() {
    let (rows, pass) = rows(&fixture("states"), Protocol::Tcp, Family::V4);
    assert_eq!((pass.rows, pass.faulty), (11, 0));
    let mut states: Vec<_> = rows.iter().map(|row| row.state as u8).collect();
    states.sort_unstable();
    states.dedup();
    assert_eq!(states, [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]);

    let listener = &rows[0];
    assert_eq!(listener.local, endpoint(Ipv4Addr::UNSPECIFIED, 22));
    assert_eq!((listener.rqueue, listener.wqueue, listener.inode), (2, 0, 1076));
    let established = &rows[1];
    assert_eq!(established.local, endpoint(Ipv4Addr::LOCALHOST, 8080));
    assert_eq!(established.foreign, endpoint(Ipv4Addr::new(10, 0, 0, 2), 51000));
    assert_eq!((established.rqueue, established.wqueue, established.uid), (5, 9, 1000));
    let timer = Timer { kind: TimerKind::On, expires_ms: 200, retransmits: 3, probes: 0 };
    assert_eq!(established.timer, timer);
    let keepalive = Timer { kind: TimerKind::Keepalive, expires_ms: 7_175_540, retransmits: 0, probes: 2 };
    assert_eq!(rows[2].timer, keepalive);
    assert_eq!(
        rows.iter().find(|row| row.state == TcpState::TimeWait).unwrap().timer.kind,
        TimerKind::TimeWait
    );
}

#[test]
#[cfg(target_endian = "little")]
fn ipv6_udp_and_raw_are_read() {
    let states = fixture("states");
    let (tcp6, _) = rows(&states, Protocol::Tcp, Family::V6);
    assert_eq!(tcp6[0].local, endpoint(Ipv6Addr::UNSPECIFIED, 80));
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    assert_eq!((tcp6[1].local, tcp6[1].family), (endpoint(mapped, 80), Family::V6));
    let linked: Ipv6Addr = "fe80::1234:56ff:fe78:9abc".parse().unwrap();
    assert_eq!(tcp6[2].foreign, endpoint(linked, 443));
    let (udp, _) = rows(&states, Protocol::Udp, Family::V4);
    assert_eq!((udp[0].state, udp[0].drops), (TcpState::Close, Some(17)));
    let (raw, _) = rows(&states, Protocol::Raw, Family::V4);
    assert_eq!((raw[0].local.port, raw[0].state), (1, TcpState::Close));
}

#[test]
fn a_table_that_is_not_there_is_empty() {
    let (rows, pass) = rows(&fixture("states"), Protocol::UdpLite, Family::V6);
    assert_eq!((rows.len(), pass.faulty), (0, 0));
}

#[test]
fn a_bad_line_is_named_and_hides_no_other() {
    let (rows, pass) = rows(&fixture("damaged"), Protocol::Tcp, Family::V4);
    assert_eq!(rows.len(), 2);
    assert_eq!(pass.faulty, 5);
    let said: Vec<_> = pass.faults.iter().map(|fault| fault.to_string()).collect();
    let expected = [
        "net/tcp:3: local_address is not an address and a port: \"0100007F\"",
        "net/tcp:4: st is not a socket state: \"0E\"",
        "net/tcp:5: uid is not a number: \"\\x1b[31m\"",
        "net/tcp:6: timeout is not there: \"\"",
        "net/tcp:8: sl is not there: \"\"",
    ];
    assert_eq!(said.len(), expected.len());
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.ends_with(expected), "{said}");
    }
}

#[test]
fn unix_paths_keep_every_byte() {
    let mut rows = Vec::new();
    let pass = fixture("states").unix(&mut |row| rows.push(row.clone())).unwrap();
    assert_eq!((pass.rows, pass.faulty), (6, 0));
    let paths: Vec<&[u8]> = rows.iter().map(|row| &row.path[..]).collect();
    let expected: [&[u8]; 6] =
        [b"", b"/run/a b", b"@name@with@@nuls", b"/tmp/two\nlines\n", b" leading", b"/run/\xff\xfe"];
    assert_eq!(paths, expected);
    assert!(rows[1].listening);
    assert_eq!((rows[1].flags, rows[1].refcount, rows[1].inode), (0, 2, 12345));
    assert_eq!((rows[1].kind, rows[1].state), (UnixKind::Stream, UnixState::Unconnected));
    assert_eq!((rows[5].kind, rows[5].state), (UnixKind::Seqpacket, UnixState::Connected));
}

#[test]
fn a_bad_unix_line_is_named_and_hides_no_other() {
    let mut inodes = Vec::new();
    let pass = fixture("damaged").unix(&mut |row| inodes.push(row.inode)).unwrap();
    assert_eq!(inodes, [1, 3]);
    let said = pass.faults[0].to_string();
    assert!(said.ends_with("net/unix:3: Type is not a hexadecimal number: \"00x1\""), "{said}");
    assert_eq!(pass.faulty, 2);
}

/// `get_tcp4_sock` and `udp4_format_sock`, by their format strings.
fn print_v4(row: &SockRow) -> String {
    let IpAddr::V4(local) = row.local.addr else { return String::new() };
    let IpAddr::V4(foreign) = row.foreign.addr else { return String::new() };
    format!(
        "{:4}: {:08X}:{:04X} {:08X}:{:04X} {:02X} {:08X}:{:08X} {:02X}:{:08X} {:08X} {:5} {:8} {} 1 00000000295ea2b2 {}",
        0,
        u32::from_ne_bytes(local.octets()),
        row.local.port,
        u32::from_ne_bytes(foreign.octets()),
        row.foreign.port,
        row.state as u8,
        row.wqueue,
        row.rqueue,
        2,
        row.timer.expires_ms / 10,
        row.timer.retransmits,
        row.uid,
        row.timer.probes,
        row.inode,
        row.drops.map_or_else(|| "20 4 30 10 -1".into(), |drops| drops.to_string()),
    )
}

proptest! {
    #[test]
    fn what_the_kernel_prints_reads_back(
        (local, foreign, lport, rport) in any::<(u32, u32, u16, u16)>(),
        (rqueue, wqueue, uid, inode) in any::<(u32, u32, u32, u32)>(),
        (when, retransmits, probes) in (0u32..400_000_000, any::<u32>(), any::<u32>()),
        state in 0usize..11,
        drops in prop::option::of(any::<u64>()),
    ) {
        let row = SockRow {
            protocol: if drops.is_some() { Protocol::Udp } else { Protocol::Tcp },
            family: Family::V4,
            state: TcpState::ALL[state],
            local: endpoint(Ipv4Addr::from(local), lport),
            foreign: endpoint(Ipv4Addr::from(foreign), rport),
            bound_if: 0,
            cookie: None,
            netns: 7,
            uid,
            inode,
            rqueue,
            wqueue,
            timer: Timer { kind: TimerKind::Keepalive, expires_ms: when * 10, retransmits, probes },
            drops,
            v6only: None,
            cgroup: None,
            totals: None,
        };
        let line = print_v4(&row);
        prop_assert_eq!(inet::row(line.as_bytes(), row.protocol, Family::V4, 7), Ok(row));
    }

    #[test]
    fn any_bytes_are_a_row_or_a_fault(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[0-9A-F: ]{0,120}",
    ) {
        for line in [&bytes[..], text.as_bytes()] {
            let _ = inet::row(line, Protocol::Udp, Family::V6, 0);
            let _ = unix::read(line, &mut unix::empty());
        }
    }
}
