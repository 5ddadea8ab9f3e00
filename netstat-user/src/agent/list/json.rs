//! A listing as JSON lines.

use super::closed::Closed;
use super::half_open::HalfOpen;
use super::place::{Aside, Place, Wanted};
use super::{Lister, WRITING};
use crate::agent::unowned::Unowned;
use crate::args::plan::{Naming, Which};
use crate::model::{Clock, Mono, Protocol};
use crate::names::Names;
use crate::render::json::Json;
use crate::render::text::Pieces;
use crate::source::diag::detail;
use anyhow::Context;

impl Lister<'_> {
    pub(super) fn json(&mut self, out: &mut Pieces<'_>) -> anyhow::Result<()> {
        let plan = self.plan;
        let round = self.round();
        let mut places = self.places(&round)?;
        // Whoever filters by container wants the holders to be looked for, not to be shown.
        let found = self.holders();
        let holders = plan.programs.then_some(&found);
        let several = places.len() > 1;
        let mut json = self.objects();
        for place in &mut places {
            let half_open = self.half_open(place);
            for &(protocol, family) in &plan.tables {
                let at = Mono::now();
                let mut written = Ok(());
                let wanted = Wanted { protocol, family, which: plan.which, totals: true };
                let (lodger, details) = (&self.lodger, plan.details.any());
                let result = place.inet_in_detail(wanted, &mut |row, Aside { payload, .. }| {
                    if written.is_ok()
                        && let Some(lodging) = lodger.admit(row.cgroup, row.inode.into(), &found)
                    {
                        json.set_lodging(lodging);
                        let detail = details.then(|| detail::detail(payload));
                        json.socket_in_detail(
                            &mut out.buf,
                            at,
                            &half_open.with(row),
                            detail.as_ref(),
                            holders.as_ref().and_then(|holders| holders.known(row.inode.into())),
                        );
                        let why = holders.and_then(|holders| {
                            holders.unowned(row.inode.into(), |denied| Unowned::of_row(row, denied))
                        });
                        json.unowned(&mut out.buf, why.map(Unowned::word));
                        written = out.piece();
                    }
                });
                written.context(WRITING)?;
                self.judge(result);
                for ended in round.of(place.inum(), wanted) {
                    let Closed { at: closed, conn, .. } = ended;
                    let Some(lodging) = self.lodger.admit_of(ended.row.cgroup, || ended.process()) else {
                        continue;
                    };
                    json.set_lodging(lodging);
                    json.closed(&mut out.buf, at, *closed, conn);
                    out.piece().context(WRITING)?;
                }
            }
            if plan.unix {
                let (at, inum) = (Mono::now(), place.inum());
                let mut written = Ok(());
                let lodger = &self.lodger;
                let result = place.unix(plan.which, &mut |row| {
                    if written.is_ok()
                        && let Some(lodging) = lodger.admit(None, row.inode, &found)
                    {
                        json.set_lodging(lodging);
                        json.unix(
                            &mut out.buf,
                            at,
                            inum,
                            row,
                            holders.as_ref().and_then(|holders| holders.known(row.inode)),
                        );
                        let why = holders.and_then(|holders| {
                            holders.unowned(row.inode, |denied| Unowned::of_inode(row.inode, denied))
                        });
                        json.unowned(&mut out.buf, why.map(Unowned::word));
                        written = out.piece();
                    }
                });
                written.context(WRITING)?;
                self.judge(result);
            }
            self.finish(place, several);
        }
        self.sctp_in_json(out, &places, &found, &mut json)?;
        self.others_in_json(out, &places, &mut json)?;
        Ok(())
    }

    /// Half-open connections of the listeners that are told of.
    pub(super) fn half_open(&self, place: &mut Place) -> HalfOpen {
        let plan = self.plan;
        let listens = plan.tables.iter().any(|(protocol, _)| *protocol == Protocol::Tcp)
            && plan.which != Which::Connected;
        listens.then(|| place.half_open()).flatten().unwrap_or_default()
    }

    /// What writes them.
    pub(super) fn objects(&self) -> Json {
        let users = Naming { users: self.plan.naming.users, ..Naming::default() };
        Json::new(false, Clock::now()).with_users(Names::of_host(users))
    }
}
