//! Renderers byte for byte. `BLESS=1` rewrites the files; read the difference before it is kept.

mod beside;
mod bsd;
mod rows;

use netstat_user::agent::statistics;
use netstat_user::args::plan::{CompatFamilies, Naming, StatisticsPlan, TimeStyle, Which, Zeros};
use netstat_user::model::{Conn, Ended, Family, Lodging, TcpState, Told};
use netstat_user::names::Names;
use netstat_user::render::json::Json;
use netstat_user::render::log::{Log, LogStyle};
use netstat_user::render::nettools::{Columns, Extra, Layout};
use netstat_user::render::schema;
use netstat_user::source::Procfs;
use netstat_user::view::Protocols;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

/// Compares with the file of this name, or writes it.
fn golden(name: &str, text: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/expected").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        return std::fs::write(&path, text).expect("the file");
    }
    let expected =
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; BLESS=1 writes it", path.display()));
    assert_eq!(
        String::from_utf8_lossy(text),
        String::from_utf8_lossy(&expected),
        "{name} differs; BLESS=1 rewrites it"
    );
}

fn listing(columns: Columns, wide: bool, which: Which) -> Vec<u8> {
    let mut names = Names::none();
    let mut layout = Layout::new(columns);
    let mut out = Vec::new();
    let rows: Vec<_> =
        rows::inet(wide).into_iter().map(|row| (row, rows::program(row.inode.into(), wide))).collect();
    for (row, program) in &rows {
        layout.measure(row, extra(program), &mut names);
    }
    layout.inet_head(&mut out, which);
    for (row, program) in &rows {
        layout.inet(&mut out, row, extra(program), &mut names);
    }
    let mut layout = Layout::new(columns);
    layout.measure_lodging(extra(&None));
    layout.unix_head(&mut out, which);
    for row in &rows::unix() {
        layout.unix(&mut out, row, extra(&rows::program(row.inode, wide)));
    }
    out
}

fn extra(program: &Option<Vec<u8>>) -> Extra<'_> {
    static PLACE: LazyLock<Lodging> = LazyLock::new(beside::lodging);
    Extra { program: program.as_deref(), netns: b"blue", lodging: Some(&PLACE), ..Extra::default() }
}

#[test]
fn listings_have_the_layout_of_net_tools() {
    let plain = Columns::default();
    golden("nettools/an.txt", &listing(plain, false, Which::All));
    golden("nettools/ln.txt", &listing(plain, false, Which::Listening));
    golden("nettools/anp.txt", &listing(Columns { programs: true, ..plain }, false, Which::All));
    golden("nettools/ane.txt", &listing(Columns { extend: true, ..plain }, false, Which::All));
    golden("nettools/ano.txt", &listing(Columns { timers: true, ..plain }, false, Which::Connected));
    let every = Columns { programs: true, extend: true, timers: true, netns: true, ..plain };
    golden("nettools/anpeo-all-netns.txt", &listing(every, false, Which::All));
    let inside = Columns { containers: true, cgroups: true, timers: true, ..plain };
    golden("nettools/ano-containers.txt", &listing(inside, false, Which::All));
}

#[test]
fn sockets_beside_tcp() {
    let places = [Lodging::default(), beside::lodging()].map(Rc::new);
    let style = LogStyle::default();
    for (name, style) in [
        ("log/beside.txt", LogStyle { netns: true, containers: true, cgroups: true, ..style.clone() }),
        ("log/beside-close.txt", LogStyle { close: true, ..style }),
    ] {
        let mut log = Log::new(style, rows::clock());
        let mut out = Vec::new();
        log.header(&mut out);
        for (told, place) in beside::told().iter().zip(places.iter().cycle()) {
            log.set_netns(b"blue");
            log.set_lodging(place.clone());
            log.told(&mut out, told);
        }
        golden(name, &out);
    }
    for (name, close) in [("json/beside.jsonl", false), ("json/beside-close.jsonl", true)] {
        let mut json = Json::new(close, rows::clock());
        let mut out = Vec::new();
        for (told, place) in beside::told().iter().zip(places.iter().cycle()) {
            json.set_lodging(place.clone());
            json.told(&mut out, told);
        }
        golden(name, &out);
    }
}

