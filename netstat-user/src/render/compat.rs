//! The layouts of net-tools 2.10's netstat byte for byte, its truncation included.

use super::nettools::{protocol, scope, state, timer};
use super::text::{self, number, number_right};
use crate::args::compat::CompatPlan;
use crate::args::plan::Which;
use crate::model::{Endpoint, SockRow, UnixLine};
use crate::names::Names;
use std::net::{IpAddr, Ipv6Addr};

/// Bytes of address and port together, without the colon, from which on they are cut.
const ENDPOINT: usize = 22;

/// Bytes of an address that are left of it at least when the port is long.
const ADDRESS: usize = 4;

/// Bytes that net-tools keeps of an endpoint that is not cut, of a host and of a service.
const WIDE_ENDPOINT: usize = 127;
const HOST: usize = 127;
const SERVICE: usize = 63;

/// Bytes of `PID/name`.
pub const PROGRAM: usize = 19;

/// Bytes of an SELinux context that fit, and how many of a longer one's last are shown.
const CONTEXT: usize = 49;
const CONTEXT_END: usize = 48;

/// Cells that the socket itself does not tell.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// `PID/name`.
    pub program: &'a [u8],
    pub context: &'a [u8],
}

/// Nobody was found to hold the socket.
pub const NOBODY: Holder<'static> = Holder { program: b"-", context: b"-" };

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub which: Which,
    /// Users and inodes.
    pub extend: bool,
    pub programs: bool,
    pub contexts: bool,
    pub timers: bool,
    /// Nothing is cut.
    pub wide: bool,
    /// For a terminal: control characters become dots.
    pub terminal: bool,
}

impl Layout {
    pub fn of(plan: &CompatPlan, terminal: bool) -> Self {
        Self {
            which: plan.which,
            extend: plan.extend > 0,
            programs: plan.programs,
            contexts: plan.context,
            timers: plan.timers,
            wide: plan.wide,
            terminal,
        }
    }

