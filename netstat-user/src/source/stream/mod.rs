//! The live stream of the kernel half.
//!
//! [`Stream::start`] loads and attaches the best hooks that the kernel allows; from its return on, every change is in
//! the ring buffer or counted as lost. The reader waits on the stream's descriptor, [`drain`](Stream::drain)s into a
//! buffer of framed records and [`decode`]s that wherever it likes.
//!
//! # Waiting
//!
//! The kernel half wakes the reader when for [`WAKE_INTERVAL`] no record was sent, and not again while records come more
//! often than that. So after a drain that found records, wait a little longer than that and drain again; sleep on the
//! descriptor only after a drain that found none. Sleep no longer than [`SAFETY_TIMEOUT`]: a record that was stamped
//! before and submitted after that drain wakes nobody.

mod around;
mod attach;
mod decode;
pub mod files;
mod linked;
pub mod listing;
mod load;
mod mapping;
mod object;
mod ring;
mod typed;
mod unseen;

pub use around::own_number;
pub use ring::Ring;

pub use decode::{DecodeError, Events, decode};
pub use netstat_common::config::Queues;

use crate::kernel::{Choice, Feature, Refusal, Tier, bpf};
use crate::model::ResetNames;
use aya::Ebpf;
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray};
use aya_log::EbpfLogger;
use bytes::BytesMut;
use mapping::Mapping;
use netstat_common::Loss;
use netstat_common::config::{COUNTED_LOSSES, COUNTED_MAP, COUNTED_SPARED, COUNTED_WORDS, MODE_MAP};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;
use typed::Programs;
use unseen::Unseen;

/// See the [module](self)'s "Waiting".
pub const WAKE_INTERVAL: Duration = Duration::from_millis(5);

/// See the [module](self)'s "Waiting".
pub const SAFETY_TIMEOUT: Duration = Duration::from_millis(100);

/// Which build of the kernel half this program contains.
pub const OBJECT_BUILD: Option<&str> = option_env!("ENETSTAT_OBJECT_BUILD");

/// Beginnings of the names of programs that see calls and lives of processes, resets, and segments that are thrown away, or give
/// sockets their cookies. Of the segments almost none matters, and one that does is a change which the next comparison repairs.
const CALLS: [&str; 9] =
    ["accept_", "connect_", "life_", "send_", "receive_", "taken_", "reset_", "discarded_", "naming_"];

/// Beginning of the names of the programs that have spares.
const SPARED_HOOK: &str = "state_";

/// Beginning of the names of the programs that only count: closed windows.
const COUNTING: &str = "window_";

/// Part of the names of spares.
const SPARE: &str = "_spare";

/// Why an event is lost that the kernel runs no program for: see [`Losses::unseen`].
pub const UNSEEN: &str = "happened while process 1 ran, where this kernel runs no programs";

/// What to stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Takes this tier and no other.
    pub tier: Option<Tier>,
    /// Which queue changes to report.
    pub queues: Queues,
    /// Time between two coalesced queue records of one socket.
    pub queue_interval: Duration,
    /// Inode of the only network namespace to report. Whoever asks must keep it alive while the stream is.
    pub netns: Option<u32>,
    /// Reports only sockets with one of these ports at either end; at most
    /// [`MAX_PORTS`](netstat_common::config::MAX_PORTS). Empty: all.
    pub ports: Vec<u16>,
    /// Size of the ring buffer; rounded up to a power of two of at least a page.
    pub ring_bytes: u32,
    /// Reports which process accepted a connection, and processes that begin, execute a program, and end.
    pub owners: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tier: None,
            queues: Queues::Off,
            queue_interval: Duration::from_millis(100),
            netns: None,
            ports: Vec::new(),
            ring_bytes: 4 << 20,
            owners: true,
        }
    }
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A tier was forced that is none of eBPF.
    #[error("the tier {0} has no stream of events")]
    NoEvents(Tier),
    /// A tier was forced and something of it is refused.
    #[error("tier {tier}: no {feature}: {why}")]
    Forced { tier: Tier, feature: crate::kernel::Feature, why: Refusal },
    /// No way to see transitions; each says why.
    #[error("{}", none(choices))]
    NoTier { choices: Vec<Choice> },
    #[error("{0} ports to filter by, at most {max} are possible", max = netstat_common::config::MAX_PORTS)]
    TooManyPorts(usize),
    /// Refused before any tier was tried.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A map that was made cannot be used.
    #[error("map {name}: {cause}")]
    Map { name: &'static str, cause: MapError },
}

