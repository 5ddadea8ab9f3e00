//! Paths of control groups by their numbers, and back.

use crate::source::netns::unescape;
use rustc_hash::FxHashMap;
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Directories looked at where groups cannot be opened by number.
const DIRECTORIES: usize = 100_000;
/// How soon such a look may be followed by another.
const PAUSE: Duration = Duration::from_secs(1);

/// The hierarchy of version 2.
#[derive(Debug)]
pub struct Cgroups {
    /// Where it is mounted, and that directory; `None`: nowhere.
    mount: Option<(PathBuf, OwnedFd)>,
    /// Without CAP_DAC_READ_SEARCH: paths by number, and when they were read.
    walked: Option<(FxHashMap<u64, Vec<u8>>, Instant)>,
}

impl Cgroups {
    /// Finds out where it is mounted.
    pub fn of_host() -> Self {
        let mountinfo = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        let mount = mount_point(&mountinfo).and_then(|path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Some((path.clone(), rustix::fs::open(&path, flags, Mode::empty()).ok()?))
        });
        Self { mount, walked: None }
    }

    /// Where it is mounted; `None`: nowhere that we see.
    pub fn root(&self) -> Option<&Path> {
        self.mount.as_ref().map(|(point, _)| point.as_path())
    }

    /// The number of the group with this path, which begins at the root of the hierarchy or is that of its directory.
    ///
    /// # Errors
    /// When the hierarchy is not mounted, or has no such path.
    pub fn id(&self, path: &[u8]) -> io::Result<u64> {
        let root = self
            .root()
            .ok_or_else(|| io::Error::other("the hierarchy of cgroups (version 2) is not mounted"))?;
        let path = Path::new(OsStr::from_bytes(path));
        let below = if path.starts_with(root) {
            path.to_owned()
        } else {
            root.join(path.strip_prefix("/").unwrap_or(path))
        };
        Ok(std::fs::metadata(below)?.ino())
    }

    /// Path below the mount point of the group with this number, `/` for the root; `None` when it is gone or outside of
    /// what we may see.
    pub fn path(&mut self, id: u64) -> Option<Vec<u8>> {
        let (point, dir) = self.mount.as_ref()?;
        match open(dir, id) {
            Ok(group) => {
                let link =
                    rustix::fs::readlink(format!("/proc/self/fd/{}", group.as_raw_fd()), Vec::new()).ok()?;
                below(link.as_bytes(), point)
            }
            Err(libc::EPERM | libc::EACCES | libc::EOPNOTSUPP | libc::ENOSYS) => {
                let fresh = self
                    .walked
                    .as_ref()
                    .is_some_and(|(known, at)| known.contains_key(&id) || at.elapsed() < PAUSE);
                if !fresh {
                    self.walked = Some((walk(point), Instant::now()));
                }
                self.walked.as_ref()?.0.get(&id).cloned()
            }
            Err(_) => None,
        }
    }
}

/// A mount of type cgroup2 that shows the hierarchy from its root, if there is one (proc_pid_mountinfo(5)).
fn mount_point(mountinfo: &[u8]) -> Option<PathBuf> {
    let mounts = || {
        mountinfo.split(|&byte| byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ');
            let (root, point) = (fields.nth(3)?, fields.next()?);
            let kind = fields.skip_while(|&field| field != b"-").nth(1)?;
            (kind == b"cgroup2").then(|| (root == b"/", PathBuf::from(OsString::from_vec(unescape(point)))))
        })
    };
    mounts().find(|(whole, _)| *whole).or_else(|| mounts().next()).map(|(_, point)| point)
}

/// `FILEID_KERNFS` (include/linux/exportfs.h, 5.5): the number of a kernfs node is its file handle.
const FILEID_KERNFS: i32 = 0xfe;

/// `struct file_handle` with room for a number.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

