//! `-s` as net-tools does it beside the installed netstat, over files of our own making.

use netstat_tests::{need, sys};
use netstat_user::agent::statistics::run_at;
use netstat_user::args::plan::{CompatFamilies, StatisticsPlan};
use netstat_user::source::Procfs;
use netstat_user::view::Protocols;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A directory that is /proc for the programs that are compared.
struct Proc(tempfile::TempDir);

/// What a program wrote to its two streams, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Said(String, String, i32);

const FILES: [&str; 4] = ["snmp", "netstat", "snmp6", "sctp/snmp"];

impl Proc {
    /// `None`, having said why, when there is nothing to compare with.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            need::skip("needs root to mount a /proc of its own");
            return None;
        }
        let version = super::netstat(&["-V"]).map(|output| output.stdout).unwrap_or_default();
        if !version.starts_with(b"net-tools 2.10\n") {
            need::skip("needs netstat of net-tools 2.10 (Debian package net-tools)");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("net/sctp")).expect("a directory");
        Some(Self(dir))
    }

    /// Makes the files; those that are `None` are not there.
    fn fill(&self, contents: [Option<&[u8]>; 4]) {
        for (name, content) in FILES.into_iter().zip(contents) {
            let path = self.0.path().join("net").join(name);
            match content {
                Some(content) => std::fs::write(path, content).expect("a file"),
                None => drop(std::fs::remove_file(path)),
            }
        }
    }

    fn theirs(&self, words: &[&str]) -> Said {
        let mut command = Command::new("netstat");
        command.arg("-s").args(words).env("LC_ALL", "C");
        let here = CString::new(self.0.path().as_os_str().as_bytes()).expect("no NUL");
        let mount = move || {
            // SAFETY: no pointer is passed.
            sys::checked(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
            let (none, flags) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
            // SAFETY: the one string ends with a NUL; the others are not needed for these flags.
            sys::checked(unsafe { libc::mount(none, c"/".as_ptr(), none, flags, none.cast()) })?;
            // SAFETY: both strings end with a NUL.
            sys::checked(unsafe {
                libc::mount(here.as_ptr(), c"/proc".as_ptr(), none, libc::MS_BIND, none.cast())
            })?;
            Ok(())
        };
        // SAFETY: three system calls in a child with one thread; nothing is allocated.
        unsafe { command.pre_exec(mount) };
        let output = command.output().expect("netstat");
        said(output.stdout, output.stderr, output.status.code().unwrap_or(-1))
    }

    fn ours(&self, families: &str, protocols: Protocols) -> Said {
        ours(self.0.path(), families, protocols)
    }
}

fn ours(root: &Path, families: &str, protocols: Protocols) -> Said {
    let compat = Some(CompatFamilies(families.to_owned()));
    let plan = StatisticsPlan { protocols, compat, ..StatisticsPlan::default() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run_at(&plan, &Procfs::at(root), &mut out, &mut err).expect("a buffer takes all");
    said(out, err, if outcome.complete { 0 } else { 1 })
}

fn said(out: Vec<u8>, err: Vec<u8>, code: i32) -> Said {
    // Bytes that are no text are shown apart, so that they differ.
    let text =
        |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_else(|error| format!("{:?}", error.into_bytes()));
    Said(text(out), text(err), code)
}

/// Every word in the program: its counters are among them, whatever we know of them.
fn words() -> Vec<String> {
    let path = ["/usr/bin/netstat", "/bin/netstat"].into_iter().find(|path| Path::new(path).exists());
    let bytes = std::fs::read(path.expect("netstat is somewhere")).expect("it can be read");
    let words = bytes.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| word.len() > 1);
    let mut words: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    words.sort();
    words.dedup();
    words
}

const GROUPS: [&str; 12] =
    ["Ip", "Icmp", "IcmpMsg", "Tcp", "Udp", "UdpLite", "TcpExt", "IpExt", "MPTcpExt", "Sctp", "Tcp6", "New"];

#[test]
fn every_word_of_the_program_is_the_same_counter() {
    let Some(proc) = Proc::new() else { return };
    let words = words();
    assert!(words.iter().any(|word| word == "TCPAbortOnMemory"));
    for value in ["0", "1", "2", "-1", "18446744073709551615", "99999999999999999999"] {
        for group in GROUPS {
            // The unknown one tells how far things are indented.
            let names: String = words.iter().map(|word| format!(" {word} zZ")).collect();
            let values: String = words.iter().map(|_| format!(" {value} 1")).collect();
            let pairs = format!("{group}:{names}\n{group}:{values}\n");
            let (six, sctp): (String, String) = words
                .iter()
                .map(|word| (format!("{word} {value}\nzZ 1\n"), format!("{word}\t{value}\nzZ 1\n")))
                .unzip();
            let empty: Option<&[u8]> = Some(b"");
            proc.fill([Some(pairs.as_bytes()), empty, Some(six.as_bytes()), Some(sctp.as_bytes())]);
            assert_eq!(proc.theirs(&[]), proc.ours("", Protocols::default()), "{group} {value}");
            assert_eq!(proc.theirs(&["-6"]), proc.ours("inet6", Protocols::default()), "{group} {value}");
            proc.fill([empty, Some(pairs.as_bytes()), empty, None]);
            assert_eq!(proc.theirs(&["-4"]), proc.ours("inet", Protocols::default()), "{group} {value}");
        }
    }
}

