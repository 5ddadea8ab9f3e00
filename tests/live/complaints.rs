//! What users of other tracers complain about, and had no test of its own yet. README.md in this directory has them all.

use crate::{ensure_healthy, of, steps};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{
    Close, CloseWait, Established, FinWait2, LastAck, Listen, SynRecv, SynSent, TimeWait,
};
use netstat_tests::json::{Kind, Line};
use netstat_tests::need::{Need, Tier, need};
use netstat_tests::peer::{ACK, PEER, RST};
use netstat_tests::{Actor, NetNs, Scene, Story, Trace, sys, traffic};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// For what has happened and only needs to be told.
const SOON: Duration = Duration::from_secs(10);

/// A trace of an own namespace, where what it said is waited for.
struct Told {
    trace: Trace,
    _namespace: NetNs,
}

impl Told {
    fn begin(words: &[&str]) -> Result<Option<Self>> {
        let Some(tier) = need(Need::Events)? else { return Ok(None) };
        let namespace = NetNs::enter()?;
        Ok(Some(Self { trace: Trace::start(&tier, words)?, _namespace: namespace }))
    }

    /// Ends when each of these sockets has come to its end; gives all lines.
    fn ended(mut self, cookies: &[u64]) -> Result<Vec<Line>> {
        let over = |lines: &[Line], cookie: u64| {
            let mut lines = lines.iter().filter(|line| line.cookie == Some(cookie));
            lines.any(|line| matches!(line.state, Some(Close | TimeWait)))
        };
        let (lines, seen) =
            self.trace.wait_for(SOON, |lines| cookies.iter().all(|&cookie| over(lines, cookie)))?;
        ensure!(seen, "{cookies:?} have not ended: {lines:#?}");
        let output = self.trace.stop()?;
        ensure_healthy(&output)?;
        output.lines()
    }
}

/// The last line of a socket that has totals.
fn totals(lines: &[Line], cookie: u64) -> Result<(u64, u64)> {
    let with = of(lines, cookie).filter_map(|line| line.sent.zip(line.received)).last();
    with.with_context(|| format!("no totals of {cookie}: {lines:#?}"))
}

/// elastic/ebpf 217: a connection on which nothing was said has an end all the same.
#[test]
fn a_connection_without_a_word_has_its_end_told() -> Result<()> {
    let Some(told) = Told::begin(&["--close"])? else { return Ok(()) };
    let pair = traffic::pair(false)?;
    let (client, server) = pair.cookies()?;
    pair.close_by_turns()?;
    for line in told.ended(&[client, server])?.iter().filter(|line| line.kind == Kind::Connection) {
        ensure!((line.sent, line.received) == (Some(0), Some(0)), "{line:?}");
        ensure!(line.reason.as_deref() == Some("closed") && line.error.is_none(), "{line:?}");
    }
    Ok(())
}

/// A connection is over for the process that has closed it, though the peer takes its time.
#[test]
fn what_its_process_has_closed_is_told_before_the_peer_closes() -> Result<()> {
    let Some(mut told) = Told::begin(&["--close"])? else { return Ok(()) };
    let pair = traffic::pair(false)?;
    let (client, server) = pair.cookies()?;
    let traffic::Pair { client: closing, server: waiting } = pair;
    drop(closing);
    traffic::ended(&waiting)?;
    let is_over = |line: &Line| line.kind == Kind::Connection && line.cookie == Some(client);
    let (lines, seen) = told.trace.wait_for(SOON, |lines| lines.iter().any(is_over))?;
    ensure!(seen, "{client} is not over: {lines:#?}");
    drop(waiting);
    let lines = told.ended(&[server])?;
    let mut over = lines.iter().filter(|line| is_over(line));
    let (Some(line), None) = (over.next(), over.next()) else { anyhow::bail!("{lines:#?}") };
    // How it ends is not known yet, but who closed first is.
    ensure!((line.state, line.reason.as_deref()) == (Some(FinWait2), None), "{line:?}");
    ensure!(line.first.as_deref() == Some("local"), "{line:?}");
    Ok(())
}

