//! The life of processes: raw tracepoints (Linux 4.17), whose arguments are the same from 5.10 to 7.2 as far as they are used.

use crate::handle::life;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

/// `(parent, child)`, for threads, too: include/trace/events/sched.h, 6.12.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn life_fork(ctx: RawTracePointContext) -> i32 {
    life::forked(ctx.arg(0), ctx.arg(1));
    0
}

/// `(task, old_pid, bprm)`, when the new program is about to run.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn life_exec(_: RawTracePointContext) -> i32 {
    life::executed();
    0
}

/// `(task)`, for threads, too, before their files are closed.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn life_exit(ctx: RawTracePointContext) -> i32 {
    life::exited(ctx.arg(0));
    0
}
