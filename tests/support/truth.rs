//! What the workload did, as it knows itself.

use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// Who closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Client,
    Server,
}

/// What one end of a connection knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub addr: SocketAddr,
    pub pid: u32,
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// Bytes it wrote.
    pub sent: u64,
    /// CLOCK_MONOTONIC, nanoseconds: the client's before connect, the server's after accept.
    pub opened: u64,
    /// CLOCK_MONOTONIC, nanoseconds: after close.
    pub closed: u64,
}

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub client: End,
    pub server: End,
    pub first: First,
}

/// Everything one run of the workload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub connections: Vec<Connection>,
    /// Connections that went wrong: what happened, by number. A workload that is to be complete has none.
    pub failed: Vec<(u64, String)>,
}

impl Truth {
    /// Whether some connection had these ends at any time.
    pub fn has(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        self.connections.iter().any(|Connection { client, server, .. }| {
            let pair = (client.addr, server.addr);
            pair == (local, peer) || pair == (peer, local)
        })
    }

    /// The text of [`Truth::parse`]: one connection a line.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.connections.len() * 160);
        for connection in &self.connections {
            let first = match connection.first {
                First::Client => "client",
                First::Server => "server",
            };
            text.push_str(first);
            for end in [&connection.client, &connection.server] {
                // Writing to a String does not fail.
                let _ = write!(
                    text,
                    " {} {} {} {} {} {}",
                    end.addr, end.pid, end.cookie, end.sent, end.opened, end.closed
                );
            }
            text.push('\n');
        }
        for (number, what) in &self.failed {
            let _ = writeln!(text, "failed {number} {what}");
        }
        text
    }

    /// # Errors
    /// The file cannot be read or is not what [`Truth::text`] writes.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("truth in {}", path.display()))?;
        Self::parse(&text)
    }

    /// # Errors
    /// Names the line that is not what [`Truth::text`] writes.
    pub fn parse(text: &str) -> Result<Self> {
        let mut truth = Self::default();
        for (index, line) in text.lines().enumerate() {
            truth.add(line).with_context(|| format!("line {}: {line:?}", index + 1))?;
        }
        Ok(truth)
    }

    fn add(&mut self, line: &str) -> Result<()> {
        let mut words = line.split(' ');
        let first = match words.next() {
            Some("client") => First::Client,
            Some("server") => First::Server,
            Some("failed") => {
                let number = words.next().context("no number")?.parse()?;
                self.failed.push((number, words.collect::<Vec<_>>().join(" ")));
                return Ok(());
            }
            other => bail!("{other:?} instead of client, server or failed"),
        };
        let client = end(&mut words).context("client")?;
        let server = end(&mut words).context("server")?;
        ensure!(words.next().is_none(), "more words than known");
        self.connections.push(Connection { client, server, first });
        Ok(())
    }
}

fn end<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<End> {
    let mut word = |name: &'static str| words.next().with_context(|| format!("no {name}"));
    Ok(End {
        addr: word("address")?.parse()?,
        pid: word("pid")?.parse()?,
        cookie: word("cookie")?.parse()?,
        sent: word("sent")?.parse()?,
        opened: word("opened")?.parse()?,
        closed: word("closed")?.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() -> Result<()> {
        let end = |addr: &str| -> Result<End> {
            Ok(End { addr: addr.parse()?, pid: 7, cookie: u64::MAX, sent: 3, opened: 1, closed: 2 })
        };
        let truth = Truth {
            connections: vec![
                Connection {
                    client: end("127.0.0.1:4000")?,
                    server: end("127.0.0.2:80")?,
                    first: First::Client,
                },
                Connection { client: end("[::1]:4000")?, server: end("[::1]:80")?, first: First::Server },
            ],
            failed: vec![(9, "connect: timed out".to_owned())],
        };
        assert_eq!(Truth::parse(&truth.text())?, truth);
        assert!(Truth::parse("client 127.0.0.1:1 1 1 1 1\n").is_err());
        assert!(Truth::parse("nobody\n").is_err());
        Ok(())
    }
}
