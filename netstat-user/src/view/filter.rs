//! Which connections are wanted.

use super::expr::{Selection, Subject};
use crate::model::{
    Beside, BesideChange, Comm, Conn, Doing, Endpoint, Pid, States, Told, Transition, Transport,
};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The addresses that share their first `len` bits with `addr`. An IPv4 prefix also matches IPv4-mapped IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    addr: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    len: u8,
}

/// Text that is no [`Prefix`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    #[error("{0:?} is not an IPv4 or IPv6 address (names are not looked up)")]
    Address(String),
    #[error("{given:?} is not a prefix length: 0 to {most} for {addr}")]
    Length { given: String, most: u8, addr: IpAddr },
}

impl Prefix {
    /// The prefix of `len` bits; `None` when the address has fewer.
    pub fn new(addr: IpAddr, len: u8) -> Option<Self> {
        (len <= bits(addr)).then_some(Self { addr, len })
    }

    /// Any address of the prefix.
    pub fn addr(self) -> IpAddr {
        self.addr
    }

    /// Its bits: 0 to 32 for IPv4, 0 to 128 for IPv6.
    #[expect(clippy::len_without_is_empty, reason = "a prefix of no bits holds everything")]
    pub fn len(self) -> u8 {
        self.len
    }

    /// Whether `addr` is inside.
    pub fn holds(&self, addr: IpAddr) -> bool {
        let addr = match self.addr {
            IpAddr::V4(_) => addr.to_canonical(),
            IpAddr::V6(_) => addr,
        };
        match (self.addr, addr) {
            (IpAddr::V4(wanted), IpAddr::V4(addr)) => {
                let differing = wanted.to_bits() ^ addr.to_bits();
                differing.leading_zeros() >= u32::from(self.len)
            }
            (IpAddr::V6(wanted), IpAddr::V6(addr)) => {
                let differing = Ipv6Addr::to_bits(wanted) ^ addr.to_bits();
                differing.leading_zeros() >= u32::from(self.len)
            }
            _ => false,
        }
    }
}

fn bits(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// `ADDR` or `ADDR/LEN`; an IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let bare = addr.strip_prefix('[').and_then(|addr| addr.strip_suffix(']')).unwrap_or(addr);
        let addr: IpAddr = bare.parse().ok().ok_or_else(|| PrefixError::Address(addr.to_owned()))?;
        let Some(given) = len else { return Ok(Self { addr, len: bits(addr) }) };
        let bad = || PrefixError::Length { given: given.to_owned(), most: bits(addr), addr };
        given.parse().ok().and_then(|len| Self::new(addr, len)).ok_or_else(bad)
    }
}

/// What of the table is shown. An empty list asks nothing; what is listed is alternatives; every list must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Local or foreign port.
    pub ports: Vec<u16>,
    /// Local or foreign address.
    pub addrs: Vec<Prefix>,
    /// State of a row; of a transition, the one left or the one reached.
    pub states: Option<States>,
    /// Owner, or the process that caused the transition.
    pub pids: Vec<Pid>,
    /// Name of the owner, all of it.
    pub comms: Vec<Comm>,
    /// Conditions in the language of ss; its states are in `states`.
    pub selection: Selection,
}

impl Filter {
    /// Whether everything is wanted.
    pub fn is_empty(&self) -> bool {
        let Self { ports, addrs, states, pids, comms, selection } = self;
        ports.is_empty()
            && addrs.is_empty()
            && states.is_none()
            && pids.is_empty()
            && comms.is_empty()
            && selection.is_empty()
    }

    /// Whether a row is shown.
    pub fn wants(&self, conn: &Conn) -> bool {
        self.states.is_none_or(|states| states.has(conn.state)) && self.wants_who(conn, None)
    }

    /// Whether a change of state is shown.
    pub fn wants_transition(&self, transition: &Transition) -> bool {
        self.states.is_none_or(|states| states.has(transition.from) || states.has(transition.to))
            && self.wants_who(&transition.conn, transition.actor)
    }

    /// Whether what the table said is shown. A repair always is: it speaks of all rows.
    pub fn wants_told(&self, told: &Told) -> bool {
        match told {
            Told::Transition(transition) => self.wants_transition(transition),
            Told::Ended(ended) => {
                self.states.is_none_or(|states| states.has(ended.from) || states.has(ended.conn.state))
                    && self.wants_who(&ended.conn, None)
            }
            Told::Queue { change, conn } => {
                self.states.is_none_or(|states| states.has(conn.state)) && self.wants_who(conn, change.actor)
            }
            Told::Socket(change) => self.wants_beside(change),
            Told::Repaired(_) => true,
        }
    }

    /// Whether a change of a socket beside TCP is shown. A unix socket has neither port nor address.
    fn wants_beside(&self, change: &BesideChange) -> bool {
        let Beside { transport, identity, owner, doing, .. } = &change.socket;
        let inet = !matches!(transport, Transport::Unix(_));
        let in_state = |states: States| {
            [change.from, *doing].into_iter().filter_map(Doing::state).any(|state| states.has(state))
        };
        self.states.is_none_or(in_state)
            && (inet || (self.ports.is_empty() && self.addrs.is_empty()))
            && (!inet || self.wants_ends(identity.tuple.local(), identity.tuple.foreign()))
            && self.wants_process(*owner, None)
            && self.selection.wants_conditions(&Subject::of_beside(&change.socket))
    }

    fn wants_who(&self, conn: &Conn, actor: Option<Pid>) -> bool {
        let tuple = &conn.identity.tuple;
        self.wants_ends(tuple.local(), tuple.foreign())
            && self.wants_process(conn.owner.as_ref().map(|owner| (owner.pid, owner.comm)), actor)
            && self.selection.wants_conditions(&Subject::of_conn(conn))
    }

