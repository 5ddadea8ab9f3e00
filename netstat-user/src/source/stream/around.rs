//! What loading needs of the process and of the machine around it.

use aya::EbpfLoader;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Up to 5.10 maps count as locked memory. Later kernels do not look, and where it is refused the maps' own error tells.
pub fn raise_memlock() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Memlock);
    let hard = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).is_err() {
        let _ = setrlimit(Resource::Memlock, hard);
    }
}

/// Has the allocator keep large pieces of memory apart from each other, as it does until the first of them is given back: then
/// a piece that grows is moved by moving its pages, and what loading needed is the machine's again afterwards (a megabyte of
/// fifteen).
pub fn keep_pieces_apart() {
    // Where the C library has no such setting, it has none to change.
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 128 * 1024;
        // SAFETY: a number of the allocator's, which locks itself; what is allocated stays valid.
        let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}

/// The soft limit of locked memory, if there is one.
pub fn memlock() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

/// Inode of the initial PID namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h, 6.12).
const INITIAL_PIDS: u64 = 0xEFFF_FFFC;

/// This process as the kernel half sees it: in the initial PID namespace; 0 where that is not ours.
pub fn own_number() -> u32 {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata("/proc/self/ns/pid") {
        Ok(namespace) if namespace.ino() == INITIAL_PIDS => std::process::id(),
        _ => 0,
    }
}

/// Microseconds of a tick of the kernel's clock: that of the coarse clocks (`KTIME_LOW_RES`, include/linux/hrtimer_defs.h,
/// 6.12).
pub fn tick() -> u32 {
    use rustix::time::{ClockId, clock_getres};
    let tick = clock_getres(ClockId::MonotonicCoarse);
    u32::try_from(tick.tv_nsec / 1000).unwrap_or(0)
}

/// A loader that does not have the kernel's types: a new one reads them all, which takes longer than everything else in
/// user space. So it is made by a thread for which the machine ends at the directory that they lie in.
pub fn loader<'a>() -> EbpfLoader<'a> {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    let make = || {
        // SAFETY: a directory tree of this thread's own, which ends with `make`.
        let own = unsafe { unshare_unsafe(UnshareFlags::FS) };
        // Where it is refused, the types are read, and not used.
        let _ = own.and_then(|()| rustix::process::chroot("/sys/kernel/btf"));
        EbpfLoader::new()
    };
    std::thread::scope(|scope| {
        let making = std::thread::Builder::new().name("enetstat-loader".to_owned()).spawn_scoped(scope, make);
        making.ok().and_then(|thread| thread.join().ok()).unwrap_or_default()
    })
}

/// Mounts tracefs in a mount namespace of this thread's own: nobody else sees it, and it is gone when the thread and
/// what it opened are.
pub fn private_tracefs() -> Result<PathBuf, std::io::Error> {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    let target = Path::new("/sys/kernel/tracing");
    // SAFETY: a new mount namespace (and with it a file system context of its own) concerns this thread only, which was
    // made for loading and opens nothing by a path that others rely on.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tracefs", target, "tracefs", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?;
    Ok(target.to_owned())
}

/// Whether the kernel can give sockets storage of their own. From 7.0 on it does so without a lock, which on x86 takes an
/// instruction that the oldest and some emulated processors lack (`kmalloc_nolock`, mm/slub.c).
pub fn has_socket_storage() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("cmpxchg16b");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

/// Ticks of so many microseconds that are at least as long as the interval, wherever in a tick it begins.
pub(super) fn queue_ticks(interval: Duration, tick: u32) -> u64 {
    let ticks = interval.as_micros().div_ceil(u128::from(tick.max(1)));
    u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(u64::from(!interval.is_zero()))
}
