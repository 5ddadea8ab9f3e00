//! What the fuzzers do with bytes, so that the inputs they left are replayed by an ordinary test as well. Each function panics when
//! something that must hold does not.

use netstat_user::agent::statistics;
use netstat_user::args::plan::{CompatFamilies, StatisticsPlan, Zeros};
use netstat_user::kernel::{btf::Btf, format};
use netstat_user::model::{Answer, Event, Fact, Family, Mono, Protocol, Told};
use netstat_user::source::diag::wire::{Attributes, Messages, RawRow};
use netstat_user::source::procfs::Procfs;
use netstat_user::source::stream::decode;
use netstat_user::table::{Limits, Table};
use netstat_user::view::Selection;
use std::time::Duration;

/// A target, and the name of its folder.
type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("records", records),
    ("netlink", netlink),
    ("procfs", procfs),
    ("btf", btf),
    ("table", table),
    ("filter", filter),
];

/// A batch of the ring: every record gives one event or one error, and the batch ends.
pub fn records(batch: &[u8]) {
    let results = decode(batch).count();
    // Each record has a length before it; what is left over at the end is one more.
    assert!(results <= batch.len() / 4 + 1, "{results} results from {} bytes", batch.len());
}

/// A datagram of netlink: messages and attributes lie within it, and a row is what its bytes say.
pub fn netlink(datagram: &[u8]) {
    for message in Messages(datagram).flatten() {
        assert!(message.payload.len() < datagram.len());
        let _ = message.errno();
        netstat_user::source::rtnl::read_any(message.payload);
        netstat_user::source::diag::families::read_any(message.payload);
        let _ = netstat_user::source::conntrack::row(message.payload);
        let inside = Attributes(message.payload).flatten().map(|(_, value)| value.len()).sum::<usize>();
        assert!(inside <= message.payload.len());
        if let Ok(row) = RawRow::get(message.payload) {
            let mut bytes = Vec::new();
            row.put(&mut bytes);
            assert_eq!(RawRow::get(&bytes), Ok(row));
            assert!(message.payload.starts_with(&bytes));
        }
    }
}

/// A file of /proc/net, read as each of them: a line is a row, or a fault that names it, and none is lost.
pub fn procfs(text: &[u8]) {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(root.path().join("net")).expect("a directory");
    std::fs::create_dir(root.path().join("net/sctp")).expect("a directory");
    for name in ["tcp", "tcp6", "udp", "raw6", "unix", "snmp", "netstat", "snmp6", "sctp/snmp"] {
        std::fs::write(root.path().join("net").join(name), text).expect("a file");
    }
    let procfs = Procfs::at(root.path());
    let lines = text.split(|&byte| byte == b'\n').count() as u64;
    for (protocol, family) in [
        (Protocol::Tcp, Family::V4),
        (Protocol::Tcp, Family::V6),
        (Protocol::Udp, Family::V4),
        (Protocol::Raw, Family::V6),
    ] {
        let mut rows = 0;
        if let Ok(pass) = procfs.list(protocol, family, &mut |_| rows += 1) {
            assert_eq!(pass.rows, rows);
            assert!(pass.rows + pass.faulty <= lines);
            assert!(pass.faulty >= pass.faults.len() as u64);
        }
    }
    let mut rows = 0;
    if let Ok(pass) = procfs.unix(&mut |_| rows += 1) {
        assert_eq!(pass.rows, rows);
    }
    for compat in [None, Some("inet"), Some("inet6")] {
        let compat = compat.map(|families| CompatFamilies(families.to_owned()));
        let plan = StatisticsPlan { compat, zeros: Zeros::Shown, ..StatisticsPlan::default() };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = statistics::run_at(&plan, &procfs, &mut out, &mut err).expect("a buffer takes all");
        assert_eq!(outcome.complete, plan.compat.is_some() || err.is_empty());
    }
}

/// Type information of a kernel, and the description of a tracepoint.
pub fn btf(data: &[u8]) {
    if let Ok(btf) = Btf::parse(data.to_vec(), &["sock", "sock_common", "tcp_recvmsg"]) {
        let _ = btf.offset("sock", "sk_lock.owned");
        let _ = btf.arguments("tcp_recvmsg");
    }
    let text = String::from_utf8_lossy(data);
    assert!(format::parse(&text).len() <= text.lines().count());
}

