//! The kernel's own answer: a second, small sock_diag client, so that the listing under test is not its own judge.

use crate::sys::checked;
use anyhow::{Context, Result, bail, ensure};
use netstat_common::TcpState;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// One TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub cookie: u64,
    pub state: TcpState,
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

/// Every TCP socket of the calling thread's network namespace, TIME_WAIT and SYN_RECV included.
///
/// # Errors
/// The kernel refuses, or a reply is not understood.
pub fn tcp() -> Result<Vec<Row>> {
    let mut rows = dump(libc::AF_INET as u8)?;
    rows.extend(dump(libc::AF_INET6 as u8)?);
    Ok(rows)
}

const REQUEST: usize = 16 + 56;
const REPLY: usize = 72;

fn dump(family: u8) -> Result<Vec<Row>> {
    // SAFETY: no pointer is passed.
    let fd = unsafe {
        libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_SOCK_DIAG)
    };
    let fd = checked(fd)?;
    // SAFETY: the kernel just gave us this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // struct nlmsghdr, struct inet_diag_req_v2 (include/uapi/linux/inet_diag.h).
    let mut request = [0u8; REQUEST];
    request[..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&20u16.to_ne_bytes()); // SOCK_DIAG_BY_FAMILY
    request[6..8].copy_from_slice(&0x301u16.to_ne_bytes()); // NLM_F_REQUEST | NLM_F_DUMP
    request[16] = family;
    request[17] = libc::IPPROTO_TCP as u8;
    request[20..24].copy_from_slice(&0xfffu32.to_ne_bytes());
    let (pointer, length) = (request.as_ptr().cast(), request.len());
    // SAFETY: the pointer is to `length` readable bytes.
    let sent = unsafe { libc::send(socket.as_raw_fd(), pointer, length, 0) };
    ensure!(sent == REQUEST as isize, "sock_diag request: {}", std::io::Error::last_os_error());
    let mut rows = Vec::new();
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let (pointer, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the pointer is to `length` writable bytes.
        let got = unsafe { libc::recv(socket.as_raw_fd(), pointer, length, 0) };
        if got < 0 {
            return Err(std::io::Error::last_os_error()).context("sock_diag reply");
        }
        let got = got.unsigned_abs();
        if messages(&buffer[..got], &mut rows)? {
            return Ok(rows);
        }
    }
}

/// Reads the messages of one datagram; true at the end of the dump.
fn messages(mut rest: &[u8], rows: &mut Vec<Row>) -> Result<bool> {
    while rest.len() >= 16 {
        let length = u32::from_ne_bytes(rest[..4].try_into()?) as usize;
        let kind = u16::from_ne_bytes(rest[4..6].try_into()?);
        ensure!((16..=rest.len()).contains(&length), "a message of {length} bytes");
        match kind {
            3 => return Ok(true),
            2 => bail!("sock_diag: error {:?}", rest.get(16..20)),
            20 => rows.push(row(&rest[16..length])?),
            other => bail!("sock_diag: message of type {other}"),
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// struct inet_diag_msg.
fn row(message: &[u8]) -> Result<Row> {
    let message: &[u8; REPLY] = message.get(..REPLY).context("a short message")?.try_into()?;
    let port = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let address = |at: usize| -> Result<IpAddr> {
        if i32::from(message[0]) == libc::AF_INET {
            return Ok(Ipv4Addr::from(<[u8; 4]>::try_from(&message[at..at + 4])?).into());
        }
        Ok(Ipv6Addr::from(<[u8; 16]>::try_from(&message[at..at + 16])?).into())
    };
    let word =
        |at: usize| u32::from_ne_bytes([message[at], message[at + 1], message[at + 2], message[at + 3]]);
    Ok(Row {
        cookie: u64::from(word(44)) | u64::from(word(48)) << 32,
        state: TcpState::try_from(message[1]).map_err(|unknown| anyhow::anyhow!("{unknown}"))?,
        local: (address(8)?, port(4)).into(),
        peer: (address(24)?, port(6)).into(),
    })
}

/// Where two listings of the same moment differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The kernel has it, the table does not.
    Missing(Row),
    /// The table has it, the kernel does not.
    Extra(Row),
    /// Both have the socket.
    Unequal { table: Row, kernel: Row },
    /// The table has the socket twice.
    Doubled(Row),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show =
            |row: &Row| format!("{} {} -> {} (cookie {})", row.state.name(), row.local, row.peer, row.cookie);
        match self {
            Self::Missing(row) => write!(f, "missing: {}", show(row)),
            Self::Extra(row) => write!(f, "extra: {}", show(row)),
            Self::Doubled(row) => write!(f, "doubled: {}", show(row)),
            Self::Unequal { table, kernel } => write!(f, "table: {}, kernel: {}", show(table), show(kernel)),
        }
    }
}

/// Compares by cookie. Where the table has none (0), by addresses and state.
pub fn compare(table: &[Row], kernel: &[Row]) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut left: BTreeMap<u64, Row> = kernel.iter().map(|row| (row.cookie, *row)).collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut unnamed = Vec::new();
    for &row in table {
        if row.cookie == 0 {
            unnamed.push(row);
            continue;
        }
        if !seen.insert(row.cookie) {
            differences.push(Difference::Doubled(row));
            continue;
        }
        match left.remove(&row.cookie) {
            Some(other) if other == row => {}
            // The port is chosen after the step to SYN_SENT was told, and nothing is told of it until the next step.
            Some(other)
                if row.state == TcpState::SynSent && row.local.port() == 0 && without_port(other) == row => {}
            Some(other) => differences.push(Difference::Unequal { table: row, kernel: other }),
            None => differences.push(Difference::Extra(row)),
        }
    }
    let mut left: Vec<Row> = left.into_values().collect();
    for row in unnamed {
        let place = |row: Row| (row.state, row.local, row.peer);
        let portless = row.state == TcpState::SynSent && row.local.port() == 0;
        let same = |&other: &Row| {
            place(row) == place(other) || (portless && place(row) == place(without_port(other)))
        };
        match left.iter().position(same) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => differences.push(Difference::Extra(row)),
        }
    }
    differences.extend(left.into_iter().map(Difference::Missing));
    differences
}

