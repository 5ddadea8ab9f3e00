//! One JSON object a line, written by hand into a buffer.

use super::field::{Field, Kind, Listed};
use super::text;
use crate::model::{Clock, Details, Mono, Process};
use std::net::IpAddr;

/// An object being written.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    /// Checked against the table of fields in debug builds.
    kind: Kind,
    /// A field is written when its name is among these; `None`: any.
    only: Option<&'a [&'static str]>,
}

impl<'a> Object<'a> {
    /// Begins an object of this kind; `time` is its timestamp, already formatted.
    pub fn begin(out: &'a mut Vec<u8>, kind: Kind, time: &[u8]) -> Self {
        out.extend_from_slice(b"{\"timestamp\":\"");
        out.extend_from_slice(time);
        out.push(b'"');
        let mut object = Self { out, kind, only: None };
        object.text(Field::Kind, kind.name().as_bytes());
        object
    }

    /// Goes on with the object of this kind that ended `out` a moment ago.
    pub fn resume(out: &'a mut Vec<u8>, kind: Kind) -> Self {
        if out.ends_with(b"}\n") {
            out.truncate(out.len() - 2);
        }
        Self { out, kind, only: None }
    }

    /// From here on, only the fields of these names are written.
    pub fn only(&mut self, fields: Option<&'a [&'static str]>) {
        self.only = fields;
    }

    /// Ends the line.
    pub fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    /// False: the field is not wanted, and nothing was written.
    #[must_use]
    fn key(&mut self, field: impl Listed) -> bool {
        let spec = field.listed();
        if self.only.is_some_and(|fields| !fields.contains(&spec.name)) {
            return false;
        }
        debug_assert!(spec.within & self.kind as u32 != 0, "{} in {:?}", spec.name, self.kind);
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(spec.name.as_bytes());
        self.out.extend_from_slice(b"\":");
        true
    }

    /// A string; bytes that are no UTF-8 become U+FFFD, so they are for [`Object::bytes`].
    pub fn text(&mut self, field: impl Listed, value: &[u8]) {
        if !self.key(field) {
            return;
        }
        string(self.out, value);
    }

    /// A string under `utf8`, or in hexadecimal under `hex` when it is not UTF-8.
    pub fn bytes(&mut self, utf8: impl Listed, hex: impl Listed, value: &[u8]) {
        if std::str::from_utf8(value).is_ok() {
            return self.text(utf8, value);
        }
        if !self.key(hex) {
            return;
        }
        self.out.push(b'"');
        hexadecimal(self.out, value);
        self.out.push(b'"');
    }

    pub fn integer(&mut self, field: impl Listed, value: impl Into<u64>) {
        if !self.key(field) {
            return;
        }
        text::number(self.out, value.into());
    }

    /// An integer that may not fit in the 53 bits of a JSON reader, as a string.
    pub fn integer64(&mut self, field: impl Listed, value: u64) {
        if !self.key(field) {
            return;
        }
        self.out.push(b'"');
        text::number(self.out, value);
        self.out.push(b'"');
    }

    /// A counter, which may be a negative setting, as a string.
    pub fn signed(&mut self, field: impl Listed, value: i128) {
        if !self.key(field) {
            return;
        }
        self.out.push(b'"');
        text::signed(self.out, value);
        self.out.push(b'"');
    }

    pub fn bool(&mut self, field: impl Listed, value: bool) {
        if !self.key(field) {
            return;
        }
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub fn address(&mut self, field: impl Listed, value: IpAddr) {
        if !self.key(field) {
            return;
        }
        self.out.push(b'"');
        text::address(self.out, value);
        self.out.push(b'"');
    }

    pub fn errno(&mut self, field: impl Listed, value: u16) {
        if !self.key(field) {
            return;
        }
        self.out.push(b'"');
        super::errno::name(self.out, value);
        self.out.push(b'"');
    }

    /// Bytes in hexadecimal.
    pub fn hex(&mut self, field: impl Listed, value: &[u8]) {
        if !self.key(field) {
            return;
        }
        self.out.push(b'"');
        hexadecimal(self.out, value);
        self.out.push(b'"');
    }

    /// An array, each item of which `write` writes.
    pub fn array<T>(
        &mut self,
        field: impl Listed,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Vec<u8>, T),
    ) {
        if !self.key(field) {
            return;
        }
        self.out.push(b'[');
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write(self.out, item);
        }
        self.out.push(b']');
    }

    /// An array of processes.
    pub fn processes<'p>(&mut self, field: impl Listed, holders: impl Iterator<Item = Held<'p>>) {
        self.array(field, holders, |out, held| {
            let Held { process, fd, details, user } = held;
            out.extend_from_slice(b"{\"process.pid\":");
            text::number(out, process.pid.get().into());
            let mut integer = |key: &[u8], value: u32| {
                out.extend_from_slice(key);
                text::number(out, value.into());
            };
            if let Some(inner) = process.inner.filter(|&inner| inner != process.pid) {
                integer(b",\"process.vpid\":", inner.get());
            }
            if let Some(fd) = fd {
                integer(b",\"enetstat.process.fd\":", fd);
            }
            if let Some(uid) = process.uid.filter(|_| details.is_some()) {
                integer(b",\"process.real_user.id\":", uid);
            }
            if let Some(user) = user.filter(|user| std::str::from_utf8(user).is_ok()) {
                out.extend_from_slice(b",\"process.real_user.name\":");
                string(out, user);
            }
            let mut named = |name: &str, hex: &str, value: &[u8]| {
                if value.is_empty() {
                    return;
                }
                let is_text = std::str::from_utf8(value).is_ok();
                out.extend_from_slice(b",\"");
                out.extend_from_slice(if is_text { name } else { hex }.as_bytes());
                out.extend_from_slice(b"\":");
                if is_text {
                    string(out, value);
                } else {
                    out.push(b'"');
                    hexadecimal(out, value);
                    out.push(b'"');
                }
            };
            named("enetstat.process.comm", "enetstat.process.comm_hex", process.comm.bytes());
            if let Some(details) = details {
                named("process.command_line", "enetstat.process.command_line_hex", &details.command);
                named("process.executable.path", "enetstat.process.executable.path_hex", &details.executable);
            }
            out.push(b'}');
        });
    }
}

