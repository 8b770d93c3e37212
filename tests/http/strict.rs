//! What is no HTTP is refused at the ingress, and nothing of it reaches a target.

use crate::Pair;
use crate::target::{SHORT, Target};

#[test]
fn what_could_be_read_in_two_ways_is_answered_400_and_closed() {
    let target = Target::echo();
    let pair = Pair::start(target.port);
    assert_eq!(pair.client().get("/").status, 200);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: web\r\n\r\n";
    for (what, text) in [
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "differing lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 35\r\n\r\n",
        ),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n"),
        ("a plus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n"),
        ("another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"),
        ("a coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("folded", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
        ("bare LF", "GET / HTTP/1.1\nHost: a\n\n"),
        ("space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 35\r\n\r\n"),
        ("NUL", "GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n"),
        ("no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("no HTTP", "\u{16}\u{3}\u{1}\r\n\r\n"),
    ] {
        let before = target.requests();
        let mut client = pair.client();
        // Behind a good request, and in front of one that must not be seen.
        client.say(format!("GET /good HTTP/1.1\r\nHost: web\r\n\r\n{text}{hidden}"));
        assert_eq!(client.answer().status, 200, "{what}");
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert_eq!(answer.field("connection").as_deref(), Some("close"), "{what}");
        assert!(answer.body.len() > 10, "{what}: it says why");
        assert_eq!(client.rest().unwrap(), b"", "{what}");
        assert_eq!(target.requests(), before + 1, "{what}");
    }
    let mut client = pair.client();
    let answer = client.ask("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status, 405);
}

#[test]
fn a_body_that_is_no_body_never_looks_whole() {
    let target = Target::echo();
    let pair = Pair::start(target.port);
    for body in ["3\r\nabcd\r\n0\r\n\r\n", "zz\r\n", "3\r\nabc\r\n0\r\nHost: x\r\n\r\n"] {
        let mut client = pair.client();
        let answer = client.ask(format!(
            "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
        assert_eq!(answer.status, 400, "{body:?}");
        assert_eq!(client.rest().unwrap(), b"");
    }
    assert_eq!(target.requests(), 0, "the target saw no whole request");
}

#[test]
fn a_large_header_and_a_slow_one() {
    let target = Target::echo();
    let pair = Pair::start(target.port);
    let mut client = pair.client();
    let large = format!("GET / HTTP/1.1\r\nHost: web\r\nA: {}\r\n\r\n", "x".repeat(70_000));
    assert_eq!(client.ask(large).status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: web\r\n{}\r\n", "A: b\r\n".repeat(200));
    assert_eq!(pair.client().ask(many).status, 431);
    let fits = format!("GET / HTTP/1.1\r\nHost: web\r\nA: {}\r\n\r\n", "x".repeat(60_000));
    assert_eq!(pair.client().ask(fits).status, 200);
    let mut slow = pair.client();
    slow.say("GET / HTTP/1.1\r\nHost: we");
    slow.stream.set_read_timeout(Some(SHORT)).unwrap();
    assert!(slow.stream.peek(&mut [0]).is_err(), "it has its time");
    slow.stream.set_read_timeout(Some(van_testkit::DEADLINE)).unwrap();
    assert_eq!(slow.answer().status, 408);
    assert_eq!(target.requests(), 1);
}
