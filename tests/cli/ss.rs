//! Filters, columns, destruction, manual pages, completions and names, from outside.

use super::{enetstat, run, text};
use netstat_tests::{NetNs, need, program};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        need::skip("needs root for a network namespace of its own");
    }
    root
}

fn answer(words: &[&str], said: &str) -> Output {
    let mut command = enetstat(words);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it works");
    // It may end without a question.
    let _ = child.stdin.take().expect("it works").write_all(said.as_bytes());
    child.wait_with_output().expect("it works")
}

#[test]
fn filters_that_make_no_sense_point_at_the_word() {
    for (words, wanted) in [
        (&["-tn", "state", "time-wiat"][..], "  state time-wiat\n        ^^^^^^^^^\n"),
        (
            &["trace", "sport", "=", ":99999"],
            "is no port: they end at 65535\n  sport = :99999\n          ^^^^^^\n",
        ),
        (&["trace", "fwmark", "5"], "a trace does not know the mark"),
        (&["-tn", "src", "no.such.host.invalid"], "\"no.such.host.invalid\" is the name of no host"),
        (&["-tn", "dev", "nosuchdevice"], "\"nosuchdevice\" is the name of no network interface"),
        (&["-tn", "cgroup", "/no/such/cgroup"], "cannot find the cgroup \"/no/such/cgroup\""),
        (
            &["-rn", "sport", "=", ":22"],
            "-r shows no sockets, and plain words are a filter of sockets: \"sport = :22\"",
        ),
        (&["-s", "--sort", "local"], "-s shows no sockets, and --sort is about them"),
        (&["-tn", "--columns", "local,nothing"], "not a column; the columns are netns, proto"),
        (&["-tn", "--sort", "-nothing"], "not a column"),
        (&["-tn", "--info", "--columns", "local"], "exclude --columns and --sort"),
        (&["-tn", "--kill"], "--kill without a filter would destroy every connection"),
        (&["-xn", "--kill", "src", "/run/x"], "the other options select none"),
    ] {
        let output = run(words);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{words:?}");
        assert!(text(&output.stderr).contains(wanted), "{words:?}: {}", text(&output.stderr));
    }
}

#[test]
fn columns_are_shown_in_their_order_and_rows_in_theirs() {
    if !is_root() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    let listeners = ["127.0.0.1:7003", "127.0.0.1:901", "127.0.0.2:80", "[::1]:80"]
        .map(|addr| TcpListener::bind(addr).unwrap());
    let sorted = |sort: &str| {
        let output = run(&["-tlnH", "--columns", "state,local", "--sort", sort]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        text(&output.stdout).lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
    };
    let up = ["LISTEN 127.0.0.1:901", "LISTEN 127.0.0.1:7003", "LISTEN 127.0.0.2:80", "LISTEN ::1:80"];
    assert_eq!(sorted("local"), up);
    let down: Vec<&str> = up.into_iter().rev().collect();
    assert_eq!(sorted("-local"), down);
    let output = run(&["-tln", "--columns", "local,send-q", "src", "127.0.0.2"]);
    assert_eq!(
        text(&output.stdout),
        "Local Address Send-Q\n127.0.0.2:80     128\n".replace("128", &backlog())
    );
    let output =
        run(&["-tln", "--json", "--columns", "local,state", "--sort", "-local", "sport", "!=", ":901"]);
    let rows: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ports: Vec<&serde_json::Value> = rows.iter().map(|row| &row["network.local.port"]).collect();
    assert_eq!(ports, [80, 80, 7003]);
    for row in &rows {
        assert_eq!(row["network.connection.state"], "listen");
        assert_eq!(row.as_object().unwrap().len(), 5, "{row}");
    }
    let output = run(&["-tln", "--no-header", "sport", "=", ":901"]);
    assert_eq!(text(&output.stdout).lines().count(), 1);
    drop((listeners, namespace));
}

/// The standard library's backlog, as the system limits it.
fn backlog() -> String {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("it works");
    let most: u32 = most.trim().parse().expect("it works");
    format!("{:>3}", most.min(128))
}

#[test]
fn a_terminal_has_colours_and_nothing_else_has() {
    if !is_root() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = program::find("enetstat").unwrap();
    let script = |variables: &str| {
        let line = format!("{variables} {} -tln", program.display());
        Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::null())
            .env_remove("NO_COLOR")
            .output()
    };
    let Ok(shown) = script("") else { return need::skip("needs script (Debian package bsdutils)") };
    assert!(text(&shown.stdout).contains("\x1b[36mLISTEN     \x1b[0m"), "{shown:?}");
    assert!(!text(&script("NO_COLOR=1").unwrap().stdout).contains('\x1b'));
    assert!(!text(&run(&["-tln"]).stdout).contains('\x1b'));
    drop((listener, namespace));
}

