//! The server over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;
use van_dns::{DnsServer, Entry, Zone};

const PATIENCE: Duration = Duration::from_secs(10);

fn zone(names: &[(&str, u8)]) -> Zone {
    let network = "198.18.0.0/16".parse().unwrap();
    let mut zone = Zone::new("van.internal", network, Ipv4Addr::new(198, 18, 0, 1), 1).unwrap();
    for (name, last) in names {
        let address = Ipv4Addr::new(198, 18, 0, *last);
        zone.insert(name, Entry { address, ports: (0..200).collect(), datagram_ports: Vec::new() });
    }
    zone
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

async fn over_udp(server: SocketAddr, packet: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(packet, server).await.unwrap();
    let mut answer = [0; 4096];
    let (length, _) = timeout(PATIENCE, socket.recv_from(&mut answer)).await.unwrap().unwrap();
    Message::from_vec(&answer[..length]).unwrap()
}

async fn over_tcp(server: SocketAddr, packet: &[u8]) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_u16(packet.len().try_into().unwrap()).await.unwrap();
    stream.write_all(packet).await.unwrap();
    let length = timeout(PATIENCE, stream.read_u16()).await.unwrap().unwrap();
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

fn start(zone: Zone) -> (DnsServer, JoinSet<()>) {
    let (server, work) = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    (server, tasks)
}

#[tokio::test]
async fn questions_are_answered_over_both_transports_from_the_newest_zone() {
    let (server, mut tasks) = start(zone(&[("backend", 5)]));
    let place = server.place();
    let ask = question("backend.van.internal.", RecordType::A);
    for answer in [over_udp(place, &ask).await, over_tcp(place, &ask).await] {
        assert_eq!((answer.metadata.id, answer.metadata.response_code.into()), (4711, 0u16));
        assert!(answer.metadata.authoritative && !answer.metadata.recursion_available);
        assert_eq!(answer.answers[0].data.to_string(), "198.18.0.5");
    }
    server.publish(zone(&[("backend", 9)]));
    assert_eq!(over_udp(place, &ask).await.answers[0].data.to_string(), "198.18.0.9");

    let foreign = over_udp(place, &question("example.org.", RecordType::A)).await;
    assert_eq!(foreign.metadata.response_code, ResponseCode::Refused);
    assert!(!foreign.metadata.authoritative && foreign.answers.is_empty());

    // What does not fit into a datagram is asked for again over TCP.
    let many = question("backend.van.internal.", RecordType::SRV);
    assert!(over_udp(place, &many).await.metadata.truncation);
    assert_eq!(over_tcp(place, &many).await.answers.len(), 200);

    drop(server);
    timeout(PATIENCE, tasks.join_next()).await.expect("the work ends with the server");
}

#[tokio::test]
async fn rubbish_does_no_harm() {
    let (server, _tasks) = start(zone(&[("backend", 5)]));
    let place = server.place();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let good = question("backend.van.internal.", RecordType::A);
    for cut in 0..good.len() {
        socket.send_to(&good[..cut], place).await.unwrap();
    }
    for seed in 0..=255 {
        let mut bent = good.clone();
        let at = usize::from(seed) % bent.len();
        bent[at] ^= seed;
        socket.send_to(&bent, place).await.unwrap();
    }
    let mut update = good.clone();
    update[2] = 5 << 3;
    let refused = over_udp(place, &update).await.metadata.response_code;
    assert!([ResponseCode::NotImp, ResponseCode::FormErr].contains(&refused), "{refused}");
    let answer = over_udp(place, &good).await;
    assert_eq!(answer.answers[0].data.to_string(), "198.18.0.5");
}

#[tokio::test]
async fn a_place_that_is_taken_is_told() {
    let (server, _tasks) = start(zone(&[]));
    let Err(error) = DnsServer::start(server.place(), zone(&[])) else { panic!("both listen") };
    let text = error.to_string();
    assert!(text.contains(&server.place().to_string()) && text.contains("in use"), "{text}");
}
