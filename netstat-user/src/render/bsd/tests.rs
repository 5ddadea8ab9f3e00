use super::interval::{Counted, difference};
use super::json::{Holding, JsonBsd};
use super::others::{Held, Peer, Unix};
use super::sockets::Listener;
use super::*;
use crate::model::*;
use crate::render::sample;
use crate::render::tests::check;
use proptest::prelude::*;
use std::num::NonZeroU64;

fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn spelling(dialect: Dialect) -> Spelling {
    let interfaces = [(2, b"eth0".to_vec())].into_iter().collect();
    Spelling { dialect, interfaces, ephemeral: Some(32_768..=60_999) }
}

fn local(addr: &str, port: u16, bound_if: u32, v6only: Option<bool>, dialect: Dialect) -> String {
    let local = sample::end(addr, port);
    let family = if local.addr.is_ipv4() { Family::V4 } else { Family::V6 };
    let row = SockRow { local, family, bound_if, v6only, ..sample::row() };
    shown(|out| endpoint(out, &row, End::Local, &spelling(dialect), &mut Names::none()))
}

#[test]
fn addresses_are_whole_and_have_their_device() {
    use Dialect::{Bsd, Linux};
    assert_eq!(local("127.0.0.1", 80, 0, None, Bsd), "127.0.0.1.80");
    assert_eq!(local("0.0.0.0", 80, 2, None, Bsd), "*%eth0.80");
    assert_eq!(local("0.0.0.0", 0, 0, None, Bsd), "*.*");
    assert_eq!(local("fe80::1", 22, 2, None, Bsd), "fe80::1%eth0.22");
    assert_eq!(local("fe80::1", 22, 9, None, Bsd), "fe80::1%link#9.22");
    assert_eq!(local("::", 80, 0, Some(true), Bsd), "*.80");
    assert_eq!(local("::", 80, 0, Some(true), Linux), "[::]:80");
    assert_eq!(local("::", 80, 0, Some(false), Linux), "*:80");
    assert_eq!(
        local("2001:db8:1234:5678:9abc:def0:1234:5678", 443, 0, None, Linux),
        "[2001:db8:1234:5678:9abc:def0:1234:5678]:443"
    );
}

#[test]
fn protocols_tell_both_families_from_one() {
    let of = |v6only, addr: &str, dialect| {
        let local = sample::end(addr, 80);
        let family = if local.addr.is_ipv4() { Family::V4 } else { Family::V6 };
        String::from_utf8(protocol(&SockRow { local, family, v6only, ..sample::row() }, dialect)).unwrap()
    };
    assert_eq!(of(None, "0.0.0.0", Dialect::Bsd), "tcp4");
    assert_eq!(of(None, "0.0.0.0", Dialect::Linux), "tcp");
    assert_eq!(of(Some(false), "::", Dialect::Bsd), "tcp46");
    assert_eq!(of(Some(true), "::", Dialect::Bsd), "tcp6");
    assert_eq!(of(Some(false), "::1", Dialect::Linux), "tcp6");
}

#[test]
fn differences_begin_anew_with_another_interface() {
    let link = |index, name: &str, packets| Interface {
        index,
        name: name.into(),
        counters: Some(Counters { rx_packets: packets, ..Counters::default() }),
        ..Interface::default()
    };
    let before = [link(1, "lo", 10), link(2, "eth0", 100)];
    let counted = |now: &[Interface]| difference(&before, now).rx_packets;
    assert_eq!(counted(&[link(1, "lo", 15), link(2, "eth0", 101)]), 6);
    assert_eq!(counted(&[link(1, "lo", 10)]), 0);
    assert_eq!(counted(&[link(2, "eth1", 7)]), 7);
    assert_eq!(counted(&[link(2, "eth0", 40)]), 40);
}

#[test]
fn short_numbers_keep_four_digits() {
    for (number, wanted) in
        [(0, "0"), (9_999, "9999"), (10_000, "10k"), (12_345_678, "12M"), (u64::MAX, "18E")]
    {
        assert_eq!(shown(|out| human(out, number)), wanted);
    }
}

