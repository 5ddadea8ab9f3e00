//! Reads the lines of `--json`: one flat object a line. Written for a million lines: a scanner over the bytes that keeps what the
//! checkers need, and a test that holds it against serde_json.

use anyhow::{Context, Result, bail};
use netstat_common::TcpState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// `enetstat.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Transition,
    Connection,
    Queue,
    Repair,
    Socket,
    Summary,
}

/// One line. What it does not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: Kind,
    /// RFC 3339 as printed: fixed width, so its order is that of the text.
    pub timestamp: Option<Box<str>>,
    pub local: Option<SocketAddr>,
    pub peer: Option<SocketAddr>,
    pub from: Option<TcpState>,
    pub state: Option<TcpState>,
    pub pid: Option<u32>,
    pub comm: Option<Box<str>>,
    pub how: Option<Box<str>>,
    pub vpid: Option<u32>,
    pub executable: Option<Box<str>>,
    pub opener: Option<u32>,
    pub opener_comm: Option<Box<str>>,
    /// `enetstat.owner.holders`, their numbers.
    pub holders: Option<Vec<u32>>,
    pub actor: Option<u32>,
    /// Filled in by [`lines`] where a later line about the same connection has it.
    pub cookie: Option<u64>,
    pub connection: Option<u64>,
    pub netns: Option<u64>,
    pub spent_ns: Option<u64>,
    pub duration_ns: Option<u64>,
    pub learnt: Option<Box<str>>,
    pub error: Option<Box<str>>,
    /// Why it ended, and which end closed first.
    pub reason: Option<Box<str>>,
    pub first: Option<Box<str>>,
    pub preexisting: bool,
    pub sent: Option<u64>,
    pub received: Option<u64>,
    pub queue_receive: Option<u64>,
    pub queue_send: Option<u64>,
    pub lost: Option<u64>,
    pub repaired: Option<u64>,
    pub cause: Option<Box<str>>,
    /// `sent` or `received`.
    pub reset: Option<Box<str>>,
    pub reset_reason: Option<Box<str>>,
    pub numbers: Numbers,
}

/// What is told of few lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub resent: Option<u64>,
    pub retransmits: Option<u64>,
    pub syn_retransmits: Option<u64>,
    pub segments_lost: Option<u64>,
    pub reordered: Option<u64>,
    pub rtt_us: Option<u64>,
    pub rtt_min_us: Option<u64>,
    pub busy_us: Option<u64>,
    pub window_us: Option<u64>,
    pub windows: Option<u64>,
    pub buffer_us: Option<u64>,
    pub probes: Option<u64>,
    pub handshake_us: Option<u64>,
    pub accept_us: Option<u64>,
    pub first_sent_us: Option<u64>,
    pub first_received_us: Option<u64>,
    pub waiting: Option<u64>,
    pub limit: Option<u64>,
    pub half_open: Option<u64>,
    pub dropped: Option<u64>,
}

impl Numbers {
    fn member(&mut self, key: &str) -> Option<&mut Option<u64>> {
        Some(match key {
            "enetstat.bytes.resent" => &mut self.resent,
            "enetstat.retransmits" => &mut self.retransmits,
            "enetstat.syn.retransmits" => &mut self.syn_retransmits,
            "enetstat.segments.lost" => &mut self.segments_lost,
            "enetstat.reordered" => &mut self.reordered,
            "enetstat.rtt_us" => &mut self.rtt_us,
            "enetstat.rtt.min_us" => &mut self.rtt_min_us,
            "enetstat.busy_us" => &mut self.busy_us,
            "enetstat.window.limited_us" => &mut self.window_us,
            "enetstat.window.closed" => &mut self.windows,
            "enetstat.buffer.limited_us" => &mut self.buffer_us,
            "enetstat.probes" => &mut self.probes,
            "enetstat.latency.handshake_us" => &mut self.handshake_us,
            "enetstat.latency.accept_us" => &mut self.accept_us,
            "enetstat.latency.first_sent_us" => &mut self.first_sent_us,
            "enetstat.latency.first_received_us" => &mut self.first_received_us,
            "enetstat.listener.waiting" => &mut self.waiting,
            "enetstat.listener.limit" => &mut self.limit,
            "enetstat.listener.half_open" => &mut self.half_open,
            "enetstat.listener.dropped" => &mut self.dropped,
            _ => return None,
        })
    }
}

