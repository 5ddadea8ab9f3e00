//! Network namespaces: found wherever something keeps them, shown by name, and not kept by us.

use anyhow::{Context, Result, ensure};
use netstat_tests::need::{Need, need};
use netstat_tests::{Actor, NetNs, Trace, program, sys, traffic};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// `ip` with these words.
fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output().context("ip")?;
    ensure!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A namespace that `ip netns` made, with loopback up; gone when this is dropped.
struct Named(String);

impl Named {
    fn new(word: &str) -> Result<Self> {
        let named = Self(format!("enetstat-{word}-{}", std::process::id()));
        ip(&format!("netns add {}", named.0))?;
        ip(&format!("-n {} link set lo up", named.0))?;
        Ok(named)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // A test may have done so itself.
        let _ = ip(&format!("netns del {}", self.0));
    }
}

/// A bind mount of the calling thread's namespace, outside of where `ip netns` looks.
struct Mounted(PathBuf);

impl Mounted {
    fn here() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("enetstat-netns-{}", std::process::id()));
        std::fs::write(&path, "")?;
        let mounted = Self(path);
        rustix::mount::mount_bind("/proc/thread-self/ns/net", &mounted.0).context("bind mount")?;
        Ok(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Nothing more can be done about what stays.
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
        let _ = std::fs::remove_file(&self.0);
    }
}

fn shown(words: &[&str]) -> Result<String> {
    let output = program::command(words)?.output()?;
    // 1: there are processes here that nobody may look at.
    let code = output.status.code();
    ensure!(matches!(code, Some(0 | 1)), "{words:?}: {code:?} {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The first cell of the line with this text.
fn label(listing: &str, wanted: &str) -> Result<String> {
    let line = listing.lines().find(|line| line.contains(wanted));
    let line = line.with_context(|| format!("no {wanted:?} in {listing}"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Moves the calling thread into a namespace of `ip netns` while `work` runs.
fn within<T>(named: &Named, work: impl FnOnce() -> Result<T> + Send) -> Result<T>
where
    T: Send,
{
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = std::fs::File::open(format!("/run/netns/{}", named.0))?;
            rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&file),
                Some(rustix::thread::LinkNameSpaceType::Network),
            )?;
            work()
        });
        sys::joined(thread.join())?
    })
}

#[test]
fn each_is_listed_whatever_keeps_it_and_its_label_can_be_typed() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let named = Named::new("list")?;
    let by_name = within(&named, || Ok(TcpListener::bind("127.0.0.1:0")?))?;

    let lived_in = NetNs::enter()?;
    let mut actor = Actor::start()?;
    let by_process = actor.listen(false)?;
    drop(lived_in);

    let space = NetNs::enter()?;
    let mount = Mounted::here()?;
    let by_mount = TcpListener::bind("127.0.0.1:0")?;
    let mounted = space.inum();
    drop(space);

    let space = NetNs::enter()?;
    let by_socket = TcpListener::bind("127.0.0.1:0")?;
    let kept = space.inum();
    drop(space);

    let all = shown(&["-ltn", "--all-netns"])?;
    for (port, wanted) in [
        (by_name.local_addr()?.port(), named.0.clone()),
        (by_process.port(), format!("pid:{}", actor.pid())),
        (by_mount.local_addr()?.port(), format!("net:[{mounted}]")),
        (by_socket.local_addr()?.port(), format!("net:[{kept}]")),
    ] {
        let place = format!(" 127.0.0.1:{port} ");
        let found = label(&all, &place)?;
        ensure!(found == wanted, "{place} is in {wanted}, not in {found}: {all}");
        let one = shown(&["-ltn", "--netns", &wanted])?;
        let rows = one.lines().filter(|line| line.starts_with("tcp ")).count();
        ensure!(one.contains(&place) && rows == 1, "--netns {wanted}: {one}");
    }
    let path = mount.0.to_str().context("path")?;
    ensure!(shown(&["-ltn", "--netns", path])?.contains(&by_mount.local_addr()?.to_string()));
    Ok(())
}

