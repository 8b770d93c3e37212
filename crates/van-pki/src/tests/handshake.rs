//! Full handshakes: what is negotiated, and what is refused.

use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{
    AlertDescription, CipherSuite, ClientConfig, Error, HandshakeKind, NamedGroup, ProtocolVersion,
    ServerConnection,
};

use super::{Clock, Site, Wire};
use crate::{
    ALPN_JOIN, ALPN_SESSION, Authority, PeerError, check_alpn, check_joiner, check_peer,
    join_client_config, join_server_config,
};

fn reason(error: &Option<Error>) -> Option<PeerError> {
    PeerError::of(error.as_ref()?)
}

#[test]
fn two_peers_meet_with_post_quantum_key_exchange() {
    let (one, two) = Site::pair();
    let mut wire = Wire::connect(&one.dials(two.id()), &two.accepts()).unwrap();
    assert_eq!(wire.client.handshake_kind(), Some(HandshakeKind::Full));
    assert_eq!(wire.client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = wire.server.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    for alpn in [wire.client.alpn_protocol(), wire.server.alpn_protocol()] {
        assert_eq!(check_alpn(alpn, ALPN_SESSION), Ok(()));
    }
    let suite = wire.client.negotiated_cipher_suite().unwrap().suite();
    assert_ne!(suite, CipherSuite::TLS13_AES_256_GCM_SHA384);

    let now = one.clock.now();
    let seen = check_peer(wire.client.peer_certificates().unwrap(), &*one.pins, now).unwrap();
    assert_eq!((seen.id, &seen.authority), (two.id(), two.authority.certificate()));
    assert_eq!(seen.leaf_not_after, two.identity.leaf_not_after());
    let seen = check_peer(wire.server.peer_certificates().unwrap(), &*two.pins, now).unwrap();
    assert_eq!(seen.id, one.id());
    wire.talk();
}

#[test]
fn a_leaf_is_renewed_while_a_connection_runs() {
    let (one, two) = Site::pair();
    let (dials, accepts) = (one.dials(two.id()), two.accepts());
    let mut wire = Wire::connect(&dials, &accepts).unwrap();
    let before = two.identity.leaf_not_after();
    one.clock.set(two.identity.renew_at().as_second());
    two.identity.renew(two.authority.issue_leaf(two.clock.now()).unwrap());
    wire.talk();
    assert!(two.identity.leaf_not_after() > before);
    let next = Wire::connect(&dials, &accepts).unwrap();
    let seen = check_peer(next.client.peer_certificates().unwrap(), &*one.pins, one.clock.now());
    assert_eq!(seen.unwrap().leaf_not_after, two.identity.leaf_not_after());
}

#[test]
fn an_expired_leaf_is_refused_by_either_end() {
    let (one, two) = Site::pair();
    let (dials, accepts) = (one.dials(two.id()), two.accepts());
    one.clock.set(one.identity.leaf_not_after().as_second() + 1);
    two.identity.renew(two.authority.issue_leaf(two.clock.now()).unwrap());
    let refused = Wire::connect(&dials, &accepts).unwrap_err();
    let not_after = one.identity.leaf_not_after();
    assert_eq!(reason(&refused.by_server), Some(PeerError::Expired { not_after }));
    assert_eq!(refused.by_client, Some(Error::AlertReceived(AlertDescription::CertificateExpired)));
}

#[test]
fn a_stranger_is_told_apart_and_learns_that_it_is_unknown() {
    let (one, two) = Site::pair();
    two.pins.revoke(one.id());
    let refused = Wire::connect(&one.dials(two.id()), &two.accepts()).unwrap_err();
    assert_eq!(reason(&refused.by_server), Some(PeerError::UnknownPeer(one.id())));
    assert!(PeerError::refused_as_unknown(refused.by_client.as_ref().unwrap()));

    let (one, two) = Site::pair();
    one.pins.revoke(two.id());
    let refused = Wire::connect(&one.dials(two.id()), &two.accepts()).unwrap_err();
    assert_eq!(reason(&refused.by_client), Some(PeerError::UnknownPeer(two.id())));
}

#[test]
fn a_good_peer_in_place_of_another_is_refused() {
    let (one, two) = Site::pair();
    let three = Site::new(&one.clock);
    one.pins.pin(&three.authority);
    three.pins.pin(&one.authority);
    let refused = Wire::connect(&one.dials(two.id()), &three.accepts()).unwrap_err();
    assert_eq!(
        reason(&refused.by_client),
        Some(PeerError::OtherSite { expected: two.id(), found: three.id() })
    );
}

#[test]
fn joining_needs_only_an_authority_of_ones_own() {
    let clock = Clock::new();
    let (newcomer, issuer) = (Site::new(&clock), Site::new(&clock));
    let dials = join_client_config(&newcomer.identity, issuer.id(), newcomer.time());
    let accepts = join_server_config(&issuer.identity, issuer.time());
    for _ in 0..2 {
        let mut wire = Wire::connect(&dials, &accepts).unwrap();
        // No tickets: the second redemption is a full handshake again.
        assert_eq!(wire.server.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(check_alpn(wire.client.alpn_protocol(), ALPN_JOIN), Ok(()));
        let seen = check_joiner(wire.server.peer_certificates().unwrap(), clock.now()).unwrap();
        assert_eq!((seen.id, &seen.authority), (newcomer.id(), newcomer.authority.certificate()));
        let seen = check_joiner(wire.client.peer_certificates().unwrap(), clock.now()).unwrap();
        assert_eq!((seen.id, &seen.authority), (issuer.id(), issuer.authority.certificate()));
        wire.talk();
    }

    // Another site that answers at the issuer's address gets no secret.
    let thief = Site::new(&clock);
    let accepts = join_server_config(&thief.identity, thief.time());
    let refused = Wire::connect(&dials, &accepts).unwrap_err();
    assert_eq!(
        reason(&refused.by_client),
        Some(PeerError::OtherSite { expected: issuer.id(), found: thief.id() })
    );
}

#[test]
fn the_two_protocols_do_not_mix() {
    let (one, two) = Site::pair();
    let session = one.dials(two.id());
    let join = join_client_config(&one.identity, two.id(), one.time());
    let accepts_join = join_server_config(&two.identity, two.time());
    for (client, server) in [(&session, &accepts_join), (&join, &two.accepts())] {
        let refused = Wire::connect(client, server).unwrap_err();
        assert!(refused.by_server.is_some(), "{refused:?}");
        assert_eq!(
            refused.by_client,
            Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)),
        );
    }
    let mut nameless = ClientConfig::clone(&session);
    nameless.alpn_protocols.clear();
    let nameless = Arc::new(nameless);
    for server in [two.accepts(), accepts_join] {
        let refused = Wire::connect(&nameless, &server).unwrap_err();
        assert!(matches!(refused.by_server, Some(Error::General(_))), "{refused:?}");
    }
    assert_eq!(check_alpn(None, ALPN_SESSION).unwrap_err().code(), "wrong_protocol");
    assert!(check_alpn(Some(ALPN_JOIN), ALPN_SESSION).is_err());
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let (one, two) = Site::pair();
    let join = join_server_config(&two.identity, two.time());
    for (alpn, server) in [(ALPN_SESSION, two.accepts()), (ALPN_JOIN, join)] {
        let roots = {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(two.authority.certificate().clone()).unwrap();
            roots
        };
        let mut client = ClientConfig::builder_with_details(crate::tls::provider(), one.time())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![alpn.to_vec()];
        let name = two.id().dns_name().try_into().unwrap();
        let client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
        let server = ServerConnection::new(server).unwrap();
        let refused = Wire { client, server }.settle().unwrap_err();
        assert_eq!(refused.by_server, Some(Error::NoCertificatesPresented));
    }
}

