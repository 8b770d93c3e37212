//! What is said arrives, and what a proxy adds and takes away.

use std::io::{Read, Write};
use std::sync::mpsc;

use van_testkit::{DEADLINE, wait_until};

use crate::target::{SHORT, Target, answer};
use crate::{Client, Pair};

#[test]
fn a_kept_connection_carries_many_requests() {
    let target = Target::echo();
    let pair = Pair::start(target.port);
    let mut client = pair.client();
    for n in 0..200 {
        let answer = client.get(&format!("/{n}"));
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with(&format!("GET /{n} HTTP/1.1\r\n")), "{}", answer.body);
    }
    assert_eq!((target.requests(), target.connections()), (200, 1), "flows are kept");
    // Pipelined: the answers come in order.
    let all: String = (0..50).map(|n| format!("GET /p{n} HTTP/1.1\r\nHost: web\r\n\r\n")).collect();
    client.say(&all);
    for n in 0..50 {
        assert!(client.answer().body.starts_with(&format!("GET /p{n} ")));
    }
}

#[test]
fn fields_of_one_connection_stay_and_who_asked_is_told() {
    let target = Target::echo();
    let pair = Pair::start(target.port);
    let answer = pair.client().ask(
        "GET http://shop.example:81/x?y HTTP/1.1\r\nHost: other\r\nConnection: keep-alive, X-Hop, Host\r\n\
         X-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: gzip\r\nX-Stays: 2\r\n\
         X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\nCookie: a=b\r\n\r\n",
    );
    let asked = crate::target::Asked { head: answer.body, body: Vec::new() };
    assert_eq!(asked.line(), "GET /x?y HTTP/1.1");
    for gone in ["connection", "x-hop", "keep-alive", "proxy-connection", "te", "upgrade"] {
        assert_eq!(asked.field(gone), None, "{gone}");
    }
    for (name, value) in [
        ("host", "shop.example:81"),
        ("x-stays", "2"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "192.0.2.1, 127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example:81"),
        ("forwarded", "for=192.0.2.1, for=127.0.0.1;host=\"shop.example:81\";proto=http"),
    ] {
        assert_eq!(asked.field(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn bodies_of_every_kind_arrive_whole() {
    let target = Target::echo();
    let pair = Pair::start(target.port);
    let mut client = pair.client();
    let said = client.ask("POST /l HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhello");
    assert!(said.body.ends_with("\nhello"), "{}", said.body);
    let said = client.ask(
        "POST /c HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n\
         3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nSum: 5\r\n\r\n",
    );
    assert!(said.body.ends_with("\nabcdesum: 5\r\n"), "{}", said.body);
    let said = client.ask("POST /e HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n");
    assert!(said.body.to_lowercase().contains("content-length: 0\r\n"), "{}", said.body);
    let large = "x".repeat(3 << 20);
    let length = large.len();
    let head = format!("PUT /big HTTP/1.1\r\nHost: web\r\nContent-Length: {length}\r\n\r\n");
    let mut writing = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        writing.write_all(head.as_bytes()).unwrap();
        writing.write_all(large.as_bytes()).unwrap();
    });
    let said = client.answer();
    sending.join().unwrap();
    assert!(said.body.len() > length && said.body.ends_with("xxxx"), "{}", said.body.len());
    // HTTP/1.0: without a word the connection closes behind the answer.
    let mut old = pair.client();
    let said = old.ask("GET /old HTTP/1.0\r\n\r\n");
    assert!(said.body.contains("\r\nhost: web\r\n"), "{}", said.body);
    assert_eq!(old.rest().unwrap(), b"");
}

#[test]
fn head_and_answers_without_body() {
    let target = Target::start(|asked, stream| {
        let text: &[u8] = match asked.line().split(' ').nth(1).unwrap() {
            "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: x\r\n\r\n",
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
            "/trailers" => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n\
                  3\r\nabc\r\n0\r\nSum: 3\r\n\r\n"
            }
            _ => b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        };
        stream.write_all(text).unwrap();
        !asked.head.contains("/close")
    });
    let pair = Pair::start(target.port);
    let mut client = pair.client();
    client.say("HEAD /head HTTP/1.1\r\nHost: web\r\n\r\n");
    let head = client.head().unwrap();
    assert_eq!(head.field("content-length").as_deref(), Some("1000"));
    client.say("GET /304 HTTP/1.1\r\nHost: web\r\n\r\n");
    assert_eq!(client.head().unwrap().field("etag").as_deref(), Some("x"));
    client.say("GET /204 HTTP/1.1\r\nHost: web\r\n\r\n");
    assert_eq!(client.head().unwrap().status, 204);
    let answer =
        client.ask("GET /trailers HTTP/1.1\r\nHost: web\r\nConnection: TE\r\nTE: trailers\r\n\r\n");
    assert_eq!(answer.body, "abcsum: 3\r\n");
    assert_eq!(client.get("/close").body, "until the end", "chunked for a client that goes on");
    let mut old = pair.client();
    old.say("GET /close HTTP/1.0\r\n\r\n");
    assert_eq!(old.head().unwrap().field("transfer-encoding"), None);
    assert_eq!(old.rest().unwrap(), b"until the end");
}

#[test]
fn the_target_decides_whether_a_body_is_wanted() {
    let target = Target::start(|asked, stream| {
        if asked.line().contains("/no") {
            stream.write_all(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n").unwrap();
            return false;
        }
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = [0; 5];
        stream.read_exact(&mut body).unwrap();
        answer(stream, std::str::from_utf8(&body).unwrap())
    });
    let pair = Pair::start(target.port);
    let ask = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = pair.client();
    let first = client.ask(ask("/yes"));
    assert_eq!(first.status, 100);
    assert_eq!(client.ask("hello").body, "hello");
    let mut client = pair.client();
    assert_eq!(client.ask(ask("/no")).status, 413);
}

#[test]
fn events_come_as_they_are_said_and_a_half_closed_client_is_answered() {
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let target = Target::start(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n").unwrap();
        stream.write_all(b"Transfer-Encoding: chunked\r\n\r\n").unwrap();
        for n in 0..3 {
            may_go.lock().unwrap().recv_timeout(DEADLINE).unwrap();
            stream.write_all(format!("9\r\ndata: {n}\n\n\r\n").as_bytes()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let pair = Pair::start(target.port);
    let mut client = pair.client();
    client.say("GET /events HTTP/1.1\r\nHost: web\r\n\r\n");
    client.end();
    assert_eq!(client.head().unwrap().status, 200, "the head comes before any event");
    for n in 0..3 {
        go.send(()).unwrap();
        assert_eq!(client.line(), "9\r\n");
        assert_eq!(client.line(), format!("data: {n}\n"));
        assert_eq!((client.line(), client.line()), ("\n".into(), "\r\n".into()));
    }
}

#[test]
fn a_switch_of_protocols_joins_both_ends() {
    let target = Target::start(|asked, stream| {
        if asked.field("upgrade").as_deref() != Some("chat") {
            return answer(stream, "plain");
        }
        assert_eq!(asked.field("connection").as_deref(), Some("Upgrade"));
        if asked.line().contains("/no") {
            return answer(stream, "no chat");
        }
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n").unwrap();
        stream.write_all(b"Upgrade: chat\r\n\r\nwelcome").unwrap();
        let mut room = [0; 1024];
        loop {
            match stream.read(&mut room) {
                Ok(0) => {
                    stream.write_all(b"bye").unwrap();
                    return false;
                }
                Ok(count) => stream.write_all(&room[..count]).unwrap(),
                Err(_) => return false,
            }
        }
    });
    let pair = Pair::start(target.port);
    let ask = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
    };
    let mut client = pair.client();
    assert_eq!(client.ask(ask("/no")).body, "no chat");
    assert_eq!(client.get("/").body, "plain", "the connection goes on");
    client.say(ask("/chat"));
    let head = client.head().unwrap();
    assert_eq!((head.status, head.field("upgrade").as_deref()), (101, Some("chat")));
    assert_eq!(client.bytes(7), b"welcome");
    let noise: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(n) as u8).collect();
    for piece in noise.chunks(9_999) {
        client.say(piece);
        assert_eq!(client.bytes(piece.len()), piece);
    }
    client.end();
    assert_eq!(client.rest().unwrap(), b"bye");
    // Bytes before the word are never passed on.
    let before = target.requests();
    let mut early = pair.client();
    let answer = early.ask(ask("/chat") + "early");
    assert_eq!(answer.status, 400);
    assert_eq!(target.requests(), before);
}

#[test]
fn the_slow_hold_nobody_up() {
    // A target that is asked for more than anybody reads, and a client that does not read.
    let target = Target::start(|asked, stream| {
        if asked.line().contains("/endless") {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
            stream.set_write_timeout(Some(SHORT)).unwrap();
            let mut sent = 0;
            if stream.write_all(head).is_ok() {
                while stream.write_all(&chunk).is_ok() {
                    sent += chunk.len();
                    assert!(sent < 256 << 20, "somebody keeps what nobody reads");
                }
            }
            return false;
        }
        answer(stream, "quick")
    });
    let pair = Pair::start(target.port);
    let mut slow = pair.client();
    slow.say("GET /endless HTTP/1.1\r\nHost: web\r\n\r\n");
    assert_eq!(slow.head().unwrap().status, 200);
    wait_until(DEADLINE, "others are served", || {
        Client::connect(pair.port).get("/").body == "quick"
    });
    // The target gave up in the middle, and so must it look.
    assert!(slow.rest().is_err(), "a body that was cut short looks whole");
}
