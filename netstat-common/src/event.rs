//! The records of the ring buffer.
//!
//! Every record starts with a [`RawHead`]; [`RawHead::kind`] says what follows it. A transition comes in three
//! sizes: lean ([`Kind::Move`]) for a socket whose addresses were already told, whole ([`Kind::Full`]) when they
//! were not or when the reader asked for it, and with the final counters ([`Kind::Close`]).

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`RawHead`]: a transition of a socket that was told before.
    Move = 1,
    /// [`RawFull`]: a transition with addresses.
    Full = 2,
    /// [`RawClose`]: the transition to CLOSE, with addresses and totals.
    Close = 3,
    /// [`RawHead`]: LISTEN -> SYN_RECV of a child, named by its address in the kernel. Its cookie is not yet
    /// its own before 6.13 (`inet_csk_clone_lock`), so the record never carries one; the [`Kind::Full`] that
    /// follows repeats the address in [`RawTuple::other`].
    Child = 4,
    /// [`RawQueue`]: bytes waiting in the queues of a socket.
    Queue = 5,
    /// [`RawHead`]: the process `tgid` came to use the socket; `from` is a [`How`].
    Owner = 6,
    /// [`RawProcess`]: who `tgid` is. Sent before the first record that names it, and again after an exec.
    Process = 7,
    /// [`RawFull`]: a request or timewait socket is there, named by its own address; `from` is [`Mini::Begins`] or
    /// [`Mini::Goes`], `to` its state (SYN_RECV, FIN_WAIT2, TIME_WAIT). Neither has a user or a cgroup.
    Mini = 8,
    /// [`RawHead`]: something else happened to a request or timewait socket; `from` is a [`Mini`].
    MiniEnd = 9,
    /// [`RawFull`]: a socket in SYN_SENT has chosen its port.
    Port = 10,
    /// [`RawHead`]: a reset was sent or received; `from` is a [`Reset`], `detail` the kernel's reason (`enum sk_rst_reason`) or
    /// [`NOT_TOLD`].
    Reset = 11,
    /// [`RawFull`]: a transition of a socket of MPTCP or SCTP, told apart by [`RawHead::protocol`]. Always with its
    /// address: before 6.13 an accepted socket of MPTCP has the cookie of its listener (`mptcp_sk_clone_init`).
    Beside = 12,
    /// [`RawHead`]: something happened to the process `tgid` as a whole; `from` is a [`Life`].
    Life = 13,
    /// [`RawHead`]: the peer's receive window has been closed for so long that it is probed for the first time.
    Window = 14,
}

/// A record kind or other code that this ABI does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown(pub u8);

impl TryFrom<u8> for Kind {
    type Error = Unknown;

    fn try_from(code: u8) -> Result<Self, Unknown> {
        Ok(match code {
            1 => Self::Move,
            2 => Self::Full,
            3 => Self::Close,
            4 => Self::Child,
            5 => Self::Queue,
            6 => Self::Owner,
            7 => Self::Process,
            8 => Self::Mini,
            9 => Self::MiniEnd,
            10 => Self::Port,
            11 => Self::Reset,
            12 => Self::Beside,
            13 => Self::Life,
            14 => Self::Window,
            other => return Err(Unknown(other)),
        })
    }
}

impl Kind {
    /// Bytes of a record of this kind.
    pub const fn size(self) -> usize {
        match self {
            Self::Move
            | Self::Child
            | Self::Owner
            | Self::MiniEnd
            | Self::Reset
            | Self::Life
            | Self::Window => size_of::<RawHead>(),
            Self::Full | Self::Mini | Self::Port | Self::Beside => size_of::<RawFull>(),
            Self::Close => size_of::<RawClose>(),
            Self::Queue => size_of::<RawQueue>(),
            Self::Process => size_of::<RawProcess>(),
        }
    }
}

/// How a process came to a socket ([`Kind::Owner`], in [`RawHead::from`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum How {
    /// `accept` returned it.
    Accept = 1,
    /// It sent or received on it.
    Use = 2,
    /// It still holds it after it has executed a program.
    Keep = 3,
}

