//! Filtered, sorted selections of rows.

pub mod filter;
pub mod groups;

pub use filter::{Filter, Prefix};
pub use groups::{About, Protocols};
