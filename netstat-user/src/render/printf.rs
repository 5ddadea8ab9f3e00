//! Cells as C's printf makes them: widths count bytes, and what is wider moves the rest of its row. For output that has
//! to be net-tools' own, byte for byte.

use super::text;

/// Appends `n` in decimal at the right end of `width` (`%6d`).
pub fn right(out: &mut Vec<u8>, n: i64, width: usize) {
    let start = out.len();
    signed(out, n);
    let short = width.saturating_sub(out.len() - start);
    out.resize(out.len() + short, b' ');
    out[start..].rotate_right(short);
}

/// The same for counters (`%8llu`).
pub fn right_u64(out: &mut Vec<u8>, n: u64, width: usize) {
    text::number_right(out, n, width);
}

/// Appends `n` in decimal and blanks up to `width` (`%-6d`).
pub fn left(out: &mut Vec<u8>, n: i64, width: usize) {
    let start = out.len();
    signed(out, n);
    fill(out, start, width);
}

/// Appends `text` and blanks up to `width` (`%-15s`).
pub fn string(out: &mut Vec<u8>, text: &[u8], width: usize) {
    let start = out.len();
    plain(out, text);
    fill(out, start, width);
}

/// Appends blanks until `width` bytes were written since `start`.
pub fn fill(out: &mut Vec<u8>, start: usize, width: usize) {
    let short = width.saturating_sub(out.len() - start);
    out.resize(out.len() + short, b' ');
}

/// Appends a string of the kernel with every control byte as `.`, so that none reaches a terminal.
pub fn plain(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().map(|byte| if byte.is_ascii_control() { b'.' } else { *byte }));
}

fn signed(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    text::number(out, n.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_the_library(n: i64, width in 0_usize..24) {
            let mut out = Vec::new();
            right(&mut out, n, width);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{n:>width$}"));
            let mut out = Vec::new();
            left(&mut out, n, width);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{n:<width$}"));
        }
    }

    #[test]
    fn bytes_are_counted_and_control_bytes_are_not_shown() {
        let mut out = Vec::new();
        string(&mut out, "é\x1b[".as_bytes(), 6);
        assert_eq!(out, "é.[  ".as_bytes());
    }
}
