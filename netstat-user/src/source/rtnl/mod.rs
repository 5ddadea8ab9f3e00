//! Routes, interfaces and their addresses by rtnetlink(7).

mod link;
mod neighbour;
mod route;
#[cfg(test)]
mod tests;

use super::diag::wire::{self, WireError};
use super::netlink::{Dumped, Netlink, NetlinkError, Service};
use crate::model::{Address4, Family, Interface, Neighbour, Nexthop, Route};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTM_*` (`linux/rtnetlink.h`): types of answers, and of the dumps that ask for them.
const NEWLINK: u16 = 16;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;
const NEWNEIGH: u16 = 28;
const GETNEIGH: u16 = 30;
const NEWNEXTHOP: u16 = 104;
const GETNEXTHOP: u16 = 106;

/// Size of `struct ifinfomsg`, of `struct ifaddrmsg`, and of `struct rtmsg`.
const LINK: usize = 16;
const ADDR: usize = 8;
const ROUTE: usize = 12;
/// Size of `struct ndmsg`, and of `struct nhmsg`.
const NEIGH: usize = 12;
const HOP: usize = 8;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// rtnetlink in the calling thread's network namespace.
pub struct Rtnl(Netlink);

impl Rtnl {
    /// # Errors
    /// The kernel has no socket to give.
    pub fn open() -> Result<Self, NetlinkError> {
        Netlink::open(Service::Route).map(Self)
    }

    /// Calls `each` for every route of the family, of every table, in the kernel's order, with those it learnt.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn routes(&mut self, family: Family, each: &mut dyn FnMut(&Route)) -> Result<Dumped, NetlinkError> {
        let mut request = [0; ROUTE];
        request[0] = match family {
            Family::V4 => AF_INET,
            Family::V6 => AF_INET6,
        };
        self.0.dump("routes", GETROUTE, &request, &mut |message| {
            expect(message.kind, NEWROUTE)?;
            // A kernel without the family answers for all of them.
            if let Some(route) = route::route(message.payload)?.filter(|route| route.family == family) {
                each(&route);
            }
            Ok(())
        })
    }

    /// Every interface of the namespace, in the kernel's order, without its addresses.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn links(&mut self) -> Result<(Vec<Interface>, Dumped), NetlinkError> {
        let mut links = Vec::new();
        let dumped = self.0.dump("interfaces", GETLINK, &[0; LINK], &mut |message| {
            expect(message.kind, NEWLINK)?;
            links.push(link::link(message.payload)?);
            Ok(())
        })?;
        Ok((links, dumped))
    }

    /// Every IPv4 address of the namespace, in the kernel's order.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn addresses(&mut self) -> Result<(Vec<Address4>, Dumped), NetlinkError> {
        let mut request = [0; ADDR];
        request[0] = AF_INET;
        let mut addresses = Vec::new();
        let dumped = self.0.dump("addresses", GETADDR, &request, &mut |message| {
            expect(message.kind, NEWADDR)?;
            addresses.extend(link::address(message.payload)?);
            Ok(())
        })?;
        Ok((addresses, dumped))
    }

    /// Every neighbour of the family, in the kernel's order.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn neighbours(&mut self, family: Family) -> Result<(Vec<Neighbour>, Dumped), NetlinkError> {
        let mut request = [0; NEIGH];
        request[0] = match family {
            Family::V4 => AF_INET,
            Family::V6 => AF_INET6,
        };
        let mut neighbours = Vec::new();
        let dumped = self.0.dump("neighbours", GETNEIGH, &request, &mut |message| {
            expect(message.kind, NEWNEIGH)?;
            neighbours.extend(neighbour::neighbour(message.payload)?);
            Ok(())
        })?;
        Ok((neighbours, dumped))
    }

    /// Every next hop and group of the namespace, by number. Linux 5.3.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn nexthops(&mut self) -> Result<(Vec<Nexthop>, Dumped), NetlinkError> {
        let mut nexthops = Vec::new();
        let dumped = self.0.dump("next hops", GETNEXTHOP, &[0; HOP], &mut |message| {
            expect(message.kind, NEWNEXTHOP)?;
            nexthops.push(neighbour::nexthop(message.payload)?);
            Ok(())
        })?;
        Ok((nexthops, dumped))
    }
}

fn expect(kind: u16, wanted: u16) -> Result<(), WireError> {
    if kind == wanted {
        return Ok(());
    }
    Err(WireError::Unknown { what: "rtnetlink message type", value: u32::from(kind) })
}

/// An address of the length that its family has.
fn address(what: &'static str, bytes: &[u8]) -> Result<IpAddr, WireError> {
    match bytes.len() {
        16 => wire::array::<16>(what, bytes, 0).map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => wire::array::<4>(what, bytes, 0).map(|bytes| Ipv4Addr::from(bytes).into()),
    }
}

/// A string of the kernel, without the NUL at its end.
fn string(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// Replays an answer for tests and fuzzers: reads `payload` as each of them.
pub fn read_any(payload: &[u8]) {
    let _ = route::route(payload);
    let _ = link::link(payload);
    let _ = link::address(payload);
    let _ = neighbour::neighbour(payload);
    let _ = neighbour::nexthop(payload);
}
