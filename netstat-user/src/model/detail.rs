//! What sock_diag tells of a socket beside its row.

/// Attributes of one socket. `None` is "not told", never zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SockDetail {
    pub info: Option<TcpInfo>,
    /// `SK_MEMINFO_*` (`linux/sock_diag.h`): bytes of receive queue, its limit, of send queue, its limit, reserved, waiting to be
    /// sent, of options, in the backlog; then drops. Linux before 4.7 has eight.
    pub memory: Vec<u32>,
    /// Name of the congestion control.
    pub congestion: Vec<u8>,
    pub bbr: Option<Bbr>,
    /// Bit 0: nothing is received any more; bit 1: nothing is sent.
    pub shutdown: Option<u8>,
    pub tos: Option<u8>,
    pub tclass: Option<u8>,
    /// Class of the traffic (`net_cls`, or SO_PRIORITY).
    pub class: Option<u32>,
    /// SO_MARK; told to CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// `struct inet_diag_sockopt`, 16 bits in its order; Linux 5.10.
    pub options: Option<u16>,
    pub v6only: Option<bool>,
}

/// `struct tcp_bbr_info` (`linux/inet_diag.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bbr {
    /// Bytes a second.
    pub bandwidth: u64,
    /// Microseconds.
    pub min_rtt: u32,
    /// Both times 256.
    pub pacing_gain: u32,
    pub cwnd_gain: u32,
}

/// `struct tcp_info` (`linux/tcp.h`, Linux 6.18), as long as this kernel's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo(pub Vec<u8>);

/// A member of `struct tcp_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Without the `tcpi_` before it.
    pub name: &'static str,
    at: u16,
    /// Of bits, when it shares its byte with another.
    bits: Option<(u8, u8)>,
    size: u8,
}

macro_rules! members {
    ($($constant:ident = $name:literal, $at:literal, $size:literal $(, $shift:literal, $width:literal)?;)*) => {
        /// Every member of the structure.
        pub mod member {
            use super::Member;
            $(pub const $constant: Member = Member {
                name: $name, at: $at, size: $size, bits: members!(@bits $($shift, $width)?),
            };)*
        }

        impl TcpInfo {
            /// Every member that this program knows, in the order of the structure.
            pub const MEMBERS: &[Member] = &[$(member::$constant,)*];
        }
    };
    (@bits) => { None };
    (@bits $shift:literal, $width:literal) => { Some(($shift, $width)) };
}

