//! Routes: rtnetlink -> rows, or for net-tools' own layout /proc/net -> lines.

use super::{Next, Remarks, WRITING, repeat};
use crate::args::plan::Naming;
use crate::args::tables::{RoutesPlan, TableWord};
use crate::exit::Outcome;
use crate::model::route::{TABLE_MAIN, rtf};
use crate::model::{Clock, Family, Mono, ProcRoute4, ProcRoute6, Route};
use crate::names::{self, Names};
use crate::render::json_tables::JsonTables;
use crate::render::routes::{Labels, Layout, Style, is_host, mask};
use crate::render::routes_compat::{self as compat, Extent};
use crate::render::text::Pieces;
use crate::source::{Procfs, Rtnl, netns};
use anyhow::{Context, anyhow};
use rustc_hash::FxHashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

/// Routes held while the widths of columns are measured; the rest is shown as it comes.
const HELD: usize = 4096;

/// The same while host names are looked up: names can only be measured once they are known.
const HELD_FOR_NAMES: usize = 100_000;

/// Shows the routes, once or for ever.
///
/// # Errors
/// When `out` cannot be written, when the kernel refuses, or when there is no such table.
pub fn run(plan: &RoutesPlan, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut remarks = Remarks::new(err, plan.compat);
    let hosts = plan.hosts && !plan.json;
    let mut names = Names::of_host(Naming { hosts, ports: false, users: false });
    if plan.compat {
        return repeat(plan.interval, out, &mut remarks, &mut |out, remarks| {
            let mut out = Pieces::new(out);
            let next = compat(plan, &mut out, &mut names, remarks)?;
            out.flush().context(WRITING)?;
            Ok(next)
        });
    }
    let tables = names::routing_tables();
    let wanted = table(&plan.table, &tables)?;
    repeat(plan.interval, out, &mut remarks, &mut |out, remarks| {
        let mut rtnl = Rtnl::open()?;
        let (links, _) = rtnl.links()?;
        let interfaces = links.into_iter().map(|link| (link.index, link.name)).collect();
        let known = Known { interfaces, tables: &tables };
        let mut out = Pieces::new(out);
        for &family in &plan.families {
            let caches = [(plan.fib, false), (plan.cache, true)].into_iter().filter(|(asked, _)| *asked);
            for (_, cache) in caches {
                let wanted =
                    |route: &Route| route.cached == cache && wanted.is_none_or(|table| table.matches(route));
                let mut show = Show::new(plan, family, cache, &mut out, &known);
                let dumped = rtnl.routes(family, &mut |route| {
                    if wanted(route) {
                        show.route(route, &mut names, remarks);
                    }
                })?;
                show.end(&mut names, remarks)?;
                remarks.dumped("routes", &dumped);
            }
        }
        out.flush().context(WRITING)?;
        Ok(Next::Go)
    })
}

/// The tables that are shown.
#[derive(Clone, Copy)]
enum Only {
    /// Of IPv4 the main table.
    Usual,
    One(u32),
}

impl Only {
    fn matches(self, route: &Route) -> bool {
        match self {
            Self::Usual => route.family == Family::V6 || route.table == TABLE_MAIN,
            Self::One(table) => route.table == table,
        }
    }
}

/// `None`: all of them.
fn table(word: &TableWord, tables: &FxHashMap<u32, Vec<u8>>) -> anyhow::Result<Option<Only>> {
    Ok(match word {
        TableWord::Usual => Some(Only::Usual),
        TableWord::All => None,
        TableWord::Number(number) => Some(Only::One(*number)),
        TableWord::Name(name) => {
            let found = tables.iter().find(|(_, other)| **other == name.as_bytes());
            let number = found.map(|(number, _)| *number).ok_or_else(|| {
                anyhow!("no routing table is called {name:?}: give its number, or name it in /etc/iproute2/rt_tables")
            })?;
            Some(Only::One(number))
        }
    })
}

/// Names of interfaces and tables, as they were at the beginning of the round.
struct Known<'a> {
    interfaces: FxHashMap<u32, Vec<u8>>,
    tables: &'a FxHashMap<u32, Vec<u8>>,
}

impl Labels for Known<'_> {
    fn interface(&self, index: u32) -> Option<&[u8]> {
        self.interfaces.get(&index).map(Vec::as_slice)
    }

    fn table(&self, number: u32) -> Option<&[u8]> {
        self.tables.get(&number).map(Vec::as_slice)
    }
}

/// Routes on their way out: the first ones are held until the widths of columns are known.
struct Show<'a, 'b> {
    out: &'a mut Pieces<'b>,
    known: &'a Known<'a>,
    layout: Layout,
    json: Option<JsonTables>,
    /// `None`: the header is out, the rest is shown as it comes.
    held: Option<Vec<Route>>,
    room: usize,
    hosts: bool,
    written: io::Result<()>,
}

impl<'a, 'b> Show<'a, 'b> {
    fn new(
        plan: &RoutesPlan,
        family: Family,
        cache: bool,
        out: &'a mut Pieces<'b>,
        known: &'a Known<'a>,
    ) -> Self {
        let style = Style {
            family,
            cache,
            extend: plan.extend,
            table: plan.verbose || plan.table == TableWord::All,
            verbose: plan.verbose,
        };
        let json = plan.json.then(|| JsonTables::new(Clock::now(), netns::here()));
        Self {
            out,
            known,
            layout: Layout::new(style),
            held: json.is_none().then(Vec::new),
            json,
            room: if plan.hosts { HELD_FOR_NAMES } else { HELD },
            hosts: plan.hosts,
            written: Ok(()),
        }
    }

