//! From the bytes of one reply to one [`SockRow`].

use super::wire::{
    ATTR_CGROUP_ID, ATTR_INFO, ATTR_SKMEMINFO, ATTR_SKV6ONLY, Attributes, ROW, RawRow, WireError, array,
    u32_at,
};
use crate::model::{Busy, Endpoint, Family, Protocol, SockRow, TcpState, Timer, TimerKind, Totals};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

/// `SK_MEMINFO_DROPS` (`linux/sock_diag.h`), as an index of `u32`s.
const MEMINFO_DROPS: usize = 8;

/// Decodes the payload of a row.
///
/// `Totals` are there when `INET_DIAG_INFO` was asked for and the socket is a full TCP socket that does not listen.
pub fn row(payload: &[u8], protocol: Protocol, netns: u32) -> Result<SockRow, WireError> {
    let raw = RawRow::get(payload)?;
    let family = Family::from_af(u16::from(raw.family))
        .ok_or(WireError::Unknown { what: "address family", value: u32::from(raw.family) })?;
    let state = TcpState::try_from(raw.state)
        .map_err(|stranger| WireError::Unknown { what: "socket state", value: u32::from(stranger.0) })?;
    let cookie = u64::from(raw.id.cookie[0]) | u64::from(raw.id.cookie[1]) << 32;

    let mut row = SockRow {
        protocol,
        family,
        state,
        local: endpoint(family, raw.id.src, raw.id.sport),
        foreign: endpoint(family, raw.id.dst, raw.id.dport),
        bound_if: raw.id.interface,
        cookie: NonZeroU64::new(cookie),
        netns,
        uid: raw.uid,
        inode: raw.inode,
        rqueue: raw.rqueue,
        wqueue: raw.wqueue,
        timer: timer(&raw),
        drops: None,
        v6only: None,
        cgroup: None,
        totals: None,
    };
    for attribute in Attributes(payload.get(ROW..).unwrap_or_default()) {
        match attribute? {
            (ATTR_INFO, info) if protocol == Protocol::Tcp => apply_tcp_info(&mut row, info)?,
            (ATTR_SKMEMINFO, meminfo) if protocol != Protocol::Tcp || state == TcpState::Listen => {
                // Linux 4.7 added the drops to an array that was shorter before.
                row.drops = u32_at("INET_DIAG_SKMEMINFO", meminfo, MEMINFO_DROPS * 4).ok().map(u64::from);
            }
            (ATTR_SKV6ONLY, value) => {
                let [only] = array("INET_DIAG_SKV6ONLY", value, 0)?;
                row.v6only = Some(only != 0);
            }
            (ATTR_CGROUP_ID, id) => {
                row.cgroup = NonZeroU64::new(u64::from_ne_bytes(array("INET_DIAG_CGROUP_ID", id, 0)?));
            }
            _ => {}
        }
    }
    Ok(row)
}

#[inline]
fn endpoint(family: Family, addr: [u8; 16], port: [u8; 2]) -> Endpoint {
    let [a, b, c, d, ..] = addr;
    let addr = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(addr)),
    };
    Endpoint { addr, port: u16::from_be_bytes(port) }
}

/// `idiag_retrans` holds the one counter that belongs to the pending timer (`inet_sk_diag_fill`, Linux 6.12); of a
/// request socket, the SYN-ACKs sent again. The other stays 0 unless `tcp_info` tells it.
fn timer(raw: &RawRow) -> Timer {
    let kind = TimerKind::from(raw.timer);
    let (retransmits, probes) = match kind {
        TimerKind::Keepalive | TimerKind::Probe => (0, u32::from(raw.retrans)),
        _ => (u32::from(raw.retrans), 0),
    };
    Timer { kind, expires_ms: raw.expires, retransmits, probes }
}

/// Offsets in `struct tcp_info` (`linux/tcp.h`); the structure only ever grew at its end.
mod info {
    pub const RETRANSMITS: usize = 2;
    pub const PROBES: usize = 3;
    pub const RTT: usize = 68;
    pub const TOTAL_RETRANS: usize = 100;
    /// Linux 4.1.
    pub const BYTES_ACKED: usize = 120;
    /// Linux 4.1.
    pub const BYTES_RECEIVED: usize = 128;
    /// Linux 4.2.
    pub const SEGS_OUT: usize = 136;
    /// Linux 4.2.
    pub const SEGS_IN: usize = 140;
    /// Linux 4.6.
    pub const MIN_RTT: usize = 148;
    /// Linux 4.9, with the two that follow.
    pub const BUSY: usize = 168;
    /// Linux 4.19.
    pub const REORD_SEEN: usize = 220;
    /// Linux 4.19.
    pub const BYTES_SENT: usize = 200;
    /// Linux 4.19.
    pub const BYTES_RETRANS: usize = 208;
}

