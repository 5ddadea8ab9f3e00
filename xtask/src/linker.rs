//! Which `bpf-linker` serves which compiler, and where it is kept.
//!
//! Shared by xtask, which installs it, and by netstat-user's build script, which uses it. Only `std` here.

#![allow(dead_code, reason = "the build script and xtask each use a part")]

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The release of bpf-linker that is installed, and the oldest that is accepted from `PATH`.
pub const BPF_LINKER: (u32, u32, u32) = (0, 13, 0);

/// The Cargo feature of [`BPF_LINKER`] that links against an LLVM of this major version.
const LLVM_FEATURES: &[(u32, &str)] = &[(22, "llvm-22"), (23, "llvm-23")];

/// Cargo's own variable: whoever sets it has chosen the linker.
pub const LINKER_VARIABLE: &str = "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER";

/// What the compiler says about itself.
pub struct Rustc {
    /// `release` of `rustc -vV`, such as `1.95.0`.
    pub release: String,
    /// Major version of the LLVM inside.
    pub llvm: u32,
    /// `rustc --print sysroot`.
    pub sysroot: PathBuf,
}

impl Rustc {
    /// Asks `rustc`. The error is a sentence.
    pub fn ask(rustc: &OsStr) -> Result<Self, String> {
        let verbose = output(Command::new(rustc).arg("-vV"))?;
        let field = |name: &str| {
            verbose
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .ok_or_else(|| format!("`rustc -vV` has no line `{name}`"))
        };
        let release = field("release")?.to_owned();
        let llvm = field("LLVM version")?;
        let llvm = llvm.split('.').next().and_then(|major| major.parse().ok());
        let llvm = llvm.ok_or_else(|| "`rustc -vV` has no LLVM version".to_owned())?;
        let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]))?;
        Ok(Self { release, llvm, sysroot: PathBuf::from(sysroot.trim_end()) })
    }

    /// Whether the source of `core` is there (rustup's component `rust-src`).
    pub fn has_library_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
    }

    /// The feature with which bpf-linker is built for this compiler; none for an LLVM it does not know.
    pub fn linker_feature(&self) -> Option<&'static str> {
        LLVM_FEATURES.iter().find_map(|&(major, feature)| (major == self.llvm).then_some(feature))
    }

    /// Where xtask installs the linker: it is linked to this compiler's own LLVM library, so a new compiler needs a new one.
    pub fn linker_root(&self) -> Option<PathBuf> {
        Some(cache_dir()?.join(format!("tools/bpf-linker-{}-rustc-{}", version(BPF_LINKER), self.release)))
    }
}

/// The linker to use: the one the environment names, else a recent enough one in `PATH`, else the one installed for this compiler.
pub fn find(rustc: &Rustc) -> Option<PathBuf> {
    if let Some(chosen) = env::var_os(LINKER_VARIABLE).filter(|value| !value.is_empty()) {
        return Some(PathBuf::from(chosen));
    }
    let installed = rustc.linker_root().map(|root| root.join("bin/bpf-linker"));
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|dir| dir.join("bpf-linker"));
    in_path.chain(installed).find(|candidate| candidate.is_file() && suits(candidate))
}

/// Whether this bpf-linker starts (its LLVM library is found) and is recent enough.
pub fn suits(linker: &Path) -> bool {
    let Ok(text) = output(Command::new(linker).arg("--version")) else { return false };
    let numbers = text.split_whitespace().find_map(parse_version);
    numbers.is_some_and(|found| found >= BPF_LINKER)
}

/// This project's directory in the user's cache: `$XDG_CACHE_HOME/enetstat`, else `$HOME/.cache/enetstat`.
pub fn cache_dir() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(base.join("enetstat"))
}

/// `1.2.3`
pub fn version((major, minor, patch): (u32, u32, u32)) -> String {
    format!("{major}.{minor}.{patch}")
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(['.', '-', '+']).map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{command:?}: {error}"))
}
