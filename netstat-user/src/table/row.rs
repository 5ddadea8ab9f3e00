//! One row, and the slab that holds all of them.

use super::latency::Short;
use crate::model::{Family, How, Identity, Mono, Moved, TcpState, Tuple};
use std::num::NonZeroU64;
use std::ops::BitOr;

/// What a row is known to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// `since` was seen.
    pub const SINCE: Self = Self(1);
    /// `opened` was seen.
    pub const OPENED: Self = Self(1 << 1);
    /// The queues were told.
    pub const QUEUES: Self = Self(1 << 2);
    /// It was there before us.
    pub const PREEXISTING: Self = Self(1 << 3);
    /// Its end was told.
    pub const ENDED: Self = Self(1 << 4);
    /// A question about it is open.
    pub const ASKED: Self = Self(1 << 5);
    /// Only a timewait socket is left of it: TIME_WAIT, or FIN_WAIT2 without an owner. It changes without events.
    pub const MINISOCK: Self = Self(1 << 6);
    /// A request socket: SYN_RECV before the final ACK. It changes without events.
    pub const REQUEST: Self = Self(1 << 7);
    /// A listing did not show it; the question decides.
    pub const ABSENT: Self = Self(1 << 8);
    /// It called connect.
    pub const ACTIVE: Self = Self(1 << 9);
    /// It came from a listener.
    pub const PASSIVE: Self = Self(1 << 10);
    /// This end closed first.
    pub const LOCAL_FIRST: Self = Self(1 << 11);
    /// The peer closed first; with the flag before, both did.
    pub const PEER_FIRST: Self = Self(1 << 12);
    /// `since`, of SYN_RECV, is the time of the SYN.
    pub const SYN_SEEN: Self = Self(1 << 13);
    /// It was told how often the SYN was sent again.
    pub const SYNS: Self = Self(1 << 14);

    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    pub fn clear(&mut self, flag: Self) {
        self.0 &= !flag.0;
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Where a connection is: two cannot share it at the same time, listeners excepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub netns: u32,
    pub tuple: Tuple,
}

/// One connection. Kept small: there may be a million.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub since: Mono,
    pub opened: Mono,
    /// 0: not known.
    pub cookie: u64,
    /// 0: not known.
    pub pointer: u64,
    /// Address of the request or timewait socket that it is now, whose events tell of it; 0: none, or not known.
    pub mini: u64,
    /// 0: not known.
    pub cgroup: u64,
    pub tuple: Tuple,
    pub netns: u32,
    /// `u32::MAX`: not known.
    pub uid: u32,
    pub inode: u32,
    pub rqueue: u32,
    pub wqueue: u32,
    /// Its entry of [`Bonds`](super::bonds::Bonds); 0: none.
    pub owner: u32,
    pub generation: u32,
    pub flags: Flags,
    pub state: TcpState,
    /// [`How`] as a number; 0: no owner.
    pub how: u8,
    /// From the SYN to ESTABLISHED.
    pub handshake: Option<Short>,
    /// From ESTABLISHED until `accept` returned it.
    pub accepted: Option<Short>,
}

/// Bytes of one row, indices not counted.
pub const ROW_BYTES: usize = size_of::<Option<Row>>();
const _: () = assert!(ROW_BYTES <= 128);

impl Row {
    pub fn new(identity: &Identity, state: TcpState) -> Self {
        Self {
            since: Mono(0),
            opened: Mono(0),
            cookie: 0,
            pointer: 0,
            mini: 0,
            cgroup: identity.cgroup.map_or(0, NonZeroU64::get),
            tuple: identity.tuple,
            netns: identity.netns,
            uid: identity.uid.unwrap_or(u32::MAX),
            inode: 0,
            rqueue: 0,
            wqueue: 0,
            owner: 0,
            generation: 0,
            flags: Flags::default(),
            state,
            how: 0,
            handshake: None,
            accepted: None,
        }
    }

