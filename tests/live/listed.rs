//! What a listing reads with programs in the kernel is what sock_diag tells, byte for byte and in the same order.

use anyhow::{Context, Result, ensure};
use netstat_tests::crowd::{Crowd, Plan};
use netstat_tests::need::{Need, has_walk, need, skip};
use netstat_tests::storm::Storm;
use netstat_tests::{NetNs, program, scale, sys, traffic};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A namespace, where this kernel has what the walk takes.
fn start() -> Result<Option<NetNs>> {
    if need(Need::Anything)?.is_none() {
        return Ok(None);
    }
    if has_walk() {
        return Ok(Some(NetNs::enter()?));
    }
    // It must say so.
    let said = list("-tan", "bpf")?;
    ensure!(said.status.code() == Some(2), "{said:?}");
    let words = String::from_utf8_lossy(&said.stderr);
    ensure!(words.starts_with("enetstat: --tier bpf: "), "{words}");
    skip(&format!("no walk over the kernel's table of connections here: {}", words.trim()));
    Ok(None)
}

/// The listing begins when whoever starts it has started it: until then that has a pair of unix sockets, by which it learns
/// whether the program runs.
fn list(words: &str, tier: &str) -> Result<Output> {
    let mut command = Command::new("sh");
    command.args(["-c", "read -r _ && exec \"$0\" \"$@\" </dev/null"]).arg(program::find("enetstat")?);
    command.args(words.split_ascii_whitespace()).args(["--tier", tier]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    sys::die_with_parent(&mut command);
    let mut child = command.spawn().context("listing")?;
    child.stdin.take().context("no stdin")?.write_all(b"\n")?;
    child.wait_with_output().context("listing")
}

/// The same from both, or where they differ.
fn ensure_same(words: &str) -> Result<String> {
    let (walked, dumped) = (list(words, "bpf")?, list(words, "netlink")?);
    ensure!(walked.status.success() && dumped.status.success(), "{words}: {walked:?} {dumped:?}");
    ensure!(walked.stderr.is_empty(), "{words}: {}", String::from_utf8_lossy(&walked.stderr));
    let (walked, dumped) = (String::from_utf8(walked.stdout)?, String::from_utf8(dumped.stdout)?);
    let differ = walked.lines().zip(dumped.lines()).find(|(one, other)| one != other);
    ensure!(walked == dumped, "{words}: {differ:#?}\n{walked}\n{dumped}");
    Ok(walked)
}

/// Waits until what was just closed is acknowledged.
fn come_to_rest() -> Result<()> {
    let until = Instant::now() + REST;
    while String::from_utf8(list("-tan", "netlink")?.stdout)?.contains(" FIN_WAIT1 ") {
        ensure!(Instant::now() < until, "a FIN is not acknowledged");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// How long an acknowledgment on the loopback device may take before it is taken for lost.
const REST: Duration = Duration::from_secs(60);

#[test]
fn a_socket_in_every_state_is_the_same_from_both() -> Result<()> {
    let Some(elsewhere) = start()? else { return Ok(()) };
    // What is in another namespace is in the same table of the kernel, and not shown.
    let _foreign = traffic::pair(false)?;
    let _namespace = NetNs::enter()?;
    let mut kept = Vec::new();
    for v6 in [false, true] {
        let listener = traffic::listener(v6)?;
        let mut established = traffic::pair_through(&listener)?;
        // Bytes that nobody has read, and one that was.
        established.client.write_all(&[7; 1000])?;
        established.talk(b"x")?;
        established.server.write_all(&[7; 500])?;
        let half_closed = traffic::pair_through(&listener)?;
        half_closed.client.shutdown(std::net::Shutdown::Write)?;
        let orphaned = traffic::pair_through(&listener)?;
        drop(orphaned.client);
        traffic::pair_through(&listener)?.close_client_first()?;
        let half_open = traffic::HalfOpen::new(v6, 60)?;
        let silent = traffic::Silent::new(v6)?;
        let waiting = traffic::connect_without_waiting(silent.addr, 6)?;
        // Never accepted.
        let queued = std::net::TcpStream::connect(listener.local_addr()?)?;
        kept.push((listener, established, half_closed, orphaned.server, half_open, silent, waiting, queued));
    }
    // IPv4 by a socket of IPv6.
    let mapped = std::net::TcpListener::bind("[::]:0")?;
    let port = mapped.local_addr()?.port();
    let client = std::net::TcpStream::connect(("127.0.0.1", port))?;
    let accepted = mapped.accept()?;
    come_to_rest()?;
    for words in ["-tan", "-tn", "-tan4", "-tan6", "-tn6", "-tanW", "-tanp", "-tnp", "-tuxanp", "-tanH"] {
        let text = ensure_same(words)?;
        if words != "-tan" {
            continue;
        }
        for state in ["ESTABLISHED", "FIN_WAIT2", "CLOSE_WAIT", "TIME_WAIT", "SYN_RECV", "SYN_SENT", "LISTEN"]
        {
            for protocol in ["tcp ", "tcp6 "] {
                let found = text.lines().any(|line| line.starts_with(protocol) && line.contains(state));
                ensure!(found, "no {protocol}in {state}: it was not compared\n{text}");
            }
        }
        let queues = |line: &str, cell: &str| line.split_ascii_whitespace().nth(1) == Some(cell);
        ensure!(
            text.lines().any(|line| queues(line, "1000") || queues(line, "999")),
            "nothing unread\n{text}"
        );
        ensure!(
            text.contains("127.0.0.1:")
                && text.lines().any(|line| line.starts_with("tcp6") && line.contains("127.0.0.1")),
            "{text}"
        );
    }
    drop((kept, client, accepted, elsewhere));
    Ok(())
}

#[test]
fn more_sockets_than_one_run_takes_are_the_same_from_both() -> Result<()> {
    let Some(namespace) = start()? else { return Ok(()) };
    namespace.sysctl("ipv4/ip_local_port_range", "1024 65535")?;
    let crowd = Crowd::gather(&Plan { sockets: 6_000, processes: 3, files: 3 })?;
    for words in ["-tan", "-tanp"] {
        let text = ensure_same(words)?;
        let rows = text.lines().filter(|line| line.contains("127.1.0.")).count() as u64;
        ensure!(rows == crowd.rows, "{rows} rows of {}", crowd.rows);
    }
    Ok(())
}

/// Each program that holds a socket counts: a child that inherited it, and one that closed its copy.
#[test]
fn sockets_of_several_processes_are_counted_alike() -> Result<()> {
    let Some(_namespace) = start()? else { return Ok(()) };
    let pair = traffic::pair(false)?;
    rustix::io::fcntl_setfd(&pair.client, rustix::io::FdFlags::empty())?;
    let mut children = Vec::new();
    for _ in 0..2 {
        children.push(std::process::Command::new("sleep").arg("60").spawn().context("sleep")?);
    }
    let same = ensure_same("-tanp").and_then(|text| {
        // The children, and the listing itself.
        ensure!(text.contains(" +3"), "three more hold it\n{text}");
        Ok(())
    });
    for child in &mut children {
        child.kill()?;
        child.wait()?;
    }
    same
}

/// Programs that stay loaded are asked again and again, and tell who holds what each time, also when it is one process
/// alone.
#[test]
fn every_round_of_a_listing_names_the_programs() -> Result<()> {
    let Some(_namespace) = start()? else { return Ok(()) };
    let pair = traffic::pair(false)?;
    rustix::io::fcntl_setfd(&pair.client, rustix::io::FdFlags::empty())?;
    let program = program::find("enetstat")?;
    // In a PID namespace of its own there is nobody else.
    let mut child = std::process::Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(program)
        .args(["-tnpc", "--tier", "bpf"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("unshare")?;
    let out = child.stdout.take().context("no pipe")?;
    let local = shown(pair.client.local_addr()?);
    let rows = std::io::BufRead::lines(std::io::BufReader::new(out))
        .map_while(Result::ok)
        .filter(|line| line.split_ascii_whitespace().nth(3) == Some(&local))
        .take(3)
        .collect::<Vec<_>>();
    child.kill()?;
    child.wait()?;
    ensure!(rows.len() == 3 && rows.iter().all(|row| row.contains(" 1/enetstat")), "{rows:#?}");
    Ok(())
}

/// The table is read without a lock while others change it.
#[test]
fn what_stays_is_neither_missed_nor_doubled_whatever_comes_and_goes() -> Result<()> {
    let Some(namespace) = start()? else { return Ok(()) };
    namespace.sysctl("ipv4/ip_local_port_range", "1024 65535")?;
    let pairs: Vec<_> = (0..300).map(|index| traffic::pair(index % 2 == 1)).collect::<Result<_, _>>()?;
    let mut ends = Vec::new();
    for pair in &pairs {
        for socket in [&pair.client, &pair.server] {
            ends.push((shown(socket.local_addr()?), shown(socket.peer_addr()?)));
        }
    }
    let connections = scale("ENETSTAT_TEST_CONNECTIONS", 20_000)?.min(20_000).to_string();
    let storm = Storm::start(&["--connections", &connections, "--v4", "--v6"])?;
    let (begin, mut listings) = (Instant::now(), 0);
    while listings < 5 || begin.elapsed() < Duration::from_secs(5) {
        let listed = list("-tan", "bpf")?;
        ensure!(listed.status.success(), "{listed:?}");
        let text = String::from_utf8(listed.stdout)?;
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
        for (local, foreign) in &ends {
            let found = rows
                .iter()
                .filter(|row| row.get(3) == Some(&local.as_str()) && row.get(4) == Some(&foreign.as_str()))
                .count();
            ensure!(found == 1, "{local} {foreign} is there {found} times in listing {listings}");
        }
        listings += 1;
    }
    storm.finish()?;
    Ok(())
}

/// A socket that is closed leaves its memory to the next one, which may be another program's: the name must not be left to it.
#[test]
fn no_socket_has_the_program_of_the_one_before_it() -> Result<()> {
    let Some(namespace) = start()? else { return Ok(()) };
    namespace.sysctl("ipv4/ip_local_port_range", "1024 65535")?;
    // What waits for a minute has no program, and only takes time.
    namespace.sysctl("ipv4/tcp_max_tw_buckets", "0")?;
    // So that a pass takes a while.
    let _crowd = Crowd::gather(&Plan { sockets: 4_000, processes: 2, files: 500 })?;
    let connections = (10 * scale("ENETSTAT_TEST_CONNECTIONS", 20_000)?.min(20_000)).to_string();
    let storm = Storm::start(&["--connections", &connections, "--processes", "4", "--v4"])?;
    let (begin, mut named) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(8) {
        let listed = list("-tanp", "bpf")?;
        ensure!(listed.status.success(), "{listed:?}");
        let text = String::from_utf8(listed.stdout)?;
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
        // Whoever listens at a port is the one who has its connections.
        let mut servers = std::collections::HashMap::new();
        for row in rows.iter().filter(|row| row.get(5) == Some(&"LISTEN")) {
            servers.insert(row[3], row[6]);
        }
        for row in rows.iter().filter(|row| row.get(5).is_some_and(|state| *state != "LISTEN")) {
            let (Some(server), Some(&program)) = (servers.get(row[3]), row.get(6)) else { continue };
            ensure!(program == "-" || program == *server, "{row:?} is {server}'s");
            named += u32::from(program != "-");
        }
    }
    storm.finish()?;
    ensure!(named > 0, "no connection was named");
    Ok(())
}

fn shown(addr: std::net::SocketAddr) -> String {
    format!("{}:{}", addr.ip(), addr.port())
}
