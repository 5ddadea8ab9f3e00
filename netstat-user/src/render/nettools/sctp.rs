//! SCTP sockets among the inet sockets: the first addresses with everything else, further ones each on a line of its own.

use super::{Extra, Layout, cell, end, user};
use crate::model::{Endpoint, SctpRow, TcpState};
use crate::names::Names;
use crate::render::text::{self, number, number_right};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Layout {
    /// Makes every column wide enough for this row.
    pub fn measure_sctp(&mut self, row: &SctpRow, extra: Extra<'_>, names: &mut Names) {
        for line in 0..lines(row) {
            for (side, width) in [(Side::Local, &mut self.local), (Side::Foreign, &mut self.foreign)] {
                self.scratch.clear();
                address(&mut self.scratch, row, side, line, names);
                *width = (*width).max(text::columns(&self.scratch));
            }
        }
        if self.columns.timers {
            self.measure_program(extra);
        }
    }

    /// Appends an SCTP socket.
    pub fn sctp(&self, out: &mut Vec<u8>, row: &SctpRow, extra: Extra<'_>, names: &mut Names) {
        for line in 0..lines(row) {
            self.place_cells(out, extra);
            if line == 0 {
                let (receive, send) = row.queues.unwrap_or_default();
                out.extend_from_slice(b"sctp  ");
                number_right(out, receive.into(), 6);
                out.push(b' ');
                number_right(out, send.into(), 6);
                out.push(b' ');
            } else {
                out.extend_from_slice(&[b' '; 20]);
            }
            cell(out, self.local, |out| address(out, row, Side::Local, line, names));
            out.push(b' ');
            cell(out, self.foreign, |out| address(out, row, Side::Foreign, line, names));
            if line == 0 {
                out.push(b' ');
                cell(out, 11, |out| state(out, row.state));
                self.owner(out, row, extra, names);
            }
            out.push(b'\n');
        }
    }

    fn owner(&self, out: &mut Vec<u8>, row: &SctpRow, extra: Extra<'_>, names: &mut Names) {
        if self.columns.extend {
            out.push(b' ');
            cell(out, self.user, |out| user(out, row.uid, names));
            out.push(b' ');
            cell(out, 10, |out| number(out, row.inode));
        }
        self.program_cell(out, extra);
        if self.columns.timers {
            // The kernel does not list the timers of SCTP.
            out.extend_from_slice(b" -");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Local,
    Foreign,
}

fn lines(row: &SctpRow) -> usize {
    row.local.len().max(row.foreign.len()).max(1)
}

/// One address, the first of a side with the port. An endpoint has no foreign side: any address, as for other sockets.
fn address(out: &mut Vec<u8>, row: &SctpRow, side: Side, line: usize, names: &mut Names) {
    let (addrs, port) = match side {
        Side::Local => (&row.local, row.ports.0),
        Side::Foreign => (&row.foreign, row.ports.1),
    };
    let any: IpAddr = match row.local.first() {
        Some(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        Some(IpAddr::V4(_)) | None => Ipv4Addr::UNSPECIFIED.into(),
    };
    let Some(addr) = addrs.get(line).copied().or((line == 0).then_some(any)) else { return };
    let start = out.len();
    end(out, None, Endpoint { addr, port }, names);
    if line > 0 {
        // A port is told once: what was written of it is taken back.
        let colon = out.iter().rposition(|&byte| byte == b':').unwrap_or(start);
        out.truncate(colon.max(start));
    }
}

fn state(out: &mut Vec<u8>, number: i64) {
    match u8::try_from(number).ok().and_then(|code| TcpState::try_from(code).ok()) {
        Some(state) => out.extend_from_slice(state.name().as_bytes()),
        None => out.extend_from_slice(format!("UNKNOWN({number})").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::nettools::Columns;
    use crate::source::procfs::sctp;

    #[test]
    fn further_addresses_have_lines_of_their_own() {
        let line = b"a b 0 1 3 0 7 5 16 0 77 80 40000 *10.0.0.1 10.0.0.2 <-> *2001:db8:1234:5678:9abc:def0:1234:5678 \t 1";
        let row = sctp::association(line).unwrap();
        let mut layout = Layout::new(Columns::default());
        let mut names = Names::none();
        layout.measure_sctp(&row, Extra::default(), &mut names);
        let mut out = Vec::new();
        layout.sctp(&mut out, &row, Extra::default(), &mut names);
        let lines: Vec<String> =
            String::from_utf8(out).unwrap().lines().map(|line| line.trim_end().to_owned()).collect();
        let long = "2001:db8:1234:5678:9abc:def0:1234:5678:40000";
        let first = format!("sctp      16      5 10.0.0.1:80             {long} ESTABLISHED");
        assert_eq!(lines, [first, "                    10.0.0.2".to_owned()]);
    }

    #[test]
    fn an_endpoint_has_any_foreign_address() {
        let row = sctp::endpoint(b"a b 2 10 29 80 0 4242 0.0.0.0 ").unwrap();
        let mut out = Vec::new();
        Layout::new(Columns::default()).sctp(&mut out, &row, Extra::default(), &mut Names::none());
        let expected = "sctp       0      0 0.0.0.0:80              0.0.0.0:*               LISTEN     \n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