impl StreamError {
    /// What helps, if anything does.
    pub fn cure(&self) -> Option<String> {
        match self {
            Self::Forced { why, .. } | Self::Refused(why) => why.cure(),
            Self::NoTier { choices } => {
                choices.iter().flat_map(|choice| &choice.refused).find_map(|refused| refused.why.cure())
            }
            Self::NoEvents(_) | Self::TooManyPorts(_) | Self::Map { .. } => None,
        }
    }
}

/// Every refusal, or the one reason when all have the same.
fn none(choices: &[Choice]) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for refused in choices.iter().filter(|choice| choice.tier.is_none()).flat_map(|choice| &choice.refused) {
        let reason = refused.why.to_string();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    format!("changes of state cannot be traced: {}", reasons.join("; "))
}

/// Records that could not be sent, by reason and processor, since the stream began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    by: [Vec<u64>; Loss::ALL.len()],
    /// Times that a hook was reached while its program was interrupted on the same processor: the kernel then leaves the
    /// program out. Those that the hook's spares took are not in it. Known since Linux 5.12 for typed hooks, since 6.3 for
    /// others; 0 where it is not known.
    pub skipped: u64,
    /// The same by program, those that were left out.
    pub skipped_by: Vec<(String, u64)>,
    /// Events that the spares of a hook took. Nothing was lost with them.
    pub spared: u64,
    /// Events that fell on process 1, where this kernel runs no programs.
    pub unseen: u64,
    /// Times that a program which only counts was left out: no state is lost with that, but a count may be too small.
    pub uncounted: u64,
}

impl Losses {
    /// All of them.
    pub fn total(&self) -> u64 {
        Loss::ALL.into_iter().map(|loss| self.of(loss)).sum::<u64>() + self.skipped + self.unseen
    }

    /// Those with one reason.
    pub fn of(&self, loss: Loss) -> u64 {
        self.cpus(loss).iter().sum()
    }

    /// Those with one reason, by processor.
    pub fn cpus(&self, loss: Loss) -> &[u64] {
        &self.by[loss as usize]
    }
}

/// The reasons that there were, each with its number since the stream began.
impl std::fmt::Display for Losses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reasons = Loss::ALL.into_iter().map(|loss| (loss.reason(), self.of(loss)));
        let all = reasons.chain([(UNSEEN, self.unseen), ("hook left out by the kernel", self.skipped)]);
        for (index, (reason, count)) in all.filter(|&(_, count)| count > 0).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{reason}: {count}")?;
        }
        for (index, (program, count)) in self.skipped_by.iter().enumerate() {
            write!(f, "{}{program} {count}", if index == 0 { " (" } else { ", " })?;
        }
        if !self.skipped_by.is_empty() {
            write!(f, ")")?;
        }
        Ok(())
    }
}

/// What one [`Stream::drain`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    pub records: usize,
    /// There was more than was asked for, or a record is just being written.
    pub more: bool,
}

/// The attached kernel half. Dropping it detaches.
pub struct Stream {
    ring: Ring,
    control: Control,
}

/// All of a [`Stream`] but its records, so that a thread of its own can read those.
pub struct Control {
    losses: PerCpuArray<MapData, u64>,
    mode: Array<MapData, u64>,
    choices: Vec<Choice>,
    cookies: bool,
    resets: ResetNames,
    /// Passes on what the kernel half logged.
    flush: Option<Box<dyn FnMut() + Send + Sync>>,
    /// Programs that events are lost with.
    programs: Vec<(String, OwnedFd)>,
    /// [`COUNTED_MAP`], and what it and [`LOSSES`](Self::losses) were when they were looked at last.
    counted: Mapping,
    known: (u64, [Vec<u64>; Loss::ALL.len()]),
    /// What of these, and of what spares took, was before everything was attached: a listing follows, which has it.
    before: (Vec<(String, u64)>, u64),
    /// What no program is run for.
    unseen: Option<Unseen>,
    /// Holds the programs and their attachments.
    all: Programs,
}

