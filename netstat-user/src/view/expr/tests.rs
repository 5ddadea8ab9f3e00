use super::bytecode::Able;
use super::*;
use crate::model::{Endpoint, TcpState};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn parse(text: &str) -> Selection {
    Selection::parse(&[text.as_bytes()], false).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn wrong(text: &str) -> String {
    Selection::parse(&[text.as_bytes()], false)
        .map_or_else(|error| error.to_string(), |_| format!("{text} is accepted"))
}

fn subject(local: &str, foreign: &str) -> Subject<'static> {
    let end = |text: &str| {
        let addr: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { addr: addr.ip(), port: addr.port() }
    };
    let ends = (end(local), end(foreign));
    Subject {
        kind: if ends.0.addr.is_ipv4() { Kind::Inet } else { Kind::Inet6 },
        state: TcpState::Established,
        ends: Some(ends),
        device: Some(0),
        mark: Some(5),
        cgroup: Some(1),
        path: b"",
        peer: None,
        inodes: (None, None),
        ephemeral: eval::EPHEMERAL,
    }
}

#[test]
fn conditions_hold_or_do_not() {
    let v4 = subject("127.0.0.1:8080", "10.1.2.3:40000");
    let v6 = subject("[::1]:9091", "[2001:db8::5]:443");
    let mapped = subject("[::ffff:127.0.0.1]:22", "[::ffff:10.1.2.3]:33000");
    for (text, wanted) in [
        ("", [true; 3]),
        ("src 127.0.0.1", [true, false, true]),
        ("src 127/8", [true, false, true]),
        ("dst = 10.1/16:40000", [true, false, false]),
        ("dst 10.0.0.0/8 and not sport = :22", [true, false, false]),
        ("src [::1]:9091", [false, true, false]),
        ("src ::1:9091", [false, true, false]),
        ("dst 2001:db8::5", [false, true, false]),
        ("dst [2001:db8::]/32", [false, true, false]),
        ("dst [2001:db8::/32]:443", [false, true, false]),
        ("src ::/0", [false, true, true]),
        ("src 0/0", [true, false, true]),
        ("src *", [true; 3]),
        ("src *:22 or src any:8080", [true, false, true]),
        ("src inet:127.0.0.1", [true, false, false]),
        ("sport = inet6:22", [false, false, true]),
        ("sport >= 8080", [true, true, false]),
        ("sport gt :8080", [false, true, false]),
        ("sport < 8080", [false, false, true]),
        ("sport le 8080 and sport != 22", [true, false, false]),
        ("(sport=:22)", [false, false, true]),
        ("!(sport=:22 || sport=9091)", [true, false, false]),
        ("sport = 0x1f90", [true, false, false]),
        // From left to right, as in ss.
        ("sport = 8080 or sport = 22 and dport = 33000", [false, false, true]),
        ("sport = 8080 or ( sport = 22 and dport = 33000 )", [true, false, true]),
        ("sport = 22 dport = 33000", [false, false, true]),
        ("not sport = 22 or sport = 22", [true; 3]),
        ("not not sport = 22", [false, false, true]),
        ("autobound", [false; 3]),
        ("fwmark 5", [true; 3]),
        ("fwmark 4/4", [true; 3]),
        ("fwmark != 0x5", [false; 3]),
        ("dev 0", [true; 3]),
        ("dev != 1", [true; 3]),
        ("src unix:/run/*", [false; 3]),
        ("state established", [true; 3]),
        ("state connected exclude estab src 127.0.0.1", [false; 3]),
        ("exclude syn-sent sport = 22", [false, false, true]),
    ] {
        let selection = parse(text);
        assert_eq!([v4, v6, mapped].map(|subject| selection.wants(&subject)), wanted, "{text}");
    }
}

#[test]
fn what_is_not_known_is_neither() {
    let unknown =
        Subject { mark: None, cgroup: None, device: None, ..subject("127.0.0.1:22", "127.0.0.1:40000") };
    for text in
        ["fwmark 5", "not fwmark 5", "fwmark 5 and sport = 22", "dev 0", "cgroup id:1", "not cgroup id:1"]
    {
        assert!(!parse(text).wants(&unknown), "{text}");
    }
    for text in ["fwmark 5 or sport = 22", "not ( fwmark 5 and sport = 23 )"] {
        assert!(parse(text).wants(&unknown), "{text}");
    }
}

