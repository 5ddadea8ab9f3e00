//! Sockets as a plain list.

use netstat_user::model::{
    Answer, Closing, Endpoint, Event, Family, Identity, Listing, Mini, MiniSeen, Mono, Moved, PortSeen,
    Protocol, Question, SockId, SockRow, States, TcpState, Timer, TimerKind, Tuple,
};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;

pub const NETNS: u32 = 4_026_531_840;

/// What kind of kernel object a socket is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    Full,
    Request,
    Timewait,
    Gone,
}

#[derive(Clone, Debug)]
pub struct Socket {
    pub pointer: u64,
    /// Address of the request or timewait socket.
    pub mini: u64,
    pub cookie: u64,
    /// The cookie was given: somebody asked for it.
    pub named: bool,
    pub port: u16,
    pub state: TcpState,
    pub object: Object,
    pub expires: Mono,
    /// A timewait socket that was listed or asked about. Real ones last a minute, questions a few milliseconds, so only
    /// these end here.
    pub shown: bool,
    /// Every move, as the log should tell it. A request's SYN_RECV and the ends of timewait sockets are not in it.
    pub history: Vec<(TcpState, TcpState)>,
}

pub struct Kernel {
    pub now: Mono,
    pub sockets: Vec<Socket>,
    /// Events can name the cookie.
    cookies: bool,
    /// Requests, timewait sockets and the choice of a port have events.
    pub minis: bool,
    next: u64,
}

pub fn identity(port: u16) -> Identity {
    let end = |last, port| Endpoint { addr: IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), port };
    Identity {
        tuple: Tuple::new(end(1, port), end(2, 80), Family::V4, 0),
        netns: NETNS,
        uid: Some(0),
        cgroup: None,
    }
}

/// Listeners have a port each: two with the same address and no cookie cannot be told apart.
fn listener(port: u16) -> Identity {
    let any = |port| Endpoint { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port };
    Identity { tuple: Tuple::new(any(port), any(0), Family::V4, 0), netns: NETNS, uid: Some(0), cgroup: None }
}

impl Socket {
    pub fn identity(&self) -> Identity {
        if self.state == TcpState::Listen { listener(self.port) } else { identity(self.port) }
    }
}

impl Kernel {
    pub fn new(cookies: bool) -> Self {
        Self { now: Mono(1_000_000_000), sockets: Vec::new(), cookies, minis: false, next: 1 }
    }

    pub fn with_minis(cookies: bool) -> Self {
        Self { minis: true, ..Self::new(cookies) }
    }

    pub fn open(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().filter(|socket| socket.object != Object::Gone)
    }

    fn tick(&mut self) -> Mono {
        self.now = Mono(self.now.0 + 1_000);
        self.now
    }

    fn add(&mut self, state: TcpState, object: Object) -> usize {
        self.next += 1;
        self.sockets.push(Socket {
            // Addresses are used again and again, cookies never.
            pointer: 0x1000 + self.next % 64,
            mini: 0x9000 + self.next % 64,
            cookie: self.next,
            named: self.cookies,
            port: 1_000 + (self.next % 60_000) as u16,
            state,
            object,
            expires: Mono(0),
            shown: false,
            history: Vec::new(),
        });
        while self.sockets[..self.sockets.len() - 1].iter().any(|other| {
            other.object == Object::Full && other.pointer == self.sockets[self.sockets.len() - 1].pointer
        }) {
            let last = self.sockets.len() - 1;
            self.sockets[last].pointer += 0x1000;
        }
        while self.sockets[..self.sockets.len() - 1].iter().any(|other| {
            other.object != Object::Gone && other.mini == self.sockets[self.sockets.len() - 1].mini
        }) {
            let last = self.sockets.len() - 1;
            self.sockets[last].mini += 0x1000;
        }
        self.sockets.len() - 1
    }

    fn moved(&mut self, index: usize, to: TcpState) -> Event {
        let at = self.tick();
        let cookies = self.cookies;
        let socket = &mut self.sockets[index];
        let from = socket.state;
        socket.history.push((from, to));
        socket.state = to;
        let identity = if from == TcpState::Listen { listener(socket.port) } else { socket.identity() };
        let id = SockId {
            cookie: NonZeroU64::new(socket.cookie).filter(|_| socket.named),
            pointer: NonZeroU64::new(socket.pointer),
        };
        let lean = cookies && !matches!(from, TcpState::Close | TcpState::SynRecv) && to != TcpState::Close;
        Event::Moved(Moved {
            at,
            id,
            from,
            to,
            lport: identity.tuple.lport,
            err: 0,
            actor: None,
            released: false,
            identity: (!lean).then_some(identity),
            totals: None,
            closing: Closing::default(),
            syn_retrans: None,
        })
    }

