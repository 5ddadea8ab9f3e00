use super::*;
use crate::model::link::Map;
use crate::model::{Counters, Hop, Metrics, Net, RouteKind};
use proptest::prelude::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn word(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_ne_bytes())
}

/// `struct rtmsg`.
fn rtmsg(family: u8, bits: u8, kind: u8, flags: u32) -> Vec<u8> {
    [vec![family, bits, 0, 0, 254, 4, 0, kind], flags.to_ne_bytes().to_vec()].concat()
}

fn nexthop(weight: u8, interface: u32, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = ((attributes.len() + 8) as u16).to_ne_bytes().to_vec();
    bytes.extend([1, weight - 1]);
    bytes.extend(interface.to_ne_bytes());
    bytes.extend(attributes);
    bytes
}

fn multipath() -> Vec<u8> {
    let metrics = [word(2, 1400), word(8, 1360), word(4, 800), word(99, 7)].concat();
    let via = [10_u16.to_ne_bytes().to_vec(), Ipv6Addr::LOCALHOST.octets().to_vec()].concat();
    let hops = [nexthop(3, 2, &attribute(5, &[10, 0, 0, 1])), nexthop(1, 4, &attribute(18, &via))];
    [
        rtmsg(AF_INET, 16, 1, 0),
        attribute(1, &[10, 9, 0, 0]),
        word(15, 1000),
        word(6, 5),
        attribute(7, &[10, 0, 0, 9]),
        attribute(8, &metrics),
        attribute(9, &hops.concat()),
        attribute(200, b"later kernels"),
    ]
    .concat()
}

#[test]
fn a_route_has_all_its_hops() {
    let route = route::route(&multipath()).unwrap().unwrap();
    assert_eq!(route.destination, Net { addr: IpAddr::from([10, 9, 0, 0]), bits: 16 });
    assert_eq!((route.table, route.metric, route.kind), (1000, Some(5), RouteKind::Unicast));
    assert_eq!(route.prefsrc, Some(IpAddr::from([10, 0, 0, 9])));
    let wanted = Metrics { mtu: Some(1400), advmss: Some(1360), rtt: Some(800), ..Metrics::default() };
    assert_eq!(route.metrics, wanted);
    assert_eq!(
        route.hops,
        [
            Hop { gateway: Some(IpAddr::from([10, 0, 0, 1])), interface: 2, weight: 3, flags: 1 },
            Hop { gateway: Some(Ipv6Addr::LOCALHOST.into()), interface: 4, weight: 1, flags: 1 },
        ]
    );
}

#[test]
fn a_route_may_lead_nowhere_expire_or_be_learnt() {
    let expires = [0_u32, 0, 12_345, 0, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
    let bytes = [rtmsg(AF_INET6, 0, 7, 0x210), attribute(12, &expires), word(4, 1)].concat();
    let route = route::route(&bytes).unwrap().unwrap();
    assert_eq!((route.kind, route.expires, route.cached), (RouteKind::Unreachable, Some(123), true));
    assert_eq!(route.destination.addr, IpAddr::from(Ipv6Addr::UNSPECIFIED));
    assert_eq!(route.hops, [Hop { gateway: None, interface: 1, weight: 1, flags: 0x10 }]);
    // A multicast route of the kernel (RTNL_FAMILY_IPMR).
    assert_eq!(route::route(&rtmsg(128, 0, 1, 0)), Ok(None));
}

#[test]
fn damage_is_named() {
    let bytes = [rtmsg(AF_INET, 32, 1, 0), attribute(1, &[10, 9])].concat();
    assert_eq!(route::route(&bytes), Err(WireError::Short { what: "a destination", have: 2, need: 4 }));
    let hops = attribute(9, &[4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        route::route(&[rtmsg(AF_INET, 32, 1, 0), hops].concat()),
        Err(WireError::Short { what: "a next hop", have: 4, need: 8 })
    );
}

fn interface() -> Vec<u8> {
    let numbers: Vec<u8> = (1..=25_u64).flat_map(u64::to_ne_bytes).collect();
    let map = [1_u64.to_ne_bytes(), 2_u64.to_ne_bytes(), 3_u64.to_ne_bytes(), [4, 0, 5, 6, 0, 0, 0, 0]];
    let header =
        [vec![0, 0, 1, 0], 7_u32.to_ne_bytes().to_vec(), 0x1043_u32.to_ne_bytes().to_vec(), vec![0; 4]];
    [
        header.concat(),
        attribute(3, b"eth0\0"),
        word(4, 1500),
        word(13, 1000),
        word(10, 9),
        attribute(1, &[2, 0, 0, 0, 0, 1]),
        attribute(14, &map.concat()),
        attribute(16, &[6]),
        attribute(18, &attribute(1, b"veth\0")),
        attribute(23, &numbers),
    ]
    .concat()
}

#[test]
#[cfg(target_endian = "little")]
fn an_interface_counts_as_proc_does() {
    let link = link::link(&interface()).unwrap();
    assert_eq!((link.index, link.flags, link.hardware, link.mtu), (7, 0x1043, 1, 1500));
    assert_eq!((link.name.as_slice(), link.kind.as_slice()), (b"eth0".as_slice(), b"veth".as_slice()));
    assert_eq!((link.queue, link.master, link.operstate), (Some(1000), Some(9), Some(6)));
    let map = Map { mem_start: 1, mem_end: 2, base_addr: 3, irq: 4, dma: 5, port: 6 };
    assert_eq!((link.map, link.address), (map, vec![2, 0, 0, 0, 0, 1]));
    let wanted = Counters {
        rx_packets: 1,
        tx_packets: 2,
        rx_bytes: 3,
        tx_bytes: 4,
        rx_errors: 5,
        tx_errors: 6,
        rx_dropped: 7 + 16,
        tx_dropped: 8,
        multicast: 9,
        collisions: 10,
        rx_frame: 11 + 12 + 13 + 14,
        rx_fifo: 15,
        tx_carrier: 17 + 18 + 20 + 21,
        tx_fifo: 19,
        rx_compressed: 22,
        tx_compressed: 23,
    };
    assert_eq!(link.counters, Some(wanted));
}

#[test]
fn an_address_has_another_end_or_none() {
    let header = [vec![AF_INET, 24, 0, 0], 7_u32.to_ne_bytes().to_vec()].concat();
    let bytes = [header.clone(), attribute(1, &[10, 0, 0, 2]), attribute(3, b"eth0:1\0")].concat();
    let address = link::address(&bytes).unwrap().unwrap();
    assert_eq!((address.local, address.peer), (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 2)));
    assert_eq!((address.label.as_slice(), address.broadcast), (b"eth0:1".as_slice(), None));
    let bytes = [header, attribute(1, &[10, 0, 0, 2]), attribute(2, &[10, 0, 0, 1])].concat();
    let address = link::address(&bytes).unwrap().unwrap();
    assert_eq!((address.local, address.peer), (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_any(&bytes);
    }

    #[test]
    fn any_damage_is_survived(at in 0_usize..500, value: u8, cut in 0_usize..500) {
        for mut bytes in [multipath(), interface()] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            read_any(&bytes);
            bytes.truncate(cut);
            read_any(&bytes);
        }
    }
}
