//! The output of net-tools 2.10, with its defects.

use super::sentence::{Compat, Kind};
use super::{find, sentences};
use crate::model::Group;
use crate::render::text;
use crate::view::{About, Protocols};

/// The files whose groups it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// `snmp` and `netstat`.
    Pairs,
    /// `snmp6`.
    V6,
    /// `sctp/snmp`.
    Sctp,
}

impl Files {
    /// What a group counts; `None`: net-tools has never heard of it, and shows it whatever was asked for.
    fn about(self, group: &[u8]) -> Option<About> {
        match (self, group) {
            (Self::Pairs, b"Ip" | b"Icmp") | (Self::V6, b"Ip6" | b"Icmp6") => Some(About::Ip),
            (Self::Pairs, b"Tcp" | b"TcpExt") | (Self::V6, b"Tcp6") => Some(About::Tcp),
            (Self::Pairs, b"Udp") | (Self::V6, b"Udp6") => Some(About::Udp),
            (Self::Pairs | Self::Sctp, b"Sctp") => Some(About::Sctp),
            _ => None,
        }
    }
}

/// Writes groups one after another. What was written last tells how far the next line is indented.
pub struct Writer {
    protocols: Protocols,
    list: Option<Kind>,
}

impl Writer {
    pub fn new(protocols: Protocols) -> Self {
        Self { protocols, list: None }
    }

    /// Appends a group of a file.
    pub fn group(&mut self, out: &mut Vec<u8>, files: Files, group: &Group) {
        let about = files.about(&group.name);
        if about.is_some() {
            self.list = None;
        }
        if about.is_some_and(|about| !self.protocols.has(about)) {
            return;
        }
        out.extend_from_slice(&group.name);
        out.extend_from_slice(b":\n");
        let sentences = if about.is_some() { sentences(&group.name) } else { &[] };
        for counter in &group.counters {
            let zero = counter.value == 0;
            let known = find(sentences, &counter.name);
            let Some(sentence) = known.filter(|sentence| sentence.compat != Compat::Unknown) else {
                if !zero {
                    self.indent(out);
                    out.extend_from_slice(&counter.name);
                    out.extend_from_slice(b": ");
                    text::signed(out, counter.value);
                    out.push(b'\n');
                }
                continue;
            };
            if sentence.compat == Compat::Hidden {
                continue;
            }
            match sentence.kind.list() {
                None => self.list = None,
                Some(title) => {
                    if self.list != Some(sentence.kind) {
                        // Indented as what came before it.
                        self.indent(out);
                        out.extend_from_slice(title);
                        self.list = Some(sentence.kind);
                    }
                }
            }
            if !zero || sentence.kind == Kind::Always {
                self.indent(out);
                sentence.write_compat(out, counter.value);
                out.push(b'\n');
            }
        }
    }

    fn indent(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.list.is_some() { b"        " } else { b"    " });
    }
}
