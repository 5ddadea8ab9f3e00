//! First process of the virtual machines in which enetstat is tested.
//!
//! Mounts what the tests need, loads the modules listed in `/etc/modules`, runs the commands listed in `/etc/tests` one by
//! one, and powers off. Everything is told on the console, one line each:
//!
//! * `@@enetstat begin N` and `@@enetstat end N exit CODE|signal NUMBER|timeout` around command N, counted from 0;
//! * `@@enetstat at test NAME ... ` when a test begins;
//! * `@@enetstat alive` every few seconds, so that a stuck guest differs from a long test;
//! * `@@enetstat done` at the end;
//! * `|` before every line a command printed, so that the kernel's own messages cannot be taken for it.

mod machine;
mod task;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        say(format_args!("this is the first process of a virtual machine; it does nothing elsewhere"));
        return ExitCode::FAILURE;
    }
    for problem in machine::prepare() {
        say(format_args!("@@enetstat problem {problem}"));
    }
    match std::fs::read_to_string("/etc/tests") {
        Ok(text) => {
            for (number, line) in text.lines().enumerate() {
                say(format_args!("@@enetstat begin {number}"));
                let end = task::Task::parse(line).and_then(|task| task::run(&task));
                match end {
                    Ok(end) => say(format_args!("@@enetstat end {number} {end}")),
                    Err(error) => {
                        say(format_args!("@@enetstat problem {error:#}"));
                        say(format_args!("@@enetstat end {number} exit 127"));
                    }
                }
            }
            say(format_args!("@@enetstat done"));
        }
        Err(error) => say(format_args!("@@enetstat problem cannot read /etc/tests: {error}")),
    }
    machine::power_off();
    // The kernel panics if its first process ends; the host sees that.
    ExitCode::FAILURE
}

/// One whole line on the console.
fn say(line: std::fmt::Arguments<'_>) {
    let mut console = std::io::stdout().lock();
    let _ = writeln!(console, "{line}");
    let _ = console.flush();
}
