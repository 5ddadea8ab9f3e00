//! Every field that JSON output may carry: name, type, where it appears and what it means, once.
//!
//! Names without a dot or under `network.`, `process.`, `user.`, `source.` and `destination.` are those of
//! OpenTelemetry's semantic conventions; `enetstat.` is ours. A field whose value is unknown is left out: there is no
//! null, and 0 means 0.

/// The kind of a JSON object (`enetstat.kind`), a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    Transition = 1,
    Connection = 2,
    Queue = 4,
    Repair = 8,
    Socket = 16,
    Summary = 32,
    Counter = 64,
    Route = 128,
    Interface = 256,
    Membership = 512,
    Masquerade = 1024,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Transition,
        Self::Connection,
        Self::Queue,
        Self::Repair,
        Self::Socket,
        Self::Summary,
        Self::Counter,
        Self::Route,
        Self::Interface,
        Self::Membership,
        Self::Masquerade,
    ];

    /// The value of `enetstat.kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transition => "transition",
            Self::Connection => "connection",
            Self::Queue => "queue",
            Self::Repair => "repair",
            Self::Socket => "socket",
            Self::Summary => "summary",
            Self::Counter => "counter",
            Self::Route => "route",
            Self::Interface => "interface",
            Self::Membership => "membership",
            Self::Masquerade => "masquerade",
        }
    }

    /// What such an object tells.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Transition => "A TCP socket changed its state.",
            Self::Connection => "A TCP connection ended for its process (trace --close).",
            Self::Queue => "Bytes waiting in the queues of a TCP socket changed (trace --queues).",
            Self::Repair => "Events were lost and the table was made whole again.",
            Self::Socket => {
                "A socket of a listing, or a TCP connection that ended before it (--keep-closed): then it is closed, and its \
                process is told in fields of its own."
            }
            Self::Summary => "The end of a trace.",
            Self::Counter => "A counter of a protocol (-s).",
            Self::Route => "A route of a routing table (-r), or an exception the kernel learnt (-rC).",
            Self::Interface => "A network interface (-i).",
            Self::Membership => "A multicast group that an interface is a member of (-g).",
            Self::Masquerade => "A connection whose source address this host replaces (-M).",
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// RFC 3339 in UTC with nine digits of the second.
    Time,
    /// An integer that fits in 53 bits, from 0.
    Integer,
    /// An unsigned 64-bit integer in decimal, as a string.
    Integer64,
    /// A signed integer in decimal, as a string; from -2^63 to 2^64-1.
    Signed,
    /// Bytes in hexadecimal, two digits each.
    Hex,
    /// True; left out when false.
    True,
    /// True or false.
    Bool,
    /// The processes that hold the socket.
    Holders,
    /// Words of a fixed set.
    Words(&'static [&'static str]),
    /// The ways out of a route.
    Hops,
    /// The addresses of an interface.
    Addresses,
    /// Members of `struct tcp_info`.
    TcpInfo,
    /// An object of integers with these names.
    Numbers(&'static [&'static str]),
}

/// A line of the table of fields.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub name: &'static str,
    pub kind: Type,
    /// [`Kind`]s it may appear in.
    pub within: u16,
    /// [`Kind`]s it always appears in.
    pub always: u16,
    pub meaning: &'static str,
}

const T: u16 = Kind::Transition as u16;
const C: u16 = Kind::Connection as u16;
const Q: u16 = Kind::Queue as u16;
const R: u16 = Kind::Repair as u16;
const S: u16 = Kind::Socket as u16;
const E: u16 = Kind::Summary as u16;
const RT: u16 = Kind::Route as u16;
const IF: u16 = Kind::Interface as u16;
const GR: u16 = Kind::Membership as u16;
const MQ: u16 = Kind::Masquerade as u16;
const N: u16 = Kind::Counter as u16;
/// Every kind.
const ANY: u16 = CONN | R | S | E | RT | IF | GR | MQ | N;
/// Kinds that speak of one connection.
const CONN: u16 = T | C | Q;

