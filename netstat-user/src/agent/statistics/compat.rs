//! What net-tools 2.10 does for `-s`: which files it opens, what it says when it cannot, and how it ends.

use super::WRITING;
use crate::args::plan::CompatFamilies;
use crate::exit::Outcome;
use crate::render::statistics::compat::{Files, Writer};
use crate::source::Procfs;
use crate::source::procfs::counters::{Counters, Raw, nettools};
use crate::view::Protocols;
use anyhow::Context;
use std::io::{self, Write};

/// Writes to `out` and `err` what net-tools writes; it ends with 1 for a family that has no counters, with 0 otherwise.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(
    families: &CompatFamilies,
    protocols: Protocols,
    procfs: &Procfs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let mut run = Run { procfs, writer: Writer::new(protocols), buf: Vec::new(), out, err };
    match families.0.as_str() {
        "" | "inet" => run.inet()?,
        "inet6" => run.inet6()?,
        // Said on standard output, in two words of two messages.
        other => {
            let said = format!("netstat: No statistics support for specified address family: {other}\n");
            out.write_all(said.as_bytes()).context(WRITING)?;
            return Ok(Outcome { complete: false });
        }
    }
    Ok(Outcome { complete: true })
}

struct Run<'a> {
    procfs: &'a Procfs,
    writer: Writer,
    buf: Vec<u8>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl Run<'_> {
    fn inet(&mut self) -> anyhow::Result<()> {
        let Some(snmp) = self.needed(Counters::Snmp)? else { return Ok(()) };
        self.pairs(Counters::Snmp, snmp)?;
        // What cannot be opened from here on is passed over in silence.
        if let Some(netstat) = self.optional(Counters::Netstat) {
            self.pairs(Counters::Netstat, netstat)?;
        }
        if let Some(raw) = self.optional(Counters::Sctp) {
            self.writer.group(&mut self.buf, Files::Sctp, &nettools::sctp(&raw.bytes));
            self.unread(Counters::Sctp, &raw)?;
        }
        self.flush()
    }

    /// IPv6 has no counters of TCP: those of `snmp` are for both families.
    fn inet6(&mut self) -> anyhow::Result<()> {
        let Some(raw) = self.needed(Counters::Snmp6)? else { return Ok(()) };
        for group in nettools::snmp6(&raw.bytes) {
            self.writer.group(&mut self.buf, Files::V6, &group);
        }
        self.unread(Counters::Snmp6, &raw)?;
        let Some(raw) = self.needed(Counters::Snmp)? else { return Ok(()) };
        let pairs = nettools::pairs(&raw.bytes);
        for group in pairs.groups.iter().filter(|group| group.name.starts_with(b"Tcp")) {
            self.writer.group(&mut self.buf, Files::Pairs, group);
        }
        self.unread(Counters::Snmp, &raw)?;
        self.flush()
    }

    fn pairs(&mut self, which: Counters, raw: Raw) -> anyhow::Result<()> {
        let pairs = nettools::pairs(&raw.bytes);
        for group in &pairs.groups {
            self.writer.group(&mut self.buf, Files::Pairs, group);
        }
        if pairs.broken {
            self.say(&format!("Problem while parsing /proc/net/{}\n", which.file()))?;
        }
        self.unread(which, &raw)
    }

    /// A file it cannot do without.
    fn needed(&mut self, which: Counters) -> anyhow::Result<Option<Raw>> {
        let raw = self.procfs.raw_counters(which);
        if let Some(("open", error)) = &raw.failed {
            self.say(&format!("cannot open /proc/net/{}: {}\n", which.file(), reason(error)))?;
            return Ok(None);
        }
        Ok(Some(raw))
    }

    fn optional(&self, which: Counters) -> Option<Raw> {
        let raw = self.procfs.raw_counters(which);
        (!matches!(raw.failed, Some(("open", _)))).then_some(raw)
    }

    /// Says that a file could not be read to its end.
    fn unread(&mut self, which: Counters, raw: &Raw) -> anyhow::Result<()> {
        match &raw.failed {
            Some((_, error)) => self.say(&format!("/proc/net/{}: {}\n", which.file(), reason(error))),
            None => Ok(()),
        }
    }

    /// Standard output goes first, so that a terminal shows both in the order of net-tools.
    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.flush()?;
        // Nothing is left to be done when standard error is closed.
        let _: io::Result<()> = self.err.write_all(text.as_bytes());
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.out.write_all(&self.buf).context(WRITING)?;
        self.buf.clear();
        Ok(())
    }
}

/// `strerror(3)` of the error.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
