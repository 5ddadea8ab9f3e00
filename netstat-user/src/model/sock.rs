//! Sockets as a listing shows them.

use super::{Endpoint, Family, TcpState, Totals};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

/// Protocol of an inet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
    UdpLite,
    Raw,
}

/// Which timer of a socket is pending (`idiag_timer`; the `tr` column of /proc/net/tcp).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    Off,
    /// Retransmission (also tail-loss probe and reordering).
    On,
    Keepalive,
    TimeWait,
    /// Zero-window probe.
    Probe,
    /// A number this program does not know.
    Other(u8),
}

impl From<u8> for TimerKind {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Off,
            1 => Self::On,
            2 => Self::Keepalive,
            3 => Self::TimeWait,
            4 => Self::Probe,
            other => Self::Other(other),
        }
    }
}

/// The pending timer of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    pub kind: TimerKind,
    /// Milliseconds until it fires.
    pub expires_ms: u32,
    /// Retransmissions so far (`icsk_retransmits`; for a keepalive or probe timer see `probes`).
    pub retransmits: u32,
    /// Unanswered probes (`icsk_probes_out`). sock_diag tells only one of the two.
    pub probes: u32,
}

/// One inet socket of a listing. `None` is "not told", never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockRow {
    pub protocol: Protocol,
    pub family: Family,
    /// For UDP and raw sockets: 1 connected, 7 not, as the kernel uses the numbers; raw sockets print it.
    pub state: TcpState,
    pub local: Endpoint,
    pub foreign: Endpoint,
    /// Interface index of SO_BINDTODEVICE; 0: none.
    pub bound_if: u32,
    /// `None` from procfs.
    pub cookie: Option<NonZeroU64>,
    /// Inode of the network namespace it was listed in; 0 when that is unknown.
    pub netns: u32,
    pub uid: u32,
    /// 0 when no file holds the socket (not accepted yet, orphan, TIME_WAIT, kernel socket).
    pub inode: u32,
    /// Bytes received and not read; of a TCP listener the connections waiting for accept.
    pub rqueue: u32,
    /// Bytes not acknowledged; of a TCP listener the backlog limit from sock_diag, 0 from procfs.
    pub wqueue: u32,
    pub timer: Timer,
    /// Datagrams dropped (UDP, raw); of a TCP listener, SYNs and connections.
    pub drops: Option<u64>,
    /// IPV6_V6ONLY.
    pub v6only: Option<bool>,
    /// Inode of the socket's cgroup (v2). `None` from procfs, before 5.8, and of a request or timewait socket.
    pub cgroup: Option<NonZeroU64>,
    /// Counters, when asked for; of a listener only `segs_in`, its half-open connections.
    pub totals: Option<Totals>,
}

/// Type of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixKind {
    Stream,
    Dgram,
    Raw,
    Rdm,
    Seqpacket,
    Other(u16),
}

impl UnixKind {
    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Dgram => "dgram",
            Self::Raw => "raw",
            Self::Rdm => "rdm",
            Self::Seqpacket => "seqpacket",
            Self::Other(_) => "unknown",
        }
    }
}

/// State of a unix socket, as netstat prints it (`SS_*` of /proc/net/unix).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixState {
    Free,
    Unconnected,
    Connecting,
    Connected,
    Disconnecting,
    Other(u8),
}

/// One unix socket of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixRow {
    pub kind: UnixKind,
    pub state: UnixState,
    /// `__SO_ACCEPTCON`: it listens.
    pub listening: bool,
    /// Other `SO_*` flags of /proc/net/unix.
    pub flags: u32,
    pub refcount: u32,
    pub inode: u64,
    /// Path bytes as /proc/net/unix has them: abstract names start with `@` and have their NULs shown as `@`. Empty: unnamed.
    pub path: Vec<u8>,
    pub cookie: Option<NonZeroU64>,
}

/// One line of /proc/net/unix as net-tools reads it: numbers it does not know are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixLine<'a> {
    pub refcount: u64,
    pub protocol: u64,
    /// `SO_*` flags.
    pub flags: u64,
    /// `SOCK_*`.
    pub kind: u32,
    /// `SS_*`.
    pub state: u32,
    pub inode: u64,
    /// Up to the first blank.
    pub path: &'a [u8],
}

/// An SCTP endpoint or association.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SctpRow {
    /// Bytes received and not read, and sent and not acknowledged; `None` for an endpoint.
    pub queues: Option<(u32, u32)>,
    /// `SCTP_SS_*`, numbers of TCP's states.
    pub state: i64,
    pub uid: u32,
    pub inode: u64,
    /// Local and foreign; 0 when there is none.
    pub ports: (u16, u16),
    pub local: Vec<IpAddr>,
    pub foreign: Vec<IpAddr>,
}

impl SctpRow {
    /// The first address at each end, with its port; that there is none is the unspecified address.
    pub fn ends(&self) -> [Endpoint; 2] {
        let none = match self.local.first() {
            Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let end =
            |addresses: &[IpAddr], port| Endpoint { addr: addresses.first().copied().unwrap_or(none), port };
        [end(&self.local, self.ports.0), end(&self.foreign, self.ports.1)]
    }

    /// `None`: a number that no state has.
    pub fn state(&self) -> Option<TcpState> {
        u8::try_from(self.state).ok().and_then(|code| TcpState::try_from(code).ok())
    }
}
