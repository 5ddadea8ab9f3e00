//! enetstat: every TCP connection of a host, as it lives.
//!
//! Facts flow one way: sources -> [`table`] -> renderers. Command lines become plans ([`args`]), [`agent`] wires plans to
//! sources and sinks, and only the program itself touches standard output. What is shown is what the [`model`] says, so
//! listing and trace cannot disagree.
//!
//! ```
//! use netstat_user::args::{self, Plan};
//! use netstat_user::model::TcpState;
//!
//! let words = ["enetstat", "trace", "--port", "443", "--state", "syn-sent"];
//! let Ok(Plan::Trace(plan)) = args::parse(words.map(Into::into)) else { panic!("not a trace") };
//! assert_eq!(plan.filter.ports, [443]);
//! assert!(plan.filter.states.is_some_and(|states| states.has(TcpState::SynSent)));
//! ```

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
