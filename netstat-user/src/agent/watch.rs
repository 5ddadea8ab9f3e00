//! The loop: batches of the ring, replies of the lister, and what is due.

mod learn;

use super::beside::Lists;
use super::live::{LiveOptions, News, Scope};
use super::looks::Looks;
use super::reader::{Batch, Reader};
use super::worker::{Inquiry, Job, Lister, Reply, Where, Worker};
use crate::kernel::tier::{Feature, Tier};
use crate::model::{Fact, Mono, Question, States, TcpState, Told};
use crate::source::stream::{self, Control, Stream};
use crate::table::Table;
use anyhow::Context as _;
use std::collections::VecDeque;
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// States that have something without events: half-open requests come and go, FIN_WAIT2 without an owner ends, and a
/// socket in SYN_SENT has chosen its port.
const QUIET: States = States::of(&[TcpState::SynRecv, TcpState::FinWait2, TcpState::SynSent]);
/// Losses wake nobody.
const TICK: Duration = Duration::from_millis(100);
/// How long the table may hold something back before it is asked whether that is over.
const PATIENCE: Duration = Duration::from_millis(5);
/// How long the end of a watch waits for what has happened until then, and for the kernel's answers; and the end of a round.
const LAST_EVENTS: Duration = Duration::from_secs(10);
const LAST_WORDS: Duration = Duration::from_secs(2);
const UNANSWERED: &str =
    "of the sockets that closed last are missing: the kernel did not say in time whether they wait";
const UNFINISHED: &str = "what happened last is missing: a record was never finished";
/// Questions asked in one go.
const QUESTIONS: usize = 4096;
/// Above other work, as threads made before are not, so that what is told is not old. Without privilege nothing changes.
const NICE: i32 = -5;
/// A listing may take this share of the time (1/50).
const SHARE: u32 = 50;

pub(super) struct Watch {
    pub table: Table,
    pub kernel: Option<Kernel>,
    worker: Worker,
    /// Sockets of UDP and unix, when they are wanted.
    lists: Option<Lists>,
    /// Replies of the worker, each with the flush of the ring that must be over before it is believed.
    replies: VecDeque<(u64, Reply)>,
    /// Number of the last flush of the ring that is over.
    flushed: u64,
    /// A flush of the ring, and when it was asked for: with it everything until then has been learnt.
    over: Option<(u64, Mono)>,
    told: Vec<Told>,
    troubles: Vec<String>,
    lost: u64,
    /// Times that a program which only counts was left out.
    uncounted: u64,
    /// Records that could not be understood.
    pub garbled: u64,
    whole: bool,
    listing: Option<Listing>,
    asking: bool,
    /// Something happened that a complete listing must clear up, not before `earliest`.
    wanted: bool,
    earliest: Instant,
    next_reconcile: Instant,
    next_sweep: Instant,
    reconcile: Duration,
    sweep: Duration,
    minis: bool,
    initial_done: bool,
    looks: Looks,
    /// The watch ends: nothing new is taken in.
    closing: bool,
    /// The last questions have been asked that are asked whenever it is time.
    asked_last: bool,
}

/// The attached kernel half.
pub(super) struct Kernel {
    /// Before `control`, so that it ends first.
    reader: Reader,
    pub control: Control,
}

/// A listing under way.
#[derive(Clone, Copy)]
struct Listing {
    all: bool,
    asked: Instant,
}

