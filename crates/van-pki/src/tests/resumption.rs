//! Resumed handshakes: that they happen, that they get the same checks, and when they end.

use rustls::HandshakeKind;

use super::{NOW, Site, Wire};
use crate::{PeerError, check_peer};

#[test]
fn the_second_connection_resumes_and_shows_the_same_peer() {
    let (one, two) = Site::pair();
    let (dials, accepts) = (one.dials(two.id()), two.accepts());
    Wire::connect(&dials, &accepts).unwrap();
    for _ in 0..4 {
        let mut wire = Wire::connect(&dials, &accepts).unwrap();
        assert_eq!(wire.client.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(wire.server.handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(wire.server.early_data().is_none());
        let now = one.clock.now();
        let seen = check_peer(wire.client.peer_certificates().unwrap(), &*one.pins, now);
        assert_eq!(seen.unwrap().id, two.id());
        let seen = check_peer(wire.server.peer_certificates().unwrap(), &*two.pins, now);
        assert_eq!(seen.unwrap().id, one.id());
        wire.talk();
    }
}

#[test]
fn a_revoked_peer_is_refused_after_a_resumed_handshake() {
    let (one, two) = Site::pair();
    let (dials, accepts) = (one.dials(two.id()), two.accepts());
    Wire::connect(&dials, &accepts).unwrap();
    two.pins.revoke(one.id());
    one.pins.revoke(two.id());
    // rustls asks nobody: that is why the session layer does.
    let wire = Wire::connect(&dials, &accepts).unwrap();
    assert_eq!(wire.server.handshake_kind(), Some(HandshakeKind::Resumed));
    let now = one.clock.now();
    assert_eq!(
        check_peer(wire.server.peer_certificates().unwrap(), &*two.pins, now),
        Err(PeerError::UnknownPeer(one.id()))
    );
    assert_eq!(
        check_peer(wire.client.peer_certificates().unwrap(), &*one.pins, now),
        Err(PeerError::UnknownPeer(two.id()))
    );
}

#[test]
fn an_expired_leaf_is_refused_after_a_resumed_handshake() {
    let (one, two) = Site::pair();
    let (dials, accepts) = (one.dials(two.id()), two.accepts());
    let last = one.identity.leaf_not_after().as_second();
    one.clock.set(last - 60);
    Wire::connect(&dials, &accepts).unwrap();
    one.clock.set(last + 60);
    let wire = Wire::connect(&dials, &accepts).unwrap();
    assert_eq!(wire.server.handshake_kind(), Some(HandshakeKind::Resumed));
    let error = check_peer(wire.server.peer_certificates().unwrap(), &*two.pins, two.clock.now());
    assert_eq!(error, Err(PeerError::Expired { not_after: one.identity.leaf_not_after() }));
}

#[test]
fn another_peers_tickets_are_of_no_use() {
    let (one, two) = Site::pair();
    let three = Site::new(&one.clock);
    three.pins.pin(&one.authority);
    one.pins.pin(&three.authority);
    let dials = one.dials(two.id());
    Wire::connect(&dials, &two.accepts()).unwrap();
    assert!(Wire::connect(&dials, &three.accepts()).is_err());
}

#[test]
fn tickets_die_within_an_hour_at_both_ends() {
    let (one, two) = Site::pair();
    let kind_after = |seconds: i64| {
        one.clock.set(NOW);
        let (dials, accepts) = (one.dials(two.id()), two.accepts());
        Wire::connect(&dials, &accepts).unwrap();
        one.clock.set(NOW + seconds);
        Wire::connect(&dials, &accepts).unwrap().server.handshake_kind().unwrap()
    };
    for (seconds, kind) in [
        (1700, HandshakeKind::Resumed),
        (1900, HandshakeKind::Resumed),
        (3599, HandshakeKind::Resumed),
        (3600, HandshakeKind::Full),
        (-600, HandshakeKind::Full),
    ] {
        assert_eq!(kind_after(seconds), kind, "after {seconds} s");
    }
}

#[test]
fn the_server_forgets_ticket_keys_by_itself() {
    use rustls::server::ProducesTickets;
    let clock = super::Clock::new();
    let tickets = crate::ticket::ServerTickets::new(std::sync::Arc::<super::Clock>::clone(&clock));
    let sealed = tickets.encrypt(b"session").unwrap();
    for (second, opens) in
        [(0, true), (1799, true), (1800, true), (3599, true), (3600, false), (10, false)]
    {
        clock.set(NOW + second);
        assert_eq!(tickets.decrypt(&sealed).is_some(), opens, "after {second} s");
    }
    assert!(tickets.lifetime() <= 3600);
}

#[test]
fn a_chain_of_resumptions_ends_within_an_hour() {
    let (one, two) = Site::pair();
    let (dials, accepts) = (one.dials(two.id()), two.accepts());
    Wire::connect(&dials, &accepts).unwrap();
    let mut full = 0;
    for step in 1..=18 {
        one.clock.set(NOW + step * 600);
        let wire = Wire::connect(&dials, &accepts).unwrap();
        full += usize::from(wire.client.handshake_kind() == Some(HandshakeKind::Full));
    }
    assert_eq!(full, 3, "one an hour");
}
