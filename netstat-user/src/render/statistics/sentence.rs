//! A sentence for a counter.

use crate::render::text;

/// When a counter is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Always.
    Always,
    /// When it is not 0.
    NonZero,
    /// A setting, not a count of anything: only when everything is asked for.
    Setting,
    /// When it is not 0, under a heading of messages received.
    In,
    /// The same of messages sent.
    Out,
}

impl Kind {
    /// Heading of the list that a counter of this kind stands in.
    pub const fn list(self) -> Option<&'static [u8]> {
        match self {
            Self::In => Some(b"ICMP input histogram:\n"),
            Self::Out => Some(b"ICMP output histogram:\n"),
            Self::Always | Self::NonZero | Self::Setting => None,
        }
    }
}

/// What net-tools 2.10 makes of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// The same sentence, always in the plural.
    Plural,
    /// Another one.
    Words(&'static str),
    /// It knows the counter, but does not show it.
    Hidden,
    /// It has no sentence, or does not find it, for it looks it up in a list that is not sorted as it thinks.
    Unknown,
}

/// A counter's line.
///
/// In the text, `%` is the number, and brackets hold what depends on it: `[s]` is nothing after 1 and `s` otherwise,
/// `[y/ies]` is `y` after 1 and `ies` otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Sentence {
    /// The counter's name, as the kernel spells it.
    pub name: &'static str,
    pub text: &'static str,
    pub kind: Kind,
    pub compat: Compat,
    /// Words to be said for some numbers.
    pub words: &'static [(i128, &'static str)],
}

const fn sentence(name: &'static str, text: &'static str, kind: Kind) -> Sentence {
    Sentence { name, text, kind, compat: Compat::Plural, words: &[] }
}

/// Of a counter that is always shown.
pub const fn always(name: &'static str, text: &'static str) -> Sentence {
    sentence(name, text, Kind::Always)
}

/// Of a counter that is shown when it is not 0.
pub const fn rare(name: &'static str, text: &'static str) -> Sentence {
    sentence(name, text, Kind::NonZero)
}

/// Of a setting; net-tools does not show it.
pub const fn setting(name: &'static str, text: &'static str) -> Sentence {
    Sentence { compat: Compat::Hidden, ..sentence(name, text, Kind::Setting) }
}

/// Of a kind of message received.
pub const fn received(name: &'static str, text: &'static str) -> Sentence {
    sentence(name, text, Kind::In)
}

/// Of a kind of message sent.
pub const fn sent(name: &'static str, text: &'static str) -> Sentence {
    sentence(name, text, Kind::Out)
}

impl Sentence {
    /// net-tools says it in other words.
    pub const fn was(self, words: &'static str) -> Self {
        Self { compat: Compat::Words(words), ..self }
    }

    /// net-tools has no sentence for it, or does not find it, and shows the bare counter.
    pub const fn bare(self) -> Self {
        Self { compat: Compat::Unknown, ..self }
    }

    pub const fn saying(self, words: &'static [(i128, &'static str)]) -> Self {
        Self { words, ..self }
    }

    /// Appends the line without its indentation and end.
    pub fn write(&self, out: &mut Vec<u8>, value: i128) {
        let word = self.words.iter().find(|(number, _)| *number == value);
        fill(out, self.text, value == 1, |out| match word {
            Some((_, word)) => out.extend_from_slice(word.as_bytes()),
            None => text::signed(out, value),
        });
    }

    /// The same as net-tools has it, where it has one.
    pub fn write_compat(&self, out: &mut Vec<u8>, value: i128) {
        let text = match self.compat {
            Compat::Words(words) => words,
            Compat::Plural | Compat::Hidden | Compat::Unknown => self.text,
        };
        fill(out, text, false, |out| text::signed(out, value));
    }
}

fn fill(out: &mut Vec<u8>, text: &str, one: bool, number: impl Fn(&mut Vec<u8>)) {
    let mut rest = text;
    while let Some(at) = rest.find(['%', '[']) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        if let Some((ending, after)) = from.strip_prefix('[').and_then(|from| from.split_once(']')) {
            let (singular, plural) = ending.split_once('/').unwrap_or(("", ending));
            out.extend_from_slice(if one { singular } else { plural }.as_bytes());
            rest = after;
        } else {
            number(out);
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest.as_bytes());
}
