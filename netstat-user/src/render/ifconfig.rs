//! Interfaces: a block each, as `netstat -ie` and ifconfig print it.

use super::text::{self, escaped, number};
use super::{interfaces, printf};
use crate::model::link::iff;
use crate::model::{Counters, Interface};
use crate::render::routes::mask;
use std::net::Ipv4Addr;

const INDENT: &[u8] = b"        ";

/// Appends a block. With `compat` byte for byte as net-tools 2.10 does: one IPv4 address, and numbers as narrow as its
/// system calls have them.
pub fn block(out: &mut Vec<u8>, interface: &Interface, compat: bool) {
    if compat {
        printf::plain(out, &interface.name)
    } else {
        escaped(out, &interface.name)
    }
    out.extend_from_slice(b": ");
    flags(out, interface.flags, compat);
    out.extend_from_slice(b"  mtu ");
    if compat {
        printf::right(out, i64::from(interface.mtu as i32), 0);
    } else {
        number(out, interface.mtu.into());
    }
    out.push(b'\n');
    addresses(out, interface, compat);
    hardware(out, interface);
    media(out, interface);
    if let Some(counters) = &interface.counters {
        statistics(out, counters, matches!(interface.hardware, CSLIP | CSLIP6));
    }
    device(out, interface, compat);
    out.push(b'\n');
}

fn flags(out: &mut Vec<u8>, flags: u32, compat: bool) {
    out.extend_from_slice(b"flags=");
    if flags & iff::DYNAMIC != 0 && compat {
        // A signed 16-bit number.
        out.push(b'-');
        number(out, (0x1_0000 - (flags & 0xffff)).into());
    } else {
        number(out, (flags & 0xffff).into());
    }
    out.push(b'<');
    let mut first = true;
    for (bit, name) in [
        (iff::UP, "UP"),
        (iff::BROADCAST, "BROADCAST"),
        (iff::DEBUG, "DEBUG"),
        (iff::LOOPBACK, "LOOPBACK"),
        (iff::POINTOPOINT, "POINTOPOINT"),
        (iff::NOTRAILERS, "NOTRAILERS"),
        (iff::RUNNING, "RUNNING"),
        (iff::NOARP, "NOARP"),
        (iff::PROMISC, "PROMISC"),
        (iff::ALLMULTI, "ALLMULTI"),
        (iff::SLAVE, "SLAVE"),
        (iff::MASTER, "MASTER"),
        (iff::MULTICAST, "MULTICAST"),
        (iff::DYNAMIC, "DYNAMIC"),
    ] {
        if flags & bit != 0 {
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(name.as_bytes());
        }
    }
    match (compat && first, flags & 0xffff) {
        // With no flag at all net-tools takes away its own closing mark; with none that has a name, the opening one.
        (true, 0) => {}
        (true, _) => drop(out.pop()),
        (false, _) => out.push(b'>'),
    }
}

fn addresses(out: &mut Vec<u8>, interface: &Interface, compat: bool) {
    let shown = if compat { 1 } else { usize::MAX };
    for address in interface.v4.iter().take(shown) {
        let mut part = |name: &str, addr: Ipv4Addr| {
            out.extend_from_slice(name.as_bytes());
            text::address(out, addr.into());
        };
        part("        inet ", address.local);
        part("  netmask ", mask(address.bits));
        if interface.flags & iff::BROADCAST != 0 {
            match address.broadcast {
                Some(addr) => part("  broadcast ", addr),
                None if compat => part("  broadcast ", Ipv4Addr::UNSPECIFIED),
                None => {}
            }
        }
        if interface.flags & iff::POINTOPOINT != 0 {
            part("  destination ", address.peer);
        }
        out.push(b'\n');
    }
    for address in &interface.v6 {
        out.extend_from_slice(b"        inet6 ");
        text::address(out, std::net::IpAddr::V6(address.addr).to_canonical());
        out.extend_from_slice(b"  prefixlen ");
        number(out, address.bits.into());
        out.extend_from_slice(b"  scopeid 0x");
        hex(out, address.scope.into());
        scope(out, address.scope);
        out.push(b'\n');
    }
}

/// The words for `IPV6_ADDR_*` scopes.
fn scope(out: &mut Vec<u8>, scope: u8) {
    let rest = scope & !0x80;
    let words: Vec<&str> = [
        (scope & 0x80 != 0, "compat"),
        (rest == 0, "global"),
        (rest & 0x20 != 0, "link"),
        (rest & 0x40 != 0, "site"),
        (rest & 0x10 != 0, "host"),
    ]
    .into_iter()
    .filter_map(|(set, word)| set.then_some(word))
    .collect();
    if !words.is_empty() {
        out.push(b'<');
        out.extend_from_slice(words.join(",").as_bytes());
        out.push(b'>');
    }
}

