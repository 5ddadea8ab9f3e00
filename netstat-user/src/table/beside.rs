//! Sockets beside TCP: those of UDP and unix as listings show them, those of MPTCP and SCTP as events tell.

use super::processes::Processes;
use crate::model::{
    Beside, BesideChange, BesideListing, BesideMoved, Comm, Doing, How, Identity, Learnt, Mono, Pid, SockId,
    Told, Transport, UnixName,
};
use rustc_hash::FxHashMap;

/// Listings in a row that must lack a socket until it is taken for gone: a dump may skip one when a hash chain changes.
const MISSES: u8 = 2;

const KTHREADD: Pid = Pid::new(2).unwrap();

/// What names a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Cookie(u64),
    /// Its address in the kernel. Before 6.13 an accepted socket of MPTCP has its listener's cookie.
    Pointer(u64),
    /// Its inode: /proc tells no more of unix sockets.
    Inode(u32),
}

#[derive(Debug)]
struct Row {
    socket: Beside,
    /// When it began to do what it does; `None`: before us.
    since: Option<Mono>,
    /// Listings in a row that lacked it.
    missed: u8,
    /// Number of the listing that showed it last.
    seen: u64,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Sockets {
    rows: FxHashMap<Key, Row>,
    listings: u64,
}

impl Sockets {
    /// Takes an event. At most `most` sockets are kept.
    pub fn moved(&mut self, moved: &BesideMoved, processes: &Processes, most: usize, out: &mut Vec<Told>) {
        let BesideMoved { at, transport, id, from, to, err, actor, identity } = *moved;
        let Some(key) = key_of_event(id) else { return };
        let (from, to) = (Doing::of(from), Doing::of(to));
        if from == to {
            return;
        }
        let known =
            self.rows.get(&key).filter(|row| row.socket.doing == from && row.socket.transport == transport);
        let own = known.and_then(|row| row.socket.owner.zip(Some(row.socket.how)));
        // A worker of the kernel does much of MPTCP's work.
        let actor = actor.filter(|&pid| !processes.is_kernels(pid));
        let acting = actor.map(|pid| ((pid, processes.comm(pid).unwrap_or_default()), How::Opened));
        let inherited = || self.listener(transport, &identity).zip(Some(How::Inherited));
        let owner = match own {
            Some((owner, How::Inherited)) => acting.or(Some((owner, How::Inherited))),
            Some(own) => Some(own),
            None => acting.or_else(inherited),
        };
        let (owner, how) = owner.map_or((None, How::Used), |(owner, how)| (Some(owner), how));
        let mut socket = Beside {
            transport,
            doing: to,
            id,
            identity,
            name: UnixName::NONE,
            inode: 0,
            owner,
            how,
            queues: None,
            drops: None,
        };
        // The addresses of MPTCP may come later than its state, and be gone before it.
        if let Some(row) = known
            && socket.identity.tuple.rport == 0
        {
            socket.identity = row.socket.identity;
        }
        let spent = known.and_then(|row| row.since).map(|since| at.since(since));
        out.push(Told::Socket(BesideChange {
            at,
            from,
            spent,
            learnt: Learnt::Event,
            err,
            socket,
            dropped: 0,
        }));
        if to == Doing::Gone {
            self.rows.remove(&key);
        } else if self.rows.len() < most || self.rows.contains_key(&key) {
            self.rows.insert(key, Row { socket, since: Some(at), missed: 0, seen: 0 });
        }
    }

    /// Who owns the listener that a socket must come from.
    fn listener(&self, transport: Transport, identity: &Identity) -> Option<(Pid, Comm)> {
        let (lport, netns) = (identity.tuple.lport, identity.netns);
        let of = |row: &&Row| {
            let socket = &row.socket;
            socket.doing == Doing::Listening
                && socket.transport == transport
                && (socket.identity.tuple.lport, socket.identity.netns) == (lport, netns)
        };
        self.rows.values().find(of).and_then(|row| row.socket.owner)
    }

