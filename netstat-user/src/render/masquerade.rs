//! Masqueraded connections, in the layout that net-tools had for them. Nothing is cut: columns grow.

use super::grid::{Column, Grid, Row};
use super::text::{self, escaped, number, zeros};
use crate::model::masquerade::protocol_name;
use crate::model::{Masqueraded, Protocol};
use crate::names::Names;
use std::net::IpAddr;

/// Appends title and rows. With `compat` nothing at all when there are no rows.
pub fn table(out: &mut Vec<u8>, rows: &[Masqueraded], extend: bool, names: &mut Names, compat: bool) {
    if compat && rows.is_empty() {
        return;
    }
    out.extend_from_slice(b"IP masquerading entries\n");
    let mut columns = vec![Column::left("prot", 4), Column::right("expire", 8)];
    if extend {
        columns.extend([Column::right("initseq", 10), Column::right("delta", 5), Column::right("prevd", 5)]);
    }
    columns.extend([Column::left("source", 20), Column::left("destination", 20), Column::left("ports", 0)]);
    let mut grid = Grid::new(columns);
    let rows: Vec<Row> = rows.iter().map(|entry| row(entry, extend, names)).collect();
    if !compat {
        rows.iter().for_each(|row| grid.measure(row));
    }
    grid.head(out);
    rows.iter().for_each(|row| grid.row(out, row));
}

fn row(entry: &Masqueraded, extend: bool, names: &mut Names) -> Row {
    let mut row = Row::default();
    row.cell(|out| match protocol_name(entry.protocol) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => number(out, entry.protocol.into()),
    });
    row.cell(|out| {
        number(out, u64::from(entry.expires / 60));
        out.push(b':');
        zeros(out, u64::from(entry.expires % 60), 2);
        out.extend_from_slice(b".00");
    });
    if extend {
        row.number(entry.shift.from);
        row.cell(|out| signed(out, entry.shift.after));
        row.cell(|out| signed(out, entry.shift.before));
    }
    row.cell(|out| host(out, entry.source.0, names));
    row.cell(|out| host(out, entry.destination.0, names));
    row.cell(|out| {
        port(out, entry.protocol, entry.source.1, names);
        out.extend_from_slice(b" -> ");
        port(out, entry.protocol, entry.destination.1, names);
        out.extend_from_slice(b" (");
        port(out, entry.protocol, entry.seen.1, names);
        out.push(b')');
    });
    row
}

fn signed(out: &mut Vec<u8>, n: i32) {
    if n < 0 {
        out.push(b'-');
    }
    number(out, n.unsigned_abs().into());
}

fn host(out: &mut Vec<u8>, addr: IpAddr, names: &mut Names) {
    match names.host(addr) {
        Some(name) => escaped(out, name),
        None => text::address(out, addr),
    }
}

fn port(out: &mut Vec<u8>, protocol: u8, port: u16, names: &mut Names) {
    let protocol = match protocol {
        6 => Some(Protocol::Tcp),
        17 => Some(Protocol::Udp),
        136 => Some(Protocol::UdpLite),
        _ => None,
    };
    if port == 0 {
        return out.push(b'*');
    }
    match protocol.and_then(|protocol| names.port(protocol, port)) {
        Some(name) => escaped(out, name),
        None => number(out, port.into()),
    }
}
