//! The radio and packet networks, line by line as net-tools 2.10 reads and writes them. For `--compat`, and for
//! the program's own listing, which has nothing better to say of them.

use crate::render::compat::field;
use crate::source::procfs::scanned::{Scan, words};

/// Why a table of a network is not as it should be; on standard output, with the file behind it.
const PROBLEM: &str = "roblem reading data from /proc/net/";

/// A family whose table is shown: title and header, then its lines.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Below /proc/net.
    pub file: &'static str,
    /// In messages.
    pub name: &'static str,
    pub head: &'static str,
    /// The first line is a heading.
    pub heading: bool,
    /// Appends the row of a line; `all`: `-a`. `None` when it cannot be read.
    pub row: fn(&mut Vec<u8>, &[u8], bool) -> Option<()>,
}

impl Network {
    /// Appends the row of a line, or the complaint about it.
    pub fn line(&self, out: &mut Vec<u8>, line: &[u8], all: bool) {
        let start = out.len();
        if (self.row)(out, line, all).is_none() {
            out.truncate(start);
            let initial = if self.file == "ax25" { 'p' } else { 'P' };
            out.extend_from_slice(format!("{initial}{PROBLEM}{}\n", self.file).as_bytes());
        }
    }
}

pub const AX25: Network = Network {
    file: "ax25",
    name: "AF AX25",
    head: "Active AX.25 sockets\nDest       Source     Device  State        Vr/Vs    Send-Q  Recv-Q\n",
    heading: false,
    row: ax25,
};

pub const X25: Network = Network {
    file: "x25",
    name: "AF X25",
    head: "Active X.25 sockets\nDest         Source          Device  LCI  State        Vr/Vs  Send-Q  Recv-Q\n",
    heading: true,
    row: x25,
};

pub const NETROM: Network = Network {
    file: "nr",
    name: "AF NETROM",
    head: "Active NET/ROM sockets\nUser       Dest       Source     Device  State        Vr/Vs    Send-Q  Recv-Q\n",
    heading: true,
    row: netrom,
};

pub const ROSE: Network = Network {
    file: "rose",
    name: "AF ROSE",
    head: "Active ROSE sockets\ndest_addr   dest_call  src_addr    src_call  dev   lci neigh   state\n",
    heading: true,
    row: rose,
};

const AX25_STATES: [&str; 5] = ["LISTENING", "SABM SENT", "DISC SENT", "ESTABLISHED", "RECOVERY"];
const X25_STATES: [&str; 5] = ["LISTENING", "SABM_SENT", "DISC_SENT", "ESTABLISHED", "RECOVERY"];
const CIRCUIT_STATES: [&str; 4] = ["LISTENING", "CONN SENT", "DISC SENT", "ESTABLISHED"];

