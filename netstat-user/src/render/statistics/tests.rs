use super::sentence::{Compat, received};
use super::*;
use crate::model::Counter;
use proptest::prelude::*;

const GROUPS: [&str; 11] =
    ["Ip", "Icmp", "Tcp", "Udp", "UdpLite", "TcpExt", "Ip6", "Icmp6", "Udp6", "UdpLite6", "Sctp"];

fn shown(name: &str, counters: &[(&str, i128)], zeros: Zeros) -> String {
    let counter = |(name, value): &(&str, i128)| Counter { name: name.as_bytes().to_vec(), value: *value };
    let made = Group { name: name.as_bytes().to_vec(), counters: counters.iter().map(counter).collect() };
    let mut out = Vec::new();
    group(&mut out, &made, zeros);
    String::from_utf8(out).unwrap()
}

#[test]
fn one_is_singular_and_everything_else_is_plural() {
    for (group, name, value, wanted) in [
        ("Tcp", "InSegs", 1, "1 segment received"),
        ("Tcp", "InSegs", 0, "0 segments received"),
        ("Tcp", "InSegs", u64::MAX.into(), "18446744073709551615 segments received"),
        ("Ip", "ReasmReqds", 1, "1 reassembly required"),
        ("Ip", "ReasmReqds", 2, "2 reassemblies required"),
        ("TcpExt", "OutOfWindowIcmps", 1, "1 ICMP packet dropped because it was out-of-window"),
        ("TcpExt", "OutOfWindowIcmps", 2, "2 ICMP packets dropped because they were out-of-window"),
        ("TcpExt", "DelayedACKLost", 1, "Quick ack mode was activated 1 time"),
        ("Ip", "Forwarding", 1, "Forwarding is enabled"),
        ("Ip", "Forwarding", 2, "Forwarding is disabled"),
        ("Ip", "Forwarding", 3, "Forwarding is 3"),
        ("New", "TCPInvented", -5, "TCPInvented: -5"),
        ("New", "A\u{1b}", 1, "A\\x1b: 1"),
    ] {
        assert_eq!(shown(group, &[(name, value)], Zeros::Usual), format!("{group}:\n    {wanted}\n"));
    }
}

#[test]
fn what_is_zero_is_shown_where_net_tools_does_or_on_demand() {
    let counters = [("DefaultTTL", 64), ("InHdrErrors", 0), ("InReceives", 0), ("New", 0)];
    assert_eq!(shown("Ip", &counters, Zeros::Usual), "Ip:\n    0 total packets received\n");
    let all =
        "Ip:\n    Default TTL is 64\n    0 with invalid headers\n    0 total packets received\n    New: 0\n";
    assert_eq!(shown("Ip", &counters, Zeros::Shown), all);
    assert_eq!(shown("Ip", &counters, Zeros::Hidden), "");
    let counters = [("InMsgs", 0), ("InEchos", 0), ("OutEchos", 1)];
    let wanted = "Icmp:\n    ICMP output histogram:\n        echo requests: 1\n";
    assert_eq!(shown("Icmp", &counters, Zeros::Hidden), wanted);
    assert_eq!(shown("Icmp", &counters[..2], Zeros::Hidden), "");
    let tcp = [("RtoAlgorithm", 1), ("MaxConn", -1)];
    assert_eq!(
        shown("Tcp", &tcp, Zeros::Shown),
        "Tcp:\n    RTO algorithm is other\n    Limit of connections is not fixed\n"
    );
}

#[test]
fn a_list_ends_where_something_else_begins() {
    let counters =
        [("InEchos", 2), ("InEchoReps", 0), ("InNew", 3), ("OutMsgs", 4), ("OutEchos", 0), ("OutNew", 1)];
    let wanted = "Icmp:\n    ICMP input histogram:\n        echo requests: 2\n    InNew: 3\n    4 ICMP messages sent\n    \
                  ICMP output histogram:\n    OutNew: 1\n";
    assert_eq!(shown("Icmp", &counters, Zeros::Usual), wanted);
}

#[test]
fn every_sentence_is_well_formed_and_found_once() {
    for group in GROUPS {
        let sentences = sentences(group.as_bytes());
        assert!(!sentences.is_empty(), "{group}");
        for (at, sentence) in sentences.iter().enumerate() {
            let name = sentence.name;
            assert_eq!(sentences.iter().position(|other| other.name == name), Some(at), "{group} {name}");
            assert!(group.ends_with('6') == name.starts_with(group) || group == "Sctp", "{group} {name}");
            for value in [0, 1, 2] {
                let mut line = Vec::new();
                sentence.write(&mut line, value);
                let line = String::from_utf8(line).unwrap();
                assert!(!line.contains(['%', '[', ']']) && line.trim() == line, "{line}");
                let number = line.split(' ').any(|word| word == value.to_string());
                assert!(number || sentence.words.iter().any(|(known, _)| *known == value), "{line}");
            }
        }
    }
    let mut line = Vec::new();
    received("A", "broken [s %").write(&mut line, 7);
    assert_eq!(line, b"broken 7s 7");
}

#[test]
fn what_net_tools_says_otherwise_is_kept_apart() {
    let mut line = Vec::new();
    let aborted = find(tcp::SCTP, b"SctpAborteds").unwrap();
    aborted.write_compat(&mut line, 1);
    assert_eq!(line, b"1 Number of Aborteds ");
    assert_eq!(find(ip::IP, b"Forwarding").unwrap().compat, Compat::Unknown);
}

/// Names with sentences, and others.
fn counters() -> impl Strategy<Value = (&'static str, Vec<(String, i128)>)> {
    prop::sample::select(GROUPS.to_vec()).prop_flat_map(|group| {
        let known: Vec<_> =
            sentences(group.as_bytes()).iter().map(|sentence| sentence.name.to_owned()).collect();
        let name = prop_oneof![3 => prop::sample::select(known), 1 => "[A-Z][a-z0-9]{1,9}"];
        let value = prop_oneof![
            Just(0),
            Just(1),
            any::<u64>().prop_map(i128::from),
            any::<i64>().prop_map(i128::from)
        ];
        (Just(group), prop::collection::vec((name, value), 0..40))
    })
}

proptest! {
    #[test]
    fn each_counter_is_one_line((group, counters) in counters()) {
        let counters: Vec<_> = counters.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let zeros = counters.iter().filter(|(_, value)| *value == 0).count();
        let lines = |zeros| {
            let text = shown(group, &counters, zeros);
            let lines = text.lines().skip(1).filter(|line| !line.ends_with("histogram:"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let all = lines(Zeros::Shown);
        prop_assert_eq!(all.len(), counters.len());
        for (line, (name, value)) in all.iter().zip(&counters) {
            let sentence = find(sentences(group.as_bytes()), name.as_bytes());
            let worded = sentence.is_some_and(|sentence| sentence.words.iter().any(|(known, _)| known == value));
            let has_number = line.split([' ', ':']).any(|word| word == value.to_string());
            prop_assert!(worded || has_number, "{}: {}", name, line);
        }
        // The others show the same lines, only fewer.
        let (usual, nonzero) = (lines(Zeros::Usual), lines(Zeros::Hidden));
        prop_assert!(nonzero.len() <= usual.len() && nonzero.len() <= counters.len() - zeros);
        prop_assert!(usual.iter().all(|line| all.contains(line)) && nonzero.iter().all(|line| usual.contains(line)));
    }
}
