//! Holds what was told against the truth: each end of each connection, every line.

use super::life::{Kind, Life, Window};
use crate::json::{Kind as LineKind, Line};
use crate::story::nanoseconds;
use netstat_common::TcpState::{self, Close, Closing, FinWait1, Listen, SynSent, TimeWait};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// How far the program's clock may be from ours: it tells the time of day, which is set while it runs.
const CLOCK: u64 = 5_000_000;
/// TIME_WAIT lasts at least a minute, and the kernel's timers make it up to two seconds longer (`TCP_TIMEWAIT_LEN`,
/// include/net/tcp.h, 6.12).
const MINUTE: u64 = 60_000_000_000;
const WHEEL: u64 = 2_500_000_000;
/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

/// What the judge has to know of the run.
#[derive(Clone, Debug)]
pub struct Demands {
    pub namespaces: Vec<u64>,
    /// Nanoseconds of the day that CLOCK_MONOTONIC has to be added to.
    pub midnight: u64,
    /// When the trace was told to end (CLOCK_MONOTONIC).
    pub end: u64,
}

impl Demands {
    /// The time of day is taken from now on.
    pub fn new(namespaces: Vec<u64>) -> Self {
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let wall = wall.tv_sec.unsigned_abs() * 1_000_000_000 + wall.tv_nsec.unsigned_abs();
        let midnight = (wall % DAY + DAY - crate::sys::monotonic() % DAY) % DAY;
        Self { namespaces, midnight, end: u64::MAX }
    }

    /// The time of a line on CLOCK_MONOTONIC, taken as a time of the last day.
    ///
    /// # Errors
    /// It has none.
    pub fn moment(&self, line: &Line) -> anyhow::Result<u64> {
        let now = crate::sys::monotonic();
        let ago = (now + self.midnight + DAY - nanoseconds(line)?) % DAY;
        // The program's clock may be ahead by a little.
        Ok(if ago > DAY / 2 { now + (DAY - ago) } else { now.saturating_sub(ago) })
    }

    /// Whether a time of day lies within a window of CLOCK_MONOTONIC.
    fn within(&self, time: u64, window: Window) -> bool {
        let begin = (window.0 + self.midnight + DAY - CLOCK) % DAY;
        (time + DAY - begin) % DAY <= window.1 - window.0 + 2 * CLOCK
    }
}

/// What is wrong with one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Missing,
    Stray,
    Path(Vec<TcpState>),
    Cookie(u64),
    Owner(TcpState, Option<u32>),
    Actor(TcpState, Option<u32>),
    Reason(Option<String>),
    First(Option<String>),
    Error(Option<String>),
    Bytes(Option<(u64, u64)>),
    /// It is told to have happened at another time than it did.
    Time(TcpState),
    /// Lines of one socket are not in the order of their times.
    Order(TcpState),
    /// The time spent in a state is not that between the lines.
    Spent(TcpState, Option<u64>),
    /// TIME_WAIT lasted so many nanoseconds, or has not ended.
    TimeWait(Option<u64>),
    /// TIME_WAIT is told to have lasted into the life of the connection that took its place.
    Overlap,
    Preexisting,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Ends judged, by kind.
    pub ends: BTreeMap<Kind, u64>,
    pub lines: u64,
    /// Lines that were not events.
    pub deduced: BTreeMap<String, u64>,
    pub faults: Vec<(Option<Box<Life>>, String, Fault)>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends: u64 = self.ends.values().sum();
        writeln!(
            f,
            "{} differences in {ends} ends and {} lines: {:?}",
            self.faults.len(),
            self.lines,
            self.ends
        )?;
        writeln!(f, "not by an event: {:?}", self.deduced)?;
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for (life, _, fault) in &self.faults {
            let fault = format!("{fault:?}");
            let name = fault.split(['(', '{']).next().unwrap_or_default();
            let kind = life.as_ref().map(|life| life.kind);
            *kinds.entry(format!("{kind:?} {name}")).or_default() += 1;
        }
        writeln!(f, "{kinds:#?}")?;
        let mut shown: BTreeMap<String, u32> = BTreeMap::new();
        for (life, lines, fault) in &self.faults {
            let kind = life.as_ref().map(|life| life.kind);
            let name = format!("{kind:?} {:?}", std::mem::discriminant(fault));
            let count = shown.entry(name).or_default();
            *count += 1;
            if *count <= 2 {
                writeln!(f, "{fault:?}\n  true: {life:?}\n  {lines}")?;
            }
        }
        Ok(())
    }
}

type Place = (u64, SocketAddr, SocketAddr);

