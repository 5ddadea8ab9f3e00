//! Addresses of the kernel's functions: asked for by a small eBPF program, or else from /proc/kallsyms, which takes as
//! long as everything else in attaching together.

use super::bpf::{self, Kind, Program};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// `bpf_kallsyms_lookup_name`, since 5.16.
const LOOKUP: i32 = 179;

/// Room for a name on the stack, its NUL included.
const NAME: usize = 32;

/// The file is made line by line as it is read; a larger piece is not faster.
const PIECE: usize = 64 * 1024;

/// Why an address is not known.
#[derive(Debug, thiserror::Error)]
pub enum KallsymsError {
    #[error("cannot read {path}: {cause}")]
    Read { path: PathBuf, cause: io::Error },
    /// `kernel.kptr_restrict`, or CAP_SYSLOG is missing: every address reads as zero.
    #[error("the kernel hides the addresses of its functions")]
    Hidden,
    #[error("this kernel has no function {0}")]
    Absent(&'static str),
}

/// The addresses of `names` in the kernel below `root` (`/` unless in a test).
///
/// A kernel built with link-time optimisation may add to a name, after a dot; such a function is taken when there is none
/// of the very name.
pub fn addresses<const N: usize>(root: &Path, names: [&'static str; N]) -> Result<[u64; N], KallsymsError> {
    if root == Path::new("/")
        && let Ok(found) = ask(names)
        && !found.contains(&0)
    {
        return Ok(found);
    }
    let path = root.join("proc/kallsyms");
    let failed = |cause| KallsymsError::Read { path: path.clone(), cause };
    find(File::open(&path).map_err(failed)?, names).map_err(failed)?
}

fn find<const N: usize>(
    mut file: impl Read,
    names: [&'static str; N],
) -> io::Result<Result<[u64; N], KallsymsError>> {
    let finders = names.map(memchr::memmem::Finder::new);
    let mut exact = [None; N];
    let mut similar = [None; N];
    let mut buffer = vec![0; PIECE];
    // Bytes of the last line, which may go on.
    let mut kept = 0;
    while exact.contains(&None) {
        if kept == buffer.len() {
            // No symbol is that long.
            kept = 0;
        }
        let read = match file.read(buffer.get_mut(kept..).unwrap_or_default()) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let there = buffer.get(..kept + read).unwrap_or_default();
        let whole =
            if read == 0 { there.len() } else { memchr::memrchr(b'\n', there).map_or(0, |at| at + 1) };
        let lines = there.get(..whole).unwrap_or_default();
        for (index, finder) in finders.iter().enumerate() {
            for at in finder.find_iter(lines) {
                let start =
                    memchr::memrchr(b'\n', lines.get(..at).unwrap_or_default()).map_or(0, |at| at + 1);
                let line = lines.get(start..).unwrap_or_default();
                let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
                let Some((address, name)) = parse(line) else { continue };
                match name.strip_prefix(names[index].as_bytes()) {
                    Some([]) => exact[index] = exact[index].or(Some(address)),
                    Some([b'.', ..]) => similar[index] = similar[index].or(Some(address)),
                    _ => {}
                }
            }
        }
        if read == 0 {
            break;
        }
        let end = there.len();
        buffer.copy_within(whole..end, 0);
        kept = end - whole;
    }
    let mut addresses = [0; N];
    for (index, address) in addresses.iter_mut().enumerate() {
        match exact[index].or(similar[index]) {
            Some(0) => return Ok(Err(KallsymsError::Hidden)),
            Some(found) => *address = found,
            None => return Ok(Err(KallsymsError::Absent(names[index]))),
        }
    }
    Ok(Ok(addresses))
}

/// Asks the kernel: zero for a name that it does not have or does not tell. Since 5.14, and run by whoever loaded it.
fn ask<const N: usize>(names: [&str; N]) -> io::Result<[u64; N]> {
    let program = Program {
        kind: Kind::Syscall,
        name: "lookup",
        instructions: &lookups(&names)?,
        license: c"GPL",
        target: None,
        functions: None,
    };
    let mut found = [0u64; N];
    bpf::run_with(program.load()?.as_fd(), &mut found)?;
    Ok(found)
}

/// Instructions that look each name up and store its address in the context, one after the other.
fn lookups(names: &[&str]) -> io::Result<Vec<u64>> {
    let op = |code: u64, to: u64, from: u64, at: i16, value: i32| {
        code | to << 8
            | from << 12
            | u64::from(at.cast_unsigned()) << 16
            | u64::from(value.cast_unsigned()) << 32
    };
    let (name_at, address_at) = (-(NAME as i16), -(NAME as i16) - 8);
    // r6 = context
    let mut code = vec![op(0xbf, 6, 1, 0, 0)];
    for (index, name) in names.iter().enumerate() {
        let mut bytes = [0; NAME];
        let room = bytes.get_mut(..name.len()).filter(|room| room.len() < NAME);
        room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
        for (word, chunk) in (0i16..).zip(bytes.chunks_exact(8)) {
            let value = u64::from_ne_bytes(chunk.try_into().map_err(io::Error::other)?);
            // r2 = value (two words); *(r10 + name_at + 8 * word) = r2
            code.push(op(0x18, 2, 0, 0, (value as u32).cast_signed()));
            code.push(op(0, 0, 0, 0, ((value >> 32) as u32).cast_signed()));
            code.push(op(0x7b, 10, 2, name_at + 8 * word, 0));
        }
        code.extend([
            // *(r10 + address_at) = 0
            op(0x7a, 10, 0, address_at, 0),
            // r1 = r10 + name_at; r2 = length with NUL; r3 = 0; r4 = r10 + address_at; call
            op(0xbf, 1, 10, 0, 0),
            op(0x07, 1, 0, 0, name_at.into()),
            op(0xb7, 2, 0, 0, name.len() as i32 + 1),
            op(0xb7, 3, 0, 0, 0),
            op(0xbf, 4, 10, 0, 0),
            op(0x07, 4, 0, 0, address_at.into()),
            op(0x85, 0, 0, 0, LOOKUP),
            // *(r6 + 8 * index) = *(r10 + address_at)
            op(0x79, 1, 10, address_at, 0),
            op(0x7b, 6, 1, 8 * index as i16, 0),
        ]);
    }
    // r0 = 0; exit
    code.extend([op(0xb7, 0, 0, 0, 0), op(0x95, 0, 0, 0, 0)]);
    Ok(code)
}

/// `ADDRESS TYPE NAME`, followed by a tab and the module's name for one of a module.
fn parse(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let address = u64::from_str_radix(std::str::from_utf8(words.next()?).ok()?, 16).ok()?;
    let name = words.nth(1)?.split(|&byte| byte == b'\t').next()?;
    Some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &[u8] = b"0000000000000000 A fixed_percpu_data\n\
        ffffffff82008740 t not_tw_timer_handler\n\
        ffffffff820089f0 t tw_timer_handler\n\
        ffffffff8200af30 t reqsk_timer_handler.llvm.77\n\
        ffffffffc0000000 t tcp_write_timer\t[module]";

    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(into.len()).min(self.0.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[test]
    fn names_are_found_whole_or_with_what_a_linker_adds() {
        let names = ["tw_timer_handler", "reqsk_timer_handler", "tcp_write_timer"];
        for piece in [1, 7, 1 << 20] {
            let found = find(Slow(TEXT, piece), names).unwrap().unwrap();
            assert_eq!(found, [0xffff_ffff_8200_89f0, 0xffff_ffff_8200_af30, 0xffff_ffff_c000_0000]);
        }
        let absent = find(TEXT, ["timer_handler"]).unwrap();
        assert!(matches!(absent, Err(KallsymsError::Absent("timer_handler"))));
        let hidden = find(&b"0000000000000000 t tw_timer_handler\n"[..], ["tw_timer_handler"]).unwrap();
        assert!(matches!(hidden, Err(KallsymsError::Hidden)));
        assert!(matches!(addresses(Path::new("/nowhere"), ["a"]), Err(KallsymsError::Read { .. })));
    }

    #[test]
    fn both_ways_lead_to_the_same() {
        let names = ["tw_timer_handler", "reqsk_timer_handler", "tcp_write_timer"];
        let Ok(asked) = ask(names) else {
            return eprintln!("skipped: this kernel or this user does not look names up");
        };
        let read = find(File::open("/proc/kallsyms").unwrap(), names).unwrap();
        match read {
            Ok(read) => assert_eq!(asked, read),
            Err(_) => assert_eq!(asked, [0; 3]),
        }
        assert_eq!(ask(["no_such_function"]).unwrap(), [0]);
        assert!(lookups(&["a name that is longer than the room for it"]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..64) {
            let _ = find(Slow(&bytes, piece), ["a", "b"]);
        }
    }
}
