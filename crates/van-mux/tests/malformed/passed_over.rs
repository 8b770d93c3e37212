//! What a later version, or a frame that crossed another, may bring.

use van_mux::{FLAG_FIN, FrameType, GoAwayReason, ResetCode, Taken};

use super::peer::{Seen, Subject, frame, hello, open, raw};

#[test]
fn unknown_frames_from_0x80() {
    let mut subject = Subject::busy();
    for kind in 0x80..=0xff {
        for stream in [0, 1, 2, 77] {
            let payload = vec![kind; usize::from(kind)];
            assert_eq!(subject.feed(&raw(kind, 0xff, stream, &payload)), Ok(vec![]), "{kind:#x}");
        }
    }
    let data = subject.feed(&frame(FrameType::Data, 0, 1, b"x"));
    assert_eq!(data, Ok(vec![Seen::Data(1, b"x".into(), false)]));
}

#[test]
fn unknown_flags_and_fields() {
    let mut subject = Subject::new();
    let mut later = hello().encode();
    later[0] += 1;
    later.extend_from_slice(&[0x18, 99, 0x63, b'n', b'e', b'w']);
    assert_eq!(subject.feed(&frame(FrameType::Hello, 0xf0, 0, &later)), Ok(vec![Seen::Other]));
    let mut longer = open();
    longer.extend_from_slice(b"a field of a later version");
    assert_eq!(subject.feed(&frame(FrameType::Open, 0xf0, 2, &longer)), Ok(vec![Seen::Other]));
    let data = subject.feed(&frame(FrameType::Data, 0xfe, 2, b"x"));
    assert_eq!(data, Ok(vec![Seen::Data(2, b"x".into(), false)]), "no FIN");
    let away = [0, 0, 0, 0, 0, 0, 0, 99, 1, 2, 3];
    assert_eq!(subject.feed(&frame(FrameType::GoAway, 0, 0, &away)), Ok(vec![Seen::Other]));
}

#[test]
fn codes_of_a_later_version_count_as_the_most_general() {
    let mut subject = Subject::busy();
    let reset = subject.feed(&frame(FrameType::Reset, 0, 1, &[0xff; 4]));
    assert_eq!(reset, Ok(vec![Seen::Reset(1, ResetCode::Internal)]));
    assert_eq!(GoAwayReason::from_u32(99), GoAwayReason::Shutdown);
}

#[test]
fn frames_of_streams_that_are_over() {
    let mut subject = Subject::busy();
    for stream in [1, 2, 3] {
        subject.session.reset(stream, ResetCode::Gone);
    }
    assert_eq!(subject.session.streams(), 0);
    for stream in [1, 2, 3] {
        for (kind, payload) in [
            (FrameType::Accept, &[0, 0, 0, 1, b'a'][..]),
            (FrameType::Data, &[7; 5000]),
            (FrameType::Credit, &[0, 0, 1, 0]),
            (FrameType::Reset, &[0, 0, 0, 1]),
        ] {
            let seen = subject.feed(&frame(kind, FLAG_FIN, stream, payload));
            assert_eq!(seen, Ok(vec![]), "{kind:?} on {stream}");
        }
    }
}

#[test]
fn a_stream_that_finished_is_over_too() {
    let mut subject = Subject::busy();
    let now = subject.now;
    subject.session.wants_send(now, 1);
    let turn = subject.session.next_turn().unwrap();
    assert!(!subject.session.took_turn(now, turn.stream, 0, Taken::Finished));
    subject.feed(&frame(FrameType::Data, FLAG_FIN, 1, b"")).unwrap();
    assert!(subject.session.finish_delivered(1));
    assert_eq!(subject.feed(&frame(FrameType::Reset, 0, 1, &[0, 0, 0, 8])), Ok(vec![]));
}

#[test]
fn answers_that_nobody_asked_for() {
    let mut subject = Subject::greeted();
    for number in [0u64, 1, u64::MAX] {
        let pong = frame(FrameType::Pong, 0, 0, &number.to_be_bytes());
        // Number 0 is the PING that follows HELLO.
        let due = if number == 0 { vec![Seen::Other] } else { vec![] };
        assert_eq!(subject.feed(&pong), Ok(due), "PONG {number}");
    }
    let seen = subject.feed(&frame(FrameType::GoAway, 0, 0, &[0; 8]));
    assert_eq!(seen, Ok(vec![Seen::Other]));
    assert_eq!(subject.feed(&frame(FrameType::GoAway, 0, 0, &[0; 8])), Ok(vec![Seen::Other]));
}

#[test]
fn calls_on_streams_that_are_over() {
    let mut subject = Subject::busy();
    let now = subject.now;
    subject.session.reset(1, ResetCode::Gone);
    subject.sent();
    subject.session.reset(1, ResetCode::Gone);
    subject.session.delivered(now, 1, 10);
    subject.session.wants_send(now, 1);
    subject.session.accept(1, &van_mux::Accept { connect_us: 0, target: String::new() });
    assert!(subject.session.finish_delivered(1));
    assert!(subject.session.took_turn(now, 1, 0, Taken::More));
    assert_eq!(subject.sent(), b"", "the peer hears nothing of a stream that is over");
}

#[test]
fn what_a_stream_has_before_its_answer_goes_after_it() {
    let mut subject = Subject::busy();
    subject.session.wants_send(subject.now, 2);
    assert_eq!(subject.session.next_turn(), None, "nothing before ACCEPT");
    subject.session.accept(2, &van_mux::Accept { connect_us: 0, target: String::new() });
    assert_eq!(subject.session.next_turn().map(|turn| turn.stream), Some(2));
}
