//! Why the kernel would not, and what helps.

use super::btf::BtfError;
use super::kallsyms::KallsymsError;
use aya::maps::MapError;
use aya::programs::{KProbeError, ProgramError, TracePointError};
use aya::{EbpfError, sys::SyscallError};
use std::io;

/// How to grant what tracing needs without being root.
pub const GRANT: &str = "run as root, or: setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace,cap_dac_read_search+ep enetstat";

/// Why a way to learn something is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The process may not use eBPF at all.
    #[error("not permitted: {} missing", missing.join(", "))]
    Privilege { missing: Vec<&'static str> },
    /// All privileges are there, and still the kernel says no.
    #[error("{operation} refused ({cause}) in spite of sufficient privileges")]
    Denied { operation: &'static str, cause: io::Error },
    /// The kernel is locked down.
    #[error("{operation} refused: the kernel is locked down ({mode})")]
    Lockdown { operation: &'static str, mode: String },
    /// No type information.
    #[error("no kernel type information: {0}")]
    NoBtf(#[source] BtfError),
    /// No layouts of tracepoints.
    #[error("tracefs is not mounted at /sys/kernel/tracing{}", cause.as_ref().map(|cause| format!(" and cannot be mounted here ({cause})")).unwrap_or_default())]
    NoTracefs { cause: Option<io::Error> },
    /// The kernel's functions cannot be recognised.
    #[error("the handlers of the kernel's timers are not known: {0}")]
    NoHandlers(#[from] KallsymsError),
    /// This kernel does not have what would be hooked.
    #[error("this kernel has no {0}")]
    NoHook(String),
    /// A kernel function whose arguments are not known.
    #[error("{function} has {found} arguments in this kernel, which this program does not know")]
    Arguments { function: &'static str, found: u32 },
    /// The verifier did not like a program.
    #[error("the kernel's verifier refused the program {program} ({cause})")]
    Verifier {
        program: &'static str,
        cause: io::Error,
        /// What the verifier said; its last lines name the reason.
        log: String,
    },
    /// Up to 5.10 maps are charged to the limit of locked memory.
    #[error(
        "the limit of locked memory is too low for the kernel's maps ({limit} bytes) and cannot be raised"
    )]
    Memlock { limit: u64 },
    /// A map could not be made.
    #[error("the kernel refused the map {name} ({cause})")]
    Map { name: String, cause: io::Error },
    /// The object and this program do not belong together.
    #[error("the eBPF object has ABI {found}, this program {expected}")]
    Abi { found: u32, expected: u32 },
    /// The object is damaged.
    #[error("the eBPF object cannot be used: {0}")]
    Object(String),
    /// Anything else, with its cause.
    #[error("{operation} failed: {cause}")]
    Failed { operation: &'static str, cause: String },
}

/// Lines of the verifier's log in [`Refusal::last_words`].
const LAST_WORDS: usize = 12;

impl Refusal {
    /// The last words of the verifier, which name its reason.
    pub fn last_words(&self) -> Option<String> {
        let Self::Verifier { log, .. } = self else { return None };
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(LAST_WORDS)..).unwrap_or_default();
        (!last.is_empty()).then(|| last.join("\n"))
    }

    /// What helps, if anything does.
    pub fn cure(&self) -> Option<String> {
        Some(match self {
            Self::Privilege { .. } => GRANT.to_owned(),
            Self::Denied { .. } => {
                "a seccomp filter, a security module or a hardened kernel forbids it; in a container allow bpf and \
                 perf_event_open, or run enetstat on the host"
                    .to_owned()
            }
            Self::Lockdown { .. } => "boot without lockdown=confidentiality".to_owned(),
            Self::NoBtf(BtfError::Read { .. }) => {
                "use a kernel with CONFIG_DEBUG_INFO_BTF=y; in a container mount /sys/kernel/btf".to_owned()
            }
            Self::NoTracefs { .. } => "mount -t tracefs tracefs /sys/kernel/tracing".to_owned(),
            Self::NoHandlers(KallsymsError::Hidden) => {
                "sysctl kernel.kptr_restrict=1 and CAP_SYSLOG, so that /proc/kallsyms tells addresses".to_owned()
            }
            Self::Memlock { .. } => "ulimit -l unlimited, or run as root".to_owned(),
            Self::Map { name, .. } if name == "EVENTS" => "use Linux 5.8 or later".to_owned(),
            Self::Abi { .. } | Self::Object(_) => "rebuild with: cargo xtask build".to_owned(),
            _ => return None,
        })
    }

    /// From making a map. `memlock` is the limit of locked memory, if there is one.
    pub(crate) fn from_map(name: String, cause: io::Error, memlock: Option<u64>) -> Self {
        if cause.kind() != io::ErrorKind::PermissionDenied {
            return Self::Map { name, cause };
        }
        match (denied("making eBPF maps", cause), memlock) {
            // Nothing else is in the way, so it is the limit: such kernels answer with EPERM.
            (Self::Denied { .. }, Some(limit)) => Self::Memlock { limit },
            (refusal, _) => refusal,
        }
    }

    /// From loading the object, that is from making its maps.
    pub(crate) fn from_object(error: EbpfError, memlock: Option<u64>) -> Self {
        match error {
            EbpfError::MapError(MapError::CreateError { name, io_error }) => {
                Self::from_map(name, io_error, memlock)
            }
            EbpfError::BtfError(error) => {
                Self::Failed { operation: "loading the object's types", cause: chain(&error) }
            }
            other => Self::Object(chain(&other)),
        }
    }

    /// From loading one program; `hook` names what it would be attached to, `log` is what the verifier says.
    pub(crate) fn from_verifier(program: &'static str, hook: &str, cause: io::Error, log: String) -> Self {
        match cause.kind() {
            io::ErrorKind::PermissionDenied if log.trim().is_empty() => {
                denied("loading eBPF programs", cause)
            }
            io::ErrorKind::NotFound => Self::NoHook(hook.to_owned()),
            _ => Self::Verifier { program, cause, log },
        }
    }

    /// From attaching to `hook`.
    pub(crate) fn from_attaching(hook: &str, cause: io::Error) -> Self {
        let operation = "attaching eBPF programs";
        match cause.kind() {
            io::ErrorKind::PermissionDenied => denied(operation, cause),
            io::ErrorKind::NotFound => Self::NoHook(hook.to_owned()),
            _ => Self::Failed { operation, cause: format!("{hook}: {cause}") },
        }
    }

    /// From loading or attaching one program; `hook` names what it would be attached to.
    pub(crate) fn from_program(program: &'static str, hook: &str, error: ProgramError) -> Self {
        let absent = || Self::NoHook(hook.to_owned());
        match error {
            ProgramError::LoadError { io_error, verifier_log } => {
                Self::from_verifier(program, hook, io_error, verifier_log.to_string())
            }
            ProgramError::TracePointError(TracePointError::FileError { io_error, .. }) => {
                match io_error.kind() {
                    io::ErrorKind::NotFound => absent(),
                    _ => denied("reading tracefs", io_error),
                }
            }
            ProgramError::KProbeError(KProbeError::FileError { io_error, .. })
                if io_error.kind() == io::ErrorKind::NotFound =>
            {
                Self::NoHook("breakpoints at functions (CONFIG_KPROBE_EVENTS)".to_owned())
            }
            ProgramError::SyscallError(SyscallError { io_error, .. }) => Self::from_attaching(hook, io_error),
            other => Self::Failed {
                operation: "attaching eBPF programs",
                cause: format!("{hook}: {}", chain(&other)),
            },
        }
    }
}

/// Tells what an EPERM or EACCES was about: privileges, lockdown, or something else that forbids.
fn denied(operation: &'static str, cause: io::Error) -> Refusal {
    let missing = super::caps::missing();
    if !missing.is_empty() {
        return Refusal::Privilege { missing };
    }
    match super::caps::lockdown(std::path::Path::new("/")) {
        Some(mode) if mode == "confidentiality" => Refusal::Lockdown { operation, mode },
        _ => Refusal::Denied { operation, cause },
    }
}

/// An error with its causes, which aya's do not print themselves.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
