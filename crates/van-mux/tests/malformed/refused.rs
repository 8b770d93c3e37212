//! The table of refusals.

use van_mux::FrameType::{
    self, Accept, Ack, Credit, Data, Datagram, GoAway, Hello, Open, Ping, Pong, Reset, Route,
};
use van_mux::ProtocolError::{self, Malformed, NoHello, StreamId, Unexpected, UnknownType};
use van_mux::{FLAG_FIN, MAX_OPEN, MAX_PAYLOAD, Side};

use super::peer::{CREDIT, Subject, frame, hello, open, raw};

/// One input and its error.
type Case = (&'static str, Vec<u8>, ProtocolError);

fn check(subject: impl Fn() -> Subject, cases: Vec<Case>) {
    for (name, input, error) in cases {
        assert_eq!(subject().feed(&input), Err(error.clone()), "{name}");
        // Byte by byte the verdict is the same.
        let mut subject = subject();
        let verdict = input.iter().find_map(|byte| subject.feed(&[*byte]).err());
        assert_eq!(verdict, Some(error), "{name}, byte by byte");
    }
}

fn changed(change: impl FnOnce(&mut van_mux::Hello)) -> Vec<u8> {
    let mut hello = hello();
    change(&mut hello);
    frame(Hello, 0, 0, &hello.encode())
}

#[test]
fn before_hello() {
    let not_map = Malformed(Hello, "not the map that is due");
    let name = Malformed(Hello, "a name is empty, too long or has control characters");
    let link = Malformed(Hello, "the link's name is too long or has control characters");
    let whole = hello().encode();
    check(
        Subject::new,
        vec![
            ("PING first", frame(Ping, 0, 0, &[0; 8]), NoHello(Some(Ping))),
            ("OPEN first", frame(Open, 0, 2, &open()), NoHello(Some(Open))),
            ("ROUTE first", frame(Route, 0, 0, b"x"), NoHello(Some(Route))),
            ("DATAGRAM first", frame(Datagram, 0, 2, b"x"), NoHello(Some(Datagram))),
            ("an unknown frame first", raw(0x80, 0, 0, b""), NoHello(None)),
            ("HELLO on a stream", frame(Hello, 0, 1, &whole), Unexpected(Hello, 1)),
            ("HELLO empty", frame(Hello, 0, 0, b""), not_map.clone()),
            ("HELLO not a map", frame(Hello, 0, 0, b"\x80"), not_map.clone()),
            ("HELLO cut off", frame(Hello, 0, 0, &whole[..whole.len() - 9]), not_map.clone()),
            (
                // An array said to have 2^32 - 1 elements, as capabilities.
                "HELLO with a huge array",
                frame(Hello, 0, 0, &[0xa1, 14, 0x9a, 0xff, 0xff, 0xff, 0xff]),
                not_map.clone(),
            ),
            ("HELLO nested", frame(Hello, 0, 0, &[0x81; 8000]), not_map),
            ("no name", changed(|h| h.name.clear()), name.clone()),
            ("a name with a line's end", changed(|h| h.name = "a\nb".into()), name.clone()),
            ("a long software", changed(|h| h.software = "x".repeat(254)), name),
            ("a long link's name", changed(|h| h.link_name = Some("x".repeat(254))), link),
            ("cost 0", changed(|h| h.cost = 0), Malformed(Hello, "the cost is 0")),
            (
                "65 capabilities",
                changed(|h| h.capabilities = vec!["x".into(); 65]),
                Malformed(Hello, "too many capabilities"),
            ),
            (
                "much credit",
                changed(|h| h.initial_credit = (1 << 30) + 1),
                Malformed(Hello, "the initial credit is above 1 GiB"),
            ),
            (
                "no credit",
                changed(|h| h.initial_credit = 0),
                Malformed(Hello, "the initial credit is 0"),
            ),
            (
                "no common version",
                changed(|h| (h.version_min, h.version_max) = (2, 9)),
                ProtocolError::Version { ours: "1".into(), theirs: "2 to 9".into() },
            ),
        ],
    );
}

#[test]
fn on_the_session() {
    let too_long = |length: u16| ProtocolError::FrameTooLong { length };
    let header = |kind: FrameType, length: u16| {
        let mut bytes = frame(kind, 0, 0, b"");
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let mut cases = vec![
        ("one byte too long", header(Data, MAX_PAYLOAD as u16 + 1), too_long(16_369)),
        ("65,535 bytes", header(Route, u16::MAX), too_long(u16::MAX)),
        ("type 0", raw(0, 0, 0, b""), UnknownType(0)),
        ("type 0x7f", raw(0x7f, 0, 0, b""), UnknownType(0x7f)),
        ("type 0x16", raw(0x16, 0, 1, b"x"), UnknownType(0x16)),
        ("HELLO twice", frame(Hello, 0, 0, &hello().encode()), Unexpected(Hello, 0)),
        ("ACK, reserved", frame(Ack, 0, 0, &[0; 8]), Unexpected(Ack, 0)),
        (
            "DATAGRAM on a stream of bytes",
            frame(Datagram, 0, 1, b"x"),
            Malformed(Datagram, "not a stream of datagrams"),
        ),
        ("PING of 7 bytes", frame(Ping, 0, 0, &[0; 7]), Malformed(Ping, "not 8 bytes")),
        ("PING of 9 bytes", frame(Ping, 0, 0, &[0; 9]), Malformed(Ping, "not 8 bytes")),
        ("PONG empty", frame(Pong, 0, 0, b""), Malformed(Pong, "not 8 bytes")),
        (
            "GOAWAY of 7 bytes",
            frame(GoAway, 0, 0, &[0; 7]),
            Malformed(GoAway, "shorter than 8 bytes"),
        ),
    ];
    for kind in [Ping, Pong, GoAway, Route] {
        cases.push(("on a stream", frame(kind, 0, 1, &[0; 8]), Unexpected(kind, 1)));
    }
    for kind in [Open, Accept, Data, Credit, Reset] {
        cases.push(("on the session", frame(kind, 0, 0, &[1; 4]), Unexpected(kind, 0)));
    }
    check(Subject::busy, cases);
}

#[test]
fn opening() {
    let id = |got| StreamId { expected: 4, got };
    let bad = |name, change: &dyn Fn(&mut Vec<u8>), why| -> Case {
        let mut payload = open();
        change(&mut payload);
        (name, frame(Open, 0, 4, &payload), Malformed(Open, why))
    };
    let name = "the address is not the name of a service";
    check(
        Subject::busy,
        vec![
            ("this side's parity", frame(Open, 0, 5, &open()), id(5)),
            ("a stream id skipped", frame(Open, 0, 6, &open()), id(6)),
            ("a stream id again", frame(Open, 0, 2, &open()), id(2)),
            ("the highest id", frame(Open, 0, u32::MAX - 1, &open()), id(u32::MAX - 1)),
            ("the id before the payload", frame(Open, 0, 8, b""), id(8)),
            bad("empty", &Vec::clear, "too short"),
            bad("7 bytes", &|p| p.truncate(7), "too short"),
            bad("long", &|p| p.resize(MAX_OPEN + 1, 0), "longer than 1024 bytes"),
            bad("kind 0", &|p| p[0] = 0, "unknown kind"),
            bad("class 3", &|p| p[1] = 3, "unknown class"),
            bad("a long hint", &|p| p[3] = 200, "the hint is cut off"),
            bad("half the address", &|p| p.truncate(9), "the address is cut off"),
            bad("a huge address", &|p| p[4] = 0xff, "the address is cut off"),
            bad("no address", &|p| p[5] = 0, name),
            bad("a bad address", &|p| p[8] = b' ', name),
            bad("not UTF-8", &|p| p[8] = 0xff, name),
            bad(
                "a hint that is not UTF-8",
                &|p| {
                    p[3] = 1;
                    p.insert(8, 0xff);
                },
                "the hint is not UTF-8",
            ),
            bad("family 5", &|p| p[6] = 5, "unknown family of the client's address"),
            bad("no client", &|p| p[6] = 4, "the client's address is cut off"),
            bad(
                "a client without port",
                &|p| {
                    p[6] = 6;
                    p.extend_from_slice(&[0; 17]);
                },
                "the client's address is cut off",
            ),
        ],
    );
}

#[test]
fn accepting() {
    let ok = [0, 0, 0, 1, b'a'];
    let unexpected = |stream| Unexpected(Accept, stream);
    let mut not_utf8 = ok;
    not_utf8[4] = 0xff;
    let long = [&[0; 4][..], &[b'a'; 256]].concat();
    check(
        Subject::busy,
        vec![
            ("accepted twice", frame(Accept, 0, 1, &ok), unexpected(1)),
            ("the peer's own stream", frame(Accept, 0, 2, &ok), unexpected(2)),
            ("a stream not opened yet", frame(Accept, 0, 5, &ok), unexpected(5)),
            ("the peer's next stream", frame(Accept, 0, 4, &ok), unexpected(4)),
            ("3 bytes", frame(Accept, 0, 3, &ok[..3]), Malformed(Accept, "too short")),
            (
                "not UTF-8",
                frame(Accept, 0, 3, &not_utf8),
                Malformed(Accept, "the target is not UTF-8"),
            ),
            (
                "a long target",
                frame(Accept, 0, 3, &long),
                Malformed(Accept, "the target's name is longer than 255 bytes"),
            ),
        ],
    );
}

#[test]
fn data_credit_and_reset() {
    let unexpected = |stream| Unexpected(Data, stream);
    let exceeded = |stream, sent, credit| ProtocolError::CreditExceeded { stream, sent, credit };
    let credit = |stream, grant: u32| frame(Credit, 0, stream, &grant.to_be_bytes());
    let four = |kind| Malformed(kind, "not 4 bytes");
    let twice = |first: &[u8], second: &[u8]| [first, second].concat();
    let fin = frame(Data, FLAG_FIN, 1, b"");
    let above = CREDIT as usize + 1;
    check(
        Subject::busy,
        vec![
            ("DATA before ACCEPT", frame(Data, 0, 3, b"x"), unexpected(3)),
            ("DATA on a stream not opened yet", frame(Data, 0, 5, b"x"), unexpected(5)),
            ("DATA on the peer's next stream", frame(Data, 0, 4, b"x"), unexpected(4)),
            ("DATA after FIN", twice(&fin, &frame(Data, 0, 1, b"x")), unexpected(1)),
            ("FIN twice", twice(&fin, &fin), unexpected(1)),
            ("DATA empty", frame(Data, 0, 1, b""), Malformed(Data, "neither bytes nor FIN")),
            (
                "DATA above the credit",
                frame(Data, 0, 1, &vec![0; above]),
                exceeded(1, above, CREDIT.into()),
            ),
            (
                "DATA above what is left of it",
                twice(&frame(Data, 0, 2, &[0; 999]), &frame(Data, FLAG_FIN, 2, &[0; 2])),
                exceeded(2, 2, 1),
            ),
            ("CREDIT of 0", credit(1, 0), Malformed(Credit, "grants nothing")),
            ("CREDIT of 3 bytes", frame(Credit, 0, 1, &[1; 3]), four(Credit)),
            ("CREDIT of 5 bytes", frame(Credit, 0, 1, &[1; 5]), four(Credit)),
            (
                "CREDIT above 4 GiB",
                twice(&credit(1, u32::MAX), &credit(1, 2)),
                ProtocolError::CreditOverflow { stream: 1 },
            ),
            ("CREDIT on no stream", credit(7, 1), Unexpected(Credit, 7)),
            ("CREDIT on the peer's next stream", credit(4, 1), Unexpected(Credit, 4)),
            ("RESET empty", frame(Reset, 0, 1, b""), four(Reset)),
            ("RESET of 8 bytes", frame(Reset, 0, 1, &[0; 8]), four(Reset)),
            ("RESET of no stream", frame(Reset, 0, 9, &[0, 0, 0, 1]), Unexpected(Reset, 9)),
            (
                "RESET of the highest stream",
                frame(Reset, 0, u32::MAX, &[0, 0, 0, 1]),
                Unexpected(Reset, u32::MAX),
            ),
        ],
    );
}

#[test]
fn the_parity_depends_on_who_dialled() {
    let mut subject = Subject::greeted();
    assert_eq!(subject.session.side(), Side::Dialler);
    let error = StreamId { expected: 2, got: 1 };
    assert_eq!(subject.feed(&frame(Open, 0, 1, &open())), Err(error));
}

#[test]
fn each_error_has_a_word_and_says_what_was_tried() {
    let errors = [
        ProtocolError::FrameTooLong { length: 20_000 },
        UnknownType(5),
        Malformed(Data, "why"),
        Unexpected(Data, 1),
        NoHello(None),
        ProtocolError::Version { ours: "1".into(), theirs: "2".into() },
        StreamId { expected: 1, got: 3 },
        ProtocolError::CreditExceeded { stream: 1, sent: 2, credit: 1 },
        ProtocolError::CreditOverflow { stream: 1 },
        ProtocolError::Flood(Ping),
        ProtocolError::Silent(3000),
    ];
    let mut words: Vec<_> = errors.iter().map(ProtocolError::code).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), errors.len());
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("peer") && text.len() > 20, "{text}");
    }
}
