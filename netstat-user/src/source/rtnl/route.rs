//! `RTM_NEWROUTE`: `struct rtmsg` and its attributes (`linux/rtnetlink.h`, Linux 6.12).

use super::{AF_INET, AF_INET6, ROUTE, address};
use crate::model::{Family, Hop, Metrics, Net, Route, RouteKind};
use crate::source::diag::wire::{Attributes, WireError, array, u32_at};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTA_*`.
const DST: u16 = 1;
const SRC: u16 = 2;
const OIF: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const PREFSRC: u16 = 7;
const METRICS: u16 = 8;
const MULTIPATH: u16 = 9;
const CACHEINFO: u16 = 12;
const TABLE: u16 = 15;
const VIA: u16 = 18;

/// `RTAX_*`.
const AX_MTU: u16 = 2;
const AX_WINDOW: u16 = 3;
const AX_RTT: u16 = 4;
const AX_ADVMSS: u16 = 8;
const AX_HOPLIMIT: u16 = 10;
const AX_INITCWND: u16 = 11;
const AX_INITRWND: u16 = 14;

/// `RTM_F_CLONED`.
const CLONED: u32 = 0x200;

/// Size of `struct rtnexthop`.
const NEXTHOP: usize = 8;

/// `USER_HZ`: what the kernel counts expiry in.
const TICKS: u32 = 100;

/// Reads one route; `None`: it is of a family that has no table here (a multicast route).
pub fn route(payload: &[u8]) -> Result<Option<Route>, WireError> {
    let what = "a route";
    let [family, bits, source_bits, tos, table, protocol, scope, kind, ..] =
        array::<ROUTE>(what, payload, 0)?;
    let flags = u32_at(what, payload, 8)?;
    let (family, unspecified) = match family {
        AF_INET => (Family::V4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        AF_INET6 => (Family::V6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => return Ok(None),
    };
    let mut route = Route {
        family,
        kind: RouteKind::from(kind),
        table: u32::from(table),
        destination: Net { addr: unspecified, bits },
        source: (source_bits > 0).then_some(Net { addr: unspecified, bits: source_bits }),
        tos,
        metric: None,
        protocol,
        scope,
        prefsrc: None,
        metrics: Metrics::default(),
        expires: None,
        cached: flags & CLONED != 0,
        hops: Vec::new(),
    };
    // The low byte of `rtm_flags` are the flags of a single next hop.
    let mut single = Hop {
        weight: 1,
        flags: flags.to_ne_bytes()[if cfg!(target_endian = "little") { 0 } else { 3 }],
        ..Hop::default()
    };
    for attribute in Attributes(payload.get(ROUTE..).unwrap_or_default()) {
        let (kind, value) = attribute?;
        match kind {
            DST => route.destination.addr = address("a destination", value)?,
            SRC => route.source = Some(Net { addr: address("a source", value)?, bits: source_bits }),
            OIF => single.interface = u32_at("an interface index", value, 0)?,
            GATEWAY => single.gateway = Some(address("a gateway", value)?),
            VIA => single.gateway = Some(via(value)?),
            PRIORITY => route.metric = Some(u32_at("a metric", value, 0)?),
            PREFSRC => route.prefsrc = Some(address("a preferred source", value)?),
            METRICS => route.metrics = metrics(value)?,
            MULTIPATH => route.hops = hops(value)?,
            CACHEINFO => {
                let ticks = u32_at("cache information", value, 8)?;
                route.expires = (ticks != 0).then_some(ticks / TICKS);
            }
            TABLE => route.table = u32_at("a table", value, 0)?,
            _ => {}
        }
    }
    if route.hops.is_empty() {
        route.hops.push(single);
    }
    Ok(Some(route))
}

/// `struct rtvia`: a family, then the address.
fn via(value: &[u8]) -> Result<IpAddr, WireError> {
    array::<2>("a gateway of another family", value, 0)?;
    address("a gateway of another family", value.get(2..).unwrap_or_default())
}

fn metrics(value: &[u8]) -> Result<Metrics, WireError> {
    let mut metrics = Metrics::default();
    for attribute in Attributes(value) {
        let (kind, value) = attribute?;
        let slot = match kind {
            AX_MTU => &mut metrics.mtu,
            AX_WINDOW => &mut metrics.window,
            AX_RTT => &mut metrics.rtt,
            AX_ADVMSS => &mut metrics.advmss,
            AX_HOPLIMIT => &mut metrics.hoplimit,
            AX_INITCWND => &mut metrics.initcwnd,
            AX_INITRWND => &mut metrics.initrwnd,
            _ => continue,
        };
        *slot = Some(u32_at("a route metric", value, 0)?);
    }
    Ok(metrics)
}

/// Each `struct rtnexthop` with its attributes.
fn hops(mut rest: &[u8]) -> Result<Vec<Hop>, WireError> {
    let what = "a next hop";
    let mut hops = Vec::new();
    while !rest.is_empty() {
        let [l0, l1, flags, weight, i0, i1, i2, i3] = array::<NEXTHOP>(what, rest, 0)?;
        let claims = usize::from(u16::from_ne_bytes([l0, l1]));
        if claims < NEXTHOP {
            return Err(WireError::Short { what, have: claims, need: NEXTHOP });
        }
        let attributes =
            rest.get(NEXTHOP..claims).ok_or(WireError::Overlong { what, claims, have: rest.len() })?;
        let mut hop = Hop {
            gateway: None,
            interface: u32::from_ne_bytes([i0, i1, i2, i3]),
            // The kernel counts from 0.
            weight: u16::from(weight) + 1,
            flags,
        };
        for attribute in Attributes(attributes) {
            match attribute? {
                (GATEWAY, value) => hop.gateway = Some(address("a gateway", value)?),
                (VIA, value) => hop.gateway = Some(via(value)?),
                _ => {}
            }
        }
        hops.push(hop);
        rest = rest.get(claims.saturating_add(3) & !3..).unwrap_or_default();
    }
    Ok(hops)
}
