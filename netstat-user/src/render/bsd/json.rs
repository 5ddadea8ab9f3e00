//! JSON lines of BSD's displays.

use super::fields::{Field as More, PACKET_FLAGS};
use super::interval::Counted;
use super::others::{Held, Unix, kind, unix_kind};
use super::routes::made_by;
use super::sockets::{Listener, known_limit};
use super::{Spelling, shown_path};
use crate::model::other::{LISTENING, neighbour_state, netlink_name};
use crate::model::{
    Clock, Detail, Family, Memory, Mono, MulticastRoute, Neighbour, NetlinkRow, Nexthop, PacketRow, Process,
    SockRow, Softnet, TcpState, Vif, VsockRow,
};
use crate::render::field::{Field, Kind};
use crate::render::json::Json;
use crate::render::object::{self, Object, Stamp, string};
use crate::render::text;
use std::num::NonZeroU64;
use std::time::Duration;

/// Who holds a socket, or why nobody is told.
#[derive(Clone, Copy, Debug)]
pub enum Holding<'a> {
    /// Nobody looked.
    Unasked,
    By(&'a [Process]),
    Unknown(&'static str),
}

impl Holding<'_> {
    fn put(self, object: &mut Object<'_>) {
        match self {
            Self::Unasked => {}
            Self::By(holders) => object.processes(Field::Holders, holders.iter().map(object::Held::named)),
            Self::Unknown(why) => object.text(More::OwnerUnknown, why.as_bytes()),
        }
    }
}

/// Writes rows, each with the time at which it was listed.
pub struct JsonBsd {
    stamp: Stamp,
    sockets: Json,
    netns: u32,
}

impl JsonBsd {
    /// Of the namespace with this inode; 0: unknown.
    pub fn new(clock: Clock, netns: u32) -> Self {
        Self { stamp: Stamp::new(clock), sockets: Json::new(false, clock), netns }
    }

    pub fn socket(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        row: &SockRow,
        detail: &Detail,
        holding: Holding<'_>,
        spelling: &Spelling,
    ) {
        self.sockets.socket(out, at, row, None::<std::iter::Empty<_>>);
        let mut object = Object::resume(out, Kind::Socket);
        if row.bound_if != 0 {
            interface_name(&mut object, row.bound_if, spelling);
        }
        if row.state == TcpState::Close && row.protocol == crate::model::Protocol::Tcp {
            object.bool(More::BoundOnly, true);
        }
        if let Some(memory) = &detail.memory {
            self::memory(&mut object, memory);
        }
        if let Some(name) = detail.congestion.filter(|name| !name.bytes().is_empty()) {
            object.text(Field::Congestion, name.bytes());
        }
        if let Some(tcp) = &detail.tcp {
            object.integer(More::Window, tcp.window);
            if let Some(threshold) = tcp.threshold {
                object.integer(More::Threshold, threshold);
            }
            object.integer(More::Mss, tcp.mss);
            object.bool(More::Ecn, tcp.ecn);
            if let Some(count) = tcp.out_of_order {
                object.integer(More::OutOfOrder, count);
            }
            object.integer(More::LastReceived, tcp.last_received_ms);
        }
        holding.put(&mut object);
        object.end();
    }

    pub fn listener(&mut self, out: &mut Vec<u8>, at: Mono, listener: Listener<'_>, spelling: &Spelling) {
        let row = listener.row;
        self.sockets.socket(out, at, row, None::<std::iter::Empty<_>>);
        let mut object = Object::resume(out, Kind::Socket);
        if row.bound_if != 0 {
            interface_name(&mut object, row.bound_if, spelling);
        }
        object.integer(More::ListenWaiting, row.rqueue);
        if let Some(incomplete) = listener.incomplete {
            object.integer(More::ListenIncomplete, incomplete);
        }
        if let Some(limit) = known_limit(row) {
            object.integer(More::ListenLimit, limit);
        }
        object.end();
    }

    /// Where what is written from now on was found.
    pub fn set_netns(&mut self, netns: u32) {
        self.netns = netns;
    }

