//! The connection table: facts in, changes out.
//!
//! # Invariants
//!
//! * Nothing here reads a clock, a file or a socket: `now` is an argument, and what only the kernel can answer leaves
//!   as a [`Question`] and returns as a [`Fact::Answer`].
//! * A row is one connection, named by its socket cookie from the first SYN to the end of TIME_WAIT. Where the kernel
//!   half has no cookie (Linux 5.10, classic tracepoints) it is named by the socket's address until a listing tells
//!   the cookie.
//! * Events say both states, so they are believed as they come; a listing is believed only about rows that no event
//!   has changed since the listing began.
//! * A socket that leaves FIN_WAIT2 or CLOSING for CLOSE may live on as a TIME_WAIT socket, which is another kernel
//!   object without events (`tcp_time_wait`, net/ipv4/tcp_minisocks.c, Linux 6.12). The table shows TIME_WAIT at once
//!   and tells the transition when the kernel has confirmed it.
//! * Memory is bounded by [`Limits::rows`]; what had to go is counted.

mod answer;
mod ask;
mod beside;
mod bonds;
mod change;
mod cookies;
mod event;
mod latency;
mod merge;
mod mini;
mod owner;
mod processes;
mod retain;
mod row;
mod why;

use crate::model::{
    Answer, Conn, Event, Fact, First, Learnt, Mono, Moved, Pid, SockId, TcpState, Told, Totals,
};
use beside::Sockets;
use bonds::Bonds;
use change::Change;
use cookies::Cookies;
use latency::Extra;
use mini::Minis;
use processes::Processes;
use row::{Flags, Place, Row, Rows};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;
use why::Held;

pub use row::ROW_BYTES;

/// How much the table may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows, closed ones included.
    pub rows: usize,
    /// How long a closed connection stays visible.
    pub keep_closed: Duration,
    /// Whether a kernel half reports changes. Without one every change is learnt by listing, and that repairs nothing.
    pub events: bool,
    /// Whether it also reports what happens to half-open connections and to those in TIME_WAIT, and the port of a socket
    /// that connects.
    pub minis: bool,
    /// From when on all of them are reported: the hooks are attached one after the other.
    pub attached: Mono,
    /// Whether there are events that name a socket by its address only, even if its cookie is known.
    pub by_address: bool,
    /// Whether resets have events.
    pub resets: bool,
    /// Whether there is an event when a peer's window closes.
    pub windows: bool,
    /// Whether command lines and programs of processes are wanted.
    pub details: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 1_000_000,
            keep_closed: Duration::from_secs(5),
            events: true,
            minis: false,
            attached: Mono(0),
            by_address: false,
            resets: false,
            windows: false,
            details: false,
        }
    }
}

/// What the table has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transitions told.
    pub transitions: u64,
    /// Connections told of for the first time, those that were there before us included.
    pub connections: u64,
    /// Connections over.
    pub ended: u64,
    /// Events the kernel half could not report.
    pub lost: u64,
    /// Differences to the kernel that a listing had to put right although no loss was known. Zero in a healthy run.
    pub repaired: u64,
    /// Differences put right after a known loss.
    pub corrected: u64,
    /// Transitions of sockets nobody had told us of.
    pub unknown: u64,
    /// Rows that had to go because of [`Limits::rows`].
    pub evicted: u64,
}

