//! Who holds which socket: the tables of descriptors of all processes, which the iterator over tasks (`bpf_iter_task`,
//! Linux 5.8) finds.
//!
//! The tables are read as `fget` reads them (fs/file.c, 6.12), under RCU, which an iterator's program holds: a file that
//! still stands where it was found, after it was looked at, was this one all the time. No reference is taken, so nobody
//! else's `close` is put off, as it is where files are looked at one by one ([`holders`](super::holders)).
//!
//! A run that has no more room asks for the same task again, which ends the reader's call with EAGAIN
//! (`bpf_iter_run_prog`, kernel/bpf/bpf_iter.c, 6.12): the reader takes what is on the board, and calls again.

use super::iterator::{Meta, at};
use crate::{BOARD, has_loads, load, spot};
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_loop};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::null_mut;
use netstat_common::listing::{BOARD_HEAD, Board, HELD, HELD_ROOM, HOLDER, RawHeld, key};

/// `struct bpf_iter__task` (kernel/bpf/task_iter.c, 6.12).
#[repr(C)]
pub struct Task {
    meta: *const Meta,
    task: *const c_void,
}

/// `TCP_CLOSE` and `TCP_LISTEN` (include/net/tcp_states.h).
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// Descriptors that are looked at together: their files stand in one line of the processor's cache. A table has 64 of them,
/// or a multiple.
const GROUP: usize = 8;

/// Groups that one run looks at, at most: it must not keep a processor for long.
const GROUPS: u32 = 1 << 14;

/// Records that a run has room for when it goes on: a process, and a group.
const SPARE_ROOM: u32 = 1 + GROUP as u32;

/// Where a run is; there is one reader. In a map, so that the verifier takes none of it for known.
#[map]
static SCAN: Array<Scan> = Array::with_max_entries(1, 0);

/// See [`SCAN`].
#[repr(C)]
struct Scan {
    /// The iteration that this is of.
    session: u64,
    /// `file.f_op` of sockets.
    operations: u64,
    /// The process that was told last, by the address of its leader; 0: none.
    told: u64,
    /// The task that is looked at, or asked for again, by its address and that of its number; 0: none.
    task: u64,
    number: u64,
    /// Where its files stand, how many there may be, and the one that is next.
    files: u64,
    end: u64,
    next: u64,
    /// What was found of a group: the files themselves, their `struct socket` (0: it is none), `struct sock`, and what those
    /// were hashed by.
    descriptors: Eight,
    sockets: Eight,
    socks: Eight,
    hashes: Eight,
}

/// Words that stay in memory, where the verifier takes none of them for known: what it knows of eight descriptors it would
/// multiply.
#[repr(transparent)]
struct Eight([u64; GROUP]);

impl Eight {
    #[inline(always)]
    fn get(&self, index: usize) -> u64 {
        // SAFETY: one of the array's (callers count up to `GROUP`, and the verifier checks it).
        unsafe { self.0.as_ptr().wrapping_add(index).read_volatile() }
    }

