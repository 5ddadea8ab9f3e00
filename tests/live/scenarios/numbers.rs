//! Numbers of connections: bytes, what was sent again, times; and the queues of listeners.

use super::{PORT, SLACK, THERE, connected};
use anyhow::{Context, Result, bail, ensure};
use netstat_common::TcpState::{self, Close, Established, Listen, TimeWait};
use netstat_tests::json::{self, Line};
use netstat_tests::need::{self, Need};
use netstat_tests::peer::{ACK, FIN, OWN, RST, SYN};
use netstat_tests::story::shown;
use netstat_tests::sys::{self, monotonic};
use netstat_tests::{NetNs, Peer, Scene, Story, Trace, program, traffic};
use std::cell::RefCell;
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

pub(super) const SOON: Duration = Duration::from_secs(10);

/// A trace of a namespace of its own, whose lines are looked at one by one.
pub(super) struct Look {
    trace: RefCell<Trace>,
    pub(super) peer: Peer,
    minis: bool,
    pub(super) windows: bool,
    _namespace: NetNs,
}

impl Look {
    pub(super) fn begin(words: &[&str], what: Need) -> Result<Option<Self>> {
        let Some(tier) = need::need(what)? else { return Ok(None) };
        let (minis, windows) = (need::minis(&tier)?.is_some(), need::windows(&tier)?.is_some());
        let namespace = NetNs::enter()?;
        namespace.sysctl("ipv4/conf/all/rp_filter", "0")?;
        let peer = Peer::new(&namespace)?;
        let trace = RefCell::new(Trace::start(&tier, words)?);
        Ok(Some(Self { trace, peer, minis, windows, _namespace: namespace }))
    }

    /// The line that tells of a move of the socket with these ends to this state.
    pub(super) fn line(&self, local: SocketAddr, peer: SocketAddr, to: TcpState) -> Result<Line> {
        let right = |line: &&Line| {
            line.local == Some(local)
                && line.peer == Some(peer)
                && line.step().is_some_and(|step| step.1 == to)
        };
        let (lines, seen) =
            self.trace.borrow_mut().wait_for(SOON, |lines| lines.iter().any(|line| right(&line)))?;
        ensure!(seen, "no move of {local} {peer} to {to:?}: {}", shown(&lines));
        lines.iter().find(right).cloned().context("it was there")
    }

    pub(super) fn end(self) -> Result<()> {
        let output = self.trace.into_inner().stop()?;
        crate::ensure_healthy(&output)
    }
}

/// The listing's row of the socket with these ends.
fn listed(local: SocketAddr, peer: SocketAddr) -> Result<Line> {
    let output = program::command(&["-t", "-a", "-n", "--json"])?.output()?;
    ensure!(output.status.success(), "enetstat: {}", String::from_utf8_lossy(&output.stderr));
    let lines = json::lines(&output.stdout)?;
    let found = lines.into_iter().find(|line| line.local == Some(local) && line.peer == Some(peer));
    found.with_context(|| format!("{local} {peer} is not listed"))
}

pub(super) fn within(us: Option<u64>, truth: RangeInclusive<u64>) -> bool {
    us.is_some_and(|us| truth.contains(&us))
}

/// Between two pairs of moments, in microseconds, give or take what the precision takes and a slow machine gives.
pub(super) fn between(begin: (u64, u64), end: (u64, u64)) -> RangeInclusive<u64> {
    let (least, most) = (end.0.saturating_sub(begin.1), end.1 - begin.0 + SLACK);
    (least - least / 1000) / 1000..=most / 1000
}

/// Does it, and says between which moments.
pub(super) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, (u64, u64))> {
    let before = monotonic();
    let result = work()?;
    Ok((result, (before, monotonic())))
}

