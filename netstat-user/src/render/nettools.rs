//! The layouts of net-tools' netstat, without its truncation: columns grow to the widest cell that was measured, and a
//! wider one that was not grows its own row. What fits is byte for byte as net-tools 2.10 prints it, but for the
//! Send-Q of a listener, which is the backlog limit, and for control characters, which are escaped.

mod sctp;

use super::text::{self, escaped, left, number, number_right};
use crate::args::plan::{ListPlan, Which};
use crate::model::{
    Endpoint, Family, Lodging, Protocol, SockRow, TcpState, Timer, TimerKind, UnixKind, UnixRow, UnixState,
};
use crate::names::Names;
use std::net::IpAddr;

/// Which optional columns there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub netns: bool,
    /// Containers and pods.
    pub containers: bool,
    /// Control groups.
    pub cgroups: bool,
    /// User and inode.
    pub extend: bool,
    pub programs: bool,
    /// SELinux contexts.
    pub contexts: bool,
    pub timers: bool,
    /// States in colour.
    pub colour: bool,
}

impl Columns {
    pub fn of(plan: &ListPlan) -> Self {
        Self {
            netns: plan.all_netns,
            containers: plan.inside.containers,
            cgroups: plan.inside.cgroups,
            extend: plan.extend,
            programs: plan.programs,
            contexts: plan.context,
            timers: plan.timers,
            colour: plan.colour,
        }
    }
}

/// Cells of a row that the socket itself does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra<'a> {
    /// `PID/name` as bytes of another process; `None`: nobody was found to hold the socket.
    pub program: Option<&'a [u8]>,
    /// SELinux context of that process.
    pub context: Option<&'a [u8]>,
    /// Name of the network namespace.
    pub netns: &'a [u8],
    /// Where it lives, when that was looked for.
    pub lodging: Option<&'a Lodging>,
}

/// What most timers take, when a column follows.
const TIMER: usize = 25;

/// The widths of columns, and how to write into them.
#[derive(Debug)]
pub struct Layout {
    columns: Columns,
    local: usize,
    foreign: usize,
    user: usize,
    program: usize,
    context: usize,
    netns: usize,
    pod: usize,
    container: usize,
    scratch: Vec<u8>,
}

impl Layout {
    /// net-tools' widths.
    pub fn new(columns: Columns) -> Self {
        Self {
            columns,
            local: 23,
            foreign: 23,
            user: 10,
            program: 20,
            context: 50,
            netns: 5,
            pod: 3,
            container: 9,
            scratch: Vec::new(),
        }
    }

    /// Makes every column wide enough for this row.
    pub fn measure(&mut self, row: &SockRow, extra: Extra<'_>, names: &mut Names) {
        let scratch = &mut self.scratch;
        let mut width = |write: &mut dyn FnMut(&mut Vec<u8>)| {
            scratch.clear();
            write(scratch);
            text::columns(scratch)
        };
        self.local = self.local.max(width(&mut |out| end(out, Some(row.protocol), row.local, names)));
        self.foreign = self.foreign.max(width(&mut |out| end(out, Some(row.protocol), row.foreign, names)));
        if self.columns.extend {
            self.user = self.user.max(width(&mut |out| user(out, row.uid, names)));
        }
        self.measure_lodging(extra);
        if self.columns.timers {
            self.measure_program(extra);
        }
    }

    /// Makes the columns of programs and contexts wide enough for this one.
    pub fn measure_program(&mut self, extra: Extra<'_>) {
        self.scratch.clear();
        program(&mut self.scratch, extra.program);
        self.program = self.program.max(text::columns(&self.scratch));
        self.scratch.clear();
        program(&mut self.scratch, extra.context);
        self.context = self.context.max(text::columns(&self.scratch));
    }

    /// Makes the columns of pods and containers wide enough for this one. That of control groups is the last.
    pub fn measure_lodging(&mut self, extra: Extra<'_>) {
        if let Some(lodging) = extra.lodging.filter(|_| self.columns.containers) {
            for (column, word) in
                [(&mut self.pod, &*lodging.pod_word()), (&mut self.container, lodging.container_word())]
            {
                self.scratch.clear();
                escaped(&mut self.scratch, word.as_bytes());
                *column = (*column).max(text::columns(&self.scratch));
            }
        }
    }

