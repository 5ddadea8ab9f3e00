//! One call at a time through io_uring.

use io_uring::{IoUring, opcode, squeue, types};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

/// A ring, and whether a worker thread of the kernel's is to make each call instead of the caller.
pub struct Ring {
    ring: IoUring,
    pub by_worker: bool,
}

impl Ring {
    /// # Errors
    /// The kernel does not have io_uring, or refuses it (`kernel.io_uring_disabled`, seccomp).
    pub fn new() -> io::Result<Self> {
        Ok(Self { ring: IoUring::new(4)?, by_worker: false })
    }

    /// Makes the call and waits for its result.
    ///
    /// # Safety
    /// What the entry points to lives until this returns.
    unsafe fn call(&mut self, entry: squeue::Entry) -> io::Result<i32> {
        let flags = if self.by_worker { squeue::Flags::ASYNC } else { squeue::Flags::empty() };
        let entry = entry.flags(flags);
        // SAFETY: the caller vouches for the entry, and its completion is waited for below.
        unsafe { self.ring.submission().push(&entry) }.map_err(io::Error::other)?;
        loop {
            match self.ring.submit_and_wait(1) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
            if let Some(done) = self.ring.completion().next() {
                let result = done.result();
                return if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) };
            }
        }
    }

    pub fn connect(&mut self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = crate::sys::stream_socket(to.is_ipv6(), 0)?;
        let (address, size) = raw(to);
        let fd = types::Fd(socket.as_raw_fd());
        let entry = opcode::Connect::new(fd, (&raw const address).cast(), size).build();
        // SAFETY: `address` lives until the end of this function.
        unsafe { self.call(entry) }?;
        Ok(socket.into())
    }

    pub fn accept(&mut self, listener: &impl AsRawFd) -> io::Result<TcpStream> {
        let null = std::ptr::null_mut();
        let accept = opcode::Accept::new(types::Fd(listener.as_raw_fd()), null, null.cast());
        let entry = accept.flags(libc::SOCK_CLOEXEC).build();
        // SAFETY: the entry points to nothing.
        let fd = unsafe { self.call(entry) }?;
        // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
    }

    pub fn send(&mut self, stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            let entry = opcode::Send::new(types::Fd(stream.as_raw_fd()), bytes.as_ptr(), length).build();
            // SAFETY: `bytes` lives until the end of this function.
            let sent = unsafe { self.call(entry) }?;
            bytes = bytes.get(sent.unsigned_abs() as usize..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads into all of `bytes`, or up to the end of the stream; gives how many it read.
    pub fn receive(&mut self, stream: &TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let length = u32::try_from(rest.len()).map_err(io::Error::other)?;
            let entry = opcode::Recv::new(types::Fd(stream.as_raw_fd()), rest.as_mut_ptr(), length).build();
            // SAFETY: `rest` lives until the end of this function.
            match unsafe { self.call(entry) }? {
                0 => break,
                got => filled += got.unsigned_abs() as usize,
            }
        }
        Ok(filled)
    }

    pub fn close(&mut self, stream: TcpStream) -> io::Result<()> {
        let entry = opcode::Close::new(types::Fd(stream.into_raw_fd())).build();
        // SAFETY: the entry points to nothing, and nobody else has the descriptor.
        unsafe { self.call(entry) }.map(|_| ())
    }
}

/// An address as the kernel takes it, and its size.
fn raw(addr: SocketAddr) -> (libc::sockaddr_in6, u32) {
    // SAFETY: all-zero bytes are a valid sockaddr_in6.
    let mut raw: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    match addr {
        SocketAddr::V6(addr) => {
            raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            raw.sin6_port = addr.port().to_be();
            raw.sin6_addr.s6_addr = addr.ip().octets();
            raw.sin6_scope_id = addr.scope_id();
            (raw, size_of::<libc::sockaddr_in6>() as u32)
        }
        SocketAddr::V4(addr) => {
            raw.sin6_family = libc::AF_INET as libc::sa_family_t;
            raw.sin6_port = addr.port().to_be();
            // struct sockaddr_in has its address where this one has the flow.
            raw.sin6_flowinfo = u32::from_ne_bytes(addr.ip().octets());
            (raw, size_of::<libc::sockaddr_in>() as u32)
        }
    }
}
