//! What is true of one end of a connection.

use anyhow::{Context, Result};
use netstat_common::TcpState::{self, Close, CloseWait, Established, FinWait1, FinWait2, LastAck, TimeWait};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The caller closes first.
    Active,
    /// The one who was called does.
    Passive,
    /// Either resets it.
    Reset,
    /// Nobody listens.
    Refused,
    /// Nobody answers, neither a SYN nor data.
    TimedOut,
    /// The last ACK of the handshake never comes; either a reset does, or nothing.
    HalfOpen,
    /// It waits for accept until the listener is closed.
    NeverAccepted,
    /// A child of the process that accepted has it in the end.
    Inherited,
    /// Another process was given it (SCM_RIGHTS).
    Passed,
    /// It takes the place of one in TIME_WAIT.
    Reused,
    /// Both ends close before either knows of the other's close.
    Simultaneous,
    /// All calls are made by io_uring.
    IoUring,
    /// A socket that listens.
    Listener,
}

impl Kind {
    /// What two processes do.
    pub const BETWEEN_PROCESSES: [Self; 9] = [
        Self::Active,
        Self::Passive,
        Self::Reset,
        Self::Refused,
        Self::NeverAccepted,
        Self::Inherited,
        Self::Passed,
        Self::Reused,
        Self::IoUring,
    ];
    /// What needs a scripted peer.
    pub const WITH_PEER: [Self; 3] = [Self::TimedOut, Self::HalfOpen, Self::Simultaneous];

    const ALL: [Self; 13] = [
        Self::Active,
        Self::Passive,
        Self::Reset,
        Self::Refused,
        Self::TimedOut,
        Self::HalfOpen,
        Self::NeverAccepted,
        Self::Inherited,
        Self::Passed,
        Self::Reused,
        Self::Simultaneous,
        Self::IoUring,
        Self::Listener,
    ];
}

/// Two moments of CLOCK_MONOTONIC between which something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(pub u64, pub u64);

impl Window {
    /// Does something, and says between which moments.
    pub fn of<T>(does: impl FnOnce() -> T) -> (Self, T) {
        let before = crate::sys::monotonic();
        let done = does();
        (Self(before, crate::sys::monotonic()), done)
    }
}

/// The whole life of one socket, from CLOSE to CLOSE or TIME_WAIT. What ends a TIME_WAIT is the kernel's timer, or the next life
/// with the same addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    pub kind: Kind,
    /// Number of the connection in its namespace: both ends have the same.
    pub number: u32,
    pub netns: u64,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// `SO_COOKIE`; of some sockets nobody has a file.
    pub cookie: Option<u64>,
    /// States in their order, the first one included.
    pub path: Vec<TcpState>,
    /// Processes that it may be said to belong to.
    pub owners: Vec<u32>,
    /// Who called connect or listen, and when.
    pub opened: Option<(u32, Window)>,
    /// Who closed it, if that made it change its state, and when; 0: nobody whom the kernel could name.
    pub closed: Option<(u32, Window)>,
    /// `enetstat.end.reason`.
    pub reason: Option<&'static str>,
    /// `enetstat.end.first`.
    pub first: Option<&'static str>,
    pub error: Option<&'static str>,
    /// Sent and received, where that is a matter of what was done and not of when.
    pub bytes: Option<(u64, u64)>,
}

/// Words that the truth may have.
const WORDS: [&str; 12] = [
    "closed",
    "listener_closed",
    "reset",
    "aborted",
    "refused",
    "timed_out",
    "local",
    "peer",
    "both",
    "ECONNRESET",
    "ECONNREFUSED",
    "ETIMEDOUT",
];

pub const BEGINS: [TcpState; 3] = [Close, TcpState::SynSent, Established];
pub const ANSWERS: [TcpState; 3] = [TcpState::Listen, TcpState::SynRecv, Established];
pub const CLOSES: [TcpState; 3] = [FinWait1, FinWait2, TimeWait];
pub const FOLLOWS: [TcpState; 3] = [CloseWait, LastAck, Close];

