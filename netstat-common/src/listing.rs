//! What the programs of a single listing share with user space: they are an object of their own, so that a listing loads
//! nothing that only a trace needs.
//!
//! Two things are read. Who holds which socket is told as [`RawHeld`] and [`RawHolder`], on the [`Board`] that both halves
//! map, or as what an iterator writes. Which TCP sockets there are is read from the kernel's table of connections, a piece
//! at a time, onto the [`Board`].

/// Bytes of a socket that are copied whole: its `struct sock_common` up to the link of its chain.
pub const COMMON: usize = 112;

/// Bytes of these that hold everything but IPv6 addresses and the link.
pub const BASE: usize = 56;

/// See [`Spots::warm`].
pub const WARM: u32 = 16;

/// Records of who holds what that one run puts onto the [`Board`], where places are otherwise; a power of two.
pub const HELD_ROOM: u32 = 8192;

const _: () = assert!(HELD_ROOM as usize * size_of::<RawHeld>() <= ROOM as usize * size_of::<RawPlace>());

/// Sockets that one run of the program may put onto the [`Board`].
pub const ROOM: u32 = 2048;

/// Chains that one run may look at beside those of its sockets (five times as many where there are none): it must not keep
/// a processor for long.
pub const CHAINS: u32 = 1 << 16;

/// A process; the [`RawHeld`] that follow are its. 24 bytes, as those are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawHolder {
    /// [`HOLDER`].
    pub kind: u32,
    /// Its number in the reader's PID namespace; 0: it has none there.
    pub pid: u32,
    /// Its name, ended by a NUL when it is shorter.
    pub comm: [u8; 16],
}

/// A socket among the files of the process that was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawHeld {
    /// [`HELD`].
    pub kind: u32,
    /// Its descriptor.
    pub fd: u32,
    /// Its inode; 0: it is not wanted.
    pub inode: u64,
    /// Its [`key`]; 0: it has no `struct sock` any more.
    pub key: u64,
}

/// What a TCP socket is found by: its address, and what it was hashed by ([`Spots::skc_hash`], which its ports follow). The
/// address alone may be another socket's a moment later. No inode is the same: those have 32 bits.
#[inline(always)]
pub const fn key(sock: u64, hashed: u64) -> u64 {
    (sock ^ hashed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1 << 63
}

/// [`RawHolder::kind`].
pub const HOLDER: u32 = 1;
/// [`RawHeld::kind`].
pub const HELD: u32 = 2;

const _: () = assert!(size_of::<RawHolder>() == 24 && size_of::<RawHeld>() == 24);

/// A socket of the table of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RawPlace {
    /// The first bytes of the socket, as the kernel has them; where the link of its chain was ([`Spots::skc_nulls_node`])
    /// stands its own address.
    pub common: [u8; COMMON],
    /// `rcv_nxt`, `copied_seq`, `write_seq` and `snd_una` of a full socket; of a timewait socket its substate in the first;
    /// else 0.
    pub words: [u32; 4],
}

const _: () = assert!(size_of::<RawPlace>() == 128);

/// What one run is told, and what it tells. User space writes while no run is under way, and reads afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Board {
    /// Chain to begin with; after the run, the one to go on with.
    pub next: u64,
    /// Chains of the table; 0: the table was not found.
    pub chains: u64,
    /// Sockets that this run found.
    pub count: u32,
    /// Address family that is wanted; 0: each.
    pub family: u32,
    /// The chain `next` changed each time that it was read: it has to be tried again.
    pub torn: u32,
    /// The chain `next` has more than [`ROOM`] sockets.
    pub overfull: u32,
    /// Groups of chains that could not be read.
    pub faults: u32,
    pub unused: u32,
    pub places: [RawPlace; ROOM as usize],
}

/// Bytes of a [`Board`] before its places.
pub const BOARD_HEAD: usize = 40;
const _: () = assert!(size_of::<Board>() == BOARD_HEAD + ROOM as usize * size_of::<RawPlace>());

