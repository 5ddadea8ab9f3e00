//! The command line as it was typed.

use super::bsd::flags::BsdFlags;
use super::compat::Family;
use super::ss::SsFlags;
use super::tables::{self, TableWord};
use super::value::{self, QueuesWord};
use crate::model::{Pid, TcpState};
use crate::view::Prefix;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::Duration;

/// `0.1.0 (abi 1, object BUILD)`: the program, its boundary with the kernel half, and the build of that half.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let object = option_env!("ENETSTAT_OBJECT_BUILD").unwrap_or("unknown");
        format!("{} (abi {}, object {object})", env!("CARGO_PKG_VERSION"), netstat_common::ABI)
    });
    &VERSION
}

const EXAMPLES: &str = "\
Examples:
  enetstat -tan             every TCP socket, addresses as numbers
  enetstat -tlnp            who listens on which TCP port (as root: all of them)
  enetstat -tuan --json     TCP and UDP sockets as JSON, one object a line
  enetstat -tn state time-wait dst 10.0.0.0/8
                            what ss takes as a filter
  enetstat -tan -c          the same listing again every second
  enetstat -tanpc --keep-closed 5
                            ... with the connections that ended in the last 5 seconds
  enetstat -st              what the kernel counted about TCP
  enetstat -rn              routes; -r6n those of IPv6
  enetstat -i               interfaces and their counters
  enetstat trace            each TCP change of state as it happens (needs privilege)
  enetstat capabilities     what this kernel and this privilege allow

Exit status: 0 all was shown, 1 some source refused, 2 failure or wrong usage.";

const TRACE_EXAMPLES: &str = "\
Examples:
  enetstat trace                               every change of state in this network namespace
  enetstat trace --close                       one line for each finished connection
  enetstat trace --port 443 --state syn-sent   connections to port 443 being opened
  enetstat trace --addr 10.0.0.0/8 --json      JSON lines (see: enetstat schema)
  enetstat trace --comm nginx --duration 60    what nginx does in one minute

A `~` marks a time that was deduced, not seen; an owner in parentheses is the listener's, because nobody has \
accepted the connection yet. A summary follows on standard error at the end (Ctrl-C).";

/// Show the network connections of this host: a listing as netstat makes it, or every TCP change as it happens.
#[derive(Debug, Parser)]
#[command(
    name = "enetstat",
    version = version(),
    after_help = EXAMPLES,
    infer_long_args = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    subcommand_help_heading = "Other commands",
    override_usage = "enetstat [OPTIONS] [FILTER]...\n       enetstat trace|capabilities|schema|man|completions [OPTIONS]"
)]
pub struct Flags {
    #[command(flatten)]
    pub list: ListFlags,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print each TCP change of state as it happens
    #[command(after_help = TRACE_EXAMPLES, infer_long_args = true)]
    Trace(Box<TraceFlags>),
    /// Say what this kernel and this privilege allow, what was refused, and the cure
    #[command(infer_long_args = true)]
    Capabilities(CapabilitiesFlags),
    /// Print the JSON Schema of what --json writes
    Schema,
    /// Print the manual page, as roff: `enetstat man | man -l -`
    #[command(infer_long_args = true)]
    Man(ManFlags),
    /// Print what a shell needs to complete command lines: `eval "$(enetstat completions bash)"`
    #[command(infer_long_args = true)]
    Completions(CompletionsFlags),
}

/// Families that few kernels have; `-A` tells of them.
#[derive(Debug, Default, Args)]
pub struct FamilyFlags {
    #[arg(long, hide = true)]
    pub ax25: bool,
    #[arg(long, hide = true)]
    pub ipx: bool,
    #[arg(long, hide = true, alias = "ddp")]
    pub appletalk: bool,
    #[arg(long, hide = true)]
    pub netrom: bool,
    #[arg(long, hide = true)]
    pub rose: bool,
    #[arg(long, hide = true)]
    pub x25: bool,
    #[arg(long, hide = true)]
    pub bluetooth: bool,
}