    /// Makes the column of namespaces wide enough for this one.
    pub fn measure_netns(&mut self, name: &[u8]) {
        self.scratch.clear();
        escaped(&mut self.scratch, name);
        self.netns = self.netns.max(text::columns(&self.scratch));
    }

    /// Appends title and header of the inet sockets.
    pub fn inet_head(&self, out: &mut Vec<u8>, which: Which) {
        out.extend_from_slice(b"Active Internet connections ");
        out.extend_from_slice(scope(which));
        out.push(b'\n');
        self.netns_head(out);
        out.extend_from_slice(b"Proto Recv-Q Send-Q ");
        cell(out, self.local, |out| out.extend_from_slice(b"Local Address"));
        out.push(b' ');
        cell(out, self.foreign, |out| out.extend_from_slice(b"Foreign Address"));
        out.extend_from_slice(b" State      ");
        if self.columns.extend {
            out.push(b' ');
            cell(out, self.user, |out| out.extend_from_slice(b"User"));
            out.extend_from_slice(b" Inode     ");
        }
        self.program_head(out);
        if self.columns.timers {
            out.extend_from_slice(b" Timer");
            if self.columns.cgroups {
                out.extend_from_slice(&[b' '; TIMER - 5]);
            }
        }
        self.cgroup_head(out);
        out.push(b'\n');
    }

    /// Appends an inet socket.
    pub fn inet(&self, out: &mut Vec<u8>, row: &SockRow, extra: Extra<'_>, names: &mut Names) {
        self.place_cells(out, extra);
        cell(out, 5, |out| out.extend_from_slice(protocol(row.protocol, row.family)));
        out.push(b' ');
        number_right(out, row.rqueue.into(), 6);
        out.push(b' ');
        number_right(out, row.wqueue.into(), 6);
        out.push(b' ');
        cell(out, self.local, |out| end(out, Some(row.protocol), row.local, names));
        out.push(b' ');
        cell(out, self.foreign, |out| end(out, Some(row.protocol), row.foreign, names));
        out.push(b' ');
        let colour = if self.columns.colour { colour(row) } else { "" };
        out.extend_from_slice(colour.as_bytes());
        cell(out, 11, |out| state(out, row.protocol, row.state));
        if !colour.is_empty() {
            out.extend_from_slice(b"\x1b[0m");
        }
        if self.columns.extend {
            out.push(b' ');
            cell(out, self.user, |out| user(out, row.uid, names));
            out.push(b' ');
            cell(out, 10, |out| number(out, row.inode.into()));
        }
        self.program_cell(out, extra);
        if self.columns.timers {
            out.push(b' ');
            let start = out.len();
            timer(out, row.protocol, row.timer);
            if self.columns.cgroups {
                left(out, start, TIMER);
            }
        }
        self.cgroup_cell(out, extra);
        out.push(b'\n');
    }

    /// Appends title and header of the unix sockets.
    pub fn unix_head(&self, out: &mut Vec<u8>, which: Which) {
        out.extend_from_slice(b"Active UNIX domain sockets ");
        out.extend_from_slice(scope(which));
        out.push(b'\n');
        self.netns_head(out);
        out.extend_from_slice(b"Proto RefCnt Flags       Type       State         I-Node  ");
        self.program_head(out);
        // The path may be of any length, so it stays the last.
        self.cgroup_head(out);
        out.extend_from_slice(b" Path\n");
    }

    /// Appends a unix socket.
    pub fn unix(&self, out: &mut Vec<u8>, row: &UnixRow, extra: Extra<'_>) {
        self.place_cells(out, extra);
        out.extend_from_slice(b"unix  ");
        cell(out, 6, |out| number(out, row.refcount.into()));
        out.push(b' ');
        cell(out, 11, |out| unix_flags(out, row));
        out.push(b' ');
        cell(out, 10, |out| out.extend_from_slice(unix_kind(row.kind)));
        out.push(b' ');
        cell(out, 13, |out| out.extend_from_slice(unix_state(row)));
        out.push(b' ');
        cell(out, 8, |out| number(out, row.inode));
        self.program_cell(out, extra);
        self.cgroup_cell(out, extra);
        out.push(b' ');
        escaped(out, &row.path);
        out.push(b'\n');
    }