/// `ARPHRD_*` (`linux/if_arp.h`).
const CSLIP: u16 = 257;
const CSLIP6: u16 = 259;

/// How an address of the hardware is written.
enum Form {
    /// It has none.
    None,
    /// It is there but empty.
    Empty,
    /// So many bytes in hexadecimal.
    Colons(usize),
    Upper(usize, u8),
}

fn hardware(out: &mut Vec<u8>, interface: &Interface) {
    // Name, title, address; what has another type is unspecified.
    let (name, title, form) = match interface.hardware {
        772 => ("loop", "Local Loopback", Form::None),
        256 => ("slip", "Serial Line IP", Form::None),
        CSLIP => ("cslip", "VJ Serial Line IP", Form::None),
        258 => ("slip6", "6-bit Serial Line IP", Form::None),
        CSLIP6 => ("cslip6", "VJ 6-bit Serial Line IP", Form::None),
        264 => ("adaptive", "Adaptive Serial Line IP", Form::None),
        1 => ("ether", "Ethernet", Form::Colons(6)),
        768 => ("tunnel", "IPIP Tunnel", Form::Empty),
        512 => ("ppp", "Point-to-Point Protocol", Form::None),
        513 => ("hdlc", "(Cisco)-HDLC", Form::None),
        516 => ("lapb", "LAPB", Form::None),
        7 => ("arcnet", "ARCnet", Form::Upper(1, b':')),
        776 => ("sit", "IPv6-in-IPv4", Form::None),
        774 => ("fddi", "Fiber Distributed Data Interface", Form::Upper(6, b'-')),
        780 => ("hippi", "HIPPI", Form::Upper(6, b':')),
        27 => ("eui64", "Generic EUI-64", Form::Upper(8, b':')),
        _ => ("unspec", "UNSPEC", Form::Upper(16, b'-')),
    };
    out.extend_from_slice(INDENT);
    out.extend_from_slice(name.as_bytes());
    match form {
        Form::None => {}
        Form::Empty => out.push(b' '),
        Form::Colons(length) => digits(out, interface, length, b':', b"0123456789abcdef"),
        Form::Upper(length, mark) => digits(out, interface, length, mark, b"0123456789ABCDEF"),
    }
    if let Some(queue) = interface.queue {
        out.extend_from_slice(b"  txqueuelen ");
        number(out, queue.into());
    }
    out.extend_from_slice(b"  (");
    out.extend_from_slice(title.as_bytes());
    out.extend_from_slice(b")\n");
}

