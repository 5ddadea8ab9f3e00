//! Counters of the kernel's protocols, in net-tools' layout: a group's name, and below it a sentence for each counter.
//!
//! A counter without a sentence is shown as `Name: value`. [`compat`] is net-tools 2.10 to the byte.

pub mod bsd;
pub mod compat;
mod icmp;
mod ip;
mod sentence;
mod tcp;

use super::text;
use crate::args::plan::Zeros;
use crate::model::Group;
use sentence::{Kind, Sentence};

/// Sentences of a group's counters.
fn sentences(group: &[u8]) -> &'static [Sentence] {
    match group {
        b"Ip" => ip::IP,
        b"Icmp" => icmp::ICMP,
        b"Tcp" => tcp::TCP,
        b"Udp" => ip::UDP,
        b"UdpLite" => ip::UDP_LITE,
        b"TcpExt" => tcp::TCP_EXT,
        b"Ip6" => ip::IP6,
        b"Icmp6" => icmp::ICMP6,
        b"Udp6" => ip::UDP6,
        b"UdpLite6" => ip::UDP_LITE6,
        b"Sctp" => tcp::SCTP,
        _ => &[],
    }
}

fn find(sentences: &'static [Sentence], name: &[u8]) -> Option<&'static Sentence> {
    sentences.iter().find(|sentence| sentence.name.as_bytes() == name)
}

/// Appends the title of a network namespace, when there are several.
pub fn namespace(out: &mut Vec<u8>, label: &[u8]) {
    out.extend_from_slice(b"Network namespace ");
    text::escaped(out, label);
    out.push(b'\n');
}

/// Appends a group.
pub fn group(out: &mut Vec<u8>, group: &Group, zeros: Zeros) {
    let all = zeros == Zeros::Shown;
    let start = out.len();
    text::escaped(out, &group.name);
    out.extend_from_slice(b":\n");
    let titled = out.len();
    let sentences = sentences(&group.name);
    let mut list = None;
    for counter in &group.counters {
        let zero = counter.value == 0 && !all;
        let Some(sentence) = find(sentences, &counter.name) else {
            if !zero {
                list = None;
                out.extend_from_slice(b"    ");
                text::escaped(out, &counter.name);
                out.extend_from_slice(b": ");
                text::signed(out, counter.value);
                out.push(b'\n');
            }
            continue;
        };
        let shown = match sentence.kind {
            Kind::Always => counter.value != 0 || zeros != Zeros::Hidden,
            Kind::Setting => all,
            Kind::NonZero | Kind::In | Kind::Out => !zero,
        };
        if let Some(title) = sentence.kind.list() {
            if list != Some(sentence.kind) && (shown || zeros != Zeros::Hidden) {
                out.extend_from_slice(b"    ");
                out.extend_from_slice(title);
                list = Some(sentence.kind);
            }
            if shown {
                out.extend_from_slice(b"    ");
            }
        } else if shown {
            list = None;
        }
        if shown {
            out.extend_from_slice(b"    ");
            sentence.write(out, counter.value);
            out.push(b'\n');
        }
    }
    if zeros == Zeros::Hidden && out.len() == titled {
        out.truncate(start);
    }
}

#[cfg(test)]
mod tests;
