//! The machine itself: mounts, modules, loopback, power.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;

use rustix::mount::{MountFlags, mount};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::system::{RebootCommand, finit_module, reboot, sethostname};

/// Source, directory, type, options.
const MOUNTS: &[(&str, &str, &str, Option<&CStr>)] = &[
    ("proc", "/proc", "proc", None),
    ("sysfs", "/sys", "sysfs", None),
    ("devtmpfs", "/dev", "devtmpfs", None),
    ("devpts", "/dev/pts", "devpts", Some(c"mode=0620,ptmxmode=0666")),
    ("tmpfs", "/dev/shm", "tmpfs", Some(c"mode=1777")),
    ("tracefs", "/sys/kernel/tracing", "tracefs", None),
    ("debugfs", "/sys/kernel/debug", "debugfs", None),
    ("bpf", "/sys/fs/bpf", "bpf", Some(c"mode=0700")),
    ("cgroup2", "/sys/fs/cgroup", "cgroup2", None),
];

/// Open files that a process may have.
const FILES: u64 = 20_000;

/// Does all of it and returns what failed: a test that needs it will say so again.
pub fn prepare() -> Vec<String> {
    let mut problems = Vec::new();
    for (source, directory, kind, options) in MOUNTS {
        // Those under /dev and /proc do not exist before their parent is mounted.
        let _ = fs::create_dir_all(directory);
        if let Err(error) = mount(*source, *directory, *kind, MountFlags::empty(), *options) {
            problems.push(format!("cannot mount {kind} on {directory}: {error}"));
        }
    }
    if let Err(error) = sethostname(b"enetstat") {
        problems.push(format!("cannot set the host name: {error}"));
    }
    // As on a machine that runs servers; the kernel's own default is a thousand.
    let files = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    if let Err(error) = setrlimit(Resource::Nofile, files) {
        problems.push(format!("cannot allow {FILES} open files: {error}"));
    }
    if let Err(error) = loopback_up() {
        problems.push(format!("cannot bring lo up: {error}"));
    }
    for path in fs::read_to_string("/etc/modules").unwrap_or_default().lines() {
        if let Err(error) = load(path) {
            problems.push(format!("cannot load the module {path}: {error}"));
        }
    }
    problems
}

fn load(path: &str) -> io::Result<()> {
    let module = File::open(path)?;
    match finit_module(&module, c"", 0) {
        Err(rustix::io::Errno::EXIST) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: ifreq is integers, arrays and pointers; all zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = libc::c_char::from_ne_bytes([*byte]);
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads one ifreq, which lives through the call; the descriptor is open.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Ends the machine. Returns only if the kernel refuses.
pub fn power_off() {
    rustix::fs::sync();
    let _ = reboot(RebootCommand::PowerOff);
}
