//! Displays that are no tables of sockets: routes, interfaces, memberships, masquerading.

pub mod groups;
pub mod interfaces;
pub mod masquerade;
pub mod routes;

use crate::exit::Outcome;
use crate::names::{self, Names};
use crate::source::netlink::Dumped;
use crate::source::procfs::Pass;
use anyhow::Context;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

const WRITING: &str = "cannot write to standard output";

/// How often a listing that changed under it is begun again.
const TRIES: u32 = 3;

/// What is said beside a display, and whether all of it was shown.
struct Remarks<'a> {
    err: &'a mut dyn Write,
    /// Only what net-tools says is said.
    compat: bool,
    complete: bool,
    /// With `-c` each remark is made once.
    noted: Vec<String>,
}

impl<'a> Remarks<'a> {
    fn new(err: &'a mut dyn Write, compat: bool) -> Self {
        Self { err, compat, complete: true, noted: Vec::new() }
    }

    fn note(&mut self, note: impl Display) {
        let note = format!("enetstat: {note}\n");
        if !self.compat && !self.noted.contains(&note) {
            self.say(&note);
            self.noted.push(note);
        }
    }

    /// Says exactly this.
    fn say(&mut self, text: &str) {
        // A closed standard error is no reason to stop.
        let _: io::Result<()> = self.err.write_all(text.as_bytes());
    }

    /// Tells what a dump by netlink missed; `what` it was of.
    fn dumped(&mut self, what: &str, dumped: &Dumped) {
        if dumped.interrupted {
            self.note(format_args!("{what} changed while they were listed: some may be missing or doubled"));
        }
        if let Some(fault) = &dumped.fault {
            self.complete = false;
            self.note(format_args!("{} {what} are left out: the kernel's answer has {fault}", dumped.faulty));
        }
    }

    /// Tells what a file of /proc had that could not be read.
    fn passed(&mut self, pass: Pass) {
        self.complete &= pass.faulty == 0;
        for fault in pass.faults {
            self.note(format_args!("{:#}", anyhow::Error::from(fault)));
        }
    }

    /// Looks up hosts, at most for a while.
    fn resolve(&mut self, names: &mut Names, hosts: impl IntoIterator<Item = IpAddr>) {
        let silent = names.resolve(hosts, names::PATIENCE);
        if silent > 0 {
            let seconds = names::PATIENCE.as_secs();
            self.note(format_args!(
                "no answer about {silent} addresses within {seconds} seconds: shown as numbers (-n asks for none)"
            ));
        }
    }
}

/// Calls `round` once, or again after each interval while it says that more is to come.
fn repeat(
    interval: Option<Duration>,
    out: &mut dyn Write,
    remarks: &mut Remarks<'_>,
    round: &mut dyn FnMut(&mut dyn Write, &mut Remarks<'_>) -> anyhow::Result<Next>,
) -> anyhow::Result<Outcome> {
    loop {
        let next = round(out, remarks)?;
        out.flush().context(WRITING)?;
        match interval {
            Some(interval) if next == Next::Go => std::thread::sleep(interval),
            _ => return Ok(Outcome { complete: remarks.complete }),
        }
    }
}

/// Whether there is sense in another round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}