impl TryFrom<u8> for How {
    type Error = Unknown;

    fn try_from(code: u8) -> Result<Self, Unknown> {
        match code {
            1 => Ok(Self::Accept),
            2 => Ok(Self::Use),
            3 => Ok(Self::Keep),
            other => Err(Unknown(other)),
        }
    }
}

/// What happened to a process ([`Kind::Life`], in [`RawHead::from`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Life {
    /// It made the process whose number is in [`RawHead::sock`], which has all its files.
    Fork = 1,
    /// It executed a program, and the files that end with that are closed. [`RawHead::to`] is 1 when it has more files than
    /// were looked at; for each TCP socket among those that were, a [`Kind::Owner`] follows.
    Exec = 2,
    /// Its last thread ends; its files are closed after this.
    Exit = 3,
}

impl TryFrom<u8> for Life {
    type Error = Unknown;

    fn try_from(code: u8) -> Result<Self, Unknown> {
        match code {
            1 => Ok(Self::Fork),
            2 => Ok(Self::Exec),
            3 => Ok(Self::Exit),
            other => Err(Unknown(other)),
        }
    }
}

/// What happened to a request or timewait socket ([`Kind::Mini`] and [`Kind::MiniEnd`], in [`RawHead::from`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mini {
    /// It was made, or its timer was set again: who sees timers cannot tell.
    Begins = 1,
    /// A timewait socket may be in another state than before.
    Goes = 2,
    /// Its timer was stopped: it is gone unless it is told of again at once. A request perhaps because its connection was
    /// established.
    Stopped = 3,
    /// Its timer ran out: a timewait socket is gone, a request unless it is told of again at once.
    Expired = 4,
    /// It is gone; a request perhaps because its connection was established.
    Over = 5,
}

impl TryFrom<u8> for Mini {
    type Error = Unknown;

    fn try_from(code: u8) -> Result<Self, Unknown> {
        Ok(match code {
            1 => Self::Begins,
            2 => Self::Goes,
            3 => Self::Stopped,
            4 => Self::Expired,
            5 => Self::Over,
            other => return Err(Unknown(other)),
        })
    }
}

/// Which way a reset went ([`Kind::Reset`], in [`RawHead::from`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reset {
    Sent = 1,
    Received = 2,
}

impl TryFrom<u8> for Reset {
    type Error = Unknown;

    fn try_from(code: u8) -> Result<Self, Unknown> {
        match code {
            1 => Ok(Self::Sent),
            2 => Ok(Self::Received),
            other => Err(Unknown(other)),
        }
    }
}

/// [`RawHead::detail`] that the kernel does not tell: the reason of a reset before 6.10 and of every one received.
pub const NOT_TOLD: u16 = u16::MAX;

/// Which call changed the queues ([`Kind::Queue`], in [`RawHead::from`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// None: the last word before the socket closes.
    Final = 0,
    Send = 1,
    Receive = 2,
}

impl TryFrom<u8> for Direction {
    type Error = Unknown;

    fn try_from(code: u8) -> Result<Self, Unknown> {
        match code {
            0 => Ok(Self::Final),
            1 => Ok(Self::Send),
            2 => Ok(Self::Receive),
            other => Err(Unknown(other)),
        }
    }
}

