//! Lines of a file as bytes, through one reused buffer.

use std::io::{self, Read};

/// The kernel gives a page at a time; the rest is for long lines, and grows when one is longer.
const ROOM: usize = 16 * 1024;

/// One line without its newline.
pub struct Line<'a> {
    pub bytes: &'a [u8],
    /// Counted from 1.
    pub number: u64,
}

pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// What is read and not given out yet.
    start: usize,
    end: usize,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R) -> Self {
        Self { input, buffer: vec![0; ROOM], start: 0, end: 0, number: 0 }
    }

    /// The next line; the last one may lack its newline.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = self.start;
        let length = loop {
            let fresh = self.buffer.get(searched..self.end).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|&byte| byte == b'\n') {
                break searched + at - self.start;
            }
            searched = self.end - self.start;
            if self.fill()? == 0 {
                if self.start == self.end {
                    return Ok(None);
                }
                break self.end - self.start;
            }
        };
        let from = self.start;
        self.start = self.end.min(from + length + 1);
        self.number += 1;
        Ok(Some(Line {
            bytes: self.buffer.get(from..from + length).unwrap_or_default(),
            number: self.number,
        }))
    }

    /// Moves what is left to the front and reads more; gives 0 at the end of the file.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
            }
        }
    }
}

/// Whether the line is the heading. Files differ in how they write it, but no row begins with a letter that is no
/// hexadecimal digit.
pub fn is_heading(number: u64, line: &[u8]) -> bool {
    let first = line.iter().find(|byte| **byte != b' ');
    number == 1 && first.is_none_or(|byte| !byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives a few bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_of_a_split(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            step in 1usize..50,
            room in 1usize..40,
        ) {
            let mut lines = Lines::new(Drops(&bytes, step));
            lines.buffer = vec![0; room];
            let mut read = Vec::new();
            while let Some(line) = lines.next().unwrap() {
                read.push(line.bytes.to_vec());
                prop_assert_eq!(line.number, read.len() as u64);
            }
            let mut expected: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(read, expected);
        }
    }
}
