//! Holds what the tracer said against what the workload did.

use crate::json::{Kind, Line};
use crate::listing::Row;
use crate::truth::{Connection, End, First, Truth};
use crate::witness::Unseen;
use anyhow::Result;
use netstat_common::TcpState;
use rustc_hash::FxHashMap;
use std::fmt;
use std::net::SocketAddr;

use TcpState::{
    Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent, TimeWait,
};

/// A step from one state to another.
pub type Step = (TcpState, TcpState);

/// What is wrong with one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was said of it.
    Missing,
    /// The steps are not those of its life.
    Path(Vec<Step>),
    /// A line names another process than the one that had the socket.
    Pid { step: Step, said: u32, true_pid: u32 },
    /// A line names nobody, though the owner could be known.
    NoOwner(Step),
    /// A step is said to have happened before the one before it.
    Order(Step),
    /// How long the state lasted is not said, though its beginning was.
    NoDuration(Step),
    /// Bytes at the end are not those that were written.
    Bytes { said: (Option<u64>, Option<u64>), true_bytes: (u64, u64) },
    /// The addresses are not its own.
    Addresses(Option<SocketAddr>, Option<SocketAddr>),
    /// A line about a socket that never was.
    Stray(Step),
}

/// Everything that was wrong.
#[derive(Debug, Default)]
pub struct Report {
    /// Ends whose whole life was demanded.
    pub whole: u64,
    /// Ends of which only a part could be seen.
    pub partial: u64,
    pub faults: Vec<Faulty>,
}

/// A fault and whose it is.
#[derive(Clone, Debug)]
pub struct Faulty {
    pub end: String,
    /// Ports of the end, its own first; 0 where they are not known.
    pub ports: (u16, u16),
    pub fault: Fault,
}

impl Report {
    /// Without the faults of connections of which a [`Witness`](crate::witness::Witness) shows steps that the kernel kept from
    /// every program.
    #[must_use]
    pub fn but(mut self, unseen: &Unseen) -> Self {
        self.faults.retain(|one| !unseen.contains_key(&one.ports));
        self
    }

    /// # Errors
    /// There are faults: how many, and the first of them.
    pub fn into_result(self) -> Result<Self> {
        if self.faults.is_empty() {
            return Ok(self);
        }
        anyhow::bail!("{self}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} faults in {} ends ({} partial)",
            self.faults.len(),
            self.whole + self.partial,
            self.partial
        )?;
        for Faulty { end, fault, .. } in self.faults.iter().take(20) {
            writeln!(f, "  {end}: {fault:?}")?;
        }
        Ok(())
    }
}

/// What is demanded.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// Connections that began after this (CLOCK_MONOTONIC) must be told whole.
    pub attached: u64,
    /// Ends that closed before this must have their end told.
    pub until: u64,
    /// Every line names the owner.
    pub owners: bool,
    /// Byte counts at the end.
    pub bytes: bool,
}

impl Demands {
    /// Everything of everything.
    pub const ALL: Self = Self { attached: 0, until: u64::MAX, owners: true, bytes: true };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

/// Checks every end of every connection.
pub fn check(truth: &Truth, lines: &[Line], demands: &Demands) -> Report {
    let mut report = Report::default();
    let mut told = group(truth, lines, demands, &mut report);
    for connection in &truth.connections {
        for role in [Role::Client, Role::Server] {
            let (own, other) = match role {
                Role::Client => (&connection.client, &connection.server),
                Role::Server => (&connection.server, &connection.client),
            };
            let lines = told.ends.remove(&own.cookie).unwrap_or_default();
            let mut fault = |fault| {
                let role = if role == Role::Client { "client" } else { "server" };
                let end = format!("{role} {} -> {} cookie {}", own.addr, other.addr, own.cookie);
                report.faults.push(Faulty { end, ports: (own.addr.port(), other.addr.port()), fault });
            };
            let closed = connection.client.closed.max(connection.server.closed);
            if connection.client.opened > demands.attached && closed < demands.until {
                let mut steps: Vec<Step> = lines.iter().filter_map(|line| line.step()).collect();
                // Where the first step has neither port nor cookie (no cookie helper), it was counted by its destination.
                if role == Role::Client
                    && steps.first() != Some(&(Close, SynSent))
                    && told.take_opening(other.addr)
                {
                    steps.insert(0, (Close, SynSent));
                }
                match whole(&steps, role, connection.first) {
                    Ok(()) => {}
                    Err(_) if steps.is_empty() => fault(Fault::Missing),
                    Err(()) => fault(Fault::Path(steps)),
                }
                if demands.bytes {
                    bytes(&lines, own, other, &mut fault);
                }
                report_each(&lines, connection, role, demands, true, &mut fault);
                report.whole += 1;
            } else {
                let steps: Vec<Step> = lines.iter().filter_map(|line| line.step()).collect();
                let alive_when_attached = own.closed > demands.attached;
                let over = closed < demands.until;
                let ended = steps.last().is_some_and(|step| matches!(step.1, Close | TimeWait));
                if alive_when_attached && over && steps.is_empty() {
                    fault(Fault::Missing);
                } else if !chained(&steps) || (alive_when_attached && over && !ended) {
                    fault(Fault::Path(steps));
                }
                report_each(&lines, connection, role, demands, false, &mut fault);
                report.partial += 1;
            }
        }
    }
    for (cookie, lines) in told.ends {
        for line in lines {
            if let Some(step) = line.step().filter(|step| !matches!(step, (Close, Listen) | (Listen, Close)))
            {
                let end = format!("cookie {cookie} {:?} -> {:?}", line.local, line.peer);
                let port = |addr: Option<SocketAddr>| addr.map_or(0, |addr| addr.port());
                let ports = (port(line.local), port(line.peer));
                report.faults.push(Faulty { end, ports, fault: Fault::Stray(step) });
            }
        }
    }
    report
}

/// Lines by cookie, and openings that have none.
struct Told<'a> {
    ends: FxHashMap<u64, Vec<&'a Line>>,
    openings: FxHashMap<SocketAddr, u64>,
}

