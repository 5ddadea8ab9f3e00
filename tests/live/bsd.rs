//! BSD's displays of worlds that are known: what is made is shown, and nothing else.

use anyhow::{Context, Result, ensure};
use netstat_tests::need::{Need, need};
use netstat_tests::{NetNs, Peer, peer, program, sys};
use serde_json::Value;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// What `enetstat --bsd` prints; it must succeed.
fn bsd(line: &str) -> Result<String> {
    let words: Vec<&str> = ["--bsd"].into_iter().chain(line.split(' ')).collect();
    let output = program::command(&words)?.output()?;
    ensure!(output.status.success(), "{line}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn json(line: &str) -> Result<Vec<Value>> {
    let text = bsd(&format!("{line} --json"))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output().context("ip")?;
    ensure!(output.status.success(), "ip {words}: {output:?}");
    Ok(())
}

/// The words of the line that has all of `parts`.
fn line<'a>(text: &'a str, parts: &[&str]) -> Result<Vec<&'a str>> {
    let mut found = text.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
    let line = found.next().with_context(|| format!("no line with {parts:?} in:\n{text}"))?;
    Ok(line.split_whitespace().collect())
}

#[test]
fn sockets_and_their_states() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let listener = TcpListener::bind("127.0.0.1:8080")?;
    let dual = TcpListener::bind("[::]:8081")?;
    let only = v6only_listener(8082)?;
    let client = TcpStream::connect("127.0.0.1:8080")?;
    let (server, _) = listener.accept()?;
    std::io::Write::write_all(&mut (&client), b"hello")?;
    let udp = UdpSocket::bind("127.0.0.1:9090")?;
    let port = client.local_addr()?.port();

    let text = bsd("-an")?;
    ensure!(
        text.starts_with(
            "Active Internet connections (including servers)\nProto Recv-Q Send-Q Local Address"
        )
    );
    ensure!(line(&text, &["127.0.0.1.8080 ", "LISTEN"])?[..4] == ["tcp4", "0", "128", "127.0.0.1.8080"]);
    ensure!(line(&text, &["8081", "LISTEN"])?[0] == "tcp46", "{text}");
    ensure!(line(&text, &["8082", "LISTEN"])?[0] == "tcp6", "{text}");
    ensure!(line(&text, &["udp4"])?[3..] == ["127.0.0.1.9090", "*.*"], "{text}");
    let own = format!("127.0.0.1.{port}");
    let row = line(&text, &["127.0.0.1.8080 ", &own, "ESTABLISHED"])?;
    ensure!(row.len() == 6, "{row:?}");
    // What was not read yet is at the server's end.
    let server_row = text.lines().find(|line| line.contains("ESTABLISHED") && line.contains(" 5 "));
    ensure!(server_row.is_some_and(|row| row.contains(&own)), "{text}");

    let text = bsd("-n")?;
    ensure!(!text.contains("LISTEN") && text.contains("ESTABLISHED"), "{text}");
    let text = bsd("-anv -p tcp")?;
    let me = format!(":{}", std::process::id());
    ensure!(line(&text, &["8081"])?.last().is_some_and(|word| word.ends_with(&me)), "{text}");

    let rows = json("-an -p tcp")?;
    let established = |row: &&Value| row["network.connection.state"] == "established";
    let sent: Vec<&Value> = rows.iter().filter(established).collect();
    ensure!(sent.len() == 2, "{rows:#?}");
    ensure!(sent.iter().any(|row| row["enetstat.bytes.sent"] == "5" && row["network.local.port"] == port));
    ensure!(
        sent.iter().all(|row| row["enetstat.tcp.congestion"].is_string() && row["enetstat.tcp.mss"].is_u64())
    );
    let text = bsd("-anb -p tcp")?;
    ensure!(
        line(&text, &["ESTABLISHED", &format!("127.0.0.1.8080         {own}")])?[6..] == ["5", "0"],
        "{text}"
    );
    for (options, titles) in
        [("-anx", "rcvtime"), ("-anT", "OOORcv"), ("-anC", "ssthresh"), ("-anA", "Tcpcb")]
    {
        let text = bsd(options)?;
        ensure!(text.contains(titles) && text.contains(&own), "{options}: {text}");
    }

    // Closed on one side, with everything read: the other one waits.
    std::io::Read::read_exact(&mut (&server), &mut [0; 5])?;
    drop(server);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text = bsd("-n -p tcp")?;
        if text.contains("CLOSE_WAIT") && text.contains("FIN_WAIT_2") {
            break;
        }
        ensure!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop((client, dual, only, udp));
    Ok(())
}

