//! Where the running kernel keeps its fields: a reader of the kernel's own type information (BTF).
//!
//! The format is that of include/uapi/linux/btf.h (6.12): a header, types one after the other, numbered from 1, and
//! strings. A kernel has some 150,000 types; only those asked for by name are remembered.

mod data;

use data::Data;
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};

/// Bytes of `struct btf_type` and of a member, parameter or variable that follows it.
const TYPE: usize = 12;
const MEMBER: usize = 12;

/// Kinds that are looked at (`BTF_KIND_*`).
const POINTER: u32 = 2;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const TYPE_TAG: u32 = 18;

/// Types that may stand between a member and its structure, and structures within structures. The kernel's own stay
/// below ten; a limit ends the walk in one that names itself.
const DEPTH: u32 = 32;

/// What is wrong with the kernel's type information.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("cannot read {path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("the kernel's type information is not BTF of this machine (magic {0:#06x})")]
    Magic(u16),
    #[error("the kernel's type information ends within {0}")]
    Truncated(&'static str),
    #[error("type {id} of the kernel's type information is of kind {kind}, which this program does not know")]
    Kind { id: usize, kind: u32 },
}

/// The types of a kernel.
pub struct Btf {
    data: Data,
    /// Offset in `data` of each type; number 0 is void.
    types: Vec<u32>,
    /// Offset in `data` of the strings.
    strings: usize,
    /// Types that were asked for.
    found: FxHashMap<(u32, Vec<u8>), u32>,
}

impl Btf {
    /// Path of the running kernel's types below `root` (`/` unless in a test).
    pub fn path(root: &Path) -> PathBuf {
        root.join("sys/kernel/btf/vmlinux")
    }

    /// Reads the running kernel's types and remembers the structures, functions, enumerations and type names in `wanted`.
    pub fn read(root: &Path, wanted: &[&str]) -> Result<Self, BtfError> {
        let path = Self::path(root);
        match Data::open(&path) {
            Ok(data) => Self::index(data, wanted),
            Err(cause) => Err(BtfError::Read { path, cause }),
        }
    }

    /// Indexes `data` in one pass.
    pub fn parse(data: Vec<u8>, wanted: &[&str]) -> Result<Self, BtfError> {
        Self::index(Data::Read(data), wanted)
    }

    fn index(data: Data, wanted: &[&str]) -> Result<Self, BtfError> {
        let header = BtfError::Truncated("its header");
        let Some((magic, sizes)) = prefix(&data) else { return Err(header) };
        if magic != 0xeb9f {
            return Err(BtfError::Magic(magic));
        }
        let [start, type_at, type_len, string_at, string_len] = sizes;
        let (Some(mut at), Some(strings)) = (start.checked_add(type_at), start.checked_add(string_at)) else {
            return Err(header);
        };
        let end = at.checked_add(type_len).filter(|&end| end <= data.len());
        let Some(end) = end else { return Err(BtfError::Truncated("its types")) };
        if strings.checked_add(string_len).is_none_or(|end| end > data.len()) {
            return Err(BtfError::Truncated("its strings"));
        }

        let beginnings = Beginnings::of(wanted);
        // A type takes 12 to some hundred bytes; 24 is about the mean.
        let mut all =
            Self { types: Vec::with_capacity(type_len / 24), data, strings, found: FxHashMap::default() };
        all.types.push(0);
        while at < end {
            let info = all.word(at + 4).ok_or(BtfError::Truncated("a type"))?;
            let (kind, len) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
            let id = all.types.len();
            let tail = tail(kind, len).ok_or(BtfError::Kind { id, kind })?;
            let next = at + TYPE + tail;
            if next > end {
                return Err(BtfError::Truncated("a type"));
            }
            if matches!(kind, STRUCT | FUNC | TYPEDEF | ENUM) {
                let name = all.word(at).unwrap_or_default();
                let start = strings.checked_add(name as usize).and_then(|at| all.word(at));
                if start.is_none_or(|start| beginnings.may_be(start)) {
                    let name = all.string(name);
                    if wanted.iter().any(|wanted| wanted.as_bytes() == name) {
                        let key = (kind, name.to_vec());
                        all.found.entry(key).or_insert(id as u32);
                    }
                }
            }
            all.types.push(at as u32);
            at = next;
        }
        Ok(all)
    }

