//! `cargo xtask test`: every test there is. What fails does not stop the rest.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::build::{self, Executable};
use crate::outcome::Outcome;
use crate::shell::{self, Workspace, say};
use crate::{setup, vm};

/// Test programs that look at the whole host's connections: as root, and one test at a time.
const PRIVILEGED: &[&str] = &["live", "parity"];

#[derive(Default)]
struct Tally {
    runners: u32,
    total: Outcome,
    /// Parts that failed, in words.
    failed: Vec<String>,
    /// Parts that could not be run here, with the cure.
    left_out: Vec<String>,
}

/// `cargo xtask test`
pub fn test(with_vm: bool, args: &[String]) -> anyhow::Result<()> {
    let start = Instant::now();
    let workspace = Workspace::enter()?;
    setup::for_tests(with_vm)?;
    let executables = build::everything()?;
    let enetstat = executables.iter().find(|one| one.name == "enetstat" && !one.test);
    let enetstat = enetstat.context("cargo built no program enetstat")?.path.clone();

    let mut tally = Tally::default();
    let (privileged, plain): (Vec<_>, Vec<_>) = executables
        .iter()
        .filter(|one| one.test)
        .partition(|one| one.package == "netstat-tests" && PRIVILEGED.contains(&one.name.as_str()));
    for program in plain {
        let mut command = Command::new(&program.path);
        shell::scrub(&mut command);
        command.envs(variables(program, &enetstat));
        tally.run(program, command.args(args));
    }
    tally.doctests(args);
    for program in privileged {
        tally.privileged(program, &enetstat, args);
    }
    if with_vm {
        tally.machine(&workspace, &executables, args);
    }
    tally.finish(start)
}

/// What cargo would set, and where the program under test is.
fn variables(program: &Executable, enetstat: &Path) -> [(&'static str, OsString); 2] {
    [("ENETSTAT_BIN", enetstat.into()), ("CARGO_MANIFEST_DIR", program.directory.clone().into())]
}

impl Tally {
    fn run(&mut self, program: &Executable, command: &mut Command) {
        let name = format!("{} {}", program.package, program.name);
        say(format_args!("tests of {name}"));
        command.current_dir(&program.directory);
        let result = follow(command);
        self.add(&name, result);
    }

    /// As root, and one test at a time. What failed because the kernel let no program look is run again, by itself.
    fn privileged(&mut self, program: &Executable, enetstat: &Path, args: &[String]) {
        let name = format!("{} {}", program.package, program.name);
        let run = |args: &[String]| {
            let mut command = shell::as_root(&program.path, &variables(program, enetstat))?;
            if !shell::is_root() {
                say(format_args!("asking sudo for root, to run the tests `{}`", program.name));
            }
            say(format_args!("tests of {name}"));
            command.current_dir(&program.directory);
            Some(follow(command.args(["--test-threads=1", "--show-output"]).args(args)))
        };
        let Some(mut result) = run(args) else {
            self.left_out.push(format!(
                "the tests `{}` need root, and sudo cannot give it here; as root, in {}, run: ENETSTAT_BIN={} {} --test-threads=1",
                program.name,
                program.directory.display(),
                enetstat.display(),
                program.path.display()
            ));
            return;
        };
        if let Ok(outcome) = &mut result {
            for test in outcome.blind() {
                say(format_args!("{test} failed while the kernel let no program look: once more"));
                if let Some(Ok(again)) = run(&["--exact".to_owned(), test.clone()]) {
                    outcome.again(&test, &again);
                }
            }
        }
        self.add(&name, result);
    }

    /// Examples in the documentation; cargo builds and runs these itself.
    fn doctests(&mut self, args: &[String]) {
        say("examples in the documentation");
        let mut command = shell::cargo();
        command.args(["test", "--quiet", "--doc", "--no-fail-fast", "--"]).args(args);
        let result = follow(&mut command);
        self.add("documentation", result);
    }

    fn machine(&mut self, workspace: &Workspace, executables: &[Executable], args: &[String]) {
        say("the live tests on another kernel, in a virtual machine (`cargo xtask vm` runs all kernels)");
        match vm::matrix(workspace, executables, &vm::Options::smoke(args)) {
            Ok(parts) => {
                vm::summarize(&parts);
                for part in parts {
                    self.count(&format!("kernel {} tier {}", part.kernel, part.tier), &part.outcome);
                }
            }
            Err(error) => {
                say(format_args!("{error:#}"));
                self.failed.push(format!("virtual machine: {error:#}"));
            }
        }
    }

    fn add(&mut self, name: &str, result: anyhow::Result<Outcome>) {
        match result {
            Ok(outcome) => self.count(name, &outcome),
            Err(error) => self.failed.push(format!("{name}: {error:#}")),
        }
    }

    fn count(&mut self, name: &str, outcome: &Outcome) {
        self.runners += 1;
        self.total.passed += outcome.passed;
        self.total.failed += outcome.failed;
        self.total.ignored += outcome.ignored;
        self.total.skipped.extend(outcome.skipped.iter().cloned());
        self.failed.extend(outcome.failures.iter().map(|failure| format!("{name}: {failure}")));
    }

    fn finish(self, start: Instant) -> anyhow::Result<()> {
        for line in &self.left_out {
            say(format_args!("not run: {line}"));
        }
        for line in &self.failed {
            say(format_args!("failed: {line}"));
        }
        let seconds = start.elapsed().as_secs();
        say(format_args!(
            "tests: {} in {} runs, {} parts not run, {} min {} s",
            self.total,
            self.runners,
            self.left_out.len(),
            seconds / 60,
            seconds % 60
        ));
        if !self.failed.is_empty() {
            bail!("{} tests failed", self.failed.len());
        }
        Ok(())
    }
}

/// Runs a test program; what it prints goes on to ours and is counted on the way.
fn follow(command: &mut Command) -> anyhow::Result<Outcome> {
    let mut child = command
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shell::show(command)))?;
    let mut outcome = Outcome::default();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).context("cannot read what a test prints")? > 0 {
            let _ = std::io::stdout().lock().write_all(&line);
            outcome.learn(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            line.clear();
        }
    }
    let status = child.wait().context("cannot wait for a test")?;
    if !status.success() {
        outcome.died(&end_of(status));
    }
    Ok(outcome)
}

fn end_of(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(number)) => format!("signal {number}"),
        (None, None) => status.to_string(),
    }
}
