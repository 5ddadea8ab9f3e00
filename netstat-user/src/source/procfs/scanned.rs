//! Lines of /proc/net as C's `sscanf` reads them, for the program that repeats what net-tools makes of them: a path ends
//! at its first blank, and what follows a newline in it is a line of its own.

use crate::model::UnixLine;

/// Reads `pointer: refcount protocol flags type state inode path`; the last two may be missing.
pub fn unix(line: &[u8]) -> Option<UnixLine<'_>> {
    let mut rest = Scan(line);
    rest.number(16)?;
    rest.0 = rest.0.strip_prefix(b":")?;
    let mut row = UnixLine {
        refcount: rest.number(16)?,
        protocol: rest.number(16)?,
        flags: rest.number(16)?,
        // Kept as C keeps it: the low half.
        kind: rest.number(16)? as u32,
        state: rest.number(16)? as u32,
        ..UnixLine::default()
    };
    if let Some(inode) = rest.number(10) {
        row.inode = inode;
        row.path = rest.word();
    }
    Some(row)
}

/// The next words; `None` when there are not so many.
pub fn words<'a, const N: usize>(rest: &mut Scan<'a>) -> Option<[&'a [u8]; N]> {
    let mut words = [&b""[..]; N];
    for word in &mut words {
        *word = rest.word();
    }
    words.iter().all(|word| !word.is_empty()).then_some(words)
}

/// The rest of a line.
pub struct Scan<'a>(pub &'a [u8]);

impl<'a> Scan<'a> {
    /// A number, as `%X` and `%u` read it: blanks, a sign, for base 16 perhaps `0x`, digits. What is too large is the largest
    /// number.
    pub fn number(&mut self, base: u32) -> Option<u64> {
        self.blanks();
        let (negative, mut digits) = match self.0 {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if let (16, [b'0', b'x' | b'X', rest @ ..]) = (base, digits) {
            digits = rest;
        }
        let mut value: Option<u64> = None;
        while let Some((digit, rest)) =
            digits.split_first().and_then(|(&digit, rest)| Some((char::from(digit).to_digit(base)?, rest)))
        {
            let shifted = value.unwrap_or(0).saturating_mul(base.into());
            value = Some(shifted.saturating_add(digit.into()));
            digits = rest;
        }
        let value = value?;
        self.0 = digits;
        Some(if negative { value.wrapping_neg() } else { value })
    }

    /// What `%s` reads: after blanks, everything up to the next one. Empty at the end.
    pub fn word(&mut self) -> &'a [u8] {
        self.blanks();
        let end = self.0.iter().position(|&byte| is_blank(byte)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn blanks(&mut self) {
        let start = self.0.iter().position(|&byte| !is_blank(byte)).unwrap_or(self.0.len());
        self.0 = self.0.get(start..).unwrap_or_default();
    }
}

/// `isspace` of the C locale.
fn is_blank(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_ends_at_its_first_blank() {
        let line = b"0000000000000000: 00000002 00000000 00010000 0001 01 12345 /tmp/a b";
        let row = unix(line).unwrap();
        assert_eq!((row.refcount, row.flags, row.kind, row.state), (2, 1 << 16, 1, 1));
        assert_eq!((row.inode, row.path), (12345, b"/tmp/a".as_slice()));
        let unnamed = unix(b"00000000: 00000003 00000000 00000000 0001 03 7").unwrap();
        assert_eq!((unnamed.state, unnamed.inode, unnamed.path), (3, 7, b"".as_slice()));
        assert_eq!(unix(b"rest of a path"), None);
        assert_eq!(unix(b"0: 1 2 3 4"), None);
    }

    #[test]
    fn numbers_are_those_of_sscanf() {
        let mut scan = Scan(b" -1 0x1f 99999999999999999999 g");
        assert_eq!(scan.number(10), Some(u64::MAX));
        assert_eq!(scan.number(16), Some(31));
        assert_eq!(scan.number(10), Some(u64::MAX));
        assert_eq!((scan.number(16), scan.word()), (None, b"g".as_slice()));
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line: Vec<u8>) {
            let _ = unix(&line);
        }
    }
}
