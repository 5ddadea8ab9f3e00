//! Multicast routing, processors, memory.

use super::{Spelling, table};
use crate::model::{Family, Group, Membership, MulticastRoute, Softnet, Vif};
use crate::names::Names;
use crate::render::grid::{Column, Grid, Row};
use crate::render::text;
use std::net::IpAddr;

fn version(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// Appends multicast routing of a family: its interfaces, then its routes.
pub fn multicast(
    out: &mut Vec<u8>,
    family: Family,
    vifs: &[Vif],
    routes: &[MulticastRoute],
    names: &mut Names,
) {
    let version = version(family);
    if vifs.is_empty() {
        out.extend_from_slice(format!("\n{version} Virtual Interface Table is empty\n").as_bytes());
    } else {
        out.extend_from_slice(format!("\n{version} Virtual Interface Table\n").as_bytes());
        let columns = vec![
            Column::right("Vif", 4),
            // Linux keeps it by route.
            Column::right("Thresh", 7),
            Column::left("Local-Address", 15),
            Column::left("Remote-Address", 15),
            Column::right("Pkts-In", 9),
            Column::right("Pkts-Out", 9),
            Column::left("Netif", 0),
        ];
        let rows = vifs.iter().map(|vif| {
            let mut row = Row::default();
            row.number(vif.number);
            row.maybe(None);
            for addr in [vif.local, vif.remote] {
                row.cell(|out| match addr.filter(|addr| !addr.is_unspecified()) {
                    Some(addr) => host(out, addr, names),
                    None => out.push(b'-'),
                });
            }
            row.number(vif.packets_in);
            row.number(vif.packets_out);
            row.cell(|out| text::escaped(out, &vif.name));
            row
        });
        let rows: Vec<Row> = rows.collect();
        table(out, Grid::new(columns), &rows);
    }
    if routes.is_empty() {
        out.extend_from_slice(format!("\n{version} Multicast Forwarding Table is empty\n").as_bytes());
        return;
    }
    out.extend_from_slice(format!("\n{version} Multicast Forwarding Table\n").as_bytes());
    let columns = vec![
        Column::left("Origin", 15),
        Column::left("Group", 15),
        Column::right("Packets", 9),
        Column::right("In-Vif", 6),
        Column::left("Out-Vifs:Ttls", 0),
    ];
    let rows = routes.iter().map(|route| {
        let mut row = Row::default();
        row.cell(|out| host(out, route.origin, names));
        row.cell(|out| host(out, route.group, names));
        row.number(route.packets);
        row.maybe(route.input.map(u64::from));
        row.cell(|out| {
            for (at, (vif, ttl)) in route.outputs.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                text::number(out, (*vif).into());
                out.push(b':');
                text::number(out, (*ttl).into());
            }
        });
        row
    });
    let rows: Vec<Row> = rows.collect();
    table(out, Grid::new(columns), &rows);
}

fn host(out: &mut Vec<u8>, addr: IpAddr, names: &mut Names) {
    match names.host(addr) {
        Some(name) => text::escaped(out, name),
        None => text::address(out, addr),
    }
}

/// Appends the groups of a family that interfaces are members of.
pub fn memberships(
    out: &mut Vec<u8>,
    family: Family,
    groups: &[&Membership],
    spelling: &Spelling,
    names: &mut Names,
) {
    out.extend_from_slice(format!("\n{} Multicast Group Memberships\n", version(family)).as_bytes());
    let columns =
        vec![Column::left("Group", 20), Column::left("Link-layer Address", 18), Column::left("Netif", 0)];
    let rows = groups.iter().map(|group| {
        let mut row = Row::default();
        row.cell(|out| {
            host(out, group.group, names);
            super::routes::scope(out, group.group, group.interface, spelling);
        });
        row.cell(|out| super::hardware(out, &ethernet(group.group)));
        row.cell(|out| text::escaped(out, &group.name));
        row
    });
    let rows: Vec<Row> = rows.collect();
    table(out, Grid::new(columns), &rows);
}

/// The Ethernet address of a group (RFC 1112 section 6.4, RFC 2464 section 7).
fn ethernet(group: IpAddr) -> [u8; 6] {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// Appends what processors did with received packets; `settings` are names and numbers, `None` for what is not told.
pub fn softnet(out: &mut Vec<u8>, settings: &[(&str, Option<u64>)], rows: &[Softnet]) {
    out.extend_from_slice(b"Configuration:\n");
    let lines = settings.iter().map(|(name, value)| {
        let mut row = Row::default();
        row.text(name.as_bytes());
        row.maybe(*value);
        row
    });
    let lines: Vec<Row> = lines.collect();
    table(out, Grid::new(vec![Column::left("Setting", 24), Column::right("Current", 12)]), &lines);
    out.extend_from_slice(b"\nWorkstreams:\n");
    let titles = ["CPU", "Len", "QDrops", "Handled", "Squeezed", "Steered", "FlowDrops"];
    let widths = [4, 5, 8, 10, 8, 8, 9];
    let columns = titles.into_iter().zip(widths).map(|(title, width)| Column::right(title, width)).collect();
    let lines = rows.iter().map(|softnet| {
        let mut row = Row::default();
        row.number(softnet.cpu);
        row.maybe(softnet.waiting.map(u64::from));
        row.number(softnet.dropped);
        row.number(softnet.processed);
        row.number(softnet.squeezed);
        row.maybe(softnet.steered.map(u64::from));
        row.maybe(softnet.limited.map(u64::from));
        row
    });
    let lines: Vec<Row> = lines.collect();
    table(out, Grid::new(columns), &lines);
}

/// What a number of /proc/net/sockstat says, in words.
const BUFFERS: &[(&[u8], &str)] = &[
    (b"used", "sockets in use"),
    (b"inuse", "in use"),
    (b"orphan", "without a process"),
    (b"tw", "waiting for their end"),
    (b"alloc", "allocated"),
    (b"mem", "pages of memory"),
    (b"memory", "bytes of memory"),
    (b"mem_low", "pages from which on memory is watched"),
    (b"mem_pressure", "pages from which on memory is saved"),
    (b"mem_limit", "pages at most"),
    (b"active", "in use"),
    (b"total", "allocated"),
    (b"size", "bytes each"),
];

/// Appends the memory of sockets and packets.
pub fn buffers(out: &mut Vec<u8>, groups: &[Group]) {
    for group in groups {
        out.extend(group.name.to_ascii_lowercase().iter().filter(|byte| byte.is_ascii_graphic()));
        out.extend_from_slice(b":\n");
        for counter in &group.counters {
            out.push(b'\t');
            text::signed(out, counter.value);
            out.push(b' ');
            match BUFFERS.iter().find(|(name, _)| *name == counter.name) {
                Some((_, words)) => out.extend_from_slice(words.as_bytes()),
                None => text::escaped(out, &counter.name),
            }
            out.push(b'\n');
        }
    }
}