/// The first bytes of the address: eight are kept, the rest is zero.
fn digits(out: &mut Vec<u8>, interface: &Interface, length: usize, mark: u8, digits: &[u8; 16]) {
    for at in 0..length {
        let byte = interface.address.get(at).filter(|_| at < 8).copied().unwrap_or(0);
        out.push(if at == 0 { b' ' } else { mark });
        out.extend_from_slice(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
    }
}

fn media(out: &mut Vec<u8>, interface: &Interface) {
    if interface.flags & iff::PORTSEL == 0 {
        return;
    }
    const PORTS: [&str; 7] = ["unknown", "10base2", "10baseT", "AUI", "100baseT", "100baseTX", "100baseFX"];
    out.extend_from_slice(b"        media ");
    let port = PORTS.get(usize::from(interface.map.port)).copied().unwrap_or("(null)");
    out.extend_from_slice(port.as_bytes());
    if interface.flags & iff::AUTOMEDIA != 0 {
        out.extend_from_slice(b"autoselect");
    }
    out.push(b'\n');
}

fn statistics(out: &mut Vec<u8>, counters: &Counters, compressed: bool) {
    let mut line = |parts: &[(&str, u64)], end: &dyn Fn(&mut Vec<u8>)| {
        out.extend_from_slice(INDENT);
        for (name, value) in parts {
            out.extend_from_slice(name.as_bytes());
            number(out, *value);
        }
        end(out);
        out.push(b'\n');
    };
    let Counters { rx_packets, rx_bytes, rx_errors, rx_dropped, rx_fifo, rx_frame, .. } = *counters;
    line(&[("RX packets ", rx_packets), ("  bytes ", rx_bytes)], &|out| human(out, rx_bytes));
    if compressed {
        line(&[("RX compressed:", counters.rx_compressed)], &|_| {});
    }
    line(
        &[
            ("RX errors ", rx_errors),
            ("  dropped ", rx_dropped),
            ("  overruns ", rx_fifo),
            ("  frame ", rx_frame),
        ],
        &|_| {},
    );
    let Counters { tx_packets, tx_bytes, tx_errors, tx_dropped, tx_fifo, tx_carrier, collisions, .. } =
        *counters;
    line(&[("TX packets ", tx_packets), ("  bytes ", tx_bytes)], &|out| human(out, tx_bytes));
    if compressed {
        line(&[("TX compressed ", counters.tx_compressed)], &|_| {});
    }
    line(
        &[
            ("TX errors ", tx_errors),
            ("  dropped ", tx_dropped),
            (" overruns ", tx_fifo),
            ("  carrier ", tx_carrier),
            ("  collisions ", collisions),
        ],
        &|_| {},
    );
}

/// ` (1.3 MiB)`: one digit after the point, cut.
fn human(out: &mut Vec<u8>, bytes: u64) {
    const UNITS: [(u32, &str); 6] =
        [(60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = UNITS.into_iter().find(|(shift, _)| bytes > 1 << shift);
    let (tenths, name) = match unit {
        // Ten times as many bytes no longer fit: net-tools divides by a tenth of the unit, rounded up.
        Some((60, name)) => (bytes / 115_292_150_460_684_697, name),
        Some((shift, name)) => (bytes.wrapping_mul(10) >> shift, name),
        None => (bytes.wrapping_mul(10), "B"),
    };
    out.extend_from_slice(b" (");
    number(out, tenths / 10);
    out.push(b'.');
    number(out, tenths % 10);
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.push(b')');
}

fn device(out: &mut Vec<u8>, interface: &Interface, compat: bool) {
    let map = interface.map;
    let irq = if compat { map.irq & 0xff } else { map.irq };
    let base = if compat { map.base_addr & 0xffff } else { map.base_addr };
    if irq == 0 && map.mem_start == 0 && map.dma == 0 && base < 0x100 {
        return;
    }
    out.extend_from_slice(b"        device ");
    if irq != 0 {
        out.extend_from_slice(b"interrupt ");
        number(out, irq.into());
        out.extend_from_slice(b"  ");
    }
    if base >= 0x100 {
        out.extend_from_slice(b"base 0x");
        hex(out, base);
        out.extend_from_slice(b"  ");
    }
    if map.mem_start != 0 {
        out.extend_from_slice(b"memory 0x");
        hex(out, map.mem_start);
        out.extend_from_slice(b"-");
        hex(out, map.mem_end);
        out.extend_from_slice(b"  ");
    }
    if map.dma != 0 {
        out.extend_from_slice(b"  dma 0x");
        hex(out, map.dma.into());
    }
    out.push(b'\n');
}

fn hex(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(format!("{n:x}").as_bytes());
}

/// Appends the blocks of several interfaces.
pub fn blocks(out: &mut Vec<u8>, interfaces: &[Interface], compat: bool) {
    interfaces.iter().for_each(|interface| block(out, interface, compat));
}

/// Sorts as net-tools does.
pub fn sort(interfaces: &mut [Interface]) {
    interfaces.sort_by(|a, b| interfaces::order(&a.name, &b.name));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bytes_are_shown_with_their_unit() {
        for (bytes, wanted) in [
            (0, " (0.0 B)"),
            (1024, " (1024.0 B)"),
            (1025, " (1.0 KiB)"),
            (316_202_845, " (301.5 MiB)"),
            (u64::MAX, " (16.0 EiB)"),
        ] {
            assert_eq!(shown(|out| human(out, bytes)), wanted);
        }
    }

    #[test]
    fn flags_without_a_name() {
        for (bits, compat, wanted) in [
            (0, true, "flags=0<"),
            (0, false, "flags=0<>"),
            (iff::PORTSEL, true, "flags=8192"),
            (iff::PORTSEL, false, "flags=8192<>"),
            (iff::DYNAMIC | iff::UP, true, "flags=-32767<UP,DYNAMIC>"),
            (iff::DYNAMIC | iff::UP, false, "flags=32769<UP,DYNAMIC>"),
        ] {
            assert_eq!(shown(|out| flags(out, bits, compat)), wanted);
        }
    }

    #[test]
    fn what_a_device_occupies() {
        let map = crate::model::link::Map {
            mem_start: 0xfebc_0000,
            mem_end: 0xfebe_0000,
            base_addr: 0xc040,
            irq: 300,
            dma: 1,
            port: 0,
        };
        let interface = Interface { map, ..Interface::default() };
        assert_eq!(
            shown(|out| device(out, &interface, false)),
            "        device interrupt 300  base 0xc040  memory 0xfebc0000-febe0000    dma 0x1\n"
        );
        assert!(shown(|out| device(out, &interface, true)).contains("interrupt 44  "));
    }
}