#[test]
fn every_line_of_json_obeys_the_schema() {
    let (at, spelling) = (Mono(5), spelling(Dialect::Bsd));
    let mut json = JsonBsd::new(sample::clock(), 7);
    let mut out = Vec::new();
    let memory = Some(Memory { received: 1, drops: Some(2), ..Memory::default() });
    let tcp = TcpDetail { threshold: Some(7), out_of_order: Some(1), ecn: true, ..TcpDetail::default() };
    let detail =
        Detail { memory, congestion: Some(Congestion(*b"cubic\0\0\0\0\0\0\0\0\0\0\0")), tcp: Some(tcp) };
    let row = SockRow { bound_if: 2, ..sample::row() };
    let holders = [Process::named(sample::pid(5), Comm::from_bytes(b"\xff"))];
    json.socket(&mut out, at, &row, &detail, Holding::By(&holders), &spelling);
    let bound = SockRow { state: TcpState::Close, ..row };
    json.socket(&mut out, at, &bound, &Detail::default(), Holding::Unknown("kernel"), &spelling);
    json.listener(&mut out, at, Listener { row: &row, incomplete: Some(3) }, &spelling);
    let detail = UnixDetail {
        kind: UnixKind::Seqpacket,
        state: 10,
        inode: 9,
        cookie: NonZeroU64::new(3),
        path: b"\0abs\xff".to_vec(),
        peer: Some(10),
        file: Some(4),
        queues: Some((1, 2)),
        uid: Some(0),
        memory,
    };
    let peer = Peer { inode: 10, path: b"/run/x".to_vec(), ..Peer::default() };
    let unix = Unix { detail: detail.clone(), process: Vec::new(), peer: Some(peer) };
    json.unix(&mut out, at, &unix, Holding::Unasked, Holding::By(&holders));
    let stream = Unix { detail: UnixDetail { state: 1, ..detail }, ..unix };
    json.unix(&mut out, at, &stream, Holding::Unknown("not_permitted"), Holding::Unasked);
    let packet = PacketRow {
        kind: 3,
        interface: 2,
        flags: Some(3),
        fanout: Some(1),
        filter: Some(2),
        uid: Some(0),
        memory,
        ..PacketRow::default()
    };
    json.packet(&mut out, at, &Held { row: packet, process: Vec::new() }, Holding::Unasked, &spelling);
    let netlink =
        NetlinkRow { kind: 3, protocol: 200, state: 1, groups: vec![1, 66], memory, ..NetlinkRow::default() };
    json.netlink(&mut out, at, &Held { row: netlink, process: Vec::new() }, Holding::Unasked);
    let vsock = VsockRow {
        kind: 1,
        state: 10,
        local: (2, 1024),
        foreign: (u32::MAX, u32::MAX),
        inode: 5,
        cookie: None,
    };
    json.vsock(&mut out, at, &Held { row: vsock, process: Vec::new() }, Holding::Unasked);
    let counted = Counted { rx_packets: u64::MAX, ..Counted::default() };
    json.interval(&mut out, at, Some(b"eth0"), std::time::Duration::from_millis(500), &counted);
    json.interval(&mut out, at, None, std::time::Duration::ZERO, &counted);
    let addr = sample::end("fe80::1", 0).addr;
    let neighbour =
        Neighbour { addr, interface: 2, state: 4, hardware: vec![2, 0], references: None, confirmed: None };
    json.neighbour(&mut out, at, &neighbour, &spelling);
    let group = vec![(1, 2), (3, 4)];
    let hop = Nexthop {
        id: 9,
        family: 10,
        gateway: Some(addr),
        interface: Some(2),
        blackhole: true,
        group,
        ..Nexthop::default()
    };
    json.nexthop(&mut out, at, &hop, &spelling);
    json.softnet(
        &mut out,
        at,
        &Softnet { waiting: Some(1), limited: Some(2), steered: Some(3), ..Softnet::default() },
    );
    let vif = Vif { name: b"eth0".to_vec(), local: Some(addr), remote: Some(addr), ..Vif::default() };
    json.vif(&mut out, at, Family::V6, &vif);
    let route = MulticastRoute {
        origin: addr,
        group: addr,
        input: Some(1),
        packets: 1,
        bytes: 2,
        wrong: 3,
        outputs: vec![(1, 1)],
    };
    json.multicast_route(&mut out, at, Family::V6, &route);
    let group = Group { name: b"Ip6".to_vec(), counters: vec![Counter { name: b"x".to_vec(), value: -1 }] };
    json.counters(&mut out, at, Some(Family::V6), Some(b"eth0"), &group);
    let lines: Vec<_> = std::str::from_utf8(&out).unwrap().lines().map(check).collect();
    assert_eq!(lines.len(), 16);
    assert_eq!(lines[0]["enetstat.tcp.congestion"], "cubic");
    assert_eq!(lines[0]["enetstat.interface.name"], "eth0");
    assert_eq!(lines[1]["enetstat.bound_only"], true);
    assert_eq!(
        (&lines[2]["enetstat.listen.incomplete"], &lines[2]["enetstat.listen.limit"]),
        (&3.into(), &5.into())
    );
    assert_eq!(lines[3]["enetstat.unix.path_hex"], "40616273ff");
    assert_eq!(lines[5]["enetstat.packet.flags"], serde_json::json!(["running", "auxdata"]));
    assert_eq!(lines[6]["enetstat.netlink.protocol"], "200");
    assert!(!lines[7].contains_key("enetstat.vsock.peer.cid"));
    assert_eq!(lines[8]["enetstat.rate.rx.packets"], u64::MAX.to_string());
    assert_eq!(lines[11]["enetstat.nexthop.group"], serde_json::json!([[1, 2], [3, 4]]));
}

proptest! {
    #[test]
    fn short_numbers_are_short(number: u64) {
        let text = shown(|out| human(out, number));
        prop_assert!(text.len() <= 5, "{}", text);
    }

    #[test]
    fn nothing_in_a_path_reaches_the_terminal(path: Vec<u8>) {
        let text = shown(|out| unix_path(out, &path));
        prop_assert!(!text.chars().any(char::is_control));
    }
}
