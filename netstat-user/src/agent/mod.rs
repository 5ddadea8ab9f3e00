//! Wiring: plan -> sources -> table -> sinks. Only here are threads and tasks started.

pub mod capabilities;
pub mod compat;
pub mod list;
pub mod live;
pub mod lookup;
mod rare;
mod reader;
pub mod statistics;
pub mod tables;
pub mod trace;
mod watch;
mod worker;

pub use live::{Live, LiveOptions, Scope};
