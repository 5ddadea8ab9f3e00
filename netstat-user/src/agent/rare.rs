//! The radio and packet networks, line by line as net-tools 2.10 reads and writes them. For `--compat`, and for
//! the program's own listing, which has nothing better to say of them.

use crate::model::Circuit;
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
    /// `None`: the line cannot be read.
    read: for<'a> fn(&'a [u8]) -> Option<Circuit<'a>>,
    /// Appends the row of a socket.
    write: fn(&mut Vec<u8>, &Circuit<'_>),
    /// Without `-a`, sockets without a channel are left out.
    channels: bool,
}

impl Network {
    /// The socket of a line, unless it is one that only `all` shows.
    ///
    /// # Errors
    /// What net-tools says on standard output of a line that it cannot read.
    pub fn circuit<'a>(&self, line: &'a [u8], all: bool) -> Result<Option<Circuit<'a>>, String> {
        match (self.read)(line) {
            Some(circuit) if self.channels && !all && circuit.channel == Some(0) => Ok(None),
            Some(circuit) => Ok(Some(circuit)),
            None => {
                let initial = if self.file == "ax25" { 'p' } else { 'P' };
                Err(format!("{initial}{PROBLEM}{}", self.file))
            }
        }
    }

    /// Appends the row of a line, or the complaint about it.
    pub fn line(&self, out: &mut Vec<u8>, line: &[u8], all: bool) {
        match self.circuit(line, all) {
            Ok(Some(circuit)) => (self.write)(out, &circuit),
            Ok(None) => {}
            Err(problem) => out.extend_from_slice(format!("{problem}\n").as_bytes()),
        }
    }
}

pub const AX25: Network = Network {
    file: "ax25",
    name: "AF AX25",
    head: "Active AX.25 sockets\nDest       Source     Device  State        Vr/Vs    Send-Q  Recv-Q\n",
    heading: false,
    read: ax25,
    write: frames,
    channels: false,
};

pub const X25: Network = Network {
    file: "x25",
    name: "AF X25",
    head: "Active X.25 sockets\nDest         Source          Device  LCI  State        Vr/Vs  Send-Q  Recv-Q\n",
    heading: true,
    read: x25,
    write: write_x25,
    channels: true,
};

pub const NETROM: Network = Network {
    file: "nr",
    name: "AF NETROM",
    head: "Active NET/ROM sockets\nUser       Dest       Source     Device  State        Vr/Vs    Send-Q  Recv-Q\n",
    heading: true,
    read: netrom,
    write: frames,
    channels: false,
};

pub const ROSE: Network = Network {
    file: "rose",
    name: "AF ROSE",
    head: "Active ROSE sockets\ndest_addr   dest_call  src_addr    src_call  dev   lci neigh   state\n",
    heading: true,
    read: rose,
    write: write_rose,
    channels: false,
};

const AX25_STATES: [&str; 5] = ["LISTENING", "SABM SENT", "DISC SENT", "ESTABLISHED", "RECOVERY"];
const X25_STATES: [&str; 5] = ["LISTENING", "SABM_SENT", "DISC_SENT", "ESTABLISHED", "RECOVERY"];
const CIRCUIT_STATES: [&str; 4] = ["LISTENING", "CONN SENT", "DISC SENT", "ESTABLISHED"];

/// The original reads beyond its table for a state it does not know.
fn state(states: &[&'static str], number: i64) -> (i64, &'static str) {
    (number, usize::try_from(number).ok().and_then(|at| states.get(at)).copied().unwrap_or_default())
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
fn ax25(line: &[u8]) -> Option<Circuit<'_>> {
    let mut parts = line.splitn(5, |&byte| byte == b' ');
    let (_, device, source, to) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let destination = to.split(|&byte| byte == b',').next().unwrap_or_default();
    let mut rest = Scan(parts.next()?);
    let (st, vs, vr) = (decimal(&mut rest)?, decimal(&mut rest)?, decimal(&mut rest)?);
    let mut queues = None;
    if (0..14).try_for_each(|_| rest.number(10).map(drop)).is_some()
        && let Some(waiting) = decimal(&mut rest)
    {
        queues = Some((waiting, decimal(&mut rest)?));
    }
    Some(Circuit {
        destination,
        source,
        device,
        state: state(&AX25_STATES, st),
        sequence: Some((vs, vr)),
        queues,
        ..Circuit::default()
    })
}

/// Columns of ten bytes, then the device and numbers.
fn netrom(line: &[u8]) -> Option<Circuit<'_>> {
    let mut rest = Scan(line.get(30..)?);
    let device = rest.word();
    // my/their circuit, twice
    skip(&mut rest, 2)?;
    let (st, vs, vr) = (decimal(&mut rest)?, decimal(&mut rest)?, decimal(&mut rest)?);
    // va, five timers with their limits, the window
    skip(&mut rest, 7)?;
    let (send, receive) = (decimal(&mut rest)?, decimal(&mut rest)?);
    let column = |at: usize| until_nul(line.get(at..at + 9).unwrap_or_default());
    Some(Circuit {
        user: Some(column(0)),
        destination: column(10),
        source: column(20),
        device,
        state: state(&CIRCUIT_STATES, st),
        sequence: Some((vs, vr)),
        queues: Some((send, receive)),
        ..Circuit::default()
    })
}

