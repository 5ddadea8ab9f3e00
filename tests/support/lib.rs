//! Support for the tests: own network namespaces, traffic whose truth is known, the program under test, and checkers.
//!
//! Nothing here shares code with what it checks, except for the types of [`netstat_user::model`]: the listing is a second,
//! independent sock_diag client, and the trace is read through the JSON that users read.

pub mod actor;
pub mod census;
pub mod check;
pub mod churn;
pub mod crowd;
pub mod fuzzed;
pub mod json;
pub mod listing;
pub mod need;
pub mod netns;
pub mod peer;
pub mod program;
pub mod script;
pub mod storm;
pub mod story;
pub mod sys;
pub mod traffic;
pub mod truth;
pub mod watcher;
pub mod witness;

pub use actor::Actor;
pub use json::Line;
pub use need::need;
pub use netns::NetNs;
pub use peer::Peer;
pub use program::{Output, Trace};
pub use story::{Scene, Story};
pub use truth::{First, Truth};

/// Number from an environment variable, or `default` when it is unset. Scales the long tests down for slow machines.
///
/// # Errors
/// The variable is set to something that is no number.
pub fn scale(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Err(std::env::VarError::NotPresent) => Ok(default),
        Ok(text) => text.parse().map_err(|error| anyhow::anyhow!("{name}={text:?}: {error}")),
        Err(error) => Err(anyhow::anyhow!("{name}: {error}")),
    }
}
