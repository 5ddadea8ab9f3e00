//! Unit tests of request and timewait sockets in the table.

use super::*;
use crate::model::{Answer, Endpoint, Event, Fact, Family, Reason, SockId, Tuple};
use crate::table::Limits;
use std::net::Ipv4Addr;

fn seen(at: u64, what: Mini, port: u16) -> Fact {
    let end = |port| Endpoint { addr: Ipv4Addr::LOCALHOST.into(), port };
    let tuple = Tuple::new(end(80), end(port), Family::V4, 0);
    let told = matches!(what, Mini::Begins | Mini::Goes);
    Fact::Event(Event::Mini(MiniSeen {
        at: Mono(at),
        pointer: NonZeroU64::MIN,
        cookie: None,
        what,
        state: TcpState::SynRecv,
        identity: told.then_some(Identity { tuple, netns: 1, uid: None, cgroup: None }),
    }))
}

fn at(ms: u64) -> Mono {
    Mono(10_000_000_000 + ms * 1_000_000)
}

const COOKIE: Option<NonZeroU64> = NonZeroU64::new(7);

/// Of the connection that the following facts are about.
fn identity() -> Identity {
    let end = |port| Endpoint { addr: Ipv4Addr::LOCALHOST.into(), port };
    Identity { tuple: Tuple::new(end(80), end(1000), Family::V4, 0), netns: 1, uid: None, cgroup: None }
}

fn moved(at: Mono, from: TcpState, to: TcpState) -> Fact {
    Fact::Event(Event::Moved(Moved {
        at,
        id: SockId { cookie: COOKIE, pointer: None },
        from,
        to,
        lport: 80,
        err: 0,
        actor: None,
        released: false,
        identity: Some(identity()),
        totals: None,
        closing: crate::model::Closing::default(),
        syn_retrans: None,
    }))
}

fn mini(at: Mono, what: Mini, state: TcpState) -> Fact {
    let identity = (what == Mini::Begins).then(identity);
    Fact::Event(Event::Mini(MiniSeen { at, pointer: NonZeroU64::MIN, cookie: COOKIE, what, state, identity }))
}

/// A table with an orphan in FIN_WAIT2, in a timewait socket.
fn orphan() -> Table {
    let mut table = Table::new(Limits { minis: true, ..Limits::default() });
    for fact in [
        moved(at(0), TcpState::FinWait1, TcpState::FinWait2),
        mini(at(1), Mini::Begins, TcpState::FinWait2),
        moved(at(2), TcpState::FinWait2, TcpState::Close),
    ] {
        table.learn(at(3), fact, &mut Vec::new());
    }
    table
}

/// What was told: when, which state is reached, and how it was learnt.
fn steps(out: &[Told]) -> Vec<(Mono, TcpState, Learnt)> {
    let step = |told: &Told| match told {
        Told::Transition(told) => Some((told.at, told.to, told.learnt)),
        _ => None,
    };
    out.iter().filter_map(step).collect()
}

/// A timewait socket keeps no namespace alive: when nothing leads there any more it still lives until the kernel ends it.
#[test]
fn what_is_left_in_a_namespace_that_is_gone_ends_with_its_event() {
    let mut table = orphan();
    let (mut out, mut questions) = (Vec::new(), Vec::new());
    table.questions(at(900), 9, &mut questions);
    assert_eq!(questions.len(), 1, "its peer's FIN has no event on every kernel");
    let answer = Answer { token: questions[0].token, at: at(900), row: None };
    table.learn(at(901), Fact::Gone(answer), &mut out);
    assert_eq!((out.len(), table.counts().repaired), (0, 0), "{out:?}");
    table.learn(at(1100), mini(at(1000), Mini::Over, TcpState::FinWait2), &mut out);
    assert_eq!(steps(&out), [(at(1000), TcpState::Close, Learnt::Event)]);
    assert_eq!(table.counts().repaired, 0);
}

