//! The object of a listing, with its maps made and its programs as the kernel takes them.
//!
//! It has no types of its own (`netstat-user/build.rs` leaves them out). The kernel wants some where a program has functions
//! that are called by the kernel (`bpf_loop`), and then only to know that they are functions: see [`TYPES`].

use super::super::around::memlock;
use crate::kernel::Refusal;
use crate::kernel::bpf::{self, Kind, Program, Value};
use aya_obj::{EbpfSectionKind, Object as Parsed};
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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

/// The object.
pub struct Object {
    parsed: Parsed,
    maps: HashMap<String, Value>,
    types: OwnedFd,
}

impl Object {
    /// Makes its maps; `settings` are the bytes of the variable of that name.
    ///
    /// # Errors
    /// It cannot be read, or the kernel refuses a map.
    pub fn open(elf: &[u8], variable: &str, settings: &[u8]) -> Result<Self, Refusal> {
        let bad = |cause: &dyn std::fmt::Display| Refusal::Object(cause.to_string());
        let mut parsed = Parsed::parse(elf).map_err(|cause| bad(&cause))?;
        let set = parsed.patch_map_data(HashMap::from([(variable, (settings, true))]));
        set.map_err(|cause| bad(&cause))?;
        let limit = memlock();
        let mut maps = HashMap::new();
        for (name, map) in &parsed.maps {
            let refused = |cause| Refusal::from_map(name.clone(), cause, limit);
            if map.max_entries() != 1 {
                return Err(Refusal::Object(format!("its map {name} is no single value")));
            }
            let made = Value::new(name, map.value_size(), map.map_flags()).map_err(refused)?;
            // What is not written is zero.
            if map.section_kind() == EbpfSectionKind::Rodata {
                made.write(map.data()).and_then(|()| made.freeze()).map_err(refused)?;
            }
            maps.insert(name.clone(), made);
        }
        let text = parsed.functions.keys().map(|&(section, _)| section).collect();
        let numbers: Vec<_> = parsed
            .maps
            .drain()
            .filter_map(|(name, map)| Some((maps.get(&name)?.as_fd().as_raw_fd(), name, map)))
            .collect();
        let numbers = numbers.iter().map(|(fd, name, map)| (name.as_str(), *fd, map));
        parsed.relocate_maps(numbers, &text).map_err(|cause| bad(&cause))?;
        parsed.relocate_calls(&text).map_err(|cause| bad(&cause))?;
        let types = bpf::types(TYPES).map_err(|cause| Refusal::Failed {
            operation: "loading types of functions",
            cause: cause.to_string(),
        })?;
        Ok(Self { parsed, maps, types })
    }

    /// A map of the object.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn map(&self, name: &str) -> Result<BorrowedFd<'_>, Refusal> {
        let map = self.maps.get(name);
        map.map(AsFd::as_fd).ok_or_else(|| Refusal::Object(format!("it has no map {name}")))
    }

    /// Loads a program; `hook` names what it is for, `target` is the number of an iterator's function in the kernel's types.
    ///
    /// # Errors
    /// There is none of that name, or the kernel refuses it.
    pub fn load(
        &self,
        name: &'static str,
        kind: Kind,
        hook: &str,
        target: Option<u32>,
    ) -> Result<OwnedFd, Refusal> {
        let program = self.parsed.programs.get(name);
        let function = program.and_then(|program| self.parsed.functions.get(&program.function_key()));
        let function = function.ok_or_else(|| Refusal::Object(format!("it has no program {name}")))?;
        let license: &CString = &self.parsed.license;
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
