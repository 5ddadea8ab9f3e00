//! Routes, interfaces, multicast, processors, next hops.

use super::{Show, only};
use crate::args::bsd::Display;
use crate::args::tables::TableWord;
use crate::model::route::{TABLE_LOCAL, TABLE_MAIN};
use crate::model::{
    Clock, Family, Interface, Membership, MulticastRoute, Neighbour, Nexthop, Route, Softnet, Vif,
};
use crate::names;
use crate::render::bsd::interfaces::{self, Joined, Style};
use crate::render::bsd::{routes, tables};
use crate::render::json_tables::JsonTables;
use crate::render::routes::Labels;
use crate::source::procfs::{Pass, ProcfsError};
use crate::source::{Procfs, Rtnl, chain, netns};
use anyhow::anyhow;
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// `NUD_NOARP`: nobody has to be asked for it.
const NO_ARP: u16 = 0x40;

/// Names for JSON.
struct Known<'a> {
    interfaces: &'a FxHashMap<u32, Vec<u8>>,
    tables: FxHashMap<u32, Vec<u8>>,
}

impl Labels for Known<'_> {
    fn interface(&self, index: u32) -> Option<&[u8]> {
        self.interfaces.get(&index).map(Vec::as_slice)
    }

    fn table(&self, number: u32) -> Option<&[u8]> {
        self.tables.get(&number).map(Vec::as_slice)
    }
}

