//! Host names: many lookups side by side under one deadline, so that a dead resolver stalls nothing.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lookups under way at one time. They mostly wait; glibc allows one query each.
const WORKERS: usize = 32;

type Lookup = dyn Fn(IpAddr) -> Option<Vec<u8>> + Send + Sync;

/// Names of addresses, looked up once.
pub struct Hosts {
    lookup: Arc<Lookup>,
    shared: Arc<Shared>,
    /// What was known when [`Hosts::resolve`] last returned. `None`: it has no name.
    known: FxHashMap<IpAddr, Option<Vec<u8>>>,
    workers: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<IpAddr>,
    found: Vec<(IpAddr, Option<Vec<u8>>)>,
    /// Asked for and not found yet.
    open: usize,
    /// Its owner is gone: workers end.
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic of a lookup: the state is whole whenever the lock is given up.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hosts {
    /// Asks the system's resolver (getnameinfo, so hosts, DNS and whatever nsswitch.conf names).
    pub fn of_resolver() -> Self {
        Self::new(|addr| {
            let name =
                dns_lookup::getnameinfo(&SocketAddr::new(addr, 0), libc::NI_NAMEREQD | libc::NI_NUMERICSERV);
            name.ok().map(|(host, _)| host.into_bytes())
        })
    }

    /// Asks `lookup`, from several threads.
    pub fn new(lookup: impl Fn(IpAddr) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), shared: Arc::default(), known: FxHashMap::default(), workers: 0 }
    }

    /// The name, if it was found.
    pub fn name(&self, addr: IpAddr) -> Option<&[u8]> {
        self.known.get(&addr)?.as_deref()
    }

    /// See [`Names::resolve`](super::Names::resolve).
    pub fn resolve(&mut self, addrs: impl IntoIterator<Item = IpAddr>, patience: Duration) -> usize {
        let mut state = self.shared.lock();
        for addr in addrs {
            // The unspecified address is no host.
            if !addr.is_unspecified() && !self.known.contains_key(&addr) {
                self.known.insert(addr, None);
                state.waiting.push_back(addr);
                state.open += 1;
            }
        }
        let wanted = WORKERS.min(state.open);
        drop(state);
        // Those that were hired before wait for work.
        self.shared.changed.notify_all();
        while self.workers < wanted && self.hire() {
            self.workers += 1;
        }
        let mut state = self.shared.lock();
        if self.workers == 0 {
            state.waiting.clear();
        } else {
            let deadline = Instant::now() + patience;
            while state.open > 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                state =
                    self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        self.known.extend(state.found.drain(..));
        state.open
    }

    /// Starts one more worker; false when the system refuses another thread.
    fn hire(&self) -> bool {
        let (shared, lookup) = (Arc::clone(&self.shared), Arc::clone(&self.lookup));
        std::thread::Builder::new().name("names".to_owned()).spawn(move || work(&shared, &*lookup)).is_ok()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
    }
}

fn work(shared: &Shared, lookup: &Lookup) {
    let mut state = shared.lock();
    while !state.over {
        let Some(addr) = state.waiting.pop_front() else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let name = lookup(addr);
        state = shared.lock();
        state.found.push((addr, name));
        state.open -= 1;
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn addr(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn each_address_is_asked_once() {
        let (asked, count) = mpsc::channel();
        let mut hosts = Hosts::new(move |addr| {
            asked.send(addr).unwrap();
            (addr == self::addr(1)).then(|| b"one".to_vec())
        });
        for _ in 0..2 {
            assert_eq!(
                hosts.resolve([addr(1), addr(2), addr(1), IpAddr::from([0; 4])], Duration::from_secs(60)),
                0
            );
        }
        assert_eq!((hosts.name(addr(1)), hosts.name(addr(2))), (Some(b"one".as_slice()), None));
        assert_eq!(count.try_iter().count(), 2);
    }

    #[test]
    fn those_who_wait_for_work_are_told_of_it() {
        let mut hosts = Hosts::new(|addr| Some(addr.to_string().into_bytes()));
        for last in 0..20 {
            assert_eq!(hosts.resolve([addr(last)], Duration::from_secs(60)), 0);
            assert_eq!(hosts.name(addr(last)), Some(addr(last).to_string().as_bytes()));
        }
    }

    #[test]
    fn a_silent_resolver_is_left_behind_and_heard_later() {
        let (answer, answers) = mpsc::channel::<()>();
        let answers = Mutex::new(answers);
        let mut hosts = Hosts::new(move |_| {
            answers.lock().unwrap().recv().ok()?;
            Some(b"late".to_vec())
        });
        assert_eq!(hosts.resolve([addr(1), addr(2)], Duration::from_millis(1)), 2);
        assert_eq!(hosts.name(addr(1)), None);
        answer.send(()).unwrap();
        answer.send(()).unwrap();
        assert_eq!(hosts.resolve([], Duration::from_secs(60)), 0);
        assert_eq!(hosts.name(addr(1)), Some(b"late".as_slice()));
    }
}
