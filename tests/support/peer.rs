//! A TCP peer that does what a script says: it is no socket but the other end of the wire, so it can withhold an answer,
//! answer late, or answer wrongly, as the peers of real connections do.
//!
//! Its address is routed to loopback and is nobody's: the kernel delivers what is sent there to nobody, and never answers
//! in its place. It sends through a raw socket and hears what arrives at loopback.

use crate::NetNs;
use anyhow::{Context, Result, bail, ensure};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::cell::Cell;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The kernel's end.
pub const OWN: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
/// The peer's.
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);

/// How long a segment is waited for: longer than the kernel's longest pause here, and than a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// ETH_P_IP (include/uapi/linux/if_ether.h), in network order as packet(7) wants it.
const ETH_P_IP: NonZeroU32 = NonZeroU32::new((0x0800_u16).to_be() as u32).expect("is not zero");

/// Flags of a segment (RFC 9293 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(u8);

pub const FIN: Flags = Flags(0x01);
pub const SYN: Flags = Flags(0x02);
pub const RST: Flags = Flags(0x04);
pub const ACK: Flags = Flags(0x10);

impl Flags {
    pub fn has(self, all: Self) -> bool {
        self.0 & all.0 == all.0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (ACK, "ACK")];
        let set: Vec<_> = names.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name).collect();
        f.write_str(&set.join("|"))
    }
}

/// What was heard: ports, numbers and flags of a segment, and how many bytes it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub seq: u32,
    pub ack: u32,
    pub flags: Flags,
    pub bytes: u32,
}

impl Segment {
    /// Reads an IPv4 packet; `None` when it is no TCP segment.
    fn parse(packet: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
        let (first, total) = (*packet.first()?, usize::from(half(2)?));
        if first >> 4 != 4 || i32::from(*packet.get(9)?) != libc::IPPROTO_TCP {
            return None;
        }
        let tcp = usize::from(first & 0xf) * 4;
        let header = usize::from(packet.get(tcp + 12)? >> 4) * 4;
        Some(Self {
            from: SocketAddrV4::new(word(12)?.into(), half(tcp)?),
            to: SocketAddrV4::new(word(16)?.into(), half(tcp + 2)?),
            seq: word(tcp + 4)?,
            ack: word(tcp + 8)?,
            flags: Flags(*packet.get(tcp + 13)?),
            bytes: u32::try_from(total.checked_sub(tcp + header)?).ok()?,
        })
    }

    /// The number after the last one that it uses up.
    fn end(&self) -> u32 {
        let flags = u32::from(self.flags.has(SYN)) + u32::from(self.flags.has(FIN));
        self.seq.wrapping_add(self.bytes).wrapping_add(flags)
    }

    /// The IPv4 packet. `timestamp` is put into an option (RFC 7323).
    fn packet(&self, data: &[u8], timestamp: Option<u32>, window: u16) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(32 + data.len());
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let words = if timestamp.is_some() { 8 } else { 5 };
        tcp.extend([words << 4, self.flags.0]);
        tcp.extend(window.to_be_bytes());
        // Checksum, filled in below; urgent pointer.
        tcp.extend([0, 0, 0, 0]);
        if let Some(timestamp) = timestamp {
            // Two no-ops, then kind 8, length 10, our time, and no echo of theirs.
            tcp.extend([1, 1, 8, 10]);
            tcp.extend(timestamp.to_be_bytes());
            tcp.extend([0; 4]);
        }
        tcp.extend(data);
        let length = tcp.len() as u16;
        let mut pseudo = [0; 12];
        pseudo[..4].copy_from_slice(&self.from.ip().octets());
        pseudo[4..8].copy_from_slice(&self.to.ip().octets());
        pseudo[9] = libc::IPPROTO_TCP as u8;
        pseudo[10..].copy_from_slice(&length.to_be_bytes());
        let sum = checksum(&[&pseudo, &tcp]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        // Total length, identification and checksum are filled in by the kernel (raw(7)).
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, libc::IPPROTO_TCP as u8, 0, 0];
        packet.extend(self.from.ip().octets());
        packet.extend(self.to.ip().octets());
        packet.extend(tcp);
        packet
    }
}

/// The Internet checksum (RFC 1071) of parts of which only the last may be odd.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The host at [`PEER`].
pub struct Peer {
    mouth: OwnedFd,
    ear: OwnedFd,
    /// For ports and initial sequence numbers.
    count: Cell<u16>,
}