/// Every way to put bytes into a socket and to take them out, and what the kernel then says of them: live, and at the end.
#[test]
fn bytes_are_those_that_were_written_and_read() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    for v6 in [false, true] {
        let mut pair = traffic::pair(v6)?;
        let (client, server) = (pair.client.local_addr()?, pair.server.local_addr()?);
        let mut sent = 0;
        pair.client.write_all(&[1; 4001])?;
        sent += 4001;
        sent += send_file(&pair.client, 70_003)?;
        sent += splice_in(&pair.client, 3007)?;
        sent += send_uncopied(&pair.client, 20_011)?;
        sys::checked(unsafe_send(&pair.client, b"!", libc::MSG_OOB))?;
        sent += 1;
        let mut read = splice_out(&pair.server, 1009)?;
        let mut buffer = vec![0; 1 << 16];
        // The urgent byte is not in the stream of reads.
        while read < sent - 1 {
            read += pair.server.read(&mut buffer)?;
        }
        pair.server.write_all(&[2; 9])?;
        pair.client.read_exact(&mut [0; 9])?;
        for (local, peer, out, back) in [(client, server, sent, 9), (server, client, 9, sent)] {
            let row = listed(local, peer)?;
            ensure!((row.sent, row.received) == (Some(out as u64), Some(back as u64)), "{row:?}");
        }
        pair.close_client_first()?;
        let wait = look.line(client, server, TimeWait)?;
        let close = look.line(server, client, Close)?;
        ensure!((wait.sent, wait.received) == (Some(sent as u64), Some(9)), "{sent}: {wait:?}");
        ensure!((close.sent, close.received) == (Some(9), Some(sent as u64)), "{sent}: {close:?}");
        ensure!((wait.queue_receive, wait.queue_send) == (Some(0), Some(0)), "{wait:?}");
        ensure!((close.queue_receive, close.queue_send) == (Some(0), Some(0)), "{close:?}");
        ensure!(wait.numbers.resent == Some(0) && wait.numbers.retransmits == Some(0), "{wait:?}");
        ensure!(wait.numbers.rtt_min_us <= wait.numbers.rtt_us, "{wait:?}");
    }
    look.end()
}

