//! Everything the table can be told, whoever noticed it.

use super::{BesideListing, BesideMoved, Comm, Family, Mono, Pid, Process, Reset, SockRow, TcpState, Tuple};
pub use netstat_common::event::{Direction, How as Seen, Mini};
use std::num::NonZeroU64;

/// What names a socket. At least one is present in anything that comes from a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SockId {
    /// The kernel's socket cookie: unique while the system is up, kept from request to TIME_WAIT.
    pub cookie: Option<NonZeroU64>,
    /// The socket's address in the kernel: reused as soon as the socket is freed.
    pub pointer: Option<NonZeroU64>,
}

/// Who talks to whom, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub tuple: Tuple,
    /// Inode of the network namespace; 0 when unknown.
    pub netns: u32,
    pub uid: Option<u32>,
    /// Inode of the socket's cgroup (v2).
    pub cgroup: Option<NonZeroU64>,
}

/// Counters of a connection. Bytes are the application's: SYN and FIN, which the kernel's own counters contain, are taken
/// out where they can be told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes sent, each once.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent again; `None` before Linux 4.19.
    pub resent: Option<u64>,
    pub segs_out: u32,
    pub segs_in: u32,
    /// Segments sent again, SYN and SYN-ACK among them.
    pub retrans: u32,
    /// Smoothed round-trip time in microseconds; 0 when never measured.
    pub srtt_us: u32,
    /// Smallest round-trip time of the last minutes in microseconds; `None` when never measured.
    pub min_rtt_us: Option<u32>,
    /// Segments taken for lost (`tcp_sock.lost`); sock_diag does not tell.
    pub lost: Option<u32>,
    /// How often segments were seen to overtake others.
    pub reordered: Option<u32>,
    pub busy: Option<Busy>,
    /// Probes that nobody has answered: of a closed window, or keepalive.
    pub probes: u32,
    /// `TCP_USER_TIMEOUT` in milliseconds; 0: not set, or not told.
    pub user_timeout_ms: u32,
    /// Bytes received and not read at that moment.
    pub rqueue: u32,
    /// Bytes written and not acknowledged at that moment.
    pub wqueue: u32,
}

/// How long there was something to send or to be acknowledged, in microseconds of the kernel's coarse clock (a tick is one
/// to ten milliseconds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// All of it.
    pub total_us: u64,
    /// While the peer's receive window was too small, or closed.
    pub window_us: u64,
    /// While the socket's send buffer was too small.
    pub buffer_us: u64,
}

/// What is known of a socket when it moves to CLOSE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// No process has it any more.
    pub dead: bool,
    /// Its process asked for a reset (SO_LINGER with no time).
    pub linger: bool,
    /// No process has ever had it.
    pub unaccepted: bool,
}

/// A transition as a kernel hook saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub at: Mono,
    pub id: SockId,
    pub from: TcpState,
    pub to: TcpState,
    /// 0 before autobind.
    pub lport: u16,
    /// `sk_err`, errno or 0.
    pub err: u16,
    /// The process that acted; `None` when the network did.
    pub actor: Option<Pid>,
    /// This end was shut for both directions: by `close`, with nobody left who holds it, or by `shutdown`.
    pub released: bool,
    pub identity: Option<Identity>,
    pub totals: Option<Totals>,
    /// Of a move to CLOSE.
    pub closing: Closing,
    /// Of a move to ESTABLISHED: how often the SYN, or the answer to it, was sent again.
    pub syn_retrans: Option<u16>,
}

/// A reset was sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetSeen {
    pub at: Mono,
    pub id: SockId,
    pub reset: Reset,
}

/// The peer's receive window has been closed for so long that it is probed for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSeen {
    pub at: Mono,
    pub id: SockId,
}

/// Bytes waiting in a socket's queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueChange {
    pub at: Mono,
    pub id: SockId,
    pub state: TcpState,
    pub direction: Direction,
    pub rqueue: u32,
    pub wqueue: u32,
    /// Bytes sent since the change reported before.
    pub sent: u32,
    /// Bytes received since the change reported before.
    pub received: u32,
    pub actor: Option<Pid>,
}

/// A process came to use a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerSeen {
    pub at: Mono,
    pub id: SockId,
    pub pid: Pid,
    pub how: Seen,
}

/// Something happened to a connection that is no full socket: one that is half open (`struct request_sock`), or one that
/// only waits for its end (`struct inet_timewait_sock`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MiniSeen {
    pub at: Mono,
    /// Its address in the kernel, which is another one than that of the socket before or after it.
    pub pointer: NonZeroU64,
    /// A timewait socket keeps the cookie of its socket; a request has one when somebody asked for it.
    pub cookie: Option<NonZeroU64>,
    pub what: Mini,
    /// SYN_RECV, FIN_WAIT2 or TIME_WAIT.
    pub state: TcpState,
    /// With [`Mini::Begins`] and [`Mini::Goes`].
    pub identity: Option<Identity>,
}

