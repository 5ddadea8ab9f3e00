//! Events inside events.
//!
//! Since Linux 6.1 a program is left out where it is already running on the same processor (`__bpf_trace_run`,
//! kernel/trace/bpf_trace.c). That happens: a process changes the state of its socket, an interrupt comes while our
//! program runs, and the softirq behind it changes the states of a hundred other sockets; or, where tracepoints can be
//! preempted (7.x), another process runs for a while. So each such hook has spares. All are called for every event, the
//! first before them. The first notes which event it has; a spare acts when it finds no such note: then those before it
//! were left out. Spares are programs of their own: a second run of the first would share the stack of the interrupted one
//! (private stacks, Linux 6.13).
//!
//! Against interrupts one spare is enough: a softirq is not interrupted by another. Where tracepoints can be preempted, a
//! process that is stopped in the middle of a program keeps that program from everybody until it goes on. `hold` does not
//! end that: a process that was to be stopped meanwhile is stopped at `release`, still in the program. So there the first
//! is a classic tracepoint's program, which the kernel runs without being preempted (include/trace/perf.h, 7.0), and which is
//! left out only on top of another of its kind, or of a system call on a map; its spares, more than one because processes can be stopped in these, hold when they have something
//! to do. It cannot give a socket its cookie: another program, `naming_btf`, has done that before it, almost always;
//! else the socket is named by its address, and for that every record has both names and the addresses. Without tracefs the
//! first is of the same kind as its spares, and holds. So it is beside kprobes, of which the kernel runs none on top of a classic
//! tracepoint's program: there the classic one is the last spare, which seldom has anything to do and is over at once.
//!
//! Notes lie in a table by the socket's address, for all processors: where processes come in between, anything may run between
//! two programs, in any order, and the process may even move to another processor; but one socket changes its state once at
//! a time. Where two sockets share a place, or the last spare is left out, the event may be told twice, which the table
//! recognises.

use crate::maps::{NOTE_COUNT, NOTES, config, count};
use crate::undisturbed::undisturbed;
use core::mem::MaybeUninit;
use netstat_common::config::COUNTED_SPARED;

/// A place for notes: the socket, and the state it reaches.
type Note = *mut [u64; 2];

#[inline(always)]
fn get(note: Note, at: usize) -> u64 {
    let word = note.cast::<u64>().wrapping_add(at);
    // SAFETY: a word of the map, which lives as long as the program (`at` is below 2); volatile, because others write it.
    unsafe { word.read_volatile() }
}

#[inline(always)]
fn put(note: Note, at: usize, value: u64) {
    let word = note.cast::<u64>().wrapping_add(at);
    // SAFETY: as in `get`.
    unsafe { word.write_volatile(value) }
}

/// The socket's address as a number, and the place for notes about it.
#[inline(always)]
fn place(sk: u64) -> Option<(u64, Note)> {
    let sk = number(sk);
    // Sockets are some kilobytes apart, and aligned.
    let place = (sk >> 6 ^ sk >> 16) as u32 & (NOTE_COUNT - 1);
    Some((sk, NOTES.get_ptr_mut(place)?))
}

/// The verifier lets no address be computed with, but what was put together of pieces is a number to it: the highest byte is
/// stored once more, which is the same in all addresses of the kernel, and would do no harm if it were not.
#[inline(always)]
fn number(address: u64) -> u64 {
    const HIGHEST: usize = if cfg!(target_endian = "little") { 7 } else { 0 };
    let mut word = MaybeUninit::<u64>::uninit();
    let word = word.as_mut_ptr();
    // SAFETY: the word is ours, on the stack; volatile, so that it is stored, changed and loaded there.
    unsafe { word.write_volatile(address) };
    // SAFETY: a byte of the word.
    unsafe { word.cast::<u8>().wrapping_add(HIGHEST).write_volatile(0xff) };
    // SAFETY: all its bytes were written.
    unsafe { word.read_volatile() }
}

/// Runs the first program's part for the socket at `sk` and the state `to`, and notes that it did.
#[inline(always)]
pub fn first(sk: u64, to: i32, work: impl FnOnce()) {
    undisturbed(|| first_unpreempted(sk, to, work));
}

/// The same in a program that is never preempted.
#[inline(always)]
pub fn first_unpreempted(sk: u64, to: i32, work: impl FnOnce()) {
    if let Some((number, note)) = place(sk) {
        put(note, 0, number);
        put(note, 1, to as u64);
    }
    work();
}

/// A spare: does the first's part where that and the spares before this one were left out, and counts it. The last one,
/// number `which` of all there are, removes the note.
#[inline(always)]
pub fn spare(which: u32, sk: u64, to: i32, work: impl FnOnce()) {
    // Almost always there is nothing to do, and the shorter that takes, the seldomer a process is stopped meanwhile.
    if is_open(which, sk, to) && count(COUNTED_SPARED) {
        undisturbed(work);
    }
}

/// The same in a program that is never preempted.
#[inline(always)]
pub fn spare_unpreempted(which: u32, sk: u64, to: i32, work: impl FnOnce()) {
    if is_open(which, sk, to) && count(COUNTED_SPARED) {
        work();
    }
}

/// The one spare of a hook that is called often and matters seldom. What it takes over is not counted, as what the first is
/// left out of is not.
#[inline(always)]
pub fn spare_of_few(sk: u64, to: i32, work: impl FnOnce()) {
    if is_open(1, sk, to) {
        undisturbed(work);
    }
}

/// Whether all programs before this one were left out. If so, it notes itself for those behind it.
#[inline(always)]
fn is_open(which: u32, sk: u64, to: i32) -> bool {
    let Some((number, note)) = place(sk) else { return false };
    let last = which == config!(spares);
    if get(note, 0) == number && get(note, 1) == to as u64 {
        if last {
            put(note, 0, 0);
        }
        return false;
    }
    if !last {
        put(note, 0, number);
        put(note, 1, to as u64);
    }
    true
}
