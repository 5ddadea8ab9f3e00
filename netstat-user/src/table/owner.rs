//! Whom a row belongs to. The stronger knowledge wins: see [`How`].

use super::Table;
use super::bonds::Bond;
use super::row::{Flags, Row};
use crate::model::fact::Seen;
use crate::model::{Details, Holding, How, LifeSeen, Living, Mono, Moved, OwnerSeen, Pid, Process, TcpState};
use rustc_hash::{FxHashMap, FxHashSet};
use std::time::Duration;

/// How long a connection that nobody has accepted may be there before somebody is looked for: a call of `accept` that was
/// under way when the hooks were attached is not seen by all of them, nor one by io_uring.
const UNACCEPTED: Duration = Duration::from_millis(200);

/// What events have changed since a pass over all files began: about that the pass may be wrong.
#[derive(Debug, Default)]
pub(super) struct Changed {
    rows: FxHashSet<u32>,
    processes: FxHashSet<Pid>,
}

/// When holders are looked for.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// A pass is under way.
    pub changed: Option<Changed>,
    /// When the last one began.
    last: Mono,
    /// Processes have ended that alone were known to hold something.
    orphaned: bool,
    /// Something was missed.
    wanted: bool,
}

impl Table {
    pub(super) fn attribute(&mut self, index: u32, moved: &Moved) {
        let Some(pid) = moved.actor else { return };
        let how = match (moved.from, moved.to) {
            (TcpState::Close, _) => How::Opened,
            (_, TcpState::FinWait1 | TcpState::LastAck | TcpState::Close) => How::Closed,
            _ => How::Used,
        };
        self.set_owner(index, pid, how, moved.at);
        if moved.released {
            self.released(index, moved.at);
        }
    }

    /// `pid` is seen with the socket: so it holds it.
    pub(super) fn set_owner(&mut self, index: u32, pid: Pid, how: How, at: Mono) {
        let Some(row) = self.rows.at(index) else { return };
        let former = row.how().and_then(|_| self.bonds.get(row.owner));
        let slot = self.processes.slot(pid);
        let mut bond = former.cloned().unwrap_or(Bond::nobody(how));
        let former_how = row.how().filter(|_| former.is_some());
        match how {
            // Whoever gets a new socket is the only one to have it.
            How::Opened | How::Accepted if former_how.is_none_or(|former| former < how) => {
                bond = Bond { opener: slot, user: slot, holders: vec![slot], ..Bond::nobody(how) };
            }
            How::Inherited => return,
            How::Held | How::Used | How::Closed | How::Opened | How::Accepted => {
                if former_how.is_none_or(|former| former < how) {
                    bond.how = how;
                    bond.opener = 0;
                }
                if how != How::Held {
                    bond.user = slot;
                }
                bond.hold(slot);
                bond.closed = false;
            }
        }
        self.bind(index, bond, at);
    }

    /// The last file of the socket was closed.
    fn released(&mut self, index: u32, at: Mono) {
        let Some(row) = self.rows.at(index) else { return };
        if let Some(bond) = row.how().and_then(|_| self.bonds.get(row.owner)) {
            let bond = Bond { closed: true, ..bond.clone() };
            self.bind(index, bond, at);
        }
    }

    /// Makes a row's owners what `bond` says.
    fn bind(&mut self, index: u32, bond: Bond, at: Mono) {
        if let Some(changed) = &mut self.looks.changed {
            changed.rows.insert(index);
        }
        let Some(row) = self.rows.at(index) else { return };
        let former = row.owner;
        let is_bound = row.how != 0;
        if is_bound && self.bonds.get(former) == Some(&bond) {
            return;
        }
        let how = bond.how as u8;
        let owner = self.bonds.enter(&mut self.processes, bond, at);
        self.bonds.release(&mut self.processes, former);
        if let Some(row) = self.rows.at_mut(index) {
            row.owner = owner;
            row.how = how;
        }
    }

