//! Listings by sock_diag of what is no plain inet socket: packet, netlink, vsock and unix sockets (`linux/packet_diag.h`,
//! `netlink_diag.h`, `vm_sockets_diag.h`, `unix_diag.h`; Linux 6.12), and inet sockets with all details.

use super::decode;
use super::wire::{
    ATTR_INFO, ATTR_SKMEMINFO, Attributes, HEADER, ROW, RawRequest, RawSockId, SOCK_DIAG_BY_FAMILY,
    WireError, array, u32_at,
};
use crate::model::{
    Congestion, Detail, Family, Memory, NetlinkRow, PacketRow, Protocol, SockRow, States, TcpDetail,
    UnixDetail, UnixKind, VsockRow,
};
use crate::source::netlink::{Dumped, Netlink, NetlinkError, Service};
use std::num::NonZeroU64;

const AF_UNIX: u8 = 1;
const AF_NETLINK: u8 = 16;
const AF_PACKET: u8 = 17;
const AF_VSOCK: u8 = 40;

/// `INET_DIAG_CONG`.
const ATTR_CONG: u16 = 4;

/// Any cookie (`INET_DIAG_NOCOOKIE`), both halves.
const ANY: [u8; 8] = [0xff; 8];

/// The state `TCP_BOUND_INACTIVE` of a request (Linux 6.8). The kernel's rows say CLOSE.
const BOUND: u32 = 1 << 13;

/// sock_diag for listings in the calling thread's network namespace.
pub struct Families(Netlink);

impl Families {
    /// # Errors
    /// The kernel has no socket to give.
    pub fn open() -> Result<Self, NetlinkError> {
        Netlink::open(Service::SockDiag).map(Self)
    }

    /// Calls `each` for every socket of a table that is in one of these states, with its details.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn inet(
        &mut self,
        protocol: Protocol,
        family: Family,
        states: States,
        netns: u32,
        each: &mut dyn FnMut(&SockRow, &Detail),
    ) -> Result<Dumped, NetlinkError> {
        self.inet_in(protocol, family, states.0 & States::ALL.0, netns, each)
    }

    /// The same for TCP sockets that are bound and neither listen nor connect. Kernels before 6.8 give none.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn bound(
        &mut self,
        family: Family,
        netns: u32,
        each: &mut dyn FnMut(&SockRow, &Detail),
    ) -> Result<Dumped, NetlinkError> {
        self.inet_in(Protocol::Tcp, family, BOUND, netns, each)
    }

    fn inet_in(
        &mut self,
        protocol: Protocol,
        family: Family,
        states: u32,
        netns: u32,
        each: &mut dyn FnMut(&SockRow, &Detail),
    ) -> Result<Dumped, NetlinkError> {
        let (family, what) = match family {
            Family::V4 => (2, "IPv4 sockets"),
            Family::V6 => (10, "IPv6 sockets"),
        };
        let protocol_number = match protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::UdpLite => 136,
            Protocol::Raw => 255,
        };
        let wanted = [ATTR_INFO, ATTR_CONG, ATTR_SKMEMINFO].map(|kind| 1 << (kind - 1));
        let extensions = wanted[0] | wanted[1] | wanted[2];
        let request =
            RawRequest { family, protocol: protocol_number, extensions, states, id: RawSockId::default() };
        let mut message = Vec::new();
        request.put(0, 0, &mut message);
        self.dump(what, message.get(HEADER..).unwrap_or_default(), &mut |payload| {
            let row = decode::row(payload, protocol, netns)?;
            each(&row, &detail(payload)?);
            Ok(())
        })
    }

    /// Calls `each` for every packet socket.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn packet(&mut self, each: &mut dyn FnMut(PacketRow)) -> Result<Dumped, NetlinkError> {
        // PACKET_SHOW_INFO, FANOUT, MEMINFO, FILTER.
        let show = 0x1_u32 | 0x8 | 0x10 | 0x20;
        let request = [&[AF_PACKET, 0, 0, 0][..], &[0; 4], &show.to_ne_bytes(), &ANY].concat();
        self.dump("packet sockets", &request, &mut |payload| {
            each(packet(payload)?);
            Ok(())
        })
    }

    /// Calls `each` for every netlink socket.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn netlink(&mut self, each: &mut dyn FnMut(NetlinkRow)) -> Result<Dumped, NetlinkError> {
        // Every protocol (NDIAG_PROTO_ALL); NDIAG_SHOW_MEMINFO and NDIAG_SHOW_GROUPS.
        let show = 0x1_u32 | 0x2;
        let request = [&[AF_NETLINK, 255, 0, 0][..], &[0; 4], &show.to_ne_bytes(), &ANY].concat();
        self.dump("netlink sockets", &request, &mut |payload| {
            each(netlink(payload)?);
            Ok(())
        })
    }

    /// Calls `each` for every vsock socket.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn vsock(&mut self, each: &mut dyn FnMut(VsockRow)) -> Result<Dumped, NetlinkError> {
        let states = u32::MAX.to_ne_bytes();
        let request = [&[AF_VSOCK, 0, 0, 0][..], &states, &[0; 4], &[0; 4], &ANY].concat();
        self.dump("vsock sockets", &request, &mut |payload| {
            each(vsock(payload)?);
            Ok(())
        })
    }

    /// Calls `each` for every unix socket.
    ///
    /// # Errors
    /// See [`Netlink::dump`].
    pub fn unix(&mut self, each: &mut dyn FnMut(UnixDetail)) -> Result<Dumped, NetlinkError> {
        let states = u32::MAX.to_ne_bytes();
        // UDIAG_SHOW_NAME, VFS, PEER, RQLEN, MEMINFO, UID.
        let show = 0x1_u32 | 0x2 | 0x4 | 0x10 | 0x20 | 0x40;
        let request = [&[AF_UNIX, 0, 0, 0][..], &states, &[0; 4], &show.to_ne_bytes(), &ANY].concat();
        self.dump("unix sockets", &request, &mut |payload| {
            each(unix(payload)?);
            Ok(())
        })
    }

    fn dump(
        &mut self,
        what: &'static str,
        request: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), WireError>,
    ) -> Result<Dumped, NetlinkError> {
        self.0.dump(what, SOCK_DIAG_BY_FAMILY, request, &mut |message| match message.kind {
            SOCK_DIAG_BY_FAMILY => each(message.payload),
            kind => Err(WireError::Unknown { what: "sock_diag message type", value: u32::from(kind) }),
        })
    }
}