fn unsafe_send(stream: &TcpStream, bytes: &[u8], flags: i32) -> libc::c_int {
    // SAFETY: the pointer and the length are those of one slice.
    let sent = unsafe { libc::send(stream.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    sent as libc::c_int
}

/// sendfile(2)
fn send_file(stream: &TcpStream, bytes: usize) -> Result<usize> {
    let mut file = tempfile::tempfile()?;
    file.write_all(&vec![3; bytes])?;
    file.rewind()?;
    let mut done = 0;
    while done < bytes {
        // SAFETY: both descriptors are open; without an offset the file's own is used.
        let sent = unsafe {
            libc::sendfile(stream.as_raw_fd(), file.as_raw_fd(), std::ptr::null_mut(), bytes - done)
        };
        ensure!(sent > 0, "sendfile: {}", std::io::Error::last_os_error());
        done += sent as usize;
    }
    Ok(done)
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    sys::checked(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    // SAFETY: it was just opened and belongs to nobody else.
    let own = |end| unsafe { OwnedFd::from_raw_fd(end) };
    Ok((own(ends[0]), own(ends[1])))
}

fn splice(from: i32, to: i32, bytes: usize) -> Result<usize> {
    // SAFETY: both descriptors are open, and no offsets are given.
    let moved = unsafe { libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), bytes, 0) };
    ensure!(moved > 0, "splice: {}", std::io::Error::last_os_error());
    Ok(moved as usize)
}

/// splice(2) from a pipe into the socket.
fn splice_in(stream: &TcpStream, bytes: usize) -> Result<usize> {
    let (out, into) = pipe()?;
    std::fs::File::from(into).write_all(&vec![4; bytes])?;
    let mut done = 0;
    while done < bytes {
        done += splice(out.as_raw_fd(), stream.as_raw_fd(), bytes - done)?;
    }
    Ok(done)
}

/// splice(2) from the socket into a pipe.
fn splice_out(stream: &TcpStream, bytes: usize) -> Result<usize> {
    let (_out, into) = pipe()?;
    splice(stream.as_raw_fd(), into.as_raw_fd(), bytes)
}

/// send(2) with MSG_ZEROCOPY.
fn send_uncopied(stream: &TcpStream, bytes: usize) -> Result<usize> {
    sys::set_option(stream.as_fd(), libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1i32)?;
    let data = vec![5; bytes];
    let mut done = 0;
    while done < bytes {
        let sent = unsafe_send(stream, &data[done..], libc::MSG_ZEROCOPY);
        done += usize::try_from(sys::checked(sent)?)?;
    }
    Ok(done)
}

/// The peer hears everything twice or more before it answers: what was sent again is told apart, to the byte.
#[test]
fn what_is_sent_again_is_not_sent_twice() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    let (client, own, heard, segments) = {
        let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
        let mut wire = look.peer.called(PORT)?;
        wire.send(SYN | ACK)?;
        wire.wait_acked()?;
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(false)?;
        let first = wire.ack;
        stream.write_all(&[6; 2500])?;
        let (mut heard, mut segments) = (0, 0);
        let end = first.wrapping_add(2500);
        while heard < 2500 + 2000 {
            let Some(segment) = wire.next(SOON)? else { bail!("only {heard} bytes came") };
            heard += segment.bytes;
            segments += u32::from(segment.bytes > 0);
        }
        wire.ack = end;
        wire.send(ACK)?;
        let own = stream.local_addr()?;
        drop(stream);
        loop {
            let Some(segment) = wire.next(SOON)? else { bail!("no FIN") };
            heard += segment.bytes;
            segments += u32::from(segment.bytes > 0);
            if segment.flags.has(FIN) {
                break;
            }
        }
        wire.ack = end.wrapping_add(1);
        wire.send(FIN | ACK)?;
        wire.wait_acked()?;
        (own, wire.own, u64::from(heard), segments)
    };
    let line = look.line(client, own.into(), TimeWait)?;
    ensure!(line.sent == Some(2500), "{line:?}");
    ensure!(line.numbers.resent == Some(heard - 2500), "{heard} bytes in {segments} segments: {line:?}");
    ensure!(line.numbers.retransmits.is_some_and(|count| count > 0), "{line:?}");
    ensure!(line.numbers.segments_lost.is_some_and(|count| count > 0), "{line:?}");
    ensure!(line.numbers.syn_retransmits == Some(0), "{line:?}");
    ensure!(line.numbers.busy_us.is_some_and(|us| us >= 190_000), "not acknowledged for 200 ms: {line:?}");
    look.end()
}

/// An abort throws away what was not sent; what was sent and not acknowledged counts as sent.
#[test]
fn an_abort_leaves_bytes_unsent() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, mut stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    wire.window = 1000;
    wire.send_heard(ACK, &stream)?;
    stream.write_all(&[7; 3000])?;
    let first = wire.wait(ACK)?;
    let mut heard = first.bytes;
    while let Some(segment) = wire.next(Duration::from_millis(50))? {
        heard += segment.bytes;
    }
    sys::reset_on_close(stream.as_fd())?;
    drop(stream);
    wire.wait(RST)?;
    let life = super::steps(&[&super::CONNECTS, &[(Established, Close)]]);
    let told = scene.told(&[Story::new(own, THERE, &life)])?;
    let line = told[0].last().context("no line")?;
    ensure!(heard <= 1000 && line.sent == Some(u64::from(heard)), "{heard}: {line:?}");
    ensure!(line.queue_send == Some(3000), "{line:?}");
    Ok(())
}

