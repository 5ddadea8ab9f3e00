//! What is not TCP: UDP and unix sockets by listings, MPTCP by events.

use anyhow::{Result, ensure};
use netstat_tests::need::{Need, need, skip};
use netstat_tests::{NetNs, Trace, sys};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

const MPTCP: i32 = 262;

fn changes(text: &[u8]) -> Result<Vec<Value>> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
}

/// Waits until a line is as wanted.
fn wait_for(trace: &Trace, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let since = Instant::now();
    loop {
        let told = changes(&trace.so_far()?)?;
        if let Some(line) = told.iter().find(|line| wanted(line)) {
            return Ok(line.clone());
        }
        ensure!(since.elapsed() < Duration::from_secs(30), "no {what} in {told:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn steps(line: &Value) -> (&str, &str) {
    (
        line["enetstat.state.from"].as_str().unwrap_or(""),
        line["network.connection.state"].as_str().unwrap_or(""),
    )
}

#[test]
fn udp_sockets_come_connect_drop_and_go() -> Result<()> {
    let Some(tier) = need(Need::Anything)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let old = UdpSocket::bind("127.0.0.1:0")?;
    let trace = Trace::start(&tier, &["-u"])?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let (port, cookie) = (socket.local_addr()?.port(), sys::cookie(socket.as_fd())?.to_string());
    let of = |line: &Value| line["enetstat.socket.cookie"] == cookie;
    let opened = wait_for(&trace, "opening", |line| of(line) && steps(line) == ("closed", "unconnected"))?;
    ensure!(opened["enetstat.kind"] == "change" && opened["enetstat.learnt"] == "listing", "{opened}");
    ensure!(opened["network.transport"] == "udp" && opened["network.local.port"] == port, "{opened}");
    ensure!(
        opened["process.pid"] == std::process::id() && opened["enetstat.owner.how"] == "held",
        "{opened}"
    );
    // 1024 is as small as the kernel lets it be (SOCK_MIN_RCVBUF); nobody reads.
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 1024i32)?;
    for _ in 0..50 {
        old.send_to(&[0; 1000], socket.local_addr()?)?;
    }
    let dropped = wait_for(&trace, "drop", |line| of(line) && !line["enetstat.dropped"].is_null())?;
    let count: u64 = dropped["enetstat.dropped"].as_str().unwrap_or("").parse()?;
    ensure!(
        (1..50).contains(&count) && dropped["enetstat.drops"] == dropped["enetstat.dropped"],
        "{dropped}"
    );
    socket.connect(old.local_addr()?)?;
    let connected =
        wait_for(&trace, "connect", |line| of(line) && steps(line) == ("unconnected", "established"))?;
    ensure!(connected["network.peer.port"] == old.local_addr()?.port(), "{connected}");
    drop(socket);
    wait_for(&trace, "end", |line| of(line) && steps(line) == ("established", "closed"))?;
    let told = changes(&trace.stop()?.out)?;
    ensure!(told.iter().all(|line| line["network.transport"] == "udp" && of(line)), "{told:#?}");
    Ok(())
}

#[test]
fn unix_sockets_come_and_go() -> Result<()> {
    let Some(tier) = need(Need::Anything)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let trace = Trace::start(&tier, &["-x"])?;
    let name = format!("enetstat-{}", std::process::id());
    let listener = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name)?)?;
    let of = |line: &Value| line["enetstat.unix.path"] == format!("@{name}");
    let opened = wait_for(&trace, "listener", |line| of(line) && steps(line) == ("closed", "listen"))?;
    ensure!(opened["enetstat.unix.type"] == "stream", "{opened}");
    let _client = UnixStream::connect_addr(&listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    wait_for(&trace, "connection", |line| of(line) && steps(line) == ("closed", "established"))?;
    drop((server, listener));
    wait_for(&trace, "end", |line| of(line) && steps(line) == ("listen", "closed"))?;
    trace.stop()?;
    Ok(())
}