impl Life {
    /// The two ends of a connection that is closed in the usual way: the end that closes first, then the other.
    pub fn closed_by(first: &mut Self, second: &mut Self) {
        first.path.extend(CLOSES);
        second.path.extend(FOLLOWS);
        (first.first, second.first) = (Some("local"), Some("peer"));
        (first.reason, second.reason) = (Some("closed"), Some("closed"));
    }

    /// The two ends of one that is reset.
    pub fn reset_by(first: &mut Self, second: &mut Self) {
        first.path.push(Close);
        second.path.push(Close);
        (first.reason, second.reason) = (Some("aborted"), Some("reset"));
        second.error = Some("ECONNRESET");
    }

    /// One line for [`parse`].
    pub fn text(&self) -> String {
        let act = |act: &Option<(u32, Window)>| act.map(|(pid, window)| json!([pid, window.0, window.1]));
        let states: Vec<&str> = self.path.iter().map(|state| state.name()).collect();
        let value = json!({
            "kind": format!("{:?}", self.kind), "number": self.number, "netns": self.netns, "local": self.local.to_string(),
            "peer": self.peer.to_string(), "cookie": self.cookie, "path": states,
            "owners": self.owners, "opened": act(&self.opened), "closed": act(&self.closed), "reason": self.reason,
            "first": self.first, "error": self.error, "bytes": self.bytes.map(|(sent, received)| [sent, received]),
        });
        format!("{value}\n")
    }

    fn from(value: &Value) -> Option<Self> {
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let word = |name: &str| {
            let word = value[name].as_str();
            word.and_then(|word| WORDS.into_iter().find(|known| *known == word))
        };
        let act = |name: &str| {
            let act = &value[name];
            Some((number(&act[0])?, Window(act[1].as_u64()?, act[2].as_u64()?)))
        };
        let kind = value["kind"].as_str()?;
        let path = value["path"].as_array()?.iter();
        let path = path.map(|state| crate::json::state(state.as_str()?).ok()).collect::<Option<_>>()?;
        let bytes = &value["bytes"];
        Some(Self {
            kind: Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind)?,
            number: number(&value["number"])?,
            netns: value["netns"].as_u64()?,
            local: value["local"].as_str()?.parse().ok()?,
            peer: value["peer"].as_str()?.parse().ok()?,
            cookie: value["cookie"].as_u64(),
            path,
            owners: value["owners"].as_array()?.iter().filter_map(number).collect(),
            opened: act("opened"),
            closed: act("closed"),
            reason: word("reason"),
            first: word("first"),
            error: word("error"),
            bytes: bytes[0].as_u64().zip(bytes[1].as_u64()),
        })
    }
}

/// Reads what [`Life::text`] wrote.
///
/// # Errors
/// Names the line that it did not write.
pub fn parse(text: &str) -> Result<Vec<Life>> {
    let lives = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        Life::from(&value).with_context(|| format!("not a life: {line}"))
    });
    lives.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() -> Result<()> {
        for kind in Kind::ALL {
            let whole = Life {
                kind,
                number: 7,
                netns: 4_026_531_840,
                local: "[::1]:1".parse()?,
                peer: "127.0.0.1:2".parse()?,
                cookie: Some(u64::MAX),
                path: [&BEGINS[..], &CLOSES].concat(),
                owners: vec![1, 2],
                opened: Some((1, Window(2, 3))),
                closed: None,
                reason: Some("timed_out"),
                first: Some("both"),
                error: Some("ECONNRESET"),
                bytes: Some((1 << 40, 0)),
            };
            let bare = Life { cookie: None, bytes: None, reason: None, ..whole.clone() };
            assert_eq!(parse(&[whole.text(), bare.text()].concat())?, [whole, bare]);
        }
        assert!(parse("{}").is_err());
        Ok(())
    }

    #[test]
    fn every_kind_is_shared_out() {
        let shared = [&Kind::BETWEEN_PROCESSES[..], &Kind::WITH_PEER, &[Kind::Listener]].concat();
        assert!(Kind::ALL.iter().all(|kind| shared.contains(kind)) && shared.len() == Kind::ALL.len());
    }
}