#[test]
fn every_display_has_every_namespace() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let named = Named::new("show")?;
    for words in [
        "link add eshown type veth peer name epeer",
        "addr add 198.51.100.1/24 dev eshown",
        "link set eshown up",
        "link set epeer up",
    ] {
        ip(&format!("-n {} {words}", named.0))?;
    }
    for (words, head, row) in [
        (["-r", "-n"], "Netns", " 198.51.100.0 "),
        (["-i", "-a"], "Netns", " eshown "),
        (["-g", "-n"], "Netns", " eshown "),
    ] {
        let all = shown(&[words[0], words[1], "--all-netns"])?;
        ensure!(label(&all, "Iface").or_else(|_| label(&all, "RefCnt"))? == head, "{all}");
        ensure!(label(&all, row)? == named.0, "{all}");
        let one = shown(&[words[0], words[1], "--netns", &named.0])?;
        ensure!(one.contains(row.trim()) && !one.contains(head), "{one}");
    }
    let all = shown(&["-s", "--all-netns"])?;
    ensure!(all.contains(&named.0), "{all}");
    let json = shown(&["-rn", "--json", "--all-netns"])?;
    let inum = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(format!("/run/netns/{}", named.0))?);
    let ours = |line: &str| {
        line.contains(&format!("\"enetstat.netns\":{inum},")) && line.contains("198.51.100.0/24")
    };
    ensure!(json.lines().any(ours), "{json}");
    let missing = program::command(&["-rn", "--netns", "no-such-namespace"])?.output()?;
    ensure!(missing.status.code() == Some(2), "{missing:?}");
    ensure!(String::from_utf8_lossy(&missing.stderr).contains("/run/netns/no-such-namespace"), "{missing:?}");
    Ok(())
}

/// Displays of BSD's netstat that are of a namespace: words, a piece of the row that is in the named one alone, and whether
/// the row has a column or a title says where it is.
const BSD: &[(&str, &str, bool)] = &[
    ("-an -p tcp", ".7117 ", true),
    ("-anx -p tcp", ".7117 ", true),
    ("-Ln", ".7117", true),
    ("-rn", "198.51.100/24 ", true),
    ("-rna", "198.51.100.1 ", true),
    ("-in", "eshown ", true),
    ("-I eshown -n", "eshown ", true),
    ("-gan", " eshown", true),
    ("-a -f unix", "@shown", true),
    ("-f route", "rtnl ", true),
    ("-o", "4242 ", true),
    ("-B", "eshown ", true),
    ("-w 0.01 -q 2 -I eshown", " 0 ", true),
    ("-is -I eshown", "ip6 on eshown:", false),
    ("-s -p tcp", "tcp:", false),
    ("-m", "sockets:", false),
    ("-rs", "routing:", false),
];