impl Peer {
    /// Gives the namespace the address [`OWN`], and puts a peer beside it.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN or CAP_NET_RAW.
    pub fn new(namespace: &NetNs) -> Result<Self> {
        namespace.add_address(OWN).context("own address")?;
        namespace.route_to(PEER).context("route to the peer")?;
        let raw = |family, kind, protocol| {
            rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))
        };
        // IPPROTO_RAW means that the header is written by us.
        let mouth =
            raw(AddressFamily::INET, SocketType::RAW, rustix::net::ipproto::RAW).context("raw socket")?;
        let ear = raw(AddressFamily::PACKET, SocketType::DGRAM, Protocol::from_raw(ETH_P_IP))
            .context("packet socket")?;
        Ok(Self { mouth, ear, count: Cell::new(0) })
    }

    /// One end of a connection with the kernel's port `to`, from a port of its own each time. Nothing is sent yet.
    pub fn toward(&self, to: u16) -> Wire<'_> {
        let count = self.count.get() + 1;
        self.count.set(count);
        let own = SocketAddrV4::new(PEER, 20_000 + count);
        let seq = u32::from(count).wrapping_mul(1_000_000);
        Wire {
            peer: self,
            own,
            other: SocketAddrV4::new(OWN, to),
            seq,
            ack: 0,
            timestamp: None,
            window: u16::MAX,
        }
    }

    /// Waits for a SYN to the peer's port `port`: the kernel connects.
    ///
    /// # Errors
    /// None came.
    pub fn called(&self, port: u16) -> Result<Wire<'_>> {
        let syn = self.hear("a SYN", |heard| {
            heard.to.port() == port && heard.flags.has(SYN) && !heard.flags.has(ACK)
        })?;
        let mut wire = self.toward(syn.from.port());
        wire.own.set_port(port);
        wire.ack = syn.end();
        Ok(wire)
    }

    /// The first segment to the peer that is `wanted`; what came before it is passed over.
    fn hear(&self, what: &str, wanted: impl Fn(&Segment) -> bool) -> Result<Segment> {
        let until = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Some(segment) = self.listen(left)? else {
                bail!("the peer waited for {what} in vain; it heard {passed:#?}");
            };
            if *segment.to.ip() == PEER && wanted(&segment) {
                return Ok(segment);
            }
            passed.push(segment);
        }
    }

    /// The next TCP segment on the wire, to whomever; `None` when there is none for so long.
    fn listen(&self, longest: Duration) -> Result<Option<Segment>> {
        let until = Instant::now() + longest;
        let mut packet = [0; 2048];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let milliseconds = i32::try_from(left.as_millis())?;
            let mut waiting = [libc::pollfd { fd: self.ear.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
            // SAFETY: the pointer is to one pollfd and the count says so.
            let ready = crate::sys::checked(unsafe { libc::poll(waiting.as_mut_ptr(), 1, milliseconds) })?;
            if ready == 0 {
                return Ok(None);
            }
            let (bytes, _) = rustix::net::recv(&self.ear, &mut packet, RecvFlags::empty())?;
            if let Some(segment) = packet.get(..bytes).and_then(Segment::parse) {
                return Ok(Some(segment));
            }
        }
    }

    fn say(&self, segment: &Segment, data: &[u8], timestamp: Option<u32>, window: u16) -> Result<()> {
        let packet = segment.packet(data, timestamp, window);
        let to = SocketAddr::from((*segment.to.ip(), 0));
        rustix::net::sendto(&self.mouth, &packet, SendFlags::empty(), &to).context("sending a segment")?;
        Ok(())
    }
}

/// The peer's end of one connection.
pub struct Wire<'a> {
    peer: &'a Peer,
    /// The peer's address and port.
    pub own: SocketAddrV4,
    /// The kernel's.
    pub other: SocketAddrV4,
    /// The next sequence number of ours.
    pub seq: u32,
    /// The next that we expect.
    pub ack: u32,
    /// SYN and SYN|ACK carry this as their timestamp.
    pub timestamp: Option<u32>,
    /// The window that is told with each segment, in bytes.
    pub window: u16,
}

