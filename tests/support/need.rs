//! What a test needs of the machine. A test that cannot run says why, on the real stderr: libtest would swallow it.

use crate::program;
use anyhow::{Context, Result};
use std::io::Write;

/// What a test needs of the tracer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Transitions as events: not the tiers that poll.
    Events,
    /// Queue changes as events.
    Queues,
    /// Any tier will do.
    Anything,
}

/// How the tracer is to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tier {
    /// `None`: the best one.
    pub name: Option<String>,
}

impl Tier {
    /// The tier's words on the command line.
    pub fn args(&self) -> Vec<String> {
        self.name.iter().flat_map(|name| ["--tier".to_owned(), name.clone()]).collect()
    }

    /// Whether accept itself is watched in this tier; otherwise the accepting process is known once it acts.
    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }
}

/// Says why a test does not run.
pub fn skip(reason: &str) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    // Nothing can be done about a stderr that is gone.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {reason}");
}

/// The tier that `ENETSTAT_TIER` names (unset or empty: the best), or `None`, having said why, when the test cannot run.
/// Without a forced tier nothing but a missing privilege is a reason: a tracer that refuses to start fails the test.
///
/// # Errors
/// The program under test cannot be started.
pub fn need(need: Need) -> Result<Option<Tier>> {
    if !rustix::process::geteuid().is_root() {
        skip("needs root");
        return Ok(None);
    }
    let name = std::env::var("ENETSTAT_TIER").ok().filter(|name| !name.is_empty());
    let Some(name) = name else { return Ok(Some(Tier { name: None })) };
    if need != Need::Anything && (name == "netlink" || name == "procfs") {
        skip(&format!("tier {name} hears no events"));
        return Ok(None);
    }
    let asked =
        program::command(&["capabilities", "--tier", &name])?.output().context("enetstat capabilities")?;
    if !asked.status.success() {
        let said = [asked.stdout, asked.stderr].concat();
        skip(&format!("this kernel lacks the tier {name}: {}", String::from_utf8_lossy(&said).trim()));
        return Ok(None);
    }
    if need == Need::Queues && !has_queues(&name) {
        skip(&format!("this kernel reports no queue changes in the tier {name}"));
        return Ok(None);
    }
    Ok(Some(Tier { name: Some(name) }))
}

/// The tier that half-open connections, TIME_WAIT and the port of SYN_SENT have their events from, when they have any.
///
/// # Errors
/// `enetstat capabilities` does not tell.
pub fn minis(tier: &Tier) -> Result<Option<String>> {
    learnt(tier, "half-open and waiting")
}

/// The tier that closed windows have their events from, if any.
///
/// # Errors
/// `enetstat capabilities` does not tell.
pub fn windows(tier: &Tier) -> Result<Option<String>> {
    learnt(tier, "closed windows")
}

/// What `enetstat capabilities` says of a feature.
fn learnt(tier: &Tier, feature: &str) -> Result<Option<String>> {
    let words = tier.args();
    let mut command = program::command(&["capabilities"])?;
    let asked = command.args(words).output().context("enetstat capabilities")?;
    let text = String::from_utf8(asked.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix(feature));
    let chosen = line.with_context(|| format!("no word of {feature} in {text:?}"))?.trim();
    Ok((chosen != "none").then(|| chosen.to_owned()))
}

/// The tracepoints of send and recv appeared in 6.3; the other tiers hook the functions themselves.
fn has_queues(tier: &str) -> bool {
    tier == "fentry" || tier == "kprobe" || is_since((6, 3))
}

/// Whether the peer's FIN for a socket that no process has any more has an event where half-open connections have theirs
/// from `minis`. Timers alone do not always tell; what throws the segment away names the socket since 6.11.
pub fn has_late_fin(minis: &str) -> bool {
    minis == "fentry" || minis == "kprobe" || minis == "tp_btf" && is_since((6, 11))
}

/// Whether the kernel tells why it sends a reset, everywhere: the words came with 6.10, most of their places with 6.12.
pub fn has_reset_reasons() -> bool {
    is_since((6, 12))
}

/// Whether a program may walk over the kernel's table of connections: `bpf_loop` came with 5.17.
pub fn has_walk() -> bool {
    is_since((5, 17))
}

/// Whether the kernel calls itself this version or a newer one.
fn is_since(wanted: (u32, u32)) -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= wanted
}
