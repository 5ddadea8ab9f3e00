//! Records of the kernel half, as model types. Safe code only: any bytes give events or errors.

use crate::model::fact::{
    LifeSeen, Living, MiniSeen, OwnerSeen, PortSeen, QueueChange, ResetSeen, Seen, WindowSeen,
};
use crate::model::{
    BesideMoved, Busy, Closing, Comm, Event, Family, Identity, Mono, Moved, Pid, Process, Reset, SockId,
    TcpState, Totals, Transport, Tuple, Way,
};
use netstat_common::event::{
    Direction, FLAG_DEAD, FLAG_LINGER, FLAG_OWNED, FLAG_PEER_FIN, FLAG_POINTER, FLAG_SHUT, FLAG_TOTALS,
    FLAG_UNACCEPTED, Life, Mini, NOT_TOLD,
};
use netstat_common::{
    AF_INET, IPPROTO_MPTCP, IPPROTO_SCTP, Kind, RawClose, RawFull, RawHead, RawProcess, RawQueue, RawTotals,
    RawTuple,
};
use std::mem::offset_of;
use std::num::{NonZeroU32, NonZeroU64};

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The batch ends within a record; nothing can follow.
    #[error("the batch ends {missing} bytes short of its last record")]
    Truncated { missing: usize },
    #[error("a record of {0} bytes has no head")]
    NoHead(usize),
    #[error("record of unknown kind {0}")]
    Kind(u8),
    #[error("a {kind:?} record has {found} bytes, not {expected}")]
    Length { kind: Kind, found: usize, expected: usize },
    #[error("a {kind:?} record has the unknown state {state}")]
    State { kind: Kind, state: u8 },
    #[error("a {kind:?} record has the unknown code {code}")]
    Code { kind: Kind, code: u8 },
    #[error("a {kind:?} record has the address family {family}")]
    Family { kind: Kind, family: u16 },
    #[error("a {kind:?} record has the protocol {protocol}")]
    Protocol { kind: Kind, protocol: u16 },
    #[error("a {0:?} record names no socket")]
    NoSocket(Kind),
    #[error("a {0:?} record names no process")]
    NoProcess(Kind),
}

/// The events of a batch as [`Stream::drain`](super::Stream::drain) fills it. A record that cannot be decoded gives an
/// error, and the next one follows.
pub fn decode(batch: &[u8]) -> Events<'_> {
    Events { rest: batch }
}

/// See [`decode`].
#[derive(Clone, Debug)]
pub struct Events<'a> {
    rest: &'a [u8],
}

impl Iterator for Events<'_> {
    type Item = Result<Event, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((len, rest)) = self.rest.split_first_chunk() else {
            let missing = size_of::<u32>() - self.rest.len();
            self.rest = &[];
            return Some(Err(DecodeError::Truncated { missing }));
        };
        let len = u32::from_le_bytes(*len) as usize;
        let Some((record, rest)) = rest.split_at_checked(len) else {
            self.rest = &[];
            return Some(Err(DecodeError::Truncated { missing: len - rest.len() }));
        };
        self.rest = rest;
        Some(event(record))
    }
}

/// A record with its head read.
struct Record<'a> {
    bytes: &'a [u8],
    kind: Kind,
    flags: u8,
    sock: u64,
}

