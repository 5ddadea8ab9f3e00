//! What enetstat must show on a real kernel, one file a behaviour, each test in a network namespace of its own.
//!
//! `ENETSTAT_TIER` forces a tier; `ENETSTAT_TEST_CONNECTIONS` and `ENETSTAT_TEST_STARTS` scale the long ones;
//! `ENETSTAT_TEST_CENSUS` is the number of connections of every kind, `ENETSTAT_TEST_YOUNG_MS` how old what is not told yet may be;
//! `ENETSTAT_TEST_LONG=1` adds what takes minutes.

mod beside;
mod bsd;
mod census;
mod closed;
mod complaints;
mod complete;
mod containers;
mod current;
mod filters;
mod holders;
mod listed;
mod loss;
mod namespaces;
mod owners;
mod privilege;
mod queues;
mod race;
mod scenarios;
mod short;
mod timewaits;

use anyhow::{Result, ensure};
use netstat_common::TcpState;
use netstat_tests::json::{Kind, Line};

/// Steps that the lines tell of one socket, in order.
fn steps(lines: &[Line], cookie: u64) -> Vec<(TcpState, TcpState)> {
    of(lines, cookie).filter_map(Line::step).collect()
}

/// Transitions of one socket.
fn of(lines: &[Line], cookie: u64) -> impl Iterator<Item = &Line> {
    lines.iter().filter(move |line| line.kind == Kind::Transition && line.cookie == Some(cookie))
}

/// The summary says that nothing was lost and nothing had to be repaired.
fn ensure_healthy(output: &netstat_tests::Output) -> Result<()> {
    for key in ["enetstat.lost", "enetstat.repaired"] {
        ensure!(output.counted(key)? == 0, "{key}: {}", output.summary()?);
    }
    Ok(())
}

/// The same, where a [`Witness`](netstat_tests::witness::Witness) tells what the kernel kept from every program: all of that is
/// said as lost, besides timers that the witness does not look at, and no more than that had to be repaired.
fn ensure_healthy_but(output: &netstat_tests::Output, unseen: &netstat_tests::witness::Unseen) -> Result<()> {
    let (lost, kept) = (output.counted("enetstat.lost")?, unseen.values().map(Vec::len).sum::<usize>());
    let all_told = match kept {
        0 => lost == 0,
        kept => lost >= kept as u64 && netstat_tests::program::lost_only_unseen(&output.err),
    };
    ensure!(all_told, "{lost} lost, unseen by every program {unseen:?}: {:?}", output.err);
    let repaired = output.counted("enetstat.repaired")?;
    ensure!(
        repaired <= unseen.len() as u64,
        "{repaired} repaired, unseen by every program {unseen:?}: {}",
        output.summary()?
    );
    Ok(())
}
