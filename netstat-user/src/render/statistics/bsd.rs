//! Counters in BSD's frame: a protocol's name, and below it a line for each counter, after a tab. The counters are Linux's,
//! and so are the sentences: BSD counts other things.

use super::sentence::{Kind, Sentence};
use super::{find, sentences};
use crate::model::{Counter, Group};
use crate::render::text;

/// Counters of routing (`rt_cache_stat`, `fib_trie`, `rt6_statistics`; Linux 6.12) in words.
const ROUTING: &[(&str, &str)] = &[
    ("in_slow_tot", "incoming packets that a route was looked up for"),
    ("in_slow_mc", "incoming multicast packets that a route was looked up for"),
    ("in_no_route", "incoming packets without a route"),
    ("in_brd", "incoming broadcast packets"),
    ("in_martian_dst", "incoming packets with an impossible destination"),
    ("in_martian_src", "incoming packets with an impossible source"),
    ("out_slow_tot", "outgoing packets that a route was looked up for"),
    ("out_slow_mc", "outgoing multicast packets that a route was looked up for"),
    ("Max depth", "levels at most"),
    ("Leaves", "leaves"),
    ("Prefixes", "prefixes"),
    ("Internal nodes", "inner nodes"),
    ("Nodes", "nodes"),
    ("RouteNodes", "nodes with routes"),
    ("Allocated", "routes allocated"),
    ("Entries", "routes"),
    ("Cached", "exceptions learnt"),
    ("Destinations", "destinations in use"),
    ("Discarded", "routes discarded"),
];

/// Appends what is counted under `title`; without `zeros` nothing that is 0, and no title without a counter.
pub fn block(out: &mut Vec<u8>, title: &[u8], groups: &[&Group], zeros: bool) {
    let start = out.len();
    text::escaped(out, title);
    out.extend_from_slice(b":\n");
    let titled = out.len();
    for group in groups {
        let sentences = sentences(&group.name);
        let mut list = None;
        for counter in &group.counters {
            if counter.value == 0 && !zeros {
                continue;
            }
            let sentence = find(sentences, &counter.name);
            match sentence.map(|sentence| sentence.kind) {
                Some(Kind::Setting) => continue,
                kind @ Some(Kind::In | Kind::Out) => {
                    // Of these a message that never came is no line.
                    if counter.value == 0 {
                        continue;
                    }
                    if list != kind {
                        list = kind;
                        let of: &[u8] = if kind == Some(Kind::In) { b"Input" } else { b"Output" };
                        out.push(b'\t');
                        out.extend_from_slice(of);
                        out.extend_from_slice(b" histogram:\n");
                    }
                    out.push(b'\t');
                }
                Some(Kind::Always | Kind::NonZero) | None => list = None,
            }
            line(out, counter, sentence);
        }
    }
    if !zeros && out.len() == titled {
        out.truncate(start);
    }
}

fn line(out: &mut Vec<u8>, counter: &Counter, sentence: Option<&Sentence>) {
    out.push(b'\t');
    match sentence {
        Some(sentence) => sentence.write(out, counter.value),
        None => {
            text::signed(out, counter.value);
            out.push(b' ');
            match ROUTING.iter().find(|(name, _)| name.as_bytes() == counter.name) {
                Some((_, words)) => out.extend_from_slice(words.as_bytes()),
                None => text::escaped(out, &counter.name),
            }
        }
    }
    out.push(b'\n');
}
