//! Who processes are, and what they hold, under the numbers that the table has for them.

use crate::args::plan::Naming;
use crate::model::{Details, Holding, Mono, Pid, Process};
use crate::names::Names;
use crate::source::owner;
use crate::source::stream::{files, own_number};
use rustc_hash::FxHashMap;
use std::error::Error;
use std::fs::File;
use std::path::Path;

/// Where processes are looked up.
const PROC: &str = "/proc";

/// Looks at processes. The kernel half names them as in the initial PID namespace, and /proc as in that which it was mounted
/// in; where these differ, what leads from the one to the other is learnt by passes of the iterator.
pub(super) struct People {
    /// `None`: the numbers are the same.
    seen: Option<FxHashMap<Pid, Pid>>,
    users: Names,
}

/// There are two kinds of numbers and nothing to compare them by.
#[derive(Debug, thiserror::Error)]
#[error(
    "the kernel's process numbers are not those of this PID namespace, and it offers no iterator over files: run in the \
     host's PID namespace to see who holds what was open before"
)]
struct Unequal;

impl People {
    pub fn new(events: bool) -> Self {
        let users = Naming { users: true, ..Naming::default() };
        let seen = (events && own_number() == 0).then(FxHashMap::default);
        Self { seen, users: Names::of_host(users) }
    }

    /// One pass over the files of all processes.
    pub fn hold(&mut self, files: Option<File>) -> Result<Holding, Box<dyn Error>> {
        let began = Mono::now();
        let mut holders = Vec::new();
        let Some(files) = files else {
            if self.seen.is_some() {
                return Err(Unequal.into());
            }
            let scan = owner::scan(Path::new(PROC), None)?;
            return Ok(Holding { began, holders: scan.holders, complete: scan.denied == 0 });
        };
        let mut pairs = FxHashMap::default();
        files::pass(files, &mut |found| {
            if self.seen.is_some()
                && let Some(seen) = found.seen
            {
                pairs.insert(found.holder.process.pid, seen);
            }
            holders.push(found.holder);
        })?;
        // From inside a PID namespace the others are not seen.
        let complete = self.seen.is_none();
        if let Some(seen) = &mut self.seen {
            *seen = pairs;
        }
        Ok(Holding { began, holders, complete })
    }

    /// The number that /proc has for a process.
    fn number(&self, pid: Pid) -> Option<Pid> {
        self.seen.as_ref().map_or(Some(pid), |seen| seen.get(&pid).copied())
    }

    fn look_up(&self, pid: Pid) -> Option<Process> {
        let seen = self.number(pid)?;
        let process = owner::process(Path::new(PROC), seen)?;
        // Its parent's number is one of the other kind, too.
        let parent = process.parent.filter(|_| self.seen.is_none());
        Some(Process { pid, parent, ..process })
    }

    /// Those that are still there.
    pub fn name(&self, pids: &[Pid]) -> Vec<Process> {
        pids.iter().filter_map(|&pid| self.look_up(pid)).collect()
    }

    /// The same with what they run.
    pub fn describe(&mut self, pids: &[Pid]) -> Vec<(Process, Details)> {
        let mut described = Vec::new();
        for &pid in pids {
            let Some(seen) = self.number(pid) else { continue };
            let mut details = owner::details(Path::new(PROC), seen);
            // Who it is is asked last: what was an exec in between belongs to the one after it, and is told again.
            let Some(process) = self.look_up(pid) else { continue };
            details.user =
                process.uid.and_then(|uid| self.users.user(uid)).map(<[u8]>::to_vec).unwrap_or_default();
            described.push((process, details));
        }
        described
    }
}
