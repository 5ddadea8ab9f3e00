//! Sockets of protocols that only some kernels have: their tables in net-tools' columns, or as the kernel writes
//! them.

use super::place::Place;
use super::{Lister, WRITING};
use crate::agent::rare::{self, Network};
use crate::args::plan::{Other, Which};
use crate::render::text::{Pieces, escaped};
use anyhow::Context;

impl Lister<'_> {
    /// Appends every such table that is there, and tells of those that were asked for and are not.
    pub(super) fn others(&mut self, out: &mut Pieces<'_>, places: &[Place]) -> anyhow::Result<()> {
        if !self.plan.selection.is_empty() {
            // Conditions ask what these tables do not tell.
            return Ok(());
        }
        for &(other, asked) in &self.plan.others {
            let mut found = other == Other::Sctp && self.has_sctp;
            for place in places {
                for file in files(other) {
                    match place.lines(file) {
                        Ok(None) => {}
                        Ok(Some(lines)) => {
                            found = true;
                            self.table(out, other, place, &lines);
                            out.piece().context(WRITING)?;
                        }
                        Err(error) => {
                            found = true;
                            self.complete = false;
                            self.note(format!("enetstat: {error:#}\n"));
                        }
                    }
                }
            }
            if !found {
                self.absent(other, asked);
            }
        }
        Ok(())
    }

    /// JSON has no place for them.
    pub(super) fn others_in_json(&mut self) {
        for &(other, asked) in &self.plan.others {
            if asked {
                self.complete = false;
                self.note(format!("enetstat: {} sockets are not part of the JSON\n", name(other)));
            }
        }
    }

    fn table(&self, out: &mut Pieces<'_>, other: Other, place: &Place, lines: &[Vec<u8>]) {
        // A heading alone is no socket; it is shown to those who asked for this table.
        let asked = self.plan.others.contains(&(other, true));
        let headings = network(other).map_or(1, |network| network.heading.into());
        if lines.len() <= headings && !asked {
            return;
        }
        if let Some(network) = network(other) {
            return self.network(out, &network, place, lines);
        }
        out.buf.extend_from_slice(format!("Active {} sockets", name(other)).as_bytes());
        if self.plan.all_netns {
            out.buf.extend_from_slice(b" of the network namespace ");
            escaped(&mut out.buf, &place.label);
        }
        out.buf.push(b'\n');
        for line in lines {
            let line = line.trim_ascii_end();
            for part in line.split(|&byte| byte == b'\t').enumerate() {
                if part.0 > 0 {
                    out.buf.push(b' ');
                }
                escaped(&mut out.buf, part.1);
            }
            out.buf.push(b'\n');
        }
    }

    /// In net-tools' columns.
    fn network(&self, out: &mut Pieces<'_>, network: &Network, place: &Place, lines: &[Vec<u8>]) {
        if self.plan.all_netns {
            out.buf.extend_from_slice(b"Network namespace ");
            escaped(&mut out.buf, &place.label);
            out.buf.push(b'\n');
        }
        out.buf.extend_from_slice(network.head.as_bytes());
        let mut row = Vec::new();
        for line in lines.iter().skip(network.heading.into()) {
            row.clear();
            network.line(&mut row, line, self.plan.which == Which::All);
            let Some(text) = row.strip_suffix(b"\n") else { continue };
            escaped(&mut out.buf, text);
            out.buf.push(b'\n');
        }
    }

    fn absent(&mut self, other: Other, asked: bool) {
        self.complete &= !asked;
        if asked || self.plan.verbose {
            self.note(format!("enetstat: this kernel has no {} sockets\n", name(other)));
        }
    }
}

fn network(other: Other) -> Option<Network> {
    match other {
        Other::Ax25 => Some(rare::AX25),
        Other::X25 => Some(rare::X25),
        Other::Netrom => Some(rare::NETROM),
        Other::Rose => Some(rare::ROSE),
        Other::Sctp
        | Other::Ipx
        | Other::AppleTalk
        | Other::Econet
        | Other::Ash
        | Other::L2cap
        | Other::Rfcomm => None,
    }
}

fn name(other: Other) -> &'static str {
    match other {
        Other::Sctp => "SCTP",
        Other::Ipx => "IPX",
        Other::Ax25 => "AX.25",
        Other::X25 => "X.25",
        Other::Netrom => "NET/ROM",
        Other::Rose => "ROSE",
        Other::AppleTalk => "AppleTalk",
        Other::Econet => "Econet",
        Other::Ash => "Ash",
        Other::L2cap => "Bluetooth L2CAP",
        Other::Rfcomm => "Bluetooth RFCOMM",
    }
}

/// Below /proc/net. Econet and Ash never had any there.
fn files(other: Other) -> &'static [&'static str] {
    match other {
        // Its rows stand among the inet sockets.
        Other::Sctp => &[],
        Other::Ipx => &["ipx/socket"],
        Other::Ax25 => &["ax25"],
        Other::X25 => &["x25/socket"],
        Other::Netrom => &["nr"],
        Other::Rose => &["rose"],
        Other::AppleTalk => &["atalk/socket"],
        Other::Econet | Other::Ash => &[],
        Other::L2cap => &["l2cap"],
        Other::Rfcomm => &["rfcomm"],
    }
}