    /// Gives a child its listener's owner until somebody accepts it.
    pub(super) fn inherit(&mut self, index: u32) {
        let Some(row) = self.rows.at(index) else { return };
        if row.how != 0 {
            return;
        }
        let (netns, tuple) = (row.netns, row.tuple);
        let at = row.since;
        let Some(listeners) = self.listeners.get(&(netns, tuple.lport)) else { return };
        let rows = || listeners.iter().filter_map(|&index| self.rows.at(index));
        let exact = rows().find(|row| row.tuple.laddr == tuple.laddr && row.tuple.family == tuple.family);
        let Some(listener) = exact.or_else(|| rows().find(|row| row.tuple.laddr == [0; 16])) else { return };
        let owner = listener.how().and_then(|_| self.bonds.get(listener.owner)?.shown(&self.processes));
        if let Some((opener, _)) = owner {
            self.bind(index, Bond { opener, ..Bond::nobody(How::Inherited) }, at);
        }
    }

    pub(super) fn owner_seen(&mut self, seen: OwnerSeen) {
        let Some(index) = self.find(seen.id) else { return };
        if let (Some(cookie), Some(row)) = (seen.id.cookie, self.rows.at(index))
            && row.cookie == 0
        {
            self.name(index, cookie);
        }
        let how = match seen.how {
            Seen::Accept => How::Accepted,
            Seen::Use => How::Used,
            Seen::Keep => How::Held,
        };
        if how == How::Accepted {
            self.accepted(index, seen.at);
        }
        self.set_owner(index, seen.pid, how, seen.at);
    }

    /// Somebody tells who a process is.
    pub(super) fn introduced(&mut self, process: Process) {
        if let Some(slot) = self.processes.told(process) {
            self.bonds.renew(&self.processes, slot);
        }
    }

    /// What a process is, more than the kernel half tells.
    pub(super) fn described(&mut self, process: &Process, details: Details) {
        if let Some(slot) = self.processes.describe(process, details) {
            self.bonds.renew(&self.processes, slot);
        }
    }

    /// A process forks, executes a program, or ends.
    pub(super) fn lived(&mut self, seen: LifeSeen) {
        let LifeSeen { at, pid, what } = seen;
        let slot = self.processes.current(pid);
        if let Some(changed) = &mut self.looks.changed {
            changed.processes.insert(match what {
                Living::Forks { child } => child,
                Living::Executes { .. } | Living::Exits => pid,
            });
        }
        match what {
            Living::Forks { child } => {
                // Whoever had the number before is gone.
                self.processes.end(child);
                self.processes.retire(child);
                if let Some(slot) = slot.filter(|&slot| self.bonds.is_holder(&self.processes, slot)) {
                    let child = self.processes.born(slot, child);
                    self.bonds.fork(&mut self.processes, slot, child, at);
                }
            }
            Living::Executes { more } => {
                let Some(slot) = slot else { return };
                self.looks.wanted |= more && self.bonds.is_holder(&self.processes, slot);
                self.processes.retire(pid);
                self.bonds.leave(&mut self.processes, slot, at, false);
            }
            Living::Exits => {
                let Some(slot) = slot else { return };
                self.processes.end(pid);
                self.looks.orphaned |= self.bonds.leave(&mut self.processes, slot, at, true);
            }
        }
    }

    /// A pass over all files begins: what events change from here on it may not know.
    pub fn look(&mut self, began: Mono) {
        let Looks { changed, last, orphaned, wanted } = &mut self.looks;
        *changed = Some(Changed::default());
        *last = began;
        *orphaned = false;
        *wanted = false;
    }

    /// Whether there are open connections of which nobody is known to hold them, and something has happened since the last
    /// [`look`](Self::look) that lets one hope to find somebody. Goes through all rows.
    pub fn wants_look(&self, now: Mono) -> bool {
        let Looks { changed, last, orphaned, wanted } = &self.looks;
        if changed.is_some() {
            return false;
        }
        let unaccepted = |row: &Row| {
            row.how() == Some(How::Inherited)
                && row.flags.has(Flags::SINCE)
                && row.since > *last
                && now.since(row.since) > UNACCEPTED
        };
        let is_orphan = |row: &Row| {
            let Some(bond) = row.how().and_then(|_| self.bonds.get(row.owner)) else { return false };
            !bond.closed
                && !bond.holders.is_empty()
                && bond.holders.iter().all(|&slot| self.processes.has_ended(slot))
        };
        *wanted
            || self.rows.iter().any(|(_, row)| {
                matches!(
                    row.state,
                    TcpState::Established | TcpState::CloseWait | TcpState::Listen | TcpState::SynSent
                ) && (unaccepted(row) || *orphaned && is_orphan(row))
            })
    }

