//! What BSD's displays show of a Linux host.

use std::net::IpAddr;

/// What one processor did with received packets (a line of /proc/net/softnet_stat). `None`: this kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Softnet {
    pub cpu: u32,
    pub processed: u32,
    /// Dropped because the backlog was full.
    pub dropped: u32,
    /// Work was left when its time was over.
    pub squeezed: u32,
    /// Woken by another processor that handed it packets. Linux 2.6.35.
    pub steered: Option<u32>,
    /// Dropped by the limit of a flow. Linux 3.11.
    pub limited: Option<u32>,
    /// Packets waiting. Linux 5.10.
    pub waiting: Option<u32>,
}

/// An interface of multicast routing (/proc/net/ip_mr_vif, ip6_mr_vif).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vif {
    pub number: u32,
    pub name: Vec<u8>,
    pub bytes_in: u64,
    pub packets_in: u64,
    pub bytes_out: u64,
    pub packets_out: u64,
    /// Of a tunnel; IPv4 only.
    pub local: Option<IpAddr>,
    pub remote: Option<IpAddr>,
}

/// A multicast route (/proc/net/ip_mr_cache, ip6_mr_cache).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MulticastRoute {
    pub origin: IpAddr,
    pub group: IpAddr,
    /// Number of the interface it comes in by; `None`: it is not resolved yet.
    pub input: Option<u32>,
    pub packets: u64,
    pub bytes: u64,
    /// Packets that came by another interface.
    pub wrong: u64,
    /// Interface and least time to live.
    pub outputs: Vec<(u32, u32)>,
}
