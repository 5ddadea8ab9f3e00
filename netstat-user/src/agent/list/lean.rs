//! Which program is shown with which socket, for a listing that shows no more of its holders: an eighth of the memory of
//! [`Holders`](super::holders::Holders), and a tenth of the time.

use super::fast::Fast;
use crate::source::owner;
use crate::source::stream::listing::holders::Told;
use rustc_hash::FxHashMap;
use std::path::Path;

/// Marks a free slot.
const FREE: u32 = u32::MAX;

/// A socket that is held.
struct Entry {
    /// Inode, or address in the kernel: no inode of a socket has more than 32 bits, no address so few.
    key: u64,
    /// The process with the lowest number, as an index of the processes.
    first: u32,
    /// The process that was told last: its files come in a row.
    last: u32,
    /// How many others there are.
    others: u32,
}

/// See the module.
#[derive(Default)]
pub struct Lean {
    /// `PID/name` of each process, as netstat makes it, and the number.
    processes: Vec<(u32, Vec<u8>)>,
    by_pid: FxHashMap<u32, u32>,
    entries: Vec<Entry>,
    /// Indices of `entries` by their keys; a power of two, at most two thirds full.
    slots: Vec<u32>,
    /// The words for sockets that several processes hold, by index.
    several: FxHashMap<u32, Vec<u8>>,
}

impl Lean {
    /// Looks at the files of all processes. `None`: the kernel does not tell.
    pub fn find(fast: &Fast, proc: &Path) -> Option<Self> {
        let mut lean = Self::default();
        lean.slots.resize(1024, FREE);
        let mut current = None;
        let told = fast.holders(&mut |told| match told {
            Told::Process(pid, comm) => {
                // A number that is not ours: nobody we could name.
                current = pid.map(|pid| lean.process(pid.get(), || program(proc, pid, comm.bytes())));
            }
            Told::Socket { inode, sock, .. } => {
                if let Some(process) = current {
                    [inode, sock].into_iter().filter(|&key| key != 0).for_each(|key| lean.add(key, process));
                }
            }
        });
        if !told {
            return None;
        }
        let several = lean.entries.iter().zip(0..).filter(|(entry, _)| entry.others > 0);
        lean.several = several
            .map(|(entry, index)| {
                let mut text =
                    lean.processes.get(entry.first as usize).map(|one| one.1.clone()).unwrap_or_default();
                text.extend_from_slice(format!(" +{}", entry.others).as_bytes());
                (index, text)
            })
            .collect();
        Some(lean)
    }

    /// The program to show: `PID/name` of the process with the lowest number, and ` +N` when N others hold the socket, too.
    pub fn text(&self, key: u64) -> Option<&[u8]> {
        let index = *self.slots.get(self.slot(key))?;
        let entry = self.entries.get(index as usize)?;
        if entry.others > 0 {
            return self.several.get(&index).map(Vec::as_slice);
        }
        self.processes.get(entry.first as usize).map(|(_, text)| text.as_slice())
    }

    /// The index of a process, which may have been told before.
    fn process(&mut self, pid: u32, text: impl FnOnce() -> Vec<u8>) -> u32 {
        let next = self.processes.len() as u32;
        let index = *self.by_pid.entry(pid).or_insert(next);
        if index == next {
            self.processes.push((pid, text()));
        }
        index
    }

    fn add(&mut self, key: u64, process: u32) {
        if self.entries.len() * 3 >= self.slots.len() * 2 {
            self.grow();
        }
        let slot = self.slot(key);
        let Some(&index) = self.slots.get(slot) else { return };
        match self.entries.get_mut(index as usize) {
            None => {
                if let Some(slot) = self.slots.get_mut(slot) {
                    *slot = self.entries.len() as u32;
                    self.entries.push(Entry { key, first: process, last: process, others: 0 });
                }
            }
            Some(entry) if entry.last == process => {}
            Some(entry) => {
                entry.last = process;
                entry.others += 1;
                let number = |at: u32| self.processes.get(at as usize).map(|one| one.0);
                if number(process) < number(entry.first) {
                    entry.first = process;
                }
            }
        }
    }

    /// The slot of a key: with its entry, or free.
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len().wrapping_sub(1);
        // Fibonacci hashing: addresses are multiples of 64, and inodes follow each other.
        let mut at = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as usize & mask;
        while let Some(entry) = self.slots.get(at).and_then(|&index| self.entries.get(index as usize)) {
            if entry.key == key {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(size, FREE);
        for index in 0..self.entries.len() {
            let slot = self.entries.get(index).map(|entry| self.slot(entry.key));
            if let Some(slot) = slot.and_then(|slot| self.slots.get_mut(slot)) {
                *slot = index as u32;
            }
        }
    }
}

fn program(proc: &Path, pid: crate::model::Pid, comm: &[u8]) -> Vec<u8> {
    let argv0 = owner::argv0(proc, pid).unwrap_or_default();
    super::holders::program(pid, &argv0, comm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        /// Beside a map of sets: the lowest number, and how many others.
        #[test]
        fn the_lowest_is_shown_and_the_others_are_counted(
            held in prop::collection::vec((1u32..8, prop::collection::vec(1u64..40, 0..30)), 0..20),
        ) {
            let mut lean = Lean::default();
            lean.slots.resize(4, FREE);
            let mut model: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
            // The files of a process come in a row.
            let mut done = BTreeSet::new();
            for (pid, keys) in held.iter().filter(|(pid, _)| done.insert(*pid)) {
                let process = lean.process(*pid, || pid.to_string().into_bytes());
                for key in keys {
                    lean.add(*key, process);
                    model.entry(*key).or_default().insert(*pid);
                }
            }
            for key in 1..50 {
                let index = lean.slots[lean.slot(key)];
                let entry = lean.entries.get(index as usize);
                let told = entry.map(|entry| (lean.processes[entry.first as usize].0, entry.others as usize));
                let expected = model.get(&key).map(|pids| (*pids.first().unwrap(), pids.len() - 1));
                prop_assert_eq!(told, expected, "{}", key);
            }
        }
    }
}
