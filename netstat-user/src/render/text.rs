//! Bytes for people: integers, addresses and strings written into one buffer, without `format!`.

use crate::model::{Endpoint, Pid};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes that gather before they are written.
const PIECE: usize = 64 * 1024;

/// A buffer in front of a writer that is written in pieces of at least 64 KiB.
pub struct Pieces<'a> {
    out: &'a mut dyn Write,
    /// Append here, then call [`Pieces::piece`].
    pub buf: Vec<u8>,
}

impl<'a> Pieces<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, buf: Vec::with_capacity(PIECE + 4096) }
    }

    /// Writes the buffer when it is full enough.
    pub fn piece(&mut self) -> io::Result<()> {
        if self.buf.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// Writes the buffer.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buf);
        self.buf.clear();
        written?;
        self.out.flush()
    }
}

/// Digits of the longest `u64`.
const DIGITS: usize = 20;

/// Two digits at a time.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Every byte in decimal with a dot behind it, and how long that is.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b'.'; 4], 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        let skip = if n >= 100 { 0 } else { 2 - (n >= 10) as usize };
        let mut at = skip;
        while at < 3 {
            octets[n].0[at - skip] = digits[at];
            at += 1;
        }
        octets[n].1 = (4 - skip) as u8;
        n += 1;
    }
    octets
};

const BLANKS: [u8; 32] = [b' '; 32];

/// Appends the first `length` bytes. A copy whose size is known to the compiler takes two instructions, another one a call:
/// for the short cells of a listing that is most of the work.
#[inline]
fn append<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N], length: usize) {
    let start = out.len();
    out.extend_from_slice(bytes);
    out.truncate(start + length);
}

#[inline]
fn blanks(out: &mut Vec<u8>, count: usize) {
    if count <= BLANKS.len() {
        append(out, &BLANKS, count);
    } else {
        out.resize(out.len() + count, b' ');
    }
}

/// The digits of `n` from the index on that is given with them; what follows them is of no meaning.
#[inline]
fn digits(n: u64) -> ([u8; 2 * DIGITS], usize) {
    let mut digits = [0; 2 * DIGITS];
    let mut at = DIGITS;
    let mut rest = n;
    while rest >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if rest > 0 || at == DIGITS {
        at -= 1;
        digits[at] = b'0' + rest as u8;
    }
    (digits, at)
}

/// Appends `n` in decimal.
#[inline]
pub fn number(out: &mut Vec<u8>, n: u64) {
    let (digits, at) = digits(n);
    if let Some(digits) = digits[at..].first_chunk::<DIGITS>() {
        append(out, digits, DIGITS - at);
    }
}

/// Appends a number of at most 64 bits and a sign in decimal.
pub fn signed(out: &mut Vec<u8>, n: i128) {
    if n < 0 {
        out.push(b'-');
    }
    number(out, u64::try_from(n.unsigned_abs()).unwrap_or(u64::MAX));
}

/// Appends `n` in decimal with leading zeros up to `width`.
pub fn zeros(out: &mut Vec<u8>, n: u64, width: usize) {
    let start = out.len();
    number(out, n);
    let short = width.saturating_sub(out.len() - start);
    out.resize(out.len() + short, b'0');
    out[start..].rotate_right(short);
}

/// Appends `n` in decimal with leading blanks up to `width`.
#[inline]
pub fn number_right(out: &mut Vec<u8>, n: u64, width: usize) {
    let (digits, at) = digits(n);
    blanks(out, width.saturating_sub(DIGITS - at));
    if let Some(digits) = digits[at..].first_chunk::<DIGITS>() {
        append(out, digits, DIGITS - at);
    }
}

/// Appends blanks until what was written since `start` is `width` columns wide.
#[inline]
pub fn left(out: &mut Vec<u8>, start: usize, width: usize) {
    let short = width.saturating_sub(columns(&out[start..]));
    blanks(out, short);
}

/// Moves what was written since `start` to the right end of a field of `width` columns.
pub fn right(out: &mut Vec<u8>, start: usize, width: usize) {
    let short = width.saturating_sub(columns(&out[start..]));
    out.resize(out.len() + short, b' ');
    out[start..].rotate_right(short);
}

/// Terminal columns that `text` takes, a column for each character (what [`escaped`] writes is UTF-8 without
/// control characters).
pub fn columns(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

/// Appends `n` in lower-case hexadecimal.
fn hex(out: &mut Vec<u8>, n: u16) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut started = false;
    for shift in [12, 8, 4, 0] {
        let digit = usize::from(n >> shift & 0xf);
        started |= digit != 0 || shift == 0;
        if started {
            out.push(DIGITS[digit]);
        }
    }
}