#[test]
fn unix_paths_are_patterns() {
    let named = |path| Subject { kind: Kind::Unix, ends: None, path, ..subject("0.0.0.0:0", "0.0.0.0:0") };
    for (text, path, wanted) in [
        ("src unix:/run/*.sock", &b"/run/a.SOCK"[..], true),
        ("src /run/?", b"/run/x", true),
        ("src /run/[a-c]x", b"/run/bx", true),
        ("src /run/[!a-c]x", b"/run/bx", false),
        ("src /run/[", b"/run/[", true),
        ("src /run/a\\ b", b"/run/a b", true),
        ("src unix:*", b"", true),
        ("src unix:", b"", true),
        ("src unix:[!@]*", b"", false),
        ("src @*", b"@abstract", true),
        ("not src /run/*", b"/tmp/x", true),
        ("autobound", b"@0000f", true),
        ("autobound", b"@0000g", false),
        ("autobound", b"", true),
        ("sport = 22", b"/run/x", false),
    ] {
        assert_eq!(parse(text).wants(&named(path)), wanted, "{text}");
    }
    // Where ss has ports.
    let inodes = |text: &str| parse(text).wants(&Subject { inodes: (Some(70_000), Some(0)), ..named(b"") });
    assert!(inodes("sport > 5 and not sport < 1 and dport = 0") && !inodes("dport != 0"));
    let peer = |peer| parse("dst /run/*").wants(&Subject { peer, ..named(b"") });
    assert_eq!([Some(&b"/RUN/x"[..]), Some(b""), None].map(peer), [true, false, false]);
    let unix = Selection::parse(&[b"src", b"x*y"], true).unwrap();
    assert!(unix.wants(&named(b"X y")));
    // Many stars cost no more than their number.
    let stars = [b"*a".repeat(2000), b"b".to_vec()].concat();
    assert!(!eval::matches(&stars, &b"a".repeat(4000)));
}

#[test]
fn errors_point_at_the_word() {
    for (text, wanted) in [
        ("state time-wiat dst 10/8", "this is no state; the states are established, syn-sent"),
        ("state time-wiat dst 10/8", "\n  state time-wiat dst 10/8\n        ^^^^^^^^^"),
        ("foo", "a condition belongs here: dst, src,"),
        ("dst", "\n  dst\n      ^"),
        ("sport = :22 and", "\n  sport = :22 and\n                  ^"),
        ("sport = :22 )", "this parenthesis was not opened\n  sport = :22 )\n              ^"),
        ("( sport = :22", "this parenthesis is not closed\n  ( sport = :22\n  ^"),
        ("sport = :70000", "\":70000\" is no port: they end at 65535"),
        ("sport = 1.2.3.4:5", "is no port: addresses are for src and dst"),
        ("sport > *", "\"*\" is no port to compare with"),
        ("src 1.2.3.4/33", "\"1.2.3.4/33\" is no address, prefix or host name"),
        ("src 1.2.3.4.5", "is no address"),
        ("dst > 1.2.3.4", "dst can be equal (=) or not (!=)"),
        ("fwmark x", "this is no mark"),
        ("src link:eth0", "addresses of the family link are not understood"),
        ("sport = 22 state listening", "states come before all other conditions"),
        ("sport = unix:22", "unix sockets have no ports"),
        ("SPORT = 22", "a condition belongs here"),
        ("\u{1b}[31m", "\u{fffd}"),
    ] {
        let said = wrong(text);
        assert!(said.contains(wanted), "{text}: {said}");
        assert!(!said.contains('\u{1b}'));
    }
    for deep in ["( ".repeat(100_000), "not ".repeat(100_000), "!".repeat(100_000)] {
        assert!(wrong(&deep).contains("too many parentheses and negations"), "{}", &wrong(&deep)[..80]);
    }
    assert!(wrong(&"autobound ".repeat(100_000)).contains("more than 512 conditions"));
}

