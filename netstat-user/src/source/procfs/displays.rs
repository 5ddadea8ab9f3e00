//! /proc/net/softnet_stat, ip_mr_vif, ip_mr_cache, ip6_mr_vif and ip6_mr_cache (`softnet_seq_show`, `ipmr_vif_seq_show`,
//! `ipmr_mfc_seq_show`, `ip6mr_vif_seq_show`, `ip6mr_mfc_seq_show`; Linux 6.12).

use super::inet::{Fields, decimal, hex};
use super::{Fault, Pass, Procfs, ProcfsError};
use crate::model::{Family, MulticastRoute, Softnet, Vif};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Procfs {
    /// Calls `each` for every processor that is online; `None`: there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read to its end. A line that cannot be understood is a fault of the [`Pass`].
    pub fn softnet(&self, each: &mut dyn FnMut(Softnet)) -> Result<Option<Pass>, ProcfsError> {
        let mut line = 0;
        self.rows("net/softnet_stat", false, &mut |bytes| {
            let read = softnet(bytes, line);
            line += 1;
            read.map(&mut *each)
        })
    }

    /// Calls `each` for every interface of multicast routing; `None`: this kernel has none.
    ///
    /// # Errors
    /// As for [`Procfs::softnet`].
    pub fn vifs(&self, family: Family, each: &mut dyn FnMut(Vif)) -> Result<Option<Pass>, ProcfsError> {
        let name = match family {
            Family::V4 => "net/ip_mr_vif",
            Family::V6 => "net/ip6_mr_vif",
        };
        self.rows(name, true, &mut |bytes| vif(bytes, family).map(&mut *each))
    }

    /// Calls `each` for every multicast route; `None`: this kernel has none.
    ///
    /// # Errors
    /// As for [`Procfs::softnet`].
    pub fn multicast_routes(
        &self,
        family: Family,
        each: &mut dyn FnMut(MulticastRoute),
    ) -> Result<Option<Pass>, ProcfsError> {
        let name = match family {
            Family::V4 => "net/ip_mr_cache",
            Family::V6 => "net/ip6_mr_cache",
        };
        self.rows(name, true, &mut |bytes| multicast_route(bytes, family).map(&mut *each))
    }

    /// Calls `each` for every group of a link, with its interface; `None`: there is no such file.
    ///
    /// # Errors
    /// As for [`Procfs::softnet`].
    pub fn link_groups(&self, each: &mut dyn FnMut(u32, Vec<u8>)) -> Result<Option<Pass>, ProcfsError> {
        self.rows("net/dev_mcast", false, &mut |bytes| {
            link_group(bytes).map(|(index, group)| each(index, group))
        })
    }
}

/// Reads one line of /proc/net/dev_mcast: index, name, users, global users, address (`dev_mc_seq_show`).
fn link_group(line: &[u8]) -> Result<(u32, Vec<u8>), Fault<'_>> {
    let mut fields = Fields(line);
    let index = narrow(&mut fields, "index")?;
    for column in ["name", "users", "global users"] {
        fields.next(column)?;
    }
    let text = fields.next("address")?;
    let wrong = Fault { column: "address", wanted: "pairs of hexadecimal digits", text };
    let bytes = text.chunks(2).map(|pair| hex(pair).filter(|_| pair.len() == 2).map(|byte| byte as u8));
    Ok((index, bytes.collect::<Option<Vec<u8>>>().ok_or(wrong)?))
}

/// Reads one line; `at` is its number from 0, which is the processor's where the line does not tell it.
pub fn softnet(line: &[u8], at: u32) -> Result<Softnet, Fault<'_>> {
    let mut numbers = Vec::with_capacity(15);
    let mut fields = Fields(line);
    while let Ok(text) = fields.next("softnet") {
        let number = hex(text).and_then(|number| u32::try_from(number).ok());
        numbers.push(number.ok_or(Fault { column: "softnet", wanted: "a 32-bit number", text })?);
    }
    let number = |at: usize| numbers.get(at).copied();
    let must =
        |at| number(at).ok_or(Fault { column: "softnet", wanted: "three numbers at least", text: line });
    Ok(Softnet {
        processed: must(0)?,
        dropped: must(1)?,
        squeezed: must(2)?,
        steered: number(9),
        limited: number(10),
        waiting: number(11),
        cpu: number(12).unwrap_or(at),
    })
}

fn vif(line: &[u8], family: Family) -> Result<Vif, Fault<'_>> {
    let mut fields = Fields(line);
    let number = narrow(&mut fields, "number")?;
    let name = fields.next("Interface")?.to_vec();
    let mut vif = Vif {
        number,
        name,
        bytes_in: fields.decimal("BytesIn")?,
        packets_in: fields.decimal("PktsIn")?,
        bytes_out: fields.decimal("BytesOut")?,
        packets_out: fields.decimal("PktsOut")?,
        ..Vif::default()
    };
    fields.next("Flags")?;
    if family == Family::V4 {
        let mut addr = |column| {
            let text = fields.next(column)?;
            Ok(IpAddr::V4(word(text).ok_or(Fault { column, wanted: "an address", text })?))
        };
        vif.local = Some(addr("Local")?);
        vif.remote = Some(addr("Remote")?);
    }
    Ok(vif)
}

