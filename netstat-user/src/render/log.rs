//! The text of a trace: one line for each thing that happened, written without `format!` into a caller's buffer.

use super::text::{self, endpoint, left, number, right};
use crate::args::plan::TimeStyle;
use crate::model::fact::Direction;
use crate::model::{
    BesideChange, Clock, Conn, Doing, Ended, Family, How, Identity, Learnt, Lodging, Mono, QueueChange,
    Reason, Repair, ResetNames, TcpState, Told, Transition, Transport, Way, Why,
};
use jiff::{Timestamp, tz::TimeZone};
use std::rc::Rc;

/// What lines look like.
#[derive(Clone, Debug)]
pub struct LogStyle {
    pub time: TimeStyle,
    /// Of wall-clock times.
    pub zone: TimeZone,
    /// Connections that ended instead of every transition.
    pub close: bool,
    /// A column with the network namespace.
    pub netns: bool,
    /// Columns with the container and the pod.
    pub containers: bool,
    /// A column with the control group.
    pub cgroups: bool,
}

impl Default for LogStyle {
    fn default() -> Self {
        Self {
            time: TimeStyle::Wall,
            zone: TimeZone::UTC,
            close: false,
            netns: false,
            containers: false,
            cgroups: false,
        }
    }
}

/// Widths of columns; wider cells push what follows.
const ENDPOINT: usize = 23;
const PROTO: usize = 5;
const STATE: usize = 11;
const SPENT: usize = 7;
const BYTES: usize = 10;
const NETNS: usize = 10;
const REASON: usize = 11;
const RTT: usize = 6;
const RETRANSMITS: usize = 7;
const WINDOWS: usize = 7;
const CONTAINER: usize = 15;
const POD: usize = 23;
const CGROUP: usize = 23;

/// Writes lines.
pub struct Log {
    style: LogStyle,
    clock: Clock,
    /// The second since the epoch whose time of day `day` holds.
    second: i64,
    /// `HH:MM:SS`.
    day: [u8; 8],
    resets: ResetNames,
    /// What the network namespace is called; empty: shown by its inode.
    netns: Vec<u8>,
    lodging: Rc<Lodging>,
}

impl Log {
    pub fn new(style: LogStyle, clock: Clock) -> Self {
        let lodging = Rc::new(Lodging::UNKNOWN);
        let resets = ResetNames::default();
        Self { style, clock, second: i64::MIN, day: *b"00:00:00", resets, netns: Vec::new(), lodging }
    }

    /// Tells what the kernel calls the reasons of its resets.
    pub fn name_resets(&mut self, names: ResetNames) {
        self.resets = names;
    }

    /// What the network namespace is called of the sockets that are written from now on.
    pub fn set_netns(&mut self, netns: &[u8]) {
        self.netns.clear();
        self.netns.extend_from_slice(netns);
    }

    /// Where the sockets live that are written from now on.
    pub fn set_lodging(&mut self, lodging: Rc<Lodging>) {
        self.lodging = lodging;
    }

    /// Replaces the clock; see [`Clock`].
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Appends the line of column titles.
    pub fn header(&self, out: &mut Vec<u8>) {
        match self.style.time {
            TimeStyle::Wall | TimeStyle::Mono => out.extend_from_slice(b"TIME             "),
            TimeStyle::None => {}
        }
        if self.style.netns {
            cell(out, NETNS, |out| out.extend_from_slice(b"NETNS"));
        }
        if self.style.containers {
            cell(out, POD, |out| out.extend_from_slice(b"POD"));
            cell(out, CONTAINER, |out| out.extend_from_slice(b"CONTAINER"));
        }
        if self.style.cgroups {
            cell(out, CGROUP, |out| out.extend_from_slice(b"CGROUP"));
        }
        out.extend_from_slice(b"PROTO ");
        cell(out, ENDPOINT, |out| out.extend_from_slice(b"LOCAL"));
        cell(out, ENDPOINT, |out| out.extend_from_slice(b"FOREIGN"));
        if self.style.close {
            cell(out, STATE, |out| out.extend_from_slice(b"STATE"));
            out.extend_from_slice(
                b"   LIVED       SENT   RECEIVED    RTT RETRANS ZEROWIN  END          PID/PROGRAM\n",
            );
        } else {
            cell(out, STATE, |out| out.extend_from_slice(b"OLD"));
            out.extend_from_slice(b"-> ");
            cell(out, STATE, |out| out.extend_from_slice(b"NEW"));
            out.extend_from_slice(b"  SPENT  PID/PROGRAM\n");
        }
    }