/// open-telemetry-ebpf-instrumentation 1919: neither a usual end nor that of a listener is a failure.
#[test]
fn what_ends_as_it_should_names_no_error() -> Result<()> {
    let Some(told) = Told::begin(&[])? else { return Ok(()) };
    let listener = traffic::listener(true)?;
    let gone = sys::cookie(listener.as_fd())?;
    let pair = traffic::pair_through(&listener)?;
    let (client, server) = pair.cookies()?;
    drop(listener);
    pair.close_server_first()?;
    let lines = told.ended(&[client, server, gone])?;
    ensure!(lines.iter().all(|line| line.error.is_none()), "{lines:#?}");
    ensure!(steps(&lines, gone) == [(Close, Listen), (Listen, Close)], "{lines:#?}");
    ensure!(of(&lines, gone).all(|line| line.reason.is_none()), "{lines:#?}");
    Ok(())
}

/// rustnet 87 and 376: programs name their threads; the connection is the program's.
#[test]
fn a_thread_has_the_name_of_its_process() -> Result<()> {
    let Some(told) = Told::begin(&[])? else { return Ok(()) };
    let listener = traffic::listener(false)?;
    let thread = std::thread::Builder::new().name("Socket Thread".to_owned());
    let addr = listener.local_addr()?;
    let client = thread.spawn(move || TcpStream::connect(addr))?;
    let client = sys::joined(client.join())??;
    let (server, _) = listener.accept()?;
    let pair = traffic::Pair { client, server };
    let (client, server) = pair.cookies()?;
    pair.close_client_first()?;
    let own = std::fs::read_to_string("/proc/self/comm")?;
    for line in of(&told.ended(&[client, server])?, client) {
        ensure!(line.comm.as_deref() == Some(own.trim_end()), "{line:?}");
    }
    Ok(())
}

/// What is there before the trace begins.
fn before(act: impl FnOnce(&Tier) -> Result<()>) -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    act(&tier)
}

/// tracee 2739: who listened before the trace is the owner of what comes later, at the first line.
#[test]
fn a_listener_from_before_owns_its_children() -> Result<()> {
    before(|tier| {
        let mut server = Actor::start()?;
        let addr = server.listen(false)?;
        let mut trace = Trace::start(tier, &[])?;
        let client = TcpStream::connect(addr)?;
        let local = client.local_addr()?;
        let (lines, seen) = trace.wait_for(SOON, |lines| {
            lines.iter().any(|line| line.peer == Some(local) && line.state == Some(Established))
        })?;
        ensure!(seen, "{lines:#?}");
        for line in lines.iter().filter(|line| line.peer == Some(local)) {
            ensure!(line.pid == Some(server.pid()) && line.how.as_deref() == Some("inherited"), "{line:?}");
        }
        trace.stop()?;
        Ok(())
    })
}

/// retina 919 and pixie 1833: of a connection from before, both addresses are known, and which end called is not guessed.
#[test]
fn a_connection_from_before_has_its_addresses_and_no_guessed_direction() -> Result<()> {
    before(|tier| {
        let mut pair = traffic::pair(true)?;
        let (client, server) = pair.cookies()?;
        let ends = (pair.client.local_addr()?, pair.server.local_addr()?);
        let mut trace = Trace::start(tier, &[])?;
        // An ACK is no sign of who called.
        pair.talk(b"words")?;
        pair.close_server_first()?;
        let over = |lines: &[Line]| steps(lines, client).contains(&(LastAck, Close));
        let (lines, seen) = trace.wait_for(SOON, over)?;
        ensure!(seen, "{lines:#?}");
        for (cookie, (local, peer)) in [(client, ends), (server, (ends.1, ends.0))] {
            for line in of(&lines, cookie) {
                ensure!((line.local, line.peer) == (Some(local), Some(peer)) && line.preexisting, "{line:?}");
            }
        }
        let output = trace.stop()?;
        let text = String::from_utf8(output.out)?;
        ensure!(!text.contains("enetstat.role"), "{text}");
        Ok(())
    })
}