    /// Something happens to a request or timewait socket.
    fn mini(&mut self, index: usize, what: Mini) -> Vec<Event> {
        let at = self.tick();
        let minis = self.minis;
        let socket = &self.sockets[index];
        let told = matches!(what, Mini::Begins | Mini::Goes);
        let seen = MiniSeen {
            at,
            pointer: NonZeroU64::new(socket.mini).expect("addresses are not zero"),
            cookie: NonZeroU64::new(socket.cookie).filter(|_| socket.named && told),
            what,
            state: socket.state,
            identity: told.then(|| identity(socket.port)),
        };
        if minis { vec![Event::Mini(seen)] } else { Vec::new() }
    }

    /// The end of one, as who sees functions is told, or as who sees timers is; `expired`: by its timer.
    fn mini_over(&mut self, index: usize, expired: bool) -> Vec<Event> {
        if self.sockets[index].cookie.is_multiple_of(2) {
            return self.mini(index, Mini::Over);
        }
        let mut events = self.mini(index, Mini::Stopped);
        if expired {
            events.extend(self.mini(index, Mini::Expired));
        }
        events
    }

    pub fn listen(&mut self) -> Vec<Event> {
        let index = self.add(TcpState::Close, Object::Full);
        vec![self.moved(index, TcpState::Listen)]
    }

    pub fn connect(&mut self) -> Vec<Event> {
        let index = self.add(TcpState::Close, Object::Full);
        let mut begins = self.moved(index, TcpState::SynSent);
        let mut events = Vec::new();
        if self.minis
            && let Event::Moved(moved) = &mut begins
            && let Some(identity) = &mut moved.identity
        {
            events.push(Event::Port(PortSeen { at: self.tick(), id: moved.id, identity: *identity }));
            identity.tuple.lport = 0;
            moved.lport = 0;
        }
        events.insert(0, begins);
        events
    }

    /// A SYN arrives: a request, without any event of the state.
    pub fn syn(&mut self) -> Vec<Event> {
        self.tick();
        let index = self.add(TcpState::SynRecv, Object::Request);
        self.sockets[index].named = false;
        self.sockets[index].expires = Mono(self.now.0 + 1_000_000_000);
        if self.minis {
            self.sockets[index].history.push((TcpState::Listen, TcpState::SynRecv));
        }
        self.mini(index, Mini::Begins)
    }

    /// The final ACK: the request becomes a child, which is established at once.
    pub fn ack(&mut self, pick: usize) -> Vec<Event> {
        let Some(index) = self.pick(pick, |socket| socket.object == Object::Request) else {
            return Vec::new();
        };
        let at = self.tick();
        let cookies = self.cookies;
        let socket = &mut self.sockets[index];
        socket.object = Object::Full;
        socket.named |= cookies;
        if !self.minis {
            socket.history.push((TcpState::Listen, TcpState::SynRecv));
        }
        let pointer = NonZeroU64::new(socket.pointer).expect("addresses are not zero");
        let mut events = vec![Event::Child { at, pointer }];
        events.extend(self.mini_over(index, false));
        events.push(self.moved(index, TcpState::Established));
        events
    }

    /// The next step of a socket's ordinary life; `None` when it waits for nothing but a timer.
    pub fn advance(&mut self, pick: usize) -> Vec<Event> {
        use TcpState::*;
        let Some(index) = self.pick(pick, |socket| socket.object == Object::Full) else { return Vec::new() };
        let odd = self.sockets[index].cookie % 2 == 1;
        let to = match self.sockets[index].state {
            SynSent => Established,
            Established if odd => CloseWait,
            Established => FinWait1,
            CloseWait => LastAck,
            LastAck | Listen => Close,
            FinWait1 if pick.is_multiple_of(3) => Closing,
            FinWait1 => FinWait2,
            FinWait2 | Closing => return self.time_wait(index, pick),
            SynRecv | TimeWait | Close => return Vec::new(),
        };
        let event = self.moved(index, to);
        if to == Close {
            self.sockets[index].object = Object::Gone;
        }
        vec![event]
    }

    /// The socket closes and a timewait socket takes its place (or none can be had).
    fn time_wait(&mut self, index: usize, pick: usize) -> Vec<Event> {
        let before = self.sockets[index].state;
        let mut events = Vec::new();
        if !pick.is_multiple_of(4) {
            let orphan = pick % 4 == 1 && before == TcpState::FinWait2;
            self.sockets[index].state = if orphan { TcpState::FinWait2 } else { TcpState::TimeWait };
            events = self.mini(index, Mini::Begins);
            self.sockets[index].state = before;
        }
        events.push(self.moved(index, TcpState::Close));
        let expires = Mono(self.now.0 + 60_000_000_000);
        let socket = &mut self.sockets[index];
        socket.history.pop();
        match pick % 4 {
            0 => {
                socket.history.push((before, TcpState::Close));
                socket.object = Object::Gone;
            }
            1 if before == TcpState::FinWait2 => {
                socket.state = TcpState::FinWait2;
                socket.object = Object::Timewait;
                socket.expires = expires;
            }
            _ => {
                socket.history.push((before, TcpState::TimeWait));
                socket.state = TcpState::TimeWait;
                socket.object = Object::Timewait;
                socket.expires = expires;
            }
        }
        events
    }

