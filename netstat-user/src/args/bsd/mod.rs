//! BSD's netstat: its words, read as getopt(3) reads them, and what they mean.
//!
//! Nothing is ignored: a word that the display at hand has no use for is refused, and so is what Linux has no counterpart
//! for, each by name.

pub mod flags;
pub mod options;
mod read;
#[cfg(test)]
mod tests;

use super::compat::End;
use super::plan::Scope;
use super::tables::TableWord;
use super::{Stop, flags as own};
use crate::model::{Family, Protocol};
use options::Opt;
use read::Typed;
use std::num::NonZeroU64;
use std::time::Duration;

/// How things are spelled: in layouts that BSD has, addresses, protocols and states may be Linux's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `tcp4`, `host.port`, `FIN_WAIT_1`.
    #[default]
    Bsd,
    /// `tcp`, `host:port`, `FIN_WAIT1`.
    Linux,
}

/// A display and how it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BsdPlan {
    pub dialect: Dialect,
    pub display: Display,
    /// Names of hosts, and of ports.
    pub hosts: bool,
    pub ports: bool,
    pub json: bool,
}

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Display {
    Sockets(SocketsPlan),
    /// Listeners and their queues.
    ListenQueues {
        selected: Selected,
        pcb: bool,
    },
    Routes {
        families: Vec<Family>,
        table: Option<TableWord>,
        all: bool,
        long: bool,
    },
    RouteStatistics {
        families: Vec<Family>,
        zeros: bool,
    },
    Interfaces {
        only: Option<Vec<u8>>,
        families: Vec<Family>,
        all: bool,
        bytes: bool,
        drops: bool,
        human: bool,
    },
    /// Counters of protocols by interface.
    InterfaceStatistics {
        only: Option<Vec<u8>>,
        families: Vec<Family>,
        protocol: Option<String>,
        zeros: bool,
    },
    Interval(IntervalPlan),
    Statistics {
        families: Vec<Family>,
        protocol: Option<String>,
        zeros: bool,
    },
    Buffers,
    Captures {
        only: Option<Vec<u8>>,
    },
    /// Routing of multicast packets, and with `memberships` those.
    Multicast {
        families: Vec<Family>,
        memberships: bool,
    },
    MulticastStatistics {
        families: Vec<Family>,
        zeros: bool,
    },
    Softnet,
    Nexthops {
        families: Vec<Family>,
        groups: bool,
    },
}

/// Sockets of which kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// In the order in which they are shown.
    pub inet: Vec<(Protocol, Family)>,
    pub unix: bool,
    pub packet: bool,
    pub netlink: bool,
    pub vsock: bool,
    /// Other families were asked for by name: it is a failure then that the kernel has none.
    pub named: bool,
}

/// Which further columns a socket has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detailed {
    #[default]
    State,
    /// `-x`: no state, but buffers and timers.
    Buffers,
    /// `-T`: no queues, but what went wrong.
    Faults,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketsPlan {
    pub selected: Selected,
    /// Those that listen, and those without a local address.
    pub all: bool,
    /// TCP sockets that are bound and nothing else: with the others, or alone.
    pub bound: Bound,
    pub pcb: bool,
    pub bytes: bool,
    pub congestion: bool,
    pub processes: bool,
    pub detailed: Detailed,
}

/// Whether TCP sockets that are only bound are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bound {
    #[default]
    No,
    Too,
    Alone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntervalPlan {
    pub every: Duration,
    /// End after so many lines.
    pub count: Option<NonZeroU64>,
    pub only: Option<Vec<u8>>,
    pub drops: bool,
    pub human: bool,
}

