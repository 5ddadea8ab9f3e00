//! Starting other programs, and telling the user.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// One line on stderr. A closed stderr is nobody to tell it to.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "xtask: {line}");
}

/// Text on stdout.
pub fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")
}

/// Runs to the end, with the output going where ours goes.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", show(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", show(command));
    }
    Ok(())
}

/// Runs to the end and returns what was printed on stdout; what was printed on stderr becomes part of the error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", show(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed: {}: {}", show(command), output.status, stderr.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed what is not UTF-8", show(command)))
}

/// The command as one would type it.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The first executable of this name in `PATH`.
pub fn which(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = env::var_os("PATH").unwrap_or_default();
    // Ordinary users often lack the directories of system programs.
    let dirs = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(name.as_ref())).find(|file| {
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The cargo that started us, without what it told us about xtask's own package.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    scrub(&mut command);
    command
}

/// The compiler that belongs to that cargo.
pub fn rustc() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// Takes away the variables that `cargo run` set for xtask: they describe xtask and would mislead another program.
pub fn scrub(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let described = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "LD_LIBRARY_PATH"
        });
        if described {
            command.env_remove(name);
        }
    }
}

/// A command that runs `program` as root with these variables: directly, or through sudo. None where sudo is missing or
/// would ask for a password that nobody can type.
pub fn as_root(program: &Path, variables: &[(&str, OsString)]) -> Option<Command> {
    if is_root() {
        let mut command = Command::new(program);
        scrub(&mut command);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        return Some(command);
    }
    let sudo = which("sudo")?;
    let mut command = Command::new(&sudo);
    scrub(&mut command);
    if !std::io::stdin().is_terminal() {
        let allowed = Command::new(&sudo)
            .args(["-n", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !allowed.is_ok_and(|status| status.success()) {
            return None;
        }
        command.arg("-n");
    }
    command.arg("--");
    if !variables.is_empty() {
        // sudo drops the environment; env(1) sets these again on its other side.
        command.arg("env");
        for (name, value) in variables {
            let mut word = OsString::from(name);
            word.push("=");
            word.push(value);
            command.arg(word);
        }
    }
    command.arg(program);
    Some(command)
}

/// Where this checkout and its build are.
pub struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo, and makes the root the current directory.
    pub fn enter() -> anyhow::Result<Self> {
        let text = output(cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&text).context("`cargo metadata` printed no JSON")?;
        let path = |name: &str| metadata[name].as_str().map(PathBuf::from);
        let root = path("workspace_root").context("`cargo metadata` names no workspace root")?;
        let target = path("target_directory").context("`cargo metadata` names no target directory")?;
        env::set_current_dir(&root).with_context(|| format!("cannot enter {}", root.display()))?;
        Ok(Self { root, target })
    }
}
