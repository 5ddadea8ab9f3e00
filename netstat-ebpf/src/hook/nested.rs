//! Events inside events.
//!
//! Since Linux 6.1 a program is left out where it is already running on the same processor (`__bpf_trace_run`,
//! kernel/trace/bpf_trace.c). That happens: a process changes the state of its socket, an interrupt comes while our
//! program runs, and the softirq behind it changes the states of a hundred other sockets. So each such hook has a twin.
//! Both are called for every event, the first before the twin. The first notes which event it has; the twin acts when
//! that is another one than its own: then the first was left out. It is a program of its own: a second run of the first
//! would share the stack of the interrupted one (private stacks, Linux 6.13).
//!
//! Notes are a stack: an event inside another one is noted above it and taken off by its own twin before the outer one
//! goes on. Two are enough, a process and the softirq that interrupts it; hard interrupts change no states. Where the
//! twin itself is left out, a note stays behind and the outer event may be told twice, which the table recognises.

use crate::maps::{LOSSES, NOTES};
use netstat_common::loss::SPARED;

/// What is kept for each processor: see [`NOTES`].
const TOP: usize = 0;
const BELOW: usize = 2;
const MINE: usize = 4;

type Notes = *mut [u64; 8];

#[inline(always)]
fn get(notes: Notes, at: usize) -> u64 {
    let word = notes.cast::<u64>().wrapping_add(at);
    // SAFETY: a word of this processor's own, which lives as long as the map (`at` is below 8); volatile, because an
    // interrupt may write it.
    unsafe { word.read_volatile() }
}

#[inline(always)]
fn put(notes: Notes, at: usize, value: u64) {
    let word = notes.cast::<u64>().wrapping_add(at);
    // SAFETY: as in `get`.
    unsafe { word.write_volatile(value) }
}

/// Runs the first program's part for the socket at `sk` and the state `to`, and notes that it did.
#[inline(always)]
pub fn first(sk: u64, to: i32, work: impl FnOnce()) {
    let Some(notes) = NOTES.get_ptr_mut(0) else { return };
    put(notes, BELOW, get(notes, TOP));
    put(notes, BELOW + 1, get(notes, TOP + 1));
    put(notes, TOP, sk);
    put(notes, TOP + 1, to as u64);
    work();
}

/// The twin: does the first's part where that was left out, and counts it.
#[inline(always)]
pub fn spare(sk: u64, to: i32, work: impl FnOnce()) {
    let Some(notes) = NOTES.get_ptr_mut(0) else { return };
    // Through memory, which makes a number of an address.
    put(notes, MINE, sk);
    if get(notes, TOP) == get(notes, MINE) && get(notes, TOP + 1) == to as u64 {
        put(notes, TOP, get(notes, BELOW));
        put(notes, TOP + 1, get(notes, BELOW + 1));
        put(notes, BELOW, 0);
        return;
    }
    let Some(count) = LOSSES.get_ptr_mut(SPARED) else { return };
    // SAFETY: this processor's counter, which lives as long as the map.
    let count = unsafe { &mut *count };
    *count += 1;
    work();
}
