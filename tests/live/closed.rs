//! A repeated listing shows what opened and closed between two of its rounds.

use anyhow::{Context, Result, bail, ensure};
use netstat_common::TcpState;
use netstat_tests::json::{self, Kind, Line};
use netstat_tests::need::{Need, need};
use netstat_tests::{NetNs, program, traffic};
use std::collections::BTreeSet;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Child;
use std::time::{Duration, Instant};

/// For what is not there yet, or still; much longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `enetstat -c`.
struct Repeated {
    child: Child,
    out: tempfile::NamedTempFile,
    err: tempfile::NamedTempFile,
}

impl Repeated {
    /// Starts it with TCP, every state, owners, and these further words.
    fn start(words: &[&str]) -> Result<Self> {
        let (out, err) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
        let mut command = program::command(&["-tanp"])?;
        if !words.iter().any(|word| word.starts_with("--continuous")) {
            command.arg("--continuous=0.5");
        }
        let child = command.args(words).stdout(out.reopen()?).stderr(err.reopen()?).spawn()?;
        Ok(Self { child, out, err })
    }

    /// What it has written so far.
    fn text(&self) -> Result<String> {
        let mut text = Vec::new();
        std::fs::File::open(self.out.path())?.read_to_end(&mut text)?;
        Ok(String::from_utf8(text)?)
    }

