//! Building the program and the tests.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::setup;
use crate::shell::{self, Workspace};

/// `cargo xtask build`
pub fn build(release: bool) -> anyhow::Result<()> {
    let workspace = Workspace::enter()?;
    let program = enetstat(&workspace, release)?;
    let shown = program.strip_prefix(&workspace.root).unwrap_or(&program);
    shell::say(format_args!("built {}", shown.display()));
    Ok(())
}

/// Builds enetstat and returns its path.
pub fn enetstat(workspace: &Workspace, release: bool) -> anyhow::Result<PathBuf> {
    setup::for_build()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", "netstat-user", "--bin", "enetstat"]);
    if release {
        cargo.arg("--release");
    }
    shell::run(&mut cargo)?;
    Ok(workspace.target.join(if release { "release" } else { "debug" }).join("enetstat"))
}

/// A program that cargo built.
#[derive(Clone, Debug)]
pub struct Executable {
    /// Cargo's name of the target, such as `live`.
    pub name: String,
    /// Cargo's name of the package, such as `netstat-tests`.
    pub package: String,
    /// Directory of the package: where cargo runs its tests.
    pub directory: PathBuf,
    pub path: PathBuf,
    /// A test program, as opposed to the program itself.
    pub test: bool,
}

/// Every program and every test program of the workspace, built in one go so that nothing is compiled twice.
pub fn everything() -> anyhow::Result<Vec<Executable>> {
    setup::for_build()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--all-targets", "--message-format=json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("building the tests failed");
    }
    let text = String::from_utf8(output.stdout).context("cargo printed what is not UTF-8")?;
    Ok(text.lines().filter_map(|line| executable(&serde_json::from_str(line).ok()?)).collect())
}

fn executable(message: &Value) -> Option<Executable> {
    let path = PathBuf::from(message["executable"].as_str()?);
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    // `path+file:///a/b/tests#netstat-tests@0.1.0`, or without the name where the directory has the same.
    let id = message["package_id"].as_str()?;
    let after = id.rsplit_once('#').map_or(id, |(_, after)| after);
    let package = match after.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => directory.file_name()?.to_str()?.to_owned(),
    };
    let name = message["target"]["name"].as_str()?.to_owned();
    let test = message["profile"]["test"].as_bool()?;
    Some(Executable { name, package, directory, path, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_cargo_names_the_executable() {
        let message = r#"{"reason":"compiler-artifact","package_id":"path+file:///src/it/tests#netstat-tests@0.1.0",
            "manifest_path":"/src/it/tests/Cargo.toml","target":{"kind":["test"],"name":"live"},
            "profile":{"test":true},"executable":"/src/it/target/debug/deps/live-0123"}"#;
        let found = executable(&serde_json::from_str(message).unwrap()).unwrap();
        assert_eq!(
            (found.name.as_str(), found.package.as_str(), found.test),
            ("live", "netstat-tests", true)
        );
        assert_eq!(found.directory, Path::new("/src/it/tests"));

        let short = message.replace("#netstat-tests@0.1.0", "#0.1.0");
        assert_eq!(executable(&serde_json::from_str(&short).unwrap()).unwrap().package, "tests");
        let library = message.replace("\"/src/it/target/debug/deps/live-0123\"", "null");
        assert!(executable(&serde_json::from_str(&library).unwrap()).is_none());
    }
}
