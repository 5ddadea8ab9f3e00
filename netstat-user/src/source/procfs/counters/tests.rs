use super::*;
use proptest::prelude::*;
use std::path::PathBuf;

fn paired(text: &[u8]) -> (Vec<Group>, Vec<(u64, &'static str)>) {
    let mut faults = Vec::new();
    let groups = pairs(text, &mut |line, fault| faults.push((line, fault.column)));
    (groups, faults)
}

fn group(name: &str, counters: &[(&str, i128)]) -> Group {
    let counter = |(name, value): &(&str, i128)| Counter { name: name.as_bytes().to_vec(), value: *value };
    Group { name: name.as_bytes().to_vec(), counters: counters.iter().map(counter).collect() }
}

#[test]
fn names_and_values_are_paired() {
    let text =
        b"Ip: Forwarding InReceives\nIp: 1 18446744073709551615\nTcp: MaxConn\nTcp: -1\nTcpExt:\nTcpExt: \n";
    let all = [
        group("Ip", &[("Forwarding", 1), ("InReceives", u64::MAX.into())]),
        group("Tcp", &[("MaxConn", -1)]),
        group("TcpExt", &[]),
    ];
    assert_eq!(paired(text), (all.to_vec(), vec![]));
}

#[test]
fn what_is_wrong_is_told_and_the_rest_is_read() {
    for (text, groups, faults) in [
        (&b"Ip: A B C\nIp: 1 2\n"[..], vec![group("Ip", &[("A", 1), ("B", 2)])], vec![(1, "name")]),
        (b"Ip: A\nIp: 1 2", vec![group("Ip", &[("A", 1)])], vec![(2, "value")]),
        (b"Ip: A B\nIp: x 2\n", vec![group("Ip", &[("B", 2)])], vec![(2, "value")]),
        (b"Ip: A B\nIp: 1 18446744073709551616\n", vec![group("Ip", &[("A", 1)])], vec![(2, "value")]),
        (b"Ip: A B\nIp: 1 -9223372036854775809\n", vec![group("Ip", &[("A", 1)])], vec![(2, "value")]),
        (b"Ip: A\x1b B\nIp: 1 2\n", vec![group("Ip", &[("B", 2)])], vec![(1, "name")]),
        (b"junk\n\nIp: A\nIp: 1\n", vec![group("Ip", &[("A", 1)])], vec![(1, "group")]),
        (b"Ip: A\nTcp: A\nTcp: 1\n", vec![group("Tcp", &[("A", 1)])], vec![(1, "names")]),
        (b"Ip: A\nIp: 1\nTcp: A", vec![group("Ip", &[("A", 1)])], vec![(3, "names")]),
        (b"", vec![], vec![]),
    ] {
        assert_eq!(paired(text), (groups, faults), "{}", text.escape_ascii());
    }
}

#[test]
fn lines_are_grouped() {
    let text = b"Ip6InReceives                   \t52228\nIp6InHdrErrors\t0\nIcmp6InMsgs 2\nNew 3\nIp6A 1 2\nIp6B\nIp6C -\n";
    let mut faults = Vec::new();
    let groups = lines(text, v6_group, &mut |line, fault| faults.push((line, fault.column)));
    let all = [
        group("Ip6", &[("Ip6InReceives", 52228), ("Ip6InHdrErrors", 0)]),
        group("Icmp6", &[("Icmp6InMsgs", 2)]),
        group("Snmp6", &[("New", 3)]),
    ];
    assert_eq!(groups, all);
    assert_eq!(faults, [(5, "counter"), (6, "value"), (7, "value")]);
}

#[test]
fn only_snmp_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let procfs = Procfs::at(dir.path());
    for file in [Counters::Netstat, Counters::Snmp6, Counters::Sctp, Counters::Xfrm, Counters::Tls] {
        let (groups, pass) = procfs.counters(file).unwrap();
        assert!(groups.is_empty() && pass.faulty == 0);
    }
    let error = procfs.counters(Counters::Snmp).unwrap_err();
    assert!(matches!(error, ProcfsError::Io { op: "open", .. }), "{error}");
    std::fs::create_dir_all(dir.path().join("net/snmp")).unwrap();
    let error = procfs.counters(Counters::Snmp).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot read {}", PathBuf::from(dir.path()).join("net/snmp").display())
    );
    std::fs::write(dir.path().join("net/netstat"), "TcpExt: TW\nTcpExt: many\n").unwrap();
    let (_, pass) = procfs.counters(Counters::Netstat).unwrap();
    assert_eq!((pass.rows, pass.faulty), (0, 1));
    assert!(pass.faults[0].to_string().ends_with("net/netstat:2: value is not a 64-bit number: \"many\""));
}

