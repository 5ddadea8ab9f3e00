//! Where facts come from.

pub mod cgroup;
pub mod conntrack;
pub mod diag;
pub mod netlink;
pub mod netns;
pub mod owner;
pub mod procfs;
pub mod rtnl;
pub mod stream;

pub use diag::{Diag, DiagError, Request};
pub use netlink::NetlinkError;
pub use netns::{Netns, NetnsError};
pub use owner::{OwnerError, Scan};
pub use procfs::{Procfs, ProcfsError};
pub use rtnl::Rtnl;

use crate::model::{Family, Protocol};

/// The name of a table of sockets, as a file of /proc/net is called.
pub(crate) const fn label(protocol: Protocol, family: Family) -> &'static str {
    match (protocol, family) {
        (Protocol::Tcp, Family::V4) => "tcp",
        (Protocol::Tcp, Family::V6) => "tcp6",
        (Protocol::Udp, Family::V4) => "udp",
        (Protocol::Udp, Family::V6) => "udp6",
        (Protocol::UdpLite, Family::V4) => "udplite",
        (Protocol::UdpLite, Family::V6) => "udplite6",
        (Protocol::Raw, Family::V4) => "raw",
        (Protocol::Raw, Family::V6) => "raw6",
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
