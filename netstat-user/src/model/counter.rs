//! Counters of the kernel's protocols.

/// Counters that stand together in a file of /proc/net, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `TcpExt`.
    pub name: Vec<u8>,
    pub counters: Vec<Counter>,
}

/// A number under a name. Most only grow; some are settings (`Tcp: MaxConn` is -1 without a limit) or levels
/// (`Tcp: CurrEstab`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// As the file spells it: the counters of IPv6 carry the name of their group.
    pub name: Vec<u8>,
    /// From `i64::MIN` to `u64::MAX`.
    pub value: i128,
}
