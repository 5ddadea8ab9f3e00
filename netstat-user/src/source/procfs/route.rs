//! /proc/net/route and /proc/net/ipv6_route (`fib_route_seq_show`, `rt6_info_route`, Linux 6.12).

use super::Fault;
use super::inet::{Fields, hex};
use crate::model::{ProcRoute4, ProcRoute6};
use std::net::Ipv6Addr;

/// Reads one line of /proc/net/route that is not the heading.
pub fn v4(line: &[u8]) -> Result<ProcRoute4, Fault<'_>> {
    // Its columns are set apart by tabs, and the line is filled up with blanks.
    let mut fields = Tabs(line);
    Ok(ProcRoute4 {
        interface: fields.next("Iface")?.to_vec(),
        destination: fields.word("Destination")?.to_ne_bytes(),
        gateway: fields.word("Gateway")?.to_ne_bytes(),
        flags: fields.word("Flags")?,
        references: fields.int("RefCnt")?,
        uses: fields.int("Use")?,
        metric: fields.int("Metric")?,
        mask: fields.word("Mask")?.to_ne_bytes(),
        mtu: fields.int("MTU")?,
        window: fields.int("Window")?,
        irtt: fields.int("IRTT")?,
    })
}

/// Reads one line of /proc/net/ipv6_route, which has no heading.
pub fn v6(line: &[u8]) -> Result<ProcRoute6, Fault<'_>> {
    let mut fields = Fields(line);
    let (destination, bits) = (address(&mut fields, "destination")?, length(&mut fields, "prefix length")?);
    let (source, source_bits) = (address(&mut fields, "source")?, length(&mut fields, "source length")?);
    Ok(ProcRoute6 {
        destination,
        bits,
        source,
        source_bits,
        gateway: address(&mut fields, "next hop")?,
        metric: word(&mut fields, "metric")?,
        references: word(&mut fields, "references")?,
        uses: word(&mut fields, "uses")?,
        flags: word(&mut fields, "flags")?,
        interface: fields.next("interface")?.to_vec(),
    })
}

/// 32 hexadecimal digits in the order of the wire.
pub fn address<'a>(fields: &mut Fields<'a>, column: &'static str) -> Result<Ipv6Addr, Fault<'a>> {
    let text = fields.next(column)?;
    let wrong = Fault { column, wanted: "an IPv6 address", text };
    let halves = (text.len() == 32).then(|| text.split_at(16)).ok_or(wrong)?;
    let (high, low) = hex(halves.0).zip(hex(halves.1)).ok_or(wrong)?;
    Ok(Ipv6Addr::from(u128::from(high) << 64 | u128::from(low)))
}

pub fn length<'a>(fields: &mut Fields<'a>, column: &'static str) -> Result<u8, Fault<'a>> {
    let value = word(fields, column)?;
    u8::try_from(value).map_err(|_out_of_range| Fault { column, wanted: "below 256", text: b"" })
}

fn word<'a>(fields: &mut Fields<'a>, column: &'static str) -> Result<u32, Fault<'a>> {
    let text = fields.next(column)?;
    let value = hex(text).and_then(|value| u32::try_from(value).ok());
    value.ok_or(Fault { column, wanted: "a 32-bit hexadecimal number", text })
}

/// The rest of a line, cut at tabs and blanks.
struct Tabs<'a>(&'a [u8]);

impl<'a> Tabs<'a> {
    fn next(&mut self, column: &'static str) -> Result<&'a [u8], Fault<'a>> {
        let apart = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = self.0.iter().position(|byte| !apart(byte)).unwrap_or(self.0.len());
        let rest = self.0.get(start..).unwrap_or_default();
        let end = rest.iter().position(apart).unwrap_or(rest.len());
        let (field, after) = rest.split_at(end);
        self.0 = after;
        if field.is_empty() {
            return Err(Fault { column, wanted: "there", text: b"" });
        }
        Ok(field)
    }

    fn word(&mut self, column: &'static str) -> Result<u32, Fault<'a>> {
        let text = self.next(column)?;
        let value = hex(text).and_then(|value| u32::try_from(value).ok());
        value.ok_or(Fault { column, wanted: "a 32-bit hexadecimal number", text })
    }

    /// A decimal number, signed or not, as C's `int` holds it.
    fn int(&mut self, column: &'static str) -> Result<i32, Fault<'a>> {
        let text = self.next(column)?;
        let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
        value.map(|value| value as i32).ok_or(Fault { column, wanted: "a number", text })
    }
}
