//! How connections end.

use super::{
    ACCEPTS, CONNECTS, LISTENS, Span, THERE, accepted, connected, dwell, gone, is_there, leaves, listener,
    steps,
};
use anyhow::{Result, ensure};
use netstat_common::TcpState::{
    Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, TimeWait,
};
use netstat_tests::peer::{ACK, FIN, RST};
use netstat_tests::story::{Step, at, ensure_spent};
use netstat_tests::sys::{self, monotonic};
use netstat_tests::{Scene, Story};
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

/// The end of one that was closed here first, and whose TIME_WAIT is cut short by a reset.
const WAITS: [Step; 4] =
    [(Established, FinWait1), (FinWait1, FinWait2), (FinWait2, TimeWait), (TimeWait, Close)];

/// The kernel lets a reset end TIME_WAIT (RFC 1337 would not); who has to ask about it learns that a minute later.
fn assassinated(story: Story) -> Story {
    let without = story.steps.split_last().map_or(&[][..], |(_, rest)| rest).to_vec();
    story.or(&without)
}

/// The process is gone when the peer closes at last. `timeout`: tcp_fin_timeout, in seconds.
fn orphan(timeout: &str, pause: Duration) -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    scene.namespace.sysctl("ipv4/tcp_fin_timeout", timeout)?;
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    drop(stream);
    wire.wait(FIN)?;
    let before = monotonic();
    wire.send(ACK)?;
    let acked = (before, monotonic());
    std::thread::sleep(pause);
    ensure!(is_there(&wire, FinWait2)?, "not in FIN_WAIT2");
    let before = monotonic();
    wire.send(FIN | ACK)?;
    wire.wait_acked()?;
    let closed = (before, monotonic());
    ensure!(is_there(&wire, TimeWait)?, "not in TIME_WAIT");
    dwell(&scene);
    let before = monotonic();
    wire.send(RST)?;
    leaves(&wire, TimeWait)?;
    let reset = (before, monotonic());
    let late_fin = scene.late_fin;
    let story = Story::new(own, THERE, &steps(&[&CONNECTS, &WAITS]));
    let told = scene.told(&[assassinated(story)])?;
    if late_fin {
        ensure_spent(&told[0], (FinWait2, TimeWait), Span { begin: acked, end: closed }.about())?;
        ensure_spent(&told[0], (TimeWait, Close), Span { begin: closed, end: reset }.about())?;
    }
    ensure!(at(&told[0], (Established, FinWait1))?.actor == Some(std::process::id()), "{told:?}");
    if let Ok(end) = at(&told[0], (FinWait2, TimeWait)) {
        ensure!(end.reason.as_deref() == Some("closed"), "{end:?}");
    }
    Ok(())
}

#[test]
fn the_peer_closes_long_after_the_process_is_gone() -> Result<()> {
    orphan("30", Duration::from_millis(600))
}

/// The timer of FIN_WAIT2 and that of TIME_WAIT run out at nearly the same time.
#[test]
fn the_peer_closes_just_after_the_process_is_gone() -> Result<()> {
    orphan("60", Duration::ZERO)
}

/// FIN_WAIT2 may last longer than a timewait socket lives: it is a full socket at first.
#[test]
fn an_orphan_may_wait_longer_than_a_minute() -> Result<()> {
    orphan("90", Duration::from_millis(300))
}

#[test]
fn a_socket_is_shut_down_then_the_peer_closes() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    stream.shutdown(Shutdown::Write)?;
    wire.wait(FIN)?;
    wire.send(ACK)?;
    dwell(&scene);
    let before = monotonic();
    wire.send(FIN | ACK)?;
    wire.wait_acked()?;
    let closed = (before, monotonic());
    dwell(&scene);
    let before = monotonic();
    wire.send(RST)?;
    leaves(&wire, TimeWait)?;
    let reset = (before, monotonic());
    drop(stream);
    let minis = scene.minis;
    let story = Story::new(own, THERE, &steps(&[&CONNECTS, &WAITS]));
    let told = scene.told(&[assassinated(story)])?;
    if minis {
        ensure_spent(&told[0], (TimeWait, Close), Span { begin: closed, end: reset }.about())?;
    }
    Ok(())
}

/// Neither has the other's FIN when it sends its own.
#[test]
fn both_ends_close_at_once() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    let unacked = wire.ack;
    drop(stream);
    wire.wait(FIN)?;
    let before = monotonic();
    let fin = wire.ack;
    wire.seq = wire.send_as(FIN | ACK, wire.seq, unacked)?;
    wire.wait_acked()?;
    let begin = (before, monotonic());
    dwell(&scene);
    let before = monotonic();
    wire.ack = fin;
    wire.send(ACK)?;
    ensure!(is_there(&wire, TimeWait)?, "not in TIME_WAIT");
    let end = (before, monotonic());
    dwell(&scene);
    wire.send(RST)?;
    let last = [(Established, FinWait1), (FinWait1, Closing), (Closing, TimeWait), (TimeWait, Close)];
    let story = Story::new(own, THERE, &steps(&[&CONNECTS, &last]));
    let told = scene.told(&[assassinated(story)])?;
    ensure_spent(&told[0], (Closing, TimeWait), Span { begin, end }.lasts())
}