    /// Begins an object of this namespace.
    fn object<'a>(&mut self, out: &'a mut Vec<u8>, kind: Kind, at: Mono) -> Object<'a> {
        let mut object = Object::begin(out, kind, self.stamp.at(at));
        if self.netns != 0 {
            object.integer(Field::Netns, self.netns);
        }
        object
    }

    fn begin<'a>(
        &mut self,
        out: &'a mut Vec<u8>,
        at: Mono,
        transport: &str,
        cookie: Option<NonZeroU64>,
        inode: u32,
    ) -> Object<'a> {
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
        object.text(Field::Transport, transport.as_bytes());
        if self.netns != 0 {
            object.integer(Field::Netns, self.netns);
        }
        if let Some(cookie) = cookie {
            object.integer64(Field::Cookie, cookie.get());
        }
        if inode != 0 {
            object.integer64(Field::Inode, inode.into());
        }
        object
    }

    pub fn unix(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        socket: &Unix,
        holding: Holding<'_>,
        peer_holding: Holding<'_>,
    ) {
        let detail = &socket.detail;
        let mut object = self.begin(out, at, "unix", detail.cookie, detail.inode);
        object.text(Field::UnixType, unix_kind(detail.kind).as_bytes());
        object.text(
            Field::UnixState,
            match detail.state {
                LISTENING => b"listening".as_slice(),
                1 => b"connected",
                _ => b"unconnected",
            },
        );
        if let Some(uid) = detail.uid {
            object.text(Field::User, uid.to_string().as_bytes());
        }
        if !detail.path.is_empty() {
            object.bytes(Field::UnixPath, Field::UnixPathHex, &shown_path(&detail.path));
        }
        if let Some(file) = detail.file {
            object.integer(More::UnixFile, file);
        }
        match (detail.queues, detail.state) {
            (Some((waiting, limit)), LISTENING) => {
                object.integer(More::ListenWaiting, waiting);
                object.integer(More::ListenIncomplete, 0_u32);
                object.integer(More::ListenLimit, limit);
            }
            (Some((receive, send)), _) => {
                object.integer(Field::QueueReceive, receive);
                object.integer(Field::QueueSend, send);
            }
            (None, _) => {}
        }
        if let Some(memory) = &detail.memory {
            self::memory(&mut object, memory);
        }
        holding.put(&mut object);
        if let Some(peer) = &socket.peer {
            object.integer(More::UnixPeer, peer.inode);
            if let Some(cookie) = peer.cookie {
                object.integer64(More::UnixPeerCookie, cookie.get());
            }
            if !peer.path.is_empty() {
                object.bytes(More::UnixPeerPath, More::UnixPeerPathHex, &shown_path(&peer.path));
            }
            if let Holding::By(holders) = peer_holding {
                object.processes(More::UnixPeerHolders, holders.iter().map(object::Held::named));
            }
        }
        object.end();
    }

    pub fn packet(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        Held { row, .. }: &Held<PacketRow>,
        holding: Holding<'_>,
        spelling: &Spelling,
    ) {
        let mut object = self.begin(out, at, "packet", row.cookie, row.inode);
        object.text(More::SocketType, kind(row.kind).as_bytes());
        object.integer(More::PacketProtocol, row.protocol);
        if row.interface != 0 {
            object.integer(Field::Interface, row.interface);
            interface_name(&mut object, row.interface, spelling);
        }
        if let Some(uid) = row.uid {
            object.text(Field::User, uid.to_string().as_bytes());
        }
        if let Some(flags) = row.flags {
            let words = PACKET_FLAGS.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
            object.array(More::PacketFlags, words, |out, (_, word)| string(out, word.as_bytes()));
        }
        if let Some(group) = row.fanout {
            object.integer(More::PacketFanout, group);
        }
        if let Some(instructions) = row.filter {
            object.integer(More::PacketFilter, instructions);
        }
        if let Some(memory) = &row.memory {
            self::memory(&mut object, memory);
        }
        holding.put(&mut object);
        object.end();
    }

    pub fn netlink(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        Held { row, .. }: &Held<NetlinkRow>,
        holding: Holding<'_>,
    ) {
        let mut object = self.begin(out, at, "netlink", row.cookie, row.inode);
        object.text(More::SocketType, kind(row.kind).as_bytes());
        let name = netlink_name(row.protocol).map_or_else(|| row.protocol.to_string(), str::to_owned);
        object.text(More::NetlinkProtocol, name.as_bytes());
        object.integer(More::NetlinkPort, row.port);
        if row.state == 1 {
            object.integer(More::NetlinkPeer, row.peer);
        }
        object.array(More::NetlinkGroups, &row.groups, |out, group| text::number(out, (*group).into()));
        if let Some(memory) = &row.memory {
            self::memory(&mut object, memory);
        }
        holding.put(&mut object);
        object.end();
    }

    pub fn vsock(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        Held { row, .. }: &Held<VsockRow>,
        holding: Holding<'_>,
    ) {
        let mut object = self.begin(out, at, "vsock", row.cookie, row.inode);
        object.text(More::SocketType, kind(row.kind).as_bytes());
        for (field, value) in [
            (More::LocalContext, row.local.0),
            (More::LocalVsockPort, row.local.1),
            (More::PeerContext, row.foreign.0),
            (More::PeerVsockPort, row.foreign.1),
        ] {
            if value != u32::MAX {
                object.integer(field, value);
            }
        }
        let state = TcpState::try_from(row.state);
        let state = state.map_or_else(|_stranger| row.state.to_string(), |state| state.otel().to_owned());
        object.text(More::VsockState, state.as_bytes());
        holding.put(&mut object);
        object.end();
    }

    pub fn interval(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        only: Option<&[u8]>,
        took: Duration,
        counted: &Counted,
    ) {
        let mut object = self.object(out, Kind::Interval, at);
        if let Some(name) = only {
            object.bytes(Field::InterfaceName, Field::InterfaceNameHex, name);
        }
        let length = took.as_nanos().max(1);
        object.integer64(More::IntervalLength, u64::try_from(length).unwrap_or(u64::MAX));
        for (field, count) in [
            (More::IntervalRxPackets, counted.rx_packets),
            (More::IntervalRxErrors, counted.rx_errors),
            (More::IntervalRxDropped, counted.rx_dropped),
            (More::IntervalRxBytes, counted.rx_bytes),
            (More::IntervalTxPackets, counted.tx_packets),
            (More::IntervalTxErrors, counted.tx_errors),
            (More::IntervalTxBytes, counted.tx_bytes),
            (More::IntervalCollisions, counted.collisions),
            (More::IntervalTxDropped, counted.tx_dropped),
        ] {
            object.integer64(field, count);
        }
        for (field, count) in [
            (More::RateRxPackets, counted.rx_packets),
            (More::RateRxBytes, counted.rx_bytes),
            (More::RateTxPackets, counted.tx_packets),
            (More::RateTxBytes, counted.tx_bytes),
        ] {
            let rate = u128::from(count) * 1_000_000_000 / length;
            object.integer64(field, u64::try_from(rate).unwrap_or(u64::MAX));
        }
        object.end();
    }

    pub fn neighbour(&mut self, out: &mut Vec<u8>, at: Mono, neighbour: &Neighbour, spelling: &Spelling) {
        let mut object = self.object(out, Kind::Neighbour, at);
        family(&mut object, if neighbour.addr.is_ipv4() { Family::V4 } else { Family::V6 });
        object.integer(Field::Interface, neighbour.interface);
        interface_name(&mut object, neighbour.interface, spelling);
        object.address(More::NeighbourAddress, neighbour.addr);
        if !neighbour.hardware.is_empty() {
            object.hex(More::NeighbourHardware, &neighbour.hardware);
        }
        object.text(More::NeighbourState, neighbour_state(neighbour.state).as_bytes());
        object.end();
    }

    pub fn nexthop(&mut self, out: &mut Vec<u8>, at: Mono, hop: &Nexthop, spelling: &Spelling) {
        let mut object = self.object(out, Kind::Nexthop, at);
        match hop.family {
            2 => family(&mut object, Family::V4),
            10 => family(&mut object, Family::V6),
            _ => {}
        }
        object.integer(More::NexthopId, hop.id);
        if let Some(index) = hop.interface {
            object.integer(Field::Interface, index);
            interface_name(&mut object, index, spelling);
        }
        if let Some(gateway) = hop.gateway {
            object.address(More::NexthopGateway, gateway);
        }
        object.text(More::NexthopProtocol, &made_by(hop.protocol));
        if hop.blackhole {
            object.bool(More::NexthopBlackhole, true);
        }
        if !hop.group.is_empty() {
            let pairs = hop.group.iter().map(|(id, weight)| (*id, u32::from(*weight)));
            object.array(More::NexthopGroup, pairs, pair);
        }
        object.end();
    }

    pub fn softnet(&mut self, out: &mut Vec<u8>, at: Mono, softnet: &Softnet) {
        let mut object = Object::begin(out, Kind::Softnet, self.stamp.at(at));
        for (field, value) in [
            (More::Cpu, Some(softnet.cpu)),
            (More::Processed, Some(softnet.processed)),
            (More::Dropped, Some(softnet.dropped)),
            (More::Squeezed, Some(softnet.squeezed)),
            (More::Steered, softnet.steered),
            (More::Limited, softnet.limited),
            (More::Waiting, softnet.waiting),
        ] {
            if let Some(value) = value {
                object.integer(field, value);
            }
        }
        object.end();
    }

    pub fn vif(&mut self, out: &mut Vec<u8>, at: Mono, of: Family, vif: &Vif) {
        let mut object = self.object(out, Kind::MulticastInterface, at);
        family(&mut object, of);
        object.integer(More::VifNumber, vif.number);
        object.bytes(Field::InterfaceName, Field::InterfaceNameHex, &vif.name);
        object.integer64(More::VifPacketsIn, vif.packets_in);
        object.integer64(More::VifPacketsOut, vif.packets_out);
        object.integer64(More::VifBytesIn, vif.bytes_in);
        object.integer64(More::VifBytesOut, vif.bytes_out);
        for (field, addr) in [(More::VifLocal, vif.local), (More::VifRemote, vif.remote)] {
            if let Some(addr) = addr.filter(|addr| !addr.is_unspecified()) {
                object.address(field, addr);
            }
        }
        object.end();
    }

    pub fn multicast_route(&mut self, out: &mut Vec<u8>, at: Mono, of: Family, route: &MulticastRoute) {
        let mut object = self.object(out, Kind::MulticastRoute, at);
        family(&mut object, of);
        object.address(More::MrOrigin, route.origin);
        object.address(More::MrGroup, route.group);
        if let Some(input) = route.input {
            object.integer(More::MrInput, input);
        }
        object.integer64(More::MrPackets, route.packets);
        object.integer64(More::MrBytes, route.bytes);
        object.integer64(More::MrWrong, route.wrong);
        object.array(More::MrOutputs, route.outputs.iter().copied(), pair);
        object.end();
    }

    /// A counter of a group; `interface`: of that one alone.
    pub fn counters(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        of: Option<Family>,
        interface: Option<&[u8]>,
        group: &crate::model::Group,
    ) {
        for counter in &group.counters {
            let mut object = Object::begin(out, Kind::Counter, self.stamp.at(at));
            if let Some(of) = of {
                family(&mut object, of);
            }
            if self.netns != 0 {
                object.integer(Field::Netns, self.netns);
            }
            if let Some(name) = interface {
                object.bytes(Field::InterfaceName, Field::InterfaceNameHex, name);
            }
            object.text(Field::CounterGroup, &group.name);
            object.text(Field::CounterName, &counter.name);
            object.signed(Field::CounterValue, counter.value);
            object.end();
        }
    }
}

fn pair(out: &mut Vec<u8>, (one, other): (u32, u32)) {
    out.push(b'[');
    text::number(out, one.into());
    out.push(b',');
    text::number(out, other.into());
    out.push(b']');
}

fn family(object: &mut Object<'_>, family: Family) {
    object.text(
        Field::NetworkType,
        match family {
            Family::V4 => b"ipv4",
            Family::V6 => b"ipv6",
        },
    );
}

fn interface_name(object: &mut Object<'_>, index: u32, spelling: &Spelling) {
    if let Some(name) = spelling.interfaces.get(&index) {
        object.bytes(Field::InterfaceName, Field::InterfaceNameHex, name);
    }
}

fn memory(object: &mut Object<'_>, memory: &Memory) {
    for (field, bytes) in [
        (More::MemoryReceived, memory.received),
        (More::MemoryReceiveLimit, memory.receive_limit),
        (More::MemorySent, memory.sent),
        (More::MemorySendLimit, memory.send_limit),
        (More::MemoryQueued, memory.queued),
        (More::MemoryBacklog, memory.backlog),
    ] {
        object.integer(field, bytes);
    }
}
