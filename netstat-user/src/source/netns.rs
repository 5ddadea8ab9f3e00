//! Network namespaces.

use rustc_hash::FxHashMap;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where `ip netns` keeps its names (ip-netns(8)); the second is a link to the first on most systems.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// The calling thread's namespace. A process may have threads in several.
const CURRENT: &str = "/proc/thread-self/ns/net";

/// `NSFS_MAGIC` (`linux/magic.h`).
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Why a namespace cannot be found, opened or entered.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    #[error("cannot {op} {path}{}", cure(source))]
    Io {
        op: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0} is not a network namespace")]
    NotOne(PathBuf),
    #[error("cannot enter network namespace {inum}{}", cure(source))]
    Enter {
        inum: u32,
        #[source]
        source: io::Error,
    },
    #[error("cannot start a thread to enter network namespace {inum}")]
    Thread {
        inum: u32,
        #[source]
        source: io::Error,
    },
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            " (needs root: CAP_SYS_ADMIN to enter it, CAP_SYS_PTRACE to see those of others' processes)"
        }
        _ => "",
    }
}

/// A network namespace, kept alive as long as this is.
#[derive(Debug)]
pub struct Netns {
    /// Inode of its nsfs file, the number in `net:[4026531840]`.
    pub inum: u32,
    /// Its name for `ip netns`, when it has one.
    pub name: Option<OsString>,
    handle: OwnedFd,
}

/// Every namespace that could be reached, and what could not be looked at.
#[derive(Debug, Default)]
pub struct All {
    /// Sorted by inode.
    pub found: Vec<Netns>,
    /// One for each place that refused. A process that ended meanwhile is none.
    pub errors: Vec<NetnsError>,
    /// Processes whose namespace may not be looked at: it may be one that is not in `found`.
    pub denied: u64,
}

impl Netns {
    /// The calling thread's namespace.
    pub fn current() -> Result<Self, NetnsError> {
        Self::at_path(Path::new(CURRENT))
    }

    /// The namespace of an nsfs file: /proc/PID/ns/net or a bind mount of it.
    pub fn at_path(path: &Path) -> Result<Self, NetnsError> {
        let failed =
            |op| move |error: Errno| NetnsError::Io { op, path: path.to_owned(), source: error.into() };
        // O_NONBLOCK: the path may turn out to be a pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let handle = rustix::fs::open(path, flags, Mode::empty()).map_err(failed("open"))?;
        let fs = rustix::fs::fstatfs(&handle).map_err(failed("examine"))?;
        if fs.f_type as u64 != NSFS_MAGIC {
            return Err(NetnsError::NotOne(path.to_owned()));
        }
        let stat = rustix::fs::fstat(&handle).map_err(failed("examine"))?;
        // Inodes of namespaces are 32 bits in the kernel (ns_common.inum).
        Ok(Self { inum: stat.st_ino as u32, name: None, handle })
    }

