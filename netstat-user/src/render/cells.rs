//! The cells of the columns that are asked for by name, and how they are ordered.

use super::grid;
use super::nettools::{self, Extra};
use super::text::{escaped, number};
use crate::model::detail::{Member, member};
use crate::model::{Endpoint, Lodging, SctpRow, SockDetail, SockRow, TimerKind, UnixKind, UnixRow};
use crate::names::Names;
use crate::view::Column;
use std::net::IpAddr;
use std::num::NonZeroU64;

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub enum Socket<'a> {
    Inet(&'a SockRow),
    Unix(&'a UnixRow),
    Sctp(&'a SctpRow),
}

impl Socket<'_> {
    /// Addresses that may have names.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let both = match self {
            Self::Inet(row) => [Some(row.local.addr), Some(row.foreign.addr)],
            Self::Unix(_) => [None, None],
            Self::Sctp(row) => row.ends().map(|end| Some(end.addr)),
        };
        both.into_iter().flatten()
    }
}

/// All that is known of a row.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub socket: Socket<'a>,
    pub detail: &'a SockDetail,
    pub extra: Extra<'a>,
}

/// What rows are ordered by. What is not known comes last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Number(u64),
    End(IpAddr, u16),
    Text(Vec<u8>),
    Unknown,
}

/// The column of a grid.
pub fn column(column: Column) -> grid::Column {
    let spec = column.spec();
    let width = spec.title.len();
    if spec.right { grid::Column::right(spec.title, width) } else { grid::Column::left(spec.title, width) }
}

/// The number in a column that has numbers; `None`: it is not known.
fn numeric(column: Column, item: &Item<'_>) -> Option<u64> {
    let info = |member: Member| item.detail.info.as_ref().and_then(|info| info.get(member));
    let row = match item.socket {
        Socket::Inet(row) => row,
        Socket::Unix(row) => {
            return match column {
                Column::Inode => Some(row.inode),
                Column::Cookie => row.cookie.map(NonZeroU64::get),
                _ => None,
            };
        }
        Socket::Sctp(row) => {
            return match column {
                Column::RecvQ => row.queues.map(|(receive, _)| receive.into()),
                Column::SendQ => row.queues.map(|(_, send)| send.into()),
                Column::Inode => Some(row.inode),
                Column::User => Some(row.uid.into()),
                _ => None,
            };
        }
    };
    match column {
        Column::RecvQ => Some(row.rqueue.into()),
        Column::SendQ => Some(row.wqueue.into()),
        Column::Inode => Some(row.inode.into()),
        Column::Cookie => row.cookie.map(NonZeroU64::get),
        Column::Device => row.cookie.map(|_| row.bound_if.into()),
        Column::Mark => item.detail.mark.map(u64::from),
        Column::Cgroup => row.cgroup.map(NonZeroU64::get),
        Column::Rtt => row.totals.map(|totals| totals.srtt_us.into()),
        Column::Rto => info(member::RTO),
        Column::Cwnd => info(member::SND_CWND),
        Column::Mss => info(member::SND_MSS),
        Column::Retrans => row.totals.map(|totals| totals.retrans.into()),
        Column::Sent => row.totals.map(|totals| totals.sent),
        Column::Received => row.totals.map(|totals| totals.received),
        Column::Drops => row.drops,
        Column::User => Some(row.uid.into()),
        Column::Timer if row.timer.kind != TimerKind::Off => Some(row.timer.expires_ms.into()),
        _ => None,
    }
}

