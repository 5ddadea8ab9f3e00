//! The bytes of netlink: messages, attributes, and the structures of `linux/inet_diag.h` (Linux 6.12).
//!
//! Everything is read in place with every length checked; nothing here panics on any input.

use bytes::BufMut;

/// `SOCK_DIAG_BY_FAMILY` (`linux/sock_diag.h`): type of a request and of each row of its answer.
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `SOCK_DESTROY` (`linux/sock_diag.h`).
pub const SOCK_DESTROY: u16 = 21;
/// `NLMSG_NOOP` (`linux/netlink.h`).
pub const NOOP: u16 = 1;
/// `NLMSG_ERROR`: an errno and the request it answers.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump, with an errno that is 0 when it is complete.
pub const DONE: u16 = 3;

/// `NLM_F_REQUEST`.
pub const FLAG_REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: an [`ERROR`] message with number 0 tells that it was done.
pub const FLAG_ACK: u16 = 0x4;
/// `NLM_F_DUMP_INTR`: sockets came or went in a way that made the dump inconsistent.
pub const FLAG_INTERRUPTED: u16 = 0x10;
/// `NLM_F_DUMP` (`NLM_F_ROOT | NLM_F_MATCH`).
pub const FLAG_DUMP: u16 = 0x300;

/// `INET_DIAG_INFO`: `struct tcp_info`.
pub const ATTR_INFO: u16 = 2;
/// `INET_DIAG_SKMEMINFO`: an array of `u32`, see `SK_MEMINFO_DROPS`.
pub const ATTR_SKMEMINFO: u16 = 7;
/// `INET_DIAG_SKV6ONLY`: one byte; the kernel adds it to IPv6 rows in LISTEN and CLOSE.
pub const ATTR_SKV6ONLY: u16 = 11;
/// Linux 5.8; told without being asked for.
pub const ATTR_CGROUP_ID: u16 = 21;
/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`, which are no part of an attribute's type.
const ATTR_FLAGS: u16 = 0xc000;

/// `INET_DIAG_REQ_BYTECODE`: code that chooses sockets (an attribute of a request).
pub const REQ_BYTECODE: u16 = 1;

/// Size of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// Size of `struct inet_diag_req_v2`.
pub const REQUEST: usize = 56;
/// Size of `struct inet_diag_msg`.
pub const ROW: usize = 72;
/// Size of `struct nlattr`.
const ATTR_HEADER: usize = 4;

/// A reply that is not what the kernel's headers promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("{what} of {have} bytes, where at least {need} belong")]
    Short { what: &'static str, have: usize, need: usize },
    #[error("{what} that claims {claims} bytes, of which {have} are there")]
    Overlong { what: &'static str, claims: usize, have: usize },
    #[error("{what} {value}, which this program does not know")]
    Unknown { what: &'static str, value: u32 },
}

/// The `N` bytes of `bytes` from `at`; `what` names the structure in the error.
#[inline]
pub fn array<const N: usize>(what: &'static str, bytes: &[u8], at: usize) -> Result<[u8; N], WireError> {
    let end = at.saturating_add(N);
    bytes.get(at..end).and_then(|slice| slice.try_into().ok()).ok_or(WireError::Short {
        what,
        have: bytes.len(),
        need: end,
    })
}

/// The `u32` at `at`, in host order as netlink has it.
#[inline]
pub fn u32_at(what: &'static str, bytes: &[u8], at: usize) -> Result<u32, WireError> {
    array(what, bytes, at).map(u32::from_ne_bytes)
}

/// One netlink message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub seq: u32,
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// The errno of an [`ERROR`] or [`DONE`] message as a positive number; 0 is success. A DONE without a number
    /// (kernels do send it) is success.
    pub fn errno(&self) -> Result<i32, WireError> {
        if self.kind == DONE && self.payload.is_empty() {
            return Ok(0);
        }
        let code = array("a netlink error message", self.payload, 0).map(i32::from_ne_bytes)?;
        Ok(code.saturating_neg())
    }
}

/// The messages of one datagram. After an error there are no more: their boundaries are unknown.
#[derive(Clone, Debug)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (message, rest) = match split_message(self.0) {
            Ok(split) => split,
            Err(error) => {
                self.0 = &[];
                return Some(Err(error));
            }
        };
        self.0 = rest;
        Some(Ok(message))
    }
}

#[inline]
fn split_message(bytes: &[u8]) -> Result<(Message<'_>, &[u8]), WireError> {
    let header: [u8; HEADER] = array("a netlink header", bytes, 0)?;
    let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = header;
    let claims = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
    if claims < HEADER {
        return Err(WireError::Short { what: "a netlink message", have: claims, need: HEADER });
    }
    let payload = bytes.get(HEADER..claims).ok_or(WireError::Overlong {
        what: "a netlink message",
        claims,
        have: bytes.len(),
    })?;
    let message = Message {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        seq: u32::from_ne_bytes([s0, s1, s2, s3]),
        payload,
    };
    Ok((message, bytes.get(aligned(claims)..).unwrap_or_default()))
}

/// The attributes after a fixed structure, as (type, value). After an error there are no more.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match split_attribute(self.0) {
            Ok((kind, value, rest)) => {
                self.0 = rest;
                Some(Ok((kind, value)))
            }
            Err(error) => {
                self.0 = &[];
                Some(Err(error))
            }
        }
    }
}

#[inline]
fn split_attribute(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), WireError> {
    let [l0, l1, k0, k1]: [u8; ATTR_HEADER] = array("an attribute header", bytes, 0)?;
    let claims = usize::from(u16::from_ne_bytes([l0, l1]));
    if claims < ATTR_HEADER {
        return Err(WireError::Short { what: "an attribute", have: claims, need: ATTR_HEADER });
    }
    let value = bytes.get(ATTR_HEADER..claims).ok_or(WireError::Overlong {
        what: "an attribute",
        claims,
        have: bytes.len(),
    })?;
    let kind = u16::from_ne_bytes([k0, k1]) & !ATTR_FLAGS;
    Ok((kind, value, bytes.get(aligned(claims)..).unwrap_or_default()))
}

/// `NLMSG_ALIGN` and `NLA_ALIGN`: both round up to four.
const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// `struct inet_diag_sockid`. Ports and addresses are the bytes of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawSockId {
    pub sport: [u8; 2],
    pub dport: [u8; 2],
    pub src: [u8; 16],
    pub dst: [u8; 16],
    pub interface: u32,
    /// Low half first. Both halves all ones (`INET_DIAG_NOCOOKIE`): any socket with these addresses.
    pub cookie: [u32; 2],
}

/// Size of `struct inet_diag_sockid`.
const SOCK_ID: usize = 48;

impl RawSockId {
    fn put(&self, out: &mut impl BufMut) {
        out.put_slice(&self.sport);
        out.put_slice(&self.dport);
        out.put_slice(&self.src);
        out.put_slice(&self.dst);
        out.put_u32_ne(self.interface);
        out.put_u32_ne(self.cookie[0]);
        out.put_u32_ne(self.cookie[1]);
    }

    #[inline]
    fn get(what: &'static str, bytes: &[u8], at: usize) -> Result<Self, WireError> {
        let id: [u8; SOCK_ID] = array(what, bytes, at)?;
        Ok(Self {
            sport: array(what, &id, 0)?,
            dport: array(what, &id, 2)?,
            src: array(what, &id, 4)?,
            dst: array(what, &id, 20)?,
            interface: u32_at(what, &id, 36)?,
            cookie: [u32_at(what, &id, 40)?, u32_at(what, &id, 44)?],
        })
    }
}

/// `struct inet_diag_req_v2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawRequest {
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    pub protocol: u8,
    /// Attributes wanted, `1 << (type - 1)`.
    pub extensions: u8,
    /// `1 << state`; not looked at in a point query.
    pub states: u32,
    pub id: RawSockId,
}

