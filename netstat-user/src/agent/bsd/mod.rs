//! BSD's displays: sources -> rows -> renderer.

mod interval;
mod owners;
mod rows;
mod sockets;
mod statistics;
mod tables;

use crate::args::bsd::{BsdPlan, Display, IntervalPlan};
use crate::args::plan::Naming;
use crate::exit::Outcome;
use crate::model::{Clock, Interface, Mono};
use crate::names::{self, Names};
use crate::render::bsd::Spelling;
use crate::render::bsd::json::JsonBsd;
use crate::source::netlink::Dumped;
use crate::source::procfs::Pass;
use crate::source::{Procfs, Rtnl};
use anyhow::Context;
use std::fmt::Display as Shown;
use std::io::{self, Write};
use std::net::IpAddr;
use std::ops::RangeInclusive;

const WRITING: &str = "cannot write to standard output";

/// Shows what was asked for on `out`; remarks go to `err`.
///
/// # Errors
/// When `out` cannot be written, or when what is shown cannot be had at all. What is missing of it is told on `err` and in
/// the outcome.
pub fn run(
    plan: &BsdPlan,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    let mut show = Show::new(plan, err);
    match &plan.display {
        Display::Interval(wanted) => {
            return interval::run(&mut show, wanted, &interval::Ends::catch()?, out);
        }
        Display::Sockets(wanted) => show.sockets(wanted)?,
        Display::ListenQueues { selected, pcb } => show.listen_queues(selected, *pcb)?,
        Display::Routes { families, table, all, long } => {
            show.routes(families, table.as_ref(), *all, *long)?
        }
        Display::RouteStatistics { families, .. } => show.route_statistics(families)?,
        Display::Interfaces { .. } => show.interfaces()?,
        Display::InterfaceStatistics { only, families, protocol, zeros } => {
            show.interface_statistics(only.as_deref(), families, protocol.as_deref(), *zeros)?;
        }
        Display::Statistics { families, protocol, zeros } => {
            show.statistics(families, protocol.as_deref(), *zeros)?;
        }
        Display::Buffers => show.buffers()?,
        Display::Captures { only } => show.captures(only.as_deref())?,
        Display::Multicast { families, memberships } => show.multicast(families, *memberships)?,
        Display::MulticastStatistics { families, .. } => show.multicast_statistics(families)?,
        Display::Softnet => show.softnet()?,
        Display::Nexthops { families, groups } => show.nexthops(families, *groups)?,
    }
    out.write_all(&show.text).context(WRITING)?;
    out.flush().context(WRITING)?;
    Ok(Outcome { complete: show.complete })
}

/// The interval display of every network namespace.
///
/// # Errors
/// When `out` cannot be written, when no namespace can be examined, or when none has the interface that was asked for.
pub fn intervals(
    plan: &BsdPlan,
    wanted: &IntervalPlan,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    // Before there is another thread, which would take the signals.
    let ends = interval::Ends::catch()?;
    interval::everywhere(&mut Show::new(plan, err), wanted, &ends, out)
}

/// A display being made.
struct Show<'a> {
    plan: &'a BsdPlan,
    names: Names,
    spelling: Spelling,
    json: JsonBsd,
    text: Vec<u8>,
    err: &'a mut dyn Write,
    complete: bool,
    /// Remarks made.
    noted: Vec<String>,
}

impl<'a> Show<'a> {
    fn new(plan: &'a BsdPlan, err: &'a mut dyn Write) -> Self {
        let naming =
            Naming { hosts: plan.hosts && !plan.json, ports: plan.ports && !plan.json, users: false };
        Self {
            plan,
            names: Names::of_host(naming),
            spelling: Spelling { dialect: plan.dialect, ephemeral: ephemeral(), ..Spelling::default() },
            json: JsonBsd::new(Clock::now(), Procfs::host().netns().unwrap_or(0)),
            text: Vec::new(),
            err,
            complete: true,
            noted: Vec::new(),
        }
    }

    /// Says something once, however often it is found.
    fn note(&mut self, note: impl Shown) {
        let note = format!("enetstat: {note}\n");
        if !self.noted.contains(&note) {
            // A closed standard error is no reason to stop.
            let _: io::Result<()> = self.err.write_all(note.as_bytes());
            self.noted.push(note);
        }
    }

    /// Says what is missing.
    fn missing(&mut self, note: impl Shown) {
        self.complete = false;
        self.note(note);
    }

    /// Tells what a dump missed.
    fn dumped(&mut self, what: &str, dumped: &Dumped) {
        if dumped.interrupted {
            self.note(format_args!("some {what} may have come or gone while they were listed"));
        }
        if let Some(fault) = &dumped.fault {
            self.missing(format_args!(
                "{} {what} are left out: the kernel's answer has {fault}",
                dumped.faulty
            ));
        }
    }

    /// Tells what could not be read of a file.
    fn passed(&mut self, pass: Pass) {
        for fault in pass.faults {
            self.missing(format_args!("{:#}", anyhow::Error::from(fault)));
        }
    }

    /// Looks up hosts, at most for a while.
    fn resolve(&mut self, hosts: impl IntoIterator<Item = IpAddr>) {
        let silent = self.names.resolve(hosts, names::PATIENCE);
        if silent > 0 {
            let seconds = names::PATIENCE.as_secs();
            self.note(format_args!(
                "no answer about {silent} addresses within {seconds} seconds: shown as numbers (-n asks for none)"
            ));
        }
    }

    /// Every interface; their names are known from then on.
    fn links(&mut self) -> anyhow::Result<Vec<Interface>> {
        let (links, dumped) = Rtnl::open()?.links()?;
        self.dumped("interfaces", &dumped);
        self.spelling.interfaces = links.iter().map(|link| (link.index, link.name.clone())).collect();
        Ok(links)
    }

    /// Learns the names of interfaces, without which numbers are shown.
    fn learn_interfaces(&mut self) {
        if let Err(error) = self.links() {
            self.note(format_args!("{error:#}: interfaces are shown by number"));
        }
    }

    fn now(&self) -> Mono {
        Mono::now()
    }
}

/// Those of an interface alone, when one was asked for.
fn only(links: Vec<Interface>, name: Option<&[u8]>) -> anyhow::Result<Vec<Interface>> {
    let Some(name) = name else { return Ok(links) };
    let found: Vec<Interface> = links.into_iter().filter(|link| link.name == name).collect();
    anyhow::ensure!(!found.is_empty(), NoInterface(name.to_vec()));
    Ok(found)
}

/// No interface has that name.
#[derive(Debug, thiserror::Error)]
#[error("no interface is called \"{}\": enetstat -ia names those that there are", .0.escape_ascii())]
pub struct NoInterface(pub Vec<u8>);

/// Ports that the kernel chooses.
fn ephemeral() -> Option<RangeInclusive<u16>> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ports = text.split_ascii_whitespace().map(str::parse);
    Some(ports.next()?.ok()?..=ports.next()?.ok()?)
}
