//! Makers of single connections in every state, inside the calling process.

use crate::sys;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Barrier;

/// Both ends of one connection.
pub struct Pair {
    pub client: TcpStream,
    pub server: TcpStream,
}

/// Loopback of the family with a port.
pub fn loopback(v6: bool, port: u16) -> SocketAddr {
    if v6 { (Ipv6Addr::LOCALHOST, port).into() } else { (Ipv4Addr::LOCALHOST, port).into() }
}

/// A listener on a loopback port that the kernel chooses.
///
/// # Errors
/// Those of bind(2) and listen(2).
pub fn listener(v6: bool) -> io::Result<TcpListener> {
    TcpListener::bind(loopback(v6, 0))
}

/// One connection through `listener`.
///
/// # Errors
/// Those of connect(2) and accept(2).
pub fn pair_through(listener: &TcpListener) -> io::Result<Pair> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    Ok(Pair { client, server })
}

/// One connection; its listener is gone.
///
/// # Errors
/// See [`listener`] and [`pair_through`].
pub fn pair(v6: bool) -> io::Result<Pair> {
    pair_through(&listener(v6)?)
}

impl Pair {
    /// Cookies of the client's and the server's socket.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn cookies(&self) -> io::Result<(u64, u64)> {
        Ok((sys::cookie(self.client.as_fd())?, sys::cookie(self.server.as_fd())?))
    }

    /// Sends `bytes` from the client to the server, which reads all of it.
    ///
    /// # Errors
    /// Those of send(2) and recv(2).
    pub fn talk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let server = &mut self.server;
        let client = &mut self.client;
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || server.read_exact(&mut vec![0; bytes.len()]));
            client.write_all(bytes)?;
            sys::joined(reader.join())?
        })
    }

    /// The client closes, then the server: TIME_WAIT stays on the client's side.
    ///
    /// # Errors
    /// The server saw something else than the end of the stream.
    pub fn close_client_first(self) -> io::Result<()> {
        close_in_order(self.client, self.server)
    }

    /// The server closes, then the client: TIME_WAIT stays on the server's side.
    ///
    /// # Errors
    /// The client saw something else than the end of the stream.
    pub fn close_server_first(self) -> io::Result<()> {
        close_in_order(self.server, self.client)
    }

    /// The client ends its side, then the server closes, then the client: nobody's end comes while no process has the socket.
    ///
    /// # Errors
    /// One of them saw something else than the end of the stream.
    pub fn close_by_turns(self) -> io::Result<()> {
        let Self { client, server } = self;
        client.shutdown(std::net::Shutdown::Write)?;
        ended(&server)?;
        drop(server);
        ended(&client)
    }

    /// The client sends RST.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn reset_by_client(self) -> io::Result<()> {
        sys::reset_on_close(self.client.as_fd())?;
        drop(self.client);
        Ok(())
    }

    /// Both ends shut down at the same moment, as nearly as two threads can: CLOSING may or may not be passed.
    ///
    /// # Errors
    /// Those of shutdown(2), except that the other end was quicker.
    pub fn close_simultaneously(self) -> io::Result<()> {
        let start = Barrier::new(2);
        let shut = |stream: &TcpStream| {
            start.wait();
            stream.shutdown(Shutdown::Write)
        };
        let both = std::thread::scope(|scope| {
            let other = scope.spawn(|| shut(&self.server));
            (shut(&self.client), other.join())
        });
        both.0?;
        sys::joined(both.1)?
    }
}

fn close_in_order(first: TcpStream, second: TcpStream) -> io::Result<()> {
    drop(first);
    ended(&second)
}

/// Waits for the end of the stream.
///
/// # Errors
/// There was something else.
pub fn ended(mut stream: &TcpStream) -> io::Result<()> {
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("data nobody asked for")),
    }
}

/// A port that answers every SYN with RST: bound, but not listening.
pub struct Refusing {
    pub addr: SocketAddr,
    _socket: OwnedFd,
}

