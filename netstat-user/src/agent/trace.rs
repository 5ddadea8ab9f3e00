//! `enetstat trace`: the table's changes, written as they are told.

use super::live::{Live, LiveOptions, News, Scope};
use super::lookup;
use crate::args::plan::{self, TracePlan};
use crate::exit::Outcome;
use crate::kernel::tier::{Feature, Tier};
use crate::model::{Clock, Identity, Mono, Pid, Told};
use crate::render::json::Json;
use crate::render::log::{Log, LogStyle};
use crate::render::summary::Summary;
use crate::source::Lodgings;
use crate::source::netns::{Labels, Netns};
use anyhow::Context as _;
use netstat_common::config::MAX_PORTS;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wall clock may be set while we run.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// How often a trace looks whether its output is still read.
const READER_CHECK: Duration = Duration::from_millis(500);
/// Default size of the ring buffer: 77 ms of half a million transitions a second.
const RING_BYTES: u32 = 4 << 20;

/// Traces until a signal, the end of the duration, or the end of the reader (`is_read` says whether there still is one,
/// for a quiet host where nothing is written); then says what it amounted to.
///
/// # Errors
/// When the kernel half cannot be had, or `out` cannot be written. A broken pipe is one of the latter.
pub fn run(
    plan: &TracePlan,
    out: &mut dyn Write,
    is_read: &dyn Fn() -> bool,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let mut plan = plan.clone();
    let options = options(&plan)?;
    let selection = std::mem::take(&mut plan.filter.selection);
    let resolved = || lookup::resolved(selection, false);
    plan.filter.selection = match (&plan.scope, &options.scope) {
        // Interfaces have the names of that namespace.
        (plan::Scope::One(_), Scope::One(netns)) => netns.run(resolved)??,
        _ => resolved()?,
    };
    let plan = &plan;
    let mut live = Live::start(options)?;
    // Before anybody is told that the trace has begun, and may end it.
    let signals = signals(&live);
    announce(plan, &live, err).context("cannot write to stderr")?;

    let mut writer = Writer::new(plan, out);
    match &mut writer.form {
        Form::Text(log) => log.name_resets(live.reset_names()),
        Form::Json(json) => json.name_resets(live.reset_names()),
    }
    writer.begin()?;
    let mut said = BTreeSet::new();
    let stopped = {
        let mut sink = |news: News<'_>| {
            for trouble in news.troubles {
                // A source that keeps failing says so once.
                if said.insert(trouble.clone()) {
                    let _ = writeln!(err, "enetstat: {trouble}");
                }
            }
            match writer.write(news.told) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        };
        live.watch(stop(signals, plan.duration, is_read), &mut sink)
    };

    let counts = *live.table().counts();
    let summary = Summary {
        transitions: counts.transitions,
        connections: counts.connections,
        lost: counts.lost,
        repaired: counts.repaired + counts.corrected,
        evicted: counts.evicted,
    };
    let mut last = Vec::new();
    match plan.json {
        true => Json::new(plan.close, Clock::now()).summary(&mut last, Mono::now(), &summary),
        false => summary.text(&mut last),
    }
    // Nobody may read stderr any more; the trace itself was written.
    let _ = err.write_all(&last);
    match stopped {
        Some(error) => Err(anyhow::Error::new(error).context("cannot write the trace")),
        None => Ok(Outcome { complete: !live.table().is_blind() }),
    }
}

fn options(plan: &TracePlan) -> anyhow::Result<LiveOptions> {
    let scope = match &plan.scope {
        plan::Scope::Own => Scope::One(Netns::current()?),
        plan::Scope::One(which) => Scope::One(Netns::from_word(which)?),
        plan::Scope::All => Scope::All,
    };
    let tier = plan.tier.as_deref().map(str::parse::<Tier>).transpose()?;
    let mut options = LiveOptions::new(scope);
    options.tier = tier;
    // The kernel half holds so many ports; with more, user space alone chooses.
    if plan.filter.ports.len() <= MAX_PORTS {
        options.ports.clone_from(&plan.filter.ports);
    }
    options.queues = plan.queues;
    options.queue_interval = plan.queue_interval;
    options.ring_bytes = plan.ring_bytes.unwrap_or(RING_BYTES);
    (options.udp, options.unix) = (plan.protocols.udp, plan.protocols.unix);
    options.limits.keep_closed = plan.keep_closed;
    options.limits.details = plan.json;
    options.limits.rows = plan.max_connections.get();
    Ok(options)
}

