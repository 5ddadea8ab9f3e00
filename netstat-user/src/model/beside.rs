//! Sockets beside TCP: those of UDP, unix, MPTCP and SCTP.

use super::{Comm, How, Identity, Learnt, Mono, Pid, SockId, TcpState, UnixKind};
use std::time::Duration;

/// What a socket beside TCP speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    UdpLite,
    /// The socket of the application; its subflows are TCP sockets.
    Mptcp,
    Sctp,
    Unix(UnixKind),
}

impl Transport {
    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Mptcp => "mptcp",
            Self::Sctp => "sctp",
            Self::Unix(_) => "unix",
        }
    }
}

/// What a socket is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// There is none (yet, or any more).
    Gone,
    /// It has no peer and does not listen.
    Unconnected,
    Listening,
    Connected,
    /// One of the states that MPTCP and SCTP share with TCP.
    Moving(TcpState),
}

impl Doing {
    /// The state of a socket that reports changes of state.
    pub const fn of(state: TcpState) -> Self {
        match state {
            TcpState::Close => Self::Gone,
            TcpState::Listen => Self::Listening,
            TcpState::Established => Self::Connected,
            other => Self::Moving(other),
        }
    }

    /// The state of TCP that is most like it; of one without a peer there is none.
    pub const fn state(self) -> Option<TcpState> {
        match self {
            Self::Gone => Some(TcpState::Close),
            Self::Unconnected => None,
            Self::Listening => Some(TcpState::Listen),
            Self::Connected => Some(TcpState::Established),
            Self::Moving(state) => Some(state),
        }
    }

    /// In the words of netstat and ss.
    pub const fn name(self) -> &'static str {
        match self.state() {
            Some(state) => state.name(),
            None => "UNCONN",
        }
    }

    /// In those of OpenTelemetry, which has none for a socket without a peer.
    pub const fn otel(self) -> &'static str {
        match self.state() {
            Some(state) => state.otel(),
            None => "unconnected",
        }
    }
}

/// The name of a unix socket: its first bytes, as many as an address may have (`UNIX_PATH_MAX`, unix(7)).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UnixName {
    bytes: [u8; 108],
    length: u8,
}

impl UnixName {
    /// No name.
    pub const NONE: Self = Self { bytes: [0; 108], length: 0 };

    pub fn new(name: &[u8]) -> Self {
        let length = name.len().min(108);
        let mut bytes = [0; 108];
        bytes[..length].copy_from_slice(&name[..length]);
        Self { bytes, length: length as u8 }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for UnixName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}

/// A socket as a listing or an event shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beside {
    pub transport: Transport,
    pub doing: Doing,
    pub id: SockId,
    /// Of a unix socket only the namespace means something.
    pub identity: Identity,
    /// Of a unix socket.
    pub name: UnixName,
    /// 0: not told, or no file holds it.
    pub inode: u32,
    /// A process that holds it, or made the change.
    pub owner: Option<(Pid, Comm)>,
    /// How sure the owner is.
    pub how: How,
    /// Bytes of memory that wait to be read and to be sent; `None`: not told.
    pub queues: Option<(u32, u32)>,
    /// Datagrams dropped so far; `None`: not told.
    pub drops: Option<u64>,
}

/// A socket came, changed or went, or dropped datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BesideChange {
    pub at: Mono,
    pub from: Doing,
    /// Time spent in `from`; `None` when its beginning was not seen.
    pub spent: Option<Duration>,
    pub learnt: Learnt,
    /// Errno or 0.
    pub err: u16,
    /// After the change.
    pub socket: Beside,
    /// Datagrams dropped since the change before.
    pub dropped: u64,
}

/// One pass over sockets of UDP and unix.
#[derive(Clone, Debug)]
pub struct BesideListing {
    pub at: Mono,
    /// Inodes of the namespaces that could not be listed whole: what is missing there is not gone.
    pub faulty: Vec<u32>,
    /// Which protocols were listed: UDP (with UDP-Lite), unix.
    pub udp: bool,
    pub unix: bool,
    pub rows: Vec<Beside>,
    /// The first one: what it shows was there before us.
    pub initial: bool,
}

/// A change of state that a kernel hook reported, of a socket of MPTCP or SCTP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BesideMoved {
    pub at: Mono,
    pub transport: Transport,
    pub id: SockId,
    pub from: TcpState,
    pub to: TcpState,
    pub err: u16,
    /// The process that acted.
    pub actor: Option<Pid>,
    pub identity: Identity,
}
