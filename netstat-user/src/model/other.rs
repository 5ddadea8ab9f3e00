//! Sockets of other families, and what sock_diag tells of a socket beyond a listing's row.

use super::UnixKind;
use std::net::IpAddr;
use std::num::NonZeroU64;

/// Memory of a socket in bytes (`SK_MEMINFO_*`, `linux/sock_diag.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Received and not read, with the kernel's overhead.
    pub received: u32,
    pub receive_limit: u32,
    /// Handed to the device and not freed yet.
    pub sent: u32,
    pub send_limit: u32,
    /// Reserved ahead.
    pub ahead: u32,
    /// Written and not acknowledged, with the kernel's overhead.
    pub queued: u32,
    pub options: u32,
    pub backlog: u32,
    /// Packets dropped, no bytes. Linux 4.7.
    pub drops: Option<u32>,
}

/// What `tcp_info` tells of a connection beyond [`Totals`](super::Totals).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpDetail {
    /// Segments sent again, ever.
    pub retransmits: u32,
    /// Segments received out of order. Linux 5.4.
    pub out_of_order: Option<u32>,
    /// Largest segment that is sent, in bytes.
    pub mss: u32,
    /// Congestion window in segments.
    pub window: u32,
    /// Slow start ends there, in segments; `None`: it never ended.
    pub threshold: Option<u32>,
    /// Explicit congestion notification was agreed on.
    pub ecn: bool,
    /// Milliseconds since data came.
    pub last_received_ms: u32,
}

/// Name of a congestion control (`TCP_CA_NAME_MAX`), NUL-padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Congestion(pub [u8; 16]);

impl Congestion {
    pub fn bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// What sock_diag tells of an inet socket beyond its row. `None`: it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    pub memory: Option<Memory>,
    pub congestion: Option<Congestion>,
    pub tcp: Option<TcpDetail>,
}

/// A packet socket (`struct packet_diag_msg`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketRow {
    /// `SOCK_RAW` 3, `SOCK_DGRAM` 2.
    pub kind: u8,
    /// `ETH_P_*`: 3 is every protocol, 0 none.
    pub protocol: u16,
    /// Interface index; 0: all.
    pub interface: u32,
    pub inode: u32,
    pub cookie: Option<NonZeroU64>,
    pub uid: Option<u32>,
    /// `PDI_*`: 1 running, 2 auxiliary data, 4 original device, 8 virtio header, 16 loss is accepted.
    pub flags: Option<u32>,
    /// Group that shares packets.
    pub fanout: Option<u16>,
    /// Instructions of its filter.
    pub filter: Option<u32>,
    pub memory: Option<Memory>,
}

/// A netlink socket (`struct netlink_diag_msg`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetlinkRow {
    /// `SOCK_RAW` 3, `SOCK_DGRAM` 2.
    pub kind: u8,
    /// `NETLINK_*`.
    pub protocol: u8,
    /// 1: it has a peer.
    pub state: u8,
    /// Mostly a PID; 0: the kernel.
    pub port: u32,
    pub peer: u32,
    pub peer_groups: u32,
    pub inode: u32,
    pub cookie: Option<NonZeroU64>,
    /// Multicast groups it listens to, a bit each.
    pub groups: Vec<u32>,
    pub memory: Option<Memory>,
}

/// The name of a netlink protocol (`linux/netlink.h`).
pub const fn netlink_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        0 => "rtnl",
        2 => "usersock",
        3 => "firewall",
        4 => "tcpdiag",
        5 => "nflog",
        6 => "xfrm",
        7 => "selinux",
        8 => "iscsi",
        9 => "audit",
        10 => "fiblookup",
        11 => "connector",
        12 => "nft",
        13 => "ip6fw",
        14 => "decrt",
        15 => "uevent",
        16 => "genl",
        18 => "scsitrans",
        19 => "ecryptfs",
        20 => "rdma",
        21 => "crypto",
        22 => "smc",
        _ => return None,
    })
}

/// A socket to or from a virtual machine (`struct vsock_diag_msg`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VsockRow {
    /// `SOCK_STREAM` 1, `SOCK_DGRAM` 2, `SOCK_SEQPACKET` 5.
    pub kind: u8,
    /// Numbers of TCP's states.
    pub state: u8,
    /// Context and port; `u32::MAX`: any.
    pub local: (u32, u32),
    pub foreign: (u32, u32),
    pub inode: u32,
    pub cookie: Option<NonZeroU64>,
}

/// A unix socket as unix_diag tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixDetail {
    pub kind: UnixKind,
    /// TCP's numbers: 1 connected, 7 not, 10 listening.
    pub state: u8,
    pub inode: u32,
    pub cookie: Option<NonZeroU64>,
    /// As it was bound: abstract names start with a NUL. Empty: unnamed.
    pub path: Vec<u8>,
    /// Inode of the socket at the other end.
    pub peer: Option<u32>,
    /// Inode of its file.
    pub file: Option<u32>,
    /// Bytes to be read, of a listener connections waiting; and bytes on the way, of a listener the limit.
    pub queues: Option<(u32, u32)>,
    pub uid: Option<u32>,
    pub memory: Option<Memory>,
}

/// States of a unix socket: it listens.
pub const LISTENING: u8 = 10;

/// A neighbour on a link (`RTM_NEWNEIGH`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    pub addr: IpAddr,
    pub interface: u32,
    /// `NUD_*`.
    pub state: u16,
    pub hardware: Vec<u8>,
    /// How many use it, and 1/100 seconds since it was known to be there.
    pub references: Option<u32>,
    pub confirmed: Option<u32>,
}

/// The name of a neighbour's state.
pub const fn neighbour_state(state: u16) -> &'static str {
    match state {
        0x01 => "incomplete",
        0x02 => "reachable",
        0x04 => "stale",
        0x08 => "delay",
        0x10 => "probe",
        0x20 => "failed",
        0x40 => "noarp",
        0x80 => "permanent",
        _ => "none",
    }
}

/// A next hop of its own, or a group of them (`RTM_NEWNEXTHOP`, Linux 5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nexthop {
    pub id: u32,
    /// `AF_*`; 0: of a group or a blackhole.
    pub family: u8,
    pub protocol: u8,
    pub scope: u8,
    /// `RTNH_F_*`.
    pub flags: u32,
    pub gateway: Option<IpAddr>,
    /// Interface index.
    pub interface: Option<u32>,
    pub blackhole: bool,
    /// Members of a group, each with its weight, from 1.
    pub group: Vec<(u32, u16)>,
}
