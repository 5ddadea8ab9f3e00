//! The connection table against a kernel that is too simple to be wrong.
//!
//! [`Kernel`] holds sockets as a plain list and moves them as Linux does, including what Linux does without an event:
//! half-open requests, TIME_WAIT sockets, orphans in FIN_WAIT2. Scripts of random steps drive it; its events, its
//! listings (read in two halves, as a real dump is) and its answers go to the table the way the agent brings them.

mod kernel;
mod script;

use kernel::Kernel;
use netstat_tests as _;
use netstat_user::model::{Mono, TcpState, Told};
use netstat_user::table::{Limits, Table};
use proptest::prelude::*;
use script::{Run, Step, steps};
use std::time::Duration;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing lost: the log tells each socket's very history, in order, and no listing has anything to repair.
    #[test]
    fn without_loss_the_log_is_the_history(
        steps in steps(false),
        cookies in any::<bool>(),
        minis in any::<bool>(),
    ) {
        let kernel = if minis { Kernel::with_minis(cookies) } else { Kernel::new(cookies) };
        let mut run = Run::new(kernel, Limits::default());
        run.play(&steps);
        run.settle();
        run.table_equals_kernel();
        run.log_equals_history();
        prop_assert_eq!(run.table.counts().repaired, 0);
        prop_assert_eq!(run.table.counts().corrected, 0);
        prop_assert_eq!(run.table.counts().unknown, 0);
    }

    /// Events lost: the table says so, and equals the kernel again after one listing.
    #[test]
    fn after_loss_the_table_is_whole_again(
        steps in steps(true),
        cookies in any::<bool>(),
        minis in any::<bool>(),
    ) {
        let kernel = if minis { Kernel::with_minis(cookies) } else { Kernel::new(cookies) };
        let mut run = Run::new(kernel, Limits::default());
        run.play(&steps);
        run.settle();
        run.table_equals_kernel();
        let lost = run.lost;
        prop_assert_eq!(run.table.counts().lost, lost);
        prop_assert!(!run.table.is_blind());
        let reported: u64 = run.told.iter().map(|told| match told { Told::Repaired(r) => r.lost, _ => 0 }).sum();
        prop_assert_eq!(reported, lost);
    }

    /// However small the table, it keeps its limit, and says what it threw away.
    #[test]
    fn the_limit_holds(steps in steps(true), rows in 1usize..8) {
        let mut run = Run::new(Kernel::new(true), Limits { rows, ..Limits::default() });
        for step in &steps {
            run.step(step);
            prop_assert!(run.table.len() <= rows);
        }
        run.settle();
        let missing = run.kernel.open().count().saturating_sub(run.table.open_rows().count());
        prop_assert!(missing == 0 || run.table.counts().evicted > 0);
    }
}

/// Time spent in a state is the difference of the kernel's own times.
#[test]
fn spent_is_measured_between_events() {
    let mut run = Run::new(Kernel::new(true), Limits::default());
    run.play(&[
        Step::Connect,
        Step::Tick(7),
        Step::Advance(0),
        Step::Tick(20),
        Step::Advance(0),
        Step::Deliver(9),
    ]);
    let spent: Vec<_> = run
        .told
        .iter()
        .filter_map(|told| match told {
            Told::Transition(t) => Some((t.from, t.to, t.spent.map(|d| d.as_millis()))),
            _ => None,
        })
        .collect();
    assert_eq!(
        spent,
        [
            (TcpState::Close, TcpState::SynSent, None),
            (TcpState::SynSent, TcpState::Established, Some(7)),
            (TcpState::Established, TcpState::FinWait1, Some(20)),
        ]
    );
}

/// The kernel half may tell a step twice, the second time late: a process that is stopped between two of its programs goes
/// on much later (tracepoints of 7.x).
#[test]
fn a_step_told_twice_is_told_once() {
    use netstat_user::model::{Closing, Event, Fact, Moved, SockId};
    use std::num::NonZeroU64;
    let mut table = Table::new(Limits::default());
    let mut out = Vec::new();
    let id = SockId { cookie: NonZeroU64::new(7), pointer: None };
    let identity = Some(kernel::identity(4000));
    let mut at = 0;
    for (from, to) in [(TcpState::Close, TcpState::SynSent), (TcpState::SynSent, TcpState::Established)] {
        for _ in 0..2 {
            at += 300_000_000;
            let (actor, totals, closing, syn_retrans) = (None, None, Closing::default(), None);
            let moved = Moved {
                at: Mono(at),
                id,
                from,
                to,
                lport: 1,
                err: 0,
                actor,
                released: false,
                identity,
                totals,
                closing,
                syn_retrans,
            };
            table.learn(Mono(at), Fact::Event(Event::Moved(moved)), &mut out);
        }
    }
    let told = out.iter().filter(|told| matches!(told, Told::Transition(_))).count();
    assert_eq!((told, table.len()), (2, 1), "{out:#?}");
}

