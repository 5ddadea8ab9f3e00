//! Whom rows belong to. Most connections of a process have the same people around them, so what is known about those is
//! kept once for all: a process that forks or ends changes a few entries, however many connections it has.

use super::processes::Processes;
use crate::model::{How, Mono, Owner, Person, Ties};
use rustc_hash::{FxHashMap, FxHasher};
use std::cell::OnceCell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Who has to do with a connection; people are slots of [`Processes`], 0 is nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bond {
    /// How the connection's owner is known.
    pub how: How,
    /// Who opened or accepted it; of an inherited one, the listener's owner.
    pub opener: u32,
    /// Who acted on it last.
    pub user: u32,
    /// Who holds a file of it, as far as that is known; sorted.
    pub holders: Vec<u32>,
    /// The last of them has closed it: they are those that did.
    pub closed: bool,
}

impl Bond {
    pub fn nobody(how: How) -> Self {
        Self { how, opener: 0, user: 0, holders: Vec::new(), closed: false }
    }

    pub fn hold(&mut self, slot: u32) {
        if let Err(at) = self.holders.binary_search(&slot) {
            self.holders.insert(at, slot);
        }
    }

    fn hash(&self) -> u64 {
        let mut hasher = FxHasher::default();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }

    fn people(&self) -> impl Iterator<Item = u32> {
        [self.opener, self.user].into_iter().chain(self.holders.iter().copied()).filter(|&slot| slot != 0)
    }

    /// Who is shown, and how that is known: who opened it, as long as it holds it; else who holds it now. Of one that is closed
    /// it is who closed it last.
    pub fn shown(&self, processes: &Processes) -> Option<(u32, How)> {
        let pid = |slot| processes.get(slot).map(|process| process.pid);
        // What opened it may be another program by now.
        let opener = pid(self.opener);
        let same = self.holders.iter().copied().find(|&slot| slot == self.opener || pid(slot) == opener);
        let heir = self.closed && self.user != 0 && pid(self.user) != opener;
        if heir && self.holders.contains(&self.user) {
            return Some((self.user, How::Closed));
        }
        if let Some(holder) = same.filter(|_| self.opener != 0) {
            return Some((holder, self.how));
        }
        if self.how == How::Inherited {
            return Some((self.opener, self.how));
        }
        let by_use = if matches!(self.how, How::Used | How::Closed) { self.how } else { How::Held };
        if self.holders.contains(&self.user) && self.user != 0 {
            return Some((self.user, by_use));
        }
        let lowest = self.holders.iter().copied().min_by_key(|&slot| pid(slot));
        match (lowest, self.opener, self.user) {
            (Some(holder), ..) => Some((holder, How::Held)),
            (None, 0, 0) => None,
            (None, 0, user) => Some((user, by_use)),
            (None, opener, _) => Some((opener, self.how)),
        }
    }
}

#[derive(Debug)]
struct Entry {
    bond: Bond,
    /// Rows that have it, and entries that have become the same.
    rows: u32,
    /// The entry that says the same; 0: this one is the one. Then `bond` holds nobody.
    same_as: u32,
    /// Since when its holders are known to be these.
    as_of: Mono,
    /// What is told of it, made when it is needed.
    told: OnceCell<Option<Owner>>,
}

/// Entry 0 is never used, so that 0 can mean "nobody".
#[derive(Debug, Default)]
pub(super) struct Bonds {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_content: FxHashMap<u64, u32>,
}

