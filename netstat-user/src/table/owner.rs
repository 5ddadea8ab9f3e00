//! Whom a row belongs to. The stronger knowledge wins: see [`How`].

use super::Table;
use super::row::Flags;
use crate::model::fact::Seen;
use crate::model::{How, Moved, OwnerSeen, Pid, TcpState};

impl Table {
    pub(super) fn attribute(&mut self, index: u32, moved: &Moved) {
        let Some(pid) = moved.actor else { return };
        let how = match (moved.from, moved.to) {
            (TcpState::Close, _) => How::Opened,
            (_, TcpState::FinWait1 | TcpState::LastAck | TcpState::Close) => How::Closed,
            _ => How::Used,
        };
        self.set_owner(index, pid, how);
    }

    pub(super) fn set_owner(&mut self, index: u32, pid: Pid, how: How) {
        let Some(row) = self.rows.at(index) else { return };
        if how as u8 <= row.how {
            return;
        }
        let former = row.owner;
        let slot = self.processes.own(pid);
        self.processes.disown(former);
        if let Some(row) = self.rows.at_mut(index) {
            row.owner = slot;
            row.how = how as u8;
        }
    }

    /// Gives a child its listener's owner until somebody accepts it.
    pub(super) fn inherit(&mut self, index: u32) {
        let Some(row) = self.rows.at(index) else { return };
        if row.how != 0 {
            return;
        }
        let (netns, tuple) = (row.netns, row.tuple);
        let Some(listeners) = self.listeners.get(&(netns, tuple.lport)) else { return };
        let rows = || listeners.iter().filter_map(|&index| self.rows.at(index));
        let exact = rows().find(|row| row.tuple.laddr == tuple.laddr && row.tuple.family == tuple.family);
        let Some(listener) = exact.or_else(|| rows().find(|row| row.tuple.laddr == [0; 16])) else { return };
        let (owner, owned) = (listener.owner, listener.how != 0);
        if owned {
            self.processes.share(owner);
            if let Some(row) = self.rows.at_mut(index) {
                row.owner = owner;
                row.how = How::Inherited as u8;
            }
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
        };
        if how == How::Accepted {
            self.accepted(index, seen.at);
        }
        self.set_owner(index, seen.pid, how);
    }

    /// Takes one pass over /proc: who holds which inode. The lowest process number stands for all, so that two passes
    /// agree.
    pub(super) fn held(&mut self, holders: &[crate::model::Holder]) {
        let mut lowest = rustc_hash::FxHashMap::<u32, usize>::default();
        for (at, holder) in holders.iter().enumerate() {
            self.processes.told(holder.process);
            let best = lowest.entry(holder.inode).or_insert(at);
            if holders[*best].process.pid > holder.process.pid {
                *best = at;
            }
        }
        let owned: Vec<(u32, Pid)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.inode != 0 && row.state != TcpState::Close)
            .filter_map(|(index, row)| Some((index, holders[*lowest.get(&row.inode)?].process.pid)))
            .collect();
        for (index, pid) in owned {
            self.set_owner(index, pid, How::Held);
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
}
