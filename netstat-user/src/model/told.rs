//! What the table says when it has learnt something.

use super::{Comm, Details, Identity, Mono, Pid, Process, Reset, SockId, TcpState, Totals};
use std::sync::Arc;
use std::time::Duration;

/// How a change came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// A kernel hook reported it as it happened; the time is the kernel's.
    Event,
    /// Concluded from an event and confirmed by asking the kernel (TIME_WAIT), or from a timer that the kernel named.
    Deduced,
    /// A listing showed it; it happened at some time before.
    Listing,
}

/// How sure the owner is, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum How {
    /// The owner of the listener it came from: nobody has accepted it yet.
    Inherited = 1,
    /// It closed or shut down the connection.
    Closed = 2,
    /// It sent or received on it.
    Used = 3,
    /// It was found holding a file of the socket.
    Held = 4,
    /// `accept` gave it the connection.
    Accepted = 5,
    /// It called `connect` or `listen`.
    Opened = 6,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Both ends closed it.
    Closed,
    /// The peer reset it.
    Reset,
    /// This end's process gave it up with a reset: SO_LINGER with no time, or unread data.
    Aborted,
    /// The peer refused it.
    Refused,
    /// The peer did not answer.
    TimedOut,
    /// The network said that the peer cannot be reached.
    Unreachable,
    /// This end's process closed it before the peer had answered.
    GivenUp,
    /// Somebody on this host ended it (SOCK_DESTROY).
    Destroyed,
    /// Its listener closed before anybody accepted it.
    ListenerClosed,
    /// The kernel gave it up, nobody having it any more: too many of those, or too little memory.
    Killed,
    /// Another error, which is told beside it.
    Failed,
}

/// What lies behind a [`Reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Timed out: nobody answered the SYN, or the answer to it.
    Handshake,
    /// Timed out: data, or the FIN, were sent again and never acknowledged.
    Retransmission,
    /// Timed out: the peer's window was closed, and nobody answered probes of it.
    ZeroWindow,
    /// Timed out: nobody answered keepalive probes.
    Keepalive,
    /// Timed out: after the time that the process had set (TCP_USER_TIMEOUT).
    UserTimeout,
    /// Timed out: the peer's FIN never came.
    FinWait,
    /// Aborted: data was there that the process had not read.
    Unread,
    /// Aborted: the process asked for it (SO_LINGER with no time).
    Linger,
    /// Aborted: the process let go of the peer (`connect` to AF_UNSPEC).
    Disconnect,
    /// Aborted: data came when the process had closed.
    LateData,
}

impl Cause {
    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Retransmission => "retransmission",
            Self::ZeroWindow => "zero_window",
            Self::Keepalive => "keepalive",
            Self::UserTimeout => "user_timeout",
            Self::FinWait => "fin_wait",
            Self::Unread => "unread",
            Self::Linger => "linger",
            Self::Disconnect => "disconnect",
            Self::LateData => "late_data",
        }
    }
}

/// Why a connection ended, as far as that can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Why {
    pub reason: Option<Reason>,
    pub cause: Option<Cause>,
    /// The reset that ended it.
    pub reset: Option<Reset>,
}

/// How long the peer and the processes took, in microseconds, exact to one part in two thousand, and how often the peer kept
/// this end waiting. `None`: not known, or not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From the SYN to ESTABLISHED.
    pub handshake_us: Option<u32>,
    /// From ESTABLISHED until `accept` returned it.
    pub accept_us: Option<u32>,
    /// From ESTABLISHED to the end of the first call that sent something. Known with queue changes only.
    pub first_sent_us: Option<u32>,
    /// From ESTABLISHED to the end of the first call that received something. Known with queue changes only.
    pub first_received_us: Option<u32>,
    /// How often the SYN, or the answer to it, was sent again.
    pub syn_retrans: Option<u16>,
    /// How often the peer closed its receive window for so long that it was probed.
    pub windows: Option<u32>,
}

impl Reason {
    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::GivenUp => "given_up",
            Self::Destroyed => "destroyed",
            Self::ListenerClosed => "listener_closed",
            Self::Killed => "killed",
            Self::Failed => "failed",
        }
    }
}

/// Who closed a connection first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Local,
    Peer,
    /// The FINs crossed (simultaneous close, RFC 9293 section 3.6).
    Both,
}

impl First {
    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peer => "peer",
            Self::Both => "both",
        }
    }
}

