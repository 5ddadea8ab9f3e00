//! The options of net-tools 2.10's netstat.

use super::Mode;
use super::getopt::{Long, Syntax};

/// An option, however it was spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Option {
    /// A long option that is the name of a family.
    Family(&'static str),
    /// `-x`, and a second long option of that name.
    Unix,
    /// `-A`.
    Protocol,
    /// `--tcpip`, which 2.10 lists among the families and then does not find there.
    TcpIp,
    Version,
    Help,
    /// `-?`.
    Wrong,
    Mode(Mode),
    Groups,
    Tcp,
    Sctp,
    Udp,
    UdpLite,
    Raw,
    L2cap,
    Rfcomm,
    All,
    Listening,
    Timers,
    Continuous,
    Debug,
    Extend,
    Programs,
    Verbose,
    Wide,
    Numeric,
    NumericHosts,
    NumericPorts,
    NumericUsers,
    Symbolic,
    Cache,
    Fib,
    Context,
}

const fn long(name: &'static str, option: Option) -> Long<Option> {
    Long { name, option, takes_value: false }
}

const fn family(name: &'static str) -> Long<Option> {
    long(name, Option::Family(name))
}

pub static SYNTAX: Syntax<Option> = Syntax {
    long: &[
        family("ax25"),
        family("x25"),
        family("ip"),
        family("ipx"),
        family("appletalk"),
        family("netrom"),
        family("inet"),
        family("inet6"),
        family("ddp"),
        family("rose"),
        family("unix"),
        family("bluetooth"),
        long("tcpip", Option::TcpIp),
        long("version", Option::Version),
        long("interfaces", Option::Mode(Mode::Interfaces)),
        long("help", Option::Help),
        long("route", Option::Mode(Mode::Routes)),
        long("masquerade", Option::Mode(Mode::Masquerade)),
        Long { name: "protocol", option: Option::Protocol, takes_value: true },
        long("tcp", Option::Tcp),
        long("sctp", Option::Sctp),
        long("udp", Option::Udp),
        long("udplite", Option::UdpLite),
        long("raw", Option::Raw),
        long("unix", Option::Unix),
        long("l2cap", Option::L2cap),
        long("rfcomm", Option::Rfcomm),
        long("listening", Option::Listening),
        long("all", Option::All),
        long("timers", Option::Timers),
        long("continuous", Option::Continuous),
        long("extend", Option::Extend),
        long("programs", Option::Programs),
        long("verbose", Option::Verbose),
        long("statistics", Option::Mode(Mode::Statistics)),
        long("wide", Option::Wide),
        long("numeric", Option::Numeric),
        long("numeric-hosts", Option::NumericHosts),
        long("numeric-ports", Option::NumericPorts),
        long("numeric-users", Option::NumericUsers),
        long("symbolic", Option::Symbolic),
        long("cache", Option::Cache),
        long("fib", Option::Fib),
        long("groups", Option::Groups),
        long("context", Option::Context),
    ],
    short,
    same,
};

fn short(letter: u8) -> std::option::Option<(Option, bool)> {
    let option = match letter {
        b'A' => return Some((Option::Protocol, true)),
        b'C' => Option::Cache,
        b'F' => Option::Fib,
        b'M' => Option::Mode(Mode::Masquerade),
        b'a' => Option::All,
        b'c' => Option::Continuous,
        b'd' => Option::Debug,
        b'e' => Option::Extend,
        b'g' => Option::Groups,
        b'h' => Option::Help,
        b'i' => Option::Mode(Mode::Interfaces),
        b'l' => Option::Listening,
        b'n' => Option::Numeric,
        b'N' => Option::Symbolic,
        b'o' => Option::Timers,
        b'p' => Option::Programs,
        b'r' => Option::Mode(Mode::Routes),
        b's' => Option::Mode(Mode::Statistics),
        b't' => Option::Tcp,
        b'S' => Option::Sctp,
        b'u' => Option::Udp,
        b'U' => Option::UdpLite,
        b'v' => Option::Verbose,
        b'V' => Option::Version,
        b'W' => Option::Wide,
        b'w' => Option::Raw,
        b'2' => Option::L2cap,
        b'f' => Option::Rfcomm,
        b'x' => Option::Unix,
        b'6' => Option::Family("inet6"),
        b'4' => Option::Family("inet"),
        b'?' => Option::Wrong,
        b'Z' => Option::Context,
        _ => return None,
    };
    Some((option, false))
}

/// The families share one number with each other and with `--tcpip`.
fn same(a: Option, b: Option) -> bool {
    let shared = |option| matches!(option, Option::Family(_) | Option::TcpIp);
    (shared(a) && shared(b)) || a == b
}

/// Every long option once, with its letter and whether it takes a value: for the manual page.
pub fn all() -> Vec<(&'static str, std::option::Option<char>, bool)> {
    let mut options: Vec<(&'static str, std::option::Option<char>, bool)> = Vec::new();
    for Long { name, option, takes_value } in SYNTAX.long {
        if options.iter().all(|(known, ..)| known != name) {
            let letter = (b'!'..=b'~').find(|letter| short(*letter).is_some_and(|(of, _)| of == *option));
            options.push((name, letter.map(char::from), *takes_value));
        }
    }
    options
}
