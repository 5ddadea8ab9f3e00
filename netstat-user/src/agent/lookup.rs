//! Names in filters, looked up where this host keeps them.

use crate::names::{self, service_ports};
use crate::source::container::Cgroups;
use crate::view::Selection;
use crate::view::expr::{Device, Lookup};
use anyhow::Context;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;

/// The same filter with its names looked up; interfaces, too, unless `everywhere`: each network namespace has its own.
///
/// # Errors
/// The first name that stands for nothing.
pub fn resolved(selection: Selection, everywhere: bool) -> anyhow::Result<Selection> {
    selection.resolve(&Host { everywhere }).context("cannot use the filter")
}

/// The same with interfaces looked up in the calling thread's network namespace; one that is not there is no socket's.
pub fn in_namespace(selection: Selection) -> Selection {
    struct Interfaces;
    impl Lookup for Interfaces {
        fn host(&self, _: &str) -> Vec<IpAddr> {
            Vec::new()
        }
        fn service(&self, _: &str) -> Vec<u16> {
            Vec::new()
        }
        fn device(&self, name: &str) -> Option<Device> {
            Some(Device::Index(index(name).unwrap_or(u32::MAX)))
        }
        fn cgroup(&self, _: &[u8]) -> Result<u64, String> {
            Err(String::new())
        }
    }
    let plain = selection.clone();
    // Only interfaces are left to be looked up.
    selection.resolve(&Interfaces).unwrap_or(plain)
}

struct Host {
    everywhere: bool,
}

impl Lookup for Host {
    fn host(&self, name: &str) -> Vec<IpAddr> {
        let (tell, told) = mpsc::channel();
        let asked = name.to_owned();
        // A resolver that never answers keeps its thread, and nothing else.
        std::thread::spawn(move || {
            let found = (asked.as_str(), 0).to_socket_addrs();
            let mut addrs: Vec<IpAddr> = found.into_iter().flatten().map(|addr| addr.ip()).collect();
            addrs.dedup();
            // Nobody waits any more when it took too long.
            let _ = tell.send(addrs);
        });
        told.recv_timeout(names::PATIENCE).unwrap_or_default()
    }

    fn service(&self, name: &str) -> Vec<u16> {
        service_ports(name)
    }

    fn device(&self, name: &str) -> Option<Device> {
        if self.everywhere {
            return Some(Device::Name(name.to_owned()));
        }
        index(name).map(Device::Index)
    }

    fn cgroup(&self, path: &[u8]) -> Result<u64, String> {
        Cgroups::of_host().id(path).map_err(|error| error.to_string())
    }
}

/// The index of an interface of the calling thread's network namespace.
fn index(name: &str) -> Option<u32> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None);
    rustix::net::netdevice::name_to_index(socket.ok()?, name).ok()
}
