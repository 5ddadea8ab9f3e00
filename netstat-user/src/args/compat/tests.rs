use super::*;
use proptest::prelude::*;

const WORLD: World = World { selinux: false, strict: false };

fn read(line: &str) -> Result<CompatPlan, End> {
    let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    parse(b"netstat", &words, WORLD)
}

fn plan(line: &str) -> CompatPlan {
    read(line).unwrap_or_else(|end| panic!("{line}: {end:?}"))
}

fn end(line: &str) -> (u8, String) {
    let end = read(line).unwrap_err();
    (end.code, String::from_utf8([end.out, end.err].concat()).unwrap())
}

#[test]
fn letters_bundle_and_options_follow_operands() {
    let all = plan("-tanpeo");
    assert!(all.tables.tcp && all.programs && all.timers && all.extend == 1 && all.explicit);
    assert_eq!((all.which, all.naming), (Which::All, Naming::default()));
    assert_eq!(plan("foo -t bar -anp 5 -eo"), all);
    assert_eq!(plan("--tcp --al --numeric --prog --ext --tim"), all);
    assert_eq!(plan("-tanpeo -- -V --nonsense"), all);
    let strict = World { strict: true, ..WORLD };
    assert_eq!(parse(b"netstat", &[b"-t", b"x", b"-V"], strict).map(|plan| plan.tables.tcp), Ok(true));
}

#[test]
fn families_select_as_the_original_does() {
    let none = plan("");
    assert!(!none.explicit && !none.whole_family && !none.inet && !none.tables.any());
    let four = plan("-4");
    assert!(four.whole_family && four.explicit && four.inet && !four.inet6 && four.tables.sctp);
    let tcp = plan("-t");
    assert!(!tcp.whole_family && tcp.inet && tcp.inet6 && !tcp.tables.udp);
    assert_eq!(plan("-A inet,unix").families, [Family::Inet, Family::Unix]);
    assert_eq!(plan("-Ainet -x"), plan("--protocol=inet --protocol unix"));
    assert!(plan("--bluetooth").tables.rfcomm && !plan("-2").tables.rfcomm);
    assert!(!plan("--ddp").explicit && !plan("-A ash,econet").explicit);
    assert!(plan("-g").tables.groups && !plan("-g").tables.inet() && plan("-4g").tables.tcp);
}

#[test]
fn messages_are_those_of_glibc_and_the_original() {
    for (line, code, begin) in [
        ("-tq", 3, "netstat: invalid option -- 'q'\nusage: netstat ["),
        ("-A", 3, "netstat: option requires an argument -- 'A'\nusage"),
        ("--protocol", 3, "netstat: option '--protocol' requires an argument\nusage"),
        ("--all=3", 3, "netstat: option '--all' doesn't allow an argument\nusage"),
        ("--bogus=1", 3, "netstat: unrecognized option '--bogus=1'\nusage"),
        ("--i", 3, "netstat: option '--i' is ambiguous; possibilities: '--ip' '--interfaces'\nusage"),
        ("--un", 3, "netstat: option '--un' is ambiguous; possibilities: '--unix' '--unix'\nusage"),
        ("-?", 3, "usage: netstat"),
        ("-r -i", 3, "usage: netstat"),
        ("-ss", 3, "usage: netstat"),
        ("-tA foo,inet", 1, "Unknown address family `foo'.\n"),
        ("-A unix,", 1, "Unknown address family `'.\n"),
        ("--tcpip -q", 3, "netstat.c: Internal Error `longopts 1 range'.\nnetstat: invalid option -- 'q'\n"),
        ("-Z -q", 1, "SELinux is not enabled on this machine.\n"),
        ("-s -46", 1, "netstat: No statistics support for specified address family: inet,inet6\n"),
        ("-V -q", 0, "net-tools 2.10\n"),
        ("-h -q", 0, "usage: netstat"),
    ] {
        let (found, said) = end(line);
        assert!(found == code && said.starts_with(begin), "{line}: {found} {said}");
    }
    assert_eq!(plan("--ine --ap").families, [Family::Inet, Family::Ddp]);
}

#[test]
fn names_of_families_have_room_for_255_bytes() {
    let many = vec!["bluetooth"; 25].join(",");
    let found = plan(&format!("-A {many} -A bluetooth,foo"));
    assert_eq!((found.families.len(), found.preface.len()), (25, text::TOO_MANY.len()));
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names = SYNTAX.long.iter().map(|long| long.name).collect::<Vec<_>>();
    let long = (prop::sample::select(names), 0usize..16, prop::option::of(".{0,4}"));
    let long = long.prop_map(|(name, cut, value)| {
        let name = name.get(..cut).unwrap_or(name);
        let value = value.map(|value| format!("={value}")).unwrap_or_default();
        format!("--{name}{value}").into_bytes()
    });
    let word = prop_oneof![
        long,
        "-[A-Za-z0-9?:;-]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..8),
        Just(b"-A".to_vec()),
        Just(b"inet,unix".to_vec()),
    ];
    prop::collection::vec(word, 0..12)
}

proptest! {
    #[test]
    fn any_words_are_a_plan_or_an_end(words in words(), selinux: bool, strict: bool) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if let Err(end) = parse(b"netstat", &words, World { selinux, strict }) {
            prop_assert!(end.code == 0 || end.code == 1 || end.code == 3);
        }
    }
}
