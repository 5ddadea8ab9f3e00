//! What is asked of sock_diag, as the kernel takes it.

use super::wire::{ATTR_INFO, ATTR_SKMEMINFO, RawRequest, RawSockId};
use crate::model::{Endpoint, Family, Protocol, Question, SockRow, States};
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

/// `INET_DIAG_NOCOOKIE`, both halves.
const NO_COOKIE: [u32; 2] = [u32::MAX; 2];

/// The request for a listing.
pub fn dump(request: &Request) -> RawRequest {
    RawRequest {
        family: af(request.family),
        protocol: ip_protocol(request.protocol),
        extensions: match request.protocol {
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
