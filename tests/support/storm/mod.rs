//! The workload: many loopback connections between several processes at full speed, and the truth about each.
//!
//! The first process starts the servers, learns their ports, starts the clients, and joins what both wrote down. A client's first
//! bytes carry the number of the connection, so that the two halves of the truth meet even where ports are used again.

mod client;
mod server;

pub use client::client;
pub use server::server;

use crate::sys;
use crate::truth::{Connection, End, First, Truth};
use anyhow::{Context, Result, bail, ensure};
use rustc_hash::FxHashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Connections that one server port may serve before another is opened: well below the number of ephemeral ports, so that no client
/// runs into a TIME_WAIT of its own.
const CONNECTIONS_PER_PORT: u64 = 10_000;

/// Bytes at the start of what a client sends: the number of the connection, and who closes first.
const HEADER: usize = 9;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Over all clients and families.
    pub connections: u64,
    /// Clients; as many servers.
    pub processes: u64,
    pub v4: bool,
    pub v6: bool,
    /// First port of the servers; 0 lets the kernel choose.
    pub port_base: u16,
    /// Bytes each end sends, besides the header.
    pub payload: u32,
    /// How long a client waits before it closes. More than 0 makes it keep many connections at a time. Where the server closes
    /// first it does not wait.
    pub hold: Duration,
    /// Pause of a client after each connection (or batch).
    pub pause: Duration,
    /// No connection is begun later than this after the start.
    pub limit: Duration,
    pub truth: PathBuf,
}

/// Runs the whole workload; gives how long the clients took.
///
/// # Errors
/// A process could not be started or failed, or the limit of open files is too low. Connections that fail are in the truth.
pub fn run(plan: &Plan) -> Result<Duration> {
    ensure!(plan.v4 || plan.v6, "neither --v4 nor --v6");
    ensure!(plan.processes > 0, "no processes");
    let families = u64::from(plan.v4) + u64::from(plan.v6);
    let ports = 1 + plan.connections / families / plan.processes / CONNECTIONS_PER_PORT;
    let mut servers = Vec::new();
    let mut addresses = Vec::new();
    for index in 0..plan.processes {
        let base = match plan.port_base {
            0 => 0,
            base => u64::from(base) + index * ports,
        };
        let part = part(&plan.truth, "server", index);
        let mut words = vec![base.to_string(), ports.to_string(), part.display().to_string()];
        words.extend([plan.v4.to_string(), plan.v6.to_string(), plan.payload.to_string()]);
        let (child, said) = start("server", &words)?;
        servers.push((child, part));
        addresses.extend(said.split_whitespace().map(str::to_owned));
    }
    let began = Instant::now();
    let mut clients = Vec::new();
    for index in 0..plan.processes {
        let share = plan.connections / plan.processes + u64::from(index < plan.connections % plan.processes);
        let part = part(&plan.truth, "client", index);
        let mut words = vec![index.to_string(), plan.processes.to_string(), share.to_string()];
        words.extend([plan.payload.to_string(), plan.hold.as_micros().to_string()]);
        words.extend([plan.pause.as_micros().to_string(), plan.limit.as_millis().to_string()]);
        words.push(part.display().to_string());
        words.extend(addresses.iter().cloned());
        let (child, _) = start("client", &words)?;
        clients.push((child, part));
    }
    let mut halves = Vec::new();
    for (child, part) in clients {
        halves.push(finish(child, &part).context("client")?);
    }
    let took = began.elapsed();
    let mut others = Vec::new();
    for (mut child, part) in servers {
        // The end of its standard input tells a server that no more connections come.
        drop(child.stdin.take());
        others.push(finish(child, &part).context("server")?);
    }
    std::fs::write(&plan.truth, join(&halves, &others)?.text())?;
    Ok(took)
}

/// Number of the connection, its ends, who closed first.
struct Half {
    number: u64,
    local: End,
    first: First,
}

fn part(truth: &Path, role: &str, index: u64) -> PathBuf {
    let mut name = truth.as_os_str().to_owned();
    name.push(format!(".{role}.{index}"));
    name.into()
}

