//! The only reader of sockets.
//!
//! A hook with BTF types gives a pointer whose loads the verifier checks ([`Typed`]); any other hook gives an address
//! that `bpf_probe_read_kernel` checks ([`Probed`]). A field at an [`ABSENT`] offset reads as zero.

use crate::maps::{ABSENT, config, offset};
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel as raw_probe_read_kernel;
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_jiffies64, bpf_skc_to_tcp_sock};
use core::ffi::c_void;
use netstat_common::event::{
    FLAG_DEAD, FLAG_LINGER, FLAG_PEER_FIN, FLAG_POINTER, FLAG_TOTALS, FLAG_UNACCEPTED, NOT_TOLD,
};
use netstat_common::{AF_INET, IPPROTO_TCP, RawHead, RawTotals, RawTuple, judge};

/// `SOCK_STREAM`: a raw socket may be of the same protocol.
const STREAM: u16 = 1;

/// `SOCK_DEAD`, `SOCK_DONE` and `SOCK_LINGER` in a socket's flags (`enum sock_flags`, include/net/sock.h, 5.10 to 6.18).
const DEAD: u64 = 1;
const DONE: u64 = 1 << 1;
const LINGER: u64 = 1 << 4;

/// Kernel memory at an address.
pub type Address = *const c_void;

/// Whether `bpf_get_socket_cookie` may be called (and sockets are named by what it returns).
#[inline(always)]
pub fn has_cookie() -> bool {
    config!(has_cookie) != 0
}

/// Loads through a pointer whose type the verifier knows.
#[inline(always)]
pub fn typed<T: Copy + Default>(base: Address, at: u64) -> T {
    if at == ABSENT {
        return T::default();
    }
    let field = base.cast::<u8>().wrapping_add(at as usize).cast::<T>();
    // SAFETY: the verifier proves that `base + at` is a field of the pointer's BTF type that is at least as large as
    // `T`; a fault (a pointer that became invalid) reads as zero. `T` is an integer or a pointer.
    unsafe { core::ptr::read_volatile(field) }
}

/// Loads from any kernel address; `None` when it is not mapped.
#[inline(always)]
pub fn probed<T: Copy + Default>(base: Address, at: u64) -> Option<T> {
    if at == ABSENT {
        return Some(T::default());
    }
    let field = base.cast::<u8>().wrapping_add(at as usize).cast::<T>();
    // SAFETY: the helper checks the address and fails instead of faulting; `T` is an integer, a pointer or a byte
    // array, so any bits are valid.
    unsafe { bpf_probe_read_kernel(field) }.ok()
}

/// The same where nobody asks whether there was something: zero where nothing is. Without a branch, of which the verifier
/// would follow both sides.
#[inline(always)]
pub fn loaded<T: Copy + Default>(base: Address, at: u64) -> T {
    let mut value = T::default();
    if at != ABSENT {
        let field = base.cast::<u8>().wrapping_add(at as usize);
        // SAFETY: the helper checks the address, and clears `value`, which has room for it, where nothing is; `T` is an integer,
        // a pointer or a byte array, so any bits are valid.
        unsafe {
            raw_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, field.cast());
        }
    }
    value
}

/// Whether [`cast`] may be called.
#[inline(always)]
pub fn has_casts() -> bool {
    config!(types.tcp_sock) != 0
}

/// The same address as a pointer to the kernel's type `number`, through which [`typed`] may load: a load from where nothing
/// is gives zero. It costs no instruction; [`probed`] costs a call for each field.
#[inline(always)]
pub fn cast(address: Address, number: u32) -> Address {
    #[cfg(target_arch = "bpf")]
    {
        let pointer: Address;
        // SAFETY: the branch is only there when the loader has completed the call (`netstat_common::config::KFUNCS`), which
        // the verifier replaces by a move.
        unsafe {
            core::arch::asm!(
                "call 0x0bad0003",
                inout("r1") address => _, inout("r2") u64::from(number) => _,
                out("r0") pointer, out("r3") _, out("r4") _, out("r5") _,
            );
        }
        pointer
    }
    // The crate runs on that target only; elsewhere it is merely checked.
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = number;
        address
    }
}

/// A TCP socket. Each method reads one thing.
pub trait Sock: Copy {
    /// The hook's programs may use helpers that take typed sockets.
    const TYPED: bool;

    /// Address of the `struct sock`.
    fn address(self) -> Address;

    /// The same as `struct tcp_sock`, which the fields after `struct sock` need.
    fn tcp(self) -> Address;

    fn load<T: Copy + Default>(self, base: Address, at: u64) -> T;