#[test]
fn a_forged_leaf_with_a_valid_chain_behind_it_is_refused_in_the_handshake() {
    let (one, two) = Site::pair();
    let thief = Authority::generate(one.clock.now()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![one.id().dns_name()]).unwrap();
    params.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let thief_key = rcgen::KeyPair::from_pem(&thief.key_pem()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(thief.certificate(), thief_key).unwrap();
    let forged = params.signed_by(&key, &issuer).unwrap().der().clone();
    let good = one.authority.issue_leaf(one.clock.now()).unwrap().certificate;
    let chain = vec![forged, good, one.authority.certificate().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(two.authority.certificate().clone()).unwrap();
    let mut client = ClientConfig::builder_with_details(crate::tls::provider(), one.time())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    client.alpn_protocols = vec![ALPN_SESSION.to_vec()];
    let name = two.id().dns_name().try_into().unwrap();
    let client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let server = ServerConnection::new(two.accepts()).unwrap();
    let refused = Wire { client, server }.settle().unwrap_err();
    assert_eq!(reason(&refused.by_server), Some(PeerError::WrongAuthority));
}

/// A ClientHello of TLS 1.2, written out by hand.
fn hello_of_tls12() -> Vec<u8> {
    let extensions: &[u8] = &[
        0, 10, 0, 4, 0, 2, 0, 29, // groups: x25519
        0, 13, 0, 4, 0, 2, 4, 3, // signatures: ecdsa_secp256r1_sha256
        0, 16, 0, 8, 0, 6, 5, b'v', b'a', b'n', b'/', b'1', // ALPN
    ];
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 2, 0xc0, 0x2b, 1, 0, 0, extensions.len() as u8]);
    body.extend_from_slice(extensions);
    let mut message = vec![1, 0, 0, body.len() as u8];
    message.extend_from_slice(&body);
    let mut record = vec![22, 3, 1, 0, message.len() as u8];
    record.extend_from_slice(&message);
    record
}

#[test]
fn tls_1_2_is_refused() {
    let (_, two) = Site::pair();
    let mut server = ServerConnection::new(two.accepts()).unwrap();
    server.read_tls(&mut &hello_of_tls12()[..]).unwrap();
    let error = server.process_new_packets().unwrap_err();
    assert!(matches!(error, Error::PeerIncompatible(_)), "{error:?}");
    let mut alert = Vec::new();
    server.write_tls(&mut alert).unwrap();
    assert_eq!(alert[0], 21);
    assert_eq!(alert[6], 70, "protocol_version");
}

#[test]
fn nothing_is_sent_before_the_handshake_ends() {
    let (one, two) = Site::pair();
    let dials = one.dials(two.id());
    Wire::connect(&dials, &two.accepts()).unwrap();
    assert!(!dials.enable_early_data);
    let accepts = two.accepts();
    assert_eq!((accepts.max_early_data_size, accepts.send_half_rtt_data), (0, false));
    let name = "any.example.net".try_into().unwrap();
    let mut again = rustls::ClientConnection::new(dials, name).unwrap();
    assert!(again.early_data().is_none());
}
