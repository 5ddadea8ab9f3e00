//! When a listing loads programs of its own into the kernel: on hosts with so many sockets that it pays.

use super::lean::Lean;
use crate::args::plan::{ListPlan, ListTier, Which};
use crate::kernel::{Refusal, caps};
use crate::model::{Family, Protocol, SockRow};
use crate::source::stream::listing::holders::Told;
use crate::source::stream::listing::walk::WalkError;
use crate::source::stream::listing::{Listing, Want};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// TCP sockets of a namespace above which the walk over the kernel's table is cheaper than sock_diag, loading included.
const MANY_SOCKETS: u64 = 4_000;

/// Open files of the host above which one pass by the kernel's iterator is cheaper than one over /proc, loading included: the
/// listing's own object, and the trace's, which tells more of each process.
const MANY_FILES: u64 = 2_000;
const VERY_MANY_FILES: u64 = 4_000;

/// IPv6 rows that are kept while IPv4's are given, so that the table need not be walked again for them.
const KEPT: usize = 4096;

/// The loaded programs, shared by those who list.
#[derive(Clone)]
pub struct Fast {
    listing: Rc<RefCell<Listing>>,
    /// The walk is among them.
    pub walks: bool,
    /// The iterator is.
    pub holds: bool,
    /// Connections are found by their keys alone: their inodes were not asked for.
    pub by_key: bool,
    sockets: usize,
    /// Rows of IPv6 that the last walk for IPv4 met, if those are all.
    kept: Rc<RefCell<Option<Vec<Walked>>>>,
    /// Where the rows that are given will be looked up.
    sought: Rc<RefCell<Option<Rc<Lean>>>>,
}

/// A row and the socket's key.
type Walked = (SockRow, u64);

/// Sockets of a network namespace (/proc/net/sockstat, sockstat6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP sockets over IPv4, and over IPv6, listeners included.
    pub v4: u64,
    pub v6: u64,
    /// TIME_WAITs of both.
    pub time_wait: u64,
}

impl Counts {
    /// Those of the calling thread's namespace; `None`: they are not told.
    pub fn here(proc: &Path) -> Option<Self> {
        let read = |name| std::fs::read_to_string(proc.join("thread-self/net").join(name)).ok();
        Some(Self::of(&read("sockstat")?, &read("sockstat6").unwrap_or_default()))
    }

    fn of(sockstat: &str, sockstat6: &str) -> Self {
        let number = |text: &str, line: &str, name: &str| {
            let mut words = text.lines().find_map(|one| one.strip_prefix(line))?.split_ascii_whitespace();
            words.find(|&word| word == name)?;
            words.next()?.parse().ok()
        };
        Self {
            v4: number(sockstat, "TCP:", "inuse").unwrap_or(0),
            v6: number(sockstat6, "TCP6:", "inuse").unwrap_or(0),
            time_wait: number(sockstat, "TCP:", "tw").unwrap_or(0),
        }
    }
}

impl Fast {
    /// Loads what pays for this plan, which shows nothing of a socket but its row and the name of its program. `None`:
    /// nothing does, or the kernel does not allow it.
    ///
    /// # Errors
    /// When it is loaded whether it pays or not, and the kernel does not allow it.
    pub fn of(plan: &ListPlan) -> Result<Option<Self>, Refusal> {
        let forced = plan.tier == ListTier::Bpf;
        let tcp = plan.tables.iter().any(|(protocol, _)| *protocol == Protocol::Tcp);
        // What the walk does not tell is not shown; why nobody holds a socket is told by its inode.
        let may_walk = tcp
            && !(plan.verbose && plan.programs)
            && plan.which != Which::Listening
            && !(plan.extend || plan.timers || plan.details.any() || plan.all_netns);
        let may_hold = plan.programs && !plan.verbose;
        if !(may_walk || may_hold) {
            return Ok(None);
        }
        let counts = Counts::here(Path::new("/proc")).unwrap_or_default();
        let sockets = counts.v4 + counts.v6 + counts.time_wait;
        let walks = may_walk && (forced || sockets >= MANY_SOCKETS);
        let holds = may_hold && (forced || has_files(MANY_FILES));
        let able = || !caps::missing().iter().any(|name| matches!(*name, "CAP_BPF" | "CAP_PERFMON"));
        if !(walks || holds) || !(forced || plan.tier == ListTier::Best && able()) {
            return Ok(None);
        }
        let inodes = plan.unix || plan.tables.iter().any(|(protocol, _)| *protocol != Protocol::Tcp);
        let load = |walks: bool| {
            let walk = walks.then_some(sockets as usize);
            Listing::load(Want { holders: holds, inodes: inodes || !walks, walk })
        };
        // A kernel may have the one and not the other.
        let (listing, walks) = match load(walks) {
            Ok(listing) => (listing, walks),
            Err(refusal) if forced => return Err(refusal),
            Err(_) if walks && holds => match load(false) {
                Ok(listing) => (listing, false),
                Err(_) => return Ok(None),
            },
            Err(_) => return Ok(None),
        };
        let (listing, sockets) = (Rc::new(RefCell::new(listing)), sockets as usize);
        let by_key = walks && holds && !inodes;
        Ok(Some(Self { listing, walks, holds, by_key, sockets, kept: Rc::default(), sought: Rc::default() }))
    }

