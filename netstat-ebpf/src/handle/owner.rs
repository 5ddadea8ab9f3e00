//! Processes that come to own a socket.

use super::is_wanted;
use crate::emit::{emit, lost};
use crate::maps::{config, offset};
use crate::sock::{Address, Cast, Probed, Sock, cast, has_casts, loaded, probed, typed};
use crate::task;
use crate::word::Word;
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf};
use netstat_common::event::{How, RawHead};
use netstat_common::{AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP, Kind, Loss};

/// `S_IFMT` and `S_IFSOCK` (include/uapi/linux/stat.h, 6.12).
const FILE_TYPE: u16 = 0o170000;
const SOCKET: u16 = 0o140000;

/// Whether the log was told that descriptors cannot be followed.
static SAID: Word = Word::new(0);

/// The running process got `sock` from `accept`.
#[inline(always)]
pub fn accepted<S: Sock>(sock: S) {
    if sock.protocol() == IPPROTO_TCP && is_wanted(sock) {
        seen(sock, task::running::<S>(), How::Accept);
    }
}

/// Tells that the running `thread` came to use `sock`. Returns whether there was room.
#[inline(always)]
pub fn seen<S: Sock>(sock: S, thread: task::Thread, how: How) -> bool {
    task::announce::<S>(thread);
    let state = sock.state();
    emit(|now, head: &mut RawHead| {
        head.time = now;
        head.kind = Kind::Owner as u8;
        head.from = how as u8;
        head.to = state;
        head.lport = sock.lport();
        head.protocol = IPPROTO_TCP;
        task::sign(head, thread.tgid);
        sock.name(head);
    })
}

/// `accept` returned `fd` to the running process, or a negative errno.
#[inline(always)]
pub fn accepted_fd<C: EbpfContext>(ctx: &C, fd: i64) {
    if fd < 0 {
        return;
    }
    if has_casts() {
        let sk = socket_by_types(fd as u64);
        if !sk.is_null() {
            accepted_at(sk, Cast::new);
        }
        return;
    }
    match socket_of(fd as u64) {
        Some(sk) if sk.is_null() => {}
        Some(sk) => accepted_at(sk, Probed),
        None => {
            lost(Loss::UnreadableSock);
            // Rare, and only worth saying once: this is the one place where the kernel half logs.
            if SAID.load() == 0 {
                SAID.store(1);
                aya_log_ebpf::warn!(
                    ctx,
                    "accepted descriptor {} of process {} leads nowhere",
                    fd,
                    task::tgid()
                );
            }
        }
    }
}

/// The running process got the socket at `sk`, of whatever family, from `accept`; `at` makes one of an address. In place of
/// one of MPTCP its first subflow is told, which is TCP.
#[inline(always)]
pub fn accepted_at<S: Sock>(sk: Address, at: impl Fn(Address) -> S) {
    let mut sock = at(sk);
    if !matches!(sock.family(), AF_INET | AF_INET6) {
        return;
    }
    if sock.protocol() == IPPROTO_MPTCP {
        let first: Address = loaded(sk, offset!(mptcp_first));
        if first.is_null() {
            return;
        }
        sock = at(first);
    }
    accepted(sock);
}

/// The socket behind a descriptor of the running process, by [`cast`]s: null when the file is no socket or was already
/// closed by another thread.
#[inline(always)]
fn socket_by_types(fd: u64) -> Address {
    const NONE: Address = core::ptr::null();
    // SAFETY: the helper takes no argument; all tracing programs have it since 5.11, before casts.
    let task: Address = unsafe { bpf_get_current_task_btf() }.cast_const().cast();
    let files: Address = typed(task, offset!(task_files));
    if files.is_null() {
        return NONE;
    }
    let table: Address = typed(files, offset!(files_fdt));
    if table.is_null() || fd >= u64::from(typed::<u32>(table, offset!(fdtable_max_fds))) {
        return NONE;
    }
    let array: u64 = typed(table, offset!(fdtable_fd));
    let slot = array.wrapping_add(fd * size_of::<Address>() as u64) as Address;
    let file: Address = typed(cast(slot, config!(types.list_head)), 0);
    if file.is_null() {
        return NONE;
    }
    let file = cast(file, config!(types.file));
    let inode: Address = typed(file, offset!(file_inode));
    if inode.is_null() || typed::<u16>(inode, offset!(inode_mode)) & FILE_TYPE != SOCKET {
        return NONE;
    }
    let socket: u64 = typed(file, offset!(file_private_data));
    if socket == 0 { NONE } else { typed(cast(socket as Address, config!(types.socket)), offset!(socket_sk)) }
}

/// The socket behind a descriptor of the running process: null when the file is no socket or was already closed by
/// another thread, `None` when memory could not be read.
#[inline(always)]
fn socket_of(fd: u64) -> Option<Address> {
    // SAFETY: the helper takes no argument and all tracing programs have it.
    let task = unsafe { bpf_get_current_task() } as Address;
    let files: Address = probed(task, offset!(task_files))?;
    let table: Address = probed(files, offset!(files_fdt))?;
    let size: u32 = probed(table, offset!(fdtable_max_fds))?;
    if fd >= u64::from(size) {
        return None;
    }
    socket_in(probed(table, offset!(fdtable_fd))?, fd)
}

/// The same for a descriptor of an array that is at least as long.
#[inline(always)]
pub fn socket_in(array: Address, fd: u64) -> Option<Address> {
    let slot = (array as u64).wrapping_add(fd * size_of::<Address>() as u64) as Address;
    let file: Address = probed(slot, 0)?;
    if file.is_null() {
        return Some(file);
    }
    let socket = socket_behind(file)?;
    if socket.is_null() { Some(socket) } else { probed(socket, offset!(socket_sk)) }
}

/// The `struct socket` of a file: null when it is no socket.
#[inline(always)]
pub fn socket_behind(file: Address) -> Option<Address> {
    let inode: Address = probed(file, offset!(file_inode))?;
    let mode: u16 = probed(inode, offset!(inode_mode))?;
    if mode & FILE_TYPE != SOCKET {
        return Some(core::ptr::null());
    }
    probed(file, offset!(file_private_data))
}
