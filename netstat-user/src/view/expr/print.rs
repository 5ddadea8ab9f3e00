//! Trees as words, which [`parse`](super::parse) reads back as the same tree.

use super::word::quoted;
use super::{Address, Cgroup, Compare, Cond, Device, Expr, Host, Kind, Port, Selection, Side};
use crate::model::TcpState;

impl Selection {
    /// The words, in one text.
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(states) = self.states {
            if states.0 == 0 {
                out.extend_from_slice(b"exclude all");
            }
            let named = TcpState::ALL.into_iter().filter(|state| states.has(*state));
            for (at, state) in named.enumerate() {
                out.extend_from_slice(if at > 0 { b" state " } else { b"state " });
                out.extend_from_slice(super::parse::state_name(state).as_bytes());
            }
        }
        if let Some(expr) = &self.expr {
            if !out.is_empty() {
                out.push(b' ');
            }
            write(&mut out, expr);
        }
        out
    }
}

fn write(out: &mut Vec<u8>, expr: &Expr) {
    match expr {
        Expr::Leaf(cond) => condition(out, cond),
        Expr::Not(inner) => {
            out.extend_from_slice(b"not ");
            write(out, inner);
        }
        Expr::And(left, right) => both(out, left, b" and ", right),
        Expr::Or(left, right) => both(out, left, b" or ", right),
    }
}

fn both(out: &mut Vec<u8>, left: &Expr, word: &[u8], right: &Expr) {
    out.extend_from_slice(b"( ");
    write(out, left);
    out.extend_from_slice(word);
    write(out, right);
    out.extend_from_slice(b" )");
}

fn condition(out: &mut Vec<u8>, cond: &Cond) {
    let mut say = |text: &str| out.extend_from_slice(text.as_bytes());
    match cond {
        // A path would be read from `src = *` where unix sockets are meant.
        Cond::Host(side, Host { kind, address: Address::Any, port: None }) => {
            say(if *side == Side::Local { "sport = " } else { "dport = " });
            family(out, *kind);
            out.push(b'*');
        }
        Cond::Host(side, address) => {
            say(if *side == Side::Local { "src = " } else { "dst = " });
            host(out, address);
        }
        Cond::Port(side, compare, kind, number) => {
            say(if *side == Side::Local { "sport " } else { "dport " });
            say(match compare {
                Compare::Equal => "= ",
                Compare::AtLeast => ">= ",
                Compare::AtMost => "<= ",
            });
            family(out, *kind);
            out.push(b':');
            port(out, Some(number));
        }
        Cond::Device(Device::Index(index)) => say(&format!("dev = {index}")),
        Cond::Device(Device::Name(name)) => {
            say("dev = ");
            quoted(out, name.as_bytes());
        }
        Cond::Mark { value, mask } => say(&format!("fwmark = {value:#x}/{mask:#x}")),
        // Not in ss: an id stands for a path that was looked up.
        Cond::Cgroup(Cgroup::Id(id)) => say(&format!("cgroup = id:{id}")),
        Cond::Cgroup(Cgroup::Path(path)) => {
            say("cgroup = ");
            quoted(out, path);
        }
        Cond::Autobound => say("autobound"),
    }
}

fn family(out: &mut Vec<u8>, kind: Option<Kind>) {
    out.extend_from_slice(match kind {
        None => b"",
        Some(Kind::Inet) => b"inet:",
        Some(Kind::Inet6) => b"inet6:",
        Some(Kind::Unix) => b"unix:",
    });
}

fn host(out: &mut Vec<u8>, host: &Host) {
    family(out, host.kind);
    match &host.address {
        Address::Any => out.push(b'*'),
        Address::Prefixes(prefixes) => {
            for (at, prefix) in prefixes.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(format!("[{prefix}]").as_bytes());
            }
        }
        Address::Name(name) => quoted(out, name.as_bytes()),
        Address::Path(path) => return quoted(out, path),
    }
    out.push(b':');
    port(out, host.port.as_ref());
}

fn port(out: &mut Vec<u8>, port: Option<&Port>) {
    match port {
        None => out.push(b'*'),
        Some(Port::Number(number)) => out.extend_from_slice(number.to_string().as_bytes()),
        Some(Port::Any(numbers)) => {
            let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
            out.extend_from_slice(numbers.join(",").as_bytes());
        }
        Some(Port::Name(name)) => quoted(out, name.as_bytes()),
    }
}
