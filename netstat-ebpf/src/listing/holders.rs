//! Who holds which socket, on kernels without `bpf_rdonly_cast` (6.2): the iterator over all files of all processes
//! (`bpf_iter_task_file`, Linux 5.8).

use super::iterator::{Meta, at};
use crate::word::Word;
use crate::{Address, read, spot};
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_seq_write, bpf_sock_from_file};
use core::mem::offset_of;
use netstat_common::listing::{HELD, HOLDER, RawHeld, RawHolder, key};

/// `struct bpf_iter__task_file` (kernel/bpf/task_iter.c, 6.12).
#[repr(C)]
pub struct TaskFile {
    meta: *const Meta,
    task: Address,
    fd: u32,
    file: Address,
}

/// `TCP_CLOSE` and `TCP_LISTEN` (include/net/tcp_states.h).
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// The process that was told last, by the address of its leader; 0: none. There is one reader.
static LAST: Word = Word::new(0);

/// The task whose files came last.
static LAST_TASK: Word = Word::new(0);

/// The iteration that both are of.
static SESSION: Word = Word::new(0);

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub fn holders(ctx: *const TaskFile) -> i32 {
    let (task, file): (Address, Address) =
        (at(ctx, offset_of!(TaskFile, task)), at(ctx, offset_of!(TaskFile, file)));
    // At the end there is neither.
    if task.is_null() || file.is_null() {
        return 0;
    }
    // SAFETY: the verifier proves that `file` is a file; the helper only looks at it.
    let socket: Address = unsafe { bpf_sock_from_file(file.cast_mut().cast()) }.cast_const().cast();
    if socket.is_null() {
        return 0;
    }
    let meta: *const Meta = at(ctx, offset_of!(TaskFile, meta));
    let seq: Address = at(meta, offset_of!(Meta, seq));
    let session: u64 = at(meta, offset_of!(Meta, session));
    if SESSION.load() != session {
        SESSION.store(session);
        forget();
    }
    if LAST_TASK.load() != task as u64 {
        if !introduce(seq, task) {
            return 0;
        }
        LAST_TASK.store(task as u64);
    }
    let mut record = RawHeld { kind: HELD, fd: at(ctx, offset_of!(TaskFile, fd)), inode: 0, key: 0 };
    let sock: Address = read(socket, spot!(socket_sk)).unwrap_or(core::ptr::null());
    // The walk reads this line of the socket next.
    let state: u8 = read(sock, spot!(skc_state)).unwrap_or(CLOSE);
    if !sock.is_null() {
        record.key = key(sock as u64, read(sock, spot!(skc_hash)).unwrap_or(0));
    }
    if spot!(inodes) != 0 || state == CLOSE || state == LISTEN {
        record.inode = read(socket, spot!(socket_ino)).unwrap_or(0);
    }
    write(seq, &record);
    0
}

/// Tells whose files follow.
#[inline(always)]
fn introduce(seq: Address, task: Address) -> bool {
    let Some(leader) = read::<Address>(task, spot!(task_group_leader)) else { return false };
    if LAST.load() == leader as u64 {
        return true;
    }
    let mut record = RawHolder { kind: HOLDER, pid: seen(leader), comm: [0; 16] };
    record.comm = read(leader, spot!(task_comm)).unwrap_or_default();
    if !write(seq, &record) {
        return false;
    }
    LAST.store(leader as u64);
    true
}

/// The number of a process in the PID namespace of the running task; 0: it has none.
#[inline(always)]
fn seen(leader: Address) -> u32 {
    /// Size of a `struct upid`.
    const UPID: u64 = 16;
    // SAFETY: the helper takes no argument and all tracing programs have it.
    let current = unsafe { bpf_get_current_task() } as Address;
    let own: Option<Address> = read(current, spot!(task_thread_pid));
    let level: u32 = own.and_then(|own| read(own, spot!(pid_level))).unwrap_or(0);
    let Some(pid) = read::<Address>(leader, spot!(task_thread_pid)) else { return 0 };
    let depth: u32 = read(pid, spot!(pid_level)).unwrap_or(0);
    // Namespaces are nested 32 deep at most (`MAX_PID_NS_LEVEL`, include/linux/pid_namespace.h, 6.12).
    if depth < level || level > 32 {
        return 0;
    }
    read((pid as u64).wrapping_add(u64::from(level) * UPID) as Address, spot!(pid_numbers)).unwrap_or(0)
}

/// Writes a record. `false`: there was no room, so all that this run wrote is taken back and the file comes again.
#[inline(always)]
fn write<T>(seq: Address, record: &T) -> bool {
    let size = size_of::<T>() as u32;
    // SAFETY: the verifier proves that `seq` is the iteration's output; `record` is `size` initialised bytes.
    let failed =
        unsafe { bpf_seq_write(seq.cast_mut().cast(), core::ptr::from_ref(record).cast_mut().cast(), size) };
    if failed != 0 {
        // The process may have been told by what is taken back.
        forget();
    }
    failed == 0
}

/// Makes the next file's process be told.
#[inline(always)]
fn forget() {
    LAST.store(0);
    LAST_TASK.store(0);
}