/// tcptracer-bpf 34: many threads that wait in accept do not hide what others accept.
#[test]
fn many_waiting_threads_hide_no_accept() -> Result<()> {
    const THREADS: usize = 30;
    let Some(told) = Told::begin(&[])? else { return Ok(()) };
    let listeners = (0..THREADS).map(|_| traffic::listener(false)).collect::<Result<Vec<_>, _>>()?;
    let ours = traffic::listener(false)?;
    let mut cookies = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let waiting: Vec<_> = listeners.iter().map(|listener| scope.spawn(|| listener.accept())).collect();
        // Until they wait.
        std::thread::sleep(Duration::from_millis(100));
        for _ in 0..THREADS {
            let pair = traffic::pair_through(&ours)?;
            cookies.extend(<[u64; 2]>::from(pair.cookies()?));
            pair.reset_by_client()?;
        }
        for (listener, waiting) in listeners.iter().zip(waiting) {
            let client = TcpStream::connect(listener.local_addr()?)?;
            let (server, _) = sys::joined(waiting.join())??;
            let pair = traffic::Pair { client, server };
            cookies.extend(<[u64; 2]>::from(pair.cookies()?));
            pair.reset_by_client()?;
        }
        Ok(())
    })?;
    let lines = told.ended(&cookies)?;
    for &cookie in &cookies {
        let end = of(&lines, cookie).last().context("no line")?;
        ensure!(end.pid == Some(std::process::id()), "{end:?}");
        ensure!(end.how.as_deref().is_some_and(|how| how != "inherited"), "{end:?}");
    }
    Ok(())
}

/// inspektor-gadget 1573: who closes its copy of a listener does not take it from the others.
#[test]
fn a_closed_copy_of_a_listener_leaves_it_its_owner() -> Result<()> {
    let Some(told) = Told::begin(&[])? else { return Ok(()) };
    let listener = traffic::listener(false)?;
    let gone = sys::cookie(listener.as_fd())?;
    drop(listener.try_clone()?);
    let pair = traffic::pair_through(&listener)?;
    let (client, server) = pair.cookies()?;
    pair.reset_by_client()?;
    drop(listener);
    let lines = told.ended(&[client, server, gone])?;
    ensure!(steps(&lines, gone) == [(Close, Listen), (Listen, Close)], "{lines:#?}");
    let born = of(&lines, server).find(|line| line.step() == Some((Listen, SynRecv))).context("no birth")?;
    ensure!(born.pid == Some(std::process::id()), "{born:?}");
    Ok(())
}

/// bcc 5352: bytes are counted once, however they are read.
#[test]
fn bytes_that_are_read_one_by_one_are_counted_once() -> Result<()> {
    const BYTES: usize = 3000;
    let Some(told) = Told::begin(&[])? else { return Ok(()) };
    let mut pair = traffic::pair(false)?;
    let (client, server) = pair.cookies()?;
    pair.client.write_all(&[7; BYTES])?;
    for _ in 0..BYTES {
        pair.server.peek(&mut [0])?;
        pair.server.read_exact(&mut [0])?;
    }
    pair.close_client_first()?;
    let lines = told.ended(&[client, server])?;
    ensure!(totals(&lines, client)? == (BYTES as u64, 0), "{lines:#?}");
    ensure!(totals(&lines, server)? == (0, BYTES as u64), "{lines:#?}");
    Ok(())
}

/// bcc 2440: what a program wanted to send is not what it sent.
#[test]
fn what_did_not_fit_was_not_sent() -> Result<()> {
    let Some(told) = Told::begin(&[])? else { return Ok(()) };
    let mut pair = traffic::pair(true)?;
    let (client, server) = pair.cookies()?;
    pair.client.set_nonblocking(true)?;
    let large = vec![7; 64 << 20];
    let took = pair.client.write(&large)?;
    ensure!(took < large.len(), "all of it fitted");
    ensure!(pair.client.write(&large).is_err() || took > 0, "nothing was taken");
    pair.client.shutdown(std::net::Shutdown::Write)?;
    let read = pair.server.read_to_end(&mut Vec::new())? as u64;
    drop(pair);
    let lines = told.ended(&[client, server])?;
    ensure!(totals(&lines, client)? == (read, 0), "{read}: {lines:#?}");
    ensure!(totals(&lines, server)? == (0, read), "{read}: {lines:#?}");
    Ok(())
}

