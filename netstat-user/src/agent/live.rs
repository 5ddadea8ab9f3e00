//! The table, kept true: events as they come, listings when they are needed, questions when they are due.

use super::watch::Watch;
use crate::kernel::tier::Tier;
use crate::model::{Mono, ResetNames, Told};
use crate::source::netns::Netns;
use crate::table::{Limits, Table};
use anyhow::Context as _;
use netstat_common::config::Queues;
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

/// Which network namespaces are watched.
pub enum Scope {
    One(Netns),
    All,
}

/// How to watch.
pub struct LiveOptions {
    /// `None`: the best that the kernel and our privileges allow.
    pub tier: Option<Tier>,
    pub scope: Scope,
    /// Only sockets with one of these local or foreign ports; empty: all.
    pub ports: Vec<u16>,
    /// Also sockets of UDP, and unix sockets: listed often.
    pub udp: bool,
    pub unix: bool,
    pub queues: Queues,
    pub queue_interval: Duration,
    /// Bytes of the ring buffer, a power of two.
    pub ring_bytes: u32,
    pub limits: Limits,
    /// How often everything is compared with a fresh listing, at least.
    pub reconcile: Duration,
    /// How often the states without events are looked for, at least; without a kernel half, everything.
    pub sweep: Duration,
}

impl LiveOptions {
    /// The defaults of `enetstat trace` for the given scope.
    pub fn new(scope: Scope) -> Self {
        Self {
            tier: None,
            scope,
            ports: Vec::new(),
            udp: false,
            unix: false,
            queues: Queues::Off,
            queue_interval: Duration::from_millis(100),
            ring_bytes: 4 << 20,
            limits: Limits::default(),
            reconcile: Duration::from_secs(10),
            sweep: Duration::from_secs(1),
        }
    }
}

/// What is told with the changes: whoever receives them may also look at the table.
pub struct News<'a> {
    pub told: &'a [Told],
    pub table: &'a Table,
    /// Sources that failed, in words for people.
    pub troubles: &'a [String],
}

/// A watched host. Dropped, it takes its hooks with it.
pub struct Live {
    runtime: tokio::runtime::Runtime,
    inner: Watch,
}

impl Live {
    /// Attaches, and starts the first listing: attach first, list then, so that nothing between is lost. Returns when
    /// both are merged and the owners of what was there are known; what happened meanwhile is kept for the first run.
    ///
    /// # Errors
    /// When a forced tier is refused, or when no kernel half can be had and none was ruled out by the tier. The message
    /// says what is missing and how to grant it.
    pub fn start(options: LiveOptions) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the event loop")?;
        let guard = runtime.enter();
        let mut inner = Watch::start(options)?;
        drop(guard);
        runtime.block_on(inner.begin());
        Ok(Self { runtime, inner })
    }

    /// Makes the event loop the current one, for signals that a `stop` shall wait for.
    pub fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// The table as it is.
    pub fn table(&self) -> &Table {
        &self.inner.table
    }

    /// What was chosen for each feature, and why not better; empty without a kernel half.
    pub fn choices(&self) -> &[crate::kernel::tier::Choice] {
        self.inner.kernel.as_ref().map_or(&[], |kernel| kernel.control.choices())
    }

    /// What the kernel calls the reasons of its resets; nothing without a kernel half.
    pub fn reset_names(&self) -> ResetNames {
        self.inner.kernel.as_ref().map(|kernel| kernel.control.reset_names().clone()).unwrap_or_default()
    }

    /// Records that could not be understood.
    pub fn garbled(&self) -> u64 {
        self.inner.garbled
    }

    /// Watches for this long, and can be called again: nothing between two calls is lost. Gives the moment until which
    /// nothing is missing in the table; `None` when that could not be learnt in time.
    pub fn run_for(&mut self, time: Duration, sink: &mut dyn FnMut(News<'_>)) -> Option<Mono> {
        self.runtime.block_on(self.inner.run_for(time, sink))
    }

    /// Watches until `stop` is done or `sink` breaks. What was pending at the end is told first. `stop` runs inside the
    /// event loop and may wait for signals. It is the end: what happens while the last answers are awaited is not learnt,
    /// so the table is not true afterwards.
    pub fn watch<B>(
        &mut self,
        stop: impl Future<Output = ()>,
        sink: &mut dyn FnMut(News<'_>) -> ControlFlow<B>,
    ) -> Option<B> {
        self.runtime.block_on(self.inner.watch(stop, sink))
    }
}
