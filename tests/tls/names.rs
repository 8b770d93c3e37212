//! Several addresses behind one port, by the server name that TLS asks for; nobody ends the TLS on the way.

use std::io::{Read, Write};
use std::net::TcpStream;

use van_testkit::{DEADLINE, Sites, Vand, free_port, program, wait_until};

use crate::workloads::{Server, serve};
use crate::{Authority, text};

struct Shop {
    sites: Sites,
    _other: Vand,
    authority: Authority,
    port: u16,
    _servers: [Server; 2],
}

impl Shop {
    fn start(rest: &str) -> Self {
        let (sites, authority) = (Sites::start(""), Authority::new("ours"));
        let other = sites.linked("other", "");
        let one = serve(&authority.issue("one", &["one.example.org"]), None);
        let two = serve(&authority.issue("two", &["a.two.example.org"]), None);
        for (address, server) in [("one", &one), ("two", &two)] {
            other.ctl(&format!("connector create {address} 127.0.0.1:{}", server.port)).ok();
        }
        let port = free_port();
        sites
            .public
            .ctl(&format!(
                "listener create web 127.0.0.1:{port} --route host=one.example.org,to=one --route \
                 host=*.two.example.org,to=two {rest}"
            ))
            .ok();
        wait_until(DEADLINE, "both services had targets", || {
            ["one", "two"].iter().all(|name| {
                let service = sites.public.get(&format!("/v1/services/{name}"));
                service.is_some_and(|(_, s)| s["status"]["targets"].to_string().contains('1'))
            })
        });
        wait_until(DEADLINE, "the listener accepted", || {
            let listener = sites.public.get("/v1/listeners/web");
            listener.is_some_and(|(_, listener)| listener["status"]["accepting"] == true)
        });
        Self { sites, _other: other, authority, port, _servers: [one, two] }
    }

    /// What curl says of a name, and the name of the certificate that it saw.
    fn ask(&self, name: &str, how: &str) -> (bool, String) {
        let mut curl = program("curl", "curl");
        curl.args(["-sSv", "--max-time", "20", "--cacert", &text(&self.authority.file())]);
        curl.args(["--resolve", &format!("{name}:{}:127.0.0.1", self.port)]);
        curl.args(how.split_whitespace());
        let output = curl.arg(format!("https://{name}:{}/", self.port)).output().unwrap();
        let both = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&both).into_owned())
    }
}

#[test]
fn each_name_leads_to_its_own_workload() {
    let shop = Shop::start("");
    for (name, certificate) in [("one.example.org", "CN=one"), ("a.two.example.org", "CN=two")] {
        for how in ["", "--http1.1", "--tls-max 1.2"] {
            let (good, said) = shop.ask(name, how);
            assert!(good && said.contains(certificate), "{name} {how}: {said}");
        }
    }
    let (good, said) = shop.ask("three.example.org", "");
    assert!(!good && said.contains("unrecognized name"), "{said}");
    // No TLS at all, and a greeting without a name.
    let mut plain = TcpStream::connect(("127.0.0.1", shop.port)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: one.example.org\r\n\r\n").unwrap();
    plain.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(!matches!(plain.read(&mut [0; 64]), Ok(1..)));
    let (good, said) = shop.ask("127.0.0.1", "-k");
    assert!(!good, "{said}");
    // What was accepted so far is counted with its own address.
    let (_, flows) = shop.sites.public.get("/v1/flows").unwrap();
    let flows = flows["items"].to_string();
    assert!(flows.contains("\"one\"") && flows.contains("\"two\""), "{flows}");
}

#[test]
fn a_greeting_may_come_in_pieces() {
    let shop = Shop::start("");
    let (config, name) = (crate::clients::trusting(&shop.authority), "one.example.org");
    let mut tls = rustls::ClientConnection::new(config, name.try_into().unwrap()).unwrap();
    let mut greeting = Vec::new();
    tls.write_tls(&mut greeting).unwrap();
    let mut tcp = TcpStream::connect(("127.0.0.1", shop.port)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    for byte in greeting.chunks(1) {
        tcp.write_all(byte).unwrap();
    }
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn what_matches_nothing_goes_to_the_listeners_own_address() {
    let shop = Shop::start("--address two");
    let (good, said) = shop.ask("a.two.example.org", "");
    assert!(good && said.contains("CN=two"), "{said}");
    let (_, said) = shop.ask("three.example.org", "-k");
    assert!(said.contains("CN=two"), "{said}");
}