/// As AX.25 and NET/ROM are shown.
fn frames(out: &mut Vec<u8>, circuit: &Circuit<'_>) {
    let Circuit { user, destination, source, device, state: (_, state), .. } = *circuit;
    if let Some(user) = user {
        texts(out, &[(user, 9, "  ")]);
    }
    texts(out, &[(destination, 9, "  "), (source, 9, "  "), (device, 6, "  "), (state.as_bytes(), 11, "  ")]);
    let (vs, vr) = circuit.sequence.unwrap_or_default();
    let (send, receive) = circuit.queues.unwrap_or_default();
    out.extend_from_slice(format!("{vr:03}/{vs:03}  {send:<6}  {receive:<6}\n").as_bytes());
}

/// Five words and three numbers.
fn rose(line: &[u8]) -> Option<Circuit<'_>> {
    let mut rest = Scan(line);
    let [destination, to, source, from, device] = words(&mut rest)?;
    let (channel, neighbour, st) = (decimal(&mut rest)?, decimal(&mut rest)?, decimal(&mut rest)?);
    Some(Circuit {
        destination,
        source,
        calls: Some((to, from)),
        device,
        state: state(&CIRCUIT_STATES, st),
        channel: Some(channel),
        neighbour: Some(neighbour),
        ..Circuit::default()
    })
}

/// The original overwrites addresses of ten digits with each other; here they are whole.
fn write_rose(out: &mut Vec<u8>, circuit: &Circuit<'_>) {
    let Circuit { destination, source, device, state: (_, state), .. } = *circuit;
    let (to, from) = circuit.calls.unwrap_or_default();
    texts(out, &[(destination, 10, "  "), (to, 9, "  "), (source, 10, "  "), (from, 9, " ")]);
    texts(out, &[(device, 5, " ")]);
    let (channel, neighbour) = (circuit.channel.unwrap_or(0), circuit.neighbour.unwrap_or(0));
    out.extend_from_slice(format!("{channel:3} {neighbour:5}   {state}\n").as_bytes());
}

/// Two columns of ten bytes, then the device and numbers. A line that breaks off has zeros.
fn x25(line: &[u8]) -> Option<Circuit<'_>> {
    let mut rest = Scan(line.get(22..).unwrap_or_default());
    let device = rest.word();
    let mut next = || decimal(&mut rest).unwrap_or(0);
    let (channel, st, vs, vr) = (next(), next(), next(), next());
    for _ in 0..6 {
        next();
    }
    let queues = Some((next(), next()));
    let column = |from: usize, to: usize| until_nul(line.get(from..to).unwrap_or_default());
    Some(Circuit {
        destination: column(0, 10),
        source: column(11, 20),
        device,
        state: state(&X25_STATES, st),
        channel: Some(channel),
        sequence: Some((vs, vr)),
        queues,
        ..Circuit::default()
    })
}

fn write_x25(out: &mut Vec<u8>, circuit: &Circuit<'_>) {
    let Circuit { destination, source, device, state: (_, state), .. } = *circuit;
    texts(out, &[(destination, 15, " "), (source, 15, " "), (device, 7, " ")]);
    out.extend_from_slice(format!("{:<3}  ", circuit.channel.unwrap_or(0)).as_bytes());
    texts(out, &[(state.as_bytes(), 11, "  ")]);
    let (vs, vr) = circuit.sequence.unwrap_or_default();
    let (send, receive) = circuit.queues.unwrap_or_default();
    out.extend_from_slice(format!("{vr:02}/{vs:02}  {send:<6}  {receive:<6}\n").as_bytes());
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
