//! Lines of /proc/net/sctp (`sctp_eps_seq_show`, `sctp_assocs_seq_show`, Linux 6.12). A socket has one address or several.

use super::scanned::{Scan, words};
use crate::model::SctpRow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An endpoint: `endpt sock sty sst hbkt lport uid inode laddrs`.
pub fn endpoint(line: &[u8]) -> Option<SctpRow> {
    let mut rest = Scan(line);
    let [_, _, _, state, _, port, uid, inode] = words(&mut rest)?;
    Some(SctpRow {
        queues: None,
        state: integer(state),
        uid: integer(uid) as u32,
        inode: integer(inode).unsigned_abs(),
        ports: (integer(port) as u16, 0),
        local: addresses(rest.0.split(|&byte| byte == b'\t').next().unwrap_or_default()),
        foreign: Vec::new(),
    })
}

/// An association: `assoc sock sty sst st hbkt id txq rxq uid inode lport rport laddrs <-> raddrs`, a tab, and more.
pub fn association(line: &[u8]) -> Option<SctpRow> {
    let mut rest = Scan(line);
    let [_, _, _, state, _, _, _, tx, rx, uid, inode, local, foreign] = words(&mut rest)?;
    let mut sides =
        rest.0.split(|byte| matches!(byte, b'<' | b'-' | b'>' | b'\t')).filter(|side| !side.is_empty());
    Some(SctpRow {
        queues: Some((integer(rx) as u32, integer(tx) as u32)),
        state: integer(state),
        uid: integer(uid) as u32,
        inode: integer(inode).unsigned_abs(),
        ports: (integer(local) as u16, integer(foreign) as u16),
        local: addresses(sides.next().unwrap_or_default()),
        foreign: addresses(sides.next().unwrap_or_default()),
    })
}

/// Addresses between blanks; a primary one has `*` before it.
fn addresses(text: &[u8]) -> Vec<IpAddr> {
    let words = text.split(|byte| matches!(byte, b' ' | b'\n')).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let word = String::from_utf8_lossy(word.strip_prefix(b"*").unwrap_or(word));
            let numbers =
                |kind: bool| if kind { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::BROADCAST.into() };
            word.parse().unwrap_or_else(|_not_an_address| numbers(word.contains(':')))
        })
        .collect()
}

/// `atoi`.
fn integer(text: &[u8]) -> i64 {
    Scan(text).number(10).map_or(0, u64::cast_signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sctp_lines_have_an_address_or_several() {
        let line = b"ffff8881 ffff8882 2   10  29   80        0  4242  127.0.0.1 2001:0db8:0000:0000:0000:0000:0000:0001 ";
        let found = endpoint(line).unwrap();
        assert_eq!((found.state, found.ports, found.inode), (10, (80, 0), 4242));
        assert_eq!(found.local, ["127.0.0.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
        let line = b"ffff8881 ffff8882 0   1   3  0       7        5       6       0  77 80    4000 *10.0.0.1 10.0.0.2 <-> *10.0.0.9 \t 30000";
        let found = association(line).unwrap();
        assert_eq!((found.queues, found.ports, found.state), (Some((6, 5)), (80, 4000), 1));
        assert_eq!((found.local.len(), found.foreign), (2, vec![IpAddr::from([10, 0, 0, 9])]));
        assert_eq!(endpoint(b"1 2 3"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line: Vec<u8>) {
            let _ = (endpoint(&line), association(&line));
        }
    }
}
