//! The command line of net-tools 2.10's netstat, taken as that program takes it: `--compat`, or the name `netstat`.

mod families;
mod getopt;
mod options;
mod text;

pub use families::Family;

use super::plan::{Naming, Which};
use getopt::{Found, Getopt};
pub use options::all as options;
use options::{Option as Opt, SYNTAX};

/// Its exit code for options that make no sense.
const WRONG: u8 = 3;

/// Its exit code for what it does not support.
const UNSUPPORTED: u8 = 1;

/// Bytes that it keeps for the names of all families, and for one list of them, each with its end.
const ROOM: usize = 256;

/// What the reading of options depends on beside the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// SELinux is enabled on this host.
    pub selinux: bool,
    /// `POSIXLY_CORRECT` is set: the first operand ends the options.
    pub strict: bool,
}

/// The program ends before it has done anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub code: u8,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Sockets,
    /// `-r`.
    Routes,
    /// `-i`.
    Interfaces,
    /// `-g`; a part of the listing of sockets, between inet and unix sockets.
    Groups,
    /// `-s`.
    Statistics,
    /// `-M`.
    Masquerade,
}

/// Which tables are selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub tcp: bool,
    pub sctp: bool,
    pub udp: bool,
    pub udplite: bool,
    pub raw: bool,
    pub groups: bool,
    pub unix: bool,
    pub ipx: bool,
    pub ax25: bool,
    pub x25: bool,
    pub netrom: bool,
    pub rose: bool,
    pub l2cap: bool,
    pub rfcomm: bool,
}

impl Tables {
    /// Any of the inet sockets.
    pub fn inet(&self) -> bool {
        self.tcp || self.sctp || self.udp || self.udplite || self.raw
    }

    pub fn bluetooth(&self) -> bool {
        self.l2cap || self.rfcomm
    }

    fn any(&self) -> bool {
        let Self { groups, unix, ipx, ax25, x25, netrom, rose, .. } = *self;
        self.inet() || self.bluetooth() || groups || unix || ipx || ax25 || x25 || netrom || rose
    }
}

/// What was asked for, in net-tools' terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompatPlan {
    pub mode: Mode,
    /// Told on standard error before anything else.
    pub preface: Vec<u8>,
    /// The families in the order in which they were named; `-r` and `-s` go by it. Empty: inet.
    pub families: Vec<Family>,
    /// What is selected; nothing: everything.
    pub tables: Tables,
    /// Something is selected: what the kernel does not have is then an error.
    pub explicit: bool,
    /// The inet protocols were not named, a family was: what the kernel does not have is no error.
    pub whole_family: bool,
    pub inet: bool,
    pub inet6: bool,
    pub which: Which,
    pub naming: Naming,
    /// `-N`.
    pub symbolic: bool,
    /// How often `-e` was given.
    pub extend: u32,
    pub wide: bool,
    pub programs: bool,
    /// `-Z`, SELinux being enabled.
    pub context: bool,
    pub timers: bool,
    pub continuous: bool,
    pub verbose: bool,
    /// `-C`.
    pub cache: bool,
    /// `-F`.
    pub fib: bool,
}

