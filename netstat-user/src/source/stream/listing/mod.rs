//! The programs of a single listing: who holds which socket ([`holders`]), and which TCP sockets there are ([`walk`]).
//!
//! They are an object of their own, which loads in a few milliseconds: a listing ends before a trace's object were
//! loaded.

pub mod holders;
pub mod walk;

use super::around::{loader, memlock, raise_memlock};
use super::object::{check_abi, with_kfuncs};
use crate::kernel::Refusal;
use crate::kernel::btf::{Btf, BtfError};
use aya::Ebpf;
use aya::programs::{Iter, Program, ProgramError, RawTracePoint};
use netstat_common::config::KFUNCS;
use netstat_common::listing::{Spots, WARM};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
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
    ebpf: Ebpf,
    spots: Spots,
    board: Board,
    /// The iterator that is loaded, if one is wanted.
    iterator: Iterator,
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
        let others = [TASKS.function, FILES.function, KFUNCS[2].0, EIGHT_BYTES];
        let wanted: Vec<&str> = Spots::TYPES.iter().copied().chain(others).collect();
        let types = Btf::read(Path::new("/"), &wanted).map_err(|cause| match cause {
            BtfError::Read { .. } => Refusal::NoBtf(cause),
            other => failed("reading the kernel's types", other),
        })?;
        let spots = Spots::resolve(|structure, path| types.offset(structure, path))
            .map_err(|(structure, path)| Refusal::NoHook(format!("field {structure}.{path}")))?;
        if !spots.fit() {
            return Err(Refusal::NoHook("socket whose addresses lie together".to_owned()));
        }
        let cast = types.number(KFUNCS[2].0);
        let eight_bytes = cast.and_then(|_| types.structure(EIGHT_BYTES)).unwrap_or(0);
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
        let mut loader = loader();
        loader.override_global("SPOTS", &spots, true).btf(None);
        let object = with_kfuncs(OBJECT, [None, None, cast]);
        let ebpf = loader.load(&object).map_err(|error| Refusal::from_object(error, memlock()))?;
        let iterator = if eight_bytes != 0 { TASKS } else { FILES };
        let mut listing = Self { board: Board::of(&ebpf)?, ebpf, spots, iterator, _own: own };
        if want.holders {
            listing.load_holders(&types)?;
        }
        if want.walk.is_some() {
            let refused = |error| Refusal::from_program(WALK, "raw tracepoint program", error);
            listing.walker()?.load().map_err(refused)?;
        }
        Ok(listing)
    }

    fn load_holders(&mut self, types: &Btf) -> Result<(), Refusal> {
        let Iterator { target, function, .. } = self.iterator;
        if types.number(function).is_none() {
            return Err(Refusal::NoHook(format!("iterator {target}")));
        }
        let skeleton = types.skeleton(&[function]);
        let btf = aya::Btf::parse(&skeleton, aya::Endianness::default())
            .map_err(|cause| failed("reading the kernel's types", cause))?;
        let loaded = self.program()?.load(target, &btf);
        loaded.map_err(|error| self.refused(error))
    }

    /// Looks at the files of all processes, once.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn holders(&mut self, take: &mut dyn FnMut(holders::Told)) -> Result<(), Refusal> {
        let attached = self.program()?.attach();
        let link = attached.map_err(|error| self.refused(error))?;
        let link = self.program()?.take_link(link).map_err(|error| self.refused(error))?;
        let file = link.into_file().map_err(|cause| failed("opening an iterator", cause))?;
        let done = if self.iterator.program == TASKS.program {
            self.board.pass(file, take)
        } else {
            holders::pass(file, take)
        };
        done.map_err(|cause| failed("reading an iterator", cause))
    }

    fn refused(&self, error: ProgramError) -> Refusal {
        let Iterator { program, target, .. } = self.iterator;
        Refusal::from_program(program, &format!("iterator {target}"), error)
    }

    fn program(&mut self) -> Result<&mut Iter, Refusal> {
        let name = self.iterator.program;
        match self.ebpf.program_mut(name) {
            Some(Program::Iter(program)) => Ok(program),
            _ => Err(Refusal::Object(format!("it has no iterator {name}"))),
        }
    }

    fn walker(&mut self) -> Result<&mut RawTracePoint, Refusal> {
        match self.ebpf.program_mut(WALK) {
            Some(Program::RawTracePoint(program)) => Ok(program),
            _ => Err(Refusal::Object(format!("it has no program {WALK}"))),
        }
    }
}

fn failed(operation: &'static str, cause: impl std::fmt::Display) -> Refusal {
    Refusal::Failed { operation, cause: cause.to_string() }
}