fn without_port(mut row: Row) -> Row {
    row.local.set_port(0);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic;
    use std::net::{TcpListener, TcpStream};

    fn of(rows: &[Row], cookie: u64) -> Option<TcpState> {
        rows.iter().find(|row| row.cookie == cookie).map(|row| row.state)
    }

    #[test]
    fn own_sockets_are_listed_in_every_state() -> Result<()> {
        use std::os::fd::AsFd;
        for v6 in [false, true] {
            let listener: TcpListener = traffic::listener(v6)?;
            let pair = traffic::pair_through(&listener)?;
            let (client, server) = pair.cookies()?;
            let half = traffic::HalfOpen::new(v6, 30)?;
            let rows = tcp()?;
            assert_eq!(of(&rows, crate::sys::cookie(listener.as_fd())?), Some(TcpState::Listen));
            assert_eq!(
                (of(&rows, client), of(&rows, server)),
                (Some(TcpState::Established), Some(TcpState::Established))
            );
            let addr = half.listener.local_addr()?;
            let waiting = rows.iter().find(|row| row.local == addr && row.state == TcpState::SynRecv);
            assert_eq!(waiting.map(|row| row.peer), Some(TcpStream::local_addr(&half.client)?));
            pair.close_server_first()?;
            let rows = tcp()?;
            assert_eq!((of(&rows, client), of(&rows, server)), (None, Some(TcpState::TimeWait)));
        }
        Ok(())
    }

    #[test]
    fn differences_are_found() -> Result<()> {
        let row = |cookie, state| -> Result<Row> {
            Ok(Row { cookie, state, local: "127.0.0.1:1".parse()?, peer: "127.0.0.1:2".parse()? })
        };
        let one = row(1, TcpState::Established)?;
        let two = row(2, TcpState::Established)?;
        let other = row(1, TcpState::FinWait1)?;
        let unnamed = row(0, TcpState::Established)?;
        let opening = row(3, TcpState::SynSent)?;
        assert_eq!(compare(&[without_port(opening)], &[opening]), []);
        assert_eq!(compare(&[without_port(one)], &[one]).len(), 1);
        assert_eq!(compare(&[one, two], &[two, one]), []);
        assert_eq!(compare(&[one], &[one, two]), [Difference::Missing(two)]);
        assert_eq!(compare(&[one, two], &[one]), [Difference::Extra(two)]);
        assert_eq!(compare(&[one, one], &[one]), [Difference::Doubled(one)]);
        assert_eq!(compare(&[other], &[one]), [Difference::Unequal { table: other, kernel: one }]);
        assert_eq!(compare(&[unnamed, one], &[one, two]), []);
        assert_eq!(compare(&[unnamed, unnamed], &[one]), [Difference::Extra(unnamed)]);
        Ok(())
    }
}