    /// Appends title and header of the inet sockets.
    pub fn inet_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Active Internet connections ");
        out.extend_from_slice(scope(self.which));
        out.extend_from_slice(
            b"\nProto Recv-Q Send-Q Local Address           Foreign Address         State      ",
        );
        if self.extend {
            out.extend_from_slice(b" User       Inode     ");
        }
        self.holder_head(out);
        if self.timers {
            out.extend_from_slice(b" Timer");
        }
        out.push(b'\n');
    }

    /// Appends an inet socket.
    pub fn inet(&self, out: &mut Vec<u8>, row: &SockRow, holder: Holder<'_>, names: &mut Names) {
        field(out, 5, |out| out.extend_from_slice(protocol(row.protocol, row.family)));
        out.push(b' ');
        number_right(out, row.rqueue.into(), 6);
        out.push(b' ');
        number_right(out, row.wqueue.into(), 6);
        out.push(b' ');
        field(out, 23, |out| self.endpoint(out, row, row.local, names));
        out.push(b' ');
        field(out, 23, |out| self.endpoint(out, row, row.foreign, names));
        out.push(b' ');
        field(out, 11, |out| state(out, row.protocol, row.state));
        self.owner(out, row.uid, row.inode.into(), holder, names);
        if self.timers {
            out.push(b' ');
            timer(out, row.protocol, row.timer);
        }
        out.push(b'\n');
    }

    /// Appends what follows the state: user and inode, program, context.
    pub fn owner(&self, out: &mut Vec<u8>, uid: u32, inode: u64, holder: Holder<'_>, names: &mut Names) {
        if self.extend {
            out.push(b' ');
            field(out, 10, |out| match names.user(uid) {
                Some(name) => self.visible(out, name),
                None => out.extend_from_slice(uid.cast_signed().to_string().as_bytes()),
            });
            out.push(b' ');
            field(out, 10, |out| number(out, inode));
        }
        self.holder(out, holder);
    }

    /// Appends title and header of the unix sockets.
    pub fn unix_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Active UNIX domain sockets ");
        out.extend_from_slice(scope(self.which));
        out.extend_from_slice(b"\nProto RefCnt Flags       Type       State         I-Node  ");
        self.holder_head(out);
        out.extend_from_slice(b" Path\n");
    }

    /// Appends a unix socket.
    pub fn unix(&self, out: &mut Vec<u8>, row: &UnixLine<'_>, holder: Holder<'_>) {
        field(out, 5, |out| out.extend_from_slice(if row.protocol == 0 { b"unix" } else { b"??" }));
        out.push(b' ');
        field(out, 6, |out| out.extend_from_slice(row.refcount.cast_signed().to_string().as_bytes()));
        out.push(b' ');
        field(out, 11, |out| unix_flags(out, row.flags));
        out.push(b' ');
        field(out, 10, |out| out.extend_from_slice(unix_kind(row.kind)));
        out.push(b' ');
        field(out, 13, |out| out.extend_from_slice(unix_state(row)));
        out.push(b' ');
        field(out, 8, |out| number(out, row.inode));
        self.holder(out, holder);
        out.push(b' ');
        self.visible(out, row.path);
        out.push(b'\n');
    }

    fn holder_head(&self, out: &mut Vec<u8>) {
        if self.programs {
            out.extend_from_slice(b" PID/Program name    ");
        }
        if self.contexts {
            field(out, 50, |out| out.extend_from_slice(b" Security Context"));
        }
    }

    fn holder(&self, out: &mut Vec<u8>, holder: Holder<'_>) {
        if self.programs {
            out.push(b' ');
            field(out, 20, |out| self.visible(out, holder.program));
        }
        if self.contexts {
            let context = holder.context;
            let end = if context.len() > CONTEXT {
                context.get(context.len() - CONTEXT_END..).unwrap_or(context)
            } else {
                context
            };
            out.push(b' ');
            field(out, 50, |out| self.visible(out, end));
        }
    }

    /// `host:port`, cut when it is long: the port to 18 bytes, the host to what is left of 22.
    fn endpoint(&self, out: &mut Vec<u8>, row: &SockRow, end: Endpoint, names: &mut Names) {
        let start = out.len();
        self.host(out, end.addr, names);
        out.truncate(start + HOST);
        let mut digits = [0; 5];
        let port = match names.port(row.protocol, end.port) {
            _ if end.port == 0 => b"*",
            Some(name) => name.get(..SERVICE).unwrap_or(name),
            None => decimal(&mut digits, end.port),
        };
        if self.wide || out.len() - start + port.len() <= ENDPOINT {
            out.push(b':');
            out.extend_from_slice(port);
            out.truncate(start + WIDE_ENDPOINT);
        } else {
            let port = port.get(..ENDPOINT - ADDRESS).unwrap_or(port);
            out.truncate(start + ENDPOINT - port.len());
            out.push(b':');
            out.extend_from_slice(port);
        }
        if self.terminal {
            dots(out.get_mut(start..).unwrap_or_default());
        }
    }

    /// A host by name or as a number: an IPv4-mapped address is shown as the IPv4 address it stands for, and the unspecified
    /// IPv6 address has brackets where names are wanted.
    pub fn host(&self, out: &mut Vec<u8>, addr: IpAddr, names: &mut Names) {
        let by_name = names.wants_hosts();
        match names.host(addr) {
            Some(name) => out.extend_from_slice(name),
            None if by_name && addr == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => out.extend_from_slice(b"[::]"),
            None => text::address(out, addr.to_canonical()),
        }
    }

    /// A whole line, the same way.
    pub fn visible_line(&self, out: &mut Vec<u8>, line: &[u8]) {
        let (text, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
        self.visible(out, text);
        out.extend_from_slice(end);
    }

    /// Bytes of somebody else as they are, or for a terminal without control characters.
    pub fn visible(&self, out: &mut Vec<u8>, bytes: &[u8]) {
        let start = out.len();
        out.extend_from_slice(bytes);
        if self.terminal {
            dots(out.get_mut(start..).unwrap_or_default());
        }
    }
}

/// Makes dots of every control character, those beyond ASCII included, and of what is no UTF-8: byte by byte, so that
/// widths stay.
fn dots(bytes: &mut [u8]) {
    let mut hidden = Vec::new();
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                hidden.push(at..at + character.len_utf8());
            }
            at += character.len_utf8();
        }
        hidden.push(at..at + chunk.invalid().len());
        at += chunk.invalid().len();
    }
    for range in hidden {
        bytes.get_mut(range).unwrap_or_default().fill(b'.');
    }
}

