//! Who runs.

use crate::emit::emit_quietly;
use crate::maps::{ABSENT, ANNOUNCED, MET, MET_COUNT, READER, config, offset};
use crate::sock::{Address, Sock, has_casts, has_cookie, loaded, probed, typed};
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use netstat_common::Kind;
use netstat_common::event::{FLAG_OWNED, RawHead, RawProcess};

/// Process (thread group) that runs, in the initial PID namespace; 0 is a processor's idle task.
#[inline(always)]
pub fn tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// The process that holds the socket's lock and therefore acts on it; 0 when the network or a timer does.
#[inline(always)]
pub fn actor<S: Sock>(sock: S) -> u32 {
    if offset!(sk_lock_owned) != ABSENT && sock.is_owned() { tgid() } else { 0 }
}

/// Whether `tgid` is the process that reads what is reported.
#[inline(always)]
pub fn is_reader(tgid: u32) -> bool {
    if config!(reader) != 0 { tgid == config!(reader) } else { u64::from(tgid) == READER.load() }
}

/// Names the acting process in `head`.
#[inline(always)]
pub fn sign(head: &mut RawHead, actor: u32) {
    if actor != 0 {
        head.tgid = actor;
        head.flags |= FLAG_OWNED;
    }
}

/// A thread that runs.
#[derive(Clone, Copy)]
pub struct Thread {
    pub tgid: u32,
    tid: u32,
    /// Its `struct task_struct`, typed where [`is_typed`].
    task: Address,
}

/// Whether the running task is to be had with its type: with 5.11, before the cookie helper (5.12).
#[inline(always)]
fn is_typed<S: Sock>() -> bool {
    has_casts() || S::TYPED && has_cookie()
}

/// The thread that runs, by a single call: each takes as long as a dozen loads.
#[inline(always)]
pub fn running<S: Sock>() -> Thread {
    if is_typed::<S>() {
        // SAFETY: the helper takes no argument; only programs that `is_typed` admits reach this call.
        let task: Address = unsafe { bpf_get_current_task_btf() }.cast_const().cast();
        Thread { tgid: typed(task, offset!(task_tgid)), tid: typed(task, offset!(task_pid)), task }
    } else {
        let numbers = bpf_get_current_pid_tgid();
        Thread { tgid: (numbers >> 32) as u32, tid: numbers as u32, task: current() }
    }
}

/// Tells whose the running `thread` is, unless that was done since it began or last executed a program.
///
/// What was done is looked up by thread first: that takes no pointer to the leader of its group.
#[inline(always)]
pub fn announce<S: Sock>(thread: Thread) {
    let life = if is_typed::<S>() {
        let word = |at| typed(thread.task, at);
        [word(offset!(task_start_boottime)), word(offset!(task_self_exec_id))]
    } else {
        life(thread.task)
    };
    let met = &MET[thread.tid as usize % MET_COUNT];
    let mark = mark(thread.tid, life);
    if met.load() == mark {
        return;
    }
    if is_told(thread.tid, &life) || introduce(thread.tgid, thread.tid, life) {
        met.store(mark);
    }
}

/// A thread and its life as one word: a process is not introduced where two of 2^64 are the same.
#[inline(always)]
fn mark(thread: u32, [start, execs]: [u64; 2]) -> u64 {
    start.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ execs.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ u64::from(thread) << 32
}

/// How many PID namespaces lie around the one that a task is in, and the `struct pid` that has its number in each.
#[inline(always)]
pub fn numbers(task: Address) -> (u32, Address) {
    let pid: Address = probed(task, offset!(task_thread_pid)).unwrap_or(core::ptr::null());
    if pid.is_null() { (0, pid) } else { (probed(pid, offset!(pid_level)).unwrap_or_default(), pid) }
}

/// The number that a `struct pid` has in the namespace `level`; 0 when it is not known.
#[inline(always)]
pub fn number_at(pid: Address, level: u32) -> u32 {
    /// Size of a `struct upid`.
    const UPID: u64 = 16;
    // Namespaces are nested 32 deep at most (`MAX_PID_NS_LEVEL`, include/linux/pid_namespace.h, 6.12).
    if pid.is_null() || offset!(pid_numbers) == ABSENT || level > 32 {
        return 0;
    }
    let at = (pid as u64).wrapping_add(u64::from(level) * UPID) as Address;
    probed(at, offset!(pid_numbers)).unwrap_or_default()
}

/// A task's number in its own PID namespace; 0 when it is not known.
#[inline(always)]
pub fn inner_number(task: Address) -> u32 {
    let (level, pid) = numbers(task);
    number_at(pid, level)
}

/// The running task.
#[inline(always)]
pub fn current() -> Address {
    // SAFETY: the helper takes no argument and all tracing programs have it.
    unsafe { bpf_get_current_task() as Address }
}

/// Start and number of execs; all threads of a process have executed the same.
#[inline(always)]
fn life(task: Address) -> [u64; 2] {
    let word = |at| loaded(task, at);
    [word(offset!(task_start_boottime)), word(offset!(task_self_exec_id))]
}

#[inline(always)]
fn is_told(thread: u32, life: &[u64; 2]) -> bool {
    // SAFETY: two words in the map's own memory; a torn read at worst tells the process once more.
    unsafe { ANNOUNCED.get(thread) == Some(life) }
}

/// Returns whether the thread is one that was told now.
#[inline(always)]
fn introduce(tgid: u32, thread: u32, own: [u64; 2]) -> bool {
    let leader: Address = probed(current(), offset!(task_group_leader)).unwrap_or(core::ptr::null());
    if leader.is_null() {
        return false;
    }
    let process = if thread == tgid { own } else { life(leader) };
    if thread == tgid || !is_told(tgid, &process) {
        let sent = emit_quietly(|now, record: &mut RawProcess| {
            record.head.time = now;
            record.head.kind = Kind::Process as u8;
            record.head.sock = process[0];
            record.head.tgid = tgid;
            record.comm = probed(leader, offset!(task_comm)).unwrap_or_default();
            record.uid = bpf_get_current_uid_gid() as u32;
            let parent: Address = probed(leader, offset!(task_real_parent)).unwrap_or(core::ptr::null());
            if !parent.is_null() {
                record.parent = probed(parent, offset!(task_tgid)).unwrap_or_default();
            }
            record.inner = inner_number(leader);
        });
        if !sent {
            return false;
        }
        // When the map refuses, the process is told again with the next record: more, but not wrong.
        let _ = ANNOUNCED.insert(tgid, process, 0);
    }
    if thread != tgid {
        let _ = ANNOUNCED.insert(thread, own, 0);
    }
    true
}
