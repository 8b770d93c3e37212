//! End-to-end sessions through transit sites: real links, TLS and sockets, all in one process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chain;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use van_model::Mode::{Edge, Interior};

use chain::{DEADLINE, Network, echo, until};

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn bytes_cross_a_chain_and_both_ends_are_kept() {
    let network = Network::chain(&[Edge, Interior, Interior, Edge], echo());
    let sent = pattern(30_000_000);
    let mut client = network.client();
    let mut writer = client.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    writing.join().unwrap();
    assert!(all.starts_with(b"site-0"), "the egress knows the ingress by its certificate");
    assert!(all[6..] == sent, "{} bytes came back", all.len());
    let (ends, transit) = network.sites[1].links.circuit_meters();
    assert_eq!(ends.open.get(), 0, "none begins or ends here");
    assert!(transit.open.get() >= 2 && transit.open.get() % 2 == 0, "each has two streams");
    assert!(transit.total.get() >= 1);
    until("flows end", || {
        network.sites[0].links.sessions().iter().all(|link| link.flows_open() == 0)
    });
}

#[test]
fn many_flows_share_a_session_and_a_stalled_one_stops_nobody() {
    let network = Network::chain(&[Interior, Interior, Interior], echo());
    let stalled: Vec<_> = (0..1000)
        .map(|_| {
            let client = network.client();
            client.set_nonblocking(true).unwrap();
            // Nobody reads the echo: the flow's window fills in both directions.
            let lump = vec![1; 64 << 10];
            let _ = (&client).write(&lump);
            client
        })
        .collect();
    for round in 0..100u32 {
        let mut client = network.client();
        client.write_all(&round.to_be_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        assert_eq!(&all[6..], round.to_be_bytes());
    }
    let sessions = network.sites[0].links.sessions();
    assert_eq!(sessions.len(), 1, "one session carries all");
    let circuits = sessions[0].connections().len();
    assert!((1..=8).contains(&circuits), "{circuits} circuits");
    drop(stalled);
}

#[test]
fn an_edge_carries_nothing_for_others() {
    let network = Network::chain(&[Interior, Edge, Interior], echo());
    let mut client = network.client();
    let mut all = Vec::new();
    let error = client.read_to_end(&mut all).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(all.is_empty());
    assert_eq!(network.sites[1].links.circuit_meters().1.total.get(), 0);
}

#[test]
fn a_site_that_is_no_member_is_refused_at_the_far_end() {
    let network = Network::chain(&[Interior, Interior, Interior], echo());
    let last = network.sites[2].id;
    network.known.forget(&last);
    let mut client = network.client();
    assert!(client.read_to_end(&mut Vec::new()).is_err());
    assert!(network.sites[0].links.sessions().is_empty());
}

#[test]
fn flows_end_at_once_when_the_transit_site_goes_and_come_back_with_it() {
    let network = Network::chain(&[Interior, Interior, Interior], echo());
    let mut client = network.client();
    client.write_all(b"ping").unwrap();
    let mut answer = [0; 10];
    client.read_exact(&mut answer).unwrap();
    for link in network.sites[1].links.all() {
        link.go_away(van_mux::GoAwayReason::Shutdown, Duration::ZERO);
    }
    assert!(client.read_to_end(&mut Vec::new()).is_err(), "cut, not ended in order");
    let start = std::time::Instant::now();
    loop {
        let mut client = network.client();
        if client.write_all(b"pong").is_ok() && client.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer, b"site-0pong");
            return;
        }
        assert!(start.elapsed() < DEADLINE);
    }
}
