//! Connections come and go while the tracer starts: none is missing, none doubled.

use anyhow::{Result, bail, ensure};
use netstat_tests::check::{Demands, check};
use netstat_tests::need::{Need, Tier, need};
use netstat_tests::program::lost_only_unseen;
use netstat_tests::storm::Storm;
use netstat_tests::story::shown;
use netstat_tests::witness::Witness;
use netstat_tests::{NetNs, Output, Trace, json, scale};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// What the tracer may need to conclude the last ends before it is interrupted.
const SETTLING: Duration = Duration::from_millis(500);

/// How long the workload lasts, and how long a start lasts in it; longer on an emulated processor, which needs seconds to
/// start at all while the workload has it.
const WORKLOAD: Duration = Duration::from_secs(14);
const START: Duration = Duration::from_millis(800);
const SLOWEST: u64 = 10;

#[test]
fn a_start_amid_traffic_misses_and_doubles_nothing() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let starts = scale("ENETSTAT_TEST_STARTS", 40)?;
    // One round of workload carries several starts, so that the truth of each round stays small.
    let mut left = starts;
    let (mut whole, mut partial, mut lossy) = (0, 0, Vec::new());
    while left > 0 {
        let seen = one_round(&tier, left.min(10))?;
        left -= seen.starts;
        whole += seen.whole;
        partial += seen.partial;
        lossy.extend(seen.lossy);
    }
    // A classic tracepoint has no spare: what interrupts it while it runs is left out, and said to be. An emulated processor
    // is so long in it that this happens in every start.
    let allowed = match tier.name.as_deref() {
        Some("tracepoint") if slowdown()? > 1 => starts,
        Some("tracepoint") => starts / 2,
        _ => starts / 10,
    };
    let lost = lossy.len() as u64;
    ensure!(lost <= allowed, "{lost} of {starts} starts lost events: {lossy:#?}");
    // A race that nothing took part in proves nothing.
    ensure!(whole > 0 && partial > 0, "{whole} connections after and {partial} during the starts");
    Ok(())
}

struct Round {
    starts: u64,
    /// Ends of connections that began after the start.
    whole: u64,
    /// Ends of connections that were there before.
    partial: u64,
    /// What starts said that lost events.
    lossy: Vec<String>,
}

/// How many times slower than a real processor this one is.
fn slowdown() -> Result<u32> {
    Ok(u32::try_from(scale("ENETSTAT_TEST_SLOWDOWN", 1)?.min(SLOWEST))?)
}

/// Up to so many starts while one workload runs.
fn one_round(tier: &Tier, starts: u64) -> Result<Round> {
    // Its own namespace, or what the round before left in TIME_WAIT would be strangers here.
    let _namespace = NetNs::enter()?;
    let witness = Witness::start()?;
    let slowdown = slowdown()?;
    let seconds = (WORKLOAD * slowdown).as_secs().to_string();
    // One after the other, and besides many that are held over the moment of attaching. An emulated processor gets as much
    // to do for what it can do: with more work than time, every process would be stopped in the middle of its programs.
    let pause = |microseconds: u64| (microseconds * u64::from(slowdown)).to_string();
    let quick = Storm::start(&[
        "--connections",
        "1000000",
        "--processes",
        "2",
        "--v4",
        "--v6",
        "--pause",
        &pause(1500),
        "--seconds",
        &seconds,
    ]);
    let mut quick = quick?;
    let mut slow = Storm::start(&[
        "--connections",
        "20000",
        "--v4",
        "--v6",
        "--hold",
        "300",
        "--pause",
        &pause(100_000),
        "--seconds",
        &seconds,
    ])?;
    let mut outputs: Vec<(u64, Output)> = Vec::new();
    for start in 0..starts {
        if !quick.runs()? || !slow.runs()? {
            ensure!(start > 0, "the workload ended before the first start");
            break;
        }
        let trace = Trace::start(tier, &[])?;
        std::thread::sleep(START * slowdown);
        outputs.push((trace.attached, trace.stop()?));
    }
    // Every client stops at its time limit.
    let mut truth = quick.finish()?;
    truth.connections.extend(slow.finish()?.connections);
    let mut round = Round { starts: outputs.len() as u64, whole: 0, partial: 0, lossy: Vec::new() };
    for (index, (attached, output)) in outputs.iter().enumerate() {
        let settling = u64::try_from((SETTLING * slowdown).as_nanos())?;
        let until = output.told_to_end.saturating_sub(settling);
        let demands = Demands { attached: *attached, until, owners: false, bytes: false };
        let lost = output.counted("enetstat.lost")?;
        let lines = if lost == 0 { output.lines()? } else { json::lines(&output.out)? };
        let unseen = witness.as_ref().map(|witness| witness.unseen(&lines)).transpose()?.unwrap_or_default();
        let report = check(&truth, &lines, &demands).but(&unseen);
        // What a start says it lost, the listings repaired; the times in between are gone. Each event is one end's, so no more
        // ends may be faulty than events were lost. How often process 1 has a turn is nobody's doing here.
        let faulty: BTreeSet<_> = report.faults.iter().map(|one| one.ports).collect();
        if lost > 0 && !lost_only_unseen(&output.err) {
            round.lossy.push(format!("{} faulty ends; {}", faulty.len(), output.err.join("; ")));
        }
        if faulty.len() as u64 > lost {
            let ports = |end: Option<SocketAddr>| end.map_or(0, |end| end.port());
            let mut lines = lines;
            let faulty: Vec<_> = faulty.into_iter().take(3).collect();
            lines.retain(|line| faulty.contains(&(ports(line.local), ports(line.peer))));
            bail!("start {index}, lost {lost}: {report}{}{}", shown(&lines), output.err.join("\n"));
        }
        round.whole += report.whole;
        round.partial += report.partial;
    }
    Ok(round)
}
