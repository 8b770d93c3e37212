//! Members that say too much, and sites that are none.

use std::collections::BTreeSet;

use super::*;
use crate::database::Limits;

#[test]
fn a_flooding_member_takes_no_more_than_ten_records_a_second() {
    let mut pair = Pair::new();
    let records: Vec<_> = (1..=300)
        .map(|counter| sign(record(&pair.neighbour, counter, &pair.own), &pair.neighbour))
        .collect();
    for signed in &records {
        pair.send(signed);
        pair.wait(Duration::from_millis(1));
    }
    let checked = pair.checks.0.load(Ordering::Relaxed);
    assert!(checked <= 13, "{checked} checks in 0.3 s");
    let events = pair.router.take_events();
    let floods = events.iter().filter(|e| matches!(e, RouterEvent::Flood { .. })).count();
    assert_eq!(floods, 1, "told once");
    // What was dropped was not acknowledged, so it comes again, and is taken then.
    let acked = |pair: &mut Pair| {
        let messages = pair.router.take_messages();
        let acks = messages.iter().filter_map(|(_, bytes)| match Message::decode(bytes) {
            Ok(Message::Ack { versions, .. }) => Some(versions),
            _ => None,
        });
        acks.flatten().map(|(_, version)| version.counter).max()
    };
    assert!(acked(&mut pair) < Some(300));
    pair.wait(Duration::from_secs(1));
    pair.send(&records[299]);
    assert_eq!((pair.held(), acked(&mut pair)), (Some(300), Some(300)));
}

#[test]
fn a_site_that_no_voucher_leads_to_is_told_and_not_used() {
    let mut pair = Pair::new();
    let (stranger, other) = (authority(), authority());
    pair.send(&vouched(record(&stranger, 1, &pair.neighbour), &stranger, &other));
    let events = pair.router.take_events();
    let told = |event: &&RouterEvent| matches!(event, RouterEvent::ForeignSite { site, .. } if *site == stranger.id());
    assert_eq!(events.iter().filter(told).count(), 1);
    assert!(pair.router.routes().authority(stranger.id()).is_none());
    // The voucher's signer turns out to be a member: then so is the stranger.
    pair.send(&vouched(record(&other, 1, &pair.neighbour), &other, &pair.neighbour));
    pair.wait(Duration::from_millis(20));
    assert_eq!(
        pair.router.routes().authority(stranger.id()).as_ref(),
        Some(stranger.certificate())
    );
}

#[test]
fn a_voucher_for_one_site_is_none_for_another() {
    let mut pair = Pair::new();
    let (stranger, other) = (authority(), authority());
    let mut voucher = Voucher::issue(&pair.neighbour, other.id());
    voucher.subject = stranger.id();
    let record = record(&stranger, 1, &pair.neighbour);
    pair.send(&SignedRecord::sign(record, &stranger, vec![voucher]));
    assert!(!pair.router.members.contains(&stranger.id()));
}

#[test]
fn an_organisations_bundle_has_the_last_word() {
    let mut pair = Pair::new();
    let newcomer = authority();
    pair.send(&vouched(record(&newcomer, 1, &pair.neighbour), &newcomer, &pair.neighbour));
    assert!(pair.router.members.contains(&newcomer.id()));
    let refused = newcomer.certificate().clone();
    let trust = Trust { accepts: Arc::new(move |c| *c != refused), ..pair.router.trust.clone() };
    pair.router.set_trust(pair.now, trust);
    assert!(!pair.router.members.contains(&newcomer.id()));
}

#[test]
fn waiting_records_are_few_and_come_again_when_they_count() {
    let mut pair = Pair::new();
    pair.router.limits = Limits { waiting: 4, ..Limits::default() };
    let issuer = authority();
    let strangers: Vec<_> = (0..6).map(|_| authority()).collect();
    for stranger in &strangers {
        pair.send(&vouched(record(stranger, 1, &pair.neighbour), stranger, &issuer));
    }
    let holds =
        |pair: &Pair, site: &Authority| pair.router.database.entry(site.id().into()).is_some();
    let held: Vec<_> = strangers.iter().map(|s| holds(&pair, s)).collect();
    assert_eq!(held, [false, false, true, true, true, true], "the oldest went first");
    pair.router.take_messages();
    pair.send(&vouched(record(&issuer, 1, &pair.neighbour), &issuer, &pair.neighbour));
    pair.wait(Duration::from_secs(1));
    let messages = pair.router.take_messages();
    let digest = |(_, bytes): &&(LinkId, Arc<[u8]>)| {
        matches!(Message::decode(bytes), Ok(Message::Digest { .. }))
    };
    assert!(messages.iter().any(|m| digest(&m)), "the neighbour is told what is missing");
}

#[test]
fn a_database_that_is_full_takes_no_more_routers() {
    let mut pair = Pair::new();
    pair.router.limits = Limits { routers: 3, replicas: 2, ..Limits::default() };
    pair.send(&sign(record(&pair.neighbour, 1, &pair.own), &pair.neighbour));
    for replica in 1..4 {
        let record = Record { replica, ..record(&pair.neighbour, 1, &pair.own) };
        pair.send(&sign(record, &pair.neighbour));
    }
    assert_eq!(pair.router.held().records, 3);
    let events = pair.router.take_events();
    assert!(events.iter().any(|e| matches!(e, RouterEvent::DatabaseFull { .. })));
    // What is known already is brought up to date all the same.
    pair.send(&sign(record(&pair.neighbour, 2, &pair.own), &pair.neighbour));
    assert_eq!(pair.held(), Some(2));
}

