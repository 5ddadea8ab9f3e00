//! The thread that lists sockets of UDP and unix again and again: where no hook tells of them, that is how they are seen.

use super::live::Scope;
use crate::model::{
    Beside, BesideListing, Doing, Endpoint, Family, How, Identity, Mono, Protocol, SockId, SockRow, States,
    TcpState, Transport, Tuple, UnixName, UnixRow, UnixState,
};
use crate::source::{All, Depth, Diag, Netns, Procfs, Request, chain, owner};
use rustc_hash::{FxHashMap, FxHashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Time between two listings, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// A listing may take this share of the time (1/20).
const SHARE: u32 = 20;
/// How often namespaces are looked for that only a file or a socket keeps.
const SEARCH: Duration = Duration::from_secs(10);

/// A listing and what went wrong with it, in words for people.
pub(super) struct News {
    pub listing: BesideListing,
    pub troubles: Vec<String>,
}

/// The thread; it ends when this is dropped.
pub(super) struct Lists {
    news: UnboundedReceiver<News>,
    end: Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Lists {
    /// Starts listing what is wanted, if anything is; one namespace is kept alive by the caller.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(scope: &Scope, udp: bool, unix: bool) -> std::io::Result<Option<Self>> {
        if !(udp || unix) {
            return Ok(None);
        }
        let place = match scope {
            Scope::One(netns) => Some(netns.try_clone()?),
            Scope::All => None,
        };
        let (end, ended) = channel();
        let (say, news) = unbounded_channel();
        let mut desk = Desk {
            place,
            udp,
            unix,
            owners: FxHashMap::default(),
            searched: None,
            hidden: Vec::new(),
            initial: true,
        };
        let work = move || {
            loop {
                let began = Instant::now();
                if !desk.round(&say) {
                    return;
                }
                match ended.recv_timeout(PAUSE.max(began.elapsed() * SHARE)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("beside".into()).spawn(work)?;
        Ok(Some(Self { news, end, thread: Some(thread) }))
    }

    /// What comes next; nothing ever without a thread.
    pub async fn next(lists: Option<&mut Self>) -> News {
        if let Some(lists) = lists
            && let Some(news) = lists.news.recv().await
        {
            return news;
        }
        std::future::pending().await
    }
}

impl Drop for Lists {
    fn drop(&mut self) {
        // It may have ended by a panic.
        let _ = self.end.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Desk {
    /// `None`: all namespaces.
    place: Option<Netns>,
    udp: bool,
    unix: bool,
    /// Who holds the sockets that were there the last time, by inode; `None`: looked for in vain.
    owners: FxHashMap<u32, Option<(crate::model::Pid, crate::model::Comm)>>,
    /// When the files of all processes were last looked through for namespaces.
    searched: Option<Instant>,
    /// Those that were found then, and by no shorter look.
    hidden: Vec<u32>,
    initial: bool,
}

impl Desk {
    /// Lists once. False: nobody listens any more.
    fn round(&mut self, say: &UnboundedSender<News>) -> bool {
        let mut troubles = Vec::new();
        let (mut rows, mut faulty) = (Vec::new(), Vec::new());
        let all = if self.place.is_none() { self.namespaces(&mut faulty, &mut troubles) } else { Vec::new() };
        for netns in self.place.iter().chain(&all) {
            if let Err(trouble) = self.list(netns, &mut rows) {
                faulty.push(netns.inum);
                troubles.push(format!("listing sockets of network namespace {}: {trouble}", netns.inum));
            }
        }
        self.find_owners(&mut rows, &mut troubles);
        let initial = std::mem::take(&mut self.initial);
        let (udp, unix) = (self.udp, self.unix);
        let listing = BesideListing { at: Mono::now(), faulty, udp, unix, rows, initial };
        say.send(News { listing, troubles }).is_ok()
    }

    fn namespaces(&mut self, faulty: &mut Vec<u32>, troubles: &mut Vec<String>) -> Vec<Netns> {
        let due = self.searched.is_none_or(|at| at.elapsed() >= SEARCH);
        if due {
            self.searched = Some(Instant::now());
        }
        let all = All::find(if due { Depth::Sockets } else { Depth::Threads });
        troubles.extend(all.errors.iter().map(|error| chain(error)));
        if due {
            self.hidden.clone_from(&all.hidden);
        } else {
            // Not looked for this time.
            let found = |inum: &u32| all.found.iter().any(|netns| netns.inum == *inum);
            faulty.extend(self.hidden.iter().filter(|inum| !found(inum)));
        }
        all.found
    }

    fn list(&self, netns: &Netns, rows: &mut Vec<Beside>) -> Result<(), String> {
        if self.udp {
            let mut diag = Diag::open(netns).map_err(|error| chain(&error))?;
            for protocol in [Protocol::Udp, Protocol::UdpLite] {
                for family in [Family::V4, Family::V6] {
                    let request = Request { protocol, family, states: States::ALL, totals: false };
                    match diag.list(&request, &mut |row| rows.push(inet(row))) {
                        Ok(_) => {}
                        // A kernel without it has no such sockets.
                        Err(error) if error.is_absent() => {}
                        Err(error) => return Err(chain(&error)),
                    }
                }
            }
        }
        if self.unix {
            let inum = netns.inum;
            let mut found = Vec::new();
            let read = || Procfs::host().unix(&mut |row| found.push(unix(row, inum)));
            let pass = netns.run(read).map_err(|error| chain(&error))?.map_err(|error| chain(&error))?;
            rows.append(&mut found);
            if let Some(fault) = pass.faults.first() {
                return Err(chain(fault));
            }
        }
        Ok(())
    }

    /// One pass over all processes when there are sockets that were not there before.
    fn find_owners(&mut self, rows: &mut [Beside], troubles: &mut Vec<String>) {
        let present: FxHashSet<u32> = rows.iter().map(|row| row.inode).filter(|&inode| inode != 0).collect();
        self.owners.retain(|inode, _| present.contains(inode));
        let new: FxHashSet<u32> =
            present.into_iter().filter(|inode| !self.owners.contains_key(inode)).collect();
        if !new.is_empty() {
            match owner::scan(Path::new("/proc"), Some(&|inode| new.contains(&inode))) {
                Ok(scan) => {
                    self.owners.extend(new.iter().map(|&inode| (inode, None)));
                    // The lowest number, so that two runs agree.
                    for holder in &scan.holders {
                        let known = self.owners.entry(holder.inode).or_default();
                        let process = (holder.process.pid, holder.process.comm);
                        if known.is_none_or(|(pid, _)| process.0 < pid) {
                            *known = Some(process);
                        }
                    }
                }
                Err(error) => troubles.push(format!("finding the owners of sockets: {}", chain(&error))),
            }
        }
        for row in rows {
            row.owner = self.owners.get(&row.inode).copied().flatten();
        }
    }
}

fn inet(row: &SockRow) -> Beside {
    let udplite = row.protocol == Protocol::UdpLite;
    Beside {
        transport: if udplite { Transport::UdpLite } else { Transport::Udp },
        doing: if row.state == TcpState::Established { Doing::Connected } else { Doing::Unconnected },
        id: SockId { cookie: row.cookie, pointer: None },
        identity: Identity {
            tuple: Tuple::new(row.local, row.foreign, row.family, row.bound_if),
            netns: row.netns,
            uid: Some(row.uid),
            cgroup: row.cgroup,
        },
        name: UnixName::NONE,
        inode: row.inode,
        owner: None,
        how: How::Held,
        queues: Some((row.rqueue, row.wqueue)),
        drops: row.drops,
    }
}

fn unix(row: &UnixRow, netns: u32) -> Beside {
    let nowhere = Endpoint { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 };
    Beside {
        transport: Transport::Unix(row.kind),
        doing: match row.state {
            UnixState::Unconnected if row.listening => Doing::Listening,
            UnixState::Connected | UnixState::Disconnecting => Doing::Connected,
            UnixState::Connecting => Doing::Moving(TcpState::SynSent),
            UnixState::Free | UnixState::Unconnected | UnixState::Other(_) => Doing::Unconnected,
        },
        id: SockId { cookie: row.cookie, pointer: None },
        identity: Identity {
            tuple: Tuple::new(nowhere, nowhere, Family::V4, 0),
            netns,
            uid: None,
            cgroup: None,
        },
        name: UnixName::new(&row.path),
        // Inodes of sockets have 32 bits in the kernel (sock_alloc_inode, get_next_ino).
        inode: u32::try_from(row.inode).unwrap_or(0),
        owner: None,
        how: How::Held,
        queues: None,
        drops: None,
    }
}
