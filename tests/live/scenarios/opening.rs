//! How connections begin, or fail to.

use super::{
    ACCEPTS, CONNECTS, LISTENED, LISTENS, PORT, Span, THERE, accepted, connected, dwell, gone, half_open,
    is_there, listener, steps,
};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{Close, Established, Listen, SynRecv, SynSent};
use netstat_tests::peer::{ACK, OWN, RST, SYN};
use netstat_tests::story::{at, ensure_spent};
use netstat_tests::sys::monotonic;
use netstat_tests::{Scene, Story, sys, traffic};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// The kernel's end of a socket that is connecting.
fn local(socket: &OwnedFd) -> Result<SocketAddr> {
    Ok(rustix::net::getsockname(socket)?.try_into()?)
}

#[test]
fn a_listener_opens_and_closes() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let before = monotonic();
    let (listener, addr) = listener()?;
    let begin = (before, monotonic());
    dwell(&scene);
    let before = monotonic();
    drop(listener);
    let end = (before, monotonic());
    let told = scene.told(&[Story::listener(addr, &LISTENED)])?;
    ensure_spent(&told[0], (Listen, Close), Span { begin, end }.lasts())?;
    let opened = at(&told[0], (Close, Listen))?;
    ensure!(opened.how.as_deref() == Some("opened"), "{opened:?}");
    ensure!(opened.actor == Some(std::process::id()), "{opened:?}");
    Ok(())
}

/// SYN_SENT has its port, and lasts until the peer answers; a reset ends the connection.
#[test]
fn a_connect_is_answered_late() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let before = monotonic();
    let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
    let mut wire = scene.peer.called(PORT)?;
    let begin = (before, monotonic());
    dwell(&scene);
    let before = monotonic();
    wire.send(SYN | ACK)?;
    wire.wait_acked()?;
    let end = (before, monotonic());
    let own = local(&socket)?;
    wire.send(RST)?;
    let error = traffic::answer(&socket, 10_000)?.context("no error")?;
    ensure!(error.raw_os_error() == Some(libc::ECONNRESET), "{error}");
    drop(socket);
    let steps = steps(&[&CONNECTS, &[(Established, Close)]]);
    let told = scene.told(&[Story::new(own, THERE, &steps).error("ECONNRESET")])?;
    ensure_spent(&told[0], (SynSent, Established), Span { begin, end }.lasts())?;
    let opened = at(&told[0], (Close, SynSent))?;
    ensure!(opened.actor == Some(std::process::id()), "{opened:?}");
    ensure!(at(&told[0], (Established, Close))?.actor.is_none(), "nobody of ours did that");
    Ok(())
}

/// SYN_RECV begins with the SYN, and lasts until the handshake is complete.
#[test]
fn a_connection_is_half_open_until_the_last_ack() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let (mut wire, begin) = half_open(&scene, addr)?;
    dwell(&scene);
    ensure!(is_there(&wire, SynRecv)?, "the kernel has no half-open connection");
    let before = monotonic();
    wire.send(ACK)?;
    let (stream, _) = listener.accept()?;
    let end = (before, monotonic());
    wire.send(RST)?;
    let peer = wire.own;
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    let minis = scene.minis;
    let told =
        scene.told(&[Story::listener(addr, &LISTENS), Story::new(addr, peer, &steps).error("ECONNRESET")])?;
    drop((stream, listener));
    if minis {
        ensure_spent(&told[1], (SynRecv, Established), Span { begin, end }.lasts())?;
    }
    let how = |step| Ok::<_, anyhow::Error>(at(&told[1], step)?.how.as_deref());
    ensure!(how((Listen, SynRecv))? == Some("inherited"), "{told:?}");
    ensure!(how((Established, Close))?.is_some_and(|how| how != "inherited"), "{told:?}");
    Ok(())
}

#[test]
fn a_half_open_connection_is_given_up() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    scene.namespace.sysctl("ipv4/tcp_synack_retries", "1")?;
    let (listener, addr) = listener()?;
    let (wire, begin) = half_open(&scene, addr)?;
    let end = gone(&wire, SynRecv, Duration::from_secs(60))?;
    let peer = wire.own;
    let minis = scene.minis;
    let told = scene.told(&[
        Story::listener(addr, &LISTENS),
        Story::new(addr, peer, &[(Listen, SynRecv), (SynRecv, Close)]),
    ])?;
    drop(listener);
    if minis {
        ensure_spent(&told[1], (SynRecv, Close), Span { begin, end }.about())?;
        ensure!(at(&told[1], (SynRecv, Close))?.reason.as_deref() == Some("timed_out"), "{told:?}");
    }
    ensure!(at(&told[1], (SynRecv, Close))?.how.as_deref() == Some("inherited"), "{told:?}");
    Ok(())
}