impl Told<'_> {
    fn take_opening(&mut self, to: SocketAddr) -> bool {
        match self.openings.get_mut(&to) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

fn group<'a>(truth: &Truth, lines: &'a [Line], demands: &Demands, report: &mut Report) -> Told<'a> {
    let mut told = Told { ends: FxHashMap::default(), openings: FxHashMap::default() };
    let transitions = || lines.iter().filter(|line| line.kind == Kind::Transition);
    // Which of the program's own numbers belongs to a cookie.
    let mut numbers: FxHashMap<u64, Option<u64>> = FxHashMap::default();
    for line in transitions() {
        if let Some(cookie) = line.cookie {
            told.ends.entry(cookie).or_default().push(line);
            numbers.insert(cookie, line.connection);
        }
    }
    // Only needed where lines lack the cookie.
    let mut by_address: Option<FxHashMap<(SocketAddr, SocketAddr), u64>> = None;
    for line in transitions().filter(|line| line.cookie.is_none()) {
        let by_address = by_address.get_or_insert_with(|| {
            let ends = truth.connections.iter().flat_map(|connection| {
                let (client, server) = (connection.client, connection.server);
                // What was over before or began after has no lines, but its addresses may be another's.
                let during = demands.attached..=demands.until;
                [(client, server), (server, client)].into_iter().filter_map(move |(own, other)| {
                    let inside = own.closed >= *during.start() && own.opened <= *during.end();
                    inside.then_some(((own.addr, other.addr), own.cookie))
                })
            });
            ends.collect()
        });
        let Some(step) = line.step() else { continue };
        match (line.local, line.peer) {
            (_, Some(peer))
                if step == (Close, SynSent) && line.local.is_none_or(|local| local.port() == 0) =>
            {
                *told.openings.entry(peer).or_default() += 1;
            }
            (Some(local), Some(peer)) => match by_address.get(&(local, peer)) {
                // Another connection had the same addresses; this one began too late to be told its cookie.
                Some(&cookie) if *numbers.entry(cookie).or_insert(line.connection) != line.connection => {}
                Some(&cookie) => told.ends.entry(cookie).or_default().push(line),
                None if matches!(step, (Close, Listen) | (Listen, Close)) => {}
                // It began when the trace was about to end, or ended when it had hardly begun.
                None if truth.has(local, peer) => {}
                None => report.faults.push(Faulty {
                    end: format!("{local} -> {peer}, no cookie"),
                    ports: (local.port(), peer.port()),
                    fault: Fault::Stray(step),
                }),
            },
            _ => {}
        }
    }
    told
}

/// Whether each step starts where the one before ended, and none stands still.
fn chained(steps: &[Step]) -> bool {
    steps.windows(2).all(|pair| pair[0].1 == pair[1].0) && steps.iter().all(|step| step.0.may_become(step.1))
}

fn whole(steps: &[Step], role: Role, first: First) -> Result<(), ()> {
    if !chained(steps) {
        return Err(());
    }
    let begin: &[Step] = match role {
        Role::Client => &[(Close, SynSent), (SynSent, Established)],
        Role::Server => &[(Listen, SynRecv), (SynRecv, Established)],
    };
    let rest = steps.strip_prefix(begin).ok_or(())?;
    let closes_first = (role == Role::Client) == (first == First::Client);
    let states: Vec<TcpState> = rest.iter().map(|step| step.1).collect();
    let right = if closes_first {
        // The FIN's acknowledgment and the peer's FIN may come together; TIME_WAIT may be over already, or be cut short.
        let states = states.strip_suffix(&[Close]).unwrap_or(&states);
        let waits = states.strip_suffix(&[TimeWait]).unwrap_or(states);
        matches!(waits, [FinWait1] | [FinWait1, FinWait2] | [FinWait1, Closing]) && waits.len() < rest.len()
    } else {
        states == [CloseWait, LastAck, Close]
    };
    if right { Ok(()) } else { Err(()) }
}

