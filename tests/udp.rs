//! Datagrams through real sites: whole, unchanged, in sessions that end, and bounded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use van_testkit::{DEADLINE, Load, PatternServer, Sites, Vand, free_port, wait_until};

/// How long one answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(5);

/// The same where a datagram may be lost and is sent again.
const TRY: Duration = Duration::from_millis(300);

/// Answers each datagram with itself, behind a word of its own.
struct UdpEcho {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpEcho {
    fn start() -> Self {
        Self::start_at(0, b"")
    }

    fn start_at(port: u16, word: &'static [u8]) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut room = vec![0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((count, from)) = socket.recv_from(&mut room) {
                    let answer = [word, &room[..count]].concat();
                    // Whoever asked may be gone.
                    let _unheard = socket.send_to(&answer, from);
                }
            }
        });
        Self { port, stop, thread: Some(thread) }
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A client of a place.
fn client(place: impl std::net::ToSocketAddrs) -> UdpSocket {
    client_at([127, 0, 0, 1], place)
}

/// The same from this address.
fn client_at(own: [u8; 4], place: impl std::net::ToSocketAddrs) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::from(own), 0)).unwrap();
    socket.connect(place).unwrap();
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    socket
}

/// Says something and hears what comes back; `None`: nothing in time.
fn ask(client: &UdpSocket, words: &[u8]) -> Option<Vec<u8>> {
    let mut room = vec![0; 65_536];
    client.send(words).ok()?;
    match client.recv(&mut room) {
        Ok(count) => Some(room[..count].to_vec()),
        Err(error) => {
            use ErrorKind::{ConnectionRefused, TimedOut, WouldBlock};
            assert!(matches!(error.kind(), ConnectionRefused | TimedOut | WouldBlock), "{error}");
            None
        }
    }
}

/// Whether a new client of a loopback port is answered now, and by whom.
fn answered(port: u16) -> Option<Vec<u8>> {
    let client = client(("127.0.0.1", port));
    client.set_read_timeout(Some(TRY)).unwrap();
    ask(&client, b"there?")
}

#[track_caller]
fn offer(at: &Vand, address: &str, target: u16) {
    at.ctl(&format!("expose 127.0.0.1:{target} --address {address} --protocol udp")).ok();
}

#[track_caller]
fn listen(at: &Vand, address: &str, options: &str) -> u16 {
    let port = free_port();
    at.ctl(&format!("listener create {address} 127.0.0.1:{port} --protocol udp {options}")).ok();
    wait_until(DEADLINE, "the service was there", || answered(port).is_some());
    port
}

fn listener(at: &Vand, name: &str) -> Value {
    at.get(&format!("/v1/listeners/{name}")).unwrap().1["status"].clone()
}

/// What neither compresses nor repeats.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(size)
    .collect()
}

#[test]
fn each_size_comes_whole_from_here_next_door_and_beyond_a_transit() {
    let (sites, echo) = (Sites::start(""), UdpEcho::start());
    let (a, b) = (sites.linked("a", ""), sites.linked("b", ""));
    offer(&b, "echo", echo.port);
    for (vand, way) in [(&b, "within the site"), (&sites.public, "next door"), (&a, "transit")] {
        let client = client(("127.0.0.1", listen(vand, "echo", "")));
        for size in [0, 1, 1472, 9000, 16_368, 16_369, 65_507] {
            for round in 0..10 {
                let words = noise(size, round + 1);
                assert!(ask(&client, &words).as_deref() == Some(&words[..]), "{way}: {size} bytes");
            }
        }
        let status = listener(vand, "echo");
        let datagrams = &status["datagrams"];
        assert!(datagrams["sent"].as_u64() >= Some(71), "{status}");
        assert_eq!(datagrams["sent"], datagrams["received"], "{status}");
        assert!(datagrams["dropped"].as_object().unwrap().values().all(|n| n == 0), "{status}");
    }
    let verbose = a.ctl("service status echo --verbose").ok();
    assert!(verbose.contains("DATAGRAMS") && verbose.contains("udp"), "{verbose}");
}

#[test]
fn a_thousand_clients_each_get_their_own_answers() {
    let (sites, echo) = (Sites::start(""), UdpEcho::start());
    let a = sites.linked("a", "");
    offer(&sites.public, "echo", echo.port);
    let port = listen(&a, "echo", "");
    for batch in 0..10 {
        // Each from an address of its own: ports come back at once.
        let clients: Vec<_> =
            (0..100).map(|n| client_at([127, 40, batch, n], ("127.0.0.1", port))).collect();
        let words = |n: usize| format!("client {batch} {n}").into_bytes();
        for (n, client) in clients.iter().enumerate() {
            client.send(&words(n)).unwrap();
        }
        for (n, client) in clients.iter().enumerate() {
            let mut room = [0; 64];
            let count = client.recv(&mut room).unwrap();
            assert_eq!(room[..count], words(n));
        }
    }
    assert!(listener(&a, "echo")["flows_open"].as_u64() >= Some(1000));
}