    /// The bytes that were parsed.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Byte offset of `path` (`member.member`) in the structure; of a bit field that of its byte, if it is the first in it.
    /// `None` when there is none.
    pub fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        let mut id = *self.found.get(&(STRUCT, structure.as_bytes().to_vec()))?;
        let mut bits = 0u32;
        for name in path.split('.') {
            let (at, member) = self.member(id, name.as_bytes(), DEPTH)?;
            bits = bits.checked_add(at)?;
            id = member;
        }
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// Number of a function or type name that was asked for.
    pub fn number(&self, name: &str) -> Option<u32> {
        [FUNC, TYPEDEF]
            .into_iter()
            .find_map(|kind| self.found.get(&(kind, name.as_bytes().to_vec())).copied())
    }

    /// Number of a structure that was asked for.
    pub fn structure(&self, name: &str) -> Option<u32> {
        self.found.get(&(STRUCT, name.as_bytes().to_vec())).copied()
    }

    /// Number of arguments of a function.
    pub fn arguments(&self, function: &str) -> Option<u32> {
        let id = *self.found.get(&(FUNC, function.as_bytes().to_vec()))?;
        let prototype = self.word(self.at(id)? + 8)?;
        (self.kind(prototype)? == FUNC_PROTO).then_some(self.len(prototype)? as u32)
    }

    /// Number of arguments of a tracepoint, without the pointer that comes before them.
    pub fn tracepoint_arguments(&self, tracepoint: &str) -> Option<u32> {
        let name = format!("btf_trace_{tracepoint}").into_bytes();
        let pointer = self.bare(*self.found.get(&(TYPEDEF, name))?)?;
        let prototype = self.word(self.at(pointer)? + 8)?;
        let is_one = self.kind(pointer)? == POINTER && self.kind(prototype)? == FUNC_PROTO;
        u32::try_from(self.len(prototype).filter(|_| is_one)?.checked_sub(1)?).ok()
    }

    /// Names of an enumeration with their values, in its order; empty when there is none.
    pub fn enumeration(&self, name: &str) -> Vec<(u32, &[u8])> {
        let all = self.found.get(&(ENUM, name.as_bytes().to_vec())).and_then(|&id| {
            let first = self.at(id)? + TYPE;
            (0..self.len(id)?)
                .map(|index| {
                    Some((self.word(first + 8 * index + 4)?, self.string(self.word(first + 8 * index)?)))
                })
                .collect()
        });
        all.unwrap_or_default()
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.data.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }

    /// The string at an offset of the string section, without its NUL; empty when there is none.
    fn string(&self, offset: u32) -> &[u8] {
        let bytes =
            self.strings.checked_add(offset as usize).and_then(|at| self.data.get(at..)).unwrap_or_default();
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or_default();
        &bytes[..end]
    }

    fn at(&self, id: u32) -> Option<usize> {
        if id == 0 { None } else { self.types.get(id as usize).map(|&at| at as usize) }
    }

    fn info(&self, id: u32) -> Option<u32> {
        self.word(self.at(id)? + 4)
    }

    fn kind(&self, id: u32) -> Option<u32> {
        Some((self.info(id)? >> 24) & 0x1f)
    }

    fn len(&self, id: u32) -> Option<usize> {
        Some((self.info(id)? & 0xffff) as usize)
    }

    /// The type below names and qualifiers.
    fn bare(&self, mut id: u32) -> Option<u32> {
        for _ in 0..DEPTH {
            match self.kind(id)? {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = self.word(self.at(id)? + 8)?,
                _ => return Some(id),
            }
        }
        None
    }

