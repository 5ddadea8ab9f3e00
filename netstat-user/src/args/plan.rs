//! What is to be done.

use super::bsd::{self, BsdPlan};
use super::compat::{CompatPlan, Family as AddressFamily};
use super::flags::{Command, Flags, InsideFlags, ListFlags, Page, TraceFlags};
pub use super::select::{InsidePlan, Traced};
use super::ss;
use super::tables::{self, GroupsPlan, InterfacesPlan, MasqueradePlan, RoutesPlan};
use crate::model::{Comm, Family, Protocol, States, TcpState};
use crate::render::detail::Parts;
use crate::view::expr::Cond;
use crate::view::{Column, Filter, Protocols, Selection, Sort};
use netstat_common::config::Queues;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub use super::flags::TimeStyle;
pub use super::usage::UsageError;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    List(Box<ListPlan>),
    Statistics(StatisticsPlan),
    Routes(RoutesPlan),
    Interfaces(InterfacesPlan),
    Groups(GroupsPlan),
    Masquerade(MasqueradePlan),
    /// One of those above, of other network namespaces than the own one: a listing and counters of all namespaces see to
    /// that themselves.
    Elsewhere(Scope, Box<Self>),
    Trace(Box<TracePlan>),
    /// With the tier to force.
    Capabilities(Option<String>),
    Schema,
    Man(Page),
    Completions(clap_complete::Shell),
    /// As net-tools' netstat, byte for byte.
    Compat(Box<CompatPlan>),
    /// A display of BSD's netstat, in its dialect or in Linux's.
    Bsd(Box<BsdPlan>),
}

/// Which sockets of the selected protocols, as net-tools understands `-a` and `-l`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Neither: sockets with a peer, and unix sockets that do not listen.
    #[default]
    Connected,
    /// `-l`.
    Listening,
    /// `-a`, whatever else is given.
    All,
}

/// Whether numbers are replaced by names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    pub hosts: bool,
    pub ports: bool,
    pub users: bool,
}

/// The sources a listing may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListTier {
    /// sock_diag, and /proc where that is refused; programs in the kernel where there are so many sockets that it pays.
    #[default]
    Best,
    /// The same, with programs in the kernel however few sockets there are.
    Bpf,
    Netlink,
    Procfs,
}

/// Sockets that only some kernels have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    Sctp,
    Ipx,
    Ax25,
    X25,
    Netrom,
    Rose,
    AppleTalk,
    Econet,
    Ash,
    L2cap,
    Rfcomm,
}

/// A listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPlan {
    /// Tables of inet sockets, in the order in which they are shown.
    pub tables: Vec<(Protocol, Family)>,
    pub unix: bool,
    /// SCTP sockets of these families, whose rows stand among the tables.
    pub sctp: Vec<Family>,
    /// Further sockets, in the order in which they are shown, and whether they were asked for by name: it is a failure then
    /// that the kernel does not have them.
    pub others: Vec<(Other, bool)>,
    pub which: Which,
    pub programs: bool,
    /// SELinux contexts.
    pub context: bool,
    /// User and inode.
    pub extend: bool,
    pub timers: bool,
    pub naming: Naming,
    /// Repeat after this time.
    pub interval: Option<Duration>,
    /// For how long TCP connections that ended are shown; only with `interval`, and with TCP among the tables.
    pub keep_closed: Option<Duration>,
    pub json: bool,
    pub verbose: bool,
    pub all_netns: bool,
    pub inside: InsidePlan,
    pub tier: ListTier,
    /// Only these sockets.
    pub selection: Selection,
    /// Shown with each inet socket.
    pub details: Parts,
    /// The columns that were asked for; empty: net-tools' own.
    pub columns: Vec<Column>,
    pub sort: Option<Sort>,
    pub no_header: bool,
    /// The output is a terminal that shows colours.
    pub colour: bool,
    /// Destroy what is shown.
    pub kill: Option<Kill>,
    /// Write the TCP sockets here instead of showing them.
    pub dump: Option<PathBuf>,
}

/// How sockets are destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Only when the answer is yes.
    pub ask: bool,
}

