//! Every field that JSON output may carry: name, type, where it appears and what it means, once.
//!
//! Names without a dot or under `network.`, `process.`, `user.`, `source.` and `destination.` are those of
//! OpenTelemetry's semantic conventions; `enetstat.` is ours. A field whose value is unknown is left out: there is no
//! null, and 0 means 0.

mod spec;

use super::words::{INTERFACE_FLAGS, ROUTES};

pub use super::kind::Kind;
pub use spec::{Listed, Spec, Type};

const T: u32 = Kind::Transition as u32;
const C: u32 = Kind::Connection as u32;
const Q: u32 = Kind::Queue as u32;
const R: u32 = Kind::Repair as u32;
const S: u32 = Kind::Socket as u32;
const E: u32 = Kind::Summary as u32;
const RT: u32 = Kind::Route as u32;
const IF: u32 = Kind::Interface as u32;
const GR: u32 = Kind::Membership as u32;
const MQ: u32 = Kind::Masquerade as u32;
const N: u32 = Kind::Counter as u32;
const IV: u32 = Kind::Interval as u32;
const NB: u32 = Kind::Neighbour as u32;
const NH: u32 = Kind::Nexthop as u32;
const VI: u32 = Kind::MulticastInterface as u32;
const MR: u32 = Kind::MulticastRoute as u32;
const X: u32 = Kind::Change as u32;
/// Every kind.
const ANY: u32 = u32::MAX;
/// Kinds that speak of one connection.
const CONN: u32 = T | C | Q;

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
    "unconnected",
]);

const TRANSPORTS: Type = Type::OneOf(&[
    "tcp",
    "udp",
    "udplite",
    "raw",
    "unix",
    "packet",
    "netlink",
    "vsock",
    "mptcp",
    "sctp",
    "ipx",
    "ax25",
    "x25",
    "netrom",
    "rose",
    "appletalk",
    "econet",
    "ash",
    "l2cap",
    "rfcomm",
]);

macro_rules! fields {
    ($($field:ident = $name:literal, $kind:expr, $within:expr, always $always:expr, $meaning:literal;)*) => {
        /// A field; its line in [`FIELDS`] is `FIELDS[field as usize]`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($field,)* }

        /// Every field, in the order of [`Field`].
        pub const FIELDS: &[Spec] = &[$(Spec {
            name: $name, kind: $kind, within: $within, always: $always, meaning: $meaning,
        },)*];

        impl Listed for Field {
            fn listed(self) -> &'static Spec {
                &FIELDS[self as usize]
            }
        }
    };
}
pub(super) use fields;

/// Every field of every table.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    FIELDS.iter().chain(super::bsd::fields::FIELDS).chain(super::json::fields::FIELDS)
}

