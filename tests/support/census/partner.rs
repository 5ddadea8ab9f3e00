//! The process at the other end: it accepts what its caller connects, and does with it what it is told.

use super::life::Window;
use super::ring::Ring;
use crate::sys;
use anyhow::{Context, Result, bail, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

/// Where the partner listens: the last one it never accepts from.
pub const LISTENERS: [SocketAddr; 3] = [
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7000),
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 7000),
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7001),
];
/// Index of that one.
pub const DEAF: usize = 2;

/// What is to be done with the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Close after the caller has.
    Follow,
    /// Close first.
    Lead,
    /// Reset it.
    Reset,
    /// Wait until the caller resets it.
    Suffer,
    /// Let a child have it, which closes first.
    Inherit,
    /// Give it to another process, which closes after the caller has.
    Pass,
    /// Close the listener that was never accepted from, and listen again.
    Drop,
    /// Say when each listener was opened.
    Report,
}

impl Act {
    const ALL: [Self; 8] = [
        Self::Follow,
        Self::Lead,
        Self::Reset,
        Self::Suffer,
        Self::Inherit,
        Self::Pass,
        Self::Drop,
        Self::Report,
    ];
}

/// An order to the partner.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub act: Act,
    pub listener: usize,
    pub receive: usize,
    pub send: usize,
    /// Through io_uring: by itself, or by a worker of the kernel's.
    pub ring: Option<bool>,
}

/// What it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub cookie: u64,
    /// Who closed it, and when.
    pub closer: u32,
    pub closed: (u64, u64),
    /// When the listener was opened again.
    pub opened: (u64, u64),
}

type Words = [u64; 8];

fn send(to: &UnixDatagram, words: Words) -> Result<()> {
    let mut bytes = [0; 64];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    to.send(&bytes).context("to another process of the census")?;
    Ok(())
}

fn receive(from: &UnixDatagram) -> Result<Words> {
    let mut bytes = [0; 64];
    let got = from.recv(&mut bytes).context("from another process of the census")?;
    ensure!(got == bytes.len(), "a message of {got} bytes");
    let mut words = [0; 8];
    for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(from.try_into()?);
    }
    Ok(words)
}

/// The caller's view of its partner.
pub struct Partner {
    link: UnixDatagram,
    pub pid: u32,
}

impl Partner {
    /// Starts it. The calling process has one thread.
    ///
    /// # Errors
    /// Those of fork(2).
    pub fn start() -> Result<Self> {
        let (link, other) = UnixDatagram::pair()?;
        let pid = fork(move || Serving::new()?.serve(&other))?;
        Ok(Self { link, pid })
    }

    /// # Errors
    /// It is gone.
    pub fn order(&self, order: Order) -> Result<()> {
        let Order { act, listener, receive, send: sends, ring } = order;
        let ring = ring.map_or(0, |by_worker| 1 + u64::from(by_worker));
        send(&self.link, [act as u64, listener as u64, receive as u64, sends as u64, ring, 0, 0, 0])
    }

    /// # Errors
    /// It is gone, or could not do it.
    pub fn done(&self) -> Result<Done> {
        let [failed, cookie, closer, from, to, opened, until, _] = receive(&self.link)?;
        ensure!(failed == 0, "the partner failed");
        let closer = u32::try_from(closer)?;
        Ok(Done { cookie, closer, closed: (from, to), opened: (opened, until) })
    }
}

/// A child process that does this and ends.
fn fork(does: impl FnOnce() -> Result<()>) -> Result<u32> {
    // SAFETY: this process has one thread, so the child may do anything the parent may.
    let child = sys::checked(unsafe { libc::fork() })?;
    if child != 0 {
        return Ok(child.unsigned_abs());
    }
    // SAFETY: no pointer is passed.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let result = does();
    if let Err(error) = &result {
        // Nothing can be done about a stderr that is gone.
        let _ = writeln!(std::io::stderr(), "census: {error:#}");
    }
    std::process::exit(i32::from(result.is_err()));
}

struct Serving {
    listeners: Vec<TcpListener>,
    opened: Vec<Window>,
    ring: Option<Ring>,
    /// The process that connections are passed to.
    heir: UnixDatagram,
    heir_pid: u32,
}

impl Serving {
    fn new() -> Result<Self> {
        let (mut listeners, mut opened) = (Vec::new(), Vec::new());
        for addr in LISTENERS {
            let (window, listener) = Window::of(|| TcpListener::bind(addr));
            listeners.push(listener.with_context(|| format!("listening on {addr}"))?);
            opened.push(window);
        }
        let (heir, other) = UnixDatagram::pair()?;
        let heir_pid = fork(|| {
            // Its own copies would keep the listeners open.
            listeners.clear();
            inherit(&other)
        })?;
        Ok(Self { listeners, opened, ring: None, heir, heir_pid })
    }

    /// Until the caller is gone.
    fn serve(mut self, link: &UnixDatagram) -> Result<()> {
        loop {
            let [act, listener, receives, sends, ring, ..] = receive(link)?;
            let act = Act::ALL.into_iter().find(|known| *known as u64 == act).context("an unknown act")?;
            let order = Order {
                act,
                listener: usize::try_from(listener)?,
                receive: usize::try_from(receives)?,
                send: usize::try_from(sends)?,
                ring: ring.checked_sub(1).map(|by_worker| by_worker == 1),
            };
            let done = self.carry_out(order).with_context(|| format!("{order:?}"));
            let failed = u64::from(done.is_err());
            let Done { cookie, closer, closed, opened } = *done.as_ref().unwrap_or(&Done::default());
            send(link, [failed, cookie, closer.into(), closed.0, closed.1, opened.0, opened.1, 0])?;
            done?;
        }
    }

