//! Displays of other network namespaces than the own one.

use super::bsd::NoInterface;
use super::{bsd, list, statistics, tables};
use crate::args::Plan;
use crate::args::bsd::Display;
use crate::args::plan::Scope;
use crate::exit::Outcome;
use crate::render::spaces::{self, Shape};
use crate::render::statistics::namespace;
use crate::source::{All, Depth, Netns, chain};
use anyhow::Context;
use std::io::{self, Write};
use std::time::Duration;

/// Shows what `plan` says of the namespaces in `scope`, once or for ever. Names of hosts are looked up inside the
/// namespace, as `ip netns exec` does.
///
/// # Errors
/// Those of the display; when the namespace that is named cannot be found or entered; when there is none at all. With all
/// namespaces, one that refuses is told on `err` and in the outcome.
pub fn run(
    scope: &Scope,
    plan: Plan,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    match scope {
        Scope::Own => {}
        Scope::One(word) => Netns::from_word(word)?.enter()?,
        Scope::All => return everywhere(plan, out, err),
    }
    show(&plan, out, err)
}

fn show(plan: &Plan, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> anyhow::Result<Outcome> {
    match plan {
        Plan::List(plan) => list::run(plan, out, err),
        Plan::Statistics(plan) => statistics::run(plan, out, err),
        Plan::Routes(plan) => tables::routes::run(plan, out, err),
        Plan::Interfaces(plan) => tables::interfaces::run(plan, out, err),
        Plan::Groups(plan) => tables::groups::run(plan, out, err),
        Plan::Masquerade(plan) => tables::masquerade::run(plan, out, err),
        Plan::Bsd(plan) => bsd::run(plan, out, err),
        Plan::Elsewhere(..)
        | Plan::Trace(_)
        | Plan::Capabilities(_)
        | Plan::Schema
        | Plan::Man(_)
        | Plan::Completions(_)
        | Plan::Compat(_) => anyhow::bail!("this is no display of a network namespace"),
    }
}

/// A round of every namespace, with a column that says which.
fn everywhere(mut plan: Plan, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    if let Plan::Bsd(plan) = &plan
        && let Display::Interval(wanted) = &plan.display
    {
        return bsd::intervals(plan, wanted, out, err);
    }
    let (interval, json) = taken(&mut plan);
    let form = form(&plan, json);
    let mut complete = true;
    let mut noted = Vec::new();
    let mut note = |note: Vec<u8>| {
        if !note.is_empty() && !noted.contains(&note) {
            // A closed standard error is no reason to stop.
            let _: io::Result<()> = err.write_all(&note);
            noted.push(note);
        }
    };
    loop {
        let all = All::find(Depth::Sockets);
        let remarks = all.remarks();
        complete &= remarks.is_empty();
        remarks.into_iter().for_each(|remark| note(format!("enetstat: {remark}\n").into_bytes()));
        anyhow::ensure!(!all.found.is_empty(), "no network namespace can be examined");
        let labels: Vec<Vec<u8>> = all.found.iter().map(Netns::label).collect();
        let width = spaces::width(labels.iter().map(Vec::as_slice));
        let mut page = Vec::new();
        // Namespaces without the interface that was asked for are none that are shown.
        let (mut shown_any, mut absent) = (false, None);
        for (netns, label) in all.found.iter().zip(&labels) {
            let (mut text, mut said) = (Vec::new(), Vec::new());
            let shown = netns.run(|| show(&plan, &mut text, &mut said));
            let shown = shown.map_err(|error| anyhow::anyhow!(chain(&error)));
            match shown.and_then(|shown| shown) {
                Ok(outcome) => {
                    shown_any = true;
                    complete &= outcome.complete;
                }
                Err(error) if error.is::<NoInterface>() => {
                    absent = Some(error);
                    continue;
                }
                Err(error) => {
                    shown_any = true;
                    complete = false;
                    let label = String::from_utf8_lossy(label);
                    said.extend_from_slice(
                        format!("enetstat: network namespace {}: {error:#}\n", label.escape_debug())
                            .as_bytes(),
                    );
                }
            }
            note(said);
            page.clear();
            match form {
                Form::Json => page.append(&mut text),
                Form::Column(shape) => spaces::column(&mut page, &text, label, width, shape),
                Form::Paragraph => {
                    namespace(&mut page, label);
                    page.append(&mut text);
                }
            }
            out.write_all(&page).context("cannot write to standard output")?;
        }
        if let Some(error) = absent.filter(|_| !shown_any) {
            return Err(error);
        }
        out.flush().context("cannot write to standard output")?;
        match interval {
            Some(interval) => std::thread::sleep(interval),
            None => return Ok(Outcome { complete }),
        }
    }
}

/// How a display says which namespace its lines are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A field of each object.
    Json,
    Column(Shape),
    /// A title before all of it: its lines are sentences.
    Paragraph,
}

fn form(plan: &Plan, json: bool) -> Form {
    match plan {
        _ if json => Form::Json,
        Plan::Bsd(plan) => match plan.display {
            Display::RouteStatistics { .. }
            | Display::InterfaceStatistics { .. }
            | Display::Statistics { .. }
            | Display::MulticastStatistics { .. }
            | Display::Buffers => Form::Paragraph,
            Display::Interfaces { .. } | Display::Captures { .. } => Form::Column(Shape::Headed),
            Display::Sockets(_)
            | Display::ListenQueues { .. }
            | Display::Routes { .. }
            | Display::Interval(_)
            | Display::Multicast { .. }
            | Display::Softnet
            | Display::Nexthops { .. } => Form::Column(Shape::Titled),
        },
        Plan::Interfaces(plan) if plan.long => Form::Column(Shape::Blocks),
        _ => Form::Column(Shape::Titled),
    }
}

/// How often the plan is to be repeated, which is seen to here, and whether it is JSON.
fn taken(plan: &mut Plan) -> (Option<Duration>, bool) {
    match plan {
        Plan::List(plan) => (plan.interval.take(), plan.json),
        Plan::Statistics(plan) => (plan.interval.take(), plan.json),
        Plan::Routes(plan) => (plan.interval.take(), plan.json),
        Plan::Interfaces(plan) => (plan.interval.take(), plan.json),
        Plan::Groups(plan) => (plan.interval.take(), plan.json),
        Plan::Masquerade(plan) => (plan.interval.take(), plan.json),
        Plan::Bsd(plan) => (None, plan.json),
        Plan::Elsewhere(..)
        | Plan::Trace(_)
        | Plan::Capabilities(_)
        | Plan::Schema
        | Plan::Man(_)
        | Plan::Completions(_)
        | Plan::Compat(_) => (None, false),
    }
}
