//! Options as glibc's `getopt_long` takes them apart: bundled letters, long names by unique beginnings, options after
//! operands, and its messages.

/// A long option.
#[derive(Clone, Copy, Debug)]
pub struct Long<O> {
    pub name: &'static str,
    pub option: O,
    pub takes_value: bool,
}

/// The options of a program.
pub struct Syntax<O: 'static> {
    /// In the order in which glibc names them when a beginning is ambiguous.
    pub long: &'static [Long<O>],
    /// The option of a letter, and whether it takes a value.
    pub short: fn(u8) -> Option<(O, bool)>,
    /// Whether two long options are one to glibc: a beginning of both is then not ambiguous.
    pub same: fn(O, O) -> bool,
}

/// What a word, or a part of it, turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a, O> {
    pub option: O,
    pub value: &'a [u8],
}

/// Takes the words of a command line, without the program's name, apart. Operands are left out: net-tools' netstat ignores
/// them.
pub struct Getopt<'a, O: 'static> {
    syntax: &'static Syntax<O>,
    /// The program's name in messages.
    program: &'a [u8],
    words: std::slice::Iter<'a, &'a [u8]>,
    /// The rest of a bundle of letters.
    bundle: &'a [u8],
    /// The first operand ends the options (`POSIXLY_CORRECT`).
    strict: bool,
}

impl<'a, O: Copy + 'static> Getopt<'a, O> {
    pub fn new(syntax: &'static Syntax<O>, program: &'a [u8], words: &'a [&'a [u8]], strict: bool) -> Self {
        Self { syntax, program, words: words.iter(), bundle: b"", strict }
    }

    /// The next option; `None` at the end.
    ///
    /// # Errors
    /// glibc's message, with its newline, for what is no option, or no option as it was used.
    pub fn next(&mut self) -> Option<Result<Found<'a, O>, Vec<u8>>> {
        if let Some((&letter, rest)) = self.bundle.split_first() {
            self.bundle = rest;
            return Some(self.letter(letter));
        }
        loop {
            match *self.words.next()? {
                b"--" => {
                    self.words = [].iter();
                    return None;
                }
                [b'-', b'-', name @ ..] => return Some(self.long(name)),
                [b'-', letter, rest @ ..] => {
                    self.bundle = rest;
                    return Some(self.letter(*letter));
                }
                _ if self.strict => {
                    self.words = [].iter();
                    return None;
                }
                _ => {}
            }
        }
    }

    fn letter(&mut self, letter: u8) -> Result<Found<'a, O>, Vec<u8>> {
        let Some((option, takes_value)) = (self.syntax.short)(letter) else {
            return Err(self.message(&[b"invalid option -- '", &[letter], b"'"]));
        };
        let mut value: &[u8] = b"";
        if takes_value {
            value = match std::mem::take(&mut self.bundle) {
                b"" => match self.words.next() {
                    Some(word) => word,
                    None => {
                        return Err(self.message(&[b"option requires an argument -- '", &[letter], b"'"]));
                    }
                },
                rest => rest,
            };
        }
        Ok(Found { option, value })
    }

    /// `word` is what follows the dashes.
    fn long(&mut self, word: &'a [u8]) -> Result<Found<'a, O>, Vec<u8>> {
        let length = word.iter().position(|&byte| byte == b'=').unwrap_or(word.len());
        let (name, value) = word.split_at(length);
        let value = value.get(1..);
        let found = self.named(word, name)?;
        match (found.takes_value, value) {
            (true, Some(value)) => Ok(Found { option: found.option, value }),
            (true, None) => match self.words.next() {
                Some(value) => Ok(Found { option: found.option, value }),
                None => Err(self.message(&[b"option '--", found.name.as_bytes(), b"' requires an argument"])),
            },
            (false, None) => Ok(Found { option: found.option, value: b"" }),
            (false, Some(_)) => {
                Err(self.message(&[b"option '--", found.name.as_bytes(), b"' doesn't allow an argument"]))
            }
        }
    }

    /// The option of that name, or the first of those that begin so when they are all the same.
    fn named(&self, word: &[u8], name: &[u8]) -> Result<Long<O>, Vec<u8>> {
        let Syntax { long, same, .. } = self.syntax;
        if let Some(exact) = long.iter().find(|long| long.name.as_bytes() == name) {
            return Ok(*exact);
        }
        let mut beginning = long.iter().filter(|long| long.name.as_bytes().starts_with(name));
        let Some(first) = beginning.next() else {
            return Err(self.message(&[b"unrecognized option '--", word, b"'"]));
        };
        let mut others: Vec<u8> = Vec::new();
        let differs =
            |other: &&Long<O>| other.takes_value != first.takes_value || !same(other.option, first.option);
        for other in beginning.filter(differs) {
            others.extend_from_slice(&[b" '--", other.name.as_bytes(), b"'"].concat());
        }
        if others.is_empty() {
            return Ok(*first);
        }
        Err(self.message(&[
            b"option '--",
            word,
            b"' is ambiguous; possibilities: '--",
            first.name.as_bytes(),
            b"'",
            &others,
        ]))
    }

    fn message(&self, parts: &[&[u8]]) -> Vec<u8> {
        [self.program, b": ", &parts.concat(), b"\n"].concat()
    }
}