/// [`RawHead::flags`]: `sock` is the socket's address in the kernel, not its cookie.
pub const FLAG_POINTER: u8 = 1;
/// [`RawHead::flags`]: a process held the socket's lock (`sk_lock.owned`), so `tgid` acted on the socket. Without
/// it `tgid` is 0: whoever ran when a softirq changed the state has nothing to do with it.
pub const FLAG_OWNED: u8 = 2;
/// [`RawHead::flags`] of a [`Kind::Close`]: the peer's FIN was received (`SOCK_DONE`), so `bytes_received` counts it. The
/// state alone does not tell: an orphan leaves FIN_WAIT2 before the FIN, a socket that is still held leaves with it.
pub const FLAG_PEER_FIN: u8 = 4;
/// [`RawHead::flags`] of a [`Kind::Close`]: no process has the socket any more (`SOCK_DEAD`).
pub const FLAG_DEAD: u8 = 8;
/// [`RawHead::flags`] of a [`Kind::Close`]: its process asked for a reset at close (`SO_LINGER` with no time).
pub const FLAG_LINGER: u8 = 16;
/// [`RawHead::flags`] of a [`Kind::Close`]: no process has ever had the socket.
pub const FLAG_UNACCEPTED: u8 = 32;
/// [`RawHead::flags`] of a [`Kind::Close`]: [`RawTotals`] were read; without it the kernel does not tell where they are.
pub const FLAG_TOTALS: u8 = 64;
/// [`RawHead::flags`] of a transition that a process caused: this end is shut for both directions (`sk_shutdown`), by `close`
/// or by `shutdown`.
pub const FLAG_SHUT: u8 = 128;

// A record may have any of them at the same time.
const _: () = assert!(
    FLAG_POINTER
        ^ FLAG_OWNED
        ^ FLAG_PEER_FIN
        ^ FLAG_DEAD
        ^ FLAG_LINGER
        ^ FLAG_UNACCEPTED
        ^ FLAG_TOTALS
        ^ FLAG_SHUT
        == u8::MAX
);

/// The start of every record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawHead {
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// Socket cookie, or the socket's address with [`FLAG_POINTER`]; in a [`RawProcess`], nanoseconds of
    /// CLOCK_BOOTTIME at which the process started.
    pub sock: u64,
    /// A [`Kind`].
    pub kind: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// State left, or what the kind says.
    pub from: u8,
    /// State reached.
    pub to: u8,
    /// Local port, host order (`inet_sport`); 0 before autobind.
    pub lport: u16,
    /// `sk_err`, a positive errno or 0.
    pub err: u16,
    /// Process (thread group) that acted, in the initial PID namespace; see [`FLAG_OWNED`].
    pub tgid: u32,
    /// `sk_protocol`.
    pub protocol: u16,
    /// Of a move to ESTABLISHED, how often the SYN or the answer to it was sent again; of a [`Kind::Reset`] its reason; of
    /// other records zero.
    pub detail: u16,
}

/// Who talks to whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawTuple {
    /// The other name of the socket: its address in the kernel when [`RawHead::sock`] is the cookie, the cookie
    /// (0 when none was given yet) when it is the address.
    pub other: u64,
    /// Inode of the network namespace; 0 when unknown.
    pub netns: u32,
    /// `sk_uid`, in the initial user namespace; `u32::MAX` when unknown.
    pub uid: u32,
    /// [`AF_INET`](crate::AF_INET) or [`AF_INET6`](crate::AF_INET6).
    pub family: u16,
    /// Foreign port, host order.
    pub rport: u16,
    /// `skc_bound_dev_if`; 0 when not bound to a device.
    pub bound_if: u32,
    /// IPv4 addresses use the first four bytes, the rest is zero.
    pub laddr: [u8; 16],
    /// See `laddr`.
    pub raddr: [u8; 16],
    /// Inode of the socket's cgroup (v2); 0 when unknown.
    pub cgroup: u64,
}

