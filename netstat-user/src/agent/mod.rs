//! Wiring: plan -> sources -> table -> sinks. Only here are threads and tasks started.

mod beside;
pub mod bsd;
pub mod capabilities;
pub mod compat;
pub mod elsewhere;
pub mod list;
pub mod live;
mod looks;
pub mod lookup;
mod people;
mod rare;
mod reader;
pub mod statistics;
pub mod tables;
pub mod trace;
mod unowned;
mod watch;
mod worker;

pub use live::{Live, LiveOptions, Scope};