#[test]
fn names_are_looked_up() {
    struct Names;
    impl Lookup for Names {
        fn host(&self, name: &str) -> Vec<IpAddr> {
            let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            if name == "localhost" { both.to_vec() } else { Vec::new() }
        }
        fn service(&self, name: &str) -> Vec<u16> {
            match name {
                "ssh" => vec![22],
                "odd" => vec![1, 9091],
                _ => Vec::new(),
            }
        }
        fn device(&self, name: &str) -> Option<Device> {
            (name == "lo").then_some(Device::Index(1))
        }
        fn cgroup(&self, path: &[u8]) -> Result<u64, String> {
            if path == b"/" { Ok(1) } else { Err("No such file".to_owned()) }
        }
    }
    let v6 = subject("[::1]:9091", "[::1]:40000");
    for (text, wanted) in [
        ("src localhost:odd", true),
        ("src localhost:ssh", false),
        ("sport = odd", true),
        ("dev lo", false),
        ("dev != lo", true),
        ("cgroup /", true),
    ] {
        assert_eq!(parse(text).resolve(&Names).unwrap().wants(&v6), wanted, "{text}");
    }
    for (text, wanted) in [
        ("src nowhere", "\"nowhere\" is the name of no host"),
        ("sport = :nothing", "\"nothing\" is the name of no service"),
        ("dev eth7", "\"eth7\" is the name of no network interface"),
        ("cgroup /a", "cannot find the cgroup \"/a\": No such file"),
    ] {
        assert!(parse(text).resolve(&Names).unwrap_err().to_string().contains(wanted), "{text}");
    }
}

/// What the kernel does with code (`inet_diag_bc_audit`, `valid_cc`, `inet_diag_bc_run`): `None`: it is refused.
fn kernel(code: &[u8], subject: &Subject<'_>, auto: bool) -> Option<bool> {
    let length = code.len() as i64;
    let op = |at: i64| {
        let at = at as usize;
        (code[at], i64::from(code[at + 1]), i64::from(u16::from_ne_bytes([code[at + 2], code[at + 3]])))
    };
    let lands = |target: i64| {
        let mut at = 0;
        while at < target {
            at += op(at).1;
        }
        at == target
    };
    let mut at = 0;
    while at < length {
        let (code_of, yes, no) = op(at);
        let operand = match code_of {
            1 | 6 => 0,
            2..=5 | 9 => 4,
            7 | 8 => match code[at as usize + 4] {
                0 => 8,
                2 => 12,
                10 => 24,
                _ => return None,
            },
            10 | 13 => 8,
            _ => return None,
        };
        let left = length - at;
        let least = 4 + operand;
        if left < least || no < if code_of == 1 { 4 } else { least } || no > left + 4 || no & 3 != 0 {
            return None;
        }
        if no < left && !lands(at + no) {
            return None;
        }
        if (code_of == 1 && yes != 4) || (code_of != 1 && yes < least) || yes > left + 4 || yes & 3 != 0 {
            return None;
        }
        at += yes;
    }
    if at != length {
        return None;
    }

    let (local, foreign) = subject.ends?;
    let word = |at: i64| u32::from_ne_bytes(code[at as usize..][..4].try_into().unwrap());
    let mut at = 0;
    while at < length {
        let (code_of, yes, no) = op(at);
        let port = op(at.min(length - 8) + 4).2;
        let held = match code_of {
            1 => false,
            2 => i64::from(local.port) >= port,
            3 => i64::from(local.port) <= port,
            4 => i64::from(foreign.port) >= port,
            5 => i64::from(foreign.port) <= port,
            6 => auto,
            7 | 8 => {
                let end = if code_of == 7 { local } else { foreign };
                let (family, len) = (code[at as usize + 4], code[at as usize + 5]);
                let wanted = word(at + 8) as i32;
                let bytes = &code[at as usize + 12..];
                let prefix = match family {
                    0 => None,
                    2 => Some(IpAddr::from(<[u8; 4]>::try_from(&bytes[..4]).unwrap())),
                    _ => Some(IpAddr::from(<[u8; 16]>::try_from(&bytes[..16]).unwrap())),
                };
                (wanted == -1 || wanted == i32::from(end.port))
                    && prefix.is_none_or(|addr| Prefix::new(addr, len).unwrap().holds(end.addr))
            }
            9 => subject.device == Some(word(at + 4)),
            10 => subject.mark.unwrap() & word(at + 8) == word(at + 4),
            _ => subject.cgroup.unwrap() == u64::from(word(at + 4)) | u64::from(word(at + 8)) << 32,
        };
        at += if held { yes } else { no };
    }
    Some(at == length)
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(22), Just(80), Just(32_768), Just(40_000), any::<u16>()]
}