/// Which counters that are 0 are shown as text; JSON has every counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    /// Those that net-tools shows.
    #[default]
    Usual,
    /// All of them, and settings that count nothing.
    Shown,
    /// None, and no group without a counter.
    Hidden,
}

/// Counters of protocols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatisticsPlan {
    pub protocols: Protocols,
    /// The family asked for; `None`: both.
    pub family: Option<Family>,
    pub zeros: Zeros,
    /// Repeat after this time.
    pub interval: Option<Duration>,
    pub json: bool,
    pub all_netns: bool,
    /// Exactly as net-tools 2.10 does it. Nothing but `protocols` counts besides.
    pub compat: Option<CompatFamilies>,
}

/// The families that were asked for as net-tools keeps them: its names of them in the order in which they were typed, with
/// commas (`inet,unix`); empty when none was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompatFamilies(pub String);

/// Which network namespaces are traced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The one the program runs in.
    #[default]
    Own,
    /// A name, a process, a path or an inode.
    One(String),
    All,
}

/// A trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TracePlan {
    pub protocols: Traced,
    pub time: TimeStyle,
    /// One line for each finished connection instead of one for each change.
    pub close: bool,
    pub json: bool,
    /// Column titles come first.
    pub header: bool,
    pub queues: Queues,
    pub queue_interval: Duration,
    pub filter: Filter,
    pub scope: Scope,
    pub inside: InsidePlan,
    pub tier: Option<String>,
    /// A power of two, at least a page; `None`: the program's choice.
    pub ring_bytes: Option<u32>,
    /// How long closed connections stay in the table.
    pub keep_closed: Duration,
    pub max_connections: NonZeroUsize,
    /// Stop after this time.
    pub duration: Option<Duration>,
}

impl TryFrom<Flags> for Plan {
    type Error = UsageError;

    fn try_from(flags: Flags) -> Result<Self, UsageError> {
        Ok(match flags.command {
            None => {
                let (netns, all_netns) = (flags.list.netns.clone(), flags.list.all_netns);
                let (plan, everywhere) = match bsd::flags::of(&flags.list)? {
                    Some(plan) => (Self::Bsd(Box::new(plan)), all_netns),
                    None => match tables::plan(&flags.list)? {
                        Some(plan) => (plan, all_netns),
                        None if flags.list.statistics > 0 => {
                            (Self::Statistics(statistics(&flags.list)?), false)
                        }
                        None => (Self::List(Box::new(list(flags.list)?)), false),
                    },
                };
                match (netns, everywhere) {
                    (Some(word), _) => Self::Elsewhere(Scope::One(word), Box::new(plan)),
                    (None, true) => Self::Elsewhere(Scope::All, Box::new(plan)),
                    (None, false) => plan,
                }
            }
            Some(Command::Trace(flags)) => Self::Trace(Box::new(trace(*flags)?)),
            Some(Command::Capabilities(flags)) => Self::Capabilities(flags.tier),
            Some(Command::Schema) => Self::Schema,
            Some(Command::Man(flags)) => Self::Man(flags.page),
            Some(Command::Completions(flags)) => Self::Completions(flags.shell),
        })
    }
}

fn list(flags: ListFlags) -> Result<ListPlan, UsageError> {
    let tier = match flags.tier.as_deref() {
        None => ListTier::Best,
        Some("bpf") => ListTier::Bpf,
        Some("netlink") => ListTier::Netlink,
        Some("procfs") => ListTier::Procfs,
        Some(other) => return Err(UsageError::ListTier(other.to_owned())),
    };
    let selected = tables(&flags);
    if flags.keep_closed.is_some() {
        let tcp = selected.tables.iter().any(|(protocol, _)| *protocol == Protocol::Tcp);
        match tier {
            _ if flags.continuous.is_none() => return Err(UsageError::KeepClosedOnce),
            _ if !tcp => return Err(UsageError::KeepClosedWithoutTcp),
            ListTier::Best | ListTier::Bpf => {}
            ListTier::Netlink => return Err(UsageError::KeepClosedAndTier("netlink")),
            ListTier::Procfs => return Err(UsageError::KeepClosedAndTier("procfs")),
        }
    }
    let mut plan = ListPlan {
        which: match (flags.all, flags.listening) {
            (true, _) => Which::All,
            (false, true) => Which::Listening,
            (false, false) => Which::Connected,
        },
        programs: flags.programs || flags.context,
        context: flags.context,
        extend: flags.extend > 0,
        timers: flags.timers,
        naming: Naming {
            hosts: !(flags.numeric || flags.numeric_hosts),
            ports: !(flags.numeric || flags.numeric_ports),
            users: !(flags.numeric || flags.numeric_users),
        },
        interval: flags.continuous,
        keep_closed: flags.keep_closed,
        json: flags.json,
        verbose: flags.verbose,
        all_netns: flags.all_netns,
        inside: InsidePlan::of(flags.inside),
        tier,
        ..selected
    };
    ss::apply(&mut plan, flags.ss)?;
    Ok(plan)
}

