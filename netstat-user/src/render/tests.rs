//! Lines of the log and of JSON, and JSON against its schema.

use super::field::{self, Type};
use super::json::Json;
use super::log::{Log, LogStyle};
use super::object::Held;
use super::{sample, schema, summary::Summary};
use crate::args::plan::TimeStyle;
use crate::model::*;
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::num::NonZeroU64;

fn logged(style: LogStyle, told: &Told) -> String {
    let mut out = Vec::new();
    Log::new(style, sample::clock()).told(&mut out, told);
    String::from_utf8(out).unwrap()
}

fn close() -> LogStyle {
    LogStyle { close: true, ..LogStyle::default() }
}

fn header(style: LogStyle) -> String {
    let mut out = Vec::new();
    Log::new(style, sample::clock()).header(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_transition_is_one_aligned_line_under_its_titles() {
    assert_eq!(
        header(LogStyle::default()) + &logged(LogStyle::default(), &Told::Transition(sample::transition())),
        "\
TIME             PROTO LOCAL                   FOREIGN                 OLD         -> NEW           SPENT  PID/PROGRAM
03:04:06.123456  tcp   192.0.2.1:40022         198.51.100.7:80         SYN_SENT    -> ESTABLISHED   312us  4711/curl
"
    );
    let plain = LogStyle { time: TimeStyle::None, netns: true, ..LogStyle::default() };
    assert_eq!(
        header(plain.clone()) + &logged(plain, &Told::Transition(sample::transition())),
        "\
NETNS      PROTO LOCAL                   FOREIGN                 OLD         -> NEW           SPENT  PID/PROGRAM
4026531840 tcp   192.0.2.1:40022         198.51.100.7:80         SYN_SENT    -> ESTABLISHED   312us  4711/curl
"
    );
    let mono = LogStyle { time: TimeStyle::Mono, ..LogStyle::default() };
    assert!(
        logged(mono, &Told::Transition(sample::transition())).starts_with("       1.123456  tcp   192.0.2.1")
    );
}

#[test]
fn an_end_is_one_aligned_line_under_its_titles() {
    assert_eq!(
        header(close()) + &logged(close(), &Told::Ended(sample::ended())),
        "\
TIME             PROTO LOCAL                   FOREIGN                 STATE          LIVED       SENT   RECEIVED    RTT RETRANS ZEROWIN  END          PID/PROGRAM
03:04:07.000000  tcp   192.0.2.1:40022         198.51.100.7:80         TIME_WAIT      876ms         77      14480  250us       1       2  local        4711/curl
"
    );
    let conn = Conn { opened: None, owner: None, latency: Latency::default(), ..sample::conn() };
    let unknown =
        Ended { conn, totals: None, why: Why::default(), err: libc::ECONNRESET as u16, ..sample::ended() };
    assert!(logged(close(), &Told::Ended(unknown)).ends_with(
        " ESTABLISHED        -          -          -      -       -       -  -            - ECONNRESET\n"
    ));
}

#[test]
fn who_closed_first_is_said_before_the_peer_has_closed() {
    let conn = Conn { state: TcpState::FinWait2, ..sample::ended().conn };
    let ended = Ended { conn, why: Why::default(), ..sample::ended() };
    let line = logged(close(), &Told::Ended(ended.clone()));
    assert!(line.contains(" FIN_WAIT2 ") && line.contains("  local  "), "{line}");
    // How another one ended, nothing tells.
    let conn = Conn { state: TcpState::Close, ..ended.conn };
    let line = logged(close(), &Told::Ended(Ended { conn, ..ended }));
    assert!(!line.contains("local"), "{line}");
}

#[test]
fn each_style_shows_its_own_kind_and_every_repair() {
    assert_eq!(logged(close(), &Told::Transition(sample::transition())), "");
    assert_eq!(logged(LogStyle::default(), &Told::Ended(sample::ended())), "");
    assert_eq!(
        logged(close(), &Told::Repaired(sample::repair())),
        "03:04:06.045100  -- lost 12 events; 3 rows corrected after 45.1ms\n"
    );
    assert_eq!(
        logged(LogStyle::default(), &sample::queue()),
        "03:04:06.500000  tcp   192.0.2.1:40022         198.51.100.7:80         ESTABLISHED queue send    \
         recv-q=0 send-q=1448 sent=1448 received=0  4711/curl\n"
    );
}

#[test]
fn what_is_not_certain_is_marked() {
    let deduced = Transition { learnt: Learnt::Deduced, ..sample::transition() };
    let line = logged(LogStyle::default(), &Told::Transition(deduced));
    assert!(line.starts_with("03:04:06.123456~ tcp") && line.contains("  ~312us  "), "{line}");
    let mut inherited = sample::transition();
    inherited.conn.owner = Some(sample::owner(9, b"", How::Inherited));
    inherited.spent = None;
    inherited.err = libc::ECONNREFUSED as u16;
    let line = logged(LogStyle::default(), &Told::Transition(inherited));
    assert!(line.ends_with("-> ESTABLISHED       -  (9/-) ECONNREFUSED\n"), "{line}");
}

#[test]
fn ipv6_stands_in_brackets_and_names_are_escaped() {
    let mut transition = sample::transition();
    transition.conn.identity.tuple =
        Tuple::new(sample::end("2001:db8::1", 443), sample::end("::ffff:192.0.2.1", 5), Family::V6, 0);
    transition.conn.owner =
        Some(Owner { comm: Comm::from_bytes(b"\x1b[2J"), ..transition.conn.owner.unwrap() });
    let line = logged(LogStyle::default(), &Told::Transition(transition));
    assert!(line.contains("  tcp6  [2001:db8::1]:443       [::ffff:192.0.2.1]:5    SYN_SENT "), "{line}");
    assert!(line.ends_with("4711/\\x1b[2J\n"), "{line}");
}

#[test]
fn the_zone_of_the_reader_counts() {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(-5));
    let line = logged(LogStyle { zone, ..LogStyle::default() }, &Told::Transition(sample::transition()));
    assert!(line.starts_with("22:04:06.123456 "), "{line}");
}

/// What the schema says about one kind, checked with the few keywords that it uses.
pub fn check(line: &str) -> Map<String, Value> {
    let mut text = Vec::new();
    schema::schema(&mut text);
    let schema: Value = serde_json::from_slice(&text).unwrap();
    let Value::Object(object) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
    let kind = object["enetstat.kind"].as_str().unwrap();
    let definition = &schema["$defs"][kind];
    for name in definition["required"].as_array().unwrap() {
        assert!(object.contains_key(name.as_str().unwrap()), "{name} is missing in {line}");
    }
    for (name, value) in &object {
        let property = &definition["properties"][name];
        assert!(property.is_object(), "{name} is not in the schema of {kind}");
        let spec = field::all().find(|spec| spec.name == name).unwrap();
        let right = match spec.kind {
            Type::Text => value.is_string() && property.get("const").is_none_or(|wanted| wanted == value),
            Type::Texts => value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)),
            Type::OneOf(_) => property["enum"].as_array().unwrap().contains(value),
            Type::Time => {
                value.as_str().is_some_and(|text| text.len() == 30 && text.parse::<jiff::Timestamp>().is_ok())
            }
            Type::Integer => {
                value.as_u64().is_some_and(|number| number < 1 << 53) && property["type"] == "integer"
            }
            Type::Integer64 => value.as_str().is_some_and(|text| text.parse::<u64>().is_ok()),
            Type::Signed => value.as_str().is_some_and(|text| text.parse::<i128>().is_ok()),
            Type::Hex => value.as_str().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit())),
            Type::True => *value == Value::Bool(true),
            Type::Bool => value.is_boolean() && property["type"] == "boolean",
            Type::Words(_) => value.as_array().is_some_and(|words| {
                let known = property["items"]["enum"].as_array().unwrap();
                words.iter().all(|word| known.contains(word))
            }),
            Type::Integers => value.as_array().is_some_and(|numbers| numbers.iter().all(Value::is_u64)),
            Type::Pairs => value.as_array().is_some_and(|pairs| {
                let of = |pair: &Value| {
                    pair.as_array().is_some_and(|pair| pair.len() == 2 && pair.iter().all(Value::is_u64))
                };
                pairs.iter().all(of)
            }),
            Type::TcpInfo | Type::Numbers(_) => value.as_object().is_some_and(|members| {
                members.iter().all(|(name, value)| {
                    let member = &property["properties"][name];
                    if value.is_string() { member["type"] == "string" } else { member["type"] == "integer" }
                })
            }),
            Type::Holders | Type::Hops | Type::Addresses => value.as_array().is_some_and(|holders| {
                let known = &property["items"]["properties"];
                holders
                    .iter()
                    .all(|holder| holder.as_object().unwrap().keys().all(|key| known[key].is_object()))
            }),
        };
        assert!(right, "{name}: {value}");
    }
    object
}