/// A process that holds a socket, as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Held<'p> {
    pub process: &'p Process,
    pub fd: Option<u32>,
    pub details: Option<&'p Details>,
    /// Name of its user.
    pub user: Option<&'p [u8]>,
}

impl<'p> Held<'p> {
    /// A process of which nothing else was asked.
    pub fn named(process: &'p Process) -> Self {
        Self { process, fd: None, details: None, user: None }
    }
}

impl Object<'_> {
    /// An object of integers; those that may not fit in 53 bits (`wide`) as strings.
    pub fn numbers(&mut self, field: Field, members: impl Iterator<Item = (&'static str, u64, bool)>) {
        if !self.key(field) {
            return;
        }
        self.out.push(b'{');
        for (at, (name, value, wide)) in members.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            string(self.out, name.as_bytes());
            self.out.push(b':');
            if wide {
                self.out.push(b'"');
            }
            text::number(self.out, value);
            if wide {
                self.out.push(b'"');
            }
        }
        self.out.push(b'}');
    }
}

/// Appends a JSON string (RFC 8259 section 7). DEL and the C1 controls are escaped too, so that a line is safe to show.
pub fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    if value.iter().all(|byte| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(value);
    } else {
        for character in String::from_utf8_lossy(value).chars() {
            match character {
                '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\t' => out.extend_from_slice(b"\\t"),
                control if control.is_control() => {
                    out.extend_from_slice(b"\\u00");
                    hexadecimal(out, &[control as u8]);
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}

fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Writes times as RFC 3339 in UTC with nanoseconds; the date is worked out once a second.
pub struct Stamp {
    clock: Clock,
    /// Second since the epoch that `text` shows.
    second: i64,
    text: Vec<u8>,
}

impl Stamp {
    pub fn new(clock: Clock) -> Self {
        Self { clock, second: i64::MIN, text: Vec::with_capacity(32) }
    }

    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// The time `at`, as text.
    pub fn at(&mut self, at: Mono) -> &[u8] {
        let wall = self.clock.wall(at);
        let second = i64::try_from(wall.div_euclid(1_000_000_000)).unwrap_or(0);
        if second != self.second {
            self.second = second;
            self.text.clear();
            date(&mut self.text, second);
        }
        self.text.truncate(20);
        text::zeros(&mut self.text, wall.rem_euclid(1_000_000_000) as u64, 9);
        self.text.push(b'Z');
        &self.text
    }
}

/// Appends `YYYY-MM-DDThh:mm:ss.` of the proleptic Gregorian calendar; years outside 0 to 9999 are clamped.
fn date(out: &mut Vec<u8>, second: i64) {
    let second = second.clamp(-62_167_219_200, 253_402_300_799);
    let (days, within) = (second.div_euclid(86_400), second.rem_euclid(86_400) as u64);
    // Counted from 0000-03-01, so that the leap day is the last of a year; a 400-year cycle has 146,097 days.
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + cycle * 400 + i64::from(month <= 2);
    text::zeros(out, year as u64, 4);
    for (mark, part) in [
        (b'-', month as u64),
        (b'-', day as u64),
        (b'T', within / 3_600),
        (b':', within / 60 % 60),
        (b':', within % 60),
    ] {
        out.push(mark);
        text::zeros(out, part, 2);
    }
    out.push(b'.');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(second in 0_i64..253_402_300_799, nanos in 0_i64..1_000_000_000) {
            let wanted = jiff::Timestamp::new(second, nanos as i32).unwrap();
            let mut stamp = Stamp::new(Clock::fixed(i128::from(second) * 1_000_000_000));
            prop_assert_eq!(std::str::from_utf8(stamp.at(Mono(nanos as u64))).unwrap(), format!("{wanted:.9}"));
        }

        #[test]
        fn any_text_is_valid_json(text: String) {
            let mut out = Vec::new();
            string(&mut out, text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn any_bytes_are_a_json_string(bytes: Vec<u8>) {
            let mut out = Vec::new();
            string(&mut out, &bytes);
            prop_assert!(serde_json::from_slice::<String>(&out).is_ok());
            prop_assert!(!out.iter().any(u8::is_ascii_control));
        }
    }

    #[test]
    fn a_second_passes() {
        let mut stamp = Stamp::new(Clock::fixed(951_782_399_999_999_999));
        assert_eq!(stamp.at(Mono(0)), b"2000-02-28T23:59:59.999999999Z");
        assert_eq!(stamp.at(Mono(1)), b"2000-02-29T00:00:00.000000000Z");
    }
}
