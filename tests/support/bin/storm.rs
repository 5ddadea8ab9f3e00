//! The workload generator, and the other processes of the tests:
//! `storm --connections 100000 --processes 4 --v4 --v6 --truth FILE`, `storm actor`, `storm nested`, `storm census`,
//! `storm churn COUNT`.

use anyhow::Result;
use clap::Parser;
use netstat_tests::{actor, census, churn, crowd, storm};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Opens and closes loopback connections between several processes at full speed, and writes down the truth about each.
#[derive(Parser)]
struct Flags {
    /// Connections in all
    #[arg(long)]
    connections: u64,
    /// Client processes, and as many servers
    #[arg(long, default_value_t = 2)]
    processes: u64,
    /// Over IPv4
    #[arg(long)]
    v4: bool,
    /// Over IPv6
    #[arg(long)]
    v6: bool,
    /// First port of the servers [default: the kernel chooses]
    #[arg(long, default_value_t = 0)]
    port_base: u16,
    /// Bytes each end sends besides the header
    #[arg(long, default_value_t = 0)]
    payload: u32,
    /// Milliseconds that connections stay open, many at a time
    #[arg(long, default_value_t = 0)]
    hold: u64,
    /// Microseconds that a client pauses after each connection
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Seconds after which no connection is begun any more
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// File for the truth
    #[arg(long)]
    truth: PathBuf,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((role, words)) if role == "client" => storm::client(words),
        Some((role, words)) if role == "server" => storm::server(words),
        Some((role, words)) if role == "sitter" => crowd::sitter(words),
        Some((role, words)) if role == "census" => census::work(words),
        Some((role, words)) if role == "actor" => actor::play(words),
        Some((role, _)) if role == "nested" => actor::play_nested(),
        Some((role, words)) if role == "churn" => churn::run(words),
        Some((role, words)) if role == "keep" => churn::keep(words),
        _ => {
            let flags = Flags::parse();
            let took = storm::run(&storm::Plan {
                connections: flags.connections,
                processes: flags.processes,
                v4: flags.v4,
                v6: flags.v6,
                port_base: flags.port_base,
                payload: flags.payload,
                hold: Duration::from_millis(flags.hold),
                pause: Duration::from_micros(flags.pause),
                limit: Duration::from_secs(flags.seconds),
                truth: flags.truth,
            })?;
            writeln!(std::io::stdout(), "{}", took.as_nanos())?;
            Ok(())
        }
    }
}
