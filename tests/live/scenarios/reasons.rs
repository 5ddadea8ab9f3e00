//! Why connections end: what lies behind the reason, the reset that belongs to it, and the kernel's word for that.

use super::{ACCEPTS, CONNECTS, LISTENED, THERE, accepted, connected, listener, steps};
use anyhow::{Result, ensure};
use netstat_common::TcpState::{Close, CloseWait, Established, FinWait1, LastAck, SynSent};
use netstat_tests::json::Line;
use netstat_tests::peer::{ACK, FIN, RST};
use netstat_tests::story::{Step, at};
use netstat_tests::{Scene, Story, need, sys, traffic};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Timers of the kernel that are made as short as they can be.
const LONG: Duration = Duration::from_secs(60);

/// What must be told with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End<'a> {
    reason: Option<&'a str>,
    cause: Option<&'a str>,
    reset: Option<&'a str>,
    /// Where the kernel has words for it.
    word: Option<&'a str>,
}

fn end(line: &Line) -> End<'_> {
    End {
        reason: line.reason.as_deref(),
        cause: line.cause.as_deref(),
        reset: line.reset.as_deref(),
        word: line.reset_reason.as_deref(),
    }
}

fn ensure_end<'a>(lines: &'a [Line], step: Step, mut right: End<'a>) -> Result<()> {
    let line = at(lines, step)?;
    if !need::has_reset_reasons() {
        ensure!(line.reset_reason.is_none() || right.word.is_some(), "a word for nothing: {line:?}");
        right.word = line.reset_reason.as_deref();
    }
    ensure!(end(line) == right, "{:?} was told instead of {right:?}", end(line));
    Ok(())
}

fn because<'a>(reason: &'a str, cause: Option<&'a str>, reset: Option<&'a str>) -> End<'a> {
    End { reason: Some(reason), cause, reset, word: None }
}

fn set(stream: &TcpStream, level: i32, name: i32, value: i32) -> Result<()> {
    Ok(sys::set_option(stream.as_fd(), level, name, value)?)
}

#[test]
fn an_abort_says_what_it_is_for() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    // Data that nobody has read.
    let (mut wire, stream) = connected(&scene)?;
    let unread = stream.local_addr()?;
    wire.send_data(ACK, b"unread")?;
    wire.wait_acked()?;
    drop(stream);
    wire.wait(RST)?;
    // No patience.
    let (mut wire, stream) = connected(&scene)?;
    let linger = stream.local_addr()?;
    sys::reset_on_close(stream.as_fd())?;
    drop(stream);
    wire.wait(RST)?;
    // Another use for the socket.
    let (mut wire, stream) = connected(&scene)?;
    let let_go = stream.local_addr()?;
    disconnect(&stream)?;
    wire.wait(RST)?;
    // The FIN was read, but not what came before it: the FIN is no byte.
    let (mut wire, stream) = connected(&scene)?;
    let halved = stream.local_addr()?;
    wire.send(FIN | ACK)?;
    wire.wait_acked()?;
    sys::reset_on_close(stream.as_fd())?;
    drop(stream);
    wire.wait(RST)?;

    let life = steps(&[&CONNECTS, &[(Established, Close)]]);
    let stories = [unread, linger, let_go].map(|own| Story::new(own, THERE, &life));
    let half =
        Story::new(halved, THERE, &steps(&[&CONNECTS, &[(Established, CloseWait), (CloseWait, Close)]]));
    let told = scene.told(&[&stories[..], &[half]].concat())?;
    let step = (Established, Close);
    let words = |cause, word| End { word: Some(word), ..because("aborted", Some(cause), Some("sent")) };
    ensure_end(&told[0], step, words("unread", "TCP_ABORT_ON_CLOSE"))?;
    ensure_end(&told[1], step, words("linger", "TCP_STATE"))?;
    ensure_end(&told[2], step, words("disconnect", "TCP_STATE"))?;
    ensure_end(&told[3], (CloseWait, Close), words("linger", "TCP_STATE"))?;
    let left = at(&told[0], step)?;
    ensure!((left.queue_receive, left.received) == (Some(6), Some(6)), "{left:?}");
    let left = at(&told[3], (CloseWait, Close))?;
    ensure!((left.queue_receive, left.received) == (Some(0), Some(0)), "{left:?}");
    Ok(())
}

