//! `bench calls`: what a send or a receive costs under `trace --queues`, and what it costs to take the records of all of them
//! out of the ring.

use crate::kernel::{Programs, Statistics};
use crate::measure::{cpu, cpu_of_thread, median, settle};
use crate::report::{figure, save, table};
use crate::trace::{PATIENCE, QUIET, Running};
use anyhow::{Context, Result, ensure};
use netstat_tests::traffic::{Pair, listener, pair_through};
use netstat_tests::{NetNs, program, sys};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A message is sent and received, and answered.
const CALLS: u64 = 4;
/// Bytes of a message.
const MESSAGE: usize = 64;
/// Tracepoints that the calls come by: an empty program at one of them tells what the statistics cost.
const HOOK: &str = "sock_send_length";
/// Calls between two looks at the clock when their number a second is kept.
const PIECE: Duration = Duration::from_millis(1);

#[derive(clap::Args)]
pub struct Flags {
    /// Calls of one measurement
    #[arg(long, default_value_t = 2_000_000)]
    calls: u64,
    /// Connections that take turns
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Measurements of each mode; they take turns
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Records a second for the reader
    #[arg(long, default_value_t = 500_000)]
    rate: u64,
}

/// The machine alone, and each mode of the program.
const MODES: [Option<&str>; 4] = [None, Some("off"), Some("coalesced"), Some("every")];

/// Nanoseconds of a call.
struct Sample {
    workload: f64,
    tool: Option<f64>,
    /// Of the program's programs, without what an empty one would have taken, and how many of them run.
    kernel: Option<(f64, f64)>,
    /// Of a run of the empty program.
    empty: Option<f64>,
}

/// What it took to read every record.
struct Reading {
    /// Records a second.
    rate: f64,
    /// Share of a processor: of the thread that empties the ring, and of the whole program.
    reader: f64,
    whole: f64,
    lost: u64,
}

pub fn run(flags: &Flags) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "needs root");
    ensure!(flags.repetitions > 0 && flags.calls > 0 && flags.connections > 0, "nothing to measure");
    let mut samples: [Vec<Sample>; MODES.len()] = Default::default();
    let mut readings = Vec::new();
    for repetition in 0..flags.repetitions {
        for turn in 0..MODES.len() {
            let mode = (turn + repetition) % MODES.len();
            let name = MODES[mode].unwrap_or("bare");
            writeln!(std::io::stderr(), "bench: {name} {}/{}", repetition + 1, flags.repetitions)?;
            samples[mode].push(measure(MODES[mode], flags)?);
        }
        writeln!(std::io::stderr(), "bench: reader {}/{}", repetition + 1, flags.repetitions)?;
        readings.push(read(flags)?);
    }
    show(&samples, &readings, flags)
}

/// Starts `enetstat trace` and waits until it has attached.
fn start(words: &[&str], err: &tempfile::NamedTempFile) -> Result<Running> {
    let mut command = Command::new(program::find("enetstat")?);
    command.arg("trace").args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(err.reopen()?);
    sys::die_with_parent(&mut command);
    let mut tool = Running(command.spawn()?);
    settle(tool.id(), QUIET, PATIENCE)?;
    let ended = tool.0.try_wait()?;
    ensure!(ended.is_none(), "it ended: {}", std::fs::read_to_string(err.path())?);
    Ok(tool)
}

fn measure(mode: Option<&str>, flags: &Flags) -> Result<Sample> {
    let _namespace = NetNs::enter()?;
    let mut pairs = connect(flags.connections)?;
    let err = tempfile::NamedTempFile::new()?;
    // JSON, so that what is written does not depend on a terminal; nobody reads it.
    let tool = mode.map(|mode| start(&["--json", "--queues", mode], &err)).transpose()?;
    // The first call of each socket is told at once.
    play(&mut pairs, flags.connections as u64)?;
    let before = tool.as_ref().map(|tool| cpu(tool.id())).transpose()?;
    let rounds = flags.calls.div_ceil(CALLS);
    let calls = (rounds * CALLS) as f64;
    let begin = cpu_of_thread()?;
    play(&mut pairs, rounds)?;
    let workload = (cpu_of_thread()? - begin).as_nanos() as f64 / calls;
    let mut sample = Sample { workload, tool: None, kernel: None, empty: None };
    if let (Some(mut tool), Some(before)) = (tool, before) {
        settle(tool.id(), QUIET, PATIENCE)?;
        sample.tool = Some((cpu(tool.id())? - before).as_nanos() as f64 / calls);
        // A workload of its own, since the statistics cost time themselves.
        let statistics = Statistics::enable(HOOK)?;
        let (before, empty_before) = (Programs::of(tool.id())?, statistics.empty()?);
        play(&mut pairs, rounds / 4)?;
        let runs = Programs::of(tool.id())?.since(&before).sum();
        let empty = statistics.empty()?.since(empty_before).mean();
        let calls = (rounds / 4 * CALLS).max(1) as f64;
        let own = runs.nanoseconds as f64 - runs.count as f64 * empty;
        sample.kernel = Some((own / calls, runs.count as f64 / calls));
        sample.empty = Some(empty);
        tool.stop()?;
    }
    Ok(sample)
}

