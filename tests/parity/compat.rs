//! `--compat`, and the name `netstat`, beside the installed net-tools: standard output, standard error and exit code,
//! byte for byte.

use crate::{hold_as, netstat, sockets};
use netstat_tests::peer::Peer;
use netstat_tests::{NetNs, need, program};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Options of one word that end by themselves, mean sockets, and differ in what they do.
const OPTIONS: &[&str] = &[
    "-t",
    "-u",
    "-U",
    "-S",
    "-w",
    "-x",
    "-2",
    "-f",
    "-4",
    "-6",
    "-a",
    "-l",
    "-n",
    "-N",
    "-e",
    "-ee",
    "-o",
    "-p",
    "-W",
    "-v",
    "-Z",
    "-d",
    "-h",
    "-V",
    "-?",
    "-q",
    "--",
    "-",
    "foo",
    "-A",
    "-Ainet",
    "-Aunix,inet",
    "-Aax25",
    "-Aash",
    "-Aeconet,ddp",
    "-Aip6",
    "-Atcpip",
    "-Afoo",
    "-Aunix,",
    "-A,",
    "--tcpip",
    "--bluetooth",
    "--unix",
    "--ipx",
    "--x25",
    "--netrom",
    "--rose",
    "--appletalk",
    "--numeric-hosts",
    "--numeric-ports",
    "--numeric-users",
    "--protocol",
    "--protocol=unix",
    "--protocol=",
    "--proto",
    "-F",
    "-C",
    "-rr",
    "-ri",
    "-ss",
    "-Mr",
    "-s46",
    "-sx",
    "---",
    "--=x",
    "-t-",
    "-:",
    "-;",
    "--all=4",
    "--tcp=",
    "--nonsense",
    "--context",
];

/// Every long option that net-tools has, shortened to every length.
const LONG: &[&str] = &[
    "ax25",
    "x25",
    "ip",
    "ipx",
    "appletalk",
    "netrom",
    "inet",
    "inet6",
    "ddp",
    "rose",
    "unix",
    "bluetooth",
    "tcpip",
    "version",
    "help",
    "protocol",
    "tcp",
    "sctp",
    "udp",
    "udplite",
    "raw",
    "l2cap",
    "rfcomm",
    "listening",
    "all",
    "timers",
    "extend",
    "programs",
    "verbose",
    "wide",
    "numeric",
    "numeric-hosts",
    "numeric-ports",
    "numeric-users",
    "symbolic",
    "cache",
    "fib",
    "context",
];

/// Beginnings that are, or may become, another mode or a listing without end.
const NOT_SOCKETS: &[&str] = &["--i", "--in", "--int", "--r", "--ro", "--m", "--g", "--st", "--co", "--con"];

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn command_lines() -> Vec<Vec<String>> {
    let mut dice = Dice(2);
    let mut lines: Vec<Vec<String>> = vec![Vec::new()];
    lines.extend(OPTIONS.iter().map(|option| vec![(*option).to_owned()]));
    for name in LONG {
        lines.extend((1..=name.len()).map(|length| vec![format!("--{}", &name[..length])]));
    }
    lines.retain(|line| line.iter().all(|word| !NOT_SOCKETS.contains(&word.as_str())));
    for option in OPTIONS {
        for _ in 0..4 {
            let other = OPTIONS[dice.below(OPTIONS.len())];
            lines.push(vec![(*option).to_owned(), other.to_owned()]);
        }
    }
    for _ in 0..120 {
        let letters = b"tuUSwx46alnNeopWvd";
        let bundle = (0..1 + dice.below(7)).map(|_| char::from(letters[dice.below(letters.len())]));
        let mut line = vec![bundle.fold("-".to_owned(), |line, letter| line + &letter.to_string())];
        if dice.below(2) == 0 {
            line.insert(dice.below(2), "operand".to_owned());
        }
        lines.push(line);
    }
    for line in [
        "-tulpenW",
        "-anp",
        "-tanpeo",
        "-ltnp",
        "-xanp",
        "-t -n -- -x",
        "-tn foo bar",
        "-A inet -A unix -n",
        "-A unix -x -a",
        "--protocol inet,inet6 -aon",
        "--protocol=inet6 -W",
        "-naA inet",
        "-vaS",
        "-lS",
        "-6S",
        "-46S",
        "-uS4",
        "-x2",
        "-tf",
        "-A bluetooth -t",
        "-v --ipx",
        "-vl",
        "-va",
        "-Wa",
        "-ae",
        "-aWe",
        "-apWeo --numeric-ports",
        "-a --numeric-hosts",
    ] {
        lines.push(line.split(' ').map(str::to_owned).collect());
    }
    lines
}

