//! Memory of a map that both halves see.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::AtomicU64;

/// A mapping of a part of a map.
pub(super) struct Mapping {
    start: *mut libc::c_void,
    len: usize,
}

// SAFETY: the mapping belongs to no thread; what is shared in it is accessed atomically, or as its user says.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `len` bytes from `offset` on, which is a multiple of a page; `protection` is one of `mmap`.
    ///
    /// # Errors
    /// Those of `mmap`.
    pub fn new(fd: BorrowedFd<'_>, offset: usize, len: usize, protection: i32) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is in use.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset)
        };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start, len }) }
    }

    /// Its first byte; it is mapped as long as `self` lives.
    pub fn start(&self) -> *mut libc::c_void {
        self.start
    }

    /// The word of eight bytes at `index`. Without write permission it may only be loaded from.
    ///
    /// # Panics
    /// The mapping is not as long.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(
            size_of::<u64>() * (index + 1) <= self.len,
            "a mapping of {} bytes has no word {index}",
            self.len
        );
        let word = self.start.cast::<u64>().wrapping_add(index);
        // SAFETY: an aligned word of the mapping (just asserted), which begins with a page, lives as long as `self`, and which
        // the kernel and we access atomically.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped, and nothing borrowed from it outlives `self`.
        // Failure would mean that it was not; there is nothing to do about it.
        let _ = unsafe { libc::munmap(self.start, self.len) };
    }
}
