//! What makes, changes and ends request and timewait sockets: functions of the kernel, or else the timers that each of
//! them has.

use super::nested;
use crate::emit::lost;
use crate::handle::mini;
use crate::maps::offset;
use crate::sock::{Address, Probed, Typed, probed, typed};
use crate::undisturbed::undisturbed_call;
use aya_ebpf::macros::{btf_tracepoint, fentry, kprobe, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext, ProbeContext, RawTracePointContext};
use netstat_common::event::Mini;
use netstat_common::{Loss, TcpState};

/// `inet_twsk_hashdance(tw, sk, hashinfo)` up to 6.8, `inet_twsk_hashdance_schedule(tw, sk, hashinfo, timeo)` later: the
/// timewait socket is complete.
#[fentry(function = "inet_twsk_hashdance_schedule")]
pub fn timewait_fentry(ctx: FEntryContext) -> i32 {
    undisturbed_call(|| {
        mini::timewait_typed(ctx.arg(0), Mini::Begins);
    });
    0
}

/// `__inet_twsk_schedule(tw, timeo, rearm)`: a segment came for it, perhaps the FIN that makes FIN_WAIT2 TIME_WAIT.
#[fentry(function = "__inet_twsk_schedule")]
pub fn timewait_goes_fentry(ctx: FEntryContext) -> i32 {
    undisturbed_call(|| {
        if ctx.arg::<u8>(2) != 0 {
            mini::timewait_typed(ctx.arg(0), Mini::Goes);
        }
    });
    0
}

/// `inet_twsk_kill(tw)`: its timer ran out, or a reset, a new connection or the end of its namespace ended it.
#[fentry(function = "inet_twsk_kill")]
pub fn timewait_over_fentry(ctx: FEntryContext) -> i32 {
    undisturbed_call(|| {
        mini::timewait_typed(ctx.arg(0), Mini::Over);
    });
    0
}

/// `inet_csk_reqsk_queue_hash_add(sk, req, timeout)`: a SYN came and is answered.
#[fentry(function = "inet_csk_reqsk_queue_hash_add")]
pub fn request_fentry(ctx: FEntryContext) -> i32 {
    undisturbed_call(|| {
        mini::request_typed(ctx.arg(1), Mini::Begins);
    });
    0
}

/// `__inet_csk_reqsk_queue_drop(sk, req, from_timer)`: the connection is established or given up.
#[fentry(function = "__inet_csk_reqsk_queue_drop")]
pub fn request_over_fentry(ctx: FEntryContext) -> i32 {
    undisturbed_call(|| {
        mini::request_over_typed(ctx.arg(1));
    });
    0
}

/// `tcp_connect(sk)`: the port is chosen and the SYN about to be sent.
#[fentry(function = "tcp_connect")]
pub fn connect_fentry(ctx: FEntryContext) -> i32 {
    undisturbed_call(|| {
        if let Some(sock) = Typed::new(ctx.arg(0)) {
            mini::connects(sock);
        }
    });
    0
}

/// See [`timewait_fentry`].
#[kprobe(function = "inet_twsk_hashdance_schedule")]
pub fn timewait_kprobe(ctx: ProbeContext) -> u32 {
    with(ctx.arg(0), |socket| mini::timewait(socket, Mini::Begins))
}

/// See [`timewait_goes_fentry`].
#[kprobe(function = "__inet_twsk_schedule")]
pub fn timewait_goes_kprobe(ctx: ProbeContext) -> u32 {
    // A `bool` has its register's lowest byte only.
    if ctx.arg::<u64>(2).is_some_and(|again| again & 0xff != 0) {
        return with(ctx.arg(0), |socket| mini::timewait(socket, Mini::Goes));
    }
    0
}

/// See [`timewait_over_fentry`].
#[kprobe(function = "inet_twsk_kill")]
pub fn timewait_over_kprobe(ctx: ProbeContext) -> u32 {
    with(ctx.arg(0), |socket| mini::timewait(socket, Mini::Over))
}

/// See [`request_fentry`].
#[kprobe(function = "inet_csk_reqsk_queue_hash_add")]
pub fn request_kprobe(ctx: ProbeContext) -> u32 {
    with(ctx.arg(1), |socket| mini::request(socket, Mini::Begins))
}

/// See [`request_over_fentry`].
#[kprobe(function = "__inet_csk_reqsk_queue_drop")]
pub fn request_over_kprobe(ctx: ProbeContext) -> u32 {
    with(ctx.arg(1), mini::request_over)
}

