//! Multicast memberships: /proc/net/igmp and /proc/net/igmp6 -> rows.

use super::{Next, Remarks, WRITING, repeat};
use crate::args::plan::Naming;
use crate::args::tables::GroupsPlan;
use crate::exit::Outcome;
use crate::model::{Clock, Family, Membership, Mono};
use crate::names::Names;
use crate::render::groups;
use crate::render::json_tables::JsonTables;
use crate::source::{Procfs, netns};
use anyhow::Context;
use std::io::Write;

/// Shows the memberships, once or for ever. net-tools prints nonsense from its second round on: that is not imitated.
///
/// # Errors
/// When `out` cannot be written, or a file cannot be read to its end.
pub fn run(plan: &GroupsPlan, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut remarks = Remarks::new(err, plan.compat);
    let hosts = plan.hosts && !plan.json;
    let mut names = Names::of_host(Naming { hosts, ports: false, users: false });
    repeat(plan.interval, out, &mut remarks, &mut |out, remarks| {
        let procfs = Procfs::host();
        let mut rows: Vec<Membership> = Vec::new();
        // IPv4 first, whatever the order of the words.
        for family in [Family::V4, Family::V6].iter().filter(|family| plan.families.contains(family)) {
            let each = &mut |row| rows.push(row);
            let (pass, what) = match family {
                Family::V4 => (procfs.groups4(each)?, "IPv4"),
                Family::V6 => (procfs.groups6(each)?, "IPv6"),
            };
            match pass {
                Some(pass) => remarks.passed(pass),
                None if plan.verbose => remarks.note(format_args!("this kernel has no {what} multicast")),
                None => {}
            }
        }
        let mut text = Vec::new();
        if plan.json {
            let (at, mut json) = (Mono::now(), JsonTables::new(Clock::now(), netns::here()));
            rows.iter().for_each(|row| json.membership(&mut text, at, row));
        } else {
            remarks.resolve(&mut names, rows.iter().map(|row| row.group));
            groups::table(&mut text, &plan.families, &rows, &mut names, plan.compat);
        }
        out.write_all(&text).context(WRITING)?;
        Ok(Next::Go)
    })
}