/// The original reads beyond its table for a state it does not know.
fn state(states: &[&'static str], number: i64) -> &'static str {
    usize::try_from(number).ok().and_then(|at| states.get(at)).copied().unwrap_or_default()
}

fn decimal(rest: &mut Scan<'_>) -> Option<i64> {
    // `%d` keeps the low half.
    rest.number(10).map(|number| i64::from(number as i32))
}

/// Skips the rest of a word of numbers with slashes between.
fn skip(rest: &mut Scan<'_>, words: usize) -> Option<()> {
    (0..words).try_for_each(|_| (!rest.word().is_empty()).then_some(()))
}

fn texts(out: &mut Vec<u8>, cells: &[(&[u8], usize, &str)]) {
    for &(text, width, gap) in cells {
        field(out, width, |out| out.extend_from_slice(text));
        out.extend_from_slice(gap.as_bytes());
    }
}

/// `pointer device source destination,digipeaters state vs vr ... sendq recvq inode`; queues are `*` without a socket.
fn ax25(out: &mut Vec<u8>, line: &[u8], _all: bool) -> Option<()> {
    let mut parts = line.splitn(5, |&byte| byte == b' ');
    let (_, device, source, to) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let to = to.split(|&byte| byte == b',').next().unwrap_or_default();
    let mut rest = Scan(parts.next()?);
    let (st, vs, vr) = (decimal(&mut rest)?, decimal(&mut rest)?, decimal(&mut rest)?);
    let queues = (0..14).try_for_each(|_| rest.number(10).map(drop));
    let (mut send, mut receive) = (0, 0);
    if queues.is_some()
        && let Some(waiting) = decimal(&mut rest)
    {
        send = waiting;
        receive = decimal(&mut rest)?;
    }
    texts(out, &[(to, 9, "  "), (source, 9, "  "), (device, 6, "  ")]);
    texts(out, &[(state(&AX25_STATES, st).as_bytes(), 11, "  ")]);
    out.extend_from_slice(format!("{vr:03}/{vs:03}  {send:<6}  {receive:<6}\n").as_bytes());
    Some(())
}

/// Columns of ten bytes, then the device and numbers.
fn netrom(out: &mut Vec<u8>, line: &[u8], _all: bool) -> Option<()> {
    let mut rest = Scan(line.get(30..)?);
    let device = rest.word();
    // my/their circuit, twice
    skip(&mut rest, 2)?;
    let (st, vs, vr) = (decimal(&mut rest)?, decimal(&mut rest)?, decimal(&mut rest)?);
    // va, five timers with their limits, the window
    skip(&mut rest, 7)?;
    let (send, receive) = (decimal(&mut rest)?, decimal(&mut rest)?);
    let column = |at: usize| until_nul(line.get(at..at + 9).unwrap_or_default());
    texts(out, &[(column(0), 9, "  "), (column(10), 9, "  "), (column(20), 9, "  "), (device, 6, "  ")]);
    texts(out, &[(state(&CIRCUIT_STATES, st).as_bytes(), 11, "  ")]);
    out.extend_from_slice(format!("{vr:03}/{vs:03}  {send:<6}  {receive:<6}\n").as_bytes());
    Some(())
}

/// Five words and three numbers. The original overwrites addresses of ten digits with each other; here they are whole.
fn rose(out: &mut Vec<u8>, line: &[u8], _all: bool) -> Option<()> {
    let mut rest = Scan(line);
    let [to, to_call, from, from_call, device] = words(&mut rest)?;
    let (lci, neighbour, st) = (decimal(&mut rest)?, decimal(&mut rest)?, decimal(&mut rest)?);
    texts(
        out,
        &[(to, 10, "  "), (to_call, 9, "  "), (from, 10, "  "), (from_call, 9, " "), (device, 5, " ")],
    );
    let state = state(&CIRCUIT_STATES, st);
    out.extend_from_slice(format!("{lci:3} {neighbour:5}   {state}\n").as_bytes());
    Some(())
}

/// Two columns of ten bytes, then the device and numbers. A line that breaks off has zeros.
fn x25(out: &mut Vec<u8>, line: &[u8], all: bool) -> Option<()> {
    let mut rest = Scan(line.get(22..).unwrap_or_default());
    let device = rest.word();
    let mut next = || decimal(&mut rest).unwrap_or(0);
    let (lci, st, vs, vr) = (next(), next(), next(), next());
    for _ in 0..6 {
        next();
    }
    let (send, receive) = (next(), next());
    if !all && lci == 0 {
        return Some(());
    }
    let column = |from: usize, to: usize| until_nul(line.get(from..to).unwrap_or_default());
    texts(out, &[(column(0, 10), 15, " "), (column(11, 20), 15, " "), (device, 7, " ")]);
    out.extend_from_slice(format!("{lci:<3}  ").as_bytes());
    texts(out, &[(state(&X25_STATES, st).as_bytes(), 11, "  ")]);
    out.extend_from_slice(format!("{vr:02}/{vs:02}  {send:<6}  {receive:<6}\n").as_bytes());
    Some(())
}

fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_line_is_read_or_complained_about(line: Vec<u8>, all: bool) {
            let mut out = Vec::new();
            for network in [AX25, X25, NETROM, ROSE] {
                network.line(&mut out, &line, all);
            }
        }
    }
}
