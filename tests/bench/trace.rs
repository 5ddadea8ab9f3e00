//! `bench trace`: what tracing costs the traced, what it costs the tracer, and what it loses.

use crate::kernel::{Programs, Statistics};
use crate::measure::{cpu, cpu_of_children, median, peak_memory, settle};
use crate::peers::{Peer, Prints, TRACERS};
use crate::report::{figure, save, table};
use anyhow::{Context, Result, ensure};
use netstat_tests::{NetNs, Truth, program, sys};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Steps of one connection, both ends: five each (opening two, closing three).
const STEPS: u64 = 10;
/// A tool that uses no CPU time for so long has attached, or has printed all it had.
pub const QUIET: Duration = Duration::from_millis(700);
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Flags {
    /// Connections of one measurement
    #[arg(long, default_value_t = 40_000)]
    connections: u64,
    /// Client processes, and as many servers
    #[arg(long, default_value_t = 2)]
    processes: u64,
    /// Measurements of each tool; they take turns
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Only tools whose name contains this (and the bare machine)
    #[arg(long)]
    only: Vec<String>,
}

/// One measurement of one tool.
struct Sample {
    /// Connections a second.
    rate: f64,
    /// CPU time of the workload, seconds.
    workload_cpu: f64,
    tool: Option<Tool>,
}

struct Tool {
    attach: Duration,
    attach_cpu: Duration,
    /// Peak until it had attached.
    attach_peak: u64,
    /// While it traced.
    cpu: Duration,
    peak: u64,
    kernel: Option<Kernel>,
    /// Lines of connections it printed.
    lines: u64,
    expected: u64,
}

/// What a tool's programs take by the kernel's statistics.
struct Kernel {
    /// Nanoseconds for a step of a connection, without what an empty program would have taken.
    step: f64,
    /// Nanoseconds of a run of an empty program.
    empty: f64,
    /// Of each program, runs for a connection, and nanoseconds of one without those of an empty program.
    programs: Vec<(String, f64, f64)>,
}

pub fn run(flags: &Flags) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "needs root");
    ensure!(flags.repetitions > 0 && flags.connections > 0, "nothing to measure");
    let wanted = |peer: &&Peer| {
        flags.only.is_empty()
            || peer.prints == Prints::Nothing
            || flags.only.iter().any(|name| peer.name.contains(name))
    };
    mount_tracing().context("mounting tracefs and debugfs for the peers")?;
    let mut samples: Vec<(Peer, Vec<Sample>)> = Vec::new();
    let (mut missing, mut failed) = (Vec::new(), Vec::new());
    for peer in TRACERS.iter().filter(wanted) {
        if peer.prints != Prints::Nothing && peer.path().is_none() {
            missing.push(peer);
        } else {
            samples.push((peer.clone(), Vec::new()));
        }
    }
    for repetition in 0..flags.repetitions {
        // Each time another one begins.
        let count = samples.len();
        for turn in 0..count {
            let (peer, of_peer) = &mut samples[(turn + repetition) % count];
            writeln!(std::io::stderr(), "bench: {} {}/{}", peer.name, repetition + 1, flags.repetitions)?;
            // A tool that fails must not hide what the others do.
            match measure(peer, flags) {
                Ok(sample) => of_peer.push(sample),
                Err(error) => failed.push(format!("{}: {error:#}", peer.name)),
            }
        }
    }
    show(&samples, &missing, &failed, flags)
}

