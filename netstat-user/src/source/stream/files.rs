//! The iterator over the files of all processes: one pass, and every process is known that holds a socket.
//!
//! It looks at each file for a moment with a reference of its own, as /proc/PID/fd does: see [`owner`](crate::source::owner).

use super::around::{loader, memlock, own_number, raise_memlock};
use super::object::{OBJECT, check_abi, settled};
use super::typed::Typed;
use crate::kernel::bpf::{self, Attach};
use crate::kernel::btf::{Btf, BtfError};
use crate::kernel::{Choice, Feature, Refusal, Refused, Tier};
use crate::model::{Comm, Holder, Pid, Process};
use netstat_common::{Config, Offsets, RawFile};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::mem::offset_of;
use std::num::NonZeroU64;
use std::path::Path;

/// Name of the program, and of what it iterates over.
const PROGRAM: &str = "files";
const HOOK: &str = "iterator task_file";
const FUNCTION: &str = "bpf_iter_task_file";

/// Structures that a pass alone needs.
const TYPES: [&str; 9] =
    ["sock_common", "task_struct", "pid", "cred", "file", "inode", "socket", "sock", FUNCTION];

/// What one read of the kernel's output may give; it gives 32 KiB at most.
const ROOM: usize = 64 * 1024;

/// What is known of the file of a process that is a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Processes are named as in the initial PID namespace.
    pub holder: Holder,
    /// The number of the process in the reader's PID namespace.
    pub seen: Option<Pid>,
}

/// Puts the program into the kernel.
pub(super) fn load(typed: &mut Typed, types: &Btf) -> Result<(), Refusal> {
    let number = types.number(FUNCTION).ok_or_else(|| Refusal::NoHook(HOOK.to_owned()))?;
    typed.load(PROGRAM, HOOK, Attach::Iter, number)
}

/// How holders are found: by the iterator where the kernel takes it.
pub(super) fn choose(typed: &mut Typed, types: &Result<Btf, BtfError>, ladder: &[Tier]) -> Choice {
    let mut refused = Vec::new();
    for &tier in ladder {
        let tried = match (tier, types) {
            (Tier::TpBtf, Ok(types)) => load(typed, types),
            (Tier::TpBtf, Err(cause)) => Err(failed("reading the kernel's types", cause)),
            _ => Ok(()),
        };
        match tried {
            Ok(()) => return Choice { feature: Feature::Holders, tier: Some(tier), refused },
            Err(why) => refused.push(Refused { tier, why }),
        }
    }
    Choice { feature: Feature::Holders, tier: None, refused }
}

/// A new pass; it is made as the file is [read](pass). It shows the processes of the caller's PID namespace.
pub(super) fn open(typed: &Typed) -> Result<File, Refusal> {
    let program = typed.get(PROGRAM).ok_or_else(|| Refusal::NoHook(HOOK.to_owned()))?;
    let pass = bpf::iterate(program).map_err(|cause| Refusal::from_attaching(HOOK, cause))?;
    Ok(pass.into())
}

/// Loads nothing but what a single pass needs, for a listing.
pub fn once() -> Result<File, Refusal> {
    check_abi(OBJECT)?;
    raise_memlock();
    let types = Btf::read(Path::new("/"), &TYPES).map_err(|cause| match cause {
        BtfError::Read { .. } => Refusal::NoBtf(cause),
        other => failed("reading the kernel's types", other),
    })?;
    let offsets = Offsets::resolve(|structure, path| types.offset(structure, path));
    let config = Config { reader: own_number(), ..Config::INITIAL };
    let mut loader = loader();
    loader.override_global("CONFIG", &config, true).btf(None);
    for map in ["HASH_QUEUES", "CALLS", "ANNOUNCED", "NOTES"] {
        loader.map_max_entries(map, 1);
    }
    loader.map_max_entries("EVENTS", 4096);
    let object = settled(Default::default(), &config, &offsets)?;
    let ebpf = loader.load(&object).map_err(|error| Refusal::from_object(error, memlock()))?;
    let mut typed = Typed::of(&object, &ebpf)?;
    load(&mut typed, &types)?;
    open(&typed)
}

