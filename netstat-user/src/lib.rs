//! enetstat: every TCP connection of a host, as it lives.

pub mod agent;
pub mod args;
pub mod exit;
pub mod kernel;
pub mod model;
pub mod names;
pub mod render;
pub mod source;
pub mod table;
pub mod view;
