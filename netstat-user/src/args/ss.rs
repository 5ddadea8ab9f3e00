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
    plan.details = Parts {
        info: flags.info,
        memory: flags.memory,
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
        Some(what) if what != "all" && plan.selection.is_empty() && plan.inside.filter.is_empty() => {
            return Err(UsageError::KillEverything);
        }
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

impl ListPlan {
    /// The columns that are asked for by name, to be shown or to sort by.
    pub fn named(&self) -> impl Iterator<Item = Column> {
        self.columns.iter().copied().chain(self.sort.map(|sort| sort.column))
    }
}

/// What of it chooses or shows sockets, by the name of its option.
pub fn given(flags: &SsFlags) -> Option<&'static str> {
    [
        ("--info", flags.info),
        ("--memory", flags.memory),
        ("--options", flags.options),
        ("--oneline", flags.oneline),
        ("--columns", !flags.columns.is_empty()),
        ("--sort", flags.sort.is_some()),
        ("--no-header", flags.no_header),
        ("--dump", flags.dump.is_some()),
        ("--kill", flags.kill.is_some()),
    ]
    .into_iter()
    .find_map(|(word, given)| given.then_some(word))
}

/// The words of a filter as they were typed; `None`: there are none.
pub fn typed(flags: &SsFlags) -> Option<String> {
    let words: Vec<_> = flags.words.iter().map(|word| word.to_string_lossy()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
