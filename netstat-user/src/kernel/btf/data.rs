//! The bytes of the kernel's types, mapped where that is possible.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The bytes of a kernel's types.
pub(super) enum Data {
    /// Shared with the kernel, which allows that since 6.16. No process pays for this memory.
    Mapped(&'static [u8]),
    Read(Vec<u8>),
}

impl Data {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if len > 0 {
            let (null, fd) = (std::ptr::null_mut(), file.as_raw_fd());
            // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is in use.
            let start = unsafe { libc::mmap(null, len, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0) };
            if start != libc::MAP_FAILED {
                // SAFETY: `len` bytes are mapped there until `drop`, and the kernel never changes its types. The lifetime
                // does not leave this type.
                return Ok(Self::Mapped(unsafe { std::slice::from_raw_parts(start.cast(), len) }));
            }
        }
        std::fs::read(path).map(Self::Read)
    }
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Read(bytes) => bytes,
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Self::Mapped(bytes) = self {
            // SAFETY: the range is the one that was mapped, and nothing borrowed from it outlives `self`. Failure would
            // mean that it was not; there is nothing to do about it.
            let _ = unsafe { libc::munmap(bytes.as_ptr().cast_mut().cast(), bytes.len()) };
        }
    }
}
