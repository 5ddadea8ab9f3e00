//! A few connections in a namespace of their own, and everything that must be told of them: no step less, and none more.

use crate::json::{Kind, Line};
use crate::need::{self, Need};
use crate::{NetNs, Peer, Trace};
use anyhow::{Context, Result, bail, ensure};
use netstat_common::TcpState::{self, Close, FinWait2, Listen, SynRecv, SynSent, TimeWait};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// For what has happened and only needs to be told; much longer than it takes.
const SOON: Duration = Duration::from_secs(10);

/// A step from one state to another.
pub type Step = (TcpState, TcpState);

/// The whole life of one socket, as it must be told.
#[derive(Clone, Debug)]
pub struct Story {
    pub local: SocketAddr,
    pub peer: SocketAddr,
    pub steps: Vec<Step>,
    /// What may be told instead where nothing has events but full sockets.
    pub weaker: Vec<Vec<Step>>,
    /// Name of the error with the last step.
    pub error: Option<&'static str>,
    /// Who it belongs to.
    pub pid: u32,
}

impl Story {
    /// Of a socket of this process, without an error.
    pub fn new(local: impl Into<SocketAddr>, peer: impl Into<SocketAddr>, steps: &[Step]) -> Self {
        Self {
            local: local.into(),
            peer: peer.into(),
            steps: steps.to_vec(),
            weaker: Vec::new(),
            error: None,
            pid: std::process::id(),
        }
    }

    /// Of a listener on an IPv4 address, which is closed or not.
    pub fn listener(local: SocketAddr, steps: &[Step]) -> Self {
        Self::new(local, ([0, 0, 0, 0], 0), steps)
    }

    pub fn error(mut self, name: &'static str) -> Self {
        self.error = Some(name);
        self
    }

    pub fn or(mut self, weaker: &[Step]) -> Self {
        self.weaker.push(weaker.to_vec());
        self
    }
}

/// A traced network namespace with a [`Peer`].
pub struct Scene {
    trace: Trace,
    pub peer: Peer,
    /// Half-open connections, TIME_WAIT and the port of SYN_SENT have events here.
    pub minis: bool,
    /// The peer's FIN for a socket that nobody has any more has one too.
    pub late_fin: bool,
    pub namespace: NetNs,
}

impl Scene {
    /// `None`, having said why, when the tier hears no events at all.
    ///
    /// # Errors
    /// The tracer does not start, or the namespace cannot be made.
    pub fn begin() -> Result<Option<Self>> {
        let Some(tier) = need::need(Need::Events)? else { return Ok(None) };
        let minis = need::minis(&tier)?;
        let namespace = NetNs::enter()?;
        // Only segments that a test speaks of are on the wire.
        namespace.sysctl("ipv4/conf/all/rp_filter", "0")?;
        let peer = Peer::new(&namespace)?;
        let trace = Trace::start(&tier, &[])?;
        let late_fin = minis.as_deref().is_some_and(need::has_late_fin);
        Ok(Some(Self { trace, peer, minis: minis.is_some(), late_fin, namespace }))
    }

    /// Waits until all of these have been told, ends the trace, and holds every line of it against them. Gives the lines of
    /// each story.
    ///
    /// # Errors
    /// Something else was told; carries all lines.
    pub fn told(self, stories: &[Story]) -> Result<Vec<Vec<Line>>> {
        self.told_within(SOON, stories)
    }

    /// The same with an end that is far off.
    ///
    /// # Errors
    /// See [`Scene::told`].
    pub fn told_within(mut self, longest: Duration, stories: &[Story]) -> Result<Vec<Vec<Line>>> {
        let (minis, late_fin) = (self.minis, self.late_fin);
        self.trace.wait_for(longest, |lines| self::told(lines, stories, minis).is_ok())?;
        let output = self.trace.stop()?;
        let lines = output.lines()?;
        let judged = self::told(&lines, stories, minis).and_then(|told| {
            for (story, lines) in stories.iter().zip(&told) {
                for (index, line) in lines.iter().enumerate() {
                    let before = index.checked_sub(1).and_then(|index| lines.get(index));
                    check(story, before, line, minis, late_fin)?;
                }
                ensure!(
                    lines.last().and_then(|line| line.error.as_deref()) == story.error,
                    "error of {story:?}"
                );
            }
            for key in ["enetstat.lost", "enetstat.repaired"] {
                ensure!(output.counted(key)? == 0, "{key}: {}", output.summary()?);
            }
            Ok(told)
        });
        judged.with_context(|| format!("{}and at the end:\n{:?}", shown(&lines), output.err))
    }
}

/// One line beside what is true.
fn check(story: &Story, before: Option<&Line>, line: &Line, minis: bool, late_fin: bool) -> Result<()> {
    let step = line.step().context("no step")?;
    let mini = is_mini(step, before);
    let orphan = step == (FinWait2, TimeWait);
    let learnt = match () {
        // The listing may have seen the half-open connection first, or the socket be asked about.
        () if mini && !minis || orphan && !late_fin => &["event", "deduced", "listing"][..],
        () => &["event"],
    };
    ensure!(line.learnt.as_deref().is_some_and(|how| learnt.contains(&how)), "learnt: {line:?}");
    // Who looks for half-open connections may find one that has outlived its listener.
    let late = !minis && story.steps.first() == Some(&(Listen, SynRecv)) && line.pid.is_none();
    ensure!(late || line.pid == Some(story.pid), "owner: {line:?}");
    ensure!(line.actor.is_none_or(|actor| actor == story.pid), "actor: {line:?}");
    ensure!(!line.preexisting, "it was not there before: {line:?}");
    if line.error.is_some() {
        ensure!(step.1 == Close, "error before the end: {line:?}");
    }
    let Some(before) = before.filter(|_| step.0 != Close) else {
        ensure!(line.spent_ns.is_none(), "time in a state that it was not in: {line:?}");
        return Ok(());
    };
    ensure!(before.cookie == line.cookie, "cookie: {line:?}");
    if before.learnt.as_deref() == Some("listing") {
        return Ok(());
    }
    let passed = (nanoseconds(line)? + DAY - nanoseconds(before)?) % DAY;
    ensure!(line.spent_ns == Some(passed), "{passed} ns passed: {line:?}");
    Ok(())
}