/// What a program did, with the running of its timers left out.
#[derive(Debug, PartialEq)]
pub struct Did {
    pub out: Vec<String>,
    pub err: String,
    pub code: Option<i32>,
}

pub fn did(command: &mut Command) -> Did {
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Did {
        // The last part tells whether there was a newline at the end.
        out: text.split('\n').map(without_time).collect(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    }
}

/// `keepalive (7175.54/0/0)` without its seconds.
fn without_time(line: &str) -> String {
    let running = ["on (", "keepalive (", "timewait (", "probe ("];
    let Some(open) = running.iter().find_map(|word| Some(line.rfind(&format!(" {word}"))? + 1 + word.len()))
    else {
        return line.to_owned();
    };
    let seconds = line[open..].find('/').unwrap_or(0);
    format!("{}SECONDS{}", &line[..open], &line[open + seconds..])
}

fn theirs(words: &[String]) -> Did {
    did(Command::new("netstat").args(words))
}

/// A directory with our program under the name `netstat`.
pub fn named_netstat() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("netstat");
    std::os::unix::fs::symlink(program::find("enetstat").expect("it is built"), &path).expect("a link");
    (directory, path)
}

/// Whether this test can run, which it says when it cannot.
pub fn possible() -> bool {
    if !rustix::process::geteuid().is_root() {
        need::skip("needs root for a network namespace of its own");
        return false;
    }
    let version = netstat(&["-V"]);
    let known = version.is_some_and(|output| output.stdout.starts_with(b"net-tools 2.10\n"));
    if !known {
        need::skip("needs netstat of net-tools 2.10 (Debian package net-tools)");
    }
    known
}

/// Runs both until they agree; they need not when theirs does not agree with itself.
fn compare(words: &[String], ours: &dyn Fn() -> Did) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..10 {
        let (before, found, after) = (theirs(words), ours(), theirs(words));
        if found == before || found == after {
            return Ok(());
        }
        let lines = |mark: char, of: &Did, other: &Did| {
            let only = of.out.iter().filter(|line| !other.out.contains(line));
            only.take(5).map(|line| format!("{mark} {line:?}\n")).collect::<String>()
        };
        last = format!(
            "{}{}- {:?} {:?}\n+ {:?} {:?}\n",
            lines('-', &before, &found),
            lines('+', &found, &before),
            before.err,
            before.code,
            found.err,
            found.code
        );
    }
    Err(format!("netstat {words:?}\n{last}"))
}

