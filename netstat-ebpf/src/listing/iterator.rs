//! What the kernel passes to an iterator's program.

use crate::Address;

/// `struct bpf_iter_meta` (include/linux/bpf.h, 6.12).
#[repr(C)]
pub struct Meta {
    pub seq: Address,
    pub session: u64,
}

/// A member of what the kernel passes. One by one: where there is no member, it may not be read.
#[inline(always)]
pub fn at<S, T: Copy>(base: *const S, offset: usize) -> T {
    let member = base.cast::<u8>().wrapping_add(offset).cast::<T>();
    // SAFETY: the verifier knows what `base` leads to, and that there is a member of this size at the offset; any bits of it
    // are valid, an integer's or a pointer's. Volatile, so that one load it stays.
    unsafe { member.read_volatile() }
}
