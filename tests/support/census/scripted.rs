//! Connections with a peer that withholds or mistimes its answers.

use super::life::{BEGINS, Kind, Life, Window};
use crate::peer::{ACK, FIN, OWN, PEER, RST, SYN};
use crate::{NetNs, Peer, listing, sys, traffic};
use anyhow::{Context, Result, bail, ensure};
use netstat_common::TcpState::{Close, Closing, Established, FinWait1, Listen, SynRecv, SynSent, TimeWait};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Where the kernel listens, and where the peer is connected to.
const LISTENS: u16 = 7000;
const ANSWERS: u16 = 80;
/// A port of the peer's that never answers.
const SILENT: u16 = 81;
/// Milliseconds that data may stay unacknowledged (`TCP_USER_TIMEOUT`).
const USER_TIMEOUT: u32 = 400;
/// How long timers may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens `count` connections of each kind; what has come to its end is told.
///
/// # Errors
/// Something did not happen as it was to.
pub fn play(
    namespace: &NetNs,
    count: u32,
    ready: impl Fn() -> io::Result<()>,
    wait: impl Fn() -> io::Result<()>,
) -> Result<Vec<Life>> {
    let peer = Peer::new(namespace)?;
    ready()?;
    wait()?;
    let here = SocketAddr::from((OWN, LISTENS));
    let (opened, listener) = Window::of(|| -> Result<TcpListener> {
        let socket = sys::stream_socket(false, 0)?;
        rustix::net::bind(&socket, &here)?;
        rustix::net::listen(&socket, 65_535)?;
        Ok(socket.into())
    });
    let listener = listener.context("listening")?;
    let mut stage = Stage { netns: namespace.inum(), peer: &peer, lives: Vec::new(), number: 0 };
    let mut life = stage.life(Kind::Listener, here, SocketAddr::from(([0, 0, 0, 0], 0)));
    life.cookie = Some(sys::cookie(listener.as_fd())?);
    life.path = vec![Close, Listen];
    life.opened = Some((std::process::id(), opened));
    for _ in 0..count / 2 {
        stage.half_open(true)?;
    }
    for _ in 0..count {
        stage.simultaneous()?;
    }
    stage.unacknowledged(count / 2)?;
    // What comes now floods the peer's ear, and it need not hear any more.
    for _ in 0..count - count / 2 {
        stage.half_open(false)?;
    }
    stage.unanswered(count - count / 2)?;
    let until = Instant::now() + PATIENCE;
    while listing::tcp()?.iter().any(|row| row.state == SynRecv) {
        ensure!(Instant::now() < until, "half-open connections do not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (closed, ()) = Window::of(|| drop::<TcpListener>(listener));
    life.path.push(Close);
    life.closed = Some((std::process::id(), closed));
    stage.lives.push(life);
    Ok(stage.lives)
}

struct Stage<'a> {
    netns: u64,
    peer: &'a Peer,
    lives: Vec<Life>,
    number: u32,
}

impl Stage<'_> {
    fn life(&mut self, kind: Kind, local: SocketAddr, peer: SocketAddr) -> Life {
        self.number += 1;
        Life {
            kind,
            number: self.number,
            netns: self.netns,
            local,
            peer,
            cookie: None,
            path: Vec::new(),
            owners: vec![std::process::id()],
            opened: None,
            closed: None,
            reason: None,
            first: None,
            error: None,
            bytes: None,
        }
    }

    /// The last ACK of the handshake never comes: a reset does, or the kernel gives up.
    fn half_open(&mut self, reset: bool) -> Result<()> {
        let mut wire = self.peer.toward(LISTENS);
        wire.send(SYN)?;
        let mut closed = None;
        if reset {
            wire.wait(SYN | ACK)?;
            let (window, sent) = Window::of(|| wire.send(RST));
            sent?;
            closed = Some((0, window));
        }
        let mut life = self.life(Kind::HalfOpen, wire.other.into(), wire.own.into());
        life.path = vec![Listen, SynRecv, Close];
        life.closed = closed;
        life.reason = Some(if reset { "reset" } else { "timed_out" });
        self.lives.push(life);
        Ok(())
    }

    /// A socket that connects to the peer.
    fn connect(&mut self, kind: Kind, port: u16) -> Result<(OwnedFd, Life)> {
        let to = SocketAddr::from((PEER, port));
        let (opened, socket) = Window::of(|| traffic::connect_without_waiting(to, 1));
        let socket = socket?;
        let local = rustix::net::getsockname(&socket)?.try_into()?;
        let mut life = self.life(kind, local, to);
        life.cookie = Some(sys::cookie(socket.as_fd())?);
        life.opened = Some((std::process::id(), opened));
        Ok((socket, life))
    }

    /// One that is connected.
    fn connected(&mut self, kind: Kind) -> Result<(crate::peer::Wire<'_>, TcpStream, Life)> {
        let (socket, mut life) = self.connect(kind, ANSWERS)?;
        let mut wire = self.peer.called(ANSWERS)?;
        wire.send(SYN | ACK)?;
        wire.wait_acked()?;
        if let Some(error) = traffic::answer(&socket, 10_000)? {
            return Err(error).context("connecting to the peer");
        }
        life.path = BEGINS.to_vec();
        Ok((wire, socket.into(), life))
    }

    fn simultaneous(&mut self) -> Result<()> {
        let (mut wire, stream, mut life) = self.connected(Kind::Simultaneous)?;
        let unacked = wire.ack;
        let (closed, ()) = Window::of(|| drop(stream));
        wire.wait(FIN)?;
        let fin = wire.ack;
        wire.seq = wire.send_as(FIN | ACK, wire.seq, unacked)?;
        wire.wait_acked()?;
        wire.ack = fin;
        wire.send(ACK)?;
        life.path.extend([FinWait1, Closing, TimeWait]);
        life.closed = Some((std::process::id(), closed));
        (life.reason, life.first, life.bytes) = (Some("closed"), Some("both"), Some((0, 0)));
        self.lives.push(life);
        Ok(())
    }

    /// Data that the peer never acknowledges, on many connections at a time.
    fn unacknowledged(&mut self, count: u32) -> Result<()> {
        let mut waiting = Vec::new();
        for _ in 0..count {
            let (_, stream, life) = self.connected(Kind::TimedOut)?;
            sys::set_option(stream.as_fd(), libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, USER_TIMEOUT)?;
            waiting.push((stream, life));
        }
        for (stream, _) in &mut waiting {
            stream.write_all(b"x")?;
        }
        for (stream, mut life) in waiting {
            timed_out(&stream.into())?;
            life.path.push(Close);
            (life.reason, life.error) = (Some("timed_out"), Some("ETIMEDOUT"));
            self.lives.push(life);
        }
        ensure!(self.lives.last().is_none_or(|life| life.path.contains(&Established)), "not established");
        Ok(())
    }

    /// SYNs that the peer never answers, many at a time.
    fn unanswered(&mut self, count: u32) -> Result<()> {
        let mut waiting = Vec::new();
        for _ in 0..count {
            waiting.push(self.connect(Kind::TimedOut, SILENT)?);
        }
        for (socket, mut life) in waiting {
            timed_out(&socket)?;
            life.path = vec![Close, SynSent, Close];
            (life.reason, life.error, life.bytes) = (Some("timed_out"), Some("ETIMEDOUT"), Some((0, 0)));
            self.lives.push(life);
        }
        Ok(())
    }
}

/// Waits until the kernel gives the connection up.
fn timed_out(socket: &OwnedFd) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        // Writable it is before, too.
        match rustix::net::sockopt::socket_error(socket)? {
            Err(rustix::io::Errno::TIMEDOUT) => return Ok(()),
            Err(other) => bail!("{other} instead of a timeout"),
            Ok(()) => {}
        }
        ensure!(Instant::now() < until, "a connection does not time out");
        std::thread::sleep(Duration::from_millis(5));
    }
}
