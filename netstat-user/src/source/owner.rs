//! Who holds which socket, by one linear pass over /proc/PID/fd.

use crate::model::fact::Details;
use crate::model::{Comm, Holder, Pid, Process};
use rustc_hash::FxHashMap;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

/// Nanoseconds of a clock tick of /proc: `USER_HZ` is 100 on every architecture that runs eBPF.
const TICK_NS: u64 = 10_000_000;

/// Room for directory entries: a thousand file descriptors in one system call.
const ENTRIES: usize = 32 * 1024;

/// So many numbers in a row without a descriptor are a gap.
const GAP: u32 = 4;

/// The first word of a command line longer than this is cut.
const ARGV0_MAX: usize = 4096;

/// Why no pass could be made at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot {op} {path}")]
pub struct OwnerError {
    op: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What a pass found.
#[derive(Debug, Default)]
pub struct Scan {
    /// In the order of the directory, by process; a process that holds a socket by several files is there once.
    pub holders: Vec<Holder>,
    /// First word of the command line of each process in `holders`, any bytes; empty for a process that has none.
    pub argv0: FxHashMap<Pid, Box<[u8]>>,
    /// Processes whose files could be looked at.
    pub examined: u64,
    /// Processes that refused, for want of privilege (CAP_SYS_PTRACE).
    pub denied: u64,
    /// Those of them that did not even list their files.
    pub shut: u64,
}

/// Finds the holders of sockets below `root`, normally /proc. `wanted` says by inode which ones matter; `None`: all.
///
/// A process that ends meanwhile is not there; that is no error. A socket is found by the thread group's leader, so a
/// thread with files of its own (`CLONE_FILES` without) is not seen.
pub fn scan(root: &Path, wanted: Option<&dyn Fn(u32) -> bool>) -> Result<Scan, OwnerError> {
    let failed = |op| move |error: Errno| OwnerError { op, path: root.to_owned(), source: error.into() };
    let proc = open_dir(CWD, root).map_err(failed("open"))?;
    let mut scan = Scan::default();
    let mut room = Room::default();
    let mut processes = vec![MaybeUninit::uninit(); ENTRIES];
    let mut dir = RawDir::new(&proc, &mut processes);
    while let Some(entry) = dir.next() {
        let entry = entry.map_err(failed("list"))?;
        if let Some(pid) = number(entry.file_name().to_bytes()).and_then(Pid::new) {
            scan.add(proc.as_fd(), pid, wanted, &mut room);
        }
    }
    Ok(scan)
}

/// Who the process `pid` below `root` is; `None` when there is none.
pub fn process(root: &Path, pid: Pid) -> Option<Process> {
    let proc = open_dir(CWD, root).ok()?;
    describe(proc.as_fd(), pid, &mut Room::default())
}

/// First word of the command line of `pid` below `root`; `None` when there is no such process.
pub fn argv0(root: &Path, pid: Pid) -> Option<Box<[u8]>> {
    let proc = open_dir(CWD, root).ok()?;
    first_word(proc.as_fd(), pid, &mut Room::default())
}

/// Memory used again for each process.
struct Room {
    path: Vec<u8>,
    text: Vec<u8>,
    entries: Vec<MaybeUninit<u8>>,
    /// Sockets, each with the descriptor.
    inodes: Vec<(u32, u32)>,
    /// The directory of files could be opened.
    listed: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            path: Vec::with_capacity(32),
            text: vec![0; ARGV0_MAX],
            entries: vec![MaybeUninit::uninit(); ENTRIES],
            inodes: Vec::new(),
            listed: false,
        }
    }
}

