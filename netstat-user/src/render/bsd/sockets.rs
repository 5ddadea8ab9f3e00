//! Inet sockets, and the queues of listeners.

use super::{End, Spelling, endpoint, head, protocol, put, state};
use crate::args::bsd::Detailed;
use crate::model::{Detail, Protocol, SockRow, TimerKind};
use crate::names::Names;
use crate::render::grid::{Column, Grid, Row};
use crate::render::text;

/// Which columns there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub pcb: bool,
    pub bytes: bool,
    pub congestion: bool,
    pub processes: bool,
    pub detailed: Detailed,
}

/// A socket to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Socket<'a> {
    pub row: &'a SockRow,
    pub detail: &'a Detail,
    /// `name:pid`, or why there is none.
    pub process: &'a [u8],
}

/// Appends the title; `all` when listeners are there, too.
pub fn title(out: &mut Vec<u8>, all: bool) {
    out.extend_from_slice(b"Active Internet connections");
    out.extend_from_slice(if all { b" (including servers)\n" } else { b"\n" });
}

/// The table of inet sockets.
#[derive(Debug)]
pub struct Sockets<'a> {
    grid: Grid,
    style: Style,
    spelling: &'a Spelling,
    row: Row,
}

/// Columns of `-x` after the addresses.
const BUFFERS: [&str; 18] = [
    "R-MBUF", "S-MBUF", "R-CLUS", "S-CLUS", "R-HIWA", "S-HIWA", "R-LOWA", "S-LOWA", "R-BCNT", "S-BCNT",
    "R-BMAX", "S-BMAX", "rexmt", "persist", "keep", "2msl", "delack", "rcvtime",
];

impl<'a> Sockets<'a> {
    pub fn new(style: Style, spelling: &'a Spelling) -> Self {
        let mut columns = Vec::new();
        if style.pcb {
            columns.push(Column::left("Tcpcb", 16));
        }
        columns.push(Column::left("Proto", 5));
        let counts: &[&str] = match style.detailed {
            Detailed::Faults => &["Rexmit", "OOORcv", "0-win"],
            Detailed::State | Detailed::Buffers => &["Recv-Q", "Send-Q"],
        };
        columns.extend(counts.iter().map(|title| Column::right(title, 6)));
        let width = if style.pcb { 18 } else { 22 };
        columns.extend(["Local Address", "Foreign Address"].map(|title| Column::left(title, width)));
        match style.detailed {
            Detailed::State => columns.push(Column::left("(state)", 11)),
            Detailed::Buffers => columns.extend(BUFFERS.map(|title| Column::right(title, 6))),
            Detailed::Faults => {}
        }
        if style.congestion {
            columns.push(Column::left("CC", 9));
            columns.extend(
                [("cwin", 10), ("ssthresh", 10), ("MSS", 5)].map(|(t, width)| Column::right(t, width)),
            );
            columns.push(Column::left("ECN", 3));
        }
        if style.bytes {
            columns.extend(["rxbytes", "txbytes"].map(|title| Column::right(title, 10)));
        }
        if style.processes {
            columns.push(Column::left("process:pid", 16));
        }
        Self { grid: Grid::new(columns), style, spelling, row: Row::default() }
    }

    /// Makes every column wide enough for this socket.
    pub fn measure(&mut self, socket: Socket<'_>, names: &mut Names) {
        self.cells(socket, names);
        self.grid.measure(&self.row);
    }

    pub fn head(&self, out: &mut Vec<u8>) {
        head(out, &self.grid);
    }

    pub fn socket(&mut self, out: &mut Vec<u8>, socket: Socket<'_>, names: &mut Names) {
        self.cells(socket, names);
        put(out, &self.grid, &self.row);
    }

    fn cells(&mut self, socket: Socket<'_>, names: &mut Names) {
        let Self { style, spelling, row: cells, .. } = self;
        let Socket { row, detail, process } = socket;
        cells.clear();
        if style.pcb {
            cells.cell(|out| cookie(out, row.cookie.map(u64::from)));
        }
        cells.text(&protocol(row, spelling.dialect));
        let tcp = detail.tcp;
        match style.detailed {
            Detailed::Faults => {
                cells.maybe(tcp.map(|tcp| tcp.retransmits.into()));
                cells.maybe(tcp.and_then(|tcp| tcp.out_of_order).map(u64::from));
                // Linux does not count them by socket.
                cells.maybe(None);
            }
            Detailed::State | Detailed::Buffers => {
                cells.number(row.rqueue);
                cells.number(row.wqueue);
            }
        }
        for end in [End::Local, End::Foreign] {
            cells.cell(|out| endpoint(out, row, end, spelling, names));
        }
        match style.detailed {
            Detailed::State => cells.cell(|out| {
                if row.protocol == Protocol::Tcp {
                    out.extend_from_slice(state(row.state, spelling.dialect).as_bytes());
                }
            }),
            Detailed::Buffers => buffers(cells, row, detail),
            Detailed::Faults => {}
        }
        if style.congestion {
            match detail.congestion.as_ref().map(|name| name.bytes()).filter(|name| !name.is_empty()) {
                Some(name) => cells.cell(|out| text::escaped(out, name)),
                None => cells.text(b"-"),
            }
            let mss = tcp.map(|tcp| u64::from(tcp.mss));
            let bytes = |segments: Option<u32>| Some(u64::from(segments?) * mss?);
            cells.maybe(bytes(tcp.map(|tcp| tcp.window)));
            cells.maybe(bytes(tcp.and_then(|tcp| tcp.threshold)));
            cells.maybe(mss);
            cells.text(match tcp.map(|tcp| tcp.ecn) {
                Some(true) => b"ecn",
                Some(false) => b"off",
                None => b"-",
            });
        }
        if style.bytes {
            cells.maybe(row.totals.map(|totals| totals.received));
            cells.maybe(row.totals.map(|totals| totals.sent));
        }
        if style.processes {
            cells.cell(|out| text::escaped(out, process));
        }
    }
}

