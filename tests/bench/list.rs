//! `bench list`: what a listing costs, by the number of sockets, beside netstat, ss and lsof.

use crate::measure::{Whole, median, whole};
use crate::peers::{Lister, listers};
use crate::report::{figure, save, table};
use anyhow::{Context, Result, ensure};
use netstat_tests::NetNs;
use netstat_tests::crowd::{Crowd, Plan};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

#[derive(clap::Args)]
pub struct Flags {
    /// Established sockets of the host; may be repeated [default: 20, 1000, 10000, 100000]
    #[arg(long)]
    sockets: Vec<u64>,
    /// Processes that hold them, at least
    #[arg(long, default_value_t = 20)]
    processes: u64,
    /// Files of each process that are no sockets
    #[arg(long, default_value_t = 20)]
    files: u64,
    /// Measurements of each tool; they take turns
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Only works whose name contains this
    #[arg(long)]
    only: Vec<String>,
    /// Peers whose cost grows with the square of the number run up to so many sockets
    #[arg(long, default_value_t = 200_000)]
    quadratic: u64,
}

impl Flags {
    /// The same of one work.
    pub fn of(mut self, work: &str) -> Self {
        self.only = vec![work.to_owned()];
        self
    }
}

/// What is asked for, and what each tool is told then. The first is ours, the measure of the others.
pub struct Work {
    pub name: &'static str,
    pub tools: Vec<Lister>,
}

struct Outcome {
    tool: &'static str,
    samples: Vec<Whole>,
    /// Rows printed by each run.
    rows: Vec<u64>,
    why_not: Option<String>,
}

pub fn run(flags: &Flags) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "needs root");
    ensure!(flags.repetitions > 0, "nothing to measure");
    let sizes: &[u64] = if flags.sockets.is_empty() { &[20, 1_000, 10_000, 100_000] } else { &flags.sockets };
    let mut values = Vec::new();
    for &sockets in sizes {
        let namespace = NetNs::enter()?;
        namespace.sysctl("ipv4/ip_local_port_range", "1024 65535")?;
        let plan = Plan { sockets, processes: flags.processes, files: flags.files };
        let crowd = Crowd::gather(&plan)?;
        for work in listers() {
            if !flags.only.is_empty() && !flags.only.iter().any(|name| work.name.contains(name)) {
                continue;
            }
            let results = measure(&work, sockets, flags)?;
            let expected = if work.name == "-ltn" { crowd.listeners } else { crowd.rows };
            values.extend(show(&work, sockets, expected, &results)?);
        }
    }
    let whole = serde_json::json!({ "bench": "list", "repetitions": flags.repetitions, "figures": values });
    writeln!(std::io::stdout(), "{}", save("list", &whole)?.display())?;
    Ok(())
}

fn measure(work: &Work, sockets: u64, flags: &Flags) -> Result<Vec<Outcome>> {
    let mut results: Vec<Outcome> = work
        .tools
        .iter()
        .map(|tool| {
            let why_not = match tool.path() {
                None => Some(format!("missing: {}", tool.package)),
                Some(_) if tool.quadratic && sockets > flags.quadratic => {
                    Some(format!("not run with more than {} sockets", flags.quadratic))
                }
                Some(_) => None,
            };
            Outcome { tool: tool.name, samples: Vec::new(), rows: Vec::new(), why_not }
        })
        .collect();
    for repetition in 0..flags.repetitions {
        let count = work.tools.len();
        for turn in 0..count {
            // Each time another one begins.
            let at = (turn + repetition) % count;
            if results[at].why_not.is_some() {
                continue;
            }
            let out = tempfile::NamedTempFile::new()?;
            let tool = &work.tools[at];
            let mut command = Command::new(tool.path().context("it was there before")?);
            command.args(tool.words).stdin(Stdio::null()).stdout(out.reopen()?).stderr(Stdio::null());
            let sample = whole(&mut command).with_context(|| tool.name)?;
            if !sample.status.success() {
                results[at].why_not = Some(format!("failed: {}", sample.status));
                continue;
            }
            results[at].samples.push(sample);
            results[at].rows.push(rows(out.path())?);
        }
    }
    Ok(results)
}

/// Lines that tell of a socket of the crowd.
fn rows(path: &std::path::Path) -> Result<u64> {
    let mut count = 0;
    for line in BufReader::new(std::fs::File::open(path)?).split(b'\n') {
        count += u64::from(line?.windows(6).any(|part| part == b"127.1."));
    }
    Ok(count)
}

fn show(work: &Work, sockets: u64, expected: u64, results: &[Outcome]) -> Result<Vec<serde_json::Value>> {
    let milliseconds = |of: &dyn Fn(&Whole) -> f64, result: &Outcome| median(result.samples.iter().map(of));
    let cpu = |result: &Outcome| milliseconds(&|one| one.cpu.as_secs_f64() * 1e3, result);
    let wall = |result: &Outcome| milliseconds(&|one| one.wall.as_secs_f64() * 1e3, result);
    let peak = |result: &Outcome| milliseconds(&|one| one.peak as f64 / 1e6, result);
    let ours = results.first().map(|result| (cpu(result), wall(result))).unwrap_or_default();
    let mut lines = Vec::new();
    let mut values = Vec::new();
    let mut remarks = Vec::new();
    for result in results {
        if let Some(why_not) = &result.why_not {
            remarks.push(format!("{}: {why_not}", result.tool));
            continue;
        }
        let ratio = |own: Option<f64>, ours: Option<f64>| Some(own? / ours?);
        let figures = [
            cpu(result),
            wall(result),
            peak(result),
            ratio(cpu(result), ours.0),
            ratio(wall(result), ours.1),
        ];
        // A tool that skips rows is not faster for it.
        let (fewest, most) = (result.rows.iter().min(), result.rows.iter().max());
        let rows = match (fewest, most) {
            (Some(&fewest), Some(&most)) if fewest == expected && most == expected => fewest.to_string(),
            (Some(fewest), Some(most)) => format!("{fewest}-{most}, not {expected}"),
            _ => "-".to_owned(),
        };
        let mut line = vec![result.tool.to_owned()];
        line.extend(figures.map(figure));
        line.push(rows);
        lines.push(line);
        values.push(serde_json::json!({
            "work": work.name, "sockets": sockets, "tool": result.tool, "cpu_ms": figures[0], "wall_ms": figures[1],
            "peak_mb": figures[2], "rows": result.rows, "expected": expected,
        }));
    }
    let mut out = std::io::stdout();
    writeln!(out, "\n{} with {sockets} established sockets", work.name)?;
    table(&["tool", "CPU ms", "wall ms", "peak MB", "CPU ratio", "wall ratio", "rows"], &lines)?;
    for remark in remarks {
        writeln!(out, "{remark}")?;
    }
    Ok(values)
}