/// Blindness after lost events, until a listing has shown everything again.
#[derive(Clone, Copy, Debug)]
struct Blind {
    since: Mono,
    until: Mono,
    lost: u64,
    corrected_before: u64,
    /// A listing that began after `until` has been merged; only its open questions remain.
    listed: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Table {
    limits: Limits,
    rows: Rows,
    by_cookie: Cookies,
    /// Rows of open sockets that were first told of without a cookie, by address in the kernel; all of them where
    /// [`Limits::by_address`].
    by_pointer: FxHashMap<u64, u32>,
    /// Rows in TIME_WAIT by addresses: a new connection with the same ones has replaced the old socket.
    waiting: FxHashMap<Place, u32>,
    /// Listening rows by namespace and port.
    listeners: FxHashMap<(u32, u16), Vec<u32>>,
    /// Children cloned but not yet established, by address in the kernel.
    children: FxHashMap<u64, Mono>,
    children_by_age: VecDeque<(Mono, u64)>,
    /// Moves to CLOSE that wait for the kernel's word on TIME_WAIT.
    pending: FxHashMap<u32, Moved>,
    minis: Minis,
    /// Counters of connections of which only FIN_WAIT2 without an owner is left: told with their next change.
    orphans: FxHashMap<u32, Totals>,
    /// What is kept of few rows.
    extras: FxHashMap<u32, Extra>,
    held: Held,
    /// Rows that turned out to be another row's socket, which a listing had entered before the two could be matched.
    twins: Vec<u32>,
    /// When to ask the kernel about which row (index, generation).
    due: BinaryHeap<Reverse<(Mono, u32, u32)>>,
    /// Closed rows, oldest first.
    closed: VecDeque<(Mono, u32, u32)>,
    processes: Processes,
    sockets: Sockets,
    /// Whom rows belong to.
    bonds: Bonds,
    looks: owner::Looks,
    blind: Option<Blind>,
    /// Until when events were lost; what is counted from later on is whole.
    sure: Mono,
    /// Rows missing from a listing whose questions are still open.
    absent: usize,
    wants_listing: bool,
    hold: Option<Mono>,
    hand: u32,
    counts: Counts,
}

impl Table {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            rows: Rows::default(),
            by_cookie: Cookies::default(),
            by_pointer: FxHashMap::default(),
            waiting: FxHashMap::default(),
            listeners: FxHashMap::default(),
            children: FxHashMap::default(),
            children_by_age: VecDeque::new(),
            pending: FxHashMap::default(),
            minis: Minis::default(),
            orphans: FxHashMap::default(),
            extras: FxHashMap::default(),
            held: Held::default(),
            twins: Vec::new(),
            due: BinaryHeap::new(),
            closed: VecDeque::new(),
            processes: Processes::new(limits.details),
            bonds: Bonds::default(),
            looks: owner::Looks::default(),
            sockets: Sockets::default(),
            blind: None,
            sure: Mono(0),
            absent: 0,
            wants_listing: false,
            hold: None,
            hand: 0,
            counts: Counts::default(),
        }
    }

    /// Takes one fact; what follows from it is appended to `out`, in the order it happened.
    pub fn learn(&mut self, now: Mono, fact: Fact, out: &mut Vec<Told>) {
        match fact {
            Fact::Event(Event::Moved(moved)) => self.moved(moved, out),
            Fact::Event(Event::Child { at, pointer }) => self.child(at, pointer),
            Fact::Event(Event::Queue(change)) => self.queue(change, out),
            Fact::Event(Event::Owner(seen)) => self.owner_seen(seen),
            Fact::Event(Event::Mini(seen)) => self.mini(seen, out),
            Fact::Event(Event::Port(seen)) => self.port(seen, out),
            Fact::Event(Event::Reset(seen)) => self.reset(seen, out),
            Fact::Event(Event::Window(seen)) => self.window(seen),
            Fact::Event(Event::Beside(moved)) => {
                self.sockets.moved(&moved, &self.processes, self.limits.rows, out);
            }
            Fact::Beside(listing) => self.sockets.listed(listing, self.limits.rows, out),
            Fact::Event(Event::Process(process)) | Fact::Process(process) => self.introduced(process),
            Fact::Event(Event::Life(seen)) => self.lived(seen),
            Fact::Details(process, details) => self.described(&process, details),
            Fact::Listing(listing) => self.listed(now, listing, out),
            Fact::Answer(answer) => self.answered(answer, out),
            Fact::Gone(answer) => self.gone(answer, out),
            Fact::Holders(holders) => self.held(&holders),
            Fact::Uncounted(until) => self.sure = self.sure.max(until),
            Fact::Lost { count, until } => self.lost(now, count, until),
        }
        while let Some(twin) = self.twins.pop() {
            self.withdraw(now, twin, out);
        }
    }

    /// Ends a row that is told of under another number.
    fn withdraw(&mut self, now: Mono, index: u32, out: &mut Vec<Told>) {
        let Some(row) = self.rows.at_mut(index) else { return };
        let state = row.state;
        row.flags.set(Flags::ENDED);
        self.pending.remove(&index);
        if state != TcpState::Close {
            self.transit(index, Change::seen(now, state, TcpState::Close, Learnt::Deduced), out);
        }
        self.drop_row(index);
    }

    /// Rows that are not closed, and closed ones for as long as [`Limits::keep_closed`] says.
    pub fn rows(&self, now: Mono) -> impl Iterator<Item = Conn> {
        self.rows
            .iter()
            .filter(move |(_, row)| self.visible(row, now))
            .map(|(index, row)| self.conn(index, row))
    }

    /// Rows that are not closed.
    pub fn open_rows(&self) -> impl Iterator<Item = Conn> {
        self.rows
            .iter()
            .filter(|(_, row)| row.state != TcpState::Close)
            .map(|(index, row)| self.conn(index, row))
    }

    /// Number of rows held, closed ones included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether something happened that only a complete listing can clear up. Asked once, it is false until the next
    /// such thing.
    pub fn wants_listing(&mut self) -> bool {
        std::mem::take(&mut self.wants_listing)
    }

    /// Whether changes were lost and the table is not yet whole again.
    pub fn is_blind(&self) -> bool {
        self.blind.is_some()
    }

    /// A listing is under way since `began`: rows closed since then must stay known until it is merged, or it would
    /// bring them back.
    pub fn hold(&mut self, began: Option<Mono>) {
        self.hold = began;
    }

    /// Processes that own sockets but never told their name.
    pub fn unnamed(&mut self) -> Vec<Pid> {
        self.processes.unnamed()
    }

    /// Processes of which more is wanted than their name; none without [`Limits::details`].
    pub fn plain(&mut self) -> Vec<Pid> {
        self.processes.plain()
    }

    /// How many changes cannot be told [yet](Self::pending_questions).
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// When the first of the changes happened that cannot be told [yet](Self::pending_questions).
    pub fn oldest_pending(&self) -> Option<Mono> {
        self.pending.values().map(|moved| moved.at).min()
    }

    /// When [`questions`](Self::questions) or [`expire`](Self::expire) next have something to do.
    pub fn deadline(&self) -> Option<Mono> {
        let question = self.due.peek().map(|Reverse((at, ..))| *at);
        let expiry = self.closed.front().map(|(at, ..)| at.after(self.tombstone()));
        match (question, expiry) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn conn(&self, index: u32, row: &Row) -> Conn {
        let flags = row.flags;
        Conn {
            serial: row.generation,
            id: SockId { cookie: NonZeroU64::new(row.cookie), pointer: NonZeroU64::new(row.pointer) },
            identity: row.identity(),
            state: row.state,
            since: flags.has(Flags::SINCE).then_some(row.since),
            opened: flags.has(Flags::OPENED).then_some(row.opened),
            owner: row.how().and_then(|_| self.bonds.told(&self.processes, row.owner)),
            inode: row.inode,
            rqueue: flags.has(Flags::QUEUES).then_some(row.rqueue),
            wqueue: flags.has(Flags::QUEUES).then_some(row.wqueue),
            stale: self.blind.is_some_and(|blind| row.since <= blind.until),
            preexisting: flags.has(Flags::PREEXISTING),
            active: if flags.has(Flags::ACTIVE) {
                Some(true)
            } else {
                flags.has(Flags::PASSIVE).then_some(false)
            },
            first: match (flags.has(Flags::LOCAL_FIRST), flags.has(Flags::PEER_FIRST)) {
                (true, true) => Some(First::Both),
                (true, false) => Some(First::Local),
                (false, true) => Some(First::Peer),
                (false, false) => None,
            },
            latency: self.latency(index, row),
        }
    }

    /// Keeps the indices true after a change of state, and remembers what the new state needs.
    fn reindex(&mut self, index: u32, old: TcpState, new: TcpState) {
        let Some(row) = self.rows.at(index) else { return };
        let (place, listener) = (row.place(), (row.netns, row.tuple.lport));
        let (generation, since) = (row.generation, row.since);
        if old == TcpState::Listen
            && let Some(rows) = self.listeners.get_mut(&listener)
        {
            rows.retain(|&other| other != index);
            if rows.is_empty() {
                self.listeners.remove(&listener);
            }
        }
        if old == TcpState::TimeWait && self.waiting.get(&place) == Some(&index) {
            self.waiting.remove(&place);
        }
        if old == TcpState::SynRecv {
            self.minis.forget_request(&place, index);
        }
        match new {
            TcpState::SynRecv if row.flags.has(Flags::REQUEST) => self.minis.add_request(place, index),
            TcpState::Listen => self.listeners.entry(listener).or_default().push(index),
            TcpState::TimeWait => {
                self.waiting.insert(place, index);
            }
            TcpState::Close => {
                self.forget_pointer(index);
                self.closed.push_back((since, index, generation));
                if let Some(row) = self.rows.at_mut(index) {
                    if row.flags.has(Flags::ABSENT) {
                        self.absent = self.absent.saturating_sub(1);
                    }
                    row.flags.clear(Flags::MINISOCK | Flags::REQUEST | Flags::ABSENT | Flags::ASKED);
                }
            }
            _ => {}
        }
    }

    fn lost(&mut self, now: Mono, count: u64, until: Mono) {
        self.counts.lost += count;
        self.wants_listing = true;
        self.doubt_holders();
        self.sure = self.sure.max(until);
        let corrected_before = self.counts.corrected;
        let blind =
            self.blind.get_or_insert(Blind { since: now, until, lost: 0, corrected_before, listed: false });
        blind.lost += count;
        blind.until = blind.until.max(until);
        blind.listed = false;
    }

    /// Counts a difference to the kernel that a listing or an answer put right.
    fn count_repair(&mut self) {
        if self.blind.is_some() {
            self.counts.corrected += 1;
        } else if self.limits.events {
            self.counts.repaired += 1;
        }
    }

    fn answered(&mut self, answer: Answer, out: &mut Vec<Told>) {
        self.answer(answer, out);
        self.finish_repair(answer.at, out);
    }
}