/// The listing.
#[derive(Debug, Default, Args)]
pub struct ListFlags {
    /// TCP sockets
    #[arg(short = 't', long, help_heading = "Which sockets (none given: all of them)")]
    pub tcp: bool,
    /// UDP sockets
    #[arg(short = 'u', long, help_heading = "Which sockets (none given: all of them)")]
    pub udp: bool,
    /// UDP-Lite sockets
    #[arg(short = 'U', long, help_heading = "Which sockets (none given: all of them)")]
    pub udplite: bool,
    /// SCTP sockets
    #[arg(short = 'S', long, help_heading = "Which sockets (none given: all of them)")]
    pub sctp: bool,
    /// Raw sockets
    #[arg(short = 'w', long, help_heading = "Which sockets (none given: all of them)")]
    pub raw: bool,
    /// Unix sockets
    #[arg(short = 'x', long, help_heading = "Which sockets (none given: all of them)")]
    pub unix: bool,
    /// Bluetooth L2CAP sockets
    #[arg(short = '2', long, help_heading = "Which sockets (none given: all of them)")]
    pub l2cap: bool,
    /// Bluetooth RFCOMM sockets
    #[arg(short = 'f', long, help_heading = "Which sockets (none given: all of them)")]
    pub rfcomm: bool,
    /// Sockets of these families: unix, inet, inet6, ax25, ipx, ddp, netrom, rose, x25, econet, ash, bluetooth; each but
    /// econet and ash also has a long option of its name (repeatable)
    #[arg(
        short = 'A',
        long = "protocol",
        value_name = "FAMILY",
        value_delimiter = ',',
        value_parser = value::family,
        help_heading = "Which sockets (none given: all of them)"
    )]
    pub families: Vec<Family>,
    #[command(flatten)]
    pub named: FamilyFlags,
    #[command(flatten)]
    pub ss: SsFlags,
    /// IPv4 only
    #[arg(
        short = '4',
        long,
        visible_alias = "ip",
        alias = "tcpip",
        help_heading = "Which sockets (none given: all of them)"
    )]
    pub inet: bool,
    /// IPv6 only
    #[arg(short = '6', long, help_heading = "Which sockets (none given: all of them)")]
    pub inet6: bool,
    /// Listening sockets too
    #[arg(short = 'a', long, help_heading = "Which sockets (none given: all of them)")]
    pub all: bool,
    /// Only listening sockets
    #[arg(short = 'l', long, alias = "listen", help_heading = "Which sockets (none given: all of them)")]
    pub listening: bool,
    /// Every network namespace of the host, each line with its namespace
    #[arg(long, help_heading = "Which network namespace (none given: the own one)")]
    pub all_netns: bool,
    /// This network namespace: a name of `ip netns`, a process, a file, or an inode (net:[4026532177])
    #[arg(
        long,
        value_name = "NAME|PID|PATH|INODE",
        conflicts_with = "all_netns",
        help_heading = "Which network namespace (none given: the own one)"
    )]
    pub netns: Option<String>,

    #[command(flatten)]
    pub inside: InsideFlags,

    /// Counters of the kernel's protocols instead of sockets (-sv: also all that are 0; -ss: none that is 0)
    #[arg(short = 's', long, action = ArgAction::Count, help_heading = "What to show")]
    pub statistics: u8,
    /// Routes, instead of sockets
    #[arg(short = 'r', long, help_heading = "Other displays")]
    pub route: bool,
    /// Interfaces and their counters, instead of sockets (-a: also those that are down; -e: all that is known of each)
    #[arg(short = 'i', long, help_heading = "Other displays")]
    pub interfaces: bool,
    /// Multicast memberships of interfaces, instead of sockets
    #[arg(short = 'g', long, help_heading = "Other displays")]
    pub groups: bool,
    /// Connections that this host masquerades, instead of sockets (needs privilege)
    #[arg(short = 'M', long, help_heading = "Other displays")]
    pub masquerade: bool,
    /// With -r: routes of the tables (unless -C is given)
    #[arg(short = 'F', long, help_heading = "Other displays")]
    pub fib: bool,
    /// With -r: exceptions the kernel learnt (path MTUs, redirects)
    #[arg(short = 'C', long, help_heading = "Other displays")]
    pub cache: bool,
    /// With -r: this routing table, by name or number, or all of them
    #[arg(long, value_name = "TABLE|all", value_parser = tables::table, help_heading = "Other displays")]
    pub table: Option<TableWord>,

    /// Show numbers, not the names of hosts, ports and users
    #[arg(short = 'n', long, help_heading = "What to show")]
    pub numeric: bool,
    /// Show addresses, not host names
    #[arg(long, help_heading = "What to show")]
    pub numeric_hosts: bool,
    /// Show port numbers, not service names
    #[arg(long, help_heading = "What to show")]
    pub numeric_ports: bool,
    /// Show user ids, not user names
    #[arg(long, help_heading = "What to show")]
    pub numeric_users: bool,
    /// Like -n for routes (netstat's names for hardware are no longer there)
    #[arg(short = 'N', long, help_heading = "What to show")]
    pub symbolic: bool,
    /// The process that holds each socket
    #[arg(short = 'p', long, help_heading = "What to show")]
    pub programs: bool,
    /// User and inode of each socket; more columns of routes (twice: all), interfaces and masqueraded connections
    #[arg(short = 'e', long, action = ArgAction::Count, help_heading = "What to show")]
    pub extend: u8,
    /// The pending timer of each socket
    #[arg(short = 'o', long, help_heading = "What to show")]
    pub timers: bool,
    /// The SELinux context of the process that holds each socket
    #[arg(short = 'Z', long, conflicts_with = "json", help_heading = "What to show")]
    pub context: bool,
    /// With --interval and --interface, packets dropped on the way out, too (elsewhere without effect, as in netstat)
    #[arg(short = 'd', long, help_heading = "What to show")]
    pub drops: bool,
    /// Never cut an address (it never is: accepted because netstat has it)
    #[arg(short = 'W', long, help_heading = "What to show")]
    pub wide: bool,

    /// Repeat every second, or every SECONDS with --continuous=SECONDS
    #[arg(
        short = 'c',
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        value_parser = value::interval,
        help_heading = "How"
    )]
    pub continuous: Option<Duration>,
    /// With -c: also show TCP connections that ended, as CLOSE, for SECONDS and in one listing at least (needs
    /// privilege, as trace does)
    #[arg(long, value_name = "SECONDS", value_parser = value::seconds, help_heading = "How")]
    pub keep_closed: Option<Duration>,
    /// JSON, one object a line (see: enetstat schema)
    #[arg(long, help_heading = "How")]
    pub json: bool,
    /// Say on standard error which sources were refused and what was used instead; with -p, say why no process is named; with -r, more columns
    #[arg(short = 'v', long, help_heading = "How")]
    pub verbose: bool,
    /// Be net-tools 2.10's netstat, byte for byte, which then reads all the other options; the name `netstat` asks for it, too
    #[arg(long, help_heading = "How")]
    pub compat: bool,
    /// Use this source: netlink or procfs alone, or bpf, which loads programs however few sockets there are
    #[arg(long, value_name = "NAME", help_heading = "How")]
    pub tier: Option<String>,
    /// Be BSD's netstat, which then reads all the other options; the name `bsdnetstat` asks for it, too
    #[arg(long = "bsd", help_heading = "How")]
    pub bsd_persona: bool,
    #[command(flatten)]
    pub bsd: BsdFlags,
}

