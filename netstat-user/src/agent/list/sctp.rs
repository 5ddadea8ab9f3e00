//! SCTP sockets, which only /proc lists.

use super::place::Place;
use super::{Holders, Lister, WRITING, extra};
use crate::agent::unowned::Unowned;
use crate::args::plan::Which;
use crate::model::{Family, Mono, SctpRow};
use crate::render::json::Json;
use crate::render::nettools::Layout;
use crate::render::text::Pieces;
use crate::source::procfs::sctp;
use anyhow::Context;
use rustc_hash::FxHashSet;

/// Reads a line of a table.
type Read = fn(&[u8]) -> Option<SctpRow>;

/// The rows of every place, by its number.
#[derive(Debug, Default)]
pub struct SctpRows {
    pub rows: Vec<(usize, SctpRow)>,
    /// Some kernel shows such a table.
    pub found: bool,
}

impl Lister<'_> {
    /// Lists them, and makes the columns wide enough.
    pub(super) fn sctp(&mut self, places: &[Place], holders: &Holders, layout: &mut Layout) -> SctpRows {
        let listed = self.list_sctp(places);
        if self.plan.naming.hosts {
            let rows = listed.rows.iter().map(|(_, row)| row);
            let hosts: FxHashSet<_> =
                rows.flat_map(|row| row.local.iter().chain(&row.foreign)).copied().collect();
            self.resolve(hosts);
        }
        for (at, row) in &listed.rows {
            let label = places.get(*at).map(|place| &*place.label).unwrap_or_default();
            let lodging = self.lodger.admit(None, row.inode, holders).unwrap_or_default();
            let extra = extra(holders, row.inode, label, &lodging);
            layout.measure_sctp(row, extra, &mut self.names);
            layout.measure_lodging(extra);
        }
        listed
    }

    /// The same as JSON.
    pub(super) fn sctp_in_json(
        &mut self,
        out: &mut Pieces<'_>,
        places: &[Place],
        holders: &Holders,
        json: &mut Json,
    ) -> anyhow::Result<()> {
        let listed = self.list_sctp(places);
        self.has_sctp = listed.found;
        let at = Mono::now();
        for (place, row) in listed.rows {
            let Some(lodging) = self.lodger.admit(None, row.inode, holders) else { continue };
            json.set_lodging(lodging);
            let inum = places.get(place).map_or(0, Place::inum);
            let known = self.plan.programs.then(|| holders.known(row.inode)).flatten();
            json.sctp(&mut out.buf, at, inum, &row, known);
            let why = holders.unowned(row.inode, |denied| Unowned::of_inode(row.inode, denied));
            json.unowned(&mut out.buf, why.filter(|_| self.plan.programs).map(Unowned::word));
            out.piece().context(WRITING)?;
        }
        Ok(())
    }

    /// The sockets that are wanted of every place.
    pub(super) fn list_sctp(&mut self, places: &[Place]) -> SctpRows {
        let mut listed = SctpRows::default();
        let wanted: &[(&str, Read)] = match self.plan.which {
            _ if self.plan.sctp.is_empty() => return listed,
            Which::All => &[("sctp/eps", sctp::endpoint), ("sctp/assocs", sctp::association)],
            Which::Listening => &[("sctp/eps", sctp::endpoint)],
            Which::Connected => &[("sctp/assocs", sctp::association)],
        };
        for (at, place) in places.iter().enumerate() {
            for (file, read) in wanted {
                match place.lines(file) {
                    Ok(None) => {}
                    Ok(Some(lines)) => {
                        listed.found = true;
                        let rows = lines.iter().skip(1).map(|line| read(line));
                        self.keep(&mut listed.rows, at, file, rows);
                    }
                    Err(error) => {
                        listed.found = true;
                        self.complete = false;
                        self.note(format!("enetstat: {error:#}\n"));
                    }
                }
            }
        }
        listed
    }

    fn keep(
        &mut self,
        kept: &mut Vec<(usize, SctpRow)>,
        at: usize,
        file: &str,
        rows: impl Iterator<Item = Option<SctpRow>>,
    ) {
        for row in rows {
            match row {
                Some(row) if self.plan.sctp.contains(&family(&row)) && self.choice.wants_sctp(&row) => {
                    kept.push((at, row))
                }
                Some(_) => {}
                None => {
                    self.complete = false;
                    self.note(format!("enetstat: a line of /proc/net/{file} cannot be read\n"));
                }
            }
        }
    }

    /// Appends the rows, once.
    pub(super) fn print_sctp(
        &mut self,
        out: &mut Vec<u8>,
        listed: &mut SctpRows,
        places: &[Place],
        holders: &Holders,
        layout: &Layout,
    ) {
        for (at, row) in std::mem::take(&mut listed.rows) {
            let label = places.get(at).map(|place| &*place.label).unwrap_or_default();
            if let Some(lodging) = self.lodger.admit(None, row.inode, holders) {
                layout.sctp(out, &row, extra(holders, row.inode, label, &lodging), &mut self.names);
            }
        }
    }
}

/// By the first address, as net-tools tells tcp from tcp6.
fn family(row: &SctpRow) -> Family {
    if row.local.first().is_some_and(std::net::IpAddr::is_ipv6) { Family::V6 } else { Family::V4 }
}