fn json(close: bool, told: &Told) -> Map<String, Value> {
    let mut out = Vec::new();
    Json::new(close, sample::clock()).told(&mut out, told);
    let line = String::from_utf8(out).unwrap();
    assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
    check(&line)
}

#[test]
fn every_kind_obeys_the_schema() {
    let transition =
        json(false, &Told::Transition(Transition { totals: Some(sample::totals()), ..sample::transition() }));
    assert_eq!(transition["timestamp"], "2026-01-02T03:04:06.123456789Z");
    assert_eq!(transition["network.connection.state"], "established");
    assert_eq!(transition["enetstat.state.from"], "syn_sent");
    assert_eq!(transition["enetstat.state.spent_ns"], "312000");
    assert_eq!(transition["enetstat.socket.cookie"], "1152921504606846976");
    assert_eq!((&transition["process.pid"], &transition["user.id"]), (&4711.into(), &"1000".into()));
    let ended = json(true, &Told::Ended(sample::ended()));
    assert_eq!(
        (&ended["enetstat.duration_ns"], &ended["enetstat.bytes.sent"]),
        (&"876855211".into(), &"77".into())
    );
    assert_eq!(json(true, &sample::queue())["enetstat.queue.cause"], "send");
    assert_eq!(json(true, &Told::Repaired(sample::repair()))["enetstat.repair.ms"], 45);
    let mut out = Vec::new();
    let summary = Summary { transitions: u64::MAX, ..Summary::default() };
    Json::new(false, sample::clock()).summary(&mut out, Mono(0), &summary);
    assert_eq!(check(std::str::from_utf8(&out).unwrap())["enetstat.transitions"], u64::MAX.to_string());
    out.clear();
    let counters = [(&b"InSegs"[..], u64::MAX.into()), (b"MaxConn", -1)];
    let counters = counters.map(|(name, value)| Counter { name: name.to_vec(), value });
    let group = Group { name: b"Tcp".to_vec(), counters: counters.to_vec() };
    Json::new(false, sample::clock()).counters(&mut out, Mono(0), 4_026_531_840, Some(Family::V4), &group);
    let lines: Vec<_> = std::str::from_utf8(&out).unwrap().lines().map(check).collect();
    assert_eq!(lines[0]["enetstat.counter.value"], u64::MAX.to_string());
    assert_eq!(
        (&lines[1]["enetstat.counter.group"], &lines[1]["enetstat.counter.value"]),
        (&"Tcp".into(), &"-1".into())
    );
}