/// Flags about sockets and names are as meaningless here as in net-tools, and as harmless.
fn statistics(flags: &ListFlags) -> Result<StatisticsPlan, UsageError> {
    tables::no_filter("-s", flags)?;
    for (given, flag, why) in [
        (flags.unix, "-x", "the kernel does not count what unix sockets do"),
        (flags.keep_closed.is_some(), "--keep-closed", "a counter does not end"),
        (
            flags.inside != InsideFlags::default(),
            "--container and the like",
            "the kernel counts for a namespace",
        ),
        (
            flags.tier.as_deref().is_some_and(|tier| tier != "procfs"),
            "--tier",
            "counters are read from /proc",
        ),
    ] {
        if given {
            return Err(UsageError::NoStatistics(flag, why));
        }
    }
    Ok(StatisticsPlan {
        protocols: Protocols {
            ip: flags.raw,
            tcp: flags.tcp,
            udp: flags.udp,
            udplite: flags.udplite,
            sctp: flags.sctp,
        },
        family: match (flags.inet, flags.inet6) {
            (true, false) => Some(Family::V4),
            (false, true) => Some(Family::V6),
            _ => None,
        },
        zeros: match flags.statistics {
            _ if flags.verbose => Zeros::Shown,
            0 | 1 => Zeros::Usual,
            _ => Zeros::Hidden,
        },
        interval: flags.continuous,
        json: flags.json,
        all_netns: flags.all_netns,
        compat: None,
    })
}

/// What the protocol and family flags name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Asked {
    /// TCP, UDP, UDP-Lite, raw, SCTP.
    protocols: [bool; 5],
    inet: bool,
    inet6: bool,
    unix: bool,
    others: Vec<Other>,
}

fn asked(flags: &ListFlags) -> Asked {
    let ListFlags { tcp, udp, udplite, raw, sctp, named, .. } = flags;
    let family = |family: AddressFamily| flags.families.contains(&family);
    let bluetooth = (named.bluetooth || family(AddressFamily::Bluetooth)) && !(flags.l2cap || flags.rfcomm);
    let others = [
        (Other::Ipx, named.ipx || family(AddressFamily::Ipx)),
        (Other::Ax25, named.ax25 || family(AddressFamily::Ax25)),
        (Other::X25, named.x25 || family(AddressFamily::X25)),
        (Other::Netrom, named.netrom || family(AddressFamily::Netrom)),
        (Other::Rose, named.rose || family(AddressFamily::Rose)),
        (Other::AppleTalk, named.appletalk || family(AddressFamily::Ddp)),
        (Other::Econet, family(AddressFamily::Econet)),
        (Other::Ash, family(AddressFamily::Ash)),
        (Other::L2cap, flags.l2cap || bluetooth),
        (Other::Rfcomm, flags.rfcomm || bluetooth),
    ];
    Asked {
        protocols: [*tcp, *udp, *udplite, *raw, *sctp],
        inet: flags.inet || family(AddressFamily::Inet),
        inet6: flags.inet6 || family(AddressFamily::Inet6),
        unix: flags.unix || family(AddressFamily::Unix),
        others: others.into_iter().filter_map(|(other, asked)| asked.then_some(other)).collect(),
    }
}