fn report_each(
    lines: &[&Line],
    connection: &Connection,
    role: Role,
    demands: &Demands,
    from_the_start: bool,
    fault: &mut impl FnMut(Fault),
) {
    let (own, other) = match role {
        Role::Client => (&connection.client, &connection.server),
        Role::Server => (&connection.server, &connection.client),
    };
    for (index, line) in lines.iter().enumerate() {
        let Some(step) = line.step() else { continue };
        for said in [line.pid, line.actor].into_iter().flatten().filter(|&said| said != own.pid) {
            fault(Fault::Pid { step, said, true_pid: own.pid });
        }
        if demands.owners && from_the_start && line.pid.is_none() {
            fault(Fault::NoOwner(step));
        }
        if index > 0 {
            if lines[index - 1].timestamp > line.timestamp {
                fault(Fault::Order(step));
            }
            // What only a listing showed began at some time before.
            let seen_begin = lines[index - 1].learnt.as_deref() != Some("listing");
            if line.spent_ns.is_none() && seen_begin {
                fault(Fault::NoDuration(step));
            }
        }
        let local =
            line.local.is_some_and(|local| local == own.addr || (step.1 == SynSent && local.port() == 0));
        if !local || line.peer != Some(other.addr) {
            fault(Fault::Addresses(line.local, line.peer));
        }
    }
}

fn bytes(lines: &[&Line], own: &End, other: &End, fault: &mut impl FnMut(Fault)) {
    let Some(last) = lines.iter().rev().find(|line| line.sent.is_some() || line.received.is_some()) else {
        return fault(Fault::Bytes { said: (None, None), true_bytes: (own.sent, other.sent) });
    };
    if (last.sent, last.received) != (Some(own.sent), Some(other.sent)) {
        fault(Fault::Bytes { said: (last.sent, last.received), true_bytes: (own.sent, other.sent) });
    }
}

