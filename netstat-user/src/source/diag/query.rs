//! What is asked of sock_diag, as the kernel takes it.

use super::wire::{ATTR_INFO, ATTR_SKMEMINFO, REQ_BYTECODE, RawRequest, RawSockId};
use crate::model::{Endpoint, Family, Protocol, Question, SockRow, States, octets};
use std::net::IpAddr;

/// A listing: every socket of one protocol and family that is in one of these states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub protocol: Protocol,
    pub family: Family,
    /// UDP and raw sockets are in state 1 (connected) or 7 (not).
    pub states: States,
    /// Also the counters of each TCP connection (`tcp_info`), and with them both counters of its timer.
    pub totals: bool,
}

/// What a listing asks for beside its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct More<'a> {
    /// Attributes of each row, a bit each: `1 << (type - 1)` for the types 1 to 8.
    pub extensions: u8,
    /// Code that chooses rows (`INET_DIAG_REQ_BYTECODE`); empty: all of them.
    pub code: &'a [u8],
}

/// The code as an attribute.
pub fn code(more: More<'_>) -> Vec<u8> {
    // More than 65535 bytes cannot be sent: the rows are looked at by us alone.
    match u16::try_from(more.code.len() + 4) {
        Ok(length) if !more.code.is_empty() => {
            let mut attribute = length.to_ne_bytes().to_vec();
            attribute.extend_from_slice(&REQ_BYTECODE.to_ne_bytes());
            attribute.extend_from_slice(more.code);
            attribute.resize(attribute.len().next_multiple_of(4), 0);
            attribute
        }
        _ => Vec::new(),
    }
}

/// `INET_DIAG_NOCOOKIE`, both halves.
const NO_COOKIE: [u32; 2] = [u32::MAX; 2];

/// The request for a listing.
pub fn dump(request: &Request, more: More<'_>) -> RawRequest {
    RawRequest {
        family: af(request.family),
        protocol: ip_protocol(request.protocol),
        extensions: more.extensions
            | match request.protocol {
                // The second one for what listeners have dropped.
                Protocol::Tcp if request.totals => 1 << (ATTR_INFO - 1) | 1 << (ATTR_SKMEMINFO - 1),
                Protocol::Tcp => 0,
                Protocol::Udp | Protocol::UdpLite | Protocol::Raw => 1 << (ATTR_SKMEMINFO - 1),
            },
        // Bit 13 would list sockets that are bound and nothing else, which no netstat shows.
        states: request.states.0 & States::ALL.0,
        id: RawSockId::default(),
    }
}

/// The request for one TCP socket.
pub fn point(question: &Question) -> RawRequest {
    let tuple = &question.tuple;
    RawRequest {
        family: af(tuple.family),
        protocol: ip_protocol(Protocol::Tcp),
        extensions: 0,
        states: States::ALL.0,
        id: RawSockId {
            sport: tuple.lport.to_be_bytes(),
            dport: tuple.rport.to_be_bytes(),
            src: tuple.laddr,
            dst: tuple.raddr,
            interface: tuple.bound_if,
            cookie: question.cookie.map_or(NO_COOKIE, |cookie| {
                let cookie = cookie.get();
                [cookie as u32, (cookie >> 32) as u32]
            }),
        },
    }
}

/// The request to destroy the socket of a row.
pub fn destroy(row: &SockRow) -> RawRequest {
    let cookie = row.cookie.map_or(NO_COOKIE, |cookie| [cookie.get() as u32, (cookie.get() >> 32) as u32]);
    RawRequest {
        family: af(row.family),
        protocol: ip_protocol(row.protocol),
        extensions: 0,
        states: States::ALL.0,
        id: RawSockId {
            sport: row.local.port.to_be_bytes(),
            dport: row.foreign.port.to_be_bytes(),
            src: octets(row.local.addr),
            dst: octets(row.foreign.addr),
            interface: row.bound_if,
            cookie,
        },
    }
}

/// Whether `row` is what was asked for.
///
/// The kernel answers with a listener of the local port when there is no such connection. IPv4 addresses of a
/// dual-stack socket are mapped ones in its row, and may be plain in the question; the kernel finds it either way.
pub fn answers(row: &SockRow, question: &Question) -> bool {
    question.cookie.is_none_or(|cookie| row.cookie == Some(cookie))
        && same(row.local, question.tuple.local())
        && same(row.foreign, question.tuple.foreign())
}

/// Whether the question is about a listener: nobody is at the other end.
pub fn is_about_listener(question: &Question) -> bool {
    question.tuple.rport == 0 && question.tuple.foreign().addr.is_unspecified()
}

fn same(one: Endpoint, other: Endpoint) -> bool {
    one.port == other.port && unmapped(one.addr) == unmapped(other.addr)
}

fn unmapped(addr: IpAddr) -> IpAddr {
    addr.to_canonical()
}

/// `AF_INET`, `AF_INET6`.
const fn af(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// `IPPROTO_*`. Raw sockets of every protocol are listed under `IPPROTO_RAW`.
const fn ip_protocol(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::UdpLite => 136,
        Protocol::Raw => 255,
    }
}
