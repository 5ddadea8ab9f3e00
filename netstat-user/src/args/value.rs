//! Values of options.

use super::compat::Family;
use crate::model::TcpState;
use netstat_common::config::Queues;
use std::time::Duration;

/// A state by the name that netstat, ss, RFC 9293 or OpenTelemetry gives it, in any case, with `-`, `_` or nothing
/// between the words.
pub fn state(text: &str) -> Result<TcpState, String> {
    use TcpState::*;
    let plain: String =
        text.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
    Ok(match plain.as_str() {
        "ESTABLISHED" | "ESTAB" => Established,
        "SYNSENT" => SynSent,
        "SYNRECV" | "SYNRCVD" | "SYNRCV" | "SYNRECEIVED" => SynRecv,
        "FINWAIT1" => FinWait1,
        "FINWAIT2" => FinWait2,
        "TIMEWAIT" => TimeWait,
        "CLOSE" | "CLOSED" | "UNCONN" | "UNCONNECTED" => Close,
        "CLOSEWAIT" => CloseWait,
        "LASTACK" => LastAck,
        "LISTEN" | "LISTENING" => Listen,
        "CLOSING" => Closing,
        _ => {
            let names: Vec<&str> = TcpState::ALL.iter().map(|state| state.name()).collect();
            return Err(format!("not a TCP state; the states are {}", names.join(", ")));
        }
    })
}

/// An address family by one of the names that net-tools knows.
pub fn family(text: &str) -> Result<Family, String> {
    Family::named(text.as_bytes())
        .ok_or_else(|| format!("not an address family; the families are {}", families().join(", ")))
}

/// What the families are called. net-tools' own name of Econet is none of those that it takes.
pub fn families() -> [&'static str; 12] {
    Family::ALL.map(|family| if family == Family::Econet { "econet" } else { family.name() })
}

/// A positive number of seconds, with or without a fraction.
pub fn interval(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Ok(Duration::ZERO) => Err("must be more than 0 seconds".to_owned()),
        other => other,
    }
}

/// A number of seconds, with or without a fraction.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().ok().ok_or("not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Bytes of a ring buffer: a power of two, at least a page, at most 1 GiB; with `K`, `M` or `G` for multiples of 1024.
pub fn ring_bytes(text: &str) -> Result<u32, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1_u64),
    };
    let page = rustix::param::page_size() as u64;
    let size: u64 = digits.parse().ok().ok_or("not a number of bytes (4096, 64K, 4M)")?;
    match size.checked_mul(factor) {
        Some(size) if size.is_power_of_two() && (page..=1 << 30).contains(&size) => Ok(size as u32),
        _ => Err(format!("must be a power of two from one page ({page} bytes) to 1G")),
    }
}

/// `off`, `coalesced` or `every`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum QueuesWord {
    /// No queue changes
    #[default]
    Off,
    /// The first change of a connection at once, then at most one in each interval, and the last
    Coalesced,
    /// One line for each call that moved data
    Every,
}

impl From<QueuesWord> for Queues {
    fn from(word: QueuesWord) -> Self {
        match word {
            QueuesWord::Off => Self::Off,
            QueuesWord::Coalesced => Self::Coalesced,
            QueuesWord::Every => Self::Every,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_go_by_many_names() {
        for wanted in TcpState::ALL {
            assert_eq!(state(wanted.name()), Ok(wanted));
            assert_eq!(state(&wanted.name().replace('_', "-").to_lowercase()), Ok(wanted));
            assert_eq!(state(wanted.otel()), Ok(wanted));
        }
        for (name, wanted) in [
            ("estab", TcpState::Established),
            ("fin-wait-1", TcpState::FinWait1),
            ("FIN_WAIT_2", TcpState::FinWait2),
            ("SYN-RECEIVED", TcpState::SynRecv),
            ("closed", TcpState::Close),
            ("listening", TcpState::Listen),
        ] {
            assert_eq!(state(name), Ok(wanted));
        }
        assert!(state("half-open").unwrap_err().contains("ESTABLISHED, SYN_SENT"));
    }

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!(ring_bytes("65536"), Ok(65_536));
        assert_eq!(ring_bytes("64K"), Ok(65_536));
        assert_eq!(ring_bytes("4m"), Ok(4 << 20));
        assert_eq!(ring_bytes("1G"), Ok(1 << 30));
        for bad in ["", "K", "5000", "1", "2G", "-4096", "4KiB", "18446744073709551615G"] {
            assert!(ring_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_of_time_are_finite_and_not_negative() {
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "nan", "inf", "1e300", "five", ""] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
