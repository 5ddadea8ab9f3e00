//! Sockets listed with all that the kernel tells of them.

use super::Show;
use crate::model::{Detail, Family, Protocol, SockRow, States};
use crate::source::diag::families::Families;
use crate::source::{Procfs, chain};

/// An inet socket.
pub type Row = (SockRow, Detail);

impl Show<'_> {
    /// sock_diag; `None`, with a remark, when there is none.
    pub(super) fn families(&mut self) -> Option<Families> {
        match Families::open() {
            Ok(families) => Some(families),
            Err(error) => {
                self.note(format_args!("{}; using /proc/net, which tells less", chain(&error)));
                None
            }
        }
    }

    /// A table: from sock_diag or, where that has none, from /proc, without details.
    pub(super) fn inet(
        &mut self,
        diag: Option<&mut Families>,
        protocol: Protocol,
        family: Family,
        states: States,
    ) -> Vec<Row> {
        let netns = Procfs::host().netns().unwrap_or(0);
        let mut rows = Vec::new();
        if let Some(diag) = diag {
            let each = &mut |row: &SockRow, detail: &Detail| rows.push((*row, *detail));
            match diag.inet(protocol, family, states, netns, each) {
                Ok(dumped) => {
                    self.dumped("sockets", &dumped);
                    return rows;
                }
                Err(error) if error.is_absent() => rows.clear(),
                Err(error) => {
                    self.missing(chain(&error));
                    rows.clear();
                }
            }
        }
        let listed = Procfs::host().list(protocol, family, &mut |row| {
            if states.has(row.state) {
                rows.push((*row, Detail::default()));
            }
        });
        match listed {
            Ok(pass) => self.passed(pass),
            Err(error) => self.missing(chain(&error)),
        }
        rows
    }
}