impl Scan {
    fn add(&mut self, proc: BorrowedFd<'_>, pid: Pid, wanted: Option<&dyn Fn(u32) -> bool>, room: &mut Room) {
        room.inodes.clear();
        match sockets(proc, pid, wanted, room) {
            Ok(()) => self.examined += 1,
            Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                self.denied += 1;
                self.shut += u64::from(error == Errno::ACCESS && !room.listed);
            }
            // It has ended, perhaps in the middle: then nobody holds what was seen either.
            Err(_) => return,
        }
        if room.inodes.is_empty() {
            return;
        }
        room.inodes.sort_unstable();
        room.inodes.dedup_by_key(|(inode, _)| *inode);
        let Some(process) = describe(proc, pid, room) else { return };
        let held = |&(inode, fd): &(u32, u32)| Holder { inode, cookie: None, process, fd };
        self.holders.extend(room.inodes.iter().map(held));
        if let Some(word) = first_word(proc, pid, room) {
            self.argv0.insert(pid, word);
        }
    }
}

/// Puts the inodes of the wanted sockets that `pid` has open into `room.inodes`.
fn sockets(
    proc: BorrowedFd<'_>,
    pid: Pid,
    wanted: Option<&dyn Fn(u32) -> bool>,
    room: &mut Room,
) -> Result<(), Errno> {
    room.listed = false;
    let fds = open_dir(proc, path(&mut room.path, pid, "fd"))?;
    room.listed = true;
    let Room { inodes, entries, .. } = room;
    let mut look = |name: &CStr, fd: u32| -> Result<bool, Errno> {
        let mut target = [0u8; 40];
        let length = match rustix::fs::readlinkat_raw(&fds, name, &mut target[..]) {
            Ok(length) => length,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error),
        };
        let inode = target.get(..length).and_then(socket_inode);
        let inode = inode.filter(|&inode| wanted.is_none_or(|wanted| wanted(inode)));
        inodes.extend(inode.map(|inode| (inode, fd)));
        Ok(true)
    };
    // Descriptors are given from 0 on, and the kernel takes as long to list one as to look at it: so the directory is asked
    // only for those behind a gap.
    let (mut fd, mut gap) = (0, 0);
    let mut name = Vec::new();
    while gap < GAP {
        gap = if look(in_decimal(&mut name, fd), fd)? { 0 } else { gap + 1 };
        fd += 1;
    }
    // Its first two entries are `.` and `..` (`proc_readfd_common`, fs/proc/fd.c, 5.10 to 7.2).
    rustix::fs::seek(&fds, SeekFrom::Start(2 + u64::from(fd)))?;
    let mut dir = RawDir::new(&fds, entries);
    while let Some(entry) = dir.next() {
        let entry = entry?;
        if let Some(fd) = number(entry.file_name().to_bytes()) {
            // Closed meanwhile, if it is not there.
            look(entry.file_name(), fd)?;
        }
    }
    Ok(())
}

/// The number in `socket:[N]`, or in `[0000]:N`, as kernels before 2.6 have it.
fn socket_inode(target: &[u8]) -> Option<u32> {
    match target.strip_prefix(b"socket:[") {
        Some(rest) => number(rest.strip_suffix(b"]")?),
        None => number(target.strip_prefix(b"[0000]:")?),
    }
}

fn describe(proc: BorrowedFd<'_>, pid: Pid, room: &mut Room) -> Option<Process> {
    let length = read(proc, path(&mut room.path, pid, "stat"), &mut room.text)?;
    let (comm, parent, start) = parse_stat(room.text.get(..length)?)?;
    let length = read(proc, path(&mut room.path, pid, "status"), &mut room.text);
    let status = length.and_then(|length| room.text.get(..length)).unwrap_or_default();
    Some(Process { pid, comm, start, uid: parse_uid(status), parent, inner: parse_inner(status) })
}

/// The name, the parent and the start of a /proc/PID/stat (proc_pid_stat(5)). The name stands in parentheses and may
/// itself hold any byte, also these.
fn parse_stat(text: &[u8]) -> Option<(Comm, Option<Pid>, u64)> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let comm = Comm::from_bytes(text.get(open + 1..close)?);
    // After the name: state (3), parent (4), ... start (22).
    let mut fields = text.get(close + 1..)?.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let parent = fields.nth(1).and_then(number).and_then(Pid::new);
    let start = fields.nth(17).and_then(wide_number).map_or(0, |ticks| ticks.saturating_mul(TICK_NS));
    Some((comm, parent, start))
}

