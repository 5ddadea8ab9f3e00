//! The reading end of the ring buffer.
//!
//! The kernel maps a page with the consumer's position, which we write, and after it a page with the producer's
//! position and the data, twice in a row (kernel/bpf/ringbuf.c, 6.12). We map the data once, since every mapped page
//! counts as the process's memory, and copy a record that wraps around in two pieces. A record is a header of eight
//! bytes, of which the first four are its length and two flags, and the data, padded to eight bytes.
//!
//! The position is published once a batch, not once a record: the producers read it whenever they reserve.

use super::mapping::Mapping;
use super::{Drained, StreamError};
use aya::maps::{Map, MapData, MapError};
use bytes::{BufMut, BytesMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering, fence};

const HEADER: usize = 8;
/// Flags in a header's length (include/uapi/linux/bpf.h, 6.12).
const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;

fn page_size() -> usize {
    // SAFETY: `sysconf` only answers. It knows this name on every Linux.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// See the [module](self).
pub struct Ring {
    map: MapData,
    consumer: Mapping,
    /// The producer's page, then the data.
    producer: Mapping,
    page: usize,
    /// Bytes of data, a power of two.
    size: usize,
    /// Our position, ahead of the published one within a batch.
    at: u64,
}

impl Ring {
    /// Maps the ring buffer.
    pub fn open(map: Map) -> Result<Self, StreamError> {
        let bad = |cause| StreamError::Map { name: "EVENTS", cause };
        let Map::RingBuf(map) = map else {
            return Err(bad(MapError::InvalidMapType { map_type: 0 }));
        };
        let size = map.info().map_err(bad)?.max_entries() as usize;
        let page = page_size();
        let io = |cause| bad(MapError::IoError(cause));
        let consumer =
            Mapping::new(map.fd().as_fd(), 0, page, libc::PROT_READ | libc::PROT_WRITE).map_err(io)?;
        let producer = Mapping::new(map.fd().as_fd(), page, page + size, libc::PROT_READ).map_err(io)?;
        let at = consumer.word(0).load(Ordering::Acquire);
        Ok(Self { map, consumer, producer, page, size, at })
    }

    /// Moves up to `max_records` records into `into`, each behind its length (`u32`, little-endian).
    pub fn drain(&mut self, into: &mut BytesMut, max_records: usize) -> Drained {
        let mut records = 0;
        let mut more = false;
        let began = self.at;
        let mut end = self.producer.word(0).load(Ordering::Acquire);
        loop {
            if self.at >= end {
                // What was read is published before the producers' position is looked at for the last time: so either
                // a new record is seen here or its producer sees that the reader has caught up.
                self.consumer.word(0).store(self.at, Ordering::Release);
                fence(Ordering::SeqCst);
                end = self.producer.word(0).load(Ordering::Acquire);
                if self.at >= end {
                    break;
                }
            }
            if records == max_records {
                more = true;
                break;
            }
            let header = self.header();
            if header & BUSY != 0 {
                more = true;
                break;
            }
            let len = (header & !DISCARD) as usize;
            let room = (HEADER + len).next_multiple_of(8);
            if room > self.size {
                // Not a length that the kernel writes. Everything up to the producer is given up; the records of it
                // are not counted, but the reader's next listing shows what they would have said.
                self.at = end;
                break;
            }
            if header & DISCARD == 0 {
                into.put_u32_le(len as u32);
                // Behind the header, which never lies astride.
                let start = (self.at as usize + HEADER) & (self.size - 1);
                let first = len.min(self.size - start);
                into.put_slice(self.data(start, first));
                into.put_slice(self.data(0, len - first));
                records += 1;
            }
            self.at += room as u64;
        }
        if self.at != began {
            self.consumer.word(0).store(self.at, Ordering::Release);
        }
        Drained { records, more }
    }

    /// The header at our position.
    fn header(&self) -> u32 {
        let offset = self.page + (self.at as usize & (self.size - 1));
        // SAFETY: `offset` is within the mapping (page + less than size), and aligned to eight since every position is.
        let header = unsafe { self.producer.start().byte_add(offset) }.cast();
        // SAFETY: an aligned word in the mapping, which the kernel changes atomically; it is only loaded.
        unsafe { AtomicU32::from_ptr(header) }.load(Ordering::Acquire)
    }

    /// `len` bytes of the data, of the record at our position; `start + len` is at most the size of the ring.
    fn data(&self, start: usize, len: usize) -> &[u8] {
        // SAFETY: page + `start` + `len` is at most page + size, the length of the mapping.
        let start = unsafe { self.producer.start().byte_add(self.page + start) }.cast::<u8>();
        // SAFETY: `len` bytes from `start` are mapped (above) and initialised, and a record that is not busy is not
        // written to until the position is published behind it, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(start, len) }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }
}
