//! Where a hardened kernel runs no programs.
//!
//! A timer, or the network, interrupts whatever runs just then. Where that is a thread of process 1, some hardened kernels run
//! no program of any kind, and do not count that they did not (seen in a 6.18 that refuses all programs at functions). What
//! happens there is told by nobody. perf counts the same tracepoints, though: so on such a kernel what falls on process 1 is
//! counted, and told as lost.

use crate::kernel::bpf::{Attach, Kind, Program};
use crate::kernel::format;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Reading a counter of a task that runs asks its processor: not more often than this.
const PAUSE: Duration = Duration::from_millis(50);

/// Events that fall on process 1.
pub struct Unseen {
    counters: Vec<File>,
    /// `None`: the next look is due at once.
    looked: Option<Instant>,
    count: u64,
}

impl Unseen {
    /// Counts where the kernel refuses a program at the function of this number; `None` on any other kernel, and where
    /// process 1 of the host is not to be seen or perf is not to be had. By a thread that has tracefs.
    ///
    /// `netns` is the inode of the only network namespace that is looked at; `handlers` gives the addresses of the functions
    /// behind the timers that are looked at: of timewait sockets and of requests.
    pub fn watch(
        function: Option<u32>,
        netns: Option<u32>,
        handlers: impl FnOnce() -> Option<[u64; 2]>,
    ) -> Option<Self> {
        if super::around::own_number() == 0 || !refuses(function?) {
            return None;
        }
        let tracefs = format::tracefs(Path::new("/"))?;
        let mut counters = Vec::new();
        for (event, filter) in filters(handlers(), is_own_namespace(netns)) {
            let id = std::fs::read_to_string(tracefs.join("events").join(event).join("id")).ok()?;
            let id = id.trim().parse().ok()?;
            for thread in std::fs::read_dir("/proc/1/task").ok()?.flatten() {
                let thread = thread.file_name().to_str().and_then(|name| name.parse().ok())?;
                // One that has just ended has nothing to be counted.
                counters.extend(counter(id, thread, &filter).ok());
            }
        }
        (!counters.is_empty()).then(|| Self { counters, looked: None, count: 0 })
    }

    /// Has the next [count](Self::count) be that of its moment.
    pub fn look_at_once(&mut self) {
        self.looked = None;
    }

    /// How many there were since the beginning, or a moment ago.
    pub fn count(&mut self) -> u64 {
        if self.looked.is_none_or(|looked| looked.elapsed() >= PAUSE) {
            self.looked = Some(Instant::now());
            self.count = self.counters.iter().filter_map(|counter| read(counter).ok()).sum();
        }
        self.count
    }
}

/// The tracepoints, and which of their events.
fn filters(handlers: Option<[u64; 2]>, own: bool) -> Vec<(&'static str, String)> {
    /// What `common_flags` has in a softirq (`TRACE_FLAG_SOFTIRQ`, include/linux/trace_events.h, 6.12).
    const SOFTIRQ: u32 = 16;
    let mut filters = vec![("sock/inet_sock_set_state", String::new())];
    if let Some([timewait, request]) = handlers {
        let function = format!("(function == {timewait:#x} || function == {request:#x})");
        filters
            .extend(["timer/timer_start", "timer/timer_expire_entry"].map(|event| (event, function.clone())));
    }
    if !own {
        // What process 1 does itself happens in its own namespace; an interrupt may be about any.
        for (_, filter) in &mut filters {
            let and = if filter.is_empty() { "" } else { " && " };
            let _ = write!(filter, "{and}common_flags & {SOFTIRQ}");
        }
    }
    filters
}

/// Whether the namespace is that of process 1, or all are looked at.
fn is_own_namespace(netns: Option<u32>) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::metadata("/proc/1/ns/net").map(|namespace| namespace.ino());
    netns.is_none_or(|netns| own.is_ok_and(|own| own == u64::from(netns)))
}