#[test]
fn this_kernel_has_no_faults() {
    for file in
        [Counters::Snmp, Counters::Netstat, Counters::Snmp6, Counters::Sctp, Counters::Xfrm, Counters::Tls]
    {
        let (groups, pass) = Procfs::host().counters(file).unwrap();
        assert_eq!(pass.faulty, 0, "{:?}", pass.faults);
        if file == Counters::Snmp {
            assert!(groups.iter().any(|group| group.name == b"Tcp" && group.counters.len() > 10));
        }
    }
}

#[test]
fn numbers_are_those_of_strtoul() {
    for (text, value, rest) in [
        (&b" 12 3"[..], Some(12), &b" 3"[..]),
        (b"\t\x0b-1x", Some(u64::MAX), b"x"),
        (b"+7", Some(7), b""),
        (b"-18446744073709551615", Some(1), b""),
        (b"18446744073709551616 1", Some(u64::MAX), b" 1"),
        (b"-18446744073709551616", Some(u64::MAX), b""),
        (b" - 3", None, b" - 3"),
        (b"", None, b""),
    ] {
        assert_eq!(nettools::strtoul(text), (value, rest), "{}", text.escape_ascii());
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'\n'),
        Just(b' '),
        Just(b'\t'),
        Just(b':'),
        Just(b'6'),
        Just(0),
        b'A'..b'D',
        b'0'..=b'9',
        any::<u8>()
    ];
    prop::collection::vec(byte, 0..1500)
}

proptest! {
    #[test]
    fn any_bytes_are_read(text in bytes()) {
        let lines_of_text = text.split(|&byte| byte == b'\n').count() as u64;
        let mut check = |line: u64, _: Fault<'_>| assert!((1..=lines_of_text).contains(&line));
        pairs(&text, &mut check);
        lines(&text, v6_group, &mut check);
        nettools::pairs(&text);
        nettools::snmp6(&text);
        nettools::sctp(&text);
    }

    #[test]
    fn what_the_kernel_writes_reads_back(
        groups in prop::collection::vec(
            ("[A-Z][A-Za-z0-9]{1,8}", prop::collection::vec(("[A-Z][A-Za-z0-9]{0,20}", any::<u64>()), 0..30)),
            0..6,
        )
    ) {
        let mut text = String::new();
        let mut all = Vec::new();
        for (name, counters) in &groups {
            let names: String = counters.iter().map(|(name, _)| format!(" {name}")).collect();
            let values: String = counters.iter().map(|(_, value)| format!(" {value}")).collect();
            text.push_str(&format!("{name}:{names}\n{name}:{values}\n"));
            let counters: Vec<_> = counters.iter().map(|(name, value)| (name.as_str(), i128::from(*value))).collect();
            all.push(group(name, &counters));
        }
        // Both readers see the same in what is well-formed.
        prop_assert_eq!(nettools::pairs(text.as_bytes()), nettools::Pairs { groups: all.clone(), broken: false });
        prop_assert_eq!(paired(text.as_bytes()), (all, vec![]));
    }
}
