//! Who is measured.

use crate::list::Work;
use std::path::{Path, PathBuf};

/// What a tool prints of a connection, which says how many lines are to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prints {
    /// A line for each step of each end.
    Steps,
    /// A line for each end once it is over.
    Ends,
    /// Nothing: the machine alone.
    Nothing,
}

/// A tool to measure.
#[derive(Clone, Debug)]
pub struct Peer {
    /// As the table calls it.
    pub name: &'static str,
    program: &'static str,
    pub words: &'static [&'static str],
    pub prints: Prints,
    /// Debian's package, for the words about a tool that is missing.
    pub package: &'static str,
}

const fn peer(
    name: &'static str,
    program: &'static str,
    words: &'static [&'static str],
    prints: Prints,
    package: &'static str,
) -> Peer {
    Peer { name, program, words, prints, package }
}

/// Tracers of connections.
pub const TRACERS: [Peer; 8] = [
    peer("bare", "", &[], Prints::Nothing, ""),
    peer("enetstat trace", "enetstat", &["trace"], Prints::Steps, ""),
    peer("enetstat trace --json", "enetstat", &["trace", "--json"], Prints::Steps, ""),
    peer("enetstat trace --close", "enetstat", &["trace", "--close"], Prints::Ends, ""),
    peer("bcc tcpstates", "tcpstates-bpfcc", &[], Prints::Steps, "bpfcc-tools"),
    peer("bcc tcplife", "tcplife-bpfcc", &[], Prints::Ends, "bpfcc-tools"),
    peer("libbpf-tools tcpstates", "tcpstates", &[], Prints::Steps, "libbpf-tools"),
    peer("libbpf-tools tcplife", "tcplife", &[], Prints::Ends, "libbpf-tools"),
];

/// A tool that lists sockets and ends.
#[derive(Clone, Copy, Debug)]
pub struct Lister {
    /// As the table calls it.
    pub name: &'static str,
    program: &'static str,
    pub words: &'static [&'static str],
    /// Debian's package.
    pub package: &'static str,
    /// Its cost grows with the square of the number of sockets.
    pub quadratic: bool,
}

/// Listings, by what is asked for; the first tool of each is ours.
pub fn listers() -> Vec<Work> {
    let one = |name, program, words, package, quadratic| Lister { name, program, words, package, quadratic };
    let ours = |name, words| one(name, "enetstat", words, "", false);
    let netstat = |words, quadratic| one("netstat", "netstat", words, "net-tools", quadratic);
    let ss = |words, quadratic| one("ss", "ss", words, "iproute2", quadratic);
    vec![
        Work {
            name: "-tan",
            tools: vec![
                ours("enetstat", &["-tan"]),
                ours("enetstat --compat", &["--compat", "-tan"]),
                ours("enetstat --json", &["-tan", "--json"]),
                netstat(&["-tan"], false),
                ss(&["-Htan"], false),
            ],
        },
        Work {
            name: "-tanp",
            tools: vec![
                ours("enetstat", &["-tanp"]),
                ours("enetstat without BPF", &["-tanp", "--tier", "netlink"]),
                netstat(&["-tanp"], true),
                ss(&["-Htanp"], true),
                one("lsof", "lsof", &["-nP", "-iTCP"], "lsof", true),
            ],
        },
        Work {
            name: "-ltn",
            tools: vec![ours("enetstat", &["-ltn"]), netstat(&["-ltn"], false), ss(&["-Hltn"], false)],
        },
    ]
}

impl Lister {
    /// Where it is; `None` when it is not installed.
    pub fn path(&self) -> Option<PathBuf> {
        find(self.program)
    }
}

fn find(program: &str) -> Option<PathBuf> {
    if program == "enetstat" {
        return netstat_tests::program::find("enetstat").ok();
    }
    let paths = std::env::var_os("PATH")?;
    let paths =
        std::env::split_paths(&paths).chain([Path::new("/usr/sbin").into(), Path::new("/sbin").into()]);
    paths.map(|directory| directory.join(program)).find(|path| path.is_file())
}

impl Peer {
    /// Where it is; `None` when it is not installed.
    pub fn path(&self) -> Option<PathBuf> {
        find(self.program)
    }

    pub fn is_ours(&self) -> bool {
        self.program == "enetstat"
    }
}
