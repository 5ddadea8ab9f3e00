//! Which program is shown with which socket, for a listing that shows no more of its holders: an eighth of the memory of
//! [`Holders`](super::holders::Holders), and a tenth of the time.

use super::fast::Fast;
use crate::model::Holder;
use crate::source::stream::listing::holders::Told;
use crate::source::{Scan, owner};
use rustc_hash::FxHashMap;
use std::path::Path;
use std::rc::Rc;

/// How many sockets are told between the look at where one goes and its going there.
const AHEAD: usize = 16;

/// A socket that is held; a key of 0 marks a free slot. Sixteen bytes, so that a look-up meets one line of the processor's
/// cache.
#[derive(Clone, Copy, Default)]
#[repr(align(16))]
struct Slot {
    /// Inode, or [key](netstat_common::listing::key).
    key: u64,
    /// The process that was told first, as an index of the processes.
    process: u32,
    /// Others hold it, too: see [`Shared`].
    is_shared: bool,
}

/// A socket of several processes.
struct Shared {
    /// The process with the lowest number, as an index of the processes.
    first: u32,
    /// The process that was told last: its files come in a row.
    last: u32,
    /// How many others there are.
    others: u32,
    text: Vec<u8>,
}

/// See the module.
#[derive(Default)]
pub struct Lean {
    /// `PID/name` of each process, as netstat makes it, and the number.
    processes: Vec<(u32, Vec<u8>)>,
    by_pid: FxHashMap<u32, u32>,
    /// By key; a power of two, at most two thirds full.
    slots: Vec<Slot>,
    held: usize,
    shared: FxHashMap<u64, Shared>,
}

impl Lean {
    /// Looks at the files of all processes. `None`: the kernel does not tell.
    pub fn find(fast: &Fast, proc: &Path) -> Option<Rc<Self>> {
        let mut lean = Self::with_room(fast.sockets());
        let mut current = None;
        // Added a few later: until then the processor has what it needs for it.
        let mut soon = [(0, 0); AHEAD];
        let mut next = 0;
        let told = fast.holders(&mut |told| match told {
            Told::Process(pid, comm) => {
                // A number that is not ours: nobody we could name.
                current = pid.map(|pid| lean.process(pid.get(), || program(proc, pid, comm.bytes())));
            }
            Told::Socket { inode, key, .. } => {
                if let Some(process) = current {
                    for key in [inode, key].into_iter().filter(|&key| key != 0) {
                        lean.warm(key);
                        let (key, process) = std::mem::replace(&mut soon[next % AHEAD], (key, process));
                        next += 1;
                        if key != 0 {
                            lean.add(key, process);
                        }
                    }
                }
            }
        });
        if !told {
            return None;
        }
        // In their order: whoever was told first is named.
        for index in next..next + AHEAD {
            let (key, process) = soon[index % AHEAD];
            if key != 0 {
                lean.add(key, process);
            }
        }
        lean.finish();
        let lean = Rc::new(lean);
        fast.seek_in(&lean);
        Some(lean)
    }

    /// The same of a pass over /proc.
    pub fn of(scan: &Scan) -> Self {
        let mut lean = Self::with_room(scan.holders.len());
        for Holder { inode, process, .. } in &scan.holders {
            let argv0 = || scan.argv0.get(&process.pid).map(|word| &**word).unwrap_or_default();
            let text = || super::holders::program(process.pid, argv0(), process.comm.bytes());
            let process = lean.process(process.pid.get(), text);
            lean.add((*inode).into(), process);
        }
        lean.finish();
        lean
    }

    /// Nobody holds anything.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Makes the texts of sockets that several processes hold.
    fn finish(&mut self) {
        for shared in self.shared.values_mut() {
            shared.text =
                self.processes.get(shared.first as usize).map(|one| one.1.clone()).unwrap_or_default();
            shared.text.extend_from_slice(format!(" +{}", shared.others).as_bytes());
        }
    }

    /// Makes the processor fetch where `key` will be looked up, and go on meanwhile.
    pub fn warm(&self, key: u64) {
        let Some(slot) = self.slots.get(self.place(key)) else { return };
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint, which every processor of this kind knows, changes nothing and may name any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *slot).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        std::hint::black_box(slot.key);
    }

    fn with_room(sockets: usize) -> Self {
        let slots = vec![Slot::default(); (sockets.saturating_mul(3) / 2 + 64).next_power_of_two()];
        Self { slots, ..Self::default() }
    }

    /// The program to show: `PID/name` of the process with the lowest number, and ` +N` when N others hold the socket, too.
    pub fn text(&self, key: u64) -> Option<&[u8]> {
        let slot = self.slots.get(self.slot(key)).filter(|slot| slot.key != 0)?;
        if slot.is_shared {
            return self.shared.get(&key).map(|shared| shared.text.as_slice());
        }
        self.processes.get(slot.process as usize).map(|(_, text)| text.as_slice())
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
        if self.held * 3 >= self.slots.len() * 2 {
            self.grow();
        }
        let at = self.slot(key);
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.key == 0 {
            *slot = Slot { key, process, is_shared: false };
            self.held += 1;
            return;
        }
        if !slot.is_shared && slot.process == process {
            return;
        }
        slot.is_shared = true;
        let (first, last) = (slot.process, slot.process);
        let shared = self.shared.entry(key).or_insert(Shared { first, last, others: 0, text: Vec::new() });
        if shared.last == process {
            return;
        }
        shared.last = process;
        shared.others += 1;
        let number = |at: u32| self.processes.get(at as usize).map(|one| one.0);
        if number(process) < number(shared.first) {
            shared.first = process;
        }
    }

    /// The slot of a key that is not 0: the one that has it, or a free one.
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = self.place(key);
        while self.slots.get(at).is_some_and(|slot| slot.key != key && slot.key != 0) {
            at = (at + 1) & mask;
        }
        at
    }

    /// The slot at which the search for a key begins.
    fn place(&self, key: u64) -> usize {
        // Fibonacci hashing: inodes follow each other.
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24) as usize & self.slots.len().wrapping_sub(1)
    }

    fn grow(&mut self) {
        let slots = vec![Slot::default(); self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, slots);
        for one in old.into_iter().filter(|one| one.key != 0) {
            let at = self.slot(one.key);
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = one;
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
            let mut lean = Lean { slots: vec![Slot::default(); 4], ..Lean::default() };
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
                let slot = lean.slots[lean.slot(key)];
                let told = (slot.key != 0).then(|| match lean.shared.get(&key).filter(|_| slot.is_shared) {
                    Some(shared) => (lean.processes[shared.first as usize].0, shared.others as usize),
                    None => (lean.processes[slot.process as usize].0, 0),
                });
                let expected = model.get(&key).map(|pids| (*pids.first().unwrap(), pids.len() - 1));
                prop_assert_eq!(told, expected, "{}", key);
            }
        }
    }
}
