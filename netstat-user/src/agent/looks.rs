//! When it is looked for who holds what: regularly, and when the table asks for it.

use std::time::Duration;
use tokio::time::Instant;

/// How often the table is asked whether it wants a look, at most.
const PAUSE: Duration = Duration::from_millis(250);
/// A look, and the question whether one is wanted, may take this share of the time (1/50).
const SHARE: u32 = 50;

/// When the next look is due.
pub(super) struct Looks {
    /// How often, at least.
    every: Duration,
    next: Instant,
    /// Not before, even if it is wanted.
    earliest: Instant,
    /// When the one that is under way was asked for.
    asked: Option<Instant>,
    /// The first one is over.
    pub done: bool,
}

impl Looks {
    pub fn new(every: Duration) -> Self {
        let now = Instant::now();
        Self { every, next: now, earliest: now, asked: None, done: false }
    }

    /// Whether it is time for one. `wanted` is asked now and then.
    pub fn are_due(&mut self, wanted: impl FnOnce() -> bool) -> bool {
        let now = Instant::now();
        if self.asked.is_some() || !self.done {
            return false;
        }
        if now >= self.next {
            return true;
        }
        if now < self.earliest {
            return false;
        }
        let wanted = wanted();
        self.earliest = now + PAUSE.max(now.elapsed() * SHARE);
        wanted
    }

    /// One was asked for.
    pub fn begin(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// It is over.
    pub fn end(&mut self) {
        let now = Instant::now();
        let took = self.asked.take().map_or(Duration::ZERO, |asked| now - asked);
        self.next = now + self.every.max(took * SHARE);
        self.earliest = now + PAUSE.max(took * SHARE);
        self.done = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_none_before_the_first() {
        let mut looks = Looks::new(Duration::from_secs(3600));
        assert!(!looks.are_due(|| true), "the first is asked for by itself");
        looks.begin();
        looks.end();
        assert!(!looks.are_due(|| panic!("too early to ask")));
        looks.earliest = Instant::now();
        assert!(looks.are_due(|| true));
        looks.begin();
        looks.earliest = Instant::now();
        assert!(!looks.are_due(|| true), "one is under way");
        looks.end();
        looks.next = Instant::now();
        assert!(looks.are_due(|| false), "it is time");
    }
}
