//! What enetstat knows, as types: no source and no output is mentioned here.

pub mod counter;
pub mod detail;
pub mod endpoint;
pub mod fact;
pub mod link;
pub mod masquerade;
pub mod process;
pub mod route;
pub mod sock;
pub mod time;
pub mod told;

pub use counter::{Counter, Group};
pub use detail::{Detail, TcpInfo};
pub use endpoint::{Endpoint, Family, Tuple, octets};
pub use fact::{
    Answer, Event, Fact, Holder, Identity, Listing, Mini, MiniSeen, Moved, OwnerSeen, PortSeen, Question,
    QueueChange, SockId, States, Totals,
};
pub use link::{Address4, Address6, Counters, Interface, Membership};
pub use masquerade::Masqueraded;
pub use process::{Comm, Pid, Process};
pub use route::{Hop, Metrics, Net, ProcRoute4, ProcRoute6, Route, RouteKind};
pub use sock::{Protocol, SctpRow, SockRow, Timer, TimerKind, UnixKind, UnixLine, UnixRow, UnixState};
pub use time::{Clock, Mono};
pub use told::{Conn, Ended, First, How, Learnt, Owner, Reason, Repair, Told, Transition};

pub use netstat_common::TcpState;
