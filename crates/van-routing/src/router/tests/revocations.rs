//! Who may revoke: what is looked at, how often, and what a false word is worth.

use super::*;
use crate::admission::{Admission, Statement};

/// A site that `by` admitted, and that says so or not.
fn admitted(site: &Authority, counter: u32, by: &Authority, says_so: bool) -> SignedRecord {
    let words = if says_so { vec![Admission::sign(site, by.id())] } else { Vec::new() };
    let record = Record { admitted: Some(words), ..record(site, counter, by) };
    vouched(record, site, by)
}

fn revoking(pair: &Pair, counter: u32, site: &Authority, proof: Option<Vec<u8>>) -> SignedRecord {
    let statement = Statement { site: site.id(), serial: 1, proof };
    let record = record(&pair.neighbour, counter, &pair.own);
    sign(Record { revoked: vec![statement], ..record }, &pair.neighbour)
}

/// A member that shows nothing by which the neighbour may revoke it.
fn pinned(pair: &mut Pair) -> Authority {
    let site = authority();
    let mut trust = pair.router.trust.clone();
    trust.pins.insert(site.id(), site.certificate().clone());
    pair.router.set_trust(pair.now, trust);
    pair.send(&sign(record(&site, 1, &pair.neighbour), &site));
    site
}

fn checks(pair: &Pair) -> usize {
    pair.checks.0.load(Ordering::Relaxed)
}

/// Has everything looked at anew `times` times, at the price of one signature each.
fn look_again(pair: &mut Pair, times: u32) {
    let other = authority();
    for counter in 1..=times {
        pair.send(&sign(record(&other, counter, &pair.own), &other));
        pair.wait(Duration::from_millis(200));
    }
}

/// What the router says of itself, as a neighbour hears it.
fn said(router: &Router) -> SignedRecord {
    router.database.entry(router.me).map(|entry| (*entry.signed).clone()).unwrap()
}

#[test]
fn a_proof_outlives_a_restart_without_neighbours_that_remember() {
    let mut pair = Pair::new();
    let site = authority();
    pair.send(&admitted(&site, 1, &pair.own, true));
    let kept = pair.router.take_proofs();
    assert_eq!(kept.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [site.id()]);
    assert_eq!(pair.router.take_proofs(), []);

    let trust = Trust {
        revoked: BTreeMap::from([(site.id(), 1)]),
        proofs: kept.into_iter().collect(),
        ..pair.router.trust.clone()
    };
    let mut again = Router::new(pair.now, RouterConfig::new(pair.own.clone(), 2));
    again.set_trust(pair.now, trust);
    again.set_about(pair.now, About::default());
    let revoked = said(&again).record.revoked;
    let proof = revoked[0].proof.as_deref().unwrap();
    let authority = site.certificate();
    assert!(crate::admission::is_admission(&RealSignatures, authority, pair.own.id(), proof));
    assert_eq!(again.take_proofs(), [], "what was kept need not be kept again");
}

#[test]
fn a_proof_that_is_none_is_looked_at_once() {
    let mut pair = Pair::new();
    let site = pinned(&mut pair);
    let false_proof = Admission::sign(&pair.neighbour, pair.neighbour.id()).signature;
    pair.send(&revoking(&pair, 1, &site, Some(false_proof.clone())));
    let before = checks(&pair);
    look_again(&mut pair, 20);
    assert_eq!(checks(&pair), before + 20, "one for each record that came, none for the proof");
    // Nor in the speaker's next record, where it says the same.
    pair.send(&revoking(&pair, 2, &site, Some(false_proof)));
    assert_eq!(checks(&pair), before + 21);
    // Another trust may be another answer.
    let trust = pair.router.trust.clone();
    pair.router.set_trust(pair.now, trust);
    assert_eq!(checks(&pair), before + 22);
    assert!(!pair.router.is_revoked(site.id()));
}

#[test]
fn a_voucher_that_is_none_is_looked_at_once() {
    let mut pair = Pair::new();
    let site = pinned(&mut pair);
    let mut forged = Voucher::issue(&authority(), site.id());
    forged.signer = pair.neighbour.id();
    pair.send(&SignedRecord::sign(record(&site, 2, &pair.neighbour), &site, vec![forged]));
    pair.send(&revoking(&pair, 1, &site, None));
    let before = checks(&pair);
    look_again(&mut pair, 20);
    assert_eq!(checks(&pair), before + 20);
    assert!(!pair.router.is_revoked(site.id()));
}