#[test]
fn what_a_filter_chooses_is_destroyed_after_a_yes() {
    if !is_root() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    let pair = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        (listener, client, server)
    };
    let ((kept, mut other, mut server), (doomed, mut client, _server)) = (pair(), pair());
    let port = format!(":{}", doomed.local_addr().unwrap().port());
    let words = ["-tn", "--kill", "dport", "=", &port];

    let refused = answer(&words, "n\n");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        text(&refused.stdout).contains(&port) && text(&refused.stderr).contains("destroy this socket? [y/N]")
    );
    assert!(text(&answer(&words, "").stderr).contains("nothing was destroyed"));
    client.write_all(b"still here").unwrap();

    let output = answer(&words, "y\n");
    if text(&output.stderr).contains("CONFIG_INET_DIAG_DESTROY") {
        return need::skip("this kernel destroys no sockets (CONFIG_INET_DIAG_DESTROY)");
    }
    assert!(text(&output.stderr).contains("1 destroyed, 0 had gone, 0 could not be"), "{output:?}");
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
    other.write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();

    let none = answer(&["-tn", "-Ky", "dport", "=", &port], "");
    assert!(text(&none.stderr).contains("no socket to destroy"), "{none:?}");
    let port = format!(":{}", kept.local_addr().unwrap().port());
    let output = answer(&["-tn", "-K", "--yes", "dport", "=", &port], "");
    assert!(text(&output.stderr).ends_with("1 destroyed, 0 had gone, 0 could not be\n"), "{output:?}");
    drop(namespace);
}

/// An interface in a filter is one of the namespace that is shown or traced.
#[test]
fn interfaces_have_the_names_of_their_namespace() {
    if !is_root() {
        return;
    }
    let far = NetNs::enter().unwrap();
    for words in [&["set", "lo", "down"][..], &["set", "lo", "name", "odd0"]] {
        let Ok(done) = Command::new("ip").arg("link").args(words).output() else {
            return need::skip("needs ip (Debian package iproute2)");
        };
        assert!(done.status.success(), "{done:?}");
    }
    let mut there = Command::new("sleep").arg("60").spawn().unwrap();
    let near = NetNs::enter().unwrap();
    let pid = there.id().to_string();
    for words in [&["-tan"][..], &["trace", "--duration", "0.1"]] {
        let other = run(&[words, &["--netns", &pid, "dev", "odd0"]].concat());
        let own = run(&[words, &["dev", "odd0"]].concat());
        let unknown = text(&own.stderr).contains("\"odd0\" is the name of no network interface");
        assert!(own.status.code() == Some(2) && unknown, "{own:?}");
        let refused = text(&other.stderr).contains("no network interface");
        assert!(!refused && other.status.code() == Some(0), "{other:?}");
    }
    there.kill().unwrap();
    there.wait().unwrap();
    drop((near, far));
}

