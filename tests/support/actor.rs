//! Another process that does with sockets what it is told, one line a command: so a test knows which process did what, and when.

use crate::program;
use crate::sys;
use anyhow::{Context, Result, bail};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
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
        Self::play("actor")
    }

    /// Starts one in a PID namespace of its own. Its [`pid`](Self::pid) is that of the process which made it.
    ///
    /// # Errors
    /// As [`Actor::start`].
    pub fn start_nested() -> Result<Self> {
        Self::play("nested")
    }

    fn play(role: &str) -> Result<Self> {
        let mut command = std::process::Command::new(program::find("storm")?);
        command.arg(role).stdin(Stdio::piped()).stdout(Stdio::piped());
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
        self.reply(command)
    }

    fn reply(&mut self, command: &str) -> Result<String> {
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

    /// Begins to accept; what comes of it is [`accepted`](Self::accepted).
    ///
    /// # Errors
    /// It is gone.
    pub fn begin_accept(&mut self) -> Result<()> {
        Ok(writeln!(self.commands, "accept")?)
    }

    /// The end of [`begin_accept`](Self::begin_accept): the cookie.
    pub fn accepted(&mut self) -> Result<u64> {
        Ok(self.reply("accept")?.parse()?)
    }

    /// Accepts one connection in a thread that has a name of its own; gives its cookie.
    pub fn accept_in_thread(&mut self) -> Result<u64> {
        Ok(self.tell("accept-in-thread")?.parse()?)
    }

    /// Forks; the child holds the connection, too, and does nothing until it ends. Gives its pid.
    pub fn fork(&mut self) -> Result<u32> {
        Ok(self.tell("fork")?.parse()?)
    }

    /// Ends the child.
    pub fn end_child(&mut self) -> Result<()> {
        self.tell("end-child").map(|_| ())
    }

    /// Becomes another program, of this path. It keeps the connection, or not.
    pub fn exec(&mut self, path: &str, keep: bool) -> Result<()> {
        self.tell(&format!("exec {} {path}", if keep { "keep" } else { "close" })).map(|_| ())
    }

    /// Forks; the child becomes another program, of this path, and waits for its input. Gives the child.
    pub fn fork_and_exec(&mut self, path: &str) -> Result<u32> {
        Ok(self.tell(&format!("fork-and-exec {path}"))?.parse()?)
    }

    /// Waits on a unix socket of this path for what [`pass`](Self::pass) sends.
    pub fn receive(&mut self, path: &str) -> Result<()> {
        self.tell(&format!("receive-at {path}")).map(|_| ())
    }

    /// Takes what was sent there.
    pub fn take(&mut self) -> Result<()> {
        self.tell("take").map(|_| ())
    }

    /// Sends the connection to another process, and keeps it, too.
    pub fn pass(&mut self, path: &str) -> Result<()> {
        self.tell(&format!("pass {path}")).map(|_| ())
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

/// Set for a program that an actor becomes.
const AGAIN: &str = "ENETSTAT_TEST_ACTOR_AGAIN";

/// `storm nested`: an actor that is the first process of a PID namespace.
///
/// # Errors
/// The kernel refuses.
pub fn play_nested() -> Result<()> {
    // SAFETY: no pointer is passed; only processes that are made from here on are in the new namespace.
    sys::checked(unsafe { libc::unshare(libc::CLONE_NEWPID) })?;
    // SAFETY: this process has one thread, so the child may do anything the parent may.
    let child = sys::checked(unsafe { libc::fork() })?;
    if child == 0 {
        return play(&[]);
    }
    let mut status = 0;
    // SAFETY: `status` is a writable int, and the child is ours.
    sys::checked(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
    Ok(())
}

#[derive(Default)]
struct Stage {
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
    child: Option<libc::pid_t>,
    other: Option<Child>,
    post: Option<UnixListener>,
}

/// The process itself: `storm actor`.
///
/// # Errors
/// Its input or output is gone.
pub fn play(words: &[String]) -> Result<()> {
    let mut stage = Stage::default();
    if let Some(fd) = words.first() {
        // SAFETY: the program before this one left the descriptor open, and nobody else here owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd.parse()?) };
        stage.stream = Some(fd.into());
    }
    if !words.is_empty() || std::env::var_os(AGAIN).is_some() {
        writeln!(std::io::stdout(), "ok again")?;
    }
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
            "accept-in-thread" => {
                let listener = self.listener.as_ref().context("not listening")?.try_clone()?;
                let thread = std::thread::Builder::new().name("some-thread".to_owned());
                let (stream, _) = sys::joined(thread.spawn(move || listener.accept())?.join())??;
                let cookie = sys::cookie(stream.as_fd())?;
                self.stream = Some(stream);
                return Ok(cookie.to_string());
            }
            "fork" => return self.fork(),
            "end-child" => {
                let child = self.child.take().context("no child")?;
                end(child)?;
                return Ok(String::new());
            }
            "exec" => return self.exec(object),
            "fork-and-exec" => {
                let mut command = std::process::Command::new(object);
                command.arg("actor").stdin(Stdio::piped()).stdout(Stdio::piped()).env(AGAIN, "1");
                let mut child = command.spawn()?;
                // It has executed when it speaks.
                BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut String::new())?;
                let pid = child.id();
                self.other = Some(child);
                return Ok(pid.to_string());
            }
            "receive-at" => {
                self.post = Some(UnixListener::bind(object)?);
                return Ok(String::new());
            }
            "take" => {
                let (post, _) = self.post.take().context("no unix socket")?.accept()?;
                self.stream = Some(take(&post)?.into());
                return Ok(String::new());
            }
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
            "pass" => {
                let post = UnixStream::connect(object)?;
                let fds = [stream.as_fd()];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                anyhow::ensure!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)), "no room");
                rustix::net::sendmsg(&post, &[IoSlice::new(b"x")], &mut ancillary, SendFlags::empty())?;
            }
            other => bail!("unknown command {other:?}"),
        }
        Ok(String::new())
    }

    fn fork(&mut self) -> Result<String> {
        // SAFETY: this process has one thread, so the child may do anything the parent may.
        let child = sys::checked(unsafe { libc::fork() })?;
        if child == 0 {
            loop {
                // SAFETY: no pointer is passed.
                unsafe { libc::pause() };
            }
        }
        self.child = Some(child);
        Ok(child.to_string())
    }

    fn exec(&mut self, object: &str) -> Result<String> {
        use std::os::unix::process::CommandExt;
        let (how, path) = object.split_once(' ').context("no path")?;
        let mut command = std::process::Command::new(path);
        command.arg("actor").env(AGAIN, "1");
        if how == "keep" {
            let stream = self.stream.take().context("no connection")?;
            rustix::io::fcntl_setfd(&stream, rustix::io::FdFlags::empty())?;
            command.arg(stream.into_raw_fd().to_string());
        }
        Err(command.exec().into())
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

/// Kills a child and waits for it.
fn end(child: libc::pid_t) -> Result<()> {
    // SAFETY: no pointer is passed, and the child is ours.
    sys::checked(unsafe { libc::kill(child, libc::SIGKILL) })?;
    let mut status = 0;
    // SAFETY: `status` is a writable int, and the child is ours.
    sys::checked(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
    Ok(())
}

/// Receives one descriptor.
fn take(post: &UnixStream) -> Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(post, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fd.context("no descriptor came")
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            let _ = end(child);
        }
        if let Some(mut other) = self.other.take() {
            let _ = other.kill();
            let _ = other.wait();
        }
    }
}