/// Reads the record of each call, at a given number of calls a second.
fn read(flags: &Flags) -> Result<Reading> {
    let _namespace = NetNs::enter()?;
    let mut pairs = connect(flags.connections)?;
    let err = tempfile::NamedTempFile::new()?;
    let mut tool = start(&["--queues", "every"], &err)?;
    let reader = thread(tool.id(), "reader")?;
    let (whole_before, reader_before) = (cpu(tool.id())?, cpu_of(&reader)?);
    let rounds_a_piece = (flags.rate * PIECE.as_micros() as u64 / 1_000_000 / CALLS).max(1);
    let pieces = flags.calls / CALLS / rounds_a_piece;
    let begin = Instant::now();
    for piece in 1..=pieces {
        play(&mut pairs, rounds_a_piece)?;
        let due = PIECE * u32::try_from(piece)?;
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    let took = begin.elapsed().as_secs_f64();
    let reader = (cpu_of(&reader)? - reader_before).as_secs_f64() / took;
    let whole = (cpu(tool.id())? - whole_before).as_secs_f64() / took;
    settle(tool.id(), QUIET, PATIENCE)?;
    tool.stop()?;
    let said = std::fs::read_to_string(err.path())?;
    let words: Vec<&str> = said.split([' ', ',', '\n']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().rposition(|&word| word == "lost").context("no summary")?;
    let lost = words[at.checked_sub(1).context("no number")?].parse().context(said.clone())?;
    Ok(Reading { rate: (pieces * rounds_a_piece * CALLS) as f64 / took, reader, whole, lost })
}

fn connect(count: usize) -> Result<Vec<Pair>> {
    let listener = listener(false)?;
    let pairs = (0..count).map(|_| -> Result<Pair> {
        let pair = pair_through(&listener)?;
        pair.client.set_nodelay(true)?;
        pair.server.set_nodelay(true)?;
        Ok(pair)
    });
    pairs.collect()
}

/// So many messages and answers, by one connection after the other.
fn play(pairs: &mut [Pair], rounds: u64) -> Result<()> {
    let mut message = [0; MESSAGE];
    let count = pairs.len() as u64;
    for round in 0..rounds {
        let pair = &mut pairs[(round % count) as usize];
        pair.client.write_all(&message)?;
        pair.server.read_exact(&mut message)?;
        pair.server.write_all(&message)?;
        pair.client.read_exact(&mut message)?;
    }
    Ok(())
}

/// Where /proc tells what a thread with this name has used.
fn thread(pid: u32, name: &str) -> Result<std::path::PathBuf> {
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let directory = entry?.path();
        if std::fs::read_to_string(directory.join("comm"))?.trim_end() == name {
            return Ok(directory.join("schedstat"));
        }
    }
    anyhow::bail!("process {pid} has no thread {name}")
}

/// Nanoseconds on a processor come first there.
fn cpu_of(schedstat: &std::path::Path) -> Result<Duration> {
    let text = std::fs::read_to_string(schedstat)?;
    Ok(Duration::from_nanos(text.split_whitespace().next().context("an empty schedstat")?.parse()?))
}

fn show(samples: &[Vec<Sample>], readings: &[Reading], flags: &Flags) -> Result<()> {
    let head =
        ["--queues", "workload ns/call", "more ns", "more %", "kernel ns/call", "runs/call", "tool ns/call"];
    let of =
        |mode: usize, value: &dyn Fn(&Sample) -> Option<f64>| median(samples[mode].iter().filter_map(value));
    let bare = of(0, &|one| Some(one.workload));
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for (mode, name) in MODES.iter().enumerate() {
        let workload = of(mode, &|one| Some(one.workload));
        let beside = if name.is_some() { workload.zip(bare) } else { None };
        let figures = [
            workload,
            beside.map(|(with, without)| with - without),
            beside.map(|(with, without)| 100.0 * (with / without - 1.0)),
            of(mode, &|one| Some(one.kernel?.0)),
            of(mode, &|one| Some(one.kernel?.1)),
            of(mode, &|one| one.tool),
        ];
        let name = name.unwrap_or("(not traced)");
        let mut row = vec![name.to_owned()];
        row.extend(figures.iter().map(|&value| figure(value)));
        rows.push(row);
        let mut object = serde_json::Map::new();
        object.insert("queues".to_owned(), name.into());
        for (title, value) in head.iter().skip(1).zip(figures) {
            object.insert((*title).to_owned(), value.into());
        }
        values.push(serde_json::Value::Object(object));
    }
    table(&head, &rows)?;
    let empty = median(samples.iter().flatten().filter_map(|one| one.empty));
    let of = |value: &dyn Fn(&Reading) -> f64| median(readings.iter().map(value));
    let lost: u64 = readings.iter().map(|one| one.lost).sum();
    let reading = [of(&|one| one.rate), of(&|one| 100.0 * one.reader), of(&|one| 100.0 * one.whole)];
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "medians of {} runs of {} calls of {MESSAGE} bytes on {} connections; kernel: all programs of the tool, less {} ns a \
         run that an empty program costs in the same statistics",
        flags.repetitions,
        flags.calls,
        flags.connections,
        figure(empty)
    )?;
    writeln!(
        out,
        "reader: {} records/s of --queues every take {} % of a processor to read, {} % with all that is learnt and written of them; {lost} lost",
        figure(reading[0]),
        figure(reading[1]),
        figure(reading[2])
    )?;
    let whole = serde_json::json!({
        "bench": "calls", "calls": flags.calls, "connections": flags.connections, "repetitions": flags.repetitions,
        "modes": values,
        "reader": { "records/s": reading[0], "reader %": reading[1], "tool %": reading[2], "lost": lost },
    });
    writeln!(out, "{}", save("calls", &whole)?.display())?;
    Ok(())
}
