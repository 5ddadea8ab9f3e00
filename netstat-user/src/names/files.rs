//! `/etc/services` and `/etc/protocols` (services(5), protocols(5)), read once: thousands of rows ask for names.

use rustc_hash::FxHashMap;

/// Names by number.
#[derive(Debug, Default)]
pub struct Numbered(FxHashMap<u16, Box<[u8]>>);

impl Numbered {
    pub fn name(&self, number: u16) -> Option<&[u8]> {
        self.0.get(&number).map(|name| &**name)
    }
}

/// The services of one protocol. Of several lines with one port the first counts; lines that are no service are skipped.
pub fn services(text: &[u8], protocol: &[u8]) -> Numbered {
    numbered(text, |field| field.strip_suffix(protocol)?.strip_suffix(b"/"))
}

/// The protocols by their number.
pub fn protocols(text: &[u8]) -> Numbered {
    numbered(text, |field| Some(field))
}

/// Lines of a name and a field from which `digits` takes the number.
fn numbered(text: &[u8], digits: impl for<'a> Fn(&'a [u8]) -> Option<&'a [u8]>) -> Numbered {
    let mut names = FxHashMap::default();
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(name), Some(field)) = (words.next(), words.next()) else { continue };
        let number = digits(field).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        if let Some(number) = number {
            names.entry(number).or_insert_with(|| name.into());
        }
    }
    Numbered(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SERVICES: &[u8] = b"# comment\nssh\t\t22/tcp\t\t\t# Secure Shell\ndomain 53/tcp\ndomain 53/udp\n\
        www 80/tcp http\nother 80/tcp\nbroken\nbig 65536/tcp\nno /tcp\n";

    #[test]
    fn the_first_name_of_a_port_counts() {
        let tcp = services(SERVICES, b"tcp");
        assert_eq!(tcp.name(22), Some(b"ssh".as_slice()));
        assert_eq!(tcp.name(80), Some(b"www".as_slice()));
        assert_eq!(tcp.name(0), None);
        let udp = services(SERVICES, b"udp");
        assert_eq!((udp.name(53), udp.name(22)), (Some(b"domain".as_slice()), None));
        assert_eq!(protocols(b"icmp 1 ICMP # x\n").name(1), Some(b"icmp".as_slice()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            services(&text, b"tcp");
            protocols(&text);
        }
    }
}
