//! Routes byte for byte as net-tools 2.10 prints the lines of /proc/net/route and /proc/net/ipv6_route.

use super::printf::{left, right, string};
use super::routes::{address6, network4};
use super::text;
use crate::model::route::rtf;
use crate::model::{ProcRoute4, ProcRoute6};
use crate::names::Names;
use std::net::{IpAddr, Ipv4Addr};

/// Longest name of a host or network, and of an interface among others.
const NAME: usize = 15;
const SHORT: usize = 6;

/// Which columns there are. So many `-e` that net-tools' count of them starts again select none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Segment size, window and round-trip time.
    Sizes,
    /// Metric, references and uses.
    Counts,
    Both,
    Neither,
}

impl Extent {
    /// Of so many `-e`.
    pub const fn of(extend: u8) -> Self {
        match (extend, (extend as u32 + 1) & 3) {
            (0, _) => Self::Sizes,
            (1, _) | (_, 1) => Self::Counts,
            (_, 2) => Self::Sizes,
            (_, 3) => Self::Both,
            _ => Self::Neither,
        }
    }
}

/// Appends title and header.
pub fn head4(out: &mut Vec<u8>, extent: Extent) {
    out.extend_from_slice(b"Kernel IP routing table\n");
    titles(out, b"Destination     Gateway         Genmask         ", extent);
    if extent == Extent::Both {
        out.extend_from_slice(b"Flags Metric Ref    Use Iface    MSS   Window irtt\n");
    }
}

/// Appends title and header of the cache, which has had no rows since Linux 3.6.
pub fn cache4(out: &mut Vec<u8>, extent: Extent) {
    out.extend_from_slice(b"Kernel IP routing cache\n");
    let begin = b"Source          Destination     Gateway         ";
    titles(out, begin, extent);
    if extent == Extent::Both {
        out.extend_from_slice(
            b"Flags Metric Ref    Use Iface    MSS   Window irtt  TOS HHRef HHUptod     SpecDst\n",
        );
    }
}

fn titles(out: &mut Vec<u8>, begin: &[u8], extent: Extent) {
    if extent != Extent::Neither {
        out.extend_from_slice(begin);
    }
    match extent {
        Extent::Sizes => out.extend_from_slice(b"Flags   MSS Window  irtt Iface\n"),
        Extent::Counts => out.extend_from_slice(b"Flags Metric Ref    Use Iface\n"),
        Extent::Both | Extent::Neither => {}
    }
}

/// Appends a line, or nothing when the route is not up.
pub fn route4(out: &mut Vec<u8>, route: &ProcRoute4, extent: Extent, names: &mut Names) {
    if route.flags & rtf::UP == 0 || extent == Extent::Neither {
        return;
    }
    let rejects = route.flags & rtf::REJECT != 0;
    let mask = Ipv4Addr::from(route.mask);
    let host = route.flags & rtf::HOST != 0;
    cell(out, |out| network4(out, route.destination.into(), mask, host, names));
    out.push(b' ');
    if rejects {
        string(out, b"-", NAME);
    } else {
        cell(out, |out| host4(out, route.gateway.into(), names));
    }
    out.push(b' ');
    cell(out, |out| text::address(out, mask.into()));
    out.push(b' ');
    string(out, &flags4(route.flags), 5);
    out.push(b' ');
    let ProcRoute4 { metric, references, uses, mtu, window, irtt, .. } = *route;
    let [metric, references, uses, mtu, window, irtt] =
        [metric, references, uses, mtu, window, irtt].map(i64::from);
    match (extent, rejects) {
        (Extent::Sizes, true) => out.extend_from_slice(b"    - -          - -"),
        (Extent::Sizes, false) => {
            right(out, mtu, 5);
            out.push(b' ');
            left(out, window, 5);
            out.push(b' ');
            right(out, irtt, 6);
            out.push(b' ');
            string(out, &route.interface, 0);
        }
        (Extent::Counts, true) => {
            left(out, metric, 6);
            out.extend_from_slice(b" -  ");
            right(out, uses, 7);
            out.extend_from_slice(b" -");
        }
        (Extent::Counts, false) => {
            left(out, metric, 6);
            out.push(b' ');
            left(out, references, 2);
            out.push(b' ');
            right(out, uses, 7);
            out.push(b' ');
            string(out, &route.interface, 0);
        }
        (_, true) => {
            left(out, metric, 6);
            out.extend_from_slice(b" -  ");
            right(out, uses, 7);
            out.extend_from_slice(b" -        -     -      -");
        }
        (_, false) => {
            left(out, metric, 6);
            out.push(b' ');
            left(out, references, 3);
            out.push(b' ');
            right(out, uses, 6);
            out.push(b' ');
            string(out, route.interface.get(..SHORT).unwrap_or(&route.interface), SHORT);
            out.extend_from_slice(b"   ");
            left(out, mtu, 5);
            out.push(b' ');
            left(out, window, 6);
            out.push(b' ');
            left(out, irtt, 0);
        }
    }
    out.push(b'\n');
}

