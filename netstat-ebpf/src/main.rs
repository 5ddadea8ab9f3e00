//! enetstat's kernel half: every change of a TCP socket's state, and on request of its queues and owners, written into
//! one ring buffer.
//!
//! `hook` has the attach points, one file for each way to attach; all of them lead to the same functions in `handle`.
//! Kernel memory is read by `sock` and `task` only, at offsets that user space took from the running kernel's BTF.
//! Records leave through `emit`, which also counts what could not leave. Nothing here formats, waits or allocates.
//!
//! An unused hook costs nothing: user space loads only the programs that it attaches, and the verifier removes the
//! branches that `CONFIG` rules out.
#![no_std]
#![no_main]
// The one instruction that `core` does not offer for this target: see `word`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod emit;
mod handle;
mod hook;
mod maps;
mod sock;
mod task;
mod undisturbed;
mod word;

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
