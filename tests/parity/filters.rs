//! Filters, recorded sockets and details beside the installed ss.

use super::hold_as;
use netstat_tests::{NetNs, need, program};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn ss(words: &[&str], record: Option<&Path>) -> Option<Output> {
    run(Command::new("ss").args(words), record)
}

fn enetstat(words: &[&str], record: Option<&Path>) -> Output {
    run(Command::new(program::find("enetstat").expect("it works")).args(words), record).expect("it works")
}

fn run(command: &mut Command, record: Option<&Path>) -> Option<Output> {
    command.stdin(Stdio::null()).env("LC_ALL", "C");
    if let Some(record) = record {
        command.env("TCPDIAG_FILE", record);
    }
    command.output().ok()
}

/// Address and port in one form, whoever wrote them.
fn end(text: &str) -> String {
    let (host, port) = text.rsplit_once(':').unwrap_or_else(|| panic!("{text:?} is no end"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.split('%').next().expect("it works");
    let addr: IpAddr = match host {
        // A socket of both families.
        "*" => "::".parse().expect("it works"),
        _ => host.parse().unwrap_or_else(|_| panic!("{host:?} is no address in {text:?}")),
    };
    format!("{} {port}", addr.to_canonical())
}

/// Queues and ends of each row, sorted. ss leaves out the state when only one can be.
fn of_ss(output: &Output) -> Vec<String> {
    let rows = std::str::from_utf8(&output.stdout).expect("it works").lines();
    let mut rows: Vec<String> = rows
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [.., receive, send, local, foreign] = words[..] else { panic!("{line:?}") };
            format!("{receive} {send} {} {}", end(local), end(foreign))
        })
        .collect();
    rows.sort();
    rows
}

fn ours(output: &Output) -> Vec<String> {
    let rows = std::str::from_utf8(&output.stdout).expect("it works").lines();
    let mut rows: Vec<String> = rows
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, receive, send, local, foreign, ..] = words[..] else { panic!("{line:?}") };
            format!("{receive} {send} {} {}", end(local), end(foreign))
        })
        .collect();
    rows.sort();
    rows
}

const FILTERS: &[&str] = &[
    "",
    "state established",
    "state syn-sent",
    "state syn-recv",
    "state fin-wait-2",
    "state close-wait",
    "state time-wait",
    "state listening",
    "state unconnected",
    "state all",
    "state connected",
    "state synchronized",
    "state bucket",
    "state big",
    "state LISTENING state time-wait",
    "exclude listening",
    "exclude time-wait exclude established",
    "state connected exclude syn-recv",
    "state established src 127.0.0.1",
    "src 127.0.0.1",
    "src = 127.0.0.1",
    "src == 127.0.0.1",
    "src eq 127.0.0.1",
    "dst 127.0.0.1",
    "dst 127.0.0.0/8",
    "dst 127/8",
    "dst 10.0.0.0/8",
    "src [::1]",
    "dst [::1]",
    "dst [::]",
    "dst 0.0.0.0",
    "src 0/0",
    "src ::/0",
    "dst [::/0]:*",
    "src inet:127.0.0.1",
    "src inet6:[::1]",
    "src inet6:[::ffff:127.0.0.1]",
    "src any",
    "src *",
    "src *:22",
    "src :22",
    "dst :22",
    "src 127.0.0.1:22",
    "src 127.0.0.1:ssh",
    "src [::1]:22",
    "src ::1:22",
    "src localhost:22",
    "sport = :22",
    "sport = 22",
    "sport :22",
    "sport = :ssh",
    "sport = ssh",
    "sport = 0x16",
    "sport == :https",
    "sport eq https",
    "sport != :22",
    "sport neq 22",
    "sport ne :22",
    "sport > :443",
    "sport gt 443",
    "sport < 443",
    "sport lt :443",
    "sport >= :443",
    "sport geq 443",
    "sport <= :443",
    "sport leq 443",
    "dport = 0",
    "dport > 1024 and sport > 1024",
    "sport = *",
    "sport = inet:22",
    "sport = inet6:22",
    "( sport = :22 or sport = :443 )",
    "sport = :22 or sport = :443",
    "sport = :22 || dport = :22",
    "sport = :22 | dport = :22",
    "sport = :22 and dst 127.0.0.1",
    "sport = :22 && dst 127.0.0.1",
    "sport = :22 & dst 127.0.0.1",
    "sport = :22 dst 127.0.0.1",
    "sport = :22 or sport = :443 and dst 127.0.0.1",
    "sport = :443 and dst 127.0.0.1 or sport = :22",
    "sport = :22 or ( sport = :443 and dst 127.0.0.1 )",
    "not sport = :22",
    "! sport = :22",
    "not not sport = :22",
    "not ( sport = :22 or dport = :22 )",
    "not sport = :22 or sport = :22",
    "not ( not sport = :22 and not ( dport > 0 ) )",
    "( ( src 127.0.0.1 or src [::1] ) and ( sport < 1024 or dport < 1024 ) ) and not dport = :25",
    "dev lo",
    "dev = lo",
    "dev != lo",
    "dev 1",
    "fwmark 5",
    "fwmark = 0x5",
    "fwmark 4/4",
    "fwmark != 5",
    "not fwmark 4/0xfc",
    "autobound",
    "not autobound",
    "autobound and src 127.0.0.1",
    "cgroup ROOT",
    "cgroup != ROOT",
    "not cgroup ROOT",
    "src unix:*",
    "src 127.0.0.9:7070 and fwmark 5 or dport = :443",
];

