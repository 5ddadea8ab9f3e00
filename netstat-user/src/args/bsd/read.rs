//! The words one by one.

use super::options::{self, ABSENT, Opt};
use super::{BsdError, Selected, named};
use crate::args::tables::{self, TableWord};
use crate::args::value;
use crate::model::{Family, Protocol};
use std::num::NonZeroU64;
use std::time::Duration;

/// What was typed.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    pub seen: Vec<&'static Opt>,
    /// Values of `-f`.
    pub families: Vec<String>,
    pub protocol: Option<String>,
    pub interface: Option<Vec<u8>>,
    pub wait: Option<Duration>,
    pub count: Option<NonZeroU64>,
    pub table: Option<TableWord>,
    pub netns: Option<String>,
}

/// Longest name of an interface (`IFNAMSIZ` without its NUL).
const NAME: usize = 15;

/// Address families of BSD, or of Linux, of which Linux has no sockets, or tells none.
const NO_FAMILIES: &[(&str, &str)] = &[
    ("ng", "Linux has no netgraph sockets"),
    ("netgraph", "Linux has no netgraph sockets"),
    ("systm", "Linux has no kernel control sockets"),
    ("ndrv", "Linux has no such sockets: link shows those that read from interfaces"),
    ("pfkey", "the sockets of PF_KEY are only in /proc/net/pfkey, where the kernel has them"),
    ("key", "the sockets of PF_KEY are only in /proc/net/pfkey, where the kernel has them"),
    ("ns", "Linux has no XNS sockets"),
    ("iso", "Linux has no ISO sockets"),
    ("atalk", "enetstat -A ddp shows AppleTalk sockets, where the kernel has them"),
    ("ipx", "enetstat -A ipx shows IPX sockets, where the kernel has them"),
];

/// Protocols with counters of their own, and the groups of the kernel's that count them.
pub const COUNTED: &[(&str, &[&str])] = &[
    ("tcp", &["Tcp", "TcpExt"]),
    ("mptcp", &["MPTcpExt"]),
    ("udp", &["Udp", "Udp6"]),
    ("udp6", &["Udp6"]),
    ("udplite", &["UdpLite", "UdpLite6"]),
    ("ip", &["Ip", "IpExt"]),
    ("ip6", &["Ip6"]),
    ("icmp", &["Icmp", "IcmpMsg"]),
    ("icmp6", &["Icmp6"]),
    ("sctp", &["Sctp"]),
    ("ipsec", &["Xfrm"]),
    ("tls", &["Tls"]),
];

/// Reads words as getopt(3) does: letters bundled, values attached or in the next word, `--` ends them. A word alone that
/// is a number is an interval, as it was before `-w`.
pub fn read(words: &[&[u8]]) -> Result<Typed, BsdError> {
    let mut typed = Typed::default();
    let mut rest = words.iter();
    let mut ended = false;
    while let Some(word) = rest.next() {
        let text = String::from_utf8_lossy(word);
        match word.strip_prefix(b"-") {
            _ if ended => typed.operand(&text)?,
            None | Some(b"") => typed.operand(&text)?,
            Some(b"-") => ended = true,
            Some(long) if long.first() == Some(&b'-') => {
                let long = text.get(2..).unwrap_or_default();
                let (name, attached) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.as_bytes())),
                    None => (long, None),
                };
                let option = options::by_word(name).ok_or_else(|| BsdError::Unknown(format!("--{name}")))?;
                let value = match (option.value.is_empty(), attached) {
                    (true, Some(_)) => return Err(BsdError::Value(format!("--{name}"))),
                    (true, None) => b"",
                    (false, Some(value)) => value,
                    (false, None) => {
                        rest.next().ok_or_else(|| BsdError::NoValue(format!("--{name}"), option.value))?
                    }
                };
                typed.option(option, value)?;
            }
            Some(letters) => typed.letters(letters, &mut rest)?,
        }
    }
    Ok(typed)
}