    fn carry_out(&mut self, order: Order) -> Result<Done> {
        let own = std::process::id();
        let listener = self.listeners.get(order.listener).context("no such listener")?;
        match order.act {
            Act::Report => {
                let opened = self.opened[order.listener];
                let cookie = sys::cookie(listener.as_fd())?;
                return Ok(Done { cookie, opened: (opened.0, opened.1), ..Done::default() });
            }
            Act::Drop => {
                let listener = self.listeners.remove(order.listener);
                let (closed, ()) = Window::of(|| drop(listener));
                let (opened, listener) = Window::of(|| TcpListener::bind(LISTENERS[order.listener]));
                let listener = listener.context("listening again")?;
                let cookie = sys::cookie(listener.as_fd())?;
                self.listeners.insert(order.listener, listener);
                let opened = (opened.0, opened.1);
                return Ok(Done { cookie, closer: own, closed: (closed.0, closed.1), opened });
            }
            _ => {}
        }
        if let Some(by_worker) = order.ring {
            let ring = match &mut self.ring {
                Some(ring) => ring,
                none => none.insert(Ring::new()?),
            };
            ring.by_worker = by_worker;
            let stream = ring.accept(listener)?;
            let cookie = sys::cookie(stream.as_fd())?;
            let mut bytes = vec![0; order.receive];
            ensure!(ring.receive(&stream, &mut bytes)? == order.receive, "an early end");
            ring.send(&stream, &vec![b'p'; order.send])?;
            ensure!(ring.receive(&stream, &mut [0])? == 0, "more than was agreed");
            let (closed, result) = Window::of(|| ring.close(stream));
            result?;
            return Ok(Done { cookie, closer: own, closed: (closed.0, closed.1), ..Done::default() });
        }
        let (mut stream, _) = listener.accept()?;
        let cookie = sys::cookie(stream.as_fd())?;
        stream.read_exact(&mut vec![0; order.receive])?;
        let (closer, closed) = match order.act {
            Act::Inherit => Self::by_child(stream, order.send)?,
            Act::Pass => self.by_heir(stream, order.send)?,
            act => {
                stream.write_all(&vec![b'p'; order.send])?;
                (own, close(stream, act)?)
            }
        };
        Ok(Done { cookie, closer, closed: (closed.0, closed.1), ..Done::default() })
    }

    /// A child writes and closes; this process has closed its own copy before.
    fn by_child(mut stream: TcpStream, sends: usize) -> Result<(u32, Window)> {
        let (link, other) = UnixDatagram::pair()?;
        // What is moved into the closure is closed here as soon as the child is there.
        let child = fork(move || {
            receive(&other)?;
            stream.write_all(&vec![b'c'; sends])?;
            let closed = close(stream, Act::Lead)?;
            send(&other, [closed.0, closed.1, 0, 0, 0, 0, 0, 0])
        })?;
        send(&link, [0; 8])?;
        let [from, to, ..] = receive(&link)?;
        let mut status = 0;
        // SAFETY: `status` is a writable int, and the child is ours.
        sys::checked(unsafe { libc::waitpid(child.cast_signed(), &raw mut status, 0) })?;
        ensure!(status == 0, "the child failed: {status}");
        Ok((child, Window(from, to)))
    }

    fn by_heir(&self, stream: TcpStream, sends: usize) -> Result<(u32, Window)> {
        let files = [stream.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        ensure!(control.push(SendAncillaryMessage::ScmRights(&files)), "no room for a file");
        rustix::net::sendmsg(&self.heir, &[IoSlice::new(b"f")], &mut control, SendFlags::empty())?;
        drop(stream);
        send(&self.heir, [sends as u64, 0, 0, 0, 0, 0, 0, 0])?;
        let [from, to, ..] = receive(&self.heir)?;
        Ok((self.heir_pid, Window(from, to)))
    }
}

/// The heir: takes one file after the other, and closes each after its caller has.
fn inherit(link: &UnixDatagram) -> Result<()> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        rustix::net::recvmsg(link, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut files = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => files.collect::<Vec<OwnedFd>>(),
            _ => Vec::new(),
        });
        let mut stream = TcpStream::from(files.next().context("no file was passed")?);
        let [sends, ..] = receive(link)?;
        stream.write_all(&vec![b'h'; usize::try_from(sends)?])?;
        let closed = close(stream, Act::Follow)?;
        send(link, [closed.0, closed.1, 0, 0, 0, 0, 0, 0])?;
    }
}

/// Closes a connection when it is time.
pub fn close(mut stream: TcpStream, act: Act) -> Result<Window> {
    match act {
        Act::Lead => {}
        Act::Follow => ensure!(stream.read(&mut [0])? == 0, "more than was agreed"),
        Act::Reset => sys::reset_on_close(stream.as_fd())?,
        Act::Suffer => match stream.read(&mut [0]) {
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => {}
            other => bail!("{other:?} instead of a reset"),
        },
        other => bail!("{other:?} is no way to close"),
    }
    let (window, ()) = Window::of(|| drop(stream));
    Ok(window)
}