#[test]
fn every_command_line_does_the_same() {
    if !possible() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    // A name of 19 bytes and more that does not end where it may be cut, with characters that a terminal obeys.
    let (mut holder, pipe) = hold_as("/odd/na\x1b[1mme with words\x07 and more", &[("ENETSTAT_ODD", "1")]);
    // The sockets are there: empty tables would agree too.
    let seen = theirs(&["-anpe".to_owned()]);
    let odd = ["@forged", "/a\n", "esc\x1b[31m", "warning, got bogus unix line."];
    for wanted in odd.into_iter().chain(sockets::STATES) {
        let found =
            seen.err.contains(wanted) || seen.out.iter().any(|line| format!("{line}\n").contains(wanted));
        assert!(found, "no {wanted:?}: {seen:?}");
    }
    let (directory, path) = named_netstat();
    let mut different = Vec::new();
    let lines = command_lines();
    for (number, words) in lines.iter().enumerate() {
        let by_name = || did(Command::new(&path).arg0("netstat").args(words));
        let by_option = || did(program::command(&["--compat"]).unwrap().args(words));
        // Both ways lead to the same code: half of the lines each, and both for the first.
        if number % 2 == 0 {
            different.extend(compare(words, &by_name).err());
        }
        if number % 2 == 1 || number == 0 {
            different.extend(compare(words, &by_option).err());
        }
    }
    // In one stream the lines of both stand where the original has them.
    let in_one = |program: &str, words: &[&str]| {
        did(Command::new("sh").args(["-c", "exec 2>&1; exec \"$0\" \"$@\"", program]).args(words))
    };
    for words in [&["-v"][..], &["-anv"], &["-xa"], &["-aS"], &["-axnv"], &["-anpeoW"]] {
        let same = (0..10).any(|_| in_one("netstat", words) == in_one(path.to_str().unwrap(), words));
        if !same {
            different.push(format!("{words:?} in one stream"));
        }
    }
    let (all, wrong) = (lines.len(), different.len());
    assert!(different.is_empty(), "{wrong} of {all} differ\n{}", different[..wrong.min(20)].join("\n"));
    assert!(all > 500, "{all}");
    // Those whose peer has an address without a name, for which the original waits long: only in numbers.
    let peer = Peer::new(&namespace).unwrap();
    let hard = sockets::hard(&peer).unwrap();
    let mut different = Vec::new();
    for line in
        ["-tan", "-tn", "-ltn", "-tanp", "-tane", "-tano", "-tanpeo", "-anW", "-4an", "-6an", "-W -tn"]
    {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        different.extend(compare(&words, &|| did(Command::new(&path).arg0("netstat").args(&words))).err());
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    let seen = theirs(&["-anpe".to_owned()]);
    for wanted in sockets::HARD {
        assert!(seen.out.iter().any(|line| line.contains(wanted)), "no {wanted}: {seen:?}");
    }
    // A listener whose queue is full, and one who waits before it.
    let queue =
        |line: &String| line.starts_with("tcp        1      0 127.0.0.1:") && line.contains(" LISTEN ");
    assert!(seen.out.iter().any(queue), "{seen:?}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    drop((hard, peer, namespace, pipe, directory));
}

/// Families that this kernel may not have are shown from files that stand in for /proc, to both programs.
#[test]
fn families_that_few_kernels_have_are_shown_the_same() {
    if !possible() {
        return;
    }
    let proc = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/proc/rare");
    let (_directory, path) = named_netstat();
    let run = |program: &str, words: &str| {
        let mount = "mount --bind \"$0\" /proc && exec \"$@\"";
        let mut command = Command::new("unshare");
        did(command.args(["-m", "sh", "-c", mount, proc, program]).args(words.split(' ')))
    };
    for words in [
        "-S",
        "-aS",
        "-lS",
        "-laS",
        "-aSeo",
        "-aSn",
        "-aS --numeric-ports",
        "-aSN",
        "-a -A ax25,netrom,rose,x25",
        "-A x25",
        "-v",
        "-aWv",
        "-4",
        "-6S",
        "-an",
    ] {
        let ours = run(path.to_str().unwrap(), words);
        assert_eq!(run("netstat", words), ours, "{words}");
        assert!(words != "-aS" || ours.out.len() == 13, "{ours:?}");
    }
    // Our own listing has the rows of such networks in the same columns, and SCTP among the inet sockets.
    let words = "-a -A ax25,netrom,rose,x25";
    let own = program::find("enetstat").unwrap();
    assert_eq!(run(own.to_str().unwrap(), words).out[0], run("netstat", words).out[0]);
    assert_eq!(run(own.to_str().unwrap(), "-A netrom,rose"), run("netstat", "-A netrom,rose"));
    // JSON has the numbers of each row.
    for (words, numbers) in [
        ("-A ax25", vec![vec!["LINUX-2", "LINUX-1", "ax0", "established", "1", "2", "7", "9"]]),
        (
            "-A netrom",
            vec![
                vec!["LINUX-1", "LINUX-2", "LINUX-3", "nr0", "established", "1", "2", "7", "9"],
                vec!["LINUX-12", "*", "LINUX-13", "nr1", "listening", "0"],
            ],
        ),
        (
            "-A rose",
            vec![vec!["208017552", "LINUX-1", "208017553", "LINUX-2", "rose0", "1", "2", "established"]],
        ),
        (
            "-Sn",
            vec![vec!["127.0.0.1", "80", "40000", "16", "5", "established", "10.0.0.1", "10.0.0.10", "4246"]],
        ),
    ] {
        let rows = run(own.to_str().unwrap(), &format!("{words} --json")).out;
        let rows: Vec<Vec<String>> =
            rows.iter().filter(|row| !row.is_empty()).map(|row| values(row)).collect();
        for wanted in numbers {
            let has = |row: &&Vec<String>| wanted.iter().all(|value| row.iter().any(|found| found == value));
            assert!(rows.iter().find(has).is_some(), "{words}: no row with {wanted:?}: {rows:#?}");
        }
    }
    let sctp = run(own.to_str().unwrap(), "-Sn");
    assert_eq!(
        sctp.out[2],
        "sctp      16      5 127.0.0.1:80            127.0.0.1:40000         ESTABLISHED"
    );
}

/// Every value of a JSON object, as text.
fn values(row: &str) -> Vec<String> {
    fn of(value: &serde_json::Value, values: &mut Vec<String>) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| of(item, values)),
            serde_json::Value::Object(members) => members.values().for_each(|member| of(member, values)),
            serde_json::Value::String(text) => values.push(text.clone()),
            other => values.push(other.to_string()),
        }
    }
    let mut values = Vec::new();
    of(&serde_json::from_str(row).unwrap_or_else(|error| panic!("{row}: {error}")), &mut values);
    values
}

