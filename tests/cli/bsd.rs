//! BSD's netstat from outside.

use super::{enetstat, run, text};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Every display, in words that show it once.
const DISPLAYS: &[&str] = &[
    "-an",
    "-anv",
    "-anA",
    "-anx",
    "-anT",
    "-anC",
    "-anb",
    "-Ln",
    "-f unix -v",
    "-f route",
    "-rn",
    "-rnal",
    "-rs",
    "-i -n",
    "-ianbd",
    "-ih -n",
    "-s",
    "-ss",
    "-s -p tcp",
    "-is -6",
    "-m",
    "-Q",
    "-B",
    "-g -n",
    "-gan",
    "-o",
    "-O",
    "--bound -n",
    "-w 0.01 -q 2",
];

fn words(line: &str) -> Vec<&str> {
    ["--bsd"].into_iter().chain(line.split(' ')).collect()
}

#[test]
fn every_display_is_shown_and_is_json_too() {
    for line in DISPLAYS {
        let output = run(&words(line));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line}");
        assert!(output.stdout.ends_with(b"\n"), "{line}");
        let output = run(&words(&format!("{line} --json")));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line} --json");
        for json in text(&output.stdout).lines() {
            let value: serde_json::Value =
                serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
            assert!(value["enetstat.kind"].is_string(), "{json}");
        }
    }
}

#[test]
fn words_that_make_no_sense_are_named_with_exit_code_1() {
    for (line, wanted) in [
        ("-k", "-k is no option"),
        ("-R", "-R: Linux does not tell"),
        ("-sz", "-z: Linux does not let"),
        ("-f ng", "Linux has no netgraph sockets"),
        ("-f bogus", "bogus: unknown address family"),
        ("-p bogus", "bogus: unknown or uninstrumented protocol"),
        ("-r -i", "exclude each other"),
        ("-x -T", "exclude each other"),
        ("-w 0", "more than 0 seconds"),
        ("-rb", "means nothing with -r"),
    ] {
        let output = run(&words(line));
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""), "{line}");
        let said = text(&output.stderr);
        assert!(said.starts_with("enetstat: ") && said.contains(wanted), "{line}: {said}");
    }
    let output = run(&words("-is -4"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "enetstat: Linux does not count IPv4 by interface\n");
    for line in ["-I nosuch", "-I nosuch -w 1", "-rF nosuch", "-B -I nosuch"] {
        let output = run(&words(line));
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{line}");
        assert!(text(&output.stderr).contains("is called \"nosuch\""), "{line}: {output:?}");
    }
}

#[test]
fn help_and_version_are_its_own() {
    let output = run(&["--bsd", "--help"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(text(&output.stdout).contains("enetstat --bsd -w SECONDS"));
    assert_eq!(run(&["--bsd", "--version"]).stdout, run(&["--version"]).stdout);
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("bsdnetstat");
    std::os::unix::fs::symlink(netstat_tests::program::find("enetstat").unwrap(), &link).unwrap();
    let output = Command::new(&link).args(["-rn"]).output().unwrap();
    assert!(text(&output.stdout).starts_with("Routing tables\n\nInternet:\nDestination "), "{output:?}");
}

#[test]
fn a_full_disk_is_an_error_and_a_reader_that_leaves_is_none() {
    for line in DISPLAYS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = enetstat(&words(line)).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(
            text(&output.stderr).contains("cannot write to standard output: No space left"),
            "{output:?}"
        );
    }
    let mut child = enetstat(&words("-w 0.01"));
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "            input        (Total)           output\n");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn an_interval_flushes_each_line_and_ends_cleanly_when_interrupted() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut child = enetstat(&words("-w 0.02 -I lo -d"));
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let first: Vec<String> = lines.by_ref().take(23).collect();
        assert!(first[0].contains("input") && first[0].contains("lo") && first[0].contains("output"));
        assert!(first[1].ends_with("colls drops"), "{first:?}");
        assert!(first[2..].iter().all(|line| line.split_whitespace().count() == 9), "{first:?}");
        // It is in the middle of its work, and writes a heading again before the 22nd line.
        assert_eq!(lines.next().as_ref(), Some(&first[0]));
        netstat_tests::sys::signal(child.id(), signal).unwrap();
        let rest: Vec<String> = lines.collect();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(0), None), "{rest:?}");
        assert!(rest.iter().all(|line| line.split_whitespace().count() >= 3), "{rest:?}");
    }
}

#[test]
fn an_interval_that_waits_is_interrupted_at_once() {
    let mut child = enetstat(&words("-w 3600"));
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Both lines of the heading are there although no interval has passed.
    assert!(lines.next().is_some() && lines.next().is_some());
    std::thread::sleep(Duration::from_millis(50));
    netstat_tests::sys::signal(child.id(), libc::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_default_persona_shows_them_in_its_own_spelling() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let output = run(&["--listen-queues", "-n"]);
    assert!(text(&output.stdout).contains(&format!("  {addr}\n")), "{output:?}");
    let output = run(&["--bsd", "-Ln"]);
    let dotted = format!("127.0.0.1.{}", addr.port());
    assert!(text(&output.stdout).contains(&dotted), "{output:?}");
    for (words, wanted) in [
        (&["--buffers"][..], "sockets in use\n"),
        (&["-Q"], "Workstreams:\n"),
        (&["-ib"], "Ibytes"),
        (&["-I", "lo", "-n"], "<Link#"),
        (&["-tanb"], "rxbytes"),
        (&["-tan", "--congestion"], "ssthresh"),
        (&["-T", "-n"], "OOORcv"),
        (&["--socket-buffers", "-n"], "rcvtime"),
        (&["--unix-peers"], "peer process:pid"),
        (&["--netlink"], "Active netlink sockets\n"),
        (&["--packet"], "Active packet sockets\n"),
        (&["--multicast-routes", "-n"], "IPv4 Virtual Interface Table"),
        (&["--nexthops"], "Nexthop data\n"),
        (&["--interval", "0.01", "--count", "1"], "(Total)"),
    ] {
        let output = run(words);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{words:?}");
        assert!(text(&output.stdout).contains(wanted), "{words:?}: {output:?}");
    }
}
