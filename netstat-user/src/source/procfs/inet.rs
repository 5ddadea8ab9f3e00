//! One line of /proc/net/{tcp,udp,udplite,raw} or of its IPv6 sister (`get_tcp4_sock`, `udp4_format_sock`,
//! `raw_sock_seq_show` and theirs, Linux 6.12).

use super::Fault;
use crate::model::{Endpoint, Family, Protocol, SockRow, TcpState, Timer, TimerKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Milliseconds of a clock tick of /proc: `USER_HZ` is 100 on every architecture that runs eBPF.
const TICK_MS: u64 = 10;

/// Reads one line that is not the heading.
pub fn row(line: &[u8], protocol: Protocol, family: Family, netns: u32) -> Result<SockRow, Fault<'_>> {
    let mut fields = Fields(line);
    // "sl", the row's number.
    fields.next("sl")?;
    let local = fields.endpoint("local_address", family)?;
    let foreign = fields.endpoint("rem_address", family)?;
    let state = fields.state("st")?;
    let (wqueue, rqueue) = fields.pair("tx_queue:rx_queue")?;
    let (timer, when) = fields.pair("tr:tm->when")?;
    let retransmits = fields.hex("retrnsmt")?;
    let uid = fields.decimal("uid")?;
    let probes = fields.decimal("timeout")?;
    let inode = fields.decimal("inode")?;
    let drops = match protocol {
        Protocol::Tcp => None,
        Protocol::Udp | Protocol::UdpLite | Protocol::Raw => {
            fields.next("ref")?;
            fields.next("pointer")?;
            Some(fields.decimal("drops")?)
        }
    };
    let timer = Timer {
        // Two hexadecimal digits in the file: a larger number is as unknown as 255 is.
        kind: TimerKind::from(u8::try_from(timer).unwrap_or(u8::MAX)),
        expires_ms: u32::try_from(when.saturating_mul(TICK_MS)).unwrap_or(u32::MAX),
        retransmits: narrow("retrnsmt", retransmits, line)?,
        probes: narrow("timeout", probes, line)?,
    };
    Ok(SockRow {
        protocol,
        family,
        state,
        local,
        foreign,
        bound_if: 0,
        cookie: None,
        netns,
        uid: narrow("uid", uid, line)?,
        inode: narrow("inode", inode, line)?,
        rqueue: narrow("rx_queue", rqueue, line)?,
        wqueue: narrow("tx_queue", wqueue, line)?,
        timer,
        drops,
        v6only: None,
        cgroup: None,
        totals: None,
    })
}

fn narrow<'a>(column: &'static str, value: u64, line: &'a [u8]) -> Result<u32, Fault<'a>> {
    u32::try_from(value).map_err(|_out_of_range| Fault { column, wanted: "a 32-bit number", text: line })
}

/// The rest of a line, cut at blanks. A missing column is an empty text that is not what was wanted.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn next(&mut self, column: &'static str) -> Result<&'a [u8], Fault<'a>> {
        let start = self.0.iter().position(|&byte| byte != b' ').unwrap_or(self.0.len());
        let rest = self.0.get(start..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (field, after) = rest.split_at(end);
        self.0 = after;
        if field.is_empty() {
            return Err(Fault { column, wanted: "there", text: b"" });
        }
        Ok(field)
    }

    pub fn hex(&mut self, column: &'static str) -> Result<u64, Fault<'a>> {
        let text = self.next(column)?;
        hex(text).ok_or(Fault { column, wanted: "a hexadecimal number", text })
    }

    pub fn decimal(&mut self, column: &'static str) -> Result<u64, Fault<'a>> {
        let text = self.next(column)?;
        decimal(text).ok_or(Fault { column, wanted: "a number", text })
    }

    /// Two hexadecimal numbers with a colon between.
    fn pair(&mut self, column: &'static str) -> Result<(u64, u64), Fault<'a>> {
        let text = self.next(column)?;
        split(text).and_then(|(left, right)| Some((hex(left)?, hex(right)?))).ok_or(Fault {
            column,
            wanted: "two hexadecimal numbers",
            text,
        })
    }

    fn state(&mut self, column: &'static str) -> Result<TcpState, Fault<'a>> {
        let text = self.next(column)?;
        hex(text).and_then(|code| TcpState::try_from(u8::try_from(code).ok()?).ok()).ok_or(Fault {
            column,
            wanted: "a socket state",
            text,
        })
    }

    fn endpoint(&mut self, column: &'static str, family: Family) -> Result<Endpoint, Fault<'a>> {
        let text = self.next(column)?;
        endpoint(text, family).ok_or(Fault { column, wanted: "an address and a port", text })
    }
}

/// The address is the kernel's words as numbers: each has the bytes of the wire in memory order.
fn endpoint(text: &[u8], family: Family) -> Option<Endpoint> {
    let (addr, port) = split(text)?;
    let port = u16::try_from(hex(port)?).ok()?;
    let addr = match (family, addr.len()) {
        (Family::V4, 8) => IpAddr::V4(Ipv4Addr::from(word(addr)?)),
        (Family::V6, 32) => {
            let mut bytes = [0; 16];
            for (bytes, digits) in bytes.chunks_exact_mut(4).zip(addr.chunks_exact(8)) {
                bytes.copy_from_slice(&word(digits)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(Endpoint { addr, port })
}

fn word(digits: &[u8]) -> Option<[u8; 4]> {
    Some(u32::try_from(hex(digits)?).ok()?.to_ne_bytes())
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    Some((text.get(..colon)?, text.get(colon + 1..)?))
}

/// One to 16 hexadecimal digits.
pub fn hex(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0u64, |value, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'F' => byte - b'A' + 10,
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

/// Decimal digits, as many as fit into 64 bits.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
