//! Benchmarks: enetstat beside its peers, in one run on one machine. Ratios mean more than figures: the machine is never the same.
//!
//! `bench calls [--calls N] [--connections N] [--rate N]`,
//! `bench list [--sockets N]... [--repetitions N] [--only NAME]...`, `bench owners` (the same, of `-tanp` alone),
//! `bench table [--rows N]... [--events N]`,
//! `bench trace [--connections N] [--repetitions N] [--only NAME]...`

mod calls;
mod kernel;
mod list;
mod measure;
mod peers;
mod report;
mod table;
mod trace;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures enetstat beside its peers; needs root.
#[derive(Parser)]
struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Price of a send or receive under `--queues`, and of reading a record of each
    Calls(calls::Flags),
    /// Price of a listing, with and without owners, beside netstat, ss and lsof
    List(list::Flags),
    /// The same, of listings with owners alone
    Owners(list::Flags),
    /// Everything, one after the other, as each does it by itself
    All,
    /// Price of a record inside the program, and of a connection in memory
    Table(table::Flags),
    /// Price and losses of tracing connections that open and close at full speed
    Trace(trace::Flags),
}

fn main() -> Result<()> {
    match Flags::parse().what {
        What::Calls(flags) => calls::run(&flags),
        What::List(flags) => list::run(&flags),
        What::Owners(flags) => list::run(&flags.of("-tanp")),
        What::All => ["list", "table", "calls", "trace"].into_iter().try_for_each(alone),
        What::Table(flags) => table::run(&flags),
        What::Trace(flags) => trace::run(&flags),
    }
}

/// Runs one of them as if it had been asked for.
fn alone(name: &str) -> Result<()> {
    match Flags::parse_from(["bench", name]).what {
        What::List(flags) => list::run(&flags),
        What::Calls(flags) => calls::run(&flags),
        What::Table(flags) => table::run(&flags),
        What::Trace(flags) => trace::run(&flags),
        What::Owners(_) | What::All => Ok(()),
    }
}