/// Decodes one record.
fn event(bytes: &[u8]) -> Result<Event, DecodeError> {
    if bytes.len() < size_of::<RawHead>() {
        return Err(DecodeError::NoHead(bytes.len()));
    }
    let kind = u8_at(bytes, offset_of!(RawHead, kind));
    let kind = Kind::try_from(kind).map_err(|unknown| DecodeError::Kind(unknown.0))?;
    if bytes.len() != kind.size() {
        return Err(DecodeError::Length { kind, found: bytes.len(), expected: kind.size() });
    }
    let flags = u8_at(bytes, offset_of!(RawHead, flags));
    let record = Record { bytes, kind, flags, sock: u64_at(bytes, offset_of!(RawHead, sock)) };
    match kind {
        Kind::Move => Ok(Event::Moved(record.moved(None, None, record.id(0)?)?)),
        Kind::Full => {
            let tuple = offset_of!(RawFull, tuple);
            let id = record.id(record.other(tuple))?;
            Ok(Event::Moved(record.moved(Some(record.identity(tuple)?), None, id)?))
        }
        Kind::Close => {
            let tuple = offset_of!(RawClose, tuple);
            let id = record.id(record.other(tuple))?;
            let totals = record.totals(offset_of!(RawClose, totals));
            Ok(Event::Moved(record.moved(Some(record.identity(tuple)?), totals, id)?))
        }
        Kind::Child => {
            let pointer = NonZeroU64::new(record.sock).ok_or(DecodeError::NoSocket(kind))?;
            Ok(Event::Child { at: record.at(), pointer })
        }
        Kind::Queue => record.queue(),
        Kind::Owner => {
            let code = u8_at(bytes, offset_of!(RawHead, from));
            let how = Seen::try_from(code).map_err(|unknown| DecodeError::Code { kind, code: unknown.0 })?;
            let pid = record.pid().ok_or(DecodeError::NoProcess(kind))?;
            Ok(Event::Owner(OwnerSeen { at: record.at(), id: record.id(0)?, pid, how }))
        }
        Kind::Reset => {
            let code = u8_at(bytes, offset_of!(RawHead, from));
            let way = Way::try_from(code).map_err(|unknown| DecodeError::Code { kind, code: unknown.0 })?;
            let reset = Reset { way, reason: record.detail() };
            Ok(Event::Reset(ResetSeen { at: record.at(), id: record.id(0)?, reset }))
        }
        Kind::Window => Ok(Event::Window(WindowSeen { at: record.at(), id: record.id(0)? })),
        Kind::Process => record.process(),
        Kind::Life => record.life(),
        Kind::Mini => {
            let tuple = offset_of!(RawFull, tuple);
            let cookie = NonZeroU64::new(record.other(tuple));
            record.mini(cookie, Some(record.identity(tuple)?))
        }
        Kind::MiniEnd => record.mini(None, None),
        Kind::Port => {
            let tuple = offset_of!(RawFull, tuple);
            let id = record.id(record.other(tuple))?;
            Ok(Event::Port(PortSeen { at: record.at(), id, identity: record.identity(tuple)? }))
        }
        Kind::Beside => record.beside(),
    }
}

