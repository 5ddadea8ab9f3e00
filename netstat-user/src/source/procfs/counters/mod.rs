//! Counters of /proc/net: `snmp`, `netstat`, `snmp6`, `sctp/snmp`, `xfrm_stat`, `tls_stat`.
//!
//! There are two layouts: pairs of lines, first the names of a group, then its values (`snmp_seq_show`,
//! `netstat_seq_show`), and a line for each counter (`snmp6_seq_show`, `sctp_snmp_seq_show`; Linux 6.12).

mod more;
pub mod nettools;

use super::{Fault, Pass, Procfs, ProcfsError, failed};
use crate::model::{Counter, Group};
use std::fs::File;
use std::io::{self, Read};

/// A file of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters {
    Snmp,
    Netstat,
    Snmp6,
    Sctp,
    Xfrm,
    Tls,
}

impl Counters {
    /// Its path below /proc/net.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Snmp => "snmp",
            Self::Netstat => "netstat",
            Self::Snmp6 => "snmp6",
            Self::Sctp => "sctp/snmp",
            Self::Xfrm => "xfrm_stat",
            Self::Tls => "tls_stat",
        }
    }
}

/// What could be read of a file.
#[derive(Debug, Default)]
pub struct Raw {
    pub bytes: Vec<u8>,
    /// What ended it before its end: the operation (`open`, `read`) and why it failed.
    pub failed: Option<(&'static str, io::Error)>,
}

impl Procfs {
    /// A file of counters as it is.
    pub fn raw_counters(&self, which: Counters) -> Raw {
        let mut bytes = Vec::new();
        let failed = match File::open(self.file("net").join(which.file())) {
            Ok(mut file) => file.read_to_end(&mut bytes).err().map(|error| ("read", error)),
            Err(error) => Some(("open", error)),
        };
        Raw { bytes, failed }
    }

    /// The groups of a file, and the lines of it that cannot be understood. A file that does not exist has no groups, for
    /// its protocol is absent from this kernel; only `snmp` is in every kernel with a network.
    ///
    /// # Errors
    /// When the file cannot be read to its end, or there is no `snmp`.
    pub fn counters(&self, which: Counters) -> Result<(Vec<Group>, Pass), ProcfsError> {
        let path = self.file("net").join(which.file());
        let mut pass = Pass::default();
        let raw = self.raw_counters(which);
        match raw.failed {
            Some(("open", error)) if error.kind() == io::ErrorKind::NotFound && which != Counters::Snmp => {
                return Ok((Vec::new(), pass));
            }
            Some((op, error)) => return Err(failed(op, &path)(error)),
            None => {}
        }
        let mut fault = |line, fault: Fault<'_>| pass.add(&path, line, fault);
        let groups = match which {
            Counters::Snmp | Counters::Netstat => pairs(&raw.bytes, &mut fault),
            Counters::Snmp6 => lines(&raw.bytes, v6_group, &mut fault),
            Counters::Sctp => lines(&raw.bytes, |_| b"Sctp", &mut fault),
            Counters::Xfrm => lines(&raw.bytes, |_| b"Xfrm", &mut fault),
            Counters::Tls => lines(&raw.bytes, |_| b"Tls", &mut fault),
        };
        pass.rows = groups.iter().map(|group| group.counters.len() as u64).sum();
        Ok((groups, pass))
    }
}

/// Lines with their numbers, without those that are empty.
fn numbered(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let lines = (1..).zip(bytes.split(|&byte| byte == b'\n'));
    lines.filter(|(_, line)| !line.is_empty())
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

/// Reads pairs of lines. A line that cannot be understood goes to `fault` with its number; the rest is read.
fn pairs<'a>(bytes: &'a [u8], fault: &mut dyn FnMut(u64, Fault<'a>)) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut names: Option<(u64, &[u8], &[u8])> = None;
    for (number, line) in numbered(bytes) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            fault(number, Fault { column: "group", wanted: "a name and a colon", text: line });
            continue;
        };
        let (group, rest) = line.split_at(colon);
        let rest = rest.get(1..).unwrap_or_default();
        match names.take() {
            Some((at, of, list)) if of == group => {
                groups.push(pair(group, (at, list), (number, rest), fault));
            }
            other => {
                if let Some((at, of, _)) = other {
                    fault(at, Fault { column: "names", wanted: "followed by a line of values", text: of });
                }
                match name(group) {
                    Ok(group) => names = Some((number, group, rest)),
                    Err(wrong) => fault(number, wrong),
                }
            }
        }
    }
    if let Some((at, of, _)) = names {
        fault(at, Fault { column: "names", wanted: "followed by a line of values", text: of });
    }
    groups
}

fn pair<'a>(
    group: &[u8],
    names: (u64, &'a [u8]),
    values: (u64, &'a [u8]),
    fault: &mut dyn FnMut(u64, Fault<'a>),
) -> Group {
    let mut counters = Vec::new();
    let (mut left, mut right) = (words(names.1), words(values.1));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Group { name: group.to_vec(), counters },
            (Some(key), Some(text)) => match (name(key), value(text)) {
                (Ok(key), Ok(value)) => counters.push(Counter { name: key.to_vec(), value }),
                (Err(wrong), _) => fault(names.0, wrong),
                (_, Err(wrong)) => fault(values.0, wrong),
            },
            (Some(key), None) => {
                fault(names.0, Fault { column: "name", wanted: "followed by a value", text: key });
            }
            (None, Some(text)) => {
                fault(values.0, Fault { column: "value", wanted: "preceded by a name", text });
            }
        }
    }
}

/// Reads a line for each counter; those of the same group stand together.
fn lines<'a>(
    bytes: &'a [u8],
    group: impl Fn(&'a [u8]) -> &'a [u8],
    fault: &mut dyn FnMut(u64, Fault<'a>),
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (number, line) in numbered(bytes) {
        let mut words = words(line);
        let key = name(words.next().unwrap_or_default());
        let number_of = value(words.next().unwrap_or_default());
        let (key, value) = match (key, number_of, words.next()) {
            (Ok(key), Ok(value), None) => (key, value),
            (Err(wrong), ..) | (_, Err(wrong), _) => {
                fault(number, wrong);
                continue;
            }
            (_, _, Some(_)) => {
                fault(number, Fault { column: "counter", wanted: "a name and a value", text: line });
                continue;
            }
        };
        let of = group(key);
        let counter = Counter { name: key.to_vec(), value };
        match groups.last_mut() {
            Some(last) if last.name == of => last.counters.push(counter),
            _ => groups.push(Group { name: of.to_vec(), counters: vec![counter] }),
        }
    }
    groups
}

/// `Icmp6` of `Icmp6InMsgs`.
fn v6_group(name: &[u8]) -> &[u8] {
    let six = name.iter().position(|&byte| byte == b'6');
    six.and_then(|at| name.get(..=at)).unwrap_or(b"Snmp6")
}

/// The kernel's names are letters and digits.
fn name(text: &[u8]) -> Result<&[u8], Fault<'_>> {
    let good = !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
    if good { Ok(text) } else { Err(Fault { column: "name", wanted: "a name", text }) }
}

fn value(text: &[u8]) -> Result<i128, Fault<'_>> {
    let number: Option<i128> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.filter(|number| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number)).ok_or(Fault {
        column: "value",
        wanted: "a 64-bit number",
        text,
    })
}

#[cfg(test)]
mod tests;
