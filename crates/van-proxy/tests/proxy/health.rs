use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use van_model::{Check, ConnectorSpec, Protocol};
use van_proxy::ConnectorState;

use crate::site::{
    Site, client, connector, echo, echo_workload, refusing, sees_reset, until, workload,
};

fn state(site: &Site) -> ConnectorState {
    site.connectors.get(&"work".parse().unwrap()).unwrap()
}

/// An echo server that can be ended, at an address where it can be started again.
struct Server {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let body = move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        };
        Self { stop, address, thread: Some(thread::spawn(body)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Calls it back from waiting for a client.
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_target_that_comes_and_goes() {
    let site = Site::new();
    let target = refusing();
    site.connectors.set(connector("work", "work", &target.to_string()));
    assert!(!state(&site).healthy, "not before its first check");
    until("the first check decides", || state(&site).reason.is_some_and(|r| r.contains("refused")));
    assert!(site.connectors.offers().is_empty());

    let server = Server::start(target);
    until("it is found well", || state(&site).healthy);
    assert!(state(&site).reason.is_none());
    assert_eq!(site.connectors.offers()["work"].targets, 1);
    site.publish("work", 1);
    let (_listener, place) = site.listen("work");
    echo(&mut client(place).unwrap(), b"hello");

    drop(server);
    let news = site.news.load(Ordering::SeqCst);
    let start = Instant::now();
    // A flow that fails calls for a check at once.
    sees_reset(place);
    until("it is found unwell", || !state(&site).healthy);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(site.news.load(Ordering::SeqCst) > news);
    assert!(site.connectors.offers().is_empty());

    let _server = Server::start(target);
    echo(&mut client(place).unwrap(), b"a flow finds it well before the next check");
    assert!(state(&site).healthy);
}

/// Answers each request with the status that stands in `status`, and checks the request.
fn http_workload(status: &Arc<AtomicU16>) -> SocketAddr {
    let status = status.clone();
    workload(move |mut stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "GET /healthz?deep=1 HTTP/1.1");
        let headers: Vec<String> =
            lines.map(|l| l.unwrap()).take_while(|l| !l.is_empty()).collect();
        assert!(headers.iter().any(|h| h.to_ascii_lowercase().starts_with("host: 127.0.0.1:")));
        let status = status.load(Ordering::SeqCst);
        let answer = if status == 0 {
            "nonsense\r\n\r\n".into()
        } else {
            format!("HTTP/1.1 {status} X\r\ncontent-length: 100000\r\n\r\nbody")
        };
        stream.write_all(answer.as_bytes()).unwrap();
    })
}

#[test]
fn http_checks() {
    let cases = [(200, true), (302, true), (404, false), (503, false), (0, false)];
    for (code, healthy) in cases {
        let site = Site::new();
        let target = http_workload(&Arc::new(AtomicU16::new(code)));
        let spec = connector("work", "work", &target.to_string());
        let check = Check::Http("/healthz?deep=1".into());
        site.connectors.set(ConnectorSpec { check, ..spec });
        until("the first check decides", || site.news.load(Ordering::SeqCst) > 0);
        let state = state(&site);
        assert_eq!(state.healthy, healthy, "{code}: {:?}", state.reason);
        if code == 503 {
            assert!(state.reason.unwrap().contains("503"));
        }
    }
}

#[test]
fn an_http_check_comes_back_and_a_connection_is_no_proof() {
    let status = Arc::new(AtomicU16::new(503));
    let site = Site::new();
    let target = http_workload(&status);
    let spec = connector("work", "work", &target.to_string());
    site.connectors.set(ConnectorSpec { check: Check::Http("/healthz?deep=1".into()), ..spec });
    until("the first check decides", || state(&site).reason.is_some_and(|r| r.contains("503")));
    let service = site.publish("work", 1);
    let (_listener, place) = site.listen("work");
    sees_reset(place);
    assert_eq!((service.meter.errors.get(), state(&site).meter.total.get()), (1, 0));
    status.store(204, Ordering::SeqCst);
    until("it is found well", || state(&site).healthy);
}

/// Accepts each check and says nothing until it is told to go on.
fn held_http_workload(go: &Arc<AtomicBool>) -> SocketAddr {
    let go = go.clone();
    workload(move |mut stream| {
        until("the check is answered", || go.load(Ordering::SeqCst));
        // A flow's line, or the check's request.
        let _ = stream.write_all(b"HTTP/1.1 204 X\r\n\r\n");
    })
}

