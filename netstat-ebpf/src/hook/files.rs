//! The iterator over all files of all processes (`bpf_iter_task_file`, Linux 5.8).

use crate::handle::files;
use crate::sock::Address;

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
    // One by one: the context may not be read where it has no member.
    // SAFETY: the kernel passes a context of this layout, which the verifier knows.
    let task = unsafe { (&raw const (*ctx).task).read_volatile() };
    // SAFETY: as above.
    let file = unsafe { (&raw const (*ctx).file).read_volatile() };
    // At the end there is neither.
    if task.is_null() || file.is_null() {
        return 0;
    }
    // SAFETY: as above.
    let fd = unsafe { (&raw const (*ctx).fd).read_volatile() };
    // SAFETY: as above.
    let meta = unsafe { (&raw const (*ctx).meta).read_volatile() };
    // SAFETY: the kernel's description of the iteration, which is always there.
    let seq = unsafe { (&raw const (*meta).seq).read_volatile() };
    files::seen(seq, task, fd, file);
    0
}
