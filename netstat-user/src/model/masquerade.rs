//! Connections whose source address this host replaces, as types.

use super::Family;
use std::net::IpAddr;

/// How sequence numbers are shifted after the payload was rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// From this sequence number on.
    pub from: u32,
    pub before: i32,
    pub after: i32,
}

/// A connection of the kernel's connection tracking whose source is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masqueraded {
    pub family: Family,
    /// IP protocol number.
    pub protocol: u8,
    /// Seconds until it is forgotten.
    pub expires: u32,
    /// The host behind this one, and its port; of ICMP the echo identifier.
    pub source: (IpAddr, u16),
    pub destination: (IpAddr, u16),
    /// What the destination sees instead.
    pub seen: (IpAddr, u16),
    pub shift: Shift,
}

/// The name of an IP protocol as it is shown; `None`: show the number.
pub const fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        47 => "gre",
        50 => "esp",
        58 => "icmp6",
        132 => "sctp",
        136 => "udpl",
        _ => return None,
    })
}
