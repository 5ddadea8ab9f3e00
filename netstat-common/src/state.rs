//! TCP states in the kernel's numbering (`include/net/tcp_states.h`, Linux 6.12).

/// A state of RFC 9293 section 3.3.2, as Linux names and numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TcpState {
    Established = 1,
    SynSent = 2,
    /// SYN-RECEIVED. Before the final ACK it is a request socket (`TCP_NEW_SYN_RECV`, 12), which is folded
    /// into this state just as /proc/net/tcp and sock_diag do.
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
}

/// A state number that the kernel of this program's day does not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownState(pub u8);

impl core::fmt::Display for UnknownState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} is not a TCP state (1 to 12, include/net/tcp_states.h)", self.0)
    }
}

impl core::error::Error for UnknownState {}

impl TcpState {
    /// Every state, in the kernel's order.
    pub const ALL: [Self; 11] = [
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait1,
        Self::FinWait2,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::Closing,
    ];

    /// The name net-tools prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        }
    }

    /// The value of OpenTelemetry's `network.connection.state`.
    pub const fn otel(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn_sent",
            Self::SynRecv => "syn_received",
            Self::FinWait1 => "fin_wait_1",
            Self::FinWait2 => "fin_wait_2",
            Self::TimeWait => "time_wait",
            Self::Close => "closed",
            Self::CloseWait => "close_wait",
            Self::LastAck => "last_ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
        }
    }

    /// Bit of this state in `inet_diag_req_v2.idiag_states` (`1 << state`).
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Whether the kernel may move a socket from `self` to `next` in one step: the arrows of RFC 9293 figure 5
    /// as Linux draws them (`tcp_set_state` and `inet_sk_state_store` callers, 6.12). Any state may go to
    /// CLOSE; a child is cloned LISTEN -> SYN_RECV; FIN_WAIT2 is skipped when the FIN carries the ACK.
    pub const fn may_become(self, next: Self) -> bool {
        use TcpState::*;
        match (self, next) {
            (Close, Listen | SynSent) => true,
            // TCP_REPAIR and fast-open children are born established.
            (Close, Established | SynRecv | TimeWait | FinWait2) => true,
            (Listen, SynRecv) => true,
            (SynSent, Established | SynRecv) => true,
            (SynRecv, Established | FinWait1 | CloseWait) => true,
            (Established, FinWait1 | CloseWait) => true,
            (FinWait1, FinWait2 | Closing | TimeWait) => true,
            (FinWait2 | Closing, TimeWait) => true,
            (CloseWait, LastAck) => true,
            (Close, _) => false,
            (_, Close) => true,
            _ => false,
        }
    }
}

impl TryFrom<u8> for TcpState {
    type Error = UnknownState;

    fn try_from(code: u8) -> Result<Self, UnknownState> {
        Ok(match code {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => return Err(UnknownState(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_strangers_are_named() {
        for state in TcpState::ALL {
            assert_eq!(TcpState::try_from(state as u8), Ok(state));
        }
        assert_eq!(TcpState::try_from(12), Ok(TcpState::SynRecv));
        for code in [0, 13, 255] {
            assert_eq!(TcpState::try_from(code), Err(UnknownState(code)));
        }
    }

    #[test]
    fn every_open_state_may_close_and_a_closed_one_may_not() {
        for state in TcpState::ALL {
            assert_eq!(state.may_become(TcpState::Close), state != TcpState::Close, "{}", state.name());
        }
    }
}