/// The table that a reader of the lines has: every socket that was told and has not ended, in its last state.
pub fn table(lines: &[Line]) -> Vec<Row> {
    let mut rows: FxHashMap<(Option<u64>, Option<u64>), Row> = FxHashMap::default();
    for line in lines {
        let Some((_, state)) = line.step() else { continue };
        let (Some(local), Some(peer)) = (line.local, line.peer) else { continue };
        // Where the cookie was never told, the program's own number tells connections apart.
        let key = (line.connection, line.cookie.filter(|_| line.connection.is_none()));
        if state == Close {
            rows.remove(&key);
        } else {
            rows.insert(key, Row { cookie: line.cookie.unwrap_or(0), state, local, peer });
        }
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection, and the lines that a faultless tracer says of it.
    fn scene(first: First) -> Result<(Truth, Vec<String>)> {
        let client =
            End { addr: "127.0.0.1:4000".parse()?, pid: 10, cookie: 1, sent: 5, opened: 100, closed: 200 };
        let server =
            End { addr: "127.0.0.1:80".parse()?, pid: 20, cookie: 2, sent: 7, opened: 110, closed: 210 };
        let active =
            [("established", "fin_wait_1"), ("fin_wait_1", "fin_wait_2"), ("fin_wait_2", "time_wait")];
        let passive = [("established", "close_wait"), ("close_wait", "last_ack"), ("last_ack", "closed")];
        let (of_client, of_server) =
            if first == First::Client { (active, passive) } else { (passive, active) };
        let mut lines = Vec::new();
        let mut time = 0;
        for (own, other, opening, closing) in [
            (client, server, [("closed", "syn_sent"), ("syn_sent", "established")], of_client),
            (server, client, [("listen", "syn_received"), ("syn_received", "established")], of_server),
        ] {
            for (from, to) in opening.into_iter().chain(closing) {
                time += 1;
                let bytes = match to {
                    "closed" | "time_wait" => format!(
                        r#","enetstat.bytes.sent":"{}","enetstat.bytes.received":"{}""#,
                        own.sent, other.sent
                    ),
                    _ => String::new(),
                };
                lines.push(format!(
                    r#"{{"timestamp":"2026-01-01T00:00:00.{time:09}Z","enetstat.kind":"transition","network.local.address":"{}","network.local.port":{},"network.peer.address":"{}","network.peer.port":{},"enetstat.state.from":"{from}","network.connection.state":"{to}","process.pid":{},"enetstat.socket.cookie":"{}","enetstat.state.spent_ns":"1"{bytes}}}"#,
                    own.addr.ip(), own.addr.port(), other.addr.ip(), other.addr.port(), own.pid, own.cookie,
                ));
            }
        }
        Ok((Truth { connections: vec![Connection { client, server, first }], failed: Vec::new() }, lines))
    }

    fn judged(truth: &Truth, lines: &[String], demands: &Demands) -> Result<Vec<Fault>> {
        let lines = crate::json::lines(lines.join("\n").as_bytes())?;
        Ok(check(truth, &lines, demands).faults.into_iter().map(|one| one.fault).collect())
    }

    #[test]
    fn a_faultless_trace_passes_and_every_fault_is_found() -> Result<()> {
        for first in [First::Client, First::Server] {
            let (truth, lines) = scene(first)?;
            assert_eq!(judged(&truth, &lines, &Demands::ALL)?, []);
            for index in 0..lines.len() {
                let mut fewer = lines.clone();
                let gone = fewer.remove(index);
                assert!(!judged(&truth, &fewer, &Demands::ALL)?.is_empty(), "missing {gone}");
                let mut more = lines.clone();
                more.insert(index, gone);
                assert!(!judged(&truth, &more, &Demands::ALL)?.is_empty(), "doubled {index}");
                let mut wrong = lines.clone();
                wrong[index] = wrong[index].replace(r#""process.pid":1"#, r#""process.pid":3"#);
                wrong[index] = wrong[index].replace(r#""process.pid":2"#, r#""process.pid":1"#);
                let faults = judged(&truth, &wrong, &Demands::ALL)?;
                assert!(matches!(faults.as_slice(), [Fault::Pid { .. }]), "{faults:?}");
                let mut nobody = lines.clone();
                nobody[index] = nobody[index].replace("process.pid", "nothing");
                assert!(matches!(judged(&truth, &nobody, &Demands::ALL)?.as_slice(), [Fault::NoOwner(_)]));
            }
            let mut swapped = lines.clone();
            swapped.swap(0, 1);
            assert!(!judged(&truth, &swapped, &Demands::ALL)?.is_empty());
            let short: Vec<String> =
                lines.iter().map(|line| line.replace(r#"sent":"5"#, r#"sent":"6"#)).collect();
            assert!(matches!(judged(&truth, &short, &Demands::ALL)?.as_slice(), [Fault::Bytes { .. }]));
            let stray: Vec<String> =
                lines.iter().map(|line| line.replace(r#"cookie":"2"#, r#"cookie":"3"#)).collect();
            assert!(
                judged(&truth, &stray, &Demands::ALL)?.iter().any(|fault| matches!(fault, Fault::Stray(_)))
            );
        }
        Ok(())
    }

    #[test]
    fn what_was_there_before_may_be_told_in_part_but_once_and_to_the_end() -> Result<()> {
        let (truth, lines) = scene(First::Client)?;
        let attached = Demands { attached: 150, bytes: false, ..Demands::ALL };
        assert_eq!(judged(&truth, &[lines[2..5].to_vec(), lines[7..].to_vec()].concat(), &attached)?, []);
        // The end of the server's half is missing.
        let faults = judged(&truth, &[lines[2..5].to_vec(), lines[7..9].to_vec()].concat(), &attached)?;
        assert!(matches!(faults.as_slice(), [Fault::Path(_)]), "{faults:?}");
        let doubled = [lines[2..5].to_vec(), lines[7..].to_vec(), lines[9..].to_vec()].concat();
        assert!(matches!(judged(&truth, &doubled, &attached)?.as_slice(), [Fault::Path(_)]));
        // It began and ended before us.
        assert_eq!(judged(&truth, &[], &Demands { attached: 300, ..Demands::ALL })?, []);
        Ok(())
    }

    #[test]
    fn openings_without_cookie_are_counted_by_destination() -> Result<()> {
        let (truth, mut lines) = scene(First::Client)?;
        for line in &mut lines {
            *line = line.replace("enetstat.socket.cookie", "none");
        }
        lines[0] = lines[0].replace("4000", "0");
        assert_eq!(judged(&truth, &lines, &Demands::ALL)?, []);
        lines.remove(0);
        assert!(matches!(judged(&truth, &lines, &Demands::ALL)?.as_slice(), [Fault::Path(_)]));
        Ok(())
    }

    #[test]
    fn a_reader_of_the_lines_has_a_table() -> Result<()> {
        let (_, lines) = scene(First::Client)?;
        let rows = table(&crate::json::lines(lines.join("\n").as_bytes())?);
        assert_eq!(rows.iter().map(|row| (row.cookie, row.state)).collect::<Vec<_>>(), [(1, TimeWait)]);
        Ok(())
    }
}
