//! The boundary between enetstat's kernel half and its user half.
//!
//! # Rules of the boundary
//!
//! * A record is integers and byte arrays only, `repr(C)`, without padding: every bit pattern is a valid
//!   value, so nothing the kernel writes can be undefined behaviour in user space.
//! * Every size is asserted. [`ABI`] moves whenever a layout or a meaning here changes; the loader refuses an
//!   object that carries another number.
//! * Numbers are in host byte order and addresses are the bytes of the wire, unless a field says otherwise.
//! * Times are nanoseconds of CLOCK_MONOTONIC (`bpf_ktime_get_ns`).
//! * Decisions that both halves must agree on live in [`judge`], where the host can test them.
#![no_std]

pub mod config;
pub mod event;
pub mod judge;
pub mod layout;
pub mod listing;
pub mod loss;
pub mod offsets;
pub mod state;

pub use config::Config;
pub use event::{Kind, RawClose, RawFile, RawFull, RawHead, RawProcess, RawQueue, RawTotals, RawTuple};
pub use layout::Layout;
pub use loss::Loss;
pub use offsets::Offsets;
pub use state::TcpState;

/// Number of this boundary. The object carries it in the symbol [`ABI_SYMBOL`].
pub const ABI: u32 = 11;

/// Name of the `u32` in the eBPF object that says which [`ABI`] it was built for.
pub const ABI_SYMBOL: &str = "ENETSTAT_ABI";

/// `AF_INET` and `AF_INET6`, as `skc_family` holds them.
pub const AF_INET: u16 = 2;
/// See [`AF_INET`].
pub const AF_INET6: u16 = 10;

/// `IPPROTO_TCP`.
pub const IPPROTO_TCP: u16 = 6;
/// `IPPROTO_SCTP`.
pub const IPPROTO_SCTP: u16 = 132;
/// `IPPROTO_MPTCP`.
pub const IPPROTO_MPTCP: u16 = 262;