    pub fn reset(&mut self, pick: usize) -> Vec<Event> {
        // FIN_WAIT2 and CLOSING are left to `advance`: there CLOSE has two meanings.
        let fits = |socket: &Socket| {
            socket.object == Object::Full && !matches!(socket.state, TcpState::FinWait2 | TcpState::Closing)
        };
        let Some(index) = self.pick(pick, fits) else { return Vec::new() };
        let event = self.moved(index, TcpState::Close);
        self.sockets[index].object = Object::Gone;
        vec![event]
    }

    /// What ends or changes without events: a request times out, an orphan gets its FIN, a TIME_WAIT is over.
    pub fn quietly(&mut self, pick: usize) -> Vec<Event> {
        self.tick();
        let minis = self.minis;
        let fits = |socket: &Socket| match socket.object {
            Object::Request => true,
            Object::Timewait => socket.shown || minis,
            Object::Full | Object::Gone => false,
        };
        let Some(index) = self.pick(pick, fits) else { return Vec::new() };
        let again = pick.is_multiple_of(3);
        let socket = &mut self.sockets[index];
        if minis && again && socket.object == Object::Request {
            // The SYN is answered once more.
            let mut events = self.mini(index, Mini::Stopped);
            events.extend(self.mini(index, Mini::Expired));
            events.extend(self.mini(index, Mini::Begins));
            return events;
        }
        if socket.state == TcpState::FinWait2 && pick.is_multiple_of(2) {
            socket.state = TcpState::TimeWait;
            if !minis {
                return Vec::new();
            }
            socket.history.push((TcpState::FinWait2, TcpState::TimeWait));
            if socket.cookie.is_multiple_of(2) {
                return self.mini(index, Mini::Goes);
            }
            let mut events = self.mini(index, Mini::Stopped);
            events.extend(self.mini(index, Mini::Begins));
            events
        } else {
            socket.object = Object::Gone;
            if minis {
                socket.history.push((socket.state, TcpState::Close));
            }
            self.mini_over(index, again)
        }
    }

    fn pick(&self, pick: usize, fits: impl Fn(&Socket) -> bool) -> Option<usize> {
        let all: Vec<usize> =
            self.sockets.iter().enumerate().filter(|(_, s)| fits(s)).map(|(index, _)| index).collect();
        (!all.is_empty()).then(|| all[pick % all.len()])
    }

    fn row(&mut self, index: usize) -> SockRow {
        let now = self.now;
        let socket = &mut self.sockets[index];
        socket.named = true;
        socket.shown |= socket.object == Object::Timewait;
        let identity = socket.identity();
        let kind = match socket.object {
            Object::Timewait => TimerKind::TimeWait,
            Object::Request => TimerKind::On,
            Object::Full | Object::Gone => TimerKind::Off,
        };
        SockRow {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state: socket.state,
            local: identity.tuple.local(),
            foreign: identity.tuple.foreign(),
            bound_if: 0,
            cookie: NonZeroU64::new(socket.cookie),
            netns: NETNS,
            uid: 0,
            inode: if socket.object == Object::Full { 1 + socket.cookie as u32 } else { 0 },
            rqueue: 0,
            wqueue: 0,
            timer: Timer {
                kind,
                expires_ms: (socket.expires.since(now).as_millis()) as u32,
                retransmits: 0,
                probes: 0,
            },
            drops: None,
            v6only: None,
            cgroup: None,
            totals: None,
        }
    }

    /// The rows of every other socket, starting with the first or the second: half a dump.
    pub fn half(&mut self, second: bool, states: States, rows: &mut Vec<SockRow>) {
        for index in 0..self.sockets.len() {
            let socket = &self.sockets[index];
            if (socket.cookie % 2 == 1) == second && socket.object != Object::Gone && states.has(socket.state)
            {
                rows.push(self.row(index));
            }
        }
    }

    pub fn answer(&mut self, question: &Question) -> Answer {
        self.tick();
        let found = self.sockets.iter().position(|socket| {
            socket.object != Object::Gone
                && match question.cookie {
                    Some(cookie) => cookie.get() == socket.cookie,
                    None => socket.identity().tuple == question.tuple,
                }
        });
        Answer { token: question.token, at: self.now, row: found.map(|index| self.row(index)) }
    }

    pub fn listing(&self, began: Mono, states: States, rows: Vec<SockRow>, initial: bool) -> Listing {
        Listing { began, ended: self.now, netns: vec![NETNS], states, rows, initial, cookies: true }
    }
}