    /// Waits until what it has written satisfies `enough`.
    fn wait_for(&mut self, what: &str, enough: impl Fn(&str) -> bool) -> Result<String> {
        let since = Instant::now();
        loop {
            let text = self.text()?;
            if enough(&text) {
                return Ok(text);
            }
            ensure!(since.elapsed() < PATIENCE, "{what}: {text}");
            if let Some(status) = self.child.try_wait()? {
                bail!("enetstat ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        program::tell(std::fs::read_to_string(self.err.path()).unwrap_or_default().lines());
    }
}

/// The complete rounds of a text, each with the lines of its rows.
fn rounds(text: &str) -> Vec<Vec<&str>> {
    let mut rounds: Vec<_> = text.split("Active Internet connections").skip(1).collect();
    // The last one may not be written to its end.
    rounds.pop();
    rounds.into_iter().map(|round| round.lines().skip(2).collect()).collect()
}

/// Whether a row says that the connection from `local` to `foreign` is over, and whose it was.
fn is_end(row: &str, local: SocketAddr, foreign: SocketAddr) -> bool {
    let words: Vec<_> = row.split_whitespace().collect();
    let owner = format!("{}/", std::process::id());
    // netstat writes no brackets.
    let shown = |end: SocketAddr| format!("{}:{}", end.ip(), end.port());
    words.windows(4).any(|words| {
        words[0] == shown(local)
            && words[1] == shown(foreign)
            && words[2] == "CLOSE"
            && words[3].starts_with(&owner)
    })
}

/// Opens a connection and resets it at once, so that no TIME_WAIT stays; gives both ends.
fn quick(v6: bool) -> Result<(SocketAddr, SocketAddr)> {
    let listener = traffic::listener(v6)?;
    let pair = traffic::pair_through(&listener)?;
    let ends = (pair.client.local_addr()?, pair.server.local_addr()?);
    pair.reset_by_client()?;
    Ok(ends)
}

#[test]
fn a_quick_connection_is_shown_as_closed_with_its_process_and_then_no_more() -> Result<()> {
    // The listing takes the best tier, whichever is forced upon traces.
    let Some(_) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut listing = Repeated::start(&["--keep-closed", "2"])?;
    // The kernel half is attached before the first round.
    listing.wait_for("no round", |text| text.contains("Active"))?;
    for v6 in [false, true] {
        let (client, server) = quick(v6)?;
        let shown = |rows: &Vec<&str>| {
            rows.iter().any(|row| is_end(row, client, server))
                && rows.iter().any(|row| is_end(row, server, client))
        };
        let any = |rows: &Vec<&str>| rows.iter().any(|row| row.contains(&format!(":{} ", client.port())));
        listing.wait_for("both ends as CLOSE", |text| rounds(text).iter().any(shown))?;
        let text = listing.wait_for("gone after its time", |text| {
            let rounds = rounds(text);
            let first = rounds.iter().position(shown).unwrap_or(rounds.len());
            rounds.iter().skip(first).any(|rows| !any(rows))
        })?;
        // The listener was closed too, and is no connection.
        let listener = format!("{}:{} ", server.ip(), server.port());
        let closed = |row: &&str| row.contains(" CLOSE ") && row.contains(&listener) && row.contains(":* ");
        ensure!(!text.lines().any(|row| closed(&row)), "a listener is shown as closed: {text}");
    }
    Ok(())
}

/// Shown once at least, even when it is not to be kept for any time.
#[test]
fn what_ended_between_two_rounds_is_in_the_next_one() -> Result<()> {
    let Some(_) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut listing = Repeated::start(&["--keep-closed", "0", "--json"])?;
    // An open socket, so that each round has a line.
    let open = traffic::listener(false)?;
    listing.wait_for("no round", |text| text.contains('\n'))?;
    for v6 in [false, true] {
        let (client, server) = quick(v6)?;
        let ends = [(client, server), (server, client)];
        let found = |text: &str| -> Result<Vec<Line>> {
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let mut lines = json::lines(whole.as_bytes())?;
            lines.retain(|line| line.kind == Kind::Socket && line.state == Some(TcpState::Close));
            lines.retain(|line| {
                ends.iter().any(|&(local, peer)| line.local == Some(local) && line.peer == Some(peer))
            });
            Ok(lines)
        };
        let text = listing.wait_for("both ends", |text| found(text).is_ok_and(|lines| lines.len() >= 2))?;
        for line in found(&text)? {
            ensure!(line.pid == Some(std::process::id()), "{line:?}");
            // Its cookie is known where the kernel tells it to tracing programs.
            ensure!(line.connection.is_some() && line.duration_ns.is_some(), "{line:?}");
        }
    }
    drop(open);
    Ok(())
}

/// Rounds that follow each other without a pause miss nothing, whatever happens while one ends and the next begins.
#[test]
fn no_end_is_missed_between_rounds() -> Result<()> {
    let Some(_) = need(Need::Events)? else { return Ok(()) };
    let connections = netstat_tests::scale("ENETSTAT_TEST_CONNECTIONS", 3_000)?.min(3_000);
    let _namespace = NetNs::enter()?;
    let open = traffic::listener(false)?;
    let words = ["--keep-closed", "0", "--json", "--continuous=0.01"];
    let mut listing = Repeated::start(&words)?;
    listing.wait_for("no round", |text| text.contains('\n'))?;
    let mut ends = BTreeSet::new();
    for number in 0..connections {
        let pair = traffic::pair_through(&open)?;
        let (client, server) = pair.cookies()?;
        ends.insert(server);
        // A TIME_WAIT makes the program ask, so that it is busy when its rounds end.
        if number % 8 == 0 {
            pair.close_client_first()?;
        } else {
            ends.insert(client);
            pair.reset_by_client()?;
        }
    }
    let mut missing = ends.clone();
    let since = Instant::now();
    while !missing.is_empty() {
        ensure!(since.elapsed() < PATIENCE, "{} of {} ends are missing", missing.len(), ends.len());
        std::thread::sleep(Duration::from_millis(100));
        let text = listing.text()?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in json::lines(whole.as_bytes())? {
            if let (Some(TcpState::Close), Some(cookie)) = (line.state, line.cookie) {
                missing.remove(&cookie);
            }
        }
    }
    Ok(())
}

/// A namespace that is gone can be listed no more; what ended in it is shown all the same.
#[test]
fn the_ends_of_every_namespace_are_shown() -> Result<()> {
    let Some(_) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut listing = Repeated::start(&["--keep-closed", "10", "--all-netns"])?;
    listing.wait_for("no round", |text| text.contains("Active"))?;
    let short_lived = NetNs::enter().context("a second namespace")?;
    let netns = format!("net:[{}] ", short_lived.inum());
    let (client, server) = quick(false)?;
    drop(short_lived);
    let shown = |row: &str| row.starts_with(&netns) && is_end(row, client, server);
    listing.wait_for("the end", |text| rounds(text).iter().flatten().any(|row| shown(row)))?;
    Ok(())
}
