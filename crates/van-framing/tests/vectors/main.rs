//! What is taken for HTTP and what is not, whole and byte by byte.

mod table;

use van_framing::Refusal::{Chunk, EarlyBytes, TooLarge, Trailer};
use van_framing::{Framing, Refusal};

use table::{CHUNKED, CHUNKS, FIELDS, LENGTHS, LINES};

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/// What becomes of the bytes, given in pieces of this size.
fn read(bytes: &[u8], piece: usize) -> (usize, Option<Refusal>) {
    let mut framing = Framing::default();
    let mut passed = 0;
    for piece in bytes.chunks(piece) {
        let fed = framing.feed(piece);
        passed += fed.passed;
        if fed.refusal.is_some() {
            assert!(framing.is_refused() && framing.feed(b"x").passed == 0);
            return (passed, fed.refusal);
        }
        assert_eq!(fed.passed, piece.len());
    }
    (passed, None)
}

#[track_caller]
fn check(name: &str, bytes: &[u8], expected: Option<Refusal>, before: usize) {
    for piece in [bytes.len(), 1, 7] {
        let (passed, refusal) = read(bytes, piece);
        assert_eq!(refusal, expected, "{name}, pieces of {piece}");
        match refusal {
            None => assert_eq!(passed, bytes.len(), "{name}, pieces of {piece}"),
            // Never the last byte of what was refused: nobody sees it whole.
            Some(_) => {
                let most = bytes.len() - NEXT.len() - 1;
                assert!((before..=most).contains(&passed), "{name}: {passed} of {most}");
            }
        }
    }
}

#[test]
fn each_vector_has_its_verdict() {
    for (name, text, expected) in [&LINES[..], &FIELDS, &LENGTHS].concat() {
        check(name, format!("{text}{NEXT}").as_bytes(), expected, 0);
        // Behind another request it has the same.
        let behind = format!("{NEXT}{text}{NEXT}");
        if !text.starts_with("\r\n\r\n") {
            check(name, behind.as_bytes(), expected, NEXT.len());
        }
    }
    for (name, text, expected) in CHUNKS {
        let bytes = format!("{CHUNKED}{text}{NEXT}");
        check(name, bytes.as_bytes(), expected, CHUNKED.len());
    }
}

#[test]
fn bounds() {
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let fields = |count: usize| head(&"A: b\r\n".repeat(count));
    assert_eq!(read(fields(99).as_bytes(), 4096).1, None);
    assert_eq!(read(fields(100).as_bytes(), 4096).1, Some(TooLarge));
    let long = |size: usize| head(&format!("A: {}\r\n", "b".repeat(size)));
    assert_eq!(read(long(60 << 10).as_bytes(), 4096).1, None);
    assert_eq!(read(long(64 << 10).as_bytes(), 4096).1, Some(TooLarge));
    let endless = format!("GET /{}", "a".repeat(70_000));
    assert_eq!(read(endless.as_bytes(), 4096).1, Some(TooLarge));
    let chunk = |extension: usize| format!("1;{}\r\nx\r\n", "e".repeat(extension));
    let chunks = |one: &str, count| format!("{CHUNKED}{}0\r\n\r\n", one.repeat(count));
    assert_eq!(read(chunks(&chunk(200), 70).as_bytes(), 4096).1, None);
    assert_eq!(read(chunks(&chunk(200), 100).as_bytes(), 4096).1, Some(Chunk));
    assert_eq!(read(chunks(&chunk(300), 1).as_bytes(), 4096).1, Some(Chunk));
    let trailers = |count: usize| format!("{CHUNKED}0\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(read(trailers(1000).as_bytes(), 4096).1, None);
    assert_eq!(read(trailers(2000).as_bytes(), 4096).1, Some(Trailer));
}

#[test]
fn another_protocol_waits_for_the_word() {
    let ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let early = [&ask[..], b"\x81\x05hello"].concat();
    assert_eq!(Framing::default().feed(&early).refusal, Some(EarlyBytes));
    assert_eq!(Framing::default().feed(&early).passed, 0);
    for switched in [true, false] {
        let mut framing = Framing::default();
        assert_eq!(framing.feed(ask).passed, ask.len());
        assert!(framing.is_held());
        framing.switch(switched);
        assert!(!framing.is_held());
        let raw = framing.feed(b"\x81\0\n\r");
        assert_eq!(raw.refusal.is_none(), switched, "{raw:?}");
    }
    // With a body, in HTTP/1.0, or unless Connection says so, there is nothing to wait for.
    for head in [
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nx",
    ] {
        let both = format!("{head}{NEXT}");
        assert_eq!(read(both.as_bytes(), 5), (both.len(), None), "{head}");
    }
}
