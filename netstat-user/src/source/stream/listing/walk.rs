//! The TCP sockets of a network namespace, out of the kernel's own table of connections.
//!
//! sock_diag takes each socket's counters, owner and options together and looks at some fifteen places in memory for it;
//! a plain listing needs five. The rows are those of sock_diag in the same order (tests/live/listing.rs), less the listeners,
//! which are in another table, and less what a plain listing does not show: user, inode, timer, cookie and control group
//! are not told.

use super::Listing;
use super::holders::{self, Told};
use crate::kernel::{Refusal, bpf};
use crate::model::{Endpoint, Family, Protocol, SockRow, TcpState, Timer, TimerKind};
use crate::source::stream::mapping::Mapping;
use netstat_common::listing::{
    BOARD_HEAD, Board as Raw, COMMON, HELD_ROOM, ROOM, RawHeld, RawPlace, Spots, key,
};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How often a chain that changes is given to the kernel half, which itself tries several times.
const PATIENCE: u32 = 100;

/// How many rows before a row its key is told.
const AHEAD: usize = 12;

/// Bytes of a record of who holds what.
const RECORD: usize = size_of::<RawHeld>();

/// Why a walk ended before the table did.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    #[error("cannot run the program that reads the kernel's table of connections")]
    Run(#[source] io::Error),
    #[error("the kernel's table of connections was not found")]
    NoTable,
    #[error("a chain of the kernel's table of connections has more than {ROOM} sockets")]
    Overfull,
    #[error("a chain of the kernel's table of connections does not stand still")]
    Torn,
    #[error("{0} parts of the kernel's table of connections could not be read")]
    Unreadable(u32),
    #[error("the kernel tells of a socket in the unknown state {0}")]
    State(u8),
}

/// The walk, which can be made again and again.
pub(super) struct Board(Mapping);

impl Board {
    /// Maps what the program writes.
    pub(super) fn of(map: BorrowedFd<'_>) -> Result<Self, Refusal> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let mapping = Mapping::new(map, 0, size_of::<Raw>(), protection);
        mapping.map(Self).map_err(|cause| Refusal::Map { name: "BOARD".to_owned(), cause })
    }

    /// What the last run found. No run is under way as long as it is borrowed.
    fn places(&self, count: u32) -> &[RawPlace] {
        let first = self.0.start().cast::<u8>().wrapping_add(BOARD_HEAD).cast::<RawPlace>();
        // SAFETY: `ROOM` places are mapped there as long as `self` lives, aligned to 8 as the board is; any bits are valid.
        // The kernel half writes only while `Listing::rows`, which lends this, waits for it.
        unsafe { std::slice::from_raw_parts(first, count.min(ROOM) as usize) }
    }