#[test]
fn a_half_open_connection_is_reset() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let (mut wire, begin) = half_open(&scene, addr)?;
    dwell(&scene);
    let before = monotonic();
    wire.send(RST)?;
    let end = if is_there(&wire, SynRecv)? {
        gone(&wire, SynRecv, Duration::from_secs(10))?.1
    } else {
        monotonic()
    };
    let peer = wire.own;
    let minis = scene.minis;
    let told = scene.told(&[
        Story::listener(addr, &LISTENS),
        Story::new(addr, peer, &[(Listen, SynRecv), (SynRecv, Close)]),
    ])?;
    drop(listener);
    if minis {
        ensure_spent(&told[1], (SynRecv, Close), Span { begin, end: (before, end) }.about())?;
        ensure!(at(&told[1], (SynRecv, Close))?.reason.as_deref() == Some("reset"), "{told:?}");
    }
    Ok(())
}

/// The kernel keeps the half-open connection until its timer runs out.
#[test]
fn a_half_open_connection_outlives_its_listener() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let (wire, begin) = half_open(&scene, addr)?;
    drop(listener);
    let end = gone(&wire, SynRecv, Duration::from_secs(60))?;
    let peer = wire.own;
    let minis = scene.minis;
    let told = scene.told(&[
        Story::listener(addr, &LISTENED),
        Story::new(addr, peer, &[(Listen, SynRecv), (SynRecv, Close)]).or(&[]).or(&[(Listen, SynRecv)]),
    ])?;
    if minis {
        ensure_spent(&told[1], (SynRecv, Close), Span { begin, end }.about())?;
    }
    Ok(())
}

/// With SYN cookies the kernel keeps nothing until the handshake is complete.
#[test]
fn a_cookie_leaves_nothing_half_open() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    scene.namespace.sysctl("ipv4/tcp_syncookies", "2")?;
    let (listener, addr) = listener()?;
    let mut wire = scene.peer.toward(addr.port());
    wire.send(SYN)?;
    wire.wait(SYN | ACK)?;
    ensure!(!is_there(&wire, SynRecv)?, "the kernel keeps a half-open connection");
    dwell(&scene);
    let before = monotonic();
    wire.send(ACK)?;
    let (stream, _) = listener.accept()?;
    let both = (before, monotonic());
    wire.send(RST)?;
    let peer = wire.own;
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    let told =
        scene.told(&[Story::listener(addr, &LISTENS), Story::new(addr, peer, &steps).error("ECONNRESET")])?;
    drop((stream, listener));
    ensure_spent(&told[1], (SynRecv, Established), Span { begin: both, end: both }.lasts())
}

#[test]
fn a_connect_is_refused() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let before = monotonic();
    let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
    let mut wire = scene.peer.called(PORT)?;
    let begin = (before, monotonic());
    let own = local(&socket)?;
    dwell(&scene);
    let before = monotonic();
    wire.send(RST | ACK)?;
    let error = traffic::answer(&socket, 10_000)?.context("no error")?;
    let end = (before, monotonic());
    ensure!(error.raw_os_error() == Some(libc::ECONNREFUSED), "{error}");
    let told =
        scene.told(&[Story::new(own, THERE, &[(Close, SynSent), (SynSent, Close)]).error("ECONNREFUSED")])?;
    ensure_spent(&told[0], (SynSent, Close), Span { begin, end }.lasts())
}

#[test]
fn a_connect_is_given_up_by_the_kernel() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let before = monotonic();
    let socket = traffic::connect_without_waiting(THERE.into(), 1)?;
    let mut wire = scene.peer.called(PORT)?;
    let begin = (before, monotonic());
    let own = local(&socket)?;
    // It is sent once more.
    wire.ack = 0;
    wire.wait(SYN)?;
    let before = monotonic();
    let error = traffic::answer(&socket, 60_000)?.context("no error")?;
    let end = (before, monotonic());
    ensure!(error.raw_os_error() == Some(libc::ETIMEDOUT), "{error}");
    let told =
        scene.told(&[Story::new(own, THERE, &[(Close, SynSent), (SynSent, Close)]).error("ETIMEDOUT")])?;
    ensure_spent(&told[0], (SynSent, Close), Span { begin, end }.lasts())?;
    ensure!(at(&told[0], (SynSent, Close))?.actor.is_none(), "a timer did that");
    Ok(())
}

