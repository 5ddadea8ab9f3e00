//! One command of `/etc/tests`: seconds, directory, variables, program and arguments, separated by tabs.

use std::fmt;
use std::io::{self, PipeReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use crate::say;

const ALIVE_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, PartialEq)]
pub struct Task<'a> {
    limit: Duration,
    directory: &'a str,
    variables: Vec<(&'a str, &'a str)>,
    program: &'a str,
    arguments: Vec<&'a str>,
}

pub enum End {
    Exit(i32),
    Signal(i32),
    Timeout,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Timeout => f.write_str("timeout"),
        }
    }
}

impl<'a> Task<'a> {
    pub fn parse(line: &'a str) -> anyhow::Result<Self> {
        let mut words = line.split('\t');
        let limit = words.next().unwrap_or_default();
        let limit = limit.parse().with_context(|| format!("{limit:?} is no number of seconds"))?;
        let directory = words.next().context("a command names no directory")?;
        let mut words = words.peekable();
        let mut variables = Vec::new();
        while let Some(variable) = words.peek().and_then(|word| word.split_once('=')) {
            variables.push(variable);
            words.next();
        }
        let Some(program) = words.next() else { bail!("a command names no program") };
        Ok(Self {
            limit: Duration::from_secs(limit),
            directory,
            variables,
            program,
            arguments: words.collect(),
        })
    }
}

/// Runs it, relays what it prints, and ends it with all its children when the time is up.
pub fn run(task: &Task<'_>) -> anyhow::Result<End> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let mut command = Command::new(task.program);
    command
        .args(&task.arguments)
        .env_clear()
        .envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/"),
            ("TERM", "dumb"),
            ("RUST_BACKTRACE", "1"),
        ])
        .envs(task.variables.iter().copied())
        .current_dir(task.directory)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("cannot duplicate a pipe")?)
        .stderr(writer)
        .process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start {}", task.program))?;
    // The command holds the ends of the pipe to write to; without them the reader sees the end.
    drop(command);
    let (closed, until_closed) = mpsc::channel::<()>();
    let relay = thread::spawn(move || {
        relay(reader);
        drop(closed);
    });

    let pid = Pid::from_child(&child);
    let end = wait_for(pid, task.limit)?;
    // Whatever it left behind would disturb the next command.
    let _ = kill_process_group(pid, Signal::KILL);
    reap();
    // A process outside the group may still hold the pipe: do not wait for it for long.
    if until_closed.recv_timeout(Duration::from_secs(2)) == Err(RecvTimeoutError::Disconnected) {
        let _ = relay.join();
    }
    Ok(end)
}

/// As the first process, this one also inherits every orphan: take the status of each.
fn wait_for(pid: Pid, limit: Duration) -> anyhow::Result<End> {
    let start = Instant::now();
    let mut told = start;
    loop {
        match wait(WaitOptions::NOHANG).context("cannot wait for a child")? {
            Some((found, status)) if found == pid => return Ok(end_of(status)),
            Some(_) => continue,
            None => {}
        }
        if start.elapsed() >= limit {
            return Ok(End::Timeout);
        }
        if told.elapsed() >= ALIVE_EVERY {
            told = Instant::now();
            say(format_args!("@@enetstat alive"));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn end_of(status: WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => End::Exit(code),
        (None, Some(number)) => End::Signal(number),
        (None, None) => End::Exit(-1),
    }
}

fn reap() {
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(_) => return, // no child left
        }
    }
}

/// Whole lines only, so that the kernel's messages fall between them. The test harness writes a test's name before it
/// runs and the rest of the line after: that name is told at once, for the case that the guest does not survive it.
fn relay(mut reader: PipeReader) {
    let mut pending = Vec::new();
    let mut chunk = [0; 8192];
    while let Ok(length @ 1..) = reader.read(&mut chunk) {
        pending.extend_from_slice(&chunk[..length]);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            say(format_args!("|{}", String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])));
        }
        if pending.starts_with(b"test ") && pending.ends_with(b" ... ") {
            say(format_args!("@@enetstat at {}", String::from_utf8_lossy(&pending)));
        }
    }
    if !pending.is_empty() {
        say(format_args!("|{}", String::from_utf8_lossy(&pending)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_seconds_directory_variables_program_arguments() {
        let task = Task::parse("60\t/src\tA=1\tB=x y\t/bin/live\t--one\tc=d").unwrap();
        assert_eq!(task.limit, Duration::from_secs(60));
        assert_eq!((task.directory, task.program), ("/src", "/bin/live"));
        assert_eq!(task.variables, [("A", "1"), ("B", "x y")]);
        assert_eq!(task.arguments, ["--one", "c=d"]);
    }

    #[test]
    fn a_short_line_is_refused() {
        for line in ["", "60", "60\t/", "60\t/\tA=1", "x\t/\t/bin/true"] {
            assert!(Task::parse(line).is_err(), "{line:?}");
        }
    }
}
