//! The iterator over all files of all processes (`bpf_iter_task_file`, Linux 5.8).

use crate::handle::files;
use crate::sock::Address;
use core::mem::offset_of;

/// `struct bpf_iter__task_file` (kernel/bpf/task_iter.c, 6.12).
#[repr(C)]
pub struct TaskFile {
    meta: *const Meta,
    task: Address,
    fd: u32,
    file: Address,
}

/// `struct bpf_iter_meta` (include/linux/bpf.h, 6.12).
#[repr(C)]
struct Meta {
    seq: Address,
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub fn files(ctx: *const TaskFile) -> i32 {
    let (task, file): (Address, Address) =
        (at(ctx, offset_of!(TaskFile, task)), at(ctx, offset_of!(TaskFile, file)));
    // At the end there is neither.
    if task.is_null() || file.is_null() {
        return 0;
    }
    let meta: *const Meta = at(ctx, offset_of!(TaskFile, meta));
    files::seen(at(meta, offset_of!(Meta, seq)), task, at(ctx, offset_of!(TaskFile, fd)), file);
    0
}

/// A member of what the kernel passes. One by one: where there is no member, it may not be read.
#[inline(always)]
fn at<S, T: Copy>(base: *const S, offset: usize) -> T {
    let member = base.cast::<u8>().wrapping_add(offset).cast::<T>();
    // SAFETY: the verifier knows what `base` leads to, and that there is a member of this size at the offset; any bits of it
    // are valid, an integer's or a pointer's. Volatile, so that one load it stays.
    unsafe { member.read_volatile() }
}