/// The peer takes its time with each answer.
#[test]
fn the_handshake_and_the_round_trip_are_timed() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    // The kernel calls; the peer answers after a while, and to data after a shorter one.
    let (socket, called) = timed(|| Ok(traffic::connect_without_waiting(THERE.into(), 6)?))?;
    let mut wire = look.peer.called(PORT)?;
    std::thread::sleep(Duration::from_millis(60));
    let ((), answered) = timed(|| {
        wire.send(SYN | ACK)?;
        wire.wait_acked()?;
        Ok(())
    })?;
    let mut stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    let (_, written) = timed(|| Ok(stream.write_all(b"question")?))?;
    wire.wait(ACK)?;
    std::thread::sleep(Duration::from_millis(30));
    let ((), acked) = timed(|| wire.send_heard(ACK, &stream))?;
    let (client, peer) = (stream.local_addr()?, SocketAddr::from(wire.own));
    let row = listed(client, peer)?.numbers;
    // On a slow machine the handshake may be the quicker of the two.
    let (first, second) = (between(called, answered), between(written, acked));
    let shortest = (*first.start()).min(*second.start())..=(*first.end()).min(*second.end());
    ensure!(within(row.rtt_min_us, shortest.clone()), "{row:?}, truly {shortest:?}");
    drop(stream);
    wire.wait(FIN)?;
    wire.send(FIN | ACK)?;
    wire.wait_acked()?;
    let line = look.line(client, peer, TimeWait)?.numbers;
    let handshake = between(called, answered);
    ensure!(within(line.handshake_us, handshake.clone()), "{line:?}, truly {handshake:?}");
    // The FIN is answered at once, and may be the quickest.
    ensure!(line.rtt_min_us.is_some_and(|us| us <= *shortest.end()), "{line:?}, truly {shortest:?}");
    ensure!(line.accept_us.is_none() && line.syn_retransmits == Some(0), "{line:?}");
    look.end()
}

#[test]
fn time_in_the_accept_queue_is_told() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    let listener = TcpListener::bind((OWN, 0))?;
    let addr = listener.local_addr()?;
    let mut wire = look.peer.toward(addr.port());
    let (_, syn) = timed(|| wire.send(SYN))?;
    wire.wait(SYN | ACK)?;
    std::thread::sleep(Duration::from_millis(60));
    let (_, last) = timed(|| wire.send(ACK))?;
    std::thread::sleep(Duration::from_millis(80));
    let ((mut stream, _), accepted) = timed(|| Ok(listener.accept()?))?;
    wire.send(FIN | ACK)?;
    ensure!(stream.read(&mut [0])? == 0, "data that nobody sent");
    drop(stream);
    wire.wait(FIN)?;
    wire.send(ACK)?;
    let line = look.line(addr, wire.own.into(), Close)?.numbers;
    let waited = between(last, accepted);
    ensure!(within(line.accept_us, waited.clone()), "{line:?}, truly {waited:?}");
    let handshake = between(syn, last);
    if look.minis {
        ensure!(within(line.handshake_us, handshake.clone()), "{line:?}, truly {handshake:?}");
    } else {
        ensure!(line.handshake_us.is_none(), "nothing tells of the SYN: {line:?}");
    }
    look.end()
}

/// The peer does not answer the first SYN.
#[test]
fn a_syn_that_is_sent_again_is_counted() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
    let mut wire = look.peer.called(PORT)?;
    while !wire.next(SOON)?.context("no second SYN")?.flags.has(SYN) {}
    wire.send(SYN | ACK)?;
    wire.wait_acked()?;
    ensure!(traffic::answer(&socket, 10_000)?.is_none(), "an error");
    let stream = TcpStream::from(socket);
    let client = stream.local_addr()?;
    sys::reset_on_close(stream.as_fd())?;
    drop(stream);
    let line = look.line(client, wire.own.into(), Close)?.numbers;
    ensure!(line.syn_retransmits == Some(1) && line.retransmits == Some(1), "{line:?}");
    ensure!(line.handshake_us.is_some_and(|us| us >= 900_000), "{line:?}");
    look.end()
}

