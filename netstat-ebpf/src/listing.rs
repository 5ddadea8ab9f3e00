//! The programs of a single listing: who holds which socket, and which TCP sockets there are.
//!
//! An object of its own, so that a listing loads nothing that only a trace needs. Kernel memory is read here by
//! `bpf_probe_read_kernel` alone, which fails where it may not, at offsets that user space took from the running kernel's
//! BTF.
#![no_std]
#![no_main]
// The one instruction that `core` does not offer for this target: see `word`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[path = "listing/holders.rs"]
mod holders;
#[path = "listing/walk.rs"]
mod walk;
#[allow(dead_code, reason = "nothing is added here")]
mod word;

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use core::ffi::c_void;
use netstat_common::listing::Spots;

/// Kernel memory at an address.
type Address = *const c_void;

#[unsafe(no_mangle)]
// SAFETY: all-zero bytes are valid `Spots`.
static SPOTS: Global<Spots> = Global::new(unsafe { core::mem::zeroed() });

/// Reads one member of `SPOTS`.
#[inline(always)]
fn spot_at(at: usize) -> usize {
    let member = core::ptr::from_ref(&SPOTS).cast::<u8>().wrapping_add(at).cast::<u32>();
    // SAFETY: `at` is the offset of a member, and all of them are `u32` (`spot!`). Volatile, because the loader overwrites
    // it.
    unsafe { core::ptr::read_volatile(member) as usize }
}

/// A member of `SPOTS`.
macro_rules! spot {
    ($member:ident) => {
        $crate::spot_at(core::mem::offset_of!(netstat_common::listing::Spots, $member))
    };
}
use spot;

/// Reads from any kernel address; `None` when nothing is mapped there.
#[inline(always)]
fn read<T: Copy>(base: Address, at: usize) -> Option<T> {
    let field = base.cast::<u8>().wrapping_add(at).cast::<T>();
    // SAFETY: the helper checks the address and fails instead of faulting; `T` is an integer, a pointer or a byte
    // array, so any bits are valid.
    unsafe { bpf_probe_read_kernel(field) }.ok()
}

/// Licence of the programs: some helpers are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
#[used]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Which boundary this object was built for; read by the loader before it loads anything.
#[unsafe(no_mangle)]
#[used]
static ENETSTAT_ABI: u32 = netstat_common::ABI;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
