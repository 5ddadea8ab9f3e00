//! Routes, neighbours and next hops.

use super::{Spelling, hardware, table};
use crate::model::route::{PROTOCOL_REDIRECT, TABLE_LOCAL};
use crate::model::{Family, Hop, Neighbour, Net, Nexthop, Route, RouteKind};
use crate::names::Names;
use crate::render::grid::{Column, Grid, Row};
use crate::render::text;
use std::net::IpAddr;

/// `RTPROT_KERNEL`, `RTPROT_BOOT`, `RTPROT_STATIC`.
const KERNEL: u8 = 2;
const BOOT: u8 = 3;
const STATIC: u8 = 4;

/// `NUD_FAILED`, `NUD_PERMANENT`.
const FAILED: u16 = 0x20;
const PERMANENT: u16 = 0x80;

/// Appends the title of a display of several families.
pub fn title(out: &mut Vec<u8>, table: Option<&[u8]>) {
    out.extend_from_slice(b"Routing tables");
    if let Some(table) = table {
        out.extend_from_slice(b" (fib: ");
        text::escaped(out, table);
        out.push(b')');
    }
    out.push(b'\n');
}

/// Appends the heading of a family.
pub fn family(out: &mut Vec<u8>, family: Family) {
    out.extend_from_slice(match family {
        Family::V4 => b"\nInternet:\n",
        Family::V6 => b"\nInternet6:\n",
    });
}

/// Appends routes, a line for each way out, and neighbours.
pub fn routes(
    out: &mut Vec<u8>,
    family: Family,
    routes: &[Route],
    neighbours: &[Neighbour],
    long: bool,
    spelling: &Spelling,
    names: &mut Names,
) {
    let (destination, gateway) = match family {
        Family::V4 => (18, 18),
        Family::V6 => (33, 29),
    };
    let mut columns = vec![
        Column::left("Destination", destination),
        Column::left("Gateway", gateway),
        Column::left("Flags", 6),
    ];
    if long {
        columns.extend([Column::right("Refs", 6), Column::right("Use", 8), Column::right("Mtu", 6)]);
    }
    columns.extend([Column::right("Netif", 8), Column::right("Expire", 6)]);
    let mut rows = Vec::new();
    for route in routes {
        for hop in &route.hops {
            rows.push(route_row(route, hop, long, spelling, names));
        }
    }
    rows.extend(neighbours.iter().map(|neighbour| neighbour_row(neighbour, long, spelling, names)));
    table(out, Grid::new(columns), &rows);
}

fn route_row(route: &Route, hop: &Hop, long: bool, spelling: &Spelling, names: &mut Names) -> Row {
    let mut row = Row::default();
    row.cell(|out| destination(out, route.destination, hop.interface, spelling, names));
    row.cell(|out| match hop.gateway {
        Some(addr) => {
            match names.host(addr) {
                Some(name) => text::escaped(out, name),
                None => text::address(out, addr),
            }
            scope(out, addr, hop.interface, spelling);
        }
        None if hop.interface != 0 => {
            out.extend_from_slice(b"link#");
            text::number(out, hop.interface.into());
        }
        None => out.push(b'-'),
    });
    row.cell(|out| flags(out, route, hop));
    if long {
        // Linux counts neither by route.
        row.maybe(None);
        row.maybe(None);
        row.maybe(route.metrics.mtu.map(u64::from));
    }
    row.cell(|out| match hop.interface {
        0 => out.push(b'-'),
        index => spelling.interface(out, index),
    });
    if let Some(seconds) = route.expires {
        row.number(seconds);
    }
    row
}

fn neighbour_row(neighbour: &Neighbour, long: bool, spelling: &Spelling, names: &mut Names) -> Row {
    let mut row = Row::default();
    row.cell(|out| {
        match names.host(neighbour.addr) {
            Some(name) => text::escaped(out, name),
            None => text::address(out, neighbour.addr),
        }
        scope(out, neighbour.addr, neighbour.interface, spelling);
    });
    row.cell(|out| match neighbour.hardware.as_slice() {
        [] => out.extend_from_slice(b"(incomplete)"),
        address => hardware(out, address),
    });
    row.text(match neighbour.state {
        FAILED => b"UHRLW",
        PERMANENT => b"UHLS",
        _ => b"UHLW",
    });
    if long {
        row.maybe(neighbour.references.map(u64::from));
        row.maybe(None);
        row.maybe(None);
    }
    row.cell(|out| spelling.interface(out, neighbour.interface));
    row
}

/// BSD's letters, in its order: Up, Gateway, Host, Rejecting, Dynamic, Connected, Was cloned, Local, Static, 1 by a routing
/// protocol, Blackhole, broadcast, multicast.
fn flags(out: &mut Vec<u8>, route: &Route, hop: &Hop) {
    let whole = match route.family {
        Family::V4 => 32,
        Family::V6 => 128,
    };
    let host = route.destination.bits == whole;
    let unicast = route.kind == RouteKind::Unicast;
    let local =
        route.kind == RouteKind::Local || (route.table == TABLE_LOCAL && route.kind == RouteKind::Anycast);
    let rejects = matches!(route.kind, RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw);
    for (letter, set) in [
        (b'U', true),
        (b'G', hop.gateway.is_some()),
        (b'H', host),
        (b'R', rejects),
        (b'D', route.protocol == PROTOCOL_REDIRECT),
        (b'C', unicast && hop.gateway.is_none() && hop.interface != 0 && !host),
        (b'W', route.cached),
        (b'L', local),
        (b'S', matches!(route.protocol, BOOT | STATIC)),
        (b'1', !matches!(route.protocol, 0 | PROTOCOL_REDIRECT | KERNEL | BOOT | STATIC)),
        (b'B', route.kind == RouteKind::Blackhole),
        (b'b', route.kind == RouteKind::Broadcast),
        (b'm', route.kind == RouteKind::Multicast),
    ] {
        if set {
            out.push(letter);
        }
    }
}

