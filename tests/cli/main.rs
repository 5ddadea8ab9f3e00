//! The program from outside: words, streams, exit codes.

mod bsd;
mod ss;

use netstat_tests::{NetNs, need, program};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

fn enetstat(words: &[&str]) -> Command {
    program::command(words).expect("the program is built")
}

fn run(words: &[&str]) -> Output {
    enetstat(words).output().expect("it starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn help_and_version_go_to_standard_output() {
    for words in [&["--help"][..], &["-h"], &["trace", "--help"], &["capabilities", "-h"]] {
        let output = run(words);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{words:?}");
        assert!(text(&output.stdout).contains("Usage: enetstat"), "{words:?}");
    }
    let output = run(&["--version"]);
    let version = format!("enetstat {} (abi {}, object ", env!("CARGO_PKG_VERSION"), netstat_common::ABI);
    assert!(text(&output.stdout).starts_with(&version), "{output:?}");
    assert_eq!(run(&["-V"]).stdout, output.stdout);
}

#[test]
fn words_that_make_no_sense_are_named_and_fail() {
    for (words, wanted) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["-tq"], "-q"),
        (&["-tn", "foo"], "  foo\n  ^^^\n"),
        (
            &["-c", "5"],
            "plain words are commands (trace, capabilities, schema, man, completions) or a filter",
        ),
        (
            &["-A", "inet,foo"],
            "the families are unix, inet, inet6, ax25, ipx, ddp, netrom, rose, x25, econet",
        ),
        (&["--tier", "kprobe"], "--tier kprobe does not list sockets"),
        (&["--continuous=soon"], "not a number of seconds"),
        (&["-tan", "--keep-closed", "5"], "--keep-closed only means something with -c"),
        (&["-sx"], "-s and -x exclude each other"),
        (&["-uac", "--keep-closed", "5"], "select no TCP sockets"),
        (&["trace", "--netns", "a", "--all-netns"], "cannot be used with"),
        (&["trace", "--close", "--queues", "every"], "exclude each other"),
        (&["trace", "--ring-size", "3"], "power of two"),
        (&["trace", "--state", "half-open"], "the states are"),
        (&["trace", "--addr", "10.0.0.0/64"], "0 to 32"),
    ] {
        let output = run(words);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{words:?}");
        let said = text(&output.stderr);
        assert!(said.starts_with("enetstat: ") && said.contains(wanted), "{words:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn what_the_kernel_does_not_have_is_named_and_stops_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = listener.local_addr().unwrap().to_string();
    let output = run(&["-ltn", "-A", "ash"]);
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(1), "enetstat: this kernel has no Ash sockets\n")
    );
    assert!(text(&output.stdout).contains(&wanted));
    let output = run(&["-4N", "-d"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn a_word_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let mut command = enetstat(&["trace", "--comm"]);
    let output = command.arg(std::ffi::OsStr::from_bytes(b"\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!text(&output.stderr).contains("panicked"));
}

#[test]
fn a_full_disk_is_an_error() {
    for words in [
        &["-tan"][..],
        &["-xan", "--json"],
        &["-rn46"],
        &["-ia"],
        &["-ie", "--json"],
        &["-gn"],
        &["--help"],
        &["--version"],
        &["schema"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = enetstat(words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(
            text(&output.stderr).contains("cannot write to standard output: No space left"),
            "{output:?}"
        );
    }
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    // Repeating, so that it writes after the reader is gone however fast it is.
    let mut child = enetstat(&["-tan", "--continuous=0.01"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "Active Internet connections (servers and established)\n");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_closed_standard_error_stops_nothing() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = enetstat(&["-tanp"]).stderr(full).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn json_is_an_object_a_line() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let output = run(&["-tuxanp", "--json"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let rows: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours = rows.iter().find(|row| row["network.local.port"] == port && row["network.transport"] == "tcp");
    let ours = ours.expect("our listener is listed");
    assert_eq!(ours["network.connection.state"], "listen");
    assert_eq!(ours["enetstat.holders"][0]["process.pid"], std::process::id());
    assert!(rows.iter().all(|row| row["enetstat.kind"] == "socket"));
}

#[test]
fn the_schema_is_json() {
    let output = run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["$defs"]["transition"].is_object());
}

#[test]
fn both_sources_tell_the_same() {
    let _listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let listen = |tier| {
        let output = run(&["-ltn", "--tier", tier]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        // Send-Q of a listener is only known to netlink.
        let lines = text(&output.stdout).lines().skip(2);
        let mut lines: Vec<Vec<String>> =
            lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
        lines.iter_mut().for_each(|words| drop(words.remove(2)));
        lines.sort();
        lines
    };
    // Other programs may listen or stop meanwhile: a difference must last to count.
    let same = (0..20).any(|_| listen("netlink") == listen("procfs"));
    assert!(same, "{:?} {:?}", listen("netlink"), listen("procfs"));
}

/// Runs as nobody, with nothing but what everybody may do.
fn as_nobody(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    fn leave() -> std::io::Result<()> {
        let nobody = 65_534;
        // SAFETY: an empty list needs no pointer.
        netstat_tests::sys::checked(unsafe { libc::setgroups(0, std::ptr::null()) })?;
        // SAFETY: no pointer is passed.
        netstat_tests::sys::checked(unsafe { libc::setgid(nobody) })?;
        // SAFETY: no pointer is passed.
        netstat_tests::sys::checked(unsafe { libc::setuid(nobody) })?;
        Ok(())
    }
    // SAFETY: the three calls are plain system calls in a child with one thread; nothing is allocated.
    unsafe { command.pre_exec(leave) }
}

#[test]
fn everybody_may_list() {
    if !rustix::process::geteuid().is_root() {
        return need::skip("needs root to become nobody");
    }
    // nobody must be able to reach the program, wherever the build directory is.
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("enetstat");
    // By another process: a child that another test starts meanwhile would hold a file written here open, and a file that
    // is open for writing cannot be run.
    assert!(
        Command::new("cp").arg(program::find("enetstat").unwrap()).arg(&copy).status().unwrap().success()
    );
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = listener.local_addr().unwrap().to_string();
    let run = |words: &[&str]| as_nobody(Command::new(&copy).args(words)).output().unwrap();

    let output = run(&["-ltn"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(text(&output.stdout).contains(&wanted));

    let output = run(&["-ltnp"]);
    assert_eq!(output.status.code(), Some(0));
    // Which of net-tools' two notes depends on whether nobody runs something with a socket.
    let note = text(&output.stderr);
    assert!(note.contains("you should be root.)\n") || note.contains("you would have to be root"), "{note}");
    let row = text(&output.stdout).lines().find(|line| line.contains(&wanted)).unwrap();
    assert!(row.trim_end().ends_with(" -"), "{row}");

    for words in [&["-rn46", "--table", "all"][..], &["-iae"], &["-gn"]] {
        let output = run(words);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{words:?}");
        assert!(output.stdout.iter().filter(|&&byte| byte == b'\n').count() > 2, "{words:?}: {output:?}");
    }
    let output = run(&["-Mn"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let said = text(&output.stderr);
    assert!(said.contains("needs root: CAP_NET_ADMIN") || said.contains("tracks no connections"), "{said}");

    let output = run(&["-ltn", "--all-netns"]);
    assert_eq!(output.status.code(), Some(1), "some namespaces cannot be examined: {output:?}");
    assert!(text(&output.stdout).contains(&wanted));
    assert!(text(&output.stderr).contains("needs root"));
}

#[test]
fn statistics_are_shown_once_or_for_ever() {
    let output = run(&["-st"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let titles: Vec<&str> = text(&output.stdout).lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(titles[..2], ["Tcp:", "TcpExt:"]);
    assert!(!titles.contains(&"Ip:"), "{titles:?}");
    assert!(text(&output.stdout).contains(" received\n"));

    let mut child = enetstat(&["-su", "-4", "--continuous=0.01"]);
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.filter(|line| line == "Udp:").take(3).count(), 3);
    child.wait().unwrap();
}

#[test]
fn statistics_as_json_are_every_counter() {
    let output = run(&["-s", "--json"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let lines = text(&output.stdout).lines();
    let all: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(all.iter().all(|line| line["enetstat.kind"] == "counter"));
    let ours = |name: &str| {
        let of = |line: &&serde_json::Value| line["enetstat.counter.name"] == name;
        let found: Vec<_> =
            all.iter().filter(of).filter(|line| line["enetstat.counter.group"] == "Tcp").collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0]["enetstat.counter.value"].as_str().unwrap().parse::<i128>().unwrap()
    };
    // The kernel has no limit of its own, and says so with a number below 0.
    assert_eq!(ours("MaxConn"), -1);
    assert!(ours("ActiveOpens") >= 0);
}

#[test]
fn what_happens_is_counted() {
    if !rustix::process::geteuid().is_root() {
        return need::skip("needs root for a network namespace of its own");
    }
    let namespace = NetNs::enter().unwrap();
    let counted = || {
        let output = run(&["-s"]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        text(&output.stdout).to_owned()
    };
    assert!(
        counted().contains("\nTcp:\n    0 active connection openings\n    0 passive connection openings\n")
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _first = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(
        counted().contains("\nTcp:\n    1 active connection opening\n    1 passive connection opening\n")
    );
    let _second = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let bound = std::net::UdpSocket::bind("[::1]:0").unwrap();
    bound.send_to(b"to itself", bound.local_addr().unwrap()).unwrap();
    bound.recv(&mut [0; 9]).unwrap();
    let after = counted();
    assert!(after.contains("\nTcp:\n    2 active connection openings\n    2 passive connection openings\n"));
    // Both ends of each.
    assert!(after.contains("\n    4 connections established\n"));
    assert!(after.contains("\nUdp6:\n    1 packet received\n"), "{after}");
    let everywhere = run(&["-s", "--json", "--all-netns"]);
    let here = |line: &&str| line.contains(&format!("\"enetstat.netns\":{},", namespace.inum()));
    let mut here = text(&everywhere.stdout).lines().filter(here);
    let opened = "\"enetstat.counter.name\":\"ActiveOpens\",\"enetstat.counter.value\":\"2\"}";
    assert!(here.any(|line| line.ends_with(opened)), "{everywhere:?}");
}