fields! {
    Timestamp = "timestamp", Type::Time, ANY, always ANY,
        "When it happened; of a listing, when that was made.";
    Kind = "enetstat.kind", Type::Text, ANY, always ANY,
        "What the object is about.";
    Transport = "network.transport", TRANSPORTS, CONN | S | X, always CONN | S | X,
        "Protocol. All but tcp, udp and unix are values of our own.";
    NetworkType = "network.type", Type::OneOf(&["ipv4", "ipv6"]), CONN | S | N | RT | GR | MQ | NB | NH | VI | MR | X,
        always CONN | RT | GR | MQ | NB | VI | MR,
        "Address family; of a socket its own: an IPv6 socket that talks IPv4 is ipv6. Left out of a \
        counter that counts both.";
    LocalAddress = "network.local.address", Type::Text, CONN | S | X, always CONN,
        "Local IP address.";
    LocalPort = "network.local.port", Type::Integer, CONN | S | X, always 0,
        "Local port; of a raw socket the protocol number. Left out before a port is chosen.";
    PeerAddress = "network.peer.address", Type::Text, CONN | S | X, always CONN,
        "Foreign IP address; the unspecified address when there is none.";
    PeerPort = "network.peer.port", Type::Integer, CONN | S | X, always 0,
        "Foreign port. Left out when there is no peer.";
    State = "network.connection.state", STATES, CONN | S | X, always CONN | X,
        "State; of a change, the one reached. Of a listed socket only of TCP, and of UDP with a peer. unconnected: it has no \
        peer and does not listen.";
    Pid = "process.pid", Type::Integer, CONN | S | X, always 0,
        "Process the connection belongs to.";
    User = "user.id", Type::Text, CONN | S | X, always 0,
        "Numeric user id of the socket.";
    Comm = "enetstat.process.comm", Type::Text, CONN | S | X, always 0,
        "Name of the process (comm), when it is UTF-8.";
    CommHex = "enetstat.process.comm_hex", Type::Hex, CONN | S | X, always 0,
        "Name of the process in hexadecimal, when it is not UTF-8.";
    Vpid = "process.vpid", Type::Integer, CONN | S, always 0,
        "Its number in its own PID namespace, where that is another one.";
    ParentPid = "process.parent_pid", Type::Integer, CONN | S, always 0,
        "The process that made it, or took it over.";
    CommandLine = "process.command_line", Type::Text, CONN | S, always 0,
        "Its command line, the words separated by blanks, when it is UTF-8. Left out when it had ended before it was asked.";
    CommandLineHex = "enetstat.process.command_line_hex", Type::Hex, CONN | S, always 0,
        "The same in hexadecimal, when it is not UTF-8.";
    Executable = "process.executable.path", Type::Text, CONN | S, always 0,
        "Its program, when the path is UTF-8. Left out when it had ended before it was asked, and where it may not be seen.";
    ExecutableHex = "enetstat.process.executable.path_hex", Type::Hex, CONN | S, always 0,
        "The same in hexadecimal, when it is not UTF-8.";
    ExecutableName = "process.executable.name", Type::Text, CONN | S, always 0,
        "The last part of the path of its program, when it is UTF-8.";
    RealUser = "process.real_user.id", Type::Integer, CONN | S, always 0,
        "Real user of the process, which need not be that of the socket.";
    UserName = "user.name", Type::Text, CONN | S, always 0,
        "Name of the socket's user, when there is one and it is UTF-8.";
    OwnerHow = "enetstat.owner.how", Type::OneOf(&["opened", "accepted", "held", "used", "closed", "inherited"]), CONN | S | X, always 0, "How the process is known to own it: it called connect or listen; accept gave it; it holds a file of \
        it; it sent or received; it closed it; it owns the listener and nobody has accepted the connection yet.";
    OpenerPid = "enetstat.owner.opener.pid", Type::Integer, CONN | S, always 0,
        "Process that opened or accepted it. Left out when that was not seen.";
    OpenerComm = "enetstat.owner.opener.comm", Type::Text, CONN | S, always 0,
        "Its name at that time, when it is UTF-8.";
    OpenerCommHex = "enetstat.owner.opener.comm_hex", Type::Hex, CONN | S, always 0,
        "The same in hexadecimal, when it is not UTF-8.";
    UserPid = "enetstat.owner.last_user.pid", Type::Integer, CONN | S, always 0,
        "Process that was seen to act on it last: open, accept, close it, or (with --queues) send or receive.";
    OwnerHolders = "enetstat.owner.holders", Type::Holders, CONN | S, always 0,
        "Processes known to hold a file of it now; none when all have closed it. Left out once the connection is closed.";
    OwnerAge = "enetstat.owner.age_ns", Type::Integer64, CONN | S, always 0,
        "Nanoseconds since the event or the pass that showed the holders; a file that was passed on or closed by one of \
        several since is not known.";
    Netns = "enetstat.netns", Type::Integer, CONN | S | N | RT | IF | GR | MQ | X | IV | NB | NH | VI | MR, always 0,
        "Inode of the network namespace.";
    Cookie = "enetstat.socket.cookie", Type::Integer64, CONN | S | X, always 0,
        "The kernel's socket cookie.";
    Connection = "enetstat.connection.id", Type::Integer, CONN | S, always CONN,
        "Number of the connection within this run of the program: the same in all lines about it. The cookie may come \
        to be known only later, where the kernel does not tell it to tracing programs.";
    Inode = "enetstat.socket.inode", Type::Integer64, CONN | S | X, always 0,
        "Inode of the socket. Left out when no file holds it.";
    Cgroup = "enetstat.cgroup.id", Type::Integer64, CONN | S | X, always 0,
        "Inode of the socket's cgroup (v2).";
    CgroupPath = "enetstat.cgroup.path", Type::Text, CONN | S | X, always 0,
        "Path of the socket's cgroup (v2), or of its process where that is managed by version 1, when it is UTF-8. / is the \
        root. Left out when the cgroup was gone before it could be asked about.";
    CgroupPathHex = "enetstat.cgroup.path_hex", Type::Hex, CONN | S | X, always 0,
        "The path in hexadecimal, when it is not UTF-8.";
    ContainerId = "container.id", Type::Text, CONN | S | X, always 0,
        "The container that the socket was made in; of LXC and systemd-nspawn its name.";
    ContainerName = "container.name", Type::Text, CONN | S | X, always 0,
        "Its name. Left out when its runtime's files do not tell.";
    ContainerRuntime = "container.runtime.name", Type::OneOf(&["docker", "containerd", "cri-o", "podman", "lxc",
        "systemd-nspawn"]), CONN | S | X, always 0,
        "What made it.";
    PodUid = "k8s.pod.uid", Type::Text, CONN | S | X, always 0,
        "The Kubernetes pod.";
    PodName = "k8s.pod.name", Type::Text, CONN | S | X, always 0,
        "Its name.";
    PodNamespace = "k8s.namespace.name", Type::Text, CONN | S | X, always 0,
        "Its namespace in Kubernetes.";
    PodContainer = "k8s.container.name", Type::Text, CONN | S | X, always 0,
        "Name of the container in the pod's specification.";
    Interface = "enetstat.interface.index", Type::Integer, CONN | S | IF | GR | NB | NH, always IF | GR | NB,
        "The interface; of a socket, the one it is bound to.";
    From = "enetstat.state.from", STATES, T | C | X, always T | C | X,
        "State left.";
    Spent = "enetstat.state.spent_ns", Type::Integer64, T | X, always 0,
        "Nanoseconds spent in the state left.";
    Learnt = "enetstat.learnt", Type::OneOf(&["event", "deduced", "listing"]), T | X, always T | X,
        "How it is known: reported as it happened; concluded and confirmed; a listing showed it, and it happened at some \
        time before.";
    Actor = "enetstat.actor.pid", Type::Integer, T | Q, always 0,
        "Process that caused it. Left out when the network or a timer did.";
    Error = "enetstat.error", Type::Text, T | C | X, always 0,
        "Error of the socket at that moment (ECONNREFUSED).";
    Reason = "enetstat.end.reason", Type::OneOf(&["closed", "reset", "aborted", "refused", "timed_out", "unreachable",
        "given_up", "destroyed", "listener_closed", "killed", "failed"]), T | C, always 0,
        "Why it ended, with the change that ends it: both ends closed it; the peer reset it; this end's process gave it up \
        with a reset; the peer refused; the peer did not answer; it cannot be reached; this end's process closed it \
        before the peer had answered; somebody on this host destroyed it; its listener closed before anybody accepted it; the \
        kernel gave it up for want of memory, no process having it any more; another error. Left out when it cannot be told.";
    Cause = "enetstat.end.cause", Type::OneOf(&["handshake", "retransmission", "zero_window", "keepalive", "user_timeout",
        "fin_wait", "unread", "linger", "disconnect", "late_data"]), T | C, always 0,
        "What lies behind the reason. Timed out: nobody answered the SYN or SYN-ACK; nor data or a FIN, sent again and \
        again; nor probes of a closed window; nor keepalive probes; within TCP_USER_TIMEOUT; the peer's FIN never came. \
        Aborted: data was not read at close; SO_LINGER with no time; connect to AF_UNSPEC; data came after the close.";
    ResetWay = "enetstat.reset.direction", Type::OneOf(&["sent", "received"]), T | C, always 0,
        "Which way the reset went that belongs to the end. Left out when there was none, or none could be seen.";
    ResetReason = "enetstat.reset.reason", Type::Text, T | C, always 0,
        "The kernel's own word for why it sent the reset (enum sk_rst_reason without its prefix; Linux 6.10 and later).";
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
    BytesResent = "enetstat.bytes.resent", Type::Integer64, T | C | S, always 0,
        "Bytes sent again, not counted in those sent.";
    SegmentsOut = "enetstat.segments.out", Type::Integer, T | C | S, always 0,
        "Segments sent.";
    SegmentsIn = "enetstat.segments.in", Type::Integer, T | C | S, always 0,
        "Segments received.";
    Retransmits = "enetstat.retransmits", Type::Integer, T | C | S, always 0,
        "Segments sent again, SYN and SYN-ACK among them.";
    SynRetransmits = "enetstat.syn.retransmits", Type::Integer, CONN | S, always 0,
        "How often the SYN, or the SYN-ACK that answers it, was sent again. Left out when it was not seen established.";
    SegmentsLost = "enetstat.segments.lost", Type::Integer, T | C | S, always 0,
        "Segments that were taken for lost.";
    Reordered = "enetstat.reordered", Type::Integer, T | C | S, always 0,
        "How often segments were seen to overtake others.";
    BusyTime = "enetstat.busy_us", Type::Integer64, T | C | S, always 0,
        "Microseconds in which something was to be sent or acknowledged, by the kernel's coarse clock of 1 to 10 ms.";
    WindowTime = "enetstat.window.limited_us", Type::Integer64, T | C | S, always 0,
        "Those of them in which the peer's receive window was too small, or closed.";
    Windows = "enetstat.window.closed", Type::Integer, T | C, always 0,
        "How often the peer closed its receive window for so long that it was probed. Left out where that has no event, and \
        when the connection is older than the trace or than the last loss of events.";
    BufferTime = "enetstat.buffer.limited_us", Type::Integer64, T | C | S, always 0,
        "Those of them in which the socket's send buffer was too small.";
    Probes = "enetstat.probes", Type::Integer, T | C, always 0,
        "Probes of a closed window, or keepalive probes, that were not answered at the end.";
    Rtt = "enetstat.rtt_us", Type::Integer, T | C | S, always 0,
        "Smoothed round-trip time in microseconds. Left out when never measured.";
    RttMin = "enetstat.rtt.min_us", Type::Integer, T | C | S, always 0,
        "Smallest round-trip time of the last minutes (net.ipv4.tcp_min_rtt_wlen) in microseconds.";
    Handshake = "enetstat.latency.handshake_us", Type::Integer, CONN | S, always 0,
        "Microseconds from the SYN to ESTABLISHED; from 4 ms on this and the next three to one part in two thousand. Left \
        out when the SYN was not seen.";
    AcceptTime = "enetstat.latency.accept_us", Type::Integer, CONN | S, always 0,
        "Microseconds from ESTABLISHED until accept returned it.";
    FirstSent = "enetstat.latency.first_sent_us", Type::Integer, CONN | S, always 0,
        "Microseconds from ESTABLISHED to the end of the first call that sent something (trace --queues).";
    FirstReceived = "enetstat.latency.first_received_us", Type::Integer, CONN | S, always 0,
        "Microseconds from ESTABLISHED to the end of the first call that received something (trace --queues).";
    ListenerWaiting = "enetstat.listener.waiting", Type::Integer, T | S, always 0,
        "Of a listener, or of one that closes: connections waiting for accept.";
    ListenerLimit = "enetstat.listener.limit", Type::Integer, T | S, always 0,
        "How many may wait; one more than that is the last that is taken in.";
    ListenerHalfOpen = "enetstat.listener.half_open", Type::Integer, T | S, always 0,
        "Half-open connections of a listener (SYN received, final ACK not). Left out when several listeners share them.";
    ListenerDropped = "enetstat.listener.dropped", Type::Integer64, T | S, always 0,
        "SYNs and connections that a listener has dropped in its life, because a queue was full or for another reason.";
    QueueReceive = "enetstat.queue.receive", Type::Integer, Q | S | T | C | X, always Q,
        "Bytes received and not read; of a listener the connections waiting for accept. With CLOSE: never read.";
    QueueSend = "enetstat.queue.send", Type::Integer, Q | S | T | C | X, always Q,
        "Bytes not acknowledged; of a listener the backlog limit, left out where /proc does not tell it. With CLOSE: written \
        and never acknowledged.";
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
    Drops = "enetstat.drops", Type::Integer64, S | X, always 0,
        "Datagrams dropped.";
    Dropped = "enetstat.dropped", Type::Integer64, X, always 0,
        "Datagrams dropped since the line before about the socket.";
    V6Only = "enetstat.v6only", Type::Bool, S, always 0,
        "Whether the socket takes IPv6 only.";
    RawState = "enetstat.raw.state", Type::Integer, S, always 0,
        "State number of a raw socket: 1 connected, 7 not.";
    UnixPath = "enetstat.unix.path", Type::Text, S | X, always 0,
        "Path, when it is UTF-8. An abstract name starts with @ and has its NUL bytes shown as @.";
    UnixPathHex = "enetstat.unix.path_hex", Type::Hex, S | X, always 0,
        "Path in hexadecimal, when it is not UTF-8.";
    UnixType = "enetstat.unix.type", Type::OneOf(&["stream", "dgram", "raw", "rdm", "seqpacket", "unknown"]), S | X, always 0,
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
        "Name of the congestion control (--info, --congestion).";
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
    RouteKind = "enetstat.route.type", Type::OneOf(ROUTES), RT, always RT,
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
    InterfaceName = "enetstat.interface.name", Type::Text, S | IF | GR | N | IV | NB | NH | VI, always 0,
        "Name of the interface, when it is UTF-8.";
    InterfaceNameHex = "enetstat.interface.name_hex", Type::Hex, S | IF | GR | N | IV | NB | NH | VI, always 0,
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

#[cfg(test)]
mod tests;
