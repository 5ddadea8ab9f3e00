//! Connections of every kind, many of each, in several namespaces at once: what is told agrees with what was done on every
//! one of them.

use anyhow::{Context, Result, ensure};
use netstat_common::TcpState;
use netstat_tests::census::{Census, Demands, judge};
use netstat_tests::json::Kind;
use netstat_tests::need::{self, Need, need};
use netstat_tests::sys::monotonic;
use netstat_tests::watcher::{Place, Table, Watcher};
use netstat_tests::{Trace, scale};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// How old a transition may be that is not told yet, milliseconds, unless `ENETSTAT_TEST_YOUNG_MS` says otherwise: it is told
/// within 50 where the program gets a processor when it wants one.
const YOUNG: u64 = 1_000;

/// Every end of every connection, while the kernel's own listings are held against what was told until then.
#[test]
fn every_connection_of_every_kind_is_told_as_it_was() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let minis = need::minis(&tier)?.is_some();
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
    let rest = resting.iter().map(at_rest).collect::<Result<Vec<_>>>()?;
    let output = trace.stop()?;
    let watched = watcher.finish()?;
    demands.end = output.told_to_end;
    let lines = output.lines()?;
    let currency =
        watched.judge(&output.out, &lines, |line| demands.moment(line), young * 1_000_000, !minis)?;
    let mut err = std::io::stderr();
    writeln!(err, "{currency}\n{}", output.summary()?).context("stderr")?;
    if minis {
        let verdict = judge(&truth, &lines, &demands);
        writeln!(err, "{verdict}").context("stderr")?;
        ensure!(verdict.faults.is_empty(), "{verdict}");
        let repaired: Vec<_> =
            lines.iter().filter(|line| line.learnt.as_deref() == Some("listing")).take(5).collect();
        crate::ensure_healthy(&output).with_context(|| format!("{repaired:#?}"))?;
    } else {
        let why = "half-open connections and TIME_WAIT have no events in this tier, and most of these are shorter than a look";
        writeln!(err, "the lives are not held against the truth: {why}").context("stderr")?;
    }
    ensure!(currency.stale.is_empty(), "{currency}");
    for (place, looks) in resting.iter().zip(rest) {
        let mut same = false;
        for (when, rows) in looks {
            let mut table = Table::default();
            for line in lines.iter().filter(|line| line.kind == Kind::Transition) {
                if demands.moment(line)? <= when {
                    table.learn(line);
                }
            }
            same |= table.within(place.netns) == rows;
        }
        ensure!(same, "at rest the table is not what /proc/net has");
    }
    Ok(())
}

/// Rows of /proc/net, sorted, and when they were read.
type Look = (u64, Vec<(TcpState, SocketAddr, SocketAddr)>);

/// A few looks at a place where nothing happens any more, but for the ends of TIME_WAIT: one of them may come during a look.
fn at_rest(place: &Place) -> Result<Vec<Look>> {
    let mut looks = Vec::new();
    for _ in 0..3 {
        let when = monotonic();
        let mut rows = place.proc()?;
        rows.sort_unstable();
        looks.push((when, rows));
    }
    Ok(looks)
}