#[test]
fn more_offers_than_a_record_holds_are_left_out_and_told() {
    let mut pair = Pair::new();
    let offers = (0..9000).map(|n| crate::OfferRecord {
        address: format!("a-service-with-a-long-name-{n}").parse().unwrap(),
        protocol: van_model::Protocol::Tcp,
        service_port: Some(5432),
        target_port: Some(5432),
        targets: 1,
        groups: Vec::new(),
    });
    let about = About { name: "own".into(), offers: offers.collect(), ..About::default() };
    pair.router.set_about(pair.now, about);
    pair.wait(Duration::from_secs(1));
    let own = pair.router.database.entry(pair.router.me).unwrap();
    assert!(SignedRecord::decode(own.signed.as_bytes()).is_ok());
    let told = own.signed.record.offers.len();
    let events = pair.router.take_events();
    assert!(events.contains(&RouterEvent::TooManyOffers { left_out: 9000 - told }), "{events:?}");
}

#[test]
fn a_neighbour_that_acknowledges_nothing_is_sent_a_mebibyte_and_costs_no_timer() {
    let mut pair = Pair::new();
    let silent = LinkId(2);
    let other = authority();
    let mut trust = pair.router.trust.clone();
    trust.pins.insert(other.id(), other.certificate().clone());
    pair.router.set_trust(pair.now, trust);
    pair.router.link_up(pair.now, silent, other.id().into(), 1);
    pair.router.take_messages();
    for _ in 0..8 {
        let large = authority();
        let mut record = record(&large, 1, &pair.neighbour);
        let offers = (0..6000).map(|n| crate::OfferRecord {
            address: format!("service-{n}").parse().unwrap(),
            protocol: van_model::Protocol::Tcp,
            service_port: None,
            target_port: None,
            targets: 1,
            groups: Vec::new(),
        });
        record.offers = offers.collect();
        pair.send(&vouched(record, &large, &pair.neighbour));
    }
    let sent = |pair: &mut Pair| {
        let messages = pair.router.take_messages().into_iter();
        let bytes = messages.filter(|(link, _)| *link == silent).map(|(_, bytes)| bytes.len());
        bytes.sum::<usize>()
    };
    // Until its own record, which may not be said again at once, is on its way, too.
    pair.wait(Duration::from_millis(300));
    let first = sent(&mut pair);
    assert!((1 << 19..(1 << 20) + 4096).contains(&first), "{first} bytes");
    assert!(pair.router.next_timeout().unwrap() > pair.now, "nothing to do at once");
    pair.wait(Duration::from_millis(600));
    assert_eq!(sent(&mut pair), 0);
    pair.wait(Duration::from_millis(600));
    assert!(sent(&mut pair) >= first / 2, "sent again");
}

#[test]
fn a_neighbour_is_never_sent_more_messages_than_it_takes() {
    let mut pair = Pair::new();
    let other = authority();
    let mut trust = pair.router.trust.clone();
    trust.pins.insert(other.id(), other.certificate().clone());
    pair.router.set_trust(pair.now, trust);
    pair.router.link_up(pair.now, LinkId(2), other.id().into(), 1);
    let sites: Vec<_> = (0..40).map(|_| authority()).collect();
    for site in &sites {
        pair.send(&vouched(record(site, 1, &pair.neighbour), site, &pair.neighbour));
    }
    pair.wait(Duration::from_secs(1));
    pair.router.take_messages();
    let last = |pair: &Pair| {
        let held = |site: &Authority| {
            pair.router.database.entry(site.id().into()).map(|entry| entry.version.counter)
        };
        sites.iter().map(held).collect::<Vec<_>>()
    };
    // Forty sites change ten times in a second: 400 records, each in a message of its own.
    for change in 2..12 {
        for site in &sites {
            pair.send(&vouched(record(site, change, &pair.neighbour), site, &pair.neighbour));
            pair.wait(Duration::from_micros(2500));
        }
    }
    let messages = pair.router.take_messages();
    for link in [LINK, LinkId(2)] {
        let sent = messages.iter().filter(|(to, _)| *to == link).count();
        assert!((1..150).contains(&sent), "{sent} messages in a second");
    }
    assert!(last(&pair).iter().all(|counter| *counter == Some(11)));
    let mut told = BTreeSet::new();
    pair.wait(Duration::from_millis(40));
    for (_, bytes) in messages.into_iter().chain(pair.router.take_messages()) {
        if let Ok(Message::Records(records)) = Message::decode(&bytes) {
            for (_, bytes) in records {
                let record = SignedRecord::decode(bytes).unwrap().record;
                told.extend((record.counter == 11).then_some(record.origin));
            }
        }
    }
    assert!(sites.iter().all(|site| told.contains(&site.id())), "the newest of all is told");
}