#[test]
fn what_is_unknown_is_left_out() {
    let mut transition = sample::transition();
    transition.spent = None;
    transition.conn.owner = None;
    transition.conn.latency = Latency::default();
    transition.conn.active = None;
    transition.conn.id = SockId::default();
    transition.conn.identity = Identity {
        tuple: Tuple::new(sample::end("::", 22), sample::end("::", 0), Family::V6, 0),
        netns: 0,
        uid: None,
        cgroup: None,
    };
    let object = json(false, &Told::Transition(transition));
    let mut names: Vec<_> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "enetstat.connection.id",
            "enetstat.kind",
            "enetstat.learnt",
            "enetstat.state.from",
            "network.connection.state",
            "network.local.address",
            "network.local.port",
            "network.peer.address",
            "network.transport",
            "network.type",
            "timestamp",
        ]
    );
}

fn row() -> SockRow {
    SockRow {
        protocol: Protocol::Tcp,
        family: Family::V6,
        state: TcpState::Listen,
        local: sample::end("::", 22),
        foreign: sample::end("::", 0),
        bound_if: 2,
        cookie: NonZeroU64::new(5),
        netns: 7,
        uid: 0,
        inode: 99,
        rqueue: 1,
        wqueue: 128,
        timer: Timer { kind: TimerKind::Keepalive, expires_ms: 1, retransmits: 2, probes: 3 },
        drops: Some(4),
        v6only: Some(false),
        cgroup: NonZeroU64::new(78),
        totals: Some(sample::totals()),
    }
}

