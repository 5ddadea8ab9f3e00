//! Connections that ended between the rounds of a repeated listing. Open rows come from each fresh listing; the kernel
//! half only adds what no listing can show any more.

use super::place::Wanted;
use crate::agent::live::{Live, LiveOptions, Scope};
use crate::args::plan::{ListPlan, Which};
use crate::model::{Conn, Family, How, Mono, Pid, Protocol, SockRow, Timer, TimerKind};
use crate::render::nettools::Extra;
use crate::source::Netns;
use crate::view::expr::Subject;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a round may take beyond its interval; what ended in a longer one may go unshown.
const ROUND: Duration = Duration::from_secs(10);

/// The attached kernel half.
pub struct Watched {
    live: Live,
    keep: Duration,
    /// Everything that happened before is in the table.
    current: Mono,
    /// The same when the round before was made.
    shown: Mono,
}

impl Watched {
    /// Attaches, when the plan keeps closed connections.
    ///
    /// # Errors
    /// Those of [`Live::start`], with the same message as a trace gives.
    pub fn start(plan: &ListPlan) -> anyhow::Result<Option<Self>> {
        let Some(keep) = plan.keep_closed else { return Ok(None) };
        let scope = if plan.all_netns { Scope::All } else { Scope::One(Netns::current()?) };
        let mut options = LiveOptions::new(scope);
        let interval = plan.interval.unwrap_or_default();
        options.limits.keep_closed = keep.saturating_add(interval).saturating_add(ROUND);
        let before = Mono::now();
        let live = Live::start(options)?;
        Ok(Some(Self { live, keep, current: before, shown: before }))
    }

    /// Keeps the table current for this long; gives what failed meanwhile, in words for people.
    pub fn wait(&mut self, time: Duration) -> Vec<String> {
        let mut troubles = Vec::new();
        let current = self.live.run_for(time, &mut |news| troubles.extend_from_slice(news.troubles));
        self.current = current.unwrap_or(self.current);
        troubles
    }

    /// What a listing that begins now shows of connections that ended: for as long as the plan says, and once at least.
    pub fn round(&mut self, plan: &ListPlan) -> Round {
        let after = Mono::now().before(self.keep).min(self.shown);
        self.shown = self.current;
        let closed = self.live.table().closed_after(after);
        Round::new(plan, closed)
    }
}

/// A connection that ended.
#[derive(Debug)]
pub struct Closed {
    /// When it reached CLOSE.
    pub at: Mono,
    pub conn: Conn,
    /// The same as a listing would show it. Queues are those at the moment of the end, in which the kernel counts a SYN or
    /// FIN for a byte. Queues, user and inode that were never told are 0, as the kernel lists them of a socket in
    /// TIME_WAIT.
    pub row: SockRow,
    /// `PID/name`, in parentheses when it is the listener's: nobody had accepted the connection.
    program: Option<Vec<u8>>,
}

impl Closed {
    fn new(at: Mono, conn: Conn) -> Self {
        let tuple = &conn.identity.tuple;
        let row = SockRow {
            protocol: Protocol::Tcp,
            family: tuple.family,
            state: conn.state,
            local: tuple.local(),
            foreign: tuple.foreign(),
            bound_if: tuple.bound_if,
            cookie: conn.id.cookie,
            netns: conn.identity.netns,
            uid: conn.identity.uid.unwrap_or(0),
            inode: conn.inode,
            rqueue: conn.rqueue.unwrap_or(0),
            wqueue: conn.wqueue.unwrap_or(0),
            timer: Timer { kind: TimerKind::Off, expires_ms: 0, retransmits: 0, probes: 0 },
            drops: None,
            v6only: None,
            cgroup: conn.identity.cgroup,
            totals: None,
        };
        let program = conn.owner.as_ref().map(|owner| {
            let comm = owner.comm.bytes();
            let comm = if comm.is_empty() { b"-" } else { comm };
            let name = [owner.pid.to_string().as_bytes(), b"/", comm].concat();
            match owner.how {
                How::Inherited => [b"(", &*name, b")"].concat(),
                _ => name,
            }
        });
        Self { at, conn, row, program }
    }

    /// Whose it was, as far as that is known.
    pub fn process(&self) -> Option<Pid> {
        self.conn.owner.as_ref().map(|owner| owner.pid)
    }

    /// Cells that the socket does not tell; `netns` is the name of its namespace.
    pub fn extra<'a>(&'a self, netns: &'a [u8]) -> Extra<'a> {
        Extra { program: self.program.as_deref(), netns, ..Extra::default() }
    }
}

/// The connections of one round that ended, in the order of their ends.
#[derive(Debug, Default)]
pub struct Round {
    /// By namespace, which is 0 when only one is listed, and family.
    by_place: BTreeMap<(u32, Family), Vec<Closed>>,
    all_netns: bool,
}

impl Round {
    fn new(plan: &ListPlan, closed: impl Iterator<Item = (Mono, Conn)>) -> Self {
        let mut round = Self { by_place: BTreeMap::new(), all_netns: plan.all_netns };
        if plan.which == Which::Listening {
            return round;
        }
        for (at, conn) in closed {
            let tuple = &conn.identity.tuple;
            // Without a foreign port it was a listener.
            let wanted = plan.selection.is_empty() || plan.selection.wants(&Subject::of_conn(&conn));
            if wanted && tuple.rport != 0 && plan.tables.contains(&(Protocol::Tcp, tuple.family)) {
                let place = round.place(conn.identity.netns, tuple.family);
                round.by_place.entry(place).or_default().push(Closed::new(at, conn));
            }
        }
        for closed in round.by_place.values_mut() {
            closed.sort_by_key(|closed| (closed.at, closed.conn.id.cookie));
        }
        round
    }

