//! A network namespace and the sources that list it.

use super::choice::Choice;
use super::fast::Fast;
use super::half_open::HalfOpen;
use super::peers::{Checked, Peers};
use crate::args::plan::{ListTier, Which};
use crate::model::{Family, Protocol, SockRow, States, TcpState, UnixRow, UnixState};
use crate::source::diag::{Destroyed, More, recorded};
use crate::source::netns::inode_label;
use crate::source::procfs::Pass;
use crate::source::{Diag, DiagError, Netns, Procfs, Request};
use std::cell::Cell;
use std::sync::Arc;

/// A table of inet sockets, and how much of it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub protocol: Protocol,
    pub family: Family,
    pub which: Which,
    /// Counters and both numbers of the timer.
    pub totals: bool,
}

/// What comes with a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aside<'a> {
    /// What sock_diag sent, when it did.
    pub payload: &'a [u8],
    /// The socket's [key](netstat_common::listing::key); 0: its inode is in the row.
    pub key: u64,
}

/// Where sockets are listed.
pub struct Place {
    /// `None` when the namespace we are in cannot be examined; it can be listed nevertheless.
    netns: Option<Netns>,
    diag: Option<Diag>,
    /// Inode of a namespace that cannot be listed any more.
    gone: Option<u32>,
    tier: ListTier,
    choice: Arc<Choice>,
    /// The kernel's own table of connections, where that is quicker than sock_diag.
    fast: Option<Fast>,
    /// What the namespace is called.
    pub label: Vec<u8>,
    /// What was refused and replaced, for the curious.
    pub notes: Vec<String>,
}

impl Place {
    pub fn new(netns: Option<Netns>, tier: ListTier) -> Self {
        let label = netns.as_ref().map(Netns::label).unwrap_or_default();
        Self {
            netns,
            diag: None,
            gone: None,
            tier,
            choice: Arc::default(),
            fast: None,
            label,
            notes: Vec::new(),
        }
    }

    /// A namespace that has no sockets any more, only connections that ended.
    pub fn gone(inum: u32) -> Self {
        let label = inode_label(inum);
        let mut place = Self::new(None, ListTier::Best);
        (place.gone, place.label) = (Some(inum), label);
        place
    }

    /// The same where only some sockets are wanted, or more of each.
    pub fn with(mut self, choice: &Arc<Choice>) -> Self {
        self.choice = Arc::clone(choice);
        if choice.is_local()
            && let Ok(local) = self.within(|| choice.in_namespace())
        {
            self.choice = Arc::new(local);
        }
        self
    }

    /// The same where connections are read from the kernel's own table.
    pub fn with_fast(mut self, fast: Option<Fast>) -> Self {
        self.fast = fast;
        self
    }

    /// Inode of the namespace; 0 when unknown.
    pub fn inum(&self) -> u32 {
        self.gone.or(self.netns.as_ref().map(|netns| netns.inum)).unwrap_or(0)
    }

