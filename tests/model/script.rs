//! Random steps, and the agent's part in small.

use crate::kernel::{Kernel, Object};
use netstat_user::model::{Event, Fact, Learnt, Mono, States, TcpState, Told};
use netstat_user::table::{Limits, Table};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Debug)]
pub enum Step {
    Listen,
    Connect,
    Syn,
    Ack(usize),
    Advance(usize),
    Reset(usize),
    Quietly(usize),
    /// Milliseconds pass.
    Tick(u64),
    /// This many events reach the table.
    Deliver(usize),
    /// The newest event is lost.
    Lose,
    /// The table's questions are answered.
    Ask,
    /// A listing, with these steps of the kernel between its two halves.
    List {
        all: bool,
        between: Vec<Step>,
    },
}

fn quick() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Listen),
        3 => Just(Step::Connect),
        2 => Just(Step::Syn),
        2 => (0usize..100).prop_map(Step::Ack),
        8 => (0usize..100).prop_map(Step::Advance),
        1 => (0usize..100).prop_map(Step::Reset),
        1 => (0usize..100).prop_map(Step::Quietly),
        1 => (0u64..70_000).prop_map(Step::Tick),
    ]
}

pub fn steps(lossy: bool) -> impl Strategy<Value = Vec<Step>> {
    let list = (any::<bool>(), prop::collection::vec(quick(), 0..4))
        .prop_map(|(all, between)| Step::List { all, between });
    let step = prop_oneof![
        12 => quick(),
        4 => (0usize..6).prop_map(Step::Deliver),
        2 => Just(Step::Ask),
        1 => list,
        u32::from(lossy) => Just(Step::Lose),
    ];
    prop::collection::vec(step, 0..60)
}

pub struct Run {
    pub kernel: Kernel,
    pub table: Table,
    pub told: Vec<Told>,
    pub lost: u64,
    ring: VecDeque<Event>,
    unreported: u64,
}

impl Run {
    pub fn new(kernel: Kernel, limits: Limits) -> Self {
        let limits = Limits { minis: kernel.minis, ..limits };
        Self {
            kernel,
            table: Table::new(limits),
            told: Vec::new(),
            lost: 0,
            ring: VecDeque::new(),
            unreported: 0,
        }
    }

