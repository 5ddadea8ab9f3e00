//! Another process that does with sockets what it is told, one line a command: so a test knows which process did what, and when.

use crate::program;
use crate::sys;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// The process under command. It ends when this is dropped.
pub struct Actor {
    child: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts one in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The helper program is not there.
    pub fn start() -> Result<Self> {
        let mut command = std::process::Command::new(program::find("storm")?);
        command.arg("actor").stdin(Stdio::piped()).stdout(Stdio::piped());
        sys::die_with_parent(&mut command);
        let mut child = command.spawn().context("starting an actor")?;
        let commands = child.stdin.take().context("no pipe")?;
        let replies = BufReader::new(child.stdout.take().context("no pipe")?);
        Ok(Self { child, commands, replies })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn tell(&mut self, command: &str) -> Result<String> {
        writeln!(self.commands, "{command}")?;
        let mut reply = String::new();
        self.replies.read_line(&mut reply)?;
        match reply.split_once(' ') {
            Some(("ok", rest)) => Ok(rest.trim_end().to_owned()),
            _ => bail!("{command}: {reply:?}"),
        }
    }

    /// Listens on a loopback port.
    ///
    /// # Errors
    /// Those of the call, as for every command below.
    pub fn listen(&mut self, v6: bool) -> Result<SocketAddr> {
        Ok(self.tell(if v6 { "listen [::1]:0" } else { "listen 127.0.0.1:0" })?.parse()?)
    }

    /// Connects; gives its own address and the cookie.
    pub fn connect(&mut self, addr: SocketAddr) -> Result<(SocketAddr, u64)> {
        let reply = self.tell(&format!("connect {addr}"))?;
        let (local, cookie) = reply.split_once(' ').context("no cookie")?;
        Ok((local.parse()?, cookie.parse()?))
    }

    /// Begins to connect; nobody waits for what comes of it.
    ///
    /// # Errors
    /// It is gone.
    pub fn begin_connect(&mut self, addr: SocketAddr) -> Result<()> {
        Ok(writeln!(self.commands, "connect {addr}")?)
    }

    /// Accepts one connection; gives its cookie.
    pub fn accept(&mut self) -> Result<u64> {
        Ok(self.tell("accept")?.parse()?)
    }

    pub fn send(&mut self, bytes: usize) -> Result<()> {
        self.tell(&format!("send {bytes}")).map(|_| ())
    }

    /// Reads until it has `bytes`.
    pub fn recv(&mut self, bytes: usize) -> Result<()> {
        self.tell(&format!("recv {bytes}")).map(|_| ())
    }

    /// Reads until the peer has closed.
    pub fn recv_end(&mut self) -> Result<()> {
        self.tell("recv-end").map(|_| ())
    }

    pub fn shutdown(&mut self) -> Result<()> {
        self.tell("shutdown").map(|_| ())
    }

    /// Closes the connection.
    pub fn close(&mut self) -> Result<()> {
        self.tell("close").map(|_| ())
    }

    /// Forks; the child alone keeps the connection, sends one byte on it, closes it and ends. Gives the child's pid.
    pub fn fork_and_close(&mut self) -> Result<u32> {
        Ok(self.tell("fork-and-close")?.parse()?)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Default)]
struct Stage {
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
}

/// The process itself: `storm actor`.
///
/// # Errors
/// Its input or output is gone.
pub fn play() -> Result<()> {
    let mut stage = Stage::default();
    for command in std::io::stdin().lines() {
        let command = command?;
        let reply = match stage.act(&command) {
            Ok(reply) => format!("ok {reply}"),
            Err(error) => format!("failed {error:#}"),
        };
        writeln!(std::io::stdout(), "{reply}")?;
    }
    Ok(())
}

impl Stage {
    fn act(&mut self, command: &str) -> Result<String> {
        let (verb, object) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "listen" => {
                let listener = TcpListener::bind(object)?;
                let addr = listener.local_addr()?;
                self.listener = Some(listener);
                return Ok(addr.to_string());
            }
            "connect" => {
                let stream = TcpStream::connect(object)?;
                let reply = format!("{} {}", stream.local_addr()?, sys::cookie(stream.as_fd())?);
                self.stream = Some(stream);
                return Ok(reply);
            }
            "accept" => {
                let (stream, _) = self.listener.as_ref().context("not listening")?.accept()?;
                let cookie = sys::cookie(stream.as_fd())?;
                self.stream = Some(stream);
                return Ok(cookie.to_string());
            }
            "close" => {
                self.stream.take().context("nothing to close")?;
                return Ok(String::new());
            }
            "fork-and-close" => return self.fork_and_close(),
            _ => {}
        }
        let stream = self.stream.as_mut().context("no connection")?;
        match verb {
            "send" => stream.write_all(&vec![b'x'; object.parse()?])?,
            "recv" => stream.read_exact(&mut vec![0; object.parse()?])?,
            "recv-end" => {
                stream.read_to_end(&mut Vec::new())?;
            }
            "shutdown" => stream.shutdown(Shutdown::Write)?,
            other => bail!("unknown command {other:?}"),
        }
        Ok(String::new())
    }

    fn fork_and_close(&mut self) -> Result<String> {
        let mut stream = self.stream.take().context("no connection")?;
        let (gate, mut opener) = std::io::pipe()?;
        // SAFETY: this process has one thread, so the child may do anything the parent may.
        let child = sys::checked(unsafe { libc::fork() })?;
        if child == 0 {
            drop(opener);
            let mut gate = gate;
            // The parent's copy of the connection is closed once it has written.
            let told = gate.read_exact(&mut [0]).and_then(|()| stream.write_all(b"x"));
            drop(stream);
            std::process::exit(i32::from(told.is_err()));
        }
        drop(stream);
        opener.write_all(b"x")?;
        let mut status = 0;
        // SAFETY: `status` is a writable int, and the child is ours.
        sys::checked(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
        anyhow::ensure!(status == 0, "the child failed: {status}");
        Ok(child.to_string())
    }
}
