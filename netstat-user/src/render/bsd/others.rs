//! Sockets of other families.

use super::sockets::cookie;
use super::{Spelling, state, table, unix_path};
use crate::args::bsd::Dialect;
use crate::model::other::netlink_name;
use crate::model::{NetlinkRow, PacketRow, TcpState, UnixDetail, UnixKind, VsockRow};
use crate::render::grid::{Column, Grid, Row};
use crate::render::text;
use std::num::NonZeroU64;

/// A socket and who holds it.
#[derive(Clone, Debug)]
pub struct Held<T> {
    pub row: T,
    /// `name:pid`, or why there is none.
    pub process: Vec<u8>,
}

/// A unix socket with the other end.
#[derive(Clone, Debug)]
pub struct Unix {
    pub detail: UnixDetail,
    pub process: Vec<u8>,
    pub peer: Option<Peer>,
}

/// The other end of a unix socket.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub inode: u32,
    pub cookie: Option<NonZeroU64>,
    pub path: Vec<u8>,
    pub process: Vec<u8>,
}

/// The name of a type.
pub const fn unix_kind(kind: UnixKind) -> &'static str {
    match kind {
        UnixKind::Stream => "stream",
        UnixKind::Dgram => "dgram",
        UnixKind::Raw => "raw",
        UnixKind::Rdm => "rdm",
        UnixKind::Seqpacket => "seqpacket",
        UnixKind::Other(_) => "unknown",
    }
}

/// The name of a type number.
pub const fn kind(number: u8) -> &'static str {
    match number {
        1 => "stream",
        2 => "dgram",
        3 => "raw",
        4 => "rdm",
        5 => "seqpacket",
        _ => "unknown",
    }
}

/// Appends unix sockets; `processes` with who holds each end.
pub fn unix(out: &mut Vec<u8>, sockets: &[Unix], processes: bool, spelling: &Spelling) {
    out.extend_from_slice(match spelling.dialect {
        Dialect::Bsd => b"Active UNIX domain sockets\n".as_slice(),
        Dialect::Linux => b"Active UNIX domain sockets and their peers\n",
    });
    let mut columns = vec![
        Column::left("Address", 16),
        Column::left("Type", 6),
        Column::right("Recv-Q", 6),
        Column::right("Send-Q", 6),
    ];
    columns.extend(["Inode", "Conn", "Refs", "Nextref"].map(|title| Column::right(title, 16)));
    if processes {
        columns.extend([Column::left("process:pid", 16), Column::left("peer process:pid", 16)]);
    }
    columns.push(Column::left("Addr", 0));
    let rows: Vec<Row> = sockets.iter().map(|socket| unix_row(socket, processes)).collect();
    table(out, Grid::new(columns), &rows);
}

fn unix_row(socket: &Unix, processes: bool) -> Row {
    let Unix { detail, process, peer } = socket;
    let mut row = Row::default();
    row.cell(|out| cookie(out, detail.cookie.map(u64::from)));
    row.text(unix_kind(detail.kind).as_bytes());
    row.maybe(detail.queues.map(|(receive, _)| receive.into()));
    row.maybe(detail.queues.map(|(_, send)| send.into()));
    row.maybe(detail.file.map(u64::from));
    row.cell(|out| cookie(out, peer.as_ref().and_then(|peer| peer.cookie).map(u64::from)));
    // Linux keeps no list of the sockets that send to one.
    row.maybe(None);
    row.maybe(None);
    if processes {
        row.cell(|out| text::escaped(out, process));
        row.cell(|out| match peer {
            Some(peer) => text::escaped(out, &peer.process),
            None => out.push(b'-'),
        });
    }
    row.cell(|out| {
        unix_path(out, &detail.path);
        // One end of a connection has the listener's name, the other mostly none.
        if let Some(peer) = peer.as_ref().filter(|peer| !peer.path.is_empty()) {
            if !detail.path.is_empty() {
                out.push(b' ');
            }
            out.extend_from_slice(b"-> ");
            unix_path(out, &peer.path);
        }
    });
    row
}

/// Appends packet sockets.
pub fn packet(out: &mut Vec<u8>, sockets: &[Held<PacketRow>], processes: bool, spelling: &Spelling) {
    out.extend_from_slice(b"Active packet sockets\n");
    let mut columns = vec![
        Column::left("Address", 16),
        Column::left("Type", 6),
        Column::left("Proto", 6),
        Column::right("Recv-Q", 6),
        Column::right("Drops", 6),
        Column::left("Netif", 10),
        Column::right("Filter", 6),
        Column::left("Flags", 5),
    ];
    if processes {
        columns.push(Column::left("process:pid", 16));
    }
    let rows = sockets.iter().map(|Held { row, process }| {
        let mut cells = Row::default();
        cells.cell(|out| cookie(out, row.cookie.map(u64::from)));
        cells.text(kind(row.kind).as_bytes());
        cells.cell(|out| ethernet(out, row.protocol));
        cells.maybe(row.memory.map(|memory| memory.received.into()));
        cells.maybe(row.memory.and_then(|memory| memory.drops).map(u64::from));
        cells.cell(|out| netif(out, row.interface, spelling));
        cells.maybe(row.filter.map(u64::from));
        cells.cell(|out| flags(out, row));
        if processes {
            cells.cell(|out| text::escaped(out, process));
        }
        cells
    });
    let rows: Vec<Row> = rows.collect();
    table(out, Grid::new(columns), &rows);
}

