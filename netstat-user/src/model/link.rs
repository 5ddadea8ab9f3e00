//! Interfaces and multicast memberships, as types.

use super::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Counters of an interface, as `struct rtnl_link_stats64` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    /// With those for which there was no buffer (`rx_missed_errors`), as /proc/net/dev has it.
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub multicast: u64,
    pub collisions: u64,
    /// Frames of a wrong length, too long, with a wrong checksum or misaligned, together.
    pub rx_frame: u64,
    pub rx_fifo: u64,
    /// Carrier lost, aborted, out of window and without heartbeat, together.
    pub tx_carrier: u64,
    pub tx_fifo: u64,
    pub rx_compressed: u64,
    pub tx_compressed: u64,
}

/// What an interface occupies of the machine (`struct rtnl_link_ifmap`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Map {
    pub mem_start: u64,
    pub mem_end: u64,
    pub base_addr: u64,
    pub irq: u16,
    pub dma: u8,
    pub port: u8,
}

/// An IPv4 address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address4 {
    /// Interface index.
    pub interface: u32,
    /// The interface's name, or `name:alias`.
    pub label: Vec<u8>,
    pub local: Ipv4Addr,
    /// The other end of a point-to-point link; else the same as `local`.
    pub peer: Ipv4Addr,
    pub broadcast: Option<Ipv4Addr>,
    pub bits: u8,
    /// `RT_SCOPE_*`.
    pub scope: u8,
}

/// An IPv6 address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address6 {
    /// Interface index.
    pub interface: u32,
    pub name: Vec<u8>,
    pub addr: Ipv6Addr,
    pub bits: u8,
    /// `IPV6_ADDR_*` of the kernel: 0 global, 0x10 host, 0x20 link, 0x40 site, 0x80 IPv4-compatible.
    pub scope: u8,
    /// `IFA_F_*`.
    pub flags: u8,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: Vec<u8>,
    /// `IFF_*` (`linux/if.h`).
    pub flags: u32,
    pub mtu: u32,
    /// Packets that may wait to be sent.
    pub queue: Option<u32>,
    /// `ARPHRD_*` (`linux/if_arp.h`).
    pub hardware: u16,
    pub address: Vec<u8>,
    pub map: Map,
    /// `None`: it has none (an alias).
    pub counters: Option<Counters>,
    /// What made it: `bridge`, `veth`; empty: a device.
    pub kind: Vec<u8>,
    /// `IF_OPER_*`.
    pub operstate: Option<u8>,
    /// Index of the bridge or bond it belongs to.
    pub master: Option<u32>,
    pub v4: Vec<Address4>,
    pub v6: Vec<Address6>,
}

/// `IFF_*` (`linux/if.h`).
pub mod iff {
    pub const UP: u32 = 0x1;
    pub const BROADCAST: u32 = 0x2;
    pub const DEBUG: u32 = 0x4;
    pub const LOOPBACK: u32 = 0x8;
    pub const POINTOPOINT: u32 = 0x10;
    pub const NOTRAILERS: u32 = 0x20;
    pub const RUNNING: u32 = 0x40;
    pub const NOARP: u32 = 0x80;
    pub const PROMISC: u32 = 0x100;
    pub const ALLMULTI: u32 = 0x200;
    pub const MASTER: u32 = 0x400;
    pub const SLAVE: u32 = 0x800;
    pub const MULTICAST: u32 = 0x1000;
    pub const PORTSEL: u32 = 0x2000;
    pub const AUTOMEDIA: u32 = 0x4000;
    pub const DYNAMIC: u32 = 0x8000;
}

/// The name of an operational state (RFC 2863); `None`: a number of its own.
pub const fn operstate_name(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "unknown",
        1 => "notpresent",
        2 => "down",
        3 => "lowerlayerdown",
        4 => "testing",
        5 => "dormant",
        6 => "up",
        _ => return None,
    })
}

/// A multicast group that an interface is a member of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Interface index.
    pub interface: u32,
    pub name: Vec<u8>,
    pub group: IpAddr,
    /// How many asked for it.
    pub users: u32,
}

impl Membership {
    pub const fn family(&self) -> Family {
        match self.group {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}
