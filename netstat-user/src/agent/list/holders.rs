//! Which processes hold which sockets, for the rows of a listing.

use super::lean::Lean;
use crate::agent::unowned::Unowned;
use crate::args::plan::Naming;
use crate::kernel::selinux;
use crate::model::{Details, Holder, Pid, Process};
use crate::names::Names;
use crate::render::Held;
use crate::source::stream::files;
use crate::source::{OwnerError, Scan, owner};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

/// The result of one pass over the files of all processes, by inode.
#[derive(Default)]
pub struct Holders {
    /// By inode: where its processes are in `holders`.
    by_inode: FxHashMap<u32, Range<usize>>,
    /// Sorted by inode, then by PID.
    holders: Vec<Holder>,
    /// `PID/name` of each process, as netstat makes it.
    texts: FxHashMap<Pid, Vec<u8>>,
    /// The same of each socket that several processes hold, with the number of the others.
    several: FxHashMap<u32, Vec<u8>>,
    /// SELinux context of each process that shows it, when they are wanted.
    contexts: FxHashMap<Pid, Vec<u8>>,
    /// What each process runs, when that is wanted.
    details: FxHashMap<Pid, Details>,
    /// Processes that could not be looked at.
    denied: u64,
    /// In place of all that, when nothing but a program is shown.
    lean: Option<Rc<Lean>>,
    /// This is the result of a pass.
    asked: bool,
}

impl Holders {
    /// Looks at every process of this host; with `contexts` also at its SELinux context; with `details` at what it runs and,
    /// when those are true, at its user's name.
    ///
    /// With `iterate` by the kernel's iterator, where that may be had.
    pub fn find(contexts: bool, details: Option<bool>, iterate: bool) -> Result<Self, OwnerError> {
        let proc = Path::new("/proc");
        let scan = scan(proc, iterate)?;
        let mut users = Names::of_host(Naming { users: details == Some(true), ..Naming::default() });
        let mut found = scan.holders;
        found.sort_unstable_by_key(|holder| (holder.inode, holder.process.pid, holder.fd));
        found.dedup_by_key(|holder| (holder.inode, holder.process.pid));
        let mut holders = Self { denied: scan.denied, asked: true, ..Self::default() };
        for (at, holder) in found.iter().enumerate() {
            let (pid, comm) = (holder.process.pid, holder.process.comm);
            holders.by_inode.entry(holder.inode).or_insert(at..at).end = at + 1;
            if holders.texts.contains_key(&pid) {
                continue;
            }
            if contexts && let Some(context) = selinux::context(proc, pid) {
                holders.contexts.insert(pid, context);
            }
            if details.is_some() {
                let mut details = owner::details(proc, pid);
                let user = holder.process.uid.and_then(|uid| users.user(uid));
                details.user = user.map(<[u8]>::to_vec).unwrap_or_default();
                holders.details.insert(pid, details);
            }
            let argv0 = scan.argv0.get(&pid).map(|word| &**word).unwrap_or_default();
            holders.texts.insert(pid, program(pid, argv0, comm.bytes()));
        }
        holders.holders = found;
        for (&inode, range) in holders.by_inode.iter().filter(|(_, range)| range.len() > 1) {
            let first =
                holders.holders.get(range.start).and_then(|first| holders.texts.get(&first.process.pid));
            let mut text = first.cloned().unwrap_or_default();
            text.extend_from_slice(format!(" +{}", range.len() - 1).as_bytes());
            holders.several.insert(inode, text);
        }
        Ok(holders)
    }

    /// What is shown alone.
    pub fn lean(lean: Rc<Lean>) -> Self {
        Self { lean: Some(lean), ..Self::default() }
    }

    /// The same by a pass over /proc.
    pub fn lean_by_proc() -> Result<Self, OwnerError> {
        let scan = owner::scan(Path::new("/proc"), None)?;
        Ok(Self { denied: scan.denied, ..Self::lean(Rc::new(Lean::of(&scan))) })
    }

    /// `PID/name` of the process with the lowest PID that holds the socket, and ` +N` when N others do, too. `key`: its
    /// inode, or its address when it has none.
    pub fn text(&self, key: u64) -> Option<&[u8]> {
        if let Some(lean) = &self.lean {
            return lean.text(key);
        }
        let inode = key;
        let first = self.of(inode).first()?;
        let several = self.several.get(&first.inode);
        several.or_else(|| self.texts.get(&first.process.pid)).map(Vec::as_slice)
    }

    /// Why nobody is named; `None`: somebody is, or nobody looked.
    pub fn unowned(&self, inode: u64, why: impl FnOnce(bool) -> Unowned) -> Option<Unowned> {
        (self.asked && self.of(inode).is_empty()).then(|| why(self.denied > 0))
    }

