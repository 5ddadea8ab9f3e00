//! Whether a condition holds for a socket. What is not known of it makes a condition neither true nor false: such a socket is
//! not shown.

use super::{Address, Cgroup, Compare, Cond, Device, Expr, Host, Kind, Port, Selection, Side};
use crate::model::{
    Beside, Conn, Endpoint, Family, SockRow, States, TcpState, Transport, UnixRow, UnixState,
};
use std::num::NonZeroU64;

/// What conditions ask of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub kind: Kind,
    pub state: TcpState,
    /// Of an inet socket.
    pub ends: Option<(Endpoint, Endpoint)>,
    /// Interface it is bound to; 0: none.
    pub device: Option<u32>,
    pub mark: Option<u32>,
    /// Inode of its cgroup; 0: it belongs to none.
    pub cgroup: Option<u64>,
    /// Of a unix socket: its path, empty when it has none.
    pub path: &'a [u8],
    /// The path of the other end, empty when there is none.
    pub peer: Option<&'a [u8]>,
    /// Of a unix socket, what ss has in the place of ports: its inode, and that of the other end, 0 when there is none.
    pub inodes: (Option<u64>, Option<u64>),
    /// Ports that the kernel chooses, the last included (`net.ipv4.ip_local_port_range`).
    pub ephemeral: (u16, u16),
}

/// Linux' own choice of `net.ipv4.ip_local_port_range`.
pub const EPHEMERAL: (u16, u16) = (32_768, 60_999);

impl<'a> Subject<'a> {
    /// A row; what the kernel did not tell with it is not known.
    pub fn of_row(row: &SockRow, ephemeral: (u16, u16)) -> Self {
        Self {
            kind: kind(row.family),
            state: row.state,
            ends: Some((row.local, row.foreign)),
            // /proc, which tells no cookies, does not tell it.
            device: row.cookie.is_some().then_some(row.bound_if),
            mark: None,
            cgroup: row.cgroup.map(NonZeroU64::get),
            path: b"",
            peer: None,
            inodes: (None, None),
            ephemeral,
        }
    }

    pub fn of_unix(row: &'a UnixRow) -> Self {
        let state = match row.state {
            UnixState::Unconnected if row.listening => TcpState::Listen,
            UnixState::Connecting => TcpState::SynSent,
            UnixState::Connected => TcpState::Established,
            UnixState::Disconnecting => TcpState::Closing,
            UnixState::Free | UnixState::Unconnected | UnixState::Other(_) => TcpState::Close,
        };
        Self {
            kind: Kind::Unix,
            state,
            ends: None,
            device: Some(0),
            mark: Some(0),
            cgroup: Some(0),
            path: &row.path,
            peer: None,
            inodes: (Some(row.inode), None),
            ephemeral: EPHEMERAL,
        }
    }

    pub fn of_conn(conn: &Conn) -> Self {
        let tuple = &conn.identity.tuple;
        Self {
            kind: kind(tuple.family),
            state: conn.state,
            ends: Some((tuple.local(), tuple.foreign())),
            device: Some(tuple.bound_if),
            mark: None,
            cgroup: conn.identity.cgroup.map(NonZeroU64::get),
            path: b"",
            peer: None,
            inodes: (None, None),
            ephemeral: EPHEMERAL,
        }
    }

    /// A socket beside TCP as a trace tells of it.
    pub fn of_beside(socket: &'a Beside) -> Self {
        let tuple = &socket.identity.tuple;
        let unix = matches!(socket.transport, Transport::Unix(_));
        Self {
            kind: if unix { Kind::Unix } else { kind(tuple.family) },
            state: socket.doing.state().unwrap_or(TcpState::Close),
            ends: (!unix).then(|| (tuple.local(), tuple.foreign())),
            device: Some(if unix { 0 } else { tuple.bound_if }),
            mark: unix.then_some(0),
            cgroup: if unix { Some(0) } else { socket.identity.cgroup.map(NonZeroU64::get) },
            path: if unix { socket.name.bytes() } else { b"" },
            peer: None,
            inodes: (None, None),
            ephemeral: EPHEMERAL,
        }
    }
}

fn kind(family: Family) -> Kind {
    match family {
        Family::V4 => Kind::Inet,
        Family::V6 => Kind::Inet6,
    }
}

impl Selection {
    /// Whether the socket is shown.
    pub fn wants(&self, subject: &Subject<'_>) -> bool {
        self.states.is_none_or(|States(bits)| bits & subject.state.bit() != 0)
            && self.wants_conditions(subject)
    }

    /// The same whatever its state.
    pub fn wants_conditions(&self, subject: &Subject<'_>) -> bool {
        let Some(expr) = &self.expr else { return true };
        self.kind().is_none_or(|kind| kind == subject.kind) && expr.holds(subject) == Some(true)
    }
}

