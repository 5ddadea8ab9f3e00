//! What was learnt about the running kernel, kept from one run of the program to the next.
//!
//! Looking through the kernel's 150,000 types takes more than a millisecond, which is a sixth of a listing of 10,000 sockets.
//! They are the kernel's as it was built, so what was found in them stays true as long as both it and this program are the
//! same. It is kept in a directory that only root can write, and only root looks there.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, mkdir, openat, renameat, unlinkat};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where the answers are kept until the machine is started anew.
const DIRECTORY: &str = "/run/enetstat";

/// The file in it.
const NAME: &str = "kernel-types";

/// Bytes; anything longer is not ours.
const LONGEST: u64 = 1 << 16;

/// `NT_GNU_BUILD_ID` (`BUILD_ID`, lib/buildid.c, 6.12).
const BUILD_ID: u32 = 3;

/// The place for one kernel's answers to one program's questions.
pub struct Kept {
    directory: PathBuf,
    /// Which kernel, and which program.
    key: Vec<u8>,
    /// Whose the directory and the file have to be.
    owner: u32,
}

impl Kept {
    /// The place for the running kernel and this very program; `None` where nothing is kept: for others than root, and where
    /// the kernel does not tell how it was built.
    pub fn here() -> Option<Self> {
        let owner = rustix::process::geteuid();
        if !owner.is_root() {
            return None;
        }
        let mut key = std::fs::read("/sys/kernel/notes").ok().filter(|notes| has_build_id(notes))?;
        key.extend(rustix::system::uname().version().to_bytes());
        let types = std::fs::metadata(super::btf::Btf::path(Path::new("/"))).ok()?;
        let program = std::fs::metadata("/proc/self/exe").ok()?;
        let (seconds, nanoseconds) = (program.mtime().cast_unsigned(), program.mtime_nsec().cast_unsigned());
        for number in [types.len(), program.dev(), program.ino(), program.len(), seconds, nanoseconds] {
            key.extend(number.to_ne_bytes());
        }
        Some(Self { directory: DIRECTORY.into(), key, owner: owner.as_raw() })
    }

    /// The answers, in the order in which they were kept. `None` when there are none for this kernel and program, or when
    /// anybody else could have written them.
    pub fn read(&self) -> Option<Vec<u32>> {
        let directory = self.open().ok()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(&directory, NAME, flags, Mode::empty()).ok()?);
        let stat = fstat(&file).ok()?;
        if !self.is_ours(&stat, FileType::RegularFile) || u64::try_from(stat.st_size).ok()? > LONGEST {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes).ok()?;
        let (words, rest) = bytes.strip_prefix(self.head().as_slice())?.as_chunks();
        rest.is_empty().then(|| words.iter().map(|word| u32::from_ne_bytes(*word)).collect())
    }

    /// Keeps answers. Where that is not possible, the kernel is asked again the next time.
    pub fn write(&self, answers: &[u32]) {
        // A name of this process's own, until the file is whole.
        let own = format!("{NAME}.{}", std::process::id());
        let write = || -> io::Result<()> {
            match mkdir(&self.directory, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let directory = self.open()?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(openat(&directory, &own, flags, Mode::from_raw_mode(0o644))?);
            let mut bytes = self.head();
            bytes.extend(answers.iter().flat_map(|answer| answer.to_ne_bytes()));
            let done =
                file.write_all(&bytes).and_then(|()| Ok(renameat(&directory, &own, &directory, NAME)?));
            if done.is_err() {
                let _ = unlinkat(&directory, &own, AtFlags::empty());
            }
            done
        };
        // Nothing depends on it.
        let _ = write();
    }

    fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, &self.directory, flags, Mode::empty())?;
        if self.is_ours(&fstat(&directory)?, FileType::Directory) {
            Ok(directory)
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    /// Whether nobody else can have written there.
    fn is_ours(&self, stat: &Stat, kind: FileType) -> bool {
        let others = Mode::WGRP | Mode::WOTH;
        FileType::from_raw_mode(stat.st_mode) == kind
            && stat.st_uid == self.owner
            && !Mode::from_raw_mode(stat.st_mode).intersects(others)
    }

    /// What the file begins with.
    fn head(&self) -> Vec<u8> {
        let mut head = b"enetstat: where the kernel's fields are\n".to_vec();
        head.extend((self.key.len() as u64).to_ne_bytes());
        head.extend(&self.key);
        head
    }
}