/// A destination: `default`, a host, or a net whose bytes of 0 are left out: `10.1/16`.
pub fn destination(out: &mut Vec<u8>, net: Net, interface: u32, spelling: &Spelling, names: &mut Names) {
    let Net { addr, bits } = net;
    if bits == 0 && addr.is_unspecified() {
        return out.extend_from_slice(b"default");
    }
    match addr {
        IpAddr::V4(v4) if bits < 32 => {
            if let Some(name) = names.network(v4).filter(|_| names.wants_hosts()) {
                return text::escaped(out, name);
            }
            let kept = usize::from(bits.div_ceil(8).max(1));
            for (at, byte) in v4.octets().iter().take(kept).enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                text::number(out, (*byte).into());
            }
        }
        IpAddr::V6(_) if bits < 128 => {
            text::address(out, addr);
            scope(out, addr, interface, spelling);
        }
        _ => {
            match names.host(addr) {
                Some(name) => text::escaped(out, name),
                None => text::address(out, addr),
            }
            scope(out, addr, interface, spelling);
            return;
        }
    }
    out.push(b'/');
    text::number(out, bits.into());
}

/// Appends the link that an address has a meaning on.
pub fn scope(out: &mut Vec<u8>, addr: IpAddr, interface: u32, spelling: &Spelling) {
    if super::is_link_local(addr) && interface != 0 {
        out.push(b'%');
        spelling.interface(out, interface);
    }
}

/// The name of a protocol number, or the number.
pub fn made_by(protocol: u8) -> Vec<u8> {
    crate::model::route::protocol_name(protocol)
        .map_or_else(|| protocol.to_string().into_bytes(), |name| name.as_bytes().to_vec())
}

/// Appends next hops. What Linux does not have of BSD's columns is left out, and it names who made each.
pub fn nexthops(out: &mut Vec<u8>, hops: &[&Nexthop], spelling: &Spelling, names: &mut Names) {
    let columns = vec![
        Column::left("Idx", 6),
        Column::left("Type", 12),
        Column::left("Gateway", 29),
        Column::left("Flags", 6),
        Column::right("Netif", 8),
        Column::left("Proto", 0),
    ];
    let rows = hops.iter().map(|hop| {
        let mut row = Row::default();
        row.number(hop.id);
        row.text(match (hop.blackhole, hop.gateway) {
            (true, _) => b"blackhole".as_slice(),
            (_, Some(IpAddr::V4(_))) => b"v4/gw",
            (_, Some(IpAddr::V6(_))) => b"v6/gw",
            (_, None) if hop.family == 2 => b"v4/resolve",
            (_, None) => b"v6/resolve",
        });
        row.cell(|out| match (hop.gateway, hop.interface) {
            (Some(addr), interface) => {
                match names.host(addr) {
                    Some(name) => text::escaped(out, name),
                    None => text::address(out, addr),
                }
                scope(out, addr, interface.unwrap_or(0), spelling);
            }
            (None, Some(interface)) => {
                out.extend_from_slice(b"link#");
                text::number(out, interface.into());
            }
            (None, None) => out.push(b'-'),
        });
        row.cell(|out| {
            for (letter, set) in [
                (b'U', true),
                (b'G', hop.gateway.is_some()),
                (b'S', matches!(hop.protocol, 0 | BOOT | STATIC)),
                (b'1', !matches!(hop.protocol, 0 | KERNEL | BOOT | STATIC)),
                (b'B', hop.blackhole),
            ] {
                if set {
                    out.push(letter);
                }
            }
        });
        row.cell(|out| match hop.interface {
            Some(index) => spelling.interface(out, index),
            None => out.push(b'-'),
        });
        row.text(&made_by(hop.protocol));
        row
    });
    let rows: Vec<Row> = rows.collect();
    table(out, Grid::new(columns), &rows);
}

/// Appends groups of next hops, each with its members below it.
pub fn groups(
    out: &mut Vec<u8>,
    groups: &[&Nexthop],
    all: &[Nexthop],
    spelling: &Spelling,
    names: &mut Names,
) {
    let columns = vec![
        Column::left("GrpIdx", 6),
        Column::left("NhIdx", 7),
        Column::right("Weight", 7),
        Column::left("Gateway", 29),
        Column::right("Netif", 8),
    ];
    let mut rows = Vec::new();
    for group in groups {
        for (at, (id, weight)) in group.group.iter().enumerate() {
            let hop = all.iter().find(|hop| hop.id == *id);
            let mut row = Row::default();
            row.cell(|out| {
                if at == 0 {
                    text::number(out, group.id.into());
                }
            });
            row.number(*id);
            row.number(*weight);
            row.cell(|out| match hop.and_then(|hop| hop.gateway) {
                Some(addr) => match names.host(addr) {
                    Some(name) => text::escaped(out, name),
                    None => text::address(out, addr),
                },
                None => out.push(b'-'),
            });
            row.cell(|out| match hop.and_then(|hop| hop.interface) {
                Some(index) => spelling.interface(out, index),
                None => out.push(b'-'),
            });
            rows.push(row);
        }
    }
    table(out, Grid::new(columns), &rows);
}
