use super::groups;
use super::json_tables::JsonTables;
use super::routes::{Labels, Layout, Style};
use super::routes_compat::{Extent, route4};
use super::tests::check;
use super::{interfaces, masquerade, sample};
use crate::model::link::iff;
use crate::model::masquerade::Shift;
use crate::model::*;
use crate::names::Names;
use std::net::{IpAddr, Ipv4Addr};

struct Two;

impl Labels for Two {
    fn interface(&self, index: u32) -> Option<&[u8]> {
        match index {
            1 => Some(b"lo"),
            2 => Some(b"a-name-of-15-by"),
            3 => Some(b"\x1b[31m"),
            _ => None,
        }
    }

    fn table(&self, number: u32) -> Option<&[u8]> {
        (number == 254).then_some(b"main")
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn route(destination: &str, bits: u8, hops: Vec<Hop>) -> Route {
    let addr = ip(destination);
    Route {
        family: if addr.is_ipv4() { Family::V4 } else { Family::V6 },
        kind: RouteKind::Unicast,
        table: 254,
        destination: Net { addr, bits },
        source: None,
        tos: 0,
        metric: None,
        protocol: 4,
        scope: 0,
        prefsrc: None,
        metrics: Metrics::default(),
        expires: None,
        cached: false,
        hops,
    }
}

fn hop(gateway: Option<&str>, interface: u32) -> Hop {
    Hop { gateway: gateway.map(ip), interface, weight: 1, flags: 0 }
}

fn style(family: Family) -> Style {
    Style { family, cache: false, extend: 0, table: false, verbose: false }
}

fn shown(style: Style, routes: &[Route]) -> String {
    let (mut out, mut names, mut layout) = (Vec::new(), Names::none(), Layout::new(style));
    routes.iter().for_each(|route| layout.measure(route, &mut names, &Two));
    layout.head(&mut out);
    routes.iter().for_each(|route| layout.route(&mut out, route, &mut names, &Two));
    String::from_utf8(out).unwrap()
}

fn routes4() -> Vec<Route> {
    let metrics = Metrics { advmss: Some(1360), window: Some(4096), rtt: Some(800), ..Metrics::default() };
    vec![
        route("0.0.0.0", 0, vec![hop(Some("192.0.2.1"), 2)]),
        Route {
            metrics,
            metric: Some(5),
            ..route("10.9.0.0", 16, vec![hop(Some("192.0.2.2"), 2), hop(None, 1)])
        },
        Route { kind: RouteKind::Blackhole, ..route("10.20.0.0", 16, vec![hop(None, 0)]) },
        Route { kind: RouteKind::Prohibit, table: 7, ..route("10.21.0.1", 32, vec![hop(None, 0)]) },
        route("10.30.0.0", 16, vec![hop(Some("2001:db8:aaaa:bbbb::2"), 3), hop(None, 99)]),
    ]
}

#[test]
fn routes_have_the_columns_of_net_tools_and_say_more() {
    assert_eq!(
        shown(style(Family::V4), &routes4()),
        "Kernel IP routing table\n\
         Destination     Gateway               Genmask         Flags   MSS Window  irtt Iface\n\
         0.0.0.0         192.0.2.1             0.0.0.0         UG        0 0          0 a-name-of-15-by\n\
         10.9.0.0        192.0.2.2             255.255.0.0     UG     1360 4096     100 a-name-of-15-by\n\
         10.9.0.0        0.0.0.0               255.255.0.0     U      1360 4096     100 lo\n\
         10.20.0.0       blackhole             255.255.0.0     !         - -          - -\n\
         10.21.0.1       prohibit              255.255.255.255 !H        - -          - -\n\
         10.30.0.0       2001:db8:aaaa:bbbb::2 255.255.0.0     UG        0 0          0 \\x1b[31m\n\
         10.30.0.0       0.0.0.0               255.255.0.0     U         0 0          0 if99\n"
    );
    let wide = Style { extend: 2, table: true, ..style(Family::V4) };
    let text = shown(wide, &routes4());
    assert!(text.contains("Flags Metric Ref    Use Iface           MSS   Window irtt Table\n"), "{text}");
    assert!(text.contains(" UG    5      0        0 a-name-of-15-by 1360  4096   100  main\n"), "{text}");
    assert!(text.contains(" !H    0      -        - -               -     -      -    7\n"), "{text}");
}

#[test]
fn ipv6_routes_keep_every_address_whole() {
    let rows = [
        Route {
            metric: Some(1024),
            ..route("2001:db8:1234:5678:9abc:def0:1234:5678", 128, vec![hop(None, 1)])
        },
        Route { kind: RouteKind::Local, ..route("::ffff:192.0.2.0", 120, vec![hop(None, 1)]) },
        Route { expires: Some(60), protocol: 9, ..route("::", 0, vec![hop(Some("fe80::1"), 2)]) },
    ];
    assert_eq!(
        shown(style(Family::V6), &rows),
        "Kernel IPv6 routing table\n\
         Destination                                Next Hop                   Flag  Met  Ref  Use If\n\
         2001:db8:1234:5678:9abc:def0:1234:5678/128 ::                         U     1024 0      0 lo\n\
         ::ffff:192.0.2.0/120                       ::                         Un    0    0      0 lo\n\
         ::/0                                       fe80::1                    UGDAe 0    0      0 a-name-of-15-by\n"
    );
}

#[test]
fn net_tools_flags_in_its_order() {
    let mut out = Vec::new();
    let every = ProcRoute4 { interface: b"eth0".to_vec(), flags: !0x200, ..ProcRoute4::default() };
    route4(&mut out, &every, Extent::Counts, &mut Names::none());
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(" UGHRDMdacoecfpluwin 0      0        0 eth0\n"), "{text}");
    let mut out = Vec::new();
    let rejected = ProcRoute4 { flags: 0x207, ..every };
    route4(&mut out, &rejected, Extent::Both, &mut Names::none());
    assert!(out.ends_with(b" !H    0      -        0 -        -     -      -\n"), "{}", out.escape_ascii());
    assert_eq!(
        [0, 1, 2, 3, 4].map(Extent::of),
        [Extent::Sizes, Extent::Counts, Extent::Both, Extent::Neither, Extent::Counts]
    );
}

fn link(name: &[u8], packets: u64) -> Interface {
    let counters = Counters { rx_packets: packets, rx_dropped: 1, ..Counters::default() };
    let address = Address4 {
        interface: 2,
        label: name.to_vec(),
        local: Ipv4Addr::new(192, 0, 2, 1),
        peer: Ipv4Addr::new(192, 0, 2, 2),
        broadcast: None,
        bits: 24,
        scope: 0,
    };
    let inet6 = Address6 {
        interface: 2,
        name: name.to_vec(),
        addr: "fe80::1".parse().unwrap(),
        bits: 64,
        scope: 0x20,
        flags: 0,
    };
    Interface {
        index: 2,
        name: name.to_vec(),
        flags: iff::UP | iff::RUNNING | iff::BROADCAST,
        mtu: 1500,
        hardware: 1,
        counters: Some(counters),
        operstate: Some(6),
        address: vec![2, 0, 0, 0, 0, 1],
        v4: vec![address],
        v6: vec![inet6],
        ..Interface::default()
    }
}

#[test]
fn counters_widen_their_columns() {
    let rows = [link(b"eth0", 123_456_789_012), Interface { counters: None, ..link(b"eth0:1", 0) }];
    let mut out = Vec::new();
    interfaces::table(&mut out, &rows);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "Iface             MTU        RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n\
         eth0             1500 123456789012      0      1 0             0      0      0      0 BRU\n\
         eth0:1           1500            -      -      - -             -      -      -      - BRU\n"
    );
    let mut out = Vec::new();
    interfaces::compat(&mut out, &rows);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n\
         eth0             1500 123456789012      0      1 0             0      0      0      0 BRU\n\
         eth0:1           1500      - no statistics available -                        BRU\n"
    );
}

