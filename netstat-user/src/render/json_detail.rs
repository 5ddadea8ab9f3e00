//! What sock_diag tells beside a row, in JSON: the same numbers as in the text, and those that are 0.

use super::detail::OPTIONS;
use super::field::Field;
use super::object::{Object, string};
use crate::model::SockDetail;

/// `SK_MEMINFO_*`, in their order.
pub const MEMORY: [&str; 9] = [
    "rmem_alloc",
    "rcvbuf",
    "wmem_alloc",
    "sndbuf",
    "fwd_alloc",
    "wmem_queued",
    "optmem",
    "backlog",
    "drops",
];

/// Members of `struct tcp_bbr_info`.
pub const BBR: [&str; 4] = ["bandwidth", "min_rtt", "pacing_gain", "cwnd_gain"];

/// Appends all that was told.
pub fn detail(object: &mut Object<'_>, detail: &SockDetail) {
    for (field, value) in [
        (Field::Mark, detail.mark),
        (Field::Shutdown, detail.shutdown.map(u32::from)),
        (Field::Tos, detail.tos.map(u32::from)),
        (Field::Tclass, detail.tclass.map(u32::from)),
        (Field::Class, detail.class),
    ] {
        if let Some(value) = value {
            object.integer(field, value);
        }
    }
    if let Some(bits) = detail.options {
        let set = OPTIONS.iter().enumerate().filter(|(at, _)| bits >> at & 1 != 0);
        object.array(Field::SocketOptions, set, |out, (_, name)| string(out, name.as_bytes()));
    }
    if !detail.memory.is_empty() {
        let values =
            MEMORY.into_iter().zip(&detail.memory).map(|(name, value)| (name, u64::from(*value), false));
        object.numbers(Field::Memory, values);
    }
    if !detail.congestion.is_empty() {
        object.text(Field::Congestion, &detail.congestion);
    }
    if let Some(info) = &detail.info {
        object.numbers(
            Field::TcpInfo,
            info.members().map(|(member, value)| (member.name, value, member.is_wide())),
        );
    }
    if let Some(bbr) = &detail.bbr {
        let values = [bbr.bandwidth, bbr.min_rtt.into(), bbr.pacing_gain.into(), bbr.cwnd_gain.into()];
        let members = BBR.into_iter().zip(values).enumerate();
        object.numbers(Field::Bbr, members.map(|(at, (name, value))| (name, value, at == 0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::detail::{Bbr, TcpInfo};
    use crate::model::{Endpoint, Family, Mono, Protocol, SockRow, TcpState, Timer, TimerKind};
    use crate::render::Held;
    use crate::render::json::Json;
    use crate::render::sample;
    use crate::render::tests::check;
    use crate::view::Column;
    use std::net::Ipv4Addr;

    fn row() -> SockRow {
        let end = Endpoint { addr: Ipv4Addr::LOCALHOST.into(), port: 80 };
        SockRow {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state: TcpState::Established,
            local: end,
            foreign: end,
            bound_if: 0,
            cookie: None,
            netns: 0,
            uid: 0,
            inode: 0,
            rqueue: 0,
            wqueue: 0,
            timer: Timer { kind: TimerKind::Off, expires_ms: 0, retransmits: 0, probes: 0 },
            drops: None,
            v6only: None,
            cgroup: None,
            totals: None,
        }
    }

    fn line(columns: &[Column], detail: &SockDetail) -> serde_json::Map<String, serde_json::Value> {
        let mut out = Vec::new();
        let mut json = Json::new(false, sample::clock());
        json.only(columns);
        json.socket_in_detail(&mut out, Mono(1), &row(), Some(detail), None::<std::iter::Empty<Held<'_>>>);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn all_that_was_told_obeys_the_schema() {
        let detail = SockDetail {
            info: Some(TcpInfo(vec![0xff; 300])),
            memory: vec![7; 9],
            congestion: b"cu\xffbic".to_vec(),
            bbr: Some(Bbr { bandwidth: u64::MAX, min_rtt: 1, pacing_gain: 2, cwnd_gain: 3 }),
            shutdown: Some(3),
            tos: Some(16),
            tclass: Some(1),
            class: Some(6),
            mark: Some(5),
            options: Some(0x402),
            v6only: None,
        };
        let mut out = Vec::new();
        let none = None::<std::iter::Empty<Held<'_>>>;
        Json::new(false, sample::clock()).socket_in_detail(&mut out, Mono(1), &row(), Some(&detail), none);
        let object = check(&String::from_utf8(out).unwrap());
        assert_eq!(object["enetstat.tcp.info"]["pacing_rate"], u64::MAX.to_string());
        assert_eq!(object["enetstat.socket.options"], serde_json::json!(["is_icsk", "defer_connect"]));
        // A kernel that tells less leaves out more.
        let old = SockDetail { info: Some(TcpInfo(vec![0; 12])), ..SockDetail::default() };
        let object = line(&[], &old);
        assert_eq!(object["enetstat.tcp.info"].as_object().unwrap().len(), 11);
        assert!(!object.contains_key("enetstat.socket.memory"));
    }

    #[test]
    fn columns_choose_fields() {
        let object =
            line(&[Column::State, Column::Mark], &SockDetail { mark: Some(5), ..SockDetail::default() });
        let names: Vec<&str> = object.keys().map(String::as_str).collect();
        let mut wanted = ["timestamp", "enetstat.kind", "network.connection.state", "enetstat.socket.mark"];
        wanted.sort_unstable();
        let mut names = names;
        names.sort_unstable();
        assert_eq!(names, wanted);
    }
}
