//! Who holds which socket, for a pass over all files.

use super::owner::socket_behind;
use crate::maps::{ABSENT, READER, config, offset};
use crate::sock::{Address, probed};
use crate::task;
use aya_ebpf::helpers::generated::bpf_seq_write;
use netstat_common::RawFile;

/// Writes a line about `file` of `task` when it is a socket.
#[inline(always)]
pub fn seen(seq: Address, task: Address, fd: u32, file: Address) {
    // Whoever reads the iterator runs here. It holds the file for this moment, as a look at /proc/PID/fd does.
    if config!(reader) == 0 {
        READER.store(u64::from(task::tgid()));
    }
    let Some(socket) = socket_behind(file) else { return };
    if socket.is_null() {
        return;
    }
    let leader: Address = probed(task, offset!(task_group_leader)).unwrap_or(core::ptr::null());
    if leader.is_null() {
        return;
    }
    let sk: Address = probed(socket, offset!(socket_sk)).unwrap_or(core::ptr::null());
    let inode: Address = probed(file, offset!(file_inode)).unwrap_or(core::ptr::null());
    let mut record = RawFile { uid: u32::MAX, fd, ..RawFile::default() };
    record.inode = probed(inode, offset!(inode_ino)).unwrap_or_default();
    if !sk.is_null() && offset!(skc_cookie) != ABSENT {
        record.cookie = probed(sk, offset!(skc_cookie)).unwrap_or_default();
    }
    record.tgid = probed(leader, offset!(task_tgid)).unwrap_or_default();
    record.start = probed(leader, offset!(task_start_boottime)).unwrap_or_default();
    record.comm = probed(leader, offset!(task_comm)).unwrap_or_default();
    if offset!(task_real_cred) != ABSENT && offset!(cred_uid) != ABSENT {
        let cred: Address = probed(leader, offset!(task_real_cred)).unwrap_or(core::ptr::null());
        record.uid = probed(cred, offset!(cred_uid)).unwrap_or(u32::MAX);
    }
    let parent: Address = probed(leader, offset!(task_real_parent)).unwrap_or(core::ptr::null());
    record.parent = probed(parent, offset!(task_tgid)).unwrap_or_default();
    let (level, pid) = task::numbers(leader);
    record.inner = task::number_at(pid, level);
    if config!(reader) == 0 {
        let (own, _) = task::numbers(task::current());
        record.seen = task::number_at(pid, own);
    } else {
        record.seen = record.tgid;
    }
    let size = size_of::<RawFile>() as u32;
    // SAFETY: the verifier proves that `seq` is the iteration's output; `record` is `size` initialised bytes.
    unsafe { bpf_seq_write(seq.cast_mut().cast(), (&raw const record).cast(), size) };
}