/// A field of at least `width` bytes, as printf pads it.
pub fn field(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    out.resize(out.len().max(start + width), b' ');
}

fn decimal(digits: &mut [u8; 5], port: u16) -> &[u8] {
    let mut rest = port;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    digits.get(digits.len() - used..).unwrap_or_default()
}

/// `__SO_ACCEPTCON`, `__SO_WAITDATA` and `__SO_NOSPACE` (include/linux/net.h).
const ACCEPTCON: u64 = 1 << 16;
const WAITDATA: u64 = 1 << 17;
const NOSPACE: u64 = 1 << 18;

/// Whether net-tools takes it for a listening one.
pub fn listens(row: &UnixLine<'_>) -> bool {
    row.state == 1 && row.flags & ACCEPTCON != 0
}

fn unix_flags(out: &mut Vec<u8>, flags: u64) {
    out.extend_from_slice(b"[ ");
    for (bit, name) in [(ACCEPTCON, b"ACC ".as_slice()), (WAITDATA, b"W "), (NOSPACE, b"N ")] {
        if flags & bit != 0 {
            out.extend_from_slice(name);
        }
    }
    out.push(b']');
}

fn unix_kind(kind: u32) -> &'static [u8] {
    match kind {
        1 => b"STREAM",
        2 => b"DGRAM",
        3 => b"RAW",
        4 => b"RDM",
        5 => b"SEQPACKET",
        _ => b"UNKNOWN",
    }
}

fn unix_state(row: &UnixLine<'_>) -> &'static [u8] {
    match row.state {
        0 => b"FREE",
        1 if row.flags & ACCEPTCON != 0 => b"LISTENING",
        1 => b"",
        2 => b"CONNECTING",
        3 => b"CONNECTED",
        4 => b"DISCONNECTING",
        _ => b"UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Protocol, TcpState, Timer, TimerKind};

    fn endpoint(layout: &Layout, addr: &str, port: u16) -> String {
        let end = Endpoint { addr: addr.parse().unwrap(), port };
        let row = SockRow {
            protocol: Protocol::Tcp,
            family: Family::V6,
            state: TcpState::Established,
            local: end,
            foreign: end,
            bound_if: 0,
            cookie: None,
            netns: 0,
            uid: 0,
            inode: 0,
            rqueue: 0,
            wqueue: 0,
            timer: Timer { kind: TimerKind::Off, expires_ms: 0, retransmits: 0, probes: 0 },
            drops: None,
            v6only: None,
            cgroup: None,
            totals: None,
        };
        let mut out = Vec::new();
        layout.endpoint(&mut out, &row, end, &mut Names::none());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn long_addresses_are_cut_as_the_original_does() {
        let cut = Layout::of(&CompatPlan::default(), false);
        let wide = Layout { wide: true, ..cut };
        let long = "2001:db8:1234:5678:9abc:def0:1234:5678";
        assert_eq!(endpoint(&cut, long, 443), "2001:db8:1234:5678::443");
        assert_eq!(endpoint(&wide, long, 443), format!("{long}:443"));
        assert_eq!(endpoint(&cut, "fe80::fc:ff:fe00:1", 19003), "fe80::fc:ff:fe00::19003");
        assert_eq!(endpoint(&cut, "::ffff:127.0.0.1", 0), "127.0.0.1:*");
        assert_eq!(endpoint(&cut, "255.255.255.255", 65535), "255.255.255.255:65535");
    }

    #[test]
    fn terminals_get_dots_for_control_characters() {
        let layout = Layout::of(&CompatPlan::default(), true);
        let mut out = Vec::new();
        layout.visible(&mut out, b"a\x1b[31m\xff\xc2\x9bz\xc3\xa9\n");
        assert_eq!(out, b"a.[31m...z\xc3\xa9.");
        out.clear();
        Layout { terminal: false, ..layout }.visible(&mut out, b"a\x1b\xff");
        assert_eq!(out, b"a\x1b\xff");
    }
}