#[test]
fn a_quiet_session_ends_and_the_next_datagram_begins_another() {
    let (sites, echo) = (Sites::start(""), UdpEcho::start());
    let a = sites.linked("a", "");
    offer(&sites.public, "echo", echo.port);
    let port = listen(&a, "echo", "--udp-idle 1s");
    let client = client(("127.0.0.1", port));
    assert!(ask(&client, b"one").is_some());
    let flows = || listener(&a, "echo")["flows_open"].as_u64().unwrap();
    assert!(flows() >= 1);
    wait_until(DEADLINE, "the session ended", || flows() == 0);
    let connector = &sites.public.get("/v1/connectors").unwrap().1["items"][0];
    assert_eq!(connector["status"]["flows_open"], 0, "{connector}");
    assert_eq!(ask(&client, b"two").as_deref(), Some(&b"two"[..]));
    // Who goes on talking stays in its session.
    let (total, start) = (listener(&a, "echo")["flows_total"].as_u64().unwrap(), Instant::now());
    while start.elapsed() < Duration::from_secs(3) {
        client.set_read_timeout(Some(TRY)).unwrap();
        assert!(ask(&client, b"still here").is_some());
        assert!(client.recv(&mut [0; 64]).is_err(), "one answer for each");
    }
    assert_eq!(listener(&a, "echo")["flows_total"].as_u64(), Some(total));
}

#[test]
fn datagrams_do_not_wait_for_bulk() {
    let (sites, echo) = (Sites::start(""), UdpEcho::start());
    let a = sites.linked("a", "");
    offer(&sites.public, "echo", echo.port);
    let bulk = PatternServer::start();
    sites.public.ctl(&format!("expose 127.0.0.1:{} --address bulk", bulk.port())).ok();
    let (port, bulk_port) = (listen(&a, "echo", ""), free_port());
    a.ctl(&format!("listener create bulk 127.0.0.1:{bulk_port}")).ok();
    let client = client(("127.0.0.1", port));
    let load = Load::start(bulk_port, 8);
    wait_until(DEADLINE, "bulk was under way", || load.complete() > 0);
    let mut times: Vec<Duration> = Vec::new();
    for n in 0..300_u32 {
        let start = Instant::now();
        if let Some(answer) = ask(&client, &n.to_be_bytes()) {
            assert_eq!(answer, n.to_be_bytes());
            times.push(start.elapsed());
        }
    }
    load.end();
    assert!(times.len() >= 297, "{} of 300 were answered", times.len());
    times.sort_unstable();
    assert!(times[times.len() / 2] < Duration::from_millis(50), "{times:?}");
}

#[test]
fn forged_sources_are_bounded_and_do_not_push_out_who_was_answered() {
    const MOST: u64 = 100;
    let (sites, echo) = (Sites::start(""), UdpEcho::start());
    let a = sites.linked("a", &format!("[limits]\nflows = {MOST}\n"));
    // It hears, and never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    offer(&sites.public, "echo", echo.port);
    let port = listen(&a, "echo", "");
    offer(&sites.public, "silent", silent.local_addr().unwrap().port());
    let flooded = free_port();
    a.ctl(&format!("listener create silent 127.0.0.1:{flooded} --protocol udp")).ok();
    let client = client(("127.0.0.1", port));
    assert!(ask(&client, b"before").is_some());
    for n in 0..5000_u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let forged = UdpSocket::bind((Ipv4Addr::new(127, 50 + b, c, d), 0)).unwrap();
        forged.send_to(b"flood", ("127.0.0.1", flooded)).unwrap();
        if n % 500 == 0 {
            let open = a.get("/v1/status").unwrap().1["flows_open"].as_u64().unwrap();
            assert!(open <= MOST, "{open} flows are open");
            assert!(ask(&client, b"meanwhile").is_some(), "after {n}");
        }
    }
    let status = listener(&a, "silent");
    assert!(status["flows_open"].as_u64() <= Some(MOST), "{status}");
    assert!(status["datagrams"]["dropped"]["sessions"].as_u64() > Some(0), "{status}");
    assert!(ask(&client, b"after").is_some());
}