/// A socket that connects has chosen its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSeen {
    pub at: Mono,
    pub id: SockId,
    pub identity: Identity,
}

/// Something happened to a process as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeSeen {
    pub at: Mono,
    pub pid: Pid,
    pub what: Living,
}

/// See [`LifeSeen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Living {
    /// It made a process that has its files.
    Forks { child: Pid },
    /// It executed a program. The sockets that it still holds are told next, unless it has `more` files than were looked
    /// at.
    Executes { more: bool },
    /// It ends, and closes what it holds.
    Exits,
}

/// One record of the kernel half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    Moved(Moved),
    /// A child was cloned from a listener (LISTEN -> SYN_RECV); the [`Moved`] that follows has its pointer.
    Child {
        at: Mono,
        pointer: NonZeroU64,
    },
    Queue(QueueChange),
    Owner(OwnerSeen),
    Process(Process),
    Life(LifeSeen),
    Mini(MiniSeen),
    Port(PortSeen),
    Reset(ResetSeen),
    Window(WindowSeen),
    /// A socket of MPTCP or SCTP changed its state.
    Beside(BesideMoved),
}

/// A set of states, one bit each (`1 << state`), as sock_diag takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(pub u32);

impl States {
    /// Every state of the kernel numbering from ESTABLISHED to CLOSING; UDP and raw sockets use CLOSE for "not connected".
    pub const ALL: Self = Self(0xffe);

    pub const fn of(states: &[TcpState]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < states.len() {
            bits |= states[i].bit();
            i += 1;
        }
        Self(bits)
    }

    pub const fn has(self, state: TcpState) -> bool {
        self.0 & state.bit() != 0
    }
}

/// One pass over the kernel's TCP sockets.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Each row was true at some moment between `began` and `ended`.
    pub began: Mono,
    pub ended: Mono,
    /// Inodes of the namespaces that were listed; empty when the only one listed has no number.
    pub netns: Vec<u32>,
    /// The states that were asked for.
    pub states: States,
    pub rows: Vec<SockRow>,
    /// The first one: what it shows was there before us and repairs nothing.
    pub initial: bool,
    /// It can name every socket by cookie (sock_diag); a procfs pass cannot.
    pub cookies: bool,
}

/// "Is this socket still there, and how?"
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The table's own mark, returned with the answer.
    pub token: u64,
    pub netns: u32,
    pub tuple: Tuple,
    /// `None` asks by addresses alone.
    pub cookie: Option<NonZeroU64>,
}

/// What the kernel said to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub token: u64,
    pub at: Mono,
    /// `None`: there is no such socket.
    pub row: Option<SockRow>,
}

/// A process that holds a file of the socket with this inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub inode: u32,
    /// Where the pass tells it.
    pub cookie: Option<NonZeroU64>,
    pub process: Process,
    /// The lowest of its descriptors of the socket.
    pub fd: u32,
}

/// One pass over the files of all processes.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    /// When it began.
    pub began: Mono,
    pub holders: Vec<Holder>,
    /// Every process was looked at: a socket that nobody was found to hold is held by nobody.
    pub complete: bool,
}

/// What a process is, more than the kernel half tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Its command line, the words separated by blanks; any bytes.
    pub command: Vec<u8>,
    /// Path of its program, any bytes; empty when it may not be known.
    pub executable: Vec<u8>,
    /// Name of its real user; empty when there is none.
    pub user: Vec<u8>,
}

/// What [`Table::learn`](crate::table::Table::learn) takes.
#[derive(Clone, Debug)]
pub enum Fact {
    Event(Event),
    Listing(Listing),
    /// One pass over sockets of UDP and unix.
    Beside(BesideListing),
    Answer(Answer),
    /// The namespace of the socket that was asked about can be reached by nothing any more.
    Gone(Answer),
    Holders(Holding),
    /// What a process was found to be just now.
    Details(Process, Details),
    /// Who a process is that an event named without telling.
    Process(Process),
    /// Something that is only counted may have gone uncounted until then.
    Uncounted(Mono),
    /// The kernel half could not report this many changes, the last of them before `until`.
    Lost {
        count: u64,
        until: Mono,
    },
}

impl Family {
    /// Inverse of `AF_INET`, `AF_INET6`.
    pub fn from_af(af: u16) -> Option<Self> {
        match af {
            netstat_common::AF_INET => Some(Self::V4),
            netstat_common::AF_INET6 => Some(Self::V6),
            _ => None,
        }
    }
}

impl From<[u8; 16]> for Comm {
    fn from(bytes: [u8; 16]) -> Self {
        Self::from_bytes(&bytes)
    }
}