fn addr() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        Just(Ipv4Addr::LOCALHOST.into()),
        Just(Ipv4Addr::UNSPECIFIED.into()),
        Just(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()),
        Just(Ipv6Addr::LOCALHOST.into()),
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
    ]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (addr(), 0u8..=128)
        .prop_map(|(addr, len)| Prefix::new(addr, len.min(if addr.is_ipv4() { 32 } else { 128 })).unwrap())
}

fn family() -> impl Strategy<Value = Option<Kind>> {
    prop_oneof![4 => Just(None), 1 => Just(Some(Kind::Inet)), 1 => Just(Some(Kind::Inet6))]
}

fn wanted_port() -> impl Strategy<Value = Port> {
    prop_oneof![
        4 => port().prop_map(Port::Number),
        1 => prop::collection::vec(port(), 2..4).prop_map(Port::Any),
        1 => "[a-z][a-z0-9-]{0,8}".prop_map(Port::Name),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Local), Just(Side::Foreign)]
}

/// Conditions that need no names and no path when `plain`.
fn cond(plain: bool) -> BoxedStrategy<Cond> {
    let address = prop_oneof![
        Just(Address::Any),
        prop::collection::vec(prefix(), 1..3).prop_map(Address::Prefixes),
        // A name must not look like a word of the grammar or like a number.
        "h[a-z0-9-]{0,8}".prop_map(Address::Name),
    ];
    let host = (side(), family(), address, prop::option::of(wanted_port())).prop_map(
        |(side, kind, address, port)| {
            // The words say of each address of which family it is.
            let kind = if matches!(&address, Address::Prefixes(_)) { None } else { kind };
            Cond::Host(side, Host { kind, address, port })
        },
    );
    let compare = prop_oneof![Just(Compare::Equal), Just(Compare::AtLeast), Just(Compare::AtMost)];
    let port = (side(), compare, family(), wanted_port())
        .prop_map(|(side, compare, kind, port)| Cond::Port(side, compare, kind, port));
    let path = (side(), prop::collection::vec(any::<u8>(), 0..12)).prop_map(|(side, path)| {
        Cond::Host(side, Host { kind: Some(Kind::Unix), address: Address::Path(path), port: None })
    });
    let all = prop_oneof![
        4 => host,
        4 => port,
        1 => path,
        1 => (0u32..4).prop_map(|index| Cond::Device(Device::Index(index))),
        1 => "[a-z][a-z0-9.-]{0,8}".prop_map(|name| Cond::Device(Device::Name(name))),
        1 => (0u32..8, any::<u32>()).prop_map(|(value, mask)| Cond::Mark { value, mask }),
        1 => (0u64..4).prop_map(|id| Cond::Cgroup(Cgroup::Id(id))),
        1 => "/[a-z /\\\\()]{0,8}".prop_map(|path| Cond::Cgroup(Cgroup::Path(path.into_bytes()))),
        1 => Just(Cond::Autobound),
    ];
    let is_plain = move |cond: &Cond| {
        let named = match cond {
            Cond::Host(_, Host { address, port, .. }) => {
                matches!(address, Address::Name(_) | Address::Path(_)) || matches!(port, Some(Port::Name(_)))
            }
            Cond::Port(_, compare, _, port) => {
                matches!(port, Port::Name(_)) || (*compare != Compare::Equal && matches!(port, Port::Any(_)))
            }
            Cond::Device(Device::Name(_)) | Cond::Cgroup(Cgroup::Path(_)) => true,
            Cond::Device(_) | Cond::Mark { .. } | Cond::Cgroup(_) | Cond::Autobound => false,
        };
        !plain || !named
    };
    all.prop_filter("names", is_plain).boxed()
}