/// connect(2) to AF_UNSPEC.
fn disconnect(stream: &TcpStream) -> Result<()> {
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as u16, sa_data: [0; 14] };
    // SAFETY: the address is a whole sockaddr, and its size says so.
    let result = unsafe {
        libc::connect(stream.as_raw_fd(), &raw const nowhere, size_of::<libc::sockaddr>() as libc::socklen_t)
    };
    sys::checked(result)?;
    Ok(())
}

#[test]
fn a_reset_of_the_peer_is_told_as_received() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let reset = stream.local_addr()?;
    wire.send(RST)?;
    ensure!((&stream).read(&mut [0]).is_err(), "no error");
    let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
    let mut wire = scene.peer.called(super::PORT)?;
    wire.send(RST | ACK)?;
    ensure!(traffic::answer(&socket, 10_000)?.is_some(), "no error");
    let refused = TcpStream::from(socket);
    let peer = wire.other;
    let told = scene.told(&[
        Story::new(reset, THERE, &steps(&[&CONNECTS, &[(Established, Close)]])).error("ECONNRESET"),
        Story::new(peer, THERE, &[(Close, SynSent), (SynSent, Close)]).error("ECONNREFUSED"),
    ])?;
    drop(refused);
    ensure_end(&told[0], (Established, Close), because("reset", None, Some("received")))?;
    ensure_end(&told[1], (SynSent, Close), because("refused", None, Some("received")))
}

#[test]
fn a_listener_that_closes_ends_what_nobody_accepted() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let mut wire = scene.peer.toward(addr.port());
    wire.open()?;
    wire.send_data(ACK, b"question")?;
    wire.wait_acked()?;
    drop(listener);
    wire.wait(RST)?;
    let peer = wire.own;
    let told = scene.told(&[
        Story::listener(addr, &LISTENED),
        Story::new(addr, peer, &steps(&[&ACCEPTS, &[(Established, Close)]])),
    ])?;
    let right = End { word: Some("TCP_STATE"), ..because("listener_closed", None, Some("sent")) };
    ensure_end(&told[1], (Established, Close), right)?;
    let closed = at(&told[0], LISTENED[1])?.numbers;
    ensure!((closed.waiting, closed.half_open, closed.dropped) == (Some(1), Some(0), Some(0)), "{closed:?}");
    ensure!(closed.limit.is_some_and(|limit| limit > 0), "{closed:?}");
    Ok(())
}

/// The kernel treats data for a closed socket as a reset, and answers with one: it is this end that gives up.
#[test]
fn data_that_comes_too_late_is_answered_with_a_reset() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    let unacked = wire.ack;
    drop(stream);
    wire.wait(FIN)?;
    wire.ack = unacked;
    wire.send_data(ACK, b"late")?;
    wire.wait(RST)?;
    let life = steps(&[&CONNECTS, &[(Established, FinWait1), (FinWait1, Close)]]);
    let told = scene.told(&[Story::new(own, THERE, &life).error("ECONNRESET")])?;
    let last = at(&told[0], (FinWait1, Close))?;
    let seen = end(last);
    ensure!(
        (seen.reason, seen.cause, seen.reset) == (Some("aborted"), Some("late_data"), Some("sent")),
        "{last:?}"
    );
    Ok(())
}

#[test]
fn nobody_answers_keepalive_probes() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (_wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    set(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 1)?;
    set(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 1)?;
    set(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 1)?;
    set(&stream, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    let life = steps(&[&CONNECTS, &[(Established, Close)]]);
    let told = scene.told_within(LONG, &[Story::new(own, THERE, &life).error("ETIMEDOUT")])?;
    drop(stream);
    let right = because("timed_out", Some("keepalive"), Some("sent"));
    let line = at(&told[0], (Established, Close))?;
    ensure_end(&told[0], (Established, Close), End { word: Some("TCP_KEEPALIVE_TIMEOUT"), ..right })?;
    ensure!(line.numbers.probes == Some(1) && line.sent == Some(0), "{line:?}");
    Ok(())
}

#[test]
fn data_is_not_acknowledged_in_time() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    // As often as the system says, and for as long as the process says.
    scene.namespace.sysctl("ipv4/tcp_retries2", "2")?;
    let (_first, mut stream) = connected(&scene)?;
    let often = stream.local_addr()?;
    stream.write_all(&[7; 300])?;
    let (_second, mut patient) = connected(&scene)?;
    let long = patient.local_addr()?;
    set(&patient, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 900)?;
    patient.write_all(&[7; 200])?;
    let life = steps(&[&CONNECTS, &[(Established, Close)]]);
    let stories = [often, long].map(|own| Story::new(own, THERE, &life).error("ETIMEDOUT"));
    let told = scene.told_within(LONG, &stories)?;
    drop((stream, patient));
    ensure_end(&told[0], (Established, Close), because("timed_out", Some("retransmission"), None))?;
    ensure_end(&told[1], (Established, Close), because("timed_out", Some("user_timeout"), None))?;
    for (lines, bytes) in told.iter().zip([300, 200]) {
        let line = at(lines, (Established, Close))?;
        ensure!((line.sent, line.queue_send) == (Some(bytes), Some(bytes)), "{line:?}");
        let again = line.numbers.retransmits.unwrap_or_default();
        ensure!(again > 0 && line.numbers.resent == Some(again * bytes), "{line:?}");
    }
    Ok(())
}

