//! BSD's displays, in its layouts: no column is narrower than there, and none cuts what it shows.
//!
//! In the dialect of Linux, addresses, protocols and states are spelt as in the rest of this program.

pub mod fields;
pub mod interfaces;
pub mod interval;
pub mod json;
pub mod others;
pub mod routes;
pub mod sockets;
pub mod tables;
#[cfg(test)]
mod tests;

use super::grid::{Grid, Row};
use super::text;
use crate::args::bsd::Dialect;
use crate::model::{Endpoint, Family, Protocol, SockRow, TcpState};
use crate::names::Names;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// How things are called, beside the names of hosts and ports.
#[derive(Clone, Debug, Default)]
pub struct Spelling {
    pub dialect: Dialect,
    /// Names of interfaces by index.
    pub interfaces: FxHashMap<u32, Vec<u8>>,
    /// Local ports that the kernel chooses: they have no names.
    pub ephemeral: Option<RangeInclusive<u16>>,
}

impl Spelling {
    /// Appends the name of an interface, or BSD's `link#N` of one that has none any more.
    pub fn interface(&self, out: &mut Vec<u8>, index: u32) {
        match self.interfaces.get(&index) {
            Some(name) => text::escaped(out, name),
            None => {
                out.extend_from_slice(b"link#");
                text::number(out, index.into());
            }
        }
    }
}

/// Which end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Local,
    Foreign,
}

/// Appends an end of a socket: `host.port`, with the interface that it is bound to, or whose link it is on, after a `%`.
pub fn endpoint(out: &mut Vec<u8>, row: &SockRow, end: End, spelling: &Spelling, names: &mut Names) {
    let Endpoint { addr, port } = match end {
        End::Local => row.local,
        End::Foreign => row.foreign,
    };
    let any = addr.is_unspecified();
    let bracket = spelling.dialect == Dialect::Linux && addr.is_ipv6() && row.v6only != Some(false);
    match names.host(addr) {
        // Bare, it would be the same as both families at once.
        _ if any && bracket && end == End::Local => out.extend_from_slice(b"[::]"),
        _ if any => out.push(b'*'),
        Some(name) => text::escaped(out, name),
        None if spelling.dialect == Dialect::Linux && addr.is_ipv6() => {
            out.push(b'[');
            text::address(out, addr);
            out.push(b']');
        }
        None => text::address(out, addr),
    }
    let scoped = end == End::Local || is_link_local(addr);
    if row.bound_if != 0 && scoped {
        out.push(b'%');
        spelling.interface(out, row.bound_if);
    }
    out.push(if spelling.dialect == Dialect::Bsd { b'.' } else { b':' });
    let chosen = end == End::Local
        && row.protocol != Protocol::Raw
        && spelling.ephemeral.as_ref().is_some_and(|range| range.contains(&port));
    match names.port(row.protocol, port).filter(|_| !chosen) {
        _ if port == 0 => out.push(b'*'),
        Some(name) => text::escaped(out, name),
        None => text::number(out, port.into()),
    }
}

fn is_link_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local() || addr.is_multicast())
}

/// The protocol and family of a socket. One of IPv6 that takes IPv4 as well is of both.
pub fn protocol(row: &SockRow, dialect: Dialect) -> Vec<u8> {
    let name: &[u8] = match row.protocol {
        Protocol::Tcp => b"tcp",
        Protocol::Udp => b"udp",
        Protocol::UdpLite => b"udl",
        // What raw sockets are mostly there for.
        Protocol::Raw if dialect == Dialect::Bsd && matches!(row.local.port, 1 | 58) => b"icm",
        Protocol::Raw => b"raw",
    };
    let dual = row.v6only == Some(false) && row.local.addr.is_unspecified();
    let family: &[u8] = match (row.family, dialect) {
        (Family::V6, _) if dual => b"46",
        (Family::V6, _) => b"6",
        (Family::V4, Dialect::Bsd) => b"4",
        (Family::V4, Dialect::Linux) => b"",
    };
    [name, family].concat()
}

/// The name of a state.
pub const fn state(state: TcpState, dialect: Dialect) -> &'static str {
    match (state, dialect) {
        (TcpState::SynRecv, Dialect::Bsd) => "SYN_RCVD",
        (TcpState::FinWait1, Dialect::Bsd) => "FIN_WAIT_1",
        (TcpState::FinWait2, Dialect::Bsd) => "FIN_WAIT_2",
        (TcpState::Close, Dialect::Bsd) => "CLOSED",
        (other, _) => other.name(),
    }
}

/// Appends a row without blanks at its end.
fn put(out: &mut Vec<u8>, grid: &Grid, row: &Row) {
    let start = out.len();
    grid.row(out, row);
    trim(out, start);
}

fn head(out: &mut Vec<u8>, grid: &Grid) {
    let start = out.len();
    grid.head(out);
    trim(out, start);
}

fn trim(out: &mut Vec<u8>, start: usize) {
    let kept = out[start..].trim_ascii_end().len();
    out.truncate(start + kept);
    out.push(b'\n');
}

/// Appends a whole table: its columns are as wide as its widest cells.
fn table(out: &mut Vec<u8>, mut grid: Grid, rows: &[Row]) {
    rows.iter().for_each(|row| grid.measure(row));
    head(out, &grid);
    rows.iter().for_each(|row| put(out, &grid, row));
}

/// Appends a number for people: at most four digits with a letter for thousands, cut.
pub fn human(out: &mut Vec<u8>, number: u64) {
    const LETTERS: &[u8] = b"kMGTPE";
    let (mut rest, mut letter) = (number, None);
    for each in LETTERS {
        if rest < 10_000 {
            break;
        }
        (rest, letter) = (rest / 1000, Some(*each));
    }
    text::number(out, rest);
    out.extend(letter);
}

/// Appends a hardware address as BSD does: `0:13:21:61:b2:27`.
pub fn hardware(out: &mut Vec<u8>, address: &[u8]) {
    for (at, byte) in address.iter().enumerate() {
        if at > 0 {
            out.push(b':');
        }
        out.extend_from_slice(format!("{byte:x}").as_bytes());
    }
}

/// Appends a path of a unix socket: of an abstract name each NUL is an `@`.
pub fn unix_path(out: &mut Vec<u8>, path: &[u8]) {
    text::escaped(out, &shown_path(path));
}

/// The same as bytes that are not escaped.
pub fn shown_path(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect()
}
