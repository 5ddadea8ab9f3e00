//! Whether what is told is always what is: the kernel's own listings, ten times a second, beside the table that a reader of
//! the trace has at that moment.

use crate::json::{Kind, Line};
use crate::listing::{self, Row};
use crate::sys::{self, checked, monotonic};
use anyhow::{Context, Result};
use netstat_common::TcpState::{self, Close, FinWait2, Listen, SynRecv, SynSent, TimeWait};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the kernel is asked.
const EVERY: Duration = Duration::from_millis(100);
/// How often the reader looks for more.
const LOOK: Duration = Duration::from_millis(1);

/// A namespace to be listed.
pub struct Place {
    pub netns: u64,
    file: File,
    process: u32,
}

impl Place {
    /// That of a process.
    ///
    /// # Errors
    /// It is gone.
    pub fn of(process: u32, netns: u64) -> Result<Self> {
        let path = format!("/proc/{process}/ns/net");
        Ok(Self { netns, file: File::open(&path).context(path)?, process })
    }

    /// What the kernel has there, by sock_diag; the calling thread moves there.
    fn list(&self) -> Result<Listed> {
        // SAFETY: no pointer is passed; the descriptor is open.
        checked(unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) })?;
        let begin = monotonic();
        let rows = listing::tcp()?;
        Ok(Listed { netns: self.netns, begin, end: monotonic(), rows })
    }

    /// What it has there, by /proc/net/tcp and tcp6 (Documentation/networking/proc_net_tcp.rst): state and ends.
    ///
    /// # Errors
    /// A line is not understood.
    pub fn proc(&self) -> Result<Vec<(TcpState, SocketAddr, SocketAddr)>> {
        let mut rows = Vec::new();
        for name in ["tcp", "tcp6"] {
            let path = format!("/proc/{}/net/{name}", self.process);
            let text = std::fs::read_to_string(&path).context(path)?;
            for line in text.lines().skip(1) {
                let mut words = line.split_whitespace().skip(1);
                let mut word = || words.next().with_context(|| format!("a short line: {line:?}"));
                let (local, peer) = (address(word()?)?, address(word()?)?);
                let state = u8::from_str_radix(word()?, 16)?;
                // A half-open connection is listed with the state of its listener's (include/net/tcp_states.h).
                let state = if state == 12 {
                    SynRecv
                } else {
                    TcpState::try_from(state).map_err(|unknown| anyhow::anyhow!("{unknown}"))?
                };
                rows.push((state, local, peer));
            }
        }
        Ok(rows)
    }
}

/// `0100007F:1F90`: words in the machine's order.
fn address(text: &str) -> Result<SocketAddr> {
    let (addr, port) = text.split_once(':').context("no port")?;
    let port = u16::from_str_radix(port, 16)?;
    let mut bytes = Vec::new();
    for at in (0..addr.len()).step_by(8) {
        let word = addr.get(at..at + 8).context("a short address")?;
        bytes.extend(u32::from_str_radix(word, 16)?.to_ne_bytes());
    }
    Ok(match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => (v4, port).into(),
        Err(_) => (<[u8; 16]>::try_from(bytes.as_slice())?, port).into(),
    })
}

/// The kernel's rows between two moments.
struct Listed {
    netns: u64,
    begin: u64,
    end: u64,
    rows: Vec<Row>,
}

/// What was seen while it watched.
pub struct Watched {
    listings: Vec<Listed>,
    /// How many bytes of the trace had arrived when.
    arrivals: Vec<(u64, u64)>,
}

/// Two threads: one reads what the trace writes, and remembers when it came; the other asks the kernel.
pub struct Watcher {
    ends: Arc<AtomicBool>,
    reader: JoinHandle<Result<Vec<(u64, u64)>>>,
    lister: JoinHandle<Result<Vec<Listed>>>,
}

