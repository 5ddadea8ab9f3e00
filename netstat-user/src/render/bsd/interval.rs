//! Packets of interfaces, counted anew each interval.

use super::human;
use crate::model::{Counters, Interface};
use crate::render::text;

/// Lines between two headings.
pub const LINES: u64 = 21;

/// What was counted between two samples, of one interface or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_bytes: u64,
    pub collisions: u64,
    pub tx_dropped: u64,
}

/// What `now` counts more than `before`. An interface that was not there before counts from 0, and so does one whose
/// counters are lower now: another one with its number.
pub fn difference(before: &[Interface], now: &[Interface]) -> Counted {
    let mut sum = Counted::default();
    for link in now {
        let Some(counters) = &link.counters else { continue };
        let former = before.iter().find(|other| other.index == link.index && other.name == link.name);
        let former = former.and_then(|link| link.counters).unwrap_or_default();
        let add = |to: &mut u64, of: fn(&Counters) -> u64| {
            let (now, before) = (of(counters), of(&former));
            *to = to.saturating_add(now.checked_sub(before).unwrap_or(now));
        };
        add(&mut sum.rx_packets, |counters| counters.rx_packets);
        add(&mut sum.rx_errors, |counters| counters.rx_errors);
        add(&mut sum.rx_dropped, |counters| counters.rx_dropped);
        add(&mut sum.rx_bytes, |counters| counters.rx_bytes);
        add(&mut sum.tx_packets, |counters| counters.tx_packets);
        add(&mut sum.tx_errors, |counters| counters.tx_errors);
        add(&mut sum.tx_bytes, |counters| counters.tx_bytes);
        add(&mut sum.collisions, |counters| counters.collisions);
        add(&mut sum.tx_dropped, |counters| counters.tx_dropped);
    }
    sum
}

/// Appends the heading; `only`: of one interface.
pub fn heading(out: &mut Vec<u8>, only: Option<&[u8]>, drops: bool) {
    let cell = |out: &mut Vec<u8>, text: &[u8], width: usize| {
        let start = out.len();
        text::escaped(out, text);
        text::right(out, start, width);
    };
    cell(out, b"input", 17);
    out.push(b' ');
    cell(out, only.unwrap_or(b"(Total)"), 14);
    out.push(b' ');
    cell(out, b"output", 16);
    out.push(b'\n');
    let titles = ["packets", "errs", "idrops", "bytes", "packets", "errs", "bytes", "colls", "drops"];
    for (at, title) in titles.iter().take(if drops { 9 } else { 8 }).enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        cell(out, title.as_bytes(), WIDTHS[at]);
    }
    out.push(b'\n');
}

const WIDTHS: [usize; 9] = [10, 5, 6, 10, 10, 5, 10, 5, 5];

/// Appends a line. A number that does not fit moves the rest of its line.
pub fn line(out: &mut Vec<u8>, counted: &Counted, drops: bool, short: bool) {
    let Counted { rx_packets, rx_errors, rx_dropped, rx_bytes, .. } = *counted;
    let Counted { tx_packets, tx_errors, tx_bytes, collisions, tx_dropped, .. } = *counted;
    let numbers = [
        rx_packets, rx_errors, rx_dropped, rx_bytes, tx_packets, tx_errors, tx_bytes, collisions, tx_dropped,
    ];
    for (at, number) in numbers.into_iter().take(if drops { 9 } else { 8 }).enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        let start = out.len();
        if short {
            human(out, number)
        } else {
            text::number(out, number)
        }
        text::right(out, start, WIDTHS[at]);
    }
    out.push(b'\n');
}
