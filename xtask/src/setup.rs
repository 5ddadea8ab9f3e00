//! What each command needs, installed by itself: announced in one line, silent when it is there.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::linker::{self, Rustc};
use crate::shell::{self, say};

/// The release of cargo-deny that `lint` uses.
const CARGO_DENY: &str = "0.20.2";

/// What the tests use, and the Debian package it comes from.
const TEST_PROGRAMS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("xz", "xz-utils"),
    ("netstat", "net-tools"),
    ("ip", "iproute2"),
    ("ss", "iproute2"),
];

/// Everything, for `cargo xtask setup`.
pub fn all() -> anyhow::Result<()> {
    for_build()?;
    for_lint()?;
    for_tests(true)?;
    say("everything is installed");
    Ok(())
}

/// The source of `core` and the linker for BPF.
pub fn for_build() -> anyhow::Result<()> {
    let rustc = Rustc::ask(&shell::rustc()).map_err(anyhow::Error::msg)?;
    if !rustc.has_library_source() {
        install_rust_src(&rustc)?;
    }
    if linker::find(&rustc).is_none() {
        install_bpf_linker(&rustc)?;
    }
    Ok(())
}

/// rustfmt, clippy and cargo-deny. Returns the path of the last.
pub fn for_lint() -> anyhow::Result<PathBuf> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        // rustup leaves a program of that name in PATH even where the component is not installed.
        if shell::output(shell::cargo().args([subcommand, "--version"])).is_err() {
            let rustup = shell::which("rustup").with_context(|| {
                format!("{component} is missing and there is no rustup to install it with")
            })?;
            say(format_args!("installing the component {component} with rustup (once)"));
            shell::run(Command::new(rustup).args(["component", "add", component]))?;
        }
    }
    let root = tools_dir()?.join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        let _lock = Lock::take(&cache_dir()?.join("tools.lock"))?;
        if !program.is_file() {
            say(format_args!(
                "installing cargo-deny {CARGO_DENY} into {} (once, some minutes)",
                root.display()
            ));
            let mut install = cargo_install("cargo-deny", CARGO_DENY, &root);
            // Only local checks and the registry that cargo itself talks to are needed.
            shell::run(install.arg("--no-default-features"))?;
        }
    }
    Ok(program)
}

/// Programs of the distribution: for the live tests always, for the virtual machines when asked.
pub fn for_tests(vm: bool) -> anyhow::Result<()> {
    let wanted =
        TEST_PROGRAMS.iter().filter(|(_, package)| vm || !matches!(*package, "qemu-system-x86" | "xz-utils"));
    let mut packages: Vec<&str> = Vec::new();
    for (program, package) in wanted {
        if shell::which(program).is_none() && !packages.contains(package) {
            packages.push(package);
        }
    }
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if shell::which("apt-get").is_none() {
        bail!("the tests need what Debian calls {names}: install it with this system's package manager");
    }
    if !shell::is_root() {
        bail!(
            "the tests need Debian packages; install them with: sudo apt-get install --no-install-recommends {names}"
        );
    }
    say(format_args!("installing the Debian packages {names} (once)"));
    let install = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
            .args(["-q", "-y", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends"])
            .args(&packages);
        command
    };
    if shell::run(&mut install()).is_err() {
        // The package lists may be missing or too old to find the files.
        shell::run(Command::new("apt-get").args(["-q", "update"]))?;
        shell::run(&mut install())?;
    }
    Ok(())
}

fn install_rust_src(rustc: &Rustc) -> anyhow::Result<()> {
    let Some(rustup) = shell::which("rustup") else {
        bail!(
            "the source of Rust's library is not in {} and there is no rustup to install it: \
             install Rust with rustup, or the package of your system that has it",
            rustc.sysroot.display()
        );
    };
    say("installing the component rust-src with rustup (once, some seconds)");
    shell::run(Command::new(rustup).args(["component", "add", "rust-src"]))?;
    if !rustc.has_library_source() {
        bail!("rustup installed rust-src for another toolchain than the one in {}", rustc.sysroot.display());
    }
    Ok(())
}

/// Builds bpf-linker against the LLVM library that rustc itself brings, so no LLVM need be installed.
fn install_bpf_linker(rustc: &Rustc) -> anyhow::Result<()> {
    let version = linker::version(linker::BPF_LINKER);
    let Some(feature) = rustc.linker_feature() else {
        bail!(
            "rustc {} has LLVM {}, for which bpf-linker {version} cannot be built: use a Rust toolchain with LLVM 22 or 23",
            rustc.release,
            rustc.llvm
        );
    };
    let root =
        rustc.linker_root().context("neither XDG_CACHE_HOME nor HOME is set: no place for bpf-linker")?;
    let _lock = Lock::take(&cache_dir()?.join("tools.lock"))?;
    if linker::find(rustc).is_some() {
        return Ok(());
    }
    let libraries = rustc.sysroot.join("lib");
    let library = fs::read_dir(&libraries)
        .with_context(|| format!("cannot read {}", libraries.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libLLVM.so.")));
    let Some(library) = library else {
        bail!(
            "{} has no LLVM library: bpf-linker needs a toolchain installed by rustup",
            libraries.display()
        );
    };
    let prefix = root.join("llvm");
    fs::create_dir_all(prefix.join("lib")).with_context(|| format!("cannot create {}", prefix.display()))?;
    let link = prefix.join("lib/libLLVM.so");
    let _ = fs::remove_file(&link);
    symlink(&library, &link).with_context(|| format!("cannot create {}", link.display()))?;

    say(format_args!("installing bpf-linker {version} into {} (once, about 2 minutes)", root.display()));
    let mut install = cargo_install("bpf-linker", &version, &root);
    install
        .args(["--no-default-features", "--features", feature])
        // What `find` refused may be there already: an older build whose LLVM library is gone.
        .arg("--force")
        .env("LLVM_PREFIX", &prefix)
        .env("RUSTFLAGS", format!("-C link-arg=-Wl,-rpath,{}", libraries.display()))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    shell::run(&mut install)?;
    if linker::find(rustc).is_none() {
        bail!("bpf-linker was installed into {} but does not start", root.display());
    }
    Ok(())
}

/// `cargo install` tuned for a short build: what is installed runs for seconds.
fn cargo_install(name: &str, version: &str, root: &Path) -> Command {
    let mut command = shell::cargo();
    command.args(["install", "--quiet", "--locked", name, "--version", version, "--root"]).arg(root);
    command.envs([
        ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ]);
    // Our own target directory is no place for it, and our build settings are not meant for it.
    command.env_remove("CARGO_TARGET_DIR").current_dir("/");
    command
}

/// This project's directory in the user's cache; created when missing.
pub fn cache_dir() -> anyhow::Result<PathBuf> {
    let dir = linker::cache_dir()
        .context("neither XDG_CACHE_HOME nor HOME is set: no place for tools and kernels")?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

fn tools_dir() -> anyhow::Result<PathBuf> {
    Ok(cache_dir()?.join("tools"))
}

/// Held while something shared is installed or used; several xtasks may run at once. The kernel lets go of it with the process.
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Waits for its turn, and says so when it has to.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                say(format_args!("waiting for another xtask, which holds {}", path.display()))
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self(file))
    }
}
