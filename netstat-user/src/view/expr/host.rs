//! `[FAMILY:]ADDRESS[/LEN][:PORT]`.

use super::{Address, Host, Kind, Port};
use crate::view::Prefix;
use std::net::{IpAddr, Ipv4Addr};

/// The family at the beginning of a word, and what follows.
fn kind(word: &[u8]) -> Result<(Option<Kind>, &[u8]), String> {
    for (name, kind) in [(&b"inet:"[..], Kind::Inet), (b"inet6:", Kind::Inet6), (b"unix:", Kind::Unix)] {
        if let Some(rest) = word.strip_prefix(name) {
            return Ok((Some(kind), rest));
        }
    }
    for name in ["link", "netlink", "vsock", "tipc", "xdp"] {
        if word.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b":")) {
            return Err(format!(
                "addresses of the family {name} are not understood; inet, inet6 and unix are"
            ));
        }
    }
    Ok((None, word))
}

/// An address with its port; `unix`: without a family it is a path.
pub fn host(word: &[u8], unix: bool) -> Result<Host, String> {
    let (kind, rest) = kind(word)?;
    let path = kind == Some(Kind::Unix) || (kind.is_none() && (unix || matches!(rest, [b'/' | b'@', ..])));
    if path {
        return Ok(Host { kind, address: Address::Path(rest.to_vec()), port: None });
    }
    let text = std::str::from_utf8(rest).map_err(|_no_text| "is no text".to_owned())?;
    // Without brackets the last colon separates the port, unless the rest only makes sense as an IPv6 address.
    let whole = text.parse::<Prefix>().ok().filter(|_| text.matches(':').count() > 1);
    let (address_text, port_text) = match text.rfind([':', ']']) {
        Some(at) if text[at..].starts_with(':') => (&text[..at], Some(&text[at + 1..])),
        _ => (text, None),
    };
    let both = address(address_text, kind).and_then(|address| Ok((address, port(port_text)?)));
    match (both, whole) {
        (Ok((Address::Any, _)) | Err(_), Some(prefix)) => {
            Ok(Host { kind, address: Address::Prefixes(vec![prefix]), port: None })
        }
        (Ok((Address::Name(_), _)), Some(prefix)) => {
            Ok(Host { kind, address: Address::Prefixes(vec![prefix]), port: None })
        }
        (Ok((address, port)), _) => Ok(Host { kind, address, port }),
        (Err(error), None) => Err(error),
    }
}

/// A port alone, with an optional family and colon; `None`: any.
pub fn lone_port(word: &[u8]) -> Result<(Option<Kind>, Option<Port>), String> {
    let (kind, rest) = kind(word)?;
    let text = std::str::from_utf8(rest).map_err(|_no_text| "is no text".to_owned())?;
    let text = text.strip_prefix("*:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
    if text.contains(':') {
        return Err("is no port: addresses are for src and dst".to_owned());
    }
    Ok((kind, port(Some(text))?))
}

fn port(text: Option<&str>) -> Result<Option<Port>, String> {
    let Some(text) = text.filter(|text| !matches!(*text, "" | "*")) else { return Ok(None) };
    if text.contains(',') && text.split(',').all(|one| number(one).is_some()) {
        let numbers = text.split(',').map(|one| number(one).and_then(|n| u16::try_from(n).ok()));
        return Ok(Some(Port::Any(numbers.collect::<Option<_>>().ok_or("has a port above 65535")?)));
    }
    if let Some(number) = number(text) {
        let number = u16::try_from(number).ok().ok_or("is no port: they end at 65535")?;
        return Ok(Some(Port::Number(number)));
    }
    let is_name = text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+/".contains(&byte));
    if is_name { Ok(Some(Port::Name(text.to_owned()))) } else { Err("has no port or service".to_owned()) }
}

/// Digits as C reads them: `0x` sixteen, `0` eight, else ten.
pub fn number(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    match (text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")), text.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    }
}

fn address(text: &str, kind: Option<Kind>) -> Result<Address, String> {
    if text.contains("],[") {
        let prefixes = text.split(',').map(|one| prefix(one, kind)).collect::<Option<Vec<_>>>();
        return prefixes.map(Address::Prefixes).ok_or_else(|| "has an address that is none".to_owned());
    }
    match text {
        "" | "*" | "any" | "all" | "default" => return Ok(Address::Any),
        _ => {}
    }
    if let Some(prefix) = prefix(text, kind) {
        return Ok(Address::Prefixes(vec![prefix]));
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"./[]:".contains(&byte));
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !text.starts_with(['-', '.']);
    if is_name && !is_number {
        return Ok(Address::Name(text.to_owned()));
    }
    Err("is no address, prefix or host name".to_owned())
}

/// `ADDRESS[/LEN]`, with brackets around the address or all of it. Of an IPv4 address, the end may be left out: `127/8`.
fn prefix(text: &str, kind: Option<Kind>) -> Option<Prefix> {
    let text = match text.strip_prefix('[') {
        // `[::1]/64` and `[::1/64]` alike.
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            &format!("{inside}{after}")
        }
        None => text,
    };
    let (addr, len) = match text.split_once('/') {
        Some((addr, len)) => (addr, Some(len.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let addr = match addr.parse::<IpAddr>() {
        Ok(addr) => addr,
        Err(_) => shortened(addr)?.into(),
    };
    let fits = match kind {
        Some(Kind::Inet) => addr.is_ipv4(),
        Some(Kind::Inet6) => addr.is_ipv6(),
        Some(Kind::Unix) | None => true,
    };
    let most = if addr.is_ipv4() { 32 } else { 128 };
    if fits { Prefix::new(addr, len.unwrap_or(most)) } else { None }
}

fn shortened(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    for (at, part) in text.split('.').enumerate() {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octets.get_mut(at)? = part.parse().ok()?;
    }
    Some(octets.into())
}
