//! A listing of columns that were asked for, or in an order that was: one table of all sockets. It is held in memory.

use super::closed::Round;
use super::holders::Holders;
use super::place::{Place, Wanted};
use super::{Lister, WRITING, extra};
use crate::model::{Clock, Detail, Mono, SockRow, UnixRow};
use crate::render::cells::{self, Item, Key, Socket};
use crate::render::grid::{Grid, Row};
use crate::render::json::Json;
use crate::render::text::Pieces;
use crate::source::diag::detail;
use crate::view::Column;
use anyhow::Context;
use rustc_hash::FxHashSet;
use std::cmp::Ordering;

enum Held {
    Inet(SockRow, Box<[u8]>),
    Unix(UnixRow),
    /// Which of the connections of its place and table that ended.
    Closed(SockRow, Option<Vec<u8>>),
}

impl Held {
    fn socket(&self) -> Socket<'_> {
        match self {
            Self::Inet(row, _) | Self::Closed(row, _) => Socket::Inet(row),
            Self::Unix(row) => Socket::Unix(row),
        }
    }

    fn inode(&self) -> u64 {
        match self.socket() {
            Socket::Inet(row) => row.inode.into(),
            Socket::Unix(row) => row.inode,
        }
    }
}

impl Lister<'_> {
    pub(super) fn chosen(&mut self, out: &mut Pieces<'_>) -> anyhow::Result<()> {
        let plan = self.plan;
        let round = self.round();
        let mut places = self.places(&round)?;
        let columns = if plan.columns.is_empty() { self.usual() } else { plan.columns.clone() };
        let shown = columns.iter().copied().chain(plan.sort.map(|sort| sort.column));
        let holders = if plan.programs || shown.into_iter().any(|column| column == Column::Program) {
            self.find_holders()
        } else {
            Holders::default()
        };
        self.find_cgroups();
        let held = self.collect(&mut places, &round);
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
        ] {
            if wanted {
                columns.extend_from_slice(more);
            }
        }
        columns
    }

    /// Every socket, with the number of its place.
    fn collect(&mut self, places: &mut [Place], round: &Round) -> Vec<(usize, Held)> {
        let plan = self.plan;
        let mut held = Vec::new();
        for (at, place) in places.iter_mut().enumerate() {
            for &(protocol, family) in &plan.tables {
                let wanted = Wanted { protocol, family, which: plan.which, totals: true };
                let result = place.inet_in_detail(wanted, &mut |row, payload| {
                    held.push((at, Held::Inet(*row, payload.into())));
                });
                self.judge(result);
                for closed in round.of(place.inum(), wanted) {
                    let program = closed.extra(b"").program.map(<[u8]>::to_vec);
                    held.push((at, Held::Closed(closed.row, program)));
                }
            }
            if plan.unix {
                let result = place.unix(plan.which, &mut |row| held.push((at, Held::Unix(row.clone()))));
                self.judge(result);
            }
            self.finish(place, true);
        }
        if plan.naming.hosts && !plan.json {
            let hosts: FxHashSet<_> = held.iter().flat_map(|(_, held)| held.socket().addresses()).collect();
            self.resolve(hosts);
        }
        held
    }

    fn order(&mut self, held: &[(usize, Held)], places: &[Place], holders: &Holders) -> Vec<usize> {
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
        (at, held): &(usize, Held),
        places: &[Place],
        holders: &Holders,
        work: impl FnOnce(&Item<'_>, &mut crate::names::Names),
    ) {
        let label = places.get(*at).map(|place| &*place.label).unwrap_or_default();
        let mut extra = extra(holders, held.inode(), label);
        let detail = match held {
            Held::Inet(_, payload) => detail::detail(payload),
            Held::Closed(_, program) => {
                extra.program = program.as_deref();
                Detail::default()
            }
            Held::Unix(_) => Detail::default(),
        };
        let cgroup = detail.cgroup.and_then(|id| self.cgroups.get(&id)).map(Vec::as_slice);
        work(&Item { socket: held.socket(), detail: &detail, extra, cgroup }, &mut self.names);
    }

    fn columns_in_json(
        &mut self,
        out: &mut Pieces<'_>,
        held: &[(usize, Held)],
        order: &[usize],
        places: &[Place],
        holders: &Holders,
    ) -> anyhow::Result<()> {
        let plan = self.plan;
        let mut json = Json::new(false, Clock::now());
        json.only(&plan.columns);
        let programs = plan.programs || plan.columns.contains(&Column::Program);
        let details = plan.details.any() || plan.columns.iter().any(|column| column.needs_detail());
        let at = Mono::now();
        for &index in order {
            let (place, one) = &held[index];
            let known = programs.then(|| holders.known(one.inode())).flatten();
            match one {
                Held::Inet(row, payload) => {
                    let detail = details.then(|| detail::detail(payload));
                    json.socket_in_detail(&mut out.buf, at, row, detail.as_ref(), known);
                }
                Held::Closed(row, _) => json.socket(&mut out.buf, at, row, known),
                Held::Unix(row) => {
                    let inum = places.get(*place).map_or(0, Place::inum);
                    json.unix(&mut out.buf, at, inum, row, known);
                }
            }
            out.piece().context(WRITING)?;
        }
        Ok(())
    }
}
