//! Which processes hold which sockets, for the rows of a listing.

use crate::kernel::selinux;
use crate::model::{Comm, Pid};
use crate::source::{OwnerError, owner};
use rustc_hash::FxHashMap;
use std::ops::Range;
use std::path::Path;

/// The result of one pass over /proc, by inode.
#[derive(Debug, Default)]
pub struct Holders {
    /// By inode: where its processes are in `processes`.
    by_inode: FxHashMap<u32, Range<usize>>,
    /// Sorted by inode, then by PID.
    processes: Vec<(Pid, Comm)>,
    /// `PID/name` of each process, as netstat makes it.
    texts: FxHashMap<Pid, Vec<u8>>,
    /// SELinux context of each process that shows it, when they are wanted.
    contexts: FxHashMap<Pid, Vec<u8>>,
    /// Processes that could not be looked at.
    denied: u64,
}

impl Holders {
    /// Looks at every process of this host; with `contexts` also at its SELinux context.
    pub fn find(contexts: bool) -> Result<Self, OwnerError> {
        let proc = Path::new("/proc");
        let scan = owner::scan(proc, None)?;
        let mut found = scan.holders;
        found.sort_unstable_by_key(|holder| (holder.inode, holder.process.pid));
        let mut holders = Self { denied: scan.denied, ..Self::default() };
        for holder in &found {
            let (pid, comm) = (holder.process.pid, holder.process.comm);
            let at = holders.processes.len();
            holders.processes.push((pid, comm));
            holders.by_inode.entry(holder.inode).or_insert(at..at).end = at + 1;
            if contexts && let Some(context) = selinux::context(proc, pid) {
                holders.contexts.entry(pid).or_insert(context);
            }
            holders.texts.entry(pid).or_insert_with(|| {
                let argv0 = scan.argv0.get(&pid).map(|word| &**word).unwrap_or_default();
                let mut text = format!("{pid}/").into_bytes();
                text.extend_from_slice(if argv0.is_empty() { comm.bytes() } else { program_name(argv0) });
                text
            });
        }
        Ok(holders)
    }

    /// `PID/name` of the process with the lowest PID that holds the socket.
    pub fn text(&self, inode: u64) -> Option<&[u8]> {
        let (pid, _) = self.of(inode).next()?;
        self.texts.get(&pid).map(Vec::as_slice)
    }

    /// SELinux context of the same process.
    pub fn context(&self, inode: u64) -> Option<&[u8]> {
        let (pid, _) = self.of(inode).next()?;
        self.contexts.get(&pid).map(Vec::as_slice)
    }

    /// Every process that holds the socket.
    pub fn of(&self, inode: u64) -> impl Iterator<Item = (Pid, Comm)> {
        let range = u32::try_from(inode).ok().filter(|&inode| inode != 0);
        let range = range.and_then(|inode| self.by_inode.get(&inode)).cloned().unwrap_or_default();
        self.processes[range].iter().copied()
    }

    /// The same, or `None` when a file must hold it but the holder was not found: it is hidden from us, or the kernel.
    pub fn known(&self, inode: u64) -> Option<impl Iterator<Item = (Pid, Comm)>> {
        let mut found = self.of(inode).peekable();
        (inode == 0 || found.peek().is_some()).then_some(found)
    }

    /// What net-tools says when it could not look at every process.
    pub fn note(&self) -> Option<String> {
        let user = rustix::process::geteuid().as_raw();
        match (self.denied, user) {
            (0, _) | (_, 0) => None,
            _ if self.processes.is_empty() => Some(format!(
                "(No info could be read for \"-p\": geteuid()={user} but you should be root.)\n"
            )),
            _ => Some(
                "(Not all processes could be identified, non-owned process info\n \
                 will not be shown, you would have to be root to see it all.)\n"
                    .to_owned(),
            ),
        }
    }
}

/// net-tools' program name: what follows the last `/`, when the first word of the command line is an absolute path.
fn program_name(argv0: &[u8]) -> &[u8] {
    match argv0.iter().rposition(|&byte| byte == b'/') {
        Some(at) if argv0.starts_with(b"/") => &argv0[at + 1..],
        _ => argv0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_are_cut() {
        assert_eq!(program_name(b"/usr/sbin/sshd"), b"sshd");
        assert_eq!(program_name(b"sshd: user [priv]"), b"sshd: user [priv]");
        assert_eq!(program_name(b"./a/b"), b"./a/b");
        assert_eq!(program_name(b""), b"");
    }

    #[test]
    fn our_own_socket_is_ours() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
        let holders = Holders::find(true).unwrap();
        let own = Pid::new(std::process::id()).unwrap();
        assert_eq!(holders.of(inode).map(|(pid, _)| pid).collect::<Vec<_>>(), [own]);
        assert!(holders.text(inode).unwrap().starts_with(format!("{own}/").as_bytes()));
        assert!(holders.text(0).is_none());
    }
}
