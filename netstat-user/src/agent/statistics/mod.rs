//! Counters of the kernel's protocols, once or for ever: sources -> groups -> renderer.

mod compat;

use crate::args::plan::StatisticsPlan;
use crate::exit::Outcome;
use crate::model::{Clock, Family, Group, Mono};
use crate::render::json::Json;
use crate::render::statistics;
use crate::render::text::Pieces;
use crate::source::procfs::counters::Counters;
use crate::source::{All, Depth, Procfs, chain};
use crate::view::groups;
use anyhow::Context;
use std::io::{self, Write};

const WRITING: &str = "cannot write to standard output";

/// Shows counters on `out`, once or for ever; remarks go to `err`.
///
/// # Errors
/// When `out` cannot be written, or when no namespace can be examined. A source that refuses is told on `err` and in the
/// outcome.
pub fn run(plan: &StatisticsPlan, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    run_at(plan, &Procfs::host(), out, err)
}

/// The same of the namespaces that this /proc shows; all of them only of the host's.
///
/// # Errors
/// See [`run`].
pub fn run_at(
    plan: &StatisticsPlan,
    procfs: &Procfs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    if let Some(families) = &plan.compat {
        return compat::run(families, plan.protocols, procfs, out, err);
    }
    let mut counting = Counting { plan, err, complete: true, noted: Vec::new() };
    loop {
        let mut out = Pieces::new(out);
        counting.round(procfs, &mut out)?;
        out.flush().context(WRITING)?;
        match plan.interval {
            Some(interval) => std::thread::sleep(interval),
            None => return Ok(Outcome { complete: counting.complete }),
        }
    }
}

/// What was read in one namespace.
#[derive(Default)]
struct Counted {
    groups: Vec<Group>,
    /// What could not be read, a sentence each.
    remarks: Vec<String>,
}

struct Counting<'a> {
    plan: &'a StatisticsPlan,
    err: &'a mut dyn Write,
    complete: bool,
    /// Remarks made: with `-c` each is made once.
    noted: Vec<String>,
}

impl Counting<'_> {
    fn round(&mut self, procfs: &Procfs, out: &mut Pieces<'_>) -> anyhow::Result<()> {
        let plan = self.plan;
        if !plan.all_netns {
            let counted = count(procfs, plan);
            return self.show(out, procfs.netns().unwrap_or(0), counted);
        }
        let all = All::find(Depth::Sockets);
        all.remarks().into_iter().for_each(|remark| self.incomplete(remark));
        anyhow::ensure!(!all.found.is_empty(), "no network namespace can be examined");
        for netns in all.found {
            let counted = match netns.run(|| count(procfs, plan)) {
                Ok(counted) => counted,
                Err(error) => {
                    self.incomplete(chain(&error));
                    continue;
                }
            };
            if !plan.json {
                statistics::namespace(&mut out.buf, &netns.label());
            }
            self.show(out, netns.inum, counted)?;
        }
        Ok(())
    }

    fn show(&mut self, out: &mut Pieces<'_>, inum: u32, counted: Counted) -> anyhow::Result<()> {
        let mut json = Json::new(false, Clock::now());
        let at = Mono::now();
        for group in &counted.groups {
            if self.plan.json {
                let (_, family) = groups::about(&group.name);
                json.counters(&mut out.buf, at, inum, family, group);
            } else {
                statistics::group(&mut out.buf, group, self.plan.zeros);
            }
            out.piece().context(WRITING)?;
        }
        counted.remarks.into_iter().for_each(|remark| self.incomplete(remark));
        Ok(())
    }

    fn incomplete(&mut self, remark: String) {
        self.complete = false;
        if !self.noted.contains(&remark) {
            // A closed standard error is no reason to stop.
            let _: io::Result<()> = self.err.write_all(format!("enetstat: {remark}\n").as_bytes());
            self.noted.push(remark);
        }
    }
}

/// Reads the files that have something of what is wanted, in the order in which net-tools shows them.
fn count(procfs: &Procfs, plan: &StatisticsPlan) -> Counted {
    let (shared, v6) = ([Counters::Snmp, Counters::Netstat], [Counters::Snmp6]);
    let mut files: Vec<Counters> = match plan.family {
        Some(Family::V4) => shared.to_vec(),
        Some(Family::V6) => v6.into_iter().chain(shared).collect(),
        None => shared.into_iter().chain(v6).collect(),
    };
    files.extend([Counters::Sctp, Counters::Xfrm, Counters::Tls]);
    let wanted = |group: &Group| {
        let (about, family) = groups::about(&group.name);
        let of_family = plan.family.is_none() || family.is_none() || family == plan.family;
        of_family && plan.protocols.has(about)
    };
    let mut counted = Counted::default();
    for file in files {
        match procfs.counters(file) {
            Ok((groups, pass)) => {
                counted.groups.extend(groups.into_iter().filter(wanted));
                counted.remarks.extend(pass.faults.iter().map(|fault| chain(fault)));
                if pass.faulty > pass.faults.len() as u64 {
                    let more = pass.faulty - pass.faults.len() as u64;
                    counted.remarks.push(format!("{more} more faults in /proc/net/{}", file.file()));
                }
            }
            Err(error) => counted.remarks.push(chain(&error)),
        }
    }
    counted
}
