//! Addresses and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Address family of a socket. An IPv6 socket that talks IPv4 stays [`Family::V6`]: netstat lists it as tcp6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    V4 = 4,
    V6 = 6,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    pub addr: IpAddr,
    /// Host order; 0 when there is none.
    pub port: u16,
}

/// Both ends of a socket, compact: the table keeps one for each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    pub family: Family,
    /// IPv4 uses the first four bytes, the rest is zero.
    pub laddr: [u8; 16],
    pub raddr: [u8; 16],
    /// Host order; 0 when not chosen.
    pub lport: u16,
    pub rport: u16,
    /// Interface index the socket is bound to (SO_BINDTODEVICE, or the scope of a link-local address); 0: none.
    pub bound_if: u32,
}

impl Tuple {
    pub fn new(local: Endpoint, foreign: Endpoint, family: Family, bound_if: u32) -> Self {
        Self {
            family,
            laddr: octets(local.addr),
            raddr: octets(foreign.addr),
            lport: local.port,
            rport: foreign.port,
            bound_if,
        }
    }

    pub fn local(&self) -> Endpoint {
        Endpoint { addr: address(self.family, &self.laddr), port: self.lport }
    }

    pub fn foreign(&self) -> Endpoint {
        Endpoint { addr: address(self.family, &self.raddr), port: self.rport }
    }
}

fn address(family: Family, bytes: &[u8; 16]) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(*bytes)),
    }
}

/// The bytes of an address as [`Tuple`] holds them.
pub fn octets(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}