impl Expr {
    /// `None`: what decides it is not known.
    pub fn holds(&self, subject: &Subject<'_>) -> Option<bool> {
        match self {
            Self::Leaf(cond) => cond.holds(subject),
            Self::Not(inner) => inner.holds(subject).map(|held| !held),
            Self::And(left, right) => match (left.holds(subject), right.holds(subject)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(left, right) => match (left.holds(subject), right.holds(subject)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

impl Cond {
    fn holds(&self, subject: &Subject<'_>) -> Option<bool> {
        match self {
            Self::Host(side, host) => host.holds(*side, subject),
            Self::Port(side, compare, _, port) => match subject.ends {
                Some(ends) => port.holds(*compare, end(ends, *side).port.into()),
                None => {
                    let (own, peer) = subject.inodes;
                    match if *side == Side::Local { own } else { peer } {
                        Some(inode) => port.holds(*compare, inode),
                        None => Some(false),
                    }
                }
            },
            Self::Device(Device::Index(index)) => subject.device.map(|device| device == *index),
            Self::Mark { value, mask } => subject.mark.map(|mark| mark & mask == *value),
            Self::Cgroup(Cgroup::Id(id)) => subject.cgroup.map(|cgroup| cgroup == *id),
            // Names that were not looked up.
            Self::Device(Device::Name(_)) | Self::Cgroup(Cgroup::Path(_)) => None,
            Self::Autobound => Some(match subject.ends {
                Some((local, _)) => (subject.ephemeral.0..=subject.ephemeral.1).contains(&local.port),
                None => is_autobound(subject.path),
            }),
        }
    }
}

/// The kernel gives unix sockets that bind to no name an abstract one of five hexadecimal digits (unix(7)); those that were
/// never bound count with them, as for ss.
fn is_autobound(path: &[u8]) -> bool {
    let digits = path.strip_prefix(b"@");
    path.is_empty()
        || digits.is_some_and(|digits| digits.len() == 5 && digits.iter().all(u8::is_ascii_hexdigit))
}

fn end((local, foreign): (Endpoint, Endpoint), side: Side) -> Endpoint {
    match side {
        Side::Local => local,
        Side::Foreign => foreign,
    }
}

impl Host {
    fn holds(&self, side: Side, subject: &Subject<'_>) -> Option<bool> {
        match (&self.address, subject.ends) {
            (Address::Name(_), _) => None,
            (Address::Path(_), Some(_)) => Some(false),
            (Address::Path(pattern), None) => {
                let path = match side {
                    Side::Local => subject.path,
                    // Whatever it is.
                    Side::Foreign if pattern == b"*" => b"",
                    Side::Foreign => subject.peer?,
                };
                Some(matches(pattern, path))
            }
            (Address::Any, None) => Some(self.port.is_none()),
            (Address::Prefixes(_), None) => Some(false),
            (address, Some(ends)) => {
                let end = end(ends, side);
                let held = match address {
                    Address::Prefixes(prefixes) => prefixes.iter().any(|prefix| prefix.holds(end.addr)),
                    _ => true,
                };
                match &self.port {
                    _ if !held => Some(false),
                    Some(port) => port.holds(Compare::Equal, end.port.into()),
                    None => Some(true),
                }
            }
        }
    }
}

impl Port {
    fn holds(&self, compare: Compare, port: u64) -> Option<bool> {
        let one = |wanted: u16| match compare {
            Compare::Equal => port == u64::from(wanted),
            Compare::AtLeast => port >= u64::from(wanted),
            Compare::AtMost => port <= u64::from(wanted),
        };
        match self {
            Self::Number(wanted) => Some(one(*wanted)),
            Self::Any(wanted) => Some(wanted.iter().copied().any(one)),
            Self::Name(_) => None,
        }
    }
}

/// fnmatch(3) with `FNM_CASEFOLD`: `*`, `?`, `[a-z]`, `[!a-z]` and a backslash.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*`, with one more byte given to it.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(_) => one(pattern, p, text[t]),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => (p, t) = (next, t + 1),
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Where the pattern goes on when what stands at `p` stands for `byte`.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b);
    match pattern[p] {
        b'?' => Some(p + 1),
        b'\\' if p + 1 < pattern.len() => same(pattern[p + 1], byte).then_some(p + 2),
        b'[' => match set(pattern, p + 1, byte) {
            Some((held, next)) => held.then_some(next),
            // Never closed: an ordinary character.
            None => same(b'[', byte).then_some(p + 1),
        },
        other => same(other, byte).then_some(p + 1),
    }
}

fn set(pattern: &[u8], start: usize, byte: u8) -> Option<(bool, usize)> {
    let not = matches!(pattern.get(start), Some(b'!' | b'^'));
    let first = start + usize::from(not);
    let (mut at, mut held) = (first, false);
    let byte = byte.to_ascii_lowercase();
    loop {
        let low = pattern.get(at)?.to_ascii_lowercase();
        if low == b']' && at > first {
            return Some((held != not, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                held |= (low..=high.to_ascii_lowercase()).contains(&byte);
                at += 3;
            }
            _ => {
                held |= low == byte;
                at += 1;
            }
        }
    }
}
