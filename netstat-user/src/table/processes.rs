//! The processes that have to do with rows, each kept once.

use crate::model::{Comm, Details, Person, Pid, Process};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::sync::Arc;

/// Processes that have to do with nothing are forgotten when there are more than this.
const MANY: usize = 16_384;
/// The same of those that have ended: what they close with their end comes at once.
const ENDED: usize = 1024;

#[derive(Debug)]
struct Slot {
    person: Arc<Person>,
    /// Entries of [`Bonds`](super::bonds::Bonds) that mention it, and how often.
    mentions: FxHashMap<u32, u32>,
    /// Number of the fact that last told of it.
    told: u64,
    ended: bool,
}

/// Slot 0 is never used, so that 0 can mean "none".
#[derive(Debug, Default)]
pub(super) struct Processes {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    current: FxHashMap<Pid, u32>,
    unnamed: Vec<Pid>,
    /// Details are wanted, and these have none.
    plain: Option<FxHashSet<Pid>>,
    ended: VecDeque<Pid>,
    facts: u64,
}

/// Whether two tell of one process that executed nothing in between. A look into /proc knows the start to the clock tick
/// (10 ms), or not at all.
fn is_same(one: &Process, other: &Process) -> bool {
    one.comm == other.comm && is_as_old(one, other)
}

fn is_as_old(one: &Process, other: &Process) -> bool {
    one.start.abs_diff(other.start) < 20_000_000 || one.start == 0 || other.start == 0
}

impl Processes {
    /// With `details` they are [asked for](Self::plain), too.
    pub fn new(details: bool) -> Self {
        Self { plain: details.then(FxHashSet::default), ..Self::default() }
    }