impl Typed {
    fn letters<'a>(
        &mut self,
        letters: &'a [u8],
        rest: &mut std::slice::Iter<'_, &'a [u8]>,
    ) -> Result<(), BsdError> {
        for (at, &byte) in letters.iter().enumerate() {
            let letter = char::from(byte);
            if let Some((_, _, why)) = ABSENT.iter().find(|(absent, ..)| *absent == letter) {
                return Err(BsdError::Absent(letter, why));
            }
            let option = options::by_letter(letter)
                .ok_or_else(|| BsdError::Unknown(format!("-{}", letter.escape_default())))?;
            if option.value.is_empty() {
                self.option(option, b"")?;
                continue;
            }
            let attached = letters.get(at + 1..).filter(|attached| !attached.is_empty());
            let value = attached.or_else(|| rest.next().copied());
            let value = value.ok_or_else(|| BsdError::NoValue(format!("-{letter}"), option.value))?;
            return self.option(option, value);
        }
        Ok(())
    }

    fn operand(&mut self, text: &str) -> Result<(), BsdError> {
        match options::by_word("interval") {
            Some(option) if self.wait.is_none() && text.parse::<u64>().is_ok() => {
                self.option(option, text.as_bytes())
            }
            _ => Err(BsdError::Operand(text.to_owned())),
        }
    }

    /// Takes an option with its value, which is empty when it has none.
    pub fn option(&mut self, option: &'static Opt, value: &[u8]) -> Result<(), BsdError> {
        let text = String::from_utf8_lossy(value).into_owned();
        let bad =
            |why: &str| BsdError::Bad { option: named(option), given: text.clone(), why: why.to_owned() };
        match option.word {
            "family" => self.families.push(text),
            "proto" => self.protocol = Some(text),
            "interface" if value.is_empty() || value.len() > NAME => {
                return Err(bad("an interface has a name of 1 to 15 bytes"));
            }
            "interface" => self.interface = Some(value.to_vec()),
            "interval" => self.wait = Some(value::interval(&text).map_err(|why| bad(&why))?),
            "count" => self.count = Some(text.parse().ok().ok_or_else(|| bad("not a number above 0"))?),
            "fib" => match tables::table(&text) {
                Ok(table) => self.table = Some(table),
                Err(why) => return Err(bad(&why)),
            },
            "netns" if value.is_empty() => return Err(bad("a name, a PID or a path")),
            "netns" => self.netns = Some(text),
            _ => {}
        }
        self.seen.push(option);
        Ok(())
    }

    /// Whether the option with this word was given.
    pub fn has(&self, word: &str) -> bool {
        self.seen.iter().any(|option| option.word == word)
    }

    pub fn times(&self, word: &str) -> usize {
        self.seen.iter().filter(|option| option.word == word).count()
    }

    /// The families of a display of IPv4 and IPv6.
    pub fn families(&self) -> Result<Vec<Family>, BsdError> {
        let mut wanted = (self.has("ipv4"), self.has("ipv6"));
        for name in &self.families {
            match name.as_str() {
                "inet" => wanted.0 = true,
                "inet6" => wanted.1 = true,
                "unix" | "local" | "link" | "packet" | "route" | "netlink" | "vsock" => {
                    let display = if self.has("statistics") {
                        "it is not counted"
                    } else {
                        "only inet and inet6 have that"
                    };
                    return Err(BsdError::NoneOf(format!("-f {name}"), display));
                }
                _ => return Err(stranger(name)),
            }
        }
        Ok(match wanted {
            (true, false) => vec![Family::V4],
            (false, true) => vec![Family::V6],
            _ => vec![Family::V4, Family::V6],
        })
    }

    /// The protocol whose counters are wanted.
    pub fn statistics(&self) -> Result<Option<String>, BsdError> {
        match &self.protocol {
            Some(name) if name == "igmp" => Err(BsdError::NoneOf(
                "-p igmp".to_owned(),
                "Linux does not count IGMP; -g -s has what it counts of multicast",
            )),
            Some(name) if !COUNTED.iter().any(|(counted, _)| counted == name) => {
                Err(BsdError::Protocol(name.clone()))
            }
            other => Ok(other.clone()),
        }
    }

    /// Whether nothing in particular was asked for.
    pub fn everything(&self) -> bool {
        self.families.is_empty() && self.protocol.is_none() && !self.has("ipv4") && !self.has("ipv6")
    }

    /// The sockets that are wanted.
    pub fn selected(&self) -> Result<Selected, BsdError> {
        let mut selected = Selected::default();
        let mut wanted = (self.has("ipv4"), self.has("ipv6"));
        for name in &self.families {
            match name.as_str() {
                "inet" => wanted.0 = true,
                "inet6" => wanted.1 = true,
                "unix" | "local" => selected.unix = true,
                "link" | "packet" => selected.packet = true,
                "route" | "netlink" => selected.netlink = true,
                "vsock" => selected.vsock = true,
                _ => return Err(stranger(name)),
            }
        }
        selected.named = selected.packet || selected.netlink || selected.vsock;
        let others = selected.unix || selected.named;
        let protocols = match self.protocol.as_deref() {
            None => vec![Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Raw],
            Some("tcp") => vec![Protocol::Tcp],
            Some("udp") => vec![Protocol::Udp],
            Some("udplite") => vec![Protocol::UdpLite],
            Some("raw" | "icmp" | "icmp6") => vec![Protocol::Raw],
            Some(name @ ("ip" | "ip6" | "igmp")) => {
                return Err(BsdError::NoneOf(
                    format!("-p {name}"),
                    "it has no sockets of its own: raw has them all",
                ));
            }
            Some(name) => return Err(BsdError::Protocol(name.to_owned())),
        };
        let families: &[Family] = match wanted {
            (true, false) => &[Family::V4],
            (false, true) => &[Family::V6],
            (true, true) => &[Family::V4, Family::V6],
            (false, false) if others => &[],
            (false, false) => &[Family::V4, Family::V6],
        };
        for protocol in protocols {
            selected.inet.extend(families.iter().map(|family| (protocol, *family)));
        }
        selected.unix |= self.everything();
        Ok(selected)
    }
}

fn stranger(name: &str) -> BsdError {
    match NO_FAMILIES.iter().find(|(absent, _)| *absent == name) {
        Some((_, why)) => BsdError::AbsentFamily(name.to_owned(), why),
        None => BsdError::Family(name.to_owned()),
    }
}