/// Every line of a text.
///
/// # Errors
/// Names the line that cannot be read.
pub fn lines(text: &[u8]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if !line.is_empty() {
            let line = Line::parse(line)
                .with_context(|| format!("line {}: {}", index + 1, String::from_utf8_lossy(line)))?;
            lines.push(line);
        }
    }
    let known: HashMap<u64, u64> =
        lines.iter().filter_map(|line: &Line| Some((line.connection?, line.cookie?))).collect();
    for line in lines.iter_mut().filter(|line| line.cookie.is_none()) {
        line.cookie = line.connection.and_then(|connection| known.get(&connection).copied());
    }
    Ok(lines)
}

/// A state in OpenTelemetry's spelling or netstat's.
///
/// # Errors
/// It is neither.
pub fn state(name: &str) -> Result<TcpState> {
    TcpState::ALL
        .into_iter()
        .find(|state| state.otel() == name || state.name() == name)
        .with_context(|| format!("no state {name:?}"))
}

impl Line {
    fn of(kind: Kind) -> Self {
        Self {
            kind,
            timestamp: None,
            local: None,
            peer: None,
            from: None,
            state: None,
            pid: None,
            comm: None,
            how: None,
            vpid: None,
            executable: None,
            opener: None,
            opener_comm: None,
            holders: None,
            actor: None,
            cookie: None,
            connection: None,
            netns: None,
            spent_ns: None,
            duration_ns: None,
            learnt: None,
            error: None,
            reason: None,
            first: None,
            preexisting: false,
            sent: None,
            received: None,
            queue_receive: None,
            queue_send: None,
            lost: None,
            repaired: None,
            cause: None,
            reset: None,
            reset_reason: None,
            numbers: Numbers::default(),
        }
    }

