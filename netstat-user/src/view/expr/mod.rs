//! Filter expressions, in the language of ss(8): which sockets a listing or a trace shows.
//!
//! ```text
//! SELECTION := [state STATE | exclude STATE]* [LIST]
//! LIST := EXPR | LIST or EXPR | LIST and EXPR | LIST EXPR
//! EXPR := ( LIST ) | not EXPR | dst HOST | src HOST | dport OP PORT | sport OP PORT
//!       | dev [=|!=] DEVICE | fwmark [=|!=] MARK[/MASK] | cgroup [=|!=] PATH | autobound
//! ```
//!
//! As in ss 6.1, `and` and `or` bind alike, from left to right; two conditions side by side must both hold.
//!
//! Words are only read here. Names in them are looked up by [`Selection::resolve`]; the tree is then evaluated over rows
//! ([`eval`]) and, as far as the kernel can do it, by the kernel ([`bytecode`]).

pub mod bytecode;
pub mod eval;
mod host;
mod parse;
mod print;
mod resolve;
mod word;

pub use eval::Subject;
pub use parse::ExprError;
pub use resolve::{Lookup, ResolveError};

use super::Prefix;
use crate::model::States;

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// States; `None`: no word about states was said.
    pub states: Option<States>,
    pub expr: Option<Expr>,
}

/// A condition, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    Leaf(Cond),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
}

/// Which end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `src`, `sport`: this host's.
    Local,
    /// `dst`, `dport`: the other one.
    Foreign,
}

/// How ports are compared. The other comparisons are the negations of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Equal,
    AtLeast,
    AtMost,
}

/// Something that holds for a socket or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cond {
    /// `src HOST`, `dst HOST`.
    Host(Side, Host),
    /// `sport OP PORT`, `dport OP PORT`.
    Port(Side, Compare, Option<Kind>, Port),
    /// `dev DEVICE`: it is bound to this interface; 0: to none.
    Device(Device),
    /// `fwmark MARK/MASK`.
    Mark { value: u32, mask: u32 },
    /// `cgroup PATH`: it belongs to this cgroup (v2) itself.
    Cgroup(Cgroup),
    /// The kernel chose its port.
    Autobound,
}

/// An address with a port, either of which may be left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The family it was said to be of.
    pub kind: Option<Kind>,
    pub address: Address,
    /// `None`: any.
    pub port: Option<Port>,
}

/// Family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Inet,
    Inet6,
    Unix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Any,
    /// Any of these.
    Prefixes(Vec<Prefix>),
    /// A host name that was not looked up yet.
    Name(String),
    /// A unix path with `*`, `?` and `[...]` (fnmatch(3)); case does not matter.
    Path(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    Number(u16),
    /// Any of these: names of services mean one port for each protocol.
    Any(Vec<u16>),
    /// A service that was not looked up yet.
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    Index(u32),
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroup {
    Id(u64),
    Path(Vec<u8>),
}

impl Selection {
    /// Reads words as they were typed; blanks separate words within them, too. `unix`: the listing is of unix sockets alone,
    /// so that an address without a family is a path.
    ///
    /// # Errors
    /// Names the word that makes no sense.
    pub fn parse(words: &[&[u8]], unix: bool) -> Result<Self, ExprError> {
        parse::selection(words, unix)
    }

    /// Everything is wanted.
    pub fn is_empty(&self) -> bool {
        self.states.is_none() && self.expr.is_none()
    }

    /// Whether any condition is `wanted`.
    pub fn has(&self, wanted: impl Fn(&Cond) -> bool) -> bool {
        self.expr.as_ref().is_some_and(|expr| expr.leaves().any(wanted))
    }

    /// The family that an address or a port was said to be of: as in ss, no socket of another one is shown then; of several
    /// the last counts.
    pub fn kind(&self) -> Option<Kind> {
        let kinds = self.expr.iter().flat_map(Expr::leaves).filter_map(|cond| match cond {
            Cond::Host(_, Host { kind, .. }) | Cond::Port(_, _, kind, _) => *kind,
            Cond::Device(_) | Cond::Mark { .. } | Cond::Cgroup(_) | Cond::Autobound => None,
        });
        kinds.last()
    }
}

impl Expr {
    /// Both hold.
    pub fn and(self, other: Self) -> Self {
        Self::And(Box::new(self), Box::new(other))
    }

    /// One holds.
    pub fn or(self, other: Self) -> Self {
        Self::Or(Box::new(self), Box::new(other))
    }

    #[expect(
        clippy::should_implement_trait,
        reason = "it stands beside `and` and `or`, which are no operators"
    )]
    pub fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Every condition, from left to right.
    pub fn leaves(&self) -> impl Iterator<Item = &Cond> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            loop {
                match waiting.pop()? {
                    Self::Leaf(cond) => return Some(cond),
                    Self::Not(inner) => waiting.push(inner),
                    Self::And(left, right) | Self::Or(left, right) => waiting.extend([&**right, &**left]),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