fn failed(operation: &'static str, cause: impl std::fmt::Display) -> Refusal {
    Refusal::Failed { operation, cause: cause.to_string() }
}

/// Makes the pass. A process that holds a socket by several files is told once for each.
///
/// # Errors
/// Those of reading.
pub fn pass(mut file: impl Read, take: &mut dyn FnMut(Found)) -> io::Result<()> {
    let mut room = vec![0; ROOM];
    let mut held = 0;
    loop {
        let count = match file.read(room.get_mut(held..).unwrap_or_default()) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            // A million files in a row that are no sockets (`MAX_ITER_OBJECTS`, kernel/bpf/bpf_iter.c, 6.12): go on.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error),
        };
        let bytes = room.get(..held + count).unwrap_or_default();
        let mut records = bytes.chunks_exact(size_of::<RawFile>());
        records.by_ref().filter_map(found).for_each(&mut *take);
        // A record may be told in two pieces.
        let rest = records.remainder().len();
        let end = held + count;
        room.copy_within(end - rest..end, 0);
        held = rest;
    }
}

/// Reads a record. `None`: it names no process, or an inode that no socket has.
fn found(bytes: &[u8]) -> Option<Found> {
    let inode = u32::try_from(u64_at(bytes, offset_of!(RawFile, inode))).ok()?;
    let uid = u32_at(bytes, offset_of!(RawFile, uid));
    let process = Process {
        pid: Pid::new(u32_at(bytes, offset_of!(RawFile, tgid)))?,
        comm: Comm::from_bytes(&array_at::<16>(bytes, offset_of!(RawFile, comm))),
        start: u64_at(bytes, offset_of!(RawFile, start)),
        uid: (uid != u32::MAX).then_some(uid),
        parent: Pid::new(u32_at(bytes, offset_of!(RawFile, parent))),
        inner: Pid::new(u32_at(bytes, offset_of!(RawFile, inner))),
    };
    let cookie = NonZeroU64::new(u64_at(bytes, offset_of!(RawFile, cookie)));
    let holder = Holder { inode, cookie, process, fd: u32_at(bytes, offset_of!(RawFile, fd)) };
    Some(Found { holder, seen: Pid::new(u32_at(bytes, offset_of!(RawFile, seen))) })
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its bytes in pieces, as a pipe may.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(room.len());
            room[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn record(tgid: u32, inode: u64) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<RawFile>()];
        bytes[offset_of!(RawFile, inode)..][..8].copy_from_slice(&inode.to_ne_bytes());
        bytes[offset_of!(RawFile, tgid)..][..4].copy_from_slice(&tgid.to_ne_bytes());
        bytes[offset_of!(RawFile, fd)..][..4].copy_from_slice(&3u32.to_ne_bytes());
        bytes[offset_of!(RawFile, comm)..][..4].copy_from_slice(b"name");
        bytes
    }

    proptest! {
        #[test]
        fn records_come_whole_however_they_are_cut(count in 0u32..40, piece in 1usize..200) {
            let bytes: Vec<u8> = (1..=count).flat_map(|tgid| record(tgid, u64::from(tgid) + 7)).collect();
            let mut told = Vec::new();
            pass(Pieces(&bytes, piece), &mut |found| told.push(found)).unwrap();
            prop_assert_eq!(told.len(), count as usize);
            for (found, tgid) in told.iter().zip(1..) {
                let holder = &found.holder;
                prop_assert_eq!((holder.process.pid.get(), holder.inode, holder.fd), (tgid, tgid + 7, 3));
                prop_assert_eq!(holder.process.comm.bytes(), b"name");
            }
        }

        #[test]
        fn any_bytes_are_read_or_left_out(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            pass(&bytes[..], &mut |_| {}).unwrap();
        }
    }

    #[test]
    fn what_names_nobody_is_left_out() {
        assert_eq!(found(&record(0, 1)), None);
        assert_eq!(found(&record(1, u64::MAX)), None);
        assert!(found(&record(1, 1)).is_some());
    }
}
