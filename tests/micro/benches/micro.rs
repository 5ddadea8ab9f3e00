//! What single steps cost, each for a batch of so many elements: `cargo xtask bench render`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use netstat_tests::script::Script;
use netstat_user::args::plan::Naming;
use netstat_user::model::{
    Clock, Endpoint, Event, Fact, Family, Lodging, Mono, Protocol, SockRow, TcpState, Timer, TimerKind, Told,
};
use netstat_user::names::Names;
use netstat_user::render::json::Json;
use netstat_user::render::log::{Log, LogStyle};
use netstat_user::render::nettools::{Columns, Extra, Layout};
use netstat_user::source::diag::wire::{Messages, RawRow};
use netstat_user::source::stream::decode;
use netstat_user::table::{Limits, Table};
use netstat_user::view::Selection;
use netstat_user::view::expr::Subject;
use netstat_user::view::expr::eval::EPHEMERAL;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

/// Connections of a batch; ten records each.
const CONNECTIONS: u64 = 100;

/// Rows of a listing.
const ROWS: u32 = 1_000;

/// Whole lives of connections, as the ring has them.
fn batch(script: &mut Script) -> Vec<u8> {
    let mut batch = Vec::new();
    for _ in 0..CONNECTIONS {
        let connection = script.connection();
        script.open(connection, &mut batch);
        script.close(connection, &mut batch);
    }
    batch
}

fn events(batch: &[u8]) -> Vec<Event> {
    decode(batch).filter_map(Result::ok).collect()
}

fn learn(table: &mut Table, events: &[Event], until: u64, told: &mut Vec<Told>) {
    for event in events {
        table.learn(Mono(until), Fact::Event(*event), told);
    }
    table.expire(Mono(until));
}

fn rows() -> Vec<SockRow> {
    let end = |number: u32, port| Endpoint { addr: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)), port };
    (0..ROWS)
        .map(|number| SockRow {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state: TcpState::Established,
            local: end(number, 443),
            foreign: end(number * 77, 1024 + number as u16),
            bound_if: 0,
            cookie: None,
            netns: 0,
            uid: 0,
            inode: number,
            rqueue: number % 3,
            wqueue: number % 5000,
            timer: Timer { kind: TimerKind::Off, expires_ms: 0, retransmits: 0, probes: 0 },
            drops: None,
            v6only: None,
            cgroup: None,
            totals: None,
        })
        .collect()
}

/// Rows as sock_diag sends them, without attributes.
fn datagram(rows: &[SockRow]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        let mut payload = [0; 72];
        payload[0] = 2;
        payload[1] = row.state as u8;
        payload[4..6].copy_from_slice(&row.local.port.to_be_bytes());
        payload[6..8].copy_from_slice(&row.foreign.port.to_be_bytes());
        bytes.extend_from_slice(&88u32.to_ne_bytes());
        bytes.extend_from_slice(&20u16.to_ne_bytes());
        bytes.extend_from_slice(&[0; 10]);
        bytes.extend_from_slice(&payload);
    }
    bytes
}

fn trace(criterion: &mut Criterion) {
    let mut script = Script::default();
    let bytes = batch(&mut script);
    let decoded = events(&bytes);
    let mut told = Vec::new();
    let limits = Limits { minis: true, ..Limits::default() };
    learn(&mut Table::new(limits), &decoded, script.time(), &mut told);
    let mut group = criterion.benchmark_group("trace");
    group.throughput(Throughput::Elements(decoded.len() as u64));
    group.bench_function("decode records", |bench| {
        bench.iter(|| decode(black_box(&bytes)).filter(Result::is_ok).count())
    });
    group.bench_function("learn events", |bench| {
        // New connections each time, in a table that lives on.
        let mut table = Table::new(limits);
        bench.iter_batched(
            || {
                let events = events(&batch(&mut script));
                (events, script.time(), Vec::with_capacity(4096))
            },
            |(events, until, mut told)| {
                learn(&mut table, &events, until, &mut told);
                told
            },
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(
        told.iter().filter(|one| matches!(one, Told::Transition(_))).count() as u64,
    ));
    let mut out = Vec::new();
    let mut log = Log::new(LogStyle::default(), Clock::now());
    group.bench_function("render lines", |bench| {
        bench.iter(|| {
            out.clear();
            told.iter().for_each(|told| log.told(&mut out, told));
            out.len()
        });
    });
    let mut json = Json::new(false, Clock::now());
    group.bench_function("render JSON", |bench| {
        bench.iter(|| {
            out.clear();
            told.iter().for_each(|told| json.told(&mut out, told));
            out.len()
        });
    });
    group.finish();
}

fn listing(criterion: &mut Criterion) {
    let rows = rows();
    let bytes = datagram(&rows);
    let mut group = criterion.benchmark_group("listing");
    group.throughput(Throughput::Elements(ROWS.into()));
    group.bench_function("decode sock_diag", |bench| {
        let of =
            |bytes| Messages(bytes).flatten().filter(|message| RawRow::get(message.payload).is_ok()).count();
        assert_eq!(of(&bytes), rows.len());
        bench.iter(|| of(black_box(&bytes)));
    });
    let words: &[u8] = b"( sport = :443 or dport = :443 ) and not src 10.1.0.0/16";
    if let Ok(selection) = Selection::parse(&[words], false) {
        group.bench_function("filter", |bench| {
            let wants = |row: &&SockRow| selection.wants(&Subject::of_row(row, EPHEMERAL));
            bench.iter(|| black_box(&rows).iter().filter(wants).count());
        });
    }
    let mut names = Names::of_host(Naming::default());
    let mut out = Vec::new();
    let unknown = Lodging::UNKNOWN;
    for (name, columns, program) in [
        ("render -tan", Columns::default(), None),
        ("render -tanp", Columns { programs: true, ..Columns::default() }, Some(&b"4711/sshd"[..])),
    ] {
        let layout = Layout::new(columns);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                out.clear();
                for row in &rows {
                    let extra = Extra { program, lodging: Some(&unknown), ..Extra::default() };
                    layout.inet(&mut out, row, extra, &mut names);
                }
                out.len()
            });
        });
    }
    group.finish();
}

criterion_group!(micro, trace, listing);
criterion_main!(micro);