/// The details of an inet socket.
pub fn detail(payload: &[u8]) -> Result<Detail, WireError> {
    let mut detail = Detail::default();
    let tcp = array::<2>("a socket row", payload, 0)?;
    for attribute in Attributes(payload.get(ROW..).unwrap_or_default()) {
        match attribute? {
            // A listener's numbers mean something else (`tcp_get_info`).
            (ATTR_INFO, info) if tcp[1] != 10 && info.len() >= 104 => detail.tcp = Some(tcp_detail(info)?),
            (ATTR_CONG, name) => {
                let mut text = [0; 16];
                for (to, from) in text.iter_mut().zip(name) {
                    *to = *from;
                }
                detail.congestion = Some(Congestion(text));
            }
            (ATTR_SKMEMINFO, value) => detail.memory = Some(memory(value)?),
            _ => {}
        }
    }
    Ok(detail)
}

/// `struct tcp_info` (`linux/tcp.h`).
fn tcp_detail(info: &[u8]) -> Result<TcpDetail, WireError> {
    /// `TCPI_OPT_ECN`.
    const ECN: u8 = 8;
    /// `TCP_INFINITE_SSTHRESH`.
    const INFINITE: u32 = 0x7fff_ffff;
    let what = "INET_DIAG_INFO";
    let number = |at| u32_at(what, info, at);
    let [options] = array(what, info, 5)?;
    Ok(TcpDetail {
        retransmits: number(100)?,
        out_of_order: number(224).ok(),
        mss: number(16)?,
        window: number(80)?,
        threshold: Some(number(76)?).filter(|threshold| *threshold < INFINITE),
        ecn: options & ECN != 0,
        last_received_ms: number(52)?,
    })
}

fn memory(value: &[u8]) -> Result<Memory, WireError> {
    let number = |at: usize| u32_at("memory information", value, at * 4);
    Ok(Memory {
        received: number(0)?,
        receive_limit: number(1)?,
        sent: number(2)?,
        send_limit: number(3)?,
        ahead: number(4)?,
        queued: number(5)?,
        options: number(6)?,
        backlog: number(7)?,
        drops: number(8).ok(),
    })
}

fn cookie(what: &'static str, payload: &[u8], at: usize) -> Result<Option<NonZeroU64>, WireError> {
    let (low, high) = (u32_at(what, payload, at)?, u32_at(what, payload, at + 4)?);
    Ok(NonZeroU64::new(u64::from(low) | u64::from(high) << 32))
}