impl Wire<'_> {
    /// Sends a segment with these flags, with the right numbers.
    ///
    /// # Errors
    /// Those of sendto(2).
    pub fn send(&mut self, flags: Flags) -> Result<()> {
        self.seq = self.send_as(flags, self.seq, self.ack)?;
        Ok(())
    }

    /// As [`Self::send`], and waits until the kernel's socket has taken it in: the network's own thread may be late.
    ///
    /// # Errors
    /// As there; the socket does not take it.
    pub fn send_heard(&mut self, flags: Flags, socket: impl AsFd) -> Result<()> {
        let before = crate::sys::segments_in(socket.as_fd())?;
        self.send(flags)?;
        let until = Instant::now() + PATIENCE;
        while crate::sys::segments_in(socket.as_fd())? == before {
            ensure!(Instant::now() < until, "the socket never took {flags:?} of {}", self.own);
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// Sends one with these numbers, whatever was sent before; gives the sequence number after it.
    ///
    /// # Errors
    /// Those of sendto(2).
    pub fn send_as(&self, flags: Flags, seq: u32, ack: u32) -> Result<u32> {
        self.carry(flags, seq, ack, &[])
    }

    /// Sends data, with these flags.
    ///
    /// # Errors
    /// Those of sendto(2).
    pub fn send_data(&mut self, flags: Flags, data: &[u8]) -> Result<()> {
        self.seq = self.carry(flags, self.seq, self.ack, data)?;
        Ok(())
    }

    fn carry(&self, flags: Flags, seq: u32, ack: u32, data: &[u8]) -> Result<u32> {
        let ack = if flags.has(ACK) { ack } else { 0 };
        let bytes = u32::try_from(data.len())?;
        let segment = Segment { from: self.own, to: self.other, seq, ack, flags, bytes };
        let timestamp = self.timestamp.filter(|_| flags.has(SYN));
        self.peer.say(&segment, data, timestamp, self.window)?;
        Ok(segment.end())
    }

    /// Waits for a segment of the kernel's that has at least these flags, and something new if it uses up sequence
    /// numbers; takes its numbers.
    ///
    /// # Errors
    /// None came.
    pub fn wait(&mut self, flags: Flags) -> Result<Segment> {
        let heard = self.peer.hear(&format!("{flags:?} to {}", self.own), |heard| {
            let known = heard.end() != heard.seq && heard.end() == self.ack;
            self.is_ours(heard) && heard.flags.has(flags) && !known
        })?;
        self.ack = heard.end();
        Ok(heard)
    }

    /// Waits until everything that was sent has been acknowledged.
    ///
    /// # Errors
    /// It was not.
    pub fn wait_acked(&mut self) -> Result<Segment> {
        self.peer.hear(&format!("an ACK of all to {}", self.own), |heard| {
            self.is_ours(heard) && heard.flags.has(ACK) && heard.ack == self.seq
        })
    }

    /// The next segment of the kernel's, whatever it is; `None` when there is none for so long.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn next(&self, longest: Duration) -> Result<Option<Segment>> {
        let until = Instant::now() + longest;
        loop {
            let heard = self.peer.listen(until.saturating_duration_since(Instant::now()))?;
            match heard {
                Some(heard) if !self.is_ours(&heard) => {}
                other => return Ok(other),
            }
        }
    }

    fn is_ours(&self, heard: &Segment) -> bool {
        heard.from == self.other && heard.to == self.own
    }

    /// Opens the connection as the one who calls: SYN, their SYN|ACK, ACK.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn open(&mut self) -> Result<()> {
        self.send(SYN)?;
        self.wait(SYN | ACK)?;
        self.send(ACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let (from, to) = (SocketAddrV4::new(OWN, 1), SocketAddrV4::new(PEER, 2));
        for (flags, timestamp) in [(SYN, Some(7)), (FIN | ACK, None)] {
            let segment = Segment { from, to, seq: 3, ack: 4, flags, bytes: 5 };
            let mut packet = segment.packet(b"hello", timestamp, 7);
            // The kernel's part.
            let total = packet.len() as u16;
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            assert_eq!(Segment::parse(&packet), Some(segment));
            assert_eq!(segment.end(), 9);
            for end in 0..packet.len() {
                // Headers that are cut off are refused, not read beyond.
                let _ = Segment::parse(&packet[..end]);
            }
        }
    }

    /// RFC 1071 section 3 has this example.
    #[test]
    fn the_checksum_is_that_of_the_internet() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0xff]]), !0xff00);
    }

    #[test]
    fn the_peer_talks_to_the_kernel_in_both_directions() -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            crate::need::skip("needs root");
            return Ok(());
        }
        let namespace = NetNs::enter()?;
        let peer = Peer::new(&namespace)?;
        let listener = TcpListener::bind((OWN, 0))?;
        let mut wire = peer.toward(listener.local_addr()?.port());
        wire.open()?;
        wire.send_data(ACK, b"question")?;
        let (mut stream, from) = listener.accept()?;
        assert_eq!(from, wire.own.into());
        let mut question = [0; 8];
        stream.read_exact(&mut question)?;
        assert_eq!(&question, b"question");
        stream.write_all(b"answer")?;
        wire.wait_acked()?;
        assert_eq!(wire.wait(ACK)?.bytes, 6);

        let calling = std::thread::scope(|scope| -> Result<TcpStream> {
            let calling = scope.spawn(|| TcpStream::connect((PEER, 80)));
            let mut wire = peer.called(80)?;
            wire.send(SYN | ACK)?;
            wire.wait_acked()?;
            Ok(crate::sys::joined(calling.join())??)
        })?;
        assert_eq!(calling.peer_addr()?, (PEER, 80).into());
        Ok(())
    }
}
