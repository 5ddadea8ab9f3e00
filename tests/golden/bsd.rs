//! Each layout of BSD's displays, in both dialects.

use crate::{golden, rows};
use netstat_user::args::bsd::{Detailed, Dialect};
use netstat_user::model::link::iff;
use netstat_user::model::*;
use netstat_user::names::Names;
use netstat_user::render::bsd::interfaces::{self, Joined};
use netstat_user::render::bsd::interval::{self, Counted};
use netstat_user::render::bsd::others::{self, Held, Peer, Unix};
use netstat_user::render::bsd::sockets::{self, Listener, Socket, Sockets, Style, UnixListener};
use netstat_user::render::bsd::{Spelling, routes, tables};
use netstat_user::render::statistics::bsd::block;
use netstat_user::source::Procfs;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::path::Path;

fn spelling(dialect: Dialect) -> Spelling {
    let names = [(1, "lo"), (2, "eth0"), (3, "tun0")];
    let interfaces = names.map(|(index, name)| (index, name.as_bytes().to_vec())).into_iter().collect();
    Spelling { dialect, interfaces, ephemeral: Some(32_768..=60_999) }
}

fn fixture() -> Procfs {
    Procfs::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/proc/bsd"))
}

fn addr(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What sock_diag tells of every second connection.
fn detail(row: &SockRow) -> Detail {
    if row.protocol != Protocol::Tcp || row.inode == 0 {
        return Detail::default();
    }
    let memory = Memory {
        received: row.rqueue * 2,
        receive_limit: 131_072,
        send_limit: 16_384,
        queued: row.wqueue,
        ..Memory::default()
    };
    let tcp = TcpDetail {
        retransmits: 3,
        out_of_order: Some(1),
        mss: 1448,
        window: 10,
        threshold: row.local.port.is_multiple_of(2).then_some(7),
        ecn: row.local.port % 2 == 1,
        last_received_ms: 12_340,
    };
    let connected = row.state != TcpState::Listen;
    let congestion = Some(Congestion(*b"cubic\0\0\0\0\0\0\0\0\0\0\0"));
    Detail { memory: Some(memory), congestion, tcp: connected.then_some(tcp) }
}

fn listing(style: Style, dialect: Dialect) -> Vec<u8> {
    let spelling = spelling(dialect);
    let mut table = Sockets::new(style, &spelling);
    let mut all = rows::inet(true);
    all[0].bound_if = 2;
    let process = |row: &SockRow| if row.inode == 0 { &b"-(orphan)"[..] } else { b"sshd\x1b:77+2" };
    let mut names = Names::none();
    for row in &all {
        table.measure(Socket { row, detail: &detail(row), process: process(row) }, &mut names);
    }
    let mut out = Vec::new();
    sockets::title(&mut out, true);
    table.head(&mut out);
    for row in &all {
        table.socket(&mut out, Socket { row, detail: &detail(row), process: process(row) }, &mut names);
    }
    out
}

#[test]
fn sockets_in_every_form() {
    let plain = Style::default();
    let bsd = Dialect::Bsd;
    golden("bsd/an.txt", &listing(plain, bsd));
    golden("bsd/an-linux.txt", &listing(plain, Dialect::Linux));
    golden("bsd/anAvb.txt", &listing(Style { pcb: true, processes: true, bytes: true, ..plain }, bsd));
    golden("bsd/anx.txt", &listing(Style { detailed: Detailed::Buffers, ..plain }, bsd));
    golden("bsd/anT.txt", &listing(Style { detailed: Detailed::Faults, ..plain }, bsd));
    golden("bsd/anC.txt", &listing(Style { congestion: true, ..plain }, bsd));
}

#[test]
fn listen_queues() {
    let all = rows::inet(false);
    let listeners = all.iter().filter(|row| row.state == TcpState::Listen);
    let listeners: Vec<Listener<'_>> =
        listeners.zip([Some(12), None]).map(|(row, incomplete)| Listener { row, incomplete }).collect();
    let unix = [UnixListener { cookie: Some(5), waiting: 1, limit: 4096, path: b"\0abs\x1b".to_vec() }];
    let mut out = Vec::new();
    for (dialect, pcb) in [(Dialect::Bsd, false), (Dialect::Linux, true)] {
        sockets::listen_queues(&mut out, &listeners, &unix, pcb, &spelling(dialect), &mut Names::none());
    }
    golden("bsd/L.txt", &out);
}

fn held<T>(row: T, process: &[u8]) -> Held<T> {
    Held { row, process: process.to_vec() }
}

fn unix_socket(inode: u32, state: u8, path: &[u8], peer: Option<Peer>) -> Unix {
    let detail = UnixDetail {
        kind: if state == 7 { UnixKind::Dgram } else { UnixKind::Stream },
        state,
        inode,
        cookie: NonZeroU64::new(inode.into()),
        path: path.to_vec(),
        peer: peer.as_ref().map(|peer| peer.inode),
        file: (!path.is_empty()).then_some(7_001),
        queues: Some((3, 128)),
        uid: Some(0),
        memory: None,
    };
    Unix { detail, process: b"systemd:1".to_vec(), peer }
}

#[test]
fn other_families() {
    let bsd = spelling(Dialect::Bsd);
    let cookie = NonZeroU64::new(7);
    let peer = Peer { inode: 4, cookie, path: b"/run/a b\n".to_vec(), process: b"dbus:9".to_vec() };
    let unix = [
        unix_socket(3, 10, b"/run/a b\n", None),
        unix_socket(5, 1, b"", Some(peer)),
        unix_socket(6, 7, b"\0abs\xff", None),
    ];
    let mut out = Vec::new();
    others::unix(&mut out, &unix, false, &bsd);
    others::unix(&mut out, &unix, true, &spelling(Dialect::Linux));
    let memory = Some(Memory { received: 832, drops: Some(9), ..Memory::default() });
    let packet = PacketRow {
        kind: 3,
        protocol: 3,
        interface: 2,
        flags: Some(1),
        filter: Some(4),
        memory,
        cookie,
        ..PacketRow::default()
    };
    let other = PacketRow { kind: 2, protocol: 0x88b5, fanout: Some(1), ..PacketRow::default() };
    let packets = [held(packet, b"tcpdump:42"), held(other, b"-(kernel)")];
    others::packet(&mut out, &packets, true, &bsd);
    others::captures(&mut out, &packets, &bsd);
    let netlink = NetlinkRow {
        kind: 3,
        protocol: 15,
        port: 42,
        groups: vec![1, 2],
        memory,
        cookie,
        ..NetlinkRow::default()
    };
    let kernel = NetlinkRow { kind: 2, protocol: 99, ..NetlinkRow::default() };
    others::netlink(&mut out, &[held(netlink, b"udevd:42"), held(kernel, b"-(kernel)")], true);
    let vsock = VsockRow {
        kind: 1,
        state: 10,
        local: (u32::MAX, 1024),
        foreign: (u32::MAX, u32::MAX),
        inode: 0,
        cookie,
    };
    let talking = VsockRow { state: 1, local: (3, 5), foreign: (2, 1024), ..vsock };
    others::vsock(&mut out, &[held(vsock, b"-(kernel)"), held(talking, b"agent:8")], true, &bsd);
    golden("bsd/families.txt", &out);
}

fn route(destination: &str, kind: RouteKind, protocol: u8, hops: &[(Option<&str>, u32)]) -> Route {
    let (net, bits) = destination.split_once('/').expect("a net");
    let hops = hops.iter().map(|(gateway, interface)| Hop {
        gateway: gateway.map(addr),
        interface: *interface,
        weight: 1,
        flags: 0,
    });
    Route {
        family: if addr(net).is_ipv4() { Family::V4 } else { Family::V6 },
        kind,
        table: 254,
        destination: Net { addr: addr(net), bits: bits.parse().expect("bits") },
        source: None,
        tos: 0,
        metric: None,
        protocol,
        scope: 0,
        prefsrc: None,
        metrics: Metrics::default(),
        expires: None,
        cached: false,
        hops: hops.collect(),
    }
}

#[test]
fn routes_and_next_hops() {
    use RouteKind::*;
    let bsd = spelling(Dialect::Bsd);
    let v4 = [
        route("0.0.0.0/0", Unicast, 4, &[(Some("10.1.0.254"), 2)]),
        route("10.1.0.0/16", Unicast, 2, &[(None, 2)]),
        route("10.9.0.0/23", Unicast, 186, &[(Some("10.1.0.2"), 2), (Some("2001:db8::1"), 3)]),
        route("10.20.0.0/16", Blackhole, 3, &[(None, 0)]),
        route("10.21.0.0/16", Unreachable, 3, &[(None, 0)]),
        route("127.0.0.1/32", Local, 2, &[(None, 1)]),
        route("10.1.255.255/32", Broadcast, 2, &[(None, 2)]),
        Route {
            cached: true,
            expires: Some(599),
            metrics: Metrics { mtu: Some(1400), ..Metrics::default() },
            ..route("198.51.100.7/32", Unicast, 1, &[(Some("10.1.0.3"), 2)])
        },
    ];
    let v6 = [
        Route { expires: Some(1799), ..route("::/0", Unicast, 9, &[(Some("fe80::1"), 2)]) },
        route("fe80::/64", Unicast, 2, &[(None, 2)]),
        route("ff00::/8", Multicast, 2, &[(None, 2)]),
    ];
    let neighbour = |text: &str, state, hardware: &[u8]| Neighbour {
        addr: addr(text),
        interface: 2,
        state,
        hardware: hardware.to_vec(),
        references: Some(1),
        confirmed: Some(5),
    };
    let neighbours = [
        neighbour("10.1.0.254", 2, &[0, 0x13, 0x21, 0x61, 0xb2, 0x27]),
        neighbour("10.1.0.7", 0x20, &[]),
        neighbour("10.1.0.8", 0x80, &[2, 0, 0, 0, 0, 1]),
    ];
    let mut out = Vec::new();
    let names = &mut Names::none();
    routes::title(&mut out, None);
    for long in [false, true] {
        routes::family(&mut out, Family::V4);
        routes::routes(&mut out, Family::V4, &v4, &neighbours, long, &bsd, names);
        routes::family(&mut out, Family::V6);
        routes::routes(&mut out, Family::V6, &v6, &[], long, &bsd, names);
    }
    routes::title(&mut out, Some(b"100"));
    let hop = Nexthop {
        id: 1,
        family: 2,
        protocol: 3,
        gateway: Some(addr("10.1.0.2")),
        interface: Some(2),
        ..Nexthop::default()
    };
    let link = Nexthop { id: 2, family: 10, protocol: 186, interface: Some(3), ..Nexthop::default() };
    let hole = Nexthop { id: 3, family: 2, blackhole: true, ..Nexthop::default() };
    let group = Nexthop { id: 10, group: vec![(1, 3), (2, 1)], ..Nexthop::default() };
    routes::nexthops(&mut out, &[&hop, &link, &hole], &bsd, names);
    let all = [hop, link, hole, group.clone()];
    routes::groups(&mut out, &[&group], &all, &bsd, names);
    golden("bsd/routes.txt", &out);
}

#[test]
fn interfaces_and_intervals() {
    let counters = Counters {
        rx_packets: 12_345_678,
        rx_bytes: 1 << 40,
        tx_packets: 7,
        rx_dropped: 2,
        tx_dropped: 3,
        ..Counters::default()
    };
    let v4 = |local: [u8; 4]| Address4 {
        interface: 2,
        label: b"eth0".to_vec(),
        local: local.into(),
        peer: local.into(),
        broadcast: None,
        bits: 24,
        scope: 0,
    };
    let v6 = Address6 {
        interface: 2,
        name: b"eth0".to_vec(),
        addr: "fe80::1".parse().expect("an address"),
        bits: 64,
        scope: 0x20,
        flags: 0,
    };
    let all = [
        Interface {
            index: 1,
            name: b"lo".to_vec(),
            flags: iff::UP | iff::LOOPBACK,
            mtu: 65_536,
            counters: Some(Counters::default()),
            ..Interface::default()
        },
        Interface {
            index: 2,
            name: b"eth0".to_vec(),
            flags: iff::UP,
            mtu: 1500,
            address: vec![2, 0xfc, 0, 0, 0, 1],
            counters: Some(counters),
            v4: vec![v4([10, 1, 2, 3]), v4([10, 1, 2, 4])],
            v6: vec![v6],
            ..Interface::default()
        },
        Interface { index: 3, name: b"tun0".to_vec(), mtu: 1400, ..Interface::default() },
    ];
    let group = |text: &str| Membership { interface: 2, name: b"eth0".to_vec(), group: addr(text), users: 1 };
    let joined = Joined {
        groups: vec![group("224.0.0.1"), group("ff02::1")],
        link: vec![(2, vec![1, 0, 0x5e, 0, 0, 1])],
    };
    let (bsd, names) = (spelling(Dialect::Bsd), &mut Names::none());
    let mut out = Vec::new();
    let plain = interfaces::Style::default();
    interfaces::interfaces(&mut out, &all, None, plain, &bsd, names);
    let every = interfaces::Style { bytes: true, drops: true, human: true };
    interfaces::interfaces(&mut out, &all, Some(&joined), every, &bsd, names);
    let counted = Counted {
        rx_packets: 12_345,
        rx_bytes: 123_456_789_012,
        tx_packets: 1,
        tx_dropped: 4,
        ..Counted::default()
    };
    interval::heading(&mut out, None, false);
    interval::line(&mut out, &counted, false, false);
    interval::heading(&mut out, Some(b"eth0"), true);
    interval::line(&mut out, &counted, true, true);
    golden("bsd/interfaces.txt", &out);
}

#[test]
fn what_files_of_proc_say() {
    let procfs = fixture();
    let (bsd, names) = (spelling(Dialect::Bsd), &mut Names::none());
    let mut out = Vec::new();
    let mut processors = Vec::new();
    procfs.softnet(&mut |row| processors.push(row)).expect("a file");
    tables::softnet(&mut out, &[("netdev_max_backlog", Some(1000)), ("dev_weight", None)], &processors);
    let (groups, pass) = procfs.buffers().expect("files");
    assert_eq!(pass.faulty, 0);
    tables::buffers(&mut out, &groups);
    for family in [Family::V4, Family::V6] {
        let (mut vifs, mut routes) = (Vec::new(), Vec::new());
        assert_eq!(procfs.vifs(family, &mut |vif| vifs.push(vif)).expect("a file").expect("there").faulty, 0);
        let pass = procfs.multicast_routes(family, &mut |route| routes.push(route)).expect("a file");
        assert_eq!(pass.expect("there").faulty, 0);
        tables::multicast(&mut out, family, &vifs, &routes, names);
    }
    let groups = [("224.0.0.251", 2), ("239.129.2.3", 2)];
    let groups = groups.map(|(group, interface)| Membership {
        interface,
        name: b"eth0".to_vec(),
        group: addr(group),
        users: 1,
    });
    tables::memberships(&mut out, Family::V4, &groups.iter().collect::<Vec<_>>(), &bsd, names);
    let (groups, pass) = procfs.routing(true, true).expect("files");
    assert_eq!(pass.faulty, 0);
    for group in &groups {
        block(&mut out, &group.name, &[group], true);
    }
    let (groups, pass) = procfs.interface_counters(b"eth0").expect("a file");
    assert_eq!(pass.faulty, 0);
    for zeros in [true, false] {
        groups.iter().for_each(|group| block(&mut out, &group.name, &[group], zeros));
    }
    golden("bsd/proc.txt", &out);
}
