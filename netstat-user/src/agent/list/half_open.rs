//! How many half-open connections each listener has. The kernel counts them, but sock_diag does not tell: they are listed,
//! and belong to the listener that their final ACK would find.

use crate::model::{Protocol, SockRow, TcpState, Totals};
use rustc_hash::FxHashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

/// Half-open connections by the listener's cookie; `None` where several listeners share them (SO_REUSEPORT).
#[derive(Debug, Default)]
pub struct HalfOpen(FxHashMap<NonZeroU64, Option<u32>>);

impl HalfOpen {
    /// Of one namespace.
    pub fn count(listeners: &[SockRow], requests: &[SockRow]) -> Self {
        let mut by_port: FxHashMap<u16, Vec<&SockRow>> = FxHashMap::default();
        for listener in listeners {
            by_port.entry(listener.local.port).or_default().push(listener);
        }
        let mut counts: FxHashMap<NonZeroU64, Option<u32>> =
            listeners.iter().filter_map(|listener| Some((listener.cookie?, Some(0)))).collect();
        for request in requests {
            let all = by_port.get(&request.local.port).map_or(&[][..], Vec::as_slice);
            let best = all.iter().filter_map(|listener| fit(listener, request)).max();
            let mut taken = all.iter().filter(|listener| best.is_some() && fit(listener, request) == best);
            match (taken.next(), taken.next()) {
                (Some(one), None) => {
                    if let Some(count) = one.cookie.and_then(|cookie| counts.get_mut(&cookie)) {
                        *count = count.map(|count| count + 1);
                    }
                }
                // Which of them answered is known to the kernel only.
                _ => {
                    for one in all.iter().filter(|listener| fit(listener, request) == best) {
                        if let Some(count) = one.cookie.and_then(|cookie| counts.get_mut(&cookie)) {
                            *count = None;
                        }
                    }
                }
            }
        }
        Self(counts)
    }

    /// The row with what is known of it here.
    pub fn with(&self, row: &SockRow) -> SockRow {
        let mut row = *row;
        if let Some(count) = row.cookie.and_then(|cookie| *self.0.get(&cookie)?)
            && row.protocol == Protocol::Tcp
            && row.state == TcpState::Listen
        {
            row.totals = Some(Totals { segs_in: count, ..Totals::default() });
        }
        row
    }
}

/// How well a listener fits a request to its port, as `compute_score` (net/ipv4/inet_hashtables.c, 6.12) has it: bound to
/// the device, to the address, to any of the family. `None`: not at all.
fn fit(listener: &SockRow, request: &SockRow) -> Option<(bool, bool, bool)> {
    let (own, to) = (listener.local.addr, request.local.addr.to_canonical());
    let address = match own.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => to.is_ipv4().then_some(false),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            (to.is_ipv6() || listener.v6only == Some(false)).then_some(false)
        }
        own => (own == to).then_some(true),
    };
    let device = listener.bound_if == request.bound_if;
    if !device && listener.bound_if != 0 {
        return None;
    }
    Some((listener.bound_if != 0, address?, own.is_ipv4() == to.is_ipv4()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Family, Timer, TimerKind};

    fn row(state: TcpState, addr: &str, cookie: u64) -> SockRow {
        let local: std::net::SocketAddr = addr.parse().unwrap();
        SockRow {
            protocol: Protocol::Tcp,
            family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
            state,
            local: Endpoint { addr: local.ip(), port: local.port() },
            foreign: Endpoint { addr: local.ip(), port: 9 },
            bound_if: 0,
            cookie: NonZeroU64::new(cookie),
            netns: 1,
            uid: 0,
            inode: 0,
            rqueue: 0,
            wqueue: 0,
            timer: Timer { kind: TimerKind::Off, expires_ms: 0, retransmits: 0, probes: 0 },
            drops: None,
            v6only: Some(false),
            cgroup: None,
            totals: None,
        }
    }

    #[test]
    fn a_request_belongs_to_the_listener_that_fits_best() {
        let listen = |addr, cookie| row(TcpState::Listen, addr, cookie);
        let request = |addr| row(TcpState::SynRecv, addr, 0);
        let listeners = [
            listen("0.0.0.0:80", 1),
            listen("127.0.0.1:80", 2),
            listen("[::]:80", 3),
            listen("[::]:81", 4),
            listen("0.0.0.0:82", 5),
            listen("0.0.0.0:82", 6),
            listen("0.0.0.0:83", 7),
        ];
        let requests = [
            request("127.0.0.1:80"),
            request("10.0.0.1:80"),
            request("10.0.0.1:80"),
            request("[::1]:80"),
            request("10.0.0.1:81"),
            request("10.0.0.1:82"),
            request("10.0.0.1:99"),
        ];
        let counts = HalfOpen::count(&listeners, &requests);
        let told = listeners.map(|listener| counts.with(&listener).totals.map(|totals| totals.segs_in));
        assert_eq!(told, [Some(2), Some(1), Some(1), Some(1), None, None, Some(0)]);
        assert_eq!(counts.with(&requests[0]).totals, None);
    }
}
