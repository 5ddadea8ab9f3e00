//! Filtered, sorted selections of rows.

pub mod column;
pub mod expr;
pub mod filter;
pub mod groups;
pub mod inside;

pub use column::{Column, Sort};
pub use expr::Selection;
pub use filter::{Filter, Prefix};
pub use groups::{About, Protocols};
pub use inside::Inside;
