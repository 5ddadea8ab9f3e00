//! What is said of a field.

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// Several texts.
    Texts,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// RFC 3339 in UTC with nine digits of the second.
    Time,
    /// An integer that fits in 53 bits, from 0.
    Integer,
    /// An unsigned 64-bit integer in decimal, as a string.
    Integer64,
    /// A signed integer in decimal, as a string; from -2^63 to 2^64-1.
    Signed,
    /// Bytes in hexadecimal, two digits each.
    Hex,
    /// True; left out when false.
    True,
    /// True or false.
    Bool,
    /// The processes that hold the socket.
    Holders,
    /// Words of a fixed set.
    Words(&'static [&'static str]),
    /// The ways out of a route.
    Hops,
    /// The addresses of an interface.
    Addresses,
    /// Numbers.
    Integers,
    /// The members of a group of next hops, or the ways out of a multicast route: a number and a weight or threshold.
    Pairs,
    /// Members of `struct tcp_info`.
    TcpInfo,
    /// An object of integers with these names.
    Numbers(&'static [&'static str]),
}

/// A line of the table of fields.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub name: &'static str,
    pub kind: Type,
    /// [`Kind`](super::Kind)s it may appear in.
    pub within: u32,
    /// [`Kind`](super::Kind)s it always appears in.
    pub always: u32,
    pub meaning: &'static str,
}

/// A field of this table or of another one like it.
pub trait Listed: Copy {
    /// Its line in its table.
    fn listed(self) -> &'static Spec;
}
