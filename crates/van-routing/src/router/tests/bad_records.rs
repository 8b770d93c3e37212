//! Records that are refused, and what they leave behind: nothing.

use van_model::Protocol;

use super::*;
use crate::record::{MAX_OFFERS, OfferRecord};
use crate::version::MAX_EPOCH;

fn offer(address: &str) -> OfferRecord {
    OfferRecord {
        address: address.parse().unwrap(),
        protocol: Protocol::Tcp,
        service_port: None,
        target_port: None,
        targets: 1,
        groups: Vec::new(),
    }
}

#[test]
fn records_that_are_bad_are_told_and_change_nothing() {
    let stranger = authority();
    type Bad = fn(&Pair, &Authority) -> Vec<u8>;
    let of = |pair: &Pair| record(&pair.neighbour, 2, &pair.own);
    let table: [(&str, Bad); 8] = [
        ("bad signature", |pair, _| {
            let good = sign(record(&pair.neighbour, 2, &pair.own), &pair.neighbour);
            let mut bytes = good.as_bytes().to_vec();
            let name = bytes.windows(9).position(|w| w == b"neighbour").unwrap();
            bytes[name] ^= 1;
            bytes
        }),
        ("another site's id", |pair, stranger| {
            sign(record(&pair.neighbour, 2, &pair.own), stranger).as_bytes().to_vec()
        }),
        ("the last epoch", |pair, _| {
            let record = Record { epoch: u32::MAX, ..record(&pair.neighbour, 2, &pair.own) };
            sign(record, &pair.neighbour).as_bytes().to_vec()
        }),
        ("cost 0", |pair, _| {
            let mut record = record(&pair.neighbour, 2, &pair.own);
            record.neighbours[0].cost = 0;
            sign(record, &pair.neighbour).as_bytes().to_vec()
        }),
        ("mixed case", |pair, _| {
            let mut record = record(&pair.neighbour, 2, &pair.own);
            record.offers = vec![offer("database")];
            let mut body = record.encode(None);
            let at = body.windows(8).position(|w| w == b"database").unwrap();
            body[at..at + 8].copy_from_slice(b"DataBase");
            let signed = SignedRecord::sign_body(record, &body, &pair.neighbour, Vec::new());
            signed.as_bytes().to_vec()
        }),
        ("too many addresses", |pair, _| {
            let mut record = record(&pair.neighbour, 2, &pair.own);
            record.offers = (0..=MAX_OFFERS).map(|n| offer(&format!("{n}"))).collect();
            let bytes = sign(record, &pair.neighbour).as_bytes().to_vec();
            assert!(bytes.len() < 257 * 1024, "{}: small enough to be sent", bytes.len());
            bytes
        }),
        ("no name", |pair, _| {
            let record = Record { name: String::new(), ..record(&pair.neighbour, 2, &pair.own) };
            sign(record, &pair.neighbour).as_bytes().to_vec()
        }),
        ("a label with a control character", |pair, _| {
            let mut record = record(&pair.neighbour, 2, &pair.own);
            record.labels.insert("zone".into(), "a\nb".into());
            sign(record, &pair.neighbour).as_bytes().to_vec()
        }),
    ];
    for (what, bad) in table {
        let mut pair = Pair::new();
        pair.send(&sign(record(&pair.neighbour, 1, &pair.own), &pair.neighbour));
        assert_eq!((pair.held(), pair.bad_records()), (Some(1), 0), "{what}");
        let bytes = bad(&pair, &stranger);
        pair.send_bytes(&bytes);
        assert_eq!((pair.held(), pair.bad_records()), (Some(1), 1), "{what}");
        // What is good and newer is taken afterwards.
        pair.send(&sign(of(&pair), &pair.neighbour));
        assert_eq!(pair.held(), Some(2), "{what}");
    }
}

#[test]
fn a_million_addresses_are_not_even_read() {
    let mut pair = Pair::new();
    let mut record = record(&pair.neighbour, 1, &pair.own);
    record.offers = (0..1_000_000).map(|n| offer(&format!("{n}"))).collect();
    let signed = sign(record, &pair.neighbour);
    let message = Message::Records(vec![(0, signed.as_bytes())]).encode();
    let refused = pair.router.receive(pair.now, LINK, &message);
    assert_eq!(refused, Err(crate::RouteError::TooMuch("more than 257 KiB")));
    assert_eq!((pair.held(), pair.checks.0.load(Ordering::Relaxed)), (None, 0));
}

#[test]
fn what_is_not_newer_costs_no_signature_check() {
    let mut pair = Pair::new();
    let old = sign(record(&pair.neighbour, 1, &pair.own), &pair.neighbour);
    let new = sign(record(&pair.neighbour, 2, &pair.own), &pair.neighbour);
    pair.send(&new);
    let checked = pair.checks.0.load(Ordering::Relaxed);
    for _ in 0..100 {
        pair.send(&old);
        pair.send(&new);
    }
    assert_eq!((pair.held(), pair.checks.0.load(Ordering::Relaxed)), (Some(2), checked));
}

#[test]
fn a_router_goes_on_behind_its_own_record_even_at_the_last_epoch() {
    for (epoch, counter, due) in [
        (7, 3, (8, 1)),
        (MAX_EPOCH - 1, 3, (MAX_EPOCH, 1)),
        (MAX_EPOCH, 9, (MAX_EPOCH, 10)),
        (u32::MAX, 9, (1, 1)),
    ] {
        let mut pair = Pair::new();
        let met = Record { epoch, counter, ..record(&pair.own, 1, &pair.neighbour) };
        pair.send(&sign(met, &pair.own));
        pair.wait(Duration::from_secs(2));
        let own = pair.router.database.entry(pair.router.me).unwrap();
        // The link that came up before is said in the same or in one more record.
        let (epoch, counter) = own.signed.record.sequence();
        assert!(epoch == due.0 && (due.1..=due.1 + 1).contains(&counter), "{epoch} {counter}");
        let mut new_epochs =
            pair.router.take_events().into_iter().filter_map(|event| match event {
                RouterEvent::NewEpoch { epoch, .. } => Some(epoch),
                _ => None,
            });
        let expected = (due.0 != 1).then_some(due.0);
        assert_eq!(new_epochs.next_back(), expected);
    }
}

#[test]
fn a_record_of_this_router_that_another_signed_is_refused() {
    let mut pair = Pair::new();
    let forged = Record { epoch: 9, ..record(&pair.own, 1, &pair.neighbour) };
    pair.send(&sign(forged, &pair.neighbour));
    assert_eq!(pair.bad_records(), 1);
    assert_eq!(pair.router.origin.epoch, 1);
}

#[test]
fn links_to_itself_or_of_one_end_only_lead_nowhere() {
    let mut pair = Pair::new();
    let third = authority();
    let mut said = record(&pair.neighbour, 1, &pair.own);
    let own_id = Neighbour { site: pair.neighbour.id(), replica: 0, cost: 1 };
    let claimed = Neighbour { site: third.id(), replica: 0, cost: 1 };
    said.neighbours.extend([own_id, claimed]);
    pair.send(&sign(said, &pair.neighbour));
    // It claims a link to nobody but itself.
    let alone = record(&third, 1, &third);
    pair.send(&vouched(alone, &third, &pair.neighbour));
    pair.wait(Duration::from_secs(1));
    let routes = pair.router.routes();
    let path = |site: SiteId| routes.routers[&site.into()].path.as_ref().map(|path| path.cost);
    assert_eq!((path(pair.neighbour.id()), path(third.id())), (Some(1), None));
}