/// The counters of this host, and those that the golden files are made of.
#[test]
fn hosts_are_counted_the_same() {
    let Some(proc) = Proc::new() else { return };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/proc/counters");
    for root in [Path::new("/proc"), &fixture] {
        let files = FILES.map(|name| std::fs::read(root.join("net").join(name)).ok());
        proc.fill(files.each_ref().map(|file| file.as_deref()));
        let theirs = proc.theirs(&[]);
        assert!(theirs.0.starts_with("Ip:\n") && theirs.0.contains("\nTcpExt:\n"), "{theirs:?}");
        assert_eq!(theirs, proc.ours("", Protocols::default()));
        assert_eq!(proc.theirs(&["-6"]), proc.ours("inet6", Protocols::default()));
        // It does not repeat.
        assert_eq!(proc.theirs(&["-c"]), proc.ours("", Protocols::default()));
        for (words, protocols) in choices() {
            assert_eq!(proc.theirs(&[words.as_str()]), proc.ours("", protocols), "{words}");
            assert_eq!(proc.theirs(&["-6", words.as_str()]), proc.ours("inet6", protocols), "-6 {words}");
        }
    }
}

#[test]
fn files_that_cannot_be_read_are_told_the_same() {
    let Some(proc) = Proc::new() else { return };
    let good = [
        &b"Tcp: InSegs\nTcp: 1\n"[..],
        b"TcpExt: TW\nTcpExt: 2\n",
        b"Ip6InReceives 3\n",
        b"SctpShutdowns 4\n",
    ];
    for (at, name) in FILES.into_iter().enumerate() {
        let compare = |how: &str| {
            for (words, protocols) in choices() {
                assert_eq!(proc.theirs(&[words.as_str()]), proc.ours("", protocols), "{name} {how}: {words}");
                assert_eq!(
                    proc.theirs(&["-6", words.as_str()]),
                    proc.ours("inet6", protocols),
                    "{name} {how}: {words}"
                );
            }
        };
        let mut files = good.map(Some);
        files[at] = None;
        proc.fill(files);
        compare("missing");
        std::fs::create_dir(proc.0.path().join("net").join(name)).unwrap();
        compare("a directory");
        std::fs::remove_dir(proc.0.path().join("net").join(name)).unwrap();
    }
}

#[test]
fn long_lines_are_cut_the_same() {
    let Some(proc) = Proc::new() else { return };
    for length in [1021, 1022, 1023, 1024, 1025, 2046, 2047, 5000] {
        let blanks = " ".repeat(length - "SctpShutdowns5".len());
        // A name that fills its piece to the end leaves an empty line behind, and for that a piece of memory is shown.
        let name = "N".repeat(if length % 1023 == 0 { 60 } else { length - 2 });
        let pairs = format!("Ip: InReceives{blanks}{name}\nIp:{blanks}5 6\nNew: A\nNew: 7\n");
        let six = format!("Ip6A 1\nIp6InReceives{blanks}5\nUdp6{name} 8\n{name} 9\nIp6B 2\n");
        let sctp = format!("SctpShutdowns{blanks}5\n{name} 8\nSctpA 2\n");
        let [pairs, six, sctp] = [&pairs, &six, &sctp].map(|file| Some(file.as_bytes()));
        proc.fill([pairs, pairs, six, sctp]);
        assert_eq!(proc.theirs(&[]), proc.ours("", Protocols::default()), "{length}");
        assert_eq!(proc.theirs(&["-6"]), proc.ours("inet6", Protocols::default()), "{length}");
    }
}

#[test]
fn families_without_counters_are_refused_the_same() {
    let Some(proc) = Proc::new() else { return };
    proc.fill([Some(b"Ip: A\nIp: 1\n"), None, None, None]);
    for (word, families) in
        [("-x", "unix"), ("-46", "inet,inet6"), ("-64", "inet6,inet"), ("-44", "inet,inet")]
    {
        let theirs = proc.theirs(&[word]);
        assert_eq!(theirs.2, 1);
        assert_eq!(theirs, proc.ours(families, Protocols::default()), "{word}");
    }
}

/// Each selection of protocols as flags.
fn choices() -> Vec<(String, Protocols)> {
    let choice = |bits: u32| {
        let has = |bit: u32| bits & bit != 0;
        let protocols = Protocols { ip: has(1), tcp: has(2), udp: has(4), udplite: has(8), sctp: has(16) };
        let letters = "wtuUS".chars().enumerate().filter(|(at, _)| has(1 << at)).map(|(_, letter)| letter);
        (format!("-n{}", letters.collect::<String>()), protocols)
    };
    (0..32).map(choice).collect()
}

