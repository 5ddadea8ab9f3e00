//! Which groups of counters are shown.

use crate::model::Family;

/// Protocols that were asked for; none means all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocols {
    /// IP and ICMP.
    pub ip: bool,
    pub tcp: bool,
    pub udp: bool,
    pub udplite: bool,
    pub sctp: bool,
}

/// What a group counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Ip,
    Tcp,
    Udp,
    UdpLite,
    Sctp,
    Other,
}

impl Protocols {
    /// Nothing in particular was asked for.
    pub fn is_all(self) -> bool {
        self == Self::default()
    }

    /// Whether it was asked for. Of what is none of them nothing can be asked for.
    pub fn has(self, about: About) -> bool {
        let asked = match about {
            About::Ip => self.ip,
            About::Tcp => self.tcp,
            About::Udp => self.udp,
            About::UdpLite => self.udplite,
            About::Sctp => self.sctp,
            About::Other => false,
        };
        asked || self.is_all()
    }
}

/// What the group counts, and of which family; `None`: of both at once.
pub fn about(group: &[u8]) -> (About, Option<Family>) {
    let (v4, v6) = (Some(Family::V4), Some(Family::V6));
    match group {
        b"Ip" | b"Icmp" | b"IcmpMsg" | b"IpExt" => (About::Ip, v4),
        b"Udp" => (About::Udp, v4),
        b"UdpLite" => (About::UdpLite, v4),
        b"Ip6" | b"Icmp6" => (About::Ip, v6),
        b"Udp6" => (About::Udp, v6),
        b"UdpLite6" => (About::UdpLite, v6),
        b"Tcp" | b"TcpExt" | b"MPTcpExt" => (About::Tcp, None),
        b"Sctp" => (About::Sctp, None),
        _ => (About::Other, None),
    }
}
