//! One listing, or one after another: sources -> rows -> renderer.

mod choice;
mod chosen;
mod closed;
mod extras;
mod fast;
mod half_open;
mod holders;
mod json;
mod kill;
mod lean;
mod lodger;
mod others;
mod peers;
mod place;
mod sctp;
mod unix;

use crate::agent::lookup;
use crate::agent::unowned::Unowned;
use crate::args::plan::{ListPlan, ListTier};
use crate::exit::Outcome;
use crate::kernel::selinux;
use crate::model::{Family, Lodging, Protocol, SockRow};
use crate::names::{self, Names};
use crate::render::nettools::{Columns, Extra, Layout};
use crate::render::text::Pieces;
use crate::source::procfs::Pass;
use crate::source::{All, Depth, Netns, chain};
use crate::view::Column;
use anyhow::Context;
use choice::Choice;
use closed::{Round, Watched};
use fast::Fast;
use holders::Holders;
use lean::Lean;
use lodger::Lodger;
pub(super) use place::is_shown;
use place::{Aside, Place, Wanted};
use rustc_hash::FxHashSet;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows held while the widths of columns are measured; tables with more are listed a second time, so that memory stays
/// small whatever their size.
const HELD: usize = 4096;

/// The same while host names are looked up: names can only be measured once they are known.
const HELD_FOR_NAMES: usize = 100_000;

/// Lists, once or for ever, to `out`; remarks go to `err`.
///
/// # Errors
/// When `out` cannot be written, when no socket can be listed at all, or when closed connections are wanted and the
/// kernel half cannot be had. A source that refuses beside others that do not is
/// told on `err` and in the outcome.
pub fn run(plan: &ListPlan, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let naming = if plan.json { Default::default() } else { plan.naming };
    anyhow::ensure!(
        !plan.context || selinux::is_enabled(Path::new("/")),
        "SELinux is not enabled on this machine: no process has a context (-Z)"
    );
    let mut plan = plan.clone();
    plan.selection = lookup::resolved(plan.selection, plan.all_netns)?;
    let plan = &plan;
    let recorded = std::env::var_os("TCPDIAG_FILE").filter(|name| !name.is_empty()).map(PathBuf::from);
    let choice = Arc::new(Choice::of(plan, recorded));
    let watched = Watched::start(plan)?;
    let names = Names::of_host(naming);
    let lodger = Lodger::of(plan);
    let plain = plan.dump.is_none() && plan.kill.is_none() && plan.columns.is_empty() && plan.sort.is_none();
    let plain = plain && !(plan.json || plan.context || plan.inside.is_wanted() || choice.chooses());
    let fast = if plain {
        Fast::of(plan).map_err(|refusal| {
            let cure = refusal.cure().map(|cure| format!(" ({cure})")).unwrap_or_default();
            let words = refusal.last_words().map(|words| format!("\n{words}")).unwrap_or_default();
            anyhow::anyhow!("--tier bpf: {refusal}{cure}{words}")
        })?
    } else {
        None
    };
    let mut lister = Lister {
        plan,
        plain,
        names,
        names_until: None,
        choice,
        watched,
        lodger,
        fast,
        err,
        complete: true,
        has_sctp: false,
        noted: Vec::new(),
    };
    if lister.choice.lacks_marks() {
        lister.complete = false;
        lister.note(
            "enetstat: the kernel tells marks (fwmark) only to CAP_NET_ADMIN: run as root\n".to_owned(),
        );
    }
    loop {
        lister.names_until = None;
        let mut out = Pieces::new(out);
        match () {
            () if plan.dump.is_some() => lister.dump(&mut out)?,
            () if plan.kill.is_some() => lister.kill(&mut out)?,
            () if !plan.columns.is_empty() || plan.sort.is_some() => lister.chosen(&mut out)?,
            () if plan.json => lister.json(&mut out)?,
            () => lister.text(&mut out)?,
        }
        out.flush().context(WRITING)?;
        match plan.interval {
            Some(interval) => lister.wait(interval),
            None => return Ok(Outcome { complete: lister.complete }),
        }
    }
}

const WRITING: &str = "cannot write to standard output";

