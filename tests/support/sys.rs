//! The few system calls that the standard library does not offer.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Turns a C result into a Rust one.
pub fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sets a socket option whose value is one plain C structure.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_option<T: Copy>(fd: BorrowedFd<'_>, level: i32, name: i32, value: T) -> io::Result<()> {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` lives until the call returns and `size` is its size; the kernel only reads it.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), size) })?;
    Ok(())
}

/// The kernel's cookie of a socket (`SO_COOKIE`), which it makes when there is none yet.
///
/// # Errors
/// Those of getsockopt(2).
pub fn cookie(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0u64;
    let mut size = size_of::<u64>() as libc::socklen_t;
    let to = (&raw mut cookie).cast();
    // SAFETY: `to` points to eight writable bytes and `size` says so.
    checked(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_COOKIE, to, &raw mut size)
    })?;
    Ok(cookie)
}

/// How many segments a TCP socket has taken from the network: `tcpi_segs_in` of `TCP_INFO` (include/uapi/linux/tcp.h).
///
/// # Errors
/// Those of getsockopt(2).
pub fn segments_in(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // Up to that field: the kernel writes as much as there is room for.
    let mut info = [0_u32; 36];
    let mut length = size_of_val(&info) as libc::socklen_t;
    let at = info.as_mut_ptr().cast();
    // SAFETY: the pointer and the length are those of a local array, of whose words every value is valid.
    checked(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, at, &raw mut length)
    })?;
    Ok(info[35])
}

/// Closing the socket sends RST (`SO_LINGER` with time 0).
///
/// # Errors
/// Those of setsockopt(2).
pub fn reset_on_close(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, libc::linger { l_onoff: 1, l_linger: 0 })
}

/// A stream socket of the family.
///
/// # Errors
/// Those of socket(2).
pub fn stream_socket(v6: bool, flags: i32) -> io::Result<OwnedFd> {
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: no pointer is passed.
    let fd = checked(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags, 0) })?;
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes the child process of `command` end when the thread that starts it ends.
pub fn die_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    fn bind_life() -> io::Result<()> {
        // SAFETY: no pointer is passed.
        checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }).map(|_| ())
    }
    // SAFETY: prctl is async-signal-safe and the function allocates nothing.
    unsafe { command.pre_exec(bind_life) };
}

/// Waits for a thread that is to give a result.
///
/// # Errors
/// It panicked.
pub fn joined<T>(result: std::thread::Result<T>) -> io::Result<T> {
    result.map_err(|panic| {
        let said = panic.downcast_ref::<&str>().map_or_else(String::new, |text| format!(": {text}"));
        io::Error::other(format!("a thread panicked{said}"))
    })
}

/// Sends a signal to a process that we started and have not waited for.
///
/// # Errors
/// Those of kill(2).
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let pid =
        libc::pid_t::try_from(pid).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
