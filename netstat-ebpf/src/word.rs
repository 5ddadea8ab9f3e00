//! A word that several processors change.
//!
//! `core`'s atomics cannot be used: LLVM has no atomic load or store for the instructions that every kernel with eBPF
//! knows, and no read-modify-write that leaves the old value alone.

use core::cell::UnsafeCell;

/// Eight bytes of memory that the kernel shares between processors. An aligned word is loaded and stored whole on
/// every 64-bit machine; no order between words is promised.
#[repr(transparent)]
pub struct Word(UnsafeCell<u64>);

// SAFETY: all access is by single aligned instructions, and nobody ever gets a reference to the inside.
unsafe impl Sync for Word {}

impl Word {
    pub const fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[inline(always)]
    pub fn load(&self) -> u64 {
        // SAFETY: the cell is alive and aligned; volatile, so that one load it stays.
        unsafe { self.0.get().read_volatile() }
    }

    #[inline(always)]
    pub fn store(&self, value: u64) {
        // SAFETY: the cell is alive and aligned; volatile, so that one store it stays.
        unsafe { self.0.get().write_volatile(value) }
    }

    /// Adds without losing what another processor adds meanwhile.
    #[inline(always)]
    pub fn add(&self, amount: u64) {
        #[cfg(target_arch = "bpf")]
        // SAFETY: the cell is alive and aligned, and the instruction touches nothing else.
        unsafe {
            core::arch::asm!("lock *(u64 *)({to} + 0) += {amount}", to = in(reg) self.0.get(), amount = in(reg) amount);
        }
        // The crate runs on that target only; elsewhere it is merely checked.
        #[cfg(not(target_arch = "bpf"))]
        self.store(self.load().wrapping_add(amount));
    }
}
