//! Times. The kernel stamps events with CLOCK_MONOTONIC; people read the wall clock.

use std::time::Duration;

/// Nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The present. Only wiring asks for it; everything below takes it as an argument.
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Self(nanoseconds(now))
    }

    /// Time from `earlier` until `self`, zero when `earlier` is later: clocks of two CPUs may differ by a little.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self` later by `by`.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// `self` earlier by `by`, or the start of the clock.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Nanoseconds by which the wall clock may be off before it is followed.
const DRIFT: u128 = 5_000_000;

/// Turns [`Mono`] into wall-clock time by the distance of both clocks at one moment. Set anew now and then, or a
/// step of the wall clock shows in everything after it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds from the start of CLOCK_MONOTONIC since the Unix epoch.
    offset: i128,
}

impl Clock {
    /// Compares both clocks now. They cannot be read at the same time, so the closest of a few readings counts.
    pub fn now() -> Self {
        let mut best = (u64::MAX, 0);
        for _ in 0..5 {
            let before = Mono::now().0;
            let wall = nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Realtime));
            let gap = Mono::now().0.saturating_sub(before);
            if gap < best.0 {
                best = (gap, i128::from(wall) - i128::from(before + gap / 2));
            }
        }
        Self { offset: best.1 }
    }

    /// Compares both clocks anew and follows when the wall clock was set, or has drifted far enough to be seen. Small
    /// differences are errors of reading, and following them would put events out of order. Whether it followed.
    pub fn follow(&mut self) -> bool {
        let now = Self::now();
        let moved = (now.offset - self.offset).unsigned_abs() > DRIFT;
        if moved {
            *self = now;
        }
        moved
    }

    /// A clock whose monotonic zero is `epoch_nanoseconds` after the Unix epoch.
    pub fn fixed(epoch_nanoseconds: i128) -> Self {
        Self { offset: epoch_nanoseconds }
    }

    /// Nanoseconds since the Unix epoch at `at`.
    pub fn wall(&self, at: Mono) -> i128 {
        self.offset + i128::from(at.0)
    }
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    // Both clocks are past their epoch, so neither part is negative.
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}
