//! What a test program printed, reduced to what a summary needs.

use std::collections::BTreeSet;
use std::fmt;

/// What the tracer says of events that happened where the kernel runs no programs: some kernels run none on top of process 1,
/// whose turn it is for a moment now and then. Such a test has to be run again.
const UNSEEN: &str = "this kernel runs no programs";

/// Counts of one run of one test program, from the lines that Rust's test harness prints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub passed: u32,
    pub failed: u32,
    pub ignored: u32,
    /// Reasons printed by tests that passed without testing, in lines that begin with `skipped: `. Seen only where the
    /// harness is told to show the output of tests that pass.
    pub skipped: Vec<String>,
    /// Names of the tests that failed.
    pub failures: Vec<String>,
    /// Whether the closing line was seen: without it the program died.
    pub complete: bool,
    /// The test that was begun last, where tests run one at a time.
    begun: Option<String>,
    /// Inside a list of failures.
    listing: bool,
    /// Whose output is being read.
    telling: Option<String>,
    /// Tests in whose output is [`UNSEEN`].
    unseen: BTreeSet<String>,
}

impl Outcome {
    /// One failure, of something that could not be run at all.
    pub fn failure(reason: String) -> Self {
        Self { failed: 1, failures: vec![reason], ..Self::default() }
    }

    /// Takes the next line of the output.
    pub fn learn(&mut self, line: &str) {
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.telling = Some(test.to_owned());
        } else if line.contains(UNSEEN) {
            self.unseen.extend(self.telling.clone());
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.complete = true;
            self.listing = false;
            for part in counts.split([';', '.']) {
                match part.trim().split_once(' ') {
                    Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                    Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                    Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                    _ => {}
                }
            }
        } else if let Some((name, rest)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            self.begun = Some(name.to_owned());
            // Where tests run one at a time, what one says on stderr continues the line with its name.
            if let Some(reason) = rest.strip_prefix("skipped: ") {
                self.skipped.push(reason.to_owned());
            }
        } else if let Some(reason) = line.strip_prefix("skipped: ") {
            self.skipped.push(reason.to_owned());
        } else if line == "failures:" {
            // Printed twice: above what the failed tests printed, then above the list of their names.
            self.failures.clear();
            self.listing = true;
        } else if self.listing
            && let Some(name) = line.strip_prefix("    ")
        {
            self.failures.push(name.to_owned());
        }
    }

    /// Those of the failed tests that could not see everything, because of the kernel they ran on.
    pub fn blind(&self) -> Vec<String> {
        self.failures.iter().filter(|failure| self.unseen.contains(*failure)).cloned().collect()
    }

    /// Takes the outcome of running a failed test again, by itself, for its own.
    pub fn again(&mut self, test: &str, again: &Self) {
        if again.passed == 1 && again.failed == 0 && again.complete {
            self.failures.retain(|failure| failure != test);
            self.failed = self.failed.saturating_sub(1);
            self.passed += 1;
        }
    }

    /// Notes an end that the harness did not report itself, such as `signal 9`.
    pub fn died(&mut self, end: &str) {
        if !self.complete {
            self.failed += 1;
            let during = self.begun.as_deref().unwrap_or("its start");
            self.failures.push(format!("(ended with {end} during {during})"));
        } else if self.failed == 0 {
            self.failed += 1;
            self.failures.push(format!("(ended with {end} after its tests)"));
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = u32::try_from(self.skipped.len()).unwrap_or(u32::MAX);
        write!(f, "{} passed, {} failed", self.passed.saturating_sub(skipped), self.failed)?;
        if self.ignored > 0 {
            write!(f, ", {} ignored", self.ignored)?;
        }
        if skipped > 0 {
            write!(f, ", {skipped} skipped")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Outcome {
        let mut outcome = Outcome::default();
        text.lines().for_each(|line| outcome.learn(line));
        outcome
    }

    #[test]
    fn failures_are_counted_and_named() {
        let seen = outcome(
            "running 3 tests\ntest a ... ok\ntest b::c ... FAILED\ntest d ... ignored\n\nsuccesses:\n\n\
             ---- a stdout ----\nskipped: no fentry here\n\nsuccesses:\n    a\n\nfailures:\n\n---- b::c stdout ----\n\
             thread panicked\n    indented\n\nfailures:\n    b::c\n\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
        );
        assert_eq!((seen.passed, seen.failed, seen.ignored, seen.complete), (1, 1, 1, true));
        assert_eq!(seen.failures, ["b::c"]);
        assert_eq!(seen.skipped, ["no fentry here"]);
        assert_eq!(seen.to_string(), "0 passed, 1 failed, 1 ignored, 1 skipped");
    }

    #[test]
    fn a_test_that_could_not_see_everything_may_be_run_again() {
        let mut seen = outcome(&format!(
            "---- a stdout ----\nlost 1 events (happened while process 1 ran, where {UNSEEN}: 1)\n\n\
             ---- b stdout ----\nlost 1 events (ring buffer full: 1)\n\nfailures:\n    a\n    b\n\n\
             test result: FAILED. 3 passed; 2 failed; 0 ignored"
        ));
        assert_eq!(seen.blind(), ["a"]);
        seen.again("a", &outcome("test result: FAILED. 0 passed; 1 failed; 0 ignored"));
        assert_eq!((seen.passed, seen.failed), (3, 2));
        seen.again("a", &outcome("test result: ok. 1 passed; 0 failed; 0 ignored"));
        assert_eq!((seen.passed, seen.failed, seen.failures.as_slice()), (4, 1, ["b".to_owned()].as_slice()));
    }

    /// As it looks where tests run one at a time: libtest has written the name when the test writes to stderr.
    #[test]
    fn a_reason_behind_the_name_is_a_skipped_test_too() {
        let seen = outcome(
            "running 2 tests\ntest a ... skipped: a: no events\nok\ntest b ... ok\n\n\
             test result: ok. 2 passed; 0 failed; 0 ignored",
        );
        assert_eq!(seen.skipped, ["a: no events"]);
        assert_eq!(seen.to_string(), "1 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_death_is_a_failure_of_the_test_at_hand() {
        let mut seen = outcome("running 2 tests\ntest a ... ok\ntest b ... ");
        seen.died("signal 11");
        assert_eq!(seen.failures, ["(ended with signal 11 during b)"]);
        assert_eq!(seen.failed, 1);
    }

    #[test]
    fn the_exit_code_of_a_failed_test_is_no_second_failure() {
        let mut seen = outcome("failures:\n    a\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored");
        seen.died("exit 101");
        assert_eq!((seen.failed, seen.failures.as_slice()), (1, ["a".to_owned()].as_slice()));
    }
}
