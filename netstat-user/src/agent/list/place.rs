//! A network namespace and the sources that list it.

use super::half_open::HalfOpen;
use crate::args::plan::{ListTier, Which};
use crate::model::{Family, Protocol, SockRow, States, TcpState, UnixRow, UnixState};
use crate::source::netns::inode_label;
use crate::source::procfs::Pass;
use crate::source::{Diag, DiagError, Netns, Procfs, Request};

/// A table of inet sockets, and how much of it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub protocol: Protocol,
    pub family: Family,
    pub which: Which,
    /// Counters and both numbers of the timer.
    pub totals: bool,
}

/// Where sockets are listed.
pub struct Place {
    /// `None` when the namespace we are in cannot be examined; it can be listed nevertheless.
    netns: Option<Netns>,
    diag: Option<Diag>,
    /// Inode of a namespace that cannot be listed any more.
    gone: Option<u32>,
    tier: ListTier,
    /// What the namespace is called.
    pub label: Vec<u8>,
    /// What was refused and replaced, for the curious.
    pub notes: Vec<String>,
}

impl Place {
    pub fn new(netns: Option<Netns>, tier: ListTier) -> Self {
        let label = netns.as_ref().map(Netns::label).unwrap_or_default();
        Self { netns, diag: None, gone: None, tier, label, notes: Vec::new() }
    }

    /// A namespace that has no sockets any more, only connections that ended.
    pub fn gone(inum: u32) -> Self {
        let label = inode_label(inum);
        Self { netns: None, diag: None, gone: Some(inum), tier: ListTier::Best, label, notes: Vec::new() }
    }

    /// Inode of the namespace; 0 when unknown.
    pub fn inum(&self) -> u32 {
        self.gone.or(self.netns.as_ref().map(|netns| netns.inum)).unwrap_or(0)
    }

    /// Gives the wanted rows, in the kernel's order: from sock_diag or, when that refuses, from /proc. Returns the lines
    /// of /proc that could not be read.
    ///
    /// # Errors
    /// When neither source could be read to its end; rows given before are right.
    pub fn inet(&mut self, wanted: Wanted, each: &mut dyn FnMut(&SockRow)) -> anyhow::Result<Pass> {
        if self.gone.is_some() {
            return Ok(Pass::default());
        }
        let mut shown = |row: &SockRow| {
            if is_shown(row, wanted.which) {
                each(row);
            }
        };
        if self.tier != ListTier::Procfs {
            let mut given = false;
            match self.by_diag(wanted, &mut |row| {
                given = true;
                shown(row);
            }) {
                Ok(()) => return Ok(Pass::default()),
                Err(error) if given || self.tier == ListTier::Netlink => return Err(error.into()),
                Err(error) => {
                    let note = format!("{:#}; using /proc/net", anyhow::Error::from(error));
                    if !self.notes.contains(&note) {
                        self.notes.push(note);
                    }
                }
            }
        }
        let Wanted { protocol, family, .. } = wanted;
        if self.is_here() {
            return Ok(Procfs::host().list(protocol, family, &mut shown)?);
        }
        let mut rows = Vec::new();
        let pass = self.within(|| Procfs::host().list(protocol, family, &mut |row| rows.push(*row)))??;
        rows.iter().for_each(shown);
        Ok(pass)
    }

    /// Gives the wanted unix sockets, in the kernel's order. Only /proc tells all that netstat shows of them.
    pub fn unix(&self, which: Which, each: &mut dyn FnMut(&UnixRow)) -> anyhow::Result<Pass> {
        if self.gone.is_some() {
            return Ok(Pass::default());
        }
        let mut shown = |row: &UnixRow| {
            if is_unix_shown(row, which) {
                each(row);
            }
        };
        if self.is_here() {
            return Ok(Procfs::host().unix(&mut shown)?);
        }
        let mut rows = Vec::new();
        let pass = self.within(|| Procfs::host().unix(&mut |row| rows.push(row.clone())))??;
        rows.iter().for_each(shown);
        Ok(pass)
    }

    /// The lines of a file of /proc/net, or `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub fn lines(&self, file: &str) -> anyhow::Result<Option<Vec<Vec<u8>>>> {
        if self.gone.is_some() {
            return Ok(None);
        }
        let read = || {
            let mut lines = Vec::new();
            let found = Procfs::host().lines(file, &mut |line| lines.push(line.to_vec()))?;
            Ok(found.then_some(lines))
        };
        if self.is_here() { read() } else { self.within(read)? }
    }

    /// Gives back the socket: with many namespaces not all can be open.
    pub fn close(&mut self) {
        self.diag = None;
    }

    /// Half-open connections of each TCP listener; `None` when sock_diag does not tell.
    pub fn half_open(&mut self) -> Option<HalfOpen> {
        if self.gone.is_some() || self.tier == ListTier::Procfs {
            return None;
        }
        let (mut listeners, mut requests) = (Vec::new(), Vec::new());
        for family in [Family::V4, Family::V6] {
            let states = States::of(&[TcpState::Listen, TcpState::SynRecv]);
            let request = Request { protocol: Protocol::Tcp, family, states, totals: false };
            let mut each = |row: &SockRow| {
                if row.state == TcpState::Listen { &mut listeners } else { &mut requests }.push(*row);
            };
            // Why it does not is said where the rows themselves are listed.
            self.diag().and_then(|diag| diag.list(&request, &mut each)).ok()?;
        }
        Some(HalfOpen::count(&listeners, &requests))
    }

    fn diag(&mut self) -> Result<&mut Diag, DiagError> {
        Ok(match &mut self.diag {
            Some(diag) => diag,
            none => none.insert(match &self.netns {
                Some(netns) => Diag::open(netns)?,
                None => Diag::open(&Netns::current()?)?,
            }),
        })
    }

    fn by_diag(&mut self, wanted: Wanted, each: &mut dyn FnMut(&SockRow)) -> Result<(), DiagError> {
        let Wanted { protocol, family, which, totals } = wanted;
        let totals = totals && protocol == Protocol::Tcp;
        self.diag()?.list(&Request { protocol, family, states: states(protocol, which), totals }, each)?;
        Ok(())
    }

    fn is_here(&self) -> bool {
        let current = Netns::current().map(|netns| netns.inum);
        self.netns.as_ref().is_none_or(|netns| current.is_ok_and(|inum| inum == netns.inum))
    }

    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        match &self.netns {
            Some(netns) => Ok(netns.run(work)?),
            None => Ok(work()),
        }
    }
}

/// The states worth asking the kernel for: it need not walk the established sockets when only listeners are wanted.
fn states(protocol: Protocol, which: Which) -> States {
    match (protocol, which) {
        (Protocol::Tcp, Which::Listening) => States::of(&[TcpState::Listen]),
        (Protocol::Tcp, Which::Connected) => States(States::ALL.0 & !TcpState::Listen.bit()),
        _ => States::ALL,
    }
}

/// What net-tools takes for a listening inet socket: TCP without a foreign port, others without a foreign address.
pub(in crate::agent) fn is_shown(row: &SockRow, which: Which) -> bool {
    let listening = match row.protocol {
        Protocol::Tcp => row.foreign.port == 0,
        Protocol::Udp | Protocol::UdpLite | Protocol::Raw => row.foreign.addr.is_unspecified(),
    };
    match which {
        Which::All => true,
        Which::Listening => listening,
        Which::Connected => !listening,
    }
}

fn is_unix_shown(row: &UnixRow, which: Which) -> bool {
    let listening = row.listening && row.state == UnixState::Unconnected;
    match which {
        Which::All => true,
        Which::Listening => listening,
        Which::Connected => !listening,
    }
}