macro_rules! spots {
    ($($(#[$doc:meta])* $field:ident = $in:literal . $path:literal;)*) => {
        /// Byte offsets from the running kernel's BTF, in the global `SPOTS` of the listing's object.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct Spots {
            /// Whether the inode of every socket is wanted; else that of sockets which are not connected.
            pub inodes: u32,
            /// The kernel's number of a structure that begins with eight bytes of a number (`struct timespec64`): any address
            /// may be taken for one of it, and read, where `bpf_rdonly_cast` is to be had (6.2 and later). 0: it is not.
            pub eight_bytes: u32,
            /// Which words of eight bytes of a socket's first [`BASE`] are wanted, a bit each.
            pub words: u32,
            /// Sockets that are loaded at once, before they are read: [`WARM`] at most. The more, the longer the verifier takes.
            pub warm: u32,
            /// A descriptor of the reader's own that is a socket: other sockets have the same operations.
            pub own_socket: u32,
            $($(#[$doc])* pub $field: u32,)*
        }

        impl Spots {
            /// The structures that are looked at.
            pub const TYPES: &'static [&'static str] = &[$($in),*];

            /// Asks `lookup(structure, path)` for every field.
            ///
            /// # Errors
            /// Names the first field that this kernel does not have.
            pub fn resolve(
                mut lookup: impl FnMut(&str, &str) -> Option<u32>,
            ) -> Result<Self, (&'static str, &'static str)> {
                Ok(Self { inodes: 0, eight_bytes: 0, words: 0, warm: 0, own_socket: 0, $($field: lookup($in, $path).ok_or(($in, $path))?,)* })
            }
        }
    };
}

spots! {
    task_group_leader = "task_struct"."group_leader";
    task_comm = "task_struct"."comm";
    task_thread_pid = "task_struct"."thread_pid";
    task_nsproxy = "task_struct"."nsproxy";
    task_files = "task_struct"."files";
    files_fdt = "files_struct"."fdt";
    fdtable_max_fds = "fdtable"."max_fds";
    fdtable_fd = "fdtable"."fd";
    file_op = "file"."f_op";
    file_private_data = "file"."private_data";
    pid_level = "pid"."level";
    /// A `struct upid` of 16 bytes for each PID namespace, from the initial one inwards; the number comes first in it.
    pid_numbers = "pid"."numbers";
    socket_sk = "socket"."sk";
    /// A socket and its inode are one object.
    socket_ino = "socket_alloc"."vfs_inode.i_ino";
    nsproxy_net = "nsproxy"."net_ns";
    /// A member of `struct net` since 4.x, what it points to one of its own or shared by all since 6.1.
    net_hashinfo = "net"."ipv4.tcp_death_row.hashinfo";
    hashinfo_ehash = "inet_hashinfo"."ehash";
    hashinfo_mask = "inet_hashinfo"."ehash_mask";
    skc_daddr = "sock_common"."skc_daddr";
    skc_rcv_saddr = "sock_common"."skc_rcv_saddr";
    /// Of a connection's addresses and ports; four bytes, which the ports follow.
    skc_hash = "sock_common"."skc_hash";
    skc_dport = "sock_common"."skc_dport";
    skc_num = "sock_common"."skc_num";
    skc_family = "sock_common"."skc_family";
    skc_state = "sock_common"."skc_state";
    skc_bound_dev_if = "sock_common"."skc_bound_dev_if";
    skc_net = "sock_common"."skc_net";
    skc_v6_daddr = "sock_common"."skc_v6_daddr";
    skc_v6_rcv_saddr = "sock_common"."skc_v6_rcv_saddr";
    skc_nulls_node = "sock_common"."skc_nulls_node";
    tw_substate = "inet_timewait_sock"."tw_substate";
    tcp_rcv_nxt = "tcp_sock"."rcv_nxt";
    tcp_copied_seq = "tcp_sock"."copied_seq";
    tcp_write_seq = "tcp_sock"."write_seq";
    tcp_snd_una = "tcp_sock"."snd_una";
}

impl Spots {
    /// What is to stand in [`words`](Self::words).
    pub fn words_of(&self) -> u32 {
        let wanted = [
            self.skc_daddr,
            self.skc_rcv_saddr,
            self.skc_hash,
            self.skc_family,
            self.skc_state,
            self.skc_bound_dev_if,
        ];
        wanted.into_iter().fold(0, |words, at| words | 1 << ((at / 8) % 32))
    }

    /// Whether everything that is copied whole lies in the part that is copied, and every link at a multiple of 8.
    pub const fn fit(&self) -> bool {
        const fn within(at: u32, size: u32, end: usize) -> bool {
            at.is_multiple_of(if size > 8 { 8 } else { size }) && at as usize + size as usize <= end
        }
        const fn ends(at: u32, size: u32) -> bool {
            within(at, size, BASE)
        }
        ends(self.skc_hash, 8)
            && self.skc_dport == self.skc_hash + 4
            && self.skc_num == self.skc_hash + 6
            && ends(self.skc_daddr, 4)
            && ends(self.skc_rcv_saddr, 4)
            && ends(self.skc_dport, 2)
            && ends(self.skc_num, 2)
            && ends(self.skc_family, 2)
            && ends(self.skc_state, 1)
            && ends(self.skc_bound_dev_if, 4)
            && ends(self.skc_net, 8)
            && within(self.skc_v6_daddr, 16, COMMON)
            && within(self.skc_v6_rcv_saddr, 16, COMMON)
            && within(self.skc_nulls_node, 8, COMMON)
    }
}

impl Spots {
    /// As the kernel half has them.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `Spots` is `repr(C)` and holds `u32` only, so it has no padding; the bytes are borrowed with it.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}
