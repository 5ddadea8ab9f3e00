//! Where sockets live: from the number of a control group, or from a process, to a container and a pod.

mod cgroups;
mod http;
mod names;
#[cfg(test)]
mod names_tests;
mod path;
#[cfg(test)]
mod path_tests;

pub use cgroups::Cgroups;
pub use names::Names;
pub use path::{best, lodging};

use crate::model::{Lodging, Pid};
use rustc_hash::FxHashMap;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long the answer about a process is good: it may be moved, and its number may become another's.
const FRESH: Duration = Duration::from_secs(1);
/// Answers kept; with more, all are forgotten.
const KEPT: usize = 65_536;

/// Answers about control groups and processes, each found out once.
pub struct Lodgings {
    cgroups: Cgroups,
    names: Names,
    /// By number of the group, which is never used again.
    by_cgroup: FxHashMap<NonZeroU64, Rc<Lodging>>,
    /// By path, so that a container's names are looked up once.
    by_path: FxHashMap<Vec<u8>, Rc<Lodging>>,
    by_process: FxHashMap<Pid, (Instant, Rc<Lodging>)>,
    unknown: Rc<Lodging>,
}

impl Lodgings {
    /// Of this host.
    pub fn of_host() -> Self {
        Self::new(Cgroups::of_host(), Names::of_host())
    }

    pub fn new(cgroups: Cgroups, names: Names) -> Self {
        let unknown = Rc::new(Lodging::UNKNOWN);
        let (by_cgroup, by_path, by_process) = Default::default();
        Self { cgroups, names, by_cgroup, by_path, by_process, unknown }
    }

    /// Where a socket lives that was made in the group `cgroup`. Where that is not known, or is only the root, as for all
    /// processes that a version 1 hierarchy manages, its process tells.
    pub fn of(&mut self, cgroup: Option<NonZeroU64>, process: Option<Pid>) -> Rc<Lodging> {
        let by_cgroup = cgroup.map(|id| self.of_cgroup(id));
        match (by_cgroup, process) {
            (Some(found), _) if found.cgroup.as_deref().is_some_and(|path| path != b"/") => found,
            (found, Some(pid)) => {
                let by_process = self.of_process(pid);
                if by_process.cgroup.is_some() { by_process } else { found.unwrap_or(by_process) }
            }
            (Some(found), None) => found,
            (None, None) => self.unknown.clone(),
        }
    }

    fn of_cgroup(&mut self, id: NonZeroU64) -> Rc<Lodging> {
        if let Some(known) = self.by_cgroup.get(&id) {
            return known.clone();
        }
        // One that is gone before it was asked about stays unknown: its number is not used again.
        let found = match self.cgroups.path(id.get()) {
            Some(path) => self.of_path(path),
            None => self.unknown.clone(),
        };
        if self.by_cgroup.len() >= KEPT {
            self.by_cgroup.clear();
        }
        self.by_cgroup.insert(id, found.clone());
        found
    }

    fn of_process(&mut self, pid: Pid) -> Rc<Lodging> {
        if let Some((at, known)) = self.by_process.get(&pid)
            && at.elapsed() < FRESH
        {
            return known.clone();
        }
        let text = std::fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let found = match best(&text).map(<[u8]>::to_vec) {
            Some(path) => self.of_path(path),
            // It has ended: what was known of it is still true of its sockets.
            None => {
                self.by_process.get(&pid).map_or_else(|| self.unknown.clone(), |(_, known)| known.clone())
            }
        };
        if self.by_process.len() >= KEPT {
            self.by_process.clear();
        }
        self.by_process.insert(pid, (Instant::now(), found.clone()));
        found
    }

    fn of_path(&mut self, path: Vec<u8>) -> Rc<Lodging> {
        if let Some(known) = self.by_path.get(&path) {
            return known.clone();
        }
        let found = Rc::new(self.describe(&path));
        if self.by_path.len() >= KEPT {
            self.by_path.clear();
        }
        self.by_path.insert(path, found.clone());
        found
    }

    fn describe(&self, path: &[u8]) -> Lodging {
        let mut lodging = lodging(path);
        let home = path::user(path)
            .filter(|&uid| uid != 0)
            .and_then(uzers::get_user_by_uid)
            .map(|user| PathBuf::from(uzers::os::unix::UserExt::home_dir(&user)));
        match (&mut lodging.container, &mut lodging.pod) {
            (Some(container), pod) => self.names.complete(container, pod, home.as_deref()),
            (None, Some(pod)) => self.names.complete_pod(pod),
            (None, None) => {}
        }
        lodging
    }
}
