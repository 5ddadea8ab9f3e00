use super::*;
use proptest::prelude::*;

/// One record behind its length.
fn framed(record: &[u8]) -> Vec<u8> {
    [&(record.len() as u32).to_le_bytes()[..], record].concat()
}

/// A record of `kind` whose head has the given socket; the rest is zero.
fn record(kind: Kind, sock: u64) -> Vec<u8> {
    let mut bytes = vec![0; kind.size()];
    put(&mut bytes, offset_of!(RawHead, time), &7u64.to_ne_bytes());
    put(&mut bytes, offset_of!(RawHead, sock), &sock.to_ne_bytes());
    bytes[offset_of!(RawHead, kind)] = kind as u8;
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn only(record: &[u8]) -> Result<Event, DecodeError> {
    let batch = framed(record);
    let mut events = decode(&batch);
    let event = events.next().unwrap();
    assert_eq!(events.next(), None);
    event
}

fn close(flags: u8) -> Vec<u8> {
    let mut bytes = record(Kind::Close, 99);
    bytes[offset_of!(RawHead, flags)] = flags;
    bytes[offset_of!(RawHead, from)] = TcpState::LastAck as u8;
    bytes[offset_of!(RawHead, to)] = TcpState::Close as u8;
    put(&mut bytes, offset_of!(RawHead, lport), &80u16.to_ne_bytes());
    put(&mut bytes, offset_of!(RawHead, tgid), &5u32.to_ne_bytes());
    let tuple = offset_of!(RawClose, tuple);
    put(&mut bytes, tuple + offset_of!(RawTuple, other), &77u64.to_ne_bytes());
    put(&mut bytes, tuple + offset_of!(RawTuple, family), &AF_INET.to_ne_bytes());
    put(&mut bytes, tuple + offset_of!(RawTuple, uid), &u32::MAX.to_ne_bytes());
    put(&mut bytes, tuple + offset_of!(RawTuple, laddr), &[127, 0, 0, 1, 9, 9]);
    put(&mut bytes, tuple + offset_of!(RawTuple, rport), &4242u16.to_ne_bytes());
    let totals = offset_of!(RawClose, totals);
    put(&mut bytes, totals + offset_of!(RawTotals, bytes_sent), &1000u64.to_ne_bytes());
    put(&mut bytes, totals + offset_of!(RawTotals, bytes_retrans), &400u64.to_ne_bytes());
    put(&mut bytes, totals + offset_of!(RawTotals, bytes_received), &11u64.to_ne_bytes());
    put(&mut bytes, totals + offset_of!(RawTotals, rqueue), &6u32.to_ne_bytes());
    put(&mut bytes, totals + offset_of!(RawTotals, wqueue), &2u32.to_ne_bytes());
    put(&mut bytes, totals + offset_of!(RawTotals, min_rtt), &u32::MAX.to_ne_bytes());
    for (index, us) in [1u64, 2, 3].into_iter().enumerate() {
        put(&mut bytes, totals + offset_of!(RawTotals, busy) + 8 * index, &us.to_ne_bytes());
    }
    bytes
}

#[test]
fn totals_that_are_told_do_not_say_that_the_end_is_shut_nor_the_other_way_round() {
    let Ok(Event::Moved(told)) = only(&close(FLAG_TOTALS)) else { panic!() };
    assert_eq!((told.released, told.totals.is_some()), (false, true));
    let Ok(Event::Moved(shut)) = only(&close(FLAG_SHUT)) else { panic!() };
    assert_eq!((shut.released, shut.totals.is_some()), (true, false));
}

#[test]
fn a_close_has_addresses_and_the_bytes_of_the_application() {
    let Ok(Event::Moved(moved)) = only(&close(FLAG_PEER_FIN | FLAG_TOTALS)) else { panic!() };
    assert_eq!(moved.id, SockId { cookie: NonZeroU64::new(99), pointer: NonZeroU64::new(77) });
    assert_eq!((moved.from, moved.to, moved.lport), (TcpState::LastAck, TcpState::Close, 80));
    assert_eq!(moved.actor, None, "without the flag nobody acted");
    let identity = moved.identity.unwrap();
    assert_eq!(identity.tuple.local().to_string_for_test(), "127.0.0.1:80");
    assert_eq!(identity.tuple.laddr[4..], [0; 12]);
    assert_eq!((identity.uid, identity.cgroup), (None, None));
    let totals = moved.totals.unwrap();
    assert_eq!((totals.sent, totals.received, totals.resent), (600, 10, Some(400)));
    assert_eq!((totals.rqueue, totals.wqueue), (5, 1), "FIN is no byte");
    assert_eq!(totals.min_rtt_us, None);
    assert_eq!(totals.busy, Some(Busy { total_us: 6, window_us: 2, buffer_us: 3 }));
}

#[test]
fn what_the_kernel_half_could_not_read_is_not_zero() {
    let Ok(Event::Moved(moved)) = only(&close(FLAG_DEAD | FLAG_LINGER)) else { panic!() };
    assert_eq!(moved.totals, None);
    assert_eq!(moved.closing, Closing { dead: true, linger: true, unaccepted: false });
}

#[test]
fn a_reset_has_its_way_and_perhaps_a_reason() {
    let reset = |from, detail: u16| {
        let mut bytes = record(Kind::Reset, 9);
        bytes[offset_of!(RawHead, from)] = from;
        put(&mut bytes, offset_of!(RawHead, detail), &detail.to_ne_bytes());
        only(&bytes)
    };
    let Ok(Event::Reset(sent)) = reset(1, 11) else { panic!() };
    assert_eq!(sent.reset, Reset { way: Way::Sent, reason: Some(11) });
    let Ok(Event::Reset(received)) = reset(2, NOT_TOLD) else { panic!() };
    assert_eq!(received.reset, Reset { way: Way::Received, reason: None });
    assert_eq!(reset(3, 0), Err(DecodeError::Code { kind: Kind::Reset, code: 3 }));
}

#[test]
fn a_fin_that_never_came_is_not_subtracted() {
    let Ok(Event::Moved(moved)) = only(&close(FLAG_OWNED | FLAG_TOTALS)) else { panic!() };
    assert_eq!(moved.totals.unwrap().received, 11);
    assert_eq!(moved.actor, NonZeroU32::new(5));
}

#[test]
fn a_pointer_and_a_cookie_keep_their_places() {
    let Ok(Event::Moved(moved)) = only(&close(FLAG_POINTER)) else { panic!() };
    assert_eq!(moved.id, SockId { cookie: NonZeroU64::new(77), pointer: NonZeroU64::new(99) });
}

#[test]
fn what_is_unknown_is_an_error_that_names_it_and_the_next_record_follows() {
    let kind = |code| {
        let mut bytes = record(Kind::Move, 1);
        bytes[offset_of!(RawHead, kind)] = code;
        bytes
    };
    let mut long = record(Kind::Move, 1);
    long.push(0);
    let batch = [
        framed(&kind(200)),
        framed(&long),
        framed(&[0; 5]),
        framed(&record(Kind::Move, 1)),
        framed(&close(0)),
    ]
    .concat();
    let found: Vec<_> = decode(&batch).collect();
    assert_eq!(found[0], Err(DecodeError::Kind(200)));
    assert_eq!(found[1], Err(DecodeError::Length { kind: Kind::Move, found: 33, expected: 32 }));
    assert_eq!(found[2], Err(DecodeError::NoHead(5)));
    assert_eq!(found[3], Err(DecodeError::State { kind: Kind::Move, state: 0 }));
    assert!(found[4].is_ok());
    assert_eq!(found.len(), 5);
}

#[test]
fn nobody_and_nothing_are_refused() {
    assert_eq!(only(&record(Kind::Child, 0)), Err(DecodeError::NoSocket(Kind::Child)));
    assert_eq!(only(&record(Kind::Move, 0)), Err(DecodeError::NoSocket(Kind::Move)));
    assert_eq!(only(&record(Kind::Process, 4)), Err(DecodeError::NoProcess(Kind::Process)));
    assert_eq!(only(&record(Kind::Owner, 4)), Err(DecodeError::Code { kind: Kind::Owner, code: 0 }));
}

#[test]
fn a_batch_that_ends_early_says_by_how_much() {
    let batch = framed(&close(0));
    let cut = &batch[..batch.len() - 3];
    assert_eq!(decode(cut).collect::<Vec<_>>(), [Err(DecodeError::Truncated { missing: 3 })]);
    assert_eq!(decode(&batch[..1]).collect::<Vec<_>>(), [Err(DecodeError::Truncated { missing: 3 })]);
}

trait ForTest {
    fn to_string_for_test(&self) -> String;
}

impl ForTest for crate::model::Endpoint {
    fn to_string_for_test(&self) -> String {
        format!("{}:{}", self.addr, self.port)
    }
}

proptest! {
    /// Any batch ends, with one result a record at most.
    #[test]
    fn no_bytes_make_it_panic(batch in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(decode(&batch).count() <= batch.len() / 4 + 1);
    }

    /// Any bytes in records of the right sizes give a result each.
    #[test]
    fn every_record_gives_one_result(records in prop::collection::vec((1u8..12, prop::collection::vec(any::<u8>(), 200)), 0..20)) {
        let batch: Vec<u8> = records.iter().flat_map(|(code, bytes)| {
            let kind = Kind::try_from(*code).unwrap();
            let mut bytes = bytes[..kind.size()].to_vec();
            bytes[offset_of!(RawHead, kind)] = *code;
            framed(&bytes)
        }).collect();
        prop_assert_eq!(decode(&batch).count(), records.len());
    }
}
