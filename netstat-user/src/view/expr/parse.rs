//! From words to a tree. Never recurses deeper than [`DEPTH`], whatever was typed.

use super::word::{Word, words};
use super::{Address, Cgroup, Compare, Cond, Device, Expr, Kind, Selection, Side, host};
use crate::model::{States, TcpState};
use std::fmt;
use std::ops::Range;

/// Parentheses and negations within each other.
const DEPTH: usize = 64;
/// Conditions of one expression: more would not fit what the kernel takes.
const CONDITIONS: usize = 512;

/// Words that make no sense, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// What is wrong with it, and what would be right.
    pub what: String,
    /// All the words.
    text: String,
    /// The wrong one, in characters of `text`.
    at: Range<usize>,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let marks = "^".repeat(self.at.len().max(1));
        write!(f, "{}\n  {}\n  {:indent$}{marks}", self.what, self.text, "", indent = self.at.start)
    }
}

impl std::error::Error for ExprError {}

/// Names of states that stand for one.
const STATES: [(TcpState, &str); 11] = [
    (TcpState::Established, "established"),
    (TcpState::SynSent, "syn-sent"),
    (TcpState::SynRecv, "syn-recv"),
    (TcpState::FinWait1, "fin-wait-1"),
    (TcpState::FinWait2, "fin-wait-2"),
    (TcpState::TimeWait, "time-wait"),
    (TcpState::Close, "unconnected"),
    (TcpState::CloseWait, "close-wait"),
    (TcpState::LastAck, "last-ack"),
    (TcpState::Listen, "listening"),
    (TcpState::Closing, "closing"),
];

/// Names of groups of states, and what is not among them.
const GROUPS: [(&str, bool, &[TcpState]); 5] = [
    ("all", false, &[]),
    ("connected", false, &[TcpState::Close, TcpState::Listen]),
    ("synchronized", false, &[TcpState::Close, TcpState::Listen, TcpState::SynSent]),
    ("bucket", true, &[TcpState::SynRecv, TcpState::TimeWait]),
    ("big", false, &[TcpState::SynRecv, TcpState::TimeWait]),
];

/// The name of a state in an expression.
pub fn state_name(state: TcpState) -> &'static str {
    STATES.iter().find(|(one, _)| *one == state).map_or("all", |(_, name)| name)
}

/// A state or a group of them, as ss, netstat or RFC 9293 spell it, in any case.
fn states(word: &[u8]) -> Option<States> {
    let word = std::str::from_utf8(word).ok()?;
    for (name, only, states) in GROUPS {
        if word.eq_ignore_ascii_case(name) {
            let states = States::of(states);
            return Some(if only { states } else { States(States::ALL.0 & !states.0) });
        }
    }
    crate::args::state(word).ok().map(|state| States::of(&[state]))
}

pub fn selection(typed: &[&[u8]], unix: bool) -> Result<Selection, ExprError> {
    let text = typed.join(&b' ');
    let mut parser = Parser { words: words(&text), text: &text, next: 0, unix, conditions: 0 };
    let mut selection = Selection::default();
    loop {
        match parser.peek() {
            b"state" => {
                parser.next += 1;
                let more = parser.states()?;
                selection.states = Some(States(selection.states.map_or(0, |states| states.0) | more.0));
            }
            b"exclude" | b"excl" => {
                parser.next += 1;
                let less = parser.states()?;
                selection.states = Some(States(selection.states.unwrap_or(States::ALL).0 & !less.0));
            }
            _ => break,
        }
    }
    if !parser.is_over() {
        selection.expr = Some(parser.list(0)?);
        if !parser.is_over() {
            return Err(parser.wrong("this parenthesis was not opened"));
        }
    }
    Ok(selection)
}

struct Parser<'a> {
    words: Vec<Word>,
    text: &'a [u8],
    next: usize,
    unix: bool,
    conditions: usize,
}

const CONDITION: &str =
    "a condition belongs here: dst, src, dport, sport, dev, fwmark, cgroup, autobound, not or `(`";

