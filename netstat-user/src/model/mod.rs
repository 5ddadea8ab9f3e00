//! What enetstat knows, as types: no source and no output is mentioned here.

pub mod beside;
pub mod circuit;
pub mod counter;
pub mod detail;
pub mod display;
pub mod endpoint;
pub mod fact;
pub mod link;
pub mod lodging;
pub mod masquerade;
pub mod other;
pub mod process;
pub mod reset;
pub mod route;
pub mod sock;
pub mod time;
pub mod told;

pub use beside::{Beside, BesideChange, BesideListing, BesideMoved, Doing, Transport, UnixName};
pub use circuit::Circuit;
pub use counter::{Counter, Group};
pub use detail::{SockDetail, TcpInfo};
pub use display::{MulticastRoute, Softnet, Vif};
pub use endpoint::{Endpoint, Family, Tuple, octets};
pub use fact::{
    Answer, Busy, Closing, Details, Event, Fact, Holder, Holding, Identity, LifeSeen, Listing, Living, Mini,
    MiniSeen, Moved, OwnerSeen, PortSeen, Question, QueueChange, ResetSeen, SockId, States, Totals,
};
pub use link::{Address4, Address6, Counters, Interface, Membership};
pub use lodging::{Container, Lodging, Pod, Runtime};
pub use masquerade::Masqueraded;
pub use other::{
    Congestion, Detail, Memory, Neighbour, NetlinkRow, Nexthop, PacketRow, TcpDetail, UnixDetail, VsockRow,
};
pub use process::{Comm, Pid, Process};
pub use reset::{Reset, ResetNames, Way};
pub use route::{Hop, Metrics, Net, ProcRoute4, ProcRoute6, Route, RouteKind};
pub use sock::{Protocol, SctpRow, SockRow, Timer, TimerKind, UnixKind, UnixLine, UnixRow, UnixState};
pub use time::{Clock, Mono};
pub use told::{
    Cause, Conn, Ended, First, How, Latency, Learnt, Owner, Person, Reason, Repair, Ties, Told, Transition,
    Why,
};

pub use netstat_common::TcpState;