    fn netns_head(&self, out: &mut Vec<u8>) {
        if self.columns.netns {
            cell(out, self.netns, |out| out.extend_from_slice(b"Netns"));
            out.push(b' ');
        }
        if self.columns.containers {
            for (width, title) in [(self.pod, b"Pod".as_slice()), (self.container, b"Container")] {
                cell(out, width, |out| out.extend_from_slice(title));
                out.push(b' ');
            }
        }
    }

    fn cgroup_head(&self, out: &mut Vec<u8>) {
        if self.columns.cgroups {
            out.extend_from_slice(b" Cgroup");
        }
    }

    fn cgroup_cell(&self, out: &mut Vec<u8>, extra: Extra<'_>) {
        if self.columns.cgroups {
            out.push(b' ');
            word(out, extra.lodging.and_then(|lodging| lodging.cgroup.as_deref()).unwrap_or_default());
        }
    }

    fn place_cells(&self, out: &mut Vec<u8>, extra: Extra<'_>) {
        if self.columns.netns {
            cell(out, self.netns, |out| word(out, extra.netns));
            out.push(b' ');
        }
        if self.columns.containers {
            let lodging = extra.lodging.unwrap_or(&Lodging::UNKNOWN);
            cell(out, self.pod, |out| word(out, lodging.pod_word().as_bytes()));
            out.push(b' ');
            cell(out, self.container, |out| word(out, lodging.container_word().as_bytes()));
            out.push(b' ');
        }
    }

    fn program_head(&self, out: &mut Vec<u8>) {
        if self.columns.programs {
            out.push(b' ');
            cell(out, self.program, |out| out.extend_from_slice(b"PID/Program name"));
        }
        if self.columns.contexts {
            out.push(b' ');
            cell(out, self.context, |out| out.extend_from_slice(b"Security Context"));
        }
    }

    fn program_cell(&self, out: &mut Vec<u8>, extra: Extra<'_>) {
        if self.columns.programs {
            out.push(b' ');
            cell(out, self.program, |out| program(out, extra.program));
        }
        if self.columns.contexts {
            out.push(b' ');
            cell(out, self.context, |out| program(out, extra.context));
        }
    }
}

/// The terminal's colour of a state: what is open, what waits for a peer, what ends.
fn colour(row: &SockRow) -> &'static str {
    match (row.protocol, row.state) {
        (Protocol::Raw, _) | (_, TcpState::Close) => "",
        (_, TcpState::Established) => "\x1b[32m",
        (_, TcpState::Listen) => "\x1b[36m",
        (_, TcpState::SynSent | TcpState::SynRecv) => "\x1b[35m",
        (_, TcpState::TimeWait) => "\x1b[2m",
        (
            _,
            TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::CloseWait
            | TcpState::LastAck
            | TcpState::Closing,
        ) => "\x1b[33m",
    }
}

fn cell(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    left(out, start, width);
}

/// `-` for an empty one.
fn word(out: &mut Vec<u8>, word: &[u8]) {
    if word.is_empty() { out.push(b'-') } else { escaped(out, word) }
}

pub(super) fn scope(which: Which) -> &'static [u8] {
    match which {
        Which::All => b"(servers and established)",
        Which::Listening => b"(only servers)",
        Which::Connected => b"(w/o servers)",
    }
}

pub(super) fn protocol(protocol: Protocol, family: Family) -> &'static [u8] {
    match (protocol, family) {
        (Protocol::Tcp, Family::V4) => b"tcp",
        (Protocol::Tcp, Family::V6) => b"tcp6",
        (Protocol::Udp, Family::V4) => b"udp",
        (Protocol::Udp, Family::V6) => b"udp6",
        (Protocol::UdpLite, Family::V4) => b"udpl",
        (Protocol::UdpLite, Family::V6) => b"udpl6",
        (Protocol::Raw, Family::V4) => b"raw",
        (Protocol::Raw, Family::V6) => b"raw6",
    }
}

/// `host:port`. An IPv4-mapped address appears as the IPv4 address it stands for, and the unspecified IPv6 address in
/// brackets where names are wanted, both as net-tools does.
pub(super) fn end(out: &mut Vec<u8>, protocol: Option<Protocol>, end: Endpoint, names: &mut Names) {
    let by_name = names.wants_hosts();
    match names.host(end.addr) {
        Some(name) => escaped(out, name),
        None if by_name && end.addr == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) => {
            out.extend_from_slice(b"[::]");
        }
        None => text::address(out, end.addr.to_canonical()),
    }
    out.push(b':');
    if end.port == 0 {
        return out.push(b'*');
    }
    match protocol.and_then(|protocol| names.port(protocol, end.port)) {
        Some(name) => escaped(out, name),
        None => number(out, end.port.into()),
    }
}

