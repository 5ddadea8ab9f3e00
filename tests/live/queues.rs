//! Queue changes: coalesced or each, with true values.

use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::Close;
use netstat_tests::json::{Kind, Line};
use netstat_tests::need::{Need, need};
use netstat_tests::{NetNs, Trace, traffic};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// By addresses: the cookie is not told everywhere before the socket closes.
fn queue_lines(lines: &[Line], (local, peer): Ends) -> Vec<&Line> {
    let fits = |line: &&Line| line.local == Some(local) && line.peer == Some(peer);
    lines.iter().filter(|line| line.kind == Kind::Queue).filter(fits).collect()
}

type Ends = (SocketAddr, SocketAddr);

/// The ends of a pair, the client's first.
fn ends(pair: &traffic::Pair) -> Result<(Ends, Ends)> {
    let (client, server) = (pair.client.local_addr()?, pair.server.local_addr()?);
    Ok(((client, server), (server, client)))
}

fn closed(lines: &[Line], cookie: u64) -> bool {
    lines.iter().any(|line| line.cookie == Some(cookie) && line.step().is_some_and(|step| step.1 == Close))
}

/// Bytes waiting unread show as Recv-Q, and each call that moves data has its line.
#[test]
fn every_call_is_told_with_what_waits() -> Result<()> {
    let Some(tier) = need(Need::Queues)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &["--queues", "every"])?;
    for v6 in [false, true] {
        let mut pair = traffic::pair(v6)?;
        let (client, server) = ends(&pair)?;
        for _ in 0..5 {
            pair.client.write_all(&[b'x'; 700])?;
        }
        let mut buffer = [0; 1000];
        std::io::Read::read_exact(&mut pair.server, &mut buffer)?;
        let enough =
            |lines: &[Line]| queue_lines(lines, client).len() >= 5 && !queue_lines(lines, server).is_empty();
        let (lines, seen) = trace.wait_for(SOON, enough)?;
        ensure!(seen, "too few queue lines: {lines:#?}");
        let sent = queue_lines(&lines, client);
        ensure!(sent.len() == 5, "{sent:#?}");
        // On loopback a segment may or may not be acknowledged when send returns.
        ensure!(sent.iter().all(|line| line.queue_send.is_some_and(|bytes| bytes <= 3500)), "{sent:#?}");
        let read = *queue_lines(&lines, server).last().context("no line of the server")?;
        ensure!(read.queue_receive == Some(2500), "3500 came, 1000 were read: {read:?}");
        pair.close_simultaneously()?;
    }
    trace.stop()?;
    Ok(())
}

/// Thousands of calls make a handful of lines; the last one before the close has the final values.
#[test]
fn coalesced_changes_are_few_and_end_with_the_last() -> Result<()> {
    let Some(tier) = need(Need::Queues)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &["--queues", "coalesced", "--queue-interval", "100"])?;
    let began = std::time::Instant::now();
    let mut pair = traffic::pair(false)?;
    let (_, server) = pair.cookies()?;
    let ends = ends(&pair)?;
    for _ in 0..3000 {
        pair.talk(&[b'x'; 100])?;
    }
    pair.close_client_first()?;
    let took = began.elapsed();
    let (lines, seen) = trace.wait_for(SOON, |lines| closed(lines, server))?;
    ensure!(seen, "no close: {lines:#?}");
    let longest = u64::try_from(took.as_millis())? / 100 + 3;
    let (client, server_end) = ends;
    for (name, end) in [("client", client), ("server", server_end)] {
        let told = queue_lines(&lines, end).len() as u64;
        // The first, one an interval, the final one.
        ensure!((1..=longest).contains(&told), "{name}: {told} lines for 3000 calls in {took:?}");
    }
    let last_queue = lines.iter().rposition(|line| line.kind == Kind::Queue && line.cookie == Some(server));
    let end = lines
        .iter()
        .position(|line| line.cookie == Some(server) && line.step().is_some_and(|step| step.1 == Close));
    ensure!(last_queue < end, "a queue change after the close");
    let last = &lines[last_queue.context("no queue line")?];
    ensure!(last.queue_receive == Some(0), "all was read: {last:?}");
    trace.stop()?;
    Ok(())
}

/// Without the option there are none.
#[test]
fn off_means_none() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    let mut pair = traffic::pair(false)?;
    let (_, server) = pair.cookies()?;
    pair.talk(&[0; 10_000])?;
    pair.close_client_first()?;
    let (lines, seen) = trace.wait_for(SOON, |lines| closed(lines, server))?;
    ensure!(seen && lines.iter().all(|line| line.kind != Kind::Queue), "{lines:#?}");
    trace.stop()?;
    Ok(())
}
