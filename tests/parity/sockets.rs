//! Sockets in as many states as one process can hold them.

use netstat_tests::peer::{ACK, FIN, OWN, Peer};
use netstat_tests::sys;
use netstat_tests::traffic::{HalfOpen, Silent, connect_without_waiting, listener, pair, pair_through};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto, socket_with};
use std::any::Any;
use std::io::{self, Write};
use std::net::{Shutdown, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

/// States that must be among the TCP sockets.
pub const STATES: [&str; 7] =
    ["LISTEN", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT2", "CLOSE_WAIT", "TIME_WAIT"];

/// Open until dropped.
pub struct Sockets(Vec<Box<dyn Any>>);

impl Sockets {
    pub fn open() -> io::Result<Self> {
        let mut all = Self(Vec::new());
        for v6 in [false, true] {
            all.tcp(v6)?;
            all.datagrams(v6)?;
        }
        all.mapped()?;
        all.unix()?;
        Ok(all)
    }

    fn keep(&mut self, socket: impl Any) {
        self.0.push(Box::new(socket));
    }

    fn tcp(&mut self, v6: bool) -> io::Result<()> {
        let accepting = listener(v6)?;
        let mut open = pair_through(&accepting)?;
        // Bytes that nobody reads.
        open.client.write_all(b"hello")?;
        sys::set_option(open.server.as_fd(), libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
        self.keep(open);
        // Not accepted: no inode.
        self.keep(std::net::TcpStream::connect(accepting.local_addr()?)?);
        self.keep(accepting);
        self.keep(HalfOpen::new(v6, 60)?);
        let silent = Silent::new(v6)?;
        self.keep(connect_without_waiting(silent.addr, 6)?);
        self.keep(silent);
        let half = pair(v6)?;
        half.client.shutdown(Shutdown::Write)?;
        self.keep(half);
        // What remains of the client is an orphan without an inode.
        let orphan = pair(v6)?;
        drop(orphan.client);
        self.keep(orphan.server);
        pair(v6)?.close_client_first()
    }

    fn datagrams(&mut self, v6: bool) -> io::Result<()> {
        let any = if v6 { "[::]:0" } else { "0.0.0.0:0" };
        let here = if v6 { "[::1]:0" } else { "127.0.0.1:0" };
        self.keep(UdpSocket::bind(any)?);
        let bound = UdpSocket::bind(here)?;
        let connected = UdpSocket::bind(here)?;
        connected.connect(bound.local_addr()?)?;
        connected.send(b"waits to be read")?;
        self.keep((bound, connected));
        let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let icmp = if v6 { ipproto::ICMPV6 } else { ipproto::ICMP };
        self.keep(socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(icmp))?);
        // A kernel without UDP-Lite has an empty table, which is to be listed too.
        if let Some(protocol) = std::num::NonZeroU32::new(136)
            && let Ok(lite) = socket_with(
                family,
                SocketType::DGRAM,
                SocketFlags::CLOEXEC,
                Some(Protocol::from_raw(protocol)),
            )
        {
            let here: std::net::SocketAddr = here.parse().map_err(io::Error::other)?;
            rustix::net::bind(&lite, &rustix::net::SocketAddrAny::from(here))?;
            self.keep(lite);
        }
        Ok(())
    }

    /// An IPv6 listener that IPv4 connects to.
    fn mapped(&mut self) -> io::Result<()> {
        let both = std::net::TcpListener::bind("[::]:0")?;
        let client = std::net::TcpStream::connect(("127.0.0.1", both.local_addr()?.port()))?;
        let server = both.accept()?;
        self.keep((both, client, server));
        Ok(())
    }

    fn unix(&mut self) -> io::Result<()> {
        let name = SocketAddr::from_abstract_name(b"parity\0abstract")?;
        let abstracted = UnixListener::bind_addr(&name)?;
        // Not accepted: CONNECTING, without an inode.
        self.keep(UnixStream::connect_addr(&name)?);
        self.keep(abstracted);
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("socket");
        let named = UnixListener::bind(&path)?;
        let client = UnixStream::connect(&path)?;
        let server = named.accept()?;
        self.keep((named, client, server));
        self.keep(UnixDatagram::bind(directory.path().join("datagrams"))?);
        self.keep(directory);
        self.keep(UnixStream::pair()?);
        self.keep(UnixDatagram::pair()?);
        self.keep(UnixDatagram::unbound()?);
        self.keep(seqpackets()?);
        Ok(())
    }
}

fn seqpackets() -> io::Result<[OwnedFd; 2]> {
    let (a, b) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok([a, b])
}

/// Sockets whose rows net-tools cuts, misreads or prints as they are: well-known ports, long addresses, and paths with
/// blanks, newlines, control characters and bytes that are no text.
pub fn odd() -> io::Result<Box<dyn Any>> {
    let mut all: Vec<Box<dyn Any>> = Vec::new();
    for address in ["127.0.0.1:22", "[::1]:22", "127.0.0.1:443", "127.0.0.1:25"] {
        let listener = std::net::TcpListener::bind(address)?;
        all.push(Box::new((std::net::TcpStream::connect(address)?, listener)));
    }
    for address in ["127.0.0.1:53", "[::1]:53", "0.0.0.0:123", "127.1.2.3:60177"] {
        all.push(Box::new(UdpSocket::bind(address)?));
    }
    let directory = tempfile::tempdir()?;
    for name in [
        &b"a b"[..],
        b"new\nline",
        b"forged\n0000000000000000: 00000003 00000000 00000000 0001 03 777 @forged",
        b"esc\x1b[31m",
        b"tab\there",
        b"bytes\xff\xfe",
    ] {
        use std::os::unix::ffi::OsStrExt;
        all.push(Box::new(UnixListener::bind(directory.path().join(std::ffi::OsStr::from_bytes(name)))?));
    }
    for name in [&b"abstract with blanks"[..], b"\0\0nul", b" leading"] {
        all.push(Box::new(UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?));
    }
    all.push(Box::new(directory));
    Ok(Box::new(all))
}

/// A listener with a mark that is bound to the loopback interface, for filters.
pub fn marked() -> io::Result<Box<dyn Any>> {
    let listener = std::net::TcpListener::bind("127.0.0.9:7070")?;
    sys::set_option(listener.as_fd(), libc::SOL_SOCKET, libc::SO_MARK, 5)?;
    sys::set_option(listener.as_fd(), libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, 1)?;
    Ok(Box::new(listener))
}

/// States that only a peer holds that does not answer.
pub const HARD: [&str; 3] = ["FIN_WAIT1", "CLOSING", "LAST_ACK"];

/// Connections with `peer` in these states, and a listener whose queue is full, with those who wait before it.
pub fn hard(peer: &Peer) -> anyhow::Result<Box<dyn Any>> {
    let listener = std::net::TcpListener::bind((OWN, 0))?;
    let port = listener.local_addr()?.port();
    let open = || -> anyhow::Result<_> {
        let mut wire = peer.toward(port);
        wire.open()?;
        let (stream, _) = listener.accept()?;
        Ok((wire, stream))
    };
    // Its end is told, and nobody says that it came.
    let (mut wire, first) = open()?;
    first.shutdown(Shutdown::Write)?;
    wire.wait(FIN)?;
    // The same, but the peer's own end comes instead.
    let (mut wire, closing) = open()?;
    let unacked = wire.ack;
    closing.shutdown(Shutdown::Write)?;
    wire.wait(FIN)?;
    wire.seq = wire.send_as(FIN | ACK, wire.seq, unacked)?;
    wire.wait_acked()?;
    // The peer closes first, and does not say that it heard the answer.
    let (mut wire, last) = open()?;
    wire.send(FIN | ACK)?;
    wire.wait_acked()?;
    last.shutdown(Shutdown::Write)?;
    wire.wait(FIN)?;
    let full = std::net::TcpListener::bind("127.0.0.1:0")?;
    rustix::net::listen(&full, 0)?;
    let waiting = [(); 3].map(|()| full.local_addr().and_then(|addr| connect_without_waiting(addr, 6)));
    let waiting = waiting.into_iter().collect::<io::Result<Vec<_>>>()?;
    Ok(Box::new((listener, first, closing, last, full, waiting)))
}
