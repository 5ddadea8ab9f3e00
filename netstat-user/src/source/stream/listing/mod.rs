//! The programs of a single listing: who holds which socket ([`holders`]), and which TCP sockets there are ([`walk`]).
//!
//! They are an object of their own, which loads in a few milliseconds: a listing ends before a trace's object were
//! loaded.

mod found;
pub mod holders;
mod object;
pub mod walk;

use super::around::raise_memlock;
use super::object::{check_abi, with_kfuncs};
use crate::kernel::Refusal;
use crate::kernel::bpf::{self, Attach, Kind};
use found::Found;
use netstat_common::listing::{Spots, WARM};
use object::Object;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use walk::Board;

/// The kernel half of a listing.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netstat-listing"));

/// Name of the program that reads the table of connections.
const WALK: &str = "walk";

/// An iterator that tells who holds which socket.
#[derive(Clone, Copy)]
struct Iterator {
    program: &'static str,
    /// What it iterates over, and the function that this is in the kernel's types.
    target: &'static str,
    function: &'static str,
}

/// Looks at eight files at a time, without a reference to any; where programs may load from any address.
const TASKS: Iterator = Iterator { program: "tasks", target: "task", function: "bpf_iter_task" };

/// Looks at one file after the other.
const FILES: Iterator = Iterator { program: "holders", target: "task_file", function: "bpf_iter_task_file" };

/// Sockets from which on it pays to load several at once.
const MANY: usize = 25_000;

/// A structure that begins with eight bytes of a number, in every kernel: see `Spots::eight_bytes`.
const EIGHT_BYTES: &str = "timespec64";

/// What is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Who holds which socket.
    pub holders: bool,
    /// The inode of each socket that is held; else only of those that are not connected, which the walk does not list.
    pub inodes: bool,
    /// Which TCP sockets there are: about so many. `None`: that is not wanted.
    pub walk: Option<usize>,
}

/// The loaded programs.
pub struct Listing {
    spots: Spots,
    board: Board,
    /// The iterator, if it is wanted.
    iterator: Option<(Iterator, OwnedFd)>,
    /// What reads the table of connections, if that is wanted.
    walk: Option<OwnedFd>,
    /// See `Spots::own_socket`. Of a family that no listing shows.
    _own: OwnedFd,
}

impl Listing {
    /// Loads what is wanted and nothing else.
    ///
    /// # Errors
    /// This kernel, or this process's privilege, does not allow it: the walk takes Linux 5.17 (`bpf_loop`), and that every
    /// field is where it can be found.
    pub fn load(want: Want) -> Result<Self, Refusal> {
        check_abi(OBJECT)?;
        raise_memlock();
        let Found { spots, cast, eight_bytes, tasks, files } = Found::here()?;
        if !spots.fit() {
            return Err(Refusal::NoHook("socket whose addresses lie together".to_owned()));
        }
        let eight_bytes = cast.and(eight_bytes).unwrap_or(0);
        let own = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        );
        let own = own.map_err(|cause| failed("making a netlink socket", cause))?;
        let own_socket = own.as_raw_fd().unsigned_abs();
        let words = spots.words_of();
        let warm = if want.walk.is_some_and(|sockets| sockets >= MANY) { WARM } else { 0 };
        let spots = Spots { inodes: want.inodes.into(), eight_bytes, words, warm, own_socket, ..spots };
        let elf = with_kfuncs(OBJECT, [None, None, cast]);
        let object = Object::open(&elf, "SPOTS", spots.bytes())?;
        let iterator = want.holders.then_some(if eight_bytes != 0 { (TASKS, tasks) } else { (FILES, files) });
        let iterator = iterator.map(|(iterator, number)| {
            let Iterator { program, target, .. } = iterator;
            let hook = format!("iterator {target}");
            let number = number.ok_or_else(|| Refusal::NoHook(hook.clone()))?;
            object
                .programs
                .load(program, Kind::Tracing, &hook, Some((Attach::Iter, number)))
                .map(|loaded| (iterator, loaded))
        });
        let load_walk = || object.programs.load(WALK, Kind::RawTracepoint, "raw tracepoint program", None);
        Ok(Self {
            spots,
            board: Board::of(object.map("BOARD")?)?,
            iterator: iterator.transpose()?,
            walk: want.walk.map(|_| load_walk()).transpose()?,
            _own: own,
        })
    }

    /// Looks at the files of all processes, once. Nothing where that was not wanted.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn holders(&mut self, take: &mut dyn FnMut(holders::Told)) -> Result<(), Refusal> {
        let Some((Iterator { program, target, .. }, loaded)) = &self.iterator else { return Ok(()) };
        let file = bpf::iterate(loaded.as_fd());
        let file = file.map_err(|cause| Refusal::from_attaching(&format!("iterator {target}"), cause))?;
        let file = File::from(file);
        let done =
            if *program == TASKS.program { self.board.pass(file, take) } else { holders::pass(file, take) };
        done.map_err(|cause| failed("reading an iterator", cause))
    }
}

fn failed(operation: &'static str, cause: impl std::fmt::Display) -> Refusal {
    Refusal::Failed { operation, cause: cause.to_string() }
}