#[inline]
fn ipv4(out: &mut Vec<u8>, addr: Ipv4Addr) {
    for octet in addr.octets() {
        let (bytes, length) = &OCTETS[usize::from(octet)];
        append(out, bytes, usize::from(*length));
    }
    // The last dot.
    out.pop();
}

/// Appends an address as `inet_ntop` of glibc does: RFC 5952, with the IPv4-mapped and IPv4-compatible forms
/// ending in dotted quads.
fn ipv6(out: &mut Vec<u8>, addr: Ipv6Addr) {
    let words = addr.segments();
    let (mut zeros, mut run) = (0..0, 0..0);
    for (at, &word) in words.iter().enumerate() {
        if word == 0 {
            if run.end != at {
                run = at..at;
            }
            run.end = at + 1;
            if run.len() > zeros.len() && run.len() > 1 {
                zeros = run.clone();
            }
        }
    }
    let dotted = zeros.start == 0 && (zeros.len() == 6 || (zeros.len() == 5 && words[5] == 0xffff));
    let end = if dotted { 6 } else { 8 };
    let mut at = 0;
    while at < end {
        if at == zeros.start && !zeros.is_empty() {
            out.extend_from_slice(b"::");
            at = zeros.end;
            continue;
        }
        if at != 0 && at != zeros.end {
            out.push(b':');
        }
        hex(out, words[at]);
        at += 1;
    }
    if dotted {
        if zeros.end != 6 {
            out.push(b':');
        }
        let [.., a, b, c, d] = addr.octets();
        ipv4(out, Ipv4Addr::new(a, b, c, d));
    }
}

/// Appends an address; an IPv6 one without brackets.
pub fn address(out: &mut Vec<u8>, addr: IpAddr) {
    match addr {
        IpAddr::V4(addr) => ipv4(out, addr),
        IpAddr::V6(addr) => ipv6(out, addr),
    }
}

/// Appends `address:port` with brackets around IPv6 addresses, so that it can be read back.
pub fn endpoint(out: &mut Vec<u8>, end: Endpoint) {
    match end.addr {
        IpAddr::V4(addr) => ipv4(out, addr),
        IpAddr::V6(addr) => {
            out.push(b'[');
            ipv6(out, addr);
            out.push(b']');
        }
    }
    out.push(b':');
    number(out, end.port.into());
}

/// Appends a string of the kernel or of another process for a terminal: printable UTF-8 as it is; control characters,
/// characters that turn the direction of text, and bytes that are no UTF-8 as `\xNN`, one for each byte. A backslash
/// stays as it is, so the text is for reading; JSON carries the exact bytes.
pub fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut utf8 = [0; 4];
            let bytes = character.encode_utf8(&mut utf8).as_bytes();
            if unprintable(character) { escape(out, bytes) } else { out.extend_from_slice(bytes) }
        }
        escape(out, chunk.invalid());
    }
}

