//! Who holds which socket, and why nobody is told.

use crate::agent::unowned::Unowned;
use crate::model::{Process, SockRow};
use crate::render::bsd::json::Holding;
use crate::source::{OwnerError, owner};
use rustc_hash::FxHashMap;
use std::path::Path;

/// The result of one pass over /proc.
#[derive(Debug, Default)]
pub struct Owners {
    by_inode: FxHashMap<u32, Vec<Process>>,
    /// Some processes could not be looked at.
    denied: bool,
    asked: bool,
}

impl Owners {
    /// Looks at every process.
    pub fn find() -> Result<Self, OwnerError> {
        let scan = owner::scan(Path::new("/proc"), None)?;
        let mut by_inode: FxHashMap<u32, Vec<Process>> = FxHashMap::default();
        for holder in scan.holders {
            by_inode.entry(holder.inode).or_default().push(holder.process);
        }
        by_inode.values_mut().for_each(|holders| holders.sort_unstable_by_key(|process| process.pid));
        Ok(Self { by_inode, denied: scan.denied > 0, asked: true })
    }

    fn of(&self, inode: u32) -> Option<&[Process]> {
        self.by_inode.get(&inode).filter(|_| inode != 0).map(Vec::as_slice)
    }

    /// Who holds the socket with this inode.
    pub fn holding(&self, inode: u32) -> Holding<'_> {
        match self.of(inode) {
            _ if !self.asked => Holding::Unasked,
            Some(holders) => Holding::By(holders),
            // One of another family has an inode as soon as it is there.
            None if self.denied => Holding::Unknown(Unowned::NotPermitted.word()),
            None => Holding::Unknown(Unowned::Kernel.word()),
        }
    }

    /// The same of an inet socket, which may have no inode.
    pub fn of_row(&self, row: &SockRow) -> Holding<'_> {
        if !self.asked || row.inode != 0 {
            return self.holding(row.inode);
        }
        Holding::Unknown(Unowned::of_row(row, self.denied).word())
    }
}

/// `name:pid`, with the number of further holders; or why there is none.
pub fn shown(holding: Holding<'_>) -> Vec<u8> {
    match holding {
        Holding::By([Process { pid, comm, .. }, rest @ ..]) => {
            let mut text = comm.bytes().to_vec();
            text.extend_from_slice(format!(":{pid}").as_bytes());
            if !rest.is_empty() {
                text.extend_from_slice(format!("+{}", rest.len()).as_bytes());
            }
            text
        }
        Holding::Unknown(why) => format!("-({})", why.replace('_', " ")).into_bytes(),
        Holding::By([]) | Holding::Unasked => b"-".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Comm, TcpState};
    use crate::render::sample;

    #[test]
    fn who_is_missing_is_explained() {
        let owners = Owners { asked: true, ..Owners::default() };
        let why = |state, inode| {
            let row = SockRow { state, inode, ..sample::row() };
            String::from_utf8(shown(owners.of_row(&row))).unwrap()
        };
        assert_eq!(why(TcpState::Established, 0), "-(not accepted)");
        assert_eq!(why(TcpState::FinWait1, 0), "-(orphan)");
        assert_eq!(why(TcpState::SynRecv, 0), "-(request)");
        assert_eq!(why(TcpState::TimeWait, 0), "-(time wait)");
        assert_eq!(why(TcpState::Listen, 7), "-(kernel)");
        let denied = Owners { denied: true, asked: true, ..Owners::default() };
        assert_eq!(shown(denied.holding(7)), b"-(not permitted)");
        let named = |pid, name| Process::named(sample::pid(pid), Comm::from_bytes(name));
        let two = [named(1, b"a"), named(2, b"b")];
        assert_eq!(shown(Holding::By(&two)), b"a:1+1");
    }

    #[test]
    fn our_own_socket_is_ours() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = u32::try_from(rustix::fs::fstat(&socket).unwrap().st_ino).unwrap();
        let owners = Owners::find().unwrap();
        assert!(shown(owners.holding(inode)).ends_with(format!(":{}", std::process::id()).as_bytes()));
    }
}