impl Stream {
    /// Loads and attaches. Events begin before this returns; until [`set_whole`](Control::set_whole) says otherwise,
    /// every transition carries the addresses.
    pub fn start(options: &Options) -> Result<Self, StreamError> {
        let load::Assembled { programs: mut all, choices, cookies, resets, unseen } =
            load::assemble(options)?;
        let ebpf = &mut all.ebpf;
        // Without a logger the kernel half's diagnostics stay unread, which is harmless.
        let flush = EbpfLogger::init(ebpf)
            .ok()
            .map(|mut logger| -> Box<dyn FnMut() + Send + Sync> { Box::new(move || logger.flush()) });
        let ring = Ring::open(take(ebpf, "EVENTS")?)?;
        let losses = PerCpuArray::try_from(take(ebpf, "LOSSES")?);
        let mode = Array::try_from(take(ebpf, MODE_MAP)?);
        let counted = map_counted(take(ebpf, COUNTED_MAP)?);
        // What a spare is left out of, a program before it takes. What a call hook is left out of is no change of state: an
        // owner, a port or a queue is learnt with the next change.
        let mut loaded = all.loaded();
        loaded.retain(|(name, _)| !name.contains(SPARE) && !CALLS.iter().any(|call| name.starts_with(call)));
        let loaded = loaded.into_iter().map(|(name, fd)| Ok((name.to_owned(), fd.try_clone_to_owned()?)));
        let programs: std::io::Result<_> = loaded.collect();
        let operation = "keeping the descriptor of a program";
        let programs = programs.map_err(|cause| Refusal::Failed { operation, cause: cause.to_string() })?;
        let mut stream = Self {
            ring,
            control: Control {
                losses: losses.map_err(|cause| StreamError::Map { name: "LOSSES", cause })?,
                mode: mode.map_err(|cause| StreamError::Map { name: MODE_MAP, cause })?,
                counted: counted.map_err(|cause| StreamError::Map { name: COUNTED_MAP, cause })?,
                known: Default::default(),
                choices,
                cookies,
                resets,
                flush,
                programs,
                before: Default::default(),
                unseen,
                all,
            },
        };
        stream.control.before = stream.control.left_out()?;
        Ok(stream)
    }

    /// The records apart from the rest. Both ends must be kept: dropping [`Control`] detaches.
    pub fn split(self) -> (Ring, Control) {
        (self.ring, self.control)
    }

    /// See [`Control::choices`].
    pub fn choices(&self) -> &[Choice] {
        &self.control.choices
    }

    /// Whether records name sockets by their cookies; else they do by their addresses in the kernel, even where the cookie
    /// is known.
    pub fn has_cookies(&self) -> bool {
        self.control.cookies
    }

    /// Whether this kernel may run no programs while process 1 has the processor, so that what happens then is counted.
    pub fn counts_unseen(&self) -> bool {
        self.control.unseen.is_some()
    }

    /// Detaches, and keeps what was learnt about the kernel.
    pub fn into_choices(self) -> Vec<Choice> {
        self.control.choices
    }

    /// See [`Control::set_whole`].
    pub fn set_whole(&mut self, whole: bool) -> Result<(), StreamError> {
        self.control.set_whole(whole)
    }

    /// See [`Control::losses`].
    pub fn losses(&mut self) -> Result<Losses, StreamError> {
        self.control.losses()
    }

