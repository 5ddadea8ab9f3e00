//! Why the kernel half could not report something it saw.

/// Index into the per-CPU counter array `LOSSES` (one `u64` a reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Loss {
    /// The ring buffer had no room.
    RingFull = 0,
    /// A field of the socket could not be read.
    UnreadableSock = 1,
    /// The hook's argument or return value was not where it should be.
    NoArgument = 2,
    /// A per-socket storage could not be made, so a queue change was not coalesced but dropped.
    NoStorage = 3,
}

impl Loss {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 4] = [Self::RingFull, Self::UnreadableSock, Self::NoArgument, Self::NoStorage];

    /// What happened, for people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::RingFull => "ring buffer full",
            Self::UnreadableSock => "socket unreadable",
            Self::NoArgument => "hook without argument",
            Self::NoStorage => "no socket storage",
        }
    }
}
