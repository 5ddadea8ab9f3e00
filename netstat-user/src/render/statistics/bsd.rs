//! Counters in BSD's frame: a protocol's name, and below it a line for each counter, after a tab. The counters are Linux's,
//! and so are the sentences: BSD counts other things.

use super::{find, sentences};
use crate::model::Group;
use crate::render::text;

/// Appends what is counted under `title`; without `zeros` nothing that is 0, and no title without a counter.
pub fn block(out: &mut Vec<u8>, title: &[u8], groups: &[&Group], zeros: bool) {
    let start = out.len();
    text::escaped(out, title);
    out.extend_from_slice(b":\n");
    let titled = out.len();
    for group in groups {
        let sentences = sentences(&group.name);
        for counter in &group.counters {
            if counter.value == 0 && !zeros {
                continue;
            }
            out.push(b'\t');
            match find(sentences, &counter.name) {
                Some(sentence) => {
                    let from = out.len();
                    sentence.write(out, counter.value);
                    // Items of the default layout's lists: here they are plain lines.
                    let blanks = out[from..].iter().take_while(|byte| **byte == b' ').count();
                    out.drain(from..from + blanks);
                }
                None => {
                    text::signed(out, counter.value);
                    out.push(b' ');
                    text::escaped(out, &counter.name);
                }
            }
            out.push(b'\n');
        }
    }
    if !zeros && out.len() == titled {
        out.truncate(start);
    }
}
