//! Every network namespace of the host, wherever something keeps it.

use super::{NAMED, Netns, NetnsError};
use crate::model::Pid;
use rustc_hash::FxHashMap;
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, Resource, Rlimit};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

const PROC: &str = "/proc";

/// Every namespace that could be reached, and what could not be looked at.
#[derive(Debug, Default)]
pub struct All {
    /// Sorted by inode.
    pub found: Vec<Netns>,
    /// One for each place that refused. A process that ended meanwhile is none.
    pub errors: Vec<NetnsError>,
    /// Processes whose namespace may not be looked at: it may be one that is not in `found`.
    pub denied: u64,
    /// Inodes of those that only an open file or a socket keeps.
    pub hidden: Vec<u32>,
    /// Where in `found` a namespace is, by its inode.
    seen: FxHashMap<u32, usize>,
}

/// How far namespaces are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Those with a name, a mount in our mount namespace, or a thread that lives in them.
    Threads,
    /// Also those that only an open file or a socket keeps, by looking through the files of every process; takes
    /// microseconds a file. A socket is held for a moment, so that its namespace can be asked for.
    Sockets,
}

impl All {
    /// Looks for them.
    pub fn find(depth: Depth) -> Self {
        raise_limit();
        let mut all = Self::default();
        for dir in NAMED.map(Path::new) {
            for entry in list(dir, &mut all.errors) {
                let path = dir.join(&entry);
                match Netns::at_path(&path) {
                    Ok(found) => all.add(Netns { name: Some(entry), ..found }),
                    // What `ip netns` itself leaves behind when a namespace could not be mounted: an empty file.
                    Err(NetnsError::NotOne(_)) => {}
                    Err(error) => all.fail(error),
                }
            }
        }
        match std::fs::read("/proc/thread-self/mountinfo") {
            Ok(text) => {
                for path in mounts(&text) {
                    match Netns::at_path(&path) {
                        Ok(found) => all.add(found),
                        // Mounted over, or a namespace of another type.
                        Err(NetnsError::NotOne(_)) => {}
                        Err(error) => all.fail(error),
                    }
                }
            }
            Err(source) => {
                let path = PathBuf::from("/proc/thread-self/mountinfo");
                all.errors.push(NetnsError::Io { op: "read", path, source });
            }
        }
        let mut pids: Vec<Pid> = list(Path::new(PROC), &mut all.errors)
            .into_iter()
            .filter_map(|entry| entry.to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        for &pid in &pids {
            all.add_process(pid);
        }
        if depth == Depth::Sockets {
            // Ours would keep what we have opened for good.
            let own = std::process::id();
            pids.iter().filter(|pid| pid.get() != own).for_each(|&pid| all.add_files(pid));
        }
        // Others' processes may be hidden or refuse; our own namespace never does.
        match Netns::current() {
            Ok(found) => all.add(found),
            Err(error) => all.errors.push(error),
        }
        all.found.sort_unstable_by_key(|netns| netns.inum);
        all
    }

    /// What may be missing from `found`, and why: a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        const MISSING: &str = "some network namespaces may be missing";
        let mut remarks = Vec::new();
        if let Some((first, more)) = self.errors.split_first() {
            let more = if more.is_empty() { String::new() } else { format!(" (and {} like it)", more.len()) };
            remarks.push(format!("{MISSING}: {}{more}", crate::source::chain(first)));
        }
        if self.denied > 0 {
            let processes = if self.denied == 1 { "process does" } else { "processes do" };
            let denied = self.denied;
            remarks.push(format!(
                "{MISSING}: {denied} {processes} not show theirs (needs root: CAP_SYS_PTRACE)"
            ));
        }
        remarks
    }

    fn add(&mut self, netns: Netns) {
        if let std::collections::hash_map::Entry::Vacant(place) = self.seen.entry(netns.inum) {
            place.insert(self.found.len());
            self.found.push(netns);
        }
    }

    /// What went away between being listed and being opened is no error.
    fn fail(&mut self, error: NetnsError) {
        let gone = matches!(&error, NetnsError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound
            || source.raw_os_error() == Some(Errno::SRCH.raw_os_error()));
        if !gone {
            self.errors.push(error);
        }
    }

    fn add_process(&mut self, pid: Pid) {
        let dir = PathBuf::from(format!("{PROC}/{pid}"));
        if !self.add_thread(&dir.join("ns/net"), Some(pid)) {
            return;
        }
        let threads = dir.join("task");
        // `.`, `..` and a directory for each thread (proc_task_getattr, fs/proc/base.c, 6.12).
        let several = rustix::fs::statat(CWD, &threads, AtFlags::empty()).is_ok_and(|stat| stat.st_nlink > 3);
        if several {
            // A process that ends meanwhile has none any more.
            for thread in list(&threads, &mut Vec::new()) {
                // Named by its own number, which /proc also knows though it does not list it.
                let tid = thread.to_str().and_then(|tid| tid.parse().ok());
                self.add_thread(&threads.join(&thread).join("ns/net"), tid);
            }
        }
    }

