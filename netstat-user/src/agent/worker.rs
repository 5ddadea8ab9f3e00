//! The threads that list, ask and look at processes, so that a long dump never keeps the ring buffer waiting, nor a pass over all
//! files the questions without whose answers an end cannot be told.

use super::people::People;
use crate::model::{
    Answer, Details, Family, Holding, Listing, Mono, Pid, Process, Protocol, Question, SockRow, States,
};
use crate::source::diag::{Diag, DiagError, Request};
use crate::source::netns::{self, All, Depth, Netns};
use crate::source::procfs::Procfs;
use netstat_common::judge::port_wanted;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How soon after one look through all files another may follow, at least; and the share of the time it may take (1/50).
const SEARCH: Duration = Duration::from_millis(100);
const SHARE: u32 = 50;

/// What the kernel is asked for.
pub(super) enum Job {
    List { states: States, initial: bool },
    Ask(Vec<Question>),
}

/// What is looked up in /proc.
pub(super) enum Inquiry {
    /// One pass over the files of all processes: by this file of the kernel's, else over /proc/PID/fd.
    Owners(Option<File>),
    /// Who these processes are.
    Name(Vec<Pid>),
    /// Who these are, and what they run.
    Describe(Vec<Pid>),
}

/// What came of it.
pub(super) enum Reply {
    Listing(Listing),
    Answers {
        answers: Vec<Answer>,
        /// Those about sockets in namespaces that cannot be reached any more.
        gone: Vec<Answer>,
        unasked: Vec<Question>,
    },
    Holders(Holding),
    Named(Vec<Process>),
    Described(Vec<(Process, Details)>),
    /// A part of a job could not be done; the rest follows as its own reply.
    Trouble(String),
}

/// Which namespaces are listed.
pub(super) enum Where {
    One(Netns),
    All,
}

/// Whence listings come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lister {
    Diag,
    Procfs,
}

pub(super) struct Worker {
    jobs: Sender<Job>,
    inquiries: Sender<Inquiry>,
    pub replies: UnboundedReceiver<Reply>,
    threads: Vec<JoinHandle<()>>,
}

impl Worker {
    /// `events` says whether processes are also named by a kernel half.
    pub fn start(place: Where, lister: Lister, ports: Vec<u16>, events: bool) -> std::io::Result<Self> {
        let (jobs, inbox) = channel();
        let (inquiries, questions) = channel();
        let (outbox, replies) = unbounded_channel();
        let clerk = Clerk { people: People::new(events), outbox: outbox.clone() };
        let desk = Desk { place, lister, ports, diags: FxHashMap::default(), searched: None, outbox };
        let mut worker = Self { jobs, inquiries, replies, threads: Vec::new() };
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        worker.threads.push(named("lister").spawn(move || desk.work(&inbox))?);
        worker.threads.push(named("people").spawn(move || clerk.work(&questions))?);
        Ok(worker)
    }

    /// Hands over a job. It is lost when the thread has ended, which it only does on a panic.
    pub fn give(&self, job: Job) {
        let _ = self.jobs.send(job);
    }

