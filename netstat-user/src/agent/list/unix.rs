//! Unix sockets of a listing, as text.

use super::holders::Holders;
use super::place::Place;
use super::{Lister, WRITING, extra};
use crate::agent::unowned::Unowned;
use crate::args::plan::ListPlan;
use crate::model::{Lodging, UnixRow};
use crate::render::nettools::{Columns, Extra, Layout};
use crate::render::text::Pieces;
use anyhow::Context;

impl Lister<'_> {
    pub(super) fn unix(
        &mut self,
        out: &mut Pieces<'_>,
        places: &[Place],
        holders: &Holders,
    ) -> anyhow::Result<()> {
        let plan = self.plan;
        let mut layout = Layout::new(Columns::of(plan));
        for place in places {
            layout.measure_netns(&place.label);
            if plan.programs || plan.inside.is_wanted() {
                let mut measure = |row: &UnixRow| {
                    if let Some(lodging) = self.lodger.admit(None, row.inode, holders) {
                        let extra = of_unix(plan, holders, row, &[], &lodging);
                        layout.measure_program(extra);
                        layout.measure_lodging(extra);
                    }
                };
                // What fails is told when the rows are printed.
                let _ = place.unix(plan.which, &mut measure);
            }
        }
        if !plan.no_header {
            layout.unix_head(&mut out.buf, plan.which);
        }
        for place in places {
            let mut written = Ok(());
            let result = place.unix(plan.which, &mut |row| {
                if written.is_ok()
                    && let Some(lodging) = self.lodger.admit(None, row.inode, holders)
                {
                    layout.unix(&mut out.buf, row, of_unix(plan, holders, row, &place.label, &lodging));
                    written = out.piece();
                }
            });
            written.context(WRITING)?;
            self.judge(result);
        }
        Ok(())
    }
}

/// What is shown beside a row; with `-v` why nobody is named.
fn of_unix<'a>(
    plan: &ListPlan,
    holders: &'a Holders,
    row: &UnixRow,
    netns: &'a [u8],
    lodging: &'a Lodging,
) -> Extra<'a> {
    let mut extra = extra(holders, row.inode, netns, lodging);
    if plan.verbose && extra.program.is_none() {
        let why = holders.unowned(row.inode, |denied| Unowned::of_inode(row.inode, denied));
        extra.program = why.map(Unowned::text);
    }
    extra
}
