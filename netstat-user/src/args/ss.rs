//! What ss(8) has and netstat has not: filters as plain words, details, records, and sockets destroyed; and what people want of any
//! listing: columns by name, an order, no titles.

use super::plan::{Kill, ListPlan, UsageError, Which};
use crate::render::detail::Parts;
use crate::view::{Column, Selection, Sort};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

const WHICH: &str = "Which sockets (none given: all of them)";
const WHAT: &str = "What to show";
const HOW: &str = "How";

/// Flags of a listing.
#[derive(Debug, Default, Args)]
pub struct SsFlags {
    /// Only what these words describe, as for ss: `state listening`, `dst 10.0.0.0/8 and dport = :https`
    #[arg(value_name = "FILTER", help_heading = WHICH)]
    pub words: Vec<OsString>,
    /// With tcp_info of each TCP connection, named as in ss
    #[arg(long, help_heading = WHAT)]
    pub info: bool,
    /// With the memory of each socket, named as in ss
    #[arg(long, help_heading = WHAT)]
    pub memory: bool,
    /// With the cgroup (v2) of each socket; with a path, only sockets of that cgroup
    #[arg(
        long,
        value_name = "PATH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        help_heading = WHAT
    )]
    pub cgroup: Option<OsString>,
    /// With mark, options and type of service of each socket
    #[arg(long, help_heading = WHAT)]
    pub options: bool,
    /// These details on the line of their socket
    #[arg(short = 'O', long, help_heading = WHAT)]
    pub oneline: bool,
    /// Only these columns, in this order; with --json, only their fields (enetstat man lists them)
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', help_heading = WHAT)]
    pub columns: Vec<Column>,
    /// In the order of this column, which makes one table of all; -COLUMN: the largest first
    #[arg(long, value_name = "[-]COLUMN", allow_hyphen_values = true, help_heading = WHAT)]
    pub sort: Option<Sort>,
    /// No titles
    #[arg(short = 'H', long, help_heading = WHAT)]
    pub no_header: bool,

    /// Write the TCP sockets to a file that `TCPDIAG_FILE=FILE enetstat` and ss show (-: to standard output)
    #[arg(short = 'D', long, value_name = "FILE", conflicts_with_all = ["json", "continuous"], help_heading = HOW)]
    pub dump: Option<PathBuf>,
    /// Show the inet sockets that the filter chooses, ask, and destroy them (needs root); without a filter only as --kill=all
    #[arg(
        short = 'K',
        long,
        value_name = "all",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "filtered",
        value_parser = ["filtered", "all"],
        hide_possible_values = true,
        conflicts_with_all = ["json", "continuous", "dump"],
        help_heading = HOW
    )]
    pub kill: Option<String>,
    /// With --kill: do not ask
    #[arg(short = 'y', long, requires = "kill", help_heading = HOW)]
    pub yes: bool,
}

/// The words of a filter.
pub fn selection(words: &[OsString], unix: bool) -> Result<Selection, UsageError> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_encoded_bytes()).collect();
    Selection::parse(&words, unix).map_err(UsageError::Filter)
}

/// Adds what the flags say to a plan that has its tables.
pub fn apply(plan: &mut ListPlan, flags: SsFlags) -> Result<(), UsageError> {
    let unix = plan.unix && plan.tables.is_empty();
    plan.selection = selection(&flags.words, unix)?;
    // States decide alone which sockets are shown, as for ss.
    if plan.selection.states.is_some() {
        plan.which = Which::All;
    }
    if let Some(path) = flags.cgroup.as_ref().filter(|path| !path.is_empty()) {
        plan.selection.restrict_to_cgroup(path.as_encoded_bytes());
    }
    plan.details = Parts {
        info: flags.info,
        memory: flags.memory,
        cgroup: flags.cgroup.is_some(),
        options: flags.options,
        oneline: flags.oneline,
        numeric: !plan.naming.ports,
    };
    plan.columns = flags.columns;
    plan.sort = flags.sort;
    plan.no_header = flags.no_header;
    plan.dump = flags.dump;
    plan.kill = match flags.kill.as_deref() {
        None => None,
        Some(what) if what != "all" && plan.selection.is_empty() => return Err(UsageError::KillEverything),
        Some(_) if plan.tables.is_empty() => return Err(UsageError::KillNothing),
        Some(_) => Some(Kill { ask: !flags.yes }),
    };
    if (plan.details.any() || flags.oneline)
        && !(plan.columns.is_empty() && plan.sort.is_none())
        && !plan.json
    {
        return Err(UsageError::DetailsAndColumns);
    }
    Ok(())
}