    /// Gives the rows of a family that are no listeners; see [`Listing::rows`].
    pub fn rows(
        &self,
        netns: u32,
        family: Family,
        each: &mut dyn FnMut(&SockRow, u64),
    ) -> Result<(), WalkError> {
        let Ok(mut listing) = self.listing.try_borrow_mut() else { return Err(WalkError::NoTable) };
        let sought = self.sought.borrow().clone();
        let mut soon = |key| {
            if let Some(lean) = &sought {
                lean.warm(key);
            }
        };
        if family == Family::V6 {
            if let Some(kept) = self.kept.take() {
                kept.iter().for_each(|(row, sock)| each(row, *sock));
                return Ok(());
            }
            return listing.rows(netns, Some(family), &mut soon, each);
        }
        let mut kept = Some(Vec::new());
        listing.rows(netns, None, &mut soon, &mut |row, sock| {
            if row.family == family {
                each(row, sock);
            } else if kept.as_ref().is_some_and(|kept| kept.len() >= KEPT) {
                kept = None;
            } else if let Some(kept) = &mut kept {
                kept.push((*row, sock));
            }
        })?;
        self.kept.replace(kept);
        Ok(())
    }

    /// Forgets what was kept for a listing that did not ask for it.
    pub fn begin(&self) {
        self.kept.replace(None);
    }

    /// Whether a namespace has IPv6 sockets that are no listeners, of which there are `listeners`.
    pub fn may_have_v6(listeners: u64) -> bool {
        Counts::here(Path::new("/proc")).is_none_or(|counts| counts.v6 > listeners || counts.time_wait > 0)
    }

    /// From now on rows are given to be looked up in `lean`.
    pub fn seek_in(&self, lean: &Rc<Lean>) {
        self.sought.replace(Some(lean.clone()));
    }

    /// Sockets that were counted when this was loaded.
    pub fn sockets(&self) -> usize {
        self.sockets
    }

    /// Who holds which socket.
    pub fn holders(&self, take: &mut dyn FnMut(Told)) -> bool {
        self.listing.try_borrow_mut().is_ok_and(|mut listing| listing.holders(take).is_ok())
    }
}

/// Whether the iterator over all files pays that is part of the trace's object.
pub fn has_very_many_files() -> bool {
    has_files(VERY_MANY_FILES)
}

fn has_files(least: u64) -> bool {
    open_files(Path::new("/proc")).is_some_and(|files| files >= least)
}

/// Files that are open on this host (proc_sys_fs(5), file-nr).
fn open_files(proc: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(proc.join("sys/fs/file-nr")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_by_name() {
        let sockstat = "sockets: used 290\nTCP: inuse 12 orphan 1 tw 3 alloc 15 mem 2\nUDP: inuse 2 mem 1\n";
        let counts = Counts::of(sockstat, "TCP6: inuse 5\nUDP6: inuse 3\n");
        assert_eq!(counts, Counts { v4: 12, v6: 5, time_wait: 3 });
        assert_eq!(Counts::of("TCP: inuse\nTCP6: 1 2\n", "garbage"), Counts::default());
    }
}
