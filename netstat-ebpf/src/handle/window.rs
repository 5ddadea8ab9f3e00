//! Windows that the peer has closed.

use super::is_wanted;
use super::mini::sender;
use crate::emit::emit;
use crate::maps::offset;
use crate::sock::{Address, Sock};
use netstat_common::event::RawHead;
use netstat_common::{AF_INET, AF_INET6, IPPROTO_TCP, Kind};

/// `ICSK_TIME_PROBE0` (include/net/inet_connection_sock.h, 5.10 to 7.2): what the timer was set for.
const PROBE: u8 = 3;

/// The timer at `timer`, of a socket that sends, runs out. Tells when that is for the first probe of a closed window: from
/// then until the window opens the kernel keeps the time of that probe (`tcp_probe_timer`, `tcp_ack_probe`).
#[inline(always)]
pub fn expires(timer: Address) {
    let sock = sender(timer);
    let tcp = sock.tcp();
    if sock.load::<u8>(tcp, offset!(icsk_pending)) != PROBE
        || sock.load::<u32>(tcp, offset!(icsk_probes_tstamp)) != 0
        || sock.load::<u32>(tcp, offset!(tcp_snd_wnd)) != 0
        || sock.protocol() != IPPROTO_TCP
        || !matches!(sock.family(), AF_INET | AF_INET6)
        || !is_wanted(sock)
    {
        return;
    }
    let state = sock.state();
    emit(|now, head: &mut RawHead| {
        head.time = now;
        head.kind = Kind::Window as u8;
        head.to = state;
        head.lport = sock.lport();
        head.protocol = IPPROTO_TCP;
        sock.name(head);
    });
}
