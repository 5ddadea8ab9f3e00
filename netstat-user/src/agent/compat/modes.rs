//! The modes beside the listing of sockets: the one place where each is handed over to what shows it.

use super::output::Output;
use crate::agent::{statistics, tables};
use crate::args::compat::{CompatPlan, Family, Mode};
use crate::args::plan::{CompatFamilies, StatisticsPlan, Which};
use crate::args::tables::{GroupsPlan, InterfacesPlan, MasqueradePlan, RoutesPlan};
use crate::exit::Outcome;
use crate::model;
use crate::view::Protocols;
use std::io::Write;
use std::time::Duration;

/// net-tools' exit code for what it cannot do.
const FAILED: u8 = 1;

/// Its exit code for a family that has no routes.
const NO_ROUTES: u8 = 3;

/// Its pause with `-c`.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows a mode, repeatedly with `-c`, and gives its exit code.
///
/// [`Mode::Groups`] is one part of the listing of sockets: it is shown once for each call.
pub fn run(mode: Mode, plan: &CompatPlan, out: &mut Output<'_>, err: &mut dyn Write) -> u8 {
    let mut again = false;
    loop {
        let code = once(mode, plan, again, out, err);
        again = true;
        // The listing of sockets repeats the groups, and counters are shown once.
        if code != 0 || !plan.continuous || matches!(mode, Mode::Sockets | Mode::Groups | Mode::Statistics) {
            return code;
        }
        out.finish();
        std::thread::sleep(PAUSE);
    }
}

fn once(mode: Mode, plan: &CompatPlan, again: bool, out: &mut Output<'_>, err: &mut dyn Write) -> u8 {
    let hosts = plan.naming.hosts;
    let shown = match mode {
        // Listed by our caller.
        Mode::Sockets => return 0,
        Mode::Statistics => statistics::run(&counters(plan), out, err),
        Mode::Routes => return routes(plan, out, err),
        Mode::Interfaces => {
            let (all, long) = (plan.which == Which::All, plan.extend > 0);
            let plan = InterfacesPlan { all, long, again, compat: true, ..InterfacesPlan::default() };
            tables::interfaces::run(&plan, out, err)
        }
        Mode::Groups => {
            let plan = GroupsPlan { families: families(plan), hosts, compat: true, ..GroupsPlan::default() };
            tables::groups::run(&plan, out, err)
        }
        Mode::Masquerade => {
            let plan = MasqueradePlan {
                families: vec![model::Family::V4, model::Family::V6],
                extend: plan.extend > 0,
                hosts,
                ports: plan.naming.ports,
                compat: true,
                ..MasqueradePlan::default()
            };
            tables::masquerade::run(&plan, out, err)
        }
    };
    code(shown, err)
}

fn code(outcome: anyhow::Result<Outcome>, err: &mut dyn Write) -> u8 {
    match outcome {
        Ok(Outcome { complete: true }) => 0,
        Ok(Outcome { complete: false }) => FAILED,
        Err(error) => {
            // A closed standard error changes nothing.
            let _ = writeln!(err, "netstat: {error:#}");
            FAILED
        }
    }
}

/// The families of inet that were selected.
fn families(plan: &CompatPlan) -> Vec<model::Family> {
    let both = [(plan.inet, model::Family::V4), (plan.inet6, model::Family::V6)];
    both.into_iter().filter(|(selected, _)| *selected).map(|(_, family)| family).collect()
}

/// Family by family, in the order in which they were typed, up to the first that has no routes.
fn routes(plan: &CompatPlan, out: &mut Output<'_>, err: &mut dyn Write) -> u8 {
    let typed = if plan.families.is_empty() { &[Family::Inet][..] } else { &plan.families };
    for &family in typed {
        let version = match family {
            Family::Inet => model::Family::V4,
            Family::Inet6 => model::Family::V6,
            other => {
                let (said, wrong, code) = no_routes(other);
                out.buf.extend_from_slice(said.as_bytes());
                out.finish();
                let _ = err.write_all(wrong.as_bytes());
                return code;
            }
        };
        let plan = RoutesPlan {
            families: vec![version],
            fib: plan.fib || !plan.cache,
            cache: plan.cache,
            extend: u8::try_from(plan.extend).unwrap_or(u8::MAX),
            hosts: plan.naming.hosts && !plan.symbolic,
            verbose: plan.verbose,
            compat: true,
            ..RoutesPlan::default()
        };
        let code = code(tables::routes::run(&plan, out, err), err);
        if code != 0 {
            return code;
        }
    }
    0
}

/// What net-tools says of a family whose routes the kernel does not have, on standard output and on standard error, and
/// its exit code. The kernels that had such routes are gone, so nothing is said of their files' contents.
fn no_routes(family: Family) -> (&'static str, String, u8) {
    let absent = "No such file or directory";
    match family {
        Family::Ax25 => {
            ("AX.25 not configured in this system.\n", format!("/proc/net/ax25_route: {absent}\n"), FAILED)
        }
        Family::Ipx => (
            "IPX routing not in file /proc/net/ipx/route or /proc/net/ipx_route found.\n",
            format!("{absent}\n"),
            FAILED,
        ),
        Family::Ddp => (
            "",
            format!(
                "Error opening /proc/net/atalk_route: {absent}\nDDP (AppleTalk) not configured on this system.\n"
            ),
            FAILED,
        ),
        Family::Netrom => (
            "NET/ROM not configured in this system.\n",
            format!("/proc/net/nr_nodes: {absent}\n/proc/net/nr_neigh: Invalid argument\n"),
            FAILED,
        ),
        Family::X25 => ("X.25 not configured in this system.\n", String::new(), FAILED),
        Family::Rose => {
            ("", format!("/proc/net/rose_nodes: {absent}\nROSE not configured in this system.\n"), FAILED)
        }
        Family::Bluetooth => ("", "Address family `bluetooth' not supported.\n".to_owned(), NO_ROUTES),
        other => ("", format!("No routing for address family `{}'.\n", other.name()), NO_ROUTES),
    }
}

fn counters(plan: &CompatPlan) -> StatisticsPlan {
    let tables = plan.tables;
    let protocols = Protocols {
        ip: tables.raw,
        tcp: tables.tcp,
        udp: tables.udp,
        udplite: tables.udplite,
        sctp: tables.sctp,
    };
    let names: Vec<&str> = plan.families.iter().map(|family| family.name()).collect();
    StatisticsPlan {
        // Selecting a family alone, or nothing, selects every protocol.
        protocols: if plan.whole_family { Protocols::default() } else { protocols },
        compat: Some(CompatFamilies(names.join(","))),
        ..StatisticsPlan::default()
    }
}
