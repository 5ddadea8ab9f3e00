//! Which sockets a listing shows, and what it asks for beside their rows.

use crate::agent::lookup;
use crate::args::plan::ListPlan;
use crate::kernel::caps;
use crate::model::{SctpRow, SockRow, States, TcpState, UnixRow};
use crate::source::diag::{More, detail};
use crate::view::expr::bytecode::Able;
use crate::view::expr::eval::EPHEMERAL;
use crate::view::expr::{Address, Cond, Device, Host, Kind, Side, Subject};
use crate::view::{Column, Selection};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// See the module.
#[derive(Debug)]
pub struct Choice {
    selection: Selection,
    /// The same for the kernel, as far as it can; empty: it cannot.
    code: Vec<u8>,
    /// Attributes that are asked for.
    extensions: u8,
    /// Marks are told to us.
    marks: bool,
    /// A condition is about marks or cgroups, which are attributes.
    attributes: bool,
    ephemeral: (u16, u16),
    /// A file that is read in place of the kernel's TCP sockets.
    pub recorded: Option<PathBuf>,
}

impl Default for Choice {
    fn default() -> Self {
        Self::new(Selection::default(), 0, None)
    }
}

impl Choice {
    /// What a plan whose filter has no names asks for. `recorded`: see [`Choice::recorded`].
    pub fn of(plan: &ListPlan, recorded: Option<PathBuf>) -> Self {
        let all = plan.details.any() || plan.dump.is_some() || plan.named().any(Column::needs_detail);
        Self::new(plan.selection.clone(), if all { detail::EVERYTHING } else { 0 }, recorded)
    }

    fn new(selection: Selection, extensions: u8, recorded: Option<PathBuf>) -> Self {
        let attributes = selection.has(|cond| matches!(cond, Cond::Mark { .. } | Cond::Cgroup(_)));
        let marks = attributes && !caps::missing().contains(&"CAP_NET_ADMIN");
        let code = selection.bytecode(Able { marks, cgroups: true }).unwrap_or_default();
        Self { selection, code, extensions, marks, attributes, ephemeral: EPHEMERAL, recorded }
    }

    /// Not every socket is shown, or they are not the kernel's.
    pub fn chooses(&self) -> bool {
        !self.selection.is_empty() || self.recorded.is_some()
    }

    /// A condition is about marks, and they are not told to us.
    pub fn lacks_marks(&self) -> bool {
        !self.marks && self.selection.has(|cond| matches!(cond, Cond::Mark { .. }))
    }

    /// Something of it is different in each network namespace.
    pub fn is_local(&self) -> bool {
        self.selection.has(|cond| matches!(cond, Cond::Autobound | Cond::Device(Device::Name(_))))
    }

    /// The same for the calling thread's network namespace.
    pub fn in_namespace(&self) -> Self {
        let selection = lookup::in_namespace(self.selection.clone());
        let ephemeral = ephemeral().unwrap_or(EPHEMERAL);
        Self { ephemeral, ..Self::new(selection, self.extensions, self.recorded.clone()) }
    }

    /// States worth asking the kernel for.
    pub fn states(&self) -> States {
        self.selection.states.unwrap_or(States::ALL)
    }

    /// What is asked for beside the rows.
    pub fn more(&self) -> More<'_> {
        More { extensions: self.extensions, code: &self.code }
    }

    /// Whether a row is shown; `payload` is what sock_diag sent with it.
    pub fn wants(&self, row: &SockRow, payload: &[u8]) -> bool {
        if self.selection.is_empty() {
            return true;
        }
        let mut subject = Subject::of_row(row, self.ephemeral);
        if self.attributes && !payload.is_empty() {
            let detail = detail::detail(payload);
            // What is 0 is told, too, but not of requests and timewait sockets: they have none.
            subject.mark = detail.mark.or(self.marks.then_some(0));
            subject.cgroup = subject.cgroup.or((row.inode == 0).then_some(0));
        }
        self.selection.wants(&subject)
    }

    /// A condition is about the paths that unix sockets are connected to.
    pub fn asks_for_peers(&self) -> bool {
        self.selection.has(|cond| {
            matches!(
                cond,
                Cond::Host(Side::Foreign, Host { address: Address::Path(_), .. })
                    | Cond::Port(Side::Foreign, ..)
            )
        })
    }

    /// Whether a unix socket is shown; `other` is the path and the inode at its other end, as far as they are known.
    pub fn wants_unix(&self, row: &UnixRow, other: (Option<&[u8]>, Option<u64>)) -> bool {
        let (peer, inode) = other;
        let subject = Subject { peer, inodes: (Some(row.inode), inode), ..Subject::of_unix(row) };
        self.selection.is_empty() || self.selection.wants(&subject)
    }

    /// Whether an SCTP socket is shown: one of its addresses at each end is enough.
    pub fn wants_sctp(&self, row: &SctpRow) -> bool {
        if self.selection.is_empty() {
            return true;
        }
        let none = [IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let state = row.state();
        let local = if row.local.is_empty() { &none[..] } else { &row.local };
        let foreign = if row.foreign.is_empty() { &none[..] } else { &row.foreign };
        local.iter().any(|local| {
            foreign.iter().any(|foreign| {
                let ends = [(local, row.ports.0), (foreign, row.ports.1)];
                let [local, foreign] = ends.map(|(addr, port)| crate::model::Endpoint { addr: *addr, port });
                let subject = Subject {
                    kind: if local.addr.is_ipv4() { Kind::Inet } else { Kind::Inet6 },
                    state: state.unwrap_or(TcpState::Close),
                    ends: Some((local, foreign)),
                    device: None,
                    mark: None,
                    cgroup: None,
                    path: b"",
                    peer: None,
                    inodes: (None, None),
                    ephemeral: self.ephemeral,
                };
                self.selection.wants(&subject)
            })
        })
    }
}

/// `net.ipv4.ip_local_port_range` of the calling thread's network namespace; IPv6 uses it, too.
fn ephemeral() -> Option<(u16, u16)> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut words = text.split_whitespace().map(|word| word.parse().ok());
    Some((words.next()??, words.next()??))
}
