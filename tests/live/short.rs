//! What is over before a poll could see it: refused, given up, quick, and the ends of TIME_WAIT.

use crate::{of, steps};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{
    self, Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent, TimeWait,
};
use netstat_tests::json::Line;
use netstat_tests::need::{Need, need};
use netstat_tests::sys::cookie;
use netstat_tests::{NetNs, Trace, traffic};
use std::os::fd::AsFd;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// The line that tells how a socket reached CLOSE from SYN_SENT.
fn given_up(lines: &[Line], socket: u64) -> Option<&Line> {
    of(lines, socket).find(|line| line.step() == Some((SynSent, Close)))
}

#[test]
fn a_refused_connection_names_its_error_and_duration() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    for v6 in [false, true] {
        let refusing = traffic::Refusing::new(v6)?;
        let socket = traffic::connect_without_waiting(refusing.addr, 1)?;
        let id = cookie(socket.as_fd())?;
        let error = traffic::answer(&socket, 5000)?.context("no error")?;
        ensure!(error.kind() == std::io::ErrorKind::ConnectionRefused, "{error}");
        // The kernel told the story before the cookie was asked for, so on kernels that make it then the end may lack it.
        let closed = |line: &&Line| line.step() == Some((SynSent, Close)) && line.peer == Some(refusing.addr);
        let (lines, seen) = trace.wait_for(SOON, |lines| lines.iter().any(|line| closed(&line)))?;
        ensure!(seen, "no end of {id}: {lines:#?}");
        let end = lines.iter().find(closed).context("no end")?;
        ensure!(end.error.as_deref() == Some("ECONNREFUSED"), "{end:?}");
        ensure!(end.spent_ns.is_some(), "{end:?}");
        ensure!(end.pid == Some(std::process::id()), "{end:?}");
        ensure!(end.actor.is_none_or(|actor| actor == std::process::id()), "{end:?}");
        let begun = lines
            .iter()
            .any(|line| line.step() == Some((Close, SynSent)) && line.peer == Some(refusing.addr));
        ensure!(begun, "no beginning: {lines:#?}");
    }
    trace.stop()?;
    Ok(())
}

#[test]
fn a_silent_address_is_seen_until_it_is_given_up() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    for v6 in [false, true] {
        let silent = traffic::Silent::new(v6)?;
        // One that its process gives up, one that the kernel gives up after a repeated SYN.
        let dropped = traffic::connect_without_waiting(silent.addr, 6)?;
        let dropped_id = cookie(dropped.as_fd())?;
        std::thread::sleep(Duration::from_millis(100));
        drop(dropped);
        let waited = traffic::connect_without_waiting(silent.addr, 1)?;
        let waited_id = cookie(waited.as_fd())?;
        let error = traffic::answer(&waited, 20_000)?.context("no error")?;
        ensure!(error.raw_os_error() == Some(libc::ETIMEDOUT), "{error}");
        let both =
            |lines: &[Line]| given_up(lines, dropped_id).is_some() && given_up(lines, waited_id).is_some();
        let (lines, seen) = trace.wait_for(SOON, both)?;
        ensure!(seen, "no end of {dropped_id} or {waited_id}: {lines:#?}");
        let dropped = given_up(&lines, dropped_id).context("no end")?;
        ensure!(dropped.error.is_none() && dropped.actor == Some(std::process::id()), "{dropped:?}");
        // It was open for at least the sleep above.
        ensure!(dropped.spent_ns.is_some_and(|spent| spent >= 100_000_000), "{dropped:?}");
        let waited = given_up(&lines, waited_id).context("no end")?;
        ensure!(waited.error.as_deref() == Some("ETIMEDOUT"), "{waited:?}");
        ensure!(waited.spent_ns.is_some_and(|spent| spent >= 1_000_000_000), "{waited:?}");
        ensure!(waited.pid == Some(std::process::id()), "{waited:?}");
    }
    trace.stop()?;
    Ok(())
}