/// `reqsk_queue_unlink(req)`: what 5.10 has in place of `__inet_csk_reqsk_queue_drop`.
#[kprobe(function = "reqsk_queue_unlink")]
pub fn request_unlinked_kprobe(ctx: ProbeContext) -> u32 {
    with(ctx.arg(0), mini::request_over)
}

/// See [`connect_fentry`].
#[kprobe(function = "tcp_connect")]
pub fn connect_kprobe(ctx: ProbeContext) -> u32 {
    with(ctx.arg(0), |socket| mini::connects(Probed(socket)))
}

#[inline(always)]
fn with(socket: Option<Address>, tell: impl FnOnce(Address)) -> u32 {
    match socket {
        Some(socket) => tell(socket),
        None => lost(Loss::NoArgument),
    }
    0
}

/// `(timer, ...)`: include/trace/events/timer.h, 5.10 to 7.2. Called with interrupts off for every timer of the machine.
#[btf_tracepoint(function = "timer_start")]
pub fn timer_start_btf(ctx: BtfTracePointContext) -> i32 {
    happens(ctx.arg(0), Mini::Begins)
}

/// `(timer)`: also where a timer runs out, and where it is set anew while it runs.
#[btf_tracepoint(function = "timer_cancel")]
pub fn timer_cancel_btf(ctx: BtfTracePointContext) -> i32 {
    happens(ctx.arg(0), Mini::Stopped)
}

/// `(timer, ...)`
#[btf_tracepoint(function = "timer_expire_entry")]
pub fn timer_expire_btf(ctx: BtfTracePointContext) -> i32 {
    happens(ctx.arg(0), Mini::Expired)
}

#[inline(always)]
fn happens(timer: Address, what: Mini) -> i32 {
    mini::timer(timer, typed(timer, offset!(timer_function)), what);
    0
}

/// `(skb, location, reason, rx_sk)`, with a socket since 6.11. A FIN for an orphan in FIN_WAIT2 sets its timer anew; when
/// that falls into the same slot of the timer wheel no timer event tells, but the segment is thrown away.
#[btf_tracepoint(function = "kfree_skb")]
pub fn discarded_btf(ctx: BtfTracePointContext) -> i32 {
    if let Some(socket) = discarded(&ctx) {
        nested::first(socket as u64, DISCARDED, || mini::timewait_at(socket, Mini::Goes));
    }
    0
}

/// For what [`discarded_btf`] is left out of, which any process and any interrupt calls: see [`nested`].
#[btf_tracepoint(function = "kfree_skb")]
pub fn discarded_btf_spare(ctx: BtfTracePointContext) -> i32 {
    if let Some(socket) = discarded(&ctx) {
        nested::spare_of_few(socket as u64, DISCARDED, || mini::timewait_at(socket, Mini::Goes));
    }
    0
}

/// In a note, in place of a state that is reached.
const DISCARDED: i32 = 0x100;

/// The timewait socket that a segment was for.
#[inline(always)]
fn discarded(ctx: &BtfTracePointContext) -> Option<Address> {
    let socket: Address = ctx.arg(3);
    let is_one = !socket.is_null() && typed::<u8>(socket, offset!(skc_state)) == TcpState::TimeWait as u8;
    is_one.then_some(socket)
}

/// See [`timer_start_btf`].
#[raw_tracepoint(tracepoint = "timer_start")]
pub fn timer_start_raw(ctx: RawTracePointContext) -> i32 {
    happens_raw(ctx.arg(0), Mini::Begins)
}

/// See [`timer_cancel_btf`].
#[raw_tracepoint(tracepoint = "timer_cancel")]
pub fn timer_cancel_raw(ctx: RawTracePointContext) -> i32 {
    happens_raw(ctx.arg(0), Mini::Stopped)
}

/// See [`timer_expire_btf`].
#[raw_tracepoint(tracepoint = "timer_expire_entry")]
pub fn timer_expire_raw(ctx: RawTracePointContext) -> i32 {
    happens_raw(ctx.arg(0), Mini::Expired)
}

#[inline(always)]
fn happens_raw(timer: Address, what: Mini) -> i32 {
    match probed(timer, offset!(timer_function)) {
        Some(function) => mini::timer(timer, function, what),
        None => lost(Loss::UnreadableSock),
    }
    0
}