fn v6only_listener(port: u16) -> Result<TcpListener> {
    let socket = sys::stream_socket(true, libc::SOCK_CLOEXEC)?;
    sys::set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1_i32)?;
    let addr = std::net::SocketAddrV6::new(std::net::Ipv6Addr::UNSPECIFIED, port, 0, 0);
    rustix::net::bind(&socket, &addr)?;
    rustix::net::listen(&socket, 5)?;
    Ok(TcpListener::from(socket))
}

#[test]
fn bound_sockets_and_devices() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let socket = sys::stream_socket(false, libc::SOCK_CLOEXEC)?;
    let addr = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 7070);
    rustix::net::bind(&socket, &addr)?;
    let device = UdpSocket::bind("0.0.0.0:7071")?;
    sys::set_option(device.as_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, *b"lo\0\0")?;
    let text = bsd("-an")?;
    ensure!(text.contains("*%lo.7071"), "{text}");
    if kernel() < (6, 8) {
        return Ok(());
    }
    ensure!(line(&text, &["127.0.0.1.7070"])?[5] == "CLOSED", "{text}");
    ensure!(!bsd("-n")?.contains("7070"));
    let text = bsd("--bound -n")?;
    ensure!(text.lines().count() == 3 && text.contains("127.0.0.1.7070"), "{text}");
    let rows = json("--bound -n")?;
    ensure!(rows.len() == 1 && rows[0]["enetstat.bound_only"] == true, "{rows:#?}");
    ensure!(rows[0]["network.local.port"] == 7070);
    Ok(())
}

/// Major and minor number of the running kernel.
fn kernel() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut parts = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[test]
fn queues_of_listeners() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let namespace = NetNs::enter()?;
    let peer = Peer::new(&namespace)?;
    let socket = sys::stream_socket(false, libc::SOCK_CLOEXEC)?;
    rustix::net::bind(&socket, &std::net::SocketAddrV4::new(peer::OWN, 81))?;
    rustix::net::listen(&socket, 3)?;
    // Two that are established and wait for accept, three that never send their last ACK.
    let _waiting = [TcpStream::connect((peer::OWN, 81))?, TcpStream::connect((peer::OWN, 81))?];
    let mut half_open = Vec::new();
    for _ in 0..3 {
        let mut wire = peer.toward(81);
        wire.send(peer::SYN)?;
        wire.wait(peer::SYN | peer::ACK)?;
        half_open.push(wire);
    }
    let text = bsd("-Ln")?;
    ensure!(text.starts_with(
        "Current listen queue sizes (qlen/incqlen/maxqlen)\nProto Listen         Local Address\n"
    ));
    ensure!(line(&text, &[".81"])?[..] == ["tcp4", "2/3/3", "10.7.0.1.81"], "{text}");
    let rows = json("-L")?;
    let ours = rows.iter().find(|row| row["network.local.port"] == 81).context("no listener")?;
    ensure!(ours["enetstat.listen.waiting"] == 2 && ours["enetstat.listen.incomplete"] == 3, "{ours}");
    ensure!(ours["enetstat.listen.limit"] == 3);

    let directory = tempfile::tempdir()?;
    let path = directory.path().join("a listener");
    let _unix = UnixListener::bind(&path)?;
    let _connected = UnixStream::connect(&path)?;
    let text = bsd("-L")?;
    let row = line(&text, &["a listener"])?;
    ensure!(row[0] == "unix" && row[1].starts_with("1/0/"), "{row:?}");
    ensure!(!bsd("-L -f inet")?.contains("a listener"));
    Ok(())
}

