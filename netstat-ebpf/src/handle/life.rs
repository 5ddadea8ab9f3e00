//! Processes that begin, become another program, and end: with that they come to hold sockets, or hold them no more.

use super::is_wanted;
use super::owner::socket_in;
use crate::emit::emit_quietly;
use crate::maps::{ABSENT, offset};
use crate::sock::{Address, Probed, Sock, probed};
use crate::task;
use netstat_common::event::{How, Life, RawHead};
use netstat_common::{AF_INET, AF_INET6, IPPROTO_TCP, Kind};

/// Descriptors that are looked at after an exec: the bits of a word.
const LOOKED_AT: u32 = 64;
/// Words that are read at once: a table of more than one is of a multiple of them (`alloc_fdtable`, fs/file.c, 6.12).
const GROUP: u32 = 2;
/// Words in which it is looked for further ones: 16,384 descriptors.
const WORDS: u32 = 256;

#[inline(always)]
fn tgid_of(task: Address) -> u32 {
    probed(task, offset!(task_tgid)).unwrap_or_default()
}

#[inline(always)]
fn tell(what: Life, tgid: u32, to: u8, other: u32) {
    emit_quietly(|now, head: &mut RawHead| {
        head.time = now;
        head.kind = Kind::Life as u8;
        head.from = what as u8;
        head.to = to;
        head.sock = u64::from(other);
        head.tgid = tgid;
    });
}

/// `parent` made `child`, which does not run yet.
#[inline(always)]
pub fn forked(parent: Address, child: Address) {
    let (from, to) = (tgid_of(parent), tgid_of(child));
    // The same: a thread. Where the places are not known both are 0.
    if from != to {
        tell(Life::Fork, from, 0, to);
    }
}

/// A thread ends, and perhaps its process.
#[inline(always)]
pub fn exited(task: Address) {
    if offset!(task_signal) == ABSENT || offset!(signal_live) == ABSENT {
        return;
    }
    let Some(signal) = probed::<Address>(task, offset!(task_signal)) else { return };
    // Counted before the tracepoint (`do_exit`, kernel/exit.c, 6.12).
    if probed::<i32>(signal, offset!(signal_live)) == Some(0) {
        tell(Life::Exit, tgid_of(task), 0, 0);
    }
}

/// The running process executes another program from now on. Files that end with an exec are closed.
#[inline(always)]
pub fn executed() {
    let tgid = task::tgid();
    let files = open_files().unwrap_or(Files { array: core::ptr::null(), open: 0, more: true });
    tell(Life::Exec, tgid, u8::from(files.more), 0);
    life_introduces();
    for fd in 0..LOOKED_AT {
        let left = files.open >> fd;
        if left == 0 {
            break;
        }
        // Whether this one is open is asked there: with both answers at each step the verifier would not come to an end.
        life_keeps(files.array as u64, u64::from(fd), u64::from(tgid), left);
    }
}

/// The process `tgid` still holds the descriptor `fd` of an array, whatever that is, if the lowest bit of `open` is set. A function that others may call, so that
/// the verifier looks at it once, and not once for each descriptor.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn life_keeps(array: u64, fd: u64, tgid: u64, open: u64) -> u64 {
    if open & 1 != 0
        && let Some(sk) = socket_in(array as Address, fd)
        && !sk.is_null()
    {
        let sock = Probed(sk);
        if matches!(sock.family(), AF_INET | AF_INET6) && sock.protocol() == IPPROTO_TCP && is_wanted(sock) {
            keeps(sock, tgid as u32);
        }
    }
    0
}

#[inline(always)]
fn keeps(sock: Probed, tgid: u32) {
    let state = sock.state();
    emit_quietly(|now, head: &mut RawHead| {
        head.time = now;
        head.kind = Kind::Owner as u8;
        head.from = How::Keep as u8;
        head.to = state;
        head.protocol = IPPROTO_TCP;
        task::sign(head, tgid);
        sock.name(head);
    });
}

/// The descriptors of the running process.
struct Files {
    array: Address,
    /// Which of the first are open, a bit each.
    open: u64,
    /// There are open ones behind those.
    more: bool,
}

#[inline(always)]
fn open_files() -> Option<Files> {
    if offset!(fdtable_open_fds) == ABSENT {
        return None;
    }
    let files: Address = probed(task::current(), offset!(task_files))?;
    let table: Address = probed(files, offset!(files_fdt))?;
    let size: u32 = probed(table, offset!(fdtable_max_fds))?;
    let array: Address = probed(table, offset!(fdtable_fd))?;
    let bits: Address = probed(table, offset!(fdtable_open_fds))?;
    let open: u64 = probed(bits, 0)?;
    let more = life_has_more(bits as u64, u64::from(size)) != 0;
    Some(Files { array, open, more })
}

/// Tells who the running process is. A function for others like [`life_keeps`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn life_introduces() -> u64 {
    task::announce::<Probed>(task::running::<Probed>());
    0
}

/// Whether a table of `size` descriptors, whose `bits` say which are open, has open ones behind those that are looked at; what
/// cannot be read may have some. A function for others like [`life_keeps`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn life_has_more(bits: u64, size: u64) -> u64 {
    let (bits, size) = (bits as Address, size as u32);
    if size > WORDS * LOOKED_AT {
        return 1;
    }
    // A table that was made for the parent's many files may be empty behind the first ones, and normally is.
    for group in 0..WORDS / GROUP {
        let at = group * GROUP * LOOKED_AT;
        if at + GROUP * LOOKED_AT > size {
            break;
        }
        let Some([first, second]) = probed::<[u64; GROUP as usize]>(bits, u64::from(at / 8)) else {
            return 1;
        };
        if (if group == 0 { second } else { first | second }) != 0 {
            return 1;
        }
    }
    0
}
