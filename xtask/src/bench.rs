//! `cargo xtask bench` and `cargo xtask fuzz`.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::bail;

use crate::shell::{self, Workspace, say};
use crate::{linker, run, setup};

/// Builds the program and the benchmarks with optimisation, then becomes the benchmark, as root.
pub fn bench(args: &[OsString]) -> anyhow::Result<()> {
    let workspace = Workspace::enter()?;
    setup::for_build()?;
    if let Some((first, rest)) = args.split_first()
        && first == "render"
    {
        return micro(rest);
    }
    shell::run(shell::cargo().args([
        "build",
        "--release",
        "--bins",
        "-p",
        "netstat-user",
        "-p",
        "netstat-tests",
    ]))?;
    let release = workspace.target.join("release");
    let (bench, program) = (release.join("bench"), release.join("enetstat"));
    if args.first().is_some_and(|first| first == "all") {
        micro(&[])?;
    }
    run::become_root(&bench, &[("ENETSTAT_BIN", program.into())], args)
}

/// What single steps inside the program cost: decode, learn, filter, render. Needs no root.
fn micro(args: &[OsString]) -> anyhow::Result<()> {
    shell::run(
        shell::cargo().args(["bench", "--package", "netstat-micro", "--bench", "micro", "--"]).args(args),
    )
}

/// Hands over to cargo-fuzz, which needs a nightly compiler.
pub fn fuzz(args: &[OsString]) -> anyhow::Result<()> {
    let workspace = Workspace::enter()?;
    let works = |command: &mut Command| {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    if !works(Command::new("rustup").args(["run", "nightly", "rustc", "-V"])) {
        bail!(
            "fuzzing needs a nightly compiler; install it with: rustup toolchain install nightly --profile minimal"
        );
    }
    if shell::which("cargo-fuzz").is_none() {
        bail!("fuzzing needs cargo-fuzz; install it with: cargo install cargo-fuzz");
    }
    setup::for_build()?;
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]);
    shell::scrub(&mut command);
    // The kernel half is built as always: there is no linker for a nightly compiler's LLVM.
    let rustc = linker::Rustc::ask(&shell::rustc()).map_err(anyhow::Error::msg)?;
    if let Some(linker) = linker::find(&rustc) {
        let toolchain = std::env::var_os("RUSTUP_TOOLCHAIN").unwrap_or_else(|| "stable".into());
        command.env(linker::LINKER_VARIABLE, linker).env("ENETSTAT_EBPF_TOOLCHAIN", toolchain);
    }
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(workspace.root.join("tests"));
    if args.is_empty() {
        say("these targets exist; `cargo xtask fuzz NAME` runs one");
        command.arg("list");
    } else {
        command.arg("run").args(args);
    }
    shell::run(&mut command)
}
