//! Filtered, sorted selections of rows.

pub mod filter;

pub use filter::{Filter, Prefix};
