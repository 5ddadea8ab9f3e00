//! Multicast memberships, in net-tools' columns.

use super::grid::{Column, Grid, Row};
use super::printf;
use super::text::{self, escaped};
use crate::model::{Family, Membership};
use crate::names::Names;

/// Appends title and rows. With `compat` a wide cell moves the rest of its row instead of widening its column.
pub fn table(out: &mut Vec<u8>, families: &[Family], rows: &[Membership], names: &mut Names, compat: bool) {
    out.extend_from_slice(match (compat, families) {
        (false, [Family::V4]) => b"IPv4 Group Memberships\n".as_slice(),
        (false, [Family::V6]) => b"IPv6 Group Memberships\n",
        _ => b"IPv6/IPv4 Group Memberships\n",
    });
    if compat {
        out.extend_from_slice(
            b"Interface       RefCnt Group\n--------------- ------ ---------------------\n",
        );
        for row in rows {
            printf::string(out, row.name.get(..15).unwrap_or(&row.name), 15);
            out.push(b' ');
            printf::left(out, i64::from(row.users as i32), 6);
            out.push(b' ');
            group(out, row, names);
            out.push(b'\n');
        }
        return;
    }
    let mut grid =
        Grid::new(vec![Column::left("Interface", 15), Column::left("RefCnt", 6), Column::left("Group", 21)]);
    let rows: Vec<Row> = rows.iter().map(|membership| row(membership, names)).collect();
    rows.iter().for_each(|row| grid.measure(row));
    grid.head(out);
    for at in 0..3 {
        if at > 0 {
            out.push(b' ');
        }
        out.resize(out.len() + grid.width(at), b'-');
    }
    out.push(b'\n');
    rows.iter().for_each(|row| grid.row(out, row));
}

fn row(membership: &Membership, names: &mut Names) -> Row {
    let mut row = Row::default();
    row.cell(|out| escaped(out, &membership.name));
    row.number(membership.users);
    row.cell(|out| group(out, membership, names));
    row
}

fn group(out: &mut Vec<u8>, membership: &Membership, names: &mut Names) {
    match names.host(membership.group) {
        Some(name) => escaped(out, name),
        None => text::address(out, membership.group),
    }
}
