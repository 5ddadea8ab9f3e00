//! What JSON objects are about.

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
    Change = 2048,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
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
            Self::Change => "A UDP, unix, MPTCP or SCTP socket came, changed, went, or dropped datagrams.",
        }
    }
}
