//! Routes, interfaces and memberships as the program shows them by itself: what net-tools leaves out is there.

use crate::network::{Network, build, ip};
use netstat_tests::{NetNs, need, program};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto};
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::time::Duration;

fn run(words: &str) -> Output {
    let words: Vec<&str> = words.split(' ').collect();
    program::command(&words).expect("the program is built").output().expect("it starts")
}

/// Standard output of a run that shows everything.
fn shown(words: &str) -> String {
    let output = run(words);
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), b"".as_slice()),
        "{words}: {output:?}"
    );
    String::from_utf8(output.stdout).expect("text")
}

fn rows(words: &str) -> Vec<Value> {
    let text = shown(&format!("{words} --json"));
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn namespace(network: Network) -> Option<NetNs> {
    if !rustix::process::geteuid().is_root() {
        need::skip("needs root for a network namespace of its own");
        return None;
    }
    if Command::new("ip").arg("-V").output().is_err() {
        need::skip("needs ip (Debian package iproute2)");
        return None;
    }
    let namespace = NetNs::enter().expect("a namespace");
    build(network);
    Some(namespace)
}

/// The lines that begin with this word, their blanks as one.
fn lines(text: &str, word: &str) -> Vec<String> {
    let of = text.lines().filter(|line| line.split_whitespace().next() == Some(word));
    of.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn routes_tell_what_net_tools_leaves_out() {
    let Some(_namespace) = namespace(Network::Full) else { return };
    let text = shown("-rn");
    assert_eq!(
        lines(&text, "10.9.0.0"),
        [
            "10.9.0.0 10.1.0.2 255.255.0.0 UG 0 0 0 veth10",
            "10.9.0.0 10.2.0.2 255.255.0.0 UG 0 0 0 sixteenless15ch"
        ]
    );
    for (route, kind) in [("10.20.0.0", "blackhole"), ("10.21.0.0", "unreachable"), ("10.22.0.0", "prohibit")]
    {
        assert_eq!(lines(&text, route), [format!("{route} {kind} 255.255.0.0 ! - - - -")]);
    }
    assert_eq!(lines(&text, "10.30.0.0"), ["10.30.0.0 2001:db8:1::2 255.255.0.0 UG 0 0 0 veth10"]);
    assert_eq!(lines(&text, "192.0.2.7"), ["192.0.2.7 10.1.0.3 255.255.255.255 UGH 1360 4096 100 veth10"]);
    assert!(lines(&text, "10.40.0.0").is_empty(), "of another table: {text}");
    assert_eq!(lines(&shown("-rn --table 100"), "10.40.0.0").len(), 1);
    let every = shown("-rn --table all");
    assert!(lines(&every, "10.40.0.0")[0].ends_with(" veth10 100"), "{every}");
    assert!(lines(&every, "127.0.0.1")[0].ends_with(" lo local"), "{every}");
    let verbose = shown("-rnv");
    assert!(
        lines(&verbose, "198.51.100.0")[0].ends_with(" main unicast boot global - 1400 1 -"),
        "{verbose}"
    );

    let six = shown("-rn6");
    let long = "2001:db8:1234:5678:9abc:def0:1234:5678/128";
    assert_eq!(lines(&six, long), [format!("{long} 2001:db8:1::2 UG 1024 0 0 veth10")]);
    assert_eq!(lines(&six, "2001:db8:beef::/48"), ["2001:db8:beef::/48 blackhole !n 1024 - - lo"]);
    // Columns do not move: where one name begins, all do.
    let at: Vec<_> = six.lines().skip(1).map(|line| line.rfind(' ')).collect();
    assert!(at.windows(2).all(|pair| pair[0] == pair[1]), "{six}");

    let unknown = run("-rn --table nowhere");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no routing table is called \"nowhere\""));
}

#[test]
fn routes_as_json() {
    let Some(_namespace) = namespace(Network::Full) else { return };
    let rows = rows("-r46 --table all");
    let find = |net: &str| {
        let mut found = rows.iter().filter(|row| row["enetstat.route.destination"] == net);
        found.next().unwrap_or_else(|| panic!("{net}"))
    };
    let multipath = find("10.9.0.0/16");
    let hops = multipath["enetstat.route.hops"].as_array().expect("hops");
    assert_eq!((hops.len(), &hops[0]["weight"], &hops[1]["gateway"]), (2, &3.into(), &"10.2.0.2".into()));
    let metrics = find("192.0.2.7/32");
    assert_eq!(metrics["enetstat.route.advmss"], 1360);
    assert_eq!(metrics["enetstat.route.rtt_us"], 100_000);
    assert_eq!(find("198.51.100.0/24")["enetstat.route.mtu"], 1400);
    assert_eq!(find("10.60.0.0/16")["enetstat.route.tos"], 16);
    assert_eq!(find("10.40.0.0/16")["enetstat.route.table.id"], 100);
    assert_eq!(find("2001:db8:dead::/48")["enetstat.route.type"], "unreachable");
    let expires = find("::/0")["enetstat.route.expires_s"].as_u64();
    assert!(expires.is_some_and(|left| (1..=600).contains(&left)), "{expires:?}");
    // As many as iproute2 lists, which asks the kernel in the same way.
    let listed = |words: &[&str]| {
        let output = Command::new("ip").args(words).output().expect("ip");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| !line.starts_with(char::is_whitespace)).count()
    };
    let of = |family: &str| rows.iter().filter(|row| row["network.type"] == family).count();
    assert_eq!(of("ipv4"), listed(&["-4", "route", "show", "table", "all"]));
    assert_eq!(of("ipv6"), listed(&["-6", "route", "show", "table", "all"]));
}