/// Opens a group by number; an errno when that fails.
fn open(mount: &OwnedFd, id: u64) -> Result<OwnedFd, i32> {
    let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, id: id.to_ne_bytes() };
    // SAFETY: the structure has the layout of `struct file_handle` with as many bytes behind it as it says, and it
    // outlives the call, which only reads it.
    let fd = unsafe {
        libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut handle).cast(), libc::O_PATH | libc::O_CLOEXEC)
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO));
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The path below the mount point. The kernel marks what is deleted, and what cannot be reached.
fn below(path: &[u8], point: &Path) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(point.as_os_str().as_bytes())?;
    let rest = rest.strip_suffix(b" (deleted)").unwrap_or(rest);
    match rest.first() {
        None => Some(b"/".to_vec()),
        Some(b'/') => Some(rest.to_vec()),
        Some(_) => None,
    }
}

/// Every group below the mount point that may be seen, by number.
fn walk(point: &Path) -> FxHashMap<u64, Vec<u8>> {
    let mut known = FxHashMap::default();
    if let Ok(meta) = std::fs::metadata(point) {
        known.insert(meta.ino(), b"/".to_vec());
    }
    let mut open = vec![point.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            if known.len() >= DIRECTORIES {
                return known;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                if let Some(below) = below(path.as_os_str().as_bytes(), point) {
                    known.insert(entry.ino(), below);
                }
                open.push(path);
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_version_2_is_found() {
        let text = b"30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            31 30 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
            32 30 0:28 /docker/x /mnt/part rw shared:4 - cgroup2 cgroup2 rw\n\
            33 30 0:28 / /sys/fs/cgroup/uni\\040fied rw shared:4 master:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(text), Some(PathBuf::from("/sys/fs/cgroup/uni fied")));
        assert_eq!(mount_point(&text[..220]).map(|path| path.starts_with("/mnt")), Some(true));
        assert_eq!(mount_point(b"1 2 3\n"), None);
    }

    #[test]
    fn paths_are_told_below_the_mount() {
        let point = Path::new("/sys/fs/cgroup");
        assert_eq!(below(b"/sys/fs/cgroup", point).as_deref(), Some(&b"/"[..]));
        assert_eq!(below(b"/sys/fs/cgroup/a/b (deleted)", point).as_deref(), Some(&b"/a/b"[..]));
        assert_eq!(below(b"/sys/fs/cgroups/a", point), None);
        assert_eq!(below(b"(unreachable)/a", point), None);
    }

    #[test]
    fn a_group_is_found_by_its_number_by_handle_and_by_walking() {
        let mut cgroups = Cgroups::of_host();
        let Some((point, _)) = &cgroups.mount else { return println!("skipped: no cgroup2 is mounted") };
        let point = point.clone();
        let own = point.join(format!("enetstat-test-{}", std::process::id()));
        let made = std::fs::create_dir(&own);
        let dir = if made.is_ok() { &own } else { &point };
        let id = std::fs::metadata(dir).unwrap().ino();
        let wanted = below(dir.as_os_str().as_bytes(), &point);
        let (found, walked) = (cgroups.path(id), walk(&point).remove(&id));
        if made.is_ok() {
            std::fs::remove_dir(&own).unwrap();
        }
        assert_eq!((found, walked), (wanted.clone(), wanted));
        assert_eq!(cgroups.path(u64::MAX), None);
    }

    #[test]
    fn a_number_is_found_by_either_path() {
        let tree = tempfile::tempdir().unwrap();
        let group = tree.path().join("a.slice/b.service");
        std::fs::create_dir_all(&group).unwrap();
        let dir = rustix::fs::open(tree.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let cgroups = Cgroups { mount: Some((tree.path().to_owned(), dir)), walked: None };
        let wanted = std::fs::metadata(&group).unwrap().ino();
        for path in [&b"/a.slice/b.service"[..], b"a.slice/b.service", group.as_os_str().as_bytes()] {
            assert_eq!(cgroups.id(path).unwrap(), wanted, "{path:?}");
        }
        assert_eq!(cgroups.id(b"/").unwrap(), std::fs::metadata(tree.path()).unwrap().ino());
        assert_eq!(cgroups.id(b"/none").unwrap_err().kind(), io::ErrorKind::NotFound);
        let nowhere = Cgroups { mount: None, walked: None };
        assert!(nowhere.id(b"/").unwrap_err().to_string().contains("not mounted"));
    }
}