#[test]
fn a_connect_is_given_up_by_its_process() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let before = monotonic();
    let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
    scene.peer.called(PORT)?;
    let begin = (before, monotonic());
    let own = local(&socket)?;
    dwell(&scene);
    let before = monotonic();
    drop(socket);
    let end = (before, monotonic());
    let told = scene.told(&[Story::new(own, THERE, &[(Close, SynSent), (SynSent, Close)])])?;
    ensure_spent(&told[0], (SynSent, Close), Span { begin, end }.lasts())?;
    ensure!(at(&told[0], (SynSent, Close))?.actor == Some(std::process::id()), "{told:?}");
    Ok(())
}

/// Both ends send a SYN before they have the other's: the socket itself is in SYN_RECV.
#[test]
fn both_ends_open_at_once() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
    let mut wire = scene.peer.called(PORT)?;
    let own = local(&socket)?;
    let before = monotonic();
    wire.send(SYN)?;
    // Their SYN again, now with an ACK of ours.
    wire.ack = wire.ack.wrapping_sub(1);
    wire.wait(SYN | ACK)?;
    let begin = (before, monotonic());
    dwell(&scene);
    let before = monotonic();
    wire.send(ACK)?;
    if let Some(error) = traffic::answer(&socket, 10_000)? {
        return Err(error.into());
    }
    let end = (before, monotonic());
    wire.send(RST)?;
    let steps = [(Close, SynSent), (SynSent, SynRecv), (SynRecv, Established), (Established, Close)];
    let told = scene.told(&[Story::new(own, THERE, &steps).error("ECONNRESET")])?;
    drop(socket);
    ensure_spent(&told[0], (SynRecv, Established), Span { begin, end }.lasts())?;
    ensure!(told[0].iter().all(|line| line.how.as_deref() == Some("opened")), "{told:?}");
    Ok(())
}

/// Nobody accepts it, so it is its listener's, and ends with it.
#[test]
fn a_child_that_nobody_accepts_ends_with_its_listener() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let mut wire = scene.peer.toward(addr.port());
    wire.open()?;
    // The handshake is complete when the data has been taken.
    wire.send_data(ACK, b"unread")?;
    wire.wait_acked()?;
    drop(listener);
    wire.wait(RST)?;
    let peer = wire.own;
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    let told = scene.told(&[Story::listener(addr, &LISTENED), Story::new(addr, peer, &steps)])?;
    let established = at(&told[1], (SynRecv, Established))?;
    ensure!(established.how.as_deref() == Some("inherited"), "{established:?}");
    ensure!(at(&told[1], (Established, Close))?.received == Some(6), "{told:?}");
    Ok(())
}

/// A listener that is shut down is none any more, and can become one again, at another port that the kernel chooses only
/// after it has told of it.
#[test]
fn a_listener_is_shut_down_and_listens_again() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, first) = listener()?;
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Both)?;
    rustix::net::listen(&listener, 1)?;
    let second = listener.local_addr()?;
    ensure!(second != first, "the port was kept");
    // Its children are known by its port, which a listing tells a moment later.
    std::thread::sleep(Duration::from_millis(600));
    let (mut wire, stream) = accepted(&scene, &listener)?;
    drop(listener);
    wire.send(RST)?;
    let peer = wire.own;
    let steps = steps(&[&ACCEPTS, &[(Established, Close)]]);
    scene.told(&[
        Story::listener(first, &LISTENED),
        Story::listener(second, &LISTENED),
        Story::new(second, peer, &steps).error("ECONNRESET"),
    ])?;
    drop(stream);
    Ok(())
}

/// `connect` to no family at all ends the connection; the socket can be used for the next.
#[test]
fn a_socket_is_disconnected_and_used_again() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let first = stream.local_addr()?;
    disconnect(&stream)?;
    wire.wait(RST)?;
    let next = SocketAddr::from((super::PEER, PORT + 1));
    match rustix::net::connect(&stream, &rustix::net::SocketAddrAny::from(next)) {
        Err(rustix::io::Errno::INPROGRESS) => {}
        other => other.context("connecting again")?,
    }
    let mut wire = scene.peer.called(PORT + 1)?;
    wire.send(SYN | ACK)?;
    wire.wait_acked()?;
    let second = stream.local_addr()?;
    wire.send(RST)?;
    ensure!(first.ip() == OWN && second.ip() == OWN, "{first} {second}");
    let steps = steps(&[&CONNECTS, &[(Established, Close)]]);
    scene.told(&[Story::new(first, THERE, &steps), Story::new(second, next, &steps).error("ECONNRESET")])?;
    drop(stream);
    Ok(())
}

fn disconnect(stream: &TcpStream) -> Result<()> {
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let size = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the address lives until the call returns, and `size` is its size.
    sys::checked(unsafe { libc::connect(stream.as_raw_fd(), &raw const nowhere, size) })?;
    Ok(())
}