#[test]
fn interfaces_tell_what_net_tools_leaves_out() {
    let Some(_namespace) = namespace(Network::Full) else { return };
    ip("link set lo down");
    let text = shown("-i");
    assert!(lines(&text, "lo").is_empty() && !lines(&shown("-ia"), "lo").is_empty());
    assert_eq!(lines(&text, "veth10:1"), ["veth10:1 1500 - - - - - - - - BMRU"]);
    let block = shown("-ie");
    // Two addresses of one interface, and no broadcast address where there is none.
    assert!(block.contains("inet 10.1.0.1  netmask 255.255.255.0  broadcast 10.1.0.255\n"), "{block}");
    assert!(block.contains("inet 10.1.0.99  netmask 255.255.255.0\n"), "{block}");

    let rows = rows("-ia");
    let veth = rows.iter().find(|row| row["enetstat.interface.name"] == "veth10").expect("veth10");
    let labels: Vec<_> = veth["enetstat.interface.addresses"].as_array().expect("addresses").iter().collect();
    assert!(labels.iter().any(|address| address["label"] == "veth10:2" && address["address"] == "10.1.3.1"));
    assert_eq!(veth["enetstat.interface.kind"], "veth");
    let slave = rows.iter().find(|row| row["enetstat.interface.name"] == "veth9").expect("veth9");
    let bridge = rows.iter().find(|row| row["enetstat.interface.name"] == "br0").expect("br0");
    assert_eq!(slave["enetstat.interface.master"], bridge["enetstat.interface.index"]);
    let groups = self::rows("-g6");
    assert!(groups.iter().all(|row| row["network.type"] == "ipv6") && !groups.is_empty());
}

/// Tells the kernel, as a router on the way would, that packets of this socket's connection may have `mtu` bytes at most.
fn narrow(socket: &UdpSocket, mtu: u16) {
    let ends = [socket.local_addr(), socket.peer_addr()].map(|end| match end.expect("an address") {
        SocketAddr::V4(end) => end,
        SocketAddr::V6(end) => panic!("{end}"),
    });
    let [local, peer] = ends;
    // The packet that was too large: an IPv4 header of UDP with "don't fragment", and the ports.
    let mut packet = vec![0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend(local.ip().octets());
    packet.extend(peer.ip().octets());
    packet.extend([local.port(), peer.port(), 0x05c8, 0].map(u16::to_be_bytes).concat());
    // Destination unreachable, fragmentation needed.
    let mut message = [vec![3, 4, 0, 0, 0, 0], mtu.to_be_bytes().to_vec(), packet].concat();
    let sum: u32 = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let raw =
        rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).expect("a socket");
    let to = SocketAddr::from((*local.ip(), 0));
    rustix::net::sendto(&raw, &message, SendFlags::empty(), &to).expect("a message to ourselves");
}

#[test]
fn what_the_kernel_learnt_is_its_cache() {
    let Some(_namespace) = namespace(Network::Full) else { return };
    assert_eq!(shown("-rnC").lines().count(), 2);
    assert_eq!(shown("-r6nC").lines().count(), 2);
    let socket = UdpSocket::bind("10.1.0.1:0").expect("a socket");
    socket.connect("10.1.0.50:9").expect("an address");
    socket.send(b"x").expect("a route");
    narrow(&socket, 1300);
    let learnt = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        rows("-rnC").pop()
    });
    let learnt = learnt.expect("a learnt path MTU");
    assert_eq!(learnt["enetstat.route.destination"], "10.1.0.50/32");
    assert_eq!(
        (&learnt["enetstat.route.cached"], &learnt["enetstat.route.mtu"]),
        (&true.into(), &1300.into())
    );
    let text = shown("-rnCv");
    let line = lines(&text, "-").pop().unwrap_or_else(|| panic!("{text}"));
    assert!(line.starts_with("- 10.1.0.50 0.0.0.0 UHCe 0 0 0 veth10 main unicast"), "{line}");
    assert!(line.contains(" 1300 1 "), "{line}");
    assert!(lines(&shown("-rn"), "10.1.0.50").is_empty(), "a table has no exceptions");
}

#[test]
fn what_fits_and_has_no_defect_is_as_net_tools_prints_it() {
    if crate::netstat(&["-V"]).is_none() {
        return need::skip("needs netstat (Debian package net-tools)");
    }
    let Some(_namespace) = namespace(Network::Named) else { return };
    ip("route add 198.51.100.0/24 via 169.254.7.9 window 4096 rtt 100ms");
    ip("route del unreachable default");
    ip("addr add 192.0.2.1/24 broadcast + dev veth1");
    ip("addr del 169.254.7.1/16 dev veth0");
    ip("addr add 169.254.7.1/16 broadcast + dev veth0");
    let mut different = Vec::new();
    for words in ["-rn", "-rne", "-rnee", "-rneF", "-rnC", "-i", "-ia", "-ie", "-iae", "-gn", "-g"] {
        let pair = || {
            let theirs = crate::netstat(&[words]).expect("netstat");
            (String::from_utf8(theirs.stdout).expect("text"), shown(words))
        };
        // Counters move on between the two.
        let same = (0..20).any(|_| {
            let (theirs, ours) = pair();
            theirs == ours || {
                std::thread::sleep(Duration::from_millis(100));
                false
            }
        });
        if !same {
            different.push(format!("{words}: {:#?}", pair()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