    /// Something was not told: processes may have begun or ended.
    pub(super) fn doubt_holders(&mut self) {
        self.looks.wanted = true;
    }

    /// Takes one pass over all files: who holds which socket.
    pub(super) fn held(&mut self, holding: &Holding) {
        let changed = self.looks.changed.take().unwrap_or_default();
        let Holding { began, holders, complete } = holding;
        let mut by_inode = FxHashMap::<u32, Vec<u32>>::default();
        let mut by_cookie = FxHashMap::<u64, Vec<u32>>::default();
        let mut last: Option<(Process, u32)> = None;
        for holder in holders {
            let process = holder.process;
            if changed.processes.contains(&process.pid) {
                continue;
            }
            let slot = match last {
                Some((same, slot)) if same == process => slot,
                _ => {
                    self.introduced(process);
                    self.processes.slot(process.pid)
                }
            };
            last = Some((process, slot));
            by_inode.entry(holder.inode).or_default().push(slot);
            if let Some(cookie) = holder.cookie {
                by_cookie.entry(cookie.get()).or_default().push(slot);
            }
        }
        let rows: Vec<u32> = self
            .rows
            .iter()
            .filter(|(index, row)| {
                let is_full = !row.flags.has(Flags::MINISOCK) && !row.flags.has(Flags::REQUEST);
                let is_old = !row.flags.has(Flags::OPENED) || row.opened < *began;
                is_full && is_old && row.state != TcpState::Close && !changed.rows.contains(index)
            })
            .map(|(index, _)| index)
            .collect();
        for index in rows {
            let Some(row) = self.rows.at(index) else { continue };
            let by_cookie = by_cookie.get(&row.cookie).filter(|_| row.cookie != 0);
            let found = by_cookie.or_else(|| by_inode.get(&row.inode).filter(|_| row.inode != 0));
            // Without an inode it cannot be told from those that nobody has.
            let nobody = *complete && row.inode != 0;
            if found.is_some() || nobody {
                let found = found.cloned().unwrap_or_default();
                self.found_held(index, found, &changed, *began);
            }
        }
        // Children that nobody holds yet belong to their listener.
        let children: Vec<u32> = self
            .rows
            .iter()
            .filter(|(_, row)| row.how == 0 && row.inode == 0 && !row.flags.has(Flags::MINISOCK))
            .filter(|(_, row)| !matches!(row.state, TcpState::Close | TcpState::Listen))
            .map(|(index, _)| index)
            .collect();
        for index in children {
            self.inherit(index);
        }
    }

    /// A pass that began at `began` found these processes holding the row's socket, and no other.
    fn found_held(&mut self, index: u32, mut holders: Vec<u32>, changed: &Changed, began: Mono) {
        let Some(row) = self.rows.at(index) else { return };
        let former = row.how().and_then(|_| self.bonds.get(row.owner));
        // Of those the events know more than the pass.
        let newer = |&slot: &u32| {
            self.processes.get(slot).is_some_and(|process| changed.processes.contains(&process.pid))
        };
        holders.extend(former.into_iter().flat_map(|bond| &bond.holders).copied().filter(newer));
        holders.sort_unstable();
        holders.dedup();
        let bond = match former {
            // Nobody has accepted it, or nobody is known at all.
            None | Some(Bond { how: How::Inherited, .. }) if holders.is_empty() => return,
            None | Some(Bond { how: How::Inherited, .. }) => Bond { holders, ..Bond::nobody(How::Held) },
            Some(bond) if bond.closed && holders.is_empty() => return,
            Some(bond) => {
                let how = if bond.how < How::Held && !holders.is_empty() { How::Held } else { bond.how };
                Bond { how, holders, closed: false, ..bond.clone() }
            }
        };
        let (how, was) = (bond.how, row.owner);
        if former == Some(&bond) {
            self.bonds.confirm(was, began);
            return;
        }
        let owner = self.bonds.enter(&mut self.processes, bond, began);
        self.bonds.release(&mut self.processes, was);
        if let Some(row) = self.rows.at_mut(index) {
            row.owner = owner;
            row.how = how as u8;
        }
    }
}
