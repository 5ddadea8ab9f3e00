//! Rows by socket cookie: a map from `u64` to `u32` in ten bytes an entry, since there may be a million.

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;

/// Cookies below this, as all are that a kernel gives in the life of a machine, are kept short.
const SHORT: u64 = 1 << 48;

/// A short cookie in three parts, the index in two.
#[derive(Clone, Copy, Debug)]
struct Entry([u16; 5]);

impl Entry {
    fn new(cookie: u64, index: u32) -> Self {
        let part = |value: u64, at: u32| (value >> (16 * at)) as u16;
        let index = u64::from(index);
        Self([part(cookie, 0), part(cookie, 1), part(cookie, 2), part(index, 0), part(index, 1)])
    }

    fn cookie(self) -> u64 {
        let [a, b, c, ..] = self.0.map(u64::from);
        a | b << 16 | c << 32
    }

    fn index(self) -> u32 {
        let [.., a, b] = self.0.map(u32::from);
        a | b << 16
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    short: HashTable<Entry>,
    long: FxHashMap<u64, u32>,
}

fn hash(cookie: u64) -> u64 {
    FxBuildHasher.hash_one(cookie)
}

impl Cookies {
    pub fn get(&self, cookie: u64) -> Option<u32> {
        if cookie >= SHORT {
            return self.long.get(&cookie).copied();
        }
        self.short.find(hash(cookie), |entry| entry.cookie() == cookie).map(|entry| entry.index())
    }

    /// Gives the row that had the cookie before.
    pub fn insert(&mut self, cookie: u64, index: u32) -> Option<u32> {
        if cookie >= SHORT {
            return self.long.insert(cookie, index);
        }
        let entry = Entry::new(cookie, index);
        match self.short.find_mut(hash(cookie), |entry| entry.cookie() == cookie) {
            Some(found) => Some(std::mem::replace(found, entry).index()),
            None => {
                self.short.insert_unique(hash(cookie), entry, |entry| hash(entry.cookie()));
                None
            }
        }
    }

    pub fn remove(&mut self, cookie: u64) {
        if cookie >= SHORT {
            self.long.remove(&cookie);
        } else if let Ok(found) = self.short.find_entry(hash(cookie), |entry| entry.cookie() == cookie) {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const _: () = assert!(size_of::<Entry>() == 10);

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u64..40, any::<u32>(), any::<bool>()), 0..200)) {
            let mut map = FxHashMap::default();
            let mut cookies = Cookies::default();
            for (n, index, insert) in steps {
                let chosen = cookie(n);
                if insert {
                    prop_assert_eq!(cookies.insert(chosen, index), map.insert(chosen, index));
                } else {
                    cookies.remove(chosen);
                    map.remove(&chosen);
                }
                for n in 0..40 {
                    prop_assert_eq!(cookies.get(cookie(n)), map.get(&cookie(n)).copied());
                }
            }
        }
    }

    /// Some beyond what is kept short, and both neighbours of the limit.
    fn cookie(n: u64) -> u64 {
        [n, SHORT - 20 + n, n << 50][n as usize % 3]
    }
}
