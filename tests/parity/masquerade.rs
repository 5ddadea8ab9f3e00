//! `-M`: connections put into the kernel's connection tracking as masqueraded ones, read back. There is no other program to
//! compare with: net-tools reads a file of Linux 2.2.

use netstat_tests::{NetNs, need};
use netstat_user::agent::tables;
use netstat_user::args::tables::MasqueradePlan;
use netstat_user::exit;
use netstat_user::model::Family;
use netstat_user::source::{Procfs, conntrack};
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};
use std::path::Path;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `NLA_F_NESTED`.
fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | 0x8000, &parts.concat())
}

fn tuple(kind: u16, protocol: u8, from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u8> {
    let ip = nested(1, &[attribute(1, &from.0), attribute(2, &to.0)]);
    let ports = [attribute(2, &from.1.to_be_bytes()), attribute(3, &to.1.to_be_bytes())];
    let proto = nested(2, &[vec![attribute(1, &[protocol])], ports.to_vec()].concat());
    nested(kind, &[ip, proto])
}

/// Makes a connection (`IPCTNL_MSG_CT_NEW`) whose source the kernel replaces by `seen`, or leaves alone.
fn track(protocol: u8, from: ([u8; 4], u16), to: ([u8; 4], u16), seen: Option<([u8; 4], u16)>) -> i32 {
    let mut parts = vec![
        tuple(1, protocol, from, to),
        tuple(2, protocol, to, from),
        attribute(7, &600_u32.to_be_bytes()),
        // IPS_CONFIRMED and IPS_ASSURED.
        attribute(3, &12_u32.to_be_bytes()),
    ];
    if let Some((addr, port)) = seen {
        let port = nested(3, &[attribute(1, &port.to_be_bytes()), attribute(2, &port.to_be_bytes())]);
        parts.push(nested(6, &[attribute(1, &addr), attribute(2, &addr), port]));
    }
    if protocol == 6 {
        // CTA_PROTOINFO_TCP_STATE: established.
        parts.push(nested(4, &[nested(1, &[attribute(1, &[3])])]));
    }
    let payload = [vec![2, 0, 0, 0], parts.concat()].concat();
    let mut message = ((payload.len() + 16) as u32).to_ne_bytes().to_vec();
    message.extend(0x0100_u16.to_ne_bytes());
    // NLM_F_REQUEST, ACK, EXCL, CREATE.
    message.extend(0x0605_u16.to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(payload);
    let socket =
        rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, Some(NETFILTER)).expect("nfnetlink");
    rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).expect("the kernel");
    rustix::net::send(&socket, &message, SendFlags::empty()).expect("a request");
    let mut answer = [0; 4096];
    rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty()).expect("an answer");
    -i32::from_ne_bytes(answer[16..20].try_into().expect("four bytes"))
}

fn shown(plan: &MasqueradePlan) -> (String, String, u8) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (code, error) = exit::judge(tables::masquerade::run(plan, &mut out, &mut err));
    let said = error.map(|error| format!("{error:#}")).unwrap_or_default();
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(out), text(err) + &said, code)
}

#[test]
fn masqueraded_connections_are_listed() {
    if !rustix::process::geteuid().is_root() {
        return need::skip("needs root for a network namespace of its own");
    }
    let both = vec![Family::V4, Family::V6];
    let plan = MasqueradePlan { families: both, ..MasqueradePlan::default() };
    if !Path::new("/proc/sys/net/netfilter/nf_conntrack_count").exists() {
        let (out, said, code) = shown(&plan);
        assert_eq!((out.as_str(), code), ("", exit::FAILED));
        assert!(said.contains("tracks no connections"), "{said}");
        let (_, said, code) = shown(&MasqueradePlan { compat: true, ..plan });
        assert_eq!(
            (said.as_str(), code),
            ("netstat: no support for `ip_masquerade' on this system.\n", exit::INCOMPLETE)
        );
        return need::skip("this kernel tracks no connections");
    }
    let _namespace = NetNs::enter().unwrap();
    let (inside, outside, own) = ([10, 0, 0, 2], [198, 51, 100, 7], [192, 0, 2, 1]);
    let refused = track(17, (inside, 5000), (outside, 53), Some((own, 61_000)));
    if refused != 0 {
        return need::skip(&format!("this kernel takes no connections by netlink (error {refused})"));
    }
    assert_eq!(track(6, (inside, 40_000), (outside, 443), Some((own, 61_001))), 0);
    assert_eq!(track(17, (inside, 5001), (outside, 53), None), 0, "not masqueraded");

    let (out, said, code) = shown(&plan);
    assert_eq!((said.as_str(), code), ("", exit::OK));
    let mut lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..2],
        ["IP masquerading entries", "prot   expire source               destination          ports"]
    );
    lines[2..].sort_unstable();
    assert_eq!(lines.len(), 4, "{out}");
    let ends = "10.0.0.2             198.51.100.7        ";
    for (line, protocol, ports) in
        [(lines[2], "tcp ", "40000 -> 443 (61001)"), (lines[3], "udp ", "5000 -> 53 (61000)")]
    {
        assert!(line.starts_with(protocol) && line.ends_with(&format!("{ends} {ports}")), "{line}");
    }
    let (out, ..) = shown(&MasqueradePlan { json: true, ..plan.clone() });
    let row = out.lines().find(|line| line.contains("\"enetstat.ip.protocol\":6")).unwrap();
    let row: serde_json::Value = serde_json::from_str(row).unwrap();
    assert_eq!(row["enetstat.nat.address"], "192.0.2.1");
    assert!(row["enetstat.nat.expires_s"].as_u64().is_some_and(|left| (1..=600).contains(&left)), "{row}");
    // The file tells the same, where there is one.
    let (mut by_netlink, mut by_proc) = (Vec::new(), Vec::new());
    conntrack::by_netlink(&mut |row| by_netlink.push(row.source)).unwrap();
    if let Some(pass) = Procfs::host().masqueraded(&mut |row| by_proc.push(row.source)).unwrap() {
        by_netlink.sort_unstable();
        by_proc.sort_unstable();
        assert_eq!((by_proc, pass.faulty), (by_netlink, 0));
    }
    let none = MasqueradePlan { families: vec![Family::V6], compat: true, ..plan };
    assert_eq!(shown(&none), (String::new(), String::new(), exit::OK));
}
