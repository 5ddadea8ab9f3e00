//! The way out: reserve, fill in place, submit; count what did not fit.

use crate::maps::{EVENTS, LAST_WAKE, LOSSES, config};
use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use netstat_common::{Loss, judge};

/// Nanoseconds of CLOCK_MONOTONIC.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes no argument and every program type has it.
    unsafe { bpf_ktime_get_ns() }
}

/// Sends one record. `fill` gets the time and the zeroed record, which lies in the ring itself. Returns whether there
/// was room; if not, the loss is counted.
#[inline(always)]
pub fn emit<T: Default + 'static>(fill: impl FnOnce(u64, &mut T)) -> bool {
    let now = now();
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        lost(Loss::RingFull);
        return false;
    };
    fill(now, entry.write(T::default()));
    // A reader that was just woken drains until the ring is empty, so most records need not wake it. Two processors may
    // both decide to wake it: that is harmless.
    let wake = judge::must_wake(LAST_WAKE.load(), now, config!(wake_interval));
    if wake {
        LAST_WAKE.store(now);
        entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    } else {
        entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    }
    true
}

/// Counts one record that could not be sent.
#[inline(always)]
pub fn lost(loss: Loss) {
    if let Some(count) = LOSSES.get_ptr_mut(loss as u32) {
        // SAFETY: `count` points to this processor's counter, which lives as long as the map.
        let count = unsafe { &mut *count };
        *count += 1;
    }
}
