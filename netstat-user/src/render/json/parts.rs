//! Parts of a JSON line that several kinds of lines have.

use crate::model::{
    Conn, Family, How, Learnt, Lodging, Mono, Owner, Person, ResetNames, Runtime, SockRow, TcpState, Ties,
    TimerKind, Totals, Way, Why,
};
use crate::render::field::Field;
use crate::render::object::{Held, Object};
use crate::render::text;
use std::net::IpAddr;

pub(super) fn otel(family: Family) -> &'static [u8] {
    match family {
        Family::V4 => b"ipv4",
        Family::V6 => b"ipv6",
    }
}

pub(super) fn how_word(how: How) -> &'static [u8] {
    match how {
        How::Inherited => b"inherited",
        How::Closed => b"closed",
        How::Used => b"used",
        How::Held => b"held",
        How::Accepted => b"accepted",
        How::Opened => b"opened",
    }
}

pub(super) fn learnt_word(learnt: Learnt) -> &'static [u8] {
    match learnt {
        Learnt::Event => b"event",
        Learnt::Deduced => b"deduced",
        Learnt::Listing => b"listing",
    }
}

pub(super) fn nanoseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn ends(object: &mut Object<'_>, family: Family, local: (IpAddr, u16), foreign: (IpAddr, u16)) {
    object.text(Field::NetworkType, otel(family));
    object.address(Field::LocalAddress, local.0);
    if local.1 != 0 {
        object.integer(Field::LocalPort, local.1);
    }
    object.address(Field::PeerAddress, foreign.0);
    if foreign.1 != 0 {
        object.integer(Field::PeerPort, foreign.1);
    }
}

pub(super) fn user(object: &mut Object<'_>, uid: Option<u32>) {
    if let Some(uid) = uid {
        let mut digits = Vec::with_capacity(10);
        text::number(&mut digits, uid.into());
        object.text(Field::User, &digits);
    }
}

pub(super) fn netns(object: &mut Object<'_>, inum: u32) {
    if inum != 0 {
        object.integer(Field::Netns, inum);
    }
}

/// Whose it is.
pub(super) fn belongs(object: &mut Object<'_>, owner: &Owner, state: TcpState, at: Mono) {
    let Ties { shown, opener, user, holders, as_of } = &*owner.ties;
    let Person { process, details } = &**shown;
    object.integer(Field::Pid, owner.pid.get());
    if !owner.comm.bytes().is_empty() {
        object.bytes(Field::Comm, Field::CommHex, owner.comm.bytes());
    }
    if let Some(inner) = process.inner.filter(|&inner| inner != process.pid) {
        object.integer(Field::Vpid, inner.get());
    }
    if let Some(parent) = process.parent {
        object.integer(Field::ParentPid, parent.get());
    }
    if let Some(uid) = process.uid {
        object.integer(Field::RealUser, uid);
    }
    if !details.command.is_empty() {
        object.bytes(Field::CommandLine, Field::CommandLineHex, &details.command);
    }
    if !details.executable.is_empty() {
        object.bytes(Field::Executable, Field::ExecutableHex, &details.executable);
        let name = details.executable.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if !name.is_empty() && std::str::from_utf8(name).is_ok() {
            object.text(Field::ExecutableName, name);
        }
    }
    object.text(Field::OwnerHow, how_word(owner.how));
    if let Some(opener) = opener {
        object.integer(Field::OpenerPid, opener.process.pid.get());
        if !opener.process.comm.bytes().is_empty() {
            object.bytes(Field::OpenerComm, Field::OpenerCommHex, opener.process.comm.bytes());
        }
    }
    if let Some(user) = user {
        object.integer(Field::UserPid, user.process.pid.get());
    }
    if !matches!(state, TcpState::Close | TcpState::TimeWait) {
        let held = holders.iter().map(|person| Held::named(&person.process));
        object.processes(Field::OwnerHolders, held);
        object.integer64(Field::OwnerAge, nanoseconds(at.since(*as_of)));
    }
}

pub(super) fn connection(object: &mut Object<'_>, conn: &Conn, at: Mono, lodging: &Lodging) {
    let tuple = &conn.identity.tuple;
    object.text(Field::Transport, b"tcp");
    let (local, foreign) = (tuple.local(), tuple.foreign());
    ends(object, tuple.family, (local.addr, local.port), (foreign.addr, foreign.port));
    object.text(Field::State, conn.state.otel().as_bytes());
    if let Some(owner) = &conn.owner {
        belongs(object, owner, conn.state, at);
    }
    user(object, conn.identity.uid);
    if let Some(owner) = &conn.owner
        && let Person { process, details } = &*owner.ties.shown
        && process.uid.is_some()
        && process.uid == conn.identity.uid
        && std::str::from_utf8(&details.user).is_ok_and(|name| !name.is_empty())
    {
        object.text(Field::UserName, &details.user);
    }
    netns(object, conn.identity.netns);
    object.integer(Field::Connection, conn.serial);
    if let Some(cookie) = conn.id.cookie {
        object.integer64(Field::Cookie, cookie.get());
    }
    if conn.inode != 0 {
        object.integer64(Field::Inode, conn.inode.into());
    }
    if let Some(cgroup) = conn.identity.cgroup {
        object.integer64(Field::Cgroup, cgroup.get());
    }
    lives(object, lodging);
    if tuple.bound_if != 0 {
        object.integer(Field::Interface, tuple.bound_if);
    }
    if conn.preexisting {
        object.bool(Field::Preexisting, true);
    }
    if let Some(active) = conn.active {
        object.text(Field::Role, if active { b"client" } else { b"server" });
    }
    if let Some(first) = conn.first {
        object.text(Field::ClosedFirst, first.name().as_bytes());
    }
    let latency = &conn.latency;
    for (field, us) in [
        (Field::Handshake, latency.handshake_us),
        (Field::AcceptTime, latency.accept_us),
        (Field::FirstSent, latency.first_sent_us),
        (Field::FirstReceived, latency.first_received_us),
        (Field::SynRetransmits, latency.syn_retrans.map(u32::from)),
    ] {
        if let Some(us) = us {
            object.integer(field, us);
        }
    }
}