impl Watch {
    pub fn start(options: LiveOptions) -> anyhow::Result<Self> {
        let LiveOptions {
            tier,
            scope,
            ports,
            udp,
            unix,
            queues,
            queue_interval,
            ring_bytes,
            mut limits,
            reconcile,
            sweep,
        } = options;
        let polled = matches!(tier, Some(Tier::Netlink | Tier::Procfs));
        let netns = match &scope {
            Scope::One(netns) => Some(netns.inum),
            Scope::All => None,
        };
        let kernel = if polled {
            limits.events = false;
            None
        } else {
            let options = stream::Options {
                tier,
                queues,
                queue_interval,
                netns,
                ports: ports.clone(),
                ring_bytes,
                owners: true,
            };
            let stream = Stream::start(&options).map_err(|error| match error.cure() {
                Some(cure) => anyhow::anyhow!("{error}: {cure}"),
                None => anyhow::Error::new(error),
            })?;
            limits.attached = Mono::now();
            let has = |which| stream.choices().iter().any(|one| one.feature == which && one.tier.is_some());
            (limits.minis, limits.resets) = (has(Feature::Minis), has(Feature::Resets));
            limits.windows = has(Feature::Windows);
            limits.by_address = !stream.has_cookies();
            let (ring, mut control) = stream.split();
            control.set_whole(true)?;
            let reader = Reader::start(ring).context("cannot start the thread that reads the ring buffer")?;
            Some(Kernel { reader, control })
        };
        let lists = Lists::start(&scope, udp, unix).context("cannot start the thread that lists UDP")?;
        let lister = if tier == Some(Tier::Procfs) { Lister::Procfs } else { Lister::Diag };
        let place = match scope {
            Scope::One(netns) => Where::One(netns),
            Scope::All => Where::All,
        };
        let worker = Worker::start(place, lister, ports, kernel.is_some())
            .context("cannot start the listing thread")?;
        let _ = rustix::process::setpriority_process(None, NICE);
        let now = Instant::now();
        Ok(Self {
            table: Table::new(limits),
            kernel,
            worker,
            lists,
            replies: VecDeque::new(),
            flushed: 0,
            over: None,
            told: Vec::new(),
            troubles: Vec::new(),
            lost: 0,
            uncounted: 0,
            garbled: 0,
            whole: true,
            listing: None,
            asking: false,
            wanted: false,
            earliest: now,
            next_reconcile: now,
            next_sweep: now,
            reconcile: if polled { sweep } else { reconcile },
            sweep,
            minis: limits.minis,
            initial_done: false,
            looks: Looks::new(if polled { sweep } else { reconcile }),
            closing: false,
            asked_last: false,
        })
    }

    pub async fn begin(&mut self) {
        while !self.looks.done {
            self.step().await;
        }
    }

    pub async fn watch<B>(
        &mut self,
        stop: impl Future<Output = ()>,
        sink: &mut dyn FnMut(News<'_>) -> ControlFlow<B>,
    ) -> Option<B> {
        tokio::pin!(stop);
        let mut stopped = false;
        loop {
            if let Some(ControlFlow::Break(value)) = self.tell(&mut *sink) {
                return Some(value);
            }
            if stopped {
                return None;
            }
            tokio::select! {
                biased;
                () = &mut stop => {
                    self.finish().await;
                    stopped = true;
                }
                () = self.step() => {}
            }
        }
    }

    /// Watches for this long and learns what has happened until then; what comes later waits for the next time. Gives the
    /// moment until which nothing is missing in the table; `None` when that could not be learnt in time.
    pub async fn run_for(&mut self, time: Duration, sink: &mut dyn FnMut(News<'_>)) -> Option<Mono> {
        let over = sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                () = &mut over => break,
                () = self.step() => {}
            }
            self.tell(&mut *sink);
        }
        let now = Mono::now();
        let flush = self.kernel.as_ref().map_or(0, |kernel| kernel.reader.flush());
        let patience = sleep(LAST_WORDS);
        tokio::pin!(patience);
        while self.flushed < flush {
            tokio::select! {
                biased;
                () = &mut patience => break,
                () = self.step() => {}
            }
        }
        self.tell(sink);
        // A socket that may be in TIME_WAIT closed at the time of its event when it turns out that it is not.
        let open = self.table.oldest_pending().map(|at| at.before(Duration::from_nanos(1)));
        (self.flushed >= flush).then(|| open.map_or(now, |open| open.min(now)))
    }