    /// Gives the wanted rows, in the kernel's order: from sock_diag, with what that sends with each row, or, when that
    /// refuses, from /proc, with nothing. Returns the lines of /proc that could not be read.
    ///
    /// # Errors
    /// When neither source could be read to its end; rows given before are right.
    pub fn inet_in_detail(
        &mut self,
        wanted: Wanted,
        each: &mut dyn FnMut(&SockRow, Aside<'_>),
    ) -> anyhow::Result<Pass> {
        if self.gone.is_some() {
            return Ok(Pass::default());
        }
        let choice = Arc::clone(&self.choice);
        let mut shown = |row: &SockRow, payload: &[u8]| {
            if is_shown(row, wanted.which) && choice.wants(row, payload) {
                each(row, Aside { payload, key: 0 });
            }
        };
        let Wanted { protocol, family, .. } = wanted;
        if let (Some(fast), Protocol::Tcp) = (self.fast.clone(), protocol) {
            return self.by_walk(&fast, wanted, each);
        }
        if let (Some(file), Protocol::Tcp) = (&choice.recorded, protocol) {
            recorded::read(file, family, &mut shown)?;
            return Ok(Pass::default());
        }
        if self.tier != ListTier::Procfs {
            let mut given = false;
            match self.by_diag(wanted, &choice, &mut |row, payload| {
                given = true;
                shown(row, payload);
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
        if self.is_here() {
            return Ok(Procfs::host().list(protocol, family, &mut |row| shown(row, b""))?);
        }
        let mut rows = Vec::new();
        let pass = self.within(|| Procfs::host().list(protocol, family, &mut |row| rows.push(*row)))??;
        rows.iter().for_each(|row| shown(row, b""));
        Ok(pass)
    }

    /// The same for the widths of columns, for which rows may be left out of a table that then is not held: `None`. Unless
    /// `every` row counts, IPv6's connections are only looked for where the kernel counts some.
    pub fn measured(
        &mut self,
        wanted: Wanted,
        every: bool,
        each: &mut dyn FnMut(&SockRow, Aside<'_>),
    ) -> anyhow::Result<Option<Pass>> {
        if !every && self.fast.is_some() && wanted.protocol == Protocol::Tcp {
            let listeners = self.listeners(wanted.family);
            if listeners.is_some_and(|listeners| !Fast::may_have_v6(listeners)) {
                if wanted.which != Which::Connected {
                    let wanted = Wanted { which: Which::Listening, ..wanted };
                    self.by_diag(wanted, &Choice::default(), &mut |row, payload| {
                        each(row, Aside { payload, key: 0 })
                    })?;
                }
                return Ok(None);
            }
        }
        self.inet_in_detail(wanted, each).map(Some)
    }

    fn listeners(&mut self, family: Family) -> Option<u64> {
        let states = States::of(&[TcpState::Listen]);
        let request = Request { protocol: Protocol::Tcp, family, states, totals: false };
        self.diag().ok()?.list(&request, &mut |_| {}).ok().map(|pass| pass.rows)
    }

    /// Listeners by sock_diag, connections by the walk over the kernel's table, in this order, which is the kernel's own.
    fn by_walk(
        &mut self,
        fast: &Fast,
        wanted: Wanted,
        each: &mut dyn FnMut(&SockRow, Aside<'_>),
    ) -> anyhow::Result<Pass> {
        if wanted.which != Which::Connected {
            let listeners = Wanted { which: Which::Listening, ..wanted };
            self.by_diag(listeners, &Choice::default(), &mut |row, payload| {
                each(row, Aside { payload, key: 0 })
            })?;
        }
        let mut given = false;
        let walked = fast.rows(self.inum(), wanted.family, &mut |row, key| {
            given = true;
            each(row, Aside { payload: &[], key });
        });
        match walked {
            Err(error) if !given && !fast.by_key => {
                self.notes.push(format!("{:#}; using sock_diag", anyhow::Error::from(error)));
                self.fast = None;
                let connected = Wanted { which: Which::Connected, ..wanted };
                self.by_diag(connected, &Choice::default(), &mut |row, payload| {
                    each(row, Aside { payload, key: 0 })
                })?;
            }
            other => other?,
        }
        Ok(Pass::default())
    }

    /// Destroys the socket of a row of this place.
    ///
    /// # Errors
    /// See [`Diag::destroy`].
    pub fn destroy(&mut self, row: &SockRow) -> Result<Destroyed, DiagError> {
        self.diag()?.destroy(row)
    }

    /// Gives the wanted unix sockets, in the kernel's order. Only /proc tells all that netstat shows of them.
    pub fn unix(&self, which: Which, each: &mut dyn FnMut(&UnixRow)) -> anyhow::Result<Pass> {
        if self.gone.is_some() {
            return Ok(Pass::default());
        }
        let told = match self.tier {
            ListTier::Procfs => None,
            _ => Some(self.within(Peers::find)?),
        };
        // Without sock_diag the lines of /proc are all there is.
        let told = match told {
            Some(Err(error)) if self.choice.asks_for_peers() => return Err(error),
            told => told.and_then(Result::ok),
        };
        let mut shown = |row: &UnixRow| {
            let other = told.as_ref().map_or((None, None), |told| told.of(row));
            if is_unix_shown(row, which) && self.choice.wants_unix(row, other) {
                each(row);
            }
        };
        let mut checked = told.as_ref().map(Checked::by);
        let mut take = |row: &UnixRow| match &mut checked {
            Some(checked) => checked.row(row, &mut shown),
            None => shown(row),
        };
        let pass = if self.is_here() {
            Procfs::host().unix(&mut take)?
        } else {
            let mut rows = Vec::new();
            let pass = self.within(|| Procfs::host().unix(&mut |row| rows.push(row.clone())))??;
            rows.iter().for_each(take);
            pass
        };
        if let Some(checked) = checked {
            checked.finish(|| self.within(Peers::find).ok()?.ok(), &mut shown);
        }
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
        if self.gone.is_some() || self.tier == ListTier::Procfs || self.choice.recorded.is_some() {
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

    fn by_diag(
        &mut self,
        wanted: Wanted,
        choice: &Choice,
        each: &mut dyn FnMut(&SockRow, &[u8]),
    ) -> Result<(), DiagError> {
        let Wanted { protocol, family, which, totals } = wanted;
        let totals = totals && protocol == Protocol::Tcp;
        let states = States(states(protocol, which).0 & choice.states().0);
        let request = Request { protocol, family, states, totals };
        let diag = self.diag()?;
        let given = Cell::new(false);
        let mut each = |row: &SockRow, payload: &[u8]| {
            given.set(true);
            each(row, payload);
        };
        let more = choice.more();
        match diag.list_in_detail(&request, more, &mut each) {
            // The kernel does not take the code, or not from us: the rows are chosen here alone.
            Err(error) if !more.code.is_empty() && error.is_about_code() && !given.get() => {
                let more = More { code: &[], ..more };
                diag.list_in_detail(&request, more, &mut each)?;
            }
            other => drop(other?),
        }
        Ok(())
    }

    fn diag(&mut self) -> Result<&mut Diag, DiagError> {
        let opened = match (self.diag.take(), &self.netns) {
            (Some(diag), _) => diag,
            (None, Some(netns)) => Diag::open(netns)?,
            (None, None) => Diag::open(&Netns::current()?)?,
        };
        Ok(self.diag.insert(opened))
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