impl Record<'_> {
    fn at(&self) -> Mono {
        Mono(u64_at(self.bytes, offset_of!(RawHead, time)))
    }

    fn pid(&self) -> Option<Pid> {
        NonZeroU32::new(u32_at(self.bytes, offset_of!(RawHead, tgid)))
    }

    /// The process that acted, if one did.
    fn actor(&self) -> Option<Pid> {
        if self.flags & FLAG_OWNED != 0 { self.pid() } else { None }
    }

    fn other(&self, tuple: usize) -> u64 {
        u64_at(self.bytes, tuple + offset_of!(RawTuple, other))
    }

    fn id(&self, other: u64) -> Result<SockId, DecodeError> {
        let (sock, other) = (NonZeroU64::new(self.sock), NonZeroU64::new(other));
        let id = if self.flags & FLAG_POINTER != 0 {
            SockId { cookie: other, pointer: sock }
        } else {
            SockId { cookie: sock, pointer: other }
        };
        if id == SockId::default() { Err(DecodeError::NoSocket(self.kind)) } else { Ok(id) }
    }

    fn state(&self, at: usize) -> Result<TcpState, DecodeError> {
        let state = u8_at(self.bytes, at);
        TcpState::try_from(state).map_err(|unknown| DecodeError::State { kind: self.kind, state: unknown.0 })
    }

    fn lport(&self) -> u16 {
        u16_at(self.bytes, offset_of!(RawHead, lport))
    }

    fn moved(
        &self,
        identity: Option<Identity>,
        totals: Option<Totals>,
        id: SockId,
    ) -> Result<Moved, DecodeError> {
        let to = self.state(offset_of!(RawHead, to))?;
        let has = |flag| self.flags & flag != 0;
        Ok(Moved {
            at: self.at(),
            id,
            from: self.state(offset_of!(RawHead, from))?,
            to,
            lport: self.lport(),
            err: u16_at(self.bytes, offset_of!(RawHead, err)),
            actor: self.actor(),
            released: self.flags & FLAG_SHUT != 0,
            identity,
            totals,
            closing: Closing {
                dead: has(FLAG_DEAD),
                linger: has(FLAG_LINGER),
                unaccepted: has(FLAG_UNACCEPTED),
            },
            syn_retrans: if to == TcpState::Established { self.detail() } else { None },
        })
    }

    fn detail(&self) -> Option<u16> {
        Some(u16_at(self.bytes, offset_of!(RawHead, detail))).filter(|&detail| detail != NOT_TOLD)
    }

    fn beside(&self) -> Result<Event, DecodeError> {
        let tuple = offset_of!(RawFull, tuple);
        let transport = match u16_at(self.bytes, offset_of!(RawHead, protocol)) {
            IPPROTO_MPTCP => Transport::Mptcp,
            IPPROTO_SCTP => Transport::Sctp,
            protocol => return Err(DecodeError::Protocol { kind: self.kind, protocol }),
        };
        let (identity, id) = (self.identity(tuple)?, self.id(self.other(tuple))?);
        let Moved { at, from, to, err, actor, .. } = self.moved(None, None, id)?;
        Ok(Event::Beside(BesideMoved { at, transport, id, from, to, err, actor, identity }))
    }

    fn identity(&self, at: usize) -> Result<Identity, DecodeError> {
        let family = u16_at(self.bytes, at + offset_of!(RawTuple, family));
        let uid = u32_at(self.bytes, at + offset_of!(RawTuple, uid));
        let af = Family::from_af(family).ok_or(DecodeError::Family { kind: self.kind, family })?;
        // IPv4 addresses are followed by zeros; should they not be, the rest is not part of the address.
        let address = |offset| {
            let mut bytes = array_at(self.bytes, at + offset);
            if family == AF_INET {
                bytes[4..].fill(0);
            }
            bytes
        };
        Ok(Identity {
            tuple: Tuple {
                family: af,
                laddr: address(offset_of!(RawTuple, laddr)),
                raddr: address(offset_of!(RawTuple, raddr)),
                lport: self.lport(),
                rport: u16_at(self.bytes, at + offset_of!(RawTuple, rport)),
                bound_if: u32_at(self.bytes, at + offset_of!(RawTuple, bound_if)),
            },
            netns: u32_at(self.bytes, at + offset_of!(RawTuple, netns)),
            uid: (uid != u32::MAX).then_some(uid),
            cgroup: NonZeroU64::new(u64_at(self.bytes, at + offset_of!(RawTuple, cgroup))),
        })
    }

    /// Bytes of the application. What was sent is what went out less what went out again: neither SYN nor FIN has a
    /// place in those counters. What was received counts the peer's FIN, and the kernel half tells whether it came. The
    /// queues count by sequence numbers, of which SYN and FIN take one each. `None` when the kernel half cannot read them.
    fn totals(&self, at: usize) -> Option<Totals> {
        if self.flags & FLAG_TOTALS == 0 {
            return None;
        }
        let long = |offset| u64_at(self.bytes, at + offset);
        let int = |offset| u32_at(self.bytes, at + offset);
        let fin = u32::from(self.flags & FLAG_PEER_FIN != 0);
        let from = TcpState::try_from(u8_at(self.bytes, offset_of!(RawHead, from))).ok();
        let own = match from {
            Some(
                TcpState::SynSent
                | TcpState::SynRecv
                | TcpState::FinWait1
                | TcpState::Closing
                | TcpState::LastAck,
            ) => 1,
            _ => 0,
        };
        let resent = long(offset_of!(RawTotals, bytes_retrans));
        let clock = |which: usize| long(offset_of!(RawTotals, busy) + 8 * which);
        let (window_us, buffer_us) = (clock(1), clock(2));
        Some(Totals {
            sent: long(offset_of!(RawTotals, bytes_sent)).saturating_sub(resent),
            received: long(offset_of!(RawTotals, bytes_received)).saturating_sub(fin.into()),
            resent: Some(resent),
            segs_out: int(offset_of!(RawTotals, segs_out)),
            segs_in: int(offset_of!(RawTotals, segs_in)),
            retrans: int(offset_of!(RawTotals, retrans)),
            srtt_us: int(offset_of!(RawTotals, srtt)),
            min_rtt_us: Some(int(offset_of!(RawTotals, min_rtt))).filter(|&rtt| rtt != u32::MAX),
            lost: Some(int(offset_of!(RawTotals, lost))),
            reordered: Some(int(offset_of!(RawTotals, reordered))),
            busy: Some(Busy {
                total_us: clock(0).saturating_add(window_us).saturating_add(buffer_us),
                window_us,
                buffer_us,
            }),
            probes: int(offset_of!(RawTotals, probes)),
            user_timeout_ms: int(offset_of!(RawTotals, user_timeout)),
            rqueue: int(offset_of!(RawTotals, rqueue)).saturating_sub(fin),
            wqueue: int(offset_of!(RawTotals, wqueue)).saturating_sub(own),
        })
    }

    fn queue(&self) -> Result<Event, DecodeError> {
        let code = u8_at(self.bytes, offset_of!(RawHead, from));
        let direction = Direction::try_from(code)
            .map_err(|unknown| DecodeError::Code { kind: self.kind, code: unknown.0 })?;
        Ok(Event::Queue(QueueChange {
            at: self.at(),
            id: self.id(0)?,
            state: self.state(offset_of!(RawHead, to))?,
            direction,
            rqueue: u32_at(self.bytes, offset_of!(RawQueue, rqueue)),
            wqueue: u32_at(self.bytes, offset_of!(RawQueue, wqueue)),
            sent: u32_at(self.bytes, offset_of!(RawQueue, sent)),
            received: u32_at(self.bytes, offset_of!(RawQueue, received)),
            actor: self.actor(),
        }))
    }

    fn mini(&self, cookie: Option<NonZeroU64>, identity: Option<Identity>) -> Result<Event, DecodeError> {
        let code = u8_at(self.bytes, offset_of!(RawHead, from));
        let what =
            Mini::try_from(code).map_err(|unknown| DecodeError::Code { kind: self.kind, code: unknown.0 })?;
        Ok(Event::Mini(MiniSeen {
            at: self.at(),
            pointer: NonZeroU64::new(self.sock).ok_or(DecodeError::NoSocket(self.kind))?,
            cookie,
            what,
            state: self.state(offset_of!(RawHead, to))?,
            identity,
        }))
    }

    fn process(&self) -> Result<Event, DecodeError> {
        let uid = u32_at(self.bytes, offset_of!(RawProcess, uid));
        Ok(Event::Process(Process {
            pid: self.pid().ok_or(DecodeError::NoProcess(self.kind))?,
            comm: Comm::from_bytes(&array_at::<16>(self.bytes, offset_of!(RawProcess, comm))),
            start: self.sock,
            uid: (uid != u32::MAX).then_some(uid),
            parent: NonZeroU32::new(u32_at(self.bytes, offset_of!(RawProcess, parent))),
            inner: NonZeroU32::new(u32_at(self.bytes, offset_of!(RawProcess, inner))),
        }))
    }

    fn life(&self) -> Result<Event, DecodeError> {
        let kind = self.kind;
        let code = u8_at(self.bytes, offset_of!(RawHead, from));
        let life = Life::try_from(code).map_err(|unknown| DecodeError::Code { kind, code: unknown.0 })?;
        let pid = self.pid().ok_or(DecodeError::NoProcess(kind))?;
        let what = match life {
            Life::Fork => {
                let child = u32::try_from(self.sock).ok().and_then(Pid::new);
                Living::Forks { child: child.ok_or(DecodeError::NoProcess(kind))? }
            }
            Life::Exec => Living::Executes { more: u8_at(self.bytes, offset_of!(RawHead, to)) != 0 },
            Life::Exit => Living::Exits,
        };
        Ok(Event::Life(LifeSeen { at: self.at(), pid, what }))
    }
}

/// The bytes at a fixed offset. `event` has compared the length with the kind's, so they are there; zeros otherwise.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn u8_at(bytes: &[u8], at: usize) -> u8 {
    let [byte] = array_at(bytes, at);
    byte
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests;
