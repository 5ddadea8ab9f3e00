//! The SCTP part of the listing: endpoints, then associations, with a line for each further address.

use super::programs::Programs;
use super::{Ends, Lister, say, stop};
use crate::args::plan::Which;
use crate::model::{SctpRow, TcpState};
use crate::render::compat::field;
use crate::source::Procfs;
use crate::source::procfs::sctp;
use std::net::IpAddr;

/// Bytes that net-tools keeps of an address here.
const ADDRESS: usize = 63;

impl Lister<'_> {
    pub(super) fn sctp(&mut self) -> Result<(), Ends> {
        let which = self.plan.which;
        if which != Which::Connected {
            stop(self.both("eps", sctp::endpoint))?;
        }
        if which != Which::Listening {
            stop(self.both("assocs", sctp::association))?;
        }
        Ok(())
    }

    /// The table of both families, as kernels have it, then a second one that none has. Gives the exit code.
    fn both(&mut self, file: &str, read: fn(&[u8]) -> Option<SctpRow>) -> u8 {
        let plan = self.plan;
        let mut code = 0;
        if (!plan.explicit || plan.inet) && !self.lines(&format!("sctp/{file}"), file, read) {
            code = self.absent("AF INET (sctp)");
        }
        if !plan.explicit || plan.inet6 {
            self.lines(&format!("sctp6/{file}"), file, read);
        }
        code
    }

    fn lines(&mut self, file: &str, kind: &str, read: fn(&[u8]) -> Option<SctpRow>) -> bool {
        let mut rows = Vec::new();
        let mut first = true;
        let err = &mut *self.err;
        let found = Procfs::host().lines(file, &mut |line| {
            if std::mem::take(&mut first) {
                return;
            }
            match read(line) {
                Some(row) => rows.push(row),
                None => {
                    let kind = if kind == "eps" { "eps" } else { "assoc" };
                    say(err, format!("warning, got bogus sctp {kind} line.\n").as_bytes());
                }
            }
        });
        if self.by_name() {
            let hosts = rows.iter().flat_map(|row| row.local.iter().chain(&row.foreign)).copied();
            self.names.resolve(hosts, super::PATIENCE);
        }
        rows.iter().for_each(|row| self.row(row));
        found.unwrap_or(false)
    }

    /// Here every option about numbers means the addresses, too.
    fn by_name(&self) -> bool {
        let naming = self.plan.naming;
        naming.hosts && naming.ports && naming.users && !self.plan.symbolic
    }

    fn row(&mut self, row: &SctpRow) {
        let lines =
            if row.queues.is_some() { row.local.len().max(row.foreign.len()) } else { row.local.len() };
        for at in 0..lines {
            let first = at == 0;
            if !first {
                self.out.buf.push(b'\n');
            }
            let local =
                row.local.get(at).map(|&addr| self.end(addr, first || row.queues.is_none(), row.ports.0));
            let foreign = row.foreign.get(at).map(|&addr| self.end(addr, first, row.ports.1));
            let out = &mut self.out.buf;
            match row.queues {
                Some((receive, send)) => {
                    if first {
                        out.extend_from_slice(format!("sctp  {receive:6} {send:6} ").as_bytes());
                    } else {
                        out.extend_from_slice(&[b' '; 20]);
                    }
                    for end in [&local, &foreign] {
                        field(out, 23, |out| out.extend_from_slice(end.as_deref().unwrap_or_default()));
                        out.push(b' ');
                    }
                }
                None => {
                    out.extend_from_slice(if first {
                        b"sctp                "
                    } else {
                        b"                    "
                    });
                    field(out, 47, |out| out.extend_from_slice(local.as_deref().unwrap_or_default()));
                    out.push(b' ');
                }
            }
            field(out, 11, |out| {
                if first {
                    out.extend_from_slice(state(row.state).as_bytes());
                }
            });
        }
        let nobody = Programs::default();
        let programs = self.programs.as_ref().unwrap_or(&nobody);
        let holder = programs.of(row.inode);
        self.layout.owner(&mut self.out.buf, row.uid, row.inode, holder, &mut self.names);
        if self.layout.timers {
            self.out.buf.push(b' ');
        }
        self.out.buf.push(b'\n');
        self.out.done();
    }

    fn end(&mut self, addr: IpAddr, port: bool, number: u16) -> Vec<u8> {
        let mut text = Vec::new();
        if self.by_name() {
            self.layout.host(&mut text, addr, &mut self.names);
        } else {
            crate::render::text::address(&mut text, addr.to_canonical());
        }
        text.truncate(ADDRESS);
        if port {
            text.push(b':');
            text.extend_from_slice(if number == 0 { "*".to_owned() } else { number.to_string() }.as_bytes());
        }
        text
    }
}

fn state(number: i64) -> String {
    let known = u8::try_from(number).ok().and_then(|code| TcpState::try_from(code).ok());
    match (number, known) {
        (0, _) => String::new(),
        (1..=11, Some(state)) => state.name().to_owned(),
        _ => format!("UNKNOWN({number})"),
    }
}