#[test]
fn manual_pages_have_no_faults() {
    for page in ["enetstat", "trace", "netstat", "bsdnetstat"] {
        let output = run(&["man", page]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        let mut groff = Command::new("groff");
        let groff = groff.args(["-ww", "-man", "-Tutf8", "-Kutf8", "-P-cbou"]);
        let groff = groff.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(mut child) = groff.spawn() else { return need::skip("needs groff (Debian package groff)") };
        child.stdin.take().unwrap().write_all(&output.stdout).unwrap();
        let shown = child.wait_with_output().unwrap();
        assert_eq!((shown.status.code(), text(&shown.stderr)), (Some(0), ""), "{page}");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(
            shown.contains("SYNOPSIS") && (page == "trace" || shown.contains("--numeric-hosts")),
            "{page}: {shown}"
        );
    }
}

#[test]
fn bash_completes_flags_and_commands() {
    let script = run(&["completions", "bash"]);
    assert_eq!(script.status.code(), Some(0));
    let replies = |words: &[&str]| {
        let last = words.last().unwrap();
        let line = format!(
            "{}\nCOMP_WORDS=({}); COMP_CWORD={}; _enetstat enetstat {last:?} x; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            text(&script.stdout),
            words.join(" "),
            words.len() - 1,
        );
        let output = Command::new("bash").args(["--norc", "-c", &line]).output();
        output.map(|output| {
            assert_eq!(text(&output.stderr), "");
            text(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
        })
    };
    let Ok(flags) = replies(&["enetstat", "--numeric-"]) else { return need::skip("needs bash") };
    assert_eq!(flags, ["--numeric-hosts", "--numeric-ports", "--numeric-users"]);
    assert_eq!(replies(&["enetstat", "cap"]).unwrap(), ["capabilities"]);
    assert_eq!(replies(&["enetstat", "man", "tr"]).unwrap(), ["trace"]);
}

/// Beginnings of command lines, and the word that each is completed to.
const COMPLETED: &[(&str, &str)] = &[
    ("enetstat cap", "capabilities"),
    ("enetstat man tr", "trace"),
    ("enetstat completions z", "zsh"),
    ("enetstat --numeric-h", "--numeric-hosts"),
    ("enetstat trace --max-c", "--max-connections"),
    ("enetstat trace --queues coa", "coalesced"),
    ("enetstat trace --state FIN_WAIT1", "FIN_WAIT1"),
    ("enetstat -A ax", "ax25"),
    ("enetstat --columns loc", "local"),
    ("enetstat --sort fore", "foreign"),
    ("enetstat -tn --all-n", "--all-netns"),
];

/// Types a line, a tab, and a key that prints the line.
const ZSH: &str = r#"
zmodload zsh/zpty || exit 3
directory=$1; shift
zpty shell "TERM=dumb zsh -f -i"
zpty -w shell "PS1='> '; fpath=($directory \$fpath); autoload -Uz compinit && compinit -u -d $directory/dump
print_line() { print -r -- \"<\$BUFFER>\"; BUFFER= }
zle -N print_line; bindkey '^X' print_line; setopt no_beep; print READ''Y"
zpty -r shell seen '*READY*'
for line in "$@"; do
  zpty -w -n shell "$line"$'\t'$'\x18'
  zpty -r shell seen '*<*>*'
  print -r -- "${${seen##*<}%%>*}"
done
zpty -d shell
"#;

#[test]
fn completions_complete_in_zsh() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("_enetstat"), run(&["completions", "zsh"]).stdout).unwrap();
    let mut command = Command::new("zsh");
    command.args(["-f", "-c", ZSH, "zsh"]).arg(directory.path());
    let output = command.args(COMPLETED.iter().map(|(line, _)| *line)).stdin(Stdio::null()).output();
    let Ok(output) = output else { return need::skip("needs zsh (Debian package zsh)") };
    if output.status.code() == Some(3) {
        return need::skip("this zsh has no zsh/zpty");
    }
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), COMPLETED.len(), "{output:?}");
    for (line, (typed, wanted)) in lines.iter().zip(COMPLETED) {
        let last = line.split_whitespace().last().map(|word| word.trim_end_matches('='));
        assert_eq!(last, Some(*wanted), "{typed}: {line:?}\n{}", text(&output.stderr));
    }
}

#[test]
fn completions_complete_in_fish() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("enetstat.fish");
    std::fs::write(&script, run(&["completions", "fish"]).stdout).unwrap();
    for (typed, wanted) in COMPLETED {
        let line = format!("source {}; complete -C {typed:?}", script.display());
        let mut command = Command::new("fish");
        command.args(["--no-config", "-c", &line]).env("HOME", directory.path()).stdin(Stdio::null());
        let Ok(output) = command.output() else { return need::skip("needs fish (Debian package fish)") };
        assert_eq!(text(&output.stderr), "", "{typed}");
        let words: Vec<&str> =
            text(&output.stdout).lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(words, [*wanted], "{typed}: {output:?}");
    }
}

#[test]
fn a_resolver_that_never_answers_stalls_nothing() {
    if !is_root() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    // Queries arrive here, and nobody reads them.
    let _silent = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
    let count = netstat_tests::scale("ENETSTAT_NAMES", 300).unwrap();
    let listeners: Vec<TcpListener> = (0..count)
        .map(|at| TcpListener::bind(format!("127.200.{}.{}:7000", at / 200, at % 200 + 1)).unwrap())
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let resolver = directory.path().join("resolv.conf");
    std::fs::write(&resolver, "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n").unwrap();
    let line = "mount --bind \"$1\" /etc/resolv.conf && exec \"$2\" -ta";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", line, "sh"]).arg(&resolver).arg(program::find("enetstat").unwrap());
    let begin = std::time::Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let took = begin.elapsed();
    let said = text(&output.stderr);
    if said.contains("mount") || said.contains("unshare") {
        return need::skip("needs a mount namespace of its own");
    }
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains(&format!("no answer about {count} addresses within 2 seconds")), "{said}");
    // All tables together wait once: a second wait would take it beyond twice that.
    assert!(took < 2 * netstat_user::names::PATIENCE, "{took:?}");
    let shown = text(&output.stdout);
    for listener in &listeners {
        assert!(shown.contains(&listener.local_addr().unwrap().ip().to_string()));
    }
    drop(namespace);
}
