//! Resets: which way they went, and the kernel's reason for those it sends.

use super::is_wanted;
use crate::emit::emit;
use crate::sock::Sock;
use netstat_common::event::{RawHead, Reset};
use netstat_common::{IPPROTO_TCP, Kind, TcpState};

/// A reset was sent for `sock` or received by it. What a listener refuses is no end of a connection.
#[inline(always)]
pub fn happened<S: Sock>(sock: S, which: Reset, reason: u16) {
    let state = sock.state();
    if sock.protocol() != IPPROTO_TCP || state == TcpState::Listen as u8 || !is_wanted(sock) {
        return;
    }
    emit(|now, head: &mut RawHead| {
        head.time = now;
        head.kind = Kind::Reset as u8;
        head.from = which as u8;
        head.to = state;
        head.lport = sock.lport();
        head.protocol = IPPROTO_TCP;
        head.detail = reason;
        sock.name(head);
    });
}
