//! What is rarer: segments that come twice, queues that are full, data in a SYN, a process that is killed.

use super::{
    ACCEPTS, CONNECTS, LISTENED, LISTENS, PORT, Span, THERE, connected, dwell, half_open, is_there, listener,
    steps,
};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{Close, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent, TimeWait};
use netstat_tests::peer::{ACK, FIN, RST, SYN};
use netstat_tests::story::{at, ensure_spent};
use netstat_tests::sys::{self, monotonic};
use netstat_tests::{Actor, Scene, Story};
use std::io::Read;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

/// A SYN that comes again is answered again, and a wrong ACK with a reset: the connection stays half open.
#[test]
fn a_half_open_connection_survives_what_is_wrong() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let (mut wire, begin) = half_open(&scene, addr)?;
    wire.send_as(SYN, wire.seq.wrapping_sub(1), 0)?;
    wire.send_as(ACK, wire.seq, wire.ack.wrapping_add(77))?;
    // Not a segment of the connection: its number is what the wrong one acknowledged.
    let next = wire.ack;
    wire.wait(RST)?;
    wire.ack = next;
    dwell(&scene);
    ensure!(is_there(&wire, SynRecv)?, "the half-open connection is gone");
    let before = monotonic();
    wire.send(ACK)?;
    let (stream, _) = listener.accept()?;
    let end = (before, monotonic());
    wire.send(RST)?;
    let (peer, minis) = (wire.own, scene.minis);
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    let told =
        scene.told(&[Story::listener(addr, &LISTENS), Story::new(addr, peer, &steps).error("ECONNRESET")])?;
    drop((stream, listener));
    if minis {
        ensure_spent(&told[1], (SynRecv, Established), Span { begin, end }.lasts())?;
    }
    Ok(())
}

/// The last ACK comes while the listener holds as many as it may: the connection stays half open until there is room.
#[test]
fn a_full_queue_keeps_a_connection_half_open() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let (mut first, mut second) = (scene.peer.toward(addr.port()), scene.peer.toward(addr.port()));
    second.send(SYN)?;
    second.wait(SYN | ACK)?;
    first.open()?;
    // Lets one wait.
    rustix::net::listen(&listener, 0)?;
    second.send(ACK)?;
    dwell(&scene);
    ensure!(is_there(&second, SynRecv)?, "the second was taken in");
    let (one, _) = listener.accept()?;
    let before = monotonic();
    second.send_data(ACK, b"now")?;
    let (other, _) = listener.accept()?;
    let end = (before, monotonic());
    first.send(RST)?;
    second.send(RST)?;
    let (first, second) = (first.own, second.own);
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    let minis = scene.minis;
    let told = scene.told(&[
        Story::listener(addr, &LISTENS),
        Story::new(addr, first, &steps).error("ECONNRESET"),
        Story::new(addr, second, &steps).error("ECONNRESET"),
    ])?;
    drop((one, other, listener));
    if minis {
        let spent = at(&told[2], (SynRecv, Established))?.spent_ns.context("no time")?;
        ensure!(spent >= 60_000_000 && spent <= end.1, "{spent}");
    }
    Ok(())
}

/// `TCP_DEFER_ACCEPT`: the last ACK alone is not enough.
#[test]
fn a_listener_may_wait_for_data() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    sys::set_option(listener.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 5)?;
    let mut wire = scene.peer.toward(addr.port());
    let before = monotonic();
    wire.open()?;
    let begin = (before, monotonic());
    dwell(&scene);
    ensure!(is_there(&wire, SynRecv)?, "it did not wait");
    let before = monotonic();
    wire.send_data(ACK, b"data")?;
    let (stream, _) = listener.accept()?;
    let end = (before, monotonic());
    wire.send(RST)?;
    let (peer, minis) = (wire.own, scene.minis);
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    let told =
        scene.told(&[Story::listener(addr, &LISTENS), Story::new(addr, peer, &steps).error("ECONNRESET")])?;
    drop((stream, listener));
    if minis {
        ensure_spent(&told[1], (SynRecv, Established), Span { begin, end }.lasts())?;
    }
    Ok(())
}

/// TCP Fast Open (RFC 7413): data in the SYN make a full socket at once, which is accepted before it is established.
#[test]
fn data_in_a_syn_are_accepted_at_once() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    // Servers, without a cookie, and without the socket option.
    scene.namespace.sysctl("ipv4/tcp_fastopen", "1538")?;
    let (listener, addr) = listener()?;
    let mut wire = scene.peer.toward(addr.port());
    let before = monotonic();
    wire.send_data(SYN, b"early")?;
    wire.wait(SYN | ACK)?;
    let begin = (before, monotonic());
    let (mut stream, _) = listener.accept()?;
    let mut data = [0; 5];
    stream.read_exact(&mut data)?;
    ensure!(&data == b"early", "{data:?}");
    dwell(&scene);
    ensure!(is_there(&wire, SynRecv)?, "not in SYN_RECV");
    let before = monotonic();
    wire.send(ACK)?;
    while is_there(&wire, SynRecv)? {
        std::thread::sleep(Duration::from_millis(1));
    }
    let end = (before, monotonic());
    wire.send(RST)?;
    let peer = wire.own;
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    let told =
        scene.told(&[Story::listener(addr, &LISTENS), Story::new(addr, peer, &steps).error("ECONNRESET")])?;
    drop((stream, listener));
    ensure_spent(&told[1], (SynRecv, Established), Span { begin, end }.lasts())
}

