use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread;

use van_model::{Check, ConnectorSpec};
use van_mux::{Open, ResetCode};
use van_net::{Counted, NewFlow, Retry, Socket};
use van_proxy::{Candidate, Service, ServiceTable, Via};

use crate::site::{
    DEADLINE, HERE, Site, client, connector, echo, echo_workload, pattern, refusing, reset,
    sees_reset, until, workload,
};

/// A site with one service whose workload tells its results over a channel.
fn served<T: Send + 'static>(
    serve: impl Fn(TcpStream) -> T + Send + Sync + 'static,
) -> (Site, van_proxy::Listener, std::net::SocketAddr, mpsc::Receiver<T>) {
    let (sender, results) = mpsc::sync_channel(1000);
    let target = workload(move |stream| sender.send(serve(stream)).unwrap());
    let site = Site::new();
    site.connect("work", "work", &target.to_string());
    site.publish("work", 1);
    let (listener, place) = site.listen("work");
    (site, listener, place, results)
}

#[test]
fn the_client_ends_first_and_the_answer_still_comes() {
    let (site, _listener, place, results) = served(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
        all.len()
    });
    let sent = pattern(3_000_000);
    let mut flow = client(place).unwrap();
    flow.write_all(&sent).unwrap();
    flow.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    flow.read_to_end(&mut back).unwrap();
    assert!(back == sent, "{} bytes came back", back.len());
    assert_eq!(results.recv_timeout(DEADLINE).unwrap(), sent.len());
    until("the flow ends", || site.dispatcher.flows_open() == 0);
    let table = site.dispatcher.table();
    let service = table.get(&"work".parse().unwrap()).unwrap();
    let meter = &service.candidates[0].meter;
    let counts = [&meter.open, &meter.total, &meter.sent, &meter.received, &meter.errors];
    assert_eq!(counts.map(|c| c.get()), [0, 1, 3_000_000, 3_000_000, 0]);
    assert_eq!((service.meter.open.get(), service.meter.total.get()), (0, 1));
    assert!(service.connect_times().is_some());
    let state = site.connectors.get(&"work".parse().unwrap()).unwrap();
    assert_eq!((state.meter.open.get(), state.meter.total.get()), (0, 1));
    assert_eq!((state.meter.sent.get(), state.meter.received.get()), (3_000_000, 3_000_000));
}

#[test]
fn the_workload_ends_first_and_the_client_goes_on() {
    let (_site, _listener, place, results) = served(|mut stream| {
        stream.write_all(b"welcome").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let mut flow = client(place).unwrap();
    let mut greeting = Vec::new();
    flow.read_to_end(&mut greeting).unwrap();
    assert_eq!(greeting, b"welcome");
    let sent = pattern(1_000_000);
    flow.write_all(&sent).unwrap();
    drop(flow);
    assert!(results.recv_timeout(DEADLINE).unwrap() == sent);
}

#[test]
fn a_slow_reader_gets_everything() {
    let sent = pattern(20_000_000);
    let copy = sent.clone();
    let (site, _listener, place, _results) = served(move |mut stream| {
        stream.write_all(&copy).unwrap();
    });
    let mut flow = client(place).unwrap();
    until("the buffers are full", || {
        let state = site.connectors.get(&"work".parse().unwrap()).unwrap();
        state.meter.sent.get() > 100_000
    });
    let mut back = Vec::new();
    flow.read_to_end(&mut back).unwrap();
    assert!(back == sent, "{} bytes came", back.len());
}

fn read_to_error(mut stream: TcpStream) -> (Vec<u8>, io::ErrorKind) {
    let (mut all, mut room) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut room) {
            Ok(0) => all.extend_from_slice(b"<end>"),
            Ok(count) => all.extend_from_slice(&room[..count]),
            Err(error) => return (all, error.kind()),
        }
        assert!(all.len() < 100_000, "neither a reset nor an orderly stream");
    }
}

