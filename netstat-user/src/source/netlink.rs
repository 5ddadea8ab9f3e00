//! Dumps by netlink, whatever the protocol: routes, links and addresses (rtnetlink(7)), connection tracking.
//!
//! The framing is that of [`wire`](super::diag::wire); what a message means is read by its own module.

use super::diag::wire::{
    DONE, ERROR, FLAG_DUMP, FLAG_INTERRUPTED, FLAG_REQUEST, HEADER, Message, Messages, NOOP, WireError,
};
use bytes::{BufMut, BytesMut};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;

/// Room for one datagram: the kernel fills up to 32 KiB of a dump at a time, and one message may be larger.
const ROOM: usize = 256 * 1024;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `NETLINK_ROUTE`.
    Route,
    /// `NETLINK_NETFILTER`.
    Netfilter,
    /// `NETLINK_SOCK_DIAG`.
    SockDiag,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::Route => "rtnetlink",
            Self::Netfilter => "nfnetlink",
            Self::SockDiag => "sock_diag",
        }
    }
}

/// Why a dump failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("cannot {op} {} socket", .service.name())]
    Socket {
        op: &'static str,
        service: Service,
        #[source]
        source: io::Error,
    },
    #[error("the kernel refuses to list {what} by {}{}", .service.name(), cure(.source))]
    Refused {
        what: &'static str,
        service: Service,
        #[source]
        source: io::Error,
    },
    #[error("an answer of {} about {what} is malformed", .service.name())]
    Malformed {
        what: &'static str,
        service: Service,
        #[source]
        source: WireError,
    },
    #[error("an answer of {} about {what} has {size} bytes, of which {ROOM} could be read", .service.name())]
    Truncated { what: &'static str, service: Service, size: usize },
}

impl NetlinkError {
    /// The kernel's error number; 0: it is no refusal of the kernel.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Socket { source, .. } | Self::Refused { source, .. } => source.raw_os_error().unwrap_or(0),
            Self::Malformed { .. } | Self::Truncated { .. } => 0,
        }
    }

    /// Whether this kernel does not know what it was asked for.
    pub fn is_absent(&self) -> bool {
        matches!(
            Errno::from_raw_os_error(self.errno()),
            Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOENT
        )
    }
}

/// What a user can do about a refusal, as the rest of its message.
fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => " (needs root: CAP_NET_ADMIN)",
        _ => "",
    }
}

/// What a dump was.
#[derive(Debug, Default)]
pub struct Dumped {
    /// Something changed meanwhile: entries may be missing or told twice.
    pub interrupted: bool,
    /// Messages that could not be understood, and the first reason.
    pub faulty: u64,
    pub fault: Option<WireError>,
}

/// A netlink socket of the calling thread's network namespace.
pub struct Netlink {
    service: Service,
    socket: OwnedFd,
    input: Vec<u8>,
    seq: u32,
}

impl Netlink {
    /// # Errors
    /// When the kernel has no such protocol, or no socket to give.
    pub fn open(service: Service) -> Result<Self, NetlinkError> {
        let failed = |op| move |error: Errno| NetlinkError::Socket { op, service, source: error.into() };
        let protocol = match service {
            // The protocol with number 0, which is also what no protocol means.
            Service::Route => None,
            Service::Netfilter => Some(netlink::NETFILTER),
            Service::SockDiag => Some(netlink::SOCK_DIAG),
        };
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
                .map_err(failed("open an"))?;
        // Once connected to the kernel, no other process can put words into its mouth.
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).map_err(failed("connect an"))?;
        Ok(Self { service, socket, input: vec![0; ROOM], seq: 0 })
    }

    /// Asks for everything of one kind and calls `each` for every message of the answer; `what` names it in errors.
    /// A message that `each` does not understand is counted, and the rest is still read.
    ///
    /// # Errors
    /// A refusal, or an answer that cannot be read to its end.
    pub fn dump(
        &mut self,
        what: &'static str,
        kind: u16,
        request: &[u8],
        each: &mut dyn FnMut(&Message<'_>) -> Result<(), WireError>,
    ) -> Result<Dumped, NetlinkError> {
        let service = self.service;
        self.seq = self.seq.wrapping_add(1);
        let seq = self.seq;
        self.send(kind, request)?;
        let mut dumped = Dumped::default();
        loop {
            let length = self.receive(what)?;
            for message in Messages(self.input.get(..length).unwrap_or_default()) {
                let message = message.map_err(|source| NetlinkError::Malformed { what, service, source })?;
                if message.seq != seq {
                    continue;
                }
                dumped.interrupted |= message.flags & FLAG_INTERRUPTED != 0;
                match message.kind {
                    DONE | ERROR => return end(&message, what, service).map(|()| dumped),
                    NOOP => {}
                    _ => {
                        if let Err(fault) = each(&message) {
                            dumped.faulty += 1;
                            dumped.fault = dumped.fault.or(Some(fault));
                        }
                    }
                }
            }
        }
    }

    fn send(&self, kind: u16, request: &[u8]) -> Result<(), NetlinkError> {
        let mut message = BytesMut::with_capacity(HEADER + request.len());
        message.put_u32_ne((HEADER + request.len()) as u32);
        message.put_u16_ne(kind);
        message.put_u16_ne(FLAG_REQUEST | FLAG_DUMP);
        message.put_u32_ne(self.seq);
        // The sender's port: 0, the kernel fills it in.
        message.put_u32_ne(0);
        message.put_slice(request);
        loop {
            match rustix::net::send(&self.socket, &message, SendFlags::empty()) {
                Err(Errno::INTR) => {}
                Err(error) => {
                    let service = self.service;
                    return Err(NetlinkError::Socket { op: "write to an", service, source: error.into() });
                }
                Ok(_) => return Ok(()),
            }
        }
    }

    fn receive(&mut self, what: &'static str) -> Result<usize, NetlinkError> {
        let service = self.service;
        loop {
            // The kernel prepares each part of a dump inside our own system call: there is nothing to wait for.
            let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
            match rustix::net::recv(&self.socket, &mut self.input[..], flags) {
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Err(NetlinkError::Socket { op: "read an", service, source: error.into() });
                }
                Ok((_, size)) if size > self.input.len() => {
                    return Err(NetlinkError::Truncated { what, service, size });
                }
                Ok((length, _)) => return Ok(length),
            }
        }
    }
}

/// The refusal in a DONE or ERROR message, if it is one.
fn end(message: &Message<'_>, what: &'static str, service: Service) -> Result<(), NetlinkError> {
    match message.errno() {
        Ok(0) => Ok(()),
        Ok(errno) => {
            Err(NetlinkError::Refused { what, service, source: io::Error::from_raw_os_error(errno) })
        }
        Err(source) => Err(NetlinkError::Malformed { what, service, source }),
    }
}