/// Whether a step is one of a request or timewait socket.
fn is_mini(step: Step, before: Option<&Line>) -> bool {
    let was_orphan = before.is_some_and(|line| line.learnt.as_deref() != Some("event"));
    matches!(step, (Listen, SynRecv) | (SynRecv, Close) | (_, TimeWait) | (TimeWait, _) | (FinWait2, Close))
        || step.0 == SynRecv && was_orphan
}

/// The lines of each story, when they tell these stories and nothing else.
fn told(lines: &[Line], stories: &[Story], minis: bool) -> Result<Vec<Vec<Line>>> {
    let mut sockets: Vec<(u64, Vec<Line>)> = Vec::new();
    for line in lines.iter().filter(|line| line.kind == Kind::Transition) {
        let number = line.connection.with_context(|| format!("no connection: {line:?}"))?;
        // A socket that is used again begins another life.
        let again = line.from == Some(Close);
        match sockets.iter_mut().rfind(|(known, _)| *known == number && !again) {
            Some((_, lines)) => lines.push(line.clone()),
            None => sockets.push((number, vec![line.clone()])),
        }
    }
    let mut told = Vec::new();
    for story in stories {
        let right = |line: &Line| {
            // Where nothing tells the port it is known with the next event.
            let portless = !minis && line.state == Some(SynSent) || line.state == Some(Listen);
            let same = |addr: SocketAddr| addr == story.local || portless && addr.port() == 0;
            line.local.is_some_and(same) && line.peer == Some(story.peer)
        };
        let Some(at) = sockets.iter().position(|(_, lines)| lines.iter().all(right)) else {
            let need_not = !minis && story.weaker.iter().any(Vec::is_empty);
            ensure!(need_not, "not told: {story:?}");
            told.push(Vec::new());
            continue;
        };
        let (_, lines) = sockets.remove(at);
        let steps: Vec<Step> = lines.iter().filter_map(Line::step).collect();
        let weaker = !minis && story.weaker.contains(&steps);
        ensure!(steps == story.steps || weaker, "{steps:?} was told instead of {:?}", story.steps);
        told.push(lines);
    }
    if let Some((_, lines)) = sockets.first() {
        bail!("a socket that never was: {}", shown(lines));
    }
    Ok(told)
}

/// The lines as a table, for people.
pub fn shown(lines: &[Line]) -> String {
    let mut text = String::from("told:\n");
    for line in lines.iter().filter(|line| line.kind == Kind::Transition) {
        let end = |addr: Option<SocketAddr>| addr.map_or_else(|| "-".to_owned(), |addr| addr.to_string());
        let name = |state: Option<TcpState>| state.map_or("-", TcpState::name);
        let word = |word: &Option<Box<str>>| word.as_deref().unwrap_or("-").to_owned();
        let _ = writeln!(
            text,
            "  {} #{:?} {} {} {} -> {} spent {:?} {} pid {:?} {} actor {:?} error {}",
            word(&line.timestamp),
            line.connection,
            end(line.local),
            end(line.peer),
            name(line.from),
            name(line.state),
            line.spent_ns,
            word(&line.learnt),
            line.pid,
            word(&line.how),
            line.actor,
            word(&line.error),
        );
    }
    text
}

/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

/// The time of day of a line, in nanoseconds.
///
/// # Errors
/// It has no time that is printed as usual.
pub fn nanoseconds(line: &Line) -> Result<u64> {
    let stamp = line.timestamp.as_deref().context("no time")?;
    let number = |range: std::ops::Range<usize>| -> Result<u64> {
        Ok(stamp.get(range).with_context(|| format!("time {stamp:?}"))?.parse()?)
    };
    let seconds = (number(11..13)? * 60 + number(14..16)?) * 60 + number(17..19)?;
    Ok(seconds * 1_000_000_000 + number(20..29)?)
}

/// The line that tells this step.
///
/// # Errors
/// None does.
pub fn at(lines: &[Line], step: Step) -> Result<&Line> {
    lines
        .iter()
        .find(|line| line.step() == Some(step))
        .with_context(|| format!("no {step:?} in {}", shown(lines)))
}

/// The state that `step` left lasted as long as the truth says: nanoseconds.
///
/// # Errors
/// It did not.
pub fn ensure_spent(lines: &[Line], step: Step, truth: RangeInclusive<u64>) -> Result<()> {
    let spent = at(lines, step)?.spent_ns;
    ensure!(
        spent.is_some_and(|spent| truth.contains(&spent)),
        "{step:?} after {spent:?}, not {truth:?} ns: {}",
        shown(lines)
    );
    Ok(())
}
