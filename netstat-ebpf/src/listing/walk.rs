//! Which TCP sockets there are: the kernel's table of connections (`inet_hashinfo.ehash`), read as its own lookups read
//! it, without a lock.
//!
//! A run holds the RCU read lock (`bpf_prog_test_run_raw_tp`, net/bpf/test_run.c, 6.12), so no socket that it meets gives
//! its memory back to another use. A socket that is closed and opened anew meanwhile may be in another chain afterwards;
//! each chain ends in its own number (`hlist_nulls`), so who ends in another one begins again, as
//! `__inet_lookup_established` does (net/ipv4/inet_hashtables.c, 6.12). So a socket that stays where it is while its chain
//! is read is never missed.

use crate::{Address, read, spot};
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_loop, bpf_probe_read_kernel};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::null_mut;
use netstat_common::listing::{Board, CHAINS, COMMON, ROOM, RawPlace};

/// `BPF_F_MMAPABLE`.
const MAPPED: u32 = 1 << 10;

/// What both halves see.
#[map]
static BOARD: Array<Board> = Array::with_max_entries(1, MAPPED);

/// Where a run is. In a map, so that the verifier takes none of it for known: it need not follow each turn of the loop.
#[map]
static WALK: Array<Walk> = Array::with_max_entries(1, 0);

/// Chains whose heads are read at once: one line of the processor's cache.
const GROUP: u64 = 8;

/// How often a chain is read that changes meanwhile.
const ATTEMPTS: u32 = 16;

/// Turns of the loop in one run: one for each socket, for each chain that has some, and for each group that has none.
const TURNS: u32 = 2 * ROOM + CHAINS / GROUP as u32;

/// `TCP_TIME_WAIT` and `TCP_NEW_SYN_RECV` (include/net/tcp_states.h).
const TIME_WAIT: u8 = 6;
const NEW_SYN_RECV: u8 = 12;

