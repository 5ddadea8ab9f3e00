//! `RTM_NEWNEIGH` and `RTM_NEWNEXTHOP` (`linux/neighbour.h`, `linux/nexthop.h`, Linux 6.12).

use super::{AF_INET, AF_INET6, HOP, NEIGH, address};
use crate::model::{Neighbour, Nexthop};
use crate::source::diag::wire::{Attributes, WireError, array, u32_at};

/// `NDA_*`.
const DST: u16 = 1;
const LLADDR: u16 = 2;
const CACHEINFO: u16 = 3;

/// `NHA_*`.
const ID: u16 = 1;
const GROUP: u16 = 2;
const BLACKHOLE: u16 = 4;
const OIF: u16 = 5;
const GATEWAY: u16 = 6;

/// Reads one neighbour; `None`: it is of another family (a bridge's).
pub fn neighbour(payload: &[u8]) -> Result<Option<Neighbour>, WireError> {
    let what = "a neighbour";
    let [family, _, _, _, i0, i1, i2, i3, s0, s1, ..] = array::<NEIGH>(what, payload, 0)?;
    let (mut addr, mut hardware, mut references, mut confirmed) = (None, Vec::new(), None, None);
    for attribute in Attributes(payload.get(NEIGH..).unwrap_or_default()) {
        match attribute? {
            (DST, value) if matches!(family, AF_INET | AF_INET6) => addr = Some(address(what, value)?),
            (LLADDR, value) => hardware = value.to_vec(),
            // confirmed, used, updated, references.
            (CACHEINFO, value) => {
                confirmed = Some(u32_at(what, value, 0)?);
                references = Some(u32_at(what, value, 12)?);
            }
            _ => {}
        }
    }
    let interface = u32::from_ne_bytes([i0, i1, i2, i3]);
    let state = u16::from_ne_bytes([s0, s1]);
    Ok(addr.map(|addr| Neighbour { addr, interface, state, hardware, references, confirmed }))
}

/// Reads one next hop or group.
pub fn nexthop(payload: &[u8]) -> Result<Nexthop, WireError> {
    let what = "a next hop";
    let [family, scope, protocol, _, ..] = array::<HOP>(what, payload, 0)?;
    let flags = u32_at(what, payload, 4)?;
    let mut hop = Nexthop { family, scope, protocol, flags, ..Nexthop::default() };
    for attribute in Attributes(payload.get(HOP..).unwrap_or_default()) {
        match attribute? {
            (ID, value) => hop.id = u32_at(what, value, 0)?,
            (BLACKHOLE, _) => hop.blackhole = true,
            (OIF, value) => hop.interface = Some(u32_at(what, value, 0)?),
            (GATEWAY, value) => hop.gateway = Some(address(what, value)?),
            (GROUP, value) => {
                for member in value.chunks(8) {
                    let id = u32_at("a member of a group of next hops", member, 0)?;
                    let [low, high] = array("a member of a group of next hops", member, 4)?;
                    // The kernel counts from 0; since 6.12 the byte after it has more of the weight.
                    hop.group.push((id, u16::from_le_bytes([low, high]).saturating_add(1)));
                }
            }
            _ => {}
        }
    }
    Ok(hop)
}
