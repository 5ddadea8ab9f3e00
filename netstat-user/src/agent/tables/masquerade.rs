//! Masqueraded connections: connection tracking -> rows.

use super::{Next, Remarks, WRITING, repeat};
use crate::args::plan::Naming;
use crate::args::tables::MasqueradePlan;
use crate::exit::Outcome;
use crate::model::{Clock, Masqueraded, Mono};
use crate::names::Names;
use crate::render::json_tables::JsonTables;
use crate::render::masquerade;
use crate::source::conntrack::{self, ConntrackError, Listed};
use crate::source::netns;
use anyhow::Context;
use std::io::Write;

/// Shows the connections, once or for ever.
///
/// # Errors
/// When `out` cannot be written, or when the kernel refuses or tracks no connections.
pub fn run(plan: &MasqueradePlan, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut remarks = Remarks::new(err, plan.compat);
    let naming = Naming { hosts: plan.hosts && !plan.json, ports: plan.ports && !plan.json, users: false };
    let mut names = Names::of_host(naming);
    repeat(plan.interval, out, &mut remarks, &mut |out, remarks| {
        let mut rows: Vec<Masqueraded> = Vec::new();
        let listed = conntrack::masqueraded(&mut |row| {
            if plan.families.contains(&row.family) {
                rows.push(row.clone());
            }
        });
        match listed {
            Ok(Listed::Netlink(dumped)) => remarks.dumped("connections", &dumped),
            Ok(Listed::Procfs(pass)) => remarks.passed(pass),
            Err(ConntrackError::Absent) if plan.compat => {
                remarks.say("netstat: no support for `ip_masquerade' on this system.\n");
                remarks.complete = false;
                return Ok(Next::Stop);
            }
            Err(error) => return Err(error.into()),
        }
        let mut text = Vec::new();
        if plan.json {
            let (at, mut json) = (Mono::now(), JsonTables::new(Clock::now(), netns::here()));
            rows.iter().for_each(|row| json.masquerade(&mut text, at, row));
        } else {
            let hosts = rows.iter().flat_map(|row| [row.source.0, row.destination.0]);
            remarks.resolve(&mut names, hosts);
            masquerade::table(&mut text, &rows, plan.extend, &mut names, plan.compat);
        }
        out.write_all(&text).context(WRITING)?;
        Ok(Next::Go)
    })
}
