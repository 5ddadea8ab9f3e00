//! The process that connects, to its [`Partner`].

use super::life::{ANSWERS, BEGINS, Kind, Life, Window};
use super::partner::{Act, DEAF, LISTENERS, Order, Partner, close};
use super::ring::Ring;
use crate::traffic::Refusing;
use crate::{NetNs, sys};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{Close, Listen, SynSent};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

/// Connections that wait for an accept that never comes, at a time.
const UNACCEPTED: u32 = 32;
/// First of the ports that are used again while one is in TIME_WAIT; below those that the kernel chooses from.
const REUSED: u16 = 8000;
/// The kernel lets a connect take the place of a TIME_WAIT a second after its last segment (`tcp_twsk_unique`,
/// net/ipv4/tcp_ipv4.c, 6.12).
const REUSE_AFTER: Duration = Duration::from_millis(1300);

/// Opens `count` connections of each kind; what has come to its end is told.
///
/// # Errors
/// Something did not happen as it was to.
pub fn call(
    namespace: &NetNs,
    count: u32,
    ready: impl Fn() -> io::Result<()>,
    wait: impl Fn() -> io::Result<()>,
) -> Result<Vec<Life>> {
    let mut ring = Ring::new();
    if let Err(error) = &ring {
        // Nothing can be done about a stderr that is gone.
        let _ = writeln!(io::stderr(), "left out: connections by io_uring: the kernel refuses it: {error}");
    }
    ready()?;
    // The listeners are part of the truth.
    wait()?;
    let mut caller = Caller {
        netns: namespace.inum(),
        partner: Partner::start()?,
        lives: Vec::new(),
        listeners: Vec::new(),
        number: 0,
    };
    for listener in 0..LISTENERS.len() {
        let done = caller.tell(Order { act: Act::Report, listener, receive: 0, send: 0, ring: None })?;
        let life = caller.listener(listener, done.cookie, Window(done.opened.0, done.opened.1));
        caller.listeners.push(life);
    }
    caller.reuse_by_connect(count / 2)?;
    for turn in 0..count {
        caller.ordinary(Kind::Active, turn, Act::Follow)?;
        caller.ordinary(Kind::Passive, turn, Act::Lead)?;
        caller.ordinary(Kind::Reset, turn, if turn % 2 == 0 { Act::Reset } else { Act::Suffer })?;
        caller.ordinary(Kind::Inherited, turn, Act::Inherit)?;
        caller.ordinary(Kind::Passed, turn, Act::Pass)?;
        caller.refused(turn)?;
        if turn % UNACCEPTED == 0 {
            caller.never_accepted(UNACCEPTED.min(count - turn))?;
        }
        if turn < count - count / 2 {
            caller.reuse_by_syn(turn)?;
        }
        if let Ok(ring) = &mut ring {
            caller.by_ring(turn, ring)?;
        }
    }
    caller.lives.append(&mut caller.listeners);
    Ok(caller.lives)
}

/// How a socket is made and connected, with what happens between.
struct Opened {
    stream: TcpStream,
    caller: Life,
    called: Life,
}

struct Caller {
    netns: u64,
    partner: Partner,
    lives: Vec<Life>,
    /// Lives of listeners that are open.
    listeners: Vec<Life>,
    number: u32,
}

impl Caller {
    fn tell(&self, order: Order) -> Result<super::partner::Done> {
        self.partner.order(order)?;
        self.partner.done()
    }

    fn listener(&self, index: usize, cookie: u64, opened: Window) -> Life {
        let local = LISTENERS[index];
        let nobody = if local.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        Life {
            kind: Kind::Listener,
            number: 0,
            netns: self.netns,
            local,
            peer: nobody.parse().expect("is an address"),
            cookie: Some(cookie),
            path: vec![Close, Listen],
            owners: vec![self.partner.pid],
            opened: Some((self.partner.pid, opened)),
            closed: None,
            reason: None,
            first: None,
            error: None,
            bytes: None,
        }
    }

    /// Where a connection goes to: every fourth is an IPv6 one, the others have many addresses.
    fn target(turn: u32) -> (usize, SocketAddr) {
        if turn % 4 == 3 {
            return (1, LISTENERS[1]);
        }
        let addr = Ipv4Addr::new(127, 0, 0, 1 + (turn % 100) as u8);
        (0, SocketAddr::new(IpAddr::V4(addr), LISTENERS[0].port()))
    }

