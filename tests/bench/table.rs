//! `bench table`: what the way of a record costs inside the program, and what a connection costs in memory, by the number of
//! connections that are open.

use crate::measure::median;
use crate::report::{figure, save, table};
use anyhow::{Context, Result, ensure};
use netstat_tests::script::Script;
use netstat_user::model::{Clock, Fact, Mono, Told};
use netstat_user::render::json::Json;
use netstat_user::render::log::{Log, LogStyle};
use netstat_user::source::stream::decode;
use netstat_user::table::{Limits, Table};
use std::io::Write;
use std::process::Command;
use std::time::Instant;

#[derive(clap::Args)]
pub struct Flags {
    /// Open connections' ends; may be repeated [default: 1000, 10000, 100000, 1000000]
    #[arg(long)]
    rows: Vec<u64>,
    /// Events that are learnt and told beside them
    #[arg(long, default_value_t = 400_000)]
    events: u64,
    /// Measurements of each size
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Measure one size in this process, and print the figures alone
    #[arg(long, hide = true)]
    one: Option<u64>,
}

/// What is measured, in the order of the figures.
const COLUMNS: [&str; 6] =
    ["bytes/row", "open ns/event", "decode ns/event", "learn ns/event", "text ns/line", "JSON ns/line"];

pub fn run(flags: &Flags) -> Result<()> {
    ensure!(flags.repetitions > 0 && flags.events > 0, "nothing to measure");
    if let Some(rows) = flags.one {
        let figures = measure(rows, flags.events)?;
        writeln!(std::io::stdout(), "{}", figures.map(|figure| figure.to_string()).join(" "))?;
        return Ok(());
    }
    let sizes: &[u64] =
        if flags.rows.is_empty() { &[1_000, 10_000, 100_000, 1_000_000] } else { &flags.rows };
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    for &rows in sizes {
        let mut samples = Vec::new();
        for _ in 0..flags.repetitions {
            // In a process of its own: memory that was used before would hide what is used now.
            let mut one = Command::new(std::env::current_exe()?);
            one.args(["table", "--one", &rows.to_string(), "--events", &flags.events.to_string()]);
            let said = one.output()?;
            ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            let words = String::from_utf8(said.stdout)?;
            samples.push(words.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?);
        }
        let figures: Vec<Option<f64>> = (0..COLUMNS.len())
            .map(|column| median(samples.iter().filter_map(|sample| sample.get(column).copied())))
            .collect();
        let mut line = vec![rows.to_string()];
        line.extend(figures.iter().map(|&value| figure(value)));
        lines.push(line);
        let named = COLUMNS.iter().zip(&figures).map(|(&name, &value)| (name.to_owned(), value.into()));
        let mut object: serde_json::Map<String, serde_json::Value> = named.collect();
        object.insert("rows".to_owned(), rows.into());
        values.push(serde_json::Value::Object(object));
    }
    let head: Vec<&str> = ["open"].into_iter().chain(COLUMNS).collect();
    table(&head, &lines)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "medians of {} runs; events: connections of ten steps that come and go beside the open ones",
        flags.repetitions
    )?;
    let whole = serde_json::json!({ "bench": "table", "events": flags.events, "figures": values });
    writeln!(out, "{}", save("table", &whole)?.display())?;
    Ok(())
}

fn measure(rows: u64, events: u64) -> Result<[f64; COLUMNS.len()]> {
    let mut script = Script::default();
    let mut batch = Vec::new();
    let empty = resident()?;
    let limits = Limits { rows: rows as usize + 1_000_000, minis: true, ..Limits::default() };
    let mut world = Table::new(limits);
    let mut told = Vec::new();
    let mut nanoseconds = 0;
    let mut opened = 0u64;
    for first in (0..rows / 2).step_by(512) {
        batch.clear();
        for _ in first..(first + 512).min(rows / 2) {
            let connection = script.connection();
            script.open(connection, &mut batch);
        }
        let facts = events_of(&batch)?;
        let begin = Instant::now();
        for event in &facts {
            world.learn(Mono(script.time()), Fact::Event(*event), &mut told);
        }
        nanoseconds += begin.elapsed().as_nanos();
        opened += facts.len() as u64;
        told.clear();
    }
    drop((std::mem::take(&mut batch), std::mem::take(&mut told)));
    let bytes = resident()?.saturating_sub(empty) as f64 / world.len().max(1) as f64;
    let open = nanoseconds as f64 / opened.max(1) as f64;

    let mut log = Log::new(LogStyle::default(), Clock::now());
    let mut json = Json::new(false, Clock::now());
    let (mut decoding, mut learning, mut text, mut lines) = (0, 0, 0, 0);
    let (mut told_as_json, mut count) = (0, 0u64);
    let mut out = Vec::new();
    while count < events {
        batch.clear();
        for _ in 0..64 {
            let connection = script.connection();
            script.open(connection, &mut batch);
            script.close(connection, &mut batch);
        }
        let begin = Instant::now();
        let facts = events_of(&batch)?;
        decoding += begin.elapsed().as_nanos();
        count += facts.len() as u64;
        let begin = Instant::now();
        for event in &facts {
            world.learn(Mono(script.time()), Fact::Event(*event), &mut told);
        }
        world.expire(Mono(script.time()));
        learning += begin.elapsed().as_nanos();
        let transitions = told.iter().filter(|told| matches!(told, Told::Transition(_))).count();
        lines += transitions as u64;
        out.clear();
        let begin = Instant::now();
        told.iter().for_each(|told| log.told(&mut out, told));
        text += begin.elapsed().as_nanos();
        out.clear();
        let begin = Instant::now();
        told.iter().for_each(|told| json.told(&mut out, told));
        told_as_json += begin.elapsed().as_nanos();
        told.clear();
    }
    ensure!(lines > 0, "nothing was told");
    let (events, lines) = (count as f64, lines as f64);
    Ok([
        bytes,
        open,
        decoding as f64 / events,
        learning as f64 / events,
        text as f64 / lines,
        told_as_json as f64 / lines,
    ])
}

fn events_of(batch: &[u8]) -> Result<Vec<netstat_user::model::Event>> {
    Ok(decode(batch).collect::<Result<Vec<_>, _>>()?)
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