    pub fn identity(&self) -> Identity {
        Identity {
            tuple: self.tuple,
            netns: self.netns,
            uid: (self.uid != u32::MAX).then_some(self.uid),
            cgroup: NonZeroU64::new(self.cgroup),
        }
    }

    pub fn place(&self) -> Place {
        Place::of(self.netns, &self.tuple)
    }

    /// Whether the socket that moved can be this row's by its addresses: what is not chosen yet fits anything.
    pub fn may_move(&self, moved: &Moved) -> bool {
        let Some(identity) = &moved.identity else { return true };
        let (ours, theirs) = (&self.place().tuple, &Place::of(identity.netns, &identity.tuple).tuple);
        let ports = ours.lport == theirs.lport || ours.lport == 0 || theirs.lport == 0;
        let listens = (self.state == TcpState::Listen) == (moved.from == TcpState::Listen);
        listens
            && ports
            && ours.rport == theirs.rport
            && ours.raddr == theirs.raddr
            && (self.netns == identity.netns || self.netns == 0)
    }

    pub fn how(&self) -> Option<How> {
        Some(match self.how {
            1 => How::Inherited,
            2 => How::Closed,
            3 => How::Used,
            4 => How::Held,
            5 => How::Accepted,
            6 => How::Opened,
            _ => return None,
        })
    }
}

impl Place {
    /// The bound device is left out: a child has it from its listener, its TIME_WAIT socket too, but /proc does not
    /// tell it. IPv4-mapped addresses count as IPv4: the request of a connection to an IPv6 listener has the one form, its
    /// socket the other.
    pub fn of(netns: u32, tuple: &Tuple) -> Self {
        let mut tuple = Tuple { bound_if: 0, ..*tuple };
        if tuple.family == Family::V6
            && let (Some(laddr), Some(raddr)) = (mapped(&tuple.laddr), mapped(&tuple.raddr))
        {
            tuple = Tuple { family: Family::V4, laddr, raddr, ..tuple };
        }
        Self { netns, tuple }
    }

    /// Whether this is one connection's place: both ports are known.
    pub fn is_connection(&self) -> bool {
        self.tuple.lport != 0 && self.tuple.rport != 0
    }
}

/// An IPv4-mapped address (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2) as an IPv4 one.
fn mapped(address: &[u8; 16]) -> Option<[u8; 16]> {
    let (prefix, rest) = address.split_at(12);
    let mut short = [0; 16];
    short.split_at_mut(4).0.copy_from_slice(rest);
    (prefix == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]).then_some(short)
}

/// Rows by index. An index is reused; a generation tells its users apart.
#[derive(Debug, Default)]
pub(super) struct Rows {
    slots: Vec<Option<Row>>,
    free: Vec<u32>,
    generation: u32,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// One past the highest index ever used.
    pub fn end(&self) -> u32 {
        self.slots.len() as u32
    }

    pub fn insert(&mut self, mut row: Row) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        row.generation = self.generation;
        match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(row);
                index
            }
            None => {
                self.slots.push(Some(row));
                // Limits::rows keeps the number far below u32::MAX.
                self.slots.len() as u32 - 1
            }
        }
    }

    pub fn remove(&mut self, index: u32) -> Option<Row> {
        let row = self.slots.get_mut(index as usize)?.take()?;
        self.free.push(index);
        Some(row)
    }

    pub fn at(&self, index: u32) -> Option<&Row> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub fn at_mut(&mut self, index: u32) -> Option<&mut Row> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    pub fn get_mut(&mut self, index: u32, generation: u32) -> Option<&mut Row> {
        self.at_mut(index).filter(|row| row.generation == generation)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Row)> {
        self.slots.iter().enumerate().filter_map(|(index, row)| Some((index as u32, row.as_ref()?)))
    }
}

/// The identity of a family's unspecified place, for rows whose addresses were never told.
pub(super) fn nowhere() -> Identity {
    Identity {
        tuple: Tuple { family: Family::V4, laddr: [0; 16], raddr: [0; 16], lport: 0, rport: 0, bound_if: 0 },
        netns: 0,
        uid: None,
        cgroup: None,
    }
}