/// The peer never closes.
#[test]
fn an_orphan_is_given_up() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    scene.namespace.sysctl("ipv4/tcp_fin_timeout", "1")?;
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    drop(stream);
    wire.wait(FIN)?;
    let before = monotonic();
    wire.send(ACK)?;
    let begin = (before, monotonic());
    let end = gone(&wire, FinWait2, Duration::from_secs(60))?;
    let minis = scene.minis;
    let last = [(Established, FinWait1), (FinWait1, FinWait2), (FinWait2, Close)];
    let told = scene.told(&[Story::new(own, THERE, &steps(&[&CONNECTS, &last]))])?;
    if minis {
        ensure_spent(&told[0], (FinWait2, Close), Span { begin, end }.about())?;
    }
    Ok(())
}

/// Both with the process there and without it: the first is told an error.
#[test]
fn a_reset_comes_in_fin_wait_2() -> Result<()> {
    for owned in [true, false] {
        let Some(scene) = Scene::begin()? else { return Ok(()) };
        let (mut wire, stream) = connected(&scene)?;
        let own = stream.local_addr()?;
        let stream = if owned {
            stream.shutdown(Shutdown::Write)?;
            Some(stream)
        } else {
            drop(stream);
            None
        };
        wire.wait(FIN)?;
        let before = monotonic();
        wire.send(ACK)?;
        let begin = (before, monotonic());
        dwell(&scene);
        let before = monotonic();
        wire.send(RST)?;
        leaves(&wire, FinWait2)?;
        let end = (before, monotonic());
        drop(stream);
        let last = [(Established, FinWait1), (FinWait1, FinWait2), (FinWait2, Close)];
        let story = Story::new(own, THERE, &steps(&[&CONNECTS, &last]));
        let minis = scene.minis;
        let told = scene.told(&[if owned { story.error("ECONNRESET") } else { story }])?;
        if owned || minis {
            ensure_spent(&told[0], (FinWait2, Close), Span { begin, end }.about())?;
        }
    }
    Ok(())
}

#[test]
fn the_peer_closes_first() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (listener, addr) = listener()?;
    let (mut wire, mut stream) = accepted(&scene, &listener)?;
    let before = monotonic();
    wire.send(FIN | ACK)?;
    ensure!(stream.read(&mut [0])? == 0, "data that nobody sent");
    let begin = (before, monotonic());
    dwell(&scene);
    let before = monotonic();
    drop(stream);
    wire.wait(FIN)?;
    let end = (before, monotonic());
    dwell(&scene);
    wire.send(ACK)?;
    let peer = wire.own;
    let last = [(Established, CloseWait), (CloseWait, LastAck), (LastAck, Close)];
    let told =
        scene.told(&[Story::listener(addr, &LISTENS), Story::new(addr, peer, &steps(&[&ACCEPTS, &last]))])?;
    drop(listener);
    ensure_spent(&told[1], (CloseWait, LastAck), Span { begin, end }.lasts())?;
    ensure!(at(&told[1], (Established, CloseWait))?.actor.is_none(), "{told:?}");
    ensure!(at(&told[1], (CloseWait, LastAck))?.actor == Some(std::process::id()), "{told:?}");
    Ok(())
}

/// `SO_LINGER` with time 0: there is nothing to wait for.
#[test]
fn a_connection_is_reset_by_either_end() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    sys::reset_on_close(stream.as_fd())?;
    drop(stream);
    wire.wait(RST)?;
    let (mut wire, stream) = connected(&scene)?;
    let theirs = stream.local_addr()?;
    wire.send(RST)?;
    ensure!((&stream).read(&mut [0]).is_err(), "no error");
    drop(stream);
    let steps = steps(&[&CONNECTS, &[(Established, Close)]]);
    let told = scene
        .told(&[Story::new(own, THERE, &steps), Story::new(theirs, THERE, &steps).error("ECONNRESET")])?;
    ensure!(at(&told[0], (Established, Close))?.actor == Some(std::process::id()), "{told:?}");
    ensure!(at(&told[1], (Established, Close))?.actor.is_none(), "{told:?}");
    Ok(())
}

/// A reset that is not where it is expected is answered, and ends nothing (RFC 5961).
#[test]
fn a_reset_with_a_wrong_number_ends_nothing() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    wire.send_as(RST, wire.seq.wrapping_add(1000), 0)?;
    wire.wait_acked()?;
    ensure!(is_there(&wire, Established)?, "the connection is gone");
    drop(stream);
    wire.wait(FIN)?;
    wire.send(RST | ACK)?;
    let last = [(Established, FinWait1), (FinWait1, Close)];
    scene.told(&[Story::new(own, THERE, &steps(&[&CONNECTS, &last])).error("ECONNRESET")])?;
    Ok(())
}

/// Data that nobody has read is answered with a reset at close (RFC 2525 section 2.17).
#[test]
fn unread_data_make_a_close_a_reset() -> Result<()> {
    let Some(scene) = Scene::begin()? else { return Ok(()) };
    let (mut wire, stream) = connected(&scene)?;
    let own = stream.local_addr()?;
    wire.send_data(ACK, b"unread")?;
    wire.wait_acked()?;
    drop(stream);
    wire.wait(RST)?;
    let told = scene.told(&[Story::new(own, THERE, &steps(&[&CONNECTS, &[(Established, Close)]]))])?;
    ensure!(at(&told[0], (Established, Close))?.received == Some(6), "{told:?}");
    Ok(())
}
