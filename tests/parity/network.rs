//! Routes, interfaces and addresses of many kinds, made with `ip` in the calling thread's namespace.

use std::process::Command;

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Everything.
    Full,
    /// What has names in /etc/hosts and /etc/networks.
    Named,
}

/// Runs `ip` with these words.
pub fn ip(words: &str) {
    let output = attempt(words);
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn attempt(words: &str) -> std::process::Output {
    Command::new("ip").args(words.split(' ')).output().expect("ip")
}

pub fn build(network: Network) {
    match network {
        Network::Full => {
            LINKS.iter().for_each(|words| ip(words));
            // Not every kernel has these.
            OPTIONAL.iter().for_each(|words| drop(attempt(words)));
            ROUTES.iter().for_each(|words| ip(words));
        }
        Network::Named => NAMED.iter().for_each(|words| ip(words)),
    }
}

const LINKS: &[&str] = &[
    "link add veth10 type veth peer name veth9",
    "link add br0 type bridge",
    "link add fourteenless14 type veth peer name veth010",
    "link add sixteenless15ch type veth peer name p",
    "link add \u{e9}\u{e9} type veth peer name x1y12",
    "link set p name x1y2",
    "link set veth10 up",
    "link set veth9 up",
    "link set br0 up",
    "link set fourteenless14 up",
    "link set veth010 up",
    "link set sixteenless15ch up",
    "link set x1y2 up",
    "link set x1y2 promisc on allmulticast on",
    "link set x1y12 arp off multicast off",
    "link set veth9 master br0",
    "link set veth9 mtu 1280 txqueuelen 77",
    "addr add 10.1.0.1/24 broadcast + dev veth10",
    "addr add 10.1.0.99/24 dev veth10",
    "addr add 10.1.1.1/24 dev veth10 label veth10:1",
    "addr add 10.1.2.1/24 dev veth10 label veth10:10",
    "addr add 10.1.3.1/24 dev veth10 label veth10:2",
    "addr add 10.2.0.1/24 dev sixteenless15ch",
    "addr add 10.5.0.1 peer 10.5.0.2/32 dev br0",
    "-6 addr add 2001:db8:1::1/64 dev veth10 nodad",
    "-6 addr add fec0::1/64 dev br0 nodad",
    "-6 addr add ::192.0.2.1/96 dev br0 nodad",
];

const OPTIONAL: &[&str] = &[
    "link add dummy0 type dummy",
    "link set dummy0 up arp off",
    "link add link veth10 name veth10.7 type vlan id 7",
    "link add link veth10 name mac0 type macvlan",
    "link add sit1 type sit remote 10.1.0.2 local 10.1.0.1",
    "link add tun1 type ipip remote 10.1.0.2 local 10.1.0.1",
    "addr add 10.6.0.1 peer 10.6.0.2 dev tun1",
    "link set tun1 up",
    "link add gre1 type gre remote 10.1.0.2 local 10.1.0.1",
    "link add bond0 type bond",
    "link add ifb0 type ifb",
    "link set ifb0 dynamic on",
    "link add noarp0 type ifb",
    "link set noarp0 broadcast ff:ff:ff:ff:ff:ff",
    "tuntap add dev ptp0 mode tun",
    "addr add 10.5.1.1 peer 10.5.0.2 dev ptp0",
    "link set ptp0 up",
];

const ROUTES: &[&str] = &[
    "route add default via 10.1.0.254",
    "route add default via 10.1.0.253 metric 4294967295",
    "route add 10.9.0.0/16 nexthop via 10.1.0.2 weight 3 nexthop via 10.2.0.2 weight 1",
    "route add blackhole 10.20.0.0/16",
    "route add unreachable 10.21.0.0/16 metric 5",
    "route add prohibit 10.22.0.0/16",
    "route add throw 10.23.0.0/16",
    "route add unreachable 10.21.3.4/32",
    "route add 192.0.2.7/32 via 10.1.0.3 advmss 1360 window 4096 rtt 100ms",
    "route add 198.51.100.0/24 via 10.1.0.3 mtu 1400",
    "route add 203.0.113.9/32 dev sixteenless15ch window 4294967295",
    "route add 10.30.0.0/16 via inet6 2001:db8:1::2 dev veth10",
    "route add 10.40.0.0/16 via 10.1.0.2 table 100",
    "route add local 10.50.0.0/16 dev lo table main",
    "route add broadcast 10.51.0.255/32 dev veth10 table main",
    "route add 224.0.0.0/4 dev veth10",
    "route add 10.60.0.0/16 tos 0x10 via 10.1.0.2",
    "-6 route add 2001:db8:2::/48 via 2001:db8:1::2",
    "-6 route add 2001:db8:1234:5678:9abc:def0:1234:5678/128 via 2001:db8:1::2",
    "-6 route add unreachable 2001:db8:dead::/48",
    "-6 route add blackhole 2001:db8:beef::/48",
    "-6 route add prohibit 2001:db8:feed::/48 metric 1",
    "-6 route add 2001:db8:3::/48 nexthop via 2001:db8:1::2 nexthop via 2001:db8:1::3",
    "-6 route add default via fe80::1 dev veth10 expires 600",
    "-6 route add ::ffff:1.2.3.0/120 dev veth10",
    "-6 route add 2001:db8:4::/48 dev veth10 table 100",
    "-6 route add 2001:db8:6::/48 dev sixteenless15ch metric 12345678",
];

const NAMED: &[&str] = &[
    "link add veth0 type veth peer name veth1",
    "link set veth0 up",
    "link set veth1 up",
    "addr add 169.254.7.1/16 dev veth0",
    "route add default dev lo",
    "route del default dev lo",
    "route add 127.0.0.0/8 dev lo table main",
    "route add 198.18.0.0/15 dev veth0",
    "route add 127.0.0.1/32 dev lo table main",
    "route add unreachable default metric 9",
    "-6 route add 2001:db8::/32 dev veth0",
];