    fn route(&mut self, route: &Route, names: &mut Names, remarks: &mut Remarks<'_>) {
        if self.written.is_err() {
            return;
        }
        if let Some(json) = &mut self.json {
            json.route(&mut self.out.buf, Mono::now(), route, self.known);
            self.written = self.out.piece();
            return;
        }
        match &mut self.held {
            Some(held) if held.len() < self.room => held.push(route.clone()),
            Some(_) => {
                self.head(names, remarks);
                self.put(route, names);
            }
            None => self.put(route, names),
        }
    }

    fn end(mut self, names: &mut Names, remarks: &mut Remarks<'_>) -> anyhow::Result<()> {
        self.head(names, remarks);
        self.written.context(WRITING)
    }

    /// Shows the header and what was held, unless that was done.
    fn head(&mut self, names: &mut Names, remarks: &mut Remarks<'_>) {
        let Some(held) = self.held.take() else { return };
        if self.hosts {
            remarks.resolve(names, held.iter().flat_map(hosts));
        }
        for route in &held {
            self.layout.measure(route, names, self.known);
        }
        self.layout.head(&mut self.out.buf);
        for route in &held {
            self.put(route, names);
        }
    }

    fn put(&mut self, route: &Route, names: &mut Names) {
        if self.written.is_ok() {
            self.layout.route(&mut self.out.buf, route, names, self.known);
            self.written = self.out.piece();
        }
    }
}

/// The addresses of a route that may be shown by name.
fn hosts(route: &Route) -> impl Iterator<Item = IpAddr> {
    let gateways = route.hops.iter().filter_map(|hop| hop.gateway);
    let destination = match route.destination.addr {
        IpAddr::V4(addr) => {
            let bits = route.destination.bits;
            is_host(addr, mask(bits), bits == 32).then_some(addr.into())
        }
        // The address of a network has no name.
        addr @ IpAddr::V6(_) => (route.destination.bits == 128).then_some(addr),
    };
    gateways.chain(destination).collect::<Vec<_>>().into_iter()
}

/// What net-tools prints.
fn compat(
    plan: &RoutesPlan,
    out: &mut Pieces<'_>,
    names: &mut Names,
    remarks: &mut Remarks<'_>,
) -> anyhow::Result<Next> {
    for family in &plan.families {
        for (asked, cache) in [(plan.fib, false), (plan.cache, true)] {
            let there = match family {
                _ if !asked => true,
                Family::V4 => compat4(plan, cache, out, names, remarks)?,
                Family::V6 => compat6(plan, cache, out, names, remarks)?,
            };
            if !there {
                remarks.complete = false;
                return Ok(Next::Stop);
            }
        }
    }
    Ok(Next::Go)
}

/// False: there is no IPv4.
fn compat4(
    plan: &RoutesPlan,
    cache: bool,
    out: &mut Pieces<'_>,
    names: &mut Names,
    remarks: &mut Remarks<'_>,
) -> anyhow::Result<bool> {
    let procfs = Procfs::host();
    let extent = Extent::of(plan.extend);
    let file = if cache { "rt_cache" } else { "route" };
    if !procfs.has(file) {
        remarks.say(&format!("/proc/net/{file}: No such file or directory\n"));
        out.buf.extend_from_slice(b"INET (IPv4) not configured in this system.\n");
        return Ok(false);
    }
    if cache {
        compat::cache4(&mut out.buf, extent);
        return Ok(true);
    }
    compat::head4(&mut out.buf, extent);
    let mut rows: Vec<ProcRoute4> = Vec::new();
    let mut written = Ok(());
    let pass = procfs.routes4(&mut |route| {
        if plan.hosts {
            rows.push(route);
        } else if written.is_ok() {
            compat::route4(&mut out.buf, &route, extent, names);
            written = out.piece();
        }
    })?;
    written.context(WRITING)?;
    remarks.passed(pass.unwrap_or_default());
    let addresses = rows.iter().flat_map(|route| {
        let (addr, mask) = (Ipv4Addr::from(route.destination), Ipv4Addr::from(route.mask));
        let host = is_host(addr, mask, route.flags & rtf::HOST != 0);
        let gateway = (route.flags & rtf::REJECT == 0).then_some(Ipv4Addr::from(route.gateway));
        host.then_some(addr).into_iter().chain(gateway)
    });
    remarks.resolve(names, addresses.map(IpAddr::from));
    for route in &rows {
        compat::route4(&mut out.buf, route, extent, names);
        out.piece().context(WRITING)?;
    }
    Ok(true)
}

/// False: there is no IPv6.
fn compat6(
    plan: &RoutesPlan,
    cache: bool,
    out: &mut Pieces<'_>,
    names: &mut Names,
    remarks: &mut Remarks<'_>,
) -> anyhow::Result<bool> {
    let procfs = Procfs::host();
    if !procfs.has("ipv6_route") {
        remarks.say("/proc/net/ipv6_route: No such file or directory\n");
        out.buf.extend_from_slice(b"INET6 (IPv6) not configured in this system.\n");
        return Ok(false);
    }
    compat::head6(&mut out.buf, cache);
    let mut rows: Vec<ProcRoute6> = Vec::new();
    let mut written = Ok(());
    let pass = procfs.routes6(&mut |route| {
        if plan.hosts {
            rows.push(route);
        } else if written.is_ok() {
            compat::route6(&mut out.buf, &route, cache, names);
            written = out.piece();
        }
    })?;
    written.context(WRITING)?;
    remarks.passed(pass.unwrap_or_default());
    let addresses = rows.iter().flat_map(|route| [route.destination, route.gateway]);
    remarks.resolve(names, addresses.map(IpAddr::from));
    for route in &rows {
        compat::route6(&mut out.buf, route, cache, names);
        out.piece().context(WRITING)?;
    }
    Ok(true)
}
