//! Sockets of protocols that only some kernels have: their tables as the kernel writes them.

use super::place::Place;
use super::{Lister, WRITING};
use crate::args::plan::Other;
use crate::render::text::{Pieces, escaped};
use anyhow::Context;

impl Lister<'_> {
    /// Appends every such table that is there, and tells of those that were asked for and are not.
    pub(super) fn others(&mut self, out: &mut Pieces<'_>, places: &[Place]) -> anyhow::Result<()> {
        for &(other, asked) in &self.plan.others {
            let mut found = false;
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
        if lines.len() < 2 && !asked {
            return;
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

    fn absent(&mut self, other: Other, asked: bool) {
        self.complete &= !asked;
        if asked || self.plan.verbose {
            self.note(format!("enetstat: this kernel has no {} sockets\n", name(other)));
        }
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
        Other::Sctp => &["sctp/eps", "sctp/assocs"],
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
