//! A network namespace of one's own.

use crate::sys::checked;
use anyhow::{Context, Result};
use std::fs::File;
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// Moves the calling thread, and what it starts, into a new network namespace with loopback up; dropping it moves the thread
/// back. The namespace is gone when the last process and socket in it are.
pub struct NetNs {
    before: File,
    inum: u64,
    /// The guard must be dropped on the thread it moved.
    thread: PhantomData<*const ()>,
}

impl NetNs {
    /// # Errors
    /// Without CAP_SYS_ADMIN, or when the kernel has no network namespaces.
    pub fn enter() -> Result<Self> {
        let before = File::open("/proc/thread-self/ns/net").context("own network namespace")?;
        // SAFETY: no pointer is passed; only the calling thread moves.
        checked(unsafe { libc::unshare(libc::CLONE_NEWNET) }).context("unshare(CLONE_NEWNET)")?;
        let inum = std::fs::metadata("/proc/thread-self/ns/net")?.ino();
        let namespace = Self { before, inum, thread: PhantomData };
        bring_up("lo").context("bringing loopback up")?;
        Ok(namespace)
    }

    /// Inode of the namespace: what the kernel calls `ns.inum`.
    pub fn inum(&self) -> u64 {
        self.inum
    }

    /// Sets a file below /proc/sys/net, which means the namespace of the calling thread.
    ///
    /// # Errors
    /// The file does not exist or refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        std::fs::write(format!("/proc/sys/net/{name}"), value)
            .with_context(|| format!("net/{name} = {value}"))
    }
}

impl NetNs {
    /// Gives loopback one more address.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN.
    pub fn add_address(&self, addr: Ipv4Addr) -> Result<()> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        let mut request = request("lo:1");
        request.ifr_ifru.ifru_addr = sockaddr(addr);
        // SAFETY: the structure is what SIOCSIFADDR takes.
        checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) })?;
        // What an address of its class has would make its whole network ours.
        request.ifr_ifru.ifru_netmask = sockaddr(Ipv4Addr::BROADCAST);
        // SAFETY: the structure is what SIOCSIFNETMASK takes.
        checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFNETMASK, &raw const request) })?;
        Ok(())
    }

    /// What is sent to `addr` goes to loopback, where nobody has that address.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN.
    pub fn route_to(&self, addr: Ipv4Addr) -> Result<()> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        let mut device = *b"lo\0";
        // SAFETY: all-zero bytes are a valid rtentry.
        let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
        route.rt_dst = sockaddr(addr);
        route.rt_genmask = sockaddr(Ipv4Addr::BROADCAST);
        route.rt_flags = libc::RTF_UP | libc::RTF_HOST;
        route.rt_dev = device.as_mut_ptr().cast();
        // SAFETY: the structure is what SIOCADDRT takes, and the name it points to outlives the call.
        checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCADDRT, &raw const route) })?;
        Ok(())
    }
}

/// An interface's name, and nothing else.
fn request(interface: &str) -> libc::ifreq {
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

/// struct sockaddr_in as the older calls take it.
fn sockaddr(addr: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..].iter_mut().zip(addr.octets()) {
        *to = from as libc::c_char;
    }
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        // SAFETY: no pointer is passed; the descriptor is open.
        let result = checked(unsafe { libc::setns(self.before.as_raw_fd(), libc::CLONE_NEWNET) });
        // A thread that stays in the wrong namespace would make other tests lie.
        result.expect("back into the namespace left");
    }
}

fn bring_up(interface: &str) -> Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut request = request(interface);
    // SAFETY: the structure is what SIOCGIFFLAGS takes and fills.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })?;
    // SAFETY: SIOCGIFFLAGS has just set this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    // SAFETY: the structure is what SIOCSIFFLAGS takes.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_its_own_and_left_again() -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            crate::need::skip("needs root");
            return Ok(());
        }
        let before = std::fs::metadata("/proc/thread-self/ns/net")?.ino();
        let namespace = NetNs::enter()?;
        assert_ne!(namespace.inum(), before);
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let _client = std::net::TcpStream::connect(listener.local_addr()?)?;
        drop(namespace);
        assert_eq!(std::fs::metadata("/proc/thread-self/ns/net")?.ino(), before);
        Ok(())
    }
}
