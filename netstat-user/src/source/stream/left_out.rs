//! How often the kernel left a program out because it was running already.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A program whose being left out loses events.
pub struct Watched {
    pub name: String,
    program: OwnedFd,
}

impl Watched {
    /// # Errors
    /// This process can open no more files.
    pub fn new(name: &str, program: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { name: name.to_owned(), program: program.try_clone_to_owned()? })
    }

    /// Times since it was loaded; 0 where the kernel does not count them (before 5.12; programs of classic tracepoints before
    /// 6.3).
    pub fn times(&self) -> u64 {
        /// `BPF_OBJ_GET_INFO_BY_FD` (include/uapi/linux/bpf.h, 6.12).
        const INFO: libc::c_int = 15;
        /// `bpf_prog_info.recursion_misses`, in words of eight bytes.
        const MISSES: usize = 26;
        // Longer than the kernel's: it fills in what it has, and the rest must be zero.
        let mut info = [0u64; 32];
        let size = size_of_val(&info) as u64;
        // `union bpf_attr`: the descriptor, the size of what is asked for, and where it is.
        let attributes =
            [u64::from(self.program.as_raw_fd().unsigned_abs()) | size << 32, info.as_mut_ptr() as u64];
        // SAFETY: the kernel reads the attributes, and writes no more than `size` bytes to `info`, both of which outlive the
        // call; all pointers in `info` are null and all counts zero, so it writes nowhere else.
        let done =
            unsafe { libc::syscall(libc::SYS_bpf, INFO, attributes.as_ptr(), size_of_val(&attributes)) };
        if done == 0 { info.get(MISSES).copied().unwrap_or(0) } else { 0 }
    }
}