#[test]
fn resets_pass_through() {
    let (site, _listener, place, results) = served(read_to_error);
    let mut flow = client(place).unwrap();
    flow.write_all(b"half a requ").unwrap();
    until("it is on its way", || {
        let state = site.connectors.get(&"work".parse().unwrap()).unwrap();
        state.meter.received.get() == 11
    });
    reset(flow);
    let (seen, kind) = results.recv_timeout(DEADLINE).unwrap();
    assert_eq!((&seen[..], kind), (&b"half a requ"[..], io::ErrorKind::ConnectionReset));

    let (site, _listener, place, _results) = served(|mut stream| {
        stream.write_all(b"half an answ").unwrap();
        // The rest of the request is not read any more.
        let mut go = [0; 1];
        stream.read_exact(&mut go).unwrap();
        reset(stream);
    });
    let mut flow = client(place).unwrap();
    let mut half = [0; 12];
    flow.read_exact(&mut half).unwrap();
    assert_eq!(half, *b"half an answ");
    flow.write_all(b"g").unwrap();
    assert_eq!(flow.read(&mut half).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    until("the flow ends", || site.dispatcher.flows_open() == 0);
    let table = site.dispatcher.table();
    let service = table.get(&"work".parse().unwrap()).unwrap();
    assert_eq!(service.candidates[0].meter.errors.get(), 1);
}

#[test]
fn resets_behind_an_end_and_behind_a_full_buffer_pass_through() {
    // The client ends its direction, then vanishes; nobody reads from it any more.
    let (site, _listener, place, results) = served(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.set_nonblocking(false).unwrap();
        let waiting = socket2::SockRef::from(&stream);
        until("the reset comes", || matches!(waiting.take_error(), Ok(Some(_))));
    });
    let flow = client(place).unwrap();
    flow.shutdown(Shutdown::Write).unwrap();
    until("the workload has seen the end", || site.dispatcher.flows_open() == 1);
    reset(flow);
    results.recv_timeout(DEADLINE).unwrap();
    until("the flow ends", || site.dispatcher.flows_open() == 0);

    // The workload never reads; the client fills every buffer and vanishes.
    let (site, _listener, place, results) = served(|stream| {
        let waiting = socket2::SockRef::from(&stream);
        until("the reset comes", || matches!(waiting.take_error(), Ok(Some(_))));
    });
    let mut flow = client(place).unwrap();
    flow.set_nonblocking(true).unwrap();
    let piece = pattern(65_536);
    until(
        "every buffer is full",
        || matches!((&flow).write(&piece), Err(e) if e.kind() == io::ErrorKind::WouldBlock),
    );
    flow.flush().unwrap();
    reset(flow);
    results.recv_timeout(DEADLINE).unwrap();
    until("the flow ends", || site.dispatcher.flows_open() == 0);
}

#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let (_site, _listener, place, _results) = served(|mut stream| {
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
        stream.write_all(b"too large").unwrap();
        // Closing with unread bytes is a reset.
    });
    let mut flow = client(place).unwrap();
    let sending = flow.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let piece = pattern(65_536);
        while (&sending).write_all(&piece).is_ok() {}
    });
    let mut answer = [0; 9];
    flow.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"too large");
    sender.join().unwrap();
}

#[test]
fn connectors_of_one_address_share() {
    let site = Site::new();
    for name in ["one", "two"] {
        site.connect(name, "echo", &echo_workload().to_string());
    }
    site.publish("echo", 2);
    let (_listener, place) = site.listen("echo");
    let mut flows: Vec<_> = (0..20)
        .map(|_| {
            let mut flow = client(place).unwrap();
            echo(&mut flow, b"hello");
            flow
        })
        .collect();
    let open = |name: &str| site.connectors.get(&name.parse().unwrap()).unwrap().meter.open.get();
    assert_eq!((open("one"), open("two")), (10, 10));
    assert_eq!(site.connectors.offers()["echo"].targets, 2);
    flows.iter_mut().for_each(|flow| echo(flow, b"still here"));
    site.connectors.remove(&"one".parse().unwrap());
    flows.iter_mut().for_each(|flow| echo(flow, b"removing a connector ends no flow"));
}

