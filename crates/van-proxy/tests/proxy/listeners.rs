use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use van_proxy::ListenerError;

use crate::site::{Site, bound, client, echo, echo_workload, until};

#[test]
fn refuses_without_a_target_and_keeps_the_port() {
    let site = Site::new();
    site.connect("echo", "echo", &echo_workload().to_string());
    let listener = site.try_listen("echo", "127.0.0.1:0").unwrap();
    let place = bound(&listener);
    let refuses = || {
        assert_eq!(client(place).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let other = TcpListener::bind(place).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::AddrInUse, "the port is kept");
    };
    assert!(!listener.state().accepting);
    refuses();
    for round in 0..3 {
        let start = Instant::now();
        site.publish("echo", 1);
        until("it accepts", || listener.state().accepting);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        let mut open = client(place).unwrap();
        echo(&mut open, b"hello");
        if round == 1 {
            site.publish("other", 1);
        } else {
            site.publish("echo", 0);
        }
        until("it refuses", || !listener.state().accepting);
        refuses();
        echo(&mut open, b"an open flow goes on");
    }
    assert_eq!(listener.state().meter.total.get(), 3);
    assert!(listener.state().problem.is_none());
    until("flows end", || site.dispatcher.flows_open() == 0);
    assert_eq!(listener.state().meter.open.get(), 0);
}

#[test]
fn a_listener_that_refuses_costs_no_time() {
    let site = Site::new();
    let listener = site.try_listen("echo", "127.0.0.1:0").unwrap();
    site.publish("echo", 1);
    until("it accepts", || listener.state().accepting);
    site.publish("echo", 0);
    until("it refuses", || !listener.state().accepting);
    let metrics = site.workers.get(0).runtime().metrics();
    let before = metrics.worker_park_count(0);
    for _ in 0..1000 {
        client(bound(&listener)).unwrap_err();
    }
    let parks = metrics.worker_park_count(0) - before;
    assert!(parks < 50, "the worker was called {parks} times");
}

#[test]
fn a_stopped_listener_frees_its_port_and_its_flows_go_on() {
    let site = Site::new();
    site.connect("echo", "echo", &echo_workload().to_string());
    site.publish("echo", 1);
    let (listener, place) = site.listen("echo");
    let mut open = client(place).unwrap();
    echo(&mut open, b"before");
    listener.stop();
    drop(TcpListener::bind(place).unwrap());
    assert_eq!(client(place).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let again = site.try_listen("echo", &place.to_string()).unwrap();
    until("it accepts", || again.state().accepting);
    echo(&mut client(place).unwrap(), b"again");
    echo(&mut open, b"after");
}

#[test]
fn places_that_cannot_be_had_are_told() {
    let site = Site::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = holder.local_addr().unwrap().to_string();
    let error = site.try_listen("echo", &held).unwrap_err();
    assert!(matches!(&error, ListenerError::AddrInUse { bind, .. } if *bind == held), "{error}");
    assert!(error.to_string().contains("ss -tlnp"), "{error}");

    let first = site.try_listen("echo", "127.0.0.1:0").unwrap();
    let error = site.try_listen("echo", &bound(&first).to_string()).unwrap_err();
    assert_eq!(error.code(), "AddressInUse", "also while the first one refuses");

    let error = site.try_listen("echo", "192.0.2.1:12000").unwrap_err();
    assert!(matches!(error, ListenerError::NotLocal { .. }), "{error}");
    let error = site.try_listen("echo", "nowhere.invalid:12000").unwrap_err();
    assert!(matches!(error, ListenerError::Resolve { .. }), "{error}");
}

#[test]
fn both_families_and_names() {
    let site = Site::new();
    site.connect("echo", "echo", &echo_workload().to_string());
    site.publish("echo", 1);
    let listener = site.try_listen("echo", "[::]:0").unwrap();
    until("it accepts", || listener.state().accepting);
    let port = bound(&listener).port();
    for host in ["127.0.0.1", "[::1]"] {
        echo(&mut client(format!("{host}:{port}").parse().unwrap()).unwrap(), b"hello");
    }
    listener.stop();
    let listener = site.try_listen("echo", &format!("localhost:{port}")).unwrap();
    until("it accepts", || listener.state().accepting);
    echo(&mut client(([127, 0, 0, 1], port).into()).unwrap(), b"by name");
}

#[test]
fn at_the_limit_clients_wait() {
    let site = Site::with_limit(2);
    site.connect("echo", "echo", &echo_workload().to_string());
    site.publish("echo", 1);
    let (listener, place) = site.listen("echo");
    let mut flows: Vec<_> = (0..2).map(|_| client(place).unwrap()).collect();
    flows.iter_mut().for_each(|flow| echo(flow, b"hello"));
    let mut third = client(place).unwrap();
    third.write_all(b"late").unwrap();
    until("it says why", || listener.state().problem.is_some());
    let problem = listener.state().problem.unwrap();
    assert!(problem.contains("limits.flows"), "{problem}");
    assert_eq!(site.dispatcher.flows_open(), 2);
    drop(flows.pop());
    let mut back = [0; 4];
    third.read_exact(&mut back).unwrap();
    assert_eq!(back, *b"late");
    drop(flows);
    until("it recovers", || listener.state().problem.is_none());
}