    fn at(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn at_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Who a process is now. What a former program of the same process did stays the former's. Gives the slot when it was
    /// there before.
    pub fn told(&mut self, process: Process) -> Option<u32> {
        self.facts += 1;
        let facts = self.facts;
        if let Some(&slot) = self.current.get(&process.pid)
            && let Some(known) = self.at_mut(slot)
        {
            let old = known.person.process;
            let is_nameless = old.comm == Comm::default() && is_as_old(&old, &process);
            if is_nameless || is_same(&old, &process) {
                known.told = facts;
                let merged = Process {
                    start: if old.start == 0 { process.start } else { old.start },
                    uid: process.uid.or(old.uid),
                    parent: process.parent.or(old.parent),
                    inner: process.inner.or(old.inner),
                    ..process
                };
                if merged == old {
                    return None;
                }
                Arc::make_mut(&mut known.person).process = merged;
                return Some(slot);
            }
        }
        self.add(process);
        None
    }

    /// Who has this number now, as far as it was told.
    pub fn current_process(&self, pid: Pid) -> Option<&Process> {
        let &index = self.current.get(&pid)?;
        self.slots.get(index as usize)?.as_ref().map(|slot| &slot.person.process)
    }

    fn add(&mut self, process: Process) -> u32 {
        if let Some(&former) = self.current.get(&process.pid) {
            self.drop_if_unmentioned(former);
        }
        if self.current.len() > MANY {
            self.forget_unmentioned();
        }
        let person = Arc::new(Person { process, details: Details::default() });
        let slot = Slot { person, mentions: FxHashMap::default(), told: self.facts, ended: false };
        if self.slots.is_empty() {
            self.slots.push(None);
        }
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(slot);
                index
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() as u32 - 1
            }
        };
        self.current.insert(process.pid, index);
        index
    }

    /// The slot of the process that has this number now.
    pub fn slot(&mut self, pid: Pid) -> u32 {
        if let Some(&slot) = self.current.get(&pid) {
            return slot;
        }
        self.unnamed.push(pid);
        self.facts += 1;
        self.add(Process::named(pid, Comm::default()))
    }

    /// The same, if it is known.
    pub fn current(&self, pid: Pid) -> Option<u32> {
        self.current.get(&pid).copied()
    }

    /// A process was made by that in `parent`, and is as that is.
    pub fn born(&mut self, parent: u32, pid: Pid) -> u32 {
        let Some(known) = self.get(parent).copied() else { return self.slot(pid) };
        self.facts += 1;
        self.add(Process { pid, start: 0, parent: Some(known.pid), inner: None, ..known })
    }

    /// The process has ended: what it still does is its last.
    pub fn end(&mut self, pid: Pid) {
        let Some(&slot) = self.current.get(&pid) else { return };
        let Some(known) = self.at_mut(slot) else { return };
        if !std::mem::replace(&mut known.ended, true) {
            self.ended.push_back(pid);
        }
        while self.ended.len() > ENDED {
            let Some(old) = self.ended.pop_front() else { break };
            if let Some(slot) = self.current(old)
                && self.at(slot).is_some_and(|slot| slot.ended && slot.mentions.is_empty())
            {
                self.retire(old);
            }
        }
    }

    /// Whoever has this number from now on is another one, or another program.
    pub fn retire(&mut self, pid: Pid) {
        if let Some(slot) = self.current.remove(&pid) {
            self.drop_if_unmentioned(slot);
        }
    }

    pub fn has_ended(&self, slot: u32) -> bool {
        self.at(slot).is_none_or(|slot| slot.ended)
    }

    /// `entry` speaks of it.
    pub fn mention(&mut self, slot: u32, entry: u32) {
        let Some(known) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        if known.mentions.is_empty()
            && known.person.details == Details::default()
            && let Some(plain) = &mut self.plain
        {
            plain.insert(known.person.process.pid);
        }
        *known.mentions.entry(entry).or_default() += 1;
    }

    /// `entry` speaks of it no more.
    pub fn unmention(&mut self, slot: u32, entry: u32) {
        let Some(known) = self.at_mut(slot) else { return };
        if let Some(count) = known.mentions.get_mut(&entry) {
            *count -= 1;
            if *count == 0 {
                known.mentions.remove(&entry);
            }
        }
        let pid = known.person.process.pid;
        if known.mentions.is_empty() && self.current.get(&pid) != Some(&slot) {
            self.drop_if_unmentioned(slot);
        }
    }

    /// The entries that speak of it.
    pub fn mentions(&self, slot: u32) -> impl Iterator<Item = u32> {
        self.at(slot).into_iter().flat_map(|slot| slot.mentions.keys().copied())
    }

    pub fn get(&self, slot: u32) -> Option<&Process> {
        Some(&self.at(slot)?.person.process)
    }

    pub fn person(&self, slot: u32) -> Option<&Arc<Person>> {
        Some(&self.at(slot)?.person)
    }

    /// What the process with this number was found to be, if that is still the same.
    pub fn describe(&mut self, process: &Process, details: Details) -> Option<u32> {
        let slot = self.current(process.pid)?;
        let known = self.at_mut(slot)?;
        let old = &known.person.process;
        if !is_same(old, process) || known.person.details == details {
            return None;
        }
        Arc::make_mut(&mut known.person).details = details;
        Some(slot)
    }

    /// Processes whose name nobody told, once each.
    pub fn unnamed(&mut self) -> Vec<Pid> {
        let mut pids = std::mem::take(&mut self.unnamed);
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Processes whose details are wanted, once each.
    pub fn plain(&mut self) -> Vec<Pid> {
        self.plain.as_mut().map(|plain| plain.drain().collect()).unwrap_or_default()
    }

    fn drop_if_unmentioned(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && slot.as_ref().is_some_and(|slot| slot.mentions.is_empty())
        {
            *slot = None;
            self.free.push(index);
        }
    }

    /// Forgets the older half of the processes that have to do with nothing.
    fn forget_unmentioned(&mut self) {
        let horizon = self.facts.saturating_sub(MANY as u64 / 2);
        let slots = &mut self.slots;
        let free = &mut self.free;
        self.current.retain(|_, &mut index| {
            let Some(slot) = slots.get_mut(index as usize) else { return false };
            let old = slot.as_ref().is_none_or(|slot| slot.mentions.is_empty() && slot.told < horizon);
            if old && slot.take().is_some() {
                free.push(index);
            }
            !old
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, name: &str, start: u64) -> Process {
        Process {
            pid: Pid::new(pid).unwrap(),
            comm: Comm::from_bytes(name.as_bytes()),
            start,
            uid: None,
            parent: None,
            inner: None,
        }
    }

    #[test]
    fn a_row_keeps_the_name_its_owner_had() {
        let mut processes = Processes::default();
        processes.told(process(7, "sh", 1));
        let before = processes.slot(Pid::new(7).unwrap());
        processes.mention(before, 1);
        processes.told(process(7, "curl", 1));
        let after = processes.slot(Pid::new(7).unwrap());
        processes.mention(after, 2);
        assert_eq!(processes.get(before).unwrap().comm.bytes(), b"sh");
        assert_eq!(processes.get(after).unwrap().comm.bytes(), b"curl");
        processes.unmention(before, 1);
        assert!(processes.get(before).is_none(), "nobody refers to the former program any more");
    }

    #[test]
    fn a_name_learnt_late_reaches_the_rows() {
        let mut processes = Processes::default();
        let slot = processes.slot(Pid::new(9).unwrap());
        assert_eq!(processes.unnamed(), [Pid::new(9).unwrap()]);
        assert!(processes.unnamed().is_empty());
        processes.told(process(9, "late", 5));
        assert_eq!(processes.get(slot).unwrap().comm.bytes(), b"late");
    }

    #[test]
    fn processes_without_rows_do_not_pile_up() {
        let mut processes = Processes::default();
        for pid in 1..200_000 {
            processes.told(process(pid, "short", u64::from(pid)));
        }
        assert!(processes.current.len() <= MANY + 1, "{}", processes.current.len());
        assert!(processes.slots.len() <= MANY + 2);
    }
}