fn expr(plain: bool) -> impl Strategy<Value = Expr> {
    cond(plain).prop_map(Expr::Leaf).prop_recursive(6, 32, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(Expr::not),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| left.and(right)),
            (inner.clone(), inner).prop_map(|(left, right)| left.or(right)),
        ]
    })
}

prop_compose! {
    fn any_subject()(
        v6: bool,
        addrs in (addr(), addr()),
        ports in (port(), port()),
        device in 0u32..4,
        mark in 0u32..8,
        cgroup in 0u64..4,
    ) -> Subject<'static> {
        let kind = if v6 { Kind::Inet6 } else { Kind::Inet };
        let of_kind = |addr: IpAddr| match (v6, addr) {
            (true, IpAddr::V4(v4)) => v4.to_ipv6_mapped().into(),
            (false, IpAddr::V6(_)) => Ipv4Addr::LOCALHOST.into(),
            _ => addr,
        };
        let ends = [addrs.0, addrs.1].map(of_kind);
        let ends = (Endpoint { addr: ends[0], port: ports.0 }, Endpoint { addr: ends[1], port: ports.1 });
        let (device, mark, cgroup) = (Some(device), Some(mark), Some(cgroup));
        Subject { kind, ends: Some(ends), device, mark, cgroup, ..subject("127.0.0.1:1", "127.0.0.1:2") }
    }
}

const ABLE: Able = Able { marks: true, cgroups: true };

proptest! {
    #[test]
    fn what_is_printed_is_read_back(expr in expr(false), states in prop::option::of(prop_oneof![Just(0), 0u32..0x1000])) {
        // No state at all (`exclude all`) is another thing than no word about states.
        let states = states.map(|states| States(states & States::ALL.0));
        let selection = Selection { states, expr: Some(expr) };
        let text = selection.text();
        prop_assert_eq!(Selection::parse(&[&text], false).map_err(|error| error.to_string()), Ok(selection));
    }

    #[test]
    fn the_kernel_takes_the_code_and_agrees(expr in expr(true), subject in any_subject()) {
        let selection = Selection { states: None, expr: Some(expr.clone()) };
        // Everything of it can be compiled: the two say the same.
        let code = selection.bytecode(ABLE).expect("code");
        let auto = (eval::EPHEMERAL.0..=eval::EPHEMERAL.1).contains(&subject.ends.unwrap().0.port);
        prop_assert_eq!(kernel(&code, &subject, auto), Some(expr.holds(&subject) == Some(true)));
    }

    #[test]
    fn the_kernel_never_leaves_out_what_is_wanted(expr in expr(false), subject in any_subject(), marks: bool) {
        let selection = Selection { states: None, expr: Some(expr) };
        let auto = (eval::EPHEMERAL.0..=eval::EPHEMERAL.1).contains(&subject.ends.unwrap().0.port);
        if let Some(code) = selection.bytecode(Able { marks, cgroups: false }) {
            let taken = kernel(&code, &subject, auto);
            prop_assert!(taken.is_some());
            prop_assert!(taken == Some(true) || !selection.wants(&subject));
        }
    }

    #[test]
    fn any_words_are_an_expression_or_an_error(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..8)) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if let Err(error) = Selection::parse(&words, false) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn words_of_the_grammar_in_any_order_are_survived(words in prop::collection::vec(prop::sample::select(vec![
        "state", "exclude", "all", "listening", "src", "dst", "sport", "=", "!=", ">", "(", ")", "not", "!", "and", "or",
        ":22", "127.0.0.1", "[::1]:22", "::1:22", "*", "dev", "lo", "fwmark", "1/2", "cgroup", "/a\\ b)", "autobound", "unix:*",
    ]), 0..24)) {
        let text = words.join(" ");
        if let Ok(selection) = Selection::parse(&[text.as_bytes()], false) {
            let again = selection.text();
            prop_assert_eq!(Selection::parse(&[&again], false), Ok(selection));
        }
    }
}