/// See [`WALK`].
#[repr(C)]
struct Walk {
    /// Address of the chains.
    table: u64,
    /// The namespace's `struct net`.
    net: u64,
    /// Chain that is read, or the next one.
    chain: u64,
    /// Chains there are.
    chains: u64,
    /// Link that is next; odd: the chain has ended, or none was begun.
    link: u64,
    /// Family that is wanted.
    family: u32,
    /// Places that are taken.
    count: u32,
    /// Places that were taken when the chain began.
    before: u32,
    /// Attempts at the chain so far; 0: none was begun.
    attempts: u32,
    torn: u32,
    full: u32,
    faults: u32,
    unused: u32,
    /// The group that was looked at last.
    heads: [u64; GROUP as usize],
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp/walk")]
pub fn walk(_: *const c_void) -> i32 {
    let (Some(board), Some(walk)) = (BOARD.get_ptr_mut(0), WALK.get_ptr_mut(0)) else { return 1 };
    // SAFETY: a run is the only one that uses it (user space waits for it, and made the map for itself), and any bits are
    // a valid value.
    let board = unsafe { &mut *board };
    // SAFETY: as before.
    let walk = unsafe { &mut *walk };
    walk.chain = board.next;
    walk.family = board.family;
    walk.chains = 0;
    walk.link = 1;
    walk.count = 0;
    walk.attempts = 0;
    walk.torn = 0;
    walk.full = 0;
    walk.faults = 0;
    if find(walk).is_some() {
        // SAFETY: `turn` has the type that the helper calls, and needs nothing of what is passed to it.
        unsafe { bpf_loop(TURNS, turn as *mut c_void, null_mut(), 0) };
    }
    // What was read of a chain that has not ended is read again by the next run.
    board.count = if walk.attempts == 0 { walk.count } else { walk.before };
    board.next = walk.chain;
    board.chains = walk.chains;
    board.torn = walk.torn;
    board.overfull = u32::from(walk.full != 0 && board.count == 0);
    board.faults = walk.faults;
    0
}

/// Finds the table of the running task's network namespace.
#[inline(always)]
fn find(walk: &mut Walk) -> Option<()> {
    // SAFETY: the helper takes no argument and all tracing programs have it.
    let current = unsafe { bpf_get_current_task() } as Address;
    let proxy: Address = read(current, spot!(task_nsproxy))?;
    let net: Address = read(proxy, spot!(nsproxy_net))?;
    let info: Address = read(net, spot!(net_hashinfo))?;
    walk.table = read(info, spot!(hashinfo_ehash))?;
    let mask: u32 = read(info, spot!(hashinfo_mask))?;
    walk.chains = u64::from(mask) + 1;
    walk.net = net as u64;
    Some(())
}

/// One turn: a socket, or from one chain to the next. 1 ends the loop.
extern "C" fn turn(_: u64, _: *mut c_void) -> i64 {
    let Some(walk) = WALK.get_ptr_mut(0) else { return 1 };
    // SAFETY: as in `walk`, which waits for this.
    let walk = unsafe { &mut *walk };
    if walk.link & 1 == 0 { socket(walk) } else { chain(walk) }
}

/// Ends a chain, when one was begun, and goes to the next one that has sockets.
#[inline(always)]
fn chain(walk: &mut Walk) -> i64 {
    if walk.attempts != 0 {
        if walk.link != walk.chain << 1 | 1 {
            return again(walk);
        }
        walk.chain += 1;
        walk.attempts = 0;
    }
    let from = walk.chain;
    if from >= walk.chains {
        return 1;
    }
    let first = from & (GROUP - 1);
    let heads = (walk.table + (from - first) * 8) as Address;
    // SAFETY: the words have room for what is copied, and the helper checks the address that it copies from.
    let failed = unsafe { bpf_probe_read_kernel(walk.heads.as_mut_ptr().cast(), GROUP as u32 * 8, heads) };
    if failed != 0 {
        walk.faults += 1;
        walk.chain = from - first + GROUP;
        return 0;
    }
    // Without branches, which the verifier would follow one by one. An empty chain is its end alone, an odd number.
    let mut filled = 0u64;
    let mut index = 0;
    while index < GROUP {
        filled |= (!walk.heads[index as usize] & 1) << index;
        index += 1;
    }
    filled &= 0xff << first;
    if filled == 0 {
        walk.chain = from - first + GROUP;
        return 0;
    }
    let lowest = filled & filled.wrapping_neg();
    // Which bit that is, in three bits.
    let ones = (lowest >> 1 | lowest >> 3 | lowest >> 5 | lowest >> 7) & 1;
    let twos = (lowest >> 2 | lowest >> 3 | lowest >> 6 | lowest >> 7) & 1;
    let fours = (lowest >> 4 | lowest >> 5 | lowest >> 6 | lowest >> 7) & 1;
    let at = ones | twos << 1 | fours << 2;
    walk.chain = from - first + at;
    // The compiler knows that it is below 8, and would not say so; verifiers before 6.x take no word of its for it.
    walk.link = walk.heads[(core::hint::black_box(at) & (GROUP - 1)) as usize];
    walk.before = walk.count;
    walk.attempts = 1;
    0
}

/// Begins a chain again that changed while it was read.
#[inline(always)]
fn again(walk: &mut Walk) -> i64 {
    if walk.attempts >= ATTEMPTS {
        walk.torn = 1;
        return 1;
    }
    walk.attempts += 1;
    walk.count = walk.before;
    walk.link = read((walk.table + walk.chain * 8) as Address, 0).unwrap_or(1);
    0
}

/// One socket of a chain.
#[inline(always)]
fn socket(walk: &mut Walk) -> i64 {
    let count = walk.count;
    if count >= ROOM {
        walk.full = 1;
        return 1;
    }
    let Some(board) = BOARD.get_ptr_mut(0) else { return 1 };
    let at = (count & (ROOM - 1)) as usize;
    // The index is below the number of places, so the place is one of the board; no reference to it exists.
    let place =
        board.cast::<u8>().wrapping_add(offset_of!(Board, places)).cast::<RawPlace>().wrapping_add(at);
    let sock = walk.link.wrapping_sub(spot!(skc_nulls_node) as u64) as Address;
    // SAFETY: the place has room for what is copied, and the helper checks the address that it copies from.
    let failed = unsafe { bpf_probe_read_kernel(place.cast(), COMMON as u32, sock) };
    if failed != 0 {
        // What comes behind it cannot be known: as in a chain that changed.
        return again(walk);
    }
    walk.link = copied(place, spot!(skc_nulls_node));
    if copied::<u64>(place, spot!(skc_net)) != walk.net {
        return 0;
    }
    if walk.family != 0 && u32::from(copied::<u16>(place, spot!(skc_family))) != walk.family {
        return 0;
    }
    let words = match copied::<u8>(place, spot!(skc_state)) {
        TIME_WAIT => [u32::from(read::<u8>(sock, spot!(tw_substate)).unwrap_or(TIME_WAIT)), 0, 0, 0],
        NEW_SYN_RECV => [0; 4],
        _ => [
            read(sock, spot!(tcp_rcv_nxt)).unwrap_or(0),
            read(sock, spot!(tcp_copied_seq)).unwrap_or(0),
            read(sock, spot!(tcp_write_seq)).unwrap_or(0),
            read(sock, spot!(tcp_snd_una)).unwrap_or(0),
        ],
    };
    put(place, offset_of!(RawPlace, words), words);
    // Where the link was, eight bytes are the socket's own (`Spots::fit`).
    put(place, offset_of!(RawPlace, common) + spot!(skc_nulls_node), sock as u64);
    walk.count = count + 1;
    0
}

/// A field of what was copied.
#[inline(always)]
fn copied<T: Copy>(place: *const RawPlace, at: usize) -> T {
    let field = place.cast::<u8>().wrapping_add(offset_of!(RawPlace, common) + at).cast::<T>();
    // SAFETY: the field lies within what was copied (`Spots::fit`), aligned; the verifier checks it, too. Volatile, so that
    // one load it stays.
    unsafe { field.read_volatile() }
}

/// Writes into a place of the board.
#[inline(always)]
fn put<T: Copy>(place: *mut RawPlace, at: usize, value: T) {
    let field = place.cast::<u8>().wrapping_add(at).cast::<T>();
    // SAFETY: the field lies within the place, aligned; the verifier checks it, too.
    unsafe { field.write(value) };
}
