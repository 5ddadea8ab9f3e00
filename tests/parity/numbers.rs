//! Every row of every display is also an object of its JSON, with the same numbers.

use crate::network::{Network, build, ip};
use crate::{hold_as, sockets};
use netstat_tests::peer::Peer;
use netstat_tests::{NetNs, need, program};
use serde_json::Value;
use std::net::IpAddr;
use std::process::Command;

/// How rows and objects belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Each row is an object, and each object a row.
    Rows,
    /// Each row is in an object, which may have several, or none.
    Parts,
    /// Sentences: their number is that of an object.
    Sentences,
}
use Form::{Parts, Rows, Sentences};

/// Words of the program and of the displays in BSD's manner.
const DISPLAYS: &[(&str, Form)] = &[
    ("-tan", Rows),
    ("-uan", Rows),
    ("-Uan", Rows),
    ("-wan", Rows),
    ("-ltn", Rows),
    ("-xan", Rows),
    ("-lxn", Rows),
    ("-tuanpeo", Rows),
    ("-xanp", Rows),
    ("-tn state established dport = :22", Rows),
    ("-an -A inet --sort local", Rows),
    ("-tn --columns local,foreign,state,inode,cookie,recv-q,send-q", Rows),
    ("-rn", Parts),
    ("-rn4 --table all", Parts),
    ("-rn6", Parts),
    ("-rn6 --table all", Parts),
    ("-ree -n", Parts),
    ("-i", Parts),
    ("-ia", Parts),
    ("-gn", Sentences),
    ("-s", Sentences),
    ("-sv", Sentences),
    ("-L", Rows),
    ("--bound -n", Rows),
    ("-tanb", Rows),
    ("-T -an", Rows),
    ("--socket-buffers -an", Rows),
    ("--congestion -an", Rows),
    ("--unix-peers -an", Rows),
    ("--netlink -n", Rows),
    ("--packet -n", Rows),
    ("-B", Rows),
    ("-m", Sentences),
    ("-Q", Parts),
    ("--nexthops -n", Parts),
    ("--nexthop-groups -n", Parts),
    ("--bsd -an -p tcp", Rows),
    ("--bsd -anv -p udp", Rows),
    ("--bsd -anx", Rows),
    ("--bsd -Ln", Rows),
    ("--bsd -rn", Parts),
    ("--bsd -rnal", Parts),
    ("--bsd -i -nbd", Parts),
    ("--bsd -ian", Parts),
    ("--bsd -s", Sentences),
    ("--bsd -is", Sentences),
    ("--bsd -m", Sentences),
    ("--bsd -gan", Parts),
    ("--bsd -f unix -a", Rows),
    ("--bsd -o", Parts),
];

fn run(words: &[&str]) -> String {
    let output = Command::new(program::find("enetstat").expect("it is built")).args(words).output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Every value of an object, as text.
fn values(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| values(item, into)),
        Value::Object(members) => members.values().for_each(|member| values(member, into)),
        Value::String(text) => into.push(text.clone()),
        other => into.push(other.to_string()),
    }
}

/// What a word of a row says in numbers.
fn numbers(word: &str, form: Form) -> Vec<String> {
    // The kernel's identity of a socket.
    if word.len() == 16
        && let Ok(cookie) = u64::from_str_radix(word, 16)
    {
        return vec![cookie.to_string()];
    }
    if let Ok(number) = word.parse::<u64>() {
        // 0 is also what stands where nothing is known or set.
        return if number == 0 { Vec::new() } else { vec![number.to_string()] };
    }
    if form == Sentences {
        return Vec::new();
    }
    // `PID/program`, and queues as `waiting/half open/limit`.
    let parts: Vec<&str> = word.split('/').collect();
    match parts[..] {
        [pid, program]
            if pid.parse::<u32>().is_ok() && !program.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            return vec![pid.to_owned()];
        }
        [_, _, _] if word.starts_with(|c: char| c.is_ascii_digit()) => {
            return parts.into_iter().flat_map(|part| numbers(part, Sentences)).collect();
        }
        _ => {}
    }
    // `host:port`, and BSD's `host.port`.
    for separator in [':', '.'] {
        if let Some((host, port)) = word.rsplit_once(separator)
            && let (Ok(host), true) = (host.parse::<IpAddr>(), port == "*" || port.parse::<u16>().is_ok())
        {
            let port = (port != "*" && port != "0").then(|| port.to_owned());
            return [Some(host.to_string()), port].into_iter().flatten().collect();
        }
    }
    Vec::new()
}

