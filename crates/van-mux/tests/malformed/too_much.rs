//! Floods, and peers that never read or never speak.

use std::time::Duration;

use van_mux::{
    FLAG_MORE, FrameType, GoAwayReason, HEADER, Hello, MAX_PAYLOAD, Open, ProtocolError, ResetCode,
    Side,
};

use super::peer::{Seen, Subject, frame, hello, open};

const BURST: usize = 10_000;

/// Opens streams that are ended at once; returns how many passed before the first error.
fn flood(subject: &mut Subject, first: u32, count: usize) -> (usize, Option<ProtocolError>) {
    let payload = open();
    for i in 0..count {
        let stream = first + 2 * i as u32;
        if let Err(error) = subject.feed(&frame(FrameType::Open, 0, stream, &payload)) {
            return (i, Some(error));
        }
        subject.session.reset(stream, ResetCode::Refused);
        subject.sent();
    }
    (count, None)
}

#[test]
fn opens_beyond_the_burst() {
    let mut subject = Subject::greeted();
    let flooded = Some(ProtocolError::Flood(FrameType::Open));
    assert_eq!(flood(&mut subject, 2, BURST + 1), (BURST, flooded));
}

#[test]
fn opens_beyond_the_rate() {
    let mut subject = Subject::greeted();
    let mut first = 2;
    // 50 a millisecond is 50,000 a second: for ever, the burst untouched.
    for _ in 0..1000 {
        subject.pass(Duration::from_millis(1));
        assert_eq!(flood(&mut subject, first, 50), (50, None));
        first += 100;
    }
    // 60 a millisecond uses up the burst after a second.
    let mut millis = 0;
    let error = loop {
        subject.pass(Duration::from_millis(1));
        let (passed, error) = flood(&mut subject, first, 60);
        first += 2 * passed as u32;
        millis += 1;
        if let Some(error) = error {
            break error;
        }
    };
    assert_eq!(error, ProtocolError::Flood(FrameType::Open));
    assert!((990..=1010).contains(&millis), "{millis} ms");
}

#[test]
fn pings_beyond_the_rate() {
    let mut subject = Subject::greeted();
    let ping = frame(FrameType::Ping, 0, 0, &[7; 8]);
    for _ in 0..100 {
        assert_eq!(subject.feed(&ping), Ok(vec![]));
    }
    assert_eq!(subject.feed(&ping), Err(ProtocolError::Flood(FrameType::Ping)));
    subject.pass(Duration::from_millis(10));
    assert_eq!(subject.feed(&ping), Ok(vec![]), "100 a second");
}

#[test]
fn link_state_messages_beyond_the_rate() {
    let mut subject = Subject::greeted();
    let parts = [(FLAG_MORE, true), (0, false)];
    for _ in 0..2000 {
        for (flags, more) in parts {
            let seen = subject.feed(&frame(FrameType::Route, flags, 0, &[1; 10]));
            assert_eq!(seen, Ok(if more { vec![] } else { vec![Seen::Other] }));
        }
    }
    let message = frame(FrameType::Route, 0, 0, &[1; 10]);
    assert_eq!(subject.feed(&message), Err(ProtocolError::Flood(FrameType::Route)));
    subject.pass(Duration::from_millis(5));
    assert_eq!(subject.feed(&message), Ok(vec![Seen::Other]), "200 a second");
    assert_eq!(subject.feed(&message), Err(ProtocolError::Flood(FrameType::Route)));
}

#[test]
fn streams_beyond_the_limit_are_refused_one_by_one() {
    let mut subject = Subject::greeted();
    subject.sent();
    for i in 0..100 {
        let seen = subject.feed(&frame(FrameType::Open, 0, 2 + 2 * i, &open()));
        assert_eq!(seen, Ok(vec![Seen::Other]));
    }
    assert_eq!(subject.feed(&frame(FrameType::Open, 0, 202, &open())), Ok(vec![]));
    let code = (ResetCode::Overload as u32).to_be_bytes();
    assert_eq!(subject.sent(), frame(FrameType::Reset, 0, 202, &code));
    assert_eq!(subject.session.streams(), 100);
}

