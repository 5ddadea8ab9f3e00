//! Interfaces: a line for the link, and one for each address.

use super::{Spelling, hardware, human, routes, table};
use crate::model::link::iff;
use crate::model::{Interface, Membership, Net};
use crate::names::Names;
use crate::render::grid::{Column, Grid, Row};
use crate::render::text;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which columns there are, and how numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub bytes: bool,
    pub drops: bool,
    pub human: bool,
}

/// Groups that were joined: of IP, and of the link by interface.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    pub groups: Vec<Membership>,
    pub link: Vec<(u32, Vec<u8>)>,
}

/// Appends the table.
pub fn interfaces(
    out: &mut Vec<u8>,
    all: &[Interface],
    joined: Option<&Joined>,
    style: Style,
    spelling: &Spelling,
    names: &mut Names,
) {
    let mut columns = vec![
        Column::left("Name", 5),
        Column::right("Mtu", 5),
        Column::left("Network", 13),
        Column::left("Address", 17),
        Column::right("Ipkts", 8),
        Column::right("Ierrs", 5),
        Column::right("Idrop", 5),
    ];
    let bytes = |title| style.bytes.then_some(Column::right(title, 10));
    columns.extend(bytes("Ibytes"));
    columns.extend([Column::right("Opkts", 8), Column::right("Oerrs", 5)]);
    columns.extend(bytes("Obytes"));
    columns.push(Column::right("Coll", 5));
    columns.extend(style.drops.then_some(Column::right("Drop", 5)));
    let mut rows = Vec::new();
    for interface in all {
        rows.push(link(interface, style));
        if let Some(joined) = joined {
            let of = joined.link.iter().filter(|(index, _)| *index == interface.index);
            rows.extend(of.map(|(_, group)| joined_row(|out| hardware(out, group))));
        }
        addresses(&mut rows, interface, joined, style, spelling, names);
    }
    table(out, Grid::new(columns), &rows);
}

fn name(row: &mut Row, interface: &Interface) {
    row.cell(|out| {
        text::escaped(out, &interface.name);
        if interface.flags & iff::UP == 0 {
            out.push(b'*');
        }
    });
}

fn link(interface: &Interface, style: Style) -> Row {
    let mut row = Row::default();
    name(&mut row, interface);
    row.number(interface.mtu);
    row.cell(|out| {
        out.extend_from_slice(b"<Link#");
        text::number(out, interface.index.into());
        out.push(b'>');
    });
    row.cell(|out| {
        // Loopback has one of zeros, which is none.
        if interface.flags & iff::LOOPBACK == 0 {
            hardware(out, &interface.address);
        } else {
            text::escaped(out, &interface.name);
        }
    });
    let counters = interface.counters.as_ref();
    let mut number = |number: Option<u64>| match number {
        Some(number) if style.human => row.cell(|out| human(out, number)),
        other => row.maybe(other),
    };
    number(counters.map(|counters| counters.rx_packets));
    number(counters.map(|counters| counters.rx_errors));
    number(counters.map(|counters| counters.rx_dropped));
    if style.bytes {
        number(counters.map(|counters| counters.rx_bytes));
    }
    number(counters.map(|counters| counters.tx_packets));
    number(counters.map(|counters| counters.tx_errors));
    if style.bytes {
        number(counters.map(|counters| counters.tx_bytes));
    }
    number(counters.map(|counters| counters.collisions));
    if style.drops {
        number(counters.map(|counters| counters.tx_dropped));
    }
    row
}

/// A line for each address, and below the first of a family the groups joined in it.
fn addresses(
    rows: &mut Vec<Row>,
    interface: &Interface,
    joined: Option<&Joined>,
    style: Style,
    spelling: &Spelling,
    names: &mut Names,
) {
    let v4 = interface.v4.iter().map(|address| (IpAddr::V4(address.local), address.bits));
    let v6 = interface.v6.iter().map(|address| (IpAddr::V6(address.addr), address.bits));
    let (mut shown4, mut shown6) = (false, false);
    for (addr, bits) in v4.chain(v6) {
        let mut row = Row::default();
        name(&mut row, interface);
        row.text(b"-");
        row.cell(|out| {
            // A host's address stands for itself, not for the resolver's name of it.
            let net = Net { addr: network(addr, bits), bits };
            routes::destination(out, net, interface.index, spelling, &mut Names::none());
        });
        row.cell(|out| {
            match names.host(addr) {
                Some(name) => text::escaped(out, name),
                None => text::address(out, addr),
            }
            routes::scope(out, addr, interface.index, spelling);
        });
        // Linux counts by link, not by address.
        let columns = 6 + if style.bytes { 2 } else { 0 } + usize::from(style.drops);
        (0..columns).for_each(|_| row.text(b"-"));
        rows.push(row);
        let first = match addr {
            IpAddr::V4(_) => !std::mem::replace(&mut shown4, true),
            IpAddr::V6(_) => !std::mem::replace(&mut shown6, true),
        };
        let Some(joined) = joined.filter(|_| first) else { continue };
        let of = joined.groups.iter().filter(|group| group.interface == interface.index);
        for group in of.filter(|group| group.group.is_ipv4() == addr.is_ipv4()) {
            rows.push(joined_row(|out| {
                match names.host(group.group) {
                    Some(name) => text::escaped(out, name),
                    None => text::address(out, group.group),
                }
                routes::scope(out, group.group, interface.index, spelling);
            }));
        }
    }
}

/// A line with a group, below the address that it belongs to.
fn joined_row(write: impl FnOnce(&mut Vec<u8>)) -> Row {
    let mut row = Row::default();
    (0..3).for_each(|_| row.text(b""));
    row.cell(write);
    row
}

/// The address with its last bits cleared.
fn network(addr: IpAddr, bits: u8) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv4Addr::from_bits(addr.to_bits() & mask).into()
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            Ipv6Addr::from_bits(addr.to_bits() & mask).into()
        }
    }
}