    /// Hands over what was told since the last time, if anything.
    fn tell<T>(&mut self, sink: impl FnOnce(News<'_>) -> T) -> Option<T> {
        if self.told.is_empty() && self.troubles.is_empty() {
            return None;
        }
        let said = sink(News { told: &self.told, table: &self.table, troubles: &self.troubles });
        self.told.clear();
        self.troubles.clear();
        Some(said)
    }

    /// The last words: what has happened until now, what was lost, and the answers to what that raises. What happens
    /// from here on is no part of the watch.
    async fn finish(&mut self) {
        let patience = sleep(LAST_EVENTS);
        tokio::pin!(patience);
        let mut flush = self.kernel.as_ref().map(|kernel| kernel.reader.flush());
        loop {
            if flush.is_none() {
                self.check_last_losses();
                self.closing = true;
                self.raise();
                if !self.asking {
                    break;
                }
            }
            tokio::select! {
                biased;
                batch = Reader::next(self.kernel.as_mut().map(|kernel| &mut kernel.reader)) => {
                    if matches!(batch, Batch::Flushed(number) if Some(number) >= flush) {
                        flush = None;
                    }
                    self.learn(batch);
                }
                reply = self.worker.replies.recv() => match reply {
                    Some(reply) => self.receive(reply),
                    None => break,
                },
                () = &mut patience => {
                    let trouble = if flush.is_some() { Some(UNFINISHED.to_owned()) } else { self.unanswered() };
                    self.troubles.extend(trouble);
                    break;
                }
            }
        }
        self.table.conclude(&mut self.told);
        (self.closing, self.asked_last) = (false, false);
    }

    /// What cannot be told because the kernel was not quick enough to say what became of it.
    fn unanswered(&self) -> Option<String> {
        let count = self.table.pending();
        (count > 0).then(|| format!("{count} {UNANSWERED}"))
    }

    /// Waits for the next thing to happen and learns it. Safe to drop at any await: whatever was taken is learnt.
    async fn step(&mut self) {
        self.raise();
        let deadline = self.deadline();
        tokio::select! {
            batch = Reader::next(self.kernel.as_mut().map(|kernel| &mut kernel.reader)) => self.learn(batch),
            reply = self.worker.replies.recv() => match reply {
                Some(reply) => self.receive(reply),
                // The thread panicked; nothing will be listed any more. Do not spin.
                None => sleep(TICK).await,
            },
            news = Lists::next(self.lists.as_mut()) => {
                self.troubles.extend(news.troubles);
                self.table.learn(Mono::now(), Fact::Beside(news.listing), &mut self.told);
            }
            () = sleep_until(deadline) => {
                self.check_losses();
                self.table.expire(Mono::now());
                self.ask_whether_over();
            }
        }
    }

    /// What the table holds back until nothing older can come any more.
    fn ask_whether_over(&mut self) {
        if self.over.is_none()
            && self.table.waits()
            && let Some(kernel) = &self.kernel
        {
            let now = Mono::now();
            self.over = Some((kernel.reader.flush(), now));
        }
    }

    /// When something is to be done though nothing happens.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let mut deadline = now + TICK;
        if !self.asking
            && let Some(due) = self.table.deadline()
        {
            // Not more often than a millisecond.
            deadline = deadline.min(now + due.since(Mono::now()).max(Duration::from_millis(1)));
        }
        if self.over.is_none() && self.table.waits() {
            deadline = deadline.min(now + PATIENCE);
        }
        if self.listing.is_none() {
            deadline = deadline.min(self.next_reconcile).min(self.next_sweep);
            if self.wanted {
                deadline = deadline.min(self.earliest);
            }
        }
        deadline
    }

    /// Gives the worker what is due.
    fn raise(&mut self) {
        let now = Instant::now();
        if !self.asking && self.initial_done {
            let mut questions = Vec::new();
            if self.closing {
                self.table.pending_questions(&mut questions);
                if !std::mem::replace(&mut self.asked_last, true) {
                    self.table.orphan_questions(Mono::now(), &mut questions);
                }
            } else {
                self.table.questions(Mono::now(), QUESTIONS, &mut questions);
            }
            if !questions.is_empty() {
                self.asking = true;
                self.worker.give(Job::Ask(questions));
            }
        }
        let unnamed = self.table.unnamed();
        if !unnamed.is_empty() {
            self.worker.inquire(Inquiry::Name(unnamed));
        }
        let plain = self.table.plain();
        if !plain.is_empty() {
            self.worker.inquire(Inquiry::Describe(plain));
        }
        if !self.closing && self.looks.are_due(|| self.table.wants_look(Mono::now())) {
            self.look();
        }
        self.wanted |= self.table.wants_listing();
        if self.listing.is_some() || self.closing {
            return;
        }
        let all = now >= self.next_reconcile || (self.wanted && now >= self.earliest && self.initial_done);
        if all || now >= self.next_sweep {
            self.table.hold(Some(Mono::now()));
            self.listing = Some(Listing { all, asked: now });
            self.wanted &= !all;
            let states = if all { States::ALL } else { QUIET };
            self.worker.give(Job::List { states, initial: !self.initial_done });
        }
    }

