//! What a process costs.

use anyhow::{Context, Result, ensure};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// What a process cost from its start to its end.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    pub wall: Duration,
    /// User and system time, its own and that of the children it waited for.
    pub cpu: Duration,
    /// Greatest resident size, in bytes.
    pub peak: u64,
    pub status: ExitStatus,
}

/// Runs a process to its end.
///
/// # Errors
/// It cannot be started.
pub fn whole(command: &mut Command) -> Result<Whole> {
    use std::os::unix::process::ExitStatusExt;
    let begin = Instant::now();
    let child = command.spawn()?;
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to writable values of their type; nobody else waits for this child.
    let waited =
        unsafe { libc::wait4(libc::pid_t::try_from(child.id())?, &raw mut status, 0, &raw mut usage) };
    let wall = begin.elapsed();
    netstat_tests::sys::checked(waited)?;
    let peak = usage.ru_maxrss.unsigned_abs() * 1024;
    Ok(Whole { wall, cpu: spent(&usage), peak, status: ExitStatus::from_raw(status) })
}

/// User and system time.
fn spent(usage: &libc::rusage) -> Duration {
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec.unsigned_abs()) + Duration::from_micros(value.tv_usec.unsigned_abs())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// CPU time, user and system, of a running process with all its threads.
///
/// # Errors
/// The process is gone.
pub fn cpu(pid: u32) -> Result<Duration> {
    let mut clock = 0;
    // SAFETY: the pointer is to a writable clock number.
    let result = unsafe { libc::clock_getcpuclockid(libc::pid_t::try_from(pid)?, &raw mut clock) };
    ensure!(result == 0, "process {pid} is gone");
    // SAFETY: all-zero bytes are a valid timespec.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a writable timespec.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    netstat_tests::sys::checked(result).with_context(|| format!("process {pid}"))?;
    Ok(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec)?))
}

/// CPU time of this thread.
///
/// # Errors
/// None that the kernel documents.
pub fn cpu_of_thread() -> Result<Duration> {
    // SAFETY: all-zero bytes are a valid timespec.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a writable timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    netstat_tests::sys::checked(result)?;
    Ok(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec)?))
}

/// CPU time of all children that were waited for, and theirs.
pub fn cpu_of_children() -> Result<Duration> {
    // SAFETY: all-zero bytes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a writable rusage.
    let result = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    netstat_tests::sys::checked(result)?;
    Ok(spent(&usage))
}

/// Greatest resident size so far, in bytes.
///
/// # Errors
/// The process is gone.
pub fn peak_memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

/// What a tool that waits may use meanwhile.
const IDLE: Duration = Duration::from_millis(10);

/// Waits until the process has used next to no CPU time for `quiet`, at most `longest`; gives the time from now to the
/// last use.
///
/// # Errors
/// The process is gone.
pub fn settle(pid: u32, quiet: Duration, longest: Duration) -> Result<Duration> {
    let begin = Instant::now();
    let (mut last, mut at) = (cpu(pid)?, Duration::ZERO);
    while begin.elapsed() < longest {
        std::thread::sleep(Duration::from_millis(5));
        let now = cpu(pid)?;
        if now > last + IDLE {
            (last, at) = (now, begin.elapsed());
        } else if begin.elapsed() - at > quiet {
            break;
        }
    }
    Ok(at)
}

/// The middle value; of an even number the mean of both in the middle; of none, none.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length.is_multiple_of(2) => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}