/// Counters of a connection, as the kernel holds them. Of a listener only `rqueue` (connections waiting for accept),
/// `wqueue` (how many may), `segs_in` (connections half open) and `lost` (connections and segments dropped) are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawTotals {
    /// `tcp_sock.bytes_acked`: counts our SYN and FIN as a byte each.
    pub bytes_acked: u64,
    /// `tcp_sock.bytes_received`: counts the peer's FIN as a byte.
    pub bytes_received: u64,
    /// `tcp_sock.bytes_sent`, retransmissions included.
    pub bytes_sent: u64,
    /// `tcp_sock.bytes_retrans`.
    pub bytes_retrans: u64,
    /// Microseconds in which something was to be sent or to be acknowledged, because of nothing in particular, because of
    /// the peer's receive window, and because of our send buffer (`tcp_sock.chrono_stat`).
    pub busy: [u64; 3],
    pub segs_out: u32,
    pub segs_in: u32,
    /// `tcp_sock.total_retrans`, segments.
    pub retrans: u32,
    /// Smoothed round-trip time in microseconds (`srtt_us >> 3`).
    pub srtt: u32,
    /// Bytes received and not read (`rcv_nxt - copied_seq`).
    pub rqueue: u32,
    /// Bytes written and not acknowledged (`write_seq - snd_una`).
    pub wqueue: u32,
    /// Smallest round-trip time of the last minutes in microseconds (`tcp_sock.rtt_min`); `u32::MAX` when never measured.
    pub min_rtt: u32,
    /// `tcp_sock.lost`, segments.
    pub lost: u32,
    /// `tcp_sock.reord_seen`, times.
    pub reordered: u32,
    /// Probes (zero window, keepalive) that nobody has answered (`icsk_probes_out`).
    pub probes: u32,
    /// `TCP_USER_TIMEOUT` in milliseconds; 0: the system's.
    pub user_timeout: u32,
    /// Zero.
    pub reserved: u32,
}

/// [`Kind::Full`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawFull {
    pub head: RawHead,
    pub tuple: RawTuple,
}

/// [`Kind::Close`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawClose {
    pub head: RawHead,
    pub tuple: RawTuple,
    pub totals: RawTotals,
}

/// [`Kind::Queue`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawQueue {
    /// `from` is a [`Direction`], `to` the socket's state.
    pub head: RawHead,
    /// See [`RawTotals::rqueue`].
    pub rqueue: u32,
    /// See [`RawTotals::wqueue`].
    pub wqueue: u32,
    /// Bytes sent since the record before.
    pub sent: u32,
    /// Bytes received since the record before.
    pub received: u32,
}

/// [`Kind::Process`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawProcess {
    /// `sock` is the start time, `tgid` the process.
    pub head: RawHead,
    /// Name of the thread group's leader, NUL-padded bytes.
    pub comm: [u8; 16],
    /// Real user, in the initial user namespace.
    pub uid: u32,
    /// Parent process; 0 when unknown.
    pub parent: u32,
    /// Its number in its own PID namespace; 0 when unknown.
    pub inner: u32,
    /// Zero.
    pub reserved: u32,
}

/// One file of one process: what a pass over all of them writes (`bpf_iter__task_file`). No record of the ring buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawFile {
    /// Inode of the socket.
    pub inode: u64,
    /// Socket cookie; 0 when none was given yet.
    pub cookie: u64,
    /// Nanoseconds of CLOCK_BOOTTIME at which the process started.
    pub start: u64,
    /// Name of the thread group's leader, NUL-padded bytes.
    pub comm: [u8; 16],
    /// Process (thread group), in the initial PID namespace.
    pub tgid: u32,
    /// The descriptor.
    pub fd: u32,
    /// Real user, in the initial user namespace; `u32::MAX` when unknown.
    pub uid: u32,
    /// Parent process; 0 when unknown.
    pub parent: u32,
    /// Its number in its own PID namespace; 0 when unknown.
    pub inner: u32,
    /// Its number in the PID namespace of whoever makes the pass; 0 when unknown.
    pub seen: u32,
}

const _: () = {
    assert!(size_of::<RawHead>() == 32 && align_of::<RawHead>() == 8);
    assert!(size_of::<RawTuple>() == 64 && align_of::<RawTuple>() == 8);
    assert!(size_of::<RawTotals>() == 104 && align_of::<RawTotals>() == 8);
    assert!(size_of::<RawFull>() == 96);
    assert!(size_of::<RawClose>() == 200);
    assert!(size_of::<RawQueue>() == 48);
    assert!(size_of::<RawProcess>() == 64);
    assert!(size_of::<RawFile>() == 64 && align_of::<RawFile>() == 8);
};
