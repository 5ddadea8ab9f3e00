//! A ring that is far too small: what was lost is counted, and the table is whole again soon after.

use anyhow::{Result, ensure};
use netstat_tests::json::Kind;
use netstat_tests::need::{Need, need};
use netstat_tests::storm::Storm;
use netstat_tests::{NetNs, Trace, check, json, listing, scale};
use std::time::Duration;

/// Within one second after the load, what a reader of the lines knows equals what the kernel lists.
#[test]
fn a_loss_is_reported_and_repaired() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let connections = scale("ENETSTAT_TEST_CONNECTIONS", 50_000)?.min(50_000);
    let _namespace = NetNs::enter()?;
    let trace = Trace::start(&tier, &["--ring-size", "4096"])?;
    // First the tracer cannot read at all, then it reads while others work.
    trace.pause()?;
    for connections in [connections / 10, connections] {
        let words = ["--connections", &connections.to_string(), "--processes", "4", "--v4", "--v6"];
        Storm::start(&words)?.finish()?;
        trace.resume()?;
    }
    // Some connections that stay, so that there is more to agree about than TIME_WAIT.
    let pair = netstat_tests::traffic::pair(false)?;
    std::thread::sleep(Duration::from_secs(1) * u32::try_from(scale("ENETSTAT_TEST_SLOWDOWN", 1)?)?);
    let text = trace.so_far()?;
    let kernel = listing::tcp()?;
    let lines = json::lines(&text)?;
    let differences = listing::compare(&check::table(&lines), &kernel);
    drop(pair);
    let output = trace.stop()?;
    let lost = output.counted("enetstat.lost")?;
    ensure!(lost > 0, "nothing was lost: {}", output.summary()?);
    let repairs: Vec<_> = lines.iter().filter(|line| line.kind == Kind::Repair).collect();
    ensure!(!repairs.is_empty(), "{lost} lost, and no word about a repair");
    let told: u64 = repairs.iter().filter_map(|repair| repair.lost).sum();
    ensure!(told <= lost && told > 0, "{told} lost in repairs, {lost} in the summary");
    let shown: Vec<_> = differences.iter().take(20).map(ToString::to_string).collect();
    ensure!(differences.is_empty(), "{} of {} rows differ: {shown:#?}", differences.len(), kernel.len());
    Ok(())
}
