//! The PROXY protocol towards workloads: who the client is, and nothing where it isn't wanted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, channel};

use van_testkit::{DEADLINE, Sites, Vand, free_port, wait_until};

/// What every header of version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What clients say.
const WORDS: &[u8] = b"hello, workload";

/// All that came over connections in which a client spoke, each to its end; a check of the
/// target's health says nothing.
fn heard<S: std::io::Read + Send + 'static>(
    mut accept: impl FnMut() -> S + Send + 'static,
) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        loop {
            let (mut stream, sender) = (accept(), sender.clone());
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                // A check may end by a reset.
                let _ended = stream.read_to_end(&mut bytes);
                if bytes.ends_with(WORDS) {
                    // The test may be over.
                    let _unheard = sender.send(bytes);
                }
            });
        }
    });
    receiver
}

/// A workload at a loopback port.
fn workload() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, heard(move || listener.accept().unwrap().0))
}

/// Offers a target at one site, and the service at this place at another.
#[track_caller]
fn service(at: &Vand, target: &str, option: &str, name: &str, listening: &Vand, bind: &str) {
    at.ctl(&format!("connector create {name} {target} {option}")).ok();
    listening.ctl(&format!("listener create {name} {bind}")).ok();
    wait_until(DEADLINE, "the service was there", || {
        let listener = listening.get(&format!("/v1/listeners/{name}"));
        listener.is_some_and(|(_, listener)| listener["status"]["accepting"] == true)
    });
}

/// Says the words to a port and returns the address from which that was done.
fn speak(to: SocketAddr) -> SocketAddr {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(WORDS).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let from = stream.local_addr().unwrap();
    // Until the workload has it all, lest the end of this socket overtake the words.
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let ended = stream.read(&mut [0; 1]);
    assert!(matches!(ended, Ok(0)), "{from} to {to}: {ended:?}");
    from
}

/// A header of version 2: command, family, addresses; then the words.
fn with_header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, addresses, WORDS].concat()
}

fn ports(from: SocketAddr, to: SocketAddr) -> [u8; 4] {
    let ([a, b], [c, d]) = (from.port().to_be_bytes(), to.port().to_be_bytes());
    [a, b, c, d]
}

/// Offers a workload at one site, speaks to it from clients of another, and checks its headers.
#[track_caller]
fn clients_are_told(at: &Vand, listening: &Vand) {
    let (target, heard) = workload();
    let here: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    service(at, &target.to_string(), "--proxy-protocol", "app", listening, &here.to_string());
    for _ in 0..2 {
        let from = speak(here);
        let addresses = [&[127, 0, 0, 1, 127, 0, 0, 1][..], &ports(from, target)].concat();
        assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), with_header(0x21, 0x11, &addresses));
    }

    // A client of the other family: both addresses are written as IPv6.
    let here: SocketAddr = (Ipv6Addr::LOCALHOST, free_port()).into();
    listening.ctl(&format!("listener create app6 {here} --address app")).ok();
    wait_until(DEADLINE, "it listened", || TcpStream::connect(here).is_ok());
    let from = speak(here);
    let both = [Ipv6Addr::LOCALHOST, Ipv4Addr::LOCALHOST.to_ipv6_mapped()].map(|ip| ip.octets());
    let addresses = [&both.concat()[..], &ports(from, target)].concat();
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), with_header(0x21, 0x21, &addresses));
}

#[test]
fn a_workload_learns_who_its_client_is() {
    let sites = Sites::start("");
    clients_are_told(&sites.public, &sites.public);
}

#[test]
fn a_workload_learns_who_its_client_at_another_site_is() {
    let sites = Sites::start("");
    let laptop = sites.linked("laptop", "");
    clients_are_told(&laptop, &sites.public);
}

#[test]
fn a_client_without_an_address_is_no_clients_connection() {
    let sites = Sites::start("");
    let (target, heard) = workload();
    let place = sites.dir().join("app.sock");
    let bind = format!("unix:{}", place.display());
    let public = &sites.public;
    service(public, &target.to_string(), "--proxy-protocol", "app", public, &bind);
    let mut stream = UnixStream::connect(&place).unwrap();
    stream.write_all(WORDS).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), with_header(0x20, 0x00, &[]));
}

#[test]
fn a_workload_behind_a_socket_file_learns_it_too() {
    let sites = Sites::start("");
    let place = sites.dir().join("workload.sock");
    let listener = UnixListener::bind(&place).unwrap();
    let heard = heard(move || listener.accept().unwrap().0);
    let here: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let (public, target) = (&sites.public, format!("unix:{}", place.display()));
    service(public, &target, "--proxy-protocol", "app", public, &here.to_string());
    let from = speak(here);
    let got = heard.recv_timeout(DEADLINE).unwrap();
    let ([a, b], at) = (from.port().to_be_bytes(), SIGNATURE.len());
    assert_eq!(got[..at], *SIGNATURE);
    assert_eq!(got[at..at + 8], [0x21, 0x11, 0, 12, 127, 0, 0, 1]);
    assert_eq!(got[at + 12..at + 14], [a, b], "the client's port: {got:?}");
    assert_eq!(got[at + 16..], *WORDS);
}

#[test]
fn without_the_option_a_workload_gets_what_the_client_says() {
    let sites = Sites::start("");
    let laptop = sites.linked("laptop", "");
    let (target, heard) = workload();
    let here: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    service(&laptop, &target.to_string(), "", "app", &sites.public, &here.to_string());
    speak(here);
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), WORDS);
}