impl RawRequest {
    /// Appends a complete message.
    pub fn put(&self, flags: u16, seq: u32, out: &mut impl BufMut) {
        self.put_as(SOCK_DIAG_BY_FAMILY, flags, seq, b"", out);
    }

    /// The same of another type, and with attributes behind it that are padded to four bytes.
    pub fn put_as(&self, kind: u16, flags: u16, seq: u32, attributes: &[u8], out: &mut impl BufMut) {
        out.put_u32_ne((HEADER + REQUEST + attributes.len()) as u32);
        out.put_u16_ne(kind);
        out.put_u16_ne(FLAG_REQUEST | flags);
        out.put_u32_ne(seq);
        // The sender's port: 0, the kernel fills it in.
        out.put_u32_ne(0);
        out.put_slice(&[self.family, self.protocol, self.extensions, 0]);
        out.put_u32_ne(self.states);
        self.id.put(out);
        out.put_slice(attributes);
    }

    /// Reads back the payload that [`RawRequest::put`] wrote.
    pub fn get(payload: &[u8]) -> Result<Self, WireError> {
        let what = "a socket request";
        let [family, protocol, extensions, _] = array(what, payload, 0)?;
        Ok(Self {
            family,
            protocol,
            extensions,
            states: u32_at(what, payload, 4)?,
            id: RawSockId::get(what, payload, 8)?,
        })
    }
}

/// `struct inet_diag_msg`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawRow {
    pub family: u8,
    pub state: u8,
    pub timer: u8,
    /// `icsk_retransmits` or `icsk_probes_out`, whichever `timer` is about; cut to eight bits by the kernel.
    pub retrans: u8,
    pub id: RawSockId,
    /// Milliseconds.
    pub expires: u32,
    pub rqueue: u32,
    pub wqueue: u32,
    pub uid: u32,
    pub inode: u32,
}