/// The real user of a /proc/PID/status. The name, its first line, has newlines escaped.
fn parse_uid(text: &[u8]) -> Option<u32> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    line.split(|&byte| byte == b'\t' || byte == b' ').find(|field| !field.is_empty()).and_then(number)
}

/// The last number of the line `NSpid` of a /proc/PID/status: that in the process's own PID namespace.
fn parse_inner(text: &[u8]) -> Option<Pid> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
    let last = line.split(|&byte| byte == b'\t' || byte == b' ').rfind(|field| !field.is_empty());
    last.and_then(number).and_then(Pid::new)
}

/// Command line and program of a process; what it does not show, or what it has none of, is empty. Its user's name is not
/// looked up here.
pub fn details(root: &Path, pid: Pid) -> Details {
    let Ok(proc) = open_dir(CWD, root) else { return Details::default() };
    let mut room = Room::default();
    let length = read(proc.as_fd(), path(&mut room.path, pid, "cmdline"), &mut room.text).unwrap_or_default();
    let text = room.text.get(..length).unwrap_or_default();
    let words = text.strip_suffix(&[0]).unwrap_or(text);
    let command = words.iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect();
    let link = rustix::fs::readlinkat(&proc, path(&mut room.path, pid, "exe"), Vec::new());
    Details { command, executable: link.map(|path| path.into_bytes()).unwrap_or_default(), user: Vec::new() }
}

fn first_word(proc: BorrowedFd<'_>, pid: Pid, room: &mut Room) -> Option<Box<[u8]>> {
    let length = read(proc, path(&mut room.path, pid, "cmdline"), &mut room.text)?;
    let text = room.text.get(..length)?;
    text.split(|&byte| byte == 0).next().map(Into::into)
}

/// `PID/name` with its NUL, in `buffer`.
fn path<'a>(buffer: &'a mut Vec<u8>, pid: Pid, name: &str) -> &'a CStr {
    in_decimal(buffer, pid.get());
    buffer.pop();
    buffer.push(b'/');
    buffer.extend_from_slice(name.as_bytes());
    buffer.push(0);
    CStr::from_bytes_until_nul(buffer).unwrap_or_default()
}

/// A number with a NUL behind it, in `buffer`.
fn in_decimal(buffer: &mut Vec<u8>, mut rest: u32) -> &CStr {
    let mut digits = [0; 11];
    let mut used = 1;
    for digit in digits.iter_mut().rev().skip(1) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    buffer.clear();
    buffer.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
    CStr::from_bytes_until_nul(buffer).unwrap_or_default()
}

fn open_dir(base: BorrowedFd<'_>, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(base, path, flags, Mode::empty())
}

