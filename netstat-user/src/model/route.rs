//! Routes, as types.

use super::Family;
use std::net::IpAddr;

/// What becomes of a packet that a route matches (`RTN_*`, `linux/rtnetlink.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteKind {
    #[default]
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
    /// A number that this program does not know.
    Other(u8),
}

impl RouteKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Anycast => "anycast",
            Self::Multicast => "multicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Throw => "throw",
            Self::Other(_) => "unknown",
        }
    }

    /// Whether the packet goes nowhere by this route.
    pub const fn refuses(self) -> bool {
        matches!(self, Self::Blackhole | Self::Unreachable | Self::Prohibit | Self::Throw)
    }
}

impl From<u8> for RouteKind {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            9 => Self::Throw,
            other => Self::Other(other),
        }
    }
}

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    pub addr: IpAddr,
    pub bits: u8,
}

/// One way out. A route may have several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The next router, which may be of the other family; `None`: the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Interface index; 0: none.
    pub interface: u32,
    /// From 1: this hop's share among its siblings.
    pub weight: u16,
    /// `RTNH_F_*`.
    pub flags: u8,
}

/// `RTNH_F_DEAD` and `RTNH_F_LINKDOWN`: nothing goes this way now.
pub const HOP_DEAD: u8 = 1;
pub const HOP_LINKDOWN: u8 = 16;

/// What a route says about connections over it. `None`: the kernel's own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub mtu: Option<u32>,
    /// Largest segment that is announced, without headers.
    pub advmss: Option<u32>,
    /// Largest window, in bytes.
    pub window: Option<u32>,
    /// First guess of the round-trip time, in eighths of a millisecond.
    pub rtt: Option<u32>,
    pub hoplimit: Option<u32>,
    /// First congestion window and first receive window, in segments.
    pub initcwnd: Option<u32>,
    pub initrwnd: Option<u32>,
}

/// A route of the kernel's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub family: Family,
    pub kind: RouteKind,
    /// Number of its table: 254 is `main`.
    pub table: u32,
    pub destination: Net,
    /// Only for packets from here.
    pub source: Option<Net>,
    /// Only for this type of service; 0: any.
    pub tos: u8,
    /// The one with the lowest number is taken.
    pub metric: Option<u32>,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// How far the destination is (`RT_SCOPE_*`).
    pub scope: u8,
    /// Source address of connections over it.
    pub prefsrc: Option<IpAddr>,
    pub metrics: Metrics,
    /// Seconds until it goes by itself; `None`: never.
    pub expires: Option<u32>,
    /// An exception that the kernel learnt (a path MTU, a redirect), not a route of a table.
    pub cached: bool,
    /// At least one; of a route that leads nowhere it has neither gateway nor interface.
    pub hops: Vec<Hop>,
}

/// `RTPROT_REDIRECT` and `RTPROT_RA`: learnt from a router.
pub const PROTOCOL_REDIRECT: u8 = 1;
pub const PROTOCOL_RA: u8 = 9;

/// Tables with a name in the kernel itself (`RT_TABLE_*`).
pub const TABLE_DEFAULT: u32 = 253;
pub const TABLE_MAIN: u32 = 254;
pub const TABLE_LOCAL: u32 = 255;

/// The name of a protocol number; `None`: it has none in `linux/rtnetlink.h`.
pub const fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        18 => "keepalived",
        42 => "babel",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        _ => return None,
    })
}

/// The name of a scope number; `None`: it has none in `linux/rtnetlink.h`.
pub const fn scope_name(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "global",
        200 => "site",
        253 => "link",
        254 => "host",
        255 => "nowhere",
        _ => return None,
    })
}

/// A line of /proc/net/route, as it is there. Numbers that C reads as `int` are one here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcRoute4 {
    /// `*` when there is none.
    pub interface: Vec<u8>,
    /// Words of the kernel: the bytes of the wire in memory order.
    pub destination: [u8; 4],
    pub gateway: [u8; 4],
    pub mask: [u8; 4],
    /// `RTF_*` (`linux/route.h`).
    pub flags: u32,
    pub references: i32,
    pub uses: i32,
    pub metric: i32,
    /// What the file calls MTU is the advertised segment size and 40.
    pub mtu: i32,
    pub window: i32,
    /// Milliseconds.
    pub irtt: i32,
}

/// A line of /proc/net/ipv6_route, as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcRoute6 {
    pub interface: Vec<u8>,
    pub destination: std::net::Ipv6Addr,
    pub bits: u8,
    pub source: std::net::Ipv6Addr,
    pub source_bits: u8,
    pub gateway: std::net::Ipv6Addr,
    pub metric: u32,
    pub references: u32,
    pub uses: u32,
    /// `RTF_*` (`linux/ipv6_route.h`).
    pub flags: u32,
}

/// `RTF_*` of `linux/route.h` and `linux/ipv6_route.h`.
pub mod rtf {
    pub const UP: u32 = 0x1;
    pub const GATEWAY: u32 = 0x2;
    pub const HOST: u32 = 0x4;
    pub const REINSTATE: u32 = 0x8;
    pub const DYNAMIC: u32 = 0x10;
    pub const MODIFIED: u32 = 0x20;
    pub const MTU: u32 = 0x40;
    pub const WINDOW: u32 = 0x80;
    pub const IRTT: u32 = 0x100;
    pub const REJECT: u32 = 0x200;
    pub const NOTCACHED: u32 = 0x400;
    pub const DEFAULT: u32 = 0x1_0000;
    pub const ALLONLINK: u32 = 0x2_0000;
    pub const ADDRCONF: u32 = 0x4_0000;
    pub const NONEXTHOP: u32 = 0x20_0000;
    pub const EXPIRES: u32 = 0x40_0000;
    pub const CACHE: u32 = 0x100_0000;
    pub const FLOW: u32 = 0x200_0000;
    pub const POLICY: u32 = 0x400_0000;
    pub const LOCAL: u32 = 0x8000_0000;
}
