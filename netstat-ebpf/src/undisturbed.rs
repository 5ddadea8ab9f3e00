//! Programs that are not preempted.
//!
//! Since 7.0 tracepoints can be preempted, as functions could be before; a program that waits in the middle for its process
//! to be run again keeps its hook from every other process of that processor until then.

use crate::maps::config;

/// A call of a kernel function under the number that holds its place: see `netstat_common::config::KFUNCS`.
macro_rules! kfunc {
    ($number:literal) => {
        #[cfg(target_arch = "bpf")]
        // SAFETY: the branch is only there when the loader has completed the call. The functions take nothing, return
        // nothing, and the verifier sees to it that each `bpf_preempt_disable` has its `bpf_preempt_enable`.
        unsafe {
            core::arch::asm!(
                concat!("call ", $number),
                out("r0") _, out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            );
        }
    };
}

/// At a tracepoint: does it without being preempted, where that can happen.
#[inline(always)]
pub fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    if has_preemptible_tracepoints() {
        hold();
    }
    let result = work();
    // Asked again: an answer that is kept makes the compiler write the work down twice.
    if has_preemptible_tracepoints() {
        release();
    }
    result
}

/// Whether another process may run in the middle of a tracepoint: then, and only then, there is more than one spare.
#[inline(always)]
pub fn has_preemptible_tracepoints() -> bool {
    config!(spares) > 1
}

/// At a function: does it without being preempted, where the kernel lets programs ask for that.
#[inline(always)]
pub fn undisturbed_call<T>(work: impl FnOnce() -> T) -> T {
    hold();
    let result = work();
    release();
    result
}

/// From here on the program is not preempted, where the kernel lets programs ask for that.
#[inline(always)]
fn hold() {
    if config!(kfuncs) != 0 {
        kfunc!(0x0bad0001);
    }
}

/// The end of [`hold`].
#[inline(always)]
fn release() {
    if config!(kfuncs) != 0 {
        kfunc!(0x0bad0002);
    }
}