    /// Opens a thread's namespace only when it is a new one: there are many threads and few namespaces. Returns whether
    /// there is such a thread, and it may be looked at.
    fn add_thread(&mut self, path: &Path, pid: Option<Pid>) -> bool {
        match rustix::fs::statat(CWD, path, AtFlags::empty()) {
            Ok(stat) => match self.seen.get(&(stat.st_ino as u32)) {
                Some(&at) => {
                    if let Some(known) = self.found.get_mut(at) {
                        known.pid = known.pid.or(pid);
                    }
                }
                None => match Netns::at_path(path) {
                    Ok(found) => self.add(Netns { pid, ..found }),
                    Err(error) => self.fail(error),
                },
            },
            // It has ended.
            Err(Errno::NOENT | Errno::SRCH) => return false,
            Err(Errno::ACCESS | Errno::PERM) => {
                self.denied += 1;
                return false;
            }
            Err(error) => {
                let path = path.to_owned();
                self.errors.push(NetnsError::Io { op: "examine", path, source: error.into() });
                return false;
            }
        }
        true
    }

    /// Namespaces that the process has open, or that its sockets belong to. That it may not be looked at was counted
    /// with its threads.
    fn add_files(&mut self, pid: Pid) {
        let dir = PathBuf::from(format!("{PROC}/{pid}/fd"));
        let mut process = None;
        for fd in list(&dir, &mut Vec::new()) {
            let path = dir.join(&fd);
            let Ok(target) = std::fs::read_link(&path) else { continue };
            let target = target.as_os_str().as_bytes();
            if let Some(inum) = inode(target, b"net:[") {
                if !self.seen.contains_key(&inum)
                    && let Ok(found) = Netns::at_path(&path)
                {
                    self.hidden.push(inum);
                    self.add(found);
                }
            } else if inode(target, b"socket:[").is_some()
                && let Some(socket) = borrow(pid, &mut process, &fd)
                && let Some(found) = namespace_of(&socket)
                && !self.seen.contains_key(&found.inum)
            {
                self.hidden.push(found.inum);
                self.add(found);
            }
        }
    }
}

/// Another process's file; `process` keeps the handle of the process for the next one.
fn borrow(pid: Pid, process: &mut Option<OwnedFd>, fd: &OsStr) -> Option<OwnedFd> {
    let fd = fd.to_str()?.parse().ok()?;
    let process = match process {
        Some(process) => process,
        none => {
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid.get()).ok()?)?;
            none.insert(rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?)
        }
    };
    rustix::process::pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).ok()
}

/// `SIOCGSKNS` (include/uapi/linux/sockios.h, 4.10): gives a file of the network namespace that a socket belongs to.
const SIOCGSKNS: libc::Ioctl = 0x894c;

fn namespace_of(socket: &OwnedFd) -> Option<Netns> {
    // SAFETY: the request takes no argument.
    let fd = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    let handle = unsafe { OwnedFd::from_raw_fd(fd) };
    let stat = rustix::fs::fstat(&handle).ok()?;
    Some(Netns { inum: stat.st_ino as u32, name: None, pid: None, handle })
}

/// The number in `KIND:[N]`.
fn inode(target: &[u8], kind: &[u8]) -> Option<u32> {
    let digits = target.strip_prefix(kind)?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Each namespace takes a descriptor, and the usual limit is 1024.
fn raise_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // What cannot be opened then is told.
        let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// Names in a directory; none when it does not exist.
fn list(dir: &Path, errors: &mut Vec<NetnsError>) -> Vec<OsString> {
    let failed = |source| NetnsError::Io { op: "list", path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            errors.push(failed(error));
            return Vec::new();
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => names.push(entry.file_name()),
            Err(error) => {
                errors.push(failed(error));
                break;
            }
        }
    }
    names
}

/// Mount points of network namespaces in a mountinfo (proc_pid_mountinfo(5)).
fn mounts(text: &[u8]) -> impl Iterator<Item = PathBuf> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let root = fields.nth(3)?;
        let point = fields.next()?;
        root.starts_with(b"net:[").then(|| PathBuf::from(OsString::from_vec(unescape(point))))
    })
}

/// Undoes the kernel's `\040` for blanks, tabs, newlines and backslashes.
pub(in crate::source) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_current_namespace_is_among_all_and_runs_in_place() {
        let current = Netns::current().unwrap();
        assert_ne!(current.inum, 0);
        for depth in [Depth::Threads, Depth::Sockets] {
            let all = All::find(depth);
            let here: Vec<_> = all.found.iter().filter(|netns| netns.inum == current.inum).collect();
            assert_eq!(here.len(), 1, "{depth:?}");
            assert!(here[0].pid.is_some(), "{depth:?}: we live in it");
        }
        let caller = std::thread::current().id();
        assert_eq!(current.run(|| std::thread::current().id()).unwrap(), caller);
    }

    #[test]
    fn mounted_namespaces_are_found_by_their_root() {
        let text = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n\
            531 26 0:4 net:[4026532177] /run/my\\040netns rw shared:2 - nsfs nsfs rw\n\
            532 26 0:4 mnt:[4026532178] /run/other rw - nsfs nsfs rw\n12 13\n";
        let found: Vec<_> = mounts(text).collect();
        assert_eq!(found, [PathBuf::from("/run/my netns")]);
    }

    #[test]
    fn links_of_files_name_an_inode() {
        assert_eq!(inode(b"net:[4026532177]", b"net:["), Some(4_026_532_177));
        for other in [&b"net:[x]"[..], b"mnt:[1]", b"net:[1", b"/net:[1]", b"net:[99999999999]"] {
            assert_eq!(inode(other, b"net:["), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_mountinfo_is_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = mounts(&bytes).count();
            prop_assert!(unescape(&bytes).len() <= bytes.len());
        }
    }
}
