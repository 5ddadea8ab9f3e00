//! Filters: what is wanted is told, and nothing else.

use anyhow::{Result, ensure};
use netstat_common::TcpState;
use netstat_tests::json::{Kind, Line};
use netstat_tests::need::{Need, Tier, need};
use netstat_tests::{Actor, NetNs, Trace, traffic};
use std::net::TcpListener;
use std::time::Duration;

/// Runs one trace with `words` while `act` makes traffic, and gives its transitions.
fn traced(tier: &Tier, words: &[&str], act: impl FnOnce() -> Result<()>) -> Result<Vec<Line>> {
    let trace = Trace::start(tier, words)?;
    act()?;
    std::thread::sleep(Duration::from_millis(500));
    let mut lines = trace.stop()?.lines()?;
    lines.retain(|line| line.kind == Kind::Transition);
    Ok(lines)
}

fn connect_to(listener: &TcpListener) -> Result<()> {
    Ok(traffic::pair_through(listener)?.close_client_first()?)
}

#[test]
fn by_port_address_and_state() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.9:0")?);
    let six = traffic::listener(true)?;
    let port = one.local_addr()?.port();
    let act = || {
        connect_to(&one)?;
        connect_to(&other)?;
        connect_to(&six)
    };
    let has = |lines: &[Line], wanted: &dyn Fn(&Line) -> bool| !lines.is_empty() && lines.iter().all(wanted);
    let ports = |line: &Line| [line.local, line.peer].into_iter().flatten().any(|end| end.port() == port);
    let told = traced(&tier, &["--port", &port.to_string()], act)?;
    ensure!(has(&told, &ports), "--port {port}: {told:#?}");
    // Both ends' lives: five or six steps each.
    ensure!(told.len() >= 9, "--port {port}: only {told:#?}");

    let nine = |line: &Line| {
        [line.local, line.peer].into_iter().flatten().any(|end| end.ip().to_string() == "127.0.0.9")
    };
    let told = traced(&tier, &["--addr", "127.0.0.9"], act)?;
    ensure!(has(&told, &nine), "--addr: {told:#?}");
    let v6 = |line: &Line| line.local.is_some_and(|local| local.is_ipv6());
    let told = traced(&tier, &["--addr", "::/0"], act)?;
    ensure!(has(&told, &v6), "--addr ::/0: {told:#?}");

    let syn = |line: &Line| {
        line.step().is_some_and(|(from, to)| from == TcpState::SynSent || to == TcpState::SynSent)
    };
    for name in ["SYN_SENT", "syn-sent"] {
        let told = traced(&tier, &["--state", name], act)?;
        ensure!(has(&told, &syn) && told.len() >= 6, "--state {name}: {told:#?}");
    }
    let told = traced(&tier, &["--port", "1"], act)?;
    ensure!(told.is_empty(), "nothing uses port 1: {told:#?}");
    Ok(())
}

#[test]
fn by_expression() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.9:0")?);
    let port = one.local_addr()?.port();
    let act = || {
        connect_to(&one)?;
        connect_to(&other)
    };
    let server = format!("src 127.0.0.0/8 and sport = :{port}");
    let told = traced(&tier, &[&server], act)?;
    let of_server = |line: &Line| line.local.is_some_and(|local| local.port() == port);
    ensure!(told.len() >= 4 && told.iter().all(of_server), "{server}: {told:#?}");

    let told =
        traced(&tier, &["not", "(", &format!("sport=:{port}"), "or", &format!("dport=:{port}"), ")"], act)?;
    let no_end = |line: &Line| [line.local, line.peer].into_iter().flatten().all(|end| end.port() != port);
    ensure!(told.len() >= 9 && told.iter().all(no_end), "all but {port}: {told:#?}");

    let words = ["state", "syn-sent", "dst", "127.0.0.9"];
    let told = traced(&tier, &words, act)?;
    let opening = |line: &Line| {
        let step = line.step();
        let syn = step.is_some_and(|(from, to)| from == TcpState::SynSent || to == TcpState::SynSent);
        syn && line.peer.is_some_and(|peer| peer.ip().to_string() == "127.0.0.9")
    };
    ensure!(told.len() == 2 && told.iter().all(opening), "{words:?}: {told:#?}");
    Ok(())
}

#[test]
fn by_process() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let (mut server, mut client) = (Actor::start()?, Actor::start()?);
    let addr = server.listen(false)?;
    let own = traffic::listener(false)?;
    let pid = client.pid();
    let mut act = |trace: &[&str]| {
        traced(&tier, trace, || {
            client.connect(addr)?;
            server.accept()?;
            client.close()?;
            server.recv_end()?;
            server.close()?;
            connect_to(&own)
        })
    };
    let told = act(&["--pid", &pid.to_string()])?;
    ensure!(!told.is_empty() && told.iter().all(|line| line.pid == Some(pid)), "--pid {pid}: {told:#?}");
    let told = act(&["--comm", "storm"])?;
    let storm = |line: &Line| line.comm.as_deref() == Some("storm");
    ensure!(!told.is_empty() && told.iter().all(storm), "--comm storm: {told:#?}");
    Ok(())
}

/// The default is the namespace it runs in; `--netns` names another; `--all-netns` is every one.
#[test]
fn by_namespace() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let outer = NetNs::enter()?;
    let outer_number = outer.inum();
    // The actor stays in the outer namespace, this thread goes on to an inner one.
    let mut far = Actor::start()?;
    let inner = NetNs::enter()?;
    let inner_number = inner.inum();
    let listener = traffic::listener(false)?;
    let pid = far.pid().to_string();
    let mut act = |words: &[&str]| {
        traced(&tier, words, || {
            let addr = far.listen(false)?;
            far.connect(addr)?;
            far.close()?;
            connect_to(&listener)
        })
    };
    let port = listener.local_addr()?.port();
    let of_port = |line: &Line| [line.local, line.peer].into_iter().flatten().any(|end| end.port() == port);
    let only = |lines: &[Line], number| {
        !lines.is_empty() && lines.iter().all(|line| line.netns.is_none_or(|inum| inum == number))
    };
    let told = act(&[])?;
    ensure!(only(&told, inner_number) && told.iter().all(of_port), "default: {told:#?}");
    let told = act(&["--all-netns"])?;
    for number in [inner_number, outer_number] {
        ensure!(told.iter().any(|line| line.netns == Some(number)), "--all-netns lacks {number}: {told:#?}");
    }
    for name in [pid.clone(), format!("/proc/{pid}/ns/net")] {
        let told = act(&["--netns", &name])?;
        ensure!(only(&told, outer_number) && !told.iter().any(of_port), "--netns {name}: {told:#?}");
    }
    drop(inner);
    drop(outer);
    Ok(())
}
