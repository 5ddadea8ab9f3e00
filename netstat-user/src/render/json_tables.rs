//! JSON lines of routes, interfaces, memberships and masqueraded connections. The fields are those of
//! [`field`](super::field).

use super::field::{Field, Kind};
use super::object::{Object, Stamp, string};
use super::routes::Labels;
use super::text::{address, number};
use super::words::INTERFACE_FLAGS;
use crate::model::link::operstate_name;
use crate::model::route::{protocol_name, scope_name};
use crate::model::{Clock, Counters, Family, Hop, Interface, Masqueraded, Membership, Mono, Net, Route};
use std::net::IpAddr;

/// Writes rows, each with the time at which it was listed.
pub struct JsonTables {
    stamp: Stamp,
    /// Inode of the network namespace; 0: unknown.
    netns: u32,
}

impl JsonTables {
    /// Of the network namespace with this inode; 0: unknown.
    pub fn new(clock: Clock, netns: u32) -> Self {
        Self { stamp: Stamp::new(clock), netns }
    }

    fn begin<'a>(&mut self, out: &'a mut Vec<u8>, kind: Kind, at: Mono) -> Object<'a> {
        let mut object = Object::begin(out, kind, self.stamp.at(at));
        if self.netns != 0 {
            object.integer(Field::Netns, self.netns);
        }
        object
    }

    pub fn route(&mut self, out: &mut Vec<u8>, at: Mono, route: &Route, labels: &dyn Labels) {
        let mut object = self.begin(out, Kind::Route, at);
        family(&mut object, route.family);
        object.text(Field::RouteKind, route.kind.name().as_bytes());
        net(&mut object, Field::RouteDestination, route.destination);
        if let Some(source) = route.source {
            net(&mut object, Field::RouteFrom, source);
        }
        object.integer(Field::RouteTable, route.table);
        if let Some(name) = labels.table(route.table) {
            object.text(Field::RouteTableName, name);
        }
        if route.tos != 0 {
            object.integer(Field::RouteTos, route.tos);
        }
        named(&mut object, Field::RouteProtocol, protocol_name(route.protocol), route.protocol);
        named(&mut object, Field::RouteScope, scope_name(route.scope), route.scope);
        if let Some(source) = route.prefsrc {
            object.address(Field::RouteSource, source);
        }
        let metrics = &route.metrics;
        for (field, value) in [
            (Field::RouteMetric, route.metric),
            (Field::RouteMtu, metrics.mtu),
            (Field::RouteMss, metrics.advmss),
            (Field::RouteWindow, metrics.window),
            (Field::RouteHopLimit, metrics.hoplimit),
            (Field::RouteCwnd, metrics.initcwnd),
            (Field::RouteRwnd, metrics.initrwnd),
            (Field::RouteExpires, route.expires),
        ] {
            if let Some(value) = value {
                object.integer(field, value);
            }
        }
        if let Some(rtt) = metrics.rtt {
            object.integer(Field::RouteRtt, u64::from(rtt) * 125);
        }
        if route.cached {
            object.bool(Field::RouteCached, true);
        }
        object.array(Field::RouteHops, &route.hops, |out, hop| self::hop(out, hop, labels));
        object.end();
    }

    pub fn interface(&mut self, out: &mut Vec<u8>, at: Mono, interface: &Interface) {
        let mut object = self.begin(out, Kind::Interface, at);
        object.integer(Field::Interface, interface.index);
        object.bytes(Field::InterfaceName, Field::InterfaceNameHex, &interface.name);
        let words = INTERFACE_FLAGS.iter().enumerate().filter(|(bit, _)| interface.flags >> bit & 1 == 1);
        object.array(Field::InterfaceFlags, words, |out, (_, word)| string(out, word.as_bytes()));
        object.integer(Field::InterfaceMtu, interface.mtu);
        if let Some(queue) = interface.queue {
            object.integer(Field::InterfaceQueue, queue);
        }
        object.integer(Field::InterfaceHardware, interface.hardware);
        if !interface.address.is_empty() {
            object.hex(Field::InterfaceAddress, &interface.address);
        }
        if !interface.kind.is_empty() {
            object.text(Field::InterfaceKind, &interface.kind);
        }
        if let Some(state) = interface.operstate {
            named(&mut object, Field::InterfaceState, operstate_name(state), state);
        }
        if let Some(master) = interface.master {
            object.integer(Field::InterfaceMaster, master);
        }
        let v4 = interface.v4.iter().map(Address::from);
        let v6 = interface.v6.iter().map(Address::from);
        object.array(Field::InterfaceAddresses, v4.chain(v6), |out, item| item.write(out));
        if let Some(counters) = &interface.counters {
            self::counters(&mut object, counters);
        }
        object.end();
    }

    pub fn membership(&mut self, out: &mut Vec<u8>, at: Mono, membership: &Membership) {
        let mut object = self.begin(out, Kind::Membership, at);
        family(&mut object, membership.family());
        object.integer(Field::Interface, membership.interface);
        object.bytes(Field::InterfaceName, Field::InterfaceNameHex, &membership.name);
        object.address(Field::GroupAddress, membership.group);
        object.integer(Field::GroupUsers, membership.users);
        object.end();
    }

    pub fn masquerade(&mut self, out: &mut Vec<u8>, at: Mono, entry: &Masqueraded) {
        let mut object = self.begin(out, Kind::Masquerade, at);
        family(&mut object, entry.family);
        object.integer(Field::IpProtocol, entry.protocol);
        object.address(Field::SourceAddress, entry.source.0);
        object.integer(Field::SourcePort, entry.source.1);
        object.address(Field::DestinationAddress, entry.destination.0);
        object.integer(Field::DestinationPort, entry.destination.1);
        object.address(Field::NatAddress, entry.seen.0);
        object.integer(Field::NatPort, entry.seen.1);
        object.integer(Field::NatExpires, entry.expires);
        object.end();
    }
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