/// A world of many sockets in a namespace of its own, and what ends it.
fn world() -> Option<(NetNs, std::process::Child, Box<dyn std::any::Any>)> {
    if !rustix::process::geteuid().is_root() {
        need::skip("needs root for a network namespace of its own");
        return None;
    }
    if ss(&["-V"], None).is_none() {
        need::skip("needs ss (Debian package iproute2)");
        return None;
    }
    let namespace = NetNs::enter().expect("it works");
    let (holder, pipe) = hold_as("/usr/bin/holder", &[("ENETSTAT_ODD", "1"), ("ENETSTAT_MARKED", "1")]);
    Some((namespace, holder, Box::new(pipe)))
}

fn end_of(world: (NetNs, std::process::Child, impl Sized)) {
    let (namespace, mut holder, pipe) = world;
    drop(holder.stdin.take());
    holder.wait().expect("it works");
    drop((namespace, pipe));
}

#[test]
fn filters_select_what_ss_selects() {
    let Some((namespace, holder, pipe)) = world() else { return };
    assert!(FILTERS.len() >= 60);
    let cgroups = netstat_user::source::container::Cgroups::of_host();
    let root = cgroups.root();
    let (mut different, mut some, mut few) = (Vec::new(), 0, 0);
    let everything = ours(&enetstat(&["-H", "-tan"], None)).len();
    for table in ["-tan", "-uan"] {
        for filter in FILTERS {
            if table == "-uan" && filter.contains("ssh") {
                // ss knows no such service of UDP, and fails.
                continue;
            }
            // ss takes the path of a directory, and we do, too.
            let Some(filter) = (match (filter.contains("ROOT"), root) {
                (true, None) => None,
                (true, Some(root)) => Some(filter.replace("ROOT", root.to_str().expect("text"))),
                (false, _) => Some((*filter).to_owned()),
            }) else {
                continue;
            };
            let words: Vec<&str> = filter.split_whitespace().collect();
            let both = || {
                let theirs = ss(&[&["-H", table], &words[..]].concat(), None).unwrap();
                let mine = enetstat(&[&["--no-header", table], &words[..]].concat(), None);
                let said = String::from_utf8_lossy(&mine.stderr).into_owned();
                assert!(theirs.status.success(), "{filter}: {theirs:?}");
                (of_ss(&theirs), ours(&mine), said, mine.status.success())
            };
            // A retransmission or the end of a wait may come between the two: what differs must do so each time.
            let same = |(theirs, mine, said, good): &(Vec<String>, Vec<String>, String, bool)| {
                theirs == mine && said.is_empty() && *good
            };
            let found =
                [both(), both(), both()].into_iter().reduce(|a, b| if same(&a) { a } else { b }).unwrap();
            some += usize::from(!found.1.is_empty());
            few += usize::from(table == "-tan" && !found.1.is_empty() && found.1.len() < everything);
            if !same(&found) {
                let (theirs, mine, said, _) = found;
                different.push(format!("{table} {filter}\n- {theirs:?}\n+ {mine:?}\n{said}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    // They are no filters that let nothing or everything pass.
    assert!(some > FILTERS.len() && few > 60, "{some} {few}");
    end_of((namespace, holder, pipe));
}

/// Filters of unix sockets. ss does not look for paths of other ends, so what it makes of them is not the measure.
const UNIX: &[&str] = &[
    "",
    "src *",
    "dst *",
    "src unix:*",
    "src *socket",
    "src *SOCKET",
    "src @*",
    "src @parity*",
    "not src @*",
    "src [!@]*",
    "src unix:[/@]*",
    "src *a\\ b",
    "src *esc*",
    "src unix:",
    "state listening",
    "state established",
    "state unconnected",
    "state closed",
    "state connected",
    "state all",
    "exclude listening",
    "exclude established",
    "autobound",
    "not autobound",
    "sport > 0",
    "sport = 5",
    "sport < 1",
    "sport != 5",
    "dev lo",
    "dev != lo",
    "fwmark 0",
    "fwmark 5",
    "src 127.0.0.1",
    "not src 127.0.0.1",
    "dst 0.0.0.0",
    "src *socket or src @*",
    "( src *socket or src @* ) and not autobound",
    "state listening src @*",
    "src *s* src *k*",
];

#[test]
fn filters_of_unix_sockets_select_what_ss_selects() {
    let Some((namespace, holder, pipe)) = world() else { return };
    let inodes = |output: &Output, column: usize| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // A path with a newline makes two lines, and the inode is in the last.
        let of = |line: &str| {
            let mut words = line.split_whitespace().rev();
            words.nth(column).and_then(|word| word.parse().ok())
        };
        let mut inodes: Vec<u64> = text.lines().filter_map(of).collect();
        // ss does not show those that nobody has accepted.
        inodes.retain(|inode| *inode != 0);
        inodes.sort_unstable();
        inodes
    };
    let (mut different, mut few) = (Vec::new(), 0);
    let all = inodes(&enetstat(&["-xanH", "--columns", "inode"], None), 0).len();
    for filter in UNIX {
        let words: Vec<&str> = match filter.split_once("a\\ b") {
            Some(_) => vec!["src", "*a\\ b"],
            None => filter.split_whitespace().collect(),
        };
        let both = || {
            let theirs = ss(&[&["-xanH"], &words[..]].concat(), None).unwrap();
            let mine = enetstat(&[&["-xanH", "--columns", "inode"], &words[..]].concat(), None);
            (inodes(&theirs, 2), inodes(&mine, 0), String::from_utf8_lossy(&mine.stderr).into_owned())
        };
        let same = (0..3).map(|_| both()).find(|(theirs, mine, said)| theirs == mine && said.is_empty());
        match same {
            Some((_, mine, _)) => few += usize::from(!mine.is_empty() && mine.len() < all),
            None => different.push(format!("{filter}: {:?}", both())),
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(few > 15, "{few} of {all}");
    // A path with a newline is a path, not another socket.
    let listed = String::from_utf8(enetstat(&["-xan"], None).stdout).unwrap();
    assert!(listed.contains("/new\\x0aline\n"), "{listed}");
    assert!(!listed.lines().any(|line| line.contains(" 777 ") && !line.contains("\\x0a")), "{listed}");
    assert!(listed.contains("/forged\\x0a0000000000000000: 00000003 "), "{listed}");
    // The other ends: those that are connected to the path, whoever made them.
    let columns = ["-xanH", "--columns", "inode,local"];
    let there = |words: &[&str]| {
        let text = enetstat(&[&columns[..], words].concat(), None).stdout;
        String::from_utf8(text).unwrap().lines().count()
    };
    assert_eq!(there(&["dst", "*/socket"]), 1);
    assert_eq!(there(&["state", "established", "dst", "*/SOCKET", "autobound"]), 1);
    assert_eq!(there(&["state", "listening", "dst", "*/socket"]), 0);
    end_of((namespace, holder, pipe));
}

#[test]
fn records_are_read_and_written_as_ss_does() {
    let Some((namespace, holder, pipe)) = world() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (theirs, mine) = (directory.path().join("theirs"), directory.path().join("mine"));
    // Sockets with timers come and go meanwhile: those that stay are compared.
    let states = ["state", "established", "state", "listening"];
    let live = of_ss(&ss(&[&["-Htan"], &states[..]].concat(), None).unwrap());
    assert!(live.len() > 10, "{live:?}");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    assert!(ss(&[&["-tan", "-D", &path(&theirs)], &states[..]].concat(), None).unwrap().status.success());
    let output = enetstat(&[&["-tan", "--dump", &path(&mine)], &states[..]].concat(), None);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    for record in [&theirs, &mine] {
        let read = enetstat(&[&["-H", "-tan"], &states[..]].concat(), Some(record));
        assert_eq!(ours(&read), live, "{}", record.display());
        let one = enetstat(&["-H", "-tan", "state", "listening", "sport", "=", ":22"], Some(record));
        assert_eq!(ours(&one).len(), 2, "{one:?}");
    }
    assert_eq!(of_ss(&ss(&["-Htan"], Some(&mine)).unwrap()), live);
    // What is no record is said to be none.
    std::fs::write(&mine, b"no record").unwrap();
    let output = enetstat(&["-tan"], Some(&mine));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no record of sockets"), "{output:?}");
    end_of((namespace, holder, pipe));
}

/// Words of the details behind the ends of each row, but for what moves with time and what this ss does not know.
fn details(output: &Output, skipped: usize) -> Vec<(String, Vec<String>)> {
    // With -o, ss tells options of the connection, and also its timer.
    const MOVING: [&str; 4] = ["lastsnd:", "lastrcv:", "lastack:", "timer:"];
    const NEW: [&str; 5] = ["rcv_wnd:", "rehash:", "total_rto:", "total_rto_recoveries:", "total_rto_time:"];
    let lines = std::str::from_utf8(&output.stdout).expect("it works").lines();
    let mut rows: Vec<_> = lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ends = format!("{} {}", end(words[skipped + 2]), end(words[skipped + 3]));
            let words = words[skipped + 4..].iter().filter(|word| **word != "ESTABLISHED");
            let told = words.filter(|word| !MOVING.iter().chain(&NEW).any(|moving| word.starts_with(moving)));
            (ends, told.map(|word| (*word).to_owned()).collect())
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn details_are_those_of_ss() {
    let Some((namespace, holder, pipe)) = world() else { return };
    for (theirs, mine) in [("-HtnOimo", &["--info", "--memory"][..]), ("-HtnOm", &["--memory"])] {
        let state = ["state", "established"];
        let theirs = details(&ss(&[&[theirs], &state[..]].concat(), None).unwrap(), 0);
        let ours = details(&enetstat(&[&["-HtnO"], mine, &state[..]].concat(), None), 1);
        assert!(theirs.len() > 5 && theirs.iter().all(|(_, words)| !words.is_empty()), "{theirs:?}");
        assert_eq!(ours, theirs);
    }
    // JSON has the same numbers.
    let output =
        enetstat(&["-tn", "--json", "--info", "--memory", "state", "established", "dport", "=", ":22"], None);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    let shown = enetstat(&["-HtnO", "--info", "--memory", "state", "established", "dport", "=", ":22"], None);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (info, memory) = (&row["enetstat.tcp.info"], &row["enetstat.socket.memory"]);
        let wanted = [
            format!("cwnd:{} ", info["snd_cwnd"]),
            format!("pmtu:{} ", info["pmtu"]),
            format!(",rb{},", memory["rcvbuf"]),
        ];
        assert!(wanted.iter().all(|wanted| shown.contains(wanted.as_str())), "{wanted:?} in {shown}");
    }
    end_of((namespace, holder, pipe));
}