#[test]
fn a_refusing_connector_is_passed_over_unseen() {
    let site = Site::new();
    site.connect("bad", "echo", &refusing().to_string());
    site.connect("good", "echo", &echo_workload().to_string());
    let service = site.publish("echo", 2);
    let (_listener, place) = site.listen("echo");
    let sent = pattern(200_000);
    let flows: Vec<_> = (0..10)
        .map(|_| {
            let sent = sent.clone();
            thread::spawn(move || {
                let mut flow = client(place).unwrap();
                let mut sending = flow.try_clone().unwrap();
                let copy = sent.clone();
                let sender = thread::spawn(move || {
                    sending.write_all(&copy).unwrap();
                    sending.shutdown(Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                flow.read_to_end(&mut back).unwrap();
                sender.join().unwrap();
                assert!(back == sent);
            })
        })
        .collect();
    flows.into_iter().for_each(|flow| flow.join().unwrap());
    assert_eq!(service.meter.errors.get(), 0);
    let bad = site.connectors.get(&"bad".parse().unwrap()).unwrap();
    assert_eq!(bad.meter.total.get(), 0);
    assert!(bad.reason.is_some() && bad.healthy, "not checked: told, and offered all the same");
}

#[test]
fn without_any_target_the_client_sees_a_reset() {
    let site = Site::new();
    site.connect("bad", "echo", &refusing().to_string());
    let service = site.publish("echo", 1);
    let (_listener, place) = site.listen("echo");
    sees_reset(place);
    assert_eq!(service.meter.errors.get(), 1);
    assert_eq!(service.candidates[0].meter.open.get(), 0);
    until("the flow ends", || site.dispatcher.flows_open() == 0);
}

#[test]
fn a_flow_that_comes_back_from_a_link_is_replayed() {
    let far = van_model::SiteId::from_bytes([1; 20]);
    let site = Site::new();
    let (sender, results) = mpsc::sync_channel(10);
    let target = workload(move |mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(b"answer").unwrap();
        sender.send(all).unwrap();
    });
    site.connect("work", "work", &target.to_string());
    let candidate = |site, via, cost| {
        let (groups, meter) = (Vec::new(), Default::default());
        Candidate { site, via, targets: 1, groups, cost, meter }
    };
    let service = std::sync::Arc::new(Service::new(
        vec![candidate(far, Via::Links(Vec::new()), 1), candidate(HERE, Via::Local, 1000)],
        Default::default(),
    ));
    let address: van_model::Address = "work".parse().unwrap();
    site.dispatcher.publish(ServiceTable::from_iter([(address.clone(), service)]));
    assert_eq!(
        site.dispatcher.table().targets(&address),
        1,
        "a site without a link does not count"
    );

    for ended in [false, true] {
        let front = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut user = client(front.local_addr().unwrap()).unwrap();
        let (socket, from) = front.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let flow = NewFlow {
            socket: Socket::Tcp(socket),
            open: Open::flow(address.clone(), Some(from)),
            read: b"what was sent ".to_vec(),
            ended,
            retry: site.dispatcher.clone(),
            meter: Default::default(),
            counted: Counted::default(),
            tried: vec![1],
        };
        site.dispatcher.retry(flow, ResetCode::Refused);
        if !ended {
            user.write_all(b"and what follows").unwrap();
            user.shutdown(Shutdown::Write).unwrap();
        }
        let expected: &[u8] =
            if ended { b"what was sent " } else { b"what was sent and what follows" };
        assert_eq!(results.recv_timeout(DEADLINE).unwrap(), expected);
        let mut answer = Vec::new();
        user.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"answer");
    }
}

#[test]
fn the_proxy_protocol_names_the_client() {
    let (sender, results) = mpsc::sync_channel(10);
    let target = workload(move |mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        sender.send(all).unwrap();
    });
    let site = Site::new();
    let spec = connector("work", "work", &target.to_string());
    site.connectors.set(ConnectorSpec { check: Check::None, proxy_protocol: true, ..spec });
    site.publish("work", 1);
    let (_listener, place) = site.listen("work");
    let mut flow = client(place).unwrap();
    let port = flow.local_addr().unwrap().port().to_be_bytes();
    flow.write_all(b"GET").unwrap();
    drop(flow);
    let seen = results.recv_timeout(DEADLINE).unwrap();
    let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01".to_vec();
    expected.extend_from_slice(&port);
    expected.extend_from_slice(&target.port().to_be_bytes());
    expected.extend_from_slice(b"GET");
    assert_eq!(seen, expected);
}

#[test]
fn flows_cut_off_anywhere_leave_nothing() {
    let bulk = pattern(1 << 20);
    let copy = bulk.clone();
    let (site, listener, place, _results) = served(move |mut stream| {
        // Clients go away in the middle.
        let _ = stream.write_all(&copy);
    });
    let threads: Vec<_> = (0..8usize)
        .map(|thread| {
            let bulk = bulk.clone();
            thread::spawn(move || {
                for round in 0..25usize {
                    let mut flow = client(place).unwrap();
                    let wanted = (thread * 25 + round) * 7919 % (1 << 20);
                    let mut some = vec![0; wanted];
                    flow.read_exact(&mut some).unwrap();
                    assert!(some[..] == bulk[..wanted]);
                    if round % 2 == 0 { reset(flow) } else { drop(flow) }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    until("all flows end", || site.dispatcher.flows_open() == 0);
    assert_eq!(listener.state().meter.total.get(), 200);
    let state = site.connectors.get(&"work".parse().unwrap()).unwrap();
    until("the connector's too", || state.meter.open.get() == 0);
}

#[test]
fn flows_that_outlive_the_site_are_reset_at_both_ends() {
    let (site, _listener, place, results) = served(|mut stream| {
        stream.write_all(b"hello").unwrap();
        stream.read(&mut [0]).map_err(|error| error.kind())
    });
    let mut flow = client(place).unwrap();
    flow.read_exact(&mut [0; 5]).unwrap();
    site.dispatcher.reset_local();
    assert_eq!(flow.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let at_workload = results.recv_timeout(DEADLINE).unwrap();
    assert_eq!(at_workload.unwrap_err(), io::ErrorKind::ConnectionReset);
    sees_reset(place);
    until("nothing counts as open", || site.dispatcher.flows_open() == 0);
}