#[test]
fn the_name_in_messages_is_the_one_it_was_called_by() {
    let (_directory, path) = named_netstat();
    let said = did(Command::new(&path).arg("-q")).err;
    assert!(said.starts_with(&format!("{}: invalid option -- 'q'\nusage: ", path.display())), "{said}");
    let said = did(program::command(&["-t", "--compat", "-q"]).unwrap().arg("x")).err;
    assert!(said.starts_with("netstat: invalid option -- 'q'\nusage: "), "{said}");
}

#[test]
fn every_command_line_does_the_same_without_privilege() {
    if !possible() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    let (mut holder, pipe) = hold_as("/odd/na\x1b[1mme with words", &[("ENETSTAT_ODD", "1")]);
    // nobody must be able to reach the program, wherever the build directory is.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netstat");
    std::fs::copy(program::find("enetstat").unwrap(), &path).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let as_nobody = |program: &str, words: &[String]| {
        let mut command = Command::new(program);
        did(command.arg0("netstat").args(words).uid(65_534).gid(65_534))
    };
    let asking = ["-tanp", "-xanp", "-anp", "-p", "-A ax25 -p", "-laputxw", "-apWeo"];
    let asking = asking.map(|line| line.split(' ').map(str::to_owned).collect());
    // Of the others each second one, which are still more than twice those that people type.
    let lines: Vec<Vec<String>> = command_lines().into_iter().step_by(2).chain(asking).collect();
    assert!(lines.len() > 250, "{}", lines.len());
    let mut different = Vec::new();
    for words in &lines {
        let same = (0..10).any(|_| as_nobody("netstat", words) == as_nobody(path.to_str().unwrap(), words));
        if !same {
            let both = [as_nobody("netstat", words), as_nobody(path.to_str().unwrap(), words)];
            different.push(format!("{words:?}: {both:?}"));
        }
    }
    assert!(
        different.is_empty(),
        "{} differ\n{}",
        different.len(),
        different[..different.len().min(5)].join("\n")
    );
    drop(holder.stdin.take());
    holder.wait().unwrap();
    drop((namespace, pipe));
}
