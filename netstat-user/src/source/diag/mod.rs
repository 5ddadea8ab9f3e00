//! Listings and point queries by NETLINK_SOCK_DIAG (sock_diag(7)).

mod decode;
mod destroy;
pub mod detail;
pub mod families;
mod query;
pub mod recorded;
pub mod wire;

pub use destroy::Destroyed;
pub use query::{More, Request};

use super::{Netns, NetnsError, label};
use crate::model::{Answer, Family, Mono, Protocol, Question, SockRow, States, TcpState};
use bytes::BytesMut;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::io;
use wire::{
    DONE, ERROR, FLAG_DUMP, FLAG_INTERRUPTED, HEADER, Message, Messages, NOOP, SOCK_DIAG_BY_FAMILY, WireError,
};

/// Questions in one system call: their answers must fit the socket's buffer (about 1.3 kB each of 208 kB).
const BATCH: usize = 64;

/// Room for one datagram. The kernel fills up to 32 KiB of a dump at a time, and only as much as the largest
/// buffer it has seen (`netlink_recvmsg`, Linux 6.12).
const ROOM: usize = 64 * 1024;

/// Bytes of queue asked for; without CAP_NET_ADMIN the system's default stays, and that is enough too.
const QUEUE: usize = 1024 * 1024;

/// Why sock_diag did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    #[error("cannot {op} a sock_diag socket")]
    Socket {
        op: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot open a sock_diag socket in another namespace")]
    Namespace(#[from] NetnsError),
    #[error("the kernel refuses to list {} sockets by sock_diag{}", label(*protocol, *family), cure(*protocol, source))]
    Refused {
        protocol: Protocol,
        family: Family,
        #[source]
        source: io::Error,
    },
    #[error("cannot destroy a {} socket{}", label(*protocol, *family), no_destroy(source))]
    NotDestroyed {
        protocol: Protocol,
        family: Family,
        #[source]
        source: io::Error,
    },
    #[error("an answer of sock_diag about {} sockets is malformed", label(*protocol, *family))]
    Malformed {
        protocol: Protocol,
        family: Family,
        #[source]
        source: WireError,
    },
    #[error("an answer of sock_diag has {size} bytes where {room} were expected; the next may be as large")]
    Truncated { size: usize, room: usize },
    #[error("sock_diag stopped answering about {} sockets", label(*protocol, *family))]
    Silent { protocol: Protocol, family: Family },
    #[error("a question about network namespace {asked} was put to namespace {here}")]
    Elsewhere { asked: u32, here: u32 },
}

impl DiagError {
    /// Whether this kernel has no sock_diag for the protocol, so that /proc/net is the place to look.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Refused { source, .. } | Self::Socket { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
                    || matches!(
                        source.raw_os_error().map(Errno::from_raw_os_error),
                        Some(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::OPNOTSUPP)
                    )
            }
            _ => false,
        }
    }
}

impl DiagError {
    /// Whether it may be the code of a filter that the kernel refuses.
    pub fn is_about_code(&self) -> bool {
        match self {
            Self::Refused { source, .. } => matches!(
                source.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::INVAL | Errno::PERM | Errno::OPNOTSUPP)
            ),
            _ => false,
        }
    }
}

/// What stands against the destruction of a socket, as the rest of the message.
fn no_destroy(source: &io::Error) -> &'static str {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::OPNOTSUPP | Errno::INVAL) => {
            " (a kernel built without CONFIG_INET_DIAG_DESTROY, or a protocol that cannot do it)"
        }
        Some(Errno::PERM | Errno::ACCESS) => " (needs root: CAP_NET_ADMIN)",
        _ => "",
    }
}

/// What a user can do about a refusal, as the rest of its message.
fn cure(protocol: Protocol, source: &io::Error) -> &'static str {
    match (source.kind(), protocol) {
        (io::ErrorKind::NotFound, Protocol::Tcp) => " (no tcp_diag in this kernel: `modprobe tcp_diag`)",
        (io::ErrorKind::NotFound, Protocol::Udp | Protocol::UdpLite) => {
            " (no udp_diag in this kernel: `modprobe udp_diag`)"
        }
        (io::ErrorKind::NotFound, Protocol::Raw) => " (no raw_diag in this kernel: `modprobe raw_diag`)",
        (io::ErrorKind::PermissionDenied, _) => {
            " (a security policy forbids it: run as root or use /proc/net)"
        }
        _ => "",
    }
}