fn mptcp_socket() -> std::io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let fd =
        sys::checked(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, MPTCP) })?;
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The calls of `struct sockaddr_in`, which std does not offer for a socket that is made already.
fn address(addr: SocketAddr) -> Result<libc::sockaddr_in> {
    let SocketAddr::V4(addr) = addr else { anyhow::bail!("{addr} is not IPv4") };
    let s_addr = u32::from_ne_bytes(addr.ip().octets());
    Ok(libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr { s_addr },
        sin_zero: [0; 8],
    })
}

/// An MPTCP connection is told of once as what it is, and its subflow as TCP.
#[test]
fn mptcp_is_no_doubled_tcp() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    match mptcp_socket() {
        Ok(_) => {
            let _namespace = NetNs::enter()?;
            // In the namespace: a socket stays where it was made.
            mptcp_in(&tier)
        }
        Err(error) => {
            skip(&format!("this kernel makes no MPTCP sockets: {error}"));
            Ok(())
        }
    }
}

fn mptcp_in(tier: &netstat_tests::need::Tier) -> Result<()> {
    let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let trace = Trace::start(tier, &["-t", "--mptcp"])?;
    let socket = mptcp_socket()?;
    let any = address("127.0.0.1:0".parse()?)?;
    // SAFETY: the address lives until the call returns, and `size` is its size.
    sys::checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const any).cast(), size) })?;
    // SAFETY: no pointer is passed.
    sys::checked(unsafe { libc::listen(socket.as_raw_fd(), 8) })?;
    let listener = TcpListener::from(socket);
    let addr = listener.local_addr()?;
    let socket = mptcp_socket()?;
    let there = address(addr)?;
    // SAFETY: as above.
    sys::checked(unsafe { libc::connect(socket.as_raw_fd(), (&raw const there).cast(), size) })?;
    let mut client = TcpStream::from(socket);
    let own = client.local_addr()?.port();
    let (mut server, _) = listener.accept()?;
    client.write_all(b"hello")?;
    server.read_exact(&mut [0; 5])?;
    drop(client);
    server.read_to_end(&mut Vec::new())?;
    drop(server);
    drop(listener);
    let ended = |line: &Value| {
        line["network.transport"] == "mptcp"
            && line["network.local.port"] == own
            && line["network.connection.state"] == "closed"
    };
    wait_for(&trace, "end of the connection", ended)?;
    let output = trace.stop()?;
    let told = changes(&output.out)?;
    let of = |transport: &str, port: u16| -> Vec<&Value> {
        let of = |line: &&Value| line["network.transport"] == transport && line["network.local.port"] == port;
        told.iter().filter(of).collect()
    };
    let states = |lines: &[&Value]| -> Vec<String> {
        lines.iter().map(|line| line["network.connection.state"].as_str().unwrap_or("").to_owned()).collect()
    };
    let mptcp = states(&of("mptcp", own));
    ensure!(mptcp.first().is_some_and(|state| state == "established"), "{told:#?}");
    ensure!(mptcp.last().is_some_and(|state| state == "closed"), "{told:#?}");
    let client = of("mptcp", own);
    ensure!(client.iter().all(|line| line["process.pid"] == std::process::id()), "{client:#?}");
    ensure!(client.iter().all(|line| line["enetstat.learnt"] == "event"), "{client:#?}");
    // The listener is told of twice: once as what it is, once as the TCP socket that listens for it.
    let listening = |transport: &str| {
        states(&of(transport, addr.port())).iter().filter(|state| *state == "listen").count()
    };
    ensure!((listening("mptcp"), listening("tcp")) == (1, 1), "{told:#?}");
    // One subflow: TCP's established once at each end.
    let established = states(&of("tcp", own)).iter().filter(|state| *state == "established").count();
    ensure!(established == 1, "{told:#?}");
    super::ensure_healthy(&output)
}