impl Watcher {
    /// Of these namespaces, and the file that the trace writes.
    pub fn start(trace: PathBuf, places: Vec<Place>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let over = ends.clone();
        let reader = std::thread::spawn(move || -> Result<_> {
            let mut file = File::open(trace)?;
            let (mut arrivals, mut buffer, mut total) = (Vec::new(), vec![0; 1 << 20], 0);
            loop {
                let last = over.load(Ordering::Acquire);
                match file.read(&mut buffer)? {
                    0 if last => return Ok(arrivals),
                    0 => std::thread::sleep(LOOK),
                    got => {
                        total += got as u64;
                        arrivals.push((monotonic(), total));
                    }
                }
            }
        });
        let over = ends.clone();
        let lister = std::thread::spawn(move || -> Result<_> {
            let mut listings = Vec::new();
            while !over.load(Ordering::Acquire) {
                let since = Instant::now();
                for place in &places {
                    listings.push(place.list()?);
                }
                std::thread::sleep(EVERY.saturating_sub(since.elapsed()));
            }
            Ok(listings)
        });
        Self { ends, reader, lister }
    }

    /// Ends both; the trace has ended.
    ///
    /// # Errors
    /// One of them could not do its work.
    pub fn finish(self) -> Result<Watched> {
        self.ends.store(true, Ordering::Release);
        let listings = sys::joined(self.lister.join())??;
        let arrivals = sys::joined(self.reader.join())??;
        Ok(Watched { listings, arrivals })
    }
}

/// Where the table and the kernel differed without an excuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    pub netns: u64,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    pub table: Option<TcpState>,
    pub kernel: Option<TcpState>,
    /// CLOCK_MONOTONIC.
    pub at: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Currency {
    pub listings: u64,
    pub rows: u64,
    /// Differences that a transition younger than the limit explains.
    pub young: u64,
    /// Rows that a listing left out, or showed twice, while its table changed.
    pub skipped: u64,
    pub stale: Vec<Stale>,
    /// Nanoseconds from an event to its line, in order.
    pub delays: Vec<u64>,
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |of: usize| {
            let at = self.delays.len().saturating_sub(1) * of / 10_000;
            Duration::from_nanos(self.delays.get(at).copied().unwrap_or(0))
        };
        write!(
            f,
            "{} listings of {} rows: {} differences by younger transitions, {} left out by the listing, {} stale; from the \
            event to its line {:?} (half), {:?} (99 %), {:?} (99.9 %), {:?} (longest)",
            self.listings,
            self.rows,
            self.young,
            self.skipped,
            self.stale.len(),
            share(5_000),
            share(9_900),
            share(9_990),
            share(10_000)
        )?;
        for stale in self.stale.iter().take(10) {
            write!(f, "\n  {stale:?}")?;
        }
        Ok(())
    }
}

type Ends = (u64, SocketAddr, SocketAddr);

/// A line, when it happened and when it came (CLOCK_MONOTONIC).
struct Arrived<'a> {
    line: &'a Line,
    happened: u64,
    came: u64,
}

