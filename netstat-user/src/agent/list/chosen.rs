//! A listing of columns that were asked for, or in an order that was: one table of all sockets. It is held in memory.

use super::closed::{Closed, Round};
use super::half_open::HalfOpen;
use super::holders::Holders;
use super::place::{Aside, Place, Wanted};
use super::{Lister, WRITING, extra};
use crate::agent::unowned::Unowned;
use crate::model::{Lodging, Mono, SctpRow, SockDetail, SockRow, UnixRow};
use crate::render::cells::{self, Item, Key, Socket};
use crate::render::grid::{Grid, Row};
use crate::render::text::Pieces;
use crate::source::diag::detail;
use crate::view::Column;
use anyhow::Context;
use rustc_hash::FxHashSet;
use std::cmp::Ordering;
use std::rc::Rc;

enum Held<'r> {
    Inet(SockRow, Box<[u8]>),
    Unix(UnixRow),
    Sctp(SctpRow),
    Closed(&'r Closed),
}

/// A socket, the number of its place, and where it lives.
struct Found<'r> {
    place: usize,
    lodging: Rc<Lodging>,
    held: Held<'r>,
}

impl Held<'_> {
    fn socket(&self) -> Socket<'_> {
        match self {
            Self::Inet(row, _) => Socket::Inet(row),
            Self::Closed(closed) => Socket::Inet(&closed.row),
            Self::Unix(row) => Socket::Unix(row),
            Self::Sctp(row) => Socket::Sctp(row),
        }
    }

    fn inode(&self) -> u64 {
        match self.socket() {
            Socket::Inet(row) => row.inode.into(),
            Socket::Unix(row) => row.inode,
            Socket::Sctp(row) => row.inode,
        }
    }
}