fn apply_tcp_info(row: &mut SockRow, bytes: &[u8]) -> Result<(), WireError> {
    const WHAT: &str = "INET_DIAG_INFO";
    let u64_at = |at| array(WHAT, bytes, at).map(u64::from_ne_bytes);
    let [retransmits] = array(WHAT, bytes, info::RETRANSMITS)?;
    let [probes] = array(WHAT, bytes, info::PROBES)?;
    row.timer.retransmits = u32::from(retransmits);
    row.timer.probes = u32::from(probes);
    if row.state == TcpState::Listen {
        return Ok(());
    }

    // `bytes_sent` counts payload alone; `bytes_acked` also our SYN, when we sent it, and our FIN.
    let sent = match (u64_at(info::BYTES_SENT), u64_at(info::BYTES_RETRANS)) {
        (Ok(sent), Ok(again)) => sent.saturating_sub(again),
        _ => u64_at(info::BYTES_ACKED)?,
    };
    let busy = || -> Result<Busy, WireError> {
        let [total_us, window_us, buffer_us] = [0, 8, 16].map(|behind| u64_at(info::BUSY + behind));
        Ok(Busy { total_us: total_us?, window_us: window_us?, buffer_us: buffer_us? })
    };
    // The peer's FIN counts as a byte, and the state tells whether it has come.
    let fin = match row.state {
        TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait => 1,
        _ => 0,
    };
    row.totals = Some(Totals {
        sent,
        received: u64_at(info::BYTES_RECEIVED)?.saturating_sub(fin),
        segs_out: u32_at(WHAT, bytes, info::SEGS_OUT)?,
        segs_in: u32_at(WHAT, bytes, info::SEGS_IN)?,
        retrans: u32_at(WHAT, bytes, info::TOTAL_RETRANS)?,
        srtt_us: u32_at(WHAT, bytes, info::RTT)?,
        resent: u64_at(info::BYTES_RETRANS).ok(),
        min_rtt_us: u32_at(WHAT, bytes, info::MIN_RTT).ok().filter(|&rtt| rtt != u32::MAX),
        lost: None,
        reordered: u32_at(WHAT, bytes, info::REORD_SEEN).ok(),
        busy: busy().ok(),
        probes: u32::from(probes),
        user_timeout_ms: 0,
        rqueue: row.rqueue,
        wqueue: row.wqueue,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::diag::wire::RawSockId;
    use proptest::prelude::*;

    fn raw(state: u8) -> RawRow {
        let mut id =
            RawSockId { sport: [0x1f, 0x90], dport: [0, 80], cookie: [0x9, 0x1], ..Default::default() };
        id.src[..4].copy_from_slice(&[127, 0, 0, 1]);
        id.dst[..4].copy_from_slice(&[10, 0, 0, 2]);
        RawRow { family: 2, state, timer: 1, retrans: 3, id, expires: 200, ..Default::default() }
    }

    fn with_attribute(row: RawRow, kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        row.put(&mut bytes);
        bytes.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn tcp_info() -> [u8; 240] {
        let mut info = [0; 240];
        info[info::RETRANSMITS] = 2;
        info[info::PROBES] = 5;
        info[info::RTT..][..4].copy_from_slice(&77u32.to_ne_bytes());
        info[info::MIN_RTT..][..4].copy_from_slice(&60u32.to_ne_bytes());
        info[info::REORD_SEEN..][..4].copy_from_slice(&3u32.to_ne_bytes());
        for (index, us) in [8u64, 4, 1].into_iter().enumerate() {
            info[info::BUSY + 8 * index..][..8].copy_from_slice(&us.to_ne_bytes());
        }
        info[info::BYTES_ACKED..][..8].copy_from_slice(&91u64.to_ne_bytes());
        info[info::BYTES_RECEIVED..][..8].copy_from_slice(&51u64.to_ne_bytes());
        info[info::BYTES_SENT..][..8].copy_from_slice(&100u64.to_ne_bytes());
        info[info::BYTES_RETRANS..][..8].copy_from_slice(&10u64.to_ne_bytes());
        info
    }

    #[test]
    fn addresses_ports_cookie_and_timer_are_read() {
        let mut bytes = Vec::new();
        raw(2).put(&mut bytes);
        let row = row(&bytes, Protocol::Tcp, 4).unwrap();
        assert_eq!(row.state, TcpState::SynSent);
        assert_eq!(row.local, Endpoint { addr: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 8080 });
        assert_eq!(row.foreign, Endpoint { addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), port: 80 });
        assert_eq!(row.cookie, NonZeroU64::new(0x1_0000_0009));
        assert_eq!(row.timer, Timer { kind: TimerKind::On, expires_ms: 200, retransmits: 3, probes: 0 });
        assert_eq!((row.netns, row.totals, row.v6only, row.drops), (4, None, None, None));
    }

    #[test]
    fn totals_are_the_application_s_bytes() {
        let established = row(&with_attribute(raw(1), ATTR_INFO, &tcp_info()), Protocol::Tcp, 0).unwrap();
        let totals = established.totals.unwrap();
        assert_eq!((totals.sent, totals.received, totals.resent), (90, 51, Some(10)));
        assert_eq!((totals.srtt_us, totals.min_rtt_us, totals.reordered), (77, Some(60), Some(3)));
        assert_eq!(totals.busy, Some(Busy { total_us: 8, window_us: 4, buffer_us: 1 }));
        assert_eq!(totals.lost, None);
        assert_eq!((established.timer.retransmits, established.timer.probes), (2, 5));
        let half_closed = row(&with_attribute(raw(8), ATTR_INFO, &tcp_info()), Protocol::Tcp, 0).unwrap();
        assert_eq!(half_closed.totals.unwrap().received, 50);
        let listener = row(&with_attribute(raw(10), ATTR_INFO, &tcp_info()), Protocol::Tcp, 0).unwrap();
        assert_eq!(listener.totals, None);
    }

    #[test]
    fn an_older_tcp_info_tells_what_it_has_and_a_stump_is_named() {
        let old = row(&with_attribute(raw(1), ATTR_INFO, &tcp_info()[..192]), Protocol::Tcp, 0).unwrap();
        assert_eq!((old.totals.unwrap().sent, old.totals.unwrap().resent), (91, None));
        let stump = row(&with_attribute(raw(1), ATTR_INFO, &tcp_info()[..104]), Protocol::Tcp, 0);
        assert_eq!(stump, Err(WireError::Short { what: "INET_DIAG_INFO", have: 104, need: 128 }));
    }

    #[test]
    fn drops_and_v6only_are_read() {
        let mut meminfo = [0; 36];
        meminfo[32] = 9;
        let udp = row(&with_attribute(raw(7), ATTR_SKMEMINFO, &meminfo), Protocol::Udp, 0).unwrap();
        assert_eq!(udp.drops, Some(9));
        let listener = row(&with_attribute(raw(10), ATTR_SKMEMINFO, &meminfo), Protocol::Tcp, 0).unwrap();
        assert_eq!(listener.drops, Some(9));
        let other = row(&with_attribute(raw(1), ATTR_SKMEMINFO, &meminfo), Protocol::Tcp, 0).unwrap();
        assert_eq!(other.drops, None);
        let old = row(&with_attribute(raw(7), ATTR_SKMEMINFO, &meminfo[..32]), Protocol::Udp, 0).unwrap();
        assert_eq!(old.drops, None);
        let only = row(&with_attribute(raw(10), ATTR_SKV6ONLY, &[1]), Protocol::Tcp, 0).unwrap();
        assert_eq!(only.v6only, Some(true));
        let empty = row(&with_attribute(raw(10), ATTR_SKV6ONLY, &[]), Protocol::Tcp, 0);
        assert_eq!(empty, Err(WireError::Short { what: "INET_DIAG_SKV6ONLY", have: 0, need: 1 }));
    }

    #[test]
    fn strangers_are_named() {
        let mut bytes = Vec::new();
        raw(14).put(&mut bytes);
        let state = Err(WireError::Unknown { what: "socket state", value: 14 });
        assert_eq!(row(&bytes, Protocol::Tcp, 0), state);
        bytes[..2].copy_from_slice(&[1, 1]);
        let family = Err(WireError::Unknown { what: "address family", value: 1 });
        assert_eq!(row(&bytes, Protocol::Tcp, 0), family);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_row_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..500), tcp: bool) {
            let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
            let _ = row(&bytes, protocol, 0);
        }

        #[test]
        fn any_attributes_after_a_row_are_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = Vec::new();
            raw(1).put(&mut bytes);
            bytes.extend_from_slice(&tail);
            let _ = row(&bytes, Protocol::Tcp, 0);
        }
    }
}
