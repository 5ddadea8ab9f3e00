//! What this kernel and this privilege allow.

pub mod bpf;
pub mod btf;
pub mod caps;
pub mod format;
pub mod kallsyms;
pub mod kept;
pub mod refusal;
pub mod selinux;
pub mod tier;

pub use refusal::Refusal;
pub use tier::{Choice, Feature, Refused, Tier};