/// A closed connection stays for as long as was asked, then goes.
#[test]
fn closed_connections_stay_for_a_while() {
    let keep_closed = std::time::Duration::from_secs(5);
    let mut run = Run::new(Kernel::new(true), Limits { keep_closed, ..Limits::default() });
    run.play(&[Step::Connect, Step::Advance(0), Step::Reset(0), Step::Deliver(9)]);
    let now = run.kernel.now;
    assert_eq!(run.table.rows(now).count(), 1);
    assert_eq!(run.table.rows(now.after(keep_closed)).count(), 0);
    run.table.expire(now.after(keep_closed));
    assert_eq!(run.table.len(), 0);
}

/// What a fuzzer or an odd kernel may say in any order must not panic and must keep to the limit.
#[test]
fn nonsense_does_not_panic() {
    use netstat_user::model::{Closing, Event, Fact, Moved, SockId};
    use std::num::NonZeroU64;
    let mut table = Table::new(Limits { rows: 4, ..Limits::default() });
    let mut out = Vec::new();
    let mut now = 0;
    for from in TcpState::ALL {
        for to in TcpState::ALL {
            for cookie in [None, NonZeroU64::new(1), NonZeroU64::new(2)] {
                for pointer in [None, NonZeroU64::new(8)] {
                    now += 1;
                    let id = SockId { cookie, pointer };
                    let identity = (now % 3 != 0).then(|| kernel::identity(now as u16));
                    let moved = Moved {
                        at: Mono(now),
                        id,
                        from,
                        to,
                        lport: 1,
                        err: 0,
                        actor: None,
                        released: false,
                        identity,
                        totals: None,
                        closing: Closing::default(),
                        syn_retrans: None,
                    };
                    table.learn(Mono(now), Fact::Event(Event::Moved(moved)), &mut out);
                    assert!(table.len() <= 4);
                }
            }
        }
    }
}

/// The transitions that were told.
fn told_steps(told: &[Told]) -> Vec<(TcpState, TcpState)> {
    let steps = told.iter().filter_map(|told| match told {
        Told::Transition(change) => Some((change.from, change.to)),
        _ => None,
    });
    steps.collect()
}

/// The kernel half may tell the end of a socket twice; by then only its timewait socket is left.
#[test]
fn an_end_that_is_told_twice_begins_one_time_wait() {
    let mut kernel = Kernel::with_minis(true);
    let mut table = Table::new(Limits { minis: true, ..Limits::default() });
    let mut events = kernel.connect();
    for pick in [1, 1, 1, 2] {
        events.extend(kernel.advance(pick));
    }
    events.extend(events.last().copied());
    let mut told = Vec::new();
    for event in events {
        table.learn(kernel.now, netstat_user::model::Fact::Event(event), &mut told);
    }
    let steps = told_steps(&told);
    assert_eq!(steps.last(), Some(&(TcpState::FinWait2, TcpState::TimeWait)), "{steps:?}");
    assert_eq!(steps.len(), 5, "{steps:?}");
}

/// Without events of timewait sockets only the kernel's word tells what became of a socket that closed: until it comes the
/// table knows that it has something to tell.
#[test]
fn what_cannot_be_told_yet_is_counted() {
    use netstat_user::model::{Answer, Fact};
    let mut kernel = Kernel::new(true);
    let mut table = Table::new(Limits::default());
    let mut events = kernel.connect();
    for pick in [1, 1, 1, 2] {
        events.extend(kernel.advance(pick));
    }
    let mut told = Vec::new();
    for event in events {
        table.learn(kernel.now, Fact::Event(event), &mut told);
    }
    let last = |told: &[Told]| told_steps(told).last().map(|step| step.1);
    assert_eq!((table.pending(), last(&told)), (1, Some(TcpState::FinWait2)), "{told:?}");
    let mut questions = Vec::new();
    table.pending_questions(&mut questions);
    let [question] = questions[..] else { panic!("{questions:?}") };
    let answer = Answer { token: question.token, at: kernel.now.after(Duration::from_millis(1)), row: None };
    table.learn(answer.at, Fact::Answer(answer), &mut told);
    assert_eq!((table.pending(), last(&told)), (0, Some(TcpState::Close)));
}