/// An IPv4 peer of an IPv6 listener: the half-open connection is an IPv4 one, its socket an IPv6 one.
#[test]
fn a_mapped_address_is_one_connection() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    let bound = listener.local_addr()?;
    let mut wire = scene.peer.toward(bound.port());
    wire.send(SYN)?;
    wire.wait(SYN | ACK)?;
    dwell(&scene);
    wire.send(ACK)?;
    let (stream, _) = listener.accept()?;
    wire.send(RST)?;
    let mapped = |addr: std::net::SocketAddrV4| SocketAddr::from((addr.ip().to_ipv6_mapped(), addr.port()));
    let (own, peer) = (mapped(wire.other), mapped(wire.own));
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    scene.told(&[
        Story::new(bound, (Ipv6Addr::UNSPECIFIED, 0), &LISTENS),
        Story::new(own, peer, &steps).error("ECONNRESET"),
    ])?;
    drop((stream, listener));
    Ok(())
}

/// A FIN that comes again lets TIME_WAIT begin anew for the kernel; for the reader it goes on.
#[test]
fn a_time_wait_goes_on_when_the_fin_comes_again() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    drop(stream);
    wire.wait(FIN)?;
    wire.send(ACK)?;
    if !scene.late_fin {
        // Else FIN_WAIT2 has no event, and is over before it is asked about.
        dwell(&scene);
    }
    wire.send(FIN | ACK)?;
    wire.wait_acked()?;
    dwell(&scene);
    for _ in 0..3 {
        wire.send_as(FIN | ACK, wire.seq.wrapping_sub(1), wire.ack)?;
        wire.wait_acked()?;
        dwell(&scene);
    }
    ensure!(is_there(&wire, TimeWait)?, "not in TIME_WAIT");
    wire.send(RST)?;
    let minis = scene.minis;
    let whole = [(Established, FinWait1), (FinWait1, FinWait2), (FinWait2, TimeWait), (TimeWait, Close)];
    let story = Story::new(own, THERE, &steps(&[&CONNECTS, &whole]));
    let told = scene.told(&[story.or(&steps(&[&CONNECTS, &whole[..3]]))])?;
    if minis {
        // Four pauses.
        let spent = at(&told[0], (TimeWait, Close))?.spent_ns;
        ensure!(spent.is_some_and(|spent| spent >= 240_000_000), "{spent:?}");
    }
    Ok(())
}

/// The kernel closes what a process leaves behind, in its name and without an error.
#[test]
fn a_process_is_killed_while_it_connects() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let mut actor = Actor::start()?;
    actor.begin_connect(THERE.into())?;
    let own = scene.peer.called(PORT)?.other;
    dwell(&scene);
    let pid = actor.pid();
    drop(actor);
    let mut story = Story::new(own, THERE, &[(Close, SynSent), (SynSent, Close)]);
    story.pid = pid;
    let told = scene.told(&[story])?;
    ensure!(at(&told[0], (SynSent, Close))?.actor == Some(pid), "{told:?}");
    Ok(())
}

/// A hundred half-open connections at once, of which half are reset and half go with a listener that nobody accepts from.
#[test]
fn many_are_half_open_at_once() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let mut stories = vec![Story::listener(addr, &LISTENED)];
    let mut wires = Vec::new();
    for _ in 0..100 {
        let mut wire = scene.peer.toward(addr.port());
        wire.send(SYN)?;
        wire.wait(SYN | ACK)?;
        wires.push(wire);
    }
    dwell(&scene);
    for (number, wire) in wires.iter_mut().enumerate() {
        if number % 2 == 0 {
            wire.send(RST)?;
            stories.push(Story::new(addr, wire.own, &[(Listen, SynRecv), (SynRecv, Close)]));
        } else {
            wire.send_data(ACK, b"x")?;
            wire.wait_acked()?;
            stories.push(Story::new(addr, wire.own, &steps(&[&ACCEPTS, &[(Established, Close)]])));
        }
    }
    drop(wires);
    drop::<TcpListener>(listener);
    scene.told(&stories)?;
    Ok(())
}

/// A connection that nobody says a word on is established, and stays so.
#[test]
fn an_idle_connection_is_established() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (wire, stream): (_, TcpStream) = connected(&scene)?;
    let own = stream.local_addr()?;
    dwell(&scene);
    ensure!(is_there(&wire, Established)?, "not established");
    let told = scene.told(&[Story::new(own, THERE, &CONNECTS)])?;
    drop(stream);
    ensure!(told[0].iter().all(|line| line.error.is_none()), "{told:?}");
    Ok(())
}
