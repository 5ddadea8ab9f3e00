//! Cgroups of the unified hierarchy (cgroups(7), version 2): paths and the ids that sockets carry, which are inodes.

use rustc_hash::FxHashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the hierarchy is mounted, by the mounts that this /proc tells; `None`: nowhere.
pub fn root(proc: &Path) -> Option<PathBuf> {
    let mounts = std::fs::read(proc.join("self/mounts")).ok()?;
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == b"cgroup2").then(|| PathBuf::from(OsStr::from_bytes(place)))
    })
}

/// The id of a cgroup by its path, which begins at the root of the hierarchy or is that of its directory.
///
/// # Errors
/// When the hierarchy is not mounted, or has no such path.
pub fn id(proc: &Path, path: &[u8]) -> io::Result<u64> {
    let root =
        root(proc).ok_or_else(|| io::Error::other("the hierarchy of cgroups (version 2) is not mounted"))?;
    let path = Path::new(OsStr::from_bytes(path));
    let below = if path.starts_with(&root) {
        path.to_owned()
    } else {
        root.join(path.strip_prefix("/").unwrap_or(path))
    };
    Ok(std::fs::metadata(below)?.ino())
}

/// The path of every cgroup by its id. What vanishes meanwhile is left out, as is what lies deeper than the kernel allows.
pub fn paths(proc: &Path) -> FxHashMap<u64, Vec<u8>> {
    /// `PATH_MAX` holds no more names than this.
    const DEEPEST: usize = 2048;
    let mut paths = FxHashMap::default();
    let Some(root) = root(proc) else { return paths };
    let mut waiting = vec![(root, b"/".to_vec(), 0)];
    while let Some((directory, path, depth)) = waiting.pop() {
        let Ok(metadata) = std::fs::symlink_metadata(&directory) else { continue };
        let inside = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        for entry in inside.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if depth < DEEPEST {
                let mut below = path.clone();
                if !below.ends_with(b"/") {
                    below.push(b'/');
                }
                below.extend_from_slice(entry.file_name().as_bytes());
                waiting.push((entry.path(), below, depth + 1));
            }
        }
        paths.insert(metadata.ino(), path);
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_ids_are_of_one_tree() {
        let proc = tempfile::tempdir().unwrap();
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("a.slice/b.service")).unwrap();
        std::fs::create_dir(proc.path().join("self")).unwrap();
        let mounts = format!("tmpfs / tmpfs rw 0 0\ncgroup2 {} cgroup2 rw 0 0\n", tree.path().display());
        std::fs::write(proc.path().join("self/mounts"), mounts).unwrap();
        let paths = paths(proc.path());
        assert_eq!(paths.len(), 3);
        for path in [&b"/"[..], b"/a.slice", b"/a.slice/b.service"] {
            let id = id(proc.path(), path).unwrap();
            assert_eq!(paths.get(&id).map(Vec::as_slice), Some(path));
        }
        let whole = tree.path().join("a.slice");
        assert_eq!(
            id(proc.path(), whole.as_os_str().as_bytes()).unwrap(),
            id(proc.path(), b"a.slice").unwrap()
        );
        assert_eq!(id(proc.path(), b"/none").unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(proc.path().join("self/mounts"), "").unwrap();
        assert!(id(proc.path(), b"/").unwrap_err().to_string().contains("not mounted"));
    }
}