/// A host by name where names are wanted. That of no host is its number.
fn host4(out: &mut Vec<u8>, addr: Ipv4Addr, names: &mut Names) {
    match names.host(addr.into()) {
        Some(name) => out.extend_from_slice(name),
        None => text::address(out, addr.into()),
    }
}

/// A cell of 15 bytes, neither more nor less.
fn cell(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut name = Vec::with_capacity(NAME);
    write(&mut name);
    name.truncate(NAME);
    string(out, &name, NAME);
}

fn flags4(flags: u32) -> Vec<u8> {
    let mut letters = Vec::new();
    if flags & rtf::UP != 0 {
        letters.push(b'U');
    }
    if flags & rtf::GATEWAY != 0 {
        letters.push(b'G');
    }
    if flags & rtf::REJECT != 0 {
        letters = vec![b'!'];
    }
    gather(
        &mut letters,
        flags,
        &[
            (rtf::HOST, b'H'),
            (rtf::REINSTATE, b'R'),
            (rtf::DYNAMIC, b'D'),
            (rtf::MODIFIED, b'M'),
            (rtf::DEFAULT, b'd'),
            (rtf::ALLONLINK, b'a'),
            (rtf::ADDRCONF, b'c'),
            (rtf::NONEXTHOP, b'o'),
            (rtf::EXPIRES, b'e'),
            (rtf::CACHE, b'c'),
            (rtf::FLOW, b'f'),
            (rtf::POLICY, b'p'),
            (rtf::LOCAL, b'l'),
            (rtf::MTU, b'u'),
            (rtf::WINDOW, b'w'),
            (rtf::IRTT, b'i'),
            (rtf::NOTCACHED, b'n'),
        ],
    );
    letters
}

fn gather(letters: &mut Vec<u8>, flags: u32, table: &[(u32, u8)]) {
    letters.extend(table.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| *letter));
}

/// Appends title and header.
pub fn head6(out: &mut Vec<u8>, cache: bool) {
    out.extend_from_slice(if cache {
        b"Kernel IPv6 routing cache\n"
    } else {
        b"Kernel IPv6 routing table\n"
    });
    out.extend_from_slice(
        b"Destination                    Next Hop                   Flag Met Ref  Use If\n",
    );
}

/// Appends a line, or nothing when the route is not of the wanted sort.
pub fn route6(out: &mut Vec<u8>, route: &ProcRoute6, cache: bool, names: &mut Names) {
    if (route.flags & rtf::CACHE != 0) != cache {
        return;
    }
    let mut name = Vec::new();
    address6(&mut name, IpAddr::V6(route.destination), names, true);
    name.push(b'/');
    text::number(&mut name, route.bits.into());
    string(out, &name, 30);
    out.push(b' ');
    name.clear();
    address6(&mut name, IpAddr::V6(route.gateway), names, true);
    string(out, &name, 26);
    out.push(b' ');
    let mut letters = Vec::new();
    gather(
        &mut letters,
        route.flags,
        &[
            (rtf::UP, b'U'),
            (rtf::REJECT, b'!'),
            (rtf::GATEWAY, b'G'),
            (rtf::HOST, b'H'),
            (rtf::DEFAULT, b'D'),
            (rtf::ADDRCONF, b'A'),
            (rtf::CACHE, b'C'),
            (rtf::ALLONLINK, b'a'),
            (rtf::EXPIRES, b'e'),
            (rtf::MODIFIED, b'm'),
            (rtf::NONEXTHOP, b'n'),
            (rtf::FLOW, b'f'),
        ],
    );
    string(out, &letters, 4);
    out.push(b' ');
    // C reads them as signed.
    let [metric, references, uses] =
        [route.metric, route.references, route.uses].map(|number| i64::from(number as i32));
    left(out, metric, 3);
    out.push(b' ');
    left(out, references, 1);
    out.push(b' ');
    right(out, uses, 6);
    out.push(b' ');
    string(out, &route.interface, 0);
    out.push(b'\n');
}