    /// Gives what an iteration tells, which puts it here, to its end. A process that was told may be told again.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn pass(&self, mut file: File, take: &mut dyn FnMut(Told)) -> io::Result<()> {
        loop {
            self.word(offset_of!(Raw, count)).store(0, Ordering::Release);
            // It has nothing to say that way, but each call lets it go on.
            let done = match file.read(&mut [0; RECORD]) {
                Ok(count) => count == 0,
                // There was no more room.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => false,
                Err(error) => return Err(error),
            };
            let count = self.word(offset_of!(Raw, count)).load(Ordering::Acquire);
            let first = self.0.start().cast::<u8>().wrapping_add(BOARD_HEAD).cast::<[u8; RECORD]>();
            // SAFETY: as in `places`: so many records lie there, whose bytes may be any; the kernel half writes only in the call
            // above.
            let records = unsafe { std::slice::from_raw_parts(first, count.min(HELD_ROOM) as usize) };
            records.iter().filter_map(|bytes| holders::told(bytes)).for_each(&mut *take);
            if done {
                return Ok(());
            }
        }
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        let word = self.0.start().cast::<u8>().wrapping_add(at).cast();
        // SAFETY: an aligned word of the mapping (`at` is the offset of a member), which lives as long as `self`.
        unsafe { AtomicU32::from_ptr(word) }
    }

    fn long(&self, at: usize) -> &AtomicU64 {
        let word = self.0.start().cast::<u8>().wrapping_add(at).cast();
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

impl Listing {
    /// Gives every TCP socket of the calling thread's network namespace but its listeners, in the kernel's order; `family`:
    /// of this one alone. With each comes its [`key`].
    ///
    /// As with sock_diag, each row was true at its moment, and the whole is not a snapshot; but a socket that stays is
    /// neither missed nor doubled, whatever comes and goes around it.
    ///
    /// `soon` gets the key of a row some rows before, so that what will be needed for it can be fetched.
    ///
    /// # Errors
    /// See [`WalkError`]. Rows that were given are right.
    pub fn rows(
        &mut self,
        netns: u32,
        family: Option<Family>,
        soon: &mut dyn FnMut(u64),
        each: &mut dyn FnMut(&SockRow, u64),
    ) -> Result<(), WalkError> {
        let family = match family {
            None => 0,
            Some(Family::V4) => netstat_common::AF_INET,
            Some(Family::V6) => netstat_common::AF_INET6,
        };
        let board = &self.board;
        let Some(program) = &self.walk else {
            return Err(WalkError::NoTable);
        };
        board.word(offset_of!(Raw, family)).store(family.into(), Ordering::Relaxed);
        board.long(offset_of!(Raw, next)).store(0, Ordering::Relaxed);
        let (mut torn, mut strange) = (0, None);
        loop {
            bpf::run(program.as_fd()).map_err(WalkError::Run)?;
            let chains = board.long(offset_of!(Raw, chains)).load(Ordering::Acquire);
            let next = board.long(offset_of!(Raw, next)).load(Ordering::Acquire);
            let [count, is_torn, overfull, faults] = [
                offset_of!(Raw, count),
                offset_of!(Raw, torn),
                offset_of!(Raw, overfull),
                offset_of!(Raw, faults),
            ]
            .map(|at| board.word(at).load(Ordering::Acquire));
            if chains == 0 {
                return Err(WalkError::NoTable);
            }
            let places = board.places(count);
            for (index, place) in places.iter().enumerate() {
                if let Some(later) = places.get(index + AHEAD) {
                    soon(key_of(later, &self.spots));
                }
                match row(place, &self.spots, netns) {
                    Ok(Some((row, sock))) => each(&row, sock),
                    // A socket that was given back and not yet used again.
                    Ok(None) => {}
                    Err(state) => strange = Some(state),
                }
            }
            match () {
                () if overfull != 0 => return Err(WalkError::Overfull),
                () if faults != 0 && is_torn == 0 => return Err(WalkError::Unreadable(faults)),
                () if is_torn != 0 && torn == PATIENCE => return Err(WalkError::Torn),
                () if next >= chains => return strange.map_or(Ok(()), |state| Err(WalkError::State(state))),
                () => torn = if is_torn != 0 { torn + 1 } else { 0 },
            }
        }
    }
}

/// What a place tells: the row, and the socket's [`key`]. `None`: it is a socket of another family, or of none.
fn row(place: &RawPlace, spots: &Spots, netns: u32) -> Result<Option<(SockRow, u64)>, u8> {
    let common = &place.common;
    let Some(family) = Family::from_af(u16::from_ne_bytes(array_at(common, spots.skc_family))) else {
        return Ok(None);
    };
    let [code] = array_at(common, spots.skc_state);
    let [a, b, c, d] = place.words;
    let difference = |high: u32, low: u32| high.wrapping_sub(low);
    let (state, rqueue, wqueue) = match code {
        // `TCP_TIME_WAIT`: with FIN_WAIT2 as a substate.
        6 => (u8::try_from(a).unwrap_or(code), 0, 0),
        // `TCP_NEW_SYN_RECV`, a request: as sock_diag tells it.
        12 => (TcpState::SynRecv as u8, 0, 0),
        // `tcp_diag_get_info` (net/ipv4/tcp_diag.c, 6.12).
        code => (code, difference(a, b).cast_signed().max(0).cast_unsigned(), difference(c, d)),
    };
    let state = TcpState::try_from(state).map_err(|stranger| stranger.0)?;
    if state == TcpState::Close {
        return Ok(None);
    }
    let (local, foreign) = match family {
        Family::V4 => {
            let of = |at| IpAddr::V4(Ipv4Addr::from(array_at::<4>(common, at)));
            (of(spots.skc_rcv_saddr), of(spots.skc_daddr))
        }
        Family::V6 => {
            let of = |at| IpAddr::V6(Ipv6Addr::from(array_at::<16>(common, at)));
            (of(spots.skc_v6_rcv_saddr), of(spots.skc_v6_daddr))
        }
    };
    let row = SockRow {
        protocol: Protocol::Tcp,
        family,
        state,
        local: Endpoint { addr: local, port: u16::from_ne_bytes(array_at(common, spots.skc_num)) },
        foreign: Endpoint { addr: foreign, port: u16::from_be_bytes(array_at(common, spots.skc_dport)) },
        bound_if: u32::from_ne_bytes(array_at(common, spots.skc_bound_dev_if)),
        cookie: None,
        netns,
        uid: 0,
        inode: 0,
        rqueue,
        wqueue,
        timer: Timer { kind: TimerKind::Off, expires_ms: 0, retransmits: 0, probes: 0 },
        drops: None,
        v6only: None,
        cgroup: None,
        totals: None,
    };
    Ok(Some((row, key_of(place, spots))))
}

fn key_of(place: &RawPlace, spots: &Spots) -> u64 {
    let number = |at| u64::from_ne_bytes(array_at(&place.common, at));
    key(number(spots.skc_nulls_node), number(spots.skc_hash))
}

fn array_at<const N: usize>(bytes: &[u8; COMMON], at: u32) -> [u8; N] {
    bytes.get(at as usize..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spots() -> Spots {
        // The places of Linux 5.10 to 7.2.
        Spots {
            skc_rcv_saddr: 4,
            skc_hash: 8,
            skc_dport: 12,
            skc_num: 14,
            skc_family: 16,
            skc_state: 18,
            skc_bound_dev_if: 20,
            skc_net: 48,
            skc_v6_daddr: 56,
            skc_v6_rcv_saddr: 72,
            skc_nulls_node: 104,
            ..Spots::default()
        }
    }

    fn place(state: u8, words: [u32; 4]) -> RawPlace {
        let mut common = [0; COMMON];
        common[..8].copy_from_slice(&[10, 0, 0, 2, 127, 0, 0, 1]);
        common[12..14].copy_from_slice(&443u16.to_be_bytes());
        common[14..16].copy_from_slice(&4711u16.to_ne_bytes());
        common[16..18].copy_from_slice(&netstat_common::AF_INET.to_ne_bytes());
        common[18] = state;
        common[20] = 3;
        common[104..112].copy_from_slice(&0xffff_8880_1234_0000u64.to_ne_bytes());
        RawPlace { common, words }
    }

    #[test]
    fn a_full_socket_has_ends_and_queues() {
        assert!(spots().fit());
        let place = place(1, [1000, 993, 5, u32::MAX]);
        let (row, sock) = row(&place, &spots(), 7).unwrap().unwrap();
        assert_eq!(
            sock,
            key(0xffff_8880_1234_0000, u64::from_ne_bytes(place.common[8..16].try_into().unwrap()))
        );
        assert_eq!((row.state, row.rqueue, row.wqueue), (TcpState::Established, 7, 6));
        let shown = |end: Endpoint| format!("{}:{}", end.addr, end.port);
        assert_eq!((shown(row.local), shown(row.foreign)), ("127.0.0.1:4711".into(), "10.0.0.2:443".into()));
        assert_eq!((row.bound_if, row.netns), (3, 7));
    }

    #[test]
    fn what_is_read_ahead_is_no_queue() {
        let place = place(1, [993, 1000, 0, 0]);
        assert_eq!(row(&place, &spots(), 7).unwrap().unwrap().0.rqueue, 0);
    }

    #[test]
    fn what_is_no_full_socket_has_the_state_that_it_means() {
        let state =
            |code, words| row(&place(code, words), &spots(), 0).map(|row| row.map(|(row, _)| row.state));
        assert_eq!(state(6, [6, 1, 2, 3]), Ok(Some(TcpState::TimeWait)));
        assert_eq!(state(6, [5, 1, 2, 3]), Ok(Some(TcpState::FinWait2)));
        assert_eq!(state(12, [0; 4]), Ok(Some(TcpState::SynRecv)));
        assert_eq!(state(7, [0; 4]), Ok(None));
        assert_eq!(state(77, [0; 4]), Err(77));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_row_or_none(common in prop::collection::vec(any::<u8>(), COMMON), words: [u32; 4], at: [u32; 4]) {
            let place = RawPlace { common: common.try_into().unwrap(), words };
            let _ = row(&place, &spots(), 0);
            let [skc_family, skc_state, skc_num, skc_v6_daddr] = at;
            let _ = row(&place, &Spots { skc_family, skc_state, skc_num, skc_v6_daddr, ..spots() }, 0);
        }
    }
}
