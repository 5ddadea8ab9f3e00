//! One client process of the workload.

use super::{HEADER, Half, write_halves};
use crate::sys;
use crate::truth::{End, First};
use anyhow::{Context, Result, ensure};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Connections a client keeps open at a time when they are held.
const BATCH: u64 = 2000;

/// Words as [`super::run`] gives them: index, clients, connections, payload, microseconds to hold, microseconds to pause,
/// milliseconds in all, file, servers.
///
/// # Errors
/// The words are wrong or the file cannot be written; a connection that fails is written down.
pub fn client(words: &[String]) -> Result<()> {
    let [index, clients, connections, payload, hold, pause, limit, file, servers @ ..] = words else {
        anyhow::bail!("too few words for a client")
    };
    let (index, clients, connections): (u64, u64, u64) =
        (index.parse()?, clients.parse()?, connections.parse()?);
    let payload: usize = payload.parse()?;
    let hold = Duration::from_micros(hold.parse()?);
    let pause = Duration::from_micros(pause.parse()?);
    let limit = Duration::from_millis(limit.parse()?);
    let servers: Vec<SocketAddr> = servers.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    ensure!(!servers.is_empty(), "no servers");
    writeln!(io::stdout(), "ready")?;

    let begin = Instant::now();
    let pid = std::process::id();
    let mut halves = Vec::with_capacity(usize::try_from(connections)?);
    let mut failed = Vec::new();
    let batch = if hold.is_zero() { 1 } else { BATCH };
    let mut done = 0;
    while done < connections && begin.elapsed() < limit {
        let until = connections.min(done + batch);
        let mut open = Vec::with_capacity(usize::try_from(until - done)?);
        for turn in done..until {
            let number = turn * clients + index;
            let server = servers[usize::try_from((turn + index) % servers.len() as u64)?];
            let first =
                if (turn / servers.len() as u64).is_multiple_of(2) { First::Client } else { First::Server };
            match begin_one(number, spread(server, number), first, payload, pid) {
                Ok(connection) => open.push(connection),
                Err(error) => failed.push((number, format!("client: {error}"))),
            }
        }
        if !hold.is_zero() {
            std::thread::sleep(hold);
        }
        for connection in open {
            let number = connection.number;
            match connection.end(payload) {
                Ok(half) => halves.push(half),
                Err(error) => failed.push((number, format!("client: {error}"))),
            }
        }
        done = until;
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    write_halves(&PathBuf::from(file), &halves, &failed).context("writing the truth")
}

/// All of 127/8 is this host: a hundred addresses for each port of a server.
fn spread(server: SocketAddr, number: u64) -> SocketAddr {
    match server {
        SocketAddr::V4(v4) => (Ipv4Addr::new(127, 0, 0, 1 + (number % 100) as u8), v4.port()).into(),
        v6 => v6,
    }
}

struct Open {
    number: u64,
    stream: TcpStream,
    local: End,
    first: First,
}

fn begin_one(number: u64, server: SocketAddr, first: First, payload: usize, pid: u32) -> io::Result<Open> {
    let opened = sys::monotonic();
    let mut stream = TcpStream::connect(server)?;
    let addr = stream.local_addr()?;
    let cookie = sys::cookie(stream.as_fd())?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut message = vec![0; HEADER + payload];
    message[..8].copy_from_slice(&number.to_le_bytes());
    message[8] = u8::from(first == First::Server);
    stream.write_all(&message)?;
    let local = End { addr, pid, cookie, sent: message.len() as u64, opened, closed: 0 };
    Ok(Open { number, stream, local, first })
}

impl Open {
    fn end(mut self, payload: usize) -> io::Result<Half> {
        // The server answers with one byte and its payload. Where the client closes first it must not wait for more; where it
        // closes second it must have seen the end.
        let mut reply = vec![0; 1 + payload];
        self.stream.read_exact(&mut reply)?;
        if self.first == First::Client {
            // The server holds the connection open until it sees this end.
        } else if self.stream.read(&mut reply)? != 0 {
            return Err(io::Error::other("more than the server's reply"));
        }
        drop(self.stream);
        self.local.closed = sys::monotonic();
        Ok(Half { number: self.number, local: self.local, first: self.first })
    }
}
