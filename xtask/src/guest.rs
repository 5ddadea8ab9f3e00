//! One virtual machine: started, watched on its console, ended when it panics, falls silent or takes too long.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::outcome::Outcome;
use crate::shell;

/// The guest's first process says something every 10 s. Booting is silent, and slow on a busy host.
const SILENCE: Duration = Duration::from_secs(120);

/// What the kernel prints when it cannot go on.
const DEATHS: &[&str] = &["Kernel panic", "PANIC: double fault"];

/// What came of the commands in a guest.
pub struct Report {
    /// One for each command that was begun.
    pub outcomes: Vec<Outcome>,
    /// Everything the commands printed, one text each.
    pub outputs: Vec<String>,
    /// What the guest's first process could not do.
    pub problems: Vec<String>,
    /// Why the guest did not run to its end.
    pub death: Option<String>,
    pub took: Duration,
}

/// The processor: everything that the emulator knows but `cmpxchg16b`, which leaves wrong flags behind now and then
/// (qemu 7.2): 6.12, whose allocator uses it most, then fails with debug exceptions, null pointers or double faults.
const PROCESSOR: &str = "max,cx16=off";

/// How qemu is called. Two processors under its emulator make some kernels fault, so there is one.
pub fn command(image: &Path, initramfs: &Path) -> Command {
    let mut qemu =
        Command::new(shell::which("qemu-system-x86_64").unwrap_or_else(|| "qemu-system-x86_64".into()));
    qemu.args(["-accel", "tcg", "-smp", "1", "-cpu", PROCESSOR, "-m", "1536", "-nographic", "-no-reboot"]);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1", "-kernel"])
        .arg(image)
        .arg("-initrd")
        .arg(initramfs);
    qemu
}

/// Runs the guest to its end, or ends it; the console is kept in `log`.
pub fn run(qemu: &mut Command, log: &Path, limit: Duration) -> anyhow::Result<Report> {
    let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut child = qemu
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shell::show(qemu)))?;
    let stdout = child.stdout.take().context("qemu has no output")?;
    let stderr = child.stderr.take().context("qemu has no error output")?;
    let complaints = thread::spawn(move || std::io::read_to_string(stderr).unwrap_or_default());
    let lines = console(stdout, file);

    let start = Instant::now();
    let mut watch = Watch::default();
    let death = watch.until_end(&lines, start + limit);
    let _ = child.kill();
    let _ = child.wait();
    let death = death.map(|death| match complaints.join() {
        Ok(text) if !text.trim().is_empty() => format!("{death}; qemu says: {}", text.trim()),
        _ => death,
    });
    if let Some(death) = &death
        && let Some(outcome) = watch.report.outcomes.last_mut()
        && watch.running
    {
        outcome.died(death);
    }
    Ok(Report { death, took: start.elapsed(), ..watch.report })
}

/// Reads the console in a thread, so that silence can be told from work. The log gets every byte as it was.
fn console(stdout: ChildStdout, mut log: File) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let _ = log.write_all(&line);
            if send.send(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

impl Default for Report {
    fn default() -> Self {
        let (outcomes, outputs, problems) = Default::default();
        Self { outcomes, outputs, problems, death: None, took: Duration::ZERO }
    }
}

#[derive(Default)]
struct Watch {
    report: Report,
    /// A command has begun and not ended.
    running: bool,
    done: bool,
}

impl Watch {
    /// Follows the console. Returns why the guest must be considered dead, or none when it said it is done.
    fn until_end(&mut self, lines: &Receiver<String>, deadline: Instant) -> Option<String> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some("the guest's time was up".to_owned());
            }
            match lines.recv_timeout(left.min(SILENCE)) {
                Ok(line) => {
                    if let Some(death) = self.learn(&line) {
                        return Some(death);
                    }
                    if self.done {
                        return None;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Some("the guest ended before its tests".to_owned());
                }
                Err(RecvTimeoutError::Timeout) if left > SILENCE => {
                    return Some(format!("the guest was silent for {} s", SILENCE.as_secs()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// One line of the console; see the guest's first process in tests/vm/init for their form.
    fn learn(&mut self, line: &str) -> Option<String> {
        if let Some(text) = line.strip_prefix('|') {
            if let (Some(outcome), Some(output)) =
                (self.report.outcomes.last_mut(), self.report.outputs.last_mut())
            {
                outcome.learn(text);
                output.push_str(text);
                output.push('\n');
            }
        } else if let Some((_, word)) = line.split_once("@@enetstat ") {
            // Firmware leaves control sequences before the first line.
            if word.starts_with("begin ") {
                self.running = true;
                self.report.outcomes.push(Outcome::default());
                self.report.outputs.push(String::new());
            } else if let Some(end) = word.strip_prefix("end ") {
                self.running = false;
                let end = end.split_once(' ').map_or(end, |(_, end)| end);
                if let Some(outcome) = self.report.outcomes.last_mut()
                    && (end != "exit 0" || !outcome.complete)
                {
                    outcome.died(end);
                }
            } else if let Some(test) = word.strip_prefix("at ") {
                if let Some(outcome) = self.report.outcomes.last_mut() {
                    outcome.learn(test);
                }
            } else if let Some(problem) = word.strip_prefix("problem ") {
                self.report.problems.push(problem.to_owned());
            } else if word == "done" {
                self.done = true;
            }
        } else if DEATHS.iter().any(|death| line.contains(death)) {
            return Some(line.trim().to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(lines: &[&str]) -> (Watch, Option<String>) {
        let (send, receive) = mpsc::channel();
        for line in lines {
            send.send((*line).to_owned()).unwrap();
        }
        drop(send);
        let mut watch = Watch::default();
        let death = watch.until_end(&receive, Instant::now() + Duration::from_secs(600));
        (watch, death)
    }

    #[test]
    fn commands_are_told_apart_and_counted() {
        let (watch, death) = watch(&[
            "\x1bcSeaBIOS",
            "@@enetstat begin 0",
            "|test a ... ok",
            "[    9.1] a message of the kernel",
            "|test result: ok. 1 passed; 0 failed; 0 ignored",
            "@@enetstat end 0 exit 0",
            "@@enetstat begin 1",
            "@@enetstat at test a ... ",
            "@@enetstat end 1 timeout",
            "@@enetstat done",
        ]);
        assert_eq!(death, None);
        let [first, second] = watch.report.outcomes.as_slice() else { panic!("two commands ran") };
        assert_eq!((first.passed, first.failed), (1, 0));
        assert_eq!(second.failures, ["(ended with timeout during a)"]);
        assert_eq!(watch.report.outputs[0].lines().count(), 2);
    }

    #[test]
    fn a_panic_and_an_early_end_are_deaths() {
        let (_, death) = watch(&["@@enetstat begin 0", "[  3.0] Kernel panic - not syncing: x"]);
        assert_eq!(death.unwrap(), "[  3.0] Kernel panic - not syncing: x");
        let (watched, death) = watch(&["@@enetstat begin 0"]);
        assert!(death.unwrap().contains("ended before"));
        assert!(watched.running);
    }
}