    /// Appends a line, or nothing when it is not of the wanted kind.
    pub fn told(&mut self, out: &mut Vec<u8>, told: &Told) {
        match told {
            Told::Transition(transition) if !self.style.close => self.transition(out, transition),
            Told::Ended(ended) if self.style.close => self.ended(out, ended),
            Told::Transition(_) | Told::Ended(_) => {}
            Told::Queue { change, conn } => self.queue(out, change, conn),
            Told::Socket(change) if !self.style.close || change.socket.doing == Doing::Gone => {
                self.beside(out, change);
            }
            Told::Socket(_) => {}
            Told::Repaired(repair) => self.repaired(out, repair),
        }
    }

    fn transition(&mut self, out: &mut Vec<u8>, transition: &Transition) {
        let Transition { at, from, to, spent, learnt, err, actor: _, conn, why, totals: _ } = transition;
        let deduced = *learnt != Learnt::Event;
        self.time(out, *at, deduced);
        self.who(out, conn);
        cell(out, STATE, |out| out.extend_from_slice(from.name().as_bytes()));
        out.extend_from_slice(b"-> ");
        cell(out, STATE, |out| out.extend_from_slice(to.name().as_bytes()));
        let start = out.len();
        match spent {
            Some(spent) => {
                if deduced {
                    out.push(b'~');
                }
                text::span(out, nanoseconds(*spent));
            }
            None => out.push(b'-'),
        }
        right(out, start, SPENT);
        tail(out, conn, *err);
        self.behind(out, why);
        out.push(b'\n');
    }

    fn ended(&mut self, out: &mut Vec<u8>, ended: &Ended) {
        let Ended { at, conn, from: _, err, why, totals } = ended;
        self.time(out, *at, false);
        self.who(out, conn);
        cell(out, STATE, |out| out.extend_from_slice(conn.state.name().as_bytes()));
        let start = out.len();
        match conn.opened {
            Some(opened) => text::span(out, nanoseconds(at.since(opened))),
            None => out.push(b'-'),
        }
        right(out, start, SPENT + 1);
        for bytes in [totals.map(|totals| totals.sent), totals.map(|totals| totals.received)] {
            out.push(b' ');
            let start = out.len();
            match bytes {
                Some(bytes) => number(out, bytes),
                None => out.push(b'-'),
            }
            right(out, start, BYTES);
        }
        out.push(b' ');
        let start = out.len();
        match totals.map(|totals| totals.srtt_us).filter(|&rtt| rtt != 0) {
            Some(rtt) => text::span(out, u64::from(rtt) * 1000),
            None => out.push(b'-'),
        }
        right(out, start, RTT);
        out.push(b' ');
        let start = out.len();
        match totals {
            Some(totals) => number(out, totals.retrans.into()),
            None => out.push(b'-'),
        }
        right(out, start, RETRANSMITS);
        out.push(b' ');
        let start = out.len();
        match conn.latency.windows {
            Some(times) => number(out, times.into()),
            None => out.push(b'-'),
        }
        right(out, start, WINDOWS);
        out.extend_from_slice(b"  ");
        let start = out.len();
        let end = match (&why.reason, conn.first) {
            (Some(Reason::Closed), Some(first)) => first.name(),
            (Some(reason), _) => reason.name(),
            // What its process has closed: who did so first is known, and the state says that the peer has not.
            (None, Some(first)) if conn.state == TcpState::FinWait2 => first.name(),
            (None, _) => "-",
        };
        out.extend_from_slice(end.as_bytes());
        left(out, start, REASON);
        tail(out, conn, *err);
        self.behind(out, why);
        out.push(b'\n');
    }

