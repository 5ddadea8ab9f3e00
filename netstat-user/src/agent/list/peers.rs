//! What sock_diag tells of unix sockets beside the lines of /proc: which of those are true, and what is at the other end.
//!
//! A path may have newlines, and what follows one in /proc/net/unix may look like the line of another socket.

use crate::model::other::LISTENING;
use crate::model::{UnixDetail, UnixRow};
use crate::source::diag::families::Families;
use anyhow::Context;
use rustc_hash::{FxHashMap, FxHashSet};
use std::num::NonZeroU64;

#[derive(Debug)]
struct Told {
    cookie: Option<NonZeroU64>,
    /// As /proc writes it.
    path: Vec<u8>,
    /// Inode of the other end; 0: there is none.
    peer: u32,
}

/// The unix sockets of a network namespace.
#[derive(Debug, Default)]
pub struct Peers {
    by_inode: FxHashMap<u64, Told>,
    /// Paths that somebody listens at.
    listening: FxHashSet<Vec<u8>>,
}

impl Peers {
    /// Those of the calling thread's network namespace.
    ///
    /// # Errors
    /// When there is no unix_diag.
    pub fn find() -> anyhow::Result<Self> {
        const NEED: &str = "paths of other ends are told by sock_diag alone (`modprobe unix_diag`)";
        let mut peers = Self::default();
        let mut keep = |detail: UnixDetail| {
            let path: Vec<u8> = detail.path.iter().map(|&byte| if byte == 0 { b'@' } else { byte }).collect();
            if detail.state == LISTENING {
                peers.listening.insert(path.clone());
            }
            let told = Told { cookie: detail.cookie, path, peer: detail.peer.unwrap_or(0) };
            peers.by_inode.insert(u64::from(detail.inode), told);
        };
        Families::open().context(NEED)?.unix(&mut keep).context(NEED)?;
        Ok(peers)
    }

    /// Path and inode at the other end of a socket, empty and 0 when there is none; `None`: it is not known. One that nobody
    /// has accepted has no inode yet.
    pub fn of(&self, row: &UnixRow) -> (Option<&[u8]>, Option<u64>) {
        let Some(told) = self.by_inode.get(&row.inode) else { return (None, None) };
        let path = match told.peer {
            0 => Some(&b""[..]),
            peer => self.by_inode.get(&peer.into()).map(|other| &*other.path),
        };
        (path, Some(told.peer.into()))
    }

    /// Makes of a row what is true of its socket; false: there is none, or its path is another one.
    pub fn correct(&self, row: &mut UnixRow) -> bool {
        if row.inode == 0 {
            // Nobody has accepted it: it has the path of its listener.
            return self.listening.contains(&row.path);
        }
        let Some(told) = self.by_inode.get(&row.inode) else { return false };
        let cut = told.path.strip_prefix(&*row.path).is_some_and(|rest| rest.first() == Some(&b'\n'));
        if !cut && told.path != row.path {
            return false;
        }
        row.path.clone_from(&told.path);
        row.cookie = told.cookie;
        true
    }
}

/// Gives each socket of `rows` once, as far as it is true: a row that sock_diag did not know is looked up again, because its
/// socket may be newer.
pub struct Checked<'a> {
    peers: &'a Peers,
    seen: FxHashSet<u64>,
    doubtful: Vec<UnixRow>,
}

impl<'a> Checked<'a> {
    pub fn by(peers: &'a Peers) -> Self {
        Self { peers, seen: FxHashSet::default(), doubtful: Vec::new() }
    }

    pub fn row(&mut self, row: &UnixRow, each: &mut dyn FnMut(&UnixRow)) {
        let mut row = row.clone();
        if !self.peers.correct(&mut row) {
            self.doubtful.push(row);
        } else if row.inode == 0 || self.seen.insert(row.inode) {
            each(&row);
        }
    }

    /// Those that came since.
    pub fn finish(mut self, again: impl FnOnce() -> Option<Peers>, each: &mut dyn FnMut(&UnixRow)) {
        if self.doubtful.is_empty() {
            return;
        }
        let Some(peers) = again() else { return };
        for mut row in std::mem::take(&mut self.doubtful) {
            if peers.correct(&mut row) && (row.inode == 0 || self.seen.insert(row.inode)) {
                each(&row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{UnixKind, UnixState};

    fn row(inode: u64, path: &[u8]) -> UnixRow {
        UnixRow {
            kind: UnixKind::Stream,
            state: UnixState::Unconnected,
            listening: true,
            flags: 0,
            refcount: 2,
            inode,
            path: path.to_vec(),
            cookie: None,
        }
    }

    #[test]
    fn rows_are_those_of_sockets_that_are_there() {
        let told = |path: &[u8], peer| Told { cookie: NonZeroU64::new(9), path: path.to_vec(), peer };
        let by_inode =
            [(7, told(b"/a\nb", 0)), (8, told(b"/c", 7)), (9, told(b"", 70))].into_iter().collect();
        let peers = Peers { by_inode, listening: [b"/c".to_vec()].into_iter().collect() };
        let by_inode = [(10, told(b"/new", 0))].into_iter().collect();
        let later = Peers { by_inode, ..Peers::default() };
        let mut shown = Vec::new();
        let mut each = |row: &UnixRow| shown.push((row.inode, row.path.clone()));
        let mut checked = Checked::by(&peers);
        for row in [
            // Cut by what looks like a line.
            row(7, b"/a"),
            row(777, b"@forged"),
            row(8, b"@forged"),
            row(8, b"/c"),
            row(8, b"/c"),
            row(0, b"/c"),
            row(0, b"@forged"),
            row(10, b"/new"),
            row(9, b""),
        ] {
            checked.row(&row, &mut each);
        }
        checked.finish(|| Some(later), &mut each);
        let wanted: [(u64, &[u8]); 5] = [(7, b"/a\nb"), (8, b"/c"), (0, b"/c"), (9, b""), (10, b"/new")];
        assert_eq!(shown, wanted.map(|(inode, path)| (inode, path.to_vec())));
        assert_eq!(peers.of(&row(8, b"")), (Some(&b"/a\nb"[..]), Some(7)));
        assert_eq!(peers.of(&row(7, b"")), (Some(&b""[..]), Some(0)));
        assert_eq!(peers.of(&row(9, b"")), (None, Some(70)));
        assert_eq!(peers.of(&row(0, b"")), (None, None));
    }
}
