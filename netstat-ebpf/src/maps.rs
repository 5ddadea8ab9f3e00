//! Every map and global.
//!
//! All map types exist since Linux 5.8, the first kernel with the ring buffer; what came later is a helper, and
//! helpers are called only in branches that `CONFIG` opens.

use crate::word::Word;
use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::SkStorage;
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use netstat_common::config::{COUNTED_LOSSES, COUNTED_MAP, COUNTED_WORDS, HANDLERS as HANDLER_NAMES};
use netstat_common::{Config, Layout, Loss};

/// Records for user space. The loader chooses another size.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// How many records could not be sent, by [`Loss`].
#[map]
pub static LOSSES: PerCpuArray<Word> = PerCpuArray::with_max_entries(Loss::ALL.len() as u32, 0);

/// See [`COUNTED_MAP`].
#[map(name = "COUNTED")]
static COUNTED: Array<Word> = Array::with_max_entries(COUNTED_WORDS, BPF_F_MMAPABLE);

const _: () = assert!(matches!(COUNTED_MAP.as_bytes(), b"COUNTED"));

/// Counts one in [`LOSSES`].
#[inline(always)]
pub fn count_loss(loss: Loss) {
    if let Some(word) = LOSSES.get_ptr(loss as u32) {
        add(word);
    }
    count(COUNTED_LOSSES);
}

/// Counts one in a word of [`COUNTED`]; `false`: there is none.
#[inline(always)]
pub fn count(place: u32) -> bool {
    COUNTED.get_ptr(place).map(add).is_some()
}

/// By one instruction, because an interrupt that comes between a load and a store may count a hundred, which the store would
/// then undo.
#[inline(always)]
fn add(word: *const Word) {
    // SAFETY: a word of a map, which lives as long as the program.
    unsafe { &*word }.add(1);
}

/// Places for notes; a power of two. Enough that another socket seldom comes to the same while a process is stopped between
/// two programs.
pub const NOTE_COUNT: u32 = 65536;

/// Which events the first program of the transition hook has: see `hook::nested`.
#[map]
pub static NOTES: Array<[u64; 2]> = Array::with_max_entries(NOTE_COUNT, 0);

/// See [`MODE_MAP`](netstat_common::config::MODE_MAP).
#[unsafe(link_section = ".data.mode")]
pub static MODE: Word = Word::new(1);

/// Addresses of the functions [named so](netstat_common::config::HANDLERS), for the hooks that see timers.
#[unsafe(link_section = ".data.handlers")]
pub static HANDLERS: [Word; HANDLER_NAMES.len()] = [const { Word::new(0) }; HANDLER_NAMES.len()];

/// The life of a process that was told: start and number of execs, by its tgid, and by thread for those of its threads
/// that met it.
#[map]
pub static ANNOUNCED: LruHashMap<u32, [u64; 2]> = LruHashMap::with_max_entries(8192, 0);

/// Threads of [`ANNOUNCED`] that were met last, each in a place of its own number's: a word made of thread and life. It
/// spares most events the look-up.
pub static MET: [Word; MET_COUNT] = [const { Word::new(0) }; MET_COUNT];

/// Places in [`MET`]; a power of two.
pub const MET_COUNT: usize = 1024;

/// What a socket's queue records have not told yet.
#[repr(C)]
pub struct Pending {
    /// Time of the last record in ticks; 0: none yet.
    pub last: Word,
    /// Bytes sent since.
    pub sent: Word,
    /// Bytes received since.
    pub received: Word,
    /// Process that used the socket last, with [`HAS_SENT`] and [`HAS_RECEIVED`]: the first call of either kind is told at
    /// once.
    pub user: Word,
    /// Sequence number up to which the process has read, with [`KNOWN`] set; 0: not known.
    pub read: Word,
    /// Sequence number up to which the process has written, likewise.
    pub written: Word,
}

/// See [`Pending::user`].
pub const HAS_SENT: u64 = 1 << 32;
/// See [`Pending::user`].
pub const HAS_RECEIVED: u64 = 1 << 33;

/// Tells sequence number 0 from none in [`Pending::read`].
pub const KNOWN: u64 = 1 << 32;