impl Parser<'_> {
    fn is_over(&self) -> bool {
        self.next >= self.words.len()
    }

    /// The word that is next if it can be a keyword, else nothing.
    fn peek(&self) -> &[u8] {
        self.words.get(self.next).map(Word::key).unwrap_or_default()
    }

    fn take(&mut self, wanted: &str) -> Result<Vec<u8>, ExprError> {
        match self.words.get(self.next) {
            Some(word) => {
                self.next += 1;
                Ok(word.text.clone())
            }
            None => Err(self.wrong(wanted)),
        }
    }

    /// Something is wrong with the word that is next.
    fn wrong(&self, what: impl Into<String>) -> ExprError {
        self.wrong_at(self.next, what)
    }

    fn wrong_at(&self, index: usize, what: impl Into<String>) -> ExprError {
        let at =
            self.words.get(index).map_or(self.text.len() + 1..self.text.len() + 2, |word| word.at.clone());
        let shown = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>()
        };
        let before = shown(self.text.get(..at.start).unwrap_or(self.text)).chars().count();
        let within = shown(self.text.get(at.clone()).unwrap_or_default()).chars().count();
        let start = if at.start > self.text.len() { before + 1 } else { before };
        ExprError { what: what.into(), text: shown(self.text), at: start..start + within }
    }

    fn states(&mut self) -> Result<States, ExprError> {
        let names = || {
            let groups = GROUPS.iter().map(|(name, ..)| *name);
            STATES.iter().map(|(_, name)| *name).chain(groups).collect::<Vec<_>>().join(", ")
        };
        let word = self.take(&format!("a state belongs here: {}", names()))?;
        states(&word).ok_or_else(|| {
            self.wrong_at(self.next - 1, format!("this is no state; the states are {}", names()))
        })
    }

    fn list(&mut self, depth: usize) -> Result<Expr, ExprError> {
        let mut expr = self.expr(depth)?;
        loop {
            match self.peek() {
                b"and" | b"&" | b"&&" => {
                    self.next += 1;
                    expr = expr.and(self.expr(depth)?);
                }
                b"or" | b"|" | b"||" => {
                    self.next += 1;
                    expr = expr.or(self.expr(depth)?);
                }
                b")" => return Ok(expr),
                _ if self.is_over() => return Ok(expr),
                b"state" | b"exclude" | b"excl" => {
                    return Err(self.wrong("states come before all other conditions"));
                }
                _ => expr = expr.and(self.expr(depth)?),
            }
        }
    }

    fn expr(&mut self, depth: usize) -> Result<Expr, ExprError> {
        if depth > DEPTH {
            return Err(self.wrong("too many parentheses and negations within each other"));
        }
        match self.peek() {
            b"(" => {
                let opened = self.next;
                self.next += 1;
                let inner = self.list(depth + 1)?;
                if self.peek() != b")" {
                    return Err(self.wrong_at(opened, "this parenthesis is not closed"));
                }
                self.next += 1;
                Ok(inner)
            }
            b"!" | b"not" => {
                self.next += 1;
                Ok(self.expr(depth + 1)?.not())
            }
            _ => self.condition(),
        }
    }

    fn condition(&mut self) -> Result<Expr, ExprError> {
        self.conditions += 1;
        if self.conditions > CONDITIONS {
            return Err(self.wrong(format!("more than {CONDITIONS} conditions")));
        }
        self.split();
        let key = self.next;
        let word = self.take(CONDITION)?;
        match word.as_slice() {
            _ if !self.words[key].plain => Err(self.wrong_at(key, CONDITION)),
            b"src" => self.host(Side::Local),
            b"dst" => self.host(Side::Foreign),
            b"sport" => self.port(Side::Local),
            b"dport" => self.port(Side::Foreign),
            b"dev" => {
                let not = self.equal("dev")?;
                let text = self.value("an interface belongs here, by name or number")?;
                let device = host::number(&text).and_then(|number| u32::try_from(number).ok());
                let device = device.map_or_else(|| Device::Name(text), Device::Index);
                Ok(negated(Cond::Device(device), not))
            }
            b"fwmark" => {
                let not = self.equal("fwmark")?;
                let text = self.value("a mark belongs here: a number, or two as NUMBER/MASK")?;
                let (value, mask) = text.split_once('/').unwrap_or((&text, "0xffffffff"));
                let number = |text| host::number(text).and_then(|number| u32::try_from(number).ok());
                match (number(value), number(mask)) {
                    (Some(value), Some(mask)) => Ok(negated(Cond::Mark { value, mask }, not)),
                    _ => Err(self.wrong_at(
                        self.next - 1,
                        "this is no mark: a number of 32 bits, or two as NUMBER/MASK",
                    )),
                }
            }
            b"cgroup" => {
                let not = self.equal("cgroup")?;
                let path = self.take("the path of a cgroup belongs here")?;
                let id = path.strip_prefix(b"id:").and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
                Ok(negated(Cond::Cgroup(id.map_or_else(|| Cgroup::Path(path), Cgroup::Id)), not))
            }
            b"autobound" => Ok(Expr::Leaf(Cond::Autobound)),
            _ => Err(self.wrong_at(key, CONDITION)),
        }
    }

    /// `sport=:22` is three words.
    fn split(&mut self) {
        let Some(word) = self.words.get(self.next).filter(|word| word.plain) else { return };
        let end = word.text.iter().position(|byte| b"=!<>".contains(byte));
        let Some(end) = end.filter(|end| {
            [&b"src"[..], b"dst", b"sport", b"dport", b"dev", b"fwmark", b"cgroup"]
                .contains(&&word.text[..*end])
        }) else {
            return;
        };
        let rest = word.text[end..].iter().take_while(|byte| b"=!<>".contains(byte)).count() + end;
        let piece = |range: Range<usize>| Word {
            text: word.text[range.clone()].to_vec(),
            at: word.at.start + range.start..word.at.start + range.end,
            plain: true,
        };
        let pieces = [0..end, end..rest, rest..word.text.len()];
        let pieces: Vec<Word> = pieces.into_iter().filter(|range| !range.is_empty()).map(piece).collect();
        self.words.splice(self.next..=self.next, pieces);
    }

    fn value(&mut self, wanted: &str) -> Result<String, ExprError> {
        let word = self.take(wanted)?;
        String::from_utf8(word).map_err(|_no_text| self.wrong_at(self.next - 1, wanted))
    }

    /// `=`, `!=` or nothing; true when it is to differ.
    fn equal(&mut self, key: &str) -> Result<bool, ExprError> {
        let not = match self.peek() {
            b"=" | b"==" | b"eq" => false,
            b"!=" | b"ne" | b"neq" => true,
            b">" | b"gt" | b"<" | b"lt" | b">=" | b"ge" | b"geq" | b"<=" | b"le" | b"leq" => {
                return Err(self.wrong(format!("{key} can be equal (=) or not (!=), but not more or less")));
            }
            _ => return Ok(false),
        };
        self.next += 1;
        Ok(not)
    }

    fn host(&mut self, side: Side) -> Result<Expr, ExprError> {
        let not = self.equal(if side == Side::Local { "src" } else { "dst" })?;
        let word = self
            .take("an address belongs here: ADDRESS, ADDRESS/LENGTH, ADDRESS:PORT, *:PORT or a unix path")?;
        let host = host::host(&word, self.unix).map_err(|why| {
            self.wrong_at(self.next - 1, format!("{:?} {why}", String::from_utf8_lossy(&word)))
        })?;
        if host.kind == Some(Kind::Unix) && !matches!(host.address, Address::Path(_)) {
            return Err(self.wrong_at(self.next - 1, "this is no unix path"));
        }
        Ok(negated(Cond::Host(side, host), not))
    }

    fn port(&mut self, side: Side) -> Result<Expr, ExprError> {
        let (compare, not) = match self.peek() {
            b"!=" | b"ne" | b"neq" => (Compare::Equal, true),
            b">=" | b"ge" | b"geq" => (Compare::AtLeast, false),
            b"<=" | b"le" | b"leq" => (Compare::AtMost, false),
            b">" | b"gt" => (Compare::AtMost, true),
            b"<" | b"lt" => (Compare::AtLeast, true),
            _ => (Compare::Equal, false),
        };
        if compare != Compare::Equal || not || matches!(self.peek(), b"=" | b"==" | b"eq") {
            self.next += 1;
        }
        let word = self.take("a port belongs here, by number or name")?;
        let bad = |parser: &Self, why: &str| {
            parser.wrong_at(parser.next - 1, format!("{:?} {why}", String::from_utf8_lossy(&word)))
        };
        let (kind, port) = host::lone_port(&word).map_err(|why| bad(self, &why))?;
        let Some(port) = port else {
            if compare != Compare::Equal {
                return Err(bad(self, "is no port to compare with"));
            }
            let any = super::Host { kind, address: Address::Any, port: None };
            return Ok(negated(Cond::Host(side, any), not));
        };
        if kind == Some(Kind::Unix) {
            return Err(bad(self, "cannot be: unix sockets have no ports"));
        }
        Ok(negated(Cond::Port(side, compare, kind, port), not))
    }
}

fn negated(cond: Cond, not: bool) -> Expr {
    let leaf = Expr::Leaf(cond);
    if not { leaf.not() } else { leaf }
}
