//! Our listing beside the installed netstat, in a namespace of our own with sockets in every state that can be held.

mod compat;
mod displays;
mod filters;
mod masquerade;
mod network;
mod numbers;
mod rounds;
mod sockets;
mod statistics;
mod tables;

use netstat_tests::{NetNs, need, program};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

/// The installed program, when it is net-tools'.
fn netstat(words: &[&str]) -> Option<Output> {
    let output = Command::new("netstat").args(words).env("LC_ALL", "C").output().ok()?;
    (!output.stdout.starts_with(b"BusyBox")).then_some(output)
}

/// Blanks out what differs for a reason, at its place in the line.
fn masked(line: &str) -> String {
    let mut line = line.to_owned();
    // netstat reads /proc, which does not tell the backlog limit of a listener: it prints 0.
    if line.starts_with("tcp") && line.contains(" LISTEN ") {
        line.replace_range(13..19, "  MASK");
    }
    // sock_diag tells how often the answer to a SYN was sent again, /proc how often its timer came, which it does while an
    // accept that waits for data holds the answer back.
    if let Some(at) = line.rfind("/0)").filter(|_| line.contains(" SYN_RECV ")) {
        let start = line[..at].rfind('/').map_or(at, |slash| slash + 1);
        line.replace_range(start..at, "N");
    }
    // Timers run on between the two programs. Those that do not run are the same.
    if let (Some(open), Some(slash)) = (line.rfind('('), line.rfind('(').and_then(|at| line[at..].find('/')))
    {
        let seconds = &line[open + 1..open + slash];
        if line.ends_with(')') && seconds != "0.00" && seconds.parse::<f64>().is_ok() {
            line.replace_range(open + 1..open + slash, "SECONDS");
        }
    }
    line
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(masked).collect()
}

/// Holds the sockets for the test below, in the namespace it is started in, until its input ends.
#[test]
#[ignore = "the other half of a test"]
fn hold() {
    let sockets = sockets::Sockets::open().unwrap();
    let odd = std::env::var_os("ENETSTAT_ODD").map(|_| sockets::odd().unwrap());
    let marked = std::env::var_os("ENETSTAT_MARKED").map(|_| sockets::marked().unwrap());
    println!("\n{HOLDING}");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop((sockets, odd, marked));
}

const HOLDING: &str = "holding";

/// A process of its own holds the sockets, because its name must fit: netstat cuts it after 19 characters with the PID, and
/// we do not.
fn holder() -> (Child, impl Sized) {
    hold_as("/usr/bin/holder", &[])
}

/// The same under another name, with variables.
fn hold_as(name: impl AsRef<OsStr>, variables: &[(&str, &str)]) -> (Child, impl Sized) {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg0(name).envs(variables.iter().copied()).args(["hold", "--exact", "--ignored", "--nocapture"]);
    netstat_tests::sys::die_with_parent(&mut command);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("own program");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line == HOLDING), "no sockets");
    // The pipe stays open for its last words.
    (child, lines)
}

#[test]
fn the_default_layout_is_that_of_net_tools() {
    if !rustix::process::geteuid().is_root() {
        return need::skip("needs root for a network namespace of its own");
    }
    if netstat(&["-V"]).is_none() {
        return need::skip("needs netstat (Debian package net-tools)");
    }
    let namespace = NetNs::enter().unwrap();
    let (mut holder, pipe) = holder();
    let mut different = Vec::new();
    for words in [
        "-tan",
        "-tuan",
        "-lnt",
        "-uan",
        "-wan",
        "-xa",
        "-tanp",
        "-tane",
        "-tano",
        "-tanpeo",
        "-n",
        "-l",
        "-an",
        "-4an",
        "-6an",
        "-x",
        "-lx",
        "-xap",
        "-Uan",
        "-ta",
        "-uae",
        "-wa",
        "-tn --numeric-hosts",
        "-W -tan",
        "-ae --numeric-ports",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        // A keepalive or a retransmission between the two changes more than a time: what differs must do so each time.
        let compare = || {
            let theirs = netstat(&words).unwrap();
            let mut ours = Command::new(program::find("enetstat").unwrap());
            // Not by program::command, which makes the library fork: it keeps a unix socket of its own in this namespace
            // until it knows that the program runs, and a quick program lists that.
            let ours = ours.args(&words).stdin(Stdio::null()).output().unwrap();
            let same = lines(&theirs) == lines(&ours)
                && theirs.stderr == ours.stderr
                && theirs.status == ours.status;
            if same { Ok(()) } else { Err(difference(&lines(&theirs), &lines(&ours), &ours.stderr)) }
        };
        if let Err(text) = compare().or_else(|_| compare()).or_else(|_| compare()) {
            different.push(format!("{}\n{text}", words.join(" ")));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    // The sockets were there: an empty table would agree too.
    let all = netstat(&["-tan"]).unwrap();
    let all = String::from_utf8_lossy(&all.stdout).into_owned();
    for state in sockets::STATES {
        assert!(all.contains(state), "no socket in {state}:\n{all}");
    }
    drop(holder.stdin.take());
    holder.wait().unwrap();
    drop((namespace, pipe));
}

/// Lines that only one of them printed.
fn difference(theirs: &[String], ours: &[String], said: &[u8]) -> String {
    let only = |mark: char, of: &[String], other: &[String]| {
        let lines = of.iter().filter(|line| !other.contains(line));
        lines.map(|line| format!("{mark} {line}|\n")).collect::<String>()
    };
    let order = if theirs.len() == ours.len() { "" } else { "  (another number of lines)\n" };
    let said = String::from_utf8_lossy(said);
    format!("{}{}{order}{said}", only('-', theirs, ours), only('+', ours, theirs))
}

#[test]
fn masks_hide_nothing_else() {
    let row =
        "tcp        0    128 127.0.0.1:22            0.0.0.0:*               LISTEN      off (0.00/0/0)";
    assert_eq!(masked(row), row.replace("   128", "  MASK"));
    let row = "tcp        0    128 127.0.0.1:22            127.0.0.1:9             TIME_WAIT   timewait (59.89/0/0)";
    assert_eq!(masked(row), row.replace("59.89", "SECONDS"));
    let row = "tcp        0      0 127.0.0.1:1             127.0.0.1:2             SYN_RECV    on (0.50/3/0)";
    assert_eq!(masked(row), row.replace("0.50/3", "SECONDS/N"));
    let title = "Active Internet connections (servers and established)";
    assert_eq!(masked(title), title);
}
