//! Interfaces: one line each, in net-tools' columns.

use super::grid::{Column, Grid, Row};
use super::printf;
use super::text::escaped;
use crate::model::link::iff;
use crate::model::{Counters, Interface};
use std::cmp::Ordering;

const TITLES: &[u8] =
    b"Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n";

/// Appends the title, which is printed once.
pub fn title(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Kernel Interface table\n");
}

/// Appends a line for each interface; columns are as wide as they need to be.
pub fn table(out: &mut Vec<u8>, interfaces: &[Interface]) {
    let mut grid = Grid::new(vec![
        Column::left("Iface", 15),
        Column::right("MTU", 5),
        Column::right("RX-OK", 8),
        Column::right("RX-ERR", 6),
        Column::right("RX-DRP", 6),
        Column::left("RX-OVR", 6),
        Column::right("TX-OK", 8),
        Column::right("TX-ERR", 6),
        Column::right("TX-DRP", 6),
        Column::right("TX-OVR", 6),
        Column::left("Flg", 0),
    ]);
    let rows: Vec<Row> = interfaces.iter().map(row).collect();
    rows.iter().for_each(|row| grid.measure(row));
    grid.head(out);
    rows.iter().for_each(|row| grid.row(out, row));
}

fn row(interface: &Interface) -> Row {
    let mut row = Row::default();
    row.cell(|out| escaped(out, &interface.name));
    row.number(interface.mtu);
    match &interface.counters {
        Some(counters) => shown(counters).into_iter().for_each(|count| row.number(count)),
        None => (0..8).for_each(|_| row.text(b"-")),
    }
    row.cell(|out| flags(out, interface.flags));
    row
}

fn shown(counters: &Counters) -> [u64; 8] {
    let Counters { rx_packets, rx_errors, rx_dropped, rx_fifo, .. } = *counters;
    let Counters { tx_packets, tx_errors, tx_dropped, tx_fifo, .. } = *counters;
    [rx_packets, rx_errors, rx_dropped, rx_fifo, tx_packets, tx_errors, tx_dropped, tx_fifo]
}

/// Appends what net-tools 2.10 prints, byte for byte: a wide cell moves the rest of its row, and no other.
pub fn compat(out: &mut Vec<u8>, interfaces: &[Interface]) {
    out.extend_from_slice(TITLES);
    for interface in interfaces {
        printf::string(out, interface.name.get(..15).unwrap_or(&interface.name), 15);
        out.push(b' ');
        printf::right(out, i64::from(interface.mtu as i32), 5);
        out.push(b' ');
        match &interface.counters {
            Some(counters) => {
                let counts = shown(counters);
                for (at, (count, width)) in counts.into_iter().zip([8, 6, 6, 6, 8, 6, 6, 6]).enumerate() {
                    let start = out.len();
                    if at == 3 {
                        super::text::number(out, count);
                        printf::fill(out, start, width);
                    } else {
                        printf::right_u64(out, count, width);
                    }
                    out.push(b' ');
                }
            }
            None => printf::string(out, b"     - no statistics available -", 56),
        }
        flags(out, interface.flags);
        out.push(b'\n');
    }
}

/// net-tools' letters, in its order.
fn flags(out: &mut Vec<u8>, flags: u32) {
    if flags & 0xffff == 0 {
        return out.extend_from_slice(b"[NO FLAGS]");
    }
    for (bit, letter) in [
        (iff::ALLMULTI, b'A'),
        (iff::BROADCAST, b'B'),
        (iff::DEBUG, b'D'),
        (iff::LOOPBACK, b'L'),
        (iff::MULTICAST, b'M'),
        (iff::DYNAMIC, b'd'),
        (iff::PROMISC, b'P'),
        (iff::NOTRAILERS, b'N'),
        (iff::NOARP, b'O'),
        (iff::POINTOPOINT, b'P'),
        (iff::SLAVE, b's'),
        (iff::MASTER, b'm'),
        (iff::RUNNING, b'R'),
        (iff::UP, b'U'),
    ] {
        if flags & bit != 0 {
            out.push(letter);
        }
    }
}

/// net-tools' order of names: a number at the end, and one after a colon, count as numbers.
pub fn order(a: &[u8], b: &[u8]) -> Ordering {
    let ((name_a, alias_a), (name_b, alias_b)) = (alias(a), alias(b));
    let (stem_a, number_a) = stem(name_a);
    let (stem_b, number_b) = stem(name_b);
    // The shorter stem decides how much of the names is compared at first.
    let common = stem_a.len().min(stem_b.len());
    let begin = |name: &'_ [u8]| name.get(..common).unwrap_or(name).to_vec();
    begin(name_a)
        .cmp(&begin(name_b))
        .then(stem_a.len().cmp(&stem_b.len()))
        .then(number_a.cmp(&number_b))
        .then(name_a.cmp(name_b))
        .then(alias_a.map(value).cmp(&alias_b.map(value)))
        .then_with(|| alias_a.zip(alias_b).map_or(Ordering::Equal, |(a, b)| a.cmp(b)))
}

/// Cuts `:digits` off the end.
fn alias(name: &[u8]) -> (&[u8], Option<&[u8]>) {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let at = name.len() - digits;
    match (digits, at.checked_sub(1).and_then(|colon| name.get(colon))) {
        (1.., Some(b':')) => {
            name.split_at_checked(at - 1).map_or((name, None), |(name, rest)| (name, rest.get(1..)))
        }
        _ => (name, None),
    }
}

/// A name without the digits at its end, and their value.
fn stem(name: &[u8]) -> (&[u8], i32) {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (stem, digits) = name.split_at(name.len() - digits);
    (stem, value(digits))
}

/// As C's `atoi` has it: no digits are 0, and what is too large for a long is its lowest 32 bits.
fn value(digits: &[u8]) -> i32 {
    let parsed = digits.iter().fold(0_i64, |value, byte| {
        value.saturating_mul(10).saturating_add(i64::from(byte.wrapping_sub(b'0')))
    });
    parsed as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_at_the_end_count() {
        for sorted in [
            ["eth0", "eth1", "eth2", "eth10", "eth13", "lo"].as_slice(),
            &["a", "aa", "b"],
            &["eth", "eth01", "eth1", "eth2"],
            &["eth0", "eth0:1", "eth0:2", "eth0:10", "eth1"],
            &["a1b2", "a1b12"],
            &["veth9a", "vetha"],
        ] {
            for (at, a) in sorted.iter().enumerate() {
                for (other, b) in sorted.iter().enumerate() {
                    assert_eq!(order(a.as_bytes(), b.as_bytes()), at.cmp(&other), "{a} {b}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_names_have_an_order(a in "[a0-2:]{0,5}", b in "[a0-2:]{0,5}", c in "[a0-2:]{0,5}", d: Vec<u8>) {
            let order = |a: &str, b: &str| super::order(a.as_bytes(), b.as_bytes());
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            prop_assert_eq!(super::order(&d, a.as_bytes()), super::order(a.as_bytes(), &d).reverse());
            if order(&a, &b).is_le() && order(&b, &c).is_le() {
                prop_assert!(order(&a, &c).is_le());
            }
        }
    }
}
