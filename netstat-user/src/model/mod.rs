//! What enetstat knows, as types: no source and no output is mentioned here.

pub mod counter;
pub mod endpoint;
pub mod fact;
pub mod process;
pub mod sock;
pub mod time;
pub mod told;

pub use counter::{Counter, Group};
pub use endpoint::{Endpoint, Family, Tuple};
pub use fact::{
    Answer, Event, Fact, Holder, Identity, Listing, Mini, MiniSeen, Moved, OwnerSeen, PortSeen, Question,
    QueueChange, SockId, States, Totals,
};
pub use process::{Comm, Pid, Process};
pub use sock::{Protocol, SockRow, Timer, TimerKind, UnixKind, UnixRow, UnixState};
pub use time::{Clock, Mono};
pub use told::{Conn, Ended, First, How, Learnt, Owner, Reason, Repair, Told, Transition};

pub use netstat_common::TcpState;