/// Whether ELF notes tell which build this is.
fn has_build_id(mut notes: &[u8]) -> bool {
    let word = |notes: &[u8], at: usize| Some(u32::from_ne_bytes(notes.get(at..at + 4)?.try_into().ok()?));
    while let (Some(name), Some(value), Some(kind)) = (word(notes, 0), word(notes, 4), word(notes, 8)) {
        if kind == BUILD_ID && name == 4 && value > 0 && notes.get(12..16) == Some(b"GNU\0") {
            return true;
        }
        let [name, value] = [name, value].map(|len| (len as usize).next_multiple_of(4));
        notes = notes.get(12 + name + value..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn kept(directory: &Path, key: &str) -> Kept {
        let owner = rustix::process::geteuid().as_raw();
        Kept { directory: directory.to_owned(), key: key.into(), owner }
    }

    #[test]
    fn answers_are_those_of_the_same_kernel_and_program() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("kept");
        let one = kept(&directory, "one");
        assert_eq!(one.read(), None);
        one.write(&[1, u32::MAX, 3]);
        assert_eq!(one.read(), Some(vec![1, u32::MAX, 3]));
        for other in ["", "on", "one1", "two"] {
            assert_eq!(kept(&directory, other).read(), None, "{other:?}");
        }
        kept(&directory, "two").write(&[4]);
        assert_eq!((one.read(), kept(&directory, "two").read()), (None, Some(vec![4])));
        let names = std::fs::read_dir(&directory).expect("the directory").count();
        assert_eq!(names, 1);
    }

    #[test]
    fn what_others_could_have_written_is_not_believed() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("kept");
        let (one, file) = (kept(&directory, "one"), directory.join(NAME));
        one.write(&[1]);
        let allow = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        };
        for (path, mode) in [(&file, 0o644), (&directory, 0o755)] {
            allow(path, mode | 0o020);
            assert_eq!(one.read(), None);
            allow(path, mode | 0o002);
            assert_eq!(one.read(), None);
            allow(path, mode);
            assert_eq!(one.read(), Some(vec![1]));
        }
        assert_eq!(Kept { owner: one.owner + 1, ..kept(&directory, "one") }.read(), None);
        // Cut off in a word, too long, and no file at all.
        let whole = std::fs::read(&file).expect("the file");
        std::fs::write(&file, &whole[..whole.len() - 1]).expect("a shorter file");
        assert_eq!(one.read(), None);
        std::fs::write(&file, vec![0; LONGEST as usize + 1]).expect("a longer file");
        assert_eq!(one.read(), None);
        std::fs::rename(&file, root.path().join("elsewhere")).expect("another name");
        std::os::unix::fs::symlink(root.path().join("elsewhere"), &file).expect("a link");
        assert_eq!(one.read(), None);
    }

    #[test]
    fn a_build_is_known_by_its_note_among_others() {
        let note = |name: &[u8], kind: u32, value: &[u8]| {
            let mut note: Vec<u8> = [name.len() as u32, value.len() as u32, kind]
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect();
            for part in [name, value] {
                note.extend(part);
                note.resize(note.len().next_multiple_of(4), 0);
            }
            note
        };
        let (id, other) = (note(b"GNU\0", 3, &[7; 20]), note(b"Linux\0", 0x100, &[0]));
        assert!(has_build_id(&id) && has_build_id(&[other.clone(), id.clone()].concat()));
        assert!(!has_build_id(&other) && !has_build_id(&note(b"GNU\0", 3, &[])) && !has_build_id(&id[..11]));
        assert!(!has_build_id(&[0xff; 64]));
    }
}
