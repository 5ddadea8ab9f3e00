use super::super::{Plan, parse as parse_words};
use super::*;
use proptest::prelude::*;
use std::ffi::OsString;

fn words(line: &str) -> Result<BsdPlan, Stop> {
    let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    parse(&words).map(|(plan, _)| plan)
}

fn display(line: &str) -> Display {
    words(line).unwrap_or_else(|stop| panic!("{line}: {stop:?}")).display
}

fn sockets(line: &str) -> SocketsPlan {
    match display(line) {
        Display::Sockets(plan) => plan,
        other => panic!("{line}: {other:?}"),
    }
}

/// What is said about a line that is refused, with exit code 1.
fn refused(line: &str) -> String {
    match words(line) {
        Err(Stop::Compat(End { out, err, code: 1 })) if out.is_empty() => String::from_utf8(err).unwrap(),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn each_letter_chooses_its_display() {
    assert!(matches!(display(""), Display::Sockets(_)));
    assert!(matches!(display("-L"), Display::ListenQueues { pcb: false, .. }));
    assert!(matches!(display("-rn"), Display::Routes { all: false, long: false, table: None, .. }));
    assert!(matches!(
        display("-rl -F 100"),
        Display::Routes { table: Some(TableWord::Number(100)), long: true, .. }
    ));
    assert!(matches!(display("-rs"), Display::RouteStatistics { zeros: true, .. }));
    assert!(matches!(display("-i"), Display::Interfaces { only: None, .. }));
    assert!(matches!(display("-Ilo"), Display::Interfaces { only: Some(_), .. }));
    assert!(matches!(display("-i -s"), Display::InterfaceStatistics { only: None, .. }));
    assert!(matches!(display("-m"), Display::Buffers));
    assert!(matches!(display("-Q"), Display::Softnet));
    assert!(matches!(display("-B"), Display::Captures { only: None }));
    assert!(matches!(display("-g"), Display::Multicast { memberships: false, .. }));
    assert!(matches!(display("-gs6"), Display::MulticastStatistics { .. }));
    assert!(matches!(display("-o"), Display::Nexthops { groups: false, .. }));
    assert!(matches!(display("-O"), Display::Nexthops { groups: true, .. }));
    assert_eq!(
        display("-ssp tcp"),
        Display::Statistics {
            families: vec![Family::V4, Family::V6],
            protocol: Some("tcp".to_owned()),
            zeros: false,
        }
    );
}

#[test]
fn intervals_are_read_in_every_form() {
    let of = |line| match display(line) {
        Display::Interval(plan) => plan,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(of("-w 2").every, Duration::from_secs(2));
    assert_eq!(of("5").every, Duration::from_secs(5));
    assert_eq!(of("-w0.5").every, Duration::from_millis(500));
    let plan = of("-dhw1 -I eth0 -q 7");
    assert_eq!((plan.only.as_deref(), plan.count.map(NonZeroU64::get)), (Some(&b"eth0"[..]), Some(7)));
    assert!(plan.drops && plan.human);
    assert_eq!(of("-i -w 1").only, None);
    for line in ["-w 0", "-w x", "-w", "-w 1 -q 0", "-q 3", "-w 1 -a", "5 6"] {
        refused(line);
    }
}

#[test]
fn families_and_protocols_select_sockets() {
    let inet = |line| sockets(line).selected.inet;
    assert_eq!(inet("").len(), 8);
    assert_eq!(inet("-p tcp"), [(Protocol::Tcp, Family::V4), (Protocol::Tcp, Family::V6)]);
    assert_eq!(inet("-4 -p udp"), [(Protocol::Udp, Family::V4)]);
    assert_eq!(inet("-f inet6 -T"), [(Protocol::Tcp, Family::V6)]);
    assert_eq!((inet("-f unix"), sockets("-f local").selected.unix), (vec![], true));
    let both = sockets("-f inet -f link").selected;
    assert_eq!((both.inet.len(), both.packet, both.unix, both.named), (4, true, false, true));
    let all = sockets("-a").selected;
    assert!(all.packet && all.netlink && all.vsock && !all.named);
    assert!(!sockets("-a4").selected.packet && !sockets("-ax").selected.netlink);
    assert_eq!(sockets("--bound").bound, Bound::Alone);
    assert_eq!((sockets("-a").bound, sockets("").bound), (Bound::Too, Bound::No));
}

#[test]
fn what_linux_does_not_have_is_named() {
    for (line, wanted) in [
        ("-R", "-R: Linux does not tell the flow identifier"),
        ("-sz", "-z: Linux does not let its counters be set to 0"),
        ("-P", "-P: "),
        ("-M core", "-M: "),
        ("-N kernel", "-N: "),
        ("-it", "-t: "),
        ("-f ng", "-f ng: Linux has no netgraph sockets"),
        ("-f systm", "-f systm: "),
        ("-s -p igmp", "Linux does not count IGMP"),
        ("-f bogus", "bogus: unknown address family"),
        ("-p bogus", "bogus: unknown or uninstrumented protocol"),
        ("-s -p bogus", "bogus: unknown or uninstrumented protocol"),
    ] {
        assert!(refused(line).contains(wanted), "{line}: {}", refused(line));
    }
}

#[test]
fn nothing_is_ignored() {
    for (line, wanted) in [
        ("-k", "-k is no option"),
        ("--bogus", "--bogus is no option"),
        ("--json=1", "--json takes no value"),
        ("-f", "-f wants a value: FAMILY"),
        ("--fib", "--fib wants a value"),
        ("-I aninterfacewithalongname", "1 to 15 bytes"),
        ("tcp", "\"tcp\" is no option"),
        ("-- 5 x", "\"x\" is no option"),
        ("-r -i", "-r and -i exclude each other"),
        ("-x -T", "-x and -T exclude each other"),
        ("-f inet -p tcp", "-f inet and -p tcp exclude each other"),
        ("-rb", "-b means nothing with -r"),
        ("-h", "-h means nothing with the listing of sockets"),
        ("-d", "-d means nothing"),
        ("-ma", "-a means nothing with -m"),
        ("-L -b", "-b means nothing with -L"),
        ("-L -p udp", "only TCP and unix sockets listen"),
        ("-T -p udp", "only TCP connections have that"),
        ("-T -f unix", "only TCP connections have that"),
        ("-r -f unix", "-f unix: only inet and inet6"),
        ("-F 1", "-F means nothing"),
        ("--bound -p udp", "only TCP sockets"),
    ] {
        assert!(refused(line).contains(wanted), "{line}: {}", refused(line));
    }
}

#[test]
fn the_name_or_the_word_asks_for_it() {
    let plan = |line: &str| parse_words(line.split_whitespace().map(OsString::from));
    assert!(matches!(plan("/usr/bin/bsdnetstat -rn"), Ok(Plan::Bsd(plan)) if plan.dialect == Dialect::Bsd));
    assert!(matches!(plan("enetstat --bsd -rn"), Ok(Plan::Bsd(_))));
    assert!(matches!(plan("enetstat -rn --bsd"), Ok(Plan::Bsd(_))));
    assert!(matches!(plan("enetstat -rn"), Ok(Plan::Routes(_))));
    assert!(matches!(plan("netstat --bsd"), Err(Stop::Compat(_))));
    assert!(matches!(plan("enetstat -tn -- --bsd"), Err(Stop::Usage(_))));
    assert!(matches!(plan("enetstat --bs"), Err(Stop::Usage(_))));
    assert!(matches!(plan("enetstat --bsd --help"), Err(Stop::Show(text)) if text.contains("-R ")));
}

#[test]
fn the_default_persona_has_the_displays_too() {
    let plan = |line: &str| match parse_words(
        ["enetstat"].into_iter().chain(line.split_whitespace()).map(OsString::from),
    ) {
        Ok(Plan::Bsd(plan)) => *plan,
        other => panic!("{line}: {other:?}"),
    };
    for line in ["-L", "--listen-queues", "-lnL"] {
        assert!(matches!(plan(line).display, Display::ListenQueues { .. }), "{line}");
        assert_eq!(plan(line).dialect, Dialect::Linux);
    }
    assert!(matches!(plan("-m").display, Display::Buffers));
    assert!(matches!(plan("-Q --json").display, Display::Softnet));
    assert!(matches!(plan("--interval 1 -d").display, Display::Interval(IntervalPlan { drops: true, .. })));
    assert!(matches!(plan("-ib").display, Display::Interfaces { bytes: true, .. }));
    assert!(matches!(plan("-I lo").display, Display::Interfaces { only: Some(_), .. }));
    assert!(matches!(plan("-s --interface lo").display, Display::InterfaceStatistics { .. }));
    assert!(matches!(plan("--captures").display, Display::Captures { .. }));
    assert!(matches!(plan("--nexthop-groups").display, Display::Nexthops { groups: true, .. }));
    assert!(matches!(plan("--multicast-routes -a").display, Display::Multicast { memberships: true, .. }));
    let of = |line| match plan(line).display {
        Display::Sockets(plan) => plan,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(of("-tanb").selected.inet.len(), 2);
    assert!(of("-tanb").bytes && of("--congestion").congestion && of("--pcb").pcb);
    assert!(of("--packet").selected.packet && of("--netlink").selected.netlink);
    assert!(of("--unix-peers").processes && of("--unix-peers").selected.inet.is_empty());
    assert_eq!(of("--bound -n").bound, Bound::Alone);
    for line in ["-L -o", "-b -e", "--interval 0", "-m -t", "--count 3", "-tub", "-L -c"] {
        let words = ["enetstat"].into_iter().chain(line.split_whitespace()).map(OsString::from);
        assert!(matches!(parse_words(words), Err(Stop::Usage(_))), "{line}");
    }
}

#[test]
fn a_display_is_of_one_namespace_or_of_all() {
    let scope = |line: &str| {
        let words = ["bsdnetstat"].into_iter().chain(line.split_whitespace()).map(OsString::from);
        match parse_words(words) {
            Ok(Plan::Elsewhere(scope, plan)) => {
                assert!(matches!(*plan, Plan::Bsd(_)), "{line}");
                scope
            }
            Ok(Plan::Bsd(_)) => Scope::Own,
            other => panic!("{line}: {other:?}"),
        }
    };
    assert_eq!(scope("-rn"), Scope::Own);
    assert_eq!(scope("-rnj blue"), Scope::One("blue".to_owned()));
    assert_eq!(scope("--netns=blue -w 1"), Scope::One("blue".to_owned()));
    for line in ["--all-netns", "--all-netns -L", "-w 1 --all-netns", "-m --all-netns", "-s --all-netns"] {
        assert_eq!(scope(line), Scope::All, "{line}");
    }
    assert!(refused("-Q --all-netns").contains("--all-netns means nothing with -Q"));
    assert!(refused("-j blue --all-netns").contains("-j and --all-netns exclude each other"));
    let own =
        |line: &str| parse_words(["enetstat"].into_iter().chain(line.split_whitespace()).map(OsString::from));
    assert!(
        matches!(own("-L --all-netns"), Ok(Plan::Elsewhere(Scope::All, plan)) if matches!(*plan, Plan::Bsd(_)))
    );
    assert!(matches!(own("-L --netns blue"), Ok(Plan::Elsewhere(Scope::One(_), _))));
    assert!(matches!(own("--softnet --all-netns"), Err(Stop::Usage(_))));
}

#[test]
fn the_help_names_every_option() {
    let help = options::help();
    for option in options::OPTIONS {
        assert!(help.contains(&format!("--{}", option.word)), "{}", option.word);
        let same = options::OPTIONS.iter().filter(|other| other.word == option.word);
        assert_eq!(same.count(), 1, "{}", option.word);
    }
    let letters: Vec<char> =
        options::OPTIONS.iter().map(|option| option.letter).filter(|l| *l != '\0').collect();
    let all = options::ABSENT.iter().map(|(letter, ..)| *letter).chain(letters);
    let mut all: Vec<char> = all.collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
    // Every letter of the documents, and FreeBSD's.
    for letter in "aAbdfgIiLlmnprsWwxTQRBFj46hqoOCz".chars() {
        assert!(all.contains(&letter), "{letter}");
    }
}

proptest! {
    #[test]
    fn any_words_are_a_plan_or_an_end(words in prop::collection::vec(prop_oneof![
        "-[aAbBCdfFghiIjlLmnoOpqQrsSTvwWx46MNPRtz]{1,5}",
        "--[a-z-]{0,12}(=[a-z0-9]{0,4})?",
        "[a-z0-9]{0,8}",
        ".{0,12}",
    ], 0..6)) {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        match parse(&words) {
            Ok(_) | Err(Stop::Show(_)) => {}
            Err(Stop::Compat(end)) => prop_assert!(end.code == 1 && !end.err.is_empty()),
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn any_bytes_are_survived(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let _ = parse(&words);
    }

    #[test]
    fn the_order_of_options_does_not_matter(mut letters in prop::collection::vec("[aAbnLrimsx46]", 1..5), seed: u64) {
        let line = |letters: &[String]| -> Vec<Vec<u8>> {
            letters.iter().map(|letter| format!("-{letter}").into_bytes()).collect()
        };
        let first = line(&letters);
        let at = seed as usize % letters.len();
        letters.rotate_left(at);
        let second = line(&letters);
        let plan = |words: &[Vec<u8>]| parse(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()).ok();
        prop_assert_eq!(plan(&first), plan(&second));
    }
}