/// A number as the kernel writes it, or something else.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("0".to_owned()),
        4 => any::<u8>().prop_map(|value| value.to_string()),
        4 => any::<u64>().prop_map(|value| value.to_string()),
        1 => any::<i64>().prop_map(|value| value.to_string()),
        1 => prop::sample::select(vec![
            "", "x", "1x", "-", "-1", "+7", "0x10", "010", "1.5", "18446744073709551615", "18446744073709551616",
            "-18446744073709551616", "99999999999999999999999", "\u{b}3", "4\r",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Groups in pairs of lines, with the counters in any order.
fn pairs(words: &[String]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let name = prop_oneof![
        9 => prop::sample::select(words.to_vec()),
        1 => "[A-Za-z:,\t ]{0,12}",
    ];
    let group =
        prop_oneof![9 => prop::sample::select(GROUPS.map(str::to_owned).to_vec()), 1 => "[A-Za-z0-9 ]{0,8}"];
    let counters = prop::collection::vec((name, value()), 0..40);
    prop::collection::vec((group, counters, 0..20_u8), 0..8).prop_map(|groups| {
        let mut file = Vec::new();
        for (group, counters, oddity) in groups {
            let names: Vec<&str> = counters.iter().map(|(name, _)| name.as_str()).collect();
            let values: Vec<&str> = counters.iter().map(|(_, value)| value.as_str()).collect();
            file.extend(format!("{group}: {}\n", names.join(" ")).bytes());
            match oddity {
                0 => file.push(b'\n'),
                1 => file.extend(b"no colon\n"),
                2 => file.extend(format!("Other: {}\n", values.join("  ")).bytes()),
                3 => file.extend(
                    format!("{group}:{}\n\n", values.get(1..).unwrap_or_default().join("\t")).bytes(),
                ),
                _ => file.extend(format!("{group}: {}\n", values.join(" ")).bytes()),
            }
        }
        file
    })
}

/// A counter a line.
fn lines(words: &[String], prefixes: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let counters = words.iter().filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)));
    let name = prop_oneof![
        9 => prop::sample::select(counters.cloned().collect::<Vec<_>>()),
        1 => prop::sample::select(prefixes.to_vec()).prop_map(|prefix| format!("{prefix}New")),
        1 => "[A-Z6]{1,3}",
    ];
    let between = prop::sample::select(vec![" ", "\t", "  \t", "                    \t"]);
    prop::collection::vec((name, between, value()), 1..60).prop_map(|lines| {
        lines
            .iter()
            .flat_map(|(name, between, value)| format!("{name}{between}{value}\n").into_bytes())
            .collect()
    })
}

/// The file as it is, or without its end, or not at all.
fn cut(file: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Option<Vec<u8>>> {
    (file, 0..8_u8, any::<prop::sample::Index>()).prop_map(|(mut file, how, at)| {
        match how {
            0 => return None,
            1 => file.truncate(at.index(file.len() + 1)),
            2 if !file.is_empty() => {
                let at = at.index(file.len());
                file[at] = 0;
            }
            _ => {}
        }
        Some(file)
    })
}

#[test]
fn any_counters_are_shown_the_same() {
    let Some(proc) = Proc::new() else { return };
    let words = words();
    let files = (
        cut(pairs(&words)),
        cut(pairs(&words)),
        cut(lines(&words, &["Ip6", "Icmp6", "Udp6", "Tcp6", "UdpLite6"])),
        cut(lines(&words, &["Sctp"])),
    );
    let cases = netstat_tests::scale("ENETSTAT_PARITY_CASES", 300).unwrap();
    let config = Config { cases: cases as u32, failure_persistence: None, ..Config::default() };
    let choice = prop::sample::select(choices());
    TestRunner::new(config)
        .run(&(files, choice), |((snmp, netstat, snmp6, sctp), (flags, protocols))| {
            // What is missing in a line of SCTP, and in the first line of IPv6, it takes from memory that it never set.
            let is_sound = |file: &Vec<u8>| {
                let mut lines = file.split_inclusive(|byte| matches!(byte, 0 | b'\n'));
                lines.all(|line| line.iter().any(|byte| matches!(byte, b' ' | b'\t')))
            };
            let sctp = sctp.filter(is_sound);
            let snmp6 = snmp6.map(|file| [b"Ip6InReceives 1\n", &file[..]].concat());
            proc.fill([snmp.as_deref(), netstat.as_deref(), snmp6.as_deref(), sctp.as_deref()]);
            prop_assert_eq!(proc.theirs(&[&flags]), proc.ours("", protocols));
            prop_assert_eq!(proc.theirs(&[&flags, "-6"]), proc.ours("inet6", protocols));
            Ok(())
        })
        .unwrap();
}
