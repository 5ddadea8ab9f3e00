//! Every field that JSON output may carry: name, type, where it appears and what it means, once.
//!
//! Names without a dot or under `network.`, `process.` and `user.` are those of OpenTelemetry's semantic conventions;
//! `enetstat.` is ours. A field whose value is unknown is left out: there is no null, and 0 means 0.

/// The kind of a JSON object (`enetstat.kind`), a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Transition = 1,
    Connection = 2,
    Queue = 4,
    Repair = 8,
    Socket = 16,
    Summary = 32,
    Counter = 64,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Transition,
        Self::Connection,
        Self::Queue,
        Self::Repair,
        Self::Socket,
        Self::Summary,
        Self::Counter,
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
}

/// A line of the table of fields.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub name: &'static str,
    pub kind: Type,
    /// [`Kind`]s it may appear in.
    pub within: u8,
    /// [`Kind`]s it always appears in.
    pub always: u8,
    pub meaning: &'static str,
}

const T: u8 = Kind::Transition as u8;
const C: u8 = Kind::Connection as u8;
const Q: u8 = Kind::Queue as u8;
const R: u8 = Kind::Repair as u8;
const S: u8 = Kind::Socket as u8;
const E: u8 = Kind::Summary as u8;
const N: u8 = Kind::Counter as u8;
/// Kinds that speak of one connection.
const CONN: u8 = T | C | Q;

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

macro_rules! fields {
    ($($field:ident = $name:literal, $kind:expr, $within:expr, always $always:expr, $meaning:literal;)*) => {
        /// A field; its line in [`FIELDS`] is `FIELDS[field as usize]`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($field,)* }

        /// Every field, in the order of [`Field`].
        pub const FIELDS: &[Spec] = &[$(Spec {
            name: $name, kind: $kind, within: $within, always: $always, meaning: $meaning,
        },)*];
    };
}

fields! {
    Timestamp = "timestamp", Type::Time, T | C | Q | R | S | E | N, always T | C | Q | R | S | E | N,
        "When it happened; of a listing, when that was made.";
    Kind = "enetstat.kind", Type::Text, T | C | Q | R | S | E | N, always T | C | Q | R | S | E | N,
        "What the object is about.";
    Transport = "network.transport", Type::OneOf(&["tcp", "udp", "udplite", "raw", "unix"]), CONN | S, always CONN | S,
        "Protocol. udplite and raw are values of our own.";
    NetworkType = "network.type", Type::OneOf(&["ipv4", "ipv6"]), CONN | S | N, always CONN,
        "Address family of the socket: an IPv6 socket that talks IPv4 is ipv6. Of a counter the family it counts; left out \
        when it counts both.";
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
    Interface = "enetstat.interface.index", Type::Integer, CONN | S, always 0,
        "Interface the socket is bound to.";
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
}

impl Field {
    /// Its line in the table.
    pub const fn spec(self) -> &'static Spec {
        &FIELDS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_what_is_always_there_may_be_there() {
        for (at, spec) in FIELDS.iter().enumerate() {
            assert_eq!(FIELDS.iter().position(|other| other.name == spec.name), Some(at), "{}", spec.name);
            assert_eq!(spec.always & !spec.within, 0, "{}", spec.name);
            assert!(spec.meaning.ends_with('.'), "{}", spec.name);
        }
    }
}
