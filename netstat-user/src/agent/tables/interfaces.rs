//! Interfaces: rtnetlink and /proc/net/if_inet6 -> rows.

use super::{Next, Remarks, TRIES, WRITING, repeat};
use crate::args::tables::InterfacesPlan;
use crate::exit::Outcome;
use crate::model::link::iff;
use crate::model::{Clock, Counters, Interface, Mono};
use crate::render::json_tables::JsonTables;
use crate::render::{ifconfig, interfaces};
use crate::source::{Procfs, Rtnl, netns};
use anyhow::Context;
use rustc_hash::FxHashMap;
use std::io::Write;

/// Shows the interfaces, once or for ever.
///
/// # Errors
/// When `out` cannot be written, or when the kernel refuses.
pub fn run(plan: &InterfacesPlan, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut remarks = Remarks::new(err, plan.compat);
    let mut first = !plan.again;
    repeat(plan.interval, out, &mut remarks, &mut |out, remarks| {
        let (mut all, stranger) = collect(remarks, plan.json)?;
        all.retain(|interface| plan.all || interface.flags & iff::UP != 0);
        if plan.compat {
            all.iter_mut().for_each(forget);
        }
        let mut text = Vec::new();
        if plan.json {
            let at = Mono::now();
            let mut json = JsonTables::new(Clock::now(), netns::here());
            all.iter().for_each(|interface| json.interface(&mut text, at, interface));
            out.write_all(&text).context(WRITING)?;
            return Ok(Next::Go);
        }
        if std::mem::take(&mut first) {
            interfaces::title(&mut text);
        }
        if let Some(name) = stranger.as_ref().filter(|_| plan.compat) {
            // net-tools gives up at the label of an address that is no interface.
            all.retain(|other| interfaces::order(&other.name, name).is_lt());
        }
        match (plan.long, plan.compat) {
            (true, compat) => ifconfig::blocks(&mut text, &all, compat),
            (false, true) => interfaces::compat(&mut text, &all),
            (false, false) => interfaces::table(&mut text, &all),
        }
        out.write_all(&text).context(WRITING)?;
        if let Some(name) = stranger.filter(|_| plan.compat) {
            let name = String::from_utf8_lossy(&name).into_owned();
            remarks.say(&format!("{name}: error fetching interface information: Device not found\n"));
            remarks.say("missing interface information: No such device\n");
            remarks.complete = false;
            return Ok(Next::Stop);
        }
        Ok(Next::Go)
    })
}

/// The length of a name from which on net-tools misses the counters behind it.
const BLINDING: usize = 15;

/// Zeroes the counters of an interface whose name is as long as a name can be: net-tools 2.10, as it is after
/// CVE-2025-46836 was mended, does not find them.
fn forget(interface: &mut Interface) {
    if interface.name.len() >= BLINDING && interface.counters.is_some() {
        interface.counters = Some(Counters::default());
    }
}

/// Every interface with its addresses, sorted, and after it its aliases (`eth0:1`) unless `json`: there an alias is the
/// label of an address. Also the first label, if any, that names no interface.
fn collect(remarks: &mut Remarks<'_>, json: bool) -> anyhow::Result<(Vec<Interface>, Option<Vec<u8>>)> {
    let mut rtnl = Rtnl::open()?;
    let mut tries = TRIES;
    let (mut links, addresses) = loop {
        tries -= 1;
        let (links, dumped) = rtnl.links()?;
        let (addresses, more) = rtnl.addresses()?;
        if tries > 0 && (dumped.interrupted || more.interrupted) {
            continue;
        }
        remarks.dumped("interfaces", &dumped);
        remarks.dumped("addresses", &more);
        break (links, addresses);
    };
    let mut v6 = Vec::new();
    let pass = Procfs::host().addresses6(&mut |address| v6.push(address))?;
    remarks.passed(pass.unwrap_or_default());

    let by_name: FxHashMap<Vec<u8>, usize> =
        links.iter().enumerate().map(|(at, link)| (link.name.clone(), at)).collect();
    let by_index: FxHashMap<u32, usize> =
        links.iter().enumerate().map(|(at, link)| (link.index, at)).collect();
    for address in v6 {
        if let Some(link) = by_index.get(&address.interface).and_then(|at| links.get_mut(*at)) {
            link.v6.push(address);
        }
    }
    let mut aliases: Vec<Interface> = Vec::new();
    let mut alias_by_name: FxHashMap<Vec<u8>, usize> = FxHashMap::default();
    let mut stranger: Option<Vec<u8>> = None;
    for address in addresses {
        let place = if json || address.label.is_empty() {
            by_index.get(&address.interface)
        } else {
            by_name.get(&address.label)
        };
        if let Some(link) = place.and_then(|at| links.get_mut(*at)) {
            link.v4.push(address);
            continue;
        }
        if let Some(alias) = alias_by_name.get(&address.label).and_then(|at| aliases.get_mut(*at)) {
            alias.v4.push(address);
            continue;
        }
        let base = address.label.split(|&byte| byte == b':').next().unwrap_or_default();
        match by_name.get(base).and_then(|at| links.get(*at)) {
            Some(link) => {
                alias_by_name.insert(address.label.clone(), aliases.len());
                aliases.push(Interface {
                    name: address.label.clone(),
                    counters: None,
                    v4: vec![address],
                    v6: Vec::new(),
                    ..link.clone()
                });
            }
            None => {
                let first =
                    stranger.as_ref().is_none_or(|other| interfaces::order(&address.label, other).is_lt());
                if first {
                    stranger = Some(address.label);
                }
            }
        }
    }
    links.append(&mut aliases);
    ifconfig::sort(&mut links);
    Ok((links, stranger))
}
