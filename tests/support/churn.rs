//! Processes that end, execute programs and fork while they hold connections: `storm churn COUNT`.

use crate::sys;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What a process did with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It connected and ended without closing.
    Exits,
    /// It connected, made a child, and closed its own end; the child closed last.
    Forks,
    /// It connected, executed another program, and that ended without closing.
    Executes,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub kind: Kind,
    pub cookie: u64,
    /// Who connected.
    pub opener: u32,
    /// Who held it last.
    pub last: u32,
}

/// Connections of the first process that stay open all the time: every child has them, too.
pub const STANDING: usize = 20;

/// What `storm churn` said.
#[derive(Debug)]
pub struct Said {
    /// The first process.
    pub pid: u32,
    /// Cookies of what it held all the time.
    pub standing: Vec<u64>,
    pub done: Vec<Done>,
}

/// Reads what `storm churn` printed.
///
/// # Errors
/// It is not that.
pub fn read(text: impl Read) -> Result<Said> {
    let mut said = Said { pid: 0, standing: Vec::new(), done: Vec::new() };
    for line in BufReader::new(text).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["pid", pid] => said.pid = pid.parse()?,
            ["standing", cookie] => said.standing.push(cookie.parse()?),
            [kind, cookie, opener, last] => {
                let kind = match kind {
                    "exits" => Kind::Exits,
                    "forks" => Kind::Forks,
                    "executes" => Kind::Executes,
                    other => bail!("no kind {other:?}"),
                };
                let (cookie, opener, last) = (cookie.parse()?, opener.parse()?, last.parse()?);
                said.done.push(Done { kind, cookie, opener, last });
            }
            _ => bail!("not understood: {line:?}"),
        }
    }
    Ok(said)
}

/// `storm churn COUNT`: so many processes, a third of each kind, one after the other; then it waits for the end of its input,
/// before it closes what it held all the time.
///
/// # Errors
/// A system call fails.
pub fn run(words: &[String]) -> Result<()> {
    let count: u64 = words.first().context("no count")?.parse()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    // Nothing is written before the end: a child would write what waits for it, too.
    let mut out = Vec::new();
    writeln!(out, "pid {}", std::process::id())?;
    let mut standing = Vec::new();
    for _ in 0..STANDING {
        let stream = TcpStream::connect(addr)?;
        writeln!(out, "standing {}", sys::cookie(stream.as_fd())?)?;
        standing.push((stream, listener.accept()?.0));
    }
    for number in 0..count {
        let (kind, (cookie, opener, last)) = match number % 3 {
            0 => ("exits", through_child(&listener, addr, None)?),
            1 => ("forks", fork(&listener, addr)?),
            _ => ("executes", through_child(&listener, addr, Some("keep"))?),
        };
        writeln!(out, "{kind} {cookie} {opener} {last}")?;
    }
    std::io::stdout().write_all(&out)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// `storm keep FD`: says on it that it is there, and ends.
///
/// # Errors
/// There is no such descriptor.
pub fn keep(words: &[String]) -> Result<()> {
    // SAFETY: the program before this one left the descriptor open, and nobody else here owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(words.first().context("no descriptor")?.parse()?) };
    let mut stream = TcpStream::from(fd);
    stream.write_all(b"kept")?;
    std::process::exit(0)
}

/// A child connects, tells the cookie on the connection, perhaps executes another program, and ends.
fn through_child(listener: &TcpListener, addr: SocketAddr, program: Option<&str>) -> Result<(u64, u32, u32)> {
    // SAFETY: this process has one thread, so the child may do anything the parent may.
    let child = sys::checked(unsafe { libc::fork() })?;
    if child == 0 {
        let done = connect_and_end(addr, program);
        std::process::exit(i32::from(done.is_err()));
    }
    let (mut stream, _) = listener.accept()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    wait(child)?;
    let expected = 8 + if program.is_some() { 4 } else { 0 };
    ensure!(text.len() == expected, "{} bytes came from {child}", text.len());
    let cookie = u64::from_le_bytes(*text.first_chunk().context("too little")?);
    Ok((cookie, child.unsigned_abs(), child.unsigned_abs()))
}

fn connect_and_end(addr: SocketAddr, program: Option<&str>) -> Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(&sys::cookie(stream.as_fd())?.to_le_bytes())?;
    if let Some(program) = program {
        rustix::io::fcntl_setfd(&stream, rustix::io::FdFlags::empty())?;
        let fd = stream.into_raw_fd().to_string();
        return Err(Command::new("/proc/self/exe").args([program, &fd]).exec().into());
    }
    // Not dropped: the end of the process closes it.
    std::process::exit(0)
}

/// This process connects, a child gets the connection, this process closes it, and then the child does.
fn fork(listener: &TcpListener, addr: SocketAddr) -> Result<(u64, u32, u32)> {
    let stream = TcpStream::connect(addr)?;
    let cookie = sys::cookie(stream.as_fd())?;
    let (mut peer, _) = listener.accept()?;
    // SAFETY: this process has one thread, so the child may do anything the parent may.
    let child = sys::checked(unsafe { libc::fork() })?;
    if child == 0 {
        drop(peer);
        let mut stream = stream;
        // Until the parent has closed its own.
        let told = stream.read_exact(&mut [0]);
        drop(stream);
        std::process::exit(i32::from(told.is_err()));
    }
    drop(stream);
    peer.write_all(b"x")?;
    peer.read_to_end(&mut Vec::new())?;
    wait(child)?;
    Ok((cookie, std::process::id(), child.unsigned_abs()))
}

fn wait(child: libc::pid_t) -> Result<()> {
    let mut status = 0;
    // SAFETY: `status` is a writable int, and the child is ours.
    sys::checked(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
    ensure!(status == 0, "{child} failed: {status}");
    Ok(())
}
