//! What is to be done about displays that are no tables of sockets: routes, interfaces, memberships, masquerading.

use super::compat::Family as Named;
use super::flags::{InsideFlags, ListFlags};
use super::plan::{Plan, UsageError};
use super::ss;
use crate::model::Family;
use std::time::Duration;

/// Which routing tables are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TableWord {
    /// Those that net-tools shows: of IPv4 the main table, of IPv6 all.
    #[default]
    Usual,
    All,
    Number(u32),
    /// A name of the kernel or of rt_tables(5).
    Name(String),
}

/// Routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutesPlan {
    /// In the order in which they are shown.
    pub families: Vec<Family>,
    /// The tables.
    pub fib: bool,
    /// What the kernel learnt: path MTUs, redirects.
    pub cache: bool,
    /// How often `-e` was given.
    pub extend: u8,
    /// Show names of hosts and networks.
    pub hosts: bool,
    pub table: TableWord,
    /// Repeat after this time.
    pub interval: Option<Duration>,
    pub json: bool,
    /// Columns for what net-tools does not show.
    pub verbose: bool,
    /// Byte for byte as net-tools 2.10.
    pub compat: bool,
}

/// Interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfacesPlan {
    /// Those that are down too.
    pub all: bool,
    /// A block for each, as ifconfig has it.
    pub long: bool,
    /// Not the first round of several: no title.
    pub again: bool,
    pub interval: Option<Duration>,
    pub json: bool,
    pub verbose: bool,
    pub compat: bool,
}

/// Multicast memberships.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupsPlan {
    pub families: Vec<Family>,
    pub hosts: bool,
    pub interval: Option<Duration>,
    pub json: bool,
    pub verbose: bool,
    pub compat: bool,
}

/// Masqueraded connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasqueradePlan {
    pub families: Vec<Family>,
    /// How sequence numbers are shifted, too.
    pub extend: bool,
    pub hosts: bool,
    pub ports: bool,
    pub interval: Option<Duration>,
    pub json: bool,
    pub verbose: bool,
    pub compat: bool,
}

/// The plan of `-r`, `-i`, `-g` or `-M`; `None`: none of them is there.
pub fn plan(flags: &ListFlags) -> Result<Option<Plan>, UsageError> {
    let modes = [
        ("-r", flags.route),
        ("-i", flags.interfaces),
        ("-g", flags.groups),
        ("-M", flags.masquerade),
        ("-s", flags.statistics > 0),
    ];
    let mut given = modes.into_iter().filter(|(_, given)| *given).map(|(mode, _)| mode);
    let mode = given.next();
    if let Some((first, second)) = mode.zip(given.next()) {
        return Err(UsageError::Modes(first, second));
    }
    if !flags.route {
        for (word, given) in [("-C", flags.cache), ("-F", flags.fib), ("--table", flags.table.is_some())] {
            if given {
                return Err(UsageError::WithoutRoutes(word));
            }
        }
    }
    let Some(mode) = mode.filter(|&mode| mode != "-s") else { return Ok(None) };
    for (word, given) in [
        ("-t", flags.tcp),
        ("-u", flags.udp),
        ("-U", flags.udplite),
        ("-w", flags.raw),
        ("-x", flags.unix),
        ("-l", flags.listening),
        ("-p", flags.programs),
        ("-o", flags.timers),
        ("--keep-closed", flags.keep_closed.is_some()),
        ("--container and the like", flags.inside != InsideFlags::default()),
        ("--tier", flags.tier.is_some()),
    ] {
        if given {
            return Err(UsageError::ModeAndSockets(mode, word));
        }
    }
    no_filter(mode, flags)?;
    let (interval, json, verbose) = (flags.continuous, flags.json, flags.verbose);
    let hosts = !(flags.numeric || flags.numeric_hosts || flags.symbolic);
    let named = |family| flags.families.contains(&family);
    if let Some(other) = flags.families.iter().find(|other| !matches!(other, Named::Inet | Named::Inet6)) {
        return Err(UsageError::ModeAndFamily(mode, other.name()));
    }
    let families =
        |none: &[Family]| match (flags.inet || named(Named::Inet), flags.inet6 || named(Named::Inet6)) {
            (false, false) => none.to_vec(),
            (true, false) => vec![Family::V4],
            (false, true) => vec![Family::V6],
            (true, true) => vec![Family::V4, Family::V6],
        };
    let both = [Family::V4, Family::V6];
    Ok(Some(match mode {
        "-r" => Plan::Routes(RoutesPlan {
            families: families(&[Family::V4]),
            fib: flags.fib || !flags.cache,
            cache: flags.cache,
            extend: flags.extend,
            hosts,
            table: flags.table.clone().unwrap_or_default(),
            interval,
            json,
            verbose,
            compat: false,
        }),
        "-i" => {
            let long = flags.extend > 0;
            Plan::Interfaces(InterfacesPlan {
                all: flags.all,
                long,
                again: false,
                interval,
                json,
                verbose,
                compat: false,
            })
        }
        "-g" => {
            let families = families(&both);
            Plan::Groups(GroupsPlan { families, hosts, interval, json, verbose, compat: false })
        }
        _ => Plan::Masquerade(MasqueradePlan {
            families: families(&both),
            extend: flags.extend > 0,
            hosts,
            ports: !(flags.numeric || flags.numeric_ports),
            interval,
            json,
            verbose,
            compat: false,
        }),
    }))
}

/// Refuses what chooses or shows sockets in a display that has none.
pub fn no_filter(mode: &'static str, flags: &ListFlags) -> Result<(), UsageError> {
    match (ss::typed(&flags.ss), ss::given(&flags.ss)) {
        (Some(words), _) => Err(UsageError::ModeAndFilter(mode, words)),
        (None, Some(word)) => Err(UsageError::ModeAndSockets(mode, word)),
        (None, None) => Ok(()),
    }
}

/// `all`, a number or a name.
pub fn table(text: &str) -> Result<TableWord, String> {
    match text {
        "" => Err("a name, a number or `all`".to_owned()),
        "all" => Ok(TableWord::All),
        _ => Ok(text.parse().map_or_else(|_no_number| TableWord::Name(text.to_owned()), TableWord::Number)),
    }
}