    fn wants_ends(&self, local: Endpoint, foreign: Endpoint) -> bool {
        (self.ports.is_empty() || self.ports.iter().any(|&port| port == local.port || port == foreign.port))
            && (self.addrs.is_empty()
                || self.addrs.iter().any(|prefix| prefix.holds(local.addr) || prefix.holds(foreign.addr)))
    }

    fn wants_process(&self, owner: Option<(Pid, Comm)>, actor: Option<Pid>) -> bool {
        let pid_wanted = self.pids.is_empty()
            || self
                .pids
                .iter()
                .any(|&pid| owner.is_some_and(|(owner, _)| owner == pid) || actor == Some(pid));
        let comm_wanted = self.comms.is_empty() || owner.is_some_and(|(_, comm)| self.comms.contains(&comm));
        pid_wanted && comm_wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, How, Identity, Learnt, Mono, SockId, TcpState, Tuple, UnixKind, UnixName};
    use crate::render::sample;
    use std::num::NonZeroU64;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_match_bit_by_bit_and_see_through_mapped_addresses() {
        for (text, inside, outside) in [
            ("10.1.2.3", "10.1.2.3", "10.1.2.2"),
            ("10.1.2.3/8", "10.255.0.1", "11.1.2.3"),
            ("192.0.2.128/25", "192.0.2.129", "192.0.2.127"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
            ("[2001:db8::]/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::ffff:10.0.0.0/104", "::ffff:10.9.9.9", "10.9.9.9"),
        ] {
            assert!(prefix(text).holds(inside.parse().unwrap()), "{text} {inside}");
            assert!(!prefix(text).holds(outside.parse().unwrap()), "{text} {outside}");
        }
        assert!(prefix("0.0.0.0/0").holds("203.0.113.9".parse().unwrap()));
        assert!(prefix("::/0").holds("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_prefix_is_named() {
        for (text, wanted) in [
            ("localhost", "\"localhost\" is not an IPv4 or IPv6 address (names are not looked up)"),
            ("10.0.0.0/33", "\"33\" is not a prefix length: 0 to 32 for 10.0.0.0"),
            ("::1/-1", "\"-1\" is not a prefix length: 0 to 128 for ::1"),
            ("/8", "\"\" is not an IPv4 or IPv6 address (names are not looked up)"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap_err().to_string(), wanted);
        }
    }

    #[test]
    fn each_condition_must_hold_and_one_of_its_values() {
        let transition = sample::transition();
        let conn = &transition.conn;
        let all = Filter::default();
        assert!(all.is_empty() && all.wants(conn) && all.wants_transition(&transition));
        assert!(Filter { ports: vec![1, 80], ..all.clone() }.wants(conn));
        assert!(!Filter { ports: vec![81], ..all.clone() }.wants(conn));
        assert!(Filter { addrs: vec![prefix("192.0.2.0/24")], ..all.clone() }.wants(conn));
        assert!(!Filter { addrs: vec![prefix("192.0.3.0/24")], ..all.clone() }.wants(conn));
        let left = Some(States::of(&[TcpState::SynSent]));
        assert!(Filter { states: left, ..all.clone() }.wants_transition(&transition));
        assert!(!Filter { states: left, ..all.clone() }.wants(conn));
        assert!(Filter { comms: vec![Comm::from_bytes(b"curl")], ..all.clone() }.wants(conn));
        assert!(!Filter { comms: vec![Comm::from_bytes(b"cur")], ..all.clone() }.wants(conn));
        assert!(Filter { pids: vec![sample::pid(4711)], ..all.clone() }.wants(conn));
        assert!(!Filter { pids: vec![sample::pid(4711)], ports: vec![81], ..all }.wants(conn));
    }

    #[test]
    fn the_process_that_acted_counts_for_a_transition() {
        let actor = Some(sample::pid(99));
        let transition = Transition { actor, ..sample::transition() };
        let filter = Filter { pids: vec![sample::pid(99)], ..Filter::default() };
        assert!(filter.wants_transition(&transition));
        assert!(!filter.wants(&transition.conn));
    }

    #[test]
    fn words_choose_among_sockets_beside_tcp_too() {
        let told = |transport, name: &[u8]| {
            let tuple =
                Tuple::new(sample::end("192.0.2.1", 53), sample::end("198.51.100.2", 9), Family::V4, 3);
            let socket = Beside {
                transport,
                doing: Doing::Connected,
                id: SockId { cookie: NonZeroU64::new(7), pointer: None },
                identity: Identity { tuple, netns: 1, uid: None, cgroup: NonZeroU64::new(44) },
                name: UnixName::new(name),
                inode: 1,
                owner: None,
                how: How::Held,
                queues: None,
                drops: None,
            };
            let (from, learnt, at) = (Doing::Gone, Learnt::Listing, Mono(1));
            Told::Socket(BesideChange { at, from, spent: None, learnt, err: 0, socket, dropped: 0 })
        };
        let (udp, unix) = (told(Transport::Udp, b""), told(Transport::Unix(UnixKind::Dgram), b"/run/x"));
        for (words, of_udp, of_unix) in [
            ("sport = :53", true, false),
            ("sport = :54", false, false),
            ("not sport = :54", true, true),
            ("dst 198.51.100.0/24 and dport = :9", true, false),
            ("dst 10.0.0.0/8", false, false),
            ("src unix:/run/*", false, true),
            ("src unix:/tmp/*", false, false),
        ] {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            let filter = Filter { selection: Selection::parse(&words, false).unwrap(), ..Filter::default() };
            assert_eq!((filter.wants_told(&udp), filter.wants_told(&unix)), (of_udp, of_unix), "{filter:?}");
        }
    }
}
