//! Views written out as text: a renderer gets rows and a buffer or a writer, nothing else.

pub mod bsd;
pub mod capabilities;
pub mod cells;
pub mod compat;
pub mod detail;
pub mod field;
pub mod grid;
pub mod groups;
pub mod ifconfig;
pub mod interfaces;
pub mod json;
pub mod json_detail;
pub mod json_tables;
pub mod kind;
pub mod log;
pub mod masquerade;
pub mod nettools;
pub mod routes;
pub mod routes_compat;
pub mod schema;
pub mod spaces;
pub mod statistics;
pub mod summary;
pub mod text;

mod errno;
mod object;
mod printf;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_tables;
mod words;

pub use object::Held;