/// The tables that the protocol and family flags select, as net-tools does: no flag selects all, a family alone all
/// inet protocols of that family, a protocol alone both families. Gives a plan that has nothing else.
fn tables(flags: &ListFlags) -> ListPlan {
    let asked = asked(flags);
    let everything = asked == Asked::default();
    let protocol_given = asked.protocols.contains(&true);
    let family_given = asked.inet || asked.inet6;
    let inet = protocol_given || family_given || everything;
    let wanted = |given: bool| inet && (given || !protocol_given);
    let [tcp, udp, udplite, raw, sctp] = asked.protocols;
    let mut tables = Vec::new();
    for (protocol, given) in
        [(Protocol::Tcp, tcp), (Protocol::Udp, udp), (Protocol::UdpLite, udplite), (Protocol::Raw, raw)]
    {
        for (family, family_wanted) in
            [(Family::V4, asked.inet || !family_given), (Family::V6, asked.inet6 || !family_given)]
        {
            if wanted(given) && family_wanted {
                tables.push((protocol, family));
            }
        }
    }
    let mut others = Vec::new();
    let mut of_sctp = Vec::new();
    if wanted(sctp) {
        let families = [(Family::V4, asked.inet), (Family::V6, asked.inet6)];
        let families = families.into_iter().filter(|(_, named)| *named || !family_given);
        of_sctp.extend(families.map(|(family, _)| family));
        others.push((Other::Sctp, sctp));
    }
    if everything {
        let rare = [Other::Ipx, Other::Ax25, Other::X25, Other::Netrom, Other::Rose];
        others.extend(rare.map(|other| (other, false)));
    }
    others.extend(asked.others.into_iter().map(|other| (other, true)));
    ListPlan { tables, unix: asked.unix || everything, sctp: of_sctp, others, ..ListPlan::default() }
}

fn trace(flags: TraceFlags) -> Result<TracePlan, UsageError> {
    let queues = Queues::from(flags.queues);
    let protocols = Traced::of(&flags);
    match queues {
        Queues::Off => {}
        _ if !flags.close => {}
        Queues::Coalesced => return Err(UsageError::CloseAndQueues("coalesced")),
        Queues::Every => return Err(UsageError::CloseAndQueues("every")),
    }
    if flags.queue_interval.is_some() && queues != Queues::Coalesced {
        return Err(UsageError::IntervalWithoutQueues);
    }
    if flags.json && flags.time.is_some() {
        return Err(UsageError::TimeAndJson);
    }
    let comms = flags.comms.into_iter().map(|name| match name.len() {
        1..=15 => Ok(Comm::from_bytes(name.as_bytes())),
        _ => Err(UsageError::Comm(name)),
    });
    let states: Vec<TcpState> = flags.states;
    let mut selection = ss::selection(&flags.words, false)?;
    if selection.has(|cond| matches!(cond, Cond::Mark { .. })) {
        return Err(UsageError::NotTraced("the mark (fwmark)"));
    }
    // As --state: of a transition, the one left or the one reached; of both, what each of them allows.
    let named = selection.states.take();
    let states = match ((!states.is_empty()).then(|| States::of(&states)), named) {
        (Some(one), Some(other)) => Some(States(one.0 & other.0)),
        (one, other) => one.or(other),
    };
    Ok(TracePlan {
        protocols,
        time: flags.time.unwrap_or_default(),
        close: flags.close,
        json: flags.json,
        header: !flags.no_header,
        queues,
        queue_interval: Duration::from_millis(flags.queue_interval.unwrap_or(100).into()),
        filter: Filter {
            ports: flags.ports,
            addrs: flags.addrs,
            states,
            pids: flags.pids,
            comms: comms.collect::<Result<_, _>>()?,
            selection,
        },
        scope: match (flags.netns, flags.all_netns) {
            (Some(which), _) => Scope::One(which),
            (None, true) => Scope::All,
            (None, false) => Scope::Own,
        },
        inside: InsidePlan::of(flags.inside),
        tier: flags.tier,
        ring_bytes: flags.ring_size,
        keep_closed: flags.keep_closed,
        max_connections: flags.max_connections,
        duration: flags.duration,
    })
}
