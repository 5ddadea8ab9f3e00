//! Routes, in net-tools' columns: nothing is cut, every next hop has a line, routes that lead nowhere say so, and the
//! segment size is the one announced.

use super::grid::{Column, Grid, Row};
use super::text::{self, escaped, number};
use crate::model::route::{HOP_DEAD, PROTOCOL_RA, PROTOCOL_REDIRECT, protocol_name, scope_name};
use crate::model::{Family, Hop, Net, Route, RouteKind};
use crate::names::Names;
use std::net::{IpAddr, Ipv4Addr};

/// Names of interfaces and tables.
pub trait Labels {
    /// The interface's name; `None`: there is none of this index any more.
    fn interface(&self, index: u32) -> Option<&[u8]>;
    fn table(&self, number: u32) -> Option<&[u8]>;
}

/// Which columns there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub family: Family,
    /// What the kernel learnt, instead of tables.
    pub cache: bool,
    /// As often as `-e` was given.
    pub extend: u8,
    /// A column for the table.
    pub table: bool,
    /// Columns for what net-tools does not show.
    pub verbose: bool,
}

/// Widths, and how to write routes.
pub struct Layout {
    style: Style,
    grid: Grid,
    row: Row,
}

impl Layout {
    pub fn new(style: Style) -> Self {
        Self { style, grid: Grid::new(columns(style)), row: Row::default() }
    }

    /// Makes every column wide enough for this route.
    pub fn measure(&mut self, route: &Route, names: &mut Names, labels: &dyn Labels) {
        for hop in &route.hops {
            self.fill(route, hop, names, labels);
            self.grid.measure(&self.row);
        }
    }

    /// Appends title and header.
    pub fn head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.style.family, self.style.cache) {
            (Family::V4, false) => b"Kernel IP routing table\n".as_slice(),
            (Family::V4, true) => b"Kernel IP routing cache\n",
            (Family::V6, false) => b"Kernel IPv6 routing table\n",
            (Family::V6, true) => b"Kernel IPv6 routing cache\n",
        });
        self.grid.head(out);
    }

    /// Appends a line for each next hop.
    pub fn route(&mut self, out: &mut Vec<u8>, route: &Route, names: &mut Names, labels: &dyn Labels) {
        for hop in &route.hops {
            self.fill(route, hop, names, labels);
            self.grid.row(out, &self.row);
        }
    }

    fn fill(&mut self, route: &Route, hop: &Hop, names: &mut Names, labels: &dyn Labels) {
        let Style { family, cache, extend, table, verbose } = self.style;
        let row = &mut self.row;
        row.clear();
        if family == Family::V4 && cache {
            source(row, route);
        }
        row.cell(|out| destination(out, route, names));
        row.cell(|out| gateway(out, route, hop, names));
        if family == Family::V4 && !cache {
            row.cell(|out| text::address(out, mask(route.destination.bits).into()));
        }
        row.cell(|out| flags(out, route, hop));
        let refuses = route.kind.refuses();
        let told = |number: u64| (!refuses).then_some(number);
        let metrics = &route.metrics;
        let sizes = [
            told(metrics.advmss.unwrap_or(0).into()),
            told(metrics.window.unwrap_or(0).into()),
            told((metrics.rtt.unwrap_or(0) >> 3).into()),
        ];
        let counts = family == Family::V6 || extend > 0;
        if counts {
            row.number(route.metric.unwrap_or(0));
            // The kernel has not counted them for years.
            row.maybe(told(0));
            row.maybe(told(0));
        } else {
            sizes.into_iter().for_each(|size| row.maybe(size));
        }
        row.cell(|out| interface(out, hop, labels));
        if family == Family::V4 && extend > 1 {
            sizes.into_iter().for_each(|size| row.maybe(size));
        }
        if table {
            row.cell(|out| table_name(out, route.table, labels));
        }
        if verbose {
            more(row, route, hop, !(cache && family == Family::V4));
        }
    }
}

fn columns(style: Style) -> Vec<Column> {
    let Style { family, cache, extend, table, verbose } = style;
    let v6 = family == Family::V6;
    let mut columns = Vec::new();
    if v6 {
        columns.extend([
            Column::left("Destination", 30),
            Column::left("Next Hop", 26),
            Column::left("Flag", 4),
        ]);
        columns.extend([Column::left("Met", 3), Column::left("Ref", 1), Column::right("Use", 6)]);
    } else {
        let names: &[&str] = if cache {
            &["Source", "Destination", "Gateway"]
        } else {
            &["Destination", "Gateway", "Genmask"]
        };
        columns.extend(names.iter().map(|name| Column::left(name, 15)));
        columns.push(Column::left("Flags", 5));
        if extend > 0 {
            let reference = if extend > 1 { 3 } else { 2 };
            let uses = if extend > 1 { 6 } else { 7 };
            columns.extend([
                Column::left("Metric", 6),
                Column::left("Ref", reference),
                Column::right("Use", uses),
            ]);
        } else {
            columns.extend([Column::right("MSS", 5), Column::left("Window", 5), Column::right("irtt", 6)]);
        }
    }
    columns.push(Column::left(if v6 { "If" } else { "Iface" }, 8));
    if !v6 && extend > 1 {
        columns.extend([Column::left("MSS", 5), Column::left("Window", 6), Column::left("irtt", 4)]);
    }
    if table {
        columns.push(Column::left("Table", 7));
    }
    if verbose {
        columns.extend([Column::left("Type", 11), Column::left("Proto", 6), Column::left("Scope", 6)]);
        if v6 || !cache {
            columns.push(Column::left("Source", 15));
        }
        columns.extend([Column::left("Mtu", 5), Column::left("Weight", 6), Column::left("Expires", 7)]);
    }
    columns
}

