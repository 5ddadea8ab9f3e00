//! Builds the kernel half with the toolchain in use and leaves it at `$OUT_DIR/netstat-ebpf`.
//!
//! The object needs `core` for the BPF target, which only an unstable option of cargo builds: the nested cargo, and only
//! that one, is told to accept unstable options. The tools it needs are installed by `cargo xtask build`; without them
//! this script ends with one error that says so.

#[path = "../xtask/src/linker.rs"]
mod linker;
#[path = "build/strip.rs"]
mod strip;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, bail};
use aya_build::{Package, Toolchain};

/// What is built of the kernel half: what a trace loads, and what a listing does. Whether its types are needed: a listing's
/// are not (`netstat-user/src/source/stream/listing/object.rs`).
const OBJECTS: [(&str, bool); 2] = [("netstat-ebpf", true), ("netstat-listing", false)];

/// Used when cargo was not started through rustup's proxy, which would have named the toolchain.
const FALLBACK_TOOLCHAIN: &str = "stable";

/// Names another toolchain for the kernel half than the one in use; its linker is then named by cargo's own variable.
/// Fuzzing needs a nightly compiler, for which there is no linker.
const TOOLCHAIN_VARIABLE: &str = "ENETSTAT_EBPF_TOOLCHAIN";

fn main() {
    if let Err(error) = build() {
        // Cargo ends the build for it, and shows this line alone.
        println!("cargo::error={}", format!("{error:#}").replace('\n', " "));
    }
}

fn build() -> anyhow::Result<()> {
    for path in
        ["build.rs", "build", "../netstat-common", "../Cargo.toml", "../Cargo.lock", "../xtask/src/linker.rs"]
    {
        println!("cargo::rerun-if-changed={path}");
    }
    for name in ["RUSTUP_TOOLCHAIN", TOOLCHAIN_VARIABLE, linker::LINKER_VARIABLE] {
        println!("cargo::rerun-if-env-changed={name}");
    }

    let rustc = env::var_os("RUSTC").context("cargo names no compiler in RUSTC")?;
    let rustc = linker::Rustc::ask(&rustc)
        .map_err(|reason| anyhow!("cannot ask the compiler for its version: {reason}"))?;
    let linker = linker::find(&rustc);
    let other = env::var(TOOLCHAIN_VARIABLE).ok();
    let linker = match (linker, other.is_some() || rustc.has_library_source()) {
        (Some(linker), true) => linker,
        (None, _) => bail!(
            "no bpf-linker for this compiler: run `cargo xtask build` once, it installs what is missing"
        ),
        (_, false) => {
            bail!(
                "the toolchain lacks the component rust-src: run `cargo xtask build` once, it installs what is missing"
            )
        }
    };
    println!("cargo::rerun-if-changed={}", linker.display());

    let toolchain = other.or_else(|| env::var("RUSTUP_TOOLCHAIN").ok());
    let toolchain = toolchain.unwrap_or_else(|| FALLBACK_TOOLCHAIN.to_owned());
    for (name, value) in [
        ("RUSTC_BOOTSTRAP", "1".as_ref()),
        // Every line of the nested cargo arrives as a warning: keep to those that matter.
        ("CARGO_TERM_QUIET", "true".as_ref()),
        (linker::LINKER_VARIABLE, linker.as_os_str()),
    ] {
        // SAFETY: this process has one thread; the nested cargo is started after this loop.
        unsafe { env::set_var(name, value) };
    }
    let root_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netstat-ebpf");
    let package = Package {
        name: "netstat-ebpf",
        root_dir: root_dir.to_str().context("the path of this checkout is not UTF-8")?,
        no_default_features: false,
        features: &[],
    };
    aya_build::build_ebpf([package], Toolchain::Custom(&toolchain)).context("building netstat-ebpf")?;

    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let mut all = Vec::new();
    for (name, keep_types) in OBJECTS {
        let object = out.join(name);
        let bytes = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
        let bytes = strip::debug(&bytes, keep_types);
        let bytes = bytes.with_context(|| format!("cannot strip {}", object.display()))?;
        fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
        all.extend(bytes);
    }
    let bytes = all;
    unwinder(&out)?;
    println!("cargo::rustc-env=ENETSTAT_OBJECT_BUILD={}", &format!("{:016x}", fnv1a(&bytes))[..12]);
    Ok(())
}

/// Has what unwinds the stack linked in: it is a shared library by default, and to load that takes an eighth of the CPU time of a
/// short listing. The linker is led to a script with the library's name, which names the archive.
fn unwinder(out: &Path) -> anyhow::Result<()> {
    const ARCHIVE: &str = "libgcc_eh.a";
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") || env::var("TARGET") != env::var("HOST") {
        return Ok(());
    }
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let found = Command::new(linker).arg(format!("-print-file-name={ARCHIVE}")).output();
    // What is not found is printed as it was asked for.
    let has_archive =
        found.is_ok_and(|found| Path::new(String::from_utf8_lossy(&found.stdout).trim_end()).is_absolute());
    if has_archive {
        let place = out.join("unwinder");
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        let script = place.join("libgcc_s.so");
        fs::write(&script, "INPUT(-lgcc_eh)\n")
            .with_context(|| format!("cannot write {}", script.display()))?;
        println!("cargo::rustc-link-search=native={}", place.display());
    }
    Ok(())
}

/// FNV-1a, 64 bits: names a build of the object, protects nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