    /// See [`Ring::drain`].
    pub fn drain(&mut self, into: &mut BytesMut, max_records: usize) -> Drained {
        self.ring.drain(into, max_records)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl Control {
    /// How each feature is had, in the order states, minis, queues, accept, resets, windows, lives, holders.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The kernel's names of why it sends a reset.
    pub fn reset_names(&self) -> &ResetNames {
        &self.resets
    }

    /// A new pass over the files of all processes, for [`files::pass`]; `None` where the kernel offers none.
    ///
    /// # Errors
    /// The kernel refuses this one.
    pub fn files(&mut self) -> Option<Result<std::fs::File, Refusal>> {
        let by = |choice: &Choice| choice.feature == Feature::Holders && choice.tier == Some(Tier::TpBtf);
        self.choices.iter().any(by).then(|| files::open(&self.all.typed))
    }

    /// Whether every transition must carry the addresses: yes while the reader does not know every socket. Where
    /// sockets have no cookie they always do.
    pub fn set_whole(&mut self, whole: bool) -> Result<(), StreamError> {
        let mode = self.mode.set(0, u64::from(whole), 0);
        mode.map_err(|cause| StreamError::Map { name: MODE_MAP, cause })
    }

    /// What could not be sent so far. Also passes on the kernel half's rare diagnostics, to whatever logger the program
    /// has set.
    pub fn losses(&mut self) -> Result<Losses, StreamError> {
        if let Some(flush) = &mut self.flush {
            flush();
        }
        let (mut skipped_by, spared) = self.left_out()?;
        let spared = spared.saturating_sub(self.before.1);
        for (name, count) in &mut skipped_by {
            let before = self.before.0.iter().find(|(other, _)| other == name);
            *count = count.saturating_sub(before.map_or(0, |(_, before)| *before));
            // The others have no spares that count.
            if name.starts_with(SPARED_HOOK) {
                *count = count.saturating_sub(spared);
            }
        }
        skipped_by.retain(|(_, count)| *count > 0);
        let uncounted =
            skipped_by.extract_if(.., |(name, _)| name.starts_with(COUNTING)).map(|(_, count)| count);
        let uncounted = uncounted.sum();
        let skipped = skipped_by.iter().map(|(_, count)| count).sum();
        let unseen = self.unseen.as_mut().map_or(0, Unseen::count);
        Ok(Losses { by: self.known.1.clone(), skipped, skipped_by, spared, unseen, uncounted })
    }

    /// Has the next [`losses`](Self::losses) leave out nothing that has happened until then.
    pub fn look_at_once(&mut self) {
        if let Some(unseen) = &mut self.unseen {
            unseen.look_at_once();
        }
    }

    /// How often each program was left out, and what of that spares took, since they were loaded.
    fn left_out(&mut self) -> Result<(Vec<(String, u64)>, u64), StreamError> {
        // Before the spares' own count, so that an event between the two is not taken for lost.
        let times = |program: &OwnedFd| bpf::left_out(program.as_fd());
        let by = self.programs.iter().map(|(name, program)| (name.clone(), times(program))).collect();
        let spared = self.counted.word(COUNTED_SPARED as usize).load(Ordering::Acquire);
        self.count()?;
        Ok((by, spared))
    }

    /// Brings what is known of the counters up to date: they are asked for one by one, which is only done when they have
    /// changed.
    fn count(&mut self) -> Result<(), StreamError> {
        let counted = self.counted.word(COUNTED_LOSSES as usize).load(Ordering::Acquire);
        if counted == self.known.0 {
            return Ok(());
        }
        let mut counts = <[Vec<u64>; Loss::ALL.len()]>::default();
        for (index, by) in (0u32..).zip(&mut counts) {
            let values = self.losses.get(&index, 0);
            *by = values.map_err(|cause| StreamError::Map { name: "LOSSES", cause })?.to_vec();
        }
        self.known = (counted, counts);
        Ok(())
    }
}

fn map_counted(map: Map) -> Result<Mapping, MapError> {
    let Map::Array(map) = map else {
        return Err(MapError::InvalidMapType { map_type: 0 });
    };
    let len = COUNTED_WORDS as usize * size_of::<u64>();
    Mapping::new(map.fd().as_fd(), 0, len, libc::PROT_READ).map_err(MapError::IoError)
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, StreamError> {
    ebpf.take_map(name).ok_or_else(|| Refusal::Object(format!("it has no map {name}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_were_left_out_are_named() {
        let skipped_by = vec![("state_btf".to_owned(), 3), ("timer_start_btf".to_owned(), 1)];
        let mut losses = Losses { skipped: 4, skipped_by, ..Losses::default() };
        assert_eq!(losses.to_string(), "hook left out by the kernel: 4 (state_btf 3, timer_start_btf 1)");
        losses.by[Loss::RingFull as usize] = vec![2];
        assert!(losses.to_string().starts_with("ring buffer full: 2, hook left out"), "{losses}");
        losses.unseen = 1;
        assert!(losses.to_string().starts_with(&format!("ring buffer full: 2, {UNSEEN}: 1, hook left out")));
    }

    #[test]
    fn every_reason_counts_in_the_total() {
        let mut losses = Losses { skipped: 4, ..Losses::default() };
        losses.by[Loss::RingFull as usize] = vec![1, 2];
        losses.by[Loss::NoStorage as usize] = vec![0, 5];
        losses.unseen = 1;
        assert_eq!((losses.total(), losses.of(Loss::RingFull)), (13, 3));
    }
}
