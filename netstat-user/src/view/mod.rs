//! Filtered, sorted selections of rows.

pub mod expr;
pub mod filter;
pub mod groups;

pub use expr::Selection;
pub use filter::{Filter, Prefix};
pub use groups::{About, Protocols};