    /// The namespace somebody typed: a path (it has a `/`), a name of `ip netns`, or a process.
    pub fn from_name_pid_path(text: &str) -> Result<Self, NetnsError> {
        if text.contains('/') {
            return Self::at_path(Path::new(text));
        }
        let named = Path::new(NAMED[0]).join(text);
        match Self::at_path(&named) {
            Ok(found) => Ok(Self { name: Some(text.into()), ..found }),
            Err(NetnsError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && text.parse::<u32>().is_ok() =>
            {
                Self::at_path(&PathBuf::from(format!("/proc/{text}/ns/net")))
            }
            Err(error) => Err(error),
        }
    }

    /// Every namespace that has a name, a mount or a process. One that lives only by an open file or a socket is out
    /// of reach.
    pub fn all() -> All {
        let mut all = All::default();
        let mut seen = FxHashMap::default();
        for dir in NAMED.map(Path::new) {
            for entry in list(dir, &mut all.errors) {
                let path = dir.join(&entry);
                match Self::at_path(&path) {
                    Ok(found) => all.add(&mut seen, Self { name: Some(entry), ..found }),
                    // What `ip netns` itself leaves behind when a namespace could not be mounted: an empty file.
                    Err(NetnsError::NotOne(_)) => {}
                    Err(error) => all.errors.push(error),
                }
            }
        }
        match std::fs::read("/proc/thread-self/mountinfo") {
            Ok(text) => {
                for path in mounts(&text) {
                    match Self::at_path(&path) {
                        Ok(found) => all.add(&mut seen, found),
                        // Mounted over, or a namespace of another type.
                        Err(NetnsError::NotOne(_)) => {}
                        Err(error) => all.errors.push(error),
                    }
                }
            }
            Err(source) => {
                let path = PathBuf::from("/proc/thread-self/mountinfo");
                all.errors.push(NetnsError::Io { op: "read", path, source });
            }
        }
        for entry in list(Path::new("/proc"), &mut all.errors) {
            if entry.as_bytes().iter().all(u8::is_ascii_digit) {
                all.add_process(&mut seen, &entry);
            }
        }
        // Others' processes may be hidden or refuse; our own namespace never does.
        match Self::current() {
            Ok(found) => all.add(&mut seen, found),
            Err(error) => all.errors.push(error),
        }
        all.found.sort_unstable_by_key(|netns| netns.inum);
        all
    }

    /// Runs `work` inside the namespace. The calling thread never leaves its own: `work` runs on another one, unless
    /// both are the same.
    ///
    /// # Errors
    /// Entering needs CAP_SYS_ADMIN here and in the user namespace that owns the target.
    ///
    /// # Panics
    /// When `work` does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        if Self::current().is_ok_and(|current| current.inum == self.inum) {
            return Ok(work());
        }
        let inum = self.inum;
        std::thread::scope(|scope| {
            let entered = move || {
                move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| NetnsError::Enter { inum, source: error.into() })?;
                Ok(work())
            };
            std::thread::Builder::new()
                .name("netns".into())
                .spawn_scoped(scope, entered)
                .map_err(|source| NetnsError::Thread { inum, source })?
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl All {
    /// What may be missing from `found`, and why: a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        const MISSING: &str = "some network namespaces may be missing";
        let mut remarks = Vec::new();
        if let Some((first, more)) = self.errors.split_first() {
            let more = if more.is_empty() { String::new() } else { format!(" (and {} like it)", more.len()) };
            remarks.push(format!("{MISSING}: {}{more}", super::chain(first)));
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

    fn add(&mut self, seen: &mut FxHashMap<u32, ()>, netns: Netns) {
        if seen.insert(netns.inum, ()).is_none() {
            self.found.push(netns);
        }
    }

    /// Opens the process's namespace only when it is a new one: there are many processes and few namespaces.
    fn add_process(&mut self, seen: &mut FxHashMap<u32, ()>, pid: &OsString) {
        let path = Path::new("/proc").join(pid).join("ns/net");
        match rustix::fs::statat(CWD, &path, rustix::fs::AtFlags::empty()) {
            Ok(stat) if seen.contains_key(&(stat.st_ino as u32)) => {}
            // The process has ended.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(Errno::ACCESS | Errno::PERM) => self.denied += 1,
            Err(error) => self.errors.push(NetnsError::Io { op: "examine", path, source: error.into() }),
            Ok(_) => match Netns::at_path(&path) {
                Ok(found) => self.add(seen, found),
                Err(NetnsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.errors.push(error),
            },
        }
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
            Err(error) => errors.push(failed(error)),
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
fn unescape(field: &[u8]) -> Vec<u8> {
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
        let all = Netns::all();
        assert_eq!(all.found.iter().filter(|netns| netns.inum == current.inum).count(), 1);
        let caller = std::thread::current().id();
        assert_eq!(current.run(|| std::thread::current().id()).unwrap(), caller);
    }

    #[test]
    fn what_is_typed_may_be_a_process_or_a_path() {
        let current = Netns::current().unwrap();
        let by_pid = Netns::from_name_pid_path(&std::process::id().to_string()).unwrap();
        let by_path = Netns::from_name_pid_path(CURRENT).unwrap();
        assert_eq!((by_pid.inum, by_path.inum), (current.inum, current.inum));
        assert!(matches!(Netns::from_name_pid_path("/dev/null"), Err(NetnsError::NotOne(_))));
        let missing = Netns::from_name_pid_path("no such namespace").unwrap_err();
        assert_eq!(missing.to_string(), "cannot open /run/netns/no such namespace");
    }

    #[test]
    fn mounted_namespaces_are_found_by_their_root() {
        let text = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n\
            531 26 0:4 net:[4026532177] /run/my\\040netns rw shared:2 - nsfs nsfs rw\n\
            532 26 0:4 mnt:[4026532178] /run/other rw - nsfs nsfs rw\n12 13\n";
        let found: Vec<_> = mounts(text).collect();
        assert_eq!(found, [PathBuf::from("/run/my netns")]);
    }

    proptest! {
        #[test]
        fn any_mountinfo_is_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = mounts(&bytes).count();
            prop_assert!(unescape(&bytes).len() <= bytes.len());
        }
    }
}
