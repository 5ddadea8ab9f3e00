//! The thread that empties the ring buffer, and does nothing else: whatever the rest of the program waits for (a slow
//! disk, a full pipe, a large listing), the kernel half finds room.

use crate::source::stream::Ring;
use bytes::{Bytes, BytesMut};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The kernel half wakes us when for 5 ms nothing has come: as long as something comes it is fetched at this pace, with a
/// little more for records that were stamped before they were submitted. To be woken would cost more than to look, and a
/// program that is interrupted by the wake-up it has caused stands in the way of others.
const PACE: Timespec = Timespec { tv_sec: 0, tv_nsec: 6_000_000 };
/// How long an event may be on its way from its time stamp into the ring.
const IN_FLIGHT: Duration = Duration::from_millis(2);
/// How often a flush looks again for a record that is being written: five seconds in all. Where the processors are shared
/// with other machines, a program may stand still for a long time.
const PATIENCE: u32 = 10_000;
/// A record that was still being written at the last drain wakes nobody.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Records in one piece.
const PIECE: usize = 2048;
const PIECE_BYTES: usize = 128 << 10;
/// Bytes that may wait to be learnt. Beyond, the ring fills, and what is lost is counted there.
const BACKLOG: usize = 256 << 20;
/// Above other work: a reader that must wait for a processor loses events. Needs privilege, which loading programs needs
/// too; without it nothing changes.
const NICE: i32 = -10;

/// What comes out of the ring.
pub(super) enum Batch {
    /// Framed records, for `stream::decode`.
    Records(Bytes),
    /// Everything that happened before [`Reader::flush`] gave this number has been handed over.
    Flushed(u64),
}

struct Shared {
    wake: OwnedFd,
    flushes: AtomicU64,
    waiting: AtomicUsize,
    ended: AtomicBool,
}

pub(super) struct Reader {
    batches: UnboundedReceiver<Batch>,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Reader {
    pub fn start(ring: Ring) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            flushes: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let (outbox, batches) = unbounded_channel();
        let thread = std::thread::Builder::new().name("reader".into());
        let thread = thread.spawn({
            let shared = Arc::clone(&shared);
            move || read(ring, &shared, &outbox)
        })?;
        Ok(Self { batches, shared, thread: Some(thread) })
    }

    /// What comes out of the ring next; nothing ever without a reader, or when its thread panicked.
    pub async fn next(reader: Option<&mut Self>) -> Batch {
        if let Some(reader) = reader
            && let Some(batch) = reader.batches.recv().await
        {
            return batch;
        }
        std::future::pending().await
    }

    /// Asks for everything that has happened until now; answered by [`Batch::Flushed`] with the number returned.
    pub fn flush(&self) -> u64 {
        let number = self.shared.flushes.fetch_add(1, Ordering::AcqRel) + 1;
        self.shared.rouse();
        number
    }

    /// The records of a batch were learnt.
    pub fn learnt(&self, batch: &Bytes) {
        self.shared.waiting.fetch_sub(batch.len(), Ordering::AcqRel);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.rouse();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn rouse(&self) {
        // Full is as good: the thread has not looked yet.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

fn read(mut ring: Ring, shared: &Shared, outbox: &UnboundedSender<Batch>) {
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut buffer = BytesMut::with_capacity(PIECE_BYTES);
    let mut flushed = 0;
    // The last look found something.
    let mut busy = false;
    while !shared.ended.load(Ordering::Acquire) {
        let roused = {
            let mut fds = [PollFd::new(&shared.wake, PollFlags::IN), PollFd::new(&ring, PollFlags::IN)];
            let (fds, time) = if busy { (&mut fds[..1], &PACE) } else { (&mut fds[..], &TICK) };
            // Interrupted is like a tick.
            let _ = poll(fds, Some(time));
            fds.first().is_some_and(|wake| !wake.revents().is_empty())
        };
        if roused {
            let _ = rustix::io::read(&shared.wake, &mut [0; 8]);
            let wanted = shared.flushes.load(Ordering::Acquire);
            if wanted > flushed {
                std::thread::sleep(IN_FLIGHT);
                // A program that was interrupted while it wrote keeps everything behind it waiting.
                for _ in 0..PATIENCE {
                    let Found { more, any } = drain(&mut ring, &mut buffer, shared, outbox);
                    busy |= any;
                    if !more {
                        break;
                    }
                    std::thread::sleep(IN_FLIGHT / 4);
                }
                flushed = wanted;
                let _ = outbox.send(Batch::Flushed(flushed));
            }
            continue;
        }
        let Found { any, more } = drain(&mut ring, &mut buffer, shared, outbox);
        busy = any || more;
    }
}

/// What a look into the ring showed.
struct Found {
    /// There were records.
    any: bool,
    /// Something is left in it.
    more: bool,
}

/// Hands over what is in the ring, as long as it is learnt as fast.
fn drain(ring: &mut Ring, buffer: &mut BytesMut, shared: &Shared, outbox: &UnboundedSender<Batch>) -> Found {
    let mut any = false;
    while shared.waiting.load(Ordering::Acquire) < BACKLOG {
        let drained = ring.drain(buffer, PIECE);
        if drained.records > 0 {
            any = true;
            let batch = buffer.split().freeze();
            buffer.reserve(PIECE_BYTES);
            shared.waiting.fetch_add(batch.len(), Ordering::AcqRel);
            let _ = outbox.send(Batch::Records(batch));
        }
        if drained.records < PIECE {
            return Found { any, more: drained.more };
        }
    }
    Found { any, more: true }
}