/// Containers, pods and control groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct InsideFlags {
    /// Only what is in this container: its name, or how its id begins (repeatable)
    #[arg(long = "container", value_name = "NAME|ID", value_delimiter = ',', help_heading = "Containers")]
    pub containers: Vec<String>,
    /// Only what is in this pod of Kubernetes: its name or uid (repeatable)
    #[arg(
        long = "pod",
        value_name = "[NAMESPACE/]NAME|UID",
        value_delimiter = ',',
        help_heading = "Containers"
    )]
    pub pods: Vec<String>,
    /// Only what is in this control group or below it (repeatable)
    #[arg(long = "cgroup", value_name = "PATH", help_heading = "Containers")]
    pub cgroups: Vec<String>,
    /// Columns with the container and the pod (--container and --pod also add them)
    #[arg(long = "containers", help_heading = "Containers")]
    pub show_containers: bool,
    /// A column with the path of the control group (--cgroup also adds it)
    #[arg(long = "cgroups", help_heading = "Containers")]
    pub show_cgroups: bool,
}

/// How times are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TimeStyle {
    /// Local time of day
    #[default]
    Wall,
    /// Seconds since the host started (CLOCK_MONOTONIC)
    Mono,
    /// No times
    None,
}

#[derive(Debug, Args)]
pub struct TraceFlags {
    /// Only connections that these words describe, as for ss: `dst 10.0.0.0/8 and dport = :https`
    #[arg(value_name = "FILTER", help_heading = "Which connections")]
    pub words: Vec<OsString>,
    /// TCP
    #[arg(short = 't', long, help_heading = "Which sockets (none given: TCP)")]
    pub tcp: bool,
    /// UDP and UDP-Lite, as repeated listings show them: what lives for less than 0.2 seconds may be missed
    #[arg(short = 'u', long, help_heading = "Which sockets (none given: TCP)")]
    pub udp: bool,
    /// Unix sockets, in the same way
    #[arg(short = 'x', long, help_heading = "Which sockets (none given: TCP)")]
    pub unix: bool,
    /// MPTCP; its subflows are TCP (-t)
    #[arg(long, help_heading = "Which sockets (none given: TCP)")]
    pub mptcp: bool,
    /// SCTP
    #[arg(short = 'S', long, help_heading = "Which sockets (none given: TCP)")]
    pub sctp: bool,