fn masqueraded() -> Masqueraded {
    Masqueraded {
        family: Family::V4,
        protocol: 6,
        expires: 431_999,
        source: (ip("10.0.0.2"), 40_000),
        destination: (ip("198.51.100.7"), 443),
        seen: (ip("192.0.2.1"), 61_000),
        shift: Shift { from: 7, before: -3, after: 5 },
    }
}

#[test]
fn masqueraded_connections_have_their_old_layout() {
    let short = Masqueraded { protocol: 17, expires: 59, ..masqueraded() };
    let text = |rows: &[Masqueraded], extend, compat| {
        let mut out = Vec::new();
        masquerade::table(&mut out, rows, extend, &mut Names::none(), compat);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        text(std::slice::from_ref(&short), false, true),
        "IP masquerading entries\n\
         prot   expire source               destination          ports\n\
         udp   0:59.00 10.0.0.2             198.51.100.7         40000 -> 443 (61000)\n"
    );
    assert_eq!(
        text(&[short, masqueraded()], true, false),
        "IP masquerading entries\n\
         prot     expire    initseq delta prevd source               destination          ports\n\
         udp     0:59.00          7     5    -3 10.0.0.2             198.51.100.7         40000 -> 443 (61000)\n\
         tcp  7199:59.00          7     5    -3 10.0.0.2             198.51.100.7         40000 -> 443 (61000)\n"
    );
    assert_eq!(text(&[], false, true), "");
}

