//! Sockets of protocols that only some kernels have: their tables in net-tools' columns, or as the kernel writes
//! them.

use super::place::Place;
use super::{Lister, WRITING};
use crate::agent::rare::{self, Network};
use crate::args::plan::{Other, Which};
use crate::model::Mono;
use crate::render::json::Json;
use crate::render::text::{Pieces, escaped};
use anyhow::Context;

/// Shows the lines of a table.
type Show<'s> =
    &'s mut dyn FnMut(&mut Lister<'_>, &mut Pieces<'_>, Other, &Place, &[Vec<u8>]) -> anyhow::Result<()>;

impl Lister<'_> {
    /// Appends every such table that is there, and tells of those that were asked for and are not.
    pub(super) fn others(&mut self, out: &mut Pieces<'_>, places: &[Place]) -> anyhow::Result<()> {
        self.each_other(out, places, &mut |lister, out, other, place, lines| {
            lister.table(out, other, place, lines);
            Ok(())
        })
    }

    /// The same as JSON.
    pub(super) fn others_in_json(
        &mut self,
        out: &mut Pieces<'_>,
        places: &[Place],
        json: &mut Json,
    ) -> anyhow::Result<()> {
        self.each_other(out, places, &mut |lister, out, other, place, lines| {
            let (at, inum) = (Mono::now(), place.inum());
            let network = network(other);
            let heading = network.is_none_or(|network| network.heading);
            for line in lines.iter().skip(heading.into()) {
                match network.map(|network| network.circuit(line, lister.plan.which == Which::All)) {
                    None => json.line(&mut out.buf, at, inum, word(other), line.trim_ascii_end()),
                    Some(Ok(None)) => {}
                    Some(Ok(Some(circuit))) => json.circuit(&mut out.buf, at, inum, word(other), &circuit),
                    Some(Err(problem)) => {
                        lister.complete = false;
                        lister.note(format!("enetstat: {problem}\n"));
                    }
                }
            }
            Ok(())
        })
    }

    fn each_other(&mut self, out: &mut Pieces<'_>, places: &[Place], show: Show<'_>) -> anyhow::Result<()> {
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
                            show(self, out, other, place, &lines)?;
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

    /// Says which sockets that were asked for have no place among columns by name.
    pub(super) fn not_in_one_table(&mut self) {
        for &(other, asked) in &self.plan.others {
            match other {
                Other::Sctp if self.has_sctp => {}
                Other::Sctp => self.absent(other, asked),
                _ if asked => {
                    self.complete = false;
                    let name = name(other);
                    self.note(format!("enetstat: {name} sockets have other columns: they are left out with --columns and --sort\n"));
                }
                _ => {}
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

/// The protocol in JSON.
fn word(other: Other) -> &'static str {
    match other {
        Other::Sctp => "sctp",
        Other::Ipx => "ipx",
        Other::Ax25 => "ax25",
        Other::X25 => "x25",
        Other::Netrom => "netrom",
        Other::Rose => "rose",
        Other::AppleTalk => "appletalk",
        Other::Econet => "econet",
        Other::Ash => "ash",
        Other::L2cap => "l2cap",
        Other::Rfcomm => "rfcomm",
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