fn multicast_route(line: &[u8], family: Family) -> Result<MulticastRoute, Fault<'_>> {
    /// An interface number that is none: the route waits to be resolved.
    const NONE: &[u8] = b"-1";
    let mut fields = Fields(line);
    let mut addr = |column| {
        let text = fields.next(column)?;
        let addr = match family {
            Family::V4 => word(text).map(IpAddr::V4),
            Family::V6 => std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok())
                .map(|addr: Ipv6Addr| addr.into()),
        };
        addr.ok_or(Fault { column, wanted: "an address", text })
    };
    let (group, origin) = (addr("Group")?, addr("Origin")?);
    let text = fields.next("Iif")?;
    // Until it is resolved, the number is -1, or 65535 of IPv6.
    let input = match text {
        NONE | b"65535" => None,
        _ => Some(decimal(text).and_then(|number| u32::try_from(number).ok()).ok_or(Fault {
            column: "Iif",
            wanted: "an interface number",
            text,
        })?),
    };
    let (packets, bytes, wrong) =
        (fields.decimal("Pkts")?, fields.decimal("Bytes")?, fields.decimal("Wrong")?);
    let mut outputs = Vec::new();
    while let Ok(text) = fields.next("Oifs") {
        let colon = text.iter().position(|&byte| byte == b':').unwrap_or(text.len());
        let (left, right) = text.split_at(colon);
        let part = |text| decimal(text).and_then(|number| u32::try_from(number).ok());
        let pair = part(left).zip(part(right.get(1..).unwrap_or_default()));
        outputs.push(pair.ok_or(Fault { column: "Oifs", wanted: "an interface and a number", text })?);
    }
    Ok(MulticastRoute { origin, group, input, packets, bytes, wrong, outputs })
}

/// A word of the kernel as a hexadecimal number: it has the bytes of the wire in memory order.
fn word(text: &[u8]) -> Option<Ipv4Addr> {
    let number = hex(text).and_then(|number| u32::try_from(number).ok())?;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

fn narrow<'a>(fields: &mut Fields<'a>, column: &'static str) -> Result<u32, Fault<'a>> {
    let text = fields.next(column)?;
    let value = decimal(text).and_then(|value| u32::try_from(value).ok());
    value.ok_or(Fault { column, wanted: "a 32-bit number", text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn processors_are_read_as_far_as_they_are_told() {
        let new = b"08f7d483 00000001 00000059 00000000 00000000 00000000 00000000 00000000 00000000 00000002 00000003 \
            00000004 00000007 00000000 00000000";
        let wanted = Softnet {
            cpu: 7,
            processed: 0x08f7_d483,
            dropped: 1,
            squeezed: 0x59,
            steered: Some(2),
            limited: Some(3),
            waiting: Some(4),
        };
        assert_eq!(softnet(new, 0), Ok(wanted));
        let old = softnet(b"1 2 3 0 0 0 0 0 0 4", 5).unwrap();
        assert_eq!((old.cpu, old.steered, old.limited, old.waiting), (5, Some(4), None, None));
        assert!(softnet(b"1 2", 0).is_err());
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn multicast_routes_are_read() {
        let read =
            multicast_route(b"010201EF 0200010A 0          12     3456        1  1:1    2:5", Family::V4)
                .unwrap();
        assert_eq!((read.group, read.origin), (IpAddr::from([239, 1, 2, 1]), IpAddr::from([10, 1, 0, 2])));
        assert_eq!((read.input, read.packets, read.wrong), (Some(0), 12, 1));
        assert_eq!(read.outputs, [(1, 1), (2, 5)]);
        let waiting = b"010201EF 0200010A -1         0        0        0";
        assert_eq!(multicast_route(waiting, Family::V4).unwrap().input, None);
        let six = b"ff05:0000:0000:0000:0000:0000:0000:0001 2001:0db8:0000:0000:0000:0000:0000:0001 0          1       80        0  1:1";
        let read = multicast_route(six, Family::V6).unwrap();
        assert_eq!(read.group, "ff05::1".parse::<IpAddr>().unwrap());
        let read = vif(b" 0 eth0           100       2        0       0 00000 0100010A 00000000", Family::V4)
            .unwrap();
        assert_eq!((read.name.as_slice(), read.packets_in), (b"eth0".as_slice(), 2));
        assert_eq!(read.local, Some(IpAddr::from([10, 1, 0, 1])));
    }

    proptest! {
        #[test]
        fn any_line_is_a_row_or_a_fault(line in prop::collection::vec(prop_oneof![
            Just(b' '), Just(b'0'), Just(b'1'), Just(b':'), Just(b'-'), any::<u8>(),
        ], 0..160)) {
            let _ = softnet(&line, 0);
            let _ = link_group(&line);
            for family in [Family::V4, Family::V6] {
                let _ = vif(&line, family);
                let _ = multicast_route(&line, family);
            }
        }
    }
}
