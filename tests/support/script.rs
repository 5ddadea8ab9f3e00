//! Records as the kernel half sends them of connections on loopback, as many as wanted: what benchmarks learn from.

use netstat_common::event::{FLAG_OWNED, RawClose, RawFull, RawHead, RawTuple};
use netstat_common::{AF_INET, IPPROTO_TCP, Kind, TcpState};

/// See the module.
pub struct Script {
    time: u64,
    count: u64,
}

/// Both ends of a connection: cookies, addresses, ports.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    client: u64,
    server: u64,
    tuple: RawTuple,
    port: u16,
}

const SERVER: u16 = 8080;

impl Default for Script {
    fn default() -> Self {
        // Later than anything that waits for what may have happened before.
        Self { time: 10_000_000_000, count: 0 }
    }
}

impl Script {
    /// Time of the last record.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Another connection.
    pub fn connection(&mut self) -> Ends {
        self.count += 1;
        let at = self.count;
        // As many clients as connections need: 50,000 ports each.
        let port = 10_000 + (at % 50_000) as u16;
        let client = (0x0a00_0001 + (at / 50_000) as u32).to_be_bytes();
        let mut tuple =
            RawTuple { family: AF_INET, rport: SERVER, netns: 4_026_531_840, uid: 0, ..RawTuple::default() };
        tuple.laddr[..4].copy_from_slice(&client);
        tuple.raddr[..4].copy_from_slice(&[10, 255, 0, 1]);
        Ends { client: 2 * at, server: 2 * at + 1, tuple, port }
    }

    /// Four records of a connection that opens.
    pub fn open(&mut self, ends: Ends, out: &mut Vec<u8>) {
        use TcpState::{Close, Established, Listen, SynRecv, SynSent};
        self.full(ends, true, Close, SynSent, out);
        let pointer = address(ends.server);
        self.step(pointer, Kind::Child, Listen, SynRecv, out);
        self.full(ends, false, SynRecv, Established, out);
        self.step(ends.client, Kind::Move, SynSent, Established, out);
    }

    /// Six records of its end.
    pub fn close(&mut self, ends: Ends, out: &mut Vec<u8>) {
        use TcpState::{CloseWait, Established, FinWait1, FinWait2, LastAck};
        self.step(ends.server, Kind::Move, Established, FinWait1, out);
        self.step(ends.client, Kind::Move, Established, CloseWait, out);
        self.step(ends.server, Kind::Move, FinWait1, FinWait2, out);
        self.step(ends.client, Kind::Move, CloseWait, LastAck, out);
        self.last(ends, false, FinWait2, out);
        self.last(ends, true, LastAck, out);
    }

    fn head(&mut self, sock: u64, kind: Kind, from: TcpState, to: TcpState, port: u16) -> RawHead {
        self.time += 1_000;
        RawHead {
            time: self.time,
            sock,
            kind: kind as u8,
            from: from as u8,
            to: to as u8,
            lport: port,
            protocol: IPPROTO_TCP,
            flags: FLAG_OWNED,
            tgid: 1,
            ..RawHead::default()
        }
    }

    fn step(&mut self, sock: u64, kind: Kind, from: TcpState, to: TcpState, out: &mut Vec<u8>) {
        let mut head = self.head(sock, kind, from, to, 0);
        if matches!(kind, Kind::Child) {
            head.flags = netstat_common::event::FLAG_POINTER;
            head.tgid = 0;
        }
        put(&head, out);
    }

    fn of(&mut self, ends: Ends, client: bool, from: TcpState, to: TcpState, kind: Kind) -> RawFull {
        let (cookie, port) = if client { (ends.client, ends.port) } else { (ends.server, SERVER) };
        let mut tuple = ends.tuple;
        tuple.other = address(cookie);
        if !client {
            (tuple.laddr, tuple.raddr, tuple.rport) = (ends.tuple.raddr, ends.tuple.laddr, ends.port);
        }
        RawFull { head: self.head(cookie, kind, from, to, port), tuple }
    }

    fn full(&mut self, ends: Ends, client: bool, from: TcpState, to: TcpState, out: &mut Vec<u8>) {
        let record = self.of(ends, client, from, to, Kind::Full);
        put(&record, out);
    }

    fn last(&mut self, ends: Ends, client: bool, from: TcpState, out: &mut Vec<u8>) {
        let RawFull { head, tuple } = self.of(ends, client, from, TcpState::Close, Kind::Close);
        put(&RawClose { head, tuple, ..RawClose::default() }, out);
    }
}

/// Some address in the kernel.
fn address(cookie: u64) -> u64 {
    0xffff_8880_0000_0000 + cookie * 2_432
}

/// Appends a record with its length before it, as the reader of the ring does.
fn put<T: Copy>(record: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(&(size_of::<T>() as u32).to_le_bytes());
    // SAFETY: a record has no padding (netstat-common asserts its size), so all its bytes are initialised; the slice lives as
    // long as the borrow of `record`.
    out.extend_from_slice(unsafe { std::slice::from_raw_parts((&raw const *record).cast(), size_of::<T>()) });
}
