//! The file system in memory that a guest starts with: an archive in the kernel's "newc" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::shell;

enum Node {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
    /// Character device: major, minor.
    Device(u32, u32),
}

struct Entry {
    permissions: u32,
    node: Node,
}

/// What will be in the archive, by absolute path.
#[derive(Default)]
pub struct Initramfs {
    entries: BTreeMap<PathBuf, Entry>,
    /// Shared libraries that are in already.
    libraries: BTreeSet<PathBuf>,
}

impl Initramfs {
    pub fn directory(&mut self, path: impl Into<PathBuf>, permissions: u32) {
        self.add(path.into(), permissions, Node::Directory);
    }

    pub fn file(&mut self, path: impl Into<PathBuf>, permissions: u32, content: impl Into<Vec<u8>>) {
        self.add(path.into(), permissions, Node::File(content.into()));
    }

    pub fn link(&mut self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) {
        self.add(path.into(), 0o777, Node::Link(target.into()));
    }

    pub fn device(&mut self, path: impl Into<PathBuf>, permissions: u32, major: u32, minor: u32) {
        self.add(path.into(), permissions, Node::Device(major, minor));
    }

    /// A file of the host, at `path` here; does nothing where the host has none.
    pub fn copy(&mut self, path: impl Into<PathBuf>, from: &Path) -> anyhow::Result<()> {
        match fs::read(from) {
            Ok(content) => {
                let permissions = from.metadata().map_or(0o644, |meta| meta.permissions().mode() & 0o777);
                self.file(path, permissions, content);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", from.display())),
        }
    }

    /// A program of the host at `path`, without its debug information, with the libraries it is linked to.
    pub fn program(&mut self, path: impl Into<PathBuf>, from: &Path, scratch: &Path) -> anyhow::Result<()> {
        let stripped = scratch.join("stripped");
        let strip = Command::new("strip").arg("--strip-debug").arg("-o").arg(&stripped).arg(from).output();
        let content = match strip {
            Ok(output) if output.status.success() => fs::read(&stripped),
            _ => fs::read(from),
        };
        let _ = fs::remove_file(&stripped);
        let content = content.with_context(|| format!("cannot read {}", from.display()))?;
        self.file(path, 0o755, content);
        for library in libraries(from)? {
            if self.libraries.insert(library.clone()) {
                self.copy(library.clone(), &library)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, permissions: u32, node: Node) {
        for parent in path.ancestors().skip(1).filter(|parent| *parent != Path::new("/")) {
            let directory = || Entry { permissions: 0o755, node: Node::Directory };
            self.entries.entry(parent.to_owned()).or_insert_with(directory);
        }
        self.entries.insert(path, Entry { permissions, node });
    }

    /// Writes the archive. Parents come before their children, as the kernel needs it, because paths are sorted.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (number, (path, entry)) in (1..).zip(&self.entries) {
            let name = path.as_os_str().as_encoded_bytes();
            let name = name.strip_prefix(b"/").unwrap_or(name);
            let (kind, device, content): (u32, (u32, u32), &[u8]) = match &entry.node {
                Node::Directory => (0o040_000, (0, 0), &[]),
                Node::File(content) => (0o100_000, (0, 0), content),
                Node::Link(target) => (0o120_000, (0, 0), target.as_os_str().as_encoded_bytes()),
                Node::Device(major, minor) => (0o020_000, (*major, *minor), &[]),
            };
            record(out, number, kind | entry.permissions, device, name, content)?;
        }
        record(out, 0, 0, (0, 0), b"TRAILER!!!", &[])
    }
}

/// One file: a header of 13 hexadecimal numbers, its name with a zero byte, its content; the latter two padded to 4 bytes.
fn record(
    out: &mut impl Write,
    number: u32,
    mode: u32,
    device: (u32, u32),
    name: &[u8],
    content: &[u8],
) -> io::Result<()> {
    let size = u32::try_from(content.len()).map_err(io::Error::other)?;
    let name_size = name.len() as u32 + 1;
    write!(out, "070701")?;
    // inode, mode, owner, group, links, time, size, device of the file, device it is, length of the name, checksum
    for field in [number, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0] {
        write!(out, "{field:08X}")?;
    }
    out.write_all(name)?;
    // The header is 110 bytes long.
    out.write_all(&[0; 4][..1 + padding(110 + name_size)])?;
    out.write_all(content)?;
    out.write_all(&[0; 4][..padding(size)])
}

fn padding(length: u32) -> usize {
    (length.wrapping_neg() % 4) as usize
}

/// The dynamic loader and the libraries that `ldd` finds for a program.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut ldd = Command::new("ldd");
    ldd.arg(program).env("LC_ALL", "C").env_remove("LD_LIBRARY_PATH");
    // It fails for a static program, which needs none.
    let Ok(text) = shell::output(&mut ldd) else { return Ok(Vec::new()) };
    text.lines().filter_map(|line| library(line).transpose()).collect()
}

/// The path in one line of `ldd`: `libc.so.6 => /lib/libc.so.6 (0x7f..)` or `/lib64/ld-linux-x86-64.so.2 (0x7f..)`.
fn library(line: &str) -> anyhow::Result<Option<PathBuf>> {
    let line = line.trim();
    let (name, path) = line.split_once(" => ").unwrap_or((line, line));
    if path.starts_with("not found") {
        bail!("the library {name} is not installed");
    }
    let path = path.rsplit_once(" (").map_or(path, |(path, _)| path);
    Ok(path.starts_with('/').then(|| PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_parents_first_and_every_part_at_a_multiple_of_four() {
        let mut archive = Initramfs::default();
        archive.file("/etc/ab", 0o644, "12345");
        archive.device("/dev/null", 0o666, 1, 3);
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        assert_eq!(bytes.len() % 4, 0);

        let mut names = Vec::new();
        let mut at = 0;
        loop {
            let field = |index: usize| {
                let start = at + 6 + 8 * index;
                usize::from_str_radix(std::str::from_utf8(&bytes[start..start + 8]).unwrap(), 16).unwrap()
            };
            assert_eq!(&bytes[at..at + 6], b"070701");
            let (mode, size, name_size) = (field(1), field(6), field(11));
            let name = &bytes[at + 110..at + 110 + name_size];
            let name = std::str::from_utf8(name).unwrap().trim_end_matches('\0').to_owned();
            let content = (at + 110 + name_size).next_multiple_of(4);
            if name == "etc/ab" {
                assert_eq!((mode, &bytes[content..content + size]), (0o100_644, b"12345".as_slice()));
            }
            if name == "dev/null" {
                assert_eq!((mode, field(9), field(10)), (0o020_666, 1, 3));
            }
            names.push(name);
            if names.last().unwrap() == "TRAILER!!!" {
                break;
            }
            at = (content + size).next_multiple_of(4);
        }
        assert_eq!(names, ["dev", "dev/null", "etc", "etc/ab", "TRAILER!!!"]);
    }

    #[test]
    fn lines_of_ldd_name_libraries() {
        let path = |line| library(line).unwrap().map(|path| path.display().to_string());
        assert_eq!(path("\tlibc.so.6 => /lib/libc.so.6 (0x00007f)").unwrap(), "/lib/libc.so.6");
        assert_eq!(path("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)").unwrap(), "/lib64/ld-linux-x86-64.so.2");
        assert_eq!(path("\tlinux-vdso.so.1 (0x00007f)"), None);
        assert_eq!(path("\tstatically linked"), None);
        assert!(library("\tlibx.so.1 => not found").is_err());
    }
}