impl Show<'_> {
    pub(super) fn routes(
        &mut self,
        families: &[Family],
        table: Option<&TableWord>,
        all: bool,
        long: bool,
    ) -> anyhow::Result<()> {
        self.learn_interfaces();
        let wanted = numbers(table, all)?;
        let mut rtnl = Rtnl::open()?;
        if !self.plan.json {
            let title =
                table.map(|_| wanted.as_ref().map_or_else(|| "all".to_owned(), |of| of[0].to_string()));
            routes::title(&mut self.text, title.as_deref().map(str::as_bytes));
        }
        for &family in families {
            let mut rows: Vec<Route> = Vec::new();
            let dumped = rtnl.routes(family, &mut |route| {
                let table = wanted.as_ref().is_none_or(|wanted| wanted.contains(&route.table));
                if table && (all || !route.cached) {
                    rows.push(route.clone());
                }
            })?;
            self.dumped("routes", &dumped);
            let mut neighbours: Vec<Neighbour> = Vec::new();
            if all && table.is_none() {
                let (found, dumped) = rtnl.neighbours(family)?;
                self.dumped("neighbours", &dumped);
                neighbours.extend(found.into_iter().filter(|neighbour| neighbour.state & NO_ARP == 0));
            }
            if self.plan.json {
                let at = self.now();
                let mut json = JsonTables::new(Clock::now(), netns::here());
                let known = Known { interfaces: &self.spelling.interfaces, tables: names::routing_tables() };
                rows.iter().for_each(|route| json.route(&mut self.text, at, route, &known));
                for neighbour in &neighbours {
                    self.json.neighbour(&mut self.text, at, neighbour, &self.spelling);
                }
                continue;
            }
            let gateways = rows.iter().flat_map(|route| route.hops.iter().filter_map(|hop| hop.gateway));
            let hosts = rows.iter().filter(|route| is_host(route)).map(|route| route.destination.addr);
            let neighbouring = neighbours.iter().map(|neighbour| neighbour.addr);
            let addrs: Vec<IpAddr> = gateways.chain(hosts).chain(neighbouring).collect();
            self.resolve(addrs);
            routes::family(&mut self.text, family);
            let names = &mut self.names;
            routes::routes(&mut self.text, family, &rows, &neighbours, long, &self.spelling, names);
        }
        Ok(())
    }

    pub(super) fn interfaces(&mut self) -> anyhow::Result<()> {
        let Display::Interfaces { only: name, families, all, bytes, drops, human } = &self.plan.display
        else {
            return Ok(());
        };
        let mut links = only(self.links()?, name.as_deref())?;
        let (addresses, dumped) = Rtnl::open()?.addresses()?;
        self.dumped("addresses", &dumped);
        if families.contains(&Family::V4) {
            for address in addresses {
                if let Some(link) = links.iter_mut().find(|link| link.index == address.interface) {
                    link.v4.push(address);
                }
            }
        }
        let procfs = Procfs::host();
        if families.contains(&Family::V6) {
            let mut found = Vec::new();
            let pass = procfs.addresses6(&mut |address| found.push(address));
            self.read_file(pass);
            for address in found {
                if let Some(link) = links.iter_mut().find(|link| link.index == address.interface) {
                    link.v6.push(address);
                }
            }
        }
        let joined = all.then(|| self.joined(families));
        if self.plan.json {
            return self.interfaces_json(&links, joined.as_ref());
        }
        let v4 = links.iter().flat_map(|link| &link.v4).map(|address| IpAddr::V4(address.local));
        let v6 = links.iter().flat_map(|link| &link.v6).map(|address| IpAddr::V6(address.addr));
        let groups = joined.iter().flat_map(|joined| &joined.groups).map(|group| group.group);
        let addrs: Vec<IpAddr> = v4.chain(v6).chain(groups).collect();
        self.resolve(addrs);
        let style = Style { bytes: *bytes, drops: *drops, human: *human };
        let (spelling, names) = (&self.spelling, &mut self.names);
        interfaces::interfaces(&mut self.text, &links, joined.as_ref(), style, spelling, names);
        Ok(())
    }

    fn interfaces_json(&mut self, links: &[Interface], joined: Option<&Joined>) -> anyhow::Result<()> {
        let (at, mut json) = (self.now(), JsonTables::new(Clock::now(), netns::here()));
        links.iter().for_each(|link| json.interface(&mut self.text, at, link));
        for group in joined.iter().flat_map(|joined| &joined.groups) {
            if links.iter().any(|link| link.index == group.interface) {
                json.membership(&mut self.text, at, group);
            }
        }
        Ok(())
    }

    /// Groups that were joined.
    fn joined(&mut self, families: &[Family]) -> Joined {
        let procfs = Procfs::host();
        let mut joined = Joined { groups: self.groups_of(families), link: Vec::new() };
        let pass = procfs.link_groups(&mut |index, group| joined.link.push((index, group)));
        self.read_file(pass);
        joined
    }

    fn groups_of(&mut self, families: &[Family]) -> Vec<Membership> {
        let procfs = Procfs::host();
        let mut groups = Vec::new();
        for family in families {
            let each = &mut |group| groups.push(group);
            let pass = match family {
                Family::V4 => procfs.groups4(each),
                Family::V6 => procfs.groups6(each),
            };
            self.read_file(pass);
        }
        groups
    }

    /// Tells what could not be read; a file that is not there has nothing.
    fn read_file(&mut self, pass: Result<Option<Pass>, ProcfsError>) {
        match pass {
            Ok(pass) => self.passed(pass.unwrap_or_default()),
            Err(error) => self.missing(chain(&error)),
        }
    }

    pub(super) fn multicast(&mut self, families: &[Family], memberships: bool) -> anyhow::Result<()> {
        self.learn_interfaces();
        let procfs = Procfs::host();
        for &family in families {
            let (mut vifs, mut routes): (Vec<Vif>, Vec<MulticastRoute>) = (Vec::new(), Vec::new());
            let pass = procfs.vifs(family, &mut |vif| vifs.push(vif));
            self.read_file(pass);
            let pass = procfs.multicast_routes(family, &mut |route| routes.push(route));
            self.read_file(pass);
            if self.plan.json {
                let at = self.now();
                vifs.iter().for_each(|vif| self.json.vif(&mut self.text, at, family, vif));
                routes.iter().for_each(|route| self.json.multicast_route(&mut self.text, at, family, route));
            } else {
                let local = vifs.iter().flat_map(|vif| [vif.local, vif.remote]).flatten();
                let addrs = routes.iter().flat_map(|route| [route.origin, route.group]).chain(local);
                self.resolve(addrs.collect::<Vec<_>>());
                tables::multicast(&mut self.text, family, &vifs, &routes, &mut self.names);
            }
        }
        let groups = if memberships { self.groups_of(families) } else { Vec::new() };
        if self.plan.json {
            let (at, mut json) = (self.now(), JsonTables::new(Clock::now(), netns::here()));
            groups.iter().for_each(|group| json.membership(&mut self.text, at, group));
            return Ok(());
        }
        self.resolve(groups.iter().map(|group| group.group));
        for &family in families.iter().filter(|_| memberships) {
            let of: Vec<&Membership> = groups.iter().filter(|group| group.family() == family).collect();
            tables::memberships(&mut self.text, family, &of, &self.spelling, &mut self.names);
        }
        Ok(())
    }

    pub(super) fn softnet(&mut self) -> anyhow::Result<()> {
        let mut rows: Vec<Softnet> = Vec::new();
        let pass = Procfs::host().softnet(&mut |row| rows.push(row))?;
        match pass {
            Some(pass) => self.passed(pass),
            None => self.missing("this kernel has no /proc/net/softnet_stat"),
        }
        if self.plan.json {
            let at = self.now();
            rows.iter().for_each(|row| self.json.softnet(&mut self.text, at, row));
            return Ok(());
        }
        let setting = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
            text.trim().parse().ok()
        };
        let settings = ["netdev_max_backlog", "netdev_budget", "netdev_budget_usecs", "dev_weight"];
        tables::softnet(&mut self.text, &settings.map(|name| (name, setting(name))), &rows);
        Ok(())
    }

    pub(super) fn nexthops(&mut self, families: &[Family], groups: bool) -> anyhow::Result<()> {
        self.learn_interfaces();
        let (all, dumped) = match Rtnl::open()?.nexthops() {
            Ok(found) => found,
            Err(error) if error.is_absent() => {
                self.missing("this kernel has no next hops of their own (Linux 5.3 has)");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.dumped("next hops", &dumped);
        // A group is of the family of its members.
        let family = |hop: &Nexthop| match hop.family {
            10 => Some(Family::V6),
            2 => Some(Family::V4),
            _ => None,
        };
        let of_group = |hop: &Nexthop| {
            let first = hop.group.first().and_then(|(id, _)| all.iter().find(|other| other.id == *id));
            first.and_then(family)
        };
        let wanted = |hop: &&Nexthop, of: Family| {
            hop.group.is_empty() != groups
                && if groups { of_group(hop) } else { family(hop) }.is_none_or(|found| found == of)
        };
        if self.plan.json {
            let at = self.now();
            for hop in all.iter().filter(|hop| families.iter().any(|family| wanted(hop, *family))) {
                self.json.nexthop(&mut self.text, at, hop, &self.spelling);
            }
            return Ok(());
        }
        self.resolve(all.iter().filter_map(|hop| hop.gateway));
        self.text.extend_from_slice(if groups { b"Nexthop groups data\n" } else { b"Nexthop data\n" });
        for &of in families {
            let hops: Vec<&Nexthop> = all.iter().filter(|hop| wanted(hop, of)).collect();
            routes::family(&mut self.text, of);
            if groups {
                routes::groups(&mut self.text, &hops, &all, &self.spelling, &mut self.names);
            } else {
                routes::nexthops(&mut self.text, &hops, &self.spelling, &mut self.names);
            }
        }
        Ok(())
    }
}

fn is_host(route: &Route) -> bool {
    route.destination.bits == if route.family == Family::V4 { 32 } else { 128 }
}

/// The tables that are shown; `None`: all of them.
fn numbers(table: Option<&TableWord>, all: bool) -> anyhow::Result<Option<Vec<u32>>> {
    Ok(match table {
        None | Some(TableWord::Usual) if all => Some(vec![TABLE_MAIN, TABLE_LOCAL]),
        None | Some(TableWord::Usual) => Some(vec![TABLE_MAIN]),
        Some(TableWord::All) => None,
        Some(TableWord::Number(number)) => Some(vec![*number]),
        Some(TableWord::Name(name)) => {
            let tables = names::routing_tables();
            let found = tables.iter().find(|(_, other)| **other == name.as_bytes());
            let number = found.map(|(number, _)| *number);
            Some(vec![number.ok_or_else(|| {
                anyhow!("no routing table is called {name:?}: give its number, or name it in /etc/iproute2/rt_tables")
            })?])
        }
    })
}
