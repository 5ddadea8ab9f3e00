//! Views written out as text: a renderer gets rows and a buffer or a writer, nothing else.

pub mod capabilities;
pub mod compat;
pub mod field;
pub mod json;
pub mod log;
pub mod nettools;
pub mod schema;
pub mod statistics;
pub mod summary;
pub mod text;

mod errno;
mod object;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