    /// Whether it has a cookie already.
    #[inline(always)]
    fn is_named(self) -> bool {
        self.load::<u64>(self.tcp(), offset!(skc_cookie)) != 0
    }

    /// Names the socket in `head` and returns its other name, for [`RawTuple::other`].
    fn name(self, head: &mut RawHead) -> u64;

    #[inline(always)]
    fn get<T: Copy + Default>(self, at: u64) -> T {
        self.load(self.address(), at)
    }

    #[inline(always)]
    fn protocol(self) -> u16 {
        self.get(offset!(sk_protocol))
    }

    #[inline(always)]
    fn family(self) -> u16 {
        self.get(offset!(skc_family))
    }

    /// Host order. Not `skc_num`, which is 0 after the port was given back, that is at the transition to CLOSE.
    #[inline(always)]
    fn lport(self) -> u16 {
        u16::from_be(self.load(self.tcp(), offset!(inet_sport)))
    }

    #[inline(always)]
    fn rport(self) -> u16 {
        u16::from_be(self.get(offset!(skc_dport)))
    }

    #[inline(always)]
    fn state(self) -> u8 {
        self.get(offset!(skc_state))
    }

    /// The network namespace's `struct net`.
    #[inline(always)]
    fn net(self) -> Address {
        // By `tcp`, like every pointer: at one that is loaded through a pointer that it trusts, the verifier of 6.2 to 6.18
        // goes through all names of the kernel's types, several times.
        self.load(self.tcp(), offset!(skc_net))
    }

    #[inline(always)]
    fn inum(self, net: Address) -> u32 {
        if net.is_null() { 0 } else { self.load(net, offset!(net_inum)) }
    }

    /// Whether a process holds the socket's lock.
    #[inline(always)]
    fn is_owned(self) -> bool {
        self.get::<i32>(offset!(sk_lock_owned)) != 0
    }

    /// Whether the peer's FIN was received: `tcp_fin` sets [`DONE`].
    #[inline(always)]
    fn has_peer_fin(self) -> bool {
        self.get::<u64>(offset!(skc_flags)) & DONE != 0
    }

    /// `FLAG_*` of the socket that closes.
    #[inline(always)]
    fn last_flags(self) -> u8 {
        let flags: u64 = self.get(offset!(skc_flags));
        let mut told = 0;
        if flags & DONE != 0 {
            told |= FLAG_PEER_FIN;
        }
        if flags & DEAD != 0 {
            told |= FLAG_DEAD;
        } else if offset!(sk_socket) != ABSENT && self.load::<u64>(self.tcp(), offset!(sk_socket)) == 0 {
            told |= FLAG_UNACCEPTED;
        }
        // Ticks; whatever word it is of, the lower half tells none from some.
        if flags & LINGER != 0 && self.get::<u32>(offset!(sk_lingertime)) == 0 {
            told |= FLAG_LINGER;
        }
        if offset!(tcp_bytes_sent) != ABSENT {
            told |= FLAG_TOTALS;
        }
        told
    }

    /// How often the SYN or the answer to it was sent again, of a connection that has sent nothing else.
    #[inline(always)]
    fn syn_retrans(self) -> u16 {
        if offset!(tcp_total_retrans) == ABSENT {
            return NOT_TOLD;
        }
        let count: u32 = self.load(self.tcp(), offset!(tcp_total_retrans));
        if count >= u32::from(NOT_TOLD) { NOT_TOLD - 1 } else { count as u16 }
    }

    /// Whether this end neither sends nor receives any more: `SHUTDOWN_MASK` (include/net/sock.h, 5.10 to 6.18).
    #[inline(always)]
    fn is_shut(self) -> bool {
        self.get::<u8>(offset!(sk_shutdown)) & 3 == 3
    }

    #[inline(always)]
    fn err(self) -> u16 {
        let err: i32 = self.get(offset!(sk_err));
        // An errno is below 4096.
        err.unsigned_abs() as u16
    }

    #[inline(always)]
    fn rqueue(self) -> u32 {
        let tcp = self.tcp();
        judge::sequence_gap(self.load(tcp, offset!(tcp_rcv_nxt)), self.load(tcp, offset!(tcp_copied_seq)))
    }

    #[inline(always)]
    fn wqueue(self) -> u32 {
        let tcp = self.tcp();
        judge::sequence_gap(self.load(tcp, offset!(tcp_write_seq)), self.load(tcp, offset!(tcp_snd_una)))
    }