/// Where no event tells of the FIN that an orphan in FIN_WAIT2 waits for, the kernel is asked from time to time, and a last time
/// when a trace ends.
#[test]
fn what_an_orphan_waits_for_is_asked_at_the_end() {
    use netstat_user::model::{Answer, Fact, States};
    let mut kernel = Kernel::with_minis(true);
    let mut table = Table::new(Limits { minis: true, ..Limits::default() });
    let mut events = kernel.connect();
    for pick in [1, 1, 1, 1] {
        events.extend(kernel.advance(pick));
    }
    let mut told = Vec::new();
    for event in events {
        table.learn(kernel.now, Fact::Event(event), &mut told);
    }
    let mut questions = Vec::new();
    table.orphan_questions(kernel.now, &mut questions);
    assert!(questions.is_empty(), "it is not time: {questions:?}");
    let later = kernel.now.after(Duration::from_millis(300));
    table.orphan_questions(later, &mut questions);
    table.orphan_questions(later, &mut questions);
    let [question] = questions[..] else { panic!("{questions:?}") };
    assert!(table.is_open(question.token) && !table.is_open(question.token + 1));
    // The FIN came, and set the timer anew within one slot of the wheel.
    let mut rows = Vec::new();
    for second in [false, true] {
        kernel.half(second, States::ALL, &mut rows);
    }
    let row = rows.into_iter().find(|row| row.state == TcpState::FinWait2).map(|mut row| {
        row.state = TcpState::TimeWait;
        row
    });
    assert!(row.is_some());
    table.learn(later, Fact::Answer(Answer { token: question.token, at: later, row }), &mut told);
    assert_eq!(told_steps(&told).last(), Some(&(TcpState::FinWait2, TcpState::TimeWait)));
    assert!(!table.is_open(question.token));
}

/// An event comes before its effect, and where a tracepoint can be preempted (7.x) the process may be stopped between the two:
/// a listing that begins later still shows the state before, or nothing of a socket that is about to connect.
#[test]
fn a_listing_that_lags_behind_an_event_changes_nothing() {
    use netstat_user::model::{Answer, Fact, States};
    let mut kernel = Kernel::new(true);
    let mut table = Table::new(Limits::default());
    let mut told = Vec::new();
    let (mut before, mut last) = (Vec::new(), Vec::new());
    let shown = |kernel: &mut Kernel| {
        let mut rows = Vec::new();
        for second in [false, true] {
            kernel.half(second, States::ALL, &mut rows);
        }
        rows
    };
    for pick in 0..4 {
        let events = if pick == 0 { kernel.connect() } else { kernel.advance(0) };
        for event in events {
            table.learn(kernel.now, Fact::Event(event), &mut told);
        }
        let steps = told.len();
        kernel.now = kernel.now.after(std::time::Duration::from_millis(1));
        let began = kernel.now;
        kernel.now = kernel.now.after(std::time::Duration::from_millis(1));
        let listing = kernel.listing(began, States::ALL, before.clone(), false);
        table.learn(kernel.now, Fact::Listing(listing), &mut told);
        let mut questions = Vec::new();
        table.questions(kernel.now, 9, &mut questions);
        if pick == 0 {
            assert_eq!(questions.len(), 1, "the listing did not show it");
            for question in questions {
                let answer = Answer { token: question.token, at: kernel.now, row: None };
                table.learn(kernel.now, Fact::Answer(answer), &mut told);
            }
        }
        assert_eq!(&told[steps..], [], "after step {pick}");
        assert_eq!(table.counts().repaired, 0);
        last = std::mem::replace(&mut before, shown(&mut kernel));
    }
    // What still lags after a minute is the truth: an event that never took effect.
    kernel.now = kernel.now.after(std::time::Duration::from_secs(60));
    let listing = kernel.listing(kernel.now, States::ALL, last, false);
    table.learn(kernel.now, Fact::Listing(listing), &mut told);
    assert_eq!(table.counts().repaired, 1, "{told:#?}");
}
