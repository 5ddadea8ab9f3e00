//! Words that a field may have, where there are many.

/// Types of routes (`RTN_*`).
pub const ROUTES: &[&str] = &[
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "unknown",
];

/// Names of `IFF_*` by bit.
pub const INTERFACE_FLAGS: &[&str] = &[
    "up",
    "broadcast",
    "debug",
    "loopback",
    "pointopoint",
    "notrailers",
    "running",
    "noarp",
    "promisc",
    "allmulti",
    "master",
    "slave",
    "multicast",
    "portsel",
    "automedia",
    "dynamic",
    "lower_up",
    "dormant",
    "echo",
];
