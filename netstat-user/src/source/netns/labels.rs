//! What network namespaces are called, kept current while they come and go.

use super::{All, Depth, inode_label};
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// How old an answer may be: numbers of namespaces are used again at once, names may change.
const FRESH: Duration = Duration::from_secs(1);
/// How soon after a look the next may follow for a namespace that was not found.
const SOON: Duration = Duration::from_millis(20);
/// Looking may take this share of the time (1/20).
const SHARE: u32 = 20;

/// Labels by inode. One that is gone keeps its last label until its inode is another's.
#[derive(Debug, Default)]
pub struct Labels {
    known: FxHashMap<u32, Vec<u8>>,
    /// The label of one that is not known, which is not kept: a look may find more.
    stranger: Vec<u8>,
    /// When the last look ended, and how long it took.
    looked: Option<(Instant, Duration)>,
}

impl Labels {
    /// What the namespace is called ([`Netns::label`](super::Netns::label)); `-` when its inode is not known (0).
    pub fn of(&mut self, inum: u32) -> &[u8] {
        if inum == 0 {
            return b"-";
        }
        let patience = if self.known.contains_key(&inum) { FRESH } else { SOON };
        if self.looked.is_none_or(|(at, took)| at.elapsed() >= patience.max(took * SHARE)) {
            self.look();
        }
        match self.known.get(&inum) {
            Some(label) => label,
            None => {
                self.stranger = inode_label(inum);
                &self.stranger
            }
        }
    }

    fn look(&mut self) {
        let began = Instant::now();
        // What cannot be looked at keeps its inode for a label.
        let all = All::find(Depth::Threads);
        self.known.extend(all.found.iter().map(|netns| (netns.inum, netns.label())));
        self.looked = Some((Instant::now(), began.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Netns;

    #[test]
    fn a_namespace_that_lives_has_a_label_and_another_its_inode() {
        let mut labels = Labels::default();
        let current = Netns::current().unwrap();
        let label = String::from_utf8(labels.of(current.inum).to_vec()).unwrap();
        assert_eq!(Netns::from_word(&label).unwrap().inum, current.inum);
        assert_eq!(labels.of(1), b"net:[1]");
        assert_eq!(labels.of(0), b"-");
    }
}