fn socket(row: &SockRow, holders: Option<&[Held<'_>]>) -> Map<String, Value> {
    let mut out = Vec::new();
    let holders = holders.map(|holders| holders.iter().copied());
    Json::new(false, sample::clock()).socket(&mut out, Mono(0), row, holders);
    check(std::str::from_utf8(&out).unwrap())
}

#[test]
fn sockets_of_listings_obey_the_schema() {
    let init = Process { uid: Some(0), ..Process::named(sample::pid(1), Comm::from_bytes(b"init")) };
    let inner =
        Process { inner: Some(sample::pid(9)), ..Process::named(sample::pid(2), Comm::from_bytes(b"\xff")) };
    let details =
        Details { command: b"init \"-x\"".into(), executable: b"/a\xff".into(), user: b"root".into() };
    let known = Held { process: &init, fd: Some(3), details: Some(&details), user: Some(&details.user) };
    let unknown = Held { process: &inner, fd: None, details: None, user: None };
    let listener = socket(&row(), Some(&[known, unknown]));
    let first = &listener["enetstat.holders"][0];
    assert_eq!(
        (&first["process.command_line"], &first["enetstat.process.fd"]),
        (&"init \"-x\"".into(), &3.into())
    );
    assert_eq!(first["enetstat.process.executable.path_hex"], "2f61ff");
    assert_eq!(
        (&first["process.real_user.id"], &first["process.real_user.name"]),
        (&0.into(), &"root".into())
    );
    assert_eq!(listener["enetstat.holders"][1]["process.vpid"], 9);
    assert_eq!(listener["enetstat.holders"][0]["enetstat.process.comm"], "init");
    assert_eq!(listener["enetstat.holders"][1]["enetstat.process.comm_hex"], "ff");
    assert_eq!((&listener["enetstat.queue.send"], &listener["user.id"]), (&128.into(), &"0".into()));
    let from_proc = socket(&SockRow { cookie: None, wqueue: 0, ..row() }, None);
    assert!(!from_proc.contains_key("enetstat.queue.send") && !from_proc.contains_key("enetstat.holders"));
    let timer = Timer { kind: TimerKind::TimeWait, ..row().timer };
    let rest = socket(&SockRow { state: TcpState::TimeWait, timer, inode: 0, ..row() }, None);
    assert!(!rest.contains_key("user.id") && !rest.contains_key("enetstat.socket.inode"));
    for protocol in [Protocol::Udp, Protocol::UdpLite, Protocol::Raw] {
        socket(&SockRow { protocol, state: TcpState::Close, ..row() }, None);
        socket(&SockRow { protocol, state: TcpState::Established, ..row() }, None);
    }
}

#[test]
fn closed_connections_of_listings_obey_the_schema() {
    let line = |conn: &Conn| {
        let mut out = Vec::new();
        Json::new(false, sample::clock()).closed(&mut out, Mono(3_000_000_000), Mono(2_000_000_000), conn);
        check(std::str::from_utf8(&out).unwrap())
    };
    let known = Conn { state: TcpState::Close, rqueue: Some(3), wqueue: Some(0), ..sample::conn() };
    let told = line(&known);
    assert_eq!(
        (&told["enetstat.kind"], &told["network.connection.state"]),
        (&"socket".into(), &"closed".into())
    );
    assert_eq!(told["timestamp"], "2026-01-02T03:04:08.000000000Z");
    assert_eq!((&told["process.pid"], &told["enetstat.process.comm"]), (&4711.into(), &"curl".into()));
    assert_eq!(told["enetstat.duration_ns"], "876855211");
    assert_eq!((&told["enetstat.queue.receive"], &told["enetstat.queue.send"]), (&3.into(), &0.into()));
    let unknown = Conn { opened: None, owner: None, rqueue: None, wqueue: None, ..known };
    let told = line(&unknown);
    for absent in ["process.pid", "enetstat.duration_ns", "enetstat.queue.receive", "enetstat.queue.send"] {
        assert!(!told.contains_key(absent), "{absent}");
    }
}

proptest! {
    #[test]
    fn unix_sockets_of_any_path_obey_the_schema(path: Vec<u8>, kind in 0_u8..6, state in 0_u8..6, listening: bool) {
        let kinds = [UnixKind::Stream, UnixKind::Dgram, UnixKind::Raw, UnixKind::Rdm, UnixKind::Seqpacket];
        let states = [UnixState::Free, UnixState::Unconnected, UnixState::Connecting, UnixState::Connected];
        let row = UnixRow {
            kind: kinds.get(usize::from(kind)).copied().unwrap_or(UnixKind::Other(9)),
            state: states.get(usize::from(state)).copied().unwrap_or(UnixState::Other(9)),
            listening,
            flags: 0,
            refcount: 2,
            inode: 3,
            path: path.clone(),
            cookie: None,
        };
        let mut out = Vec::new();
        Json::new(false, sample::clock()).unix(&mut out, Mono(0), 1, &row, None::<std::iter::Empty<Held<'_>>>);
        let object = check(std::str::from_utf8(&out).unwrap());
        match std::str::from_utf8(&path) {
            Ok("") => prop_assert!(!object.contains_key("enetstat.unix.path")),
            Ok(text) => prop_assert_eq!(&object["enetstat.unix.path"], text),
            Err(_) => prop_assert_eq!(object["enetstat.unix.path_hex"].as_str().unwrap().len(), 2 * path.len()),
        }
    }
}

/// Who opened it, who uses it, who holds it, and what they are.
#[test]
fn everybody_around_a_connection_is_told() {
    let process = |pid, name: &[u8]| Process::named(sample::pid(pid), Comm::from_bytes(name));
    let person = |process| std::sync::Arc::new(Person { process, details: Details::default() });
    let shown = Process {
        inner: Some(sample::pid(7)),
        uid: Some(1000),
        parent: Some(sample::pid(1)),
        ..process(5, b"now")
    };
    let details =
        Details { command: b"now -f".into(), executable: b"/usr/bin/now".into(), user: b"me".into() };
    let shown = std::sync::Arc::new(Person { process: shown, details });
    let ties = Ties {
        shown: shown.clone(),
        opener: Some(person(process(5, b"before"))),
        user: Some(person(process(6, b"child"))),
        holders: vec![shown, person(process(6, b"child"))],
        as_of: Mono(1_000_000_000),
    };
    let owner =
        Owner { pid: sample::pid(5), comm: Comm::from_bytes(b"now"), how: How::Accepted, ties: ties.into() };
    let line = |state| {
        let conn = Conn { state, owner: Some(owner.clone()), ..sample::conn() };
        let mut out = Vec::new();
        let told = Told::Transition(Transition { conn, at: Mono(1_000_000_400), ..sample::transition() });
        Json::new(false, sample::clock()).told(&mut out, &told);
        check(std::str::from_utf8(&out).unwrap())
    };
    let told = line(TcpState::Established);
    for (field, value) in [
        ("process.pid", Value::from(5)),
        ("process.vpid", 7.into()),
        ("process.parent_pid", 1.into()),
        ("process.command_line", "now -f".into()),
        ("process.executable.path", "/usr/bin/now".into()),
        ("process.executable.name", "now".into()),
        ("process.real_user.id", 1000.into()),
        ("user.name", "me".into()),
        ("enetstat.process.comm", "now".into()),
        ("enetstat.owner.how", "accepted".into()),
        ("enetstat.owner.opener.pid", 5.into()),
        ("enetstat.owner.opener.comm", "before".into()),
        ("enetstat.owner.last_user.pid", 6.into()),
        ("enetstat.owner.age_ns", "400".into()),
    ] {
        assert_eq!(told[field], value, "{field}");
    }
    let holders = told["enetstat.owner.holders"].as_array().unwrap();
    assert_eq!(holders.iter().map(|held| held["process.pid"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 6]);
    assert!(!line(TcpState::TimeWait).contains_key("enetstat.owner.holders"));
}
