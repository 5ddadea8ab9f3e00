//! `/etc/services`, `/etc/protocols` and `/etc/networks` (services(5), protocols(5), networks(5)), read once: thousands of rows ask for names.

use rustc_hash::FxHashMap;
use std::net::Ipv4Addr;

/// Names by number.
#[derive(Debug, Default)]
pub struct Numbered(FxHashMap<u16, Box<[u8]>>);

impl Numbered {
    pub fn name(&self, number: u16) -> Option<&[u8]> {
        self.0.get(&number).map(|name| &**name)
    }
}

/// Which of several lines with one number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// As for getservbyport(3).
    #[default]
    First,
    /// As for net-tools, which puts each line it reads before the others.
    Last,
}

/// The services of one protocol; lines that are no service are skipped.
pub fn services(text: &[u8], protocol: &[u8], choice: Choice) -> Numbered {
    numbered(text, choice, |field| field.strip_suffix(protocol)?.strip_suffix(b"/"))
}

/// The protocols by their number.
pub fn protocols(text: &[u8], choice: Choice) -> Numbered {
    numbered(text, choice, |field| Some(field))
}

/// The networks by their address, of which parts at the end that are 0 may be missing.
pub fn networks(text: &[u8]) -> FxHashMap<Ipv4Addr, Box<[u8]>> {
    let mut names = FxHashMap::default();
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(name), Some(field)) = (words.next(), words.next()) else { continue };
        if let Some(addr) = network(field) {
            names.entry(addr).or_insert_with(|| name.into());
        }
    }
    names
}

/// Adds the tables of a file of numbers and names; of several names of one table the first counts.
pub fn tables(text: &[u8], names: &mut FxHashMap<u32, Vec<u8>>) {
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(number), Some(name)) = (words.next(), words.next()) else { continue };
        let Ok(number) = std::str::from_utf8(number) else { continue };
        let number = match number.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        if let Ok(number) = number {
            names.entry(number).or_insert_with(|| name.into());
        }
    }
}

fn network(field: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let parts = std::str::from_utf8(field).ok()?.split('.');
    for (at, part) in parts.enumerate() {
        *octets.get_mut(at)? = part.parse().ok()?;
    }
    Some(octets.into())
}

/// Lines of a name and a field from which `digits` takes the number.
fn numbered(text: &[u8], choice: Choice, digits: impl for<'a> Fn(&'a [u8]) -> Option<&'a [u8]>) -> Numbered {
    let mut names = FxHashMap::default();
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(name), Some(field)) = (words.next(), words.next()) else { continue };
        let number = digits(field).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match (number, choice) {
            (Some(number), Choice::First) => drop(names.entry(number).or_insert_with(|| name.into())),
            (Some(number), Choice::Last) => drop(names.insert(number, name.into())),
            (None, _) => {}
        }
    }
    Numbered(names)
}

/// The ports of TCP and UDP that services(5) has under a name.
pub fn ports(text: &[u8], name: &[u8]) -> Vec<u16> {
    let mut found = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(first), Some(field)) = (words.next(), words.next()) else { continue };
        if first != name && !words.any(|word| word == name) {
            continue;
        }
        let port = field.strip_suffix(b"/tcp").or_else(|| field.strip_suffix(b"/udp"));
        let port = port.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        found.extend(port.filter(|port| !found.contains(port)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SERVICES: &[u8] = b"# comment\nssh\t\t22/tcp\t\t\t# Secure Shell\ndomain 53/tcp\ndomain 53/udp\n\
        www 80/tcp http\nother 80/tcp\nbroken\nbig 65536/tcp\nno /tcp\n";

    #[test]
    fn the_first_name_of_a_port_counts() {
        let tcp = services(SERVICES, b"tcp", Choice::First);
        assert_eq!(tcp.name(22), Some(b"ssh".as_slice()));
        assert_eq!(tcp.name(80), Some(b"www".as_slice()));
        assert_eq!(tcp.name(0), None);
        let udp = services(SERVICES, b"udp", Choice::First);
        assert_eq!((udp.name(53), udp.name(22)), (Some(b"domain".as_slice()), None));
        assert_eq!(services(SERVICES, b"tcp", Choice::Last).name(80), Some(b"other".as_slice()));
        assert_eq!(protocols(b"icmp 1 ICMP # x\n", Choice::First).name(1), Some(b"icmp".as_slice()));
    }

    #[test]
    fn a_service_has_ports_under_all_its_names() {
        for (name, wanted) in [
            ("ssh", &[22][..]),
            ("domain", &[53]),
            ("http", &[80]),
            ("no", &[]),
            ("big", &[]),
            ("Secure", &[]),
        ] {
            assert_eq!(ports(SERVICES, name.as_bytes()), wanted, "{name}");
        }
    }

    #[test]
    fn networks_may_be_shortened() {
        let names = networks(
            b"default 0.0.0.0\nloopback 127 # ours\nlink-local\t169.254.0.0\nbad 1.2.3.4.5\nworse x\n",
        );
        assert_eq!(names.len(), 3);
        assert_eq!(names.get(&Ipv4Addr::new(127, 0, 0, 0)).map(|name| &**name), Some(b"loopback".as_slice()));
        assert_eq!(
            names.get(&Ipv4Addr::new(169, 254, 0, 0)).map(|name| &**name),
            Some(b"link-local".as_slice())
        );
    }

    #[test]
    fn tables_have_numbers_of_two_bases() {
        let mut names = FxHashMap::default();
        tables(b"# reserved\n254\tmain\n0x64 vpn # own\n100 late\nx y\n7\n", &mut names);
        assert_eq!((names.len(), names.get(&100).map(Vec::as_slice)), (2, Some(b"vpn".as_slice())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            services(&text, b"tcp", Choice::Last);
            protocols(&text, Choice::First);
            networks(&text);
            tables(&text, &mut FxHashMap::default());
        }
    }
}
