//! Sockets that are recorded in a file, or shown and then destroyed.

use super::holders::Holders;
use super::place::{Aside, Place, Wanted};
use super::{Lister, WRITING, extra, extras};
use crate::args::plan::Kill;
use crate::model::{Protocol, SockRow};
use crate::render::nettools::{Columns, Layout};
use crate::render::text::Pieces;
use crate::source::chain;
use crate::source::diag::{Destroyed, DiagError, recorded};
use anyhow::Context;
use rustc_hash::FxHashSet;
use std::fs::File;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;

impl Lister<'_> {
    /// Writes the TCP sockets to the file of the plan, in the form of `ss -D`.
    pub(super) fn dump(&mut self, out: &mut Pieces<'_>) -> anyhow::Result<()> {
        let Some(path) = self.plan.dump.as_deref() else { return Ok(()) };
        if path == Path::new("-") {
            self.record(&mut out.buf)?;
            return out.piece().context(WRITING);
        }
        let failed = || format!("cannot write the recorded sockets to {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(failed)?);
        self.record(&mut file).and_then(|()| Ok(file.flush()?)).with_context(failed)
    }

    fn record(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let round = self.round();
        let holders = self.holders();
        let mut written = Ok(());
        for place in &mut self.places(&round)? {
            for &(protocol, family) in &self.plan.tables {
                if protocol != Protocol::Tcp {
                    continue;
                }
                let wanted = Wanted { protocol, family, which: self.plan.which, totals: true };
                let lodger = &self.lodger;
                let result = place.inet_in_detail(wanted, &mut |row, Aside { payload, .. }| {
                    // What /proc tells is no message.
                    if written.is_ok()
                        && !payload.is_empty()
                        && lodger.admit(row.cgroup, row.inode.into(), &holders).is_some()
                    {
                        written = recorded::write(out, payload);
                    }
                });
                self.judge(result);
            }
            self.finish(place, true);
        }
        written?;
        Ok(recorded::finish(out)?)
    }

    /// Shows the inet sockets of the plan, asks, and destroys exactly those that were shown.
    pub(super) fn kill(&mut self, out: &mut Pieces<'_>) -> anyhow::Result<()> {
        let Some(Kill { ask }) = self.plan.kill else { return Ok(()) };
        anyhow::ensure!(
            self.choice.recorded.is_none(),
            "recorded sockets (TCPDIAG_FILE) cannot be destroyed"
        );
        let round = self.round();
        let mut places = self.places(&round)?;
        let holders = self.holders();
        let rows = self.doomed(&mut places, &holders);
        self.show(out, &rows, &places, &holders)?;
        out.flush().context(WRITING)?;
        if rows.is_empty() {
            self.say("enetstat: no socket to destroy\n");
            return Ok(());
        }
        if ask && !self.agreed(rows.len()) {
            self.say("enetstat: nothing was destroyed\n");
            self.complete = false;
            return Ok(());
        }
        self.destroy(&mut places, &rows)
    }

    /// The rows that can be destroyed: those that sock_diag names by a cookie.
    fn doomed(&mut self, places: &mut [Place], holders: &Holders) -> Vec<(usize, SockRow, Box<[u8]>)> {
        let plan = self.plan;
        let mut rows = Vec::new();
        for (at, place) in places.iter_mut().enumerate() {
            for &(protocol, family) in &plan.tables {
                let wanted = Wanted { protocol, family, which: plan.which, totals: plan.timers };
                let lodger = &self.lodger;
                let result = place.inet_in_detail(wanted, &mut |row, Aside { payload, .. }| {
                    if row.cookie.is_some() && lodger.admit(row.cgroup, row.inode.into(), holders).is_some() {
                        rows.push((at, *row, payload.into()));
                    }
                });
                self.judge(result);
            }
            self.finish(place, false);
        }
        rows
    }

    fn show(
        &mut self,
        out: &mut Pieces<'_>,
        rows: &[(usize, SockRow, Box<[u8]>)],
        places: &[Place],
        holders: &Holders,
    ) -> anyhow::Result<()> {
        let plan = self.plan;
        let mut layout = Layout::new(Columns::of(plan));
        places.iter().for_each(|place| layout.measure_netns(&place.label));
        if plan.naming.hosts {
            let hosts: FxHashSet<_> =
                rows.iter().flat_map(|(_, row, _)| [row.local.addr, row.foreign.addr]).collect();
            self.resolve(hosts);
        }
        let label = |at: usize| places.get(at).map(|place| &*place.label).unwrap_or_default();
        for (at, row, _) in rows {
            let lodging = self.lodger.admit(row.cgroup, row.inode.into(), holders).unwrap_or_default();
            let extra = extra(holders, row.inode.into(), label(*at), &lodging);
            layout.measure(row, extra, &mut self.names);
        }
        if !plan.no_header {
            layout.inet_head(&mut out.buf, plan.which);
        }
        for (at, row, payload) in rows {
            let lodging = self.lodger.admit(row.cgroup, row.inode.into(), holders).unwrap_or_default();
            let extra = extra(holders, row.inode.into(), label(*at), &lodging);
            layout.inet(&mut out.buf, row, extra, &mut self.names);
            extras::details(&mut out.buf, plan.details, row, payload);
            out.piece().context(WRITING)?;
        }
        Ok(())
    }

    fn agreed(&mut self, count: usize) -> bool {
        let what = if count == 1 { "this socket".to_owned() } else { format!("these {count} sockets") };
        self.say(&format!("enetstat: destroy {what}? [y/N] "));
        let mut answer = String::new();
        // No answer is no agreement.
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    fn destroy(&mut self, places: &mut [Place], rows: &[(usize, SockRow, Box<[u8]>)]) -> anyhow::Result<()> {
        let (mut destroyed, mut gone, mut failed) = (0u64, 0u64, 0u64);
        for (at, row, _) in rows {
            match places.get_mut(*at).map(|place| place.destroy(row)) {
                Some(Ok(Destroyed::Now)) => destroyed += 1,
                Some(Ok(Destroyed::Gone)) | None => gone += 1,
                Some(Err(error)) => {
                    failed += 1;
                    self.complete = false;
                    self.note(format!("enetstat: {}\n", chain(&error)));
                    if !matches!(error, DiagError::NotDestroyed { .. }) {
                        break;
                    }
                }
            }
        }
        self.say(&format!("enetstat: {destroyed} destroyed, {gone} had gone, {failed} could not be\n"));
        Ok(())
    }

    fn say(&mut self, text: &str) {
        // A closed standard error changes nothing.
        let _: io::Result<()> = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }
}