/// The words of a filter: an error that can be shown, or a tree that is read back from its own words; its code fits.
pub fn filter(text: &[u8]) {
    use netstat_user::view::expr::bytecode::Able;
    for unix in [false, true] {
        match Selection::parse(&[text], unix) {
            Ok(selection) => {
                let again = selection.text();
                assert_eq!(Selection::parse(&[&again], unix).as_ref(), Ok(&selection));
                if let Some(code) = selection.bytecode(Able { marks: true, cgroups: true }) {
                    assert_eq!(code.len() % 4, 0);
                }
            }
            Err(error) => {
                let shown = error.to_string();
                assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
            }
        }
    }
}

/// Most rows of the table that is fuzzed: few, so that rows are evicted.
const ROWS: usize = 8;

/// Latest time of an event, so that time can pass after it.
const LATEST: u64 = u64::MAX / 2;

/// Transitions that may contradict each other, with time, losses and answers between them: the table keeps its limit and tells no
/// change that is none. (That it is right about histories that can be is for the model to show.)
pub fn table(mut script: &[u8]) {
    let mut table =
        Table::new(Limits { rows: ROWS, keep_closed: Duration::from_secs(1), ..Limits::default() });
    let (mut told, mut questions) = (Vec::new(), Vec::new());
    let (mut now, mut last) = (Mono(1), Mono(0));
    while let Some((&[operation, argument], rest)) = script.split_first_chunk() {
        script = rest;
        match operation % 4 {
            0 => {
                let length = usize::from(argument).min(script.len());
                let (record, rest) = script.split_at(length);
                script = rest;
                let mut framed = u32::from(argument).to_le_bytes().to_vec();
                framed.extend_from_slice(record);
                for event in decode(&framed).flatten() {
                    if let Event::Moved(moved) = &event {
                        // The wiring gives events in the order of their times, and its clock is not behind them.
                        if moved.at < last || moved.at.0 > LATEST {
                            continue;
                        }
                        last = moved.at;
                        now = now.max(last);
                    }
                    table.learn(now, Fact::Event(event), &mut told);
                }
            }
            1 => now = now.after(Duration::from_millis(u64::from(argument) * 16)),
            2 => table.learn(now, Fact::Lost { count: u64::from(argument), until: now }, &mut told),
            _ => {
                questions.clear();
                table.questions(now, usize::from(argument), &mut questions);
                for question in &questions {
                    let answer = Answer { token: question.token, at: now, row: None };
                    table.learn(now, Fact::Answer(answer), &mut told);
                }
            }
        }
        assert!(table.len() <= ROWS, "{} rows", table.len());
        for change in told.drain(..) {
            if let Told::Transition(transition) = change {
                assert_ne!(transition.from, transition.to, "no change");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn inputs_that_fuzzers_left_are_survived() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let mut count = 0;
            for file in std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
            {
                let path = file.unwrap().path();
                target(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
                count += 1;
            }
            assert!(count > 0, "the corpus of {name} is empty");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for (_, target) in TARGETS {
                target(&bytes);
            }
        }

        /// Few sockets, every kind of record, every step, in the order of time.
        #[test]
        fn any_history_is_survived(records in proptest::collection::vec(
            (1u8..8, 1u8..12, 1u8..12, 0u64..4, 0u64..4, any::<u8>()), 0..60,
        )) {
            let mut script = Vec::new();
            for (index, (kind, from, to, sock, other, more)) in records.into_iter().enumerate() {
                if more % 5 == 0 {
                    script.extend([1 + more % 3, more]);
                }
                let kind = netstat_common::Kind::try_from(kind).unwrap();
                let mut record = vec![0; kind.size()];
                record[..8].copy_from_slice(&(1000 * index as u64).to_le_bytes());
                record[8..16].copy_from_slice(&sock.to_le_bytes());
                record[16..20].copy_from_slice(&[kind as u8, more & 3, from, to]);
                record[24] = more;
                if let Some(tuple) = record.get_mut(32..96) {
                    tuple[..8].copy_from_slice(&other.to_le_bytes());
                    tuple[16] = 2;
                }
                script.extend([0, record.len() as u8]);
                script.extend(record);
            }
            table(&script);
        }
    }
}
