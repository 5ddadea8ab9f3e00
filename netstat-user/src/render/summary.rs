//! The last words of a trace.

use super::text;

/// What a trace amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Changes of state seen.
    pub transitions: u64,
    /// Connections seen.
    pub connections: u64,
    /// Events the kernel could not report.
    pub lost: u64,
    /// Rows that had to be corrected, added or removed after a loss or by a periodic listing.
    pub repaired: u64,
    /// Connections dropped from the table because it was full.
    pub evicted: u64,
}

impl Summary {
    /// Appends one line: `5 transitions of 2 connections, 0 lost, 0 repaired`.
    pub fn text(&self, out: &mut Vec<u8>) {
        let Self { transitions, connections, lost, repaired, evicted } = *self;
        counted(out, transitions, " transition");
        out.extend_from_slice(b" of ");
        counted(out, connections, " connection");
        for (number, what) in [(lost, b" lost".as_slice()), (repaired, b" repaired")] {
            out.extend_from_slice(b", ");
            text::number(out, number);
            out.extend_from_slice(what);
        }
        if evicted != 0 {
            out.extend_from_slice(b", ");
            text::number(out, evicted);
            out.extend_from_slice(b" evicted from the full table (see --max-connections)");
        }
        out.push(b'\n');
    }
}

fn counted(out: &mut Vec<u8>, number: u64, what: &str) {
    text::number(out, number);
    out.extend_from_slice(what.as_bytes());
    if number != 1 {
        out.push(b's');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(summary: Summary) -> String {
        let mut out = Vec::new();
        summary.text(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_is_singular_and_evictions_are_only_told_when_there_are_any() {
        let quiet = Summary { transitions: 1, connections: 2, ..Summary::default() };
        assert_eq!(text(quiet), "1 transition of 2 connections, 0 lost, 0 repaired\n");
        assert!(text(Summary { evicted: 7, ..quiet }).contains("7 evicted"));
    }
}