#[test]
fn memberships_widen_their_columns() {
    let row =
        |name: &[u8], group| Membership { interface: 2, name: name.to_vec(), group: ip(group), users: 1 };
    let rows = [row(b"eth0", "224.0.0.1"), row(b"\x1b[2Jabcdefghijk", "ff02::1")];
    let text = |compat| {
        let mut out = Vec::new();
        groups::table(&mut out, &[Family::V4, Family::V6], &rows, &mut Names::none(), compat);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        text(false),
        "IPv6/IPv4 Group Memberships\n\
         Interface          RefCnt Group\n\
         ------------------ ------ ---------------------\n\
         eth0               1      224.0.0.1\n\
         \\x1b[2Jabcdefghijk 1      ff02::1\n"
    );
    assert!(text(true).ends_with("eth0            1      224.0.0.1\n.[2Jabcdefghijk 1      ff02::1\n"));
}

#[test]
fn every_table_obeys_the_schema() {
    let at = Mono(1);
    let object = |write: &dyn Fn(&mut JsonTables, &mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut JsonTables::new(sample::clock(), 0), &mut out);
        check(std::str::from_utf8(&out).unwrap())
    };
    for route in routes4() {
        object(&|json, out| json.route(out, at, &route, &Two));
    }
    let full = Route {
        source: Some(Net { addr: ip("10.0.0.0"), bits: 8 }),
        tos: 16,
        prefsrc: Some(ip("10.0.0.1")),
        protocol: 77,
        expires: Some(3),
        cached: true,
        hops: vec![Hop { flags: 0x7f, ..hop(Some("fe80::1"), 2) }],
        ..routes4().remove(1)
    };
    let route = object(&|json, out| json.route(out, at, &full, &Two));
    assert_eq!(route["enetstat.route.rtt_us"], 100_000);
    assert_eq!(route["enetstat.route.protocol"], "77");
    assert_eq!(route["enetstat.route.from"], "10.0.0.0/8");
    assert_eq!(route["enetstat.route.hops"][0]["flags"].as_array().unwrap().len(), 7);

    let odd = Interface { kind: b"veth".to_vec(), master: Some(3), queue: Some(0), ..link(b"\xff", 9) };
    let interface = object(&|json, out| json.interface(out, at, &odd));
    assert_eq!(interface["enetstat.interface.name_hex"], "ff");
    assert_eq!(interface["enetstat.interface.addresses"][0]["peer"], "192.0.2.2");
    assert_eq!(interface["enetstat.interface.addresses"][1]["scope"], "link");
    assert_eq!(interface["enetstat.interface.rx.packets"], "9");

    let group = Membership { interface: 2, name: b"eth0".to_vec(), group: ip("ff02::1"), users: 2 };
    assert_eq!(object(&|json, out| json.membership(out, at, &group))["network.type"], "ipv6");
    let entry = object(&|json, out| json.masquerade(out, at, &masqueraded()));
    assert_eq!((&entry["enetstat.nat.port"], &entry["source.port"]), (&61_000.into(), &40_000.into()));
}