/// [`QueueStore::Socket`](netstat_common::config::QueueStore::Socket).
#[btf_map]
pub static SOCKET_QUEUES: SkStorage<[u64; 6]> = SkStorage::new();

/// [`QueueStore::Hash`](netstat_common::config::QueueStore::Hash). The loader makes it small when it is not used.
#[map]
pub static HASH_QUEUES: LruHashMap<u64, [u64; 6]> = LruHashMap::with_max_entries(65536, 0);

/// The socket of the `tcp_sendmsg` under way, by thread: from a kprobe to its kretprobe. The loader makes it small when it
/// is not used.
#[map]
pub static CALLS: HashMap<u64, u64> = HashMap::with_max_entries(16384, 0);

/// When a record was last sent, to [a millisecond](netstat_common::judge::must_mark).
pub static LAST_SENT: Word = Word::new(0);

/// Address of the only network namespace to report, once it was seen.
pub static HERE: Word = Word::new(0);

/// The process that reads what is reported, where it does not know its number in the initial PID namespace itself: learnt
/// when it looks at files by the iterator. 0: not known.
pub static READER: Word = Word::new(0);

#[unsafe(no_mangle)]
static CONFIG: Global<Config> = Global::new(Config::INITIAL);

#[unsafe(no_mangle)]
static LAYOUT: Global<Layout> = Global::new(Layout::NONE);

/// Reads one member of a global: copying the whole would fill half of the 512 bytes of stack.
#[inline(always)]
fn member<S, F: Copy>(global: &'static Global<S>, at: usize, _type: fn(&S) -> &F) -> F {
    let member = core::ptr::from_ref(global).cast::<u8>().wrapping_add(at).cast::<F>();
    // SAFETY: `Global<S>` is a transparent wrapper of an initialised `S` and `at` is the offset of a member of type
    // `F` (the caller is `global!`, which takes both from the same name). Volatile, because the loader overwrites it.
    unsafe { core::ptr::read_volatile(member) }
}

#[inline(always)]
pub fn config_at<F: Copy>(at: usize, kind: fn(&Config) -> &F) -> F {
    member(&CONFIG, at, kind)
}

#[inline(always)]
pub fn layout_at(at: usize, kind: fn(&Layout) -> &u32) -> u32 {
    member(&LAYOUT, at, kind)
}

/// An offset that this kernel does not have.
pub const ABSENT: u64 = u64::MAX;

/// What the loader puts in the place of a number: see [`CONFIG_PLACE`](netstat_common::config::CONFIG_PLACE).
macro_rules! place {
    ($number:expr) => {{
        #[cfg(target_arch = "bpf")]
        {
            let value: u64;
            // SAFETY: it only sets a register.
            unsafe {
                core::arch::asm!(
                    "{value} = {number}",
                    value = out(reg) value, number = const $number, options(nomem, nostack),
                );
            }
            value
        }
        // The crate runs on that target only; elsewhere it is merely checked.
        #[cfg(not(target_arch = "bpf"))]
        u64::from($number)
    }};
}

/// A member of `CONFIG` of four bytes.
macro_rules! config {
    ($($member:ident).+) => {
        $crate::maps::place!(
            netstat_common::config::CONFIG_PLACE
                + core::mem::offset_of!(netstat_common::Config, $($member).+) as u32
        ) as u32
    };
}

/// A member of `CONFIG` of eight bytes.
macro_rules! config_long {
    ($member:ident) => {
        $crate::maps::config_at::<u64>(core::mem::offset_of!(netstat_common::Config, $member), |all| {
            &all.$member
        })
    };
}

/// A member of [`Offsets`](netstat_common::Offsets), or [`ABSENT`].
macro_rules! offset {
    ($member:ident) => {
        $crate::maps::place!(
            netstat_common::config::OFFSETS_PLACE
                + core::mem::offset_of!(netstat_common::Offsets, $member) as u32
        )
    };
}

/// A member of `LAYOUT`, or [`ABSENT`].
macro_rules! layout {
    ($member:ident) => {
        match $crate::maps::layout_at(core::mem::offset_of!(netstat_common::Layout, $member), |all| {
            &all.$member
        }) {
            netstat_common::offsets::ABSENT => $crate::maps::ABSENT,
            at => u64::from(at),
        }
    };
}

pub(crate) use {config, config_long, layout, offset, place};
