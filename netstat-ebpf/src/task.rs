//! Who runs.

use crate::emit::emit;
use crate::maps::{ANNOUNCED, offset};
use crate::sock::{Address, Sock, has_cookie, probed, typed};
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use netstat_common::event::{FLAG_OWNED, RawHead, RawProcess};
use netstat_common::{Kind, offsets::ABSENT};

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

/// Names the acting process in `head`.
#[inline(always)]
pub fn sign(head: &mut RawHead, actor: u32) {
    if actor != 0 {
        head.tgid = actor;
        head.flags |= FLAG_OWNED;
    }
}

/// Tells who the running process `tgid` is, unless that was done since it began or last executed a program.
#[inline(always)]
pub fn announce<S: Sock>(tgid: u32) {
    // A typed task came with 5.11, before the cookie helper (5.12).
    if S::TYPED && has_cookie() {
        // SAFETY: the helper takes no argument; only programs that `has_cookie` admits reach this call.
        let task: Address = unsafe { bpf_get_current_task_btf() }.cast_const().cast();
        introduce(
            tgid,
            typed(task, offset!(task_group_leader)),
            typed::<u64>,
            typed::<Address>,
            typed::<u32>,
        );
    } else {
        // SAFETY: the helper takes no argument and all tracing programs have it.
        let task = unsafe { bpf_get_current_task() } as Address;
        let leader: Address = probed(task, offset!(task_group_leader)).unwrap_or(core::ptr::null());
        introduce(
            tgid,
            leader,
            |base, at| probed::<u64>(base, at).unwrap_or(0),
            |base, at| probed::<Address>(base, at).unwrap_or(core::ptr::null()),
            |base, at| probed::<u32>(base, at).unwrap_or(0),
        );
    }
}

#[inline(always)]
fn introduce(
    tgid: u32,
    leader: Address,
    long: impl Fn(Address, u32) -> u64,
    pointer: impl Fn(Address, u32) -> Address,
    int: impl Fn(Address, u32) -> u32,
) {
    if leader.is_null() {
        return;
    }
    let life = [long(leader, offset!(task_start_boottime)), long(leader, offset!(task_self_exec_id))];
    // SAFETY: two words in the map's own memory; a torn read at worst tells the process once more.
    if unsafe { ANNOUNCED.get(tgid) } == Some(&life) {
        return;
    }
    let sent = emit(|now, record: &mut RawProcess| {
        record.head.time = now;
        record.head.kind = Kind::Process as u8;
        record.head.sock = life[0];
        record.head.tgid = tgid;
        record.comm = probed(leader, offset!(task_comm)).unwrap_or_default();
        record.uid = bpf_get_current_uid_gid() as u32;
        let parent = pointer(leader, offset!(task_real_parent));
        if !parent.is_null() {
            record.parent = int(parent, offset!(task_tgid));
        }
    });
    if sent {
        // When the map refuses, the process is told again with the next record: more, but not wrong.
        let _ = ANNOUNCED.insert(tgid, life, 0);
    }
}