fn unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        out.extend_from_slice(&[b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Appends `PID/name`; the name is `-` when it is empty, that is unknown.
pub fn process(out: &mut Vec<u8>, pid: Pid, name: &[u8]) {
    number(out, pid.get().into());
    out.push(b'/');
    if name.is_empty() { out.push(b'-') } else { escaped(out, name) }
}

/// Appends a span of time with three significant digits and its unit: `850ns`, `1.23ms`, `59.9s`, `2m03s`, `1h02m`,
/// `3d04h`. Digits are cut, not rounded, so that nothing is said to have lasted longer than it did.
pub fn span(out: &mut Vec<u8>, nanoseconds: u64) {
    const SECOND: u64 = 1_000_000_000;
    let seconds = nanoseconds / SECOND;
    let parts = |out: &mut Vec<u8>, whole: u64, unit: u8, part: u64, small: u8| {
        number(out, whole);
        out.push(unit);
        zeros(out, part, 2);
        out.push(small);
    };
    match nanoseconds {
        0..1_000 => scaled(out, nanoseconds, 1, b"ns"),
        1_000..1_000_000 => scaled(out, nanoseconds, 1_000, b"us"),
        1_000_000..SECOND => scaled(out, nanoseconds, 1_000_000, b"ms"),
        _ if seconds < 60 => scaled(out, nanoseconds, SECOND, b"s"),
        _ if seconds < 3_600 => parts(out, seconds / 60, b'm', seconds % 60, b's'),
        _ if seconds < 86_400 => parts(out, seconds / 3_600, b'h', seconds / 60 % 60, b'm'),
        _ => parts(out, seconds / 86_400, b'd', seconds / 3_600 % 24, b'h'),
    }
}

fn scaled(out: &mut Vec<u8>, value: u64, unit: u64, name: &[u8]) {
    let whole = value / unit;
    number(out, whole);
    let decimals: usize = match whole {
        _ if unit == 1 => 0,
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    if decimals > 0 {
        out.push(b'.');
        let fraction = value % unit / (unit / 10_u64.pow(decimals as u32));
        zeros(out, fraction, decimals);
    }
    out.extend_from_slice(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_the_library(n: u64) {
            prop_assert_eq!(text(|out| number(out, n)), n.to_string());
            prop_assert_eq!(text(|out| number_right(out, n, 8)), format!("{n:>8}"));
            prop_assert_eq!(text(|out| zeros(out, n, 9)), format!("{n:09}"));
        }

        #[test]
        fn addresses_read_back(v4: u32, words: [u16; 8], zero: u8) {
            let v4 = IpAddr::from(Ipv4Addr::from(v4));
            prop_assert_eq!(text(|out| address(out, v4)).parse::<IpAddr>().unwrap(), v4);
            let mut at = 0;
            let words = words.map(|word| { at += 1; if zero >> (at - 1) & 1 == 1 { 0 } else { word } });
            let v6 = IpAddr::from(Ipv6Addr::from(words));
            prop_assert_eq!(text(|out| address(out, v6)).parse::<IpAddr>().unwrap(), v6);
        }

        #[test]
        fn no_control_character_passes(bytes: Vec<u8>) {
            let shown = text(|out| escaped(out, &bytes));
            prop_assert!(!shown.chars().any(unprintable), "{shown:?}");
        }
    }

    #[test]
    fn small_numbers_and_every_octet_are_right() {
        for n in (0..=10_100).chain([99_999, 100_000, u64::MAX - 1, u64::MAX]) {
            assert_eq!(text(|out| number(out, n)), n.to_string());
            assert_eq!(text(|out| number_right(out, n, 40)), format!("{n:>40}"));
        }
        for octet in 0..=255 {
            let addr = Ipv4Addr::new(octet, 0, 9, 255 - octet);
            assert_eq!(text(|out| ipv4(out, addr)), addr.to_string());
        }
    }

    #[test]
    fn ipv6_is_shortened_as_rfc_5952_says() {
        for (addr, wanted) in [
            ("::", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("::c000:201", "::192.0.2.1"),
            ("fe80::fc:ff:fe00:1", "fe80::fc:ff:fe00:1"),
            ("0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"),
            ("1:2:3:4:5:6::", "1:2:3:4:5:6::"),
            ("0:0:0:0:1::", "::1:0:0:0"),
        ] {
            assert_eq!(text(|out| address(out, addr.parse().unwrap())), wanted);
        }
    }

    #[test]
    fn strings_are_escaped_byte_by_byte() {
        assert_eq!(text(|out| escaped(out, b"/run/a b\\c")), "/run/a b\\c");
        assert_eq!(text(|out| escaped(out, b"\x1b[31m\n")), "\\x1b[31m\\x0a");
        assert_eq!(text(|out| escaped(out, "é\u{9b}\u{202e}".as_bytes())), "é\\xc2\\x9b\\xe2\\x80\\xae");
        assert_eq!(text(|out| escaped(out, b"a\xffb")), "a\\xffb");
    }

    #[test]
    fn spans_have_three_digits_and_a_unit() {
        for (ns, wanted) in [
            (0, "0ns"),
            (850, "850ns"),
            (1_239, "1.23us"),
            (312_000, "312us"),
            (12_345_678, "12.3ms"),
            (999_999_999, "999ms"),
            (1_000_000_000, "1.00s"),
            (59_999_999_999, "59.9s"),
            (123_000_000_000, "2m03s"),
            (3_720_000_000_000, "1h02m"),
            (273_600_000_000_000, "3d04h"),
        ] {
            assert_eq!(text(|out| span(out, ns)), wanted);
        }
    }

    #[test]
    fn cells_are_padded_by_characters() {
        assert_eq!(
            text(|out| {
                out.extend("é".as_bytes());
                left(out, 0, 3)
            }),
            "é  "
        );
        assert_eq!(
            text(|out| {
                out.extend("é".as_bytes());
                right(out, 0, 3)
            }),
            "  é"
        );
    }
}
