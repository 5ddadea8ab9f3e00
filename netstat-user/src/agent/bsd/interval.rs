//! Packets of interfaces, counted anew each interval, until somebody has seen enough.

use super::{NoInterface, Show, WRITING, only};
use crate::args::bsd::IntervalPlan;
use crate::exit::Outcome;
use crate::model::{Interface, Mono};
use crate::render::bsd::interval::{self, LINES};
use crate::render::spaces;
use crate::source::{All, Depth, Rtnl};
use anyhow::Context;
use std::io::{self, Write};
use std::mem::MaybeUninit;

/// The signals that end the display, kept back until they are waited for.
pub struct Ends(libc::sigset_t);

impl Ends {
    /// Keeps SIGINT and SIGTERM back from the calling thread, and from those that it starts.
    ///
    /// # Errors
    /// Those of pthread_sigmask(3), which has none for this.
    pub fn catch() -> anyhow::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: `set` is room for a set, which sigemptyset fills.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: sigemptyset has just filled it.
        let mut set = unsafe { set.assume_init() };
        for signal in [libc::SIGINT, libc::SIGTERM] {
            // SAFETY: the set is initialised, and the signal exists.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        // SAFETY: the set is initialised, and nobody wants the former one.
        let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        anyhow::ensure!(failed == 0, "cannot keep signals back: {}", io::Error::from_raw_os_error(failed));
        Ok(Self(set))
    }

    /// Waits until `until`; true when a signal came first.
    fn wait(&self, until: Mono) -> bool {
        loop {
            let left = until.since(Mono::now());
            let time = libc::timespec {
                tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            // SAFETY: the set is initialised, nobody wants to know more of the signal, and the time is on the stack.
            let signal =
                unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), &raw const time) };
            if signal > 0 {
                return true;
            }
            // Otherwise another signal was handled meanwhile.
            if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                return false;
            }
        }
    }
}

/// Shows a line each interval, the first after the first of them.
///
/// # Errors
/// When `out` cannot be written, when the kernel refuses, or when the interface is not there, or not any more.
pub(super) fn run(
    show: &mut Show<'_>,
    plan: &IntervalPlan,
    ends: &Ends,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let name = plan.only.as_deref();
    let sample = |show: &mut Show<'_>| -> anyhow::Result<(Mono, Vec<Interface>)> {
        let links = only(show.links()?, name)?;
        Ok((Mono::now(), links))
    };
    let mut before = sample(show)?;
    // Of the beginning, not of the line before: what a line costs does not add up.
    let mut next = before.0;
    let mut shown = 0_u64;
    loop {
        next = next.after(plan.every);
        let json = show.plan.json;
        if !json && shown.is_multiple_of(LINES) {
            interval::heading(&mut show.text, name, plan.drops);
            write(show, out)?;
        }
        if ends.wait(next) {
            return Ok(Outcome { complete: show.complete });
        }
        let now = sample(show)?;
        let counted = interval::difference(&before.1, &now.1);
        if json {
            let took = now.0.since(before.0);
            show.json.interval(&mut show.text, now.0, name, took, &counted);
        } else {
            interval::line(&mut show.text, &counted, plan.drops, plan.human);
        }
        write(show, out)?;
        shown += 1;
        if plan.count.is_some_and(|count| shown >= count.get()) {
            return Ok(Outcome { complete: show.complete });
        }
        // After a stop of the whole program there is one line for the time that it took, not many at once.
        if now.0.since(next) > plan.every {
            next = now.0;
        }
        before = now;
    }
}

/// Interfaces of a namespace at one time.
struct Sample {
    inum: u32,
    label: Vec<u8>,
    at: Mono,
    links: Vec<Interface>,
}

/// The same of every network namespace: a line for each, those of one interval together. A namespace that came since the
/// last interval has its first line with the next.
pub(super) fn everywhere(
    show: &mut Show<'_>,
    plan: &IntervalPlan,
    ends: &Ends,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let name = plan.only.as_deref();
    let json = show.plan.json;
    let began = Mono::now();
    let mut before = samples(show, name, Depth::Sockets)?;
    let mut next = Mono::now();
    let mut depth = Depth::Sockets;
    let looked = next.since(began);
    if looked > plan.every / 4 {
        depth = Depth::Threads;
        show.note(format_args!(
            "network namespaces without a name, a mount or a process are left out: looking for them takes {} ms",
            looked.as_millis()
        ));
    }
    let (mut rounds, mut width) = (0_u64, 0);
    let mut lines = LINES;
    loop {
        next = next.after(plan.every);
        if ends.wait(next) {
            return Ok(Outcome { complete: show.complete });
        }
        let now = samples(show, name, depth)?;
        width = spaces::width(now.iter().map(|sample| sample.label.as_slice())).max(width);
        for sample in &now {
            let Some(former) = before.iter().find(|former| former.inum == sample.inum) else { continue };
            let counted = interval::difference(&former.links, &sample.links);
            if json {
                let took = sample.at.since(former.at);
                show.json.set_netns(sample.inum);
                show.json.interval(&mut show.text, sample.at, name, took, &counted);
                continue;
            }
            if lines >= LINES {
                lines = 0;
                heading(&mut show.text, name, plan.drops, width);
            }
            lines += 1;
            spaces::cell(&mut show.text, &sample.label, width);
            interval::line(&mut show.text, &counted, plan.drops, plan.human);
        }
        write(show, out)?;
        rounds += 1;
        if plan.count.is_some_and(|count| rounds >= count.get()) {
            return Ok(Outcome { complete: show.complete });
        }
        if Mono::now().since(next) > plan.every {
            next = Mono::now();
        }
        before = now;
    }
}

fn heading(out: &mut Vec<u8>, only: Option<&[u8]>, drops: bool, width: usize) {
    let mut titles = Vec::new();
    interval::heading(&mut titles, only, drops);
    for (at, line) in titles.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match at {
            0 => spaces::cell(out, b"", width),
            _ => spaces::head(out, width),
        }
        out.extend_from_slice(line);
    }
}

/// Every namespace that can be examined, and that has the interface when one was asked for.
fn samples(show: &mut Show<'_>, name: Option<&[u8]>, depth: Depth) -> anyhow::Result<Vec<Sample>> {
    let all = All::find(depth);
    all.remarks().into_iter().for_each(|remark| show.missing(remark));
    let mut samples = Vec::new();
    for netns in all.found {
        let found = netns.run(|| Rtnl::open()?.links()).map_err(anyhow::Error::from);
        match found.and_then(|listed| Ok(listed?)) {
            Ok((links, dumped)) => {
                show.dumped("interfaces", &dumped);
                if let Ok(links) = only(links, name) {
                    samples.push(Sample { inum: netns.inum, label: netns.label(), at: Mono::now(), links });
                }
            }
            Err(error) => show.missing(format_args!(
                "network namespace {}: {error:#}",
                String::from_utf8_lossy(&netns.label()).escape_debug()
            )),
        }
    }
    if let Some(name) = name {
        anyhow::ensure!(!samples.is_empty(), NoInterface(name.to_vec()));
    }
    anyhow::ensure!(!samples.is_empty(), "no network namespace can be examined");
    Ok(samples)
}

/// Writes what there is at once, so that a pipe has it too.
fn write(show: &mut Show<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let written = out.write_all(&show.text).and_then(|()| out.flush());
    show.text.clear();
    written.context(WRITING)
}
