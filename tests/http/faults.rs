//! Targets that refuse, are late, or end in the middle.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use van_testkit::{DEADLINE, Sites, wait_until};

use crate::target::{Target, answer};
use crate::{Client, Pair, listen, offer};

#[test]
fn without_a_target_a_kept_connection_hears_503_and_goes_on() {
    let target = Target::saying("here");
    let pair = Pair::start(target.port);
    let mut client = pair.client();
    assert_eq!(client.get("/").body, "here");
    pair.other.ctl("connector delete t").ok();
    wait_until(DEADLINE, "the service was gone", || client.get("/").status == 503);
    client.say(
        "POST /s/m HTTP/1.1\r\nHost: web\r\nContent-Type: application/grpc\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let grpc = client.answer();
    assert_eq!((grpc.status, grpc.field("grpc-status").as_deref()), (200, Some("14")));
    offer(&pair.other, "t", target.port, "");
    wait_until(DEADLINE, "the service was back", || client.get("/").body == "here");
}

#[test]
fn garbage_and_early_ends_are_502_and_a_cut_body_is_a_reset() {
    let target = Target::start(|asked, stream| {
        let path = asked.line().split(' ').nth(1).unwrap().to_owned();
        let text: &[u8] = match path.as_str() {
            "/garbage" => b"this is no HTTP at all\r\n\r\n",
            "/two" => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            }
            "/lengths" => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "/coding" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabcd",
            "/half" => b"HTTP/1.1 200 OK\r\nContent-Le",
            "/none" => b"",
            "/cut" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
            "/cut-chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "/101" => b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            _ => return answer(stream, "fine"),
        };
        stream.write_all(text).unwrap();
        false
    });
    let pair = Pair::start(target.port);
    for path in ["/garbage", "/two", "/lengths", "/coding", "/half", "/none", "/101"] {
        let mut client = pair.client();
        let said =
            client.ask(format!("POST {path} HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\nx"));
        assert_eq!(said.status, 502, "{path}: {said:?}");
        assert_eq!(client.get("/").body, "fine", "{path}: the client goes on");
    }
    for path in ["/cut", "/cut-chunks"] {
        let mut client = pair.client();
        client.say(format!("GET {path} HTTP/1.1\r\nHost: web\r\n\r\n"));
        assert_eq!(client.head().unwrap().status, 200);
        let end = client.rest();
        assert!(end.is_err(), "{path}: {end:?} looks whole");
    }
}

#[test]
fn what_does_no_harm_is_asked_again_once() {
    // The first request on each connection fails, at both targets.
    let bad = Arc::<AtomicUsize>::default();
    let counted = bad.clone();
    let bad_target = Target::start(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        false
    });
    let good = Target::saying("good");
    let sites = Sites::start("");
    let (a, b) = (sites.linked("a", ""), sites.linked("b", ""));
    offer(&a, "bad", bad_target.port, "");
    offer(&b, "good", good.port, "");
    let port = listen(&sites.public, 2, "");
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        for _ in 0..10 {
            let mut client = Client::connect(port);
            let said = client.ask(format!("{method} / HTTP/1.1\r\nHost: web\r\n\r\n"));
            assert_eq!((said.status, said.body.as_str()), (200, "good"), "{method}");
        }
    }
    assert!(bad.load(Ordering::SeqCst) > 0, "the bad one was asked");
    // A request that may do harm is never repeated: as many answers as requests.
    let (mut failed, before) = (0, bad.load(Ordering::SeqCst));
    wait_until(DEADLINE, "the bad one was asked again", || {
        let mut client = Client::connect(port);
        let said = client.ask("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\nx");
        failed += usize::from(said.status == 502);
        failed > 0
    });
    assert_eq!(bad.load(Ordering::SeqCst) - before, failed, "each failure was asked once");
}

#[test]
fn a_flow_that_was_closed_while_it_waited_is_no_failure() {
    // Each connection serves one request and closes without a word.
    let target = Target::start(|_, stream| {
        answer(stream, "once");
        false
    });
    let pair = Pair::start(target.port);
    let mut client = pair.client();
    for n in 0..100 {
        let said = client.get("/");
        assert_eq!((said.status, said.body.as_str()), (200, "once"), "request {n}");
    }
}

#[test]
fn a_listener_that_stops_answers_what_was_asked() {
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let target = Target::start(move |_, stream| {
        may_go.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        answer(stream, "late")
    });
    let pair = Pair::start(target.port);
    let (mut busy, mut idle) = (pair.client(), pair.client());
    go.send(()).unwrap();
    assert_eq!(idle.get("/").body, "late");
    busy.say("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    wait_until(DEADLINE, "the target was asked", || target.requests() == 2);
    pair.sites.public.ctl("listener delete web").ok();
    assert_eq!(idle.rest().unwrap(), b"", "who asked nothing is let go");
    go.send(()).unwrap();
    let said = busy.answer();
    assert_eq!((said.body.as_str(), said.field("connection").as_deref()), ("late", Some("close")));
    assert_eq!(busy.rest().unwrap(), b"");
}
