//! The programs of a single listing: who holds which socket ([`holders`]), and which TCP sockets there are ([`walk`]).
//!
//! They are an object of their own, which loads in a few milliseconds: a listing ends before a trace's object were
//! loaded.

pub mod holders;
pub mod walk;

use super::around::{loader, memlock, raise_memlock};
use super::object::check_abi;
use crate::kernel::Refusal;
use crate::kernel::btf::{Btf, BtfError};
use aya::Ebpf;
use aya::programs::{Iter, Program, RawTracePoint};
use netstat_common::listing::Spots;
use std::path::Path;
use walk::Board;

/// The kernel half of a listing.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netstat-listing"));

/// Names of the programs, and what the first iterates over.
const HOLDERS: &str = "holders";
const WALK: &str = "walk";
const TARGET: &str = "task_file";
const FUNCTION: &str = "bpf_iter_task_file";

/// What is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Who holds which socket.
    pub holders: bool,
    /// The inode of each socket that is held; else only of those that are not connected, which the walk does not list.
    pub inodes: bool,
    /// Which TCP sockets there are.
    pub walk: bool,
}

/// The loaded programs.
pub struct Listing {
    ebpf: Ebpf,
    spots: Spots,
    /// When the walk is wanted.
    board: Option<Board>,
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
        let wanted: Vec<&str> = Spots::TYPES.iter().copied().chain([FUNCTION]).collect();
        let types = Btf::read(Path::new("/"), &wanted).map_err(|cause| match cause {
            BtfError::Read { .. } => Refusal::NoBtf(cause),
            other => failed("reading the kernel's types", other),
        })?;
        let spots = Spots::resolve(|structure, path| types.offset(structure, path))
            .map_err(|(structure, path)| Refusal::NoHook(format!("field {structure}.{path}")))?;
        if !spots.fit() {
            return Err(Refusal::NoHook("socket whose addresses lie together".to_owned()));
        }
        let spots = Spots { inodes: want.inodes.into(), ..spots };
        let mut loader = loader();
        loader.override_global("SPOTS", &spots, true).btf(None);
        let ebpf = loader.load(OBJECT).map_err(|error| Refusal::from_object(error, memlock()))?;
        let mut listing = Self { ebpf, spots, board: None };
        if want.holders {
            listing.load_holders(&types)?;
        }
        if want.walk {
            let refused = |error| Refusal::from_program(WALK, "raw tracepoint program", error);
            listing.walker()?.load().map_err(refused)?;
            listing.board = Some(Board::of(&listing.ebpf)?);
        }
        Ok(listing)
    }

    fn load_holders(&mut self, types: &Btf) -> Result<(), Refusal> {
        if types.number(FUNCTION).is_none() {
            return Err(Refusal::NoHook(format!("iterator {TARGET}")));
        }
        let skeleton = types.skeleton(&[FUNCTION]);
        let btf = aya::Btf::parse(&skeleton, aya::Endianness::default())
            .map_err(|cause| failed("reading the kernel's types", cause))?;
        let loaded = self.iterator()?.load(TARGET, &btf);
        loaded.map_err(|error| Refusal::from_program(HOLDERS, "iterator task_file", error))
    }

    /// Looks at the files of all processes, once.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn holders(&mut self, take: &mut dyn FnMut(holders::Told)) -> Result<(), Refusal> {
        let program = self.iterator()?;
        let refused = |error| Refusal::from_program(HOLDERS, "iterator task_file", error);
        let link = program.attach().map_err(refused)?;
        let link = program.take_link(link).map_err(refused)?;
        let file = link.into_file().map_err(|cause| failed("opening the iterator task_file", cause))?;
        holders::pass(file, take).map_err(|cause| failed("reading the iterator task_file", cause))
    }

    fn iterator(&mut self) -> Result<&mut Iter, Refusal> {
        match self.ebpf.program_mut(HOLDERS) {
            Some(Program::Iter(program)) => Ok(program),
            _ => Err(Refusal::Object(format!("it has no iterator {HOLDERS}"))),
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