impl Watched {
    /// Holds every listing against the table of that moment. `text` is all that the trace wrote, `lines` its lines, `moment`
    /// tells the time of a line on CLOCK_MONOTONIC. A difference is excused by a transition of that socket that is younger
    /// than `limit` nanoseconds. `polled`: states that have no events here.
    ///
    /// # Errors
    /// The trace cannot be read.
    pub fn judge(
        &self,
        text: &[u8],
        lines: &[Line],
        moment: impl Fn(&Line) -> Result<u64>,
        limit: u64,
        polled: bool,
    ) -> Result<Currency> {
        let arrived = self.arrived(text, lines, moment)?;
        let mut changes: FxHashMap<Ends, Vec<u64>> = FxHashMap::default();
        let mut currency = Currency::default();
        let places: BTreeSet<u64> = self.listings.iter().map(|listed| listed.netns).collect();
        for Arrived { line, happened, came } in &arrived {
            if let Some(ends) = ends(line) {
                changes.entry(ends).or_default().push(*happened);
            }
            if line.netns.is_some_and(|netns| places.contains(&netns))
                && line.learnt.as_deref() == Some("event")
            {
                currency.delays.push(came.saturating_sub(*happened));
            }
        }
        currency.delays.sort_unstable();
        let mut table = Table::default();
        let mut next = arrived.iter().peekable();
        for (index, listed) in self.listings.iter().enumerate() {
            while let Some(arrived) = next.next_if(|arrived| arrived.came <= listed.begin) {
                table.learn(arrived.line);
            }
            currency.listings += 1;
            currency.rows += listed.rows.len() as u64;
            let after = self.listings[index + 1..].iter().find(|after| after.netns == listed.netns);
            let after = after.map(|after| (after.end, by_ends(after)));
            for (ends, told, kernel) in table.differences(listed) {
                let states = [told, kernel.first().copied()];
                if polled
                    && states
                        .iter()
                        .flatten()
                        .any(|state| matches!(state, SynRecv | SynSent | FinWait2 | TimeWait))
                {
                    continue;
                }
                let between = |from: u64, to: u64| {
                    changes
                        .get(&ends)
                        .is_some_and(|times| times.iter().any(|&time| (from..=to).contains(&time)))
                };
                // A line's time is the kernel's; the listing's ours, of the same clock.
                if between(listed.begin.saturating_sub(limit), listed.end) {
                    currency.young += 1;
                    continue;
                }
                let unchanged = after.as_ref().is_some_and(|(end, rows)| {
                    let still = rows.get(&ends).map_or(&[][..], Vec::as_slice);
                    let same = told.map_or(still.is_empty(), |told| still.contains(&told));
                    same && !between(listed.begin, *end)
                });
                if unchanged {
                    currency.skipped += 1;
                    continue;
                }
                let (netns, local, peer) = ends;
                currency.stale.push(Stale {
                    netns,
                    local,
                    peer,
                    table: told,
                    kernel: states[1],
                    at: listed.begin,
                });
            }
        }
        Ok(currency)
    }

    fn arrived<'a>(
        &self,
        text: &[u8],
        lines: &'a [Line],
        moment: impl Fn(&Line) -> Result<u64>,
    ) -> Result<Vec<Arrived<'a>>> {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at as u64 + 1);
        let mut arrivals = self.arrivals.iter().peekable();
        let mut all = Vec::with_capacity(lines.len());
        for (line, end) in lines.iter().zip(ends) {
            while arrivals.next_if(|(_, total)| *total < end).is_some() {}
            let &&(came, _) = arrivals.peek().context("a line never arrived")?;
            if line.kind == Kind::Transition {
                all.push(Arrived { line, happened: moment(line)?, came });
            }
        }
        Ok(all)
    }
}

fn ends(line: &Line) -> Option<Ends> {
    Some((line.netns?, line.local?, line.peer?))
}

fn by_ends(listed: &Listed) -> FxHashMap<Ends, Vec<TcpState>> {
    let mut rows: FxHashMap<Ends, Vec<TcpState>> = FxHashMap::default();
    for row in &listed.rows {
        rows.entry((listed.netns, row.local, row.peer)).or_default().push(row.state);
    }
    rows
}

/// What a reader of the lines knows.
#[derive(Default)]
pub struct Table {
    /// By number of the connection.
    rows: FxHashMap<u64, (Ends, TcpState)>,
}

impl Table {
    pub fn learn(&mut self, line: &Line) {
        let (Some(number), Some(ends), Some((_, state))) = (line.connection, ends(line), line.step()) else {
            return;
        };
        if state == Close {
            self.rows.remove(&number);
        } else {
            self.rows.insert(number, (ends, state));
        }
    }

    /// What it has in a namespace, sorted.
    pub fn within(&self, netns: u64) -> Vec<(TcpState, SocketAddr, SocketAddr)> {
        let rows = self.rows.values().filter(|(ends, _)| ends.0 == netns);
        let mut rows: Vec<_> = rows.map(|&((_, local, peer), state)| (state, local, peer)).collect();
        rows.sort_unstable();
        rows
    }

