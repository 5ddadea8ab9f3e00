//! `RTM_NEWLINK` and `RTM_NEWADDR` with their attributes (`linux/if_link.h`, `linux/if_addr.h`, Linux 6.12).

use super::{ADDR, AF_INET, LINK, string};
use crate::model::link::Map;
use crate::model::{Address4, Counters, Interface};
use crate::source::diag::wire::{Attributes, WireError, array, u32_at};
use std::net::Ipv4Addr;

/// `IFLA_*`.
const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const TXQLEN: u16 = 13;
const MAP: u16 = 14;
const OPERSTATE: u16 = 16;
const LINKINFO: u16 = 18;
const STATS64: u16 = 23;
/// `IFLA_INFO_KIND`.
const INFO_KIND: u16 = 1;

/// `IFA_*`.
const PEER: u16 = 1;
const LOCAL: u16 = 2;
const LABEL: u16 = 3;
const BROADCAST: u16 = 4;

/// Reads one interface.
pub fn link(payload: &[u8]) -> Result<Interface, WireError> {
    let what = "an interface";
    let [_, _, h0, h1, ..] = array::<LINK>(what, payload, 0)?;
    let mut link = Interface {
        index: u32_at(what, payload, 4)?,
        flags: u32_at(what, payload, 8)?,
        hardware: u16::from_ne_bytes([h0, h1]),
        ..Interface::default()
    };
    for attribute in Attributes(payload.get(LINK..).unwrap_or_default()) {
        let (kind, value) = attribute?;
        match kind {
            ADDRESS => link.address = value.to_vec(),
            IFNAME => link.name = string(value),
            MTU => link.mtu = u32_at("an MTU", value, 0)?,
            MASTER => link.master = Some(u32_at("a master", value, 0)?),
            TXQLEN => link.queue = Some(u32_at("a queue length", value, 0)?),
            MAP => link.map = map(value)?,
            OPERSTATE => link.operstate = value.first().copied(),
            LINKINFO => {
                for attribute in Attributes(value) {
                    if let (INFO_KIND, value) = attribute? {
                        link.kind = string(value);
                    }
                }
            }
            STATS64 => link.counters = Some(counters(value)?),
            _ => {}
        }
    }
    Ok(link)
}

/// `struct rtnl_link_stats64`. Later kernels append to it, and it has had its first 23 numbers since 2.6.35.
fn counters(value: &[u8]) -> Result<Counters, WireError> {
    let mut number = [0_u64; 23];
    for (at, number) in number.iter_mut().enumerate() {
        *number = array("interface counters", value, at * 8).map(u64::from_ne_bytes)?;
    }
    let [
        rx_packets,
        tx_packets,
        rx_bytes,
        tx_bytes,
        rx_errors,
        tx_errors,
        rx_dropped,
        tx_dropped,
        multicast,
        collisions,
        rx_length,
        rx_over,
        rx_crc,
        rx_frame,
        rx_fifo,
        rx_missed,
        tx_aborted,
        tx_carrier,
        tx_fifo,
        tx_heartbeat,
        tx_window,
        rx_compressed,
        tx_compressed,
    ] = number;
    let sum = |parts: &[u64]| parts.iter().fold(0_u64, |sum, part| sum.wrapping_add(*part));
    Ok(Counters {
        rx_packets,
        tx_packets,
        rx_bytes,
        tx_bytes,
        rx_errors,
        tx_errors,
        rx_dropped: sum(&[rx_dropped, rx_missed]),
        tx_dropped,
        multicast,
        collisions,
        rx_frame: sum(&[rx_length, rx_over, rx_crc, rx_frame]),
        rx_fifo,
        tx_carrier: sum(&[tx_carrier, tx_aborted, tx_window, tx_heartbeat]),
        tx_fifo,
        rx_compressed,
        tx_compressed,
    })
}

/// `struct rtnl_link_ifmap`.
fn map(value: &[u8]) -> Result<Map, WireError> {
    let what = "an interface map";
    let [i0, i1, dma, port] = array(what, value, 24)?;
    Ok(Map {
        mem_start: array(what, value, 0).map(u64::from_ne_bytes)?,
        mem_end: array(what, value, 8).map(u64::from_ne_bytes)?,
        base_addr: array(what, value, 16).map(u64::from_ne_bytes)?,
        irq: u16::from_ne_bytes([i0, i1]),
        dma,
        port,
    })
}

/// Reads one address; `None`: it is not IPv4.
pub fn address(payload: &[u8]) -> Result<Option<Address4>, WireError> {
    let what = "an address";
    let [family, bits, _, scope, ..] = array::<ADDR>(what, payload, 0)?;
    let interface = u32_at(what, payload, 4)?;
    if family != AF_INET {
        return Ok(None);
    }
    let (mut local, mut peer, mut broadcast, mut label) = (None, None, None, Vec::new());
    for attribute in Attributes(payload.get(ADDR..).unwrap_or_default()) {
        let (kind, value) = attribute?;
        let v4 = || array::<4>(what, value, 0).map(Ipv4Addr::from);
        match kind {
            PEER => peer = Some(v4()?),
            LOCAL => local = Some(v4()?),
            LABEL => label = string(value),
            BROADCAST => broadcast = Some(v4()?),
            _ => {}
        }
    }
    let unspecified = Ipv4Addr::UNSPECIFIED;
    let local = local.or(peer).unwrap_or(unspecified);
    Ok(Some(Address4 { interface, label, local, peer: peer.unwrap_or(local), broadcast, bits, scope }))
}