    /// Offset in bits and type of a member, also of the unnamed structures and unions within.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let id = self.bare(id)?;
        if depth == 0 || !matches!(self.kind(id)?, STRUCT | UNION) {
            return None;
        }
        let with_bits = self.info(id)? >> 31 == 1;
        for index in 0..self.len(id)? {
            let member = self.at(id)? + TYPE + MEMBER * index;
            let (own, kind, place) = (self.word(member)?, self.word(member + 4)?, self.word(member + 8)?);
            let (width, offset) = if with_bits { (place >> 24, place & 0xff_ffff) } else { (0, place) };
            let own = self.string(own);
            if own == name {
                return (width == 0 || offset.is_multiple_of(8)).then_some((offset, kind));
            }
            if own.is_empty()
                && let Some((inner, found)) = self.member(kind, name, depth - 1)
            {
                return Some((offset.checked_add(inner)?, found));
            }
        }
        None
    }
}

/// How names begin: tells almost all names that are not wanted without comparing them.
struct Beginnings([bool; 256]);

impl Beginnings {
    fn of(names: &[&str]) -> Self {
        let mut all = Self([false; 256]);
        for name in names {
            // With the NUL behind it.
            match *name.as_bytes() {
                [a, b, c, d, ..] => all.0[Self::place(u32::from_ne_bytes([a, b, c, d]))] = true,
                [a, b, c] => all.0[Self::place(u32::from_ne_bytes([a, b, c, 0]))] = true,
                // Shorter than what is looked at.
                _ => return Self([true; 256]),
            }
        }
        all
    }

    fn place(start: u32) -> usize {
        (start.wrapping_mul(0x9e37_79b1) >> 24) as usize
    }

    /// Whether a wanted name may begin with these four bytes.
    fn may_be(&self, start: u32) -> bool {
        self.0[Self::place(start)]
    }
}

/// Magic number, and where the header says that things are.
fn prefix(data: &[u8]) -> Option<(u16, [usize; 5])> {
    let magic = u16::from_ne_bytes(data.get(..2)?.try_into().ok()?);
    let mut sizes = [0; 5];
    for (index, size) in sizes.iter_mut().enumerate() {
        let at = 4 + 4 * index;
        *size = u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?) as usize;
    }
    Some((magic, sizes))
}

/// Bytes that follow a `struct btf_type` of each kind: so many, and so many more for each of its parts. A table, because kinds
/// come in no order that a processor could foresee. `None`: an unknown kind.
const TAILS: [Option<(u8, u8)>; 32] = {
    let mut tails = [None; 32];
    let mut kind = 0;
    while kind < tails.len() {
        tails[kind] = match kind as u32 {
            // INT, VAR, DECL_TAG
            1 | 14 | 17 => Some((4, 0)),
            // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
            2 | 7..=12 | 16 | 18 => Some((0, 0)),
            // ARRAY
            3 => Some((12, 0)),
            // STRUCT, UNION, DATASEC, ENUM64
            4 | 5 | 15 | 19 => Some((0, MEMBER as u8)),
            // ENUM, FUNC_PROTO
            6 | 13 => Some((0, 8)),
            _ => None,
        };
        kind += 1;
    }
    tails
};