#[test]
fn the_old_target_serves_until_the_new_one_is_checked() {
    let site = Site::new();
    let spec = connector("work", "work", &echo_workload().to_string());
    site.connectors.set(spec.clone());
    until("it is found well", || state(&site).healthy);
    site.publish("work", 1);
    let (_listener, place) = site.listen("work");
    let mut standing = client(place).unwrap();
    echo(&mut standing, b"before");

    let go = Arc::new(AtomicBool::new(false));
    let target = held_http_workload(&go).to_string().parse().unwrap();
    let check = Check::Http("/".into());
    let other = ConnectorSpec { target, check, ..spec };
    site.connectors.set(other.clone());
    // Once more, with something else that changes: the first one serves still.
    site.connectors.set(ConnectorSpec { weight: NonZeroU16::new(7).unwrap(), ..other });
    assert_eq!(site.connectors.offers()["work"].targets, 1);
    assert_eq!(state(&site).spec.weight.get(), 7);
    assert!(!state(&site).healthy, "nothing is known of the new target");
    echo(&mut client(place).unwrap(), b"the old one serves");

    go.store(true, Ordering::SeqCst);
    until("the new one is found well", || state(&site).healthy);
    assert_eq!(site.connectors.offers()["work"].targets, 1);
    let mut line = String::new();
    BufReader::new(client(place).unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 204 X\r\n", "the new one serves");
    echo(&mut standing, b"open flows go on");
}

#[test]
fn a_new_target_that_fails_its_check_ends_the_old_one() {
    let site = Site::new();
    let spec = connector("work", "work", &echo_workload().to_string());
    site.connectors.set(spec.clone());
    until("it is found well", || state(&site).healthy);
    let target = refusing().to_string().parse().unwrap();
    site.connectors.set(ConnectorSpec { target, ..spec });
    until("the service has no target", || site.connectors.offers().is_empty());
    assert!(state(&site).reason.unwrap().contains("refused"));
}

#[test]
fn setting_what_is_there_touches_nothing() {
    let site = Site::new();
    let target = echo_workload();
    let spec = connector("work", "work", &target.to_string());
    site.connectors.set(spec.clone());
    until("it is found well", || state(&site).healthy);
    let before = state(&site);
    site.connectors.set(spec.clone());
    assert!(state(&site).healthy && Arc::ptr_eq(&state(&site).meter, &before.meter));

    let other_port = ConnectorSpec { service_port: NonZeroU16::new(99), ..spec.clone() };
    site.connectors.set(other_port.clone());
    assert!(state(&site).healthy, "the target and its check are the same");
    assert_eq!(state(&site).spec, other_port);

    let elsewhere = ConnectorSpec { target: refusing().to_string().parse().unwrap(), ..spec };
    site.connectors.set(elsewhere);
    assert!(!state(&site).healthy, "another target is checked anew");
    assert!(site.connectors.remove(&"work".parse().unwrap()));
    assert!(!site.connectors.remove(&"work".parse().unwrap()));
    assert!(site.connectors.all().is_empty());
}

#[test]
fn offers_join_what_several_connectors_say() {
    let site = Site::new();
    let spec = |name: &str, port: u16, service_port| ConnectorSpec {
        check: Check::None,
        service_port: NonZeroU16::new(service_port),
        ..connector(name, "db", &format!("127.0.0.1:{port}"))
    };
    site.connectors.set(spec("a", 3000, 0));
    site.connectors.set(spec("b", 2000, 90));
    site.connectors.set(spec("c", 4000, 80));
    site.connectors
        .set(ConnectorSpec { check: Check::None, ..connector("u", "sock", "unix:/nowhere") });
    let offers = site.connectors.offers();
    let db = &offers["db"];
    assert_eq!((db.targets, db.protocol), (3, Protocol::Tcp));
    assert_eq!((db.service_port, db.target_port), (Some(80), Some(2000)));
    let sock = &offers["sock"];
    assert_eq!((sock.targets, sock.service_port, sock.target_port), (1, None, None));
    assert_eq!(site.connectors.all().len(), 4);
}

#[test]
fn a_container_is_followed_wherever_it_goes() {
    let site = Site::new();
    let (one, two) = (echo_workload(), echo_workload());
    // The times are too long for anything to be found by waiting.
    let mut spec = connector("work", "work", "container/pg:5432");
    (spec.timing.idle_ms, spec.timing.interval_ms) = (600_000, 600_000);
    site.connectors.set(spec);
    until("it is known as stopped", || {
        state(&site).reason.is_some_and(|why| why == "container/pg:5432 is stopped")
    });
    site.move_to(Some(one));
    until("it is found well", || state(&site).healthy);
    site.publish("work", 1);
    let (_listener, place) = site.listen("work");
    echo(&mut client(place).unwrap(), b"hello");

    site.move_to(None);
    assert!(!state(&site).healthy, "nobody need try to know that it stopped");
    site.move_to(Some(two));
    until("it is found well again", || state(&site).healthy);
    echo(&mut client(place).unwrap(), b"hello");
}

#[test]
fn a_container_that_nobody_checks_is_still_known_to_be_stopped() {
    let site = Site::new();
    let spec = connector("work", "work", "container/pg:5432");
    site.connectors.set(ConnectorSpec { check: Check::None, ..spec });
    until("it is known as stopped", || state(&site).reason.is_some());
    assert!(!state(&site).healthy && site.connectors.offers().is_empty());
    site.move_to(Some(echo_workload()));
    until("it is offered", || state(&site).healthy);
}

#[test]
fn who_connects_to_where_a_container_was_is_sent_to_where_it_is() {
    let site = Site::new();
    // Nobody answers there, and nobody refuses: TEST-NET-1 has no hosts.
    site.move_to(Some("192.0.2.77:9".parse().unwrap()));
    let spec = connector("work", "work", "container/pg:5432");
    site.connectors.set(ConnectorSpec { check: Check::None, ..spec });
    until("it is offered", || state(&site).healthy);
    site.publish("work", 1);
    let (_listener, place) = site.listen("work");
    let waiting = thread::spawn(move || {
        let start = Instant::now();
        echo(&mut client(place).unwrap(), b"hello");
        start.elapsed()
    });
    until("a flow is on its way", || site.dispatcher.flows_open() > 0);
    site.move_to(Some(echo_workload()));
    let took = waiting.join().unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