/// Starts this executable again in another role and reads the one line it says when it is ready.
fn start(role: &str, words: &[String]) -> Result<(Child, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    sys::die_with_parent(&mut command);
    let mut child = command.spawn().with_context(|| format!("starting a {role}"))?;
    let mut said = String::new();
    let out = child.stdout.take().context("no pipe")?;
    BufReader::new(out).read_line(&mut said)?;
    ensure!(said.ends_with('\n'), "a {role} ended before it was ready: {}", child.wait()?);
    Ok((child, said))
}

fn finish(mut child: Child, part: &Path) -> Result<Vec<String>> {
    let status = child.wait()?;
    ensure!(status.success(), "{status}");
    let text = std::fs::read_to_string(part)?;
    std::fs::remove_file(part)?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn write_halves(path: &Path, halves: &[Half], failed: &[(u64, String)]) -> Result<()> {
    use std::fmt::Write;
    let mut text = String::with_capacity(halves.len() * 100);
    for half in halves {
        let End { addr, pid, cookie, sent, opened, closed } = half.local;
        let first = u8::from(half.first == First::Server);
        writeln!(text, "{} {first} {addr} {pid} {cookie} {sent} {opened} {closed}", half.number)?;
    }
    for (number, what) in failed {
        writeln!(text, "{number} failed {what}")?;
    }
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

fn join(clients: &[Vec<String>], servers: &[Vec<String>]) -> Result<Truth> {
    let mut truth = Truth::default();
    let mut served: FxHashMap<u64, Half> = FxHashMap::default();
    for line in servers.iter().flatten() {
        match half(line)? {
            Ok(half) => {
                let number = half.number;
                ensure!(served.insert(number, half).is_none(), "connection {number} was served twice");
            }
            Err(failed) => truth.failed.push(failed),
        }
    }
    for line in clients.iter().flatten() {
        match half(line)? {
            Ok(client) => match served.remove(&client.number) {
                Some(server) => truth.connections.push(Connection {
                    client: client.local,
                    server: server.local,
                    first: client.first,
                }),
                None => truth.failed.push((client.number, "never finished by the server".to_owned())),
            },
            Err(failed) => truth.failed.push(failed),
        }
    }
    for number in served.into_keys() {
        truth.failed.push((number, "never finished by the client".to_owned()));
    }
    Ok(truth)
}

fn half(line: &str) -> Result<Result<Half, (u64, String)>> {
    let words: Vec<&str> = line.split(' ').collect();
    let [number, first, rest @ ..] = words.as_slice() else { bail!("not a half: {line:?}") };
    let number = number.parse()?;
    if *first == "failed" {
        return Ok(Err((number, rest.join(" "))));
    }
    let [addr, pid, cookie, sent, opened, closed] = rest else { bail!("not a half: {line:?}") };
    let local = End {
        addr: addr.parse()?,
        pid: pid.parse()?,
        cookie: cookie.parse()?,
        sent: sent.parse()?,
        opened: opened.parse()?,
        closed: closed.parse()?,
    };
    Ok(Ok(Half { number, local, first: if *first == "1" { First::Server } else { First::Client } }))
}

/// The workload as a test runs it: in processes of its own, in the network namespace of the calling thread.
pub struct Storm {
    child: Child,
    truth: tempfile::TempPath,
}

impl Storm {
    /// Starts `storm` with the words of its command line, without `--truth`.
    ///
    /// # Errors
    /// The helper program is not there.
    pub fn start(words: &[&str]) -> Result<Self> {
        let truth = tempfile::NamedTempFile::new()?.into_temp_path();
        let mut command = Command::new(crate::program::find("storm")?);
        command.args(words).arg("--truth").arg(&truth).stdin(Stdio::null()).stdout(Stdio::null());
        sys::die_with_parent(&mut command);
        let child = command.spawn().context("starting storm")?;
        Ok(Self { child, truth })
    }

    /// Whether it runs still.
    ///
    /// # Errors
    /// Those of waitpid(2).
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end; no connection may have failed.
    ///
    /// # Errors
    /// It failed, or a connection did.
    pub fn finish(mut self) -> Result<Truth> {
        let status = self.child.wait()?;
        ensure!(status.success(), "storm: {status}");
        let truth = Truth::read(&self.truth)?;
        ensure!(
            truth.failed.is_empty(),
            "{} connections failed: {:?}",
            truth.failed.len(),
            truth.failed.first()
        );
        Ok(truth)
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // Its own children die with it. It has ended already unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
