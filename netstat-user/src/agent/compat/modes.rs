//! The modes beside the listing of sockets: the one place where each is handed over to what shows it.

use super::output::Output;
use crate::args::compat::{CompatPlan, Mode};
use std::io::Write;

/// net-tools' exit code for what it cannot do.
const FAILED: u8 = 1;

/// Shows a mode, repeatedly with `-c`, and gives its exit code.
///
/// [`Mode::Groups`] is one part of the listing of sockets: it is shown once for each call.
pub fn run(mode: Mode, _plan: &CompatPlan, _out: &mut Output<'_>, err: &mut dyn Write) -> u8 {
    let option = match mode {
        // Listed by our caller.
        Mode::Sockets => return 0,
        Mode::Routes => "-r",
        Mode::Interfaces => "-i",
        Mode::Groups => "-g",
        Mode::Statistics => "-s",
        Mode::Masquerade => "-M",
    };
    // A closed standard error changes nothing.
    let _ = writeln!(err, "netstat: {option} is not part of this program yet");
    FAILED
}
