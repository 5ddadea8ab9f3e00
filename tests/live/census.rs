//! Connections of every kind, many of each, in several namespaces at once: what is told agrees with what was done on every
//! one of them.

use anyhow::{Context, Result, ensure};
use netstat_tests::census::{Census, Demands, judge};
use netstat_tests::need::{self, Need, need, skip};
use netstat_tests::{Trace, scale};
use std::io::Write;
use std::time::Duration;

/// Of every kind but io_uring; said to be left out where the kernel refuses it.
#[test]
fn every_connection_of_every_kind_is_told_as_it_was() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    if need::minis(&tier)?.is_none() {
        skip("half-open connections and TIME_WAIT have no events in this tier, and most of these are shorter");
        return Ok(());
    }
    let connections = scale("ENETSTAT_TEST_CENSUS", 5_000)?;
    let mut census = Census::prepare(connections, 2)?;
    let mut demands = Demands::new(census.namespaces());
    let trace = Trace::start(&tier, &["--all-netns"])?;
    census.begin()?;
    let truth = census.finish()?;
    // What is concluded from the end of a connection is concluded a moment later.
    std::thread::sleep(Duration::from_secs(2));
    let output = trace.stop()?;
    demands.end = output.told_to_end;
    let verdict = judge(&truth, &output.lines()?, &demands);
    let mut err = std::io::stderr();
    writeln!(err, "{verdict}\n{}", output.summary()?).context("stderr")?;
    ensure!(verdict.faults.is_empty(), "{verdict}");
    crate::ensure_healthy(&output)
}
