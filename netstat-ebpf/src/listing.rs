//! The programs of a single listing: who holds which socket, and which TCP sockets there are.
//!
//! An object of its own, so that a listing loads nothing that only a trace needs. Kernel memory is read at offsets that user
//! space took from the running kernel's BTF: by loads where there is `bpf_rdonly_cast` (6.2), and else by
//! `bpf_probe_read_kernel`. A load that waits for memory lets the processor go on with those behind it; a call of a helper
//! does not get far. So eight sockets are looked at together, each field of all of them before the next.
#![no_std]
#![no_main]
// The one instruction that `core` does not offer for this target: see `word`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[path = "listing/holders.rs"]
mod holders;
#[path = "listing/iterator.rs"]
mod iterator;
#[path = "listing/tasks.rs"]
mod tasks;
#[path = "listing/walk.rs"]
mod walk;
#[allow(dead_code, reason = "nothing is added here")]
mod word;

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use core::ffi::c_void;
use netstat_common::listing::{Board, Spots};

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

/// What both halves see.
#[map]
static BOARD: Array<Board> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Reads from any kernel address; `None` when nothing is mapped there.
#[inline(always)]
fn read<T: Copy>(base: Address, at: usize) -> Option<T> {
    let field = base.cast::<u8>().wrapping_add(at).cast::<T>();
    // SAFETY: the helper checks the address and fails instead of faulting; `T` is an integer, a pointer or a byte
    // array, so any bits are valid.
    unsafe { bpf_probe_read_kernel(field) }.ok()
}

/// Whether [`load`] may be called.
#[inline(always)]
fn has_loads() -> bool {
    spot!(eight_bytes) != 0
}

/// Loads up to eight bytes, an integer's, from any address that is a multiple of their number: zero where nothing is mapped.
/// From an address of user space at no cost.
#[inline(always)]
fn load<T: Copy>(address: u64) -> T {
    const { assert!(size_of::<T>() <= 8) };
    let pointer: *const T;
    #[cfg(target_arch = "bpf")]
    {
        // SAFETY: the branch is only there when the loader has completed the call (`netstat_common::config::KFUNCS`), which
        // the verifier replaces by a move.
        unsafe {
            core::arch::asm!(
                "call 0x0bad0003",
                inout("r1") address => _, inout("r2") spot!(eight_bytes) as u64 => _,
                out("r0") pointer, out("r3") _, out("r4") _, out("r5") _,
            );
        }
    }
    // The crate runs on that target only; elsewhere it is merely checked.
    #[cfg(not(target_arch = "bpf"))]
    {
        pointer = address as *const T;
    }
    // SAFETY: the verifier takes the address for that of eight bytes that may be read, and what the kernel makes of the load
    // cannot fault; any bits are a valid `T`. Volatile, so that one load it stays.
    unsafe { pointer.read_volatile() }
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
