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

    proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            services(&text, b"tcp", Choice::Last);
            protocols(&text, Choice::First);
        }
    }
}
