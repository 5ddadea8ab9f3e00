//! Connections of every kind, many of each, in several network namespaces at once; and the truth about each end of each.
//!
//! Every namespace has the same ports, so that one end of a connection may have the same addresses as another in the next
//! namespace at the same time. Where a socket of this host is at both ends, two processes have them, which take turns: so
//! it is known who did what, and between which moments. Where an end has to withhold or to mistime an answer, it is a
//! [`Peer`](crate::Peer).

mod caller;
mod judge;
mod life;
mod partner;
mod ring;
mod scripted;

pub use judge::{Demands, Fault, Verdict, judge};
pub use life::{Kind, Life, Window, parse};

use crate::{program, sys};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Stdio};

/// How the kinds are shared out: those between two processes, and those with a scripted peer, in namespaces of their own,
/// or the peer would have to hear everything.
const ROLES: [(&str, &[Kind]); 2] = [("caller", &Kind::BETWEEN_PROCESSES), ("scripted", &Kind::WITH_PEER)];

/// A running census: one process for each namespace, and those that it starts.
pub struct Census {
    workers: Vec<Worker>,
}

struct Worker {
    child: Child,
    out: BufReader<ChildStdout>,
    netns: u64,
    truth: tempfile::TempPath,
}

impl Census {
    /// Makes the namespaces, `each` of every role, and prepares so many connections in all. Nothing is opened yet.
    ///
    /// # Errors
    /// The helper program is not there, or has no privileges.
    pub fn prepare(connections: u64, each: u64) -> Result<Self> {
        let kinds: u64 = ROLES.iter().map(|(_, kinds)| kinds.len() as u64).sum();
        let mut workers = Vec::new();
        for (role, _) in ROLES {
            for index in 0..each {
                // What does not come out even goes to the first ones.
                let share = connections / (kinds * each);
                let rest = connections % (kinds * each);
                let of_kind = share + u64::from(index * kinds < rest);
                workers.push(Worker::start(role, of_kind)?);
            }
        }
        Ok(Self { workers })
    }

    /// Inodes of the namespaces.
    pub fn namespaces(&self) -> Vec<u64> {
        self.workers.iter().map(|worker| worker.netns).collect()
    }

    /// A process in each namespace.
    pub fn processes(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| worker.child.id()).collect()
    }

    /// Lets them begin.
    ///
    /// # Errors
    /// One is gone.
    pub fn begin(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.tell("begin")?;
        }
        Ok(())
    }

    /// Waits until all connections were made and have come to their ends, but for TIME_WAIT; gives the truth. The namespaces
    /// stay, with what is in TIME_WAIT, until this is dropped.
    ///
    /// # Errors
    /// Something did not happen as it was to.
    pub fn finish(&mut self) -> Result<Vec<Life>> {
        let mut lives = Vec::new();
        for worker in &mut self.workers {
            ensure!(worker.line()? == "done", "a census ended early: {:?}", worker.child.try_wait()?);
            lives.extend(parse(&std::fs::read_to_string(&worker.truth)?)?);
        }
        Ok(lives)
    }
}

impl Worker {
    fn start(role: &str, of_kind: u64) -> Result<Self> {
        let truth = tempfile::NamedTempFile::new()?.into_temp_path();
        let mut command = std::process::Command::new(program::find("storm")?);
        command.args(["census", role, &of_kind.to_string()]).arg(&truth);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        sys::die_with_parent(&mut command);
        let mut child = command.spawn().context("starting a census")?;
        let out = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut worker = Self { child, out, netns: 0, truth };
        worker.netns = worker.line()?.parse().context("a census is not ready")?;
        Ok(worker)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn tell(&mut self, word: &str) -> Result<()> {
        Ok(writeln!(self.child.stdin.as_mut().context("no pipe")?, "{word}")?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its standard input tells it to go; after a failure it may hang.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process of a census: `storm census ROLE COUNT FILE`, with COUNT connections of each kind.
///
/// # Errors
/// Something did not happen as it was to.
pub fn work(words: &[String]) -> Result<()> {
    let [role, count, file] = words else { anyhow::bail!("wrong words for a census: {words:?}") };
    let count: u32 = count.parse()?;
    let namespace = crate::NetNs::enter()?;
    for (name, value) in [
        ("core/somaxconn", "65535"),
        ("ipv4/tcp_max_syn_backlog", "65535"),
        ("ipv4/tcp_syncookies", "0"),
        // Given up after one repetition.
        ("ipv4/tcp_synack_retries", "1"),
        ("ipv4/tcp_tw_reuse", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        // Only ports that are asked for are used otherwise.
        ("ipv4/ip_local_port_range", "20000 60999"),
    ] {
        namespace.sysctl(name, value)?;
    }
    let mut input = std::io::stdin();
    let wait = || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| ())
    };
    let ready = || writeln!(std::io::stdout(), "{}", namespace.inum());
    let lives = match role.as_str() {
        "caller" => caller::call(&namespace, count, ready, wait)?,
        "scripted" => scripted::play(&namespace, count, ready, wait)?,
        other => anyhow::bail!("no role {other:?}"),
    };
    let text: String = lives.iter().map(Life::text).collect();
    std::fs::write(file, text).with_context(|| file.clone())?;
    writeln!(std::io::stdout(), "done")?;
    // The namespace is to last until the reader has seen what is in TIME_WAIT.
    input.read_to_end(&mut Vec::new())?;
    Ok(())
}
