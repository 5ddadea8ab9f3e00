//! The program: words to a plan, the plan to work, the outcome to an exit code.

use anyhow::Context;
use netstat_user::args::{self, ListPlan, Plan, Stop, World};
use netstat_user::exit::{self, Outcome};
use netstat_user::{agent, kernel, render};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

/// Bytes from which on memory is taken from the system piece by piece.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 1 << 20;

fn main() -> ExitCode {
    // Otherwise the allocator keeps for good what loading needs for a moment, which is more than running needs.
    #[cfg(target_env = "gnu")]
    // SAFETY: no other thread is there yet, and any value is allowed.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
    let (code, error) = exit::judge(run());
    if let Some(error) = error {
        complain(&format!("enetstat: {error:#}\n"));
    }
    ExitCode::from(code)
}

fn run() -> anyhow::Result<Outcome> {
    let world = World {
        selinux: kernel::selinux::is_enabled(Path::new("/")),
        strict: std::env::var_os("POSIXLY_CORRECT").is_some(),
    };
    let plan = match args::parse_in(std::env::args_os(), world) {
        Ok(plan) => plan,
        Err(Stop::Show(text)) => return show(text.as_bytes()),
        Err(Stop::Usage(text)) => {
            complain(&text);
            std::process::exit(exit::FAILED.into());
        }
        Err(Stop::Compat(end)) => {
            // The original ignores it, too, when nothing can be written.
            let _ = io::stdout().write_all(&end.out);
            let _ = io::stdout().flush();
            let _ = io::stderr().write_all(&end.err);
            std::process::exit(end.code.into());
        }
    };
    match plan {
        Plan::List(plan) => agent::list::run(&coloured(plan), &mut stdout()?, &mut io::stderr()),
        Plan::Statistics(plan) => agent::statistics::run(&plan, &mut stdout()?, &mut io::stderr()),
        Plan::Routes(plan) => agent::tables::routes::run(&plan, &mut stdout()?, &mut io::stderr()),
        Plan::Interfaces(plan) => agent::tables::interfaces::run(&plan, &mut stdout()?, &mut io::stderr()),
        Plan::Groups(plan) => agent::tables::groups::run(&plan, &mut stdout()?, &mut io::stderr()),
        Plan::Masquerade(plan) => agent::tables::masquerade::run(&plan, &mut stdout()?, &mut io::stderr()),
        Plan::Bsd(plan) => agent::bsd::run(&plan, &mut stdout()?, &mut io::stderr()),
        Plan::Elsewhere(scope, plan) => {
            let plan = match *plan {
                Plan::List(plan) => Plan::List(coloured(plan)),
                plan => plan,
            };
            agent::elsewhere::run(&scope, plan, &mut stdout()?, &mut io::stderr())
        }
        Plan::Schema => {
            let mut text = Vec::new();
            render::schema::schema(&mut text);
            show(&text)
        }
        Plan::Man(page) => show(&args::manual::page(page)?),
        Plan::Completions(shell) => show(&args::manual::completions(shell)),
        Plan::Trace(plan) => agent::trace::run(&plan, &mut stdout()?, &is_read, &mut io::stderr()),
        Plan::Compat(plan) => {
            let code =
                agent::compat::run(&plan, &mut stdout()?, io::stdout().is_terminal(), &mut io::stderr());
            std::process::exit(code.into());
        }
        Plan::Capabilities(tier) => agent::capabilities::run(tier.as_deref(), &mut stdout()?),
    }
}

/// With colours on a terminal, unless they are not wanted.
fn coloured(mut plan: Box<ListPlan>) -> Box<ListPlan> {
    plan.colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    plan
}

fn show(text: &[u8]) -> anyhow::Result<Outcome> {
    stdout()?.write_all(text).context("cannot write to standard output")?;
    Ok(Outcome { complete: true })
}

/// Standard output without the library's line buffer: renderers hand over large pieces.
fn stdout() -> anyhow::Result<File> {
    let own = io::stdout().as_fd().try_clone_to_owned();
    Ok(File::from(own.context("cannot use standard output")?))
}

/// Whether standard output still has a reader: a pipe without one reports an error, a file never does.
fn is_read() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut fds, Some(&now)), Ok(1..)) || !fds[0].revents().contains(PollFlags::ERR)
}

/// Nothing is left to be done when standard error is closed.
fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