/// One line on stderr: from here on nothing is missed.
fn announce(plan: &TracePlan, live: &Live, err: &mut dyn Write) -> io::Result<()> {
    let what = match &plan.scope {
        plan::Scope::Own => "this network namespace".to_owned(),
        plan::Scope::One(which) => format!("network namespace {}", which.escape_debug()),
        plan::Scope::All => "all network namespaces".to_owned(),
    };
    let states = live.choices().iter().find(|choice| choice.feature == Feature::States);
    let how = match states.and_then(|choice| choice.tier) {
        Some(tier) => format!("by {tier}"),
        None => "by listing only, so short-lived states are missed".to_owned(),
    };
    let there = live.table().open_rows().count();
    let sockets = if there == 1 { "1 TCP socket was" } else { &format!("{there} TCP sockets were") };
    writeln!(err, "tracing {what} {how}; {sockets} there; interrupt to end")
}

/// The signals that ask to end. From here on they no longer kill the program.
fn signals(live: &Live) -> Vec<Signal> {
    let _inside = live.enter();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect()
}

/// Done at the first signal that asks to end, after `duration`, or when nobody reads any more.
async fn stop(mut signals: Vec<Signal>, duration: Option<Duration>, is_read: &dyn Fn() -> bool) {
    let over = async {
        let end = duration.map(|duration| tokio::time::Instant::now() + duration);
        while is_read() {
            let look = tokio::time::Instant::now() + READER_CHECK;
            tokio::time::sleep_until(end.map_or(look, |end| end.min(look))).await;
            if end.is_some_and(|end| tokio::time::Instant::now() >= end) {
                break;
            }
        }
    };
    let mut any = std::pin::pin!(over);
    std::future::poll_fn(|context| {
        if any.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(());
        }
        for signal in &mut signals {
            if signal.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(());
            }
        }
        std::task::Poll::Pending
    })
    .await;
}

enum Form {
    Text(Log),
    Json(Json),
}

struct Writer<'a> {
    plan: &'a TracePlan,
    form: Form,
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    labels: Labels,
    /// `None`: nothing is shown of where sockets live.
    lodgings: Option<Lodgings>,
    clock: Clock,
    clock_checked: Instant,
}

impl<'a> Writer<'a> {
    fn new(plan: &'a TracePlan, out: &'a mut dyn Write) -> Self {
        let clock = Clock::now();
        let form = if plan.json {
            Form::Json(Json::new(plan.close, clock))
        } else {
            let style = LogStyle {
                time: plan.time,
                zone: jiff::tz::TimeZone::system(),
                close: plan.close,
                netns: plan.scope == plan::Scope::All,
                containers: plan.inside.containers,
                cgroups: plan.inside.cgroups,
            };
            Form::Text(Log::new(style, clock))
        };
        let (buffer, labels) = (Vec::with_capacity(64 << 10), Labels::default());
        let lodgings = (plan.json || plan.inside.is_wanted()).then(Lodgings::of_host);
        Self { plan, form, out, buffer, labels, lodgings, clock, clock_checked: Instant::now() }
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        if let (Form::Text(log), true) = (&self.form, self.plan.header) {
            log.header(&mut self.buffer);
        }
        self.flush().context("cannot write the trace")
    }

    fn write(&mut self, told: &[Told]) -> io::Result<()> {
        if self.clock_checked.elapsed() >= CLOCK_CHECK {
            self.clock_checked = Instant::now();
            if self.clock.follow() {
                match &mut self.form {
                    Form::Text(log) => log.set_clock(self.clock),
                    Form::Json(json) => json.set_clock(self.clock),
                }
            }
        }
        for told in told {
            if !self.plan.filter.wants_told(told) {
                continue;
            }
            if !self.plan.protocols.wants(told) {
                continue;
            }
            if let Some((identity, process)) = told.place()
                && !self.lodge(identity, process)
            {
                continue;
            }
            match &mut self.form {
                Form::Text(log) => log.told(&mut self.buffer, told),
                Form::Json(json) => json.told(&mut self.buffer, told),
            }
            if self.buffer.len() >= 60 << 10 {
                self.flush()?;
            }
        }
        self.flush()
    }

    /// Finds out where a socket lives. Returns whether it is wanted.
    fn lodge(&mut self, identity: &Identity, process: Option<Pid>) -> bool {
        if let Some(lodgings) = &mut self.lodgings {
            let lodging = lodgings.of(identity.cgroup, process);
            if !self.plan.inside.filter.wants(&lodging) {
                return false;
            }
            match &mut self.form {
                Form::Text(log) => log.set_lodging(lodging),
                Form::Json(json) => json.set_lodging(lodging),
            }
        }
        if let (Form::Text(log), plan::Scope::All) = (&mut self.form, &self.plan.scope) {
            log.set_netns(self.labels.of(identity.netns));
        }
        true
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.out.flush()
    }
}
