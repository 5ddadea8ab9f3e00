//! Routes, interfaces and memberships beside the installed netstat, byte for byte, in namespaces with many kinds of each.

use crate::network::{Network, build, ip};
use netstat_tests::{NetNs, need};
use netstat_user::agent::tables;
use netstat_user::args::{self, Plan};
use netstat_user::exit;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a run left: standard output, standard error, exit code.
#[derive(Debug, PartialEq)]
struct Said(String, String, i32);

fn netstat(words: &str) -> Command {
    let mut command = Command::new("netstat");
    command.args(words.split_whitespace()).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn theirs(words: &str) -> Said {
    let output = netstat(words).output().expect("netstat");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said(text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

/// Our own run in the calling thread's namespace, as net-tools would print it.
fn run(words: &str, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<exit::Outcome> {
    let words = std::iter::once("enetstat").chain(words.split_whitespace());
    match args::parse(words.map(Into::into)).expect("a plan") {
        Plan::Routes(plan) => {
            tables::routes::run(&args::tables::RoutesPlan { compat: true, ..plan }, out, err)
        }
        Plan::Interfaces(plan) => {
            tables::interfaces::run(&args::tables::InterfacesPlan { compat: true, ..plan }, out, err)
        }
        Plan::Groups(plan) => {
            tables::groups::run(&args::tables::GroupsPlan { compat: true, ..plan }, out, err)
        }
        other => panic!("{other:?}"),
    }
}

fn ours(words: &str) -> Said {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (code, error) = exit::judge(run(words, &mut out, &mut err));
    assert!(error.is_none(), "{words}: {error:?}");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Said(text(&out), text(&err), code.into())
}

/// Counters and references move on between the two: what differs must do so each time.
fn same(words: &str) -> Result<Said, String> {
    let mut last = String::new();
    for _ in 0..20 {
        let (theirs, ours) = (theirs(words), ours(words));
        if theirs == ours {
            return Ok(ours);
        }
        last = format!("{words}: {} and {}\n{}", theirs.2, ours.2, difference(&theirs.0, &ours.0));
        last += &difference(&theirs.1, &ours.1);
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(last)
}

fn difference(theirs: &str, ours: &str) -> String {
    let [theirs, ours] = [theirs, ours].map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    crate::difference(&theirs, &ours, b"")
}

/// Whether the two can be compared at all.
fn able() -> bool {
    if !rustix::process::geteuid().is_root() {
        need::skip("needs root for a network namespace of its own");
        return false;
    }
    let there = |program: &str| Command::new(program).arg("-V").output().is_ok();
    if crate::netstat(&["-V"]).is_none() || !there("ip") {
        need::skip("needs netstat and ip (Debian packages net-tools and iproute2)");
        return false;
    }
    true
}

fn all_same(words: &[&str]) -> Vec<Said> {
    let (mut said, mut different) = (Vec::new(), Vec::new());
    for words in words {
        match same(words) {
            Ok(one) => said.push(one),
            Err(text) => different.push(text),
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    said
}

#[test]
fn routes_are_those_of_net_tools() {
    if !able() {
        return;
    }
    let _namespace = NetNs::enter().unwrap();
    build(Network::Full);
    let said = all_same(&[
        "-rn", "-rne", "-rnee", "-rneee", "-rneeee", "-rN", "-rnv", "-rnC", "-rnF", "-rnFC", "-rneC",
        "-rneeC", "-rneeeC", "-rn6", "-rne6", "-rnee6", "-rn6C", "-rn6FC", "-rn46", "-rn4", "-rna",
    ]);
    // The routes were there: an empty table would agree too.
    let Said(text, ..) = &said[0];
    for part in ["10.9.0.0 ", "203.0.113.9", "!         - -", " 1400 4096", "* \n".trim_end()] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let Said(text, ..) = &said[13];
    for part in ["2001:db8:1234:5678:9abc:def0:1234:5678/128 2001:db8:1::2", "UGe", "!n", "1.2.3.0/120"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn routes_by_name_are_those_of_net_tools() {
    if !able() {
        return;
    }
    // Nothing leads to a name server here, so what no file names stays a number at once.
    let _namespace = NetNs::enter().unwrap();
    build(Network::Named);
    let said = all_same(&["-r", "-re", "-ree", "-r6", "-r46", "-g", "--route --numeric-ports"]);
    let Said(text, ..) = &said[0];
    for part in ["default ", "loopback ", "link-local ", "localhost "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(said[3].0.contains("[::]"), "{}", said[3].0);
}

#[test]
fn interfaces_are_those_of_net_tools() {
    if !able() {
        return;
    }
    let _namespace = NetNs::enter().unwrap();
    build(Network::Full);
    let said = all_same(&["-i", "-ia", "-in", "-iv", "-ie", "-iae", "-iaee"]);
    let Said(text, ..) = &said[1];
    let at = |name: &str| text.find(&format!("\n{name} ")).unwrap_or_else(|| panic!("{name}: {text}"));
    assert!(at("veth9") < at("veth10") && at("veth10") < at("veth10:1"), "{text}");
    assert!(text.contains("no statistics available") && text.contains("\nsixteenless15ch "), "{text}");
    assert!(
        said[5].0.contains("BROADCAST,NOARP>") && said[5].0.contains("destination 10.5.0.2"),
        "{}",
        said[5].0
    );
}

#[test]
fn a_label_that_is_no_interface_stops_both() {
    if !able() {
        return;
    }
    let _namespace = NetNs::enter().unwrap();
    build(Network::Full);
    ip("addr add 10.1.7.1/24 dev veth10 label veth10x");
    let said = all_same(&["-i", "-ia", "-ie"]);
    assert_eq!(said[0].2, 1);
    assert!(said[0].1.contains("Device not found"), "{:?}", said[0]);
}

#[test]
fn memberships_are_those_of_net_tools() {
    if !able() {
        return;
    }
    let _namespace = NetNs::enter().unwrap();
    build(Network::Full);
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let second = UdpSocket::bind("0.0.0.0:0").unwrap();
    for socket in [&socket, &second] {
        socket.join_multicast_v4(&Ipv4Addr::new(239, 1, 2, 3), &Ipv4Addr::new(10, 1, 0, 1)).unwrap();
    }
    let v6 = UdpSocket::bind("[::]:0").unwrap();
    let group: Ipv6Addr = "ff05::1:3".parse().unwrap();
    v6.join_multicast_v6(&group, 1).unwrap();
    let said = all_same(&["-gn", "-gna", "-gne"]);
    let Said(text, ..) = &said[0];
    for part in ["veth10          2      239.1.2.3\n", "lo              1      ff05::1:3\n"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Takes so many bytes, then nothing more.
struct Bounded(Vec<u8>, usize);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() >= self.1 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn repeated_displays_are_those_of_net_tools() {
    if !able() {
        return;
    }
    let _namespace = NetNs::enter().unwrap();
    // Only loopback, on which nothing happens: no counter moves.
    for words in ["-rn6", "-i", "-ie"] {
        let length = theirs(words).0.len() * 2;
        let mut child = netstat(&format!("{words}c")).stdout(Stdio::piped()).spawn().unwrap();
        // The title of the interfaces is printed once, so twice the length is a little into the third round.
        let mut theirs = vec![0; length];
        let read = child.stdout.take().unwrap().read_exact(&mut theirs);
        child.kill().unwrap();
        child.wait().unwrap();
        read.unwrap();
        let mut out = Bounded(Vec::new(), length);
        let ended = run(&format!("{words} --continuous=0.001"), &mut out, &mut io::sink());
        assert!(exit::is_broken_pipe(&ended.unwrap_err()));
        let ours = String::from_utf8_lossy(&out.0[..length]);
        assert_eq!(ours, String::from_utf8_lossy(&theirs), "{words}");
    }
}
