//! How TIME_WAIT ends by a new connection. (By a reset: see `closing`; by its timer: see `timewaits`.)

use super::{ACCEPTS, CONNECTS, LISTENS, THERE, accepted, dwell, is_there, listener, steps};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{Close, Established, FinWait1, FinWait2, TimeWait};
use netstat_tests::peer::{ACK, FIN, OWN, RST, SYN};
use netstat_tests::story::{Step, at, nanoseconds};
use netstat_tests::{Scene, Story, sys, traffic};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What is closed here first, and is in TIME_WAIT then.
const CLOSES: [Step; 3] = [(Established, FinWait1), (FinWait1, FinWait2), (FinWait2, TimeWait)];
const OVER: [Step; 1] = [(TimeWait, Close)];

/// The connection is closed here first, then by the peer.
fn close(scene: &Scene, wire: &mut netstat_tests::peer::Wire<'_>, stream: TcpStream) -> Result<()> {
    drop(stream);
    wire.wait(FIN)?;
    wire.send(ACK)?;
    wire.send(FIN | ACK)?;
    wire.wait_acked()?;
    ensure!(is_there(wire, TimeWait)?, "not in TIME_WAIT");
    if !scene.late_fin {
        dwell(scene);
    }
    Ok(())
}

/// The peer connects again from the same port.
#[test]
fn a_syn_takes_the_place_of_a_time_wait() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let (mut wire, stream) = accepted(&scene, &listener)?;
    close(&scene, &mut wire, stream)?;
    // Beyond what the former connection used.
    wire.seq = wire.seq.wrapping_add(100_000);
    wire.ack = 0;
    wire.open()?;
    let (stream, _) = listener.accept()?;
    wire.send(RST)?;
    let peer = wire.own;
    let minis = scene.minis;
    let told = scene.told(&[
        Story::listener(addr, &LISTENS),
        Story::new(addr, peer, &steps(&[&ACCEPTS, &CLOSES, &OVER])),
        Story::new(addr, peer, &steps(&[&ACCEPTS, &[(Established, Close)]])).error("ECONNRESET"),
    ])?;
    drop((stream, listener));
    let (over, begun) = (at(&told[1], (TimeWait, Close))?, &told[2][0]);
    // Without an event the end is concluded from the new connection, once that is known.
    let in_order = !minis || nanoseconds(over)? <= nanoseconds(begun)?;
    ensure!(in_order, "TIME_WAIT ended after the next began: {told:?}");
    Ok(())
}

/// The kernel connects again from the same port, which it may a moment after the last segment with a timestamp.
#[test]
fn a_connect_takes_the_place_of_a_time_wait() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    scene.namespace.sysctl("ipv4/tcp_tw_reuse", "1")?;
    let mut own = SocketAddr::from((OWN, 0));
    let mut connect = || -> Result<_> {
        let socket = sys::stream_socket(false, libc::SOCK_NONBLOCK)?;
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &rustix::net::SocketAddrAny::from(own))?;
        own = rustix::net::getsockname(&socket)?.try_into()?;
        match rustix::net::connect(&socket, &rustix::net::SocketAddrAny::from(SocketAddr::from(THERE))) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno).context("connecting"),
        }
        let mut wire = scene.peer.called(THERE.1)?;
        wire.timestamp = Some(1);
        wire.send(SYN | ACK)?;
        wire.wait_acked()?;
        ensure!(traffic::answer(&socket, 10_000)?.is_none(), "not connected");
        Ok((wire, TcpStream::from(socket)))
    };
    let (mut wire, stream) = connect()?;
    close(&scene, &mut wire, stream)?;
    std::thread::sleep(Duration::from_millis(1500));
    let (mut wire, stream) = connect()?;
    wire.send(RST)?;
    let told = scene.told(&[
        Story::new(own, THERE, &steps(&[&CONNECTS, &CLOSES, &OVER])),
        Story::new(own, THERE, &steps(&[&CONNECTS, &[(Established, Close)]])).error("ECONNRESET"),
    ])?;
    drop(stream);
    let (over, begun) = (at(&told[0], (TimeWait, Close))?, at(&told[1], CONNECTS[1])?);
    ensure!(nanoseconds(over)? <= nanoseconds(begun)?, "TIME_WAIT ended after the next was there: {told:?}");
    Ok(())
}
