//! `cargo xtask lint`: format, clippy for both halves, licences and sources of dependencies, size of the kernel
//! half, house rules.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::bail;

use crate::shell::{self, Workspace, say};
use crate::{insns, linker, setup, tidy};

/// Runs every check; what fails does not stop the rest.
pub fn lint() -> anyhow::Result<()> {
    let workspace = Workspace::enter()?;
    setup::for_build()?;
    let deny = setup::for_lint()?;
    let mut failed = Vec::new();
    let mut check = |name: &'static str, result: anyhow::Result<()>| {
        if let Err(error) = result {
            say(format_args!("{name}: {error:#}"));
            failed.push(name);
        }
    };
    check("house rules", tidy::tidy(&workspace.root));
    check("format", shell::run(shell::cargo().args(["fmt", "--all", "--check"])));
    check(
        "clippy",
        shell::run(shell::cargo().args(["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"])),
    );
    check("clippy for the kernel half", clippy_ebpf(&workspace));
    check("instructions", insns::check());
    check("dependencies", dependencies(&deny));
    if !failed.is_empty() {
        bail!("these checks failed: {}", failed.join(", "));
    }
    say("lint: all checks passed");
    Ok(())
}

/// The same flags as netstat-user's build script, which builds it.
fn clippy_ebpf(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = shell::cargo();
    cargo
        .args(["clippy", "--quiet", "--package", "netstat-ebpf", "--bins", "--release"])
        .args(["--target", "bpfel-unknown-none", "-Zbuild-std=core", "--target-dir"])
        .arg(workspace.target.join("bpf"))
        .args(["--", "-D", "warnings"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH));
    let rustc = linker::Rustc::ask(&shell::rustc()).map_err(anyhow::Error::msg)?;
    if let Some(linker) = linker::find(&rustc) {
        cargo.env(linker::LINKER_VARIABLE, linker);
    }
    shell::run(&mut cargo)
}

/// Known holes come from a database in the network; the rest needs no network.
fn dependencies(deny: &Path) -> anyhow::Result<()> {
    let mut fetch = Command::new(deny);
    fetch.args(["fetch", "db"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let fetched = fetch.status().is_ok_and(|status| status.success());
    let mut check = Command::new(deny);
    check.args(["--log-level", "error", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    if fetched {
        check.arg("advisories");
    } else {
        say("the database of security advisories cannot be fetched: dependencies are not checked against it");
    }
    shell::run(&mut check)
}
