//! Network namespaces.

mod all;
mod labels;

pub(super) use all::unescape;
pub use all::{All, Depth};
pub use labels::Labels;

use crate::model::Pid;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
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
    #[error("no network namespace with the inode {inum} can be reached{}", privilege())]
    Unknown { inum: u32 },
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

/// Who may not look at others' processes may have missed it.
fn privilege() -> &'static str {
    if rustix::process::geteuid().is_root() { "" } else { " (as root all processes are searched)" }
}

/// `PID_MAX_LIMIT` (include/linux/threads.h): inodes of namespaces are far above it.
const PIDS: u32 = 4 << 20;

/// What a word means that is neither a name nor a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Process(Pid),
    Inode(u32),
}

impl Word {
    fn of(text: &str) -> Option<Self> {
        if let Some(pid) = text.strip_prefix("pid:") {
            return pid.parse().ok().map(Self::Process);
        }
        if let Some(inode) = text.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']')) {
            return inode.parse().ok().map(Self::Inode);
        }
        let number: Pid = text.parse().ok()?;
        Some(if number.get() > PIDS { Self::Inode(number.get()) } else { Self::Process(number) })
    }
}

/// `net:[4026532177]`, as the links below /proc/PID/ns have it.
pub fn inode_label(inum: u32) -> Vec<u8> {
    format!("net:[{inum}]").into_bytes()
}

/// Inode of the calling thread's namespace; 0 when it cannot be examined.
pub fn here() -> u32 {
    Netns::current().map_or(0, |netns| netns.inum)
}

/// A network namespace, kept alive as long as this is.
#[derive(Debug)]
pub struct Netns {
    /// Inode of its nsfs file, the number in `net:[4026531840]`.
    pub inum: u32,
    /// Its name for `ip netns`, when it has one.
    pub name: Option<OsString>,
    /// The first process found to live in it, in our PID namespace.
    pub pid: Option<Pid>,
    handle: OwnedFd,
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
        Ok(Self { inum: stat.st_ino as u32, name: None, pid: None, handle })
    }

    /// The namespace somebody typed: a path (it has a `/`), a name of `ip netns`, a process (`4711`, `pid:4711`), or an
    /// inode (`net:[4026532177]`, or a number that no process can have), whose namespace is looked for everywhere.
    ///
    /// # Errors
    /// When there is none, or when it cannot be opened.
    pub fn from_word(text: &str) -> Result<Self, NetnsError> {
        if text.contains('/') {
            return Self::at_path(Path::new(text));
        }
        let named = Path::new(NAMED[0]).join(text);
        match (Self::at_path(&named), Word::of(text)) {
            (Ok(found), _) => Ok(Self { name: Some(text.into()), ..found }),
            (Err(NetnsError::Io { source, .. }), Some(Word::Process(pid)))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                let found = Self::at_path(&PathBuf::from(format!("/proc/{pid}/ns/net")))?;
                Ok(Self { pid: Some(pid), ..found })
            }
            (Err(NetnsError::Io { source, .. }), Some(Word::Inode(inum)))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                let all = All::find(Depth::Sockets);
                let found = all.found.into_iter().find(|netns| netns.inum == inum);
                found.ok_or(NetnsError::Unknown { inum })
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The same namespace, kept alive twice.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn try_clone(&self) -> io::Result<Self> {
        let handle = self.handle.try_clone()?;
        Ok(Self { inum: self.inum, name: self.name.clone(), pid: self.pid, handle })
    }

    /// What it is called: its name, else a process that lives in it (`pid:4711`), else its inode (`net:[4026532177]`).
    /// [`Netns::from_word`] understands each.
    pub fn label(&self) -> Vec<u8> {
        match (&self.name, self.pid) {
            (Some(name), _) => name.as_bytes().to_vec(),
            (None, Some(pid)) => format!("pid:{pid}").into_bytes(),
            (None, None) => inode_label(self.inum),
        }
    }

    /// Moves the calling thread there for good, and with it every thread that it starts. For a program that has one
    /// thread and shows nothing but this namespace.
    ///
    /// # Errors
    /// See [`Netns::run`].
    pub fn enter(&self) -> Result<(), NetnsError> {
        let inum = self.inum;
        move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| NetnsError::Enter { inum, source: error.into() })
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
                self.enter()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_may_be_a_process_a_path_or_an_inode() {
        let current = Netns::current().unwrap();
        let pid = std::process::id();
        let typed = [
            pid.to_string(),
            format!("pid:{pid}"),
            CURRENT.to_owned(),
            current.inum.to_string(),
            format!("net:[{}]", current.inum),
        ];
        for word in typed {
            assert_eq!(Netns::from_word(&word).unwrap().inum, current.inum, "{word}");
        }
        assert!(matches!(Netns::from_word("/dev/null"), Err(NetnsError::NotOne(_))));
        let missing = Netns::from_word("no such namespace").unwrap_err();
        assert_eq!(missing.to_string(), "cannot open /run/netns/no such namespace");
        let missing = Netns::from_word("net:[4294967295]").unwrap_err();
        assert!(missing.to_string().starts_with("no network namespace with the inode 4294967295"));
        assert!(Netns::from_word("pid:0").is_err());
    }

    #[test]
    fn every_label_can_be_typed() {
        let current = Netns::current().unwrap();
        assert_eq!(current.label(), inode_label(current.inum));
        let pid = Pid::new(std::process::id());
        let lived_in = Netns { pid, ..current };
        let label = String::from_utf8(lived_in.label()).unwrap();
        assert_eq!(label, format!("pid:{}", std::process::id()));
        assert_eq!(Netns::from_word(&label).unwrap().inum, lived_in.inum);
        let named = Netns { name: Some("blue".into()), ..lived_in };
        assert_eq!(named.label(), b"blue");
    }
}
