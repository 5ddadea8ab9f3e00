//! What JSON objects are about.

/// The kind of a JSON object (`enetstat.kind`), a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
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
    Interval = 2048,
    Neighbour = 4096,
    Nexthop = 8192,
    Softnet = 16384,
    MulticastInterface = 32768,
    MulticastRoute = 65536,
    Change = 131_072,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 18] = [
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
        Self::Interval,
        Self::Neighbour,
        Self::Nexthop,
        Self::Softnet,
        Self::MulticastInterface,
        Self::MulticastRoute,
        Self::Change,
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
            Self::Interval => "interval",
            Self::Neighbour => "neighbour",
            Self::Nexthop => "nexthop",
            Self::Softnet => "softnet",
            Self::MulticastInterface => "multicast_interface",
            Self::MulticastRoute => "multicast_route",
            Self::Change => "change",
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
            Self::Interval => "What interfaces counted during one interval (--interval).",
            Self::Neighbour => "A neighbour on a link (--bsd -ra).",
            Self::Nexthop => "A next hop of its own, or a group of them (--nexthops).",
            Self::Softnet => "What one processor did with received packets (--softnet).",
            Self::MulticastInterface => "An interface of multicast routing (--multicast-routes).",
            Self::MulticastRoute => "A multicast route (--multicast-routes).",
            Self::Change => "A UDP, unix, MPTCP or SCTP socket came, changed, went, or dropped datagrams.",
        }
    }
}
