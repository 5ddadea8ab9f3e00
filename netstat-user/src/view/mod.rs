//! Filtered, sorted selections of rows.

pub mod filter;
pub mod groups;
pub mod inside;

pub use filter::{Filter, Prefix};
pub use groups::{About, Protocols};
pub use inside::Inside;