const STATES: Type = Type::OneOf(&[
    "established",
    "syn_sent",
    "syn_received",
    "fin_wait_1",
    "fin_wait_2",
    "time_wait",
    "closed",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
]);

const ROUTES: Type = Type::OneOf(&[
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "unknown",
]);

/// Names of `IFF_*` by bit.
pub const INTERFACE_FLAGS: &[&str] = &[
    "up",
    "broadcast",
    "debug",
    "loopback",
    "pointopoint",
    "notrailers",
    "running",
    "noarp",
    "promisc",
    "allmulti",
    "master",
    "slave",
    "multicast",
    "portsel",
    "automedia",
    "dynamic",
    "lower_up",
    "dormant",
    "echo",
];

macro_rules! fields {
    ($($field:ident = $name:literal, $kind:expr, $within:expr, always $always:expr, $meaning:literal;)*) => {
        /// A field; its line in [`FIELDS`] is `FIELDS[field as usize]`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($field,)* }

        const ALL: &[Field] = &[$(Field::$field,)*];

        /// Every field, in the order of [`Field`].
        pub const FIELDS: &[Spec] = &[$(Spec {
            name: $name, kind: $kind, within: $within, always: $always, meaning: $meaning,
        },)*];
    };
}

fields! {
    Timestamp = "timestamp", Type::Time, ANY, always ANY,
        "When it happened; of a listing, when that was made.";
    Kind = "enetstat.kind", Type::Text, ANY, always ANY,
        "What the object is about.";
    Transport = "network.transport", Type::OneOf(&["tcp", "udp", "udplite", "raw", "unix"]), CONN | S, always CONN | S,
        "Protocol. udplite and raw are values of our own.";
    NetworkType = "network.type", Type::OneOf(&["ipv4", "ipv6"]), CONN | S | N | RT | GR | MQ,
        always CONN | RT | GR | MQ,
        "Address family; of a socket its own: an IPv6 socket that talks IPv4 is ipv6. Left out of a \
        counter that counts both.";
    LocalAddress = "network.local.address", Type::Text, CONN | S, always CONN,
        "Local IP address.";
    LocalPort = "network.local.port", Type::Integer, CONN | S, always 0,
        "Local port; of a raw socket the protocol number. Left out before a port is chosen.";
    PeerAddress = "network.peer.address", Type::Text, CONN | S, always CONN,
        "Foreign IP address; the unspecified address when there is none.";
    PeerPort = "network.peer.port", Type::Integer, CONN | S, always 0,
        "Foreign port. Left out when there is no peer.";
    State = "network.connection.state", STATES, CONN | S, always CONN,
        "State; of a transition, the one reached. Of TCP, and of UDP sockets with a peer.";
    Pid = "process.pid", Type::Integer, CONN | S, always 0,
        "Process the connection belongs to.";
    User = "user.id", Type::Text, CONN | S, always 0,
        "Numeric user id of the socket.";
    Comm = "enetstat.process.comm", Type::Text, CONN | S, always 0,
        "Name of the process (comm), when it is UTF-8.";
    CommHex = "enetstat.process.comm_hex", Type::Hex, CONN | S, always 0,
        "Name of the process in hexadecimal, when it is not UTF-8.";
    OwnerHow = "enetstat.owner.how", Type::OneOf(&["opened", "accepted", "held", "used", "closed", "inherited"]), CONN | S,
        always 0, "How the process is known to own it: it called connect or listen; accept gave it; it holds a file of \
        it; it sent or received; it closed it; it owns the listener and nobody has accepted the connection yet.";
    Netns = "enetstat.netns", Type::Integer, CONN | S | N, always 0,
        "Inode of the network namespace.";
    Cookie = "enetstat.socket.cookie", Type::Integer64, CONN | S, always 0,
        "The kernel's socket cookie.";
    Connection = "enetstat.connection.id", Type::Integer, CONN | S, always CONN,
        "Number of the connection within this run of the program: the same in all lines about it. The cookie may come \
        to be known only later, where the kernel does not tell it to tracing programs.";
    Inode = "enetstat.socket.inode", Type::Integer64, CONN | S, always 0,
        "Inode of the socket. Left out when no file holds it.";
    Cgroup = "enetstat.cgroup.id", Type::Integer64, CONN | S, always 0,
        "Inode of the socket's cgroup (v2).";
    Interface = "enetstat.interface.index", Type::Integer, CONN | S | IF | GR, always IF | GR,
        "The interface; of a socket, the one it is bound to.";
    From = "enetstat.state.from", STATES, T | C, always T | C,
        "State left.";
    Spent = "enetstat.state.spent_ns", Type::Integer64, T, always 0,
        "Nanoseconds spent in the state left.";
    Learnt = "enetstat.learnt", Type::OneOf(&["event", "deduced", "listing"]), T, always T,
        "How it is known: reported as it happened; concluded and confirmed; a listing showed it, and it happened at some \
        time before.";
    Actor = "enetstat.actor.pid", Type::Integer, T | Q, always 0,
        "Process that caused it. Left out when the network or a timer did.";
    Error = "enetstat.error", Type::Text, T | C, always 0,
        "Error of the socket at that moment (ECONNREFUSED).";
    Reason = "enetstat.end.reason", Type::OneOf(&["closed", "reset", "aborted", "refused", "timed_out", "unreachable",
        "given_up", "destroyed", "failed"]), T | C, always 0,
        "Why it ended, with the change that ends it: both ends closed it; the peer reset it; this end's process gave it up \
        with a reset; the peer refused; the peer did not answer; it cannot be reached; this end's process closed it \
        before the peer had answered; somebody on this host destroyed it; another error. Left out when it cannot be told.";
    ClosedFirst = "enetstat.end.first", Type::OneOf(&["local", "peer", "both"]), CONN | S, always 0,
        "Which end closed first. Left out before, and when that was not seen.";
    Preexisting = "enetstat.preexisting", Type::True, CONN | S, always 0,
        "The connection was there before the trace.";
    Role = "enetstat.role", Type::OneOf(&["client", "server"]), CONN | S, always 0,
        "client: this end called connect; server: it came from a listener.";
    Duration = "enetstat.duration_ns", Type::Integer64, C | S, always 0,
        "Nanoseconds from its opening to its end; of a socket of a listing to CLOSE, so that a TIME_WAIT before it counts. \
        Left out when it was there before the trace.";
    BytesSent = "enetstat.bytes.sent", Type::Integer64, T | C | S, always 0,
        "Bytes the application sent, each once.";
    BytesReceived = "enetstat.bytes.received", Type::Integer64, T | C | S, always 0,
        "Bytes received for the application.";
    SegmentsOut = "enetstat.segments.out", Type::Integer, T | C | S, always 0,
        "Segments sent.";
    SegmentsIn = "enetstat.segments.in", Type::Integer, T | C | S, always 0,
        "Segments received.";
    Retransmits = "enetstat.retransmits", Type::Integer, T | C | S, always 0,
        "Segments sent again.";
    Rtt = "enetstat.rtt_us", Type::Integer, T | C | S, always 0,
        "Smoothed round-trip time in microseconds. Left out when never measured.";
    QueueReceive = "enetstat.queue.receive", Type::Integer, Q | S, always Q,
        "Bytes received and not read; of a listener the connections waiting for accept.";
    QueueSend = "enetstat.queue.send", Type::Integer, Q | S, always Q,
        "Bytes not acknowledged; of a listener the backlog limit, left out where /proc does not tell it.";
    QueueCause = "enetstat.queue.cause", Type::OneOf(&["send", "receive", "final"]), Q, always Q,
        "The call that moved data; final: the last word before the connection closes.";
    QueueSent = "enetstat.queue.sent", Type::Integer, Q, always Q,
        "Bytes written by the application since the report before.";
    QueueReceived = "enetstat.queue.received", Type::Integer, Q, always Q,
        "Bytes read by the application since the report before.";
    TimerKind = "enetstat.timer.kind", Type::OneOf(&["on", "keepalive", "timewait", "probe", "unknown"]), S, always 0,
        "The pending timer. Left out when there is none.";
    TimerExpires = "enetstat.timer.expires_ms", Type::Integer, S, always 0,
        "Milliseconds until it fires.";
    TimerRetransmits = "enetstat.timer.retransmits", Type::Integer, S, always 0,
        "Retransmissions so far.";
    TimerProbes = "enetstat.timer.probes", Type::Integer, S, always 0,
        "Unanswered probes so far.";
    Drops = "enetstat.drops", Type::Integer64, S, always 0,
        "Datagrams dropped.";
    V6Only = "enetstat.v6only", Type::Bool, S, always 0,
        "Whether the socket takes IPv6 only.";
    RawState = "enetstat.raw.state", Type::Integer, S, always 0,
        "State number of a raw socket: 1 connected, 7 not.";
    UnixPath = "enetstat.unix.path", Type::Text, S, always 0,
        "Path, when it is UTF-8. An abstract name starts with @ and has its NUL bytes shown as @.";
    UnixPathHex = "enetstat.unix.path_hex", Type::Hex, S, always 0,
        "Path in hexadecimal, when it is not UTF-8.";
    UnixType = "enetstat.unix.type", Type::OneOf(&["stream", "dgram", "raw", "rdm", "seqpacket", "unknown"]), S, always 0,
        "Type of a unix socket.";
    UnixState = "enetstat.unix.state", Type::OneOf(&["free", "unconnected", "listening", "connecting", "connected",
        "disconnecting", "unknown"]), S, always 0,
        "State of a unix socket.";
    UnixRefs = "enetstat.unix.refcount", Type::Integer, S, always 0,
        "References to a unix socket.";
    Mark = "enetstat.socket.mark", Type::Integer, S, always 0,
        "SO_MARK (--options; told to CAP_NET_ADMIN).";
    SocketOptions = "enetstat.socket.options", Type::Words(&super::detail::OPTIONS), S, always 0,
        "Options that are set (--options).";
    Shutdown = "enetstat.socket.shutdown", Type::Integer, S, always 0,
        "1: receives nothing any more; 2: sends nothing; 3: both (--options).";
    Tos = "enetstat.socket.tos", Type::Integer, S, always 0,
        "Type of service of its IPv4 packets (--options).";
    Tclass = "enetstat.socket.tclass", Type::Integer, S, always 0,
        "Traffic class of its IPv6 packets (--options).";
    Class = "enetstat.socket.class", Type::Integer, S, always 0,
        "Class of its traffic: net_cls or SO_PRIORITY (--options).";
    Memory = "enetstat.socket.memory", Type::Numbers(&super::json_detail::MEMORY), S, always 0,
        "Bytes of memory (SK_MEMINFO_*), and datagrams dropped (--memory).";
    Congestion = "enetstat.tcp.congestion", Type::Text, S, always 0,
        "Name of the congestion control (--info).";
    TcpInfo = "enetstat.tcp.info", Type::TcpInfo, S, always 0,
        "struct tcp_info of linux/tcp.h, as long as this kernel's (--info); times in microseconds, those of the last_ members in \
        milliseconds; members of 64 bits are strings.";
    Bbr = "enetstat.tcp.bbr", Type::Numbers(&super::json_detail::BBR), S, always 0,
        "struct tcp_bbr_info: bytes a second, microseconds, and gains times 256 (--info).";
    Holders = "enetstat.holders", Type::Holders, S, always 0,
        "Processes that hold a file of the socket (-p), those that could be seen.";
    Lost = "enetstat.lost", Type::Integer64, R | E, always R | E,
        "Events the kernel could not report.";
    Repaired = "enetstat.repaired", Type::Integer64, R | E, always R | E,
        "Rows that had to be corrected, added or removed.";
    RepairMs = "enetstat.repair.ms", Type::Integer, R, always R,
        "Milliseconds from noticing the loss to the end of the repair.";
    Transitions = "enetstat.transitions", Type::Integer64, E, always E,
        "Changes of state that were seen.";
    Connections = "enetstat.connections", Type::Integer64, E, always E,
        "Connections that were seen.";
    Evicted = "enetstat.evicted", Type::Integer64, E, always E,
        "Connections dropped from the table because it was full.";
    CounterGroup = "enetstat.counter.group", Type::Text, N, always N,
        "Group of the counter in /proc/net: Ip, Icmp, Tcp, TcpExt, Udp6 and so on.";
    CounterName = "enetstat.counter.name", Type::Text, N, always N,
        "Name of the counter as the kernel spells it; those of IPv6, SCTP, Xfrm and Tls begin with their group.";
    CounterValue = "enetstat.counter.value", Type::Signed, N, always N,
        "Its number since the namespace began; of Tcp CurrEstab and the like, the number now; of a setting, the setting \
        (Tcp MaxConn is -1 when there is no limit).";
    RouteKind = "enetstat.route.type", ROUTES, RT, always RT,
        "What becomes of a packet that the route matches.";
    RouteDestination = "enetstat.route.destination", Type::Text, RT, always RT,
        "Destination and prefix length.";
    RouteFrom = "enetstat.route.from", Type::Text, RT, always 0,
        "The sources that it is for, with prefix length. Left out when it is for all.";
    RouteTable = "enetstat.route.table.id", Type::Integer, RT, always RT,
        "Number of its table.";
    RouteTableName = "enetstat.route.table.name", Type::Text, RT, always 0,
        "Name of its table, when it has one.";
    RouteTos = "enetstat.route.tos", Type::Integer, RT, always 0,
        "Type of service that it is for. Left out when it is for all.";
    RouteMetric = "enetstat.route.metric", Type::Integer, RT, always 0,
        "Priority: the lowest is taken.";
    RouteProtocol = "enetstat.route.protocol", Type::Text, RT, always RT,
        "Who made it; a number when it has no name.";
    RouteScope = "enetstat.route.scope", Type::Text, RT, always RT,
        "How far the destination is; a number when it has no name.";
    RouteSource = "enetstat.route.source.address", Type::Text, RT, always 0,
        "Source address of packets that take it.";
    RouteMtu = "enetstat.route.mtu", Type::Integer, RT, always 0,
        "Largest packet.";
    RouteMss = "enetstat.route.advmss", Type::Integer, RT, always 0,
        "Largest TCP segment that is announced.";
    RouteWindow = "enetstat.route.window", Type::Integer, RT, always 0,
        "Largest TCP window.";
    RouteRtt = "enetstat.route.rtt_us", Type::Integer, RT, always 0,
        "First guess of the round-trip time, in microseconds.";
    RouteHopLimit = "enetstat.route.hoplimit", Type::Integer, RT, always 0,
        "Hop limit of packets that take it.";
    RouteCwnd = "enetstat.route.initcwnd", Type::Integer, RT, always 0,
        "First congestion window, in segments.";
    RouteRwnd = "enetstat.route.initrwnd", Type::Integer, RT, always 0,
        "First receive window, in segments.";
    RouteExpires = "enetstat.route.expires_s", Type::Integer, RT, always 0,
        "Seconds until it goes by itself.";
    RouteCached = "enetstat.route.cached", Type::True, RT, always 0,
        "It is an exception that the kernel learnt, not a route of the table.";
    RouteHops = "enetstat.route.hops", Type::Hops, RT, always RT,
        "Ways out, more than one with multipath.";
    InterfaceName = "enetstat.interface.name", Type::Text, IF | GR, always 0,
        "Name of the interface, when it is UTF-8.";
    InterfaceNameHex = "enetstat.interface.name_hex", Type::Hex, IF | GR, always 0,
        "Name of the interface in hexadecimal, when it is not UTF-8.";
    InterfaceFlags = "enetstat.interface.flags", Type::Words(INTERFACE_FLAGS), IF, always IF,
        "IFF_ flags that are set.";
    InterfaceMtu = "enetstat.interface.mtu", Type::Integer, IF, always IF,
        "Largest packet.";
    InterfaceQueue = "enetstat.interface.txqueuelen", Type::Integer, IF, always 0,
        "Packets that may wait to be sent.";
    InterfaceHardware = "enetstat.interface.hardware.type", Type::Integer, IF, always IF,
        "ARPHRD_ number: 1 Ethernet, 772 loopback.";
    InterfaceAddress = "enetstat.interface.hardware.address", Type::Hex, IF, always 0,
        "Hardware address.";
    InterfaceKind = "enetstat.interface.kind", Type::Text, IF, always 0,
        "What made it: bridge, veth. Left out of a device.";
    InterfaceState = "enetstat.interface.operstate", Type::Text, IF, always 0,
        "Operational state (RFC 2863); a number when it has no name.";
    InterfaceMaster = "enetstat.interface.master", Type::Integer, IF, always 0,
        "Index of the bridge or bond it belongs to.";
    InterfaceAddresses = "enetstat.interface.addresses", Type::Addresses, IF, always IF,
        "Its IP addresses.";
    RxPackets = "enetstat.interface.rx.packets", Type::Integer64, IF, always 0,
        "Packets received.";
    RxBytes = "enetstat.interface.rx.bytes", Type::Integer64, IF, always 0,
        "Bytes received.";
    RxErrors = "enetstat.interface.rx.errors", Type::Integer64, IF, always 0,
        "Faulty packets received, those with frame errors among them.";
    RxDropped = "enetstat.interface.rx.dropped", Type::Integer64, IF, always 0,
        "Packets received and dropped, for want of a buffer too.";
    RxOverruns = "enetstat.interface.rx.overruns", Type::Integer64, IF, always 0,
        "Packets that did not fit the device's queue.";
    RxFrame = "enetstat.interface.rx.frame", Type::Integer64, IF, always 0,
        "Packets of a wrong length, checksum or alignment.";
    RxMulticast = "enetstat.interface.rx.multicast", Type::Integer64, IF, always 0,
        "Multicast packets received.";
    TxPackets = "enetstat.interface.tx.packets", Type::Integer64, IF, always 0,
        "Packets sent.";
    TxBytes = "enetstat.interface.tx.bytes", Type::Integer64, IF, always 0,
        "Bytes sent.";
    TxErrors = "enetstat.interface.tx.errors", Type::Integer64, IF, always 0,
        "Packets that could not be sent.";
    TxDropped = "enetstat.interface.tx.dropped", Type::Integer64, IF, always 0,
        "Packets to be sent that were dropped.";
    TxOverruns = "enetstat.interface.tx.overruns", Type::Integer64, IF, always 0,
        "Packets that the device's queue lost.";
    TxCarrier = "enetstat.interface.tx.carrier", Type::Integer64, IF, always 0,
        "Packets lost for want of a carrier.";
    TxCollisions = "enetstat.interface.tx.collisions", Type::Integer64, IF, always 0,
        "Collisions.";
    GroupAddress = "enetstat.group.address", Type::Text, GR, always GR,
        "Address of the group.";
    GroupUsers = "enetstat.group.users", Type::Integer, GR, always GR,
        "How many asked for it.";
    IpProtocol = "enetstat.ip.protocol", Type::Integer, MQ, always MQ,
        "IP protocol number.";
    SourceAddress = "source.address", Type::Text, MQ, always MQ,
        "The host behind this one.";
    SourcePort = "source.port", Type::Integer, MQ, always MQ,
        "Its port; of ICMP the identifier.";
    DestinationAddress = "destination.address", Type::Text, MQ, always MQ,
        "Whom it talks to.";
    DestinationPort = "destination.port", Type::Integer, MQ, always MQ,
        "Port of that.";
    NatAddress = "enetstat.nat.address", Type::Text, MQ, always MQ,
        "The source address that the destination sees.";
    NatPort = "enetstat.nat.port", Type::Integer, MQ, always MQ,
        "The source port that the destination sees.";
    NatExpires = "enetstat.nat.expires_s", Type::Integer, MQ, always MQ,
        "Seconds until it is forgotten.";
}

impl Field {
    /// The field of this name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|field| field.spec().name == name)
    }

    /// Its line in the table.
    pub const fn spec(self) -> &'static Spec {
        &FIELDS[self as usize]
    }
}

#[cfg(test)]
mod tests;