fn net(object: &mut Object<'_>, field: Field, net: Net) {
    let mut text = Vec::with_capacity(44);
    address(&mut text, net.addr);
    text.push(b'/');
    number(&mut text, net.bits.into());
    object.text(field, &text);
}

/// A name, or the number when it has none.
fn named(object: &mut Object<'_>, field: Field, name: Option<&str>, code: u8) {
    let mut digits = Vec::new();
    number(&mut digits, code.into());
    object.text(field, name.map_or(&digits, str::as_bytes));
}

/// `RTNH_F_*` by bit.
const HOP_FLAGS: [&str; 7] = ["dead", "pervasive", "onlink", "offload", "linkdown", "unresolved", "trap"];

fn hop(out: &mut Vec<u8>, hop: &Hop, labels: &dyn Labels) {
    out.extend_from_slice(b"{\"weight\":");
    number(out, hop.weight.into());
    if let Some(gateway) = hop.gateway {
        member(out, "gateway", gateway);
    }
    if hop.interface != 0 {
        out.extend_from_slice(b",\"interface.index\":");
        number(out, hop.interface.into());
        if let Some(name) = labels.interface(hop.interface) {
            out.extend_from_slice(b",\"interface.name\":");
            string(out, name);
        }
    }
    out.extend_from_slice(b",\"flags\":[");
    let words = HOP_FLAGS.iter().enumerate().filter(|(bit, _)| hop.flags >> bit & 1 == 1);
    for (at, (_, word)) in words.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(out, word.as_bytes());
    }
    out.extend_from_slice(b"]}");
}

fn member(out: &mut Vec<u8>, name: &str, addr: IpAddr) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    address(out, addr);
    out.push(b'"');
}

/// What is told of an address.
struct Address<'a> {
    addr: IpAddr,
    bits: u8,
    peer: Option<IpAddr>,
    broadcast: Option<IpAddr>,
    label: Option<&'a [u8]>,
    scope: Option<&'static str>,
}

impl<'a> From<&'a crate::model::Address4> for Address<'a> {
    fn from(address: &'a crate::model::Address4) -> Self {
        Self {
            addr: address.local.into(),
            bits: address.bits,
            peer: (address.peer != address.local).then(|| address.peer.into()),
            broadcast: address.broadcast.map(IpAddr::from),
            label: Some(&address.label),
            scope: scope_name(address.scope),
        }
    }
}

impl From<&crate::model::Address6> for Address<'_> {
    fn from(address: &crate::model::Address6) -> Self {
        let scope = match address.scope & 0x70 {
            0 => Some("global"),
            0x10 => Some("host"),
            0x20 => Some("link"),
            0x40 => Some("site"),
            _ => None,
        };
        Self {
            addr: address.addr.into(),
            bits: address.bits,
            peer: None,
            broadcast: None,
            label: None,
            scope,
        }
    }
}

impl Address<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"prefix\":");
        number(out, self.bits.into());
        member(out, "address", self.addr);
        if let Some(peer) = self.peer {
            member(out, "peer", peer);
        }
        if let Some(broadcast) = self.broadcast {
            member(out, "broadcast", broadcast);
        }
        for (name, text) in [("label", self.label), ("scope", self.scope.map(str::as_bytes))] {
            if let Some(text) = text {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                string(out, text);
            }
        }
        out.push(b'}');
    }
}

fn counters(object: &mut Object<'_>, counters: &Counters) {
    for (field, value) in [
        (Field::RxPackets, counters.rx_packets),
        (Field::RxBytes, counters.rx_bytes),
        (Field::RxErrors, counters.rx_errors),
        (Field::RxDropped, counters.rx_dropped),
        (Field::RxOverruns, counters.rx_fifo),
        (Field::RxFrame, counters.rx_frame),
        (Field::RxMulticast, counters.multicast),
        (Field::TxPackets, counters.tx_packets),
        (Field::TxBytes, counters.tx_bytes),
        (Field::TxErrors, counters.tx_errors),
        (Field::TxDropped, counters.tx_dropped),
        (Field::TxOverruns, counters.tx_fifo),
        (Field::TxCarrier, counters.tx_carrier),
        (Field::TxCollisions, counters.collisions),
    ] {
        object.integer64(field, value);
    }
}
