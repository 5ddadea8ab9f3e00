//! Which TCP sockets there are: the kernel's table of connections (`inet_hashinfo.ehash`), read as its own lookups read
//! it, without a lock.
//!
//! A run holds the RCU read lock (`bpf_prog_test_run_raw_tp`, net/bpf/test_run.c, 6.12), so no socket that it meets gives
//! its memory back to another use. A socket that is closed and opened anew meanwhile may be in another chain afterwards;
//! each chain ends in its own number (`hlist_nulls`), so who ends in another one begins again, as
//! `__inet_lookup_established` does (net/ipv4/inet_hashtables.c, 6.12). So a socket that stays where it is while its chain
//! is read is never missed.

use crate::{Address, BOARD, has_loads, load, read, spot};
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_loop, bpf_probe_read_kernel};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::null_mut;
use netstat_common::AF_INET6;
use netstat_common::listing::{BASE, Board, CHAINS, COMMON, ROOM, RawPlace, WARM};

/// Where a run is. In a map, so that the verifier takes none of it for known: it need not follow each turn of the loop.
#[map]
static WALK: Array<Walk> = Array::with_max_entries(1, 0);

/// Chains whose heads are read at once.
const GROUP: u64 = 64;

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
    /// The group that comes after the one in [`heads`](Self::heads), by its first chain.
    group: u64,
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
    /// Chains that are begun until the next are made [`warm`].
    lukewarm: u32,
    /// Chains of the group that have sockets and were not begun, a bit each; and of these, those that are not warm.
    filled: u64,
    cold: u64,
    /// Made of what [`warm`] has loaded, so that it is.
    warmth: u64,
    /// Where [`warm`] is.
    links: [u64; WARM as usize],
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
    walk.filled = 0;
    walk.group = walk.chain;
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
    if walk.filled == 0 {
        return next_group(walk);
    }
    if has_loads() && spot!(warm) != 0 {
        if walk.lukewarm == 0 {
            warm(walk);
        }
        walk.lukewarm -= 1;
    }
    let at = place_of(walk.filled);
    walk.filled &= walk.filled - 1;
    walk.chain = walk.group - GROUP + at;
    walk.link = head(walk, at);
    walk.before = walk.count;
    walk.attempts = 1;
    0
}

/// Reads the heads of the next chains.
#[inline(always)]
fn next_group(walk: &mut Walk) -> i64 {
    let group = walk.group;
    walk.chain = group;
    if group >= walk.chains {
        return 1;
    }
    // A run may begin within a group.
    let first = group & (GROUP - 1);
    let base = group - first;
    walk.group = base + GROUP;
    let heads = (walk.table + base * 8) as Address;
    // SAFETY: the words have room for what is copied, and the helper checks the address that it copies from.
    let failed = unsafe { bpf_probe_read_kernel(walk.heads.as_mut_ptr().cast(), GROUP as u32 * 8, heads) };
    if failed != 0 {
        walk.faults += 1;
        return 0;
    }
    // Without branches, which the verifier would follow one by one. An empty chain is its end alone, an odd number.
    let mut empty = 0u64;
    let mut index = GROUP;
    while index > 0 {
        index -= 1;
        empty = empty << 1 | walk.heads[index as usize] & 1;
    }
    let mut filled = !empty;
    // A table has 2 chains at least, and a power of two.
    if walk.chains < GROUP {
        filled &= (1 << (walk.chains & (GROUP - 1))) - 1;
    }
    filled &= u64::MAX << first;
    walk.filled = filled;
    walk.cold = filled;
    walk.lukewarm = 0;
    0
}

/// Number of the lowest bit in `bits`, of which there must be one.
#[inline(always)]
fn place_of(bits: u64) -> u64 {
    /// Each six bits of it in a row are another number.
    const SEQUENCE: u64 = 0x03f7_9d71_b4cb_0a89;
    static PLACES: [u8; 64] = {
        let mut places = [0; 64];
        let mut index = 0;
        while index < 64 {
            places[((SEQUENCE << index) >> 58) as usize] = index as u8;
            index += 1;
        }
        places
    };
    let lowest = bits & bits.wrapping_neg();
    let row = (core::hint::black_box(lowest.wrapping_mul(SEQUENCE) >> 58) & 63) as usize;
    // SAFETY: one of the array's; volatile, so that one load it stays.
    u64::from(unsafe { PLACES.as_ptr().wrapping_add(row).read_volatile() })
}