impl Lister<'_> {
    pub(super) fn chosen(&mut self, out: &mut Pieces<'_>) -> anyhow::Result<()> {
        let plan = self.plan;
        let round = self.round();
        let mut places = self.places(&round)?;
        let columns = if plan.columns.is_empty() { self.usual() } else { plan.columns.clone() };
        let holders = self.holders();
        let held = self.collect(&mut places, &round, &holders);
        let order = self.order(&held, &places, &holders);
        if plan.json {
            return self.columns_in_json(out, &held, &order, &places, &holders);
        }
        let specs = columns.iter().map(|column| cells::column(*column)).collect();
        let mut grid = Grid::new(specs);
        let mut rows = Vec::with_capacity(held.len());
        for &at in &order {
            let mut row = Row::default();
            self.with_item(&held[at], &places, &holders, |item, names| {
                columns.iter().for_each(|column| row.cell(|out| cells::cell(out, *column, item, names)));
            });
            grid.measure(&row);
            rows.push(row);
        }
        if !plan.no_header {
            grid.head(&mut out.buf);
        }
        for row in &rows {
            grid.row(&mut out.buf, row);
            out.piece().context(WRITING)?;
        }
        Ok(())
    }

    /// net-tools' columns, with those that flags ask for.
    fn usual(&self) -> Vec<Column> {
        let plan = self.plan;
        let mut columns = if plan.all_netns { vec![Column::Netns] } else { Vec::new() };
        if plan.inside.containers {
            columns.extend([Column::Pod, Column::Container]);
        }
        columns.extend([
            Column::Proto,
            Column::RecvQ,
            Column::SendQ,
            Column::Local,
            Column::Foreign,
            Column::State,
        ]);
        for (wanted, more) in [
            (plan.extend, &[Column::User, Column::Inode][..]),
            (plan.programs, &[Column::Program]),
            (plan.timers, &[Column::Timer]),
            (plan.inside.cgroups, &[Column::Cgroup]),
        ] {
            if wanted {
                columns.extend_from_slice(more);
            }
        }
        columns
    }

    /// Every socket.
    fn collect<'r>(&mut self, places: &mut [Place], round: &'r Round, holders: &Holders) -> Vec<Found<'r>> {
        let plan = self.plan;
        let mut found = Vec::new();
        for (at, place) in places.iter_mut().enumerate() {
            // Only JSON tells of them.
            let half_open = if plan.json { self.half_open(place) } else { HalfOpen::default() };
            for &(protocol, family) in &plan.tables {
                let wanted = Wanted { protocol, family, which: plan.which, totals: true };
                let lodger = &self.lodger;
                let result = place.inet_in_detail(wanted, &mut |row, Aside { payload, .. }| {
                    if let Some(lodging) = lodger.admit(row.cgroup, row.inode.into(), holders) {
                        found.push(Found {
                            place: at,
                            lodging,
                            held: Held::Inet(half_open.with(row), payload.into()),
                        });
                    }
                });
                self.judge(result);
                for closed in round.of(place.inum(), wanted) {
                    if let Some(lodging) = self.lodger.admit_of(closed.row.cgroup, || closed.process()) {
                        found.push(Found { place: at, lodging, held: Held::Closed(closed) });
                    }
                }
            }
            if plan.unix {
                let lodger = &self.lodger;
                let result = place.unix(plan.which, &mut |row| {
                    if let Some(lodging) = lodger.admit(None, row.inode, holders) {
                        found.push(Found { place: at, lodging, held: Held::Unix(row.clone()) });
                    }
                });
                self.judge(result);
            }
            self.finish(place, true);
        }
        let listed = self.list_sctp(places);
        self.has_sctp = listed.found;
        for (place, row) in listed.rows {
            if let Some(lodging) = self.lodger.admit(None, row.inode, holders) {
                found.push(Found { place, lodging, held: Held::Sctp(row) });
            }
        }
        self.not_in_one_table();
        if plan.naming.hosts && !plan.json {
            let hosts: FxHashSet<_> =
                found.iter().flat_map(|found| found.held.socket().addresses()).collect();
            self.resolve(hosts);
        }
        found
    }

    fn order(&mut self, held: &[Found<'_>], places: &[Place], holders: &Holders) -> Vec<usize> {
        let mut order: Vec<usize> = (0..held.len()).collect();
        let Some(sort) = self.plan.sort else { return order };
        let mut keys: Vec<Key> = Vec::with_capacity(held.len());
        for one in held {
            self.with_item(one, places, holders, |item, names| {
                keys.push(cells::key(sort.column, item, names))
            });
        }
        // What is equal stays in the kernel's order.
        order.sort_by(|&one, &other| {
            let (one, other) = (&keys[one], &keys[other]);
            match (one, other) {
                // What is not known comes last in any case.
                (Key::Unknown, Key::Unknown) => Ordering::Equal,
                (Key::Unknown, _) => Ordering::Greater,
                (_, Key::Unknown) => Ordering::Less,
                _ if sort.down => other.cmp(one),
                _ => one.cmp(other),
            }
        });
        order
    }

    fn with_item(
        &mut self,
        found: &Found<'_>,
        places: &[Place],
        holders: &Holders,
        work: impl FnOnce(&Item<'_>, &mut crate::names::Names),
    ) {
        let Found { place, lodging, held } = found;
        let label = places.get(*place).map(|place| &*place.label).unwrap_or_default();
        let mut extra = extra(holders, held.inode(), label, lodging);
        let mut detail = SockDetail::default();
        match held {
            Held::Inet(_, payload) => detail = detail::detail(payload),
            Held::Closed(closed) => extra.program = closed.extra(b"").program,
            Held::Unix(_) | Held::Sctp(_) => {}
        }
        work(&Item { socket: held.socket(), detail: &detail, extra }, &mut self.names);
    }

    fn columns_in_json(
        &mut self,
        out: &mut Pieces<'_>,
        held: &[Found<'_>],
        order: &[usize],
        places: &[Place],
        holders: &Holders,
    ) -> anyhow::Result<()> {
        let plan = self.plan;
        let mut json = self.objects();
        json.only(&plan.columns);
        let programs = plan.programs || plan.columns.contains(&Column::Program);
        let details = plan.details.any() || plan.columns.iter().any(|column| column.needs_detail());
        let at = Mono::now();
        for &index in order {
            let Found { place, lodging, held } = &held[index];
            json.set_lodging(lodging.clone());
            let known = programs.then(|| holders.known(held.inode())).flatten();
            match held {
                Held::Inet(row, payload) => {
                    let detail = details.then(|| detail::detail(payload));
                    json.socket_in_detail(&mut out.buf, at, row, detail.as_ref(), known);
                    let why = holders.unowned(row.inode.into(), |denied| Unowned::of_row(row, denied));
                    json.unowned(&mut out.buf, why.filter(|_| programs).map(Unowned::word));
                }
                Held::Closed(Closed { at: closed, conn, .. }) => {
                    json.closed(&mut out.buf, at, *closed, conn);
                }
                Held::Unix(row) => {
                    let inum = places.get(*place).map_or(0, Place::inum);
                    json.unix(&mut out.buf, at, inum, row, known);
                    let why = holders.unowned(row.inode, |denied| Unowned::of_inode(row.inode, denied));
                    json.unowned(&mut out.buf, why.filter(|_| programs).map(Unowned::word));
                }
                Held::Sctp(row) => {
                    let inum = places.get(*place).map_or(0, Place::inum);
                    json.sctp(&mut out.buf, at, inum, row, known);
                }
            }
            out.piece().context(WRITING)?;
        }
        Ok(())
    }
}