    /// Fills in both addresses; `tuple.family` is already known.
    #[inline(always)]
    fn addresses(self, tuple: &mut RawTuple) {
        if tuple.family == AF_INET {
            tuple.laddr[..4].copy_from_slice(&self.get::<u32>(offset!(skc_rcv_saddr)).to_ne_bytes());
            tuple.raddr[..4].copy_from_slice(&self.get::<u32>(offset!(skc_daddr)).to_ne_bytes());
        } else {
            self.address6(offset!(skc_v6_rcv_saddr), &mut tuple.laddr);
            self.address6(offset!(skc_v6_daddr), &mut tuple.raddr);
        }
    }

    /// Copies an `in6_addr` by words: its bytes may not be loaded as one.
    #[inline(always)]
    fn address6(self, at: u64, into: &mut [u8; 16]) {
        if at == ABSENT {
            return;
        }
        into[..8].copy_from_slice(&self.get::<u64>(at).to_ne_bytes());
        into[8..].copy_from_slice(&self.get::<u64>(at + 8).to_ne_bytes());
    }

    #[inline(always)]
    fn cgroup(self) -> u64 {
        let cgroup: Address = self.load(self.tcp(), offset!(sk_cgroup));
        if cgroup.is_null() {
            return 0;
        }
        let node: Address = self.load(cgroup, offset!(cgroup_kn));
        if node.is_null() { 0 } else { self.load(node, offset!(kernfs_node_id)) }
    }

    /// Fills in everything but `other`, which [`Sock::name`] returns.
    #[inline(always)]
    fn tuple(self, tuple: &mut RawTuple) {
        // Another one was not let through.
        tuple.netns = if config!(netns) == 0 { self.inum(self.net()) } else { config!(netns) };
        tuple.uid = if offset!(sk_uid) == ABSENT { u32::MAX } else { self.get(offset!(sk_uid)) };
        tuple.family = self.family();
        tuple.rport = self.rport();
        tuple.bound_if = self.get(offset!(skc_bound_dev_if));
        self.addresses(tuple);
        tuple.cgroup = self.cgroup();
    }

    #[inline(always)]
    fn totals(self, totals: &mut RawTotals) {
        let tcp = self.tcp();
        totals.bytes_acked = self.load(tcp, offset!(tcp_bytes_acked));
        totals.bytes_received = self.load(tcp, offset!(tcp_bytes_received));
        totals.bytes_sent = self.load(tcp, offset!(tcp_bytes_sent));
        totals.bytes_retrans = self.load(tcp, offset!(tcp_bytes_retrans));
        totals.segs_out = self.load(tcp, offset!(tcp_segs_out));
        totals.segs_in = self.load(tcp, offset!(tcp_segs_in));
        totals.retrans = self.load(tcp, offset!(tcp_total_retrans));
        // Kept times eight (tcp_rtt_estimator, net/ipv4/tcp_input.c, 6.12).
        totals.srtt = self.load::<u32>(tcp, offset!(tcp_srtt_us)) >> 3;
        totals.rqueue = self.rqueue();
        totals.wqueue = self.wqueue();
        totals.min_rtt =
            if offset!(tcp_rtt_min) == ABSENT { u32::MAX } else { self.load(tcp, offset!(tcp_rtt_min) + 4) };
        totals.lost = self.load(tcp, offset!(tcp_lost));
        totals.reordered = self.load(tcp, offset!(tcp_reord_seen));
        totals.probes = u32::from(self.load::<u8>(tcp, offset!(icsk_probes_out)));
        totals.user_timeout = self.load(tcp, offset!(icsk_user_timeout));
        self.busy(&mut totals.busy);
    }

    /// What `tcp_get_info_chrono_stats` (net/ipv4/tcp.c, 5.10 to 6.18) adds up: three clocks, of which one may run.
    #[inline(always)]
    fn busy(self, busy: &mut [u64; 3]) {
        if offset!(tcp_chrono_stat) == ABSENT || offset!(tcp_chrono_type) == ABSENT {
            return;
        }
        let tcp = self.tcp();
        let running = self.load::<u8>(tcp, offset!(tcp_chrono_type)) & 3;
        let start: u32 = self.load(tcp, offset!(tcp_chrono_start));
        // SAFETY: the helper takes no argument and every program type has it.
        let since = (unsafe { bpf_jiffies64() } as u32).wrapping_sub(start);
        let tick = u64::from(config!(tick));
        busy[0] = u64::from(self.load::<u32>(tcp, offset!(tcp_chrono_stat))) * tick;
        busy[1] = u64::from(self.load::<u32>(tcp, offset!(tcp_chrono_stat) + 4)) * tick;
        busy[2] = u64::from(self.load::<u32>(tcp, offset!(tcp_chrono_stat) + 8)) * tick;
        let since = u64::from(since) * tick;
        match running {
            1 => busy[0] += since,
            2 => busy[1] += since,
            3 => busy[2] += since,
            _ => {}
        }
    }

