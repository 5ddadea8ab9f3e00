//! Address families by the names that net-tools knows.

/// An address family, or a protocol of one, beside the inet and unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    Unix,
    Inet,
    Inet6,
    Ax25,
    Ipx,
    /// AppleTalk.
    Ddp,
    Netrom,
    Rose,
    X25,
    Econet,
    Ash,
    Bluetooth,
}

impl Family {
    pub const ALL: [Self; 12] = [
        Self::Unix,
        Self::Inet,
        Self::Inet6,
        Self::Ax25,
        Self::Ipx,
        Self::Ddp,
        Self::Netrom,
        Self::Rose,
        Self::X25,
        Self::Econet,
        Self::Ash,
        Self::Bluetooth,
    ];

    /// The family that goes by this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"unix" => Self::Unix,
            b"inet" | b"ip" | b"tcpip" => Self::Inet,
            b"inet6" | b"ip6" => Self::Inet6,
            b"ax25" => Self::Ax25,
            b"ipx" => Self::Ipx,
            b"ddp" | b"appletalk" => Self::Ddp,
            b"netrom" => Self::Netrom,
            b"rose" => Self::Rose,
            b"x25" => Self::X25,
            b"econet" => Self::Econet,
            b"ash" => Self::Ash,
            b"bluetooth" => Self::Bluetooth,
            _ => return None,
        })
    }

    /// net-tools' own name of it, as in its messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
            Self::Ax25 => "ax25",
            Self::Ipx => "ipx",
            Self::Ddp => "ddp",
            Self::Netrom => "netrom",
            Self::Rose => "rose",
            Self::X25 => "x25",
            Self::Econet => "ec",
            Self::Ash => "ash",
            Self::Bluetooth => "bluetooth",
        }
    }
}