pub(super) fn user(out: &mut Vec<u8>, uid: u32, names: &mut Names) {
    match names.user(uid) {
        Some(name) => escaped(out, name),
        None => number(out, uid.into()),
    }
}

pub(super) fn program(out: &mut Vec<u8>, program: Option<&[u8]>) {
    match program {
        Some(program) => escaped(out, program),
        None => out.push(b'-'),
    }
}

pub(super) fn state(out: &mut Vec<u8>, protocol: Protocol, state: TcpState) {
    match (protocol, state) {
        (Protocol::Tcp, state) => out.extend_from_slice(state.name().as_bytes()),
        (Protocol::Raw, state) => number(out, state as u64),
        (Protocol::Udp | Protocol::UdpLite, TcpState::Established) => out.extend_from_slice(b"ESTABLISHED"),
        (Protocol::Udp | Protocol::UdpLite, TcpState::Close) => {}
        (Protocol::Udp | Protocol::UdpLite, _) => out.extend_from_slice(b"UNKNOWN"),
    }
}

/// `kind (seconds/retransmissions/probes)`.
pub(super) fn timer(out: &mut Vec<u8>, protocol: Protocol, timer: Timer) {
    let code = match timer.kind {
        TimerKind::Off => 0,
        TimerKind::On => 1,
        TimerKind::Keepalive => 2,
        TimerKind::TimeWait => 3,
        TimerKind::Probe => 4,
        TimerKind::Other(code) => code,
    };
    match (protocol, code) {
        (_, 0) => out.extend_from_slice(b"off"),
        (Protocol::Tcp, 1) => out.extend_from_slice(b"on"),
        (Protocol::Tcp, 2) => out.extend_from_slice(b"keepalive"),
        (Protocol::Tcp, 3) => out.extend_from_slice(b"timewait"),
        (Protocol::Tcp, 4) => out.extend_from_slice(b"probe"),
        (Protocol::Tcp, _) | (_, 3..) => {
            out.extend_from_slice(b"unkn-");
            number(out, code.into());
        }
        _ => {
            out.extend_from_slice(b"on");
            number(out, code.into());
        }
    }
    let hundredths = if code == 0 { 0 } else { u64::from(timer.expires_ms / 10) };
    out.extend_from_slice(b" (");
    number(out, hundredths / 100);
    out.push(b'.');
    text::zeros(out, hundredths % 100, 2);
    out.push(b'/');
    number(out, timer.retransmits.into());
    out.push(b'/');
    number(out, timer.probes.into());
    out.push(b')');
}

/// `__SO_WAITDATA` and `__SO_NOSPACE` (include/linux/net.h).
const WAITDATA: u32 = 1 << 17;
const NOSPACE: u32 = 1 << 18;

fn unix_flags(out: &mut Vec<u8>, row: &UnixRow) {
    out.extend_from_slice(b"[ ");
    for (set, name) in [
        (row.listening, b"ACC ".as_slice()),
        (row.flags & WAITDATA != 0, b"W "),
        (row.flags & NOSPACE != 0, b"N "),
    ] {
        if set {
            out.extend_from_slice(name);
        }
    }
    out.push(b']');
}

fn unix_kind(kind: UnixKind) -> &'static [u8] {
    match kind {
        UnixKind::Stream => b"STREAM",
        UnixKind::Dgram => b"DGRAM",
        UnixKind::Raw => b"RAW",
        UnixKind::Rdm => b"RDM",
        UnixKind::Seqpacket => b"SEQPACKET",
        UnixKind::Other(_) => b"UNKNOWN",
    }
}

pub(super) fn unix_state(row: &UnixRow) -> &'static [u8] {
    match row.state {
        UnixState::Free => b"FREE",
        UnixState::Unconnected if row.listening => b"LISTENING",
        UnixState::Unconnected => b"",
        UnixState::Connecting => b"CONNECTING",
        UnixState::Connected => b"CONNECTED",
        UnixState::Disconnecting => b"DISCONNECTING",
        UnixState::Other(_) => b"UNKNOWN",
    }
}