    /// The queues of a listener.
    #[inline(always)]
    fn listener(self, totals: &mut RawTotals) {
        totals.rqueue = self.get(offset!(sk_ack_backlog));
        totals.wqueue = self.get(offset!(sk_max_ack_backlog));
        totals.lost = self.get(offset!(sk_drops));
        totals.segs_in = self.load(self.tcp(), offset!(icsk_queue_len));
    }
}

/// A socket from a hook with BTF types.
#[derive(Clone, Copy)]
pub struct Typed {
    sk: Address,
    tcp: Address,
}

impl Typed {
    /// `None` when `sk` is no TCP socket; MPTCP's own sockets are not.
    #[inline(always)]
    pub fn new(sk: Address) -> Option<Self> {
        if sk.is_null() || typed::<u16>(sk, offset!(sk_protocol)) != IPPROTO_TCP {
            return None;
        }
        if has_casts() {
            // What the helper asks, too.
            let is_stream = typed::<u16>(sk, offset!(sk_type)) == STREAM;
            return is_stream.then(|| Self { sk, tcp: cast(sk, config!(types.tcp_sock)) });
        }
        // SAFETY: the verifier proves that `sk` is a socket; the helper returns null for one of another kind.
        let tcp = unsafe { bpf_skc_to_tcp_sock(sk.cast_mut()) };
        (!tcp.is_null()).then_some(Self { sk, tcp: tcp.cast_const().cast() })
    }

    /// The cookie, a new one if it had none.
    #[inline(always)]
    pub fn give_name(self) -> u64 {
        // SAFETY: the verifier proves that `sk` is a socket.
        unsafe { bpf_get_socket_cookie(self.sk.cast_mut()) }
    }
}

impl Sock for Typed {
    const TYPED: bool = true;

    #[inline(always)]
    fn address(self) -> Address {
        self.sk
    }

    #[inline(always)]
    fn tcp(self) -> Address {
        self.tcp
    }

    #[inline(always)]
    fn load<T: Copy + Default>(self, base: Address, at: u64) -> T {
        typed(base, at)
    }

    /// [`Typed::new`] has seen to it.
    #[inline(always)]
    fn protocol(self) -> u16 {
        IPPROTO_TCP
    }

    #[inline(always)]
    fn name(self, head: &mut RawHead) -> u64 {
        if has_cookie() {
            let cookie: u64 = typed(self.tcp, offset!(skc_cookie));
            head.sock = if cookie != 0 { cookie } else { self.give_name() };
            return self.sk as u64;
        }
        head.sock = self.sk as u64;
        head.flags |= FLAG_POINTER;
        self.get(offset!(skc_cookie))
    }
}

/// A TCP socket from a hook that gives its address only, where [`cast`] is to be had.
#[derive(Clone, Copy)]
pub struct Cast(Address);

impl Cast {
    #[inline(always)]
    pub fn new(sk: Address) -> Self {
        Self(cast(sk, config!(types.tcp_sock)))
    }
}

impl Sock for Cast {
    const TYPED: bool = false;

    #[inline(always)]
    fn address(self) -> Address {
        self.0
    }

    #[inline(always)]
    fn tcp(self) -> Address {
        self.0
    }

    #[inline(always)]
    fn load<T: Copy + Default>(self, base: Address, at: u64) -> T {
        typed(base, at)
    }

    #[inline(always)]
    fn name(self, head: &mut RawHead) -> u64 {
        given_name(self, head)
    }
}

/// A socket from a hook that gives its address only.
#[derive(Clone, Copy)]
pub struct Probed(pub Address);

impl Sock for Probed {
    const TYPED: bool = false;

    #[inline(always)]
    fn address(self) -> Address {
        self.0
    }

    #[inline(always)]
    fn tcp(self) -> Address {
        self.0
    }

    #[inline(always)]
    fn load<T: Copy + Default>(self, base: Address, at: u64) -> T {
        loaded(base, at)
    }

    #[inline(always)]
    fn name(self, head: &mut RawHead) -> u64 {
        given_name(self, head)
    }
}

/// [`Sock::name`] where a cookie cannot be given, only read; where the transitions name sockets by address, so does this.
#[inline(always)]
fn given_name<S: Sock>(sock: S, head: &mut RawHead) -> u64 {
    let cookie: u64 = sock.get(offset!(skc_cookie));
    if has_cookie() && cookie != 0 {
        head.sock = cookie;
        return sock.address() as u64;
    }
    head.sock = sock.address() as u64;
    head.flags |= FLAG_POINTER;
    cookie
}