#[test]
fn unix_peers_packets_and_netlink() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("peer of\nmine");
    let listener = UnixListener::bind(&path)?;
    let _client = UnixStream::connect(&path)?;
    let (_server, _) = listener.accept()?;
    let text = bsd("-f unix -v")?;
    let shown = format!("-> {}/peer of\\x0amine", directory.path().display());
    let row = line(&text, &[&shown])?;
    let me = format!(":{}", std::process::id());
    ensure!(row.iter().filter(|word| word.ends_with(&me)).count() >= 1, "{text}");
    let rows = json("-f unix -v")?;
    let path = path.to_str().context("no text")?;
    let client = rows.iter().find(|row| row["enetstat.unix.peer.path"] == path).context("no peer")?;
    ensure!(client["enetstat.unix.peer.holders"][0]["process.pid"] == std::process::id(), "{client}");
    let server = rows
        .iter()
        .find(|row| row["enetstat.unix.path"] == path && row["enetstat.unix.state"] == "connected");
    ensure!(server.is_some_and(|row| row["enetstat.unix.peer.inode"].is_u64()), "{rows:#?}");

    // SAFETY: no pointer is passed.
    let packet =
        sys::checked(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new, and nobody else has it.
    let _packet = unsafe { OwnedFd::from_raw_fd(packet) };
    let rows = json("-f link -v")?;
    ensure!(rows.len() == 1 && rows[0]["network.transport"] == "packet", "{rows:#?}");
    ensure!(rows[0]["enetstat.holders"][0]["process.pid"] == std::process::id());
    let text = bsd("-B")?;
    ensure!(line(&text, &[&std::process::id().to_string()])?[1] == "*", "{text}");
    let text = bsd("-f link")?;
    ensure!(line(&text, &["raw", "none"])?[5] == "*", "{text}");
    let text = bsd("-f route")?;
    ensure!(text.contains("rtnl") && text.contains("genl"), "{text}");
    Ok(())
}

#[test]
fn routes_neighbours_and_next_hops() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    for words in [
        "link add veth0 type veth peer name veth1",
        "link set veth0 up",
        "link set veth1 up",
        "addr add 10.1.0.1/16 dev veth0",
        "-6 addr add 2001:db8:1::1/64 dev veth0 nodad",
        "route add default via 10.1.0.254",
        "route add 10.9.0.0/23 nexthop via 10.1.0.2 weight 3 nexthop via 10.1.0.3",
        "route add blackhole 10.20.0.0/16",
        "route add unreachable 10.21.0.0/16",
        "route add 192.0.2.7/32 via 10.1.0.3 proto dhcp",
        "route add 10.40.0.0/16 via 10.1.0.2 table 100",
        "-6 route add 2001:db8:2::/48 via 2001:db8:1::2",
        "neigh add 10.1.0.254 lladdr 00:13:21:61:b2:27 dev veth0 nud reachable",
        "nexthop add id 7 via 10.1.0.9 dev veth0",
        "nexthop add id 8 via 10.1.0.8 dev veth0",
        "nexthop add id 9 group 7,3/8",
    ] {
        ip(words)?;
    }
    let text = bsd("-rn")?;
    ensure!(
        text.starts_with("Routing tables\n\nInternet:\nDestination        Gateway            Flags"),
        "{text}"
    );
    for (destination, wanted) in [
        ("default ", &["default", "10.1.0.254", "UGS", "veth0"][..]),
        ("10.20/16", &["10.20/16", "-", "USB", "-"]),
        ("10.21/16", &["10.21/16", "-", "URS", "-"]),
        ("192.0.2.7 ", &["192.0.2.7", "10.1.0.3", "UGH1", "veth0"]),
        ("2001:db8:2::/48", &["2001:db8:2::/48", "2001:db8:1::2", "UGS", "veth0"]),
    ] {
        ensure!(line(&text, &[destination])?[..] == *wanted, "{destination}: {text}");
    }
    // Both ways out.
    ensure!(text.lines().filter(|line| line.starts_with("10.9.0/23 ")).count() == 2, "{text}");
    ensure!(line(&text, &["10.1/16"])?[2] == "UC", "{text}");
    ensure!(!text.contains("10.40/16") && !text.contains("UHLW"), "{text}");
    ensure!(bsd("-rn -F 100")?.contains("10.40/16"));
    let text = bsd("-rna")?;
    ensure!(
        line(&text, &["0:13:21:61:b2:27"])?[..4] == ["10.1.0.254", "0:13:21:61:b2:27", "UHLW", "veth0"],
        "{text}"
    );
    ensure!(line(&text, &["10.1.0.1 "])?[2] == "UHL", "{text}");
    let rows = json("-rna")?;
    ensure!(rows.iter().any(|row| row["enetstat.neighbour.hardware.address"] == "00132161b227"), "{rows:#?}");
    ensure!(bsd("-rs")?.contains("incoming packets that a route was looked up for"));
    let text = bsd("-on -4")?;
    ensure!(line(&text, &["10.1.0.9"])?[..2] == ["7", "v4/gw"], "{text}");
    let text = bsd("-On")?;
    ensure!(line(&text, &["10.1.0.9"])?[..3] == ["9", "7", "3"], "{text}");
    ensure!(line(&text, &["10.1.0.8"])?[..2] == ["8", "1"], "{text}");
    let groups = json("-O")?;
    ensure!(
        groups.len() == 1 && groups[0]["enetstat.nexthop.group"] == serde_json::json!([[7, 3], [8, 1]]),
        "{groups:#?}"
    );
    Ok(())
}