/// Reads the words after the program's name; `program` is what messages about options begin with.
///
/// # Errors
/// What is said, and the exit code, when nothing further is to be done.
pub fn parse(program: &[u8], words: &[&[u8]], world: World) -> Result<CompatPlan, End> {
    let mut reader = Reader { world, ..Reader::default() };
    let mut options = Getopt::new(&SYNTAX, program, words, world.strict);
    while let Some(found) = options.next() {
        match found {
            Ok(found) => reader.take(found)?,
            Err(message) => return Err(reader.usage(&message)),
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    world: World,
    plan: CompatPlan,
    /// Each of these may be given once, and only one of them.
    modes: Vec<Mode>,
    all: bool,
    listening: bool,
    bluetooth: bool,
}

impl Reader {
    fn take(&mut self, found: Found<'_, Opt>) -> Result<(), End> {
        let plan = &mut self.plan;
        match found.option {
            Opt::Family(name) => self.families(name.as_bytes())?,
            Opt::Unix => self.families(b"unix")?,
            Opt::Protocol => self.families(found.value)?,
            Opt::TcpIp => plan.preface.extend_from_slice(text::TCPIP.as_bytes()),
            Opt::Version => return Err(self.end(text::VERSION, "", 0)),
            Opt::Help => return Err(self.end(text::USAGE, text::FAMILIES, 0)),
            Opt::Wrong => return Err(self.usage(b"")),
            Opt::Mode(mode) => self.modes.push(mode),
            Opt::Groups => plan.tables.groups = true,
            Opt::Tcp => plan.tables.tcp = true,
            Opt::Sctp => plan.tables.sctp = true,
            Opt::Udp => plan.tables.udp = true,
            Opt::UdpLite => plan.tables.udplite = true,
            Opt::Raw => plan.tables.raw = true,
            Opt::L2cap => plan.tables.l2cap = true,
            Opt::Rfcomm => plan.tables.rfcomm = true,
            Opt::All => self.all = true,
            Opt::Listening => self.listening = true,
            Opt::Continuous => plan.continuous = true,
            Opt::Debug => {}
            Opt::Extend => plan.extend = plan.extend.saturating_add(1),
            Opt::Programs => plan.programs = true,
            Opt::Wide => plan.wide = true,
            // Turned round at the end: until then `true` is what was asked for, numbers.
            Opt::Numeric => plan.naming = Naming { hosts: true, ports: true, users: true },
            Opt::NumericHosts => plan.naming.hosts = true,
            Opt::NumericPorts => plan.naming.ports = true,
            Opt::NumericUsers => plan.naming.users = true,
            Opt::Symbolic => plan.symbolic = true,
            Opt::Cache => plan.cache = true,
            Opt::Fib => plan.fib = true,
            Opt::Timers => plan.timers = true,
            Opt::Verbose => plan.verbose = true,
            Opt::Context if !self.world.selinux => {
                return Err(self.end("", text::NO_SELINUX, UNSUPPORTED));
            }
            Opt::Context => {
                plan.programs = true;
                plan.context = true;
            }
        }
        Ok(())
    }

    /// A list of names with commas between.
    fn families(&mut self, list: &[u8]) -> Result<(), End> {
        let list = list.get(..ROOM - 1).unwrap_or(list);
        for name in list.split(|&byte| byte == b',') {
            let Some(family) = Family::named(name) else {
                let said = [b"Unknown address family `", name, b"'.\n"].concat();
                self.plan.preface.extend_from_slice(&said);
                return Err(self.end("", "", UNSUPPORTED));
            };
            let plan = &mut self.plan;
            let used: usize = plan.families.iter().map(|family| family.name().len() + 1).sum();
            if family.name().len() + used.saturating_sub(1) + 1 >= ROOM {
                plan.preface.extend_from_slice(text::TOO_MANY.as_bytes());
                return Ok(());
            }
            plan.families.push(family);
            match family {
                Family::Unix => plan.tables.unix = true,
                Family::Inet => plan.inet = true,
                Family::Inet6 => plan.inet6 = true,
                Family::Ax25 => plan.tables.ax25 = true,
                Family::Ipx => plan.tables.ipx = true,
                Family::Netrom => plan.tables.netrom = true,
                Family::Rose => plan.tables.rose = true,
                Family::X25 => plan.tables.x25 = true,
                Family::Bluetooth => self.bluetooth = true,
                // Known, but no table goes by them.
                Family::Ddp | Family::Econet | Family::Ash => {}
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<CompatPlan, End> {
        if self.modes.len() > 1 {
            return Err(self.usage(b""));
        }
        let plan = &mut self.plan;
        plan.mode = self.modes.first().copied().unwrap_or_default();
        let statistics = plan.mode == Mode::Statistics;
        if (plan.inet || plan.inet6 || statistics) && !plan.tables.inet() {
            plan.whole_family = true;
            plan.tables =
                Tables { tcp: true, sctp: true, udp: true, udplite: true, raw: true, ..plan.tables };
        }
        if (plan.tables.inet() || plan.tables.groups) && !(plan.inet || plan.inet6) {
            plan.inet = true;
            plan.inet6 = true;
        }
        if self.bluetooth && !plan.tables.bluetooth() {
            plan.tables.l2cap = true;
            plan.tables.rfcomm = true;
        }
        plan.explicit = plan.tables.any();
        plan.which = match (self.all, self.listening) {
            (true, _) => Which::All,
            (false, true) => Which::Listening,
            (false, false) => Which::Connected,
        };
        let Naming { hosts, ports, users } = plan.naming;
        plan.naming = Naming { hosts: !hosts, ports: !ports, users: !users };
        if statistics {
            self.statistics()?;
        }
        Ok(self.plan)
    }

    /// `-s` knows two families, each alone.
    fn statistics(&mut self) -> Result<(), End> {
        if let [] | [Family::Inet] | [Family::Inet6] = *self.plan.families {
            return Ok(());
        }
        let names: Vec<&str> = self.plan.families.iter().map(|family| family.name()).collect();
        let said = format!("{}{}\n", text::NO_STATISTICS, names.join(","));
        Err(self.end(&said, "", UNSUPPORTED))
    }

    fn usage(&mut self, message: &[u8]) -> End {
        let said = [message, text::USAGE.as_bytes(), text::FAMILIES.as_bytes()].concat();
        self.plan.preface.extend_from_slice(&said);
        self.end("", "", WRONG)
    }

    fn end(&mut self, out: &str, err: &str, code: u8) -> End {
        self.plan.preface.extend_from_slice(err.as_bytes());
        End { out: out.into(), err: std::mem::take(&mut self.plan.preface), code }
    }
}

#[cfg(test)]
mod tests;