/// What a listing was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    pub rows: u64,
    /// The kernel says that the tables changed in a way that may have hidden or doubled sockets.
    pub interrupted: bool,
}

/// A sock_diag socket, bound for its life to the network namespace it was opened in.
#[derive(Debug)]
pub struct Diag {
    socket: OwnedFd,
    netns: u32,
    seq: u32,
    input: BytesMut,
    output: BytesMut,
}

impl Diag {
    /// Opens a socket inside `netns`. Needs no privilege in the current namespace; see [`Netns::run`] for others.
    pub fn open(netns: &Netns) -> Result<Self, DiagError> {
        let socket = netns.run(open_socket)??;
        Ok(Self {
            socket,
            netns: netns.inum,
            seq: 0,
            input: BytesMut::zeroed(ROOM),
            output: BytesMut::with_capacity(BATCH * (HEADER + wire::REQUEST)),
        })
    }

    /// Inode of the namespace that is listed.
    pub fn netns(&self) -> u32 {
        self.netns
    }

    /// Calls `each` for every socket of `request`, in the kernel's order.
    ///
    /// Each row was true at its moment; the listing as a whole is not a snapshot. The kernel resumes a dump by counting
    /// within a hash chain (`inet_diag_dump_icsk`, Linux 6.12), so when sockets of that one chain come or go between two
    /// parts, another one of it may be given twice or not at all: absence is certain only after [`Diag::ask`].
    ///
    /// Seen beside /proc/net/tcp on Linux 6.18, the rows are the same in the same order and differ in three things: the
    /// Send-Q of a listener is its backlog limit where /proc has 0; a SYN_RECV row has user 0 where /proc has the
    /// listener's user, and counts the SYN-ACKs sent again where /proc counts the timer's expiries; and without
    /// [`Request::totals`] a timer has one counter of two.
    ///
    /// # Errors
    /// A row that cannot be decoded does not hide the others: they are given first, then the first error.
    pub fn list(&mut self, request: &Request, each: &mut dyn FnMut(&SockRow)) -> Result<Pass, DiagError> {
        self.list_in_detail(request, More::default(), &mut |row, _| each(row))
    }