/// Whether a value of an object is this number: as it is, in thousandths (of a second), before the length of a prefix, as
/// the IPv4 address in one of IPv6, or as two factors (a window is told in segments and their size).
fn is_in(number: &str, object: &[String]) -> bool {
    let whole = number.parse::<u64>().ok();
    let thousandths = whole.and_then(|number| number.checked_mul(1000)).map(|number| number.to_string());
    let address =
        |value: &str| value.parse::<IpAddr>().ok().map(|address| address.to_canonical().to_string());
    let factor = |one: &String| {
        let (one, product) = (one.parse::<u64>().ok().filter(|one| *one > 1), whole?);
        let other = product.checked_div(one?).filter(|_| product.is_multiple_of(one.unwrap_or(1)))?;
        (other > 1).then(|| object.contains(&other.to_string()))
    };
    object.iter().any(|value| {
        value == number
            || Some(value) == thousandths.as_ref()
            || value.split_once('/').is_some_and(|(address, _)| address == number)
            || address(value).as_deref() == Some(number)
    }) || object.iter().any(|one| factor(one) == Some(true))
}

/// What of a display is not in its JSON; empty: all is.
fn missing(line: &str, form: Form) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let text = run(&words);
    let json = run(&[&words[..1], &["--json"], &words[1..]].concat());
    let objects: Vec<Vec<String>> = json
        .lines()
        .map(|line| {
            let mut into = Vec::new();
            values(&serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")), &mut into);
            into
        })
        .collect();
    let mut wrong = Vec::new();
    let mut rows = 0;
    let mut used = vec![false; objects.len()];
    for row in text.lines() {
        // The rest of a path says nothing of its socket.
        let row = row.split("\\x0a").next().unwrap_or_default();
        let wanted: Vec<String> = row.split_whitespace().flat_map(|word| numbers(word, form)).collect();
        rows += usize::from(is_row(row));
        // The program's own sockets are others in each run.
        let own = line.contains("netlink") && (row.contains(" tcpdiag ") || row.contains(" rtnl "));
        if wanted.is_empty() || own || !(form == Sentences || is_row(row)) {
            continue;
        }
        let holds = |object: &Vec<String>| wanted.iter().all(|number| is_in(number, object));
        let found = (0..objects.len()).find(|&at| (form != Rows || !used[at]) && holds(&objects[at]));
        match found {
            Some(at) => used[at] = true,
            None => wrong.push(format!("{row:?}: no object with {wanted:?}")),
        }
    }
    if form == Rows && rows != objects.len() {
        wrong.push(format!("{rows} rows and {} objects", objects.len()));
    }
    wrong
}

/// Neither a title nor the names of columns nor empty.
fn is_row(line: &str) -> bool {
    const TITLES: [&str; 14] = [
        "Active ",
        "Proto ",
        "Kernel ",
        "Destination ",
        "Iface ",
        "IPv",
        "Interface ",
        "---",
        "Current ",
        "Local Address",
        "Address ",
        "Routing ",
        "Internet",
        "Name ",
    ];
    let first = line.split_whitespace().next();
    !TITLES.iter().any(|title| line.starts_with(title)) && !matches!(first, None | Some("Pid"))
}

#[test]
fn every_row_of_every_display_is_json_with_the_same_numbers() {
    if !rustix::process::geteuid().is_root() {
        return need::skip("needs root for a network namespace of its own");
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return need::skip("needs ip (Debian package iproute2)");
    }
    let namespace = NetNs::enter().unwrap();
    build(Network::Full);
    ip("nexthop add id 4242 via 10.1.0.2 dev veth10");
    ip("nexthop add id 4243 via 10.1.0.3 dev veth10");
    ip("nexthop add id 4244 group 4242,3/4243");
    let peer = Peer::new(&namespace).unwrap();
    let hard = sockets::hard(&peer).unwrap();
    let (mut holder, pipe) = hold_as("/usr/bin/holder", &[("ENETSTAT_ODD", "1"), ("ENETSTAT_MARKED", "1")]);
    let bound =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&bound, &std::net::SocketAddr::from(([127, 0, 0, 1], 4711))).unwrap();
    let mut different = Vec::new();
    for &(line, form) in DISPLAYS {
        // Counters and timers move on between the two.
        let same = (0..5).any(|_| missing(line, form).is_empty());
        if !same {
            let wrong = missing(line, form);
            different.push(format!("{line}\n  {}", wrong[..wrong.len().min(5)].join("\n  ")));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    drop((bound, hard, peer, pipe, namespace));
}
