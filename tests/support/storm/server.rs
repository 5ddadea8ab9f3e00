//! One server process of the workload.

use super::{HEADER, Half, write_halves};
use crate::sys;
use crate::truth::{End, First};
use anyhow::{Context, Result};
use rustix::event::epoll;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What an epoll event is about: its number is below this for listeners and the standard input.
const FIRST_STREAM: u64 = 1 << 32;
const INPUT: u64 = FIRST_STREAM - 1;
/// How long open connections may take to end once no new ones come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Words as [`super::run`] gives them: first port (0: any), number of ports, file, v4, v6, payload. Says its addresses on one
/// line, serves until its standard input ends and every connection is over.
///
/// # Errors
/// The words are wrong, a port is taken, or the file cannot be written; a connection that fails is written down.
pub fn server(words: &[String]) -> Result<()> {
    let [base, ports, file, v4, v6, payload] = words else { anyhow::bail!("wrong words for a server") };
    let (base, ports): (u16, u16) = (base.parse()?, ports.parse()?);
    let (v4, v6): (bool, bool) = (v4.parse()?, v6.parse()?);
    let mut server = Server::new(payload.parse()?)?;
    let mut said = String::new();
    for index in 0..ports {
        let port = if base == 0 { 0 } else { base + index };
        if v4 {
            server.listen((Ipv4Addr::UNSPECIFIED, port).into(), &mut said)?;
        }
        if v6 {
            server.listen((Ipv6Addr::LOCALHOST, port).into(), &mut said)?;
        }
    }
    writeln!(io::stdout(), "{}", said.trim_end())?;
    server.serve()?;
    write_halves(&PathBuf::from(file), &server.halves, &server.failed).context("writing the truth")
}

struct Stream {
    stream: TcpStream,
    local: End,
    heard: Vec<u8>,
    number: u64,
    first: First,
    /// The whole message was read and answered; what is left is the end.
    answered: bool,
}

struct Server {
    epoll: rustix::fd::OwnedFd,
    listeners: Vec<TcpListener>,
    streams: Vec<Option<Stream>>,
    free: Vec<usize>,
    payload: usize,
    halves: Vec<Half>,
    failed: Vec<(u64, String)>,
}

impl Server {
    fn new(payload: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let input = io::stdin();
        epoll::add(&epoll, input.as_fd(), epoll::EventData::new_u64(INPUT), epoll::EventFlags::IN)?;
        let (listeners, streams, free) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { epoll, listeners, streams, free, payload, halves: Vec::new(), failed: Vec::new() })
    }

    fn listen(&mut self, addr: SocketAddr, said: &mut String) -> Result<()> {
        use std::fmt::Write;
        let listener = TcpListener::bind(addr).with_context(|| format!("listening on {addr}"))?;
        rustix::net::listen(&listener, 4096)?;
        listener.set_nonblocking(true)?;
        let mut addr = listener.local_addr()?;
        if addr.is_ipv4() {
            addr.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        write!(said, "{addr} ")?;
        let data = epoll::EventData::new_u64(self.listeners.len() as u64);
        epoll::add(&self.epoll, &listener, data, epoll::EventFlags::IN)?;
        self.listeners.push(listener);
        Ok(())
    }

    fn serve(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut ending: Option<Instant> = None;
        loop {
            let open = self.streams.len() - self.free.len();
            match ending {
                Some(_) if open == 0 => return Ok(()),
                Some(since) if since.elapsed() > PATIENCE => {
                    for stream in self.streams.iter().flatten() {
                        self.failed.push((stream.number, "server: the client never closed".to_owned()));
                    }
                    return Ok(());
                }
                _ => {}
            }
            events.clear();
            let wait = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
            for event in events.iter().copied() {
                let event: epoll::Event = event;
                match event.data.u64() {
                    INPUT => {
                        if ending.is_none() {
                            ending = Some(Instant::now());
                            epoll::delete(&self.epoll, io::stdin().as_fd())?;
                            // A connection may wait for accept still.
                            for listener in 0..self.listeners.len() {
                                self.accept(listener)?;
                            }
                        }
                    }
                    stream if stream >= FIRST_STREAM => self.hear(usize::try_from(stream - FIRST_STREAM)?),
                    listener => self.accept(usize::try_from(listener)?)?,
                }
            }
        }
    }

    fn accept(&mut self, listener: usize) -> Result<()> {
        loop {
            let stream = match self.listeners[listener].accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("accept"),
            };
            let opened = sys::monotonic();
            stream.set_nonblocking(true)?;
            let cookie = sys::cookie(stream.as_fd())?;
            let (addr, pid) = (stream.local_addr()?, std::process::id());
            let local = End { addr, pid, cookie, sent: 0, opened, closed: 0 };
            let (heard, number, first) = (Vec::new(), u64::MAX, First::Client);
            let stream = Stream { stream, local, heard, number, first, answered: false };
            let slot = self.free.pop().unwrap_or(self.streams.len());
            if slot == self.streams.len() {
                self.streams.push(None);
            }
            let data = epoll::EventData::new_u64(FIRST_STREAM + slot as u64);
            epoll::add(&self.epoll, &stream.stream, data, epoll::EventFlags::IN)?;
            self.streams[slot] = Some(stream);
            // The message is usually there already.
            self.hear(slot);
        }
    }

    fn hear(&mut self, slot: usize) {
        let Some(stream) = self.streams.get_mut(slot).and_then(Option::as_mut) else { return };
        match stream.advance(self.payload) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(stream) = self.remove(slot) {
                    let Stream { stream, mut local, number, first, .. } = stream;
                    drop(stream);
                    local.closed = sys::monotonic();
                    self.halves.push(Half { number, local, first });
                }
            }
            Err(error) => {
                if let Some(stream) = self.remove(slot) {
                    self.failed.push((stream.number, format!("server: {error}")));
                }
            }
        }
    }

    fn remove(&mut self, slot: usize) -> Option<Stream> {
        let stream = self.streams.get_mut(slot)?.take();
        self.free.push(slot);
        stream
    }
}

impl Stream {
    /// Reads what is there; true once this end is to close.
    fn advance(&mut self, payload: usize) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) if self.answered => return Ok(true),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.heard.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if !self.answered && self.heard.len() >= HEADER + payload {
                let number = self.heard[..8].try_into().map_err(io::Error::other)?;
                self.number = u64::from_le_bytes(number);
                self.first = if self.heard[8] == 1 { First::Server } else { First::Client };
                self.answered = true;
                let reply = vec![0; 1 + payload];
                // Sockets do not block here; a reply that does not fit into the send buffer is given time by blocking once.
                self.stream.set_nonblocking(false)?;
                self.stream.write_all(&reply)?;
                self.stream.set_nonblocking(true)?;
                self.local.sent = reply.len() as u64;
                if self.first == First::Server {
                    return Ok(true);
                }
            }
        }
    }
}