fn ethernet(out: &mut Vec<u8>, protocol: u16) {
    match protocol {
        0 => out.extend_from_slice(b"none"),
        3 => out.extend_from_slice(b"all"),
        0x0800 => out.extend_from_slice(b"ip"),
        0x0806 => out.extend_from_slice(b"arp"),
        0x86dd => out.extend_from_slice(b"ip6"),
        0x88cc => out.extend_from_slice(b"lldp"),
        0x888e => out.extend_from_slice(b"eapol"),
        other => out.extend_from_slice(format!("{other:04x}").as_bytes()),
    }
}

fn netif(out: &mut Vec<u8>, interface: u32, spelling: &Spelling) {
    match interface {
        0 => out.push(b'*'),
        index => spelling.interface(out, index),
    }
}

/// A letter for each flag: Running, Auxiliary data, Origin device, Virtio header, Loss accepted, fanout Group.
fn flags(out: &mut Vec<u8>, row: &PacketRow) {
    let start = out.len();
    for (bit, letter) in b"RAOVL".iter().enumerate() {
        if row.flags.is_some_and(|flags| flags >> bit & 1 == 1) {
            out.push(*letter);
        }
    }
    if row.fanout.is_some() {
        out.push(b'G');
    }
    if out.len() == start {
        out.push(b'-');
    }
}

/// Appends the sockets that capture packets, as BSD shows the readers of bpf(4). What only the reader itself may ask for,
/// and what Linux does not count, is `-`.
pub fn captures(out: &mut Vec<u8>, sockets: &[Held<PacketRow>], spelling: &Spelling) {
    let columns = vec![
        Column::right("Pid", 5),
        Column::right("Netif", 6),
        Column::right("Flags", 7),
        Column::right("Recv", 9),
        Column::right("Drop", 9),
        Column::right("Match", 9),
        Column::right("Sblen", 5),
        Column::right("Hblen", 5),
        Column::left("Command", 0),
    ];
    let rows = sockets.iter().map(|Held { row, process }| {
        let mut cells = Row::default();
        let colon = process.iter().rposition(|byte| *byte == b':');
        let (name, pid) = colon.map_or((&process[..], &b"-"[..]), |at| (&process[..at], &process[at + 1..]));
        cells.text(pid);
        cells.cell(|out| netif(out, row.interface, spelling));
        cells.cell(|out| flags(out, row));
        cells.maybe(None);
        cells.maybe(row.memory.and_then(|memory| memory.drops).map(u64::from));
        cells.maybe(None);
        cells.maybe(row.memory.map(|memory| memory.received.into()));
        cells.maybe(None);
        cells.cell(|out| text::escaped(out, name));
        cells
    });
    let rows: Vec<Row> = rows.collect();
    table(out, Grid::new(columns), &rows);
}

/// Appends netlink sockets.
pub fn netlink(out: &mut Vec<u8>, sockets: &[Held<NetlinkRow>], processes: bool) {
    out.extend_from_slice(b"Active netlink sockets\n");
    let mut columns = vec![
        Column::left("Address", 16),
        Column::left("Type", 6),
        Column::left("Proto", 10),
        Column::right("Port", 10),
        Column::right("Peer", 10),
        Column::right("Recv-Q", 6),
        Column::right("Drops", 6),
        Column::left("Groups", 6),
    ];
    if processes {
        columns.push(Column::left("process:pid", 16));
    }
    let rows = sockets.iter().map(|Held { row, process }| {
        let mut cells = Row::default();
        cells.cell(|out| cookie(out, row.cookie.map(u64::from)));
        cells.text(kind(row.kind).as_bytes());
        cells.cell(|out| match netlink_name(row.protocol) {
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => text::number(out, row.protocol.into()),
        });
        cells.number(row.port);
        cells.maybe((row.state == 1).then_some(row.peer.into()));
        cells.maybe(row.memory.map(|memory| memory.received.into()));
        cells.maybe(row.memory.and_then(|memory| memory.drops).map(u64::from));
        cells.cell(|out| {
            for (at, group) in row.groups.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                text::number(out, (*group).into());
            }
            if row.groups.is_empty() {
                out.push(b'-');
            }
        });
        if processes {
            cells.cell(|out| text::escaped(out, process));
        }
        cells
    });
    let rows: Vec<Row> = rows.collect();
    table(out, Grid::new(columns), &rows);
}

/// Appends sockets to and from virtual machines.
pub fn vsock(out: &mut Vec<u8>, sockets: &[Held<VsockRow>], processes: bool, spelling: &Spelling) {
    out.extend_from_slice(b"Active vsock sockets\n");
    let mut columns = vec![
        Column::left("Address", 16),
        Column::left("Type", 9),
        Column::left("Local Address", 22),
        Column::left("Foreign Address", 22),
        Column::left("(state)", 11),
    ];
    if processes {
        columns.push(Column::left("process:pid", 16));
    }
    let end = |out: &mut Vec<u8>, (context, port): (u32, u32)| {
        let part = |out: &mut Vec<u8>, number: u32| match number {
            u32::MAX => out.push(b'*'),
            number => text::number(out, number.into()),
        };
        part(out, context);
        out.push(if spelling.dialect == Dialect::Bsd { b'.' } else { b':' });
        part(out, port);
    };
    let rows = sockets.iter().map(|Held { row, process }| {
        let mut cells = Row::default();
        cells.cell(|out| cookie(out, row.cookie.map(u64::from)));
        cells.text(kind(row.kind).as_bytes());
        cells.cell(|out| end(out, row.local));
        cells.cell(|out| end(out, row.foreign));
        cells.cell(|out| match TcpState::try_from(row.state) {
            Ok(known) => out.extend_from_slice(state(known, spelling.dialect).as_bytes()),
            Err(_) => text::number(out, row.state.into()),
        });
        if processes {
            cells.cell(|out| text::escaped(out, process));
        }
        cells
    });
    let rows: Vec<Row> = rows.collect();
    table(out, Grid::new(columns), &rows);
}
