//! Names in an expression become what they stand for.

use super::{Address, Cgroup, Cond, Device, Expr, Host, Port, Selection};
use crate::view::Prefix;
use std::net::IpAddr;

/// Where names are looked up.
pub trait Lookup {
    /// Addresses of a host; none: it has no such name.
    fn host(&self, name: &str) -> Vec<IpAddr>;
    /// The port of a service, one for each protocol that has another.
    fn service(&self, name: &str) -> Vec<u16>;
    /// Its index, or its name once more when another is to look it up.
    fn device(&self, name: &str) -> Option<Device>;
    /// The id of a cgroup (v2) by its path below the root of the hierarchy.
    ///
    /// # Errors
    /// Why it has none.
    fn cgroup(&self, path: &[u8]) -> Result<u64, String>;
}

/// A name that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("{0:?} is the name of no host, and no address")]
    Host(String),
    #[error("{0:?} is the name of no service in /etc/services, and no port")]
    Service(String),
    #[error("{0:?} is the name of no network interface here, and no index of one")]
    Device(String),
    #[error("cannot find the cgroup {path:?}: {why}")]
    Cgroup { path: String, why: String },
}

impl Selection {
    /// The same with every name looked up.
    ///
    /// # Errors
    /// The first name that stands for nothing.
    pub fn resolve(self, lookup: &dyn Lookup) -> Result<Self, ResolveError> {
        let expr = self.expr.map(|expr| expr.resolve(lookup)).transpose()?;
        Ok(Self { expr, ..self })
    }
}

impl Expr {
    fn resolve(self, lookup: &dyn Lookup) -> Result<Self, ResolveError> {
        Ok(match self {
            Self::Leaf(cond) => Self::Leaf(cond.resolve(lookup)?),
            Self::Not(inner) => inner.resolve(lookup)?.not(),
            Self::And(left, right) => left.resolve(lookup)?.and(right.resolve(lookup)?),
            Self::Or(left, right) => left.resolve(lookup)?.or(right.resolve(lookup)?),
        })
    }
}

impl Cond {
    fn resolve(self, lookup: &dyn Lookup) -> Result<Self, ResolveError> {
        Ok(match self {
            Self::Host(side, host) => {
                let address = match host.address {
                    Address::Name(name) => {
                        let found = lookup.host(&name);
                        if found.is_empty() {
                            return Err(ResolveError::Host(name));
                        }
                        let whole = |addr: IpAddr| Prefix::new(addr, if addr.is_ipv4() { 32 } else { 128 });
                        Address::Prefixes(found.into_iter().filter_map(whole).collect())
                    }
                    other => other,
                };
                let port = host.port.map(|port| port.resolve(lookup)).transpose()?;
                Self::Host(side, Host { address, port, ..host })
            }
            Self::Port(side, compare, kind, port) => Self::Port(side, compare, kind, port.resolve(lookup)?),
            Self::Device(Device::Name(name)) => match lookup.device(&name) {
                Some(device) => Self::Device(device),
                None => return Err(ResolveError::Device(name)),
            },
            Self::Cgroup(Cgroup::Path(path)) => match lookup.cgroup(&path) {
                Ok(id) => Self::Cgroup(Cgroup::Id(id)),
                Err(why) => {
                    return Err(ResolveError::Cgroup {
                        path: String::from_utf8_lossy(&path).into_owned(),
                        why,
                    });
                }
            },
            other => other,
        })
    }
}

impl Port {
    fn resolve(self, lookup: &dyn Lookup) -> Result<Self, ResolveError> {
        let Self::Name(name) = self else { return Ok(self) };
        let found = lookup.service(&name);
        match found.as_slice() {
            [] => Err(ResolveError::Service(name)),
            [one] => Ok(Self::Number(*one)),
            _ => Ok(Self::Any(found)),
        }
    }
}
