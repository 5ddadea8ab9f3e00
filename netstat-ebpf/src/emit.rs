//! The way out: reserve, fill in place, submit; count what did not fit.

use crate::maps::{EVENTS, LAST_SENT, config_long, count_loss};
use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use core::mem::MaybeUninit;
use netstat_common::event::{RawClose, RawFull, RawHead, RawProcess, RawQueue};
use netstat_common::{Loss, judge};

/// A record.
///
/// # Safety
/// Its size and alignment are eight bytes or a multiple, and it may be all zero.
pub unsafe trait Record: 'static {}

// SAFETY: `netstat_common::event` asserts sizes and alignment; these hold integers and byte arrays only.
unsafe impl Record for RawHead {}
// SAFETY: as above.
unsafe impl Record for RawFull {}
// SAFETY: as above.
unsafe impl Record for RawClose {}
// SAFETY: as above.
unsafe impl Record for RawQueue {}
// SAFETY: as above.
unsafe impl Record for RawProcess {}

/// Nanoseconds of CLOCK_MONOTONIC.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes no argument and every program type has it.
    unsafe { bpf_ktime_get_ns() }
}

/// Sends one record that nobody waits for: it is read with the next one, or a moment later. Otherwise as [`emit`].
#[inline(always)]
pub fn emit_quietly<T: Record>(fill: impl FnOnce(u64, &mut T)) -> bool {
    let now = now();
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        lost(Loss::RingFull);
        return false;
    };
    fill(now, zeroed(&mut entry));
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    true
}

/// A record that is being written: it lies in the ring itself.
pub struct Draft<T: Record> {
    entry: RingBufEntry<T>,
    /// When it was begun.
    pub now: u64,
}

impl<T: Record> Draft<T> {
    /// A zeroed record; where there is no room, the loss is counted. It must be [sent](Self::send). What [`emit`] does, for the
    /// hot paths: compilers make functions of closures that more than one program has.
    #[inline(always)]
    pub fn new() -> Option<Self> {
        let now = now();
        let Some(mut entry) = EVENTS.reserve::<T>(0) else {
            lost(Loss::RingFull);
            return None;
        };
        zeroed(&mut entry);
        Some(Self { entry, now })
    }

    #[inline(always)]
    pub fn record(&mut self) -> &mut T {
        // SAFETY: `new` has cleared it, and a `Record` may be all zero.
        unsafe { self.entry.assume_init_mut() }
    }

    #[inline(always)]
    pub fn send(self) {
        submit(self.entry, self.now);
    }
}

/// Sends one record. `fill` gets the time and the zeroed record, which lies in the ring itself. Returns whether there
/// was room; if not, the loss is counted.
#[inline(always)]
pub fn emit<T: Record>(fill: impl FnOnce(u64, &mut T)) -> bool {
    let now = now();
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        lost(Loss::RingFull);
        return false;
    };
    fill(now, zeroed(&mut entry));
    submit(entry, now);
    true
}

#[inline(always)]
fn submit<T: Record>(entry: RingBufEntry<T>, now: u64) {
    // A reader that was woken looks again and again, until for a while nothing has come: only the first record after such
    // a while must wake it. Two processors may both decide to wake it: that is harmless.
    let last = LAST_SENT.load();
    if judge::must_mark(last, now) {
        LAST_SENT.store(now);
    }
    if judge::must_wake(last, now, config_long!(wake_interval)) {
        entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    } else {
        entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    }
}

/// Clears a record by words. What the compiler would make of a plain assignment is a call of `memset`, which goes byte by
/// byte here.
#[inline(always)]
fn zeroed<T: Record>(entry: &mut MaybeUninit<T>) -> &mut T {
    let words = entry.as_mut_ptr().cast::<u64>();
    for index in 0..size_of::<T>() / size_of::<u64>() {
        // SAFETY: the word lies within the entry, which is aligned to eight bytes. Volatile, so that it stays a store.
        unsafe { words.wrapping_add(index).write_volatile(0) };
    }
    // SAFETY: every byte was just cleared, and a `Record` may be all zero.
    unsafe { entry.assume_init_mut() }
}

/// Counts one record that could not be sent.
#[inline(always)]
pub fn lost(loss: Loss) {
    count_loss(loss);
}