    /// SELinux context of the same process.
    pub fn context(&self, inode: u64) -> Option<&[u8]> {
        self.contexts.get(&self.of(inode).first()?.process.pid).map(Vec::as_slice)
    }

    /// Every process that holds the socket, with its lowest descriptor of it.
    pub fn of(&self, inode: u64) -> &[Holder] {
        let inode = u32::try_from(inode).ok().filter(|&inode| inode != 0);
        let range = inode.and_then(|inode| self.by_inode.get(&inode)).cloned().unwrap_or_default();
        self.holders.get(range).unwrap_or_default()
    }

    /// The same, or `None` when a file must hold it but the holder was not found: it is hidden from us, or the kernel.
    pub fn known(&self, inode: u64) -> Option<impl Iterator<Item = Held<'_>>> {
        let found = self.of(inode);
        let held = |holder| {
            let Holder { process, fd, .. }: &Holder = holder;
            let details = self.details.get(&process.pid);
            let user = details.map(|details| &*details.user).filter(|user| !user.is_empty());
            Held { process, fd: Some(*fd), details, user }
        };
        (inode == 0 || !found.is_empty()).then(|| found.iter().map(held))
    }

    /// What net-tools says when it could not look at every process.
    pub fn note(&self) -> Option<String> {
        let user = rustix::process::geteuid().as_raw();
        match (self.denied, user) {
            (0, _) | (_, 0) => None,
            _ if self.lean.as_ref().map_or(self.holders.is_empty(), |lean| lean.is_empty()) => Some(format!(
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

/// The iterator, where it is to be used and may be had; else /proc.
fn scan(proc: &Path, iterate: bool) -> Result<Scan, OwnerError> {
    if iterate
        && let Ok(files) = files::once()
        && let Ok(scan) = by_iterator(proc, files)
    {
        return Ok(scan);
    }
    owner::scan(proc, None)
}

/// The same by the iterator, with the numbers that processes have in this PID namespace.
fn by_iterator(proc: &Path, file: File) -> std::io::Result<Scan> {
    let mut scan = Scan::default();
    files::pass(file, &mut |found| {
        if let Some(pid) = found.seen {
            let process = Process { pid, ..found.holder.process };
            scan.holders.push(Holder { process, ..found.holder });
        }
    })?;
    for holder in &scan.holders {
        let pid = holder.process.pid;
        if let Entry::Vacant(entry) = scan.argv0.entry(pid)
            && let Some(word) = owner::argv0(proc, pid)
        {
            entry.insert(word);
        }
    }
    Ok(scan)
}

/// `PID/name` as net-tools makes it.
pub(super) fn program(pid: Pid, argv0: &[u8], comm: &[u8]) -> Vec<u8> {
    let mut text = format!("{pid}/").into_bytes();
    text.extend_from_slice(if argv0.is_empty() { comm } else { program_name(argv0) });
    text
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
        let holders = Holders::find(true, Some(true), false).unwrap();
        let own = Pid::new(std::process::id()).unwrap();
        assert_eq!(holders.of(inode).iter().map(|holder| holder.process.pid).collect::<Vec<_>>(), [own]);
        let details = holders.known(inode).unwrap().next().unwrap().details.unwrap();
        assert_eq!(
            details.executable,
            std::env::current_exe().unwrap().into_os_string().into_encoded_bytes()
        );
        assert!(holders.text(inode).unwrap().starts_with(format!("{own}/").as_bytes()));
        assert!(holders.text(0).is_none());
    }
    /// What the iterator tells is what /proc tells, descriptors included. Only root may load it.
    #[test]
    fn both_ways_find_the_same() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let _again = socket.try_clone().unwrap();
        let file = match files::once() {
            Ok(file) => file,
            Err(why) if rustix::process::geteuid().is_root() => panic!("{why:?}"),
            Err(why) => return eprintln!("skipped: {why}"),
        };
        let own = Pid::new(std::process::id()).unwrap();
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
        let of = |scan: &Scan| {
            let mut own: Vec<Holder> = scan
                .holders
                .iter()
                .filter(|holder| holder.process.pid == own && u64::from(holder.inode) == inode)
                .copied()
                .collect();
            own.sort_unstable_by_key(|holder| holder.fd);
            own
        };
        let proc = Path::new("/proc");
        let (one, other) = (by_iterator(proc, file).unwrap(), owner::scan(proc, None).unwrap());
        assert_eq!(one.argv0.get(&own), other.argv0.get(&own));
        let (one, other) = (of(&one), of(&other));
        assert_eq!((one.len(), other.len()), (2, 1), "by file, and by process");
        let (found, told) = (one[0], other[0]);
        assert_eq!((found.fd, found.inode), (told.fd, told.inode));
        assert!(found.process.start.abs_diff(told.process.start) < 20_000_000);
        assert_eq!(Process { start: told.process.start, ..found.process }, told.process);
    }
}
