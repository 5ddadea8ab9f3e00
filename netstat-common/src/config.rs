//! What user space tells the kernel half before it is loaded (`.rodata`, so the verifier sees constants).

/// Which queue changes are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Queues {
    /// None: the queue programs are not attached.
    #[default]
    Off = 0,
    /// The first change at once, then at most one a socket and [`Config::queue_interval`], and the last one
    /// before the socket closes.
    Coalesced = 1,
    /// One record for each call that moved data.
    Every = 2,
}

/// Where the kernel half keeps what it has not reported yet about the queues of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum QueueStore {
    /// Nowhere: the queue programs are not attached.
    #[default]
    None = 0,
    /// In the socket (`BPF_MAP_TYPE_SK_STORAGE`): all programs that touch it must be BTF-typed (5.12 and later).
    Socket = 1,
    /// In an LRU hash by the socket's address.
    Hash = 2,
}

/// Ports that [`Config::ports`] can hold.
pub const MAX_PORTS: usize = 16;

/// The functions whose timers matter, in the order of the map [`HANDLERS_MAP`]: of timewait sockets, of requests, and of what
/// sends again (which a SYN sets up, too). Exported to nobody, in 5.10 to 7.2 under these names.
pub const HANDLERS: [&str; 3] = ["tw_timer_handler", "reqsk_timer_handler", "tcp_write_timer"];

/// Functions that the kernel offers to programs (kfuncs) under numbers of its own (6.10 and later), each with the number
/// of a helper that there is not, which stands in its place in the object until the loader has found the kernel's.
pub const KFUNCS: [(&str, u32); 3] = [
    ("bpf_preempt_disable", 0x0bad_0001),
    ("bpf_preempt_enable", 0x0bad_0002),
    ("bpf_rdonly_cast", 0x0bad_0003),
];

/// The map in which the addresses of [`HANDLERS`] are: a section of the object, which programs read without a look-up.
pub const HANDLERS_MAP: &str = ".data.handlers";

/// The map that says, at any time, whether every transition must carry the addresses: 1 if so. A section like the other.
pub const MODE_MAP: &str = ".data.mode";

/// The map of [`COUNTED_WORDS`] words that count what is counted for all processors. User space maps it: a system call on
/// a map keeps classic tracepoints' programs from running on its processor until it is over, however long it is preempted
/// (`bpf_disable_instrumentation`, include/linux/bpf.h, 5.10 to 7.2).
pub const COUNTED_MAP: &str = "COUNTED";

/// Index in [`COUNTED_MAP`]: losses of whatever reason. It tells whether there is anything to be read elsewhere.
pub const COUNTED_LOSSES: u32 = 0;

/// Index in [`COUNTED_MAP`]: events that a hook's spares took because the hook itself was interrupted. Nothing was lost with
/// them, but the kernel counts them as left out.
pub const COUNTED_SPARED: u32 = 1;

/// Length of [`COUNTED_MAP`].
pub const COUNTED_WORDS: u32 = 2;

/// Numbers that stand in the instructions of the object for settings, until the loader puts those in: this one and the offset
/// of the member in [`Config`] (of four bytes; the others are read from the global).
pub const CONFIG_PLACE: u32 = 0x0bae_0000;
/// Likewise for a member of [`Offsets`](crate::Offsets), which has no global; an absent one becomes -1.
pub const OFFSETS_PLACE: u32 = 0x0baf_0000;

/// Settings of the kernel half, in the global `CONFIG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// Ticks of the kernel's clock (`jiffies`) between two coalesced queue records of one socket.
    pub queue_ticks: u64,
    /// Nanoseconds without a record after which the next one wakes the reader.
    pub wake_interval: u64,
    /// [`Queues`] as a number.
    pub queues: u32,
    /// Inode of the only network namespace to report; 0 reports all.
    pub netns: u32,
    /// Number of ports in `ports`; 0 reports all.
    pub port_count: u32,
    /// A socket is reported when its local or its foreign port is one of these (host byte order).
    pub ports: [u16; MAX_PORTS],
    /// 1 when the running kernel offers `bpf_get_socket_cookie` to tracing programs (5.12 and later);
    /// otherwise sockets are named by their kernel address.
    pub has_cookie: u32,
    /// Number of arguments of `tcp_recvmsg` in this kernel (6 up to 5.17, 5 up to 6.18, 4 later): its return
    /// value follows them in an fexit program.
    pub recvmsg_args: u32,
    /// Number of arguments of `inet_csk_accept` in this kernel (4 up to 6.9, 2 later).
    pub accept_args: u32,
    /// [`QueueStore`] as a number.
    pub queue_store: u32,
    /// 1 when the first two functions of [`KFUNCS`] are there, and the object's calls of them were completed.
    pub kfuncs: u32,
    /// The kernel's numbers of types that addresses are taken for by the third (6.2 and later), whose calls were completed
    /// likewise.
    pub types: CastTypes,
    /// How many spares the transition hook has: see the kernel half's `hook::nested`.
    pub spares: u32,
    /// Process (thread group) that reads what is reported, in the initial PID namespace; 0: not known.
    pub reader: u32,
    /// Microseconds of a tick of the kernel's clock (`jiffies`).
    pub tick: u32,
    /// Number of arguments of the tracepoint `tcp_send_reset` in this kernel (2 up to 6.9, 3 with the reason later).
    pub reset_args: u32,
}

/// See [`Config::types`]; all 0: there is no such function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CastTypes {
    pub tcp_sock: u32,
    pub inet_timewait_sock: u32,
    pub request_sock: u32,
    pub file: u32,
    pub socket: u32,
    /// Two pointers, the first of which stands for any that lies in an array.
    pub list_head: u32,
}

const _: () = assert!(size_of::<Config>() == 120 && align_of::<Config>() == 8);

impl Config {
    /// What the object carries until user space overwrites it: everything reported, queues off, no cookies.
    pub const INITIAL: Self = Self {
        queue_ticks: 26,
        wake_interval: 5_000_000,
        queues: 0,
        netns: 0,
        port_count: 0,
        ports: [0; MAX_PORTS],
        has_cookie: 0,
        recvmsg_args: 0,
        accept_args: 0,
        queue_store: 0,
        kfuncs: 0,
        types: CastTypes {
            tcp_sock: 0,
            inet_timewait_sock: 0,
            request_sock: 0,
            file: 0,
            socket: 0,
            list_head: 0,
        },
        spares: 1,
        reader: 0,
        tick: 0,
        reset_args: 0,
    };
}

impl Config {
    /// Members of four bytes, each with its offset.
    pub fn words(&self) -> [(usize, u32); 18] {
        macro_rules! words {
            ($($($member:ident).+),*) => {
                [$((core::mem::offset_of!(Config, $($member).+), self.$($member).+)),*]
            };
        }
        words![
            queues,
            netns,
            port_count,
            has_cookie,
            recvmsg_args,
            accept_args,
            queue_store,
            kfuncs,
            spares,
            reader,
            tick,
            reset_args,
            types.tcp_sock,
            types.inet_timewait_sock,
            types.request_sock,
            types.file,
            types.socket,
            types.list_head
        ]
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::INITIAL
    }
}

// SAFETY: `Config` is `repr(C)`, holds integers only, has no padding (asserted above: 2 * 8 + 3 * 4 + 32 + 15 * 4)
// and any bit pattern of it is valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Config {}
