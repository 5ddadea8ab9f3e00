//! Many connections that stay: what a listing has to cope with.

use crate::{program, sys};
use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Connections of one process: two files each, below the 20,000 files that every process may have.
const PAIRS: u64 = 9_500;

/// What to gather.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Established TCP sockets over IPv4, both ends of each connection counted.
    pub sockets: u64,
    /// Processes that hold them, at least; there are more when a process cannot have so many files.
    pub processes: u64,
    /// Files of each process that are no sockets.
    pub files: u64,
}

/// Processes that hold connections until this is dropped.
#[derive(Debug)]
pub struct Crowd {
    sitters: Vec<(Child, Option<ChildStdin>)>,
    /// Rows that a listing of every TCP socket shows: the connections' ends, and a listener a process.
    pub rows: u64,
    /// Of them the listeners.
    pub listeners: u64,
}

impl Crowd {
    /// Makes the connections in the network namespace of the calling thread, and waits until they are there.
    ///
    /// # Errors
    /// A process cannot be started or has too few files or ports.
    pub fn gather(plan: &Plan) -> Result<Self> {
        let pairs = plan.sockets / 2;
        let processes = plan.processes.max(pairs.div_ceil(PAIRS)).max(1);
        let storm = program::find("storm")?;
        let mut crowd = Self { sitters: Vec::new(), rows: 2 * pairs + processes, listeners: processes };
        let mut outs = Vec::new();
        for number in 0..processes {
            let own = pairs / processes + u64::from(number < pairs % processes);
            let mut command = Command::new(&storm);
            command.arg("sitter").args([number, own, plan.files].map(|word| word.to_string()));
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            sys::die_with_parent(&mut command);
            let mut child = command.spawn().context("starting a process that holds connections")?;
            let stdin = child.stdin.take();
            outs.push(child.stdout.take().context("no pipe")?);
            crowd.sitters.push((child, stdin));
        }
        for out in outs {
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line)?;
            ensure!(line == "ready\n", "a process could not make its connections: {line:?}");
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for (_, stdin) in &mut self.sitters {
            *stdin = None;
        }
        for (child, _) in &mut self.sitters {
            let _ = child.wait();
        }
    }
}

/// One process: its number, its connections, its other files. Says `ready`, and holds them until its standard input ends.
///
/// # Errors
/// The words are wrong, or there are too few files or ports.
pub fn sitter(words: &[String]) -> Result<()> {
    let [number, pairs, files] = words else { anyhow::bail!("wrong words for a process that sits") };
    let (number, pairs, files): (u32, u64, u64) = (number.parse()?, pairs.parse()?, files.parse()?);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    // An address each: the ports towards one are few.
    let own = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + number);
    let listener = TcpListener::bind((own, 0))?;
    let addr: SocketAddr = listener.local_addr()?;
    let mut held = Vec::new();
    for _ in 0..pairs {
        held.push(TcpStream::connect(addr).with_context(|| format!("connecting to {addr}"))?);
        held.push(listener.accept()?.0);
    }
    let others: Vec<File> = (0..files).map(|_| File::open("/dev/null")).collect::<io::Result<_>>()?;
    writeln!(io::stdout(), "ready")?;
    io::stdin().read_to_end(&mut Vec::new())?;
    drop((held, others));
    Ok(())
}