#[test]
fn every_display_of_bsd_has_every_namespace() -> Result<()> {
    let Some(_) = need(Need::Anything)? else { return Ok(()) };
    let named = Named::new("bsd")?;
    for words in [
        "link add eshown type veth peer name epeer",
        "addr add 198.51.100.1/24 dev eshown",
        "link set eshown up",
        "link set epeer up",
        "nexthop add id 4242 via 198.51.100.2 dev eshown",
    ] {
        ip(&format!("-n {} {words}", named.0))?;
    }
    let sockets = within(&named, || {
        let name =
            <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(
                b"shown",
            )?;
        let reader = rustix::net::socket(
            rustix::net::AddressFamily::PACKET,
            rustix::net::SocketType::RAW,
            Some(rustix::net::Protocol::from_raw(std::num::NonZeroU32::new(0x0300).context("a protocol")?)),
        )?;
        Ok((
            TcpListener::bind("127.0.0.1:7117")?,
            std::os::unix::net::UnixListener::bind_addr(&name)?,
            reader,
        ))
    })?;
    let inum = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(format!("/run/netns/{}", named.0))?);
    let bsd = |line: &str, more: &[&str]| {
        let words: Vec<&str> =
            ["--bsd"].into_iter().chain(line.split(' ')).chain(more.iter().copied()).collect();
        shown(&words)
    };
    for &(line, row, column) in BSD {
        // A packet socket of all interfaces has no name of one.
        let row = if line == "-B" { "*" } else { row };
        let all = bsd(line, &["--all-netns"])?;
        let of = |text: &str| text.split_whitespace().next() == Some(named.0.as_str());
        if column {
            let found = all.lines().any(|text| of(text) && text.contains(row));
            ensure!(
                found && all.lines().any(|text| text.split_whitespace().next() == Some("Netns")),
                "{line}: {all}"
            );
        } else {
            let title = format!("Network namespace {}\n", named.0);
            let below = all.split_once(&title).with_context(|| format!("{line}: {all}"))?.1;
            let below = below.split("Network namespace ").next().unwrap_or_default();
            ensure!(below.lines().any(|text| text.starts_with(row)), "{line}: {all}");
        }
        let one = bsd(line, &["-j", &named.0])?;
        ensure!(one.contains(row.trim()) && !one.contains("Netns"), "{line}: {one}");
        let json = bsd(line, &["--all-netns", "--json"])?;
        let ours = format!("\"enetstat.netns\":{inum},");
        ensure!(json.lines().any(|text| text.contains(&ours)), "{line}: {json}");
        for text in json.lines() {
            let value: serde_json::Value = serde_json::from_str(text)?;
            ensure!(value["enetstat.netns"].is_u64(), "{line}: {text}");
        }
    }
    // In the other persona's words and spelling.
    let queues = shown(&["--listen-queues", "-n", "--all-netns"])?;
    ensure!(label(&queues, " 127.0.0.1:7117")? == named.0, "{queues}");
    // An interface that is nowhere is said to be nowhere.
    for line in ["-I nosuchlink", "-w 0.01 -q 1 -I nosuchlink"] {
        let words: Vec<&str> = ["--bsd", "--all-netns"].into_iter().chain(line.split(' ')).collect();
        let output = program::command(&words)?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(2) && said.contains("no interface is called \"nosuchlink\""),
            "{said}"
        );
    }
    drop(sockets);
    Ok(())
}

/// One comes while the trace runs, is told of by name, and goes at once when it is deleted, though it was listed.
#[test]
fn they_come_and_go_while_traced() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let before = Named::new("old")?;
    let trace = Trace::start_plain(&tier, &["--all-netns"])?;
    let named = Named::new("new")?;
    let port = within(&named, || {
        let listener = traffic::listener(false)?;
        traffic::pair_through(&listener)?.close_client_first()?;
        Ok(listener.local_addr()?.port())
    })?;
    // A veth goes when the namespace of its other end ends: whoever kept that would keep the veth here.
    let veth = format!("ens{}", std::process::id() % 100_000);
    for namespace in [&before, &named] {
        ip(&format!("link add {veth} type veth peer name epeer netns {}", namespace.0))?;
        ip(&format!("netns del {}", namespace.0))?;
        let since = Instant::now();
        while PathBuf::from(format!("/sys/class/net/{veth}")).exists() {
            ensure!(since.elapsed() < Duration::from_secs(5), "{} is kept alive", namespace.0);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let output = trace.stop()?;
    let text = String::from_utf8(output.out)?;
    let ours: Vec<&str> = text.lines().filter(|line| line.contains(&format!("127.0.0.1:{port} "))).collect();
    ensure!(ours.len() >= 9, "{text}");
    let named = |line: &&str| line.split_whitespace().nth(1) == Some(named.0.as_str());
    ensure!(ours.iter().all(named), "{ours:#?}");
    Ok(())
}
