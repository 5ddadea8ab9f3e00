//! Names for numbers: hosts, services, users. Lookup only, and only of what was asked for.

mod files;
mod hosts;

pub use hosts::Hosts;

use crate::args::plan::Naming;
use crate::model::Protocol;
use crate::model::route::{TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};
use files::{Choice, Numbered};
use rustc_hash::FxHashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

/// Time that all host lookups of a listing may take together before addresses stay numbers.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Names of routing tables: those of the kernel, and of rt_tables(5) where iproute2 keeps them.
pub fn routing_tables() -> FxHashMap<u32, Vec<u8>> {
    const PLACES: [&str; 2] = ["/etc/iproute2", "/usr/share/iproute2"];
    let mut names = FxHashMap::default();
    for place in PLACES.map(Path::new) {
        let more = std::fs::read_dir(place.join("rt_tables.d")).into_iter().flatten().flatten();
        let mut more: Vec<_> = more.map(|entry| entry.path()).collect();
        more.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
        more.sort();
        for path in std::iter::once(place.join("rt_tables")).chain(more) {
            // As for services: a missing file names nothing.
            files::tables(&std::fs::read(path).unwrap_or_default(), &mut names);
        }
    }
    for (number, name) in [(TABLE_DEFAULT, "default"), (TABLE_MAIN, "main"), (TABLE_LOCAL, "local")] {
        names.entry(number).or_insert_with(|| name.into());
    }
    names
}

/// The ports of a service by its name or another name of it, each once; a service has one for each protocol.
pub fn service_ports(name: &str) -> Vec<u16> {
    // As for a listing, a missing file names nothing.
    files::ports(&std::fs::read("/etc/services").unwrap_or_default(), name.as_bytes())
}

/// Names as far as they are wanted and known.
#[derive(Default)]
pub struct Names {
    hosts: Option<Hosts>,
    services: Option<Services>,
    /// With `hosts`.
    networks: FxHashMap<Ipv4Addr, Box<[u8]>>,
    users: Option<FxHashMap<u32, Option<Vec<u8>>>>,
}

struct Services {
    tcp: Numbered,
    udp: Numbered,
    /// Raw sockets carry a protocol number where others have a port.
    protocols: Numbered,
}

impl Names {
    /// Numbers only.
    pub fn none() -> Self {
        Self::default()
    }

    /// Names of this host: its resolver, `/etc/services`, `/etc/protocols` and its users.
    pub fn of_host(naming: Naming) -> Self {
        Self::read(naming, Choice::First)
    }

    /// The same with the services that net-tools shows: of several for one port the last, not the first.
    pub fn of_net_tools(naming: Naming) -> Self {
        Self::read(naming, Choice::Last)
    }

    fn read(naming: Naming, choice: Choice) -> Self {
        Self {
            hosts: naming.hosts.then(Hosts::of_resolver),
            networks: if naming.hosts { networks(Path::new("/etc")) } else { FxHashMap::default() },
            services: naming.ports.then(|| Services::read(Path::new("/etc"), choice)),
            users: naming.users.then(FxHashMap::default),
        }
    }

    /// Whether hosts are shown by name.
    pub fn wants_hosts(&self) -> bool {
        self.hosts.is_some()
    }

    /// Looks up all of `addrs` that were not before, side by side, for at most `patience`. Returns how many are still
    /// unknown then; they stay numbers until a later call finds their answers.
    pub fn resolve(&mut self, addrs: impl IntoIterator<Item = IpAddr>, patience: Duration) -> usize {
        self.hosts.as_mut().map_or(0, |hosts| hosts.resolve(addrs, patience))
    }

    /// The name of a host that was resolved.
    pub fn host(&mut self, addr: IpAddr) -> Option<&[u8]> {
        self.hosts.as_ref()?.name(addr)
    }

    /// The name of a network.
    pub fn network(&self, addr: Ipv4Addr) -> Option<&[u8]> {
        self.networks.get(&addr).map(|name| &**name)
    }

    /// The name of a port, or for raw sockets of a protocol. UDP-Lite uses UDP's names.
    pub fn port(&mut self, protocol: Protocol, port: u16) -> Option<&[u8]> {
        let services = self.services.as_ref()?;
        match protocol {
            Protocol::Tcp => services.tcp.name(port),
            Protocol::Udp | Protocol::UdpLite => services.udp.name(port),
            Protocol::Raw => services.protocols.name(port),
        }
    }

    /// The name of a user, from the system's databases.
    pub fn user(&mut self, uid: u32) -> Option<&[u8]> {
        use std::os::unix::ffi::OsStrExt;
        let users = self.users.as_mut()?;
        let name = users
            .entry(uid)
            .or_insert_with(|| uzers::get_user_by_uid(uid).map(|user| user.name().as_bytes().to_vec()));
        name.as_deref()
    }
}

fn networks(etc: &Path) -> FxHashMap<Ipv4Addr, Box<[u8]>> {
    // As for services: a missing file names nothing.
    files::networks(&std::fs::read(etc.join("networks")).unwrap_or_default())
}

impl Services {
    fn read(etc: &Path, choice: Choice) -> Self {
        // A missing file names nothing, which shows as numbers: no reason to refuse a listing.
        let services = std::fs::read(etc.join("services")).unwrap_or_default();
        let protocols = std::fs::read(etc.join("protocols")).unwrap_or_default();
        Self {
            tcp: files::services(&services, b"tcp", choice),
            udp: files::services(&services, b"udp", choice),
            protocols: files::protocols(&protocols, choice),
        }
    }
}