    /// Takes a listing. At most `most` sockets are kept.
    pub fn listed(&mut self, listing: BesideListing, most: usize, out: &mut Vec<Told>) {
        let BesideListing { at, faulty, udp, unix, rows, initial } = listing;
        self.listings += 1;
        let number = self.listings;
        for socket in rows {
            let Some(key) = key_of_row(&socket) else { continue };
            let has_room = self.rows.len() < most;
            match self.rows.get_mut(&key) {
                Some(row) => {
                    row.seen = number;
                    row.missed = 0;
                    row.update(at, socket, out);
                }
                None if has_room => {
                    if !initial {
                        let (from, learnt) = (Doing::Gone, Learnt::Listing);
                        let change =
                            BesideChange { at, from, spent: None, learnt, err: 0, socket, dropped: 0 };
                        out.push(Told::Socket(change));
                    }
                    let since = (!initial).then_some(at);
                    self.rows.insert(key, Row { socket, since, missed: 0, seen: number });
                }
                None => {}
            }
        }
        self.rows.retain(|_, row| {
            let listed = match row.socket.transport {
                Transport::Udp | Transport::UdpLite => udp,
                Transport::Unix(_) => unix,
                Transport::Mptcp | Transport::Sctp => false,
            };
            if !listed || row.seen == number || faulty.contains(&row.socket.identity.netns) {
                return true;
            }
            row.missed += 1;
            if row.missed < MISSES {
                return true;
            }
            row.tell(at, Doing::Gone, 0, out);
            false
        });
    }
}

impl Row {
    fn update(&mut self, at: Mono, socket: Beside, out: &mut Vec<Told>) {
        let before = self.socket;
        // What could not be found this time is still true.
        self.socket = Beside { owner: socket.owner.or(before.owner), ..socket };
        let dropped = socket.drops.unwrap_or(0).saturating_sub(before.drops.unwrap_or(0));
        let moved = before.doing != socket.doing || before.identity.tuple != socket.identity.tuple;
        if moved || dropped > 0 {
            self.socket.doing = before.doing;
            self.tell(at, socket.doing, dropped, out);
        }
    }

    fn tell(&mut self, at: Mono, to: Doing, dropped: u64, out: &mut Vec<Told>) {
        let from = std::mem::replace(&mut self.socket.doing, to);
        let spent = self.since.map(|since| at.since(since));
        let (learnt, socket) = (Learnt::Listing, self.socket);
        out.push(Told::Socket(BesideChange { at, from, spent, learnt, err: 0, socket, dropped }));
        if from != to {
            self.since = Some(at);
        }
    }
}

fn key_of_event(id: SockId) -> Option<Key> {
    let pointer = id.pointer.map(|pointer| Key::Pointer(pointer.get()));
    pointer.or(id.cookie.map(|cookie| Key::Cookie(cookie.get())))
}

fn key_of_row(socket: &Beside) -> Option<Key> {
    let cookie = socket.id.cookie.map(|cookie| Key::Cookie(cookie.get()));
    cookie.or((socket.inode != 0).then_some(Key::Inode(socket.inode)))
}

impl Processes {
    /// The name of a process that was told of.
    fn comm(&self, pid: Pid) -> Option<Comm> {
        self.current_process(pid).map(|process| process.comm)
    }