/// Judges every end.
pub fn judge(truth: &[Life], lines: &[Line], demands: &Demands) -> Verdict {
    let mut verdict = Verdict::default();
    let mut told = group(lines, demands, &mut verdict);
    let mut true_lives: FxHashMap<Place, Vec<&Life>> = FxHashMap::default();
    for life in truth {
        true_lives.entry((life.netns, life.local, life.peer)).or_default().push(life);
    }
    for (place, lives) in true_lives {
        // Those with the same addresses followed each other, in both accounts.
        let mut told = told.remove(&place).unwrap_or_default().into_iter().peekable();
        let mut lives = lives.into_iter().peekable();
        while let Some(life) = lives.next() {
            *verdict.ends.entry(life.kind).or_default() += 1;
            let mut life = life.clone();
            let waits = life.path.last() == Some(&TimeWait);
            if waits && lives.peek().is_some() {
                life.path.push(Close);
            }
            match told.next() {
                Some(lines) => {
                    // A connect moves to SYN_SENT before it looks for a port, and finds the TIME_WAIT.
                    let next = told.peek().filter(|_| waits);
                    let next = next.and_then(|next| next.iter().find(|line| line.state != Some(SynSent)));
                    if next
                        .is_some_and(|next| lines.last().is_some_and(|last| last.timestamp > next.timestamp))
                    {
                        verdict.faults.push((Some(life.clone().into()), shown(&lines), Fault::Overlap));
                    }
                    examine(&life, &lines, demands, &mut verdict);
                }
                None => verdict.faults.push((Some(life.into()), String::new(), Fault::Missing)),
            }
        }
        for lines in told {
            verdict.faults.push((None, shown(&lines), Fault::Stray));
        }
    }
    for lines in told.into_values().flatten() {
        verdict.faults.push((None, shown(&lines), Fault::Stray));
    }
    verdict
}

fn shown(lines: &[&Line]) -> String {
    let lines: Vec<Line> = lines.iter().map(|line| (*line).clone()).collect();
    crate::story::shown(&lines)
}

/// The lives that were told, by place, in the order they began.
fn group<'a>(
    lines: &'a [Line],
    demands: &Demands,
    verdict: &mut Verdict,
) -> FxHashMap<Place, Vec<Vec<&'a Line>>> {
    let mut lives: Vec<Vec<&Line>> = Vec::new();
    let mut by_number: FxHashMap<u64, usize> = FxHashMap::default();
    let ours = |line: &&Line| {
        line.kind == LineKind::Transition
            && line.netns.is_none_or(|netns| demands.namespaces.contains(&netns))
    };
    for line in lines.iter().filter(ours) {
        verdict.lines += 1;
        if let Some(learnt) = line.learnt.as_deref().filter(|learnt| *learnt != "event") {
            let step = line.step().map(|(from, to)| format!("{learnt} {} -> {}", from.name(), to.name()));
            *verdict.deduced.entry(step.unwrap_or_default()).or_default() += 1;
        }
        let number = line.connection.unwrap_or(0);
        match by_number.get(&number) {
            // A socket that is used again begins another life.
            Some(&at) if line.from != Some(Close) => lives[at].push(line),
            _ => {
                by_number.insert(number, lives.len());
                lives.push(vec![line]);
            }
        }
    }
    lives.sort_by(|a, b| a[0].timestamp.cmp(&b[0].timestamp));
    let mut told: FxHashMap<Place, Vec<Vec<&Line>>> = FxHashMap::default();
    for lines in lives {
        let place = lines.last().and_then(|line| Some((line.netns?, line.local?, line.peer?)));
        match place {
            Some(place) => told.entry(place).or_default().push(lines),
            None => verdict.faults.push((None, shown(&lines), Fault::Stray)),
        }
    }
    told
}

fn examine(life: &Life, lines: &[&Line], demands: &Demands, verdict: &mut Verdict) {
    let mut faults = Vec::new();
    path(life, lines, demands, &mut faults);
    times(life, lines, demands, &mut faults);
    people(life, lines, &mut faults);
    // The end is what ends it for its process: TIME_WAIT is a state of what is left.
    let end = lines.iter().find(|line| matches!(line.state, Some(Close | TimeWait)));
    let word = |word: &Option<Box<str>>| word.as_deref().map(str::to_owned);
    if let Some(end) = end.filter(|_| life.kind != Kind::Listener) {
        if end.reason.as_deref() != life.reason {
            faults.push(Fault::Reason(word(&end.reason)));
        }
        if end.first.as_deref() != life.first {
            faults.push(Fault::First(word(&end.first)));
        }
        if end.error.as_deref() != life.error {
            faults.push(Fault::Error(word(&end.error)));
        }
        let told = end.sent.zip(end.received);
        if life.bytes.is_some_and(|bytes| told != Some(bytes)) {
            faults.push(Fault::Bytes(told));
        }
    }
    if !faults.is_empty() {
        let text = shown(lines);
        verdict
            .faults
            .extend(faults.into_iter().map(|fault| (Some(life.clone().into()), text.clone(), fault)));
    }
}