/// Words that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BsdError {
    #[error("{0} is no option")]
    Unknown(String),
    #[error("{0} wants a value: {1}")]
    NoValue(String, &'static str),
    #[error("{0} takes no value")]
    Value(String),
    #[error("{option} {given:?}: {why}")]
    Bad { option: String, given: String, why: String },
    #[error("-{0}: {1}")]
    Absent(char, &'static str),
    #[error("-f {0}: {1}")]
    AbsentFamily(String, &'static str),
    #[error("{0}: unknown address family")]
    Family(String),
    #[error("{0}: unknown or uninstrumented protocol")]
    Protocol(String),
    #[error("{0} and {1} exclude each other")]
    Exclusive(String, String),
    #[error("{0} means nothing with {1}")]
    Meaningless(String, String),
    #[error("{0:?} is no option, and plain words mean nothing here")]
    Operand(String),
    #[error("{0}: {1}")]
    NoneOf(String, &'static str),
}

impl BsdError {
    fn stop(&self) -> Stop {
        let err = format!("enetstat: {self}\nFor more information, try 'enetstat --bsd --help'.\n");
        Stop::Compat(End { out: Vec::new(), err: err.into_bytes(), code: 1 })
    }
}

/// The groups of counters that belong to a protocol that has some.
pub fn counted(protocol: &str) -> &'static [&'static str] {
    read::COUNTED.iter().find(|(name, _)| *name == protocol).map_or(&[], |(_, groups)| groups)
}

/// From the words after the program's name to a plan, and where it is to be shown.
pub fn parse(words: &[&[u8]]) -> Result<(BsdPlan, Scope), Stop> {
    let typed = read::read(words).map_err(|error| error.stop())?;
    if typed.has("help") {
        return Err(Stop::Show(options::help()));
    }
    if typed.has("version") {
        return Err(Stop::Show(format!("enetstat {}\n", own::version())));
    }
    let scope = match (&typed.netns, typed.has("all-netns")) {
        (Some(_), true) => Err(BsdError::Exclusive("-j".to_owned(), "--all-netns".to_owned())),
        (Some(word), false) => Ok(Scope::One(word.clone())),
        (None, true) => Ok(Scope::All),
        (None, false) => Ok(Scope::Own),
    };
    let plan = plan(&typed, Dialect::Bsd);
    plan.and_then(|plan| Ok((plan, scope?))).map_err(|error| error.stop())
}

/// What the words mean together.
pub(super) fn plan(typed: &Typed, dialect: Dialect) -> Result<BsdPlan, BsdError> {
    let (display, meaningful) = display(typed)?;
    for option in &typed.seen {
        // Processors belong to no namespace.
        let everywhere = matches!(option.word, "netns" | "numeric" | "json" | "bsd")
            || (option.word == "all-netns" && !matches!(display, Display::Softnet));
        if !everywhere && !meaningful.contains(option.letter) {
            let of = typed.seen.iter().find(|other| is_display(other) && other.word != option.word);
            let of = of.map_or_else(|| "the listing of sockets".to_owned(), |of| named(of));
            return Err(BsdError::Meaningless(named(option), of));
        }
    }
    Ok(BsdPlan {
        dialect,
        display,
        hosts: !typed.has("numeric") && !typed.has("numeric-hosts"),
        ports: !typed.has("numeric"),
        json: typed.has("json"),
    })
}

/// How an option is called in a message.
fn named(option: &Opt) -> String {
    match option.letter {
        '\0' => format!("--{}", option.word),
        letter => format!("-{letter}"),
    }
}

/// Options that choose a display.
fn is_display(option: &Opt) -> bool {
    "BgimoOQrswLxTI".contains(option.letter)
}

/// The display, and the letters that mean something in it; `\0` stands for `--bound`.
fn display(typed: &Typed) -> Result<(Display, &'static str), BsdError> {
    exclude(typed)?;
    let (all, zeros) = (typed.has("all"), typed.times("statistics") < 2);
    let only = typed.interface.clone();
    let statistics = typed.has("statistics");
    Ok(if let Some(every) = typed.wait {
        let (drops, human) = (typed.has("drops"), typed.has("human"));
        // Bytes are always among the columns.
        (Display::Interval(IntervalPlan { every, count: typed.count, only, drops, human }), "wIibdhq")
    } else if typed.has("routes") {
        let families = typed.families()?;
        if statistics {
            (Display::RouteStatistics { families, zeros }, "rsf46")
        } else {
            let long = typed.has("long") || typed.has("wide");
            (Display::Routes { families, table: typed.table.clone(), all, long }, "rafFlSW46")
        }
    } else if typed.has("multicast-routes") {
        let families = typed.families()?;
        if statistics {
            (Display::MulticastStatistics { families, zeros }, "gsf46")
        } else {
            (Display::Multicast { families, memberships: all }, "gaflSW46")
        }
    } else if typed.has("buffers") {
        (Display::Buffers, "m")
    } else if typed.has("captures") {
        (Display::Captures { only }, "BI")
    } else if typed.has("softnet") {
        (Display::Softnet, "Q")
    } else if typed.has("nexthops") || typed.has("nexthop-groups") {
        (Display::Nexthops { families: typed.families()?, groups: typed.has("nexthop-groups") }, "oOflSW46")
    } else if statistics {
        let (families, protocol) = (typed.families()?, typed.statistics()?);
        if only.is_some() || typed.has("interfaces") {
            (Display::InterfaceStatistics { only, families, protocol, zeros }, "isIfp46")
        } else {
            (Display::Statistics { families, protocol, zeros }, "sfp46")
        }
    } else if only.is_some() || typed.has("interfaces") {
        let families = typed.families()?;
        let (bytes, drops, human) = (typed.has("bytes"), typed.has("drops"), typed.has("human"));
        (Display::Interfaces { only, families, all, bytes, drops, human }, "iIabdfhlSW46")
    } else if typed.has("listen-queues") {
        let mut selected = typed.selected()?;
        selected.inet.retain(|(protocol, _)| *protocol == Protocol::Tcp);
        if selected.inet.is_empty() && !selected.unix {
            return Err(BsdError::NoneOf("-L".to_owned(), "only TCP and unix sockets listen with a queue"));
        }
        (Display::ListenQueues { selected, pcb: typed.has("pcb") }, "LAaflpSW46")
    } else {
        return sockets(typed);
    })
}

fn sockets(typed: &Typed) -> Result<(Display, &'static str), BsdError> {
    let selected = typed.selected()?;
    let detailed = match (typed.has("socket-buffers"), typed.has("tcp-counters")) {
        (true, _) => Detailed::Buffers,
        (_, true) => Detailed::Faults,
        _ => Detailed::State,
    };
    let mut selected = selected;
    let tcp_alone = detailed == Detailed::Faults || typed.has("congestion");
    if tcp_alone {
        selected.inet.retain(|(protocol, _)| *protocol == Protocol::Tcp);
    }
    let inet_alone = tcp_alone || detailed == Detailed::Buffers;
    if inet_alone {
        let option = match detailed {
            Detailed::Buffers => "-x",
            Detailed::Faults => "-T",
            Detailed::State => "-C",
        };
        if selected.inet.is_empty() || selected.named {
            let why =
                if tcp_alone { "only TCP connections have that" } else { "only inet sockets have that" };
            return Err(BsdError::NoneOf(option.to_owned(), why));
        }
        selected = Selected { inet: selected.inet, ..Selected::default() };
    }
    let all = typed.has("all");
    let bound = match (typed.has("bound"), all) {
        (true, _) => Bound::Alone,
        (false, true) => Bound::Too,
        (false, false) => Bound::No,
    };
    if bound == Bound::Alone {
        if !typed.families.is_empty() || typed.protocol.as_ref().is_some_and(|name| name != "tcp") {
            return Err(BsdError::NoneOf(
                "--bound".to_owned(),
                "only TCP sockets are told to be bound and nothing else",
            ));
        }
        selected.inet.retain(|(protocol, _)| *protocol == Protocol::Tcp);
        selected = Selected { inet: selected.inet, ..Selected::default() };
    } else if all && !inet_alone && typed.everything() {
        (selected.packet, selected.netlink, selected.vsock) = (true, true, true);
    }
    let plan = SocketsPlan {
        selected,
        all: all || bound == Bound::Alone,
        bound,
        pcb: typed.has("pcb"),
        bytes: typed.has("bytes"),
        congestion: typed.has("congestion"),
        processes: typed.has("verbose"),
        detailed,
    };
    Ok((Display::Sockets(plan), "aAbCflpSTvWx46\0"))
}

/// Displays of which only one can be shown.
fn exclude(typed: &Typed) -> Result<(), BsdError> {
    const ALONE: [&str; 11] = [
        "routes",
        "multicast-routes",
        "buffers",
        "captures",
        "softnet",
        "interval",
        "interfaces",
        "nexthops",
        "listen-queues",
        "socket-buffers",
        "tcp-counters",
    ];
    let mut given = typed.seen.iter().filter(|option| ALONE.contains(&option.word));
    if let Some(first) = given.next()
        && let Some(second) = given.find(|other| other.word != first.word)
    {
        // -i -w is -w, as on BSD.
        let both = [first.word, second.word];
        if !(both.contains(&"interval") && both.contains(&"interfaces")) {
            return Err(BsdError::Exclusive(named(first), named(second)));
        }
    }
    if let (Some(family), Some(protocol)) = (typed.families.first(), &typed.protocol) {
        return Err(BsdError::Exclusive(format!("-f {family}"), format!("-p {protocol}")));
    }
    Ok(())
}