/// The head of a chain of the group.
#[inline(always)]
fn head(walk: &Walk, at: u64) -> u64 {
    // The compiler may know that it is below, and would not say so to the verifier.
    let at = (core::hint::black_box(at) & (GROUP - 1)) as usize;
    // SAFETY: one of the array's; volatile, so that one load it stays.
    unsafe { walk.heads.as_ptr().wrapping_add(at).read_volatile() }
}

/// Loads what will be read of the first sockets of the next chains, so that the processor waits for many of them at once: the
/// first touch of each, which finds the page, before the others.
#[inline(always)]
fn warm(walk: &mut Walk) {
    let mut warmth = 0u64;
    let mut count = 0;
    while count < WARM && count < spot!(warm) as u32 && walk.cold != 0 {
        let link = head(walk, place_of(walk.cold));
        walk.cold &= walk.cold - 1;
        // SAFETY: one of the array's; volatile, so that it stays in memory, where the verifier takes none of it for known.
        unsafe { walk.links.as_mut_ptr().wrapping_add(count as usize).write_volatile(link) };
        warmth ^= load::<u64>(link);
        count += 1;
    }
    walk.lukewarm = count;
    count = 0;
    while count < WARM && count < spot!(warm) as u32 && count < walk.lukewarm {
        // SAFETY: as above.
        let link = unsafe { walk.links.as_ptr().wrapping_add(count as usize).read_volatile() };
        let sock = link.wrapping_sub(spot!(skc_nulls_node) as u64);
        let field = |at: usize| u64::from(load::<u32>(sock.wrapping_add(at as u64)));
        warmth ^= field(spot!(skc_hash))
            ^ field(spot!(tcp_rcv_nxt))
            ^ field(spot!(tcp_copied_seq))
            ^ field(spot!(tcp_write_seq))
            ^ field(spot!(tcp_snd_una));
        count += 1;
    }
    walk.warmth = warmth;
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
    let link = walk.link;
    let sock = link.wrapping_sub(spot!(skc_nulls_node) as u64) as Address;
    if has_loads() {
        let at = sock as u64;
        walk.link = load(link);
        // No link is zero: nothing is mapped there.
        if walk.link == 0 {
            return again(walk);
        }
        if load::<u64>(at + spot!(skc_net) as u64) != walk.net {
            return 0;
        }
        let mut word = 0;
        while word < BASE / 8 {
            if spot!(words) >> word & 1 != 0 {
                put(place, offset_of!(RawPlace, common) + word * 8, load::<u64>(at + word as u64 * 8));
            }
            word += 1;
        }
    } else {
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
    }
    let family: u16 = copied(place, spot!(skc_family));
    if walk.family != 0 && u32::from(family) != walk.family {
        return 0;
    }
    if has_loads() && family == AF_INET6 {
        address6(place, sock, spot!(skc_v6_daddr));
        address6(place, sock, spot!(skc_v6_rcv_saddr));
    }
    let words = match copied::<u8>(place, spot!(skc_state)) {
        TIME_WAIT => [u32::from(field::<u8>(sock, spot!(tw_substate)).unwrap_or(TIME_WAIT)), 0, 0, 0],
        NEW_SYN_RECV => [0; 4],
        _ => [
            field(sock, spot!(tcp_rcv_nxt)).unwrap_or(0),
            field(sock, spot!(tcp_copied_seq)).unwrap_or(0),
            field(sock, spot!(tcp_write_seq)).unwrap_or(0),
            field(sock, spot!(tcp_snd_una)).unwrap_or(0),
        ],
    };
    put(place, offset_of!(RawPlace, words), words);
    // Where the link was, eight bytes are the socket's own (`Spots::fit`).
    put(place, offset_of!(RawPlace, common) + spot!(skc_nulls_node), sock as u64);
    walk.count = count + 1;
    0
}

/// A field that is not copied with the rest.
#[inline(always)]
fn field<T: Copy>(sock: Address, at: usize) -> Option<T> {
    if has_loads() { Some(load(sock as u64 + at as u64)) } else { read(sock, at) }
}

/// Copies an address of IPv6.
#[inline(always)]
fn address6(place: *mut RawPlace, sock: Address, at: usize) {
    let common = offset_of!(RawPlace, common);
    put(place, common + at, load::<u64>(sock as u64 + at as u64));
    put(place, common + at + 8, load::<u64>(sock as u64 + at as u64 + 8));
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
