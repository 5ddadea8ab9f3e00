//! What sock_diag tells of a socket, as ss prints it: `skmem:(...)`, `cubic wscale:7,7 rto:204 ...`.

use super::text::escaped;
use crate::model::detail::{Bbr, member};
use crate::model::{SockDetail, TcpInfo, TcpState};
use std::io::Write as _;

/// Which parts are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// `tcp_info` and congestion control.
    pub info: bool,
    pub memory: bool,
    /// Mark, options, shutdown, type of service.
    pub options: bool,
    /// On the line of the socket, not on one of its own.
    pub oneline: bool,
    /// Rates as numbers.
    pub numeric: bool,
}

impl Parts {
    /// Any of it is wanted.
    pub fn any(self) -> bool {
        self.info || self.memory || self.options
    }
}

/// Appends the wanted parts, each after a blank.
pub fn parts(out: &mut Vec<u8>, wanted: Parts, state: TcpState, detail: &SockDetail) {
    if wanted.options {
        options(out, detail);
    }
    if wanted.memory {
        memory(out, &detail.memory);
    }
    if wanted.info {
        tcp(out, state, detail, wanted.numeric);
    }
}

/// Bits of `struct inet_diag_sockopt`, from the lowest.
pub const OPTIONS: [&str; 11] = [
    "recverr",
    "is_icsk",
    "freebind",
    "hdrincl",
    "mc_loop",
    "transparent",
    "mc_all",
    "nodefrag",
    "bind_addr_no_port",
    "recverr_rfc4884",
    "defer_connect",
];

fn options(out: &mut Vec<u8>, detail: &SockDetail) {
    if let Some(mark) = detail.mark.filter(|mark| *mark != 0) {
        say(out, format_args!(" fwmark:{mark:#x}"));
    }
    if let Some(only) = detail.v6only {
        say(out, format_args!(" v6only:{}", u8::from(only)));
    }
    if let Some(shut) = detail.shutdown {
        let (receives, sends) =
            (if shut & 1 == 0 { "<" } else { "-" }, if shut & 2 == 0 { ">" } else { "-" });
        say(out, format_args!(" {receives}-{sends}"));
    }
    if let Some(tos) = detail.tos {
        say(out, format_args!(" tos:{tos:#x}"));
    }
    if let Some(tclass) = detail.tclass {
        say(out, format_args!(" tclass:{tclass:#x}"));
    }
    if let Some(class) = detail.class {
        say(out, format_args!(" class_id:{class:#x}"));
    }
    if let Some(bits) = detail.options {
        out.extend_from_slice(b" inet-sockopt:(");
        for (at, name) in OPTIONS.iter().enumerate() {
            if bits >> at & 1 != 0 {
                say(out, format_args!(" {name}"));
            }
        }
        out.extend_from_slice(b")");
    }
}

/// `SK_MEMINFO_*` with ss's letters: receive queue and limit, send queue and limit, forward allocation, waiting to be sent,
/// options, backlog, drops.
const MEMORY: [&str; 9] = ["r", "rb", "t", "tb", "f", "w", "o", "bl", "d"];

fn memory(out: &mut Vec<u8>, values: &[u32]) {
    if values.is_empty() {
        return;
    }
    out.extend_from_slice(b" skmem:(");
    for (at, (letter, value)) in MEMORY.iter().zip(values).enumerate() {
        say(out, format_args!("{}{letter}{value}", if at > 0 { "," } else { "" }));
    }
    out.push(b')');
}

fn say(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A vector takes everything.
    let _ = out.write_fmt(text);
}

