//! The displays of BSD in the default persona: long words, and the letters that Linux's netstat leaves free.

use super::options::by_word;
use super::read::Typed;
use super::{BsdError, BsdPlan, Dialect, plan};
use crate::args::flags::{InsideFlags, ListFlags};
use crate::args::ss;
use clap::Args;

const HEADING: &str = "Displays of BSD's netstat (see: enetstat --bsd --help)";

#[derive(Debug, Default, Args)]
pub struct BsdFlags {
    /// How full the queues of listeners are: waiting, half open, limit
    #[arg(short = 'L', long, help_heading = HEADING)]
    pub listen_queues: bool,
    /// Bytes in and out, of TCP connections, or with -i of interfaces
    #[arg(short = 'b', long, help_heading = HEADING)]
    pub bytes: bool,
    /// Packets of all interfaces, or of one, counted anew each interval
    #[arg(long, value_name = "SECONDS", help_heading = HEADING)]
    pub interval: Option<String>,
    /// With --interval, end after N lines
    #[arg(long, value_name = "N", help_heading = HEADING)]
    pub count: Option<String>,
    /// This interface alone, a line for each of its addresses
    #[arg(short = 'I', long, value_name = "NAME", help_heading = HEADING)]
    pub interface: Option<String>,
    /// Memory of sockets and packets
    #[arg(short = 'm', long, help_heading = HEADING)]
    pub buffers: bool,
    /// What each processor did with received packets
    #[arg(short = 'Q', long, help_heading = HEADING)]
    pub softnet: bool,
    /// Segments sent again and out of order of each TCP connection
    #[arg(short = 'T', long, help_heading = HEADING)]
    pub tcp_counters: bool,
    /// Buffers and timers of each socket
    #[arg(long, help_heading = HEADING)]
    pub socket_buffers: bool,
    /// Congestion control of each TCP connection
    #[arg(long, help_heading = HEADING)]
    pub congestion: bool,
    /// The kernel's identity of each socket
    #[arg(long, help_heading = HEADING)]
    pub pcb: bool,
    /// Sockets that capture packets
    #[arg(short = 'B', long, help_heading = HEADING)]
    pub captures: bool,
    /// Multicast routing; with -a memberships too
    #[arg(long, help_heading = HEADING)]
    pub multicast_routes: bool,
    /// Next hops
    #[arg(long, help_heading = HEADING)]
    pub nexthops: bool,
    /// Groups of next hops
    #[arg(long, help_heading = HEADING)]
    pub nexthop_groups: bool,
    /// Packet sockets
    #[arg(long, help_heading = HEADING)]
    pub packet: bool,
    /// Netlink sockets
    #[arg(long, help_heading = HEADING)]
    pub netlink: bool,
    /// Sockets to and from virtual machines
    #[arg(long, help_heading = HEADING)]
    pub vsock: bool,
    /// TCP sockets that are bound and nothing else (Linux 6.8)
    #[arg(long, help_heading = HEADING)]
    pub bound: bool,
    /// Unix sockets with their processes and those at the other end
    #[arg(long, help_heading = HEADING)]
    pub unix_peers: bool,
}

/// The plan of such a display; `None`: none was asked for.
pub fn of(flags: &ListFlags) -> Result<Option<BsdPlan>, BsdError> {
    let own = &flags.bsd;
    let chosen = [
        ("listen-queues", own.listen_queues),
        ("bytes", own.bytes),
        ("buffers", own.buffers),
        ("softnet", own.softnet),
        ("tcp-counters", own.tcp_counters),
        ("socket-buffers", own.socket_buffers),
        ("congestion", own.congestion),
        ("pcb", own.pcb),
        ("captures", own.captures),
        ("multicast-routes", own.multicast_routes),
        ("nexthops", own.nexthops),
        ("nexthop-groups", own.nexthop_groups),
        ("bound", own.bound),
    ];
    let families =
        [("packet", own.packet), ("netlink", own.netlink), ("vsock", own.vsock), ("unix", own.unix_peers)];
    let values = [("interval", &own.interval), ("count", &own.count), ("interface", &own.interface)];
    let asked = chosen.iter().chain(&families).any(|(_, given)| *given)
        || values.iter().any(|(_, value)| value.is_some());
    if !asked {
        return Ok(None);
    }
    let mut typed = Typed::default();
    let mut give = |word: &str, value: &str| match by_word(word) {
        Some(option) => typed.option(option, value.as_bytes()),
        None => Ok(()),
    };
    let shared = [
        ("interfaces", flags.interfaces),
        ("routes", flags.route),
        ("all", flags.all || own.bound || own.packet || own.netlink || own.vsock || own.unix_peers),
        ("numeric", flags.numeric),
        ("numeric-hosts", flags.numeric_hosts),
        ("drops", flags.drops),
        ("ipv4", flags.inet),
        ("ipv6", flags.inet6),
        ("json", flags.json),
        ("all-netns", flags.all_netns),
        ("verbose", flags.programs || own.unix_peers),
    ];
    for (word, _) in chosen.iter().chain(&shared).filter(|(_, given)| *given) {
        give(word, "")?;
    }
    for _ in 0..flags.statistics {
        give("statistics", "")?;
    }
    for (word, value) in values {
        if let Some(value) = value {
            give(word, value)?;
        }
    }
    for (family, given) in families.iter().chain(&[("unix", flags.unix && !own.unix_peers)]) {
        if *given {
            give("family", family)?;
        }
    }
    let protocols = [("tcp", flags.tcp), ("udp", flags.udp), ("udplite", flags.udplite), ("raw", flags.raw)];
    let mut given = protocols.iter().filter(|(_, given)| *given);
    if let Some((protocol, _)) = given.next() {
        give("proto", protocol)?;
    }
    if let Some((second, _)) = given.next() {
        return Err(BsdError::NoneOf(
            format!("--{second}"),
            "such a display shows one protocol or all of them",
        ));
    }
    for (word, given) in [
        ("-l", flags.listening && !own.listen_queues),
        ("-e", flags.extend > 0),
        ("-o", flags.timers),
        ("-c", flags.continuous.is_some()),
        ("-Z", flags.context),
        ("-S", flags.sctp),
        ("-2", flags.l2cap),
        ("-f", flags.rfcomm),
        ("-g", flags.groups),
        ("-M", flags.masquerade),
        ("-C", flags.cache),
        ("-F", flags.fib),
        ("--table", flags.table.is_some()),
        ("-A", !flags.families.is_empty()),
        ("--keep-closed", flags.keep_closed.is_some()),
        ("--tier", flags.tier.is_some()),
        ("--container and the like", flags.inside != InsideFlags::default()),
    ] {
        if given {
            return Err(meaningless(word));
        }
    }
    if let Some(words) = ss::typed(&flags.ss) {
        return Err(meaningless(&words));
    }
    if let Some(word) = ss::given(&flags.ss) {
        return Err(meaningless(word));
    }
    plan(&typed, Dialect::Linux).map(Some)
}

fn meaningless(word: &str) -> BsdError {
    BsdError::Meaningless(word.to_owned(), "a display of BSD's netstat".to_owned())
}