pub(super) fn lives(object: &mut Object<'_>, lodging: &Lodging) {
    let Lodging { cgroup, container, pod } = lodging;
    if let Some(path) = cgroup {
        object.bytes(Field::CgroupPath, Field::CgroupPathHex, path);
    }
    let mut told = |field, text: Option<&str>| {
        if let Some(text) = text {
            object.text(field, text.as_bytes());
        }
    };
    if let Some(container) = container {
        told(Field::ContainerId, Some(&container.id));
        told(Field::ContainerName, container.name.as_deref());
        told(Field::ContainerRuntime, container.runtime.map(Runtime::name));
    }
    if let Some(pod) = pod {
        told(Field::PodUid, Some(&pod.uid));
        told(Field::PodName, pod.name.as_deref());
        told(Field::PodNamespace, pod.namespace.as_deref());
        told(Field::PodContainer, pod.container.as_deref());
    }
}

pub(super) fn end_of(object: &mut Object<'_>, names: &ResetNames, err: u16, why: &Why) {
    let Why { reason, cause, reset } = why;
    if let Some(reason) = reason {
        object.text(Field::Reason, reason.name().as_bytes());
    }
    if let Some(cause) = cause {
        object.text(Field::Cause, cause.name().as_bytes());
    }
    if let Some(reset) = reset {
        let way: &[u8] = match reset.way {
            Way::Sent => b"sent",
            Way::Received => b"received",
        };
        object.text(Field::ResetWay, way);
        if let Some(reason) = reset.reason.and_then(|reason| names.name(reason)) {
            object.text(Field::ResetReason, reason);
        }
    }
    if err != 0 {
        object.errno(Field::Error, err);
    }
}

/// Counters of a connection.
pub(super) fn numbers(object: &mut Object<'_>, totals: &Totals) {
    let Totals { sent, received, resent, segs_out, segs_in, retrans, srtt_us, .. } = *totals;
    object.integer64(Field::BytesSent, sent);
    object.integer64(Field::BytesReceived, received);
    if let Some(resent) = resent {
        object.integer64(Field::BytesResent, resent);
    }
    object.integer(Field::SegmentsOut, segs_out);
    object.integer(Field::SegmentsIn, segs_in);
    object.integer(Field::Retransmits, retrans);
    if let Some(lost) = totals.lost {
        object.integer(Field::SegmentsLost, lost);
    }
    if let Some(times) = totals.reordered {
        object.integer(Field::Reordered, times);
    }
    if let Some(busy) = totals.busy {
        object.integer64(Field::BusyTime, busy.total_us);
        object.integer64(Field::WindowTime, busy.window_us);
        object.integer64(Field::BufferTime, busy.buffer_us);
    }
    if srtt_us != 0 {
        object.integer(Field::Rtt, srtt_us);
    }
    if let Some(rtt) = totals.min_rtt_us {
        object.integer(Field::RttMin, rtt);
    }
}

/// What was left when it closed.
pub(super) fn at_close(object: &mut Object<'_>, totals: &Totals, conn: &Conn) {
    if let Some(times) = conn.latency.windows {
        object.integer(Field::Windows, times);
    }
    object.integer(Field::Probes, totals.probes);
    object.integer(Field::QueueReceive, totals.rqueue);
    object.integer(Field::QueueSend, totals.wqueue);
}

pub(super) fn listener_closes(object: &mut Object<'_>, totals: &Totals) {
    object.integer(Field::ListenerWaiting, totals.rqueue);
    object.integer(Field::ListenerLimit, totals.wqueue);
    object.integer(Field::ListenerHalfOpen, totals.segs_in);
    if let Some(dropped) = totals.lost {
        object.integer64(Field::ListenerDropped, dropped.into());
    }
}

pub(super) fn timer(object: &mut Object<'_>, row: &SockRow) {
    let kind: &[u8] = match row.timer.kind {
        TimerKind::Off => return,
        TimerKind::On => b"on",
        TimerKind::Keepalive => b"keepalive",
        TimerKind::TimeWait => b"timewait",
        TimerKind::Probe => b"probe",
        TimerKind::Other(_) => b"unknown",
    };
    object.text(Field::TimerKind, kind);
    object.integer(Field::TimerExpires, row.timer.expires_ms);
    object.integer(Field::TimerRetransmits, row.timer.retransmits);
    object.integer(Field::TimerProbes, row.timer.probes);
}