#[test]
fn a_late_starter_believes_the_revoked_sites_own_word() {
    for (is_proof_good, is_first) in [(true, true), (true, false), (false, true)] {
        let mut pair = Pair::new();
        let by = if is_proof_good { pair.neighbour.id() } else { pair.own.id() };
        let site = authority();
        let proof = Admission::sign(&site, by).signature;
        let revocation = revoking(&pair, 1, &site, Some(proof));
        let mut trust = pair.router.trust.clone();
        trust.pins.insert(site.id(), site.certificate().clone());
        let record = sign(record(&site, 7, &pair.neighbour), &site);
        if is_first {
            pair.send(&revocation);
        }
        pair.router.set_trust(pair.now, trust);
        pair.send(&record);
        if !is_first {
            pair.send(&revocation);
        }
        assert_eq!(pair.router.is_revoked(site.id()), is_proof_good);
    }
}

#[test]
fn an_admission_that_another_added_to_a_record_counts_for_nothing() {
    // The neighbour passes on a record with a voucher of its own that the origin does not show.
    for (says_so, is_out) in [(false, false), (true, true)] {
        let mut pair = Pair::new();
        let site = pinned(&mut pair);
        pair.send(&admitted(&site, 2, &pair.neighbour, says_so));
        pair.send(&revoking(&pair, 1, &site, None));
        assert_eq!(pair.router.is_revoked(site.id()), is_out, "{says_so}");
    }
}

#[test]
fn an_admission_without_the_sites_word_makes_no_member() {
    for says_so in [true, false] {
        let mut pair = Pair::new();
        let site = authority();
        pair.send(&admitted(&site, 1, &pair.neighbour, says_so));
        assert_eq!(pair.router.members.contains(&site.id()), says_so);
    }
    // A word that is another's is none.
    let mut pair = Pair::new();
    let site = authority();
    let word = Admission { by: pair.neighbour.id(), ..Admission::sign(&site, pair.own.id()) };
    let record = Record { admitted: Some(vec![word]), ..record(&site, 1, &pair.own) };
    pair.send(&vouched(record, &site, &pair.neighbour));
    assert!(!pair.router.members.contains(&site.id()));
}

#[test]
fn a_member_that_loses_its_only_voucher_is_none_any_more() {
    let mut pair = Pair::new();
    let (site, behind) = (authority(), authority());
    pair.send(&admitted(&site, 1, &pair.neighbour, true));
    pair.send(&admitted(&behind, 1, &site, true));
    let members = |pair: &Pair| [&site, &behind].map(|s| pair.router.members.contains(&s.id()));
    assert_eq!(members(&pair), [true, true]);
    pair.send(&sign(record(&site, 2, &pair.neighbour), &site));
    assert_eq!(members(&pair), [false, false]);
    pair.send(&admitted(&site, 3, &pair.neighbour, true));
    assert_eq!(members(&pair), [true, true]);
}

#[test]
fn proofs_cost_no_more_than_their_rate() {
    let mut pair = Pair::new();
    let sites: Vec<_> = (0..8).map(|_| pinned(&mut pair)).collect();
    let before = checks(&pair);
    // Eight other false proofs in each of 300 records, ten of which are taken in a second.
    for counter in 1..=300u32 {
        let proof = |site: &Authority| Statement {
            site: site.id(),
            serial: 1,
            proof: Some(counter.to_be_bytes().to_vec()),
        };
        let record = record(&pair.neighbour, counter, &pair.own);
        let revoked = sites.iter().map(proof).collect();
        pair.send(&sign(Record { revoked, ..record }, &pair.neighbour));
        pair.wait(Duration::from_millis(100));
    }
    let made = checks(&pair) - before;
    assert!(made < 310 + 1024 + 310, "{made} checks in 30 s");
}

#[test]
fn words_and_proofs_have_limits() {
    let mut pair = Pair::new();
    let by = pair.own.id();
    let word = || Admission { by, signature: vec![0; 70] };
    let long = Admission { signature: vec![0; 1025], ..word() };
    let plain = record(&pair.neighbour, 1, &pair.own);
    let proof = |len| {
        let proof = Some(vec![0; len]);
        vec![Statement { site: pair.own.id(), serial: 2, proof }]
    };
    let bad = [
        Record { admitted: Some(vec![word(); 17]), ..plain.clone() },
        Record { admitted: Some(vec![long]), ..plain.clone() },
        Record { revoked: proof(1025), ..plain.clone() },
    ];
    let good = [
        Record { admitted: Some(vec![word(); 16]), ..plain.clone() },
        Record { revoked: proof(1024), counter: 2, ..plain },
    ];
    for record in bad {
        pair.send(&sign(record, &pair.neighbour));
        assert_eq!((pair.held(), pair.bad_records()), (None, 1));
        // Until it would be told again.
        pair.wait(Duration::from_secs(11));
    }
    for record in good {
        let counter = record.counter;
        pair.send(&sign(record, &pair.neighbour));
        assert_eq!((pair.held(), pair.bad_records()), (Some(counter), 0));
    }
}