/// The states, and when TIME_WAIT ends.
fn path(life: &Life, lines: &[&Line], demands: &Demands, faults: &mut Vec<Fault>) {
    let mut told: Vec<TcpState> = lines.first().and_then(|line| line.from).into_iter().collect();
    told.extend(lines.iter().filter_map(|line| line.state));
    let chained = lines.windows(2).all(|pair| pair[0].state == pair[1].from);
    let waits = life.path.last() == Some(&TimeWait);
    let over = waits && told.last() == Some(&Close);
    let without_end = if over { &told[..told.len() - 1] } else { &told[..] };
    if !chained || without_end != life.path {
        return faults.push(Fault::Path(told));
    }
    if !waits {
        return;
    }
    let begun =
        lines.iter().find(|line| line.state == Some(TimeWait)).and_then(|line| nanoseconds(line).ok());
    let end = (demands.end + demands.midnight) % DAY;
    let age = begun.map(|begun| (end + DAY - begun) % DAY);
    let spent = lines.last().and_then(|line| line.spent_ns).filter(|_| over);
    let right = match spent {
        Some(spent) => (MINUTE - CLOCK..MINUTE + WHEEL).contains(&spent),
        None => !over && age.is_some_and(|age| age < MINUTE + WHEEL),
    };
    if !right {
        faults.push(Fault::TimeWait(spent));
    }
}

fn times(life: &Life, lines: &[&Line], demands: &Demands, faults: &mut Vec<Fault>) {
    for pair in lines.windows(2) {
        let state = pair[1].state.unwrap_or(Close);
        let (Ok(before), Ok(after)) = (nanoseconds(pair[0]), nanoseconds(pair[1])) else {
            faults.push(Fault::Order(state));
            continue;
        };
        let passed = (after + DAY - before) % DAY;
        if passed > DAY / 2 {
            faults.push(Fault::Order(state));
        } else if pair[1].spent_ns != Some(passed) {
            faults.push(Fault::Spent(state, pair[1].spent_ns));
        }
    }
    let opens = lines.first().copied().zip(life.opened);
    let closes = closing(lines).zip(life.closed);
    for (line, (_, window)) in opens.into_iter().chain(closes) {
        if !nanoseconds(line).is_ok_and(|time| demands.within(time, window)) {
            faults.push(Fault::Time(line.state.unwrap_or(Close)));
        }
    }
}

/// The line of what the end's own process does to end it.
fn closing<'a>(lines: &[&'a Line]) -> Option<&'a Line> {
    let own = |line: &&&Line| match line.state {
        Some(FinWait1 | TcpState::LastAck) => true,
        Some(Close) => !matches!(line.from, Some(TcpState::LastAck | Closing | TimeWait)),
        _ => false,
    };
    lines.iter().find(own).copied()
}

fn people(life: &Life, lines: &[&Line], faults: &mut Vec<Fault>) {
    let closing = closing(lines);
    for (index, line) in lines.iter().enumerate() {
        let state = line.state.unwrap_or(Close);
        if !line.pid.is_some_and(|pid| life.owners.contains(&pid)) {
            faults.push(Fault::Owner(state, line.pid));
        }
        let opens = index == 0 && matches!(state, SynSent | Listen);
        let closes = closing.is_some_and(|closing| std::ptr::eq(closing, *line));
        let right = match (line.actor, life.opened, life.closed) {
            (actor, Some((pid, _)), _) if opens => actor == Some(pid),
            (actor, _, Some((pid, _))) if closes => actor == Some(pid).filter(|pid| *pid != 0),
            (None, ..) => true,
            (Some(actor), ..) => life.owners.contains(&actor),
        };
        if !right {
            faults.push(Fault::Actor(state, line.actor));
        }
        if line.preexisting {
            faults.push(Fault::Preexisting);
        }
        if life.cookie.is_some_and(|cookie| line.cookie.is_some_and(|told| told != cookie)) {
            faults.push(Fault::Cookie(line.cookie.unwrap_or(0)));
        }
    }
}