/// Bits of `tcpi_options` (`linux/tcp.h`).
const WORDS: [(u64, &str); 5] = [(1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"), (32, "fastopen")];
const WSCALE: u64 = 4;
/// `TCP_INFINITE_SSTHRESH` and what ss takes for it.
const SSTHRESH: u64 = 0xffff;
/// What the kernel assumes before it knows better.
const REORDERING: u64 = 3;

fn tcp(out: &mut Vec<u8>, state: TcpState, detail: &SockDetail, numeric: bool) {
    let none = TcpInfo::default();
    let info = detail.info.as_ref().unwrap_or(&none);
    // As in ss, what is 0 is left out; JSON has it.
    let get = |member| info.get(member).filter(|value| *value != 0);
    let flags = get(member::OPTIONS).unwrap_or(0);
    for (bit, word) in WORDS {
        if flags & bit != 0 {
            say(out, format_args!(" {word}"));
        }
    }
    if !detail.congestion.is_empty() {
        out.push(b' ');
        escaped(out, &detail.congestion);
    }
    if let (true, Some(send), Some(receive)) =
        (flags & WSCALE != 0, info.get(member::SND_WSCALE), info.get(member::RCV_WSCALE))
    {
        say(out, format_args!(" wscale:{send},{receive}"));
    }
    let milliseconds = |value: u64| general(value as f64 / 1000.0, 6);
    if let Some(rto) = get(member::RTO).filter(|rto| *rto != 3_000_000) {
        say(out, format_args!(" rto:{}", milliseconds(rto)));
    }
    plain(out, "backoff", get(member::BACKOFF));
    if let Some(rtt) = get(member::RTT) {
        let variation = info.get(member::RTTVAR).unwrap_or(0);
        say(out, format_args!(" rtt:{}/{}", milliseconds(rtt), milliseconds(variation)));
    }
    if let Some(ato) = get(member::ATO) {
        say(out, format_args!(" ato:{}", milliseconds(ato)));
    }
    for (name, member) in [
        ("mss", member::SND_MSS),
        ("pmtu", member::PMTU),
        ("rcvmss", member::RCV_MSS),
        ("advmss", member::ADVMSS),
        ("cwnd", member::SND_CWND),
    ] {
        plain(out, name, get(member));
    }
    plain(out, "ssthresh", get(member::SND_SSTHRESH).filter(|ssthresh| *ssthresh < SSTHRESH));
    for (name, member) in [
        ("bytes_sent", member::BYTES_SENT),
        ("bytes_retrans", member::BYTES_RETRANS),
        ("bytes_acked", member::BYTES_ACKED),
        ("bytes_received", member::BYTES_RECEIVED),
        ("segs_out", member::SEGS_OUT),
        ("segs_in", member::SEGS_IN),
        ("data_segs_out", member::DATA_SEGS_OUT),
        ("data_segs_in", member::DATA_SEGS_IN),
    ] {
        plain(out, name, get(member));
    }
    if let Some(bbr) = &detail.bbr {
        congestion(out, bbr, numeric);
    }
    rates(out, info, numeric);
    queues(out, state, info);
}

fn rates(out: &mut Vec<u8>, info: &TcpInfo, numeric: bool) {
    let get = |member| info.get(member).filter(|value| *value != 0);
    if let (Some(rtt), Some(mss), Some(cwnd)) =
        (get(member::RTT), get(member::SND_MSS), get(member::SND_CWND))
    {
        let bits = cwnd as f64 * mss as f64 * 8.0 * 1e6 / rtt as f64;
        say(out, format_args!(" send {}bps", rate(bits, numeric)));
    }
    plain(out, "lastsnd", get(member::LAST_DATA_SENT));
    plain(out, "lastrcv", get(member::LAST_DATA_RECV));
    plain(out, "lastack", get(member::LAST_ACK_RECV));
    let limited = |member| get(member).filter(|rate| *rate != u64::MAX).map(|bytes| bytes as f64 * 8.0);
    if let Some(pacing) = limited(member::PACING_RATE) {
        say(out, format_args!(" pacing_rate {}bps", rate(pacing, numeric)));
        if let Some(most) = limited(member::MAX_PACING_RATE) {
            say(out, format_args!("/{}bps", rate(most, numeric)));
        }
    }
    if let Some(delivered) = limited(member::DELIVERY_RATE) {
        say(out, format_args!(" delivery_rate {}bps", rate(delivered, numeric)));
    }
    plain(out, "delivered", get(member::DELIVERED));
    plain(out, "delivered_ce", get(member::DELIVERED_CE));
    if get(member::APP_LIMITED).is_some() {
        out.extend_from_slice(b" app_limited");
    }
    if let Some(busy) = get(member::BUSY_TIME) {
        say(out, format_args!(" busy:{}ms", busy / 1000));
        for (name, member) in
            [("rwnd_limited", member::RWND_LIMITED), ("sndbuf_limited", member::SNDBUF_LIMITED)]
        {
            if let Some(time) = get(member) {
                let share = 100.0 * time as f64 / busy as f64;
                say(out, format_args!(" {name}:{}ms({share:.1}%)", time / 1000));
            }
        }
    }
}

fn queues(out: &mut Vec<u8>, state: TcpState, info: &TcpInfo) {
    let get = |member| info.get(member).filter(|value| *value != 0);
    plain(out, "unacked", get(member::UNACKED));
    if get(member::RETRANS).or(get(member::TOTAL_RETRANS)).is_some() {
        let number = |member| info.get(member).unwrap_or(0);
        say(out, format_args!(" retrans:{}/{}", number(member::RETRANS), number(member::TOTAL_RETRANS)));
    }
    plain(out, "lost", get(member::LOST));
    plain(out, "sacked", get(member::SACKED).filter(|_| state != TcpState::Listen));
    plain(out, "dsack_dups", get(member::DSACK_DUPS));
    plain(out, "fackets", get(member::FACKETS));
    plain(out, "reordering", get(member::REORDERING).filter(|reordering| *reordering != REORDERING));
    plain(out, "reord_seen", get(member::REORD_SEEN));
    let milliseconds = |value: u64| general(value as f64 / 1000.0, 6);
    if let Some(rtt) = get(member::RCV_RTT) {
        say(out, format_args!(" rcv_rtt:{}", milliseconds(rtt)));
    }
    plain(out, "rcv_space", get(member::RCV_SPACE));
    plain(out, "rcv_ssthresh", get(member::RCV_SSTHRESH));
    plain(out, "notsent", get(member::NOTSENT_BYTES));
    if let Some(rtt) = get(member::MIN_RTT).filter(|rtt| *rtt != u64::from(u32::MAX)) {
        say(out, format_args!(" minrtt:{}", milliseconds(rtt)));
    }
    for (name, member) in [
        ("rcv_ooopack", member::RCV_OOOPACK),
        ("snd_wnd", member::SND_WND),
        // ss 6.1 knows none of these.
        ("rcv_wnd", member::RCV_WND),
        ("rehash", member::REHASH),
        ("total_rto", member::TOTAL_RTO),
        ("total_rto_recoveries", member::TOTAL_RTO_RECOVERIES),
        ("total_rto_time", member::TOTAL_RTO_TIME),
    ] {
        plain(out, name, get(member));
    }
}

fn congestion(out: &mut Vec<u8>, bbr: &Bbr, numeric: bool) {
    say(out, format_args!(" bbr:(bw:{}bps,mrtt:", rate(bbr.bandwidth as f64 * 8.0, numeric)));
    say(out, format_args!("{}", general(f64::from(bbr.min_rtt) / 1000.0, 6)));
    for (name, gain) in [("pacing_gain", bbr.pacing_gain), ("cwnd_gain", bbr.cwnd_gain)] {
        if gain != 0 {
            say(out, format_args!(",{name}:{}", general(f64::from(gain) / 256.0, 6)));
        }
    }
    out.push(b')');
}

fn plain(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        say(out, format_args!(" {name}:{value}"));
    }
}

/// Bits a second.
fn rate(bits: f64, numeric: bool) -> String {
    let (value, unit) = match bits {
        _ if numeric => return format!("{bits:.0}"),
        _ if bits > 1e12 => (bits / 1e12, "T"),
        _ if bits > 1e9 => (bits / 1e9, "G"),
        _ if bits > 1e6 => (bits / 1e6, "M"),
        _ if bits > 1e3 => (bits / 1e3, "k"),
        _ => return general(bits, 6),
    };
    format!("{}{unit}", general(value, 3))
}

/// As printf's `%.*g` of numbers that are not negative.
pub fn general(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // The exponent after rounding to so many digits.
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let most = i32::try_from(digits).unwrap_or(i32::MAX);
    if (-4..most).contains(&exponent) {
        let places = usize::try_from(most - 1 - exponent).unwrap_or(0);
        return trim(&format!("{value:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_printf() {
        for (value, digits, wanted) in [
            (0.0, 6, "0"),
            (204.0, 6, "204"),
            (0.017, 6, "0.017"),
            (1234.567, 6, "1234.57"),
            (999_999.5, 6, "1e+06"),
            (0.000_01, 6, "1e-05"),
            (81.85, 3, "81.8"),
            (999.6, 3, "1e+03"),
            (1.497, 3, "1.5"),
            (154.2, 3, "154"),
        ] {
            assert_eq!(general(value, digits), wanted, "{value}");
        }
        assert_eq!(rate(154.2e9, false), "154Gbps".trim_end_matches("bps"));
        assert_eq!((rate(154.2e9, true), rate(0.0, false)), ("154200000000".to_owned(), "0".to_owned()));
    }

    #[test]
    fn what_was_not_told_is_left_out() {
        let mut out = Vec::new();
        let all = Parts { info: true, memory: true, options: true, ..Parts::default() };
        parts(&mut out, all, TcpState::Established, &SockDetail::default());
        assert!(out.is_empty());
        let detail = SockDetail {
            memory: vec![1, 2, 3, 4, 5, 6, 7, 8],
            congestion: b"cu\x1bbic".to_vec(),
            shutdown: Some(2),
            options: Some(0x402),
            mark: Some(5),
            ..SockDetail::default()
        };
        parts(&mut out, all, TcpState::Established, &detail);
        let wanted = " fwmark:0x5 <-- inet-sockopt:( is_icsk defer_connect) \
            skmem:(r1,rb2,t3,tb4,f5,w6,o7,bl8) cu\\x1bbic";
        assert_eq!(String::from_utf8_lossy(&out), wanted);
    }
}