    #[inline(always)]
    fn set(&mut self, index: usize, word: u64) {
        // SAFETY: as in `get`.
        unsafe { self.0.as_mut_ptr().wrapping_add(index).write_volatile(word) }
    }
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub fn tasks(ctx: *const Task) -> i32 {
    let task: u64 = at(ctx, offset_of!(Task, task));
    // At the end there is none.
    if task == 0 || !has_loads() {
        return 0;
    }
    let (Some(board), Some(scan)) = (BOARD.get_ptr_mut(0), SCAN.get_ptr_mut(0)) else { return 0 };
    // SAFETY: there is one reader, which waits for this, and made the maps for itself; any bits are a valid value.
    let board = unsafe { &mut *board };
    // SAFETY: as before.
    let scan = unsafe { &mut *scan };
    let meta: *const Meta = at(ctx, offset_of!(Task, meta));
    let session: u64 = at(meta, offset_of!(Meta, session));
    if scan.session != session {
        scan.session = session;
        scan.operations = operations_of_sockets();
        scan.told = 0;
        scan.task = 0;
    }
    let leader: u64 = load(task + spot!(task_group_leader) as u64);
    let files: u64 = load(task + spot!(task_files) as u64);
    // Threads share their table, but for those that asked for one of their own.
    if files == 0 || leader != task && load::<u64>(leader + spot!(task_files) as u64) == files {
        return 0;
    }
    if board.count > HELD_ROOM - SPARE_ROOM {
        return 1;
    }
    let number: u64 = load(task + spot!(task_thread_pid) as u64);
    if scan.task != task || scan.number != number {
        scan.task = task;
        scan.number = number;
        scan.next = 0;
    }
    let table: u64 = load(files + spot!(files_fdt) as u64);
    scan.files = load(table + spot!(fdtable_fd) as u64);
    scan.end = u64::from(load::<u32>(table + spot!(fdtable_max_fds) as u64));
    let before = board.count;
    let told = scan.told;
    if told != leader {
        introduce(board, leader);
        scan.told = leader;
    }
    let introduced = board.count;
    // SAFETY: `group` has the type that the helper calls, and needs nothing of what is passed to it.
    unsafe { bpf_loop(GROUPS, group as *mut c_void, null_mut(), 0) };
    // Who ends gives its table up before its memory may be another's.
    let is_gone = load::<u64>(task + spot!(task_files) as u64) != files;
    if is_gone || board.count == introduced {
        board.count = before;
        scan.told = told;
    }
    if !is_gone && scan.next < scan.end {
        return 1;
    }
    scan.task = 0;
    0
}

/// Eight descriptors: each field of all their files before the next, so that the processor waits for all of them at once.
/// 1 ends the loop.
extern "C" fn group(_: u64, _: *mut c_void) -> i64 {
    let (Some(board), Some(scan)) = (BOARD.get_ptr_mut(0), SCAN.get_ptr_mut(0)) else { return 1 };
    // SAFETY: as in `tasks`, which waits for this.
    let board = unsafe { &mut *board };
    // SAFETY: as before.
    let scan = unsafe { &mut *scan };
    if scan.next >= scan.end || board.count > HELD_ROOM - SPARE_ROOM {
        return 1;
    }
    let first = scan.next;
    let slots = scan.files + first * 8;
    scan.next = first + GROUP as u64;
    let mut any = 0;
    let mut index = 0;
    while index < GROUP {
        let file: u64 = load(slots + index as u64 * 8);
        scan.descriptors.set(index, file);
        any |= file;
        index += 1;
    }
    if any == 0 {
        return 0;
    }
    // Where there is none, what is loaded from a small address, which is user space's, is zero. Without branches, which the
    // verifier would follow one by one.
    index = 0;
    while index < GROUP {
        let file = scan.descriptors.get(index);
        let differs = load::<u64>(file + spot!(file_op) as u64) ^ scan.operations;
        let is_socket = ((differs | differs.wrapping_neg()) >> 63).wrapping_sub(1);
        scan.sockets.set(index, load::<u64>(file + spot!(file_private_data) as u64) & is_socket);
        index += 1;
    }
    index = 0;
    while index < GROUP {
        scan.socks.set(index, load(scan.sockets.get(index) + spot!(socket_sk) as u64));
        index += 1;
    }
    index = 0;
    while index < GROUP {
        scan.hashes.set(index, load(scan.socks.get(index) + spot!(skc_hash) as u64));
        index += 1;
    }
    index = 0;
    while index < GROUP {
        let socket = scan.sockets.get(index);
        // It must still stand there.
        if socket != 0 && load::<u64>(slots + index as u64 * 8) == scan.descriptors.get(index) {
            held(board, first + index as u64, socket, scan.socks.get(index), scan.hashes.get(index));
        }
        index += 1;
    }
    0
}

/// Tells of a socket: the process that was told last has it by this descriptor.
#[inline(always)]
fn held(board: &mut Board, fd: u64, socket: u64, sock: u64, hashed: u64) {
    // The walk reads this line of the socket next.
    let state: u8 = load(sock + spot!(skc_state) as u64);
    let inode = if spot!(inodes) != 0 || sock == 0 || state == CLOSE || state == LISTEN {
        load(socket + spot!(socket_ino) as u64)
    } else {
        0
    };
    let key = if sock == 0 { 0 } else { key(sock, hashed) };
    put(board, [u64::from(HELD) | fd << 32, inode, key]);
}

/// Tells whose files follow.
#[inline(always)]
fn introduce(board: &mut Board, leader: u64) {
    let comm = leader + spot!(task_comm) as u64;
    put(board, [u64::from(HOLDER) | u64::from(seen(leader)) << 32, load(comm), load(comm + 8)]);
}

/// The number of a process in the PID namespace of the running task; 0: it has none.
#[inline(always)]
fn seen(leader: u64) -> u32 {
    /// Size of a `struct upid`.
    const UPID: u64 = 16;
    // SAFETY: the helper takes no argument and all tracing programs have it.
    let current = unsafe { bpf_get_current_task() };
    let own: u64 = load(current + spot!(task_thread_pid) as u64);
    let level: u32 = load(own + spot!(pid_level) as u64);
    let pid: u64 = load(leader + spot!(task_thread_pid) as u64);
    let depth: u32 = load(pid + spot!(pid_level) as u64);
    // Namespaces are nested 32 deep at most (`MAX_PID_NS_LEVEL`, include/linux/pid_namespace.h, 6.12).
    if depth < level || level > 32 {
        return 0;
    }
    load(pid + u64::from(level) * UPID + spot!(pid_numbers) as u64)
}

/// `file.f_op` of the reader's own socket.
#[inline(always)]
fn operations_of_sockets() -> u64 {
    // SAFETY: the helper takes no argument and all tracing programs have it.
    let current = unsafe { bpf_get_current_task() };
    let files: u64 = load(current + spot!(task_files) as u64);
    let table: u64 = load(files + spot!(files_fdt) as u64);
    let array: u64 = load(table + spot!(fdtable_fd) as u64);
    let file: u64 = load(array + spot!(own_socket) as u64 * 8);
    load(file + spot!(file_op) as u64)
}

/// Puts a record behind the others; there is room ([`SPARE_ROOM`]).
#[inline(always)]
fn put(board: &mut Board, record: [u64; 3]) {
    let count = board.count;
    // The compiler knows that it is below, and would not say so to the verifier.
    let index = (core::hint::black_box(count) & (HELD_ROOM - 1)) as usize;
    let place =
        core::ptr::from_mut(board).cast::<u8>().wrapping_add(BOARD_HEAD + index * size_of::<RawHeld>());
    // SAFETY: the place is one of the board, which has room for as many, aligned to 8; volatile, because the compiler would
    // make it a call.
    unsafe { place.cast::<[u64; 3]>().write_volatile(record) };
    board.count = count + 1;
}