#[test]
fn interfaces_groups_and_intervals() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let namespace = NetNs::enter()?;
    ip("link add veth0 type veth peer name veth1")?;
    ip("addr add 10.1.2.1/24 dev veth0")?;
    ip("link set veth0 up")?;
    let member = UdpSocket::bind("10.1.2.1:5000")?;
    member.join_multicast_v4(&"239.1.2.3".parse()?, &"10.1.2.1".parse()?)?;
    let text = bsd("-ian")?;
    ensure!(line(&text, &["veth1*"])?[2].starts_with("<Link#"), "{text}");
    ensure!(line(&text, &["10.1.2.1"])?[..4] == ["veth0", "-", "10.1.2/24", "10.1.2.1"], "{text}");
    ensure!(line(&text, &["239.1.2.3"])?[..] == ["239.1.2.3"], "{text}");
    ensure!(line(&text, &["1:0:5e:1:2:3"]).is_ok(), "{text}");
    let text = bsd("-gan")?;
    ensure!(line(&text, &["239.1.2.3"])?[..] == ["239.1.2.3", "1:0:5e:1:2:3", "veth0"], "{text}");
    ensure!(text.contains("IPv4 Virtual Interface Table is empty\n"), "{text}");
    ensure!(bsd("-I lo -bn")?.lines().all(|line| !line.contains("veth")));

    // 100 datagrams of 100 bytes while it counts: with their headers 128 bytes each.
    let mut child = program::command(&["--bsd", "-w", "1", "-q", "3", "-I", "lo", "--json"])?;
    let child = child.stdout(std::process::Stdio::piped()).spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let to = receiver.local_addr()?;
    for _ in 0..100 {
        receiver.send_to(&[0; 100], to)?;
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{output:?}");
    let rows: Vec<Value> =
        std::str::from_utf8(&output.stdout)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(rows.len() == 3, "{rows:#?}");
    let sum =
        |field: &str| -> u64 { rows.iter().filter_map(|row| row[field].as_str()?.parse::<u64>().ok()).sum() };
    ensure!(sum("enetstat.interval.rx.packets") == 100, "{rows:#?}");
    ensure!(sum("enetstat.interval.tx.bytes") == 100 * 128, "{rows:#?}");

    let elsewhere = bsd(&format!("-j {} -i -n", std::process::id()))?;
    ensure!(
        !elsewhere.contains("veth0"),
        "the process is in another namespace than this thread: {elsewhere}"
    );
    ensure!(namespace.inum() != 0);
    let output = program::command(&["--bsd", "-s", "-p", "udp"])?.output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.starts_with("udp:\n\t") && text.contains("\n\t100 packets sent\n"), "{text}");
    Ok(())
}