/// The peers need tracefs and debugfs: mounts them where they are missing, for this process and its children alone.
fn mount_tracing() -> Result<()> {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    if std::path::Path::new("/sys/kernel/tracing/events").exists() {
        return Ok(());
    }
    // SAFETY: no pointer is passed; the process has one thread.
    sys::checked(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    for (kind, directory) in [("tracefs", "/sys/kernel/tracing"), ("debugfs", "/sys/kernel/debug")] {
        mount(kind, directory, kind, MountFlags::empty(), None).context(directory)?;
    }
    Ok(())
}

fn measure(peer: &Peer, flags: &Flags) -> Result<Sample> {
    let _namespace = NetNs::enter()?;
    let out = tempfile::NamedTempFile::new()?;
    let err = tempfile::NamedTempFile::new()?;
    let mut tool = start(peer, &out, &err)?;
    let started = Instant::now();
    let mut attach = (Duration::ZERO, Duration::ZERO, 0);
    if let Some(tool) = &mut tool {
        let before = started.elapsed();
        attach.0 = before + settle(tool.id(), QUIET, PATIENCE)?;
        if tool.0.try_wait()?.is_some() {
            let said = std::fs::read(err.path())?;
            let said = String::from_utf8_lossy(&said);
            // A tool that is not installed whole says so somewhere in a long trace: what it said first and last.
            let (first, last) =
                (said.lines().next().unwrap_or("nothing"), said.lines().last().unwrap_or_default());
            anyhow::bail!("it ended before it traced anything: {first} ... {last}");
        }
        attach.1 = cpu(tool.id())?;
        attach.2 = peak_memory(tool.id())?;
    }
    let workload_before = cpu_of_children()?;
    let (took, truth) = workload(flags.connections, flags.processes)?;
    let workload_cpu = (cpu_of_children()? - workload_before).as_secs_f64();
    let connections = truth.connections.len() as u64;
    let tool = match &mut tool {
        None => None,
        Some(child) => {
            settle(child.id(), QUIET, PATIENCE)?;
            let used = cpu(child.id())?.saturating_sub(attach.1);
            let peak = peak_memory(child.id())?;
            let kernel = kernel(child.id(), flags);
            child.stop()?;
            let expected = match peer.prints {
                Prints::Steps => STEPS * connections,
                Prints::Ends => 2 * connections,
                Prints::Nothing => 0,
            };
            let lines = lines_of_connections(out.path(), &truth)?;
            Some(Tool {
                attach: attach.0,
                attach_cpu: attach.1,
                attach_peak: attach.2,
                cpu: used,
                peak,
                kernel: kernel.ok(),
                lines,
                expected,
            })
        }
    };
    Ok(Sample { rate: connections as f64 / (took / 1e9), workload_cpu, tool })
}

/// Nanoseconds that it took, and what happened.
fn workload(connections: u64, processes: u64) -> Result<(f64, Truth)> {
    let truth = tempfile::NamedTempFile::new()?;
    let mut storm = Command::new(program::find("storm")?);
    storm.args(["--v4", "--v6", "--connections", &connections.to_string()]);
    storm.args(["--processes", &processes.to_string(), "--truth"]).arg(truth.path());
    sys::die_with_parent(&mut storm);
    let said = storm.output()?;
    ensure!(said.status.success(), "storm: {}", String::from_utf8_lossy(&said.stderr));
    let took = String::from_utf8(said.stdout)?.trim().parse()?;
    let truth = Truth::read(truth.path())?;
    ensure!(truth.failed.is_empty(), "{} connections failed", truth.failed.len());
    Ok((took, truth))
}

/// A workload of its own, since the statistics cost time themselves.
fn kernel(pid: u32, flags: &Flags) -> Result<Kernel> {
    let statistics = Statistics::enable("inet_sock_set_state")?;
    let (before, empty_before) = (Programs::of(pid)?, statistics.empty()?);
    let (_, truth) = workload(flags.connections / 4, flags.processes)?;
    let programs = Programs::of(pid)?.since(&before);
    let empty = statistics.empty()?.since(empty_before).mean();
    let connections = truth.connections.len().max(1) as f64;
    let sum = programs.sum();
    let own = sum.nanoseconds as f64 - sum.count as f64 * empty;
    let each = programs
        .0
        .into_iter()
        .map(|(name, runs)| (name, runs.count as f64 / connections, runs.mean() - empty));
    Ok(Kernel { step: own / (STEPS as f64 * connections), empty, programs: each.collect() })
}

/// A tool that runs; it is gone when this is dropped.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Only when the measurement failed is it still there.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Interrupts it and waits for its end.
    pub fn stop(&mut self) -> Result<()> {
        let Self(child) = self;
        sys::signal(child.id(), libc::SIGINT)?;
        let since = Instant::now();
        while child.try_wait()?.is_none() {
            if since.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("it did not end when interrupted");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn start(
    peer: &Peer,
    out: &tempfile::NamedTempFile,
    err: &tempfile::NamedTempFile,
) -> Result<Option<Running>> {
    if peer.prints == Prints::Nothing {
        return Ok(None);
    }
    let mut command = Command::new(peer.path().context("not installed")?);
    command.args(peer.words).stdin(Stdio::null()).stdout(out.reopen()?).stderr(err.reopen()?);
    sys::die_with_parent(&mut command);
    Ok(Some(Running(command.spawn()?)))
}

/// Lines that name a port of the workload's servers, so neither headings nor other traffic of the machine; without those that not
/// every connection has: listeners that come and go, TIME_WAIT that ends.
fn lines_of_connections(path: &std::path::Path, truth: &Truth) -> Result<u64> {
    let ports: std::collections::HashSet<u16> =
        truth.connections.iter().map(|one| one.server.addr.port()).collect();
    let mut count = 0;
    for line in BufReader::new(std::fs::File::open(path)?).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).to_uppercase();
        // In a line of JSON other words say "closed", too: why a connection ended, and how often the peer's window was.
        let states =
            line.replace("\"ENETSTAT.END.REASON\":\"CLOSED\"", "").replace("ENETSTAT.WINDOW.CLOSED", "");
        let both = |one: &str, other: &str| states.contains(one) && states.contains(other);
        if both("LISTEN", "CLOSE") || both("TIME_WAIT", "CLOSE") {
            continue;
        }
        let mut numbers = line.split(|character: char| !character.is_ascii_digit()).map(str::parse);
        if numbers.any(|number| number.is_ok_and(|port| ports.contains(&port))) {
            count += 1;
        }
    }
    Ok(count)
}

/// Medians of [`Kernel::programs`], what takes longest for a connection first.
fn programs_of(samples: &[Sample]) -> Vec<(String, f64, f64)> {
    let kernels: Vec<&Kernel> = samples.iter().filter_map(|one| one.tool.as_ref()?.kernel.as_ref()).collect();
    let names: std::collections::BTreeSet<&String> =
        kernels.iter().flat_map(|kernel| kernel.programs.iter().map(|(name, ..)| name)).collect();
    let of = |wanted: &String, value: &dyn Fn(&(String, f64, f64)) -> f64| {
        let found =
            kernels.iter().filter_map(|kernel| kernel.programs.iter().find(|(name, ..)| name == wanted));
        median(found.map(value)).unwrap_or_default()
    };
    let mut all: Vec<_> = names
        .into_iter()
        .map(|name| (name.clone(), of(name, &|one| one.1), of(name, &|one| one.2)))
        .collect();
    all.sort_by(|one, other| (other.1 * other.2).total_cmp(&(one.1 * one.2)));
    all
}

fn show(samples: &[(Peer, Vec<Sample>)], missing: &[&Peer], failed: &[String], flags: &Flags) -> Result<()> {
    let connections = flags.connections as f64;
    let head = [
        "tool",
        "conns/s",
        "workload us/conn",
        "more %",
        "kernel ns/step",
        "tool us/conn",
        "tool us/line",
        "lines",
        "lost %",
        "attach ms",
        "attach CPU ms",
        "attach MB",
        "peak MB",
    ];
    let cpu = |one: &Sample| one.workload_cpu * 1e6 / connections;
    let bare = samples.iter().find(|(peer, _)| peer.prints == Prints::Nothing);
    let bare = bare.and_then(|(_, samples)| median(samples.iter().map(cpu)));
    let mut rows = Vec::new();
    let mut values = Vec::new();
    let mut each = Vec::new();
    for (peer, samples) in samples {
        let of = |value: &dyn Fn(&Sample) -> f64| median(samples.iter().map(value));
        let of_tool = |value: &dyn Fn(&Tool) -> f64| {
            median(samples.iter().filter_map(|one| one.tool.as_ref()).map(value))
        };
        let figures = [
            of(&|one| one.rate),
            of(&cpu),
            bare.filter(|_| peer.prints != Prints::Nothing)
                .and_then(|bare| Some(100.0 * (of(&cpu)? / bare - 1.0))),
            median(samples.iter().filter_map(|one| Some(one.tool.as_ref()?.kernel.as_ref()?.step))),
            of_tool(&|tool| tool.cpu.as_secs_f64() * 1e6 / connections),
            of_tool(&|tool| tool.cpu.as_secs_f64() * 1e6 / tool.lines.max(1) as f64),
            of_tool(&|tool| tool.lines as f64),
            of_tool(&|tool| {
                100.0 * tool.expected.saturating_sub(tool.lines) as f64 / tool.expected.max(1) as f64
            }),
            of_tool(&|tool| tool.attach.as_secs_f64() * 1e3),
            of_tool(&|tool| tool.attach_cpu.as_secs_f64() * 1e3),
            of_tool(&|tool| tool.attach_peak as f64 / 1e6),
            of_tool(&|tool| tool.peak as f64 / 1e6),
        ];
        let mut row = vec![peer.name.to_owned()];
        row.extend(figures.iter().map(|&value| figure(value)));
        rows.push(row);
        let mut object = serde_json::Map::new();
        object.insert("tool".to_owned(), peer.name.into());
        object.insert("ours".to_owned(), peer.is_ours().into());
        for (title, value) in head.iter().skip(1).zip(figures) {
            object.insert((*title).to_owned(), value.into());
        }
        let programs = programs_of(samples);
        if peer.is_ours() {
            each.extend(programs.iter().map(|(name, runs, mean)| {
                vec![peer.name.to_owned(), name.clone(), figure(Some(*runs)), figure(Some(*mean))]
            }));
        }
        object.insert("programs".to_owned(), serde_json::json!(programs));
        values.push(serde_json::Value::Object(object));
    }
    table(&head, &rows)?;
    table(&["tool", "program", "runs/conn", "ns/run"], &each)?;
    let mut out = std::io::stdout().lock();
    for peer in missing {
        let package = if peer.package.is_empty() { "cargo build --release" } else { peer.package };
        writeln!(out, "missing: {} ({package})", peer.name)?;
    }
    for what in failed {
        writeln!(out, "failed: {what}")?;
    }
    writeln!(
        out,
        "medians of {} runs of {} connections, {} clients and as many servers, over IPv4 and IPv6",
        flags.repetitions, flags.connections, flags.processes
    )?;
    let tools = samples.iter().flat_map(|(_, samples)| samples).filter_map(|one| one.tool.as_ref());
    let empty = median(tools.filter_map(|tool| Some(tool.kernel.as_ref()?.empty)));
    writeln!(
        out,
        "kernel ns/step: all programs of the tool, less {} ns a run that an empty program costs in the same statistics",
        figure(empty)
    )?;
    let missing: Vec<&str> = missing.iter().map(|peer| peer.name).collect();
    let whole = serde_json::json!({
        "bench": "trace", "connections": flags.connections, "processes": flags.processes,
        "repetitions": flags.repetitions, "missing": missing, "failed": failed, "tools": values,
    });
    writeln!(out, "{}", save("trace", &whole)?.display())?;
    Ok(())
}
