//! Who a connection belongs to.

use crate::{of, steps};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{self, Close, CloseWait, Established, FinWait1};
use netstat_tests::json::Line;
use netstat_tests::need::{Need, need};
use netstat_tests::{Actor, NetNs, Trace};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn reached(lines: &[Line], cookie: u64, state: TcpState) -> bool {
    steps(lines, cookie).iter().any(|step| step.1 == state)
}

/// One process connects, another accepts: each end names its own, though all transitions of one end may run in softirqs while the
/// other process is current.
#[test]
fn each_end_names_its_own_process() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    for v6 in [false, true] {
        let (mut server, mut client) = (Actor::start()?, Actor::start()?);
        let addr = server.listen(v6)?;
        let (_, client_cookie) = client.connect(addr)?;
        let server_cookie = server.accept()?;
        client.send(1000)?;
        server.recv(1000)?;
        client.close()?;
        server.recv_end()?;
        server.close()?;
        let over = |lines: &[Line]| {
            reached(lines, server_cookie, Close) && reached(lines, client_cookie, TcpState::TimeWait)
        };
        let (lines, seen) = trace.wait_for(SOON, over)?;
        ensure!(seen, "not over: {lines:#?}");
        for (cookie, pid) in [(client_cookie, client.pid()), (server_cookie, server.pid())] {
            for line in of(&lines, cookie) {
                ensure!(line.pid == Some(pid), "{pid} expected: {line:?}");
                ensure!(line.actor.is_none_or(|actor| actor == pid), "{pid} expected: {line:?}");
                ensure!(line.comm.as_deref() == Some("storm"), "{line:?}");
            }
        }
        let how = of(&lines, client_cookie).last().and_then(|line| line.how.clone());
        ensure!(how.as_deref() == Some("opened"), "client: {how:?}");
        let how = of(&lines, server_cookie).last().and_then(|line| line.how.clone());
        ensure!(how.is_some() && how.as_deref() != Some("inherited"), "server: {how:?}");
        // The FIN that the client sent reached the server in a softirq: nobody of the server's did it.
        let fin = of(&lines, server_cookie).find(|line| line.step() == Some((Established, CloseWait)));
        ensure!(fin.context("no FIN")?.actor.is_none(), "{fin:?}");
        let close = of(&lines, client_cookie).find(|line| line.step() == Some((Established, FinWait1)));
        ensure!(close.context("no close")?.actor == Some(client.pid()), "{close:?}");
    }
    trace.stop()?;
    Ok(())
}

/// A listener's child that a forked process closes: the one who acted is the child, the one who accepted the parent.
#[test]
fn a_fork_after_accept_is_told_apart() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    let (mut server, mut client) = (Actor::start()?, Actor::start()?);
    let addr = server.listen(false)?;
    client.connect(addr)?;
    let cookie = server.accept()?;
    let child = server.fork_and_close()?;
    client.recv_end()?;
    client.close()?;
    let (lines, seen) = trace.wait_for(SOON, |lines| reached(lines, cookie, FinWait1))?;
    ensure!(seen, "no close: {lines:#?}");
    let close =
        of(&lines, cookie).find(|line| line.step() == Some((Established, FinWait1))).context("no close")?;
    ensure!(close.actor == Some(child), "{child} closed it: {close:?}");
    ensure!(close.pid == Some(server.pid()) || close.pid == Some(child), "{close:?}");
    trace.stop()?;
    Ok(())
}

/// Connections that were open before the tracer carry the owners that hold them.
#[test]
fn what_was_there_before_has_its_owner() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let (mut server, mut client) = (Actor::start()?, Actor::start()?);
    let addr = server.listen(true)?;
    let (_, client_cookie) = client.connect(addr)?;
    let server_cookie = server.accept()?;
    let mut trace = Trace::start(&tier, &[])?;
    server.close()?;
    client.recv_end()?;
    client.close()?;
    let (lines, seen) = trace.wait_for(SOON, |lines| reached(lines, client_cookie, Close))?;
    ensure!(seen, "no end: {lines:#?}");
    for (cookie, pid) in [(client_cookie, client.pid()), (server_cookie, server.pid())] {
        let mut count = 0;
        for line in of(&lines, cookie) {
            ensure!(line.preexisting, "{line:?}");
            ensure!(line.pid == Some(pid), "{pid} expected: {line:?}");
            count += 1;
        }
        ensure!(count >= 2, "only {count} lines of {cookie}: {lines:#?}");
        ensure!(steps(&lines, cookie)[0].0 == Established, "{lines:#?}");
    }
    // How long it was established is not known: its beginning was not seen.
    let first = of(&lines, server_cookie).next().context("no line")?;
    ensure!(first.spent_ns.is_none(), "{first:?}");
    trace.stop()?;
    Ok(())
}