    /// The same with the payload of each row, in which [`detail`] finds what `more` asked for.
    ///
    /// # Errors
    /// As [`Diag::list`]. A kernel that does not take the code of `more` refuses with EINVAL or EPERM before the first row.
    pub fn list_in_detail(
        &mut self,
        request: &Request,
        more: More<'_>,
        each: &mut dyn FnMut(&SockRow, &[u8]),
    ) -> Result<Pass, DiagError> {
        let Request { protocol, family, .. } = *request;
        let result = self.dump(request, more, each);
        if matches!(result, Err(DiagError::Malformed { .. } | DiagError::Truncated { .. })) {
            // The rest of the dump belongs to nobody; the next request must not be refused because of it.
            self.drain();
        }
        result.map_err(|error| match error {
            DiagError::Socket { op: "read", source }
                if source.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) =>
            {
                DiagError::Silent { protocol, family }
            }
            other => other,
        })
    }

    fn dump(
        &mut self,
        request: &Request,
        more: More<'_>,
        each: &mut dyn FnMut(&SockRow, &[u8]),
    ) -> Result<Pass, DiagError> {
        let Request { protocol, family, .. } = *request;
        let malformed = |source| DiagError::Malformed { protocol, family, source };
        let seq = self.next_seq();
        self.output.clear();
        let raw = query::dump(request, more);
        raw.put_as(SOCK_DIAG_BY_FAMILY, FLAG_DUMP, seq, &query::code(more), &mut self.output);
        self.send()?;

        let mut pass = Pass::default();
        let mut bad = None;
        loop {
            let length = self.receive()?;
            for message in Messages(&self.input[..length]) {
                let message = message.map_err(malformed)?;
                if message.seq != seq {
                    continue;
                }
                pass.interrupted |= message.flags & FLAG_INTERRUPTED != 0;
                match message.kind {
                    SOCK_DIAG_BY_FAMILY => match decode::row(message.payload, protocol, self.netns) {
                        Ok(row) => {
                            pass.rows += 1;
                            each(&row, message.payload);
                        }
                        Err(error) => bad = bad.or(Some(error)),
                    },
                    DONE | ERROR => {
                        refusal(&message, protocol, family)?;
                        return bad.map_or(Ok(pass), |error| Err(malformed(error)));
                    }
                    NOOP => {}
                    stranger => {
                        bad = bad.or(Some(WireError::Unknown {
                            what: "netlink message type",
                            value: u32::from(stranger),
                        }));
                    }
                }
            }
        }
    }

    /// Asks for single TCP sockets of this namespace and calls `each` once for every question, in no particular order.
    ///
    /// Connections, request sockets, TIME_WAIT and orphans are found alike. The time of an answer is that of the
    /// moment before it was asked, so whatever happened up to then is in it.
    ///
    /// # Errors
    /// Questions not answered before an error stay without an answer.
    pub fn ask(&mut self, questions: &[Question], each: &mut dyn FnMut(Answer)) -> Result<(), DiagError> {
        if let Some(stray) =
            questions.iter().find(|q| q.netns != 0 && self.netns != 0 && q.netns != self.netns)
        {
            return Err(DiagError::Elsewhere { asked: stray.netns, here: self.netns });
        }
        let mut listeners = Vec::new();
        for batch in questions.chunks(BATCH) {
            let mut unheard = self.ask_batch(batch, &mut listeners, each)?;
            // The socket's queue was too short for all answers: again, one by one.
            while unheard != 0 {
                let index = unheard.trailing_zeros() as usize;
                unheard &= unheard - 1;
                let question = batch.get(index..=index).unwrap_or_default();
                if self.ask_batch(question, &mut listeners, each)? != 0 {
                    let family = question.first().map_or(Family::V4, |question| question.tuple.family);
                    return Err(DiagError::Silent { protocol: Protocol::Tcp, family });
                }
            }
        }
        self.ask_listeners(&mut listeners, each)
    }

    /// At most [`BATCH`] questions in one message. Gives a bit for each that got no answer. Those about listeners
    /// that were not found are put into `listeners` unanswered.
    fn ask_batch(
        &mut self,
        batch: &[Question],
        listeners: &mut Vec<Question>,
        each: &mut dyn FnMut(Answer),
    ) -> Result<u64, DiagError> {
        let first = self.seq.wrapping_add(1);
        self.output.clear();
        for question in batch {
            let seq = self.next_seq();
            query::point(question).put(0, seq, &mut self.output);
        }
        let at = Mono::now();
        self.send()?;

        let mut unheard = u64::MAX.checked_shr(64 - batch.len() as u32).unwrap_or(0);
        let mut failed = None;
        while unheard != 0 {
            // The kernel has answered by the time the request is sent.
            let length = match self.receive() {
                Err(DiagError::Socket { source, .. })
                    if matches!(
                        source.raw_os_error().map(Errno::from_raw_os_error),
                        Some(Errno::AGAIN | Errno::NOBUFS)
                    ) =>
                {
                    break;
                }
                other => other?,
            };
            for message in Messages(&self.input[..length]) {
                let message = match message {
                    Ok(message) => message,
                    Err(source) => {
                        failed = Some(DiagError::Malformed {
                            protocol: Protocol::Tcp,
                            family: batch.first().map_or(Family::V4, |question| question.tuple.family),
                            source,
                        });
                        break;
                    }
                };
                let index = message.seq.wrapping_sub(first) as usize;
                let Some(question) = batch.get(index).filter(|_| unheard & 1 << index != 0) else { continue };
                unheard &= !(1 << index);
                match self.answer(question, &message) {
                    Ok(None) if query::is_about_listener(question) => listeners.push(*question),
                    Ok(row) => each(Answer { token: question.token, at, row }),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        failed.map_or(Ok(unheard), Err)
    }

    /// The row in an answer to `question`; `None` when there is no such socket.
    fn answer(&self, question: &Question, message: &Message<'_>) -> Result<Option<SockRow>, DiagError> {
        let (protocol, family) = (Protocol::Tcp, question.tuple.family);
        if message.kind == SOCK_DIAG_BY_FAMILY {
            return decode::row(message.payload, protocol, self.netns)
                .map(|row| Some(row).filter(|row| query::answers(row, question)))
                .map_err(|source| DiagError::Malformed { protocol, family, source });
        }
        match refusal(message, protocol, family) {
            // ESTALE: there is one with these addresses and another cookie.
            Err(DiagError::Refused { source, .. })
                if matches!(
                    source.raw_os_error().map(Errno::from_raw_os_error),
                    Some(Errno::NOENT | Errno::STALE)
                ) =>
            {
                Ok(None)
            }
            other => other.map(|()| None),
        }
    }

    /// Of several listeners that share an address (SO_REUSEPORT) a point query finds any one, so "not found" is only
    /// certain after a look at them all. That look is cheap: it does not touch the connections.
    fn ask_listeners(
        &mut self,
        questions: &mut Vec<Question>,
        each: &mut dyn FnMut(Answer),
    ) -> Result<(), DiagError> {
        for family in [Family::V4, Family::V6] {
            if !questions.iter().any(|question| question.tuple.family == family) {
                continue;
            }
            let at = Mono::now();
            let states = States::of(&[TcpState::Listen]);
            let request = Request { protocol: Protocol::Tcp, family, states, totals: false };
            self.list(&request, &mut |row| {
                questions.retain(|question| {
                    let found = query::answers(row, question);
                    if found {
                        each(Answer { token: question.token, at, row: Some(*row) });
                    }
                    !found
                });
            })?;
            questions.retain(|question| {
                let gone = question.tuple.family == family;
                if gone {
                    each(Answer { token: question.token, at, row: None });
                }
                !gone
            });
        }
        Ok(())
    }

    fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }

    fn send(&self) -> Result<(), DiagError> {
        loop {
            match rustix::net::send(&self.socket, &self.output, SendFlags::empty()) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(DiagError::Socket { op: "write to", source: error.into() }),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Reads one datagram into `input` without waiting: the kernel prepares answers, and each next part of a dump,
    /// inside our own system calls.
    fn receive(&mut self) -> Result<usize, DiagError> {
        loop {
            match rustix::net::recv(&self.socket, &mut self.input[..], RecvFlags::TRUNC | RecvFlags::DONTWAIT)
            {
                Err(Errno::INTR) => {}
                Err(error) => return Err(DiagError::Socket { op: "read", source: error.into() }),
                Ok((_, size)) if size > self.input.len() => {
                    let room = self.input.len();
                    self.input.resize(size.next_power_of_two(), 0);
                    return Err(DiagError::Truncated { size, room });
                }
                Ok((length, _)) => return Ok(length),
            }
        }
    }

    /// Throws away what is left of an answer.
    fn drain(&mut self) {
        loop {
            match self.receive() {
                Ok(_) | Err(DiagError::Truncated { .. }) => {}
                Err(_) => return,
            }
        }
    }
}

fn open_socket() -> Result<OwnedFd, DiagError> {
    let failed = |op| move |error: Errno| DiagError::Socket { op, source: error.into() };
    let protocol = Some(netlink::SOCK_DIAG);
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(failed("open"))?;
    // Once connected to the kernel, no other process can put words into its mouth.
    rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).map_err(failed("connect"))?;
    // A short queue is no error: it costs more system calls.
    let _ = sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE);
    Ok(socket)
}

/// The refusal in a DONE or ERROR message, if it is one.
fn refusal(message: &Message<'_>, protocol: Protocol, family: Family) -> Result<(), DiagError> {
    match message.errno() {
        Ok(0) => Ok(()),
        Ok(errno) => {
            Err(DiagError::Refused { protocol, family, source: io::Error::from_raw_os_error(errno) })
        }
        Err(source) => Err(DiagError::Malformed { protocol, family, source }),
    }
}

#[cfg(test)]
mod tests;
