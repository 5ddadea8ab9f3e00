//! `cargo xtask run`: build as the user, run with privilege.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::build;
use crate::shell::{self, Workspace, say};

/// Builds enetstat and becomes it. Returns only if that fails.
pub fn run(debug: bool, args: &[OsString]) -> anyhow::Result<()> {
    let workspace = Workspace::enter()?;
    let program = build::enetstat(&workspace, !debug)?;
    become_root(&program, &[], args)
}

/// Replaces this process, so that signals, terminal and exit code are the program's own.
pub fn become_root(program: &Path, variables: &[(&str, OsString)], args: &[OsString]) -> anyhow::Result<()> {
    let Some(mut command) = shell::as_root(program, variables) else {
        bail!(
            "this needs root and sudo cannot give it here; as root, run: {} {}",
            program.display(),
            args.join(" ".as_ref()).display()
        );
    };
    if !shell::is_root() {
        say(format_args!("asking sudo for root, to run {}", program.display()));
    }
    let error = command.args(args).exec();
    Err(error).with_context(|| format!("cannot start {}", shell::show(&command)))
}
