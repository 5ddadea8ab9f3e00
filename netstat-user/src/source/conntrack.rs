//! Connection tracking by nfnetlink, or by /proc: which connections have their source address replaced.
//!
//! Structures and numbers are those of `linux/netfilter/nfnetlink_conntrack.h` (Linux 6.12).

use super::diag::wire::{Attributes, WireError, array};
use super::netlink::{Dumped, Netlink, NetlinkError, Service};
use super::procfs::{Pass, Procfs, ProcfsError};
use crate::model::masquerade::Shift;
use crate::model::{Family, Masqueraded};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`; the answers are `IPCTNL_MSG_CT_NEW` of the same subsystem.
const GET: u16 = 0x0101;
const NEW: u16 = 0x0100;

/// Size of `struct nfgenmsg`.
const GENERIC: usize = 4;

/// `CTA_*`.
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const TIMEOUT: u16 = 7;
const SEQ_ADJ_ORIG: u16 = 15;
/// `CTA_TUPLE_*`.
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
/// `CTA_IP_*`.
const V4_SRC: u16 = 1;
const V4_DST: u16 = 2;
const V6_SRC: u16 = 3;
const V6_DST: u16 = 4;
/// `CTA_PROTO_*`.
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;
const PROTO_ICMP_ID: u16 = 4;
const PROTO_ICMPV6_ID: u16 = 7;
/// `CTA_SEQADJ_*`.
const ADJ_FROM: u16 = 1;
const ADJ_BEFORE: u16 = 2;
const ADJ_AFTER: u16 = 3;

/// `IPS_SRC_NAT` (`linux/netfilter/nf_conntrack_common.h`).
const SRC_NAT: u32 = 1 << 4;

/// Why there are no masqueraded connections to show.
#[derive(Debug, thiserror::Error)]
pub enum ConntrackError {
    #[error(
        "this kernel tracks no connections, so it masquerades none \
         (load nf_conntrack, as a firewall rule with masquerade does)"
    )]
    Absent,
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Procfs(#[from] ProcfsError),
}

/// What a listing was, by the source that gave it.
#[derive(Debug)]
pub enum Listed {
    Netlink(Dumped),
    Procfs(Pass),
}

/// Calls `each` for every connection of the calling thread's network namespace whose source is replaced: by netlink, or
/// by /proc where the kernel has no nf_conntrack_netlink.
///
/// # Errors
/// Without connection tracking, without privilege, or when the answer cannot be read to its end.
pub fn masqueraded(each: &mut dyn FnMut(&Masqueraded)) -> Result<Listed, ConntrackError> {
    // Asking by netlink would make the kernel load the module.
    if !Path::new("/proc/sys/net/netfilter/nf_conntrack_count").exists() {
        return Err(ConntrackError::Absent);
    }
    match by_netlink(each) {
        Err(error) if error.is_absent() => {
            let pass = Procfs::host().masqueraded(each)?;
            pass.map(Listed::Procfs).ok_or(ConntrackError::Absent)
        }
        other => Ok(Listed::Netlink(other?)),
    }
}

/// The same by netlink alone.
///
/// # Errors
/// See [`Netlink::dump`].
pub fn by_netlink(each: &mut dyn FnMut(&Masqueraded)) -> Result<Dumped, NetlinkError> {
    let mut netlink = Netlink::open(Service::Netfilter)?;
    // All families, version 0, no resource.
    netlink.dump("tracked connections", GET, &[0; GENERIC], &mut |message| {
        if message.kind != NEW {
            let value = u32::from(message.kind);
            return Err(WireError::Unknown { what: "nfnetlink message type", value });
        }
        if let Some(row) = row(message.payload)? {
            each(&row);
        }
        Ok(())
    })
}

/// One direction of a connection.
#[derive(Clone, Copy, Default)]
struct Tuple {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
}

/// Reads one connection; `None`: its source is not replaced.
pub fn row(payload: &[u8]) -> Result<Option<Masqueraded>, WireError> {
    array::<GENERIC>("a connection", payload, 0)?;
    let (mut original, mut reply) = (Tuple::default(), Tuple::default());
    let (mut status, mut expires, mut shift) = (0, 0, Shift::default());
    for attribute in Attributes(payload.get(GENERIC..).unwrap_or_default()) {
        let (kind, value) = attribute?;
        match kind {
            TUPLE_ORIG => original = tuple(value)?,
            TUPLE_REPLY => reply = tuple(value)?,
            STATUS => status = big("a connection's status", value)?,
            TIMEOUT => expires = big("a connection's timeout", value)?,
            SEQ_ADJ_ORIG => shift = adjustment(value)?,
            _ => {}
        }
    }
    let ends = original.source.zip(original.destination).zip(reply.destination);
    let Some(((source, destination), seen)) = ends.filter(|_| status & SRC_NAT != 0) else { return Ok(None) };
    Ok(Some(Masqueraded {
        family: if source.is_ipv4() { Family::V4 } else { Family::V6 },
        protocol: original.protocol,
        expires,
        source: (source, original.source_port),
        destination: (destination, original.destination_port),
        seen: (seen, reply.destination_port),
        shift,
    }))
}

fn tuple(value: &[u8]) -> Result<Tuple, WireError> {
    let what = "a connection's address";
    let mut tuple = Tuple::default();
    for attribute in Attributes(value) {
        let (part, value) = attribute?;
        for attribute in Attributes(value) {
            let (kind, value) = attribute?;
            match (part, kind) {
                (TUPLE_IP, V4_SRC) => tuple.source = Some(Ipv4Addr::from(array::<4>(what, value, 0)?).into()),
                (TUPLE_IP, V4_DST) => {
                    tuple.destination = Some(Ipv4Addr::from(array::<4>(what, value, 0)?).into());
                }
                (TUPLE_IP, V6_SRC) => {
                    tuple.source = Some(Ipv6Addr::from(array::<16>(what, value, 0)?).into());
                }
                (TUPLE_IP, V6_DST) => {
                    tuple.destination = Some(Ipv6Addr::from(array::<16>(what, value, 0)?).into());
                }
                (TUPLE_PROTO, PROTO_NUM) => [tuple.protocol] = array(what, value, 0)?,
                (TUPLE_PROTO, PROTO_SRC_PORT) => tuple.source_port = port(value)?,
                (TUPLE_PROTO, PROTO_DST_PORT) => tuple.destination_port = port(value)?,
                // One identifier names both ends.
                (TUPLE_PROTO, PROTO_ICMP_ID | PROTO_ICMPV6_ID) => {
                    tuple.source_port = port(value)?;
                    tuple.destination_port = tuple.source_port;
                }
                _ => {}
            }
        }
    }
    Ok(tuple)
}

fn port(value: &[u8]) -> Result<u16, WireError> {
    array("a connection's port", value, 0).map(u16::from_be_bytes)
}

/// nfnetlink has its numbers in the order of the wire.
fn big(what: &'static str, value: &[u8]) -> Result<u32, WireError> {
    array(what, value, 0).map(u32::from_be_bytes)
}

fn adjustment(value: &[u8]) -> Result<Shift, WireError> {
    let what = "a sequence adjustment";
    let mut shift = Shift::default();
    for attribute in Attributes(value) {
        match attribute? {
            (ADJ_FROM, value) => shift.from = big(what, value)?,
            (ADJ_BEFORE, value) => shift.before = big(what, value)? as i32,
            (ADJ_AFTER, value) => shift.after = big(what, value)? as i32,
            _ => {}
        }
    }
    Ok(shift)
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

    fn side(source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
        let ip = [attribute(V4_SRC, &source), attribute(V4_DST, &destination)].concat();
        let proto = [
            attribute(PROTO_NUM, &[6]),
            attribute(PROTO_SRC_PORT, &ports.0.to_be_bytes()),
            attribute(PROTO_DST_PORT, &ports.1.to_be_bytes()),
        ];
        [attribute(TUPLE_IP, &ip), attribute(TUPLE_PROTO, &proto.concat())].concat()
    }

    fn connection(status: u32) -> Vec<u8> {
        let adjusted = [
            attribute(ADJ_FROM, &7_u32.to_be_bytes()),
            attribute(ADJ_BEFORE, &(-3_i32).to_be_bytes()),
            attribute(ADJ_AFTER, &5_i32.to_be_bytes()),
        ];
        let parts = [
            attribute(TUPLE_ORIG, &side([10, 0, 0, 2], [192, 0, 2, 1], (4000, 80))),
            attribute(TUPLE_REPLY, &side([192, 0, 2, 1], [198, 51, 100, 7], (80, 61000))),
            attribute(STATUS, &status.to_be_bytes()),
            attribute(TIMEOUT, &300_u32.to_be_bytes()),
            attribute(SEQ_ADJ_ORIG, &adjusted.concat()),
            attribute(99, b"new"),
        ];
        [vec![2, 0, 0, 0], parts.concat()].concat()
    }

    #[test]
    fn a_replaced_source_is_a_row_and_another_is_none() {
        let ip = |bytes: [u8; 4]| IpAddr::from(bytes);
        let wanted = Masqueraded {
            family: Family::V4,
            protocol: 6,
            expires: 300,
            source: (ip([10, 0, 0, 2]), 4000),
            destination: (ip([192, 0, 2, 1]), 80),
            seen: (ip([198, 51, 100, 7]), 61000),
            shift: Shift { from: 7, before: -3, after: 5 },
        };
        assert_eq!(row(&connection(SRC_NAT | 1)), Ok(Some(wanted)));
        assert_eq!(row(&connection(1)), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, at in 0_usize..200, value: u8) {
            let _ = row(&bytes);
            let mut damaged = connection(SRC_NAT);
            if let Some(byte) = damaged.get_mut(at) {
                *byte = value;
            }
            let _ = row(&damaged);
        }
    }
}
