//! Where facts come from.

pub mod diag;
pub mod netns;
pub mod owner;
pub mod procfs;
pub mod stream;