impl RawRow {
    #[inline]
    pub fn get(payload: &[u8]) -> Result<Self, WireError> {
        let what = "a socket row";
        let row: [u8; ROW] = array(what, payload, 0)?;
        let [family, state, timer, retrans, ..] = row;
        Ok(Self {
            family,
            state,
            timer,
            retrans,
            id: RawSockId::get(what, &row, 4)?,
            expires: u32_at(what, &row, 52)?,
            rqueue: u32_at(what, &row, 56)?,
            wqueue: u32_at(what, &row, 60)?,
            uid: u32_at(what, &row, 64)?,
            inode: u32_at(what, &row, 68)?,
        })
    }

    /// Appends the structure as the kernel lays it out: for replies made by hand.
    pub fn put(&self, out: &mut impl BufMut) {
        out.put_slice(&[self.family, self.state, self.timer, self.retrans]);
        self.id.put(out);
        for field in [self.expires, self.rqueue, self.wqueue, self.uid, self.inode] {
            out.put_u32_ne(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sock_id() -> impl Strategy<Value = RawSockId> {
        any::<([u8; 2], [u8; 2], [u8; 16], [u8; 16], u32, [u32; 2])>().prop_map(
            |(sport, dport, src, dst, interface, cookie)| RawSockId {
                sport,
                dport,
                src,
                dst,
                interface,
                cookie,
            },
        )
    }

    proptest! {
        #[test]
        fn a_request_reads_back(
            (family, protocol, extensions, states) in any::<(u8, u8, u8, u32)>(),
            id in sock_id(),
            (flags, seq) in any::<(u16, u32)>(),
        ) {
            let request = RawRequest { family, protocol, extensions, states, id };
            let mut bytes = Vec::new();
            request.put(flags, seq, &mut bytes);
            let messages: Vec<_> = Messages(&bytes).collect();
            prop_assert_eq!(messages.len(), 1);
            let message = messages[0].unwrap();
            prop_assert_eq!((message.kind, message.seq), (SOCK_DIAG_BY_FAMILY, seq));
            prop_assert_eq!(message.flags, flags | FLAG_REQUEST);
            prop_assert_eq!(RawRequest::get(message.payload), Ok(request));
        }

        #[test]
        fn a_row_reads_back(
            (family, state, timer, retrans) in any::<(u8, u8, u8, u8)>(),
            id in sock_id(),
            (expires, rqueue, wqueue, uid, inode) in any::<(u32, u32, u32, u32, u32)>(),
            cut in 0..ROW,
        ) {
            let row = RawRow { family, state, timer, retrans, id, expires, rqueue, wqueue, uid, inode };
            let mut bytes = Vec::new();
            row.put(&mut bytes);
            prop_assert_eq!(bytes.len(), ROW);
            prop_assert_eq!(RawRow::get(&bytes), Ok(row));
            let short = WireError::Short { what: "a socket row", have: cut, need: ROW };
            prop_assert_eq!(RawRow::get(&bytes[..cut]), Err(short));
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Messages(&bytes).count() <= bytes.len() / HEADER + 1);
            prop_assert!(Attributes(&bytes).count() <= bytes.len() / ATTR_HEADER + 1);
            for message in Messages(&bytes).flatten() {
                let _ = message.errno();
            }
        }
    }

    #[test]
    fn a_lying_length_is_named_and_ends_the_datagram() {
        let mut bytes = Vec::new();
        RawRequest::default().put(0, 7, &mut bytes);
        bytes[..4].copy_from_slice(&73u32.to_ne_bytes());
        let messages: Vec<_> = Messages(&bytes).collect();
        assert_eq!(messages, [Err(WireError::Overlong { what: "a netlink message", claims: 73, have: 72 })]);
        bytes[..4].copy_from_slice(&15u32.to_ne_bytes());
        let messages: Vec<_> = Messages(&bytes).collect();
        assert_eq!(messages, [Err(WireError::Short { what: "a netlink message", have: 15, need: HEADER })]);
    }

    #[test]
    fn attributes_are_padded_and_lose_their_flags() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&5u16.to_ne_bytes());
        bytes.extend_from_slice(&(ATTR_SKV6ONLY | 0x8000).to_ne_bytes());
        bytes.extend_from_slice(&[1, 0, 0, 0]);
        bytes.extend_from_slice(&4u16.to_ne_bytes());
        bytes.extend_from_slice(&3u16.to_ne_bytes());
        let attributes: Vec<_> = Attributes(&bytes).collect();
        assert_eq!(attributes, [Ok((ATTR_SKV6ONLY, &[1][..])), Ok((3, &[][..]))]);
    }

    #[test]
    fn the_end_may_carry_a_refusal() {
        let code = (-2i32).to_ne_bytes();
        let done = Message { kind: DONE, flags: 0, seq: 1, payload: &code };
        assert_eq!(done.errno(), Ok(2));
        assert_eq!(Message { payload: &[], ..done }.errno(), Ok(0));
        let short = Err(WireError::Short { what: "a netlink error message", have: 3, need: 4 });
        assert_eq!(Message { kind: ERROR, payload: &[0; 3], ..done }.errno(), short);
        let lowest = i32::MIN.to_ne_bytes();
        assert_eq!(Message { payload: &lowest, ..done }.errno(), Ok(i32::MAX));
    }
}