impl Bonds {
    fn entry(&self, index: u32) -> Option<&Entry> {
        self.entries.get(index as usize)?.as_ref()
    }

    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(index as usize)?.as_mut()
    }

    /// The entry that speaks for `index`.
    fn root(&self, mut index: u32) -> u32 {
        // An entry is joined to one with at least as many rows, so the way is short.
        while let Some(entry) = self.entry(index)
            && entry.same_as != 0
        {
            index = entry.same_as;
        }
        index
    }

    pub fn get(&self, index: u32) -> Option<&Bond> {
        Some(&self.entry(self.root(index))?.bond)
    }

    /// Number of entries.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.iter().flatten().count()
    }

    /// Gives one more row what `bond` says, known since `at`.
    pub fn enter(&mut self, processes: &mut Processes, bond: Bond, at: Mono) -> u32 {
        let hash = bond.hash();
        if let Some(&index) = self.by_content.get(&hash)
            && let Some(entry) = self.entry_mut(index)
            && entry.bond == bond
        {
            entry.rows += 1;
            return index;
        }
        if self.entries.is_empty() {
            self.entries.push(None);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        bond.people().for_each(|slot| processes.mention(slot, index));
        self.entries[index as usize] =
            Some(Entry { bond, rows: 1, same_as: 0, as_of: at, told: OnceCell::new() });
        // Another one with the same number, but not the same, stays; then this one is not shared.
        self.by_content.entry(hash).or_insert(index);
        index
    }

    /// A row has it no more.
    pub fn release(&mut self, processes: &mut Processes, index: u32) {
        let mut next = index;
        while let Some(entry) = self.entry_mut(next) {
            entry.rows = entry.rows.saturating_sub(1);
            if entry.rows > 0 {
                return;
            }
            let Some(entry) = self.entries.get_mut(next as usize).and_then(Option::take) else { return };
            self.unlist(next, entry.bond.hash());
            entry.bond.people().for_each(|slot| processes.unmention(slot, next));
            self.free.push(next);
            next = entry.same_as;
        }
    }

    fn unlist(&mut self, index: u32, hash: u64) {
        if self.by_content.get(&hash) == Some(&index) {
            self.by_content.remove(&hash);
        }
    }

    /// Changes the holders of all that `index` speaks for, if it speaks for itself.
    fn alter(&mut self, processes: &mut Processes, index: u32, at: Mono, change: impl FnOnce(&mut Vec<u32>)) {
        // One that was joined to another meanwhile has been changed with it.
        let Some(entry) = self.entry_mut(index).filter(|entry| entry.same_as == 0) else { return };
        let before = entry.bond.clone();
        change(&mut entry.bond.holders);
        entry.as_of = at;
        entry.told.take();
        let after = entry.bond.clone();
        self.unlist(index, before.hash());
        after.people().for_each(|slot| processes.mention(slot, index));
        before.people().for_each(|slot| processes.unmention(slot, index));
        let hash = after.hash();
        let other =
            self.by_content.get(&hash).copied().filter(|&other| {
                other != index && self.entry(other).is_some_and(|entry| entry.bond == after)
            });
        match other {
            Some(other) => self.join(processes, index, other, hash),
            None => {
                self.by_content.entry(hash).or_insert(index);
            }
        }
    }

    /// Two entries have come to say the same: one speaks for both.
    fn join(&mut self, processes: &mut Processes, one: u32, other: u32, hash: u64) {
        let rows = |index| self.entry(index).map_or(0, |entry| entry.rows);
        let (less, more) = if rows(one) < rows(other) { (one, other) } else { (other, one) };
        let Some(entry) = self.entry_mut(less) else { return };
        entry.same_as = more;
        entry.told.take();
        let (as_of, nobody) = (entry.as_of, Bond::nobody(entry.bond.how));
        let bond = std::mem::replace(&mut entry.bond, nobody);
        bond.people().for_each(|slot| processes.unmention(slot, less));
        if let Some(entry) = self.entry_mut(more) {
            entry.rows += 1;
            entry.as_of = entry.as_of.min(as_of);
            entry.told.take();
        }
        self.by_content.insert(hash, more);
    }

    /// Entries that `slot` holds something by.
    fn held_by(&self, processes: &Processes, slot: u32) -> Vec<u32> {
        let holds = |&index: &u32| {
            self.entry(index)
                .is_some_and(|entry| !entry.bond.closed && entry.bond.holders.binary_search(&slot).is_ok())
        };
        processes.mentions(slot).filter(holds).collect()
    }

    /// Whether `slot` is known to hold anything.
    pub fn is_holder(&self, processes: &Processes, slot: u32) -> bool {
        !self.held_by(processes, slot).is_empty()
    }

    /// `child` has the files of `parent`.
    pub fn fork(&mut self, processes: &mut Processes, parent: u32, child: u32, at: Mono) {
        for index in self.held_by(processes, parent) {
            self.alter(processes, index, at, |holders| {
                if let Err(place) = holders.binary_search(&child) {
                    holders.insert(place, child);
                }
            });
        }
    }

    /// `slot` lets go of its files. What it alone was known to hold it keeps when `is_last`: nobody else is known. Gives
    /// whether there was such.
    pub fn leave(&mut self, processes: &mut Processes, slot: u32, at: Mono, is_last: bool) -> bool {
        let mut alone = false;
        for index in self.held_by(processes, slot) {
            if is_last && self.entry(index).is_some_and(|entry| entry.bond.holders.len() == 1) {
                alone = true;
                continue;
            }
            self.alter(processes, index, at, |holders| holders.retain(|&holder| holder != slot));
        }
        alone
    }

    /// What a pass has shown to be so.
    pub fn confirm(&mut self, index: u32, at: Mono) {
        let root = self.root(index);
        if let Some(entry) = self.entry_mut(root)
            && entry.as_of < at
        {
            entry.as_of = at;
            entry.told.take();
        }
    }

    /// Somebody is known better now.
    pub fn renew(&mut self, processes: &Processes, slot: u32) {
        for index in processes.mentions(slot).collect::<Vec<_>>() {
            if let Some(entry) = self.entry_mut(index) {
                entry.told.take();
            }
        }
    }

    /// What is told of it.
    pub fn told(&self, processes: &Processes, index: u32) -> Option<Owner> {
        let Entry { bond, as_of, told, .. } = self.entry(self.root(index))?;
        let make = || {
            let (shown, how) = bond.shown(processes)?;
            let person = processes.person(shown)?;
            let holding = if bond.closed { &[][..] } else { &bond.holders };
            let mut holders: Vec<Arc<Person>> =
                holding.iter().filter_map(|&slot| processes.person(slot).cloned()).collect();
            holders.sort_by_key(|person| person.process.pid);
            let opened = matches!(bond.how, How::Opened | How::Accepted);
            let ties = Ties {
                shown: person.clone(),
                opener: processes.person(bond.opener).filter(|_| opened).cloned(),
                user: processes.person(bond.user).cloned(),
                holders,
                as_of: *as_of,
            };
            let Person { process, .. } = &**person;
            Some(Owner { pid: process.pid, comm: process.comm, how, ties: Arc::new(ties) })
        };
        told.get_or_init(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Comm, Pid, Process};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const AT: Mono = Mono(1);

    fn pid(number: u32) -> Pid {
        Pid::new(number).unwrap()
    }

    fn people(count: u32) -> (Processes, Vec<u32>) {
        let mut processes = Processes::default();
        let slots = (1..=count).map(|number| {
            processes.told(Process::named(pid(number), Comm::from_bytes(b"name")));
            processes.slot(pid(number))
        });
        let slots = slots.collect();
        (processes, slots)
    }

    fn opened(slot: u32) -> Bond {
        Bond { opener: slot, user: slot, holders: vec![slot], ..Bond::nobody(How::Opened) }
    }

    fn holders(bonds: &Bonds, processes: &Processes, index: u32) -> Vec<u32> {
        let told = bonds.told(processes, index).unwrap();
        told.ties.holders.iter().map(|person| person.process.pid.get()).collect()
    }

    #[test]
    fn a_fork_reaches_every_row_and_what_is_the_same_is_kept_once() {
        let (mut processes, slots) = people(3);
        let mut bonds = Bonds::default();
        let rows: Vec<u32> = (0..1000).map(|_| bonds.enter(&mut processes, opened(slots[0]), AT)).collect();
        assert_eq!(bonds.len(), 1);
        bonds.fork(&mut processes, slots[0], slots[1], AT);
        let later = bonds.enter(&mut processes, opened(slots[0]), AT);
        assert_eq!(holders(&bonds, &processes, rows[999]), [1, 2]);
        assert_eq!(holders(&bonds, &processes, later), [1]);
        assert!(!bonds.leave(&mut processes, slots[1], AT, true));
        assert_eq!(holders(&bonds, &processes, rows[0]), [1]);
        // Of two that say the same one speaks for both, and a fork changes it for both.
        bonds.fork(&mut processes, slots[0], slots[2], AT);
        assert_eq!(holders(&bonds, &processes, rows[7]), [1, 3]);
        assert_eq!(holders(&bonds, &processes, later), [1, 3]);
        assert_eq!(bonds.told(&processes, later).unwrap().pid, pid(1));
        for row in rows.into_iter().chain([later]) {
            bonds.release(&mut processes, row);
        }
        assert_eq!(bonds.len(), 0);
        assert!(bonds.by_content.is_empty());
        assert_eq!(processes.mentions(slots[0]).count(), 0);
    }

    #[test]
    fn who_holds_it_is_shown_when_who_opened_it_does_no_more() {
        let (mut processes, slots) = people(2);
        let mut bonds = Bonds::default();
        let row = bonds.enter(&mut processes, opened(slots[0]), AT);
        bonds.fork(&mut processes, slots[0], slots[1], AT);
        bonds.leave(&mut processes, slots[0], AT, true);
        let told = bonds.told(&processes, row).unwrap();
        assert_eq!((told.pid, told.how), (pid(2), How::Held));
        assert_eq!(told.ties.opener.as_ref().unwrap().process.pid, pid(1));
        // The last one stays: perhaps somebody got it from him.
        assert!(bonds.leave(&mut processes, slots[1], AT, true));
        assert_eq!(bonds.told(&processes, row).unwrap().pid, pid(2));
    }

    #[test]
    fn an_exec_changes_the_holder_and_not_the_opener() {
        let (mut processes, slots) = people(1);
        let mut bonds = Bonds::default();
        let row = bonds.enter(&mut processes, opened(slots[0]), AT);
        processes.retire(pid(1));
        bonds.leave(&mut processes, slots[0], AT, false);
        processes.told(Process::named(pid(1), Comm::from_bytes(b"other")));
        let mut bond = bonds.get(row).unwrap().clone();
        bond.hold(processes.slot(pid(1)));
        let row = bonds.enter(&mut processes, bond, AT);
        let told = bonds.told(&processes, row).unwrap();
        assert_eq!((told.comm.bytes(), told.how), (&b"other"[..], How::Opened));
        assert_eq!(told.ties.opener.as_ref().unwrap().process.comm.bytes(), b"name");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Open(usize),
        Fork(usize, usize),
        Leave(usize),
        Drop(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0usize..6).prop_map(Step::Open),
            (0usize..6, 0usize..6).prop_map(|(parent, child)| Step::Fork(parent, child)),
            (0usize..6).prop_map(Step::Leave),
            (0usize..40).prop_map(Step::Drop),
        ]
    }

    proptest! {
        /// Whatever happens, each row has the holders that it would have if it were alone, and nothing is left in the end.
        #[test]
        fn rows_that_share_are_as_if_they_did_not(steps in prop::collection::vec(step(), 0..120)) {
            let (mut processes, slots) = people(6);
            let mut bonds = Bonds::default();
            let mut rows: Vec<(u32, BTreeSet<u32>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Open(who) => {
                        let row = bonds.enter(&mut processes, opened(slots[who]), AT);
                        rows.push((row, [who as u32 + 1].into()));
                    }
                    Step::Fork(parent, child) => {
                        bonds.fork(&mut processes, slots[parent], slots[child], AT);
                        for (_, model) in &mut rows {
                            if model.contains(&(parent as u32 + 1)) {
                                model.insert(child as u32 + 1);
                            }
                        }
                    }
                    Step::Leave(who) => {
                        bonds.leave(&mut processes, slots[who], AT, true);
                        for (_, model) in rows.iter_mut().filter(|(_, model)| model.len() > 1) {
                            model.remove(&(who as u32 + 1));
                        }
                    }
                    Step::Drop(which) if !rows.is_empty() => {
                        let (row, _) = rows.swap_remove(which % rows.len());
                        bonds.release(&mut processes, row);
                    }
                    Step::Drop(_) => {}
                }
                for (row, model) in &rows {
                    prop_assert_eq!(&holders(&bonds, &processes, *row), &model.iter().copied().collect::<Vec<_>>());
                }
            }
            for (row, _) in rows {
                bonds.release(&mut processes, row);
            }
            prop_assert_eq!(bonds.len(), 0);
            for slot in slots {
                prop_assert_eq!(processes.mentions(slot).count(), 0);
            }
        }
    }
}
