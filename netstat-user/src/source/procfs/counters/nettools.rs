//! The same files as net-tools 2.10 reads them: what it makes of lines that are cut, too long, or no counters at all.
//!
//! Seen in its output, and held to it by the parity tests. Its strings end at a NUL, its numbers are those of `strtoul`.

use crate::model::{Counter, Group};

/// Bytes of a line of `snmp6` and `sctp/snmp` that it reads at once; a longer line is several lines.
const PIECE: usize = 1023;

/// What it takes from a file of pairs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    pub groups: Vec<Group>,
    /// It stopped at a line without a colon.
    pub broken: bool,
}

/// Reads `snmp` or `netstat`.
pub fn pairs(bytes: &[u8]) -> Pairs {
    let mut groups = Vec::new();
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    while let Some(names) = lines.next() {
        if names.first() == Some(&b'\n') {
            continue;
        }
        let Some(values) = lines.next() else { break };
        let (Some((group, names)), Some((_, values))) = (cut(text(names)), cut(text(values))) else {
            return Pairs { groups, broken: true };
        };
        // The name of the second line is not looked at. A value that is no number stays in the way of all after it.
        let mut rest = values;
        let names = names.split(|byte| matches!(byte, b' ' | b'\t' | b'\n')).filter(|name| !name.is_empty());
        let counters = names.map(|name| {
            let (value, after) = strtoul(rest);
            rest = after;
            Counter { name: name.to_vec(), value: value.unwrap_or(0).into() }
        });
        let counters = counters.collect();
        groups.push(Group { name: group.to_vec(), counters });
    }
    Pairs { groups, broken: false }
}

/// Reads `snmp6`. A line without a name repeats the counter before it, one without a number takes the number before it.
pub fn snmp6(bytes: &[u8]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let (mut name, mut value): (&[u8], u64) = (b"", 0);
    for line in pieces(bytes) {
        let line = text(line);
        let start = line.iter().position(|byte| !is_space(*byte));
        if let Some(found) = start.and_then(|start| line.get(start..)) {
            let end = found.iter().position(|byte| is_space(*byte)).unwrap_or(found.len());
            let (word, rest) = found.split_at(end);
            name = word;
            value = strtoul(rest).0.unwrap_or(value);
        }
        let counter = Counter { name: name.to_vec(), value: value.into() };
        match groups.last_mut() {
            // A group goes on as long as names have its own in them.
            Some(group) if contains(name, &group.name) => group.counters.push(counter),
            _ => {
                let six = name.iter().position(|&byte| byte == b'6').map_or(name.len(), |at| at + 1);
                let title = name.get(..six).unwrap_or_default();
                groups.push(Group { name: title.to_vec(), counters: vec![counter] });
            }
        }
    }
    groups
}

/// Reads `sctp/snmp`. Lines without a value are left out. (net-tools takes what lies in its memory for the value of a line that
/// ends right after the name.)
pub fn sctp(bytes: &[u8]) -> Group {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let counters = pieces(bytes).filter_map(|line| {
        let line = text(line);
        let (name, rest) = line.split_at(line.iter().position(blank)?);
        let value = rest.get(rest.iter().position(|byte| !blank(byte))?..)?;
        let value = (value.first() != Some(&b'\n')).then(|| strtoul(value).0.unwrap_or(0))?;
        Some(Counter { name: name.to_vec(), value: value.into() })
    });
    Group { name: b"Sctp".to_vec(), counters: counters.collect() }
}

/// Lines with their newlines, in pieces.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').flat_map(|line| line.chunks(PIECE))
}

/// The line up to a NUL.
fn text(line: &[u8]) -> &[u8] {
    line.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// What is before the colon and what is after it.
fn cut(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((line.get(..colon)?, line.get(colon + 1..)?))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The number at the beginning of `text`, if there is one, and what follows it: `strtoul(3)` of 64 bits in base 10.
pub(super) fn strtoul(text: &[u8]) -> (Option<u64>, &[u8]) {
    let start = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    let signed = text.get(start..).unwrap_or_default();
    let (negative, digits) = match signed.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, signed),
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = digits.split_at(count);
    if digits.is_empty() {
        return (None, text);
    }
    let magnitude = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
    });
    let value = match magnitude {
        None => u64::MAX,
        Some(value) if negative => value.wrapping_neg(),
        Some(value) => value,
    };
    (Some(value), after)
}
