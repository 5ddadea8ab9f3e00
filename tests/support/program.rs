//! The program under test, run from outside.

use crate::json::Line;
use crate::need::Tier;
use crate::sys;
use anyhow::{Context, Result, bail, ensure};
use netstat_user::source::stream::UNSEEN;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Whether these lines of the tracer say that something was lost, and no other reason than [`UNSEEN`].
pub fn lost_only_unseen(err: &[String]) -> bool {
    let said = err.iter().filter_map(|line| line.strip_prefix("enetstat: lost ")?.split_once(" events ("));
    let mut reasons = said.filter_map(|(_, rest)| Some(rest.split_once("), ")?.0)).peekable();
    let is_unseen = |reason: &str| {
        let count = reason.strip_prefix(UNSEEN).and_then(|rest| rest.strip_prefix(": "));
        count.is_some_and(|count| count.bytes().all(|byte| byte.is_ascii_digit()))
    };
    reasons.peek().is_some() && reasons.all(is_unseen)
}

/// Says in the test's output what the tracer said of such events: whoever runs the tests may run this one again.
fn tell_unseen(err: &[String]) {
    tell(err.iter().map(String::as_str).filter(|line| line.contains(UNSEEN)));
}

/// Puts lines into the test's output.
#[expect(
    clippy::print_stderr,
    reason = "the harness keeps what a test prints, and shows it when the test fails"
)]
pub fn tell<'a>(lines: impl IntoIterator<Item = &'a str>) {
    lines.into_iter().for_each(|line| eprintln!("{line}"));
}

/// How long the tracer may take until it is attached, or to end: much more than it needs, for emulated machines.
const PATIENCE: Duration = Duration::from_secs(180);

