use super::plan::{ListTier, Naming, Scope, TimeStyle, Which, Zeros};
use super::tables::{InterfacesPlan, RoutesPlan, TableWord};
use super::*;
use crate::model::{Comm, Family::*, Protocol::*, States, TcpState};
use crate::view::Protocols;
use netstat_common::config::Queues;
use proptest::prelude::*;
use std::time::Duration;

fn plan(line: &str) -> Result<Plan, Stop> {
    parse(["enetstat"].into_iter().chain(line.split_whitespace()).map(OsString::from))
}

fn list(line: &str) -> ListPlan {
    match plan(line) {
        Ok(Plan::List(list)) => *list,
        other => panic!("{line}: {other:?}"),
    }
}

fn trace(line: &str) -> TracePlan {
    match plan(&format!("trace {line}")) {
        Ok(Plan::Trace(trace)) => *trace,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    match plan(line) {
        Err(Stop::Usage(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn protocol_and_family_flags_select_as_net_tools_does() {
    let every = [Tcp, Udp, UdpLite, Raw].map(|protocol| [(protocol, V4), (protocol, V6)]).concat();
    assert_eq!((list("").tables, list("").unix), (every.clone(), true));
    assert_eq!((list("-x").tables, list("-x").unix), (vec![], true));
    assert_eq!((list("-t").tables, list("-t").unix), (vec![(Tcp, V4), (Tcp, V6)], false));
    assert_eq!((list("-tx4").tables, list("-tx4").unix), (vec![(Tcp, V4)], true));
    assert_eq!((list("-46").tables, list("-46").unix), (every, false));
    let six: Vec<_> = [Tcp, Udp, UdpLite, Raw].map(|protocol| (protocol, V6)).into();
    assert_eq!((list("-x6").tables, list("-x6").unix), (six, true));
    assert_eq!(list("-uw --ip").tables, [(Udp, V4), (Raw, V4)]);
}

#[test]
fn families_go_by_every_name_of_net_tools() {
    use super::plan::Other::*;
    let others = |line: &str| list(line).others;
    assert_eq!(others("-t"), []);
    assert_eq!(others("-S"), [(Sctp, true)]);
    assert_eq!(others("-4"), [(Sctp, false)]);
    assert_eq!(others("").len(), 6);
    assert_eq!(others("-2"), [(L2cap, true)]);
    assert_eq!(others("--bluetooth"), [(L2cap, true), (Rfcomm, true)]);
    assert_eq!(
        others("--x25 -A ipx,rose --ddp"),
        [(Ipx, true), (X25, true), (Rose, true), (AppleTalk, true)]
    );
    assert_eq!(list("-A inet,unix"), list("-x4"));
    assert_eq!(list("--protocol=inet6"), list("--inet6"));
    assert_eq!(list("-tNdee"), list("-te"));
    for word in ["--inet", "--ip", "--tcpip", "-A ip", "-A tcpip"] {
        assert_eq!(list(word), list("-4"), "{word}");
    }
    assert!(list("-Z").programs && list("-Z").context);
}

#[test]
fn compat_and_the_name_netstat_speak_as_net_tools() {
    let compat = |words: &[&str]| match parse(words.iter().map(OsString::from)) {
        Ok(Plan::Compat(plan)) => Some(plan.tables.tcp),
        Ok(_) => None,
        Err(Stop::Compat(end)) => Some(end.code == 0),
        Err(other) => panic!("{words:?}: {other:?}"),
    };
    assert_eq!(compat(&["enetstat", "-t"]), None);
    assert_eq!(compat(&["enetstat", "--compat", "-t"]), Some(true));
    assert_eq!(compat(&["enetstat", "-t", "foo", "--compat"]), Some(true));
    assert_eq!(compat(&["/usr/bin/netstat", "-t", "trace"]), Some(true));
    assert_eq!(compat(&["netstat", "--compat"]), Some(false));
    assert!(parse(["enetstat", "trace", "--compat"].map(OsString::from)).is_err());
    assert!(parse(["enetstat", "-t", "--", "--compat"].map(OsString::from)).is_err());
}

proptest! {
    #[test]
    fn any_words_are_a_plan_or_a_refusal(
        program in prop::sample::select(vec!["enetstat", "netstat", ""]),
        words in prop::collection::vec(
            prop_oneof![
                "-[A-Za-z0-9?=,-]{0,5}",
                "--[a-z0-9=-]{0,12}",
                ".{0,6}",
                prop::sample::select(vec!["-tan", "--compat", "-A", "inet,unix", "trace", "-c", "--", "--keep-closed"])
                    .prop_map(str::to_owned),
            ],
            0..8,
        ),
    ) {
        let words = std::iter::once(program.to_owned()).chain(words);
        let _ = parse(words.map(OsString::from));
    }
}

#[test]
fn flags_bundle_and_long_options_may_be_shortened() {
    let bundled = list("-tanpeo");
    assert!(bundled.programs && bundled.extend && bundled.timers);
    assert_eq!((bundled.which, bundled.naming), (Which::All, Naming::default()));
    assert_eq!(list("--tcp --all --numeric --program --ext --timers"), bundled);
    assert_eq!(list("-al").which, Which::All);
    assert_eq!(list("--listen").which, Which::Listening);
    assert_eq!(list("--numeric-p").naming, Naming { hosts: true, ports: false, users: true });
    assert!(refused("--num").contains("--num"));
}

#[test]
fn continuous_takes_its_seconds_only_in_the_long_form() {
    assert_eq!(list("-tanc").interval, Some(Duration::from_secs(1)));
    assert_eq!(list("-ctan").interval, Some(Duration::from_secs(1)));
    assert_eq!(list("-ctan"), list("-tanc"));
    assert_eq!(list("-c -tan"), list("-tanc"));
    assert_eq!(list("--continuous=0.5").interval, Some(Duration::from_millis(500)));
    assert!(refused("--continuous=0").contains("more than 0"));
    assert!(refused("-c 5").contains("plain words are commands (trace,"));
}

#[test]
fn closed_connections_are_kept_in_a_repeated_listing() {
    assert_eq!(list("-tanc").keep_closed, None);
    assert_eq!(list("-tanc --keep-closed 2.5").keep_closed, Some(Duration::from_millis(2500)));
    assert_eq!(list("-c --keep-closed=0").keep_closed, Some(Duration::ZERO));
    assert_eq!(list("-6c --keep 5").keep_closed, Some(Duration::from_secs(5)));
}

#[test]
fn listings_come_from_netlink_or_proc() {
    assert_eq!(list("").tier, ListTier::Best);
    assert_eq!(list("--tier procfs").tier, ListTier::Procfs);
    assert_eq!(list("--tier bpf").tier, ListTier::Bpf);
    assert!(refused("--tier kprobe").contains("does not list sockets"));
}

#[test]
fn other_displays_have_plans_of_their_own() {
    let routes = |line: &str| match plan(line) {
        Ok(Plan::Routes(routes)) => routes,
        other => panic!("{line}: {other:?}"),
    };
    let usual = RoutesPlan { families: vec![V4], fib: true, hosts: true, ..RoutesPlan::default() };
    assert_eq!(routes("-r"), usual);
    assert_eq!(routes("-rF"), usual);
    assert_eq!(routes("-rC"), RoutesPlan { fib: false, cache: true, ..usual.clone() });
    assert_eq!(routes("-rFC"), RoutesPlan { cache: true, ..usual.clone() });
    assert_eq!(routes("-r6n"), RoutesPlan { families: vec![V6], hosts: false, ..usual.clone() });
    assert_eq!(routes("-64rN").families, [V4, V6]);
    assert_eq!((routes("-ree").extend, routes("-rN").hosts), (2, false));
    assert_eq!(routes("-rcv").interval, Some(Duration::from_secs(1)));
    for (word, wanted) in
        [("all", TableWord::All), ("100", TableWord::Number(100)), ("vpn", TableWord::Name("vpn".to_owned()))]
    {
        assert_eq!(routes(&format!("-r --table {word}")).table, wanted);
    }
    let long = InterfacesPlan { all: true, long: true, json: true, ..InterfacesPlan::default() };
    assert!(matches!(plan("-iae --json"), Ok(Plan::Interfaces(plan)) if plan == long));
    assert!(matches!(plan("-gn"), Ok(Plan::Groups(plan)) if plan.families == [V4, V6] && !plan.hosts));
    assert!(matches!(plan("-M4e"), Ok(Plan::Masquerade(plan)) if plan.extend && plan.families == [V4]));
}

#[test]
fn trace_has_quiet_defaults() {
    let quiet = trace("");
    assert_eq!((quiet.time, quiet.queues, quiet.scope.clone()), (TimeStyle::Wall, Queues::Off, Scope::Own));
    assert_eq!((quiet.keep_closed, quiet.max_connections.get()), (Duration::from_secs(5), 1_000_000));
    assert!(
        quiet.filter.is_empty() && quiet.header && quiet.ring_bytes.is_none() && quiet.duration.is_none()
    );
    assert_eq!(trace("-n"), quiet);
}

#[test]
fn filters_gather() {
    let filter =
        trace("--port 80 --port 443,8080 --addr 10.0.0.0/8 --state syn-sent --state LISTEN --pid 7 --comm a")
            .filter;
    assert_eq!(filter.ports, [80, 443, 8080]);
    assert_eq!(filter.addrs, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(filter.states, Some(States::of(&[TcpState::SynSent, TcpState::Listen])));
    assert_eq!((filter.pids.len(), filter.comms), (1, vec![Comm::from_bytes(b"a")]));
    assert_eq!(trace("--netns blue").scope, Scope::One("blue".to_owned()));
    assert_eq!(trace("--all-netns").scope, Scope::All);
    assert_eq!(trace("--ring-size 4K").ring_bytes, Some(4096));
}

#[test]
fn contradictions_and_bad_values_are_named() {
    for (line, wanted) in [
        ("trace --all-netns --netns x", "--netns"),
        ("trace --close --queues every", "--close and --queues every exclude each other"),
        ("trace --queue-interval 5", "--queue-interval only means something with"),
        ("trace --json --time mono", "--time only means something without --json"),
        ("trace --comm 0123456789abcdef", "longer than the 15 bytes"),
        ("trace --port 65536", "65536"),
        ("trace --pid 0", "--pid"),
        ("trace --addr 10.0.0.0/99", "0 to 32"),
        ("trace --addr example.com", "names are not looked up"),
        ("trace --state half-open", "the states are ESTABLISHED"),
        ("trace --ring-size 5000", "power of two"),
        ("trace --max-connections 0", "--max-connections"),
        ("trace --time never", "never"),
        ("-tan --keep-closed 5", "--keep-closed only means something with -c"),
        ("-uanc --keep-closed 5", "--keep-closed is about TCP connections"),
        ("-xc --keep-closed 5", "--keep-closed is about TCP connections"),
        ("-tanc --keep-closed 5 --tier procfs", "--keep-closed and --tier procfs exclude each other"),
        ("-tanc --keep-closed -1", "-1"),
        ("-tanc --keep-closed soon", "not a number of seconds"),
        ("-t trace", "trace"),
        ("-tn foo", "a condition belongs here"),
        ("-ri", "-r and -i exclude each other"),
        ("-gM", "-g and -M exclude each other"),
        ("-rt", "-r shows no sockets, and -t is about them"),
        ("--all-netns --netns x", "--netns"),
        ("-i --container x", "-i shows no sockets, and --container and the like"),
        ("-s --pod x", "-s and --container and the like exclude each other"),
        ("-C", "-C only means something with -r"),
        ("-r -A unix", "-r knows the families inet and inet6, not unix"),
        ("-i --table main", "--table only means something with -r"),
        ("-r --table=", "a name, a number or `all`"),
        ("-t --comp", "--compat has to be written in full"),
        ("-tZ --json", "--json"),
        ("-A inet,foo", "the families are unix, inet, inet6, ax25"),
        ("schema --json", "--json"),
    ] {
        let text = refused(line);
        assert!(text.starts_with("enetstat: ") && text.contains(wanted), "{line}: {text}");
        assert!(!text.contains("as a value"), "{line}: {text}");
    }
    assert_eq!(trace("--close --queues off").queues, Queues::Off);
}

#[test]
fn help_and_version_are_shown() {
    for line in ["--help", "-h", "trace --help", "--version", "-V", "capabilities --help"] {
        assert!(matches!(plan(line), Err(Stop::Show(_))), "{line}");
    }
    let Err(Stop::Show(text)) = plan("--version") else { panic!() };
    let begin = format!("enetstat {} (abi {}, object ", env!("CARGO_PKG_VERSION"), netstat_common::ABI);
    assert!(text.starts_with(&begin), "{text}");
}

#[test]
fn the_definitions_agree_with_each_other() {
    let mut command = <flags::Flags as clap::CommandFactory>::command();
    command.build();
    assert_eq!(command.get_subcommands().map(clap::Command::get_name).collect::<Vec<_>>(), COMMANDS);
    command.debug_assert();
}

#[test]
fn statistics_take_the_flags_of_net_tools() {
    let statistics = |line: &str| match plan(line) {
        Ok(Plan::Statistics(plan)) => plan,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(statistics("-s"), StatisticsPlan::default());
    assert_eq!(statistics("--stat"), StatisticsPlan::default());
    // What only means something for sockets is no error in net-tools.
    assert_eq!(statistics("-snpleao --wide"), StatisticsPlan::default());
    let some = statistics("-stwcv6");
    assert_eq!(some.protocols, Protocols { tcp: true, ip: true, ..Protocols::default() });
    assert_eq!(
        (some.family, some.interval, some.zeros),
        (Some(V6), Some(Duration::from_secs(1)), Zeros::Shown)
    );
    let others = statistics("-suUS4 --json --all-netns --tier procfs");
    assert_eq!(others.protocols, Protocols { udp: true, udplite: true, sctp: true, ..Protocols::default() });
    assert!(others.family == Some(V4) && others.json && others.all_netns);
    assert_eq!(statistics("-s46").family, None);
    assert_eq!((statistics("-sst").zeros, statistics("-ssv").zeros), (Zeros::Hidden, Zeros::Shown));
    assert!(refused("-sx").contains("unix sockets"));
    assert!(refused("-stc --keep-closed 5").contains("--keep-closed"));
    assert!(refused("-s --tier netlink").contains("/proc"));
}

proptest! {
    /// Whatever is read without clap is what clap makes of it.
    #[test]
    fn plain_letters_mean_what_they_mean_to_clap(word in "(-[tuwx6alnpoW]{0,8})?|-[a-zA-Z0-9]{1,3}") {
        let words = [OsString::from("enetstat"), OsString::from(&word)];
        let words = if word.is_empty() { &words[..1] } else { &words[..] };
        if let Some(flags) = letters(words) {
            let by_clap = flags::Flags::try_parse_from(words);
            prop_assert_eq!(by_clap.map(|by_clap| format!("{by_clap:?}")).ok(), Some(format!("{flags:?}")));
        }
    }
}

#[test]
fn plain_letters_need_no_clap() {
    for line in ["enetstat", "enetstat -tan", "enetstat -ltnp", "enetstat -x", "enetstat -tuwaplnoW6"] {
        let words: Vec<_> = line.split(' ').map(OsString::from).collect();
        assert!(letters(&words).is_some(), "{line}");
    }
}