#[test]
fn the_fin_is_not_acknowledged() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    scene.namespace.sysctl("ipv4/tcp_orphan_retries", "1")?;
    let (listener, addr) = listener()?;
    let (mut wire, stream) = accepted(&scene, &listener)?;
    wire.send(FIN | ACK)?;
    wire.wait_acked()?;
    drop(stream);
    wire.wait(FIN)?;
    let life = steps(&[&ACCEPTS, &[(Established, CloseWait), (CloseWait, LastAck), (LastAck, Close)]]);
    let story = Story::new(addr, wire.own, &life).error("ETIMEDOUT");
    let told = scene.told_within(LONG, &[Story::listener(addr, &LISTENED[..1]), story])?;
    drop(listener);
    let line = at(&told[1], (LastAck, Close))?;
    ensure_end(&told[1], (LastAck, Close), because("timed_out", Some("retransmission"), None))?;
    ensure!((line.sent, line.received, line.queue_send) == (Some(0), Some(0), Some(0)), "{line:?}");
    Ok(())
}

#[test]
fn nobody_answers_probes_of_a_closed_window() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    scene.namespace.sysctl("ipv4/tcp_retries2", "2")?;
    let (mut wire, mut stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    wire.window = 0;
    wire.send_heard(ACK, &stream)?;
    stream.write_all(&[7; 500])?;
    let life = steps(&[&CONNECTS, &[(Established, Close)]]);
    let told = scene.told_within(LONG, &[Story::new(own, THERE, &life).error("ETIMEDOUT")])?;
    drop(stream);
    ensure_end(&told[0], (Established, Close), because("timed_out", Some("zero_window"), None))?;
    let line = at(&told[0], (Established, Close))?;
    ensure!((line.sent, line.queue_send) == (Some(0), Some(500)), "{line:?}");
    ensure!(line.numbers.probes.is_some_and(|probes| probes >= 2), "{line:?}");
    ensure!(line.numbers.window_us.is_some_and(|us| us > 200_000), "{line:?}");
    Ok(())
}

#[test]
fn nobody_answers_the_syn() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let socket = traffic::connect_without_waiting(THERE.into(), 1)?;
    let wire = scene.peer.called(super::PORT)?;
    let (own, mut again) = (wire.other, 0);
    // How often it tries differs between kernels (`tcp_syn_linear_timeouts`).
    while wire.next(Duration::from_secs(4))?.is_some() {
        again += 1;
    }
    let told = scene.told_within(
        LONG,
        &[Story::new(own, THERE, &[(Close, SynSent), (SynSent, Close)]).error("ETIMEDOUT")],
    )?;
    drop(socket);
    ensure_end(&told[0], (SynSent, Close), because("timed_out", Some("handshake"), None))?;
    let line = at(&told[0], (SynSent, Close))?;
    ensure!((line.sent, line.queue_send) == (Some(0), Some(0)), "{line:?}");
    ensure!(again > 0 && line.numbers.retransmits == Some(again), "{again}: {line:?}");
    Ok(())
}

/// Words of the network come as errors, and no reset.
#[test]
fn a_host_that_cannot_be_reached_sends_no_reset() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    // No route: nothing is tried, and nothing is told.
    let probe = UdpSocket::bind(("0.0.0.0", 0))?;
    ensure!(probe.connect(("203.0.113.1", 9)).is_err(), "there is a route");
    ensure!(TcpStream::connect(("203.0.113.1", 9)).is_err(), "there is a route");
    let (listener, addr) = listener()?;
    let told = scene.told(&[Story::listener(addr, &LISTENED[..1])])?;
    drop(listener);
    ensure!(told.iter().flatten().all(|line| line.reset.is_none() && line.reason.is_none()), "{told:?}");
    Ok(())
}
