//! Programs of an object, as the kernel takes them.
//!
//! The library that a trace is loaded with needs all types of the kernel to load a program that knows one of them, each as a
//! value of its own, which takes more time and memory than everything else in loading; here the type's number is enough.
//!
//! The kernel wants types of our own where a program has functions that the kernel calls (`bpf_loop`), and then only to know
//! that they are functions: see [`TYPES`].

use crate::kernel::Refusal;
use crate::kernel::bpf::{self, Attach, Kind, Program};
use aya_obj::{Map, Object};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd, RawFd};

/// Instructions that name a function of the same program: `call` and `r = FUNCTION` (`BPF_PSEUDO_CALL` and
/// `BPF_PSEUDO_FUNC`), by their code and source register.
const CALL: (u8, u8) = (0x85, 1);
const FUNCTION: (u8, u8) = (0x18, 4);

/// BTF (include/uapi/linux/btf.h, 6.12) of functions that nothing is told of: `int program()`, `int part()`.
const TYPES: &[u8] = &{
    const STRINGS: &[u8; 18] = b"\0int\0program\0part\0";
    const HEADER: u32 = 24;
    const KINDS: [u32; 13] = [
        // 1: int
        1,
        1 << 24,
        4,
        1 << 24 | 32, // 2: int ()
        0,
        13 << 24,
        1, // 3, 4
        5,
        12 << 24,
        2,
        13,
        12 << 24,
        2,
    ];
    const LEN: u32 = size_of_val(&KINDS) as u32;
    let head = [HEADER, 0, LEN, LEN, STRINGS.len() as u32];
    let mut bytes = [0; (HEADER + LEN) as usize + STRINGS.len()];
    bytes[0] = 0x9f;
    bytes[1] = 0xeb;
    bytes[2] = 1;
    if cfg!(target_endian = "big") {
        bytes.swap(0, 1);
    }
    let mut word = 0;
    while word < head.len() + KINDS.len() {
        let value = if word < head.len() { head[word] } else { KINDS[word - head.len()] };
        let of = value.to_ne_bytes();
        let mut byte = 0;
        while byte < 4 {
            bytes[4 + 4 * word + byte] = of[byte];
            byte += 1;
        }
        word += 1;
    }
    let mut byte = 0;
    while byte < STRINGS.len() {
        bytes[(HEADER + LEN) as usize + byte] = STRINGS[byte];
        byte += 1;
    }
    bytes
};

/// Numbers in [`TYPES`]: of a program, and of a function in it.
const PROGRAM: u32 = 3;
const PART: u32 = 4;

/// An object whose programs know their maps and functions.
pub struct Linked {
    object: Object,
    types: OwnedFd,
}

impl Linked {
    /// Links `object`: each map comes with its name and the number of its descriptor, which must stay open while programs are
    /// loaded.
    ///
    /// # Errors
    /// A map is missing, or the object is damaged.
    pub fn new<'a>(
        mut object: Object,
        maps: impl Iterator<Item = (&'a str, RawFd, &'a Map)>,
    ) -> Result<Self, Refusal> {
        let bad = |cause: &dyn std::fmt::Display| Refusal::Object(cause.to_string());
        let text = object.functions.keys().map(|&(section, _)| section).collect();
        object.relocate_maps(maps, &text).map_err(|cause| bad(&cause))?;
        object.relocate_calls(&text).map_err(|cause| bad(&cause))?;
        let types = bpf::types(TYPES).map_err(|cause| Refusal::Failed {
            operation: "loading types of functions",
            cause: cause.to_string(),
        })?;
        Ok(Self { object, types })
    }

    /// Loads a program; `hook` names what it is for, `target` is what it is attached to, if it knows the
    /// kernel's types.
    ///
    /// # Errors
    /// There is none of that name, or the kernel refuses it.
    pub fn load(
        &self,
        name: &'static str,
        kind: Kind,
        hook: &str,
        target: Option<(Attach, u32)>,
    ) -> Result<OwnedFd, Refusal> {
        let program = self.object.programs.get(name);
        let function = program.and_then(|program| self.object.functions.get(&program.function_key()));
        let function = function.ok_or_else(|| Refusal::Object(format!("it has no program {name}")))?;
        let license: &CString = &self.object.license;
        let instructions: Vec<u64> = function
            .instructions
            .iter()
            .map(|one| {
                let registers = one.dst_reg() | one.src_reg() << 4;
                let [a, b] = one.off.to_ne_bytes();
                let [c, d, e, f] = one.imm.to_ne_bytes();
                u64::from_ne_bytes([one.code, registers, a, b, c, d, e, f])
            })
            .collect();
        let functions = functions(&instructions);
        let program = Program {
            kind,
            name,
            instructions: &instructions,
            license,
            target,
            functions: Some((self.types.as_fd(), &functions)),
        };
        program.load().map_err(|cause| Refusal::from_verifier(name, hook, cause, program.log()))
    }
}

/// Where the program and each function in it begins, in their order, and the number of its type.
fn functions(instructions: &[u64]) -> Vec<[u32; 2]> {
    let named = (0i64..).zip(instructions).filter_map(|(at, one)| {
        let [code, registers, _, _, distance @ ..] = one.to_ne_bytes();
        let names = matches!((code, registers >> 4), CALL | FUNCTION);
        let to = at + 1 + i64::from(i32::from_ne_bytes(distance));
        names.then(|| Some([u32::try_from(to).ok()?, PART]))?
    });
    let mut all: Vec<_> = std::iter::once([0, PROGRAM]).chain(named).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_two_functions() {
        let types = crate::kernel::btf::Btf::parse(TYPES.to_vec(), &["program", "part"]).unwrap();
        assert_eq!((types.number("program"), types.number("part")), (Some(PROGRAM), Some(PART)));
        assert_eq!((types.arguments("program"), types.arguments("part")), (Some(0), Some(0)));
        aya::Btf::parse(TYPES, aya::Endianness::default()).unwrap();
    }

    #[test]
    fn functions_are_found_by_who_names_them() {
        let one = |code: u8, source: u8, distance: i32| {
            let [a, b, c, d] = distance.to_ne_bytes();
            u64::from_ne_bytes([code, source << 4 | 1, 0, 0, a, b, c, d])
        };
        let (exit, helper) = (one(0x95, 0, 0), one(0x85, 0, 181));
        // 0: r1 = 6 (two words), 2: call 5, 3: a helper, 4: exit, 5: call 6, 6: exit
        let code = [one(0x18, 4, 5), 0, one(0x85, 1, 2), helper, exit, one(0x85, 1, 0), exit];
        assert_eq!(functions(&code), [[0, PROGRAM], [5, PART], [6, PART]]);
        assert_eq!(functions(&[one(0x85, 1, i32::MIN), exit]), [[0, PROGRAM]]);
    }
}