/// `struct packet_diag_msg`, 16 bytes.
pub fn packet(payload: &[u8]) -> Result<PacketRow, WireError> {
    const WHAT: &str = "a packet socket";
    let [_, kind, p0, p1] = array(WHAT, payload, 0)?;
    let mut row = PacketRow {
        kind,
        protocol: u16::from_ne_bytes([p0, p1]),
        inode: u32_at(WHAT, payload, 4)?,
        cookie: cookie(WHAT, payload, 8)?,
        ..PacketRow::default()
    };
    for attribute in Attributes(payload.get(16..).unwrap_or_default()) {
        match attribute? {
            // PACKET_DIAG_INFO: index, version, reserve, copy threshold, time stamp, flags.
            (0, info) => {
                row.interface = u32_at("packet information", info, 0)?;
                row.flags = Some(u32_at("packet information", info, 20)?);
            }
            (4, fanout) => row.fanout = Some(u32_at("a fanout group", fanout, 0)? as u16),
            (5, uid) => row.uid = Some(u32_at("a user", uid, 0)?),
            (6, value) => row.memory = Some(memory(value)?),
            // Eight bytes for each instruction.
            (7, filter) => row.filter = Some((filter.len() / 8) as u32),
            _ => {}
        }
    }
    Ok(row)
}

/// `struct netlink_diag_msg`, 28 bytes.
pub fn netlink(payload: &[u8]) -> Result<NetlinkRow, WireError> {
    const WHAT: &str = "a netlink socket";
    let [_, kind, protocol, state] = array(WHAT, payload, 0)?;
    let mut row = NetlinkRow {
        kind,
        protocol,
        state,
        port: u32_at(WHAT, payload, 4)?,
        peer: u32_at(WHAT, payload, 8)?,
        peer_groups: u32_at(WHAT, payload, 12)?,
        inode: u32_at(WHAT, payload, 16)?,
        cookie: cookie(WHAT, payload, 20)?,
        ..NetlinkRow::default()
    };
    for attribute in Attributes(payload.get(28..).unwrap_or_default()) {
        match attribute? {
            (0, value) => row.memory = Some(memory(value)?),
            (1, value) => row.groups = bits(value),
            _ => {}
        }
    }
    Ok(row)
}

/// The numbers of the bits that are set, from 1, in words of the machine.
fn bits(value: &[u8]) -> Vec<u32> {
    let words = value.chunks_exact(8).map(|word| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        u64::from_ne_bytes(bytes)
    });
    let numbers = words.enumerate().flat_map(|(at, word)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit + 1)
    });
    numbers.collect()
}

/// `struct vsock_diag_msg`, 32 bytes.
pub fn vsock(payload: &[u8]) -> Result<VsockRow, WireError> {
    const WHAT: &str = "a vsock socket";
    let [_, kind, state, _] = array(WHAT, payload, 0)?;
    let number = |at| u32_at(WHAT, payload, at);
    Ok(VsockRow {
        kind,
        state,
        local: (number(4)?, number(8)?),
        foreign: (number(12)?, number(16)?),
        inode: number(20)?,
        cookie: cookie(WHAT, payload, 24)?,
    })
}

/// `struct unix_diag_msg`, 16 bytes.
pub fn unix(payload: &[u8]) -> Result<UnixDetail, WireError> {
    const WHAT: &str = "a unix socket";
    let [_, kind, state, _] = array(WHAT, payload, 0)?;
    let mut row = UnixDetail {
        kind: match kind {
            1 => UnixKind::Stream,
            2 => UnixKind::Dgram,
            3 => UnixKind::Raw,
            4 => UnixKind::Rdm,
            5 => UnixKind::Seqpacket,
            other => UnixKind::Other(u16::from(other)),
        },
        state,
        inode: u32_at(WHAT, payload, 4)?,
        cookie: cookie(WHAT, payload, 8)?,
        path: Vec::new(),
        peer: None,
        file: None,
        queues: None,
        uid: None,
        memory: None,
    };
    for attribute in Attributes(payload.get(16..).unwrap_or_default()) {
        match attribute? {
            // A path ends with a NUL, which is no part of it; an abstract name has no end but its length.
            (0, name) => {
                row.path = name.strip_suffix(b"\0").filter(|_| name[0] != 0).unwrap_or(name).to_vec()
            }
            (1, vfs) => row.file = Some(u32_at("a file of a unix socket", vfs, 0)?),
            (2, peer) => row.peer = Some(u32_at("a peer", peer, 0)?),
            (4, queues) => row.queues = Some((u32_at("queues", queues, 0)?, u32_at("queues", queues, 4)?)),
            (5, value) => row.memory = Some(memory(value)?),
            (7, uid) => row.uid = Some(u32_at("a user", uid, 0)?),
            _ => {}
        }
    }
    Ok(row)
}

