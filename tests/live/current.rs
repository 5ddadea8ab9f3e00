//! At a quiet moment the table equals what the kernel lists, TIME_WAIT and SYN_RECV included.

use anyhow::{Result, ensure};
use netstat_common::TcpState;
use netstat_tests::need::{Need, Tier, need};
use netstat_tests::storm::Storm;
use netstat_tests::{NetNs, Trace, check, listing, scale, traffic};
use std::time::{Duration, Instant};

/// How long reconciliation may take to notice what no event tells (half-open connections, ends of TIME_WAIT).
const QUIET: Duration = Duration::from_secs(15);

/// Rows that a reader of the lines has, against the kernel's, until both agree or patience ends.
fn agree(trace: &mut Trace) -> Result<Vec<listing::Row>> {
    let since = Instant::now();
    loop {
        let before = listing::tcp()?;
        let lines = netstat_tests::json::lines(&trace.so_far()?)?;
        let differences = listing::compare(&check::table(&lines), &before);
        if differences.is_empty() {
            return Ok(before);
        }
        let shown: Vec<_> = differences.iter().take(20).map(ToString::to_string).collect();
        ensure!(since.elapsed() < QUIET, "{} of {} rows differ: {shown:#?}", differences.len(), before.len());
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn start() -> Result<Option<(Tier, NetNs)>> {
    let Some(tier) = need(Need::Events)? else { return Ok(None) };
    Ok(Some((tier, NetNs::enter()?)))
}

#[test]
fn after_a_storm() -> Result<()> {
    let Some((tier, _namespace)) = start()? else { return Ok(()) };
    let connections = scale("ENETSTAT_TEST_CONNECTIONS", 20_000)?.min(20_000);
    let mut trace = Trace::start(&tier, &[])?;
    for _ in 0..3 {
        Storm::start(&["--connections", &(connections / 3).to_string(), "--v4", "--v6"])?.finish()?;
        let rows = agree(&mut trace)?;
        ensure!(rows.iter().any(|row| row.state == TcpState::TimeWait), "no TIME_WAIT: nothing was compared");
    }
    trace.stop()?;
    Ok(())
}

#[test]
fn with_a_socket_in_every_state_that_lasts() -> Result<()> {
    let Some((tier, _namespace)) = start()? else { return Ok(()) };
    let mut trace = Trace::start(&tier, &[])?;
    let mut kept = Vec::new();
    for v6 in [false, true] {
        let listener = traffic::listener(v6)?;
        let established = traffic::pair_through(&listener)?;
        // FIN_WAIT2 here, CLOSE_WAIT there.
        let half_closed = traffic::pair_through(&listener)?;
        half_closed.client.shutdown(std::net::Shutdown::Write)?;
        // An orphan in FIN_WAIT2.
        let orphaned = traffic::pair_through(&listener)?;
        drop(orphaned.client);
        traffic::pair_through(&listener)?.close_client_first()?;
        traffic::pair_through(&listener)?.close_server_first()?;
        traffic::pair_through(&listener)?.reset_by_client()?;
        let half_open = traffic::HalfOpen::new(v6, 60)?;
        let silent = traffic::Silent::new(v6)?;
        let waiting = traffic::connect_without_waiting(silent.addr, 6)?;
        kept.push((listener, established, half_closed, orphaned.server, half_open, silent, waiting));
    }
    let rows = agree(&mut trace)?;
    for state in [
        TcpState::Listen,
        TcpState::Established,
        TcpState::FinWait2,
        TcpState::CloseWait,
        TcpState::TimeWait,
        TcpState::SynRecv,
        TcpState::SynSent,
    ] {
        ensure!(rows.iter().any(|row| row.state == state), "no {}: it was not compared", state.name());
    }
    drop(kept);
    agree(&mut trace)?;
    trace.stop()?;
    Ok(())
}
