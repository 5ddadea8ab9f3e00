//! Why a command line cannot be obeyed.

use super::bsd;
use crate::view::expr::ExprError;

/// Words that cannot be obeyed together, or that mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("{0:?} means nothing here")]
    Operand(String),
    #[error("{0}\n\nplain words are commands (trace, capabilities, schema, man, completions) or a filter")]
    Filter(ExprError),
    #[error("{0} shows no sockets, and plain words are a filter of sockets: {1:?}")]
    ModeAndFilter(&'static str, String),
    #[error(
        "--kill without a filter would destroy every connection of this host: give a filter, or say --kill=all"
    )]
    KillEverything,
    #[error("--kill destroys inet sockets, and the other options select none")]
    KillNothing,
    #[error(
        "--info, --memory, --options and -O exclude --columns and --sort, which show cells alone; --json has both"
    )]
    DetailsAndColumns,
    #[error("a trace does not know {0} of a connection")]
    NotTraced(&'static str),
    #[error("--close and --queues {0} exclude each other: a finished connection has no queues")]
    CloseAndQueues(&'static str),
    #[error("--queue-interval only means something with --queues coalesced")]
    IntervalWithoutQueues,
    #[error("--time only means something without --json: JSON carries RFC 3339 times")]
    TimeAndJson,
    #[error("--comm {0:?} is empty or longer than the 15 bytes that the kernel keeps of a process name")]
    Comm(String),
    #[error("--tier {0} does not list sockets: bpf, netlink and procfs do")]
    ListTier(String),
    #[error("--keep-closed only means something with -c: one listing sees no connection end")]
    KeepClosedOnce,
    #[error("--keep-closed is about TCP connections, and the other options select no TCP sockets")]
    KeepClosedWithoutTcp,
    #[error("--keep-closed and --tier {0} exclude each other: {0} does not tell what ended")]
    KeepClosedAndTier(&'static str),
    #[error("-s and {0} exclude each other: {1}")]
    NoStatistics(&'static str, &'static str),
    #[error("{0} and {1} exclude each other: each is a display of its own")]
    Modes(&'static str, &'static str),
    #[error("{0} knows the families inet and inet6, not {1}")]
    ModeAndFamily(&'static str, &'static str),
    #[error("{0} only means something with -r")]
    WithoutRoutes(&'static str),
    #[error("{0} shows no sockets, and {1} is about them: run enetstat once for each")]
    ModeAndSockets(&'static str, &'static str),
    #[error(transparent)]
    Bsd(#[from] bsd::BsdError),
}
