//! What a site on the way can do with a circuit's bytes: nothing but cut it.

use std::io::{IoSliceMut, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::{DnsName, ServerName};
use van_model::Mode;

use crate::chain::{Network, echo, until};
use crate::establish::Handshake;
use crate::links::{Dialled, Place};
use crate::pipe::Pipe;
use crate::socket::Read;
use crate::transport::Transport;

/// What the hostile site does with each lump of bytes towards the egress, once it is told to.
type Tamper = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>> + Send>;

/// Bytes of the head of a TLS record (RFC 8446 §5.1).
const RECORD_HEAD: usize = 5;

/// Two sites and the hostile one between them.
struct Between {
    network: Network,
    /// Everything that passed, both ways.
    seen: Arc<Mutex<Vec<u8>>>,
    hostile: Arc<AtomicBool>,
}

impl Between {
    fn new(tamper: Tamper) -> Self {
        let network = Network::chain(&[Mode::Interior, Mode::Interior], echo());
        let (near, before) = Pipe::pair();
        let (after, far) = Pipe::pair();
        let [ingress, egress] = &network.sites[..] else { panic!("two sites") };
        let shaking = egress.links.circuit_handshakes.clone().try_acquire_owned().unwrap();
        egress.links.accept_circuit(far, 0, shaking);
        let links = ingress.links.clone();
        let peer = egress.id;
        let dialled = Dialled {
            name: "circuit".into(),
            number: 7,
            index: 0,
            cost: 2,
            meter: Arc::default(),
            scope: links.workers.get(0).child(),
        };
        let config = van_pki::session_client_config(
            &links.identity,
            peer,
            links.members.clone(),
            links.clock.clone(),
        );
        let tasks = links.workers.get(0).clone();
        tasks.spawn("circuit", async move {
            let name = ServerName::DnsName(DnsName::try_from(peer.dns_name()).unwrap());
            let transport = Transport::Circuit(near);
            let session = Handshake::dial(transport, config, name, "van/1").await.unwrap();
            let place = Place::Circuit { replica: Some(0), up: None };
            let _ = links.run(0, session, Some(dialled), place).await;
        });
        let (seen, hostile) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicBool>::default());
        relay(before, after, tamper, seen.clone(), hostile.clone());
        until("the session is up", || !network.sites[0].links.sessions().is_empty());
        Self { network, seen, hostile }
    }

    /// A client whose flow takes the circuit.
    fn client(&self) -> TcpStream {
        let (client, flow) = self.network.flow();
        self.network.sites[0].links.sessions()[0].open(Box::new(flow), None).unwrap();
        client
    }
}

fn relay(
    before: Pipe,
    after: Pipe,
    mut tamper: Tamper,
    seen: Arc<Mutex<Vec<u8>>>,
    hostile: Arc<AtomicBool>,
) {
    std::thread::spawn(move || {
        let mut room = vec![0; 64 * 1024];
        loop {
            let mut moved = false;
            for (from, to, onward) in [(&before, &after, true), (&after, &before, false)] {
                let lump = match from.read(&mut [IoSliceMut::new(&mut room)]) {
                    Ok(Read::Bytes { count, .. }) => room[..count].to_vec(),
                    Ok(Read::Blocked) => continue,
                    Ok(Read::End) | Err(_) => return,
                };
                moved = true;
                seen.lock().extend_from_slice(&lump);
                let lumps = match onward && hostile.load(Ordering::Relaxed) {
                    true => tamper(lump),
                    false => vec![lump],
                };
                for lump in lumps {
                    let mut rest = &lump[..];
                    while !rest.is_empty() {
                        match to.write(rest) {
                            Ok(count) => rest = &rest[count..],
                            Err(_) => return,
                        }
                    }
                }
            }
            if !moved {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    });
}

/// Words that stand in no ciphertext by chance.
fn secret(len: usize) -> Vec<u8> {
    b"the payload that nobody on the way may read;".iter().copied().cycle().take(len).collect()
}

#[test]
fn it_learns_no_payload_no_service_and_no_client() {
    let between = Between::new(Box::new(|lump| vec![lump]));
    let mut client = between.client();
    let from = client.local_addr().unwrap();
    client.write_all(&secret(200_000)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(all[6..] == secret(200_000));
    let seen = between.seen.lock();
    assert!(seen.len() > 400_000, "{} bytes passed", seen.len());
    let address = [&[127, 0, 0, 1][..], &from.port().to_be_bytes()].concat();
    for word in [&b"nobody on the way"[..], b"work", b"site-0", &address] {
        assert!(!seen.windows(word.len()).any(|w| w == word), "{word:?} can be read");
    }
}

/// Lets the hostile site loose in the middle of a transfer; the flow must be cut, and what arrived
/// must be what was sent.
fn is_cut(tamper: Tamper) {
    let between = Between::new(tamper);
    let mut client = between.client();
    let mut head = [0; 6 + 1000];
    client.write_all(&secret(1000)).unwrap();
    client.read_exact(&mut head).unwrap();
    assert!(head[6..] == secret(1000));
    between.hostile.store(true, Ordering::Relaxed);
    let sent = secret(44 * 50_000);
    let mut writer = client.try_clone().unwrap();
    let copy = sent.clone();
    std::thread::spawn(move || {
        let _ = writer.write_all(&copy);
        let _ = writer.shutdown(Shutdown::Write);
    });
    let mut back = Vec::new();
    let mut room = vec![0; 64 * 1024];
    let end = loop {
        match client.read(&mut room) {
            Ok(0) => break None,
            Ok(count) => back.extend_from_slice(&room[..count]),
            Err(error) => break Some(error.kind()),
        }
    };
    assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset), "{} bytes came back", back.len());
    let expected: Vec<u8> = secret(1000).into_iter().chain(sent).skip(1000).collect();
    assert!(expected.starts_with(&back), "what arrived is what was sent");
    until("the session is gone", || between.network.sites[0].links.sessions().is_empty());
}

#[test]
fn a_changed_byte_cuts() {
    let mut count = 0;
    is_cut(Box::new(move |mut lump| {
        count += 1;
        if count == 3 {
            // A record's type and version in its head are fixed, and rustls takes them as such,
            // whatever stands there; of two bytes as far apart as a head is long, one is payload.
            let middle = lump.len() / 2;
            for at in [middle, middle + RECORD_HEAD] {
                lump[at] ^= 1;
            }
        }
        vec![lump]
    }));
}

#[test]
fn dropped_bytes_cut() {
    let mut count = 0;
    is_cut(Box::new(move |lump| {
        count += 1;
        if count == 3 { vec![] } else { vec![lump] }
    }));
}

#[test]
fn bytes_in_another_order_cut() {
    let mut held = Vec::new();
    is_cut(Box::new(move |lump| {
        if held.is_empty() {
            held = lump;
            return vec![];
        }
        vec![lump, std::mem::take(&mut held)]
    }));
}

#[test]
fn replayed_bytes_cut() {
    let mut count = 0;
    is_cut(Box::new(move |lump| {
        count += 1;
        if count == 2 { vec![lump.clone(), lump] } else { vec![lump] }
    }));
}

#[test]
fn invented_bytes_cut() {
    let mut count = 0;
    is_cut(Box::new(move |lump| {
        count += 1;
        let record = [&[23, 3, 3, 0, 100][..], &[0xaa; 100]].concat();
        if count == 2 { vec![lump, record] } else { vec![lump] }
    }));
}
