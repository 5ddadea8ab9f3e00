//! Ways to learn a thing, best first.

use super::Refusal;
use std::fmt;
use std::str::FromStr;

/// A way to learn what sockets do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Typed tracepoint for transitions, ends of functions for calls.
    Fentry,
    /// Typed tracepoints for transitions and calls.
    TpBtf,
    /// Untyped raw tracepoint for transitions, classic tracepoints for calls.
    RawTp,
    /// Raw tracepoint for transitions, breakpoints for calls.
    Kprobe,
    /// Classic tracepoints only.
    Tracepoint,
    /// No eBPF: NETLINK_SOCK_DIAG.
    Netlink,
    /// No eBPF: files of /proc/net.
    Procfs,
}

impl Tier {
    /// Every tier, best first.
    pub const ALL: [Self; 7] =
        [Self::Fentry, Self::TpBtf, Self::RawTp, Self::Kprobe, Self::Tracepoint, Self::Netlink, Self::Procfs];

    /// The name that people type and read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::TpBtf => "tp_btf",
            Self::RawTp => "raw_tp",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
            Self::Netlink => "netlink",
            Self::Procfs => "procfs",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no tier has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a tier: fentry, tp_btf, raw_tp, kprobe, tracepoint, netlink or procfs")]
pub struct UnknownTier(pub String);

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(name: &str) -> Result<Self, UnknownTier> {
        Self::ALL.into_iter().find(|tier| tier.name() == name).ok_or_else(|| UnknownTier(name.to_owned()))
    }
}

/// A thing to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Changes of state.
    States,
    /// Half-open connections, the life of TIME_WAIT, and the port of a socket that connects.
    Minis,
    /// Bytes waiting in queues, as calls change them.
    Queues,
    /// Which process accepted a connection.
    Accept,
    /// Resets sent and received, and why.
    Resets,
    /// Windows that peers close.
    Windows,
    /// Processes that begin, execute a program, and end.
    Lives,
    /// Who holds which socket, by one pass.
    Holders,
    /// The sockets that are there.
    Listing,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 9] = [
        Self::States,
        Self::Minis,
        Self::Queues,
        Self::Accept,
        Self::Resets,
        Self::Windows,
        Self::Lives,
        Self::Holders,
        Self::Listing,
    ];

    /// Those that are learnt by events.
    pub const EVENTS: [Self; 7] =
        [Self::States, Self::Minis, Self::Queues, Self::Accept, Self::Resets, Self::Windows, Self::Lives];

    /// What it is, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::States => "state changes",
            Self::Minis => "half-open and waiting",
            Self::Queues => "queue changes",
            Self::Accept => "accepting process",
            Self::Resets => "resets",
            Self::Windows => "closed windows",
            Self::Lives => "life of processes",
            Self::Holders => "holders of sockets",
            Self::Listing => "listing",
        }
    }

    /// The ways to learn it, best first. A forced tier leaves those of its bundle.
    pub fn ladder(self, forced: Option<Tier>) -> &'static [Tier] {
        use Tier::*;
        match (self, forced) {
            (Self::Holders, Some(Tracepoint | Netlink | Procfs)) => &[Procfs],
            (Self::Holders, _) => &[TpBtf, Procfs],
            (Self::Lives, None | Some(Fentry | TpBtf | RawTp | Kprobe)) => &[RawTp],
            (Self::Lives, Some(_)) => &[],
            (Self::Listing, Some(Procfs)) => &[Procfs],
            (Self::Listing, _) => &[Netlink, Procfs],
            (_, Some(Netlink | Procfs)) => &[],
            (Self::States | Self::Resets, None) => &[TpBtf, RawTp, Tracepoint],
            (Self::States | Self::Resets, Some(Fentry | TpBtf)) => &[TpBtf],
            (Self::States | Self::Resets, Some(RawTp | Kprobe)) => &[RawTp],
            (Self::States | Self::Resets, Some(Tracepoint)) => &[Tracepoint],
            (Self::Minis, None) => &[Fentry, Kprobe, TpBtf, RawTp],
            (Self::Windows, None) => &[Kprobe, TpBtf, RawTp],
            (Self::Minis, Some(Fentry)) => &[Fentry],
            (Self::Minis, Some(TpBtf)) | (Self::Windows, Some(Fentry | TpBtf)) => &[TpBtf],
            (Self::Minis | Self::Windows, Some(RawTp)) => &[RawTp],
            (Self::Minis | Self::Windows, Some(Kprobe)) => &[Kprobe],
            (Self::Minis | Self::Windows, Some(Tracepoint)) => &[],
            (Self::Queues, None) => &[Fentry, Kprobe, TpBtf, Tracepoint],
            (Self::Queues, Some(Fentry)) => &[Fentry],
            (Self::Queues, Some(TpBtf)) => &[TpBtf],
            (Self::Queues, Some(RawTp | Tracepoint)) => &[Tracepoint],
            (Self::Queues, Some(Kprobe)) => &[Kprobe],
            (Self::Accept, None) => &[Fentry, Kprobe, Tracepoint],
            (Self::Accept, Some(Fentry)) => &[Fentry],
            (Self::Accept, Some(Kprobe)) => &[Kprobe],
            (Self::Accept, Some(TpBtf | RawTp | Tracepoint)) => &[Tracepoint],
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A tier that could not be had.
#[derive(Debug)]
pub struct Refused {
    pub tier: Tier,
    pub why: Refusal,
}

/// How a feature is learnt here.
#[derive(Debug)]
pub struct Choice {
    pub feature: Feature,
    /// `None`: not at all, or not asked for when `refused` is empty.
    pub tier: Option<Tier>,
    /// The better ways, and why they were refused.
    pub refused: Vec<Refused>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
        }
        assert_eq!("Fentry".parse::<Tier>(), Err(UnknownTier("Fentry".into())));
    }

    #[test]
    fn a_forced_tier_leaves_one_rung_at_most() {
        for tier in Tier::ALL {
            for feature in Feature::EVENTS {
                let open = feature.ladder(None);
                let forced = feature.ladder(Some(tier));
                assert!(
                    forced.len() <= 1 && forced.iter().all(|rung| open.contains(rung)),
                    "{tier} {feature}"
                );
            }
        }
    }
}