    /// Only connections with this local or foreign port (repeatable)
    #[arg(long = "port", value_name = "PORT", value_delimiter = ',', help_heading = "Which connections")]
    pub ports: Vec<u16>,
    /// Only connections with this local or foreign address (repeatable)
    #[arg(
        long = "addr",
        value_name = "ADDR[/LEN]",
        value_delimiter = ',',
        help_heading = "Which connections"
    )]
    pub addrs: Vec<Prefix>,
    /// Only changes from or to this state, as netstat, ss or RFC 9293 spell it (repeatable)
    #[arg(
        long = "state",
        value_name = "STATE",
        value_delimiter = ',',
        value_parser = value::state,
        help_heading = "Which connections"
    )]
    pub states: Vec<TcpState>,
    /// Only connections of this process (repeatable)
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',', help_heading = "Which connections")]
    pub pids: Vec<Pid>,
    /// Only connections of processes with this name (repeatable)
    #[arg(long = "comm", value_name = "NAME", help_heading = "Which connections")]
    pub comms: Vec<String>,
    /// Only this network namespace, not the one enetstat runs in: a name, a process, a file or an inode
    #[arg(
        long,
        value_name = "NAME|PID|PATH|INODE",
        conflicts_with = "all_netns",
        help_heading = "Which connections"
    )]
    pub netns: Option<String>,
    /// Every network namespace of the host
    #[arg(long, help_heading = "Which connections")]
    pub all_netns: bool,

    #[command(flatten)]
    pub inside: InsideFlags,

    /// One line for each finished connection instead of one for each change
    #[arg(long, help_heading = "What to show")]
    pub close: bool,
    /// Also report bytes waiting in the queues of connections
    #[arg(long, value_name = "WHICH", value_enum, default_value = "off", help_heading = "What to show")]
    pub queues: QueuesWord,
    /// Milliseconds between two queue reports of one connection with --queues coalesced [default: 100]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What to show")]
    pub queue_interval: Option<u32>,
    /// Times as local wall clock, as seconds since the host started, or none [default: wall]
    #[arg(long, value_name = "KIND", value_enum, help_heading = "What to show")]
    pub time: Option<TimeStyle>,
    /// No line of column titles
    #[arg(long, help_heading = "What to show")]
    pub no_header: bool,
    /// Addresses and ports as numbers (always so)
    #[arg(short = 'n', long, help_heading = "What to show")]
    pub numeric: bool,
    /// JSON, one object a line (see: enetstat schema)
    #[arg(long, help_heading = "What to show")]
    pub json: bool,

    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = value::interval, help_heading = "Limits")]
    pub duration: Option<Duration>,
    /// Seconds for which closed connections stay in the table
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = value::seconds,
        default_value = "5",
        help_heading = "Limits"
    )]
    pub keep_closed: Duration,
    /// Connections the table holds at most; what is evicted is counted
    #[arg(long, value_name = "N", default_value = "1000000", help_heading = "Limits")]
    pub max_connections: NonZeroUsize,
    /// Bytes of the ring buffer between kernel and program: a power of two (64K, 4M)
    #[arg(long, value_name = "BYTES", value_parser = value::ring_bytes, help_heading = "Limits")]
    pub ring_size: Option<u32>,
    /// Use only this way into the kernel (see: enetstat capabilities)
    #[arg(long, value_name = "NAME", help_heading = "Limits")]
    pub tier: Option<String>,
}

#[derive(Debug, Args)]
pub struct CapabilitiesFlags {
    /// Ask for this tier alone; fails when it is refused
    #[arg(long, value_name = "NAME")]
    pub tier: Option<String>,
}

/// Whose manual page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// The program under its own name
    #[default]
    Enetstat,
    /// enetstat trace
    Trace,
    /// The program as net-tools' netstat
    Netstat,
    /// The program as BSD's netstat
    Bsdnetstat,
}

#[derive(Debug, Args)]
pub struct ManFlags {
    /// Whose
    #[arg(value_name = "PERSONA", value_enum, default_value = "enetstat")]
    pub page: Page,
}

#[derive(Debug, Args)]
pub struct CompletionsFlags {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}
