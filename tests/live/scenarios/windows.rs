//! Receive windows that the peer closes: how long, and how often.

use super::numbers::{Look, SOON, between, timed, within};
use super::{PORT, THERE};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::Close;
use netstat_tests::need::Need;
use netstat_tests::peer::{ACK, SYN};
use netstat_tests::{sys, traffic};
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

/// The peer has no room for a while: the kernel says for how long, to a tick.
#[test]
fn a_closed_window_costs_time() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
    let mut wire = look.peer.called(PORT)?;
    wire.send(SYN | ACK)?;
    wire.wait_acked()?;
    wire.window = 0;
    wire.send_heard(ACK, &socket)?;
    let mut stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    let client = stream.local_addr()?;
    let ((), written) = timed(|| Ok(stream.write_all(&[7; 500])?))?;
    std::thread::sleep(Duration::from_millis(500));
    wire.window = u16::MAX;
    let ((), opened) = timed(|| wire.send_heard(ACK, &stream))?;
    // Probes come before it.
    while wire.wait(ACK)?.bytes != 500 {}
    wire.send_heard(ACK, &stream)?;
    sys::reset_on_close(stream.as_fd())?;
    drop(stream);
    let line = look.line(client, wire.own.into(), Close)?;
    let truth = between(written, opened);
    // A tick is ten milliseconds at most.
    let truth = truth.start().saturating_sub(20_000)..=*truth.end();
    ensure!(within(line.numbers.window_us, truth.clone()), "{line:?}, truly {truth:?}");
    ensure!(line.numbers.busy_us >= line.numbers.window_us && line.sent == Some(500), "{line:?}");
    ensure!(line.numbers.probes == Some(0), "{line:?}");
    look.end()
}

/// A period begins with its first probe and ends when the window opens, however many probes come in between.
#[test]
fn a_window_that_closes_twice_is_counted_twice() -> Result<()> {
    let Some(look) = Look::begin(&[], Need::Events)? else { return Ok(()) };
    // Closed with data to be sent, and as often with nothing that waits for it.
    for closed in [2, 0] {
        let socket = traffic::connect_without_waiting(THERE.into(), 6)?;
        let mut wire = look.peer.called(PORT)?;
        wire.send(SYN | ACK)?;
        wire.wait_acked()?;
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(false)?;
        let client = stream.local_addr()?;
        wire.window = 0;
        wire.send_heard(ACK, &stream)?;
        for (bytes, after) in [(500, 0), (300, u16::MAX)] {
            if closed > 0 {
                stream.write_all(&vec![7; bytes as usize])?;
                for _ in 0..3 {
                    let probe = wire.next(SOON)?.context("no probe")?;
                    ensure!(probe.bytes == 0, "data for a closed window: {probe:?}");
                    wire.send(ACK)?;
                }
            }
            wire.window = u16::MAX;
            wire.send_heard(ACK, &stream)?;
            if closed == 0 {
                stream.write_all(&vec![7; bytes as usize])?;
            }
            while wire.wait(ACK)?.bytes != bytes {}
            // With the acknowledgement: before 6.6 the kernel ignores one that closes the window and acknowledges nothing.
            wire.window = after;
            wire.send_heard(ACK, &stream)?;
        }
        sys::reset_on_close(stream.as_fd())?;
        drop(stream);
        let line = look.line(client, wire.own.into(), Close)?;
        ensure!(line.sent == Some(800), "{line:?}");
        ensure!(line.numbers.windows == look.windows.then_some(closed), "{closed}: {line:?}");
    }
    look.end()
}