    /// Where it differs from a listing: the ends, its own state, and the kernel's.
    fn differences(&self, listed: &Listed) -> Vec<(Ends, Option<TcpState>, Vec<TcpState>)> {
        let kernel = by_ends(listed);
        let mut told: BTreeMap<Ends, Vec<TcpState>> = BTreeMap::new();
        for (ends, state) in self.rows.values().filter(|(ends, _)| ends.0 == listed.netns) {
            told.entry(*ends).or_default().push(*state);
        }
        let mut differences = Vec::new();
        for (ends, states) in &kernel {
            if !told.contains_key(ends) {
                differences.push((*ends, None, states.clone()));
            }
        }
        for (ends, states) in told {
            let there = kernel.get(&ends).cloned().unwrap_or_default();
            // A socket may be listed both before and after it moved, and be followed by another at its place.
            let same =
                states.iter().any(|state| there.contains(state)) || states == [Listen] && !there.is_empty();
            if !same {
                differences.push((ends, states.first().copied(), there));
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAPPENED: [u64; 3] = [1_000, 2_000, 900_000_000];

    /// A socket that connects and closes, and a listing at `at` that shows it in these states.
    fn stale(at: u64, kernel: &[TcpState], came: [u64; 3]) -> Result<Currency> {
        let steps = [("closed", "syn_sent"), ("syn_sent", "established"), ("established", "closed")];
        let text: Vec<String> = steps
            .iter()
            .map(|(from, to)| {
                format!(
                    r#"{{"enetstat.kind":"transition","network.local.address":"127.0.0.1","network.local.port":1,"network.peer.address":"127.0.0.1","network.peer.port":2,"enetstat.netns":7,"enetstat.connection.id":1,"enetstat.learnt":"event","enetstat.state.from":"{from}","network.connection.state":"{to}"}}"#
                ) + "\n"
            })
            .collect();
        let text = text.concat();
        let mut lines = crate::json::lines(text.as_bytes())?;
        for (line, happened) in lines.iter_mut().zip(HAPPENED) {
            line.timestamp = Some(happened.to_string().into());
        }
        let ends: Vec<u64> = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at as u64 + 1)
            .collect();
        let row = |&state| Row {
            cookie: 1,
            state,
            local: ([127, 0, 0, 1], 1).into(),
            peer: ([127, 0, 0, 1], 2).into(),
        };
        let listed = Listed { netns: 7, begin: at, end: at + 1_000, rows: kernel.iter().map(row).collect() };
        let watched = Watched { listings: vec![listed], arrivals: came.into_iter().zip(ends).collect() };
        let moment = |line: &Line| Ok(line.timestamp.as_deref().context("no time")?.parse()?);
        watched.judge(text.as_bytes(), &lines, moment, 50_000_000, false)
    }

    #[test]
    fn only_young_transitions_excuse_a_difference() -> Result<()> {
        let prompt = [3_000, 4_000, 901_000_000];
        assert_eq!(stale(500_000_000, &[TcpState::Established], prompt)?.stale, []);
        // The kernel has another state, none, or more.
        assert_eq!(stale(500_000_000, &[TcpState::CloseWait], prompt)?.stale.len(), 1);
        assert_eq!(stale(500_000_000, &[], prompt)?.stale.len(), 1);
        assert_eq!(stale(990_000_000, &[TcpState::Established], prompt)?.stale.len(), 1);
        // It has just happened, and was not told yet.
        assert_eq!(stale(900_500_000, &[], prompt)?.young, 1);
        // It was told too late.
        let late = [3_000, 4_000, 999_000_000];
        assert_eq!(stale(990_000_000, &[], late)?.stale.len(), 1);
        assert_eq!(stale(940_000_000, &[], late)?.young, 1);
        assert_eq!(stale(940_000_000, &[], late)?.delays, [2_000, 2_000, 99_000_000]);
        Ok(())
    }

    #[test]
    fn addresses_of_proc_are_read() -> Result<()> {
        assert_eq!(address("0100007F:1F90")?, "127.0.0.1:8080".parse()?);
        assert_eq!(address("00000000000000000000000001000000:0050")?, "[::1]:80".parse()?);
        assert!(address("0100007F").is_err() && address("01:1").is_err());
        Ok(())
    }
}
