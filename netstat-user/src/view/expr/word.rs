//! Words of an expression: blanks separate them, a backslash takes the meaning from the character behind it; parentheses
//! and a `!` at the beginning need no blanks.

use std::ops::Range;

/// A word, and where it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: Vec<u8>,
    /// Bytes of the joined text.
    pub at: Range<usize>,
    /// No backslash is in it: it may be a keyword.
    pub plain: bool,
}

impl Word {
    /// The word, if it can be a keyword.
    pub fn key(&self) -> &[u8] {
        if self.plain { &self.text } else { b"" }
    }
}

/// Cuts a text into words.
pub fn words(text: &[u8]) -> Vec<Word> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let negates = text[at] == b'!' && text.get(at + 1) != Some(&b'=');
        if text[at] == b'(' || negates {
            words.push(Word { text: vec![text[at]], at: at..at + 1, plain: true });
            at += 1;
            continue;
        }
        let start = at;
        let mut escaped = false;
        while at < text.len() && (escaped || !text[at].is_ascii_whitespace()) {
            escaped = !escaped && text[at] == b'\\';
            at += 1;
        }
        word(text, start..at, &mut words);
    }
    words
}

/// One piece without blanks: closing parentheses at its end that were not opened in it are words of their own.
fn word(text: &[u8], piece: Range<usize>, words: &mut Vec<Word>) {
    let mut letters: Vec<(u8, bool)> = Vec::with_capacity(piece.len());
    let mut escaped = false;
    for &byte in &text[piece.clone()] {
        if byte == b'\\' && !escaped {
            escaped = true;
            continue;
        }
        letters.push((byte, escaped));
        escaped = false;
    }
    let plain = letters.len() == piece.len();
    let count = |wanted: u8| letters.iter().filter(|letter| **letter == (wanted, false)).count();
    let trailing = letters.iter().rev().take_while(|letter| **letter == (b')', false)).count();
    let closing = count(b')').saturating_sub(count(b'(')).min(trailing);
    letters.truncate(letters.len() - closing);
    let end = piece.end - closing;
    if !letters.is_empty() || closing == 0 {
        let text = letters.into_iter().map(|(byte, _)| byte).collect();
        words.push(Word { text, at: piece.start..end, plain });
    }
    for at in end..piece.end {
        words.push(Word { text: b")".to_vec(), at: at..at + 1, plain: true });
    }
}

/// Appends a word so that [`words`] reads it back as it is.
pub fn quoted(out: &mut Vec<u8>, word: &[u8]) {
    for &byte in word {
        if byte.is_ascii_whitespace() || matches!(byte, b'\\' | b'(' | b')' | b'!') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}
