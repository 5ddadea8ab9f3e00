//! Names of the processes that own rows, each kept once.

use crate::model::{Comm, Pid, Process};
use rustc_hash::FxHashMap;

/// Unowned processes are forgotten when there are more than this.
const MANY: usize = 16_384;

#[derive(Debug)]
struct Slot {
    process: Process,
    rows: u32,
    /// Number of the fact that last told of it.
    told: u64,
}

/// Slot 0 is never used, so that 0 can mean "none".
#[derive(Debug, Default)]
pub(super) struct Processes {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    current: FxHashMap<u32, u32>,
    unnamed: Vec<Pid>,
    facts: u64,
}

impl Processes {
    /// Who a process is now. Rows that a former program of the same process owns keep the former name.
    pub fn told(&mut self, process: Process) {
        self.facts += 1;
        let facts = self.facts;
        if let Some(&slot) = self.current.get(&process.pid.get())
            && let Some(Some(known)) = self.slots.get_mut(slot as usize)
        {
            let nameless = known.process.comm == Comm::default();
            // A scan knows the start to the clock tick (10 ms) or not at all; it only adds what is missing.
            let same = known.process.comm == process.comm
                && (known.process.start.abs_diff(process.start) < 20_000_000
                    || known.process.start == 0
                    || process.start == 0);
            if nameless || same {
                let start = if known.process.start == 0 { process.start } else { known.process.start };
                known.process = Process { start, ..process };
                known.told = facts;
                return;
            }
        }
        self.add(process);
    }

    /// Who has this number now, as far as it was told.
    pub fn current_process(&self, pid: Pid) -> Option<&Process> {
        let &index = self.current.get(&pid.get())?;
        self.slots.get(index as usize)?.as_ref().map(|slot| &slot.process)
    }

    fn add(&mut self, process: Process) -> u32 {
        if let Some(&former) = self.current.get(&process.pid.get()) {
            self.drop_if_unowned(former);
        }
        if self.current.len() > MANY {
            self.forget_unowned();
        }
        let slot = Slot { process, rows: 0, told: self.facts };
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
        self.current.insert(process.pid.get(), index);
        index
    }

    /// The slot of the process that has this number now, counted as one more row's owner.
    pub fn own(&mut self, pid: Pid) -> u32 {
        let index = match self.current.get(&pid.get()) {
            Some(&index) => index,
            None => {
                self.unnamed.push(pid);
                self.add(Process { pid, comm: Comm::default(), start: 0, uid: None, parent: None })
            }
        };
        self.share(index);
        index
    }

    /// One more row has this owner.
    pub fn share(&mut self, index: u32) {
        if let Some(Some(slot)) = self.slots.get_mut(index as usize) {
            slot.rows += 1;
        }
    }

    /// A row with this owner went.
    pub fn disown(&mut self, index: u32) {
        let Some(Some(slot)) = self.slots.get_mut(index as usize) else { return };
        slot.rows = slot.rows.saturating_sub(1);
        let (pid, rows) = (slot.process.pid.get(), slot.rows);
        if rows == 0 && self.current.get(&pid) != Some(&index) {
            self.drop_if_unowned(index);
        }
    }

    pub fn get(&self, index: u32) -> Option<&Process> {
        Some(&self.slots.get(index as usize)?.as_ref()?.process)
    }

    /// Processes whose name nobody told, once each.
    pub fn unnamed(&mut self) -> Vec<Pid> {
        let mut pids = std::mem::take(&mut self.unnamed);
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    fn drop_if_unowned(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && slot.as_ref().is_some_and(|slot| slot.rows == 0)
        {
            *slot = None;
            self.free.push(index);
        }
    }

    /// Forgets the older half of the processes that own nothing.
    fn forget_unowned(&mut self) {
        let horizon = self.facts.saturating_sub(MANY as u64 / 2);
        let slots = &mut self.slots;
        let free = &mut self.free;
        self.current.retain(|_, &mut index| {
            let Some(slot) = slots.get_mut(index as usize) else { return false };
            let old = slot.as_ref().is_none_or(|slot| slot.rows == 0 && slot.told < horizon);
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
        }
    }

    #[test]
    fn a_row_keeps_the_name_its_owner_had() {
        let mut processes = Processes::default();
        processes.told(process(7, "sh", 1));
        let before = processes.own(Pid::new(7).unwrap());
        processes.told(process(7, "curl", 1));
        let after = processes.own(Pid::new(7).unwrap());
        assert_eq!(processes.get(before).unwrap().comm.bytes(), b"sh");
        assert_eq!(processes.get(after).unwrap().comm.bytes(), b"curl");
        processes.disown(before);
        assert!(processes.get(before).is_none(), "nobody refers to the former program any more");
    }

    #[test]
    fn a_name_learnt_late_reaches_the_rows() {
        let mut processes = Processes::default();
        let slot = processes.own(Pid::new(9).unwrap());
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