#[test]
fn columns_grow_and_nothing_is_cut() {
    let every = Columns { programs: true, extend: true, timers: true, netns: false, ..Columns::default() };
    golden("nettools/wide.txt", &listing(every, true, Which::All));
}

#[test]
fn names_of_ports_and_the_unspecified_address() {
    let mut names = Names::of_host(Naming { hosts: true, ports: false, users: false });
    let layout = Layout::new(Columns::default());
    let mut out = Vec::new();
    // Nothing is resolved here, so only what needs no lookup differs from numbers.
    for row in &rows::inet(false) {
        layout.inet(&mut out, row, Extra::default(), &mut names);
    }
    golden("nettools/unresolved.txt", &out);
}

#[test]
fn traces() {
    let style = LogStyle::default();
    for (name, style) in [
        ("log/wall.txt", style.clone()),
        ("log/close.txt", LogStyle { close: true, ..style.clone() }),
        ("log/none-netns.txt", LogStyle { time: TimeStyle::None, netns: true, ..style.clone() }),
        ("log/mono.txt", LogStyle { time: TimeStyle::Mono, ..style }),
    ] {
        let mut log = Log::new(style, rows::clock());
        log.name_resets(rows::reset_names());
        let mut out = Vec::new();
        log.header(&mut out);
        rows::told().iter().for_each(|told| log.told(&mut out, told));
        golden(name, &out);
    }
    for (name, close) in [("json/transitions.jsonl", false), ("json/close.jsonl", true)] {
        let mut json = Json::new(close, rows::clock());
        json.name_resets(rows::reset_names());
        let mut out = Vec::new();
        rows::told().iter().for_each(|told| json.told(&mut out, told));
        golden(name, &out);
    }
}

#[test]
fn listings_as_json() {
    let mut json = Json::new(false, rows::clock());
    let mut out = Vec::new();
    let nobody = None::<std::iter::Empty<_>>;
    for row in &rows::inet(true) {
        json.socket(&mut out, rows::AT, row, nobody.clone());
    }
    for row in &rows::unix() {
        json.unix(&mut out, rows::AT, 4_026_531_840, row, nobody.clone());
    }
    for told in rows::told() {
        if let Told::Ended(Ended { at, conn, .. }) = told {
            json.closed(&mut out, rows::AT, at, &Conn { state: TcpState::Close, ..conn });
        }
    }
    golden("json/sockets.jsonl", &out);
}

/// Counters of Linux 6.18 with numbers of our own.
#[test]
fn counters_have_the_layout_of_net_tools() {
    let fixture = Procfs::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/proc/counters"));
    let shown = |plan: StatisticsPlan| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = statistics::run_at(&plan, &fixture, &mut out, &mut err).expect("a buffer takes all");
        assert!(outcome.complete && err.is_empty());
        out
    };
    let plan = StatisticsPlan::default();
    golden("statistics/s.txt", &shown(plan.clone()));
    golden("statistics/sv.txt", &shown(StatisticsPlan { zeros: Zeros::Shown, ..plan.clone() }));
    let tcp = Protocols { tcp: true, ..plan.protocols };
    golden(
        "statistics/sst.txt",
        &shown(StatisticsPlan { protocols: tcp, zeros: Zeros::Hidden, ..plan.clone() }),
    );
    let udp = Protocols { udp: true, ..plan.protocols };
    golden(
        "statistics/su6.txt",
        &shown(StatisticsPlan { protocols: udp, family: Some(Family::V6), ..plan.clone() }),
    );
    for (name, families) in [("statistics/compat.txt", "inet"), ("statistics/compat6.txt", "inet6")] {
        let compat = Some(CompatFamilies(families.to_owned()));
        golden(name, &shown(StatisticsPlan { compat, ..plan.clone() }));
    }
}

#[test]
fn the_schema() {
    let mut out = Vec::new();
    schema::schema(&mut out);
    golden("schema.json", &out);
    serde_json::from_slice::<serde_json::Value>(&out).unwrap();
}
