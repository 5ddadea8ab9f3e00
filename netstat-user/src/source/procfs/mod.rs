//! Listings by /proc/net, which needs no privilege and no module.

mod conntrack;
pub mod counters;
mod displays;
mod inet;
mod lines;
mod link;
mod route;
pub mod scanned;
pub mod sctp;
mod tables;
mod unix;

use super::label;
use crate::model::{Family, Protocol, SockRow, UnixRow};
use lines::Lines;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Faults kept of one pass; more are only counted.
const FAULTS_KEPT: usize = 32;

/// Bytes of a faulty text kept for its message.
const TEXT_KEPT: usize = 120;

/// Why a file of /proc/net, or a line of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProcfsError {
    #[error("cannot {op} {path}")]
    Io {
        op: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path}:{line}: {column} is not {wanted}: \"{}\"", text.escape_ascii())]
    Field {
        path: PathBuf,
        /// Counted from 1, the heading being the first.
        line: u64,
        column: &'static str,
        wanted: &'static str,
        /// At most 120 bytes of what is there instead.
        text: Vec<u8>,
    },
}

/// What is wrong with a line; its file and number are added by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault<'a> {
    column: &'static str,
    wanted: &'static str,
    text: &'a [u8],
}

/// What a listing was.
#[derive(Debug, Default)]
pub struct Pass {
    pub rows: u64,
    /// Lines that could not be read, the first 32 of them.
    pub faults: Vec<ProcfsError>,
    /// How many lines could not be read.
    pub faulty: u64,
    /// There is no such table: its protocol is absent from this kernel.
    pub absent: bool,
}

/// The tables of one network namespace, as a directory of /proc shows them.
#[derive(Clone, Debug)]
pub struct Procfs {
    root: PathBuf,
    /// Directory below `root` that has `net` and `ns`; empty: `root` itself.
    of: PathBuf,
}

impl Procfs {
    /// The namespace of whichever thread calls the methods: also inside [`Netns::run`](super::Netns::run).
    pub fn host() -> Self {
        Self { root: "/proc".into(), of: "thread-self".into() }
    }

    /// The files `root`/net/...
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), of: PathBuf::new() }
    }

    /// The namespace of the process `pid`, by the same /proc.
    #[must_use]
    pub fn in_process(&self, pid: u32) -> Self {
        Self { root: self.root.clone(), of: pid.to_string().into() }
    }

    fn file(&self, name: &str) -> PathBuf {
        let mut path = self.root.join(&self.of);
        path.push(name);
        path
    }

    /// Inode of the namespace; `None` when it cannot be examined.
    pub fn netns(&self) -> Option<u32> {
        let stat = rustix::fs::stat(self.file("ns/net")).ok()?;
        // Inodes of namespaces are 32 bits in the kernel.
        Some(stat.st_ino as u32)
    }

    /// Calls `each` for every socket of the table, in the kernel's order.
    ///
    /// A table that does not exist has no rows: its protocol is absent from this kernel. The kernel gives a page at a
    /// time, so a socket that comes or goes meanwhile may make another one appear twice or not at all.
    ///
    /// # Errors
    /// When the file cannot be read to its end. A line that cannot be understood is a fault of the [`Pass`].
    pub fn list(
        &self,
        protocol: Protocol,
        family: Family,
        each: &mut dyn FnMut(&SockRow),
    ) -> Result<Pass, ProcfsError> {
        let netns = self.netns().unwrap_or(0);
        let path = self.file("net").join(label(protocol, family));
        let mut pass = Pass::default();
        let Some(mut lines) = open(&path)? else { return Ok(Pass { absent: true, ..pass }) };
        while let Some(line) = lines.next().map_err(failed("read", &path))? {
            if lines::is_heading(line.number, line.bytes) {
                continue;
            }
            match inet::row(line.bytes, protocol, family, netns) {
                Ok(row) => {
                    pass.rows += 1;
                    each(&row);
                }
                Err(fault) => pass.add(&path, line.number, fault),
            }
        }
        Ok(pass)
    }

    /// Calls `each` for every line of the file `name` below `net`, the heading included. Gives false when there is no such
    /// file.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub fn lines(&self, name: &str, each: &mut dyn FnMut(&[u8])) -> Result<bool, ProcfsError> {
        let path = self.file("net").join(name);
        let Some(mut lines) = open(&path)? else { return Ok(false) };
        while let Some(line) = lines.next().map_err(failed("read", &path))? {
            each(line.bytes);
        }
        Ok(true)
    }

    /// Calls `each` for every unix socket. The row is reused: copy what shall last.
    ///
    /// A path may hold newlines. A line that does not begin as a row does continues the path before it, so a path made
    /// to look like rows is listed as rows: the file does not tell them apart.
    ///
    /// # Errors
    /// As for [`Procfs::list`].
    pub fn unix(&self, each: &mut dyn FnMut(&UnixRow)) -> Result<Pass, ProcfsError> {
        let path = self.file("net/unix");
        let mut pass = Pass::default();
        let Some(mut lines) = open(&path)? else { return Ok(pass) };
        let mut row = unix::empty();
        let mut pending = false;
        while let Some(line) = lines.next().map_err(failed("read", &path))? {
            if lines::is_heading(line.number, line.bytes) {
                continue;
            }
            if pending && !row.path.is_empty() && !unix::begins(line.bytes) {
                row.path.push(b'\n');
                row.path.extend_from_slice(line.bytes);
                continue;
            }
            if pending {
                pass.rows += 1;
                each(&row);
            }
            pending = match unix::read(line.bytes, &mut row) {
                Ok(()) => true,
                Err(fault) => {
                    pass.add(&path, line.number, fault);
                    false
                }
            };
        }
        if pending {
            pass.rows += 1;
            each(&row);
        }
        Ok(pass)
    }
}

impl Pass {
    fn add(&mut self, path: &Path, line: u64, fault: Fault<'_>) {
        self.faulty += 1;
        if self.faults.len() < FAULTS_KEPT {
            let Fault { column, wanted, text } = fault;
            let text = text.get(..TEXT_KEPT).unwrap_or(text).to_vec();
            self.faults.push(ProcfsError::Field { path: path.to_owned(), line, column, wanted, text });
        }
    }
}

fn open(path: &Path) -> Result<Option<Lines<File>>, ProcfsError> {
    match File::open(path) {
        Ok(file) => Ok(Some(Lines::new(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("open", path)(error)),
    }
}

fn failed(op: &'static str, path: &Path) -> impl Fn(io::Error) -> ProcfsError {
    move |source| ProcfsError::Io { op, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
