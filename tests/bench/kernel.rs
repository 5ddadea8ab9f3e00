//! What programs cost in the kernel, by its own statistics.

use anyhow::{Context, Result};
use netstat_tests::sys;
use netstat_user::kernel::btf::Btf;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Commands and constants of `bpf(2)`: include/uapi/linux/bpf.h, 6.12.
const PROG_LOAD: i32 = 5;
const PROG_GET_FD_BY_ID: i32 = 13;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const RAW_TRACEPOINT_OPEN: i32 = 17;
const ENABLE_STATS: i32 = 32;
const TYPE_TRACING: u32 = 26;
const TRACE_RAW_TP: u32 = 23;

/// Runs of programs and the time they took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    pub count: u64,
    pub nanoseconds: u64,
}

impl Runs {
    pub fn since(self, before: Self) -> Self {
        Self {
            count: self.count.saturating_sub(before.count),
            nanoseconds: self.nanoseconds.saturating_sub(before.nanoseconds),
        }
    }

    /// Nanoseconds of one run.
    pub fn mean(self) -> f64 {
        self.nanoseconds as f64 / self.count.max(1) as f64
    }
}

/// The kernel measures programs as long as this is kept, which costs as much again as a small program.
pub struct Statistics {
    _enabled: OwnedFd,
    /// A program that does nothing, for what the measuring itself costs.
    empty: OwnedFd,
    _attached: OwnedFd,
}

impl Statistics {
    /// The empty program is at `tracepoint`.
    ///
    /// # Errors
    /// The kernel measures nothing, has no types, or takes no typed tracepoints.
    pub fn enable(tracepoint: &str) -> Result<Self> {
        // BPF_STATS_RUN_TIME
        let enabled = bpf(ENABLE_STATS, &mut [0]).context("BPF_ENABLE_STATS")?;
        let hook = format!("btf_trace_{tracepoint}");
        let number = Btf::read(Path::new("/"), &[&hook])?.number(&hook);
        let number = number.with_context(|| format!("no tracepoint {tracepoint}"))?;
        // r0 = 0; exit
        let instructions: [u64; 2] = [0xb7, 0x95];
        let license = c"GPL";
        // `union bpf_attr` as eight-byte words; what is not set is zero.
        let mut load = [0u64; 15];
        load[0] = u64::from(TYPE_TRACING) | (instructions.len() as u64) << 32;
        load[1] = instructions.as_ptr() as u64;
        load[2] = license.as_ptr() as u64;
        // prog_ifindex, expected_attach_type
        load[8] = u64::from(TRACE_RAW_TP) << 32;
        // line_info_cnt, attach_btf_id
        load[13] = u64::from(number) << 32;
        let empty = bpf(PROG_LOAD, &mut load).context("loading an empty program")?;
        let mut open = [0, u64::try_from(empty.as_raw_fd())?];
        let attached = bpf(RAW_TRACEPOINT_OPEN, &mut open).context("attaching an empty program")?;
        Ok(Self { _enabled: enabled, empty, _attached: attached })
    }

    /// Of the empty program.
    pub fn empty(&self) -> Result<Runs> {
        let path = format!("/proc/self/fdinfo/{}", self.empty.as_raw_fd());
        let (_, runs) = program(&std::fs::read_to_string(path)?).context("no statistics")?;
        Ok(runs)
    }
}

fn command(command: i32, attributes: &mut [u64]) -> Result<i32> {
    let size = size_of_val(attributes);
    // SAFETY: the attributes are `size` bytes, and what they point to lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    Ok(sys::checked(i32::try_from(result)?)?)
}

/// A command that makes a descriptor.
fn bpf(number: i32, attributes: &mut [u64]) -> Result<OwnedFd> {
    let fd = command(number, attributes)?;
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The programs of which a process has a descriptor, by their names (as far as the kernel keeps those: 15 bytes).
#[derive(Clone, Debug, Default)]
pub struct Programs(pub BTreeMap<String, Runs>);

impl Programs {
    /// # Errors
    /// The process is gone.
    pub fn of(pid: u32) -> Result<Self> {
        let mut by_number = BTreeMap::new();
        for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // A descriptor may be closed meanwhile.
            let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
            by_number.extend(program(&text));
        }
        let mut all = Self::default();
        for (number, runs) in by_number {
            let of_name = all.0.entry(name(number)?).or_default();
            of_name.count += runs.count;
            of_name.nanoseconds += runs.nanoseconds;
        }
        Ok(all)
    }

    pub fn since(&self, before: &Self) -> Self {
        let since = |(name, runs): (&String, &Runs)| {
            (name.clone(), runs.since(before.0.get(name).copied().unwrap_or_default()))
        };
        Self(self.0.iter().map(since).filter(|(_, runs)| runs.count > 0).collect())
    }

    /// All together.
    pub fn sum(&self) -> Runs {
        self.0.values().fold(Runs::default(), |sum, runs| Runs {
            count: sum.count + runs.count,
            nanoseconds: sum.nanoseconds + runs.nanoseconds,
        })
    }
}

/// Name of the program with this number.
fn name(number: u64) -> Result<String> {
    let fd = bpf(PROG_GET_FD_BY_ID, &mut [number, 0]).context("BPF_PROG_GET_FD_BY_ID")?;
    // `struct bpf_prog_info` up to the name, which is the ninth word and the tenth.
    let mut info = [0u64; 10];
    let mut attributes = [u64::try_from(fd.as_raw_fd())? | 80 << 32, info.as_mut_ptr() as u64];
    command(OBJ_GET_INFO_BY_FD, &mut attributes).context("BPF_OBJ_GET_INFO_BY_FD")?;
    // The kernel wrote there behind the compiler's back.
    let [.., first, second] = std::hint::black_box(info);
    let bytes = [first.to_ne_bytes(), second.to_ne_bytes()].concat();
    let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Number and runs of the program that a descriptor is described as.
fn program(fdinfo: &str) -> Option<(u64, Runs)> {
    let field = |name: &str| fdinfo.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    // Links have a `prog_id` too, but no times.
    Some((field("prog_id:")?, Runs { count: field("run_cnt:")?, nanoseconds: field("run_time_ns:")? }))
}
