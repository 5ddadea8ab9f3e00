//! Lines of the log and of JSON, and JSON against its schema.

use super::field::{FIELDS, Type};
use super::json::Json;
use super::log::{Log, LogStyle};
use super::{sample, schema, summary::Summary};
use crate::args::plan::TimeStyle;
use crate::model::*;
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::num::NonZeroU64;

type Process = (Pid, Comm);

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
TIME             PROTO LOCAL                   FOREIGN                 STATE          LIVED       SENT   RECEIVED  END          PID/PROGRAM
03:04:07.000000  tcp   192.0.2.1:40022         198.51.100.7:80         TIME_WAIT      876ms         77      14480  local        4711/curl
"
    );
    let conn = Conn { opened: None, owner: None, ..sample::conn() };
    let unknown = Ended { conn, totals: None, reason: None, err: libc::ECONNRESET as u16, ..sample::ended() };
    assert!(
        logged(close(), &Told::Ended(unknown))
            .ends_with(" ESTABLISHED        -          -          -  -            - ECONNRESET\n")
    );
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
    inherited.conn.owner = Some(Owner { pid: sample::pid(9), comm: Comm::default(), how: How::Inherited });
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
        let spec = FIELDS.iter().find(|spec| spec.name == name).unwrap();
        let right = match spec.kind {
            Type::Text => value.is_string() && property.get("const").is_none_or(|wanted| wanted == value),
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
        totals: Some(sample::totals()),
    }
}

fn socket(row: &SockRow, holders: Option<&[Process]>) -> Map<String, Value> {
    let mut out = Vec::new();
    let holders = holders.map(|holders| holders.iter().copied());
    Json::new(false, sample::clock()).socket(&mut out, Mono(0), row, holders);
    check(std::str::from_utf8(&out).unwrap())
}

#[test]
fn sockets_of_listings_obey_the_schema() {
    let held = [(sample::pid(1), Comm::from_bytes(b"init")), (sample::pid(2), Comm::from_bytes(b"\xff"))];
    let listener = socket(&row(), Some(&held));
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
        Json::new(false, sample::clock()).unix(&mut out, Mono(0), 1, &row, None::<std::iter::Empty<Process>>);
        let object = check(std::str::from_utf8(&out).unwrap());
        match std::str::from_utf8(&path) {
            Ok("") => prop_assert!(!object.contains_key("enetstat.unix.path")),
            Ok(text) => prop_assert_eq!(&object["enetstat.unix.path"], text),
            Err(_) => prop_assert_eq!(object["enetstat.unix.path_hex"].as_str().unwrap().len(), 2 * path.len()),
        }
    }
}
