//! One connection at a time, with a peer that follows a script: every way in which a connection can begin, go on and end
//! is told step by step, with the right times, addresses and owner, and nothing else is.

mod closing;
mod numbers;
mod odd;
mod opening;
mod reasons;
mod waiting;
mod windows;

use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{self, Close, Established, Listen, SynRecv, SynSent};
use netstat_tests::peer::{ACK, OWN, PEER, SYN, Wire};
use netstat_tests::story::Step;
use netstat_tests::sys::monotonic;
use netstat_tests::{Scene, listing, traffic};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// The peer's port that the kernel connects to.
const PORT: u16 = 80;
/// [`PEER`] there.
const THERE: (std::net::Ipv4Addr, u16) = (PEER, PORT);

const CONNECTS: [Step; 2] = [(Close, SynSent), (SynSent, Established)];
const ACCEPTS: [Step; 2] = [(Listen, SynRecv), (SynRecv, Established)];
/// A listener that is not closed.
const LISTENS: [Step; 1] = [(Close, Listen)];
/// One that is.
const LISTENED: [Step; 2] = [(Close, Listen), (Listen, Close)];

/// The kernel's timers and events lie this far from what a look from outside finds, at most, in nanoseconds.
const SLACK: u64 = 20_000_000;

/// The steps of one life after the other.
fn steps(parts: &[&[Step]]) -> Vec<Step> {
    parts.concat()
}

fn listener() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((OWN, 0)).context("listening")?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// The peer's SYN was answered, and when.
fn half_open<'a>(scene: &'a Scene, addr: SocketAddr) -> Result<(Wire<'a>, (u64, u64))> {
    let mut wire = scene.peer.toward(addr.port());
    let before = monotonic();
    wire.send(SYN)?;
    wire.wait(SYN | ACK)?;
    Ok((wire, (before, monotonic())))
}

/// The kernel has connected to the peer.
fn connected(scene: &Scene) -> Result<(Wire<'_>, TcpStream)> {
    let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
    let mut wire = scene.peer.called(PORT)?;
    wire.send(SYN | ACK)?;
    wire.wait_acked()?;
    if let Some(error) = traffic::answer(&socket, 10_000)? {
        return Err(error).context("connecting to the peer");
    }
    Ok((wire, socket.into()))
}

/// The peer has connected to the listener, which has accepted it.
fn accepted<'a>(scene: &'a Scene, listener: &TcpListener) -> Result<(Wire<'a>, TcpStream)> {
    let mut wire = scene.peer.toward(listener.local_addr()?.port());
    wire.open()?;
    let (stream, _) = listener.accept()?;
    Ok((wire, stream))
}

/// A state that lasts a while: long enough for tiers that have to look for it, or to ask.
fn dwell(scene: &Scene) {
    std::thread::sleep(Duration::from_millis(match (scene.minis, scene.late_fin) {
        (true, true) => 60,
        (true, false) => 600,
        (false, _) => 2500,
    }));
}

/// A span that begins and ends within known moments of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: (u64, u64),
    end: (u64, u64),
}

impl Span {
    /// How long it can have been, in nanoseconds.
    fn lasts(self) -> RangeInclusive<u64> {
        self.end.0.saturating_sub(self.begin.1)..=self.end.1 - self.begin.0
    }

    /// The same where a look from outside found the end.
    fn about(self) -> RangeInclusive<u64> {
        let exact = self.lasts();
        exact.start().saturating_sub(SLACK)..=exact.end() + SLACK
    }
}

/// Whether the kernel has a socket with these addresses in this state.
fn is_there(wire: &Wire<'_>, state: TcpState) -> Result<bool> {
    let ends = (SocketAddr::from(wire.other), SocketAddr::from(wire.own));
    Ok(listing::tcp()?.iter().any(|row| row.state == state && (row.local, row.peer) == ends))
}

/// Waits until what was just sent has ended this state there: a busy kernel takes a segment in a moment later.
fn leaves(wire: &Wire<'_>, state: TcpState) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(5);
    while is_there(wire, state)? {
        ensure!(Instant::now() < until, "{} is still in {state:?}", wire.other);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits until the kernel has a socket there in this state no more; gives the moments between which it went.
fn gone(wire: &Wire<'_>, state: TcpState, longest: Duration) -> Result<(u64, u64)> {
    let until = Instant::now() + longest;
    ensure!(is_there(wire, state)?, "there is no {state:?} at {}", wire.other);
    let mut seen = 0;
    loop {
        let asked = monotonic();
        if !is_there(wire, state)? {
            ensure!(seen > 0, "gone before it was looked for");
            return Ok((seen, monotonic()));
        }
        seen = asked;
        ensure!(Instant::now() < until, "{state:?} at {} does not end", wire.other);
        std::thread::sleep(Duration::from_millis(1));
    }
}