    /// What is known beyond the reason: what lies behind it, and the reset.
    fn behind(&self, out: &mut Vec<u8>, why: &Why) {
        if let Some(cause) = why.cause {
            out.push(b' ');
            out.extend_from_slice(cause.name().as_bytes());
        }
        let Some(reset) = why.reset else { return };
        out.extend_from_slice(match reset.way {
            Way::Sent => b" RST sent".as_slice(),
            Way::Received => b" RST received",
        });
        if let Some(reason) = reset.reason.and_then(|reason| self.resets.name(reason)) {
            out.push(b' ');
            text::escaped(out, reason);
        }
    }

    fn queue(&mut self, out: &mut Vec<u8>, change: &QueueChange, conn: &Conn) {
        self.time(out, change.at, false);
        self.who(out, conn);
        cell(out, STATE, |out| out.extend_from_slice(change.state.name().as_bytes()));
        let what: &[u8] = match change.direction {
            Direction::Final => b"queue final  ",
            Direction::Send => b"queue send   ",
            Direction::Receive => b"queue receive",
        };
        out.extend_from_slice(what);
        for (name, bytes) in [
            (b" recv-q=".as_slice(), change.rqueue),
            (b" send-q=", change.wqueue),
            (b" sent=", change.sent),
            (b" received=", change.received),
        ] {
            out.extend_from_slice(name);
            number(out, bytes.into());
        }
        tail(out, conn, 0);
        out.push(b'\n');
    }

    /// A socket beside TCP. What only a listing showed is marked like what was deduced.
    fn beside(&mut self, out: &mut Vec<u8>, change: &BesideChange) {
        let BesideChange { at, from, spent, learnt, err, socket, dropped } = change;
        let deduced = *learnt != Learnt::Event;
        self.time(out, *at, deduced);
        self.place(out, &socket.identity);
        cell(out, PROTO, |out| {
            out.extend_from_slice(socket.transport.name().as_bytes());
            if socket.identity.tuple.family == Family::V6 && !matches!(socket.transport, Transport::Unix(_)) {
                out.push(b'6');
            }
        });
        let tuple = &socket.identity.tuple;
        if let Transport::Unix(kind) = socket.transport {
            cell(out, ENDPOINT, |out| match socket.name.bytes() {
                b"" => {
                    out.extend_from_slice(b"inode:");
                    number(out, socket.inode.into());
                }
                name => text::escaped(out, name),
            });
            cell(out, ENDPOINT, |out| out.extend_from_slice(kind.name().as_bytes()));
        } else {
            cell(out, ENDPOINT, |out| endpoint(out, tuple.local()));
            cell(out, ENDPOINT, |out| endpoint(out, tuple.foreign()));
        }
        cell(out, STATE, |out| out.extend_from_slice(from.name().as_bytes()));
        if self.style.close {
            out.extend_from_slice(b"       -          -          -      -       -       -  -          ");
        } else if *dropped > 0 && *from == socket.doing {
            out.extend_from_slice(b"dropped ");
            number(out, *dropped);
        } else {
            out.extend_from_slice(b"-> ");
            cell(out, STATE, |out| out.extend_from_slice(socket.doing.name().as_bytes()));
            let start = out.len();
            match spent {
                Some(spent) => {
                    if deduced {
                        out.push(b'~');
                    }
                    text::span(out, nanoseconds(*spent));
                }
                None => out.push(b'-'),
            }
            right(out, start, SPENT);
        }
        out.extend_from_slice(b"  ");
        let inherited = socket.how == How::Inherited;
        match &socket.owner {
            Some((pid, comm)) => {
                out.extend_from_slice(if inherited { b"(" } else { b"" });
                text::process(out, *pid, comm.bytes());
                out.extend_from_slice(if inherited { b")" } else { b"" });
            }
            None => out.push(b'-'),
        }
        if *err != 0 {
            out.push(b' ');
            super::errno::name(out, *err);
        }
        out.push(b'\n');
    }

