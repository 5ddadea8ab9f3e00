//! Connections of every kind, many of each, in several namespaces at once: what is told agrees with what was done on every
//! one of them.

use anyhow::{Context, Result, ensure};
use netstat_tests::census::{Census, Demands, judge};
use netstat_tests::need::{self, Need, need, skip};
use netstat_tests::watcher::{Place, Table, Watcher};
use netstat_tests::{Trace, scale};
use std::io::Write;
use std::time::Duration;

/// How old a transition may be that is not told yet, milliseconds, unless `ENETSTAT_TEST_YOUNG_MS` says otherwise: it is told
/// within 50 where the program gets a processor when it wants one.
const YOUNG: u64 = 1_000;

/// Every end of every connection, while the kernel's own listings are held against what was told until then.
#[test]
fn every_connection_of_every_kind_is_told_as_it_was() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    if need::minis(&tier)?.is_none() {
        skip(
            "half-open connections and TIME_WAIT have no events in this tier, and most of these are shorter",
        );
        return Ok(());
    }
    let connections = scale("ENETSTAT_TEST_CENSUS", 5_000)?;
    let young = scale("ENETSTAT_TEST_YOUNG_MS", YOUNG)?;
    let mut census = Census::prepare(connections, 2)?;
    let namespaces = census.namespaces();
    let mut demands = Demands::new(namespaces.clone());
    let trace = Trace::start(&tier, &["--all-netns"])?;
    let places =
        || census.processes().into_iter().zip(&namespaces).map(|(pid, netns)| Place::of(pid, *netns));
    let (places, resting) = (places().collect::<Result<Vec<_>>>()?, places().collect::<Result<Vec<_>>>()?);
    let watcher = Watcher::start(trace.file(), places);
    census.begin()?;
    let truth = census.finish()?;
    // What is concluded from the end of a connection is concluded a moment later.
    std::thread::sleep(Duration::from_secs(2));
    let rest = resting.iter().map(Place::proc).collect::<Result<Vec<_>>>()?;
    let output = trace.stop()?;
    let watched = watcher.finish()?;
    demands.end = output.told_to_end;
    let lines = output.lines()?;
    let verdict = judge(&truth, &lines, &demands);
    let currency =
        watched.judge(&output.out, &lines, |line| demands.moment(line), young * 1_000_000, false)?;
    let mut err = std::io::stderr();
    writeln!(err, "{verdict}\n{currency}\n{}", output.summary()?).context("stderr")?;
    ensure!(verdict.faults.is_empty(), "{verdict}");
    crate::ensure_healthy(&output)?;
    ensure!(currency.stale.is_empty(), "{currency}");
    let mut table = Table::default();
    lines.iter().for_each(|line| table.learn(line));
    for (place, mut rows) in resting.iter().zip(rest) {
        rows.sort_unstable();
        ensure!(table.within(place.netns) == rows, "at rest the table is not what /proc/net has");
    }
    Ok(())
}