/// A process, with as much of it as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub process: Process,
    /// Empty when nobody asked, or when it was gone before that.
    pub details: Details,
}

/// Everybody who has to do with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ties {
    /// The one that the connection is said to belong to.
    pub shown: Arc<Person>,
    /// Who opened or accepted it, as it was then; `None` when that was not seen.
    pub opener: Option<Arc<Person>>,
    /// Who was the last to act on it: opened, accepted, closed, or (with queues traced) sent or received.
    pub user: Option<Arc<Person>>,
    /// Who holds a file of it, as far as is known, by number.
    pub holders: Vec<Arc<Person>>,
    /// Since when the holders are known to be these: the last event or pass that said so.
    pub as_of: Mono,
}

/// The process a connection belongs to: the one that opened it as long as that holds it, else one that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub pid: Pid,
    /// Empty when the process was gone before it could be asked.
    pub comm: Comm,
    pub how: How,
    pub ties: Arc<Ties>,
}

impl Owner {
    /// A process of which nothing else is known, and nobody beside it.
    pub fn alone(process: Process, how: How) -> Self {
        let shown = Arc::new(Person { process, details: Details::default() });
        let ties = Ties { shown, opener: None, user: None, holders: Vec::new(), as_of: Mono::default() };
        Self { pid: process.pid, comm: process.comm, how, ties: Arc::new(ties) }
    }
}

/// A row of the table, copied out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Number of the row, never used for another one (before there have been four billion of them).
    pub serial: u32,
    pub id: SockId,
    pub identity: Identity,
    pub state: TcpState,
    /// When it entered `state`; `None` when that was before us or not seen.
    pub since: Option<Mono>,
    /// When it left CLOSE (or, for a child, when it was cloned); `None` when that was before us.
    pub opened: Option<Mono>,
    pub owner: Option<Owner>,
    /// 0 when no file holds it or it was never listed.
    pub inode: u32,
    /// Bytes waiting; `None` when not told yet.
    pub rqueue: Option<u32>,
    pub wqueue: Option<u32>,
    /// Changes were lost since this row was last confirmed.
    pub stale: bool,
    /// It was there before us.
    pub preexisting: bool,
    /// `Some(true)`: we called connect; `Some(false)`: it came from a listener.
    pub active: Option<bool>,
    /// Who closed first, where that was seen.
    pub first: Option<First>,
    pub latency: Latency,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    pub at: Mono,
    pub from: TcpState,
    pub to: TcpState,
    /// Time spent in `from`; `None` when its beginning was not seen.
    pub spent: Option<Duration>,
    pub learnt: Learnt,
    /// `sk_err` at that moment, errno or 0.
    pub err: u16,
    /// The process that caused it; `None` when the network or a timer did.
    pub actor: Option<Pid>,
    /// The row after the change.
    pub conn: Conn,
    /// Why it ended, with the change that ends it.
    pub why: Why,
    /// Known at CLOSE. Of a listener only its queues, `segs_in` (half open) and `lost` (dropped).
    pub totals: Option<Totals>,
}

/// A connection is over for its process: the socket closed, or only a TIME_WAIT (or orphan FIN_WAIT2) remains of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub at: Mono,
    /// State it was left in.
    pub conn: Conn,
    /// State before the end.
    pub from: TcpState,
    pub err: u16,
    pub why: Why,
    pub totals: Option<Totals>,
}

/// The table was blind for a while and is whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// When the loss was noticed.
    pub since: Mono,
    pub at: Mono,
    /// Events lost.
    pub lost: u64,
    /// Rows that had to be corrected, added or removed.
    pub corrected: u64,
}

/// What [`Table::learn`](crate::table::Table::learn) gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Transition(Transition),
    Ended(Ended),
    Queue {
        change: super::QueueChange,
        conn: Conn,
    },
    Repaired(Repair),
    /// A socket beside TCP.
    Socket(super::BesideChange),
}

impl Told {
    /// Where the socket is that it speaks of, and whose it is.
    pub fn place(&self) -> Option<(&Identity, Option<Pid>)> {
        let conn = match self {
            Self::Transition(transition) => &transition.conn,
            Self::Ended(ended) => &ended.conn,
            Self::Queue { conn, .. } => conn,
            Self::Socket(change) => {
                return Some((&change.socket.identity, change.socket.owner.map(|(pid, _)| pid)));
            }
            Self::Repaired(_) => return None,
        };
        Some((&conn.identity, conn.owner.as_ref().map(|owner| owner.pid)))
    }
}
