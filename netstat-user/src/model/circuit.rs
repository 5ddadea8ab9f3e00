//! Sockets of the radio and packet networks, which have addresses of their own.

/// A socket as a line of /proc/net tells it; what its table does not have is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circuit<'a> {
    /// Who uses it (NET/ROM).
    pub user: Option<&'a [u8]>,
    pub destination: &'a [u8],
    pub source: &'a [u8],
    /// Call signs beside addresses of another kind (ROSE).
    pub calls: Option<(&'a [u8], &'a [u8])>,
    pub device: &'a [u8],
    /// Its number and its name, which is empty when the number has none.
    pub state: (i64, &'static str),
    /// Logical channel (X.25, ROSE).
    pub channel: Option<i64>,
    pub neighbour: Option<i64>,
    /// Of the next frame to be sent, and of the next to be received.
    pub sequence: Option<(i64, i64)>,
    /// Sent, and received.
    pub queues: Option<(i64, i64)>,
}