/// Replays an answer for tests and fuzzers: reads `payload` as each of them.
pub fn read_any(payload: &[u8]) {
    let _ = detail(payload);
    let _ = packet(payload);
    let _ = netlink(payload);
    let _ = vsock(payload);
    let _ = unix(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    const MEMORY: [u32; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[test]
    fn packet_sockets_are_read() {
        let bytes = [
            vec![17, 3],
            3_u16.to_ne_bytes().to_vec(),
            words(&[77, 5, 1]),
            attribute(0, &words(&[4, 2, 0, 0, 0, 3])),
            attribute(4, &words(&[0x0001_002a])),
            attribute(6, &words(&MEMORY)),
            attribute(7, &[0; 24]),
        ];
        let row = packet(&bytes.concat()).unwrap();
        assert_eq!((row.kind, row.protocol, row.interface, row.inode), (3, 3, 4, 77));
        assert_eq!((row.cookie, row.flags), (NonZeroU64::new(0x1_0000_0005), Some(3)));
        assert_eq!((row.fanout, row.filter), (Some(42), Some(3)));
        assert_eq!(row.memory.unwrap().drops, Some(9));
        assert_eq!(packet(&[17]), Err(WireError::Short { what: "a packet socket", have: 1, need: 4 }));
    }

    #[test]
    fn netlink_and_vsock_sockets_are_read() {
        let groups = [(1_u64 << 63 | 1).to_ne_bytes(), 2_u64.to_ne_bytes()].concat();
        let bytes = [vec![16, 3, 15, 7], words(&[42, 0, 0, 9, 1, 0]), attribute(1, &groups)].concat();
        let row = netlink(&bytes).unwrap();
        assert_eq!((row.protocol, row.port, row.inode), (15, 42, 9));
        assert_eq!(row.groups, [1, 64, 66]);
        let bytes = [vec![40, 1, 10, 0], words(&[2, 1024, u32::MAX, u32::MAX, 8, 3, 0])].concat();
        let row = vsock(&bytes).unwrap();
        assert_eq!((row.state, row.local, row.foreign), (10, (2, 1024), (u32::MAX, u32::MAX)));
    }

    #[test]
    fn unix_sockets_have_exact_names_and_peers() {
        let of = |name: &[u8]| {
            let bytes =
                [vec![1, 5, 10, 0], words(&[9, 1, 0]), attribute(0, name), attribute(4, &words(&[3, 128]))];
            unix(&bytes.concat()).unwrap()
        };
        let row = of(b"/run/a b\0");
        assert_eq!(
            (row.path.as_slice(), row.kind, row.queues),
            (&b"/run/a b"[..], UnixKind::Seqpacket, Some((3, 128)))
        );
        assert_eq!(of(b"\0abstract\0").path, b"\0abstract\0");
        assert_eq!(of(b"").path, b"");
        let bytes =
            [vec![1, 1, 1, 0], words(&[9, 1, 0]), attribute(2, &words(&[10])), attribute(5, &[1])].concat();
        assert!(matches!(unix(&bytes), Err(WireError::Short { what: "memory information", .. })));
    }

    #[test]
    fn details_of_a_connection_are_read_and_a_listener_has_none() {
        let mut info = [0; 240];
        for (at, value) in [(16, 1448_u32), (52, 7), (76, 0x7fff_ffff), (80, 10), (100, 3), (224, 5)] {
            info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        info[5] = 8;
        let bytes = |state: u8, info: &[u8]| {
            let mut row = vec![2, state];
            row.resize(ROW, 0);
            [row, attribute(ATTR_INFO, info), attribute(ATTR_CONG, b"cubic\0")].concat()
        };
        let read = detail(&bytes(1, &info)).unwrap();
        let tcp = read.tcp.unwrap();
        assert_eq!((tcp.mss, tcp.window, tcp.threshold, tcp.ecn), (1448, 10, None, true));
        assert_eq!((tcp.retransmits, tcp.out_of_order, tcp.last_received_ms), (3, Some(5), 7));
        assert_eq!(read.congestion.unwrap().bytes(), b"cubic");
        assert_eq!(detail(&bytes(10, &info)).unwrap().tcp, None);
        assert_eq!(detail(&bytes(1, &info[..192])).unwrap().tcp.unwrap().out_of_order, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            read_any(&bytes);
        }
    }
}