impl Refusing {
    /// # Errors
    /// Those of bind(2).
    pub fn new(v6: bool) -> io::Result<Self> {
        let socket = sys::stream_socket(v6, 0)?;
        let addr = rustix::net::SocketAddrAny::from(loopback(v6, 0));
        rustix::net::bind(&socket, &addr)?;
        let addr = rustix::net::getsockname(&socket)?;
        let addr = SocketAddr::try_from(addr)?;
        Ok(Self { addr, _socket: socket })
    }
}

/// A listener that drops every further SYN, because its queue for accept holds all it may.
pub struct Silent {
    pub addr: SocketAddr,
    _listener: TcpListener,
    _filling: TcpStream,
}

impl Silent {
    /// # Errors
    /// Those of listen(2) and connect(2).
    pub fn new(v6: bool) -> io::Result<Self> {
        let listener = listener(v6)?;
        // A second listen sets the backlog anew; 0 lets one connection wait.
        rustix::net::listen(&listener, 0)?;
        let addr = listener.local_addr()?;
        let filling = TcpStream::connect(addr)?;
        Ok(Self { addr, _listener: listener, _filling: filling })
    }
}

/// Connects without waiting; the socket is in SYN_SENT while nobody answers. `syn_retries` SYNs are repeated before the kernel
/// gives up: with 1 it does so about three seconds after the start.
///
/// # Errors
/// Anything but EINPROGRESS.
pub fn connect_without_waiting(addr: SocketAddr, syn_retries: i32) -> io::Result<OwnedFd> {
    let socket = sys::stream_socket(addr.is_ipv6(), libc::SOCK_NONBLOCK)?;
    sys::set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_SYNCNT, syn_retries)?;
    match rustix::net::connect(&socket, &rustix::net::SocketAddrAny::from(addr)) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno.into()),
    }
}

/// A connection that only the client holds for established: the listener waits for data (`TCP_DEFER_ACCEPT`) and shows
/// SYN_RECV until then.
pub struct HalfOpen {
    pub listener: TcpListener,
    pub client: TcpStream,
}

impl HalfOpen {
    /// `seconds`: how long the listener is willing to wait for data.
    ///
    /// # Errors
    /// Those of setsockopt(2) and connect(2).
    pub fn new(v6: bool, seconds: i32) -> io::Result<Self> {
        let listener = listener(v6)?;
        sys::set_option(listener.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        Ok(Self { listener, client })
    }

    /// Sends the byte that the listener waits for; the server reads it.
    ///
    /// # Errors
    /// Those of send(2) and accept(2).
    pub fn complete(mut self) -> io::Result<Pair> {
        self.client.write_all(b"x")?;
        let (mut server, _) = self.listener.accept()?;
        server.read_exact(&mut [0])?;
        Ok(Pair { client: self.client, server })
    }
}

/// Waits until a socket that was connected without waiting has an answer, and gives its error (`SO_ERROR`).
///
/// # Errors
/// Those of poll(2) and getsockopt(2).
pub fn answer(socket: &OwnedFd, milliseconds: i32) -> io::Result<Option<io::Error>> {
    let mut waiting = [libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 }];
    // SAFETY: the pointer is to one pollfd and the count says so.
    let ready = sys::checked(unsafe { libc::poll(waiting.as_mut_ptr(), 1, milliseconds) })?;
    if ready == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(rustix::net::sockopt::socket_error(socket)?.err().map(io::Error::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_port_refuses_and_a_full_one_is_silent() -> io::Result<()> {
        for v6 in [false, true] {
            let refusing = Refusing::new(v6)?;
            let error = TcpStream::connect(refusing.addr).expect_err("nobody listens");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let silent = Silent::new(v6)?;
            let socket = connect_without_waiting(silent.addr, 1)?;
            assert_eq!(answer(&socket, 50).expect_err("nobody answers").kind(), io::ErrorKind::TimedOut);
        }
        Ok(())
    }

    #[test]
    fn both_ends_can_close_first_or_at_once() -> io::Result<()> {
        for v6 in [false, true] {
            let mut first = pair(v6)?;
            first.talk(&[7; 100_000])?;
            first.close_client_first()?;
            pair(v6)?.close_server_first()?;
            pair(v6)?.close_simultaneously()?;
            pair(v6)?.reset_by_client()?;
            HalfOpen::new(v6, 30)?.complete()?.close_client_first()?;
        }
        Ok(())
    }
}