#[test]
fn a_target_that_refuses_is_left_for_another_and_taken_again() {
    let sites = Sites::start("");
    let (a, b) = (sites.linked("a", ""), sites.linked("b", ""));
    let first = UdpEcho::start_at(0, b"first: ");
    let place = first.port;
    offer(&sites.public, "echo", place);
    let port = listen(&a, "echo", "");
    drop(first);
    let client = client(("127.0.0.1", port));
    client.set_read_timeout(Some(TRY)).unwrap();
    wait_until(DEADLINE, "it was noticed", || {
        let _none = ask(&client, b"anybody?");
        let service = a.get("/v1/services/echo").unwrap().1;
        service["status"]["errors"].as_u64() > Some(0)
    });
    // Another site has it too: the same client gets there.
    let second = UdpEcho::start_at(0, b"second: ");
    offer(&b, "echo", second.port);
    wait_until(DEADLINE, "the other answered", || {
        ask(&client, b"x").as_deref() == Some(&b"second: x"[..])
    });
    b.ctl("unexpose --address echo").ok();
    drop(second);
    let _first = UdpEcho::start_at(place, b"first: ");
    wait_until(DEADLINE, "the first answered again", || {
        ask(&client, b"x").as_deref() == Some(&b"first: x"[..])
    });
}

#[test]
fn sessions_survive_a_link_that_is_lost() {
    let (mut sites, echo) = (Sites::start(""), UdpEcho::start());
    let (a, b) = (sites.linked("a", ""), sites.linked("b", ""));
    offer(&b, "echo", echo.port);
    let client = client(("127.0.0.1", listen(&a, "echo", "")));
    client.set_read_timeout(Some(TRY)).unwrap();
    assert!(ask(&client, b"x").is_some());
    sites.public.kill();
    sites.public.start_again();
    wait_until(DEADLINE, "it was answered again", || ask(&client, b"x").is_some());
}

#[test]
fn a_service_of_datagrams_appears_by_itself_and_a_listener_of_streams_is_told() {
    let (sites, echo) = (Sites::start(""), UdpEcho::start());
    let (a, port) = (sites.linked("a", ""), free_port());
    let line = format!("connector create echo 127.0.0.1:{} --protocol udp", echo.port);
    sites.public.ctl(&format!("{line} --service-port {port}")).ok();
    let import = || {
        let service = a.get("/v1/services/echo")?.1;
        service["status"]["import"].as_str()?.parse::<SocketAddr>().ok()
    };
    wait_until(DEADLINE, "it appeared", || import().is_some());
    let client = client(import().unwrap());
    assert_eq!(ask(&client, b"imported").as_deref(), Some(&b"imported"[..]));

    let wrong = free_port();
    a.ctl(&format!("listener create echo 127.0.0.1:{wrong}")).ok();
    let ready = || listener(&a, "echo")["conditions"].to_string();
    wait_until(DEADLINE, "the mistake was told", || ready().contains("ProtocolMismatch"));
    assert!(ready().contains("set protocol = \\\"udp\\\""), "{}", ready());
    // The same place for both: streams and datagrams have ports of their own.
    a.ctl(&format!("listener create both 127.0.0.1:{wrong} --address echo --protocol udp")).ok();
    wait_until(DEADLINE, "both were there", || answered(wrong).is_some());
    let refused = a.ctl("listener create unix unix:/tmp/x --protocol udp").fails(1);
    assert!(refused.contains("binds host:port"), "{refused}");
}

#[test]
fn the_configuration_says_it_and_a_stopped_listener_frees_its_port() {
    let (sites, echo, port) = (Sites::start(""), UdpEcho::start(), free_port());
    let sections = format!(
        "[[connector]]\nname = \"echo\"\nprotocol = \"udp\"\ntarget = \"127.0.0.1:{}\"\n\
         [[listener]]\nname = \"echo\"\nprotocol = \"udp\"\nbind = \"127.0.0.1:{port}\"\n\
         udp_idle = \"5s\"\n",
        echo.port
    );
    let a = sites.linked("a", &sections);
    wait_until(DEADLINE, "it answered", || answered(port).is_some());
    let connector = a.get("/v1/connectors/echo").unwrap().1;
    assert_eq!(connector["spec"]["check"], "none", "{connector}");
    assert_eq!(connector["status"]["healthy"], true, "{connector}");
    assert_eq!(a.get("/v1/listeners/echo").unwrap().1["spec"]["udp_idle_ms"], 5000);
    let other = listen(&a, "more", "--address echo");
    assert!(answered(other).is_some());
    a.ctl("listener delete more").ok();
    // With sessions open, too.
    let taken = UdpSocket::bind(("127.0.0.1", other));
    assert!(taken.is_ok(), "{taken:?}");
}
