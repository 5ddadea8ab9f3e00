//! Every connection's whole life, on both ends, in order, with the right process, and nothing lost.

use crate::{ensure_healthy, ensure_healthy_but};
use anyhow::{Result, ensure};
use netstat_tests::check::{Demands, check};
use netstat_tests::need::{Need, need};
use netstat_tests::storm::Storm;
use netstat_tests::witness::Witness;
use netstat_tests::{NetNs, Trace, scale};

/// 100,000 connections at full speed between four clients and four servers, over IPv4 and IPv6.
#[test]
fn a_hundred_thousand_connections_are_told_whole() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let connections = scale("ENETSTAT_TEST_CONNECTIONS", 100_000)?;
    let _namespace = NetNs::enter()?;
    let witness = Witness::start()?;
    let trace = Trace::start(&tier, &[])?;
    let truth =
        Storm::start(&["--connections", &connections.to_string(), "--processes", "4", "--v4", "--v6"])?
            .finish()?;
    ensure!(
        truth.connections.len() as u64 == connections,
        "only {} of {connections}",
        truth.connections.len()
    );
    // What is concluded from the end of a connection is concluded a moment later.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let output = trace.stop()?;
    let lines = output.lines()?;
    let unseen = witness.map(|witness| witness.unseen(&lines)).transpose()?.unwrap_or_default();
    let report = check(&truth, &lines, &Demands::ALL).but(&unseen).into_result()?;
    ensure!(report.whole == 2 * connections, "{report}");
    ensure_healthy_but(&output, &unseen)
}

/// `--close`: one line a finished connection and end, with duration, bytes both ways and who opened it.
#[test]
fn each_finished_connection_has_one_line() -> Result<()> {
    use netstat_tests::json::Kind;
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let connections = scale("ENETSTAT_TEST_CONNECTIONS", 10_000)?.min(10_000);
    let _namespace = NetNs::enter()?;
    let trace = Trace::start(&tier, &["--close"])?;
    let words =
        ["--connections", &connections.to_string(), "--processes", "2", "--v4", "--v6", "--payload", "3000"];
    let truth = Storm::start(&words)?.finish()?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let output = trace.stop()?;
    let lines = output.lines()?;
    let ends = truth.connections.iter().flat_map(|one| [(one.client, one.server), (one.server, one.client)]);
    let mut by_cookie = std::collections::HashMap::new();
    for line in lines.iter().filter(|line| line.kind == Kind::Connection) {
        let Some(cookie) = line.cookie else { continue };
        ensure!(by_cookie.insert(cookie, line).is_none(), "two lines for {line:?}");
    }
    for (own, other) in ends {
        let Some(line) = by_cookie.remove(&own.cookie) else { anyhow::bail!("no line for {own:?}") };
        ensure!((line.local, line.peer) == (Some(own.addr), Some(other.addr)), "{line:?} for {own:?}");
        ensure!(line.pid == Some(own.pid), "{line:?} for {own:?}");
        ensure!((line.sent, line.received) == (Some(own.sent), Some(other.sent)), "{line:?} for {own:?}");
        ensure!(line.duration_ns.is_some_and(|duration| duration > 0), "{line:?} for {own:?}");
    }
    ensure_healthy(&output)
}