    /// The same of an inquiry.
    pub fn inquire(&self, inquiry: Inquiry) {
        let _ = self.inquiries.send(inquiry);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The threads end when nobody can give them anything any more.
        self.jobs = channel().0;
        self.inquiries = channel().0;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Who looks at processes.
struct Clerk {
    people: People,
    outbox: UnboundedSender<Reply>,
}

impl Clerk {
    fn work(mut self, inbox: &Receiver<Inquiry>) {
        while let Ok(inquiry) = inbox.recv() {
            let reply = match inquiry {
                Inquiry::Owners(files) => Reply::Holders(self.people.hold(files).unwrap_or_else(|error| {
                    say(&self.outbox, trouble("finding the owners of open sockets", &*error));
                    Holding::default()
                })),
                Inquiry::Name(pids) => Reply::Named(self.people.name(&pids)),
                Inquiry::Describe(pids) => Reply::Described(self.people.describe(&pids)),
            };
            say(&self.outbox, reply);
        }
    }
}

fn say(outbox: &UnboundedSender<Reply>, reply: Reply) {
    // Nobody listens any more when the program ends.
    let _ = outbox.send(reply);
}

fn trouble(doing: &str, error: &dyn std::error::Error) -> Reply {
    let mut text = format!("{doing}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Reply::Trouble(text)
}

struct Desk {
    place: Where,
    lister: Lister,
    ports: Vec<u16>,
    /// One socket a namespace, opened when needed; none in others' namespaces between two jobs.
    diags: FxHashMap<u32, Diag>,
    /// When the files of all processes were last looked through for namespaces, and how long that took.
    searched: Option<(Instant, Duration)>,
    outbox: UnboundedSender<Reply>,
}

impl Desk {
    fn work(mut self, inbox: &Receiver<Job>) {
        while let Ok(job) = inbox.recv() {
            match job {
                Job::List { states, initial } => {
                    let listing = self.list(states, initial);
                    self.leave();
                    self.say(Reply::Listing(listing));
                }
                Job::Ask(questions) => {
                    self.ask(questions);
                    self.leave();
                }
            }
        }
    }

    fn say(&self, reply: Reply) {
        say(&self.outbox, reply);
    }

    fn trouble(&self, doing: &str, error: &dyn std::error::Error) {
        self.say(trouble(doing, error));
    }

    /// Sees to it that every namespace in scope has a socket; gives their numbers.
    fn namespaces(&mut self, depth: Depth) -> Vec<u32> {
        match &self.place {
            Where::One(netns) => {
                let inum = netns.inum;
                if self.lister == Lister::Diag && !self.diags.contains_key(&inum) {
                    match Diag::open(netns) {
                        Ok(diag) => {
                            self.diags.insert(inum, diag);
                        }
                        Err(error) => {
                            self.trouble("opening sock_diag", &error);
                            self.lister = Lister::Procfs;
                        }
                    }
                }
                vec![inum]
            }
            Where::All => {
                let began = Instant::now();
                let all = All::find(depth);
                if depth == Depth::Sockets {
                    self.searched = Some((Instant::now(), began.elapsed()));
                }
                for error in &all.errors {
                    self.trouble("looking for network namespaces", error);
                }
                for netns in &all.found {
                    if let Entry::Vacant(place) = self.diags.entry(netns.inum) {
                        match Diag::open(netns) {
                            Ok(diag) => {
                                place.insert(diag);
                            }
                            Err(error) => self.trouble("opening sock_diag in a namespace", &error),
                        }
                    }
                }
                all.found.iter().map(|netns| netns.inum).collect()
            }
        }
    }

    /// Gives back the sockets in others' namespaces: each would keep its namespace, and the interfaces in it, from ending.
    fn leave(&mut self) {
        if matches!(self.place, Where::All) {
            let here = netns::here();
            self.diags.retain(|&inum, _| inum == here);
        }
    }

    fn list(&mut self, states: States, initial: bool) -> Listing {
        let began = Mono::now();
        let mut rows = Vec::new();
        let mut listed = Vec::new();
        let ports = std::mem::take(&mut self.ports);
        let mut cookies = true;
        // Looking through all files takes time, and what only a file or a socket keeps is rare.
        let depth = if states == States::ALL { Depth::Sockets } else { Depth::Threads };
        for inum in self.namespaces(depth) {
            let mut whole = true;
            for family in [Family::V4, Family::V6] {
                let mut take = |row: &SockRow| {
                    if port_wanted(&ports, row.local.port, row.foreign.port) {
                        rows.push(*row);
                    }
                };
                whole &= match self.diags.get_mut(&inum) {
                    Some(diag) => {
                        let request = Request { protocol: Protocol::Tcp, family, states, totals: false };
                        match diag.list(&request, &mut take) {
                            Ok(_) => true,
                            Err(error) => self.give_up_on(family, &error),
                        }
                    }
                    None if self.lister == Lister::Procfs => {
                        cookies = false;
                        self.list_procfs(family, states, &mut take)
                    }
                    // It could not be entered, which was said. /proc/net shows ours only.
                    None => false,
                };
            }
            // What could not be listed whole must not look as if the rest were gone.
            if whole {
                listed.push(inum);
            }
        }
        self.ports = ports;
        if listed.is_empty() {
            // "None" would mean "the one without a number".
            listed.push(u32::MAX);
        }
        Listing { began, ended: Mono::now(), netns: listed, states, rows, initial, cookies }
    }

    /// Whether a refused listing leaves nothing out: a kernel without IPv6 has no IPv6 sockets.
    fn give_up_on(&self, family: Family, error: &DiagError) -> bool {
        if family == Family::V6 && error.is_absent() {
            return true;
        }
        self.trouble("listing TCP sockets", error);
        false
    }

    fn list_procfs(&self, family: Family, states: States, take: &mut dyn FnMut(&SockRow)) -> bool {
        let mut rows = Vec::new();
        let mut read = || Procfs::host().list(Protocol::Tcp, family, &mut |row| rows.push(*row));
        let result = match &self.place {
            Where::One(netns) => match netns.run(read) {
                Ok(result) => result,
                Err(error) => {
                    self.trouble("listing TCP sockets", &error);
                    return false;
                }
            },
            Where::All => read(),
        };
        rows.iter().filter(|row| states.has(row.state)).for_each(take);
        match result {
            Ok(pass) => {
                for error in &pass.faults {
                    self.trouble("listing TCP sockets", error);
                }
                true
            }
            Err(error) => {
                self.trouble("listing TCP sockets", &error);
                false
            }
        }
    }

    fn ask(&mut self, mut questions: Vec<Question>) {
        questions.sort_unstable_by_key(|question| question.netns);
        let mut answers = Vec::with_capacity(questions.len());
        let mut gone = Vec::new();
        let mut unasked = Vec::new();
        let own = match &self.place {
            Where::One(netns) => Some(netns.inum),
            Where::All => None,
        };
        if matches!(self.place, Where::All) && self.lister == Lister::Diag {
            let unreached = |desk: &Self, question: &Question| {
                question.netns != 0 && !desk.diags.contains_key(&question.netns)
            };
            if questions.iter().any(|question| unreached(self, question)) {
                self.namespaces(Depth::Threads);
            }
            if questions.iter().any(|question| unreached(self, question)) {
                if self.searched.is_none_or(|(at, took)| at.elapsed() >= SEARCH.max(took * SHARE)) {
                    self.namespaces(Depth::Sockets);
                } else {
                    // Whether the namespace is gone is not known yet.
                    unasked.extend(questions.extract_if(.., |question| unreached(self, question)));
                }
            }
        }
        for group in questions.chunk_by(|a, b| a.netns == b.netns) {
            let Some(inum) = group.first().map(|question| question.netns) else { continue };
            let inum = if inum == 0 { own.unwrap_or(0) } else { inum };
            let Some(diag) = self.diags.get_mut(&inum) else {
                if self.lister == Lister::Procfs {
                    self.answer_without(group, &mut answers);
                } else {
                    let at = Mono::now();
                    gone.extend(group.iter().map(|question| Answer { token: question.token, at, row: None }));
                }
                continue;
            };
            let before = answers.len();
            if let Err(error) = diag.ask(group, &mut |answer| answers.push(answer)) {
                let answered: BTreeSet<u64> = answers[before..].iter().map(|answer| answer.token).collect();
                unasked.extend(group.iter().filter(|question| !answered.contains(&question.token)));
                self.trouble("asking about sockets", &error);
            }
        }
        self.say(Reply::Answers { answers, gone, unasked });
    }

    /// No netlink: /proc is read once for all questions.
    fn answer_without(&self, group: &[Question], answers: &mut Vec<Answer>) {
        let at = Mono::now();
        let mut found = FxHashMap::default();
        for family in [Family::V4, Family::V6] {
            self.list_procfs(family, States::ALL, &mut |row| {
                found.insert((row.local, row.foreign), *row);
            });
        }
        for question in group {
            let row = found.get(&(question.tuple.local(), question.tuple.foreign())).copied();
            answers.push(Answer { token: question.token, at, row });
        }
    }
}