struct Lister<'a> {
    plan: &'a ListPlan,
    names: Names,
    /// Until when names are waited for in this round; `None`: none was asked for yet.
    names_until: Option<Instant>,
    choice: Arc<Choice>,
    /// The kernel half, when connections that ended are shown.
    watched: Option<Watched>,
    lodger: Lodger,
    /// What is shown of a socket is in its row and the name of its program.
    plain: bool,
    /// Programs of this listing in the kernel, when they pay.
    fast: Option<Fast>,
    err: &'a mut dyn Write,
    complete: bool,
    /// The kernel shows SCTP sockets, as far as that was asked.
    has_sctp: bool,
    /// Remarks made: with `-c` each is made once.
    noted: Vec<String>,
}

/// A row with what sock_diag sent beside it, when details are shown, and the socket's key.
type Row = (SockRow, Box<[u8]>, u64);

/// A table of one place, and its rows when they were few enough to be held.
struct Table {
    place: usize,
    wanted: Wanted,
    /// `None`: not listed yet, or too many.
    held: Option<Vec<Row>>,
}

impl Lister<'_> {
    /// Until the next round.
    fn wait(&mut self, interval: Duration) {
        let Some(watched) = &mut self.watched else { return std::thread::sleep(interval) };
        for trouble in watched.wait(interval) {
            self.note(format!("enetstat: {trouble}\n"));
        }
    }

    fn text(&mut self, out: &mut Pieces<'_>) -> anyhow::Result<()> {
        let round = self.round();
        self.fast.iter().for_each(Fast::begin);
        let mut places = self.places(&round)?;
        let holders = self.holders();
        if !(self.plan.tables.is_empty() && self.plan.sctp.is_empty()) {
            self.inet(out, &mut places, &holders, &round)?;
        }
        if self.plan.unix {
            self.unix(out, &places, &holders)?;
        }
        self.others(out, &places)
    }

    fn inet(
        &mut self,
        out: &mut Pieces<'_>,
        places: &mut [Place],
        holders: &Holders,
        round: &Round,
    ) -> anyhow::Result<()> {
        let plan = self.plan;
        let mut layout = Layout::new(Columns::of(plan));
        let mut tables = self.measure(places, holders, round, &mut layout);
        let mut sctp = self.sctp(places, holders, &mut layout);
        self.has_sctp = sctp.found;
        if !plan.no_header {
            layout.inet_head(&mut out.buf, plan.which);
        }
        let several = places.len() > 1;
        for table in &mut tables {
            if table.wanted.protocol != Protocol::Tcp {
                self.print_sctp(&mut out.buf, &mut sctp, places, holders, &layout);
            }
            let mut written = Ok(());
            let (names, lodger) = (&mut self.names, &self.lodger);
            let mut print = |row: &SockRow, aside: Aside<'_>, label: &[u8]| {
                if written.is_ok()
                    && let Some(lodging) = lodger.admit(row.cgroup, row.inode.into(), holders)
                {
                    let extra = of_row(plan, holders, row, aside.key, label, &lodging);
                    layout.inet(&mut out.buf, row, extra, names);
                    extras::details(&mut out.buf, plan.details, row, aside.payload);
                    written = out.piece();
                }
            };
            let place = &mut places[table.place];
            let result = match table.held.take() {
                Some(rows) => {
                    rows.iter().for_each(|(row, payload, key)| {
                        print(row, Aside { payload, key: *key }, &place.label)
                    });
                    Ok(Pass::default())
                }
                None => {
                    let label = place.label.clone();
                    place.inet_in_detail(table.wanted, &mut |row, aside| print(row, aside, &label))
                }
            };
            written.context(WRITING)?;
            self.judge(result);
            for closed in round.of(place.inum(), table.wanted) {
                let Some(lodging) = self.lodger.admit_of(closed.row.cgroup, || closed.process()) else {
                    continue;
                };
                let extra = Extra { lodging: Some(&lodging), ..closed.extra(&place.label) };
                layout.inet(&mut out.buf, &closed.row, extra, &mut self.names);
                out.piece().context(WRITING)?;
            }
            self.finish(place, several);
        }
        self.print_sctp(&mut out.buf, &mut sctp, places, holders, &layout);
        Ok(())
    }

    /// Makes columns as wide as their widest cell. Rows that cannot be wider than net-tools' columns are not even listed:
    /// IPv4 addresses without names always fit.
    fn measure(
        &mut self,
        places: &mut [Place],
        holders: &Holders,
        round: &Round,
        layout: &mut Layout,
    ) -> Vec<Table> {
        let plan = self.plan;
        let naming = plan.naming;
        let every = naming.hosts
            || naming.ports
            || naming.users
            || (plan.programs && plan.timers)
            || plan.inside.is_wanted();
        let mut room = if naming.hosts { HELD_FOR_NAMES } else { HELD };
        let mut hosts: FxHashSet<IpAddr> = FxHashSet::default();
        let mut tables = Vec::new();
        let several = places.len() > 1;
        for (at, place) in places.iter_mut().enumerate() {
            layout.measure_netns(&place.label);
            for &(protocol, family) in &plan.tables {
                let wanted = Wanted { protocol, family, which: plan.which, totals: plan.timers };
                let mut held = None;
                if every || family == Family::V6 {
                    let mut rows = Vec::new();
                    let mut fits = true;
                    let label = place.label.clone();
                    let (lodger, keep) = (&self.lodger, plan.details.any());
                    let result = place.measured(wanted, every, &mut |row, Aside { payload, key }| {
                        let Some(lodging) = lodger.admit(row.cgroup, row.inode.into(), holders) else {
                            return;
                        };
                        fits &= room > 0;
                        if fits {
                            room -= 1;
                            rows.push((*row, if keep { payload.into() } else { Box::default() }, key));
                        }
                        if naming.hosts {
                            hosts.extend([row.local.addr, row.foreign.addr]);
                        } else {
                            let extra = of_row(plan, holders, row, key, &label, &lodging);
                            layout.measure(row, extra, &mut self.names);
                        }
                    });
                    // What failed is tried again when it is its turn, and told then.
                    if result.as_ref().is_ok_and(|pass| pass.as_ref().is_some_and(|pass| pass.faulty == 0))
                        && fits
                    {
                        held = Some(rows);
                    } else {
                        room += rows.len();
                    }
                }
                for closed in round.of(place.inum(), wanted) {
                    if naming.hosts {
                        hosts.extend([closed.row.local.addr, closed.row.foreign.addr]);
                    } else {
                        layout.measure(&closed.row, closed.extra(&place.label), &mut self.names);
                    }
                }
                tables.push(Table { place: at, wanted, held });
            }
            self.finish(place, several);
        }
        if naming.hosts {
            self.resolve(hosts);
            for table in &tables {
                let place = &places[table.place];
                for (row, _, key) in table.held.iter().flatten() {
                    let lodging =
                        self.lodger.admit(row.cgroup, row.inode.into(), holders).unwrap_or_default();
                    let extra = of_row(plan, holders, row, *key, &place.label, &lodging);
                    layout.measure(row, extra, &mut self.names);
                }
                for closed in round.of(place.inum(), table.wanted) {
                    layout.measure(&closed.row, closed.extra(&place.label), &mut self.names);
                }
            }
        }
        tables
    }

    fn resolve(&mut self, hosts: FxHashSet<IpAddr>) {
        // All names of a round together have this time, however many tables ask.
        let until = *self.names_until.get_or_insert_with(|| Instant::now() + names::PATIENCE);
        let silent = self.names.resolve(hosts, until.saturating_duration_since(Instant::now()));
        if silent > 0 {
            let seconds = names::PATIENCE.as_secs();
            self.note(format!(
                "enetstat: no answer about {silent} addresses within {seconds} seconds: shown as numbers (-n asks for none)\n"
            ));
        }
    }

    /// What ended, for the listing that begins now.
    fn round(&mut self) -> Round {
        self.watched.as_mut().map(|watched| watched.round(self.plan)).unwrap_or_default()
    }

    /// The namespaces to list, sorted by inode, then those that are gone and had connections in this round.
    fn places(&mut self, round: &Round) -> anyhow::Result<Vec<Place>> {
        let tier = self.plan.tier;
        if !self.plan.all_netns {
            let place = Place::new(Netns::current().ok(), tier).with(&self.choice);
            return Ok(vec![place.with_fast(self.fast.clone().filter(|fast| fast.walks))]);
        }
        let all = All::find(Depth::Sockets);
        for remark in all.remarks() {
            self.complete = false;
            self.note(format!("enetstat: {remark}\n"));
        }
        anyhow::ensure!(!all.found.is_empty(), "no network namespace can be examined");
        let known: FxHashSet<u32> = all.found.iter().map(|netns| netns.inum).collect();
        let gone = round.namespaces().filter(|inum| !known.contains(inum)).map(Place::gone);
        let choice = &self.choice;
        let there = all.found.into_iter().map(|netns| Place::new(Some(netns), tier).with(choice));
        Ok(there.chain(gone).collect())
    }

    fn holders(&mut self) -> Holders {
        let plan = self.plan;
        let asks = |column: Column| {
            matches!(column, Column::Program | Column::Pod | Column::Container | Column::Cgroup)
        };
        if !(plan.programs || plan.inside.is_wanted() || plan.named().any(asks)) {
            return Holders::default();
        }
        if let Some(fast) = self.fast.as_ref().filter(|fast| fast.holds)
            && let Some(lean) = Lean::find(fast, Path::new("/proc"))
        {
            return Holders::lean(lean);
        }
        let iterate =
            plan.tier == ListTier::Bpf || plan.tier == ListTier::Best && fast::has_very_many_files();
        let found = if self.plain && !plan.verbose && !iterate {
            Holders::lean_by_proc()
        } else {
            Holders::find(plan.context, plan.json.then_some(plan.naming.users), iterate)
        };
        match found {
            Ok(holders) => {
                if let Some(note) = holders.note() {
                    self.note(note);
                }
                holders
            }
            Err(error) => {
                self.complete = false;
                self.note(format!("enetstat: owners are not known: {}\n", chain(&error)));
                Holders::default()
            }
        }
    }

    /// Tells what went wrong with a table; the others are shown all the same.
    fn judge(&mut self, result: anyhow::Result<Pass>) {
        match result {
            Ok(pass) => {
                for fault in &pass.faults {
                    self.note(format!("enetstat: {}\n", chain(fault)));
                }
                self.complete &= pass.faulty == 0;
            }
            Err(error) => {
                self.complete = false;
                self.note(format!("enetstat: {error:#}\n"));
            }
        }
    }

    fn finish(&mut self, place: &mut Place, close: bool) {
        let notes = std::mem::take(&mut place.notes);
        if self.plan.verbose {
            notes.into_iter().for_each(|note| self.note(format!("enetstat: {note}\n")));
        }
        if close {
            place.close();
        }
    }

    fn note(&mut self, note: String) {
        if !self.noted.contains(&note) {
            // A closed standard error is no reason to stop listing.
            let _: io::Result<()> = self.err.write_all(note.as_bytes());
            self.noted.push(note);
        }
    }
}

/// What its holders are found by: the walk tells no inode, but a key.
fn name(row: &SockRow, key: u64) -> u64 {
    if key != 0 { key } else { row.inode.into() }
}

fn extra<'a>(holders: &'a Holders, key: u64, netns: &'a [u8], lodging: &'a Lodging) -> Extra<'a> {
    let (program, context) = (holders.text(key), holders.context(key));
    Extra { program, context, netns, lodging: Some(lodging) }
}

/// The same of an inet socket; with `-v` it says why nobody is named.
fn of_row<'a>(
    plan: &ListPlan,
    holders: &'a Holders,
    row: &SockRow,
    key: u64,
    netns: &'a [u8],
    lodging: &'a Lodging,
) -> Extra<'a> {
    let mut extra = extra(holders, name(row, key), netns, lodging);
    if plan.verbose && extra.program.is_none() {
        let why = holders.unowned(row.inode.into(), |denied| Unowned::of_row(row, denied));
        extra.program = why.map(Unowned::text);
    }
    extra
}