members! {
    STATE = "state", 0, 1;
    CA_STATE = "ca_state", 1, 1;
    RETRANSMITS = "retransmits", 2, 1;
    PROBES = "probes", 3, 1;
    BACKOFF = "backoff", 4, 1;
    OPTIONS = "options", 5, 1;
    SND_WSCALE = "snd_wscale", 6, 1, 0, 4;
    RCV_WSCALE = "rcv_wscale", 6, 1, 4, 4;
    APP_LIMITED = "delivery_rate_app_limited", 7, 1, 0, 1;
    FASTOPEN_FAIL = "fastopen_client_fail", 7, 1, 1, 2;
    RTO = "rto", 8, 4;
    ATO = "ato", 12, 4;
    SND_MSS = "snd_mss", 16, 4;
    RCV_MSS = "rcv_mss", 20, 4;
    UNACKED = "unacked", 24, 4;
    SACKED = "sacked", 28, 4;
    LOST = "lost", 32, 4;
    RETRANS = "retrans", 36, 4;
    FACKETS = "fackets", 40, 4;
    LAST_DATA_SENT = "last_data_sent", 44, 4;
    LAST_ACK_SENT = "last_ack_sent", 48, 4;
    LAST_DATA_RECV = "last_data_recv", 52, 4;
    LAST_ACK_RECV = "last_ack_recv", 56, 4;
    PMTU = "pmtu", 60, 4;
    RCV_SSTHRESH = "rcv_ssthresh", 64, 4;
    RTT = "rtt", 68, 4;
    RTTVAR = "rttvar", 72, 4;
    SND_SSTHRESH = "snd_ssthresh", 76, 4;
    SND_CWND = "snd_cwnd", 80, 4;
    ADVMSS = "advmss", 84, 4;
    REORDERING = "reordering", 88, 4;
    RCV_RTT = "rcv_rtt", 92, 4;
    RCV_SPACE = "rcv_space", 96, 4;
    TOTAL_RETRANS = "total_retrans", 100, 4;
    PACING_RATE = "pacing_rate", 104, 8;
    MAX_PACING_RATE = "max_pacing_rate", 112, 8;
    BYTES_ACKED = "bytes_acked", 120, 8;
    BYTES_RECEIVED = "bytes_received", 128, 8;
    SEGS_OUT = "segs_out", 136, 4;
    SEGS_IN = "segs_in", 140, 4;
    NOTSENT_BYTES = "notsent_bytes", 144, 4;
    MIN_RTT = "min_rtt", 148, 4;
    DATA_SEGS_IN = "data_segs_in", 152, 4;
    DATA_SEGS_OUT = "data_segs_out", 156, 4;
    DELIVERY_RATE = "delivery_rate", 160, 8;
    BUSY_TIME = "busy_time", 168, 8;
    RWND_LIMITED = "rwnd_limited", 176, 8;
    SNDBUF_LIMITED = "sndbuf_limited", 184, 8;
    DELIVERED = "delivered", 192, 4;
    DELIVERED_CE = "delivered_ce", 196, 4;
    BYTES_SENT = "bytes_sent", 200, 8;
    BYTES_RETRANS = "bytes_retrans", 208, 8;
    DSACK_DUPS = "dsack_dups", 216, 4;
    REORD_SEEN = "reord_seen", 220, 4;
    RCV_OOOPACK = "rcv_ooopack", 224, 4;
    SND_WND = "snd_wnd", 228, 4;
    RCV_WND = "rcv_wnd", 232, 4;
    REHASH = "rehash", 236, 4;
    TOTAL_RTO = "total_rto", 240, 2;
    TOTAL_RTO_RECOVERIES = "total_rto_recoveries", 242, 2;
    TOTAL_RTO_TIME = "total_rto_time", 244, 4;
}

impl Member {
    /// It has 64 bits.
    pub const fn is_wide(self) -> bool {
        self.size == 8
    }
}

impl TcpInfo {
    /// The number; `None`: this kernel's structure ends before it.
    pub fn get(&self, member: Member) -> Option<u64> {
        let at = usize::from(member.at);
        let bytes = self.0.get(at..at + usize::from(member.size))?;
        let number = match *bytes {
            [a] => a.into(),
            [a, b] => u16::from_ne_bytes([a, b]).into(),
            [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
            _ => u64::from_ne_bytes(bytes.try_into().ok()?),
        };
        Some(match member.bits {
            None => number,
            Some((shift, width)) => number >> shift & ((1 << width) - 1),
        })
    }

    /// Every member that this kernel tells, by name.
    pub fn members(&self) -> impl Iterator<Item = (Member, u64)> {
        Self::MEMBERS.iter().filter_map(|member| Some((*member, self.get(*member)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_follow_each_other_without_a_gap() {
        let mut end = 0;
        for member in TcpInfo::MEMBERS {
            match member.bits {
                Some((shift, _)) if shift > 0 => assert_eq!(member.at + 1, end, "{}", member.name),
                _ => assert_eq!(member.at, end, "{}", member.name),
            }
            end = member.at + u16::from(member.size);
        }
        assert_eq!(end, 248);
    }

    #[test]
    fn bits_are_told_apart_and_a_short_structure_tells_less() {
        let mut info = TcpInfo(vec![0; 12]);
        info.0[6] = 0xa7;
        info.0[7] = 0b101;
        info.0[8..12].copy_from_slice(&204_000u32.to_ne_bytes());
        let get = |member| info.get(member);
        assert_eq!((get(member::SND_WSCALE), get(member::RCV_WSCALE)), (Some(7), Some(10)));
        assert_eq!((get(member::APP_LIMITED), get(member::FASTOPEN_FAIL)), (Some(1), Some(2)));
        assert_eq!((get(member::RTO), get(member::ATO)), (Some(204_000), None));
    }
}
