//! Without the privilege, or without what a container lacks: one clear line, exit code 2.

use anyhow::{Context, Result, ensure};
use netstat_tests::sys::checked;
use netstat_tests::{need, program};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

const NOBODY: u32 = 65534;

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        need::skip("needs root, to give it away");
    }
    root
}

/// The program where `nobody` may execute it: the build directory may be closed to others.
fn public_copy() -> Result<(tempfile::TempDir, Command)> {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    let path = directory.path().join("enetstat");
    std::fs::copy(program::find("enetstat")?, &path)?;
    Ok((directory, Command::new(path)))
}

/// Exactly one line on stderr that satisfies `named`, nothing on stdout, exit code 2.
fn ensure_refused(output: &Output, named: impl Fn(&str) -> bool) -> Result<()> {
    let err = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{}: {err}", output.status);
    ensure!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    ensure!(err.lines().count() == 1, "not one line: {err}");
    ensure!(!err.contains("panicked"), "{err}");
    ensure!(named(&err), "what is missing, or its cure, is not named: {err}");
    Ok(())
}

#[test]
fn as_nobody_the_listing_works_and_the_trace_says_what_it_lacks() -> Result<()> {
    if !root() {
        return Ok(());
    }
    let (_directory, mut command) = public_copy()?;
    let output = command.args(["trace", "--duration", "1"]).uid(NOBODY).gid(NOBODY).output()?;
    ensure_refused(&output, |said| {
        let said = said.to_lowercase();
        said.contains("cap_bpf")
            && (said.contains("sudo") || said.contains("root") || said.contains("setcap"))
    })?;

    let (_directory, mut command) = public_copy()?;
    let kept = command.args(["-tc", "--keep-closed", "5"]).uid(NOBODY).gid(NOBODY).output()?;
    ensure_refused(&kept, |said| said.as_bytes() == output.stderr)?;

    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (_directory, mut command) = public_copy()?;
    let output = command.arg("-tan").uid(NOBODY).gid(NOBODY).output()?;
    let out = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    ensure!(out.contains(&listener.local_addr()?.to_string()), "the listener is not listed: {out}");
    Ok(())
}

/// What a bare container sees: nothing below the mount points that the tracer looks at.
fn hide() -> std::io::Result<()> {
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET) })?;
    let (none, root) = (std::ptr::null(), c"/".as_ptr());
    // SAFETY: the path is a C string; the other pointers may be null for this kind of mount.
    checked(unsafe { libc::mount(none, root, none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) })?;
    for hidden in [c"/sys/kernel/btf", c"/sys/fs/bpf", c"/sys/kernel/tracing", c"/sys/kernel/debug"] {
        let kind = c"tmpfs".as_ptr();
        // A kernel that lacks the directory needs nothing hidden, so a refusal is no matter.
        // SAFETY: all strings are C strings and tmpfs takes no data.
        unsafe { libc::mount(kind, hidden.as_ptr(), kind, libc::MS_RDONLY, none.cast()) };
    }
    Ok(())
}

/// Root in a mount namespace where kernel BTF, bpffs and tracefs are empty, as in a container without them.
#[test]
fn where_a_container_hides_what_it_needs_it_says_so() -> Result<()> {
    if !root() {
        return Ok(());
    }
    let mut command = program::command(&["trace", "--json", "--duration", "1"])?;
    // SAFETY: only system calls with static arguments are made between fork and exec.
    unsafe { command.pre_exec(hide) };
    let output = command.output().context("enetstat in a bare mount namespace")?;
    let err = String::from_utf8_lossy(&output.stderr);
    ensure!(!err.contains("panicked"), "{err}");
    match output.status.code() {
        // It may find a way: then it must say that it traces, and that it does so with less.
        Some(0 | 1) => ensure!(err.contains("tracing"), "{err}"),
        _ => ensure_refused(&output, |said| {
            let said = said.to_lowercase();
            said.contains("btf") || said.contains("tracefs") || said.contains("/sys/kernel")
        })?,
    }
    Ok(())
}

#[test]
fn capabilities_are_told_as_nobody_too() -> Result<()> {
    if !root() {
        return Ok(());
    }
    let (_directory, mut command) = public_copy()?;
    let output = command.arg("capabilities").uid(NOBODY).gid(NOBODY).output()?;
    let out = String::from_utf8_lossy(&output.stdout).to_lowercase();
    ensure!(out.contains("cap_bpf") || out.contains("cap_sys_admin"), "{out}");
    ensure!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{out}");
    Ok(())
}
