//! Messages that are cut, garbage, or of a later version.

use proptest::prelude::*;

use super::*;
use crate::RouteError;

fn messages(pair: &Pair) -> Vec<Arc<[u8]>> {
    let signed = sign(record(&pair.neighbour, 1, &pair.own), &pair.neighbour);
    let version = pair.router.version_of(pair.router.me).unwrap();
    let versions = vec![(pair.router.me, version), (pair.neighbour.id().into(), version)];
    vec![
        Message::Digest { number: 1, edge: false, versions: versions.clone() }.encode(),
        Message::Request(vec![pair.router.me]).encode(),
        Message::Records(vec![(0, signed.as_bytes()), (5, b"no record")]).encode(),
        Message::Ack { digest: Some(1), versions }.encode(),
        Message::Voucher(vec![1, 2, 3]).encode(),
    ]
}

#[test]
fn messages_round_trip() {
    for bytes in messages(&Pair::new()) {
        assert_eq!(Message::decode(&bytes).unwrap().encode(), bytes);
    }
}

#[test]
fn cut_messages_are_errors() {
    let mut pair = Pair::new();
    for bytes in messages(&pair) {
        for cut in 0..bytes.len() {
            let taken = pair.router.receive(pair.now, LINK, &bytes[..cut]);
            assert!(matches!(taken, Err(RouteError::Malformed(_))), "cut at {cut}: {taken:?}");
        }
    }
}

#[test]
fn a_link_that_is_not_up_brings_nothing() {
    let mut pair = Pair::new();
    let message = messages(&pair)[0].clone();
    let other = LinkId(2);
    assert_eq!(pair.router.receive(pair.now, other, &message), Err(RouteError::NoLink(other)));
}

/// Bytes as a later version sends them; `tests/vectors/README.md` says what is in each.
#[test]
fn what_a_later_version_adds_is_passed_over() {
    let unknown = include_bytes!("../../../tests/vectors/unknown_kind.bin");
    assert_eq!(Message::decode(unknown), Ok(Message::Unknown(77)));

    let digest = include_bytes!("../../../tests/vectors/digest_with_unknown_fields.bin");
    let Ok(Message::Digest { number: 5, edge: false, versions }) = Message::decode(digest) else {
        panic!("no digest");
    };
    assert_eq!(versions.len(), 1);
    assert_eq!((versions[0].1.epoch, versions[0].1.counter, versions[0].1.tie), (3, 4, 5));

    let records = include_bytes!("../../../tests/vectors/records_with_unknown_fields.bin");
    let Ok(Message::Records(records)) = Message::decode(records) else { panic!("no records") };
    assert_eq!((records.len(), records[0].0), (1, 7));
    let signed = SignedRecord::decode(records[0].1).unwrap();
    assert_eq!((signed.record.name.as_str(), signed.record.sequence()), ("later", (3, 4)));
    // Of two offers one has a protocol that this version doesn't know; of two vouchers, one a kind.
    assert_eq!((signed.record.offers.len(), signed.vouchers.len()), (1, 1));

    let mut pair = Pair::new();
    for bytes in [
        &unknown[..],
        digest,
        include_bytes!("../../../tests/vectors/records_with_unknown_fields.bin"),
    ] {
        assert_eq!(pair.router.receive(pair.now, LINK, bytes), Ok(()));
    }
    assert_eq!(pair.bad_records(), 0);
}

/// The parts of a record that versions before admissions were read, as they read them.
#[derive(minicbor::Decode)]
#[cbor(map)]
struct Before {
    #[n(4)]
    name: String,
    #[n(10)]
    revoked: Option<Vec<RevokedBefore>>,
}

#[derive(minicbor::Decode)]
struct RevokedBefore(#[n(0)] minicbor::bytes::ByteVec, #[n(1)] u64);

#[test]
fn earlier_versions_pass_over_words_and_proofs() {
    let records = include_bytes!("../../../tests/vectors/record_with_words_and_proofs.bin");
    let Ok(Message::Records(records)) = Message::decode(records) else { panic!("no records") };
    let signed = SignedRecord::decode(records[0].1).unwrap();
    let said = &signed.record;
    assert_eq!(said.admitted.as_ref().map(Vec::len), Some(1));
    assert!(signed.vouchers.iter().all(|voucher| signed.shows(voucher)));
    let proofs: Vec<_> = said.revoked.iter().map(|s| (s.serial, s.proof.is_some())).collect();
    assert_eq!(proofs, [(1, true), (2, false)]);
    let before: Before = minicbor::decode(&said.encode(None)).unwrap();
    let revoked = before.revoked.unwrap();
    let read: Vec<_> = revoked.iter().map(|RevokedBefore(site, s)| (site.len(), *s)).collect();
    assert_eq!((before.name.as_str(), read), ("words", vec![(20, 1), (20, 2)]));
}

/// A record as versions before admissions were read made it.
#[test]
fn what_an_earlier_version_says_still_counts() {
    let records = include_bytes!("../../../tests/vectors/records_with_unknown_fields.bin");
    let Ok(Message::Records(records)) = Message::decode(records) else { panic!("no records") };
    let signed = SignedRecord::decode(records[0].1).unwrap();
    assert_eq!(signed.record.admitted, None);
    assert!(signed.vouchers.iter().all(|voucher| signed.shows(voucher)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn garbage_never_panics(garbage in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..512), 1..32)
    ) {
        let mut pair = Pair::new();
        for bytes in &garbage {
            // Whether it is taken says nothing; that the router lives does.
            let _ = pair.router.receive(pair.now, LINK, bytes);
        }
        pair.wait(Duration::from_secs(1));
        prop_assert_eq!(pair.router.held().records, 1);
    }

    #[test]
    fn changed_messages_never_panic(changes in proptest::collection::vec(
        (0usize..5, any::<prop::sample::Index>(), any::<u8>()), 1..64)
    ) {
        let mut pair = Pair::new();
        let all = messages(&pair);
        for (which, at, byte) in changes {
            let mut bytes = all[which].to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = pair.router.receive(pair.now, LINK, &bytes);
        }
        pair.wait(Duration::from_secs(1));
        prop_assert!(pair.router.held().records <= 2);
    }
}