/// Appends a cookie with all its digits.
pub fn cookie(out: &mut Vec<u8>, cookie: Option<u64>) {
    match cookie {
        Some(cookie) => out.extend_from_slice(format!("{cookie:016x}").as_bytes()),
        None => out.push(b'-'),
    }
}

/// Linux counts the bytes of a buffer, and tells one timer of several: what it does not tell is `-`.
fn buffers(cells: &mut Row, row: &SockRow, detail: &Detail) {
    let memory = detail.memory;
    let of = |part: fn(&crate::model::Memory) -> u32| memory.as_ref().map(|memory| u64::from(part(memory)));
    // Packets, clusters: Linux counts bytes alone.
    (0..4).for_each(|_| cells.maybe(None));
    cells.maybe(of(|memory| memory.receive_limit));
    cells.maybe(of(|memory| memory.send_limit));
    (0..2).for_each(|_| cells.maybe(None));
    cells.maybe(of(|memory| memory.received));
    cells.maybe(of(|memory| memory.queued));
    (0..2).for_each(|_| cells.maybe(None));
    let timer = row.timer;
    let tcp = row.protocol == Protocol::Tcp;
    let due = |kind: TimerKind| (tcp && timer.kind == kind).then_some(timer.expires_ms);
    // The kernel tells the first of them that is pending, so those before it are not: `inet_sk_diag_fill`.
    let idle = |known: bool| (tcp && known).then_some(0);
    let time_wait = timer.kind == TimerKind::TimeWait;
    let none = timer.kind == TimerKind::Off;
    let keepalive = timer.kind == TimerKind::Keepalive;
    let persist = timer.kind == TimerKind::Probe;
    let retransmit = timer.kind == TimerKind::On;
    seconds(cells, due(TimerKind::On).or(idle(none || keepalive || persist || time_wait)));
    seconds(cells, due(TimerKind::Probe).or(idle(none || keepalive || retransmit || time_wait)));
    seconds(cells, due(TimerKind::Keepalive).or(idle(none || time_wait)));
    seconds(cells, due(TimerKind::TimeWait).or(idle(!time_wait)));
    // Not told.
    seconds(cells, None);
    seconds(cells, detail.tcp.map(|tcp| tcp.last_received_ms));
}

/// A cell with milliseconds as seconds.
fn seconds(cells: &mut Row, milliseconds: Option<u32>) {
    match milliseconds {
        Some(time) => cells.cell(|out| {
            text::number(out, u64::from(time / 1000));
            out.push(b'.');
            text::zeros(out, u64::from(time % 1000 / 10), 2);
        }),
        None => cells.maybe(None),
    }
}

/// A listener and its queue.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    pub row: &'a SockRow,
    /// Half-open connections; `None`: they may be another listener's.
    pub incomplete: Option<u32>,
}

/// A unix socket that listens.
#[derive(Clone, Debug)]
pub struct UnixListener {
    pub cookie: Option<u64>,
    pub waiting: u32,
    pub limit: u32,
    pub path: Vec<u8>,
}

/// Appends the queues of listeners; `unix` when such were asked for.
pub fn listen_queues(
    out: &mut Vec<u8>,
    listeners: &[Listener<'_>],
    unix: &[UnixListener],
    pcb: bool,
    spelling: &Spelling,
    names: &mut Names,
) {
    out.extend_from_slice(b"Current listen queue sizes (qlen/incqlen/maxqlen)\n");
    let mut columns = Vec::new();
    if pcb {
        columns.push(Column::left("Tcpcb", 16));
    }
    columns.extend([Column::left("Proto", 5), Column::left("Listen", 14), Column::left("Local Address", 22)]);
    let mut rows = Vec::new();
    for listener in listeners {
        let mut cells = Row::default();
        if pcb {
            cells.cell(|out| cookie(out, listener.row.cookie.map(u64::from)));
        }
        cells.text(&protocol(listener.row, spelling.dialect));
        cells.cell(|out| sizes(out, listener.row.rqueue, listener.incomplete, known_limit(listener.row)));
        cells.cell(|out| endpoint(out, listener.row, End::Local, spelling, names));
        rows.push(cells);
    }
    for listener in unix {
        let mut cells = Row::default();
        if pcb {
            cells.cell(|out| cookie(out, listener.cookie));
        }
        cells.text(b"unix");
        // A unix socket is connected at once, or not.
        cells.cell(|out| sizes(out, listener.waiting, Some(0), Some(listener.limit)));
        cells.cell(|out| super::unix_path(out, &listener.path));
        rows.push(cells);
    }
    super::table(out, Grid::new(columns), &rows);
}

/// The limit of a listener; without a cookie the row is from /proc, which does not tell it.
pub fn known_limit(row: &SockRow) -> Option<u32> {
    row.cookie.map(|_| row.wqueue)
}

fn sizes(out: &mut Vec<u8>, waiting: u32, incomplete: Option<u32>, limit: Option<u32>) {
    let part = |out: &mut Vec<u8>, number: Option<u32>| match number {
        Some(number) => text::number(out, number.into()),
        None => out.push(b'-'),
    };
    part(out, Some(waiting));
    out.push(b'/');
    part(out, incomplete);
    out.push(b'/');
    part(out, limit);
}