#[test]
fn a_quick_connection_and_its_time_wait_are_seen() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    for v6 in [false, true] {
        let listener = traffic::listener(v6)?;
        let pair = traffic::pair_through(&listener)?;
        let (client, server) = pair.cookies()?;
        pair.close_client_first()?;
        let over = |lines: &[Line]| {
            let last = |socket| steps(lines, socket).last().map(|step| step.1);
            last(client) == Some(TimeWait) && last(server) == Some(Close)
        };
        let (lines, seen) = trace.wait_for(SOON, over)?;
        ensure!(seen, "no end of {client} and {server}: {lines:#?}");
        let expected: [(TcpState, TcpState); 5] = [
            (Listen, SynRecv),
            (SynRecv, Established),
            (Established, CloseWait),
            (CloseWait, LastAck),
            (LastAck, Close),
        ];
        ensure!(steps(&lines, server) == expected, "{:?}", steps(&lines, server));
        // Without the cookie helper the opening has neither cookie nor port.
        let client_steps = steps(&lines, client);
        let tail: [(TcpState, TcpState); 4] =
            [(SynSent, Established), (Established, FinWait1), (FinWait1, FinWait2), (FinWait2, TimeWait)];
        ensure!(client_steps.ends_with(&tail), "{client_steps:?}");
        for line in of(&lines, client).chain(of(&lines, server)) {
            let opens = matches!(line.from, Some(Close | Listen));
            ensure!(opens || line.spent_ns.is_some(), "no duration: {line:?}");
        }
    }
    trace.stop()?;
    Ok(())
}

/// A new connection over the same addresses ends TIME_WAIT before its time.
#[test]
fn a_time_wait_that_is_cut_short_ends() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    let listener = traffic::listener(false)?;
    let addr = listener.local_addr()?;
    let first = traffic::pair_through(&listener)?;
    let from = first.client.local_addr()?;
    let (_, old) = first.cookies()?;
    first.close_server_first()?;
    let (lines, waits) =
        trace.wait_for(SOON, |lines| steps(lines, old).last().is_some_and(|step| step.1 == TimeWait))?;
    ensure!(waits, "no TIME_WAIT: {lines:#?}");
    let again = netstat_tests::sys::stream_socket(false, 0)?;
    rustix::net::sockopt::set_socket_reuseaddr(&again, true)?;
    rustix::net::bind(&again, &rustix::net::SocketAddrAny::from(from))?;
    rustix::net::connect(&again, &rustix::net::SocketAddrAny::from(addr))?;
    let (second, _) = listener.accept()?;
    ensure!(cookie(second.as_fd())? != old, "the cookie was kept");
    // By addresses: the new socket's cookie is not told everywhere before the socket closes.
    let accepted = |line: &&Line| {
        line.local == Some(addr) && line.peer == Some(from) && line.step() == Some((SynRecv, Established))
    };
    let over = |lines: &[Line]| {
        steps(lines, old).last().is_some_and(|step| *step == (TimeWait, Close))
            && lines.iter().filter(accepted).count() == 2
    };
    let (lines, seen) = trace.wait_for(Duration::from_secs(15), over)?;
    ensure!(seen, "TIME_WAIT {old} did not end when another connection took its addresses: {lines:#?}");
    trace.stop()?;
    Ok(())
}

/// TIME_WAIT runs its minute.
#[test]
fn a_time_wait_ends_after_its_minute() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    if std::env::var_os("ENETSTAT_TEST_LONG").is_none() {
        netstat_tests::need::skip("takes more than a minute; set ENETSTAT_TEST_LONG=1");
        return Ok(());
    }
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    let pair = traffic::pair(true)?;
    let (client, _) = pair.cookies()?;
    pair.close_client_first()?;
    let ended = |line: &&Line| line.step() == Some((TimeWait, Close));
    let (lines, seen) =
        trace.wait_for(Duration::from_secs(90), |lines| of(lines, client).any(|line| ended(&line)))?;
    ensure!(seen, "TIME_WAIT never ended: {lines:#?}");
    let end = of(&lines, client).find(ended).context("no end")?;
    // TCP_TIMEWAIT_LEN is 60 s; the kernel's timer wheel and our noticing come after.
    ensure!(end.spent_ns.is_some_and(|spent| (55_000_000_000..80_000_000_000).contains(&spent)), "{end:?}");
    trace.stop()?;
    Ok(())
}