/// What net-tools does not show; the source only where no other column has it.
fn more(row: &mut Row, route: &Route, hop: &Hop, with_source: bool) {
    row.text(route.kind.name().as_bytes());
    row.cell(|out| named(out, protocol_name(route.protocol), route.protocol));
    row.cell(|out| named(out, scope_name(route.scope), route.scope));
    if with_source {
        source(row, route);
    }
    row.maybe(route.metrics.mtu.map(u64::from));
    row.number(hop.weight);
    row.maybe(route.expires.map(u64::from));
}

/// The source address that packets get, or for which the route is.
fn source(row: &mut Row, route: &Route) {
    row.cell(|out| match (route.prefsrc, route.source) {
        (Some(addr), _) => text::address(out, addr),
        (None, Some(Net { addr, bits })) => {
            text::address(out, addr);
            out.push(b'/');
            number(out, bits.into());
        }
        (None, None) => out.push(b'-'),
    });
}

fn named(out: &mut Vec<u8>, name: Option<&str>, code: u8) {
    match name {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => number(out, code.into()),
    }
}

fn table_name(out: &mut Vec<u8>, table: u32, labels: &dyn Labels) {
    match labels.table(table) {
        Some(name) => escaped(out, name),
        None => number(out, table.into()),
    }
}

fn interface(out: &mut Vec<u8>, hop: &Hop, labels: &dyn Labels) {
    match labels.interface(hop.interface) {
        _ if hop.interface == 0 => out.push(b'-'),
        Some(name) => escaped(out, name),
        None => {
            out.extend_from_slice(b"if");
            number(out, hop.interface.into());
        }
    }
}

/// The netmask of a prefix length.
pub fn mask(bits: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0))
}

fn destination(out: &mut Vec<u8>, route: &Route, names: &mut Names) {
    let Net { addr, bits } = route.destination;
    match addr {
        IpAddr::V4(addr) => network4(out, addr, mask(bits), bits == 32, names),
        IpAddr::V6(_) => {
            address6(out, addr, names, false);
            out.push(b'/');
            number(out, bits.into());
        }
    }
}

/// An IPv4 destination: by name where names are wanted, that of the host when it is one, else that of the network.
pub fn network4(out: &mut Vec<u8>, addr: Ipv4Addr, mask: Ipv4Addr, host: bool, names: &mut Names) {
    if !names.wants_hosts() {
        return text::address(out, addr.into());
    }
    if addr.is_unspecified() {
        let all = mask.is_unspecified();
        return out.extend_from_slice(if all { b"default" } else { b"0.0.0.0" });
    }
    let name = if is_host(addr, mask, host) { names.host(addr.into()) } else { names.network(addr) };
    match name {
        Some(name) => escaped(out, name),
        None => text::address(out, addr.into()),
    }
}

/// Whether net-tools takes a destination for a host.
pub fn is_host(addr: Ipv4Addr, mask: Ipv4Addr, host: bool) -> bool {
    host || u32::from(addr) & !u32::from(mask) != 0
}

/// An IPv6 address: by name where names are wanted. With `compat` one that stands for an IPv4 address appears as that.
pub fn address6(out: &mut Vec<u8>, addr: IpAddr, names: &mut Names, compat: bool) {
    let by_name = names.wants_hosts();
    match names.host(addr) {
        Some(name) => escaped(out, name),
        None if by_name && addr.is_unspecified() => out.extend_from_slice(b"[::]"),
        None => text::address(out, if compat { addr.to_canonical() } else { addr }),
    }
}

fn gateway(out: &mut Vec<u8>, route: &Route, hop: &Hop, names: &mut Names) {
    if route.kind.refuses() {
        return out.extend_from_slice(route.kind.name().as_bytes());
    }
    match (hop.gateway, route.family) {
        (Some(addr), Family::V4) => match names.host(addr) {
            Some(name) => escaped(out, name),
            None => text::address(out, addr),
        },
        (Some(addr), Family::V6) => address6(out, addr, names, false),
        (None, Family::V4) => out.extend_from_slice(b"0.0.0.0"),
        (None, Family::V6) => address6(out, std::net::Ipv6Addr::UNSPECIFIED.into(), names, false),
    }
}

/// net-tools' letters, as far as rtnetlink tells what they stand for.
fn flags(out: &mut Vec<u8>, route: &Route, hop: &Hop) {
    let v6 = route.family == Family::V6;
    let refuses = route.kind.refuses();
    let own = refuses || matches!(route.kind, RouteKind::Local | RouteKind::Anycast);
    let router = v6 && route.protocol == PROTOCOL_RA;
    for (set, letter) in [
        (hop.flags & HOP_DEAD == 0 && !refuses, b'U'),
        (refuses, b'!'),
        (hop.gateway.is_some(), b'G'),
        (!v6 && route.destination.bits == 32, b'H'),
        (!v6 && route.protocol == PROTOCOL_REDIRECT, b'D'),
        (router && route.destination.bits == 0, b'D'),
        (router, b'A'),
        (route.cached, b'C'),
        (route.expires.is_some(), b'e'),
        (v6 && own, b'n'),
    ] {
        if set {
            out.push(letter);
        }
    }
}