    /// A reply may be ahead of events that are older: it is put aside until they have been learnt.
    fn receive(&mut self, reply: Reply) {
        match &self.kernel {
            Some(kernel) => {
                let flush = kernel.reader.flush();
                self.replies.push_back((flush, reply));
            }
            None => self.take(reply),
        }
    }

    fn take(&mut self, reply: Reply) {
        let now = Mono::now();
        match reply {
            // What is newer than the end would look like a difference.
            Reply::Listing(_) if self.closing => {}
            Reply::Listing(listing) => {
                self.table.learn(now, Fact::Listing(listing), &mut self.told);
                self.table.hold(None);
                self.listed();
            }
            Reply::Answers { answers, gone, unasked } => {
                self.asking = false;
                for answer in answers {
                    if self.closing && !self.table.is_open(answer.token) {
                        continue;
                    }
                    self.table.learn(now, Fact::Answer(answer), &mut self.told);
                }
                for answer in gone {
                    self.table.learn(now, Fact::Gone(answer), &mut self.told);
                }
                let later = now.after(Duration::from_secs(1));
                for question in &unasked {
                    self.table.retry(question as &Question, later);
                }
            }
            Reply::Holders(holders) => {
                self.table.learn(now, Fact::Holders(holders), &mut self.told);
                self.looks.end();
            }
            Reply::Named(processes) => {
                for process in processes {
                    self.table.learn(now, Fact::Process(process), &mut self.told);
                }
            }
            Reply::Described(described) => {
                for (process, details) in described {
                    self.table.learn(now, Fact::Details(process, details), &mut self.told);
                }
            }
            Reply::Trouble(text) => self.troubles.push(text),
        }
    }

    /// After a listing: when the next ones are due, and what records are needed from now on.
    fn listed(&mut self) {
        let Some(listing) = self.listing.take() else { return };
        let now = Instant::now();
        let pause = (now - listing.asked) * SHARE;
        if listing.all {
            self.next_reconcile = now + self.reconcile.max(pause * 2);
        }
        // Where everything has events nothing must be looked for.
        let sweep = if self.minis { self.reconcile } else { self.sweep };
        self.next_sweep = now + sweep.max(pause);
        if !self.initial_done {
            self.initial_done = true;
            self.look();
        }
        // Under a load that goes on losing events the next try comes soon, but leaves time for work.
        self.earliest = now + (pause / SHARE * 2).max(TICK);
        if self.table.is_blind() {
            self.next_reconcile = self.next_reconcile.min(self.earliest);
        }
        self.set_whole(self.table.is_blind());
    }

    /// Has it looked for who holds what.
    fn look(&mut self) {
        let files = match self.kernel.as_mut().and_then(|kernel| kernel.control.files()) {
            Some(Ok(files)) => Some(files),
            Some(Err(why)) => {
                self.troubles.push(format!("looking at the files of all processes: {why}"));
                None
            }
            None => None,
        };
        self.looks.begin();
        self.table.look(Mono::now());
        self.worker.inquire(Inquiry::Owners(files));
    }

    /// Asks for addresses in every record as long as rows may be missing.
    fn set_whole(&mut self, whole: bool) {
        if self.whole == whole {
            return;
        }
        if let Some(kernel) = &mut self.kernel {
            match kernel.control.set_whole(whole) {
                Ok(()) => self.whole = whole,
                Err(error) => self.troubles.push(format!("switching the kernel half: {error}")),
            }
        }
    }
}
