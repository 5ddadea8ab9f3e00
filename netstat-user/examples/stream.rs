//! Prints the events of the kernel half for some seconds: `stream [SECONDS] [TIER] [QUEUES] [RING_BYTES]`.
//!
//! `QUEUES` is `off`, `coalesced` or `every`; `any` as the tier takes the best.
#![allow(clippy::print_stdout, reason = "an example prints")]

use bytes::BytesMut;
use enetstat_example::*;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

mod enetstat_example {
    pub use netstat_user::model::Event;
    pub use netstat_user::source::stream::{Options, Queues, SAFETY_TIMEOUT, Stream, WAKE_INTERVAL, decode};
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().as_deref().unwrap_or("5").parse()?;
    let tier = match arguments.next().as_deref() {
        None | Some("any") => None,
        Some(tier) => Some(tier.parse()?),
    };
    let queues = match arguments.next().as_deref() {
        Some("coalesced") => Queues::Coalesced,
        Some("every") => Queues::Every,
        _ => Queues::Off,
    };
    let mut options = Options { tier, queues, ..Options::default() };
    if let Some(bytes) = arguments.next() {
        options.ring_bytes = bytes.parse()?;
    }

    let began = Instant::now();
    let mut stream = Stream::start(&options)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "# attached in {:?}", began.elapsed())?;
    for choice in stream.choices() {
        writeln!(out, "# {}: {:?}", choice.feature, choice.tier)?;
        for refused in &choice.refused {
            writeln!(out, "#   not {}: {}", refused.tier, refused.why)?;
        }
    }
    stream.set_whole(false)?;
    out.flush()?;

    let end = Instant::now() + Duration::from_secs(seconds);
    let mut batch = BytesMut::new();
    let mut events = 0;
    while Instant::now() < end {
        let drained = stream.drain(&mut batch, 512);
        for event in decode(&batch) {
            match event {
                Ok(event) => {
                    events += 1;
                    writeln!(out, "{}", line(&event))?;
                }
                Err(error) => writeln!(out, "! {error}")?,
            }
        }
        batch.clear();
        if drained.more {
            continue;
        }
        if drained.records > 0 {
            std::thread::sleep(WAKE_INTERVAL);
        } else {
            out.flush()?;
            let wait = rustix::event::Timespec::try_from(SAFETY_TIMEOUT)?;
            let fd = stream.as_fd();
            let mut wanted = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut wanted, Some(&wait))?;
        }
    }
    writeln!(out, "# {events} events, {} lost", stream.losses()?.total())?;
    Ok(())
}

fn line(event: &Event) -> String {
    match event {
        Event::Moved(moved) => {
            let identity = moved.identity.map(|identity| {
                let (local, foreign) = (identity.tuple.local(), identity.tuple.foreign());
                let uid = identity.uid.map_or("-".into(), |uid| uid.to_string());
                let ends = format!("{}/{} {}/{}", local.addr, local.port, foreign.addr, foreign.port);
                format!(" {ends} netns={} uid={uid}", identity.netns)
            });
            let totals = moved.totals.map(|totals| {
                format!(" sent={} received={} rtt={}", totals.sent, totals.received, totals.srtt_us)
            });
            format!(
                "{} {} {}->{} lport={} err={} actor={}{}{}",
                moved.at.0,
                name(moved.id),
                moved.from.name(),
                moved.to.name(),
                moved.lport,
                moved.err,
                moved.actor.map_or(0, |pid| pid.get()),
                identity.unwrap_or_default(),
                totals.unwrap_or_default()
            )
        }
        Event::Child { at, pointer } => format!("{} ptr={pointer:x} CHILD", at.0),
        Event::Queue(queue) => format!(
            "{} {} QUEUE {:?} {} rq={} wq={} sent={} received={} actor={}",
            queue.at.0,
            name(queue.id),
            queue.direction,
            queue.state.name(),
            queue.rqueue,
            queue.wqueue,
            queue.sent,
            queue.received,
            queue.actor.map_or(0, |pid| pid.get())
        ),
        Event::Owner(owner) => {
            format!("{} {} OWNER {} {:?}", owner.at.0, name(owner.id), owner.pid, owner.how)
        }
        Event::Life(life) => format!("{} LIFE {} {:?}", life.at.0, life.pid, life.what),
        Event::Mini(mini) => format!(
            "{} ptr={:x} MINI {:?} {} {:?}",
            mini.at.0,
            mini.pointer,
            mini.what,
            mini.state.name(),
            mini.identity.map(|identity| identity.tuple)
        ),
        Event::Port(port) => {
            format!("{} {} PORT {}", port.at.0, name(port.id), port.identity.tuple.lport)
        }
        Event::Reset(seen) => format!("{} {} RESET {:?}", seen.at.0, name(seen.id), seen.reset),
        Event::Window(seen) => format!("{} {} WINDOW", seen.at.0, name(seen.id)),
        Event::Beside(moved) => format!(
            "{} {} {} {} -> {}",
            moved.at.0,
            name(moved.id),
            moved.transport.name(),
            moved.from.name(),
            moved.to.name()
        ),
        Event::Process(process) => format!(
            "- PROCESS {} {} uid={:?} start={} parent={:?}",
            process.pid,
            process.comm.bytes().escape_ascii(),
            process.uid,
            process.start,
            process.parent
        ),
    }
}

fn name(id: netstat_user::model::SockId) -> String {
    let text =
        |number: Option<std::num::NonZeroU64>| number.map_or("-".into(), |number| format!("{number:x}"));
    format!("ck={} ptr={}", id.cookie.map_or("-".into(), |cookie| cookie.to_string()), text(id.pointer))
}