/// bcc 3957: what the kernel sends from a file (sendfile), and what it moves into a pipe (splice), counts.
#[test]
fn bytes_that_no_program_touches_are_counted() -> Result<()> {
    const BYTES: usize = 100_000;
    let Some(told) = Told::begin(&[])? else { return Ok(()) };
    let mut file = tempfile::tempfile()?;
    file.write_all(&vec![7; BYTES])?;
    let pair = traffic::pair(false)?;
    let (client, server) = pair.cookies()?;
    std::thread::scope(|scope| -> Result<()> {
        let reader = scope.spawn(|| -> std::io::Result<usize> {
            let (mut from, to) = std::io::pipe()?;
            let mut total = 0;
            while total < BYTES {
                let null = std::ptr::null_mut();
                let (socket, pipe) = (pair.server.as_raw_fd(), to.as_raw_fd());
                // SAFETY: no offsets are given, and both descriptors are open.
                let moved = unsafe { libc::splice(socket, null, pipe, null, 60_000, 0) };
                let moved = moved_or_error(moved)?;
                if moved == 0 {
                    break;
                }
                from.read_exact(&mut vec![0; moved])?;
                total += moved;
            }
            Ok(total)
        });
        let (mut sent, mut offset) = (0, 0);
        while sent < BYTES {
            let (socket, file) = (pair.client.as_raw_fd(), file.as_raw_fd());
            // SAFETY: the offset is writable, and both descriptors are open.
            let moved = unsafe { libc::sendfile(socket, file, &raw mut offset, BYTES - sent) };
            sent += moved_or_error(moved)?;
        }
        ensure!(sys::joined(reader.join())?? == BYTES, "an early end");
        Ok(())
    })?;
    pair.close_client_first()?;
    let lines = told.ended(&[client, server])?;
    ensure!(totals(&lines, client)? == (BYTES as u64, 0), "{lines:#?}");
    ensure!(totals(&lines, server)? == (0, BYTES as u64), "{lines:#?}");
    Ok(())
}

/// What a call of C moved.
fn moved_or_error(moved: isize) -> std::io::Result<usize> {
    if moved < 0 { Err(std::io::Error::last_os_error()) } else { Ok(moved.unsigned_abs()) }
}

/// inspektor-gadget 3929: a process that is stopped while it connects begins once, and is refused once.
#[test]
fn a_process_is_stopped_while_it_connects() -> Result<()> {
    const PORT: u16 = 80;
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let there = SocketAddr::from((PEER, PORT));
    let mut actor = Actor::start()?;
    actor.begin_connect(there)?;
    let mut wire = scene.peer.called(PORT)?;
    let own = wire.other;
    for _ in 0..3 {
        for signal in [libc::SIGSTOP, libc::SIGCONT] {
            sys::signal(actor.pid(), signal)?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    wire.send(RST | ACK)?;
    let mut story = Story::new(own, there, &[(Close, SynSent), (SynSent, Close)]).error("ECONNREFUSED");
    story.pid = actor.pid();
    let told = scene.told(&[story])?;
    ensure!(told[0].iter().all(|line| line.reason.as_deref() != Some("closed")), "{told:?}");
    Ok(())
}

/// weaveworks/scope 2650: a line is never older than the one before it of the same socket, whichever processor told it.
#[test]
fn a_socket_that_moves_between_processors_is_told_in_order() -> Result<()> {
    let processors = std::thread::available_parallelism()?.get();
    let Some(told) = Told::begin(&[])? else { return Ok(()) };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut cookies = Vec::new();
    for turn in 0..500 {
        run_on(turn % processors)?;
        let pair = traffic::pair_through(&listener)?;
        cookies.push(pair.cookies()?.1);
        run_on((turn + 1) % processors)?;
        pair.close_client_first()?;
    }
    let lines = told.ended(&cookies)?;
    for cookie in cookies {
        let told = [
            (Listen, SynRecv),
            (SynRecv, Established),
            (Established, CloseWait),
            (CloseWait, LastAck),
            (LastAck, Close),
        ];
        ensure!(steps(&lines, cookie) == told, "{lines:#?}");
        let times: Vec<_> = of(&lines, cookie).map(|line| line.timestamp.clone()).collect();
        ensure!(times.is_sorted(), "{times:?}");
    }
    Ok(())
}

/// Lets the calling thread run on one processor only; where it may not be there, it stays.
fn run_on(processor: usize) -> Result<()> {
    // SAFETY: all-zero bytes are a valid cpu_set_t.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours, and the number far below its size.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the pointer is to a set of that size.
    match sys::checked(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINVAL) => Err(error.into()),
        _ => Ok(()),
    }
}