    fn repaired(&mut self, out: &mut Vec<u8>, repair: &Repair) {
        self.time(out, repair.at, false);
        out.extend_from_slice(b"-- lost ");
        number(out, repair.lost);
        out.extend_from_slice(if repair.lost == 1 { b" event; " } else { b" events; " });
        number(out, repair.corrected);
        out.extend_from_slice(if repair.corrected == 1 { b" row" } else { b" rows" });
        out.extend_from_slice(b" corrected after ");
        text::span(out, nanoseconds(repair.at.since(repair.since)));
        out.push(b'\n');
    }

    /// The time and a blank or, for one that was not seen, a `~`.
    fn time(&mut self, out: &mut Vec<u8>, at: Mono, deduced: bool) {
        match self.style.time {
            TimeStyle::Wall => {
                let wall = self.clock.wall(at);
                let second = i64::try_from(wall.div_euclid(1_000_000_000)).unwrap_or(0);
                if second != self.second {
                    self.second = second;
                    self.day = time_of_day(&self.style.zone, second);
                }
                out.extend_from_slice(&self.day);
                out.push(b'.');
                text::zeros(out, wall.rem_euclid(1_000_000_000) as u64 / 1_000, 6);
            }
            TimeStyle::Mono => {
                let start = out.len();
                number(out, at.0 / 1_000_000_000);
                out.push(b'.');
                text::zeros(out, at.0 % 1_000_000_000 / 1_000, 6);
                right(out, start, 15);
            }
            TimeStyle::None => return,
        }
        out.extend_from_slice(if deduced { b"~ " } else { b"  " });
    }

    fn who(&self, out: &mut Vec<u8>, conn: &Conn) {
        self.place(out, &conn.identity);
        let tuple = &conn.identity.tuple;
        let protocol: &[u8] = match tuple.family {
            Family::V4 => b"tcp   ",
            Family::V6 => b"tcp6  ",
        };
        out.extend_from_slice(protocol);
        cell(out, ENDPOINT, |out| endpoint(out, tuple.local()));
        cell(out, ENDPOINT, |out| endpoint(out, tuple.foreign()));
    }

    /// The columns before the protocol.
    fn place(&self, out: &mut Vec<u8>, identity: &Identity) {
        if self.style.netns {
            cell(out, NETNS, |out| match identity.netns {
                _ if !self.netns.is_empty() => text::escaped(out, &self.netns),
                0 => out.push(b'-'),
                inum => number(out, inum.into()),
            });
        }
        let word = |out: &mut Vec<u8>, word: &[u8]| {
            if word.is_empty() { out.push(b'-') } else { text::escaped(out, word) }
        };
        if self.style.containers {
            cell(out, POD, |out| word(out, self.lodging.pod_word().as_bytes()));
            cell(out, CONTAINER, |out| word(out, self.lodging.container_word().as_bytes()));
        }
        if self.style.cgroups {
            cell(out, CGROUP, |out| word(out, self.lodging.cgroup.as_deref().unwrap_or_default()));
        }
    }
}

/// A cell and the blank after it.
fn cell(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    left(out, start, width);
    out.push(b' ');
}

/// Owner, in parentheses when it is only the listener's, and error.
fn tail(out: &mut Vec<u8>, conn: &Conn, err: u16) {
    out.extend_from_slice(b"  ");
    match &conn.owner {
        Some(owner) if owner.how == How::Inherited => {
            out.push(b'(');
            text::process(out, owner.pid, owner.comm.bytes());
            out.push(b')');
        }
        Some(owner) => text::process(out, owner.pid, owner.comm.bytes()),
        None => out.push(b'-'),
    }
    if err != 0 {
        out.push(b' ');
        super::errno::name(out, err);
    }
}

fn nanoseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn time_of_day(zone: &TimeZone, second: i64) -> [u8; 8] {
    let offset = Timestamp::from_second(second).map_or(0, |time| zone.to_offset(time).seconds());
    let within = second.saturating_add(offset.into()).rem_euclid(86_400);
    let mut text = *b"00:00:00";
    for (at, part) in [(0, within / 3_600), (3, within / 60 % 60), (6, within % 60)] {
        text[at] += (part / 10) as u8;
        text[at + 1] += (part % 10) as u8;
    }
    text
}