/// Whether the kernel does not permit a program at a function: it is loaded, which is all that is refused.
fn refuses(function: u32) -> bool {
    /// `r0 = 0; exit`
    const NOTHING: [u64; 2] = [0xb7, 0x95];
    let program = Program {
        kind: Kind::Tracing,
        name: "refused",
        instructions: &NOTHING,
        license: c"GPL",
        target: Some((Attach::Fentry, function)),
        functions: None,
    };
    program.load().is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

/// Counts a tracepoint's events in one thread and those that it starts, whatever processor it is on.
fn counter(id: u64, thread: i32, filter: &str) -> io::Result<File> {
    /// The beginning of `struct perf_event_attr` (include/uapi/linux/perf_event.h, 6.12).
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        kind: u32,
        size: u32,
        config: u64,
        sample_period: u64,
        sample_type: u64,
        read_format: u64,
        flags: u64,
        unused: [u64; 2],
    }
    /// `PERF_ATTR_SIZE_VER0`
    const _: () = assert!(size_of::<Attributes>() == 64);
    /// `PERF_TYPE_TRACEPOINT`
    const TRACEPOINT: u32 = 2;
    /// Of the flags.
    const INHERIT: u64 = 1 << 1;
    const INHERIT_THREAD: u64 = 1 << 35;
    /// `PERF_FLAG_FD_CLOEXEC`
    const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;
    /// `PERF_EVENT_IOC_SET_FILTER`
    const SET_FILTER: libc::Ioctl = 0x4008_2406;
    let filter = std::ffi::CString::new(filter).map_err(io::Error::other)?;
    let attributes = Attributes {
        kind: TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: id,
        flags: INHERIT | INHERIT_THREAD,
        ..Attributes::default()
    };
    let (any_processor, no_group) = (-1, -1);
    // SAFETY: the kernel reads as many bytes of the attributes as they say themselves.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            thread,
            any_processor,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    let counter = unsafe { File::from_raw_fd(fd) };
    if !filter.is_empty() {
        // SAFETY: the kernel reads a string that ends with NUL.
        let set = unsafe { libc::ioctl(counter.as_raw_fd(), SET_FILTER, filter.as_ptr()) };
        if set < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(counter)
}

fn read(mut counter: &File) -> io::Result<u64> {
    let mut count = [0; 8];
    counter.read_exact(&mut count)?;
    Ok(u64::from_ne_bytes(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_process_1_does_itself_counts_in_its_own_namespace_only() {
        let handlers = Some([0x10, 0x20]);
        let timers = "(function == 0x10 || function == 0x20)";
        let texts = |own| filters(handlers, own).into_iter().map(|(_, filter)| filter).collect::<Vec<_>>();
        assert_eq!(texts(true), ["", timers, timers]);
        let timers = format!("{timers} && common_flags & 16");
        assert_eq!(texts(false), ["common_flags & 16", &timers, &timers]);
        assert_eq!(filters(None, true).len(), 1);
    }

    /// Where we may: what a thread of ours does is counted, and what the filter lets through only.
    #[test]
    fn a_counter_counts() {
        let counting = || {
            let tracefs = format::tracefs(Path::new("/"))
                .map(Ok)
                .unwrap_or_else(super::super::around::private_tracefs)
                .map_err(|cause| format!("no tracefs: {cause}"))?;
            let id = std::fs::read_to_string(tracefs.join("events/sched/sched_switch/id"));
            let id = id.map_err(|cause| cause.to_string())?.trim().parse().expect("a number");
            let counter = |filter| counter(id, 0, filter).map_err(|cause| format!("no perf: {cause}"));
            let (all, none) = (counter("common_pid > 0")?, counter("common_pid == 0")?);
            for _ in 0..5 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let read = |counter| read(counter).expect("a counter can be read");
            assert!(read(&all) >= 5 && read(&none) == 0, "{} and {}", read(&all), read(&none));
            Ok::<_, String>(())
        };
        // A thread of its own: it may mount a tracefs that nobody else sees.
        let counted = std::thread::spawn(counting).join().expect("it counts");
        if let Err(why) = counted {
            eprintln!("skipped: a_counter_counts: {why}");
        }
    }
}
