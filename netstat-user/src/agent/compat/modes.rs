//! The modes beside the listing of sockets: the one place where each is handed over to what shows it.

use super::output::Output;
use crate::agent::statistics;
use crate::args::compat::{CompatPlan, Mode};
use crate::args::plan::{CompatFamilies, StatisticsPlan};
use crate::exit::Outcome;
use crate::view::Protocols;
use std::io::Write;

/// net-tools' exit code for what it cannot do.
const FAILED: u8 = 1;

/// Shows a mode, repeatedly with `-c`, and gives its exit code.
///
/// [`Mode::Groups`] is one part of the listing of sockets: it is shown once for each call.
pub fn run(mode: Mode, plan: &CompatPlan, out: &mut Output<'_>, err: &mut dyn Write) -> u8 {
    let option = match mode {
        // Listed by our caller.
        Mode::Sockets => return 0,
        Mode::Statistics => return code(statistics::run(&counters(plan), out, err)),
        Mode::Routes => "-r",
        Mode::Interfaces => "-i",
        Mode::Groups => "-g",
        Mode::Masquerade => "-M",
    };
    // A closed standard error changes nothing.
    let _ = writeln!(err, "netstat: {option} is not part of this program yet");
    FAILED
}

/// The original does not notice that its output cannot be written.
fn code(outcome: anyhow::Result<Outcome>) -> u8 {
    match outcome {
        Ok(Outcome { complete: false }) => FAILED,
        Ok(Outcome { complete: true }) | Err(_) => 0,
    }
}

fn counters(plan: &CompatPlan) -> StatisticsPlan {
    let tables = plan.tables;
    let protocols = Protocols {
        ip: tables.raw,
        tcp: tables.tcp,
        udp: tables.udp,
        udplite: tables.udplite,
        sctp: tables.sctp,
    };
    let names: Vec<&str> = plan.families.iter().map(|family| family.name()).collect();
    StatisticsPlan {
        // Selecting a family alone, or nothing, selects every protocol.
        protocols: if plan.whole_family { Protocols::default() } else { protocols },
        compat: Some(CompatFamilies(names.join(","))),
        ..StatisticsPlan::default()
    }
}
