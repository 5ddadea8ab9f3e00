//! Takes the debugging information (DWARF) out of an object.
//!
//! The linker makes BTF of it, which stays where it is needed. What remains of the rest would be most of the file, and reading it most of
//! the work of loading.

use anyhow::{Context as _, ensure};

/// Bytes of the header of an ELF file and of a section (64 bits).
const HEADER: usize = 64;
const SECTION: usize = 64;

/// `SHT_NOBITS`: such a section has no bytes in the file.
const NO_BITS: u32 = 8;

/// What a section `.BTF.ext` tells of functions, without the lines of source code that each instruction came from: these are
/// most of what is left, and are checked one by one by the kernel when a program is loaded.
fn without_lines(mut section: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    // `struct btf_ext_header` (tools/lib/bpf/libbpf_internal.h, 6.12), with lengths and offsets behind it.
    let (head, functions, len) = (word(&section, 4, 4)?, word(&section, 8, 4)?, word(&section, 12, 4)?);
    ensure!(functions == 0 && head >= 24, "its functions do not come first in .BTF.ext");
    ensure!(head < 32 || word(&section, 28, 4)? == 0, ".BTF.ext has relocations");
    section.truncate(head + len);
    // The empty rest lies behind.
    let end = u32::try_from(len)?.to_le_bytes();
    for part in section[16..head].chunks_exact_mut(8) {
        part.copy_from_slice(&[end, [0; 4]].concat());
    }
    Ok(section)
}

/// The object without its sections `.debug_*`, without its types (BTF) unless they are to be kept, and without the relocations
/// of these. Their numbers stay, as unused sections, so that nothing else has to be numbered anew.
pub fn debug(elf: &[u8], keep_types: bool) -> anyhow::Result<Vec<u8>> {
    // 64 bits, little-endian: what the eBPF target is.
    ensure!(elf.starts_with(b"\x7fELF\x02\x01"), "it is no ELF file of the eBPF target");
    let (table, count, names) = (word(elf, 40, 8)?, word(elf, 60, 2)?, word(elf, 62, 2)?);
    let section = |index: usize| bytes(elf, table + index * SECTION, SECTION);
    let names = word(section(names)?, 24, 8)?;

    let mut out = bytes(elf, 0, HEADER)?.to_vec();
    let mut sections = Vec::new();
    for index in 0..count {
        let mut header = section(index)?.to_vec();
        let name = elf.get(names + word(&header, 0, 4)?..).context("a name lies outside the file")?;
        let of = name.strip_prefix(b".rel").unwrap_or(name);
        let of = of.split(|&byte| byte == 0).next().unwrap_or_default();
        // Whatever reads types of functions goes by the sections that they name.
        let is_unread = name.starts_with(b".rel.BTF.ext\0") || !keep_types && of.starts_with(b".BTF");
        if of.starts_with(b".debug_") || is_unread {
            sections.extend([0; SECTION]);
            continue;
        }
        if word(&header, 4, 4)? != NO_BITS as usize {
            let (at, len) = (word(&header, 24, 8)?, word(&header, 32, 8)?);
            out.resize(out.len().next_multiple_of(word(&header, 48, 8)?.max(1)), 0);
            header[24..32].copy_from_slice(&(out.len() as u64).to_le_bytes());
            let mut contents = bytes(elf, at, len)?.to_vec();
            if of == b".BTF.ext" {
                contents = without_lines(contents)?;
                header[32..40].copy_from_slice(&(contents.len() as u64).to_le_bytes());
            }
            out.extend(contents);
        }
        sections.extend(header);
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let table = out.len() as u64;
    out[40..48].copy_from_slice(&table.to_le_bytes());
    out.extend(sections);
    Ok(out)
}

fn bytes(from: &[u8], at: usize, len: usize) -> anyhow::Result<&[u8]> {
    at.checked_add(len).and_then(|end| from.get(at..end)).context("a section lies outside the file")
}

/// A little-endian number of `len` bytes.
fn word(from: &[u8], at: usize, len: usize) -> anyhow::Result<usize> {
    let bytes = bytes(from, at, len)?;
    Ok(usize::try_from(bytes.iter().rev().fold(0u64, |word, &byte| word << 8 | u64::from(byte)))?)
}
