//! /proc/net/igmp, /proc/net/igmp6 and /proc/net/if_inet6 (`igmp_mc_seq_show`, `igmp6_mc_seq_show`, `if6_seq_show`,
//! Linux 6.12).

use super::Fault;
use super::inet::{Fields, hex};
use super::route::{address, length};
use crate::model::{Address6, Membership};
use std::net::Ipv4Addr;

/// The interface that the groups below a line of /proc/net/igmp belong to.
pub type Of = (u32, Vec<u8>);

/// Reads one line of /proc/net/igmp that is not the heading: an interface, or a group of the interface before it.
pub fn igmp<'a>(line: &'a [u8], of: &mut Of) -> Result<Option<Membership>, Fault<'a>> {
    if line.first() != Some(&b'\t') {
        let tab = line.iter().position(|&byte| byte == b'\t').unwrap_or(line.len());
        let (index, rest) = line.split_at(tab);
        let index = super::inet::decimal(index).and_then(|index| u32::try_from(index).ok());
        let name = rest.get(1..).unwrap_or_default();
        // Padded to ten characters, then a colon; no interface has a blank or a colon in its name.
        let end = name.iter().position(|byte| matches!(byte, b' ' | b':')).unwrap_or(name.len());
        *of = (
            index.ok_or(Fault { column: "Idx", wanted: "an interface index", text: line })?,
            name.get(..end).unwrap_or_default().to_vec(),
        );
        return Ok(None);
    }
    let start = line.iter().position(|&byte| byte != b'\t').unwrap_or(line.len());
    let mut fields = Fields(line.get(start..).unwrap_or_default());
    let text = fields.next("Group")?;
    let group = hex(text).and_then(|group| u32::try_from(group).ok());
    let group = group.ok_or(Fault { column: "Group", wanted: "an address", text })?;
    Ok(Some(Membership {
        interface: of.0,
        name: of.1.clone(),
        // The kernel's word as a number: it has the bytes of the wire in memory order.
        group: Ipv4Addr::from(group.to_ne_bytes()).into(),
        users: number(&mut fields, "Users")?,
    }))
}

/// Reads one line of /proc/net/igmp6, which has no heading.
pub fn igmp6(line: &[u8]) -> Result<Membership, Fault<'_>> {
    let mut fields = Fields(line);
    Ok(Membership {
        interface: number(&mut fields, "index")?,
        name: fields.next("name")?.to_vec(),
        group: address(&mut fields, "group")?.into(),
        users: number(&mut fields, "users")?,
    })
}

/// Reads one line of /proc/net/if_inet6, which has no heading.
pub fn inet6(line: &[u8]) -> Result<Address6, Fault<'_>> {
    let mut fields = Fields(line);
    let addr = address(&mut fields, "address")?;
    let text = fields.next("index")?;
    let interface = hex(text).and_then(|index| u32::try_from(index).ok());
    let interface = interface.ok_or(Fault { column: "index", wanted: "an interface index", text })?;
    Ok(Address6 {
        interface,
        addr,
        bits: length(&mut fields, "prefix length")?,
        scope: length(&mut fields, "scope")?,
        flags: length(&mut fields, "flags")?,
        name: fields.next("name")?.to_vec(),
    })
}

fn number<'a>(fields: &mut Fields<'a>, column: &'static str) -> Result<u32, Fault<'a>> {
    let text = fields.next(column)?;
    let value = super::inet::decimal(text).and_then(|value| u32::try_from(value).ok());
    value.ok_or(Fault { column, wanted: "a 32-bit number", text })
}