/// Path of `enetstat` (`ENETSTAT_BIN` if set), or of a helper that is built beside the tests.
///
/// # Errors
/// There is no such program: says how to build it.
pub fn find(name: &str) -> Result<PathBuf> {
    if let ("enetstat", Some(path)) = (name, std::env::var_os("ENETSTAT_BIN")) {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    // target/debug/deps/live-0123, target/debug/bench
    for directory in own.ancestors().skip(1).take(2) {
        let path = directory.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!("no program {name} beside {}: run `cargo build` first", own.display())
}

/// `enetstat` with these words.
///
/// # Errors
/// See [`find`].
pub fn command(words: &[&str]) -> Result<Command> {
    let mut command = Command::new(find("enetstat")?);
    command.args(words).stdin(Stdio::null());
    sys::die_with_parent(&mut command);
    Ok(command)
}

/// A running `enetstat trace`.
pub struct Trace {
    child: Child,
    out: tempfile::NamedTempFile,
    said: Receiver<String>,
    reader: Option<JoinHandle<()>>,
    /// What it said on stderr until it was attached.
    preface: Vec<String>,
    /// CLOCK_MONOTONIC when it said that it is attached.
    pub attached: u64,
}

/// What a trace left behind.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    /// Its standard output, which may be long.
    pub out: Vec<u8>,
    /// Lines of its stderr, the summary among them.
    pub err: Vec<String>,
    /// CLOCK_MONOTONIC just before it was told to end.
    pub told_to_end: u64,
}

impl Trace {
    /// Starts `enetstat trace --json` in the tier, with further words, and waits until it says that it is attached.
    ///
    /// # Errors
    /// It ended before; carries what it said.
    pub fn start(tier: &Tier, words: &[&str]) -> Result<Self> {
        let mut all = vec!["--json"];
        all.extend(words);
        Self::start_plain(tier, &all)
    }

    /// The same without `--json`.
    ///
    /// # Errors
    /// See [`Trace::start`].
    pub fn start_plain(tier: &Tier, words: &[&str]) -> Result<Self> {
        let mut child = command(&["trace"])?;
        let out = tempfile::NamedTempFile::new()?;
        child.args(tier.args()).args(words).stdout(out.reopen()?).stderr(Stdio::piped());
        let mut child = child.spawn().context("starting enetstat")?;
        let err = child.stderr.take().context("no pipe")?;
        let (say, said) = channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(err).split(b'\n') {
                let Ok(line) = line else { return };
                if say.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        let mut trace = Self { child, out, said, reader: Some(reader), preface: Vec::new(), attached: 0 };
        let since = Instant::now();
        loop {
            match trace.said.recv_timeout(PATIENCE.saturating_sub(since.elapsed())) {
                Ok(line) => {
                    let attached = line.trim_start_matches("enetstat: ").starts_with("tracing");
                    trace.preface.push(line);
                    if attached {
                        trace.attached = sys::monotonic();
                        return Ok(trace);
                    }
                }
                Err(_) => {
                    let status = trace.child.try_wait()?;
                    bail!("enetstat did not attach ({status:?}): {:?}", trace.preface);
                }
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that it writes to.
    pub fn file(&self) -> std::path::PathBuf {
        self.out.path().to_owned()
    }

    /// What it has written so far, whole lines only.
    ///
    /// # Errors
    /// The file is gone.
    pub fn so_far(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(self.out.path())?.read_to_end(&mut text)?;
        let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(end);
        Ok(text)
    }

    /// Waits until what it has written satisfies `enough`, at most `longest`; gives the lines and whether it did.
    ///
    /// # Errors
    /// It ended, or wrote what is no JSON line.
    pub fn wait_for(
        &mut self,
        longest: Duration,
        enough: impl Fn(&[Line]) -> bool,
    ) -> Result<(Vec<Line>, bool)> {
        let since = Instant::now();
        loop {
            let lines = crate::json::lines(&self.so_far()?)?;
            let satisfied = enough(&lines);
            if satisfied || since.elapsed() > longest {
                return Ok((lines, satisfied));
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("enetstat ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Keeps it from running, as a machine without a free processor does.
    ///
    /// # Errors
    /// It is gone.
    pub fn pause(&self) -> Result<()> {
        Ok(sys::signal(self.child.id(), libc::SIGSTOP)?)
    }

    /// Lets it run again.
    ///
    /// # Errors
    /// It is gone.
    pub fn resume(&self) -> Result<()> {
        Ok(sys::signal(self.child.id(), libc::SIGCONT)?)
    }

    /// Interrupts it as Ctrl-C does and collects what it left.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(mut self) -> Result<Output> {
        let told_to_end = sys::monotonic();
        sys::signal(self.child.id(), libc::SIGINT)?;
        self.collect(told_to_end)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not end.
    pub fn finish(mut self) -> Result<Output> {
        self.collect(u64::MAX)
    }

    fn collect(&mut self, told_to_end: u64) -> Result<Output> {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(since.elapsed() < PATIENCE, "enetstat does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        if let Some(reader) = self.reader.take() {
            sys::joined(reader.join())?;
        }
        let mut err = std::mem::take(&mut self.preface);
        err.extend(self.said.try_iter());
        tell_unseen(&err);
        Ok(Output { status, out: std::fs::read(self.out.path())?, err, told_to_end })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Only when a test failed in between is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    /// Its lines.
    ///
    /// # Errors
    /// One of them is no JSON, or it failed.
    pub fn lines(&self) -> Result<Vec<Line>> {
        ensure!(self.status.success(), "enetstat: {}: {:?}", self.status, self.err);
        crate::json::lines(&self.out)
    }

    /// The summary: with `--json` a JSON line on stderr.
    ///
    /// # Errors
    /// There is none.
    pub fn summary(&self) -> Result<serde_json::Value> {
        for line in self.err.iter().rev().filter(|line| line.starts_with('{')) {
            let value: serde_json::Value = serde_json::from_str(line).with_context(|| line.clone())?;
            if value["enetstat.kind"] == "summary" {
                return Ok(value);
            }
        }
        bail!("no summary on stderr: {:?}", self.err)
    }

    /// A number of the summary, printed as a number or as text.
    ///
    /// # Errors
    /// The summary has none of that name.
    pub fn counted(&self, key: &str) -> Result<u64> {
        let summary = self.summary()?;
        let value = &summary[key];
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.with_context(|| format!("no number {key} in {summary}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{UNSEEN, lost_only_unseen};

    /// Who runs the tests looks for this.
    #[test]
    fn what_no_program_saw_is_said_in_words_that_are_looked_for() {
        assert!(UNSEEN.contains("this kernel runs no programs"));
    }

    #[test]
    fn another_reason_is_another_matter() {
        let said = |reasons: &str| vec![format!("enetstat: lost 3 events ({reasons}), listing anew")];
        let unseen = &format!("{UNSEEN}: 3");
        assert!(lost_only_unseen(&said(unseen)) && !lost_only_unseen(&[]));
        assert!(!lost_only_unseen(&said("ring buffer full: 3")));
        assert!(!lost_only_unseen(&said(&format!("ring buffer full: 3, {unseen}"))));
        assert!(!lost_only_unseen(&said(&format!("{unseen}, hook left out by the kernel: 1 (state_btf 1)"))));
        assert!(!lost_only_unseen(&[said(unseen), said("ring buffer full: 3")].concat()));
    }
}