/// Reads a small file, as much of it as fits; `None` when it is gone or refuses.
fn read(base: BorrowedFd<'_>, path: &CStr, text: &mut [u8]) -> Option<usize> {
    let file = rustix::fs::openat(base, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut length = 0;
    loop {
        match rustix::io::read(&file, text.get_mut(length..)?) {
            Ok(0) => return Some(length),
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

fn number(text: &[u8]) -> Option<u32> {
    wide_number(text).and_then(|value| u32::try_from(value).ok())
}

fn wide_number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    fn inode(socket: &impl AsRawFd) -> u32 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        socket_inode(link.as_os_str().as_encoded_bytes()).unwrap()
    }

    #[test]
    fn a_listener_of_this_process_is_found_once_with_its_names() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let again = listener.try_clone().unwrap();
        let wanted = inode(&again);
        let scan = scan(Path::new("/proc"), Some(&|inode| inode == wanted)).unwrap();
        let this = Pid::new(std::process::id()).unwrap();
        let [holder] = scan.holders[..] else { panic!("{:?}", scan.holders) };
        assert_eq!((holder.inode, holder.process.pid), (wanted, this));
        assert_eq!(holder.fd, listener.as_raw_fd().min(again.as_raw_fd()).cast_unsigned());
        let details = details(Path::new("/proc"), this);
        let words: Vec<_> = std::env::args_os().map(|word| word.into_encoded_bytes()).collect();
        assert_eq!(details.command, words.join(&b' '));
        assert_eq!(
            details.executable,
            std::env::current_exe().unwrap().into_os_string().into_encoded_bytes()
        );
        assert_eq!(Some(holder.process), process(Path::new("/proc"), this));
        assert_eq!(holder.process.uid, Some(rustix::process::getuid().as_raw()));
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
        assert_eq!(holder.process.parent.map(Pid::get), parent);
        assert_ne!(holder.process.start, 0);
        let comm = std::fs::read("/proc/self/comm").unwrap();
        assert_eq!(holder.process.comm.bytes(), comm.strip_suffix(b"\n").unwrap());
        let first = std::env::args_os().next().unwrap();
        assert_eq!(&scan.argv0[&this][..], first.as_encoded_bytes());
        assert_eq!(argv0(Path::new("/proc"), this).as_deref(), Some(first.as_encoded_bytes()));
        assert!(scan.examined > 0);
    }

    #[test]
    fn descriptors_behind_gaps_are_found() {
        let sockets: Vec<_> = [3, 4, 5, 6, 40, 900]
            .map(|gap| {
                let socket = TcpListener::bind("127.0.0.1:0").unwrap();
                // The lowest free descriptor from `100 + gap` on.
                let fd = rustix::io::fcntl_dupfd_cloexec(&socket, 100 + gap).unwrap();
                (inode(&fd), fd)
            })
            .into();
        let scan = scan(Path::new("/proc"), None).unwrap();
        let own = Pid::new(std::process::id()).unwrap();
        for (inode, fd) in &sockets {
            let holders = scan.holders.iter().filter(|holder| holder.process.pid == own);
            let found: Vec<u32> =
                holders.filter(|holder| holder.inode == *inode).map(|holder| holder.fd).collect();
            assert_eq!(found, [fd.as_raw_fd().cast_unsigned()]);
        }
    }

    #[test]
    fn nobody_has_the_highest_number() {
        assert_eq!(process(Path::new("/proc"), Pid::MAX), None);
        let error = scan(Path::new("/nowhere"), None).unwrap_err();
        assert_eq!(error.to_string(), "cannot open /nowhere");
    }

    #[test]
    fn links_that_are_sockets_are_told_from_others() {
        assert_eq!(socket_inode(b"socket:[12345]"), Some(12345));
        assert_eq!(socket_inode(b"[0000]:77"), Some(77));
        for other in
            [&b"pipe:[12345]"[..], b"/tmp/socket:[1]", b"socket:[]", b"socket:[+1]", b"socket:[4294967296]"]
        {
            assert_eq!(socket_inode(other), None);
        }
    }

    #[test]
    fn a_name_may_hold_anything() {
        let text = b"42 (a) b(\n) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1234 9 9\n";
        let (comm, parent, start) = parse_stat(text).unwrap();
        assert_eq!((comm.bytes(), parent, start), (&b"a) b(\n"[..], Pid::new(7), 12_340_000_000));
        assert_eq!(parse_inner(b"Name:\tx\nNSpid:\t1000\t7\n"), Pid::new(7));
        assert_eq!(parse_inner(b"Name:\tNSpid:\n"), None);
        assert_eq!(parse_uid(b"Name:\tx\\nUid:\t9\nUid:\t1000\t0\t0\t0\n"), Some(1000));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (parse_stat(&bytes), parse_uid(&bytes), parse_inner(&bytes), socket_inode(&bytes));
        }

        #[test]
        fn paths_are_the_decimal_number(pid in 1u32..) {
            let mut buffer = Vec::new();
            let expected = format!("{pid}/fd");
            prop_assert_eq!(path(&mut buffer, Pid::new(pid).unwrap(), "fd").to_bytes(), expected.as_bytes());
        }
    }
}