/// See [`TAILS`].
fn tail(kind: u32, len: usize) -> Option<usize> {
    let (own, part) = (*TAILS.get(kind as usize)?)?;
    Some(usize::from(own) + usize::from(part) * len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `struct outer { int head; union { struct inner in; int flat; }; }`, `struct inner { int a; int b:3; }`,
    /// `int call(int, int)`, `typedef void (*btf_trace_it)(void *, int)`, `enum why { A, B = 7 }`.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0outer\0head\0in\0flat\0inner\0a\0b\0call\0btf_trace_it\0why\0A\0B\0";
        let name = |wanted: &str| {
            let wanted = [&b"\0"[..], wanted.as_bytes(), b"\0"].concat();
            strings.windows(wanted.len()).position(|found| found == wanted).unwrap() as u32 + 1
        };
        let info = |kind: u32, len: u32, flag: u32| kind << 24 | len | flag << 31;
        let types: Vec<u32> = [
            vec![name("int"), info(1, 0, 0), 4, 32],
            vec![name("inner"), info(4, 2, 1), 8, name("a"), 1, 0, name("b"), 1, 3 << 24 | 32],
            vec![0, info(5, 2, 0), 8, name("in"), 2, 0, name("flat"), 1, 0],
            vec![name("outer"), info(4, 2, 0), 12, name("head"), 1, 0, 0, 3, 32],
            vec![0, info(13, 2, 0), 1, 0, 1, 0, 1],
            vec![name("call"), info(12, 0, 0), 5],
            vec![0, info(13, 2, 0), 0, 0, 1, 0, 1],
            vec![0, info(2, 0, 0), 7],
            vec![name("btf_trace_it"), info(8, 0, 0), 8],
            vec![name("why"), info(6, 2, 0), 4, name("A"), 0, name("B"), 7],
        ]
        .concat();
        let mut data = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types.len() as u32 * 4, types.len() as u32 * 4, strings.len() as u32] {
            data.extend(word.to_ne_bytes());
        }
        data.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
        data.extend(strings);
        data
    }

    #[test]
    fn members_are_found_through_unnamed_unions_and_bit_fields_by_their_byte() {
        let btf = Btf::parse(sample(), &["outer", "inner", "call"]).unwrap();
        assert_eq!(btf.offset("outer", "head"), Some(0));
        assert_eq!(btf.offset("outer", "flat"), Some(4));
        assert_eq!(btf.offset("outer", "in.a"), Some(4));
        assert_eq!(btf.offset("outer", "in.b"), Some(8));
        assert_eq!(btf.offset("outer", "none"), None);
        assert_eq!(btf.offset("other", "head"), None);
        assert_eq!(btf.arguments("call"), Some(2));
        assert_eq!(btf.arguments("outer"), None);
    }

    #[test]
    fn tracepoints_and_enumerations_are_read() {
        let btf = Btf::parse(sample(), &["btf_trace_it", "why"]).unwrap();
        assert_eq!(btf.tracepoint_arguments("it"), Some(1));
        assert_eq!(btf.tracepoint_arguments("why"), None);
        assert_eq!(btf.enumeration("why"), [(0, &b"A"[..]), (7, b"B")]);
        assert_eq!(btf.enumeration("it"), []);
    }

    #[test]
    fn what_is_no_btf_is_named() {
        assert!(matches!(Btf::parse(vec![], &[]), Err(BtfError::Truncated("its header"))));
        assert!(matches!(Btf::parse(vec![0; 24], &[]), Err(BtfError::Magic(0))));
        let mut unknown = sample();
        unknown[24 + 7] = 31;
        assert!(matches!(Btf::parse(unknown, &[]), Err(BtfError::Kind { id: 1, kind: 31 })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(cut in 0usize..300, changes in prop::collection::vec((0usize..300, any::<u8>()), 0..20)) {
            let mut data = sample();
            for (at, byte) in changes {
                let len = data.len();
                data[at % len] = byte;
            }
            data.truncate(data.len().saturating_sub(cut % 64));
            if let Ok(btf) = Btf::parse(data, &["outer", "inner", "call", "btf_trace_it", "why"]) {
                for path in ["head", "flat", "in.a", "in.b", "in.in.in"] {
                    btf.offset("outer", path);
                    btf.offset("inner", path);
                }
                btf.arguments("call");
                btf.tracepoint_arguments("it");
                btf.enumeration("why");
            }
        }

        #[test]
        fn nor_do_random_ones(data in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut data = data;
            if data.len() > 8 { data[..4].copy_from_slice(&[0x9f, 0xeb, 1, 0]); }
            let _ = Btf::parse(data, &["outer"]);
        }
    }
}
