//! Addresses of the kernel's functions, from /proc/kallsyms.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

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

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..64) {
            let _ = find(Slow(&bytes, piece), ["a", "b"]);
        }
    }
}
