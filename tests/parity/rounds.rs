//! `--compat` beside the installed net-tools: displays that are no listing, repeated ones, and output that cannot be written.

use crate::compat::{did, named_netstat, possible};
use crate::network;
use netstat_tests::{NetNs, need, program, sys};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn continuous_listings_repeat_until_nobody_reads() {
    if !possible() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let once = did(Command::new("netstat").arg("-ltn")).out;
    let mut child = program::command(&["--compat", "-ltnc", "0.1"]).unwrap();
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let wanted = once.len() - 1;
    let read: Vec<String> = lines.map_while(Result::ok).take(2 * wanted).collect();
    assert_eq!(read, [&once[..wanted], &once[..wanted]].concat());
    // The reader is gone with the lines: what the original dies of, too.
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGPIPE));
    drop((namespace, listener));
}

/// Displays that are no listing of sockets, by the program itself: what anybody sees, and what only root does.
#[test]
fn other_displays_are_the_same_to_everybody() {
    if !possible() || Command::new("ip").arg("-V").output().is_err() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    network::build(network::Network::Full);
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.join_multicast_v4(&[239, 1, 2, 3].into(), &[10, 1, 0, 1].into()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netstat");
    std::fs::copy(program::find("enetstat").unwrap(), &path).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let run = |program: &Path, words: &str, user: u32| {
        let mut command = Command::new(program);
        did(command.arg0("netstat").args(words.split(' ')).uid(user).gid(user))
    };
    let mut different = Vec::new();
    for words in [
        "-rn",
        "-rne",
        "-rnee",
        "-rn6",
        "-rn46",
        "-rnC",
        "-rnv",
        "-nr",
        "--route -n",
        "-rn -A inet6",
        "-rN",
        "-Fn",
        "-Cn",
        "-i",
        "-ia",
        "-ie",
        "-iae",
        "-in",
        "--interfaces",
        "-gn",
        "-gn4",
        "-gna",
        "--groups -n",
        "-M",
        "-Mn",
        "-Me",
        "-s",
        "-st",
        "-su",
        "-sw",
        "-sS",
        "-s6",
        "-stu",
        "-swt",
        "-st6",
        "-s4",
        "--statistics --tcp",
        "-r -A unix",
        "-r -A ax25",
        "-r -A ipx",
        "-r -A ddp",
        "-ri",
        "-rg",
        "-is",
        "-gs",
        "-Ms",
        "-rnx",
        "-ti",
        "-np -r",
    ] {
        if words.starts_with("-M") && words != "-Ms" && tracks_connections() {
            continue;
        }
        for user in [0, 65_534] {
            let (theirs, ours) = (Path::new("netstat"), path.as_path());
            let same = (0..20).any(|_| run(theirs, words, user) == run(ours, words, user));
            if !same {
                let both = [run(theirs, words, user), run(ours, words, user)];
                different.push(format!("{words} as {user}: {both:#?}"));
            }
        }
    }
    assert!(
        different.is_empty(),
        "{} differ\n{}",
        different.len(),
        different[..different.len().min(5)].join("\n")
    );
    assert!(run(&path, "-rn", 65_534).out.iter().any(|line| line.starts_with("10.20.0.0 ")));
    drop((namespace, socket));
}

/// `-M` works where the kernel tracks connections, and in no kernel of this century for the original.
fn tracks_connections() -> bool {
    Path::new("/proc/sys/net/netfilter/nf_conntrack_count").exists()
}

/// The first two rounds of each, side by side.
#[test]
fn the_first_two_rounds_are_the_same() {
    if !possible() {
        return;
    }
    let namespace = NetNs::enter().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let named = std::os::unix::net::UnixListener::bind_addr(
        &<std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(
            b"rounds",
        )
        .unwrap(),
    );
    let (_directory, path) = named_netstat();
    let start = |program: &Path, words: &str| {
        let mut command = Command::new(program);
        command.arg0("netstat").args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped());
        sys::die_with_parent(&mut command);
        command.stderr(Stdio::piped()).env("LC_ALL", "C").spawn().unwrap()
    };
    // All wait for their second round at once. -g is not among them: in its second round the original reads the groups of
    // one family as those of the other, and shows what its stack held.
    let words = ["-ltnc", "-tanpc", "-lxc", "-rnc", "-rn6c", "-ic", "-iec", "-stc", "-anc -W", "-c -ltn 5"];
    let both: Vec<_> =
        words.iter().map(|words| [start(Path::new("netstat"), words), start(&path, words)]).collect();
    for (words, both) in words.iter().zip(both) {
        let once = words.replacen('c', "", 1).replace("- ", "");
        let once = did(Command::new("netstat").args(once.split(' ')));
        // Counters are shown once in spite of -c, and the table of interfaces has one title.
        let wanted = match *words {
            "-stc" => once.out.len() - 1,
            _ => 2 * (once.out.len() - 1) - usize::from(words.starts_with("-i")),
        };
        let [theirs, ours] = both.map(|mut child| {
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            // Whoever starts a program has a pair of such sockets until it runs.
            let lines = lines.map_while(Result::ok).filter(|line| !line.contains(" SEQPACKET "));
            let read: Vec<String> = lines.take(wanted).collect();
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            (read, String::from_utf8_lossy(&output.stderr).into_owned())
        });
        assert_eq!(ours, theirs, "{words}");
        assert_eq!(ours.0.len(), wanted, "{words}: {ours:?}");
    }
    drop((namespace, listener, named));
}

#[test]
fn write_errors_are_ignored() {
    for words in [&["--compat", "-tan"][..], &["--compat", "-h"], &["--compat", "-V"], &["--compat", "-xa"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = program::command(words).unwrap().stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }
}

#[test]
fn a_terminal_gets_no_control_characters() {
    if !rustix::process::geteuid().is_root() {
        return need::skip("needs root for a network namespace of its own");
    }
    let namespace = NetNs::enter().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a\x1b[31mred");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (mut ours, theirs) = terminal();
    let mut command = program::command(&["--compat", "-lx"]).unwrap();
    command.stdout(theirs).status().unwrap();
    // The end of input of a terminal is an error once nobody has its other side, which the command holds.
    drop(command);
    let mut seen = Vec::new();
    let _ = ours.read_to_end(&mut seen);
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.contains("/a.[31mred\r\n") && !seen.contains('\x1b'), "{seen:?}");
    let raw = did(&mut program::command(&["--compat", "-lx"]).unwrap()).out;
    assert!(raw.iter().any(|line| line.ends_with("/a\x1b[31mred")), "{raw:?}");
    drop((namespace, listener));
}

/// Both sides of a pseudo-terminal.
fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let nothing = std::ptr::null_mut();
    // SAFETY: the two integers live until the call returns; name, settings and size may be null.
    let result = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, nothing, std::ptr::null_mut(), std::ptr::null_mut())
    };
    sys::checked(result).expect("a terminal");
    // SAFETY: the call has just given us this descriptor.
    let ours = unsafe { File::from_raw_fd(ours) };
    // SAFETY: the same for the other.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    (ours, theirs)
}