    /// What is true of both ends once they are connected.
    fn lives(&mut self, kind: Kind, stream: &TcpStream, opened: Window) -> Result<(Life, Life)> {
        let own = std::process::id();
        self.number += 1;
        let caller = Life {
            kind,
            number: self.number,
            netns: self.netns,
            local: stream.local_addr()?,
            peer: stream.peer_addr()?,
            cookie: Some(sys::cookie(stream.as_fd())?),
            path: BEGINS.to_vec(),
            owners: vec![own],
            opened: Some((own, opened)),
            closed: None,
            reason: None,
            first: None,
            error: None,
            bytes: None,
        };
        let called = Life {
            local: caller.peer,
            peer: caller.local,
            cookie: None,
            path: ANSWERS.to_vec(),
            owners: vec![self.partner.pid],
            opened: None,
            ..caller.clone()
        };
        Ok((caller, called))
    }

    /// Connects, from a port that is asked for or any.
    fn connect(&mut self, kind: Kind, to: SocketAddr, from: Option<u16>) -> Result<Opened> {
        let socket = sys::stream_socket(to.is_ipv6(), 0)?;
        if let Some(port) = from {
            rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
            let any = if to.is_ipv6() { IpAddr::from([0; 16]) } else { [127, 0, 0, 1].into() };
            rustix::net::bind(&socket, &SocketAddr::new(any, port))?;
        }
        let (opened, result) = Window::of(|| rustix::net::connect(&socket, &to));
        result.with_context(|| format!("{kind:?} to {to}"))?;
        let stream = TcpStream::from(socket);
        let (caller, called) = self.lives(kind, &stream, opened)?;
        Ok(Opened { stream, caller, called })
    }

    /// A connection that is accepted, talks, and is closed by `act` of the partner's.
    fn ordinary(&mut self, kind: Kind, turn: u32, act: Act) -> Result<()> {
        let (listener, to) = Self::target(turn);
        let opened = self.connect(kind, to, None)?;
        let (caller, called) = self.live(opened, turn, listener, act)?;
        self.lives.extend([caller, called]);
        Ok(())
    }

    fn live(&mut self, opened: Opened, turn: u32, listener: usize, act: Act) -> Result<(Life, Life)> {
        let Opened { mut stream, mut caller, mut called } = opened;
        // Little enough for a new connection to have a later number than all of it.
        let (sends, receives) = (8 + turn as usize % 64, 1 + turn as usize % 5000);
        let order = Order { act, listener, receive: sends, send: receives, ring: None };
        self.partner.order(order)?;
        stream.write_all(&vec![b'c'; sends])?;
        if matches!(caller.kind, Kind::Passive | Kind::Inherited) && turn.is_multiple_of(3) {
            // The other end's FIN is acknowledged before ours is sent: its process is gone when it is in FIN_WAIT2.
            sys::set_option(stream.as_fd(), libc::IPPROTO_TCP, libc::TCP_QUICKACK, 1)?;
        }
        stream.read_exact(&mut vec![0; receives])?;
        let own_act = match act {
            Act::Follow | Act::Pass => Act::Lead,
            Act::Lead | Act::Inherit => Act::Follow,
            Act::Reset => Act::Suffer,
            _ => Act::Reset,
        };
        let closed = close(stream, own_act)?;
        let done = self.partner.done()?;
        (caller.bytes, called.bytes) =
            (Some((sends as u64, receives as u64)), Some((receives as u64, sends as u64)));
        called.cookie = Some(done.cookie);
        if done.closer != self.partner.pid {
            called.owners.push(done.closer);
        }
        let own = Some((std::process::id(), closed));
        let other = Some((done.closer, Window(done.closed.0, done.closed.1)));
        match own_act {
            Act::Lead => Life::closed_by(&mut caller, &mut called),
            Act::Follow => Life::closed_by(&mut called, &mut caller),
            Act::Reset => Life::reset_by(&mut caller, &mut called),
            _ => Life::reset_by(&mut called, &mut caller),
        }
        // Who is reset has nothing left to close.
        caller.closed = own.filter(|_| own_act != Act::Suffer);
        called.closed = other.filter(|_| own_act != Act::Reset);
        Ok((caller, called))
    }

    fn refused(&mut self, turn: u32) -> Result<()> {
        let refusing = Refusing::new(turn % 4 == 3)?;
        let socket = sys::stream_socket(refusing.addr.is_ipv6(), 0)?;
        // What was not connected forgets its port.
        let loopback = SocketAddr::new(refusing.addr.ip(), 0);
        rustix::net::bind(&socket, &loopback)?;
        let local = rustix::net::getsockname(&socket)?.try_into()?;
        let (opened, result) = Window::of(|| rustix::net::connect(&socket, &refusing.addr));
        ensure!(result == Err(rustix::io::Errno::CONNREFUSED), "{result:?} instead of a refusal");
        let own = std::process::id();
        self.number += 1;
        self.lives.push(Life {
            kind: Kind::Refused,
            number: self.number,
            netns: self.netns,
            local,
            peer: refusing.addr,
            cookie: Some(sys::cookie(socket.as_fd())?),
            path: vec![Close, SynSent, Close],
            owners: vec![own],
            opened: Some((own, opened)),
            closed: None,
            reason: Some("refused"),
            first: None,
            error: Some("ECONNREFUSED"),
            bytes: Some((0, 0)),
        });
        Ok(())
    }