/// Before 6.11 nothing tells of the peer's FIN where the timer is set anew within one slot of its wheel.
#[test]
fn an_end_tells_that_the_fin_had_come() {
    for how in [Mini::Stopped, Mini::Expired, Mini::Over] {
        let mut table = orphan();
        let mut out = Vec::new();
        table.learn(at(10), mini(at(9), how, TcpState::TimeWait), &mut out);
        table.conclude(&mut out);
        let both = [(at(9), TcpState::TimeWait, Learnt::Deduced), (at(9), TcpState::Close, Learnt::Event)];
        assert_eq!(steps(&out), both, "{how:?}");
        assert_eq!(table.counts().repaired, 0);
    }
}

/// A machine may stand still between the end of a request and the move of its child.
#[test]
fn a_request_is_not_given_up_while_its_child_is_under_way() {
    for comes in [true, false] {
        let mut table = Table::new(Limits { minis: true, ..Limits::default() });
        let mut out = Vec::new();
        let child = NonZeroU64::new(0x4000);
        let cloned = Event::Child { at: at(2), pointer: child.expect("an address") };
        for fact in [
            mini(at(1), Mini::Begins, TcpState::SynRecv),
            Fact::Event(cloned),
            mini(at(3), Mini::Stopped, TcpState::SynRecv),
        ] {
            table.learn(at(4), fact, &mut out);
        }
        table.over(at(900), &mut out);
        assert_eq!(steps(&out), [(at(1), TcpState::SynRecv, Learnt::Event)]);
        out.clear();
        if comes {
            let Fact::Event(Event::Moved(moved)) = moved(at(950), TcpState::SynRecv, TcpState::Established)
            else {
                unreachable!("it is one")
            };
            let id = SockId { pointer: child, ..moved.id };
            table.learn(at(951), Fact::Event(Event::Moved(Moved { id, ..moved })), &mut out);
        }
        table.over(at(9000), &mut out);
        let told = if comes { (at(950), TcpState::Established) } else { (at(3), TcpState::Close) };
        assert_eq!(steps(&out), [(told.0, told.1, Learnt::Event)]);
    }
}

/// What only counts may have been left out until then: nothing is lost, but the counts are not told.
#[test]
fn closed_windows_are_not_told_where_some_went_uncounted() {
    for (uncounted, told) in [(false, Some(0)), (true, None)] {
        let mut table = Table::new(Limits { windows: true, ..Limits::default() });
        let mut out = Vec::new();
        table.learn(at(1), moved(at(1), TcpState::Close, TcpState::SynSent), &mut out);
        if uncounted {
            table.learn(at(2), Fact::Uncounted(at(2)), &mut out);
        }
        let windows: Vec<_> = table.rows(at(3)).map(|conn| conn.latency.windows).collect();
        assert_eq!((windows, table.counts().lost), (vec![told], 0));
    }
}

/// The child may have become established with what was lost.
#[test]
fn a_request_is_given_up_after_a_loss() {
    let mut table = Table::new(Limits { minis: true, ..Limits::default() });
    let mut out = Vec::new();
    let cloned = Event::Child { at: at(2), pointer: NonZeroU64::MAX };
    for fact in [
        mini(at(1), Mini::Begins, TcpState::SynRecv),
        Fact::Event(cloned),
        mini(at(3), Mini::Stopped, TcpState::SynRecv),
        Fact::Lost { count: 1, until: at(4) },
    ] {
        table.learn(at(5), fact, &mut out);
    }
    table.over(at(900), &mut out);
    assert!(steps(&out).contains(&(at(3), TcpState::Close, Learnt::Event)), "{out:?}");
}

/// The kernel gives the memory of a request that was reset to the next one at once.
#[test]
fn the_next_request_in_the_same_memory_leaves_the_end_of_the_first_as_it_was() {
    let mut table = Table::new(Limits { minis: true, ..Limits::default() });
    let mut out = Vec::new();
    for (at, what, port) in
        [(10_000, Mini::Begins, 1000), (20_000, Mini::Stopped, 1000), (90_000, Mini::Begins, 1001)]
    {
        table.learn(Mono(at), seen(at, what, port), &mut out);
    }
    let ends: Vec<_> = out
        .iter()
        .filter_map(|told| match told {
            Told::Transition(told) if told.to == TcpState::Close => {
                Some((told.at, told.spent, told.why.reason))
            }
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(Mono(20_000), Some(Duration::from_micros(10)), Some(Reason::Reset))]);
}
