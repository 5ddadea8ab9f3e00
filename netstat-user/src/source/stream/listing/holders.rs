//! Who holds which socket, as the iterator over all files tells it.
//!
//! The iteration looks at each file for a moment with a reference of its own, as a look at /proc/PID/fd does: see
//! [`owner`](crate::source::owner).

use crate::model::{Comm, Pid};
use netstat_common::listing::{HELD, HOLDER, RawHeld, RawHolder};
use std::io::{self, ErrorKind, Read};
use std::mem::offset_of;

/// What one read of the kernel's output may give; it gives 32 KiB at most.
const ROOM: usize = 64 * 1024;

/// Bytes of a record, of either kind.
const RECORD: usize = size_of::<RawHeld>();

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The sockets that follow are this process's. `None`: it has no number in our PID namespace.
    Process(Option<Pid>, Comm),
    /// A socket of the process: its descriptor, its inode (0 unless wanted), its [`key`](netstat_common::listing::key).
    Socket { fd: u32, inode: u64, key: u64 },
}

/// Reads what an iteration tells, to its end. A process that was told may be told again.
///
/// # Errors
/// Those of reading.
pub fn pass(mut file: impl Read, take: &mut dyn FnMut(Told)) -> io::Result<()> {
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
        let mut records = bytes.chunks_exact(RECORD);
        records.by_ref().filter_map(told).for_each(&mut *take);
        // A record may be told in two pieces.
        let rest = records.remainder().len();
        let end = held + count;
        room.copy_within(end - rest..end, 0);
        held = rest;
    }
}

/// Reads a record; `None`: of no known kind.
pub(super) fn told(bytes: &[u8]) -> Option<Told> {
    match u32_at(bytes, offset_of!(RawHeld, kind)) {
        HELD => Some(Told::Socket {
            fd: u32_at(bytes, offset_of!(RawHeld, fd)),
            inode: u64::from_ne_bytes(array_at(bytes, offset_of!(RawHeld, inode))),
            key: u64::from_ne_bytes(array_at(bytes, offset_of!(RawHeld, key))),
        }),
        HOLDER => Some(Told::Process(
            Pid::new(u32_at(bytes, offset_of!(RawHolder, pid))),
            Comm::from_bytes(&array_at::<16>(bytes, offset_of!(RawHolder, comm))),
        )),
        _ => None,
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array_at(bytes, at))
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

    fn process(pid: u32) -> Vec<u8> {
        let mut bytes = vec![0; RECORD];
        bytes[..4].copy_from_slice(&HOLDER.to_ne_bytes());
        bytes[4..8].copy_from_slice(&pid.to_ne_bytes());
        bytes[8..12].copy_from_slice(b"name");
        bytes
    }

    fn socket(fd: u32) -> Vec<u8> {
        let mut bytes = vec![0; RECORD];
        bytes[..4].copy_from_slice(&HELD.to_ne_bytes());
        bytes[4..8].copy_from_slice(&fd.to_ne_bytes());
        bytes[8..16].copy_from_slice(&(u64::from(fd) + 7).to_ne_bytes());
        bytes[16..24].copy_from_slice(&(u64::from(fd) << 40).to_ne_bytes());
        bytes
    }

    proptest! {
        #[test]
        fn records_come_whole_however_they_are_cut(count in 0u32..40, piece in 1usize..200) {
            let bytes: Vec<u8> = (0..count).flat_map(|n| [process(n), socket(n)].concat()).collect();
            let mut all = Vec::new();
            pass(Pieces(&bytes, piece), &mut |told| all.push(told)).unwrap();
            prop_assert_eq!(all.len(), 2 * count as usize);
            for (pair, n) in all.chunks(2).zip(0u32..) {
                let comm = Comm::from_bytes(b"name");
                prop_assert_eq!(pair[0], Told::Process(Pid::new(n), comm));
                let (inode, key) = (u64::from(n) + 7, u64::from(n) << 40);
                prop_assert_eq!(pair[1], Told::Socket { fd: n, inode, key });
            }
        }

        #[test]
        fn any_bytes_are_read_or_left_out(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            pass(&bytes[..], &mut |_| {}).unwrap();
        }
    }
}
