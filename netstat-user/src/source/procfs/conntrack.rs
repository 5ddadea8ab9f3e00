//! One line of /proc/net/nf_conntrack (`ct_seq_show`, Linux 6.12).

use super::inet::{Fields, decimal};
use super::{Fault, Pass, Procfs, ProcfsError};
use crate::model::masquerade::Shift;
use crate::model::{Family, Masqueraded};
use std::net::IpAddr;

impl Procfs {
    /// Calls `each` for every connection whose source is replaced; `None`: there is no such file.
    ///
    /// # Errors
    /// As for [`Procfs::routes4`].
    pub fn masqueraded(&self, each: &mut dyn FnMut(&Masqueraded)) -> Result<Option<Pass>, ProcfsError> {
        self.rows("net/nf_conntrack", false, &mut |line| {
            if let Some(row) = row(line)? {
                each(&row);
            }
            Ok(())
        })
    }
}

/// One direction of a connection.
#[derive(Clone, Copy, Default)]
struct Tuple {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    source_port: u16,
    destination_port: u16,
}

/// Reads one line; `None`: its source is not replaced. The file does not say so itself: the answers go to another address
/// than the one that the connection came from.
pub fn row(line: &[u8]) -> Result<Option<Masqueraded>, Fault<'_>> {
    let mut fields = Fields(line);
    let family = fields.next("family")?;
    let family = match family {
        b"ipv4" => Family::V4,
        b"ipv6" => Family::V6,
        text => return Err(Fault { column: "family", wanted: "ipv4 or ipv6", text }),
    };
    fields.decimal("family number")?;
    fields.next("protocol")?;
    let protocol = fields.decimal("protocol number")?;
    let protocol = u8::try_from(protocol).map_err(|_out_of_range| Fault {
        column: "protocol number",
        wanted: "below 256",
        text: line,
    })?;
    // An offloaded connection has no timeout.
    let mut expires = 0;
    let (mut original, mut reply) = (Tuple::default(), Tuple::default());
    let mut answers = false;
    for (word, text) in std::iter::from_fn(|| fields.next("").ok()).enumerate() {
        let mut halves = text.splitn(2, |&byte| byte == b'=');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
            if word == 0 {
                expires = decimal(text).and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(0);
            }
            continue;
        };
        let number = || decimal(value).and_then(|number| u16::try_from(number).ok());
        let wrong = |column| Fault { column, wanted: "a number", text };
        answers |= name == b"src" && original.source.is_some();
        let tuple = if answers { &mut reply } else { &mut original };
        match name {
            b"src" => tuple.source = Some(address(value)?),
            b"dst" => tuple.destination = Some(address(value)?),
            b"sport" => tuple.source_port = number().ok_or(wrong("sport"))?,
            b"dport" => tuple.destination_port = number().ok_or(wrong("dport"))?,
            // One identifier names both ends.
            b"id" => {
                tuple.source_port = number().ok_or(wrong("id"))?;
                tuple.destination_port = tuple.source_port;
            }
            _ => {}
        }
    }
    let ends = original.source.zip(original.destination).zip(reply.destination);
    let Some(((source, destination), seen)) = ends else {
        return Err(Fault { column: "src", wanted: "there twice", text: line });
    };
    let source = (source, original.source_port);
    let seen = (seen, reply.destination_port);
    Ok((source != seen).then_some(Masqueraded {
        family,
        protocol,
        expires,
        source,
        destination: (destination, original.destination_port),
        seen,
        shift: Shift::default(),
    }))
}

fn address(text: &[u8]) -> Result<IpAddr, Fault<'_>> {
    let addr = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    addr.ok_or(Fault { column: "address", wanted: "an address", text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &[u8] =
        b"ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.2 dst=198.51.100.7 sport=40000 dport=443 \
        src=198.51.100.7 dst=192.0.2.1 sport=443 dport=61001 [ASSURED] mark=0 zone=0 use=2";

    #[test]
    fn a_replaced_source_is_a_row_and_another_is_none() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let wanted = Masqueraded {
            family: Family::V4,
            protocol: 6,
            expires: 431_999,
            source: (ip("10.0.0.2"), 40_000),
            destination: (ip("198.51.100.7"), 443),
            seen: (ip("192.0.2.1"), 61_001),
            shift: Shift::default(),
        };
        assert_eq!(row(LINE), Ok(Some(wanted)));
        let plain = b"ipv6     10 udp      17 29 src=::1 dst=fe80::1 sport=5 dport=6 [UNREPLIED] \
            src=fe80::1 dst=::1 sport=6 dport=5 mark=0 use=2";
        assert_eq!(row(plain), Ok(None));
        let echo = b"ipv4     2 icmp     1 29 src=10.0.0.2 dst=9.9.9.9 type=8 code=0 id=77 \
            src=9.9.9.9 dst=192.0.2.1 type=0 code=0 id=78 mark=0 use=2";
        let echo = row(echo).unwrap().unwrap();
        assert_eq!((echo.protocol, echo.source.1, echo.seen.1), (1, 77, 78));
        assert_eq!(row(b"unknown  4 x 1 2").unwrap_err().column, "family");
        assert_eq!(row(b"ipv4 2 tcp 6 5 src=1.2.3.4").unwrap_err().column, "src");
        assert_eq!(row(b"ipv4 2 tcp 6 5 src=1.2.3").unwrap_err().column, "address");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, at in 0_usize..200, value: u8) {
            let _ = row(&bytes);
            let mut damaged = LINE.to_vec();
            if let Some(byte) = damaged.get_mut(at) {
                *byte = value;
            }
            let _ = row(&damaged);
        }
    }
}