/// Appends a cell; `-` when what it tells is not known.
pub fn cell(out: &mut Vec<u8>, column: Column, item: &Item<'_>, names: &mut Names) {
    let start = out.len();
    let lodging = item.extra.lodging.unwrap_or(&Lodging::UNKNOWN);
    match (column, item.socket) {
        (Column::Netns, _) => escaped(out, item.extra.netns),
        (Column::Proto, Socket::Inet(row)) => {
            out.extend_from_slice(nettools::protocol(row.protocol, row.family))
        }
        (Column::Proto, Socket::Unix(row)) => {
            out.extend_from_slice(b"unix");
            out.extend_from_slice(match row.kind {
                UnixKind::Stream => b"",
                UnixKind::Dgram => b"-dgram",
                UnixKind::Raw => b"-raw",
                UnixKind::Rdm => b"-rdm",
                UnixKind::Seqpacket => b"-seqpacket",
                UnixKind::Other(_) => b"-unknown",
            });
        }
        (Column::Local, Socket::Inet(row)) => nettools::end(out, Some(row.protocol), row.local, names),
        (Column::Foreign, Socket::Inet(row)) => nettools::end(out, Some(row.protocol), row.foreign, names),
        (Column::Proto, Socket::Sctp(_)) => out.extend_from_slice(b"sctp"),
        (Column::Local, Socket::Sctp(row)) => nettools::end(out, None, row.ends()[0], names),
        (Column::Foreign, Socket::Sctp(row)) => nettools::end(out, None, row.ends()[1], names),
        (Column::State, Socket::Sctp(row)) => match row.state() {
            Some(state) => out.extend_from_slice(state.name().as_bytes()),
            None => out.extend_from_slice(format!("UNKNOWN({})", row.state).as_bytes()),
        },
        (Column::User, Socket::Sctp(row)) => nettools::user(out, row.uid, names),
        (Column::Local, Socket::Unix(row)) => escaped(out, &row.path),
        (Column::State, Socket::Inet(row)) => nettools::state(out, row.protocol, row.state),
        (Column::State, Socket::Unix(row)) => out.extend_from_slice(nettools::unix_state(row)),
        (Column::User, Socket::Inet(row)) => nettools::user(out, row.uid, names),
        (Column::Program, _) => nettools::program(out, item.extra.program),
        (Column::Timer, Socket::Inet(row)) => nettools::timer(out, row.protocol, row.timer),
        (Column::Pod, _) => escaped(out, lodging.pod_word().as_bytes()),
        (Column::Container, _) => escaped(out, lodging.container_word().as_bytes()),
        (Column::Cgroup, _) if lodging.cgroup.is_some() => {
            escaped(out, lodging.cgroup.as_deref().unwrap_or_default())
        }
        (Column::Congestion, Socket::Inet(_)) => escaped(out, &item.detail.congestion),
        (Column::Rtt | Column::Rto, Socket::Inet(_)) => {
            if let Some(micros) = numeric(column, item) {
                out.extend_from_slice(super::detail::general(micros as f64 / 1000.0, 6).as_bytes());
            }
        }
        (Column::Mark, Socket::Inet(_)) => {
            if let Some(mark) = item.detail.mark {
                out.extend_from_slice(format!("{mark:#x}").as_bytes());
            }
        }
        _ => {
            if let Some(value) = numeric(column, item) {
                number(out, value);
            }
        }
    }
    if out.len() == start {
        out.push(b'-');
    }
}

/// What a row is ordered by: numbers by their size, addresses by their bits, all else as text.
pub fn key(column: Column, item: &Item<'_>, names: &mut Names) -> Key {
    let end = |end: Endpoint| Key::End(end.addr.to_canonical(), end.port);
    match (column, item.socket) {
        (Column::Local, Socket::Inet(row)) => end(row.local),
        (Column::Foreign, Socket::Inet(row)) => end(row.foreign),
        (Column::Local, Socket::Sctp(row)) => end(row.ends()[0]),
        (Column::Foreign, Socket::Sctp(row)) => end(row.ends()[1]),
        (Column::Cgroup | Column::User, _) => text_key(column, item, names),
        _ if column.spec().right || column == Column::Timer => {
            numeric(column, item).map_or(Key::Unknown, Key::Number)
        }
        _ => text_key(column, item, names),
    }
}

fn text_key(column: Column, item: &Item<'_>, names: &mut Names) -> Key {
    let mut text = Vec::new();
    cell(&mut text, column, item, names);
    if text == b"-" { Key::Unknown } else { Key::Text(text) }
}