    /// # Errors
    /// It is no flat JSON object, or a member that is known has a value that is not.
    pub fn parse(line: &[u8]) -> Result<Self> {
        let mut seen = Self::of(Kind::Summary);
        let mut kind = None;
        let mut local = (None::<IpAddr>, None::<u16>);
        let mut peer = (None::<IpAddr>, None::<u16>);
        members(line, |key, value| {
            let text = || value.text().with_context(|| format!("{key} is not text"));
            let number = || value.number().with_context(|| format!("{key} is not a number"));
            match key {
                "enetstat.kind" => kind = Some(kind_of(&text()?)?),
                "timestamp" => seen.timestamp = Some(text()?.into()),
                "network.local.address" => local.0 = Some(text()?.parse()?),
                "network.local.port" => local.1 = Some(number()?.try_into()?),
                "network.peer.address" => peer.0 = Some(text()?.parse()?),
                "network.peer.port" => peer.1 = Some(number()?.try_into()?),
                "network.connection.state" => seen.state = Some(state(&text()?)?),
                "enetstat.state.from" => seen.from = Some(state(&text()?)?),
                "process.pid" => seen.pid = Some(number()?.try_into()?),
                "enetstat.process.comm" => seen.comm = Some(text()?.into()),
                "enetstat.owner.how" => seen.how = Some(text()?.into()),
                "process.vpid" => seen.vpid = Some(number()?.try_into()?),
                "process.executable.path" => seen.executable = Some(text()?.into()),
                "enetstat.owner.opener.pid" => seen.opener = Some(number()?.try_into()?),
                "enetstat.owner.opener.comm" => seen.opener_comm = Some(text()?.into()),
                "enetstat.owner.holders" => seen.holders = Some(value.pids()?),
                "enetstat.actor.pid" => seen.actor = Some(number()?.try_into()?),
                "enetstat.socket.cookie" => seen.cookie = Some(number()?),
                "enetstat.connection.id" => seen.connection = Some(number()?),
                "enetstat.netns" => seen.netns = Some(number()?),
                "enetstat.state.spent_ns" => seen.spent_ns = Some(number()?),
                "enetstat.duration_ns" => seen.duration_ns = Some(number()?),
                "enetstat.learnt" => seen.learnt = Some(text()?.into()),
                "enetstat.error" => seen.error = Some(text()?.into()),
                "enetstat.end.reason" => seen.reason = Some(text()?.into()),
                "enetstat.end.first" => seen.first = Some(text()?.into()),
                "enetstat.preexisting" => seen.preexisting = value == Value::Plain("true"),
                "enetstat.bytes.sent" => seen.sent = Some(number()?),
                "enetstat.bytes.received" => seen.received = Some(number()?),
                "enetstat.queue.receive" => seen.queue_receive = Some(number()?),
                "enetstat.queue.send" => seen.queue_send = Some(number()?),
                "enetstat.lost" => seen.lost = Some(number()?),
                "enetstat.repaired" => seen.repaired = Some(number()?),
                "enetstat.end.cause" => seen.cause = Some(text()?.into()),
                "enetstat.reset.direction" => seen.reset = Some(text()?.into()),
                "enetstat.reset.reason" => seen.reset_reason = Some(text()?.into()),
                key => {
                    if let Some(member) = seen.numbers.member(key) {
                        *member = Some(number()?);
                    }
                }
            }
            Ok(())
        })?;
        seen.kind = kind.context("no enetstat.kind")?;
        let end =
            |(addr, port): (Option<IpAddr>, Option<u16>)| addr.map(|addr| (addr, port.unwrap_or(0)).into());
        seen.local = end(local);
        seen.peer = end(peer);
        Ok(seen)
    }

    /// The step it tells, when it tells one.
    pub fn step(&self) -> Option<(TcpState, TcpState)> {
        (self.kind == Kind::Transition).then_some(())?;
        Some((self.from?, self.state?))
    }
}

fn kind_of(name: &str) -> Result<Kind> {
    Ok(match name {
        "transition" => Kind::Transition,
        "connection" => Kind::Connection,
        "queue" => Kind::Queue,
        "repair" => Kind::Repair,
        "socket" => Kind::Socket,
        "summary" => Kind::Summary,
        other => bail!("no kind {other:?}"),
    })
}

/// A value of a flat object.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value<'a> {
    Text(Cow<'a, str>),
    /// Number, true, false, null.
    Plain(&'a str),
    /// Array or object, as it stands.
    Nested(&'a str),
}

impl<'a> Value<'a> {
    fn text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// 64-bit numbers are printed as text.
    fn number(&self) -> Option<u64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Plain(text) => text.parse().ok(),
            Self::Nested(_) => None,
        }
    }

    /// The members `process.pid` of an array of objects.
    fn pids(&self) -> Result<Vec<u32>> {
        let Self::Nested(text) = self else { bail!("no array: {self:?}") };
        let pid = |rest: &str| {
            let end = rest.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(rest.len());
            Ok(rest[..end].parse()?)
        };
        text.split("{\"process.pid\":").skip(1).map(pid).collect()
    }
}

/// Calls `each` for every member of a flat object.
fn members<'a>(line: &'a [u8], mut each: impl FnMut(&str, Value<'a>) -> Result<()>) -> Result<()> {
    let text = std::str::from_utf8(line)?.trim();
    let mut rest = text.strip_prefix('{').context("no object")?.trim_start();
    if rest == "}" {
        return Ok(());
    }
    loop {
        let (key, after) = quoted(rest)?;
        let after = after.trim_start().strip_prefix(':').context("no colon")?.trim_start();
        let (value, after) = value(after)?;
        each(&key, value)?;
        let after = after.trim_start();
        match after.as_bytes().first() {
            Some(b',') => rest = after[1..].trim_start(),
            Some(b'}') if after.len() == 1 => return Ok(()),
            _ => bail!("neither comma nor end at {after:?}"),
        }
    }
}