    /// Some connections that the partner never accepts; its listener is closed and opened again.
    fn never_accepted(&mut self, count: u32) -> Result<()> {
        let mut waiting = Vec::new();
        for turn in 0..count {
            let addr = Ipv4Addr::new(127, 0, 1, 1 + turn as u8);
            let to = SocketAddr::new(addr.into(), LISTENERS[DEAF].port());
            let mut opened = self.connect(Kind::NeverAccepted, to, None)?;
            // Most are unread.
            let bytes = turn as usize % 3;
            opened.stream.write_all(&vec![b'u'; bytes])?;
            opened.caller.bytes = Some((bytes as u64, 0));
            opened.called.bytes = Some((0, bytes as u64));
            waiting.push(opened);
        }
        let done = self.tell(Order { act: Act::Drop, listener: DEAF, receive: 0, send: 0, ring: None })?;
        let closed = (self.partner.pid, Window(done.closed.0, done.closed.1));
        for Opened { stream, mut caller, mut called } in waiting {
            close(stream, Act::Suffer)?;
            Life::reset_by(&mut called, &mut caller);
            called.reason = Some("listener_closed");
            // The listener's process has them not locked when it gives them up.
            called.closed = Some((0, closed.1));
            self.lives.extend([caller, called]);
        }
        let opened = Window(done.opened.0, done.opened.1);
        let next = self.listener(DEAF, done.cookie, opened);
        let mut last = std::mem::replace(&mut self.listeners[DEAF], next);
        last.path.push(Close);
        last.closed = Some(closed);
        self.lives.push(last);
        Ok(())
    }

    /// The partner closes first and has the TIME_WAIT, which the next SYN from the same port ends.
    fn reuse_by_syn(&mut self, turn: u32) -> Result<()> {
        let (listener, to) = Self::target(turn);
        let port = REUSED + (turn % 4000) as u16;
        let opened = self.connect(Kind::Reused, to, Some(port))?;
        let (caller, called) = self.live(opened, turn, listener, Act::Lead)?;
        self.lives.extend([caller, called]);
        let opened = self.connect(Kind::Reused, to, Some(port))?;
        let (caller, called) = self.live(opened, turn, listener, Act::Suffer)?;
        self.lives.extend([caller, called]);
        Ok(())
    }

    /// This end has the TIME_WAIT, and connects again from the same port.
    fn reuse_by_connect(&mut self, count: u32) -> Result<()> {
        for second in [false, true] {
            for turn in 0..count {
                // Only IPv4, lest a port be asked for twice.
                let (listener, to) = Self::target(turn / 3 * 4 + turn % 3);
                let port = REUSED + 4000 + (turn % 4000) as u16;
                let opened = self.connect(Kind::Reused, to, Some(port))?;
                let act = if second { Act::Suffer } else { Act::Follow };
                let (caller, called) = self.live(opened, turn, listener, act)?;
                self.lives.extend([caller, called]);
            }
            if !second {
                std::thread::sleep(REUSE_AFTER);
            }
        }
        Ok(())
    }

    /// Every call of both ends is made by io_uring, every second one by a worker of the kernel's.
    fn by_ring(&mut self, turn: u32, ring: &mut Ring) -> Result<()> {
        let (listener, to) = Self::target(turn);
        ring.by_worker = turn % 2 == 1;
        let (opened, stream) = Window::of(|| ring.connect(to));
        let stream = stream.context("connect by io_uring")?;
        let (mut caller, mut called) = self.lives(Kind::IoUring, &stream, opened)?;
        let (sends, receives) = (8 + turn as usize % 64, 1 + turn as usize % 500);
        let by_ring = Some(ring.by_worker);
        let order = Order { act: Act::Follow, listener, receive: sends, send: receives, ring: by_ring };
        self.partner.order(order)?;
        ring.send(&stream, &vec![b'r'; sends])?;
        let mut bytes = vec![0; receives];
        ensure!(ring.receive(&stream, &mut bytes)? == receives, "an early end");
        let (closed, result) = Window::of(|| ring.close(stream));
        result.context("close by io_uring")?;
        let done = self.partner.done()?;
        // A worker gives the file back after it has said so.
        let soon = |from: u64| Window(from, from + 1_000_000_000);
        called.cookie = Some(done.cookie);
        Life::closed_by(&mut caller, &mut called);
        caller.closed = Some((std::process::id(), soon(closed.0)));
        called.closed = Some((done.closer, soon(done.closed.0)));
        (caller.bytes, called.bytes) =
            (Some((sends as u64, receives as u64)), Some((receives as u64, sends as u64)));
        self.lives.extend([caller, called]);
        Ok(())
    }
}