    /// Whether it is one of the kernel's own threads, which kthreadd (process 2 of the initial namespace) makes.
    fn is_kernels(&self, pid: Pid) -> bool {
        let parent = self.current_process(pid).and_then(|process| process.parent);
        pid == KTHREADD || parent == Some(KTHREADD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Process, TcpState, UnixKind};
    use crate::render::sample;
    use std::num::NonZeroU64;

    const MOST: usize = 4;

    fn identity() -> Identity {
        Identity { netns: 7, ..sample::conn().identity }
    }

    fn udp(cookie: u64, doing: Doing, drops: u64) -> Beside {
        Beside {
            transport: Transport::Udp,
            doing,
            id: SockId { cookie: NonZeroU64::new(cookie), pointer: None },
            identity: identity(),
            name: UnixName::NONE,
            inode: 5,
            owner: Some((sample::pid(4711), Comm::from_bytes(b"named"))),
            how: How::Held,
            queues: Some((0, 0)),
            drops: Some(drops),
        }
    }

    fn listing(at: u64, rows: Vec<Beside>) -> BesideListing {
        BesideListing { at: Mono(at), faulty: Vec::new(), udp: true, unix: true, rows, initial: at == 0 }
    }

    /// From, to, datagrams dropped.
    fn told(out: &mut Vec<Told>) -> Vec<(Doing, Doing, u64)> {
        let change = |told: Told| match told {
            Told::Socket(change) => (change.from, change.socket.doing, change.dropped),
            other => panic!("{other:?}"),
        };
        out.drain(..).map(change).collect()
    }

    #[test]
    fn listings_tell_what_came_changed_dropped_and_went() {
        use Doing::{Connected, Gone, Unconnected};
        let (mut sockets, mut out) = (Sockets::default(), Vec::new());
        sockets.listed(listing(0, vec![udp(1, Unconnected, 3)]), MOST, &mut out);
        assert!(out.is_empty(), "it was there before");
        sockets.listed(listing(1, vec![udp(1, Unconnected, 3), udp(2, Unconnected, 0)]), MOST, &mut out);
        assert_eq!(told(&mut out), [(Gone, Unconnected, 0)]);
        sockets.listed(listing(2, vec![udp(1, Connected, 3), udp(2, Unconnected, 9)]), MOST, &mut out);
        assert_eq!(told(&mut out), [(Unconnected, Connected, 0), (Unconnected, Unconnected, 9)]);
        sockets.listed(listing(3, vec![udp(1, Connected, 3)]), MOST, &mut out);
        assert!(out.is_empty(), "one listing may skip it");
        sockets.listed(listing(4, vec![udp(1, Connected, 3)]), MOST, &mut out);
        assert_eq!(told(&mut out), [(Unconnected, Gone, 0)]);
        // A namespace that could not be listed says nothing.
        let refused = |at| BesideListing { faulty: vec![7], ..listing(at, Vec::new()) };
        sockets.listed(refused(5), MOST, &mut out);
        sockets.listed(refused(6), MOST, &mut out);
        assert!(out.is_empty() && sockets.rows.len() == 1);
    }

    #[test]
    fn unix_sockets_go_by_inode_and_memory_is_bounded() {
        let (mut sockets, mut out) = (Sockets::default(), Vec::new());
        let unix = |inode| Beside {
            transport: Transport::Unix(UnixKind::Stream),
            id: SockId::default(),
            inode,
            name: UnixName::new(b"/run/x"),
            ..udp(0, Doing::Listening, 0)
        };
        sockets.listed(listing(1, (0..10).map(unix).collect()), MOST, &mut out);
        assert_eq!(told(&mut out).len(), MOST, "inode 0 names nothing, and more than {MOST} have no room");
        let mut only_udp = listing(2, Vec::new());
        only_udp.unix = false;
        sockets.listed(only_udp.clone(), MOST, &mut out);
        sockets.listed(only_udp, MOST, &mut out);
        assert!(out.is_empty() && sockets.rows.len() == MOST);
    }

    #[test]
    fn an_mptcp_connection_keeps_its_opener_and_its_addresses() {
        let (mut sockets, mut out) = (Sockets::default(), Vec::new());
        let processes = Processes::default();
        let id = SockId { cookie: NonZeroU64::new(9), pointer: NonZeroU64::new(0xffff) };
        let step = |at, from, to, actor| BesideMoved {
            at: Mono(at),
            transport: Transport::Mptcp,
            id,
            from,
            to,
            err: 0,
            actor,
            identity: identity(),
        };
        let opener = Some(sample::pid(1));
        let worker = Some(sample::pid(2));
        sockets.moved(&step(1, TcpState::Close, TcpState::SynSent, opener), &processes, MOST, &mut out);
        sockets.moved(&step(2, TcpState::SynSent, TcpState::SynSent, None), &processes, MOST, &mut out);
        sockets.moved(&step(3, TcpState::SynSent, TcpState::Established, worker), &processes, MOST, &mut out);
        let mut last = step(9, TcpState::Established, TcpState::Close, worker);
        (last.identity.tuple.rport, last.identity.tuple.lport) = (0, 0);
        sockets.moved(&last, &processes, MOST, &mut out);
        assert_eq!(out.len(), 3);
        for change in &out {
            let Told::Socket(change) = change else { panic!("{change:?}") };
            assert_eq!(change.socket.owner.map(|(pid, _)| pid), opener, "{change:?}");
            assert_eq!(change.socket.identity.tuple.rport, 80, "{change:?}");
        }
        assert!(sockets.rows.is_empty());
    }

    #[test]
    fn what_was_accepted_inherits_and_the_kernels_own_threads_own_nothing() {
        let (mut sockets, mut out) = (Sockets::default(), Vec::new());
        let mut processes = Processes::default();
        let process = |pid, comm: &[u8], parent| Process {
            pid: sample::pid(pid),
            comm: Comm::from_bytes(comm),
            start: 1,
            uid: Some(0),
            parent: Some(sample::pid(parent)),
            inner: None,
        };
        processes.told(process(100, b"server", 1));
        processes.told(process(50, b"kworker/0:1", 2));
        let step = |pointer, from, to, actor: u32| BesideMoved {
            at: Mono(pointer),
            transport: Transport::Mptcp,
            // Before 6.13 both have the listener's cookie.
            id: SockId { cookie: NonZeroU64::new(9), pointer: NonZeroU64::new(pointer) },
            from,
            to,
            err: 0,
            actor: Pid::new(actor),
            identity: identity(),
        };
        for moved in [
            step(1, TcpState::Close, TcpState::Listen, 100),
            step(2, TcpState::Listen, TcpState::Established, 0),
            step(2, TcpState::Established, TcpState::CloseWait, 50),
            step(2, TcpState::CloseWait, TcpState::LastAck, 100),
        ] {
            sockets.moved(&moved, &processes, MOST, &mut out);
        }
        let owners: Vec<_> = out
            .iter()
            .map(|told| match told {
                Told::Socket(change) => (change.socket.owner.map(|(pid, _)| pid.get()), change.socket.how),
                other => panic!("{other:?}"),
            })
            .collect();
        let (inherited, opened) = ((Some(100), How::Inherited), (Some(100), How::Opened));
        assert_eq!(owners, [opened, inherited, inherited, opened]);
        assert!(sockets.rows.len() == 2, "two sockets, whatever their cookie");
    }
}