#[test]
fn a_link_state_message_above_its_limit() {
    let part = frame(FrameType::Route, FLAG_MORE, 0, &[1; MAX_PAYLOAD]);
    let parts = 260 * 1024 / MAX_PAYLOAD;
    let rest = 260 * 1024 - parts * MAX_PAYLOAD;
    for (extra, fits) in [(0, true), (1, false)] {
        let mut subject = Subject::greeted();
        for _ in 0..parts {
            assert_eq!(subject.feed(&part), Ok(vec![]));
        }
        let last = subject.feed(&frame(FrameType::Route, 0, 0, &vec![1; rest + extra]));
        let error = ProtocolError::Malformed(FrameType::Route, "longer than 260 KiB");
        assert_eq!(last, if fits { Ok(vec![Seen::Other]) } else { Err(error) });
    }
}

#[test]
fn answers_to_a_peer_that_never_reads() {
    let mut subject = Subject::greeted();
    subject.session.go_away(GoAwayReason::Shutdown);
    subject.sent();
    let payload = open();
    let (mut stream, mut answered) = (2, 0);
    let error = loop {
        subject.pass(Duration::from_millis(1));
        // Each OPEN after GOAWAY is answered by a RESET of 12 bytes.
        match subject.feed(&frame(FrameType::Open, 0, stream, &payload)) {
            Ok(_) => answered += HEADER + 4,
            Err(error) => break error,
        }
        stream += 2;
    };
    assert_eq!(error, ProtocolError::Flood(FrameType::Open));
    assert!((4 << 20..(4 << 20) + 64).contains(&answered), "{answered} bytes waited");
}

#[test]
fn own_opens_that_wait_are_no_flood_of_the_peer() {
    let mut subject = Subject::greeted();
    let mut long = Open::flow("db".parse().unwrap(), None);
    long.hint = "x".repeat(255);
    for _ in 0..20_000 {
        let stream = subject.session.open(subject.now, &long).unwrap();
        // The peer resets it before it could read more.
        let code = (ResetCode::Overload as u32).to_be_bytes();
        subject.feed(&frame(FrameType::Reset, 0, stream, &code)).unwrap();
    }
    assert!(subject.sent().len() > 4 << 20);
}

#[test]
fn a_peer_that_says_nothing() {
    let mut subject = Subject::greeted();
    subject.sent();
    subject.feed(&frame(FrameType::Pong, 0, 0, &0u64.to_be_bytes())).unwrap();
    subject.pass(Duration::from_millis(999));
    assert_eq!(subject.session.handle_timeout(subject.now), Ok(()));
    assert_eq!(subject.sent(), b"", "no PING before a second");
    subject.pass(Duration::from_millis(1));
    assert_eq!(subject.session.next_timeout(), subject.now);
    assert_eq!(subject.session.handle_timeout(subject.now), Ok(()));
    assert_eq!(subject.sent(), frame(FrameType::Ping, 0, 0, &1u64.to_be_bytes()));
    subject.pass(Duration::from_millis(1999));
    assert_eq!(subject.session.handle_timeout(subject.now), Ok(()));
    subject.pass(Duration::from_millis(1));
    assert_eq!(subject.session.next_timeout(), subject.now);
    let silent = subject.session.handle_timeout(subject.now);
    assert_eq!(silent, Err(ProtocolError::Silent(3000)));
}

#[test]
fn an_idle_further_connection_asks_less_often_and_the_acceptor_later() {
    for (side, connection, millis) in [
        (Side::Dialler, 0, 1000),
        (Side::Acceptor, 0, 1250),
        (Side::Dialler, 1, 2000),
        (Side::Acceptor, 1, 2250),
    ] {
        let mut subject = Subject::of(side, connection);
        let greeting = Hello { connection, ..hello() }.encode();
        subject.feed(&frame(FrameType::Hello, 0, 0, &greeting)).unwrap();
        subject.feed(&frame(FrameType::Pong, 0, 0, &0u64.to_be_bytes())).unwrap();
        let due = subject.now + Duration::from_millis(millis);
        assert_eq!(subject.session.next_timeout(), due, "{side:?} {connection}");
        // A stream of either side makes it ask as often as the first.
        let id = if side == Side::Dialler { 2 } else { 1 };
        subject.feed(&frame(FrameType::Open, 0, id, &open())).unwrap();
        let busy = if side == Side::Dialler { 1000 } else { 1250 };
        assert_eq!(subject.session.next_timeout(), subject.now + Duration::from_millis(busy));
    }
}