    pub fn play(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    pub fn step(&mut self, step: &Step) {
        let events = match step {
            Step::Listen => self.kernel.listen(),
            Step::Connect => self.kernel.connect(),
            Step::Ack(pick) => self.kernel.ack(*pick),
            Step::Advance(pick) => self.kernel.advance(*pick),
            Step::Reset(pick) => self.kernel.reset(*pick),
            Step::Syn => self.kernel.syn(),
            Step::Quietly(pick) => self.kernel.quietly(*pick),
            Step::Tick(milliseconds) => {
                self.kernel.now = Mono(self.kernel.now.0 + milliseconds * 1_000_000);
                return;
            }
            Step::Deliver(count) => {
                self.deliver(*count);
                return;
            }
            Step::Lose => {
                if self.ring.pop_back().is_some() {
                    self.unreported += 1;
                }
                return;
            }
            Step::Ask => {
                self.ask();
                return;
            }
            Step::List { all, between } => {
                self.list(*all, between, false);
                return;
            }
        };
        self.ring.extend(events);
    }

    fn learn(&mut self, fact: Fact) {
        self.table.learn(self.kernel.now, fact, &mut self.told);
    }

    fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let Some(event) = self.ring.pop_front() else { break };
            self.learn(Fact::Event(event));
        }
    }

    /// As the agent does: what is in the ring first, then what was counted as lost.
    fn drain(&mut self) {
        self.deliver(usize::MAX);
        self.table.over(self.kernel.now, &mut self.told);
        let count = std::mem::take(&mut self.unreported);
        if count > 0 {
            self.lost += count;
            let until = self.kernel.now;
            self.learn(Fact::Lost { count, until });
        }
    }

    fn ask(&mut self) -> usize {
        let mut questions = Vec::new();
        self.table.questions(self.kernel.now, usize::MAX, &mut questions);
        let answers: Vec<_> = questions.iter().map(|question| self.kernel.answer(question)).collect();
        self.drain();
        for answer in answers {
            self.learn(Fact::Answer(answer));
        }
        questions.len()
    }

    fn list(&mut self, all: bool, between: &[Step], initial: bool) {
        let states = if all { States::ALL } else { States::of(&[TcpState::SynRecv, TcpState::FinWait2]) };
        let began = self.kernel.now;
        self.kernel.now = Mono(began.0 + 1);
        let mut rows = Vec::new();
        self.kernel.half(false, states, &mut rows);
        self.play(between);
        self.kernel.half(true, states, &mut rows);
        self.drain();
        let listing = self.kernel.listing(began, states, rows, initial);
        self.learn(Fact::Listing(listing));
    }

    /// The load is over: what is under way arrives, one listing, and the questions it raises.
    pub fn settle(&mut self) {
        self.kernel.now = Mono(self.kernel.now.0 + 1_000_000);
        self.drain();
        self.kernel.now = Mono(self.kernel.now.0 + 1_000_000);
        self.list(true, &[], false);
        // Everything that could be due now.
        for _ in 0..4 {
            self.kernel.now = Mono(self.kernel.now.0 + 1_500_000_000);
            self.ask();
        }
    }

    pub fn table_equals_kernel(&self) {
        let ours: BTreeMap<u64, (TcpState, u16)> = self
            .table
            .open_rows()
            .map(|conn| {
                let cookie = conn.id.cookie.expect("every row has been listed").get();
                (cookie, (conn.state, conn.identity.tuple.lport))
            })
            .collect();
        let theirs: BTreeMap<u64, (TcpState, u16)> = self
            .kernel
            .open()
            .map(|socket| (socket.cookie, (socket.state, socket.identity().tuple.lport)))
            .collect();
        assert_eq!(ours, theirs);
        assert_eq!(self.table.open_rows().count(), theirs.len(), "a socket is in the table twice");
    }

    /// Socket by socket (a port is used once a script), the log without what was learnt by asking only.
    pub fn log_equals_history(&self) {
        let mut ours: BTreeMap<u16, Vec<(TcpState, TcpState)>> = BTreeMap::new();
        let mut ended: BTreeMap<u16, u32> = BTreeMap::new();
        for told in &self.told {
            match told {
                Told::Transition(t) => {
                    let minis = self.kernel.minis;
                    let quiet = !minis
                        && (t.learnt == Learnt::Listing
                            || (t.from == TcpState::TimeWait && t.to == TcpState::Close)
                            || (t.from == TcpState::SynRecv
                                && t.to == TcpState::Close
                                && t.learnt == Learnt::Deduced));
                    // An orphan's later states have no events.
                    let orphan = !minis
                        && t.learnt == Learnt::Deduced
                        && t.actor.is_none()
                        && t.spent.is_some_and(|_| {
                            t.from == TcpState::FinWait2
                                && !self.kernel.sockets.iter().any(|socket| {
                                    socket.port == t.conn.identity.tuple.lport
                                        && socket.history.last() == Some(&(t.from, t.to))
                                })
                        });
                    if (!quiet && !orphan) || t.from == TcpState::Listen {
                        ours.entry(t.conn.identity.tuple.lport).or_default().push((t.from, t.to));
                    }
                }
                Told::Ended(end) => *ended.entry(end.conn.identity.tuple.lport).or_default() += 1,
                Told::Queue { .. } | Told::Repaired(_) | Told::Socket(_) => {}
            }
        }
        for socket in &self.kernel.sockets {
            let mut told = ours.remove(&socket.port).unwrap_or_default();
            if socket.history.is_empty() {
                // A request that came to nothing: seen by a listing or not at all.
                told.retain(|step| *step != (TcpState::Listen, TcpState::SynRecv));
            }
            assert_eq!(told, socket.history, "port {} ({:?})", socket.port, socket.object);
            let listener = socket.history.iter().any(|step| step.1 == TcpState::Listen);
            let over = socket.object == Object::Gone || socket.object == Object::Timewait;
            if over && !listener && !socket.history.is_empty() {
                assert_eq!(ended.get(&socket.port), Some(&1), "port {}", socket.port);
            }
        }
    }
}
