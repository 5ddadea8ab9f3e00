//! Benchmarks: enetstat beside its peers, in one run on one machine. Ratios mean more than figures: the machine is never the same.
//!
//! `bench trace [--connections N] [--repetitions N] [--only NAME]...`

mod kernel;
mod measure;
mod peers;
mod report;
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
    /// Price and losses of tracing connections that open and close at full speed
    Trace(trace::Flags),
}

fn main() -> Result<()> {
    match Flags::parse().what {
        What::Trace(flags) => trace::run(&flags),
    }
}