    fn place(&self, inum: u32, family: Family) -> (u32, Family) {
        (if self.all_netns { inum } else { 0 }, family)
    }

    /// Those that belong to a table of the namespace with this inode.
    pub fn of(&self, inum: u32, wanted: Wanted) -> &[Closed] {
        match wanted.protocol {
            Protocol::Tcp => self.by_place.get(&self.place(inum, wanted.family)).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    /// Inodes of the namespaces that have any, each once.
    pub fn namespaces(&self) -> impl Iterator<Item = u32> {
        let mut before = None;
        self.by_place
            .keys()
            .filter_map(move |&(inum, _)| (before.replace(inum) != Some(inum)).then_some(inum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Comm, Endpoint, Identity, Owner, Pid, Process, SockId, TcpState, Tuple};
    use crate::render::sample;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::num::NonZeroU64;

    const AT: Mono = Mono(1_000);

    fn conn(family: Family, netns: u32, rport: u16) -> Conn {
        let addr = match family {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        };
        let (local, foreign) = (Endpoint { addr, port: 40_000 }, Endpoint { addr, port: rport });
        let tuple = Tuple::new(local, foreign, family, 0);
        Conn {
            id: SockId { cookie: NonZeroU64::new(rport.into()), pointer: None },
            identity: Identity { tuple, netns, uid: None, cgroup: None },
            state: TcpState::Close,
            owner: None,
            inode: 0,
            rqueue: None,
            wqueue: None,
            ..sample::conn()
        }
    }

    fn plan(which: Which, all_netns: bool) -> ListPlan {
        let tables = vec![(Protocol::Tcp, Family::V4), (Protocol::Udp, Family::V6)];
        ListPlan { tables, which, all_netns, ..ListPlan::default() }
    }

    fn ports(round: &Round, inum: u32, protocol: Protocol, family: Family) -> Vec<u16> {
        let wanted = Wanted { protocol, family, which: Which::All, totals: false };
        round.of(inum, wanted).iter().map(|closed| closed.row.foreign.port).collect()
    }

    #[test]
    fn each_table_gets_its_own_in_the_order_of_their_ends() {
        let closed = || {
            let four = |netns, port| conn(Family::V4, netns, port);
            [(Mono(3), four(7, 1)), (Mono(1), four(7, 2)), (AT, four(9, 3)), (AT, conn(Family::V6, 7, 4))]
        };
        let round = Round::new(&plan(Which::All, true), closed().into_iter());
        assert_eq!(ports(&round, 7, Protocol::Tcp, Family::V4), [2, 1]);
        assert_eq!(ports(&round, 9, Protocol::Tcp, Family::V4), [3]);
        assert_eq!(round.namespaces().collect::<Vec<_>>(), [7, 9]);
        for (protocol, family) in [(Protocol::Tcp, Family::V6), (Protocol::Udp, Family::V4)] {
            assert!(ports(&round, 7, protocol, family).is_empty(), "{protocol:?} {family:?}");
        }
        // With one namespace its number does not matter: it may be unknown.
        let round = Round::new(&plan(Which::Connected, false), closed().into_iter());
        assert_eq!(ports(&round, 0, Protocol::Tcp, Family::V4), [2, 1, 3]);
    }

    #[test]
    fn listeners_are_no_connections_and_no_connection_listens() {
        let closed = [(AT, conn(Family::V4, 7, 0))];
        let round = Round::new(&plan(Which::All, false), closed.into_iter());
        assert!(ports(&round, 0, Protocol::Tcp, Family::V4).is_empty());
        let closed = [(AT, conn(Family::V4, 7, 5))];
        let round = Round::new(&plan(Which::Listening, false), closed.into_iter());
        assert!(ports(&round, 0, Protocol::Tcp, Family::V4).is_empty());
    }

    #[test]
    fn a_row_has_what_is_known_and_0_for_the_rest() {
        let unknown = Closed::new(AT, conn(Family::V4, 7, 5));
        let row = &unknown.row;
        assert_eq!((row.state, row.rqueue, row.wqueue, row.uid, row.inode), (TcpState::Close, 0, 0, 0, 0));
        assert_eq!(unknown.extra(b"").program, None);
        let mut known = conn(Family::V4, 7, 5);
        (known.rqueue, known.wqueue, known.inode, known.identity.uid) = (Some(1), Some(2), 3, Some(4));
        let process = Process::named(Pid::new(6).unwrap(), Comm::from_bytes(b"a b"));
        let owner = |how| Owner::alone(process, how);
        known.owner = Some(owner(How::Accepted));
        let accepted = Closed::new(AT, known.clone());
        let row = &accepted.row;
        assert_eq!((row.rqueue, row.wqueue, row.inode, row.uid), (1, 2, 3, 4));
        assert_eq!(accepted.extra(b"").program, Some(&b"6/a b"[..]));
        known.owner = Some(owner(How::Inherited));
        assert_eq!(Closed::new(AT, known).extra(b"").program, Some(&b"(6/a b)"[..]));
    }
}