fn value(text: &str) -> Result<(Value<'_>, &str)> {
    match text.as_bytes().first() {
        Some(b'"') => quoted(text).map(|(text, rest)| (Value::Text(text), rest)),
        Some(b'[' | b'{') => {
            // What is nested is read by serde_json, which knows where it ends.
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
            values.next().context("nothing")??;
            Ok((Value::Nested(&text[..values.byte_offset()]), &text[values.byte_offset()..]))
        }
        _ => {
            let end = text.find([',', '}']).context("no end")?;
            Ok((Value::Plain(text[..end].trim_end()), &text[end..]))
        }
    }
}

fn quoted(text: &str) -> Result<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    anyhow::ensure!(bytes.first() == Some(&b'"'), "no quote at {text:?}");
    let mut escaped = false;
    let mut at = 1;
    loop {
        match bytes.get(at).context("no closing quote")? {
            b'"' => break,
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let rest = text.get(at + 1..).context("no closing quote")?;
    if escaped {
        let text: String = serde_json::from_str(&text[..=at])?;
        return Ok((Cow::Owned(text), rest));
    }
    Ok((Cow::Borrowed(&text[1..at]), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_transition_is_read() -> Result<()> {
        let text = br#"{"timestamp":"2026-11-20T12:00:00.000000001Z","enetstat.kind":"transition","network.transport":"tcp",
            "network.type":"ipv6","network.local.address":"::1","network.local.port":4000,"network.peer.address":"::1",
            "network.peer.port":80,"network.connection.state":"syn_sent","enetstat.state.from":"closed","process.pid":17,
            "enetstat.process.comm":"a\"\u001b[b","enetstat.socket.cookie":"18446744073709551615","x":[{"y":"}"}],"enetstat.preexisting":true}"#;
        let line = Line::parse(text)?;
        assert_eq!(line.step(), Some((TcpState::Close, TcpState::SynSent)));
        assert_eq!(line.local, Some("[::1]:4000".parse()?));
        assert_eq!(line.comm.as_deref(), Some("a\"\u{1b}[b"));
        assert_eq!((line.pid, line.cookie, line.spent_ns), (Some(17), Some(u64::MAX), None));
        assert!(line.preexisting);
        Ok(())
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"enetstat.kind":"other"}"#,
            r#"{"enetstat.kind":"queue"} x"#,
            r#"{"enetstat.kind":"queue","process.pid":-1}"#,
        ] {
            assert!(Line::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn members_are_those_of_serde_json(
            object in proptest::collection::btree_map("\\PC{0,8}", prop_oneof![
                any::<String>().prop_map(serde_json::Value::from),
                any::<u64>().prop_map(serde_json::Value::from),
                any::<bool>().prop_map(serde_json::Value::from),
                proptest::collection::vec(any::<String>(), 0..3).prop_map(serde_json::Value::from),
            ], 0..8)
        ) {
            let text = serde_json::to_string(&object).unwrap();
            let mut found = Vec::new();
            members(text.as_bytes(), |key, value| {
                found.push((key.to_owned(), value));
                Ok(())
            }).unwrap();
            prop_assert_eq!(found.len(), object.len());
            for (key, value) in found {
                match (&object[&key], value) {
                    (serde_json::Value::String(expected), Value::Text(text)) => prop_assert_eq!(expected.as_str(), &*text),
                    (serde_json::Value::Array(_), Value::Nested(_)) => {}
                    (expected, Value::Plain(text)) => prop_assert_eq!(expected.to_string(), text),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Line::parse(&bytes);
        }
    }
}