/// The peer does not answer the first SYN-ACK.
#[test]
fn an_answer_to_a_syn_that_is_sent_again_is_counted() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    let listener = TcpListener::bind((OWN, 0))?;
    let addr = listener.local_addr()?;
    let mut wire = look.peer.toward(addr.port());
    wire.send(SYN)?;
    wire.wait(SYN | ACK)?;
    while !wire.next(SOON)?.context("no second answer")?.flags.has(SYN | ACK) {}
    wire.send(ACK)?;
    let (stream, _) = listener.accept()?;
    sys::reset_on_close(stream.as_fd())?;
    drop(stream);
    let line = look.line(addr, wire.own.into(), Close)?.numbers;
    ensure!(line.syn_retransmits == Some(1) && line.retransmits == Some(1), "{line:?}");
    look.end()
}

#[test]
fn the_first_bytes_are_timed_where_calls_are_told() -> Result<()> {
    let Some(look) = Look::begin(&["--queues", "coalesced"], Need::Queues)? else { return Ok(()) };
    let (mut pair, made) = timed(|| Ok(traffic::pair(false)?))?;
    let (client, server) = (pair.client.local_addr()?, pair.server.local_addr()?);
    std::thread::sleep(Duration::from_millis(30));
    let ((), sent) = timed(|| Ok(pair.client.write_all(b"question")?))?;
    std::thread::sleep(Duration::from_millis(30));
    let ((), read) = timed(|| Ok(pair.server.read_exact(&mut [0; 8])?))?;
    // Within the time in which reports are joined.
    let ((), answered) = timed(|| Ok(pair.server.write_all(b"answer")?))?;
    pair.client.read_exact(&mut [0; 6])?;
    pair.close_client_first()?;
    let line = look.line(server, client, Close)?.numbers;
    for (told, truth) in
        [(line.first_received_us, between(made, read)), (line.first_sent_us, between(made, answered))]
    {
        ensure!(within(told, truth.clone()), "{line:?}, truly {truth:?}");
    }
    let line = look.line(client, server, TimeWait)?.numbers;
    ensure!(within(line.first_sent_us, between(made, sent)), "{line:?}, truly {:?}", between(made, sent));
    ensure!(line.first_received_us >= line.first_sent_us, "{line:?}");
    look.end()
}

/// A listener that takes in two and no more; one half open, one turned away.
#[test]
fn the_queues_of_a_listener_are_told() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    let listener = TcpListener::bind((OWN, 0))?;
    let addr = listener.local_addr()?;
    // SAFETY: the descriptor is open and listens already: this only sets the limit.
    sys::checked(unsafe { libc::listen(listener.as_raw_fd(), 1) })?;
    let mut half = look.peer.toward(addr.port());
    half.send(SYN)?;
    half.wait(SYN | ACK)?;
    let mut wires = [look.peer.toward(addr.port()), look.peer.toward(addr.port())];
    for wire in &mut wires {
        wire.open()?;
        wire.send_data(ACK, b"x")?;
        wire.wait_acked()?;
    }
    let mut late = look.peer.toward(addr.port());
    late.send(SYN)?;
    ensure!(late.next(Duration::from_millis(50))?.is_none(), "the queue is full");
    let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
    let row = listed(addr, nobody)?;
    let listens = row.numbers;
    ensure!(row.state == Some(Listen), "{row:?}");
    ensure!((listens.waiting, listens.limit, listens.dropped) == (Some(2), Some(1), Some(1)), "{row:?}");
    ensure!(listens.half_open == Some(1), "{row:?}");
    drop(listener);
    let closed = look.line(addr, nobody, Close)?.numbers;
    ensure!((closed.waiting, closed.limit, closed.dropped) == (Some(2), Some(1), Some(1)), "{closed:?}");
    ensure!(closed.half_open == Some(1), "{closed:?}");
    let end = look.line(addr, wires[0].own.into(), Close)?;
    ensure!(end.reason.as_deref() == Some("listener_closed"), "{end:?}");
    ensure!(end.numbers.accept_us.is_none() && end.received == Some(1), "{end:?}");
    Ok(())
}
