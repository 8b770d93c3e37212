//! TLS that is passed on by the server name that its clients ask for.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use van_model::{Bind, ListenerSpec, RouteSpec};
use van_proxy::Listener;

use crate::site::{Site, client, echo, until, workload};

/// A fatal alert, `unrecognized_name`.
const UNKNOWN: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What a client sends first; `protocols` of ALPN make it longer.
fn greeting(name: &str, protocols: usize) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.alpn_protocols = (0..protocols).map(|n| format!("{n:0>200}").into_bytes()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn route(host: &str, to: &str) -> RouteSpec {
    let to = vec![to.parse().unwrap()];
    RouteSpec { host: Some(host.parse().unwrap()), to, ..RouteSpec::default() }
}

/// A site with a workload for each address that says its name and then what it is sent.
fn site(addresses: &[&'static str]) -> Site {
    let site = Site::new();
    for &address in addresses {
        let place = workload(move |mut stream| {
            stream.write_all(address.as_bytes()).unwrap();
            let _ = std::io::copy(&mut &stream, &mut &stream);
            let _ = stream.shutdown(Shutdown::Write);
        });
        site.connect(address, address, &place.to_string());
    }
    site.publish_each(addresses);
    site
}

fn spec(routes: Vec<RouteSpec>, only_routes: bool) -> ListenerSpec {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let bind = Bind::Tcp(free.into());
    let spec = ListenerSpec::new("test".parse().unwrap(), "rest".parse().unwrap(), bind);
    ListenerSpec { routes, only_routes, ..spec }
}

/// Sends a greeting in pieces, and checks who answers and that every byte came there and comes back.
#[track_caller]
fn reaches(place: SocketAddr, greeting: &[u8], piece: usize, whom: &str) {
    let mut flow = client(place).unwrap();
    flow.set_nodelay(true).unwrap();
    for piece in greeting.chunks(piece) {
        flow.write_all(piece).unwrap();
    }
    let mut answer = vec![0; whom.len() + greeting.len()];
    flow.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer[..whom.len()]), whom);
    assert_eq!(&answer[whom.len()..], greeting);
    echo(&mut flow, b"and what follows");
    flow.shutdown(Shutdown::Write).unwrap();
    assert_eq!(flow.read(&mut [0]).unwrap(), 0, "the end comes through");
}

#[track_caller]
fn is_refused(place: SocketAddr, greeting: &[u8]) {
    let mut flow = client(place).unwrap();
    flow.write_all(greeting).unwrap();
    let mut answer = Vec::new();
    flow.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, UNKNOWN);
}

fn errors(listener: &Listener) -> u64 {
    listener.state().meter.errors.get()
}

#[test]
fn several_addresses_behind_one_port() {
    let site = site(&["one", "two", "rest"]);
    let routes = vec![route("one.example", "one"), route("*.two.example", "two")];
    let (listener, place) = site.listen_as(spec(routes, false));
    reaches(place, &greeting("one.example", 0), usize::MAX, "one");
    reaches(place, &greeting("ONE.example", 0), usize::MAX, "one");
    reaches(place, &greeting("a.two.example", 0), 1, "two");
    reaches(place, &greeting("three.example", 0), usize::MAX, "rest");
    reaches(place, &greeting("127.0.0.1", 0), usize::MAX, "rest");
    reaches(place, &greeting("one.example", 40), 1000, "one");
    assert_eq!(errors(&listener), 0);
    until("flows end", || site.dispatcher.flows_open() == 0);
}

#[test]
fn a_greeting_in_several_records() {
    let site = site(&["one", "rest"]);
    let (_listener, place) = site.listen_as(spec(vec![route("one.example", "one")], true));
    let whole = greeting("one.example", 0);
    let mut parts = Vec::new();
    for part in whole[5..].chunks(50) {
        parts.extend_from_slice(&whole[..3]);
        parts.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
        parts.extend_from_slice(part);
    }
    reaches(place, &parts, usize::MAX, "one");
    reaches(place, &parts, 7, "one");
}

#[test]
fn names_without_a_route_get_an_alert_where_only_routes_count() {
    let site = site(&["one", "rest"]);
    let (listener, place) = site.listen_as(spec(vec![route("one.example", "one")], true));
    is_refused(place, &greeting("two.example", 0));
    is_refused(place, &greeting("127.0.0.1", 0));
    assert_eq!(errors(&listener), 2);
    reaches(place, &greeting("one.example", 0), usize::MAX, "one");
    until("flows end", || site.dispatcher.flows_open() == 0);
}

#[test]
fn what_is_no_greeting_is_reset() {
    let site = site(&["one", "rest"]);
    let (listener, place) = site.listen_as(spec(vec![route("one.example", "one")], false));
    let long = greeting("one.example", 120);
    assert!(long.len() > 16 * 1024);
    for (n, bytes) in
        [b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n".as_slice(), &long].into_iter().enumerate()
    {
        let mut flow = client(place).unwrap();
        // The reset can come before the last byte is sent.
        let answer = flow.write_all(bytes).and_then(|()| flow.read(&mut [0]));
        let kind = answer.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
        until("it is counted", || errors(&listener) == n as u64 + 1);
    }
    drop(client(place).unwrap());
    until("flows end", || site.dispatcher.flows_open() == 0);
    assert_eq!(errors(&listener), 2, "who says nothing is no error");
}

#[test]
fn routes_change_without_a_connection_less() {
    let site = site(&["one", "two", "rest"]);
    let (listener, place) = site.listen_as(spec(vec![route("one.example", "one")], false));
    let mut open = client(place).unwrap();
    open.write_all(&greeting("one.example", 0)).unwrap();
    let mut answer = vec![0; 3 + greeting("one.example", 0).len()];
    open.read_exact(&mut answer).unwrap();
    let bind = spec(Vec::new(), false).bind;
    let fresh = spec(vec![route("one.example", "two")], true);
    assert!(listener.redirect(&ListenerSpec { bind, ..fresh }));
    reaches(place, &greeting("one.example", 0), usize::MAX, "two");
    is_refused(place, &greeting("two.example", 0));
    echo(&mut open, b"an open flow goes on");
}
