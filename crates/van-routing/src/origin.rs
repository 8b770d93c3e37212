//! What this router says of itself, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use van_model::SiteId;
use van_pki::{Voucher, VoucherKind};

use crate::about::About;
use crate::admission::{Admission, Statement};
use crate::database::Entry;
use crate::event::RouterEvent;
use crate::record::{MAX_LABELS, MAX_NEIGHBOURS, MAX_OFFERS, MAX_REVOKED, Neighbour, Record};
use crate::router::Router;
use crate::router_id::RouterId;
use crate::signed::{MAX_BYTES, MAX_VOUCHERS, SignedRecord};
use crate::version::{MAX_EPOCH, Version};

/// The least time between two own records.
const SHORTEST: Duration = Duration::from_millis(100);
/// The least time between two own records where changes don't end.
const LONGEST: Duration = Duration::from_secs(1);
/// After this time an own record is said again, unchanged.
const REFRESH: Duration = Duration::from_secs(30 * 60);

/// Where this router's own record stands.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) epoch: u32,
    pub(crate) counter: u32,
    /// Whether what it says may have changed.
    pub(crate) dirty: bool,
    /// Whether it is said again even if nothing changed.
    pub(crate) forced: bool,
    last: Option<Instant>,
    interval: Duration,
}

impl Origin {
    pub(crate) fn new(epoch: u32) -> Self {
        let epoch = epoch.min(MAX_EPOCH);
        Self { epoch, counter: 0, dirty: true, forced: false, last: None, interval: SHORTEST }
    }

    /// When the next own record is due; at once where it is `now` or earlier.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        match self.last {
            Some(last) if self.dirty || self.forced => last + self.interval,
            Some(last) => last + REFRESH,
            None => now,
        }
    }

    fn said(&mut self, now: Instant) {
        let busy = self.last.is_some_and(|last| now < last + self.interval * 2);
        self.interval = if busy { (self.interval * 2).min(LONGEST) } else { SHORTEST };
        self.last = Some(now);
        self.dirty = false;
        self.forced = false;
    }

    /// The next sequence; a counter that is used up goes on in the next epoch.
    fn advance(&mut self) {
        match self.counter.checked_add(1) {
            Some(counter) => self.counter = counter,
            None if self.epoch < MAX_EPOCH => (self.epoch, self.counter) = (self.epoch + 1, 1),
            None => {}
        }
    }
}

impl Router {
    /// Says the own record again where it changed and may be said by now.
    pub(crate) fn settle_origin(&mut self, now: Instant) {
        if self.about.is_none() || now < self.origin.due(now) {
            return;
        }
        let is_refresh = !self.origin.dirty && !self.origin.forced;
        let vouchers = self.own_vouchers();
        let Some(record) = self.own_record(&vouchers) else { return };
        let old = self.database.entry(self.me).map(|entry| entry.signed.clone());
        if let Some(old) = &old {
            let same = Record { epoch: 0, counter: 0, ..old.record.clone() } == record
                && old.vouchers == vouchers;
            if same && !is_refresh && !self.origin.forced {
                self.origin.dirty = false;
                return;
            }
        }
        let before = self.origin.epoch;
        self.origin.advance();
        if self.origin.epoch != before {
            let event = RouterEvent::NewEpoch { epoch: self.origin.epoch, met: before };
            self.events.push(now, event);
        }
        let signed = self.sign_fitting(now, record, &vouchers);
        self.origin.said(now);
        let version = Version::of(signed.record.sequence(), signed.as_bytes());
        let mut entry = Entry::new(now, Arc::new(signed), version, Duration::ZERO, None);
        entry.member = true;
        self.database.put(self.me, entry);
        self.unflooded.insert(self.me, None);
        self.changed.records.insert(self.me);
    }

    /// Signs the own record, with as many of its offers as fit.
    fn sign_fitting(
        &mut self,
        now: Instant,
        mut record: Record,
        vouchers: &[Voucher],
    ) -> SignedRecord {
        (record.epoch, record.counter) = (self.origin.epoch, self.origin.counter);
        let wanted = self.about.as_ref().map_or(0, |about| about.offers.len());
        loop {
            let signed = SignedRecord::sign(record, &self.authority, vouchers.to_vec());
            if signed.as_bytes().len() <= MAX_BYTES || signed.record.offers.is_empty() {
                let left_out = wanted - signed.record.offers.len();
                if left_out > 0 {
                    self.events.push(now, RouterEvent::TooManyOffers { left_out });
                }
                return signed;
            }
            record = signed.record;
            let fewer = record.offers.len() * 9 / 10;
            record.offers.truncate(fewer);
        }
    }

    /// What there is to say, without a sequence.
    fn own_record(&mut self, vouchers: &[Voucher]) -> Option<Record> {
        let admitted = Some(self.own_admissions(vouchers));
        let revoked = self.own_statements();
        let About { name, mode, software, labels, offers } = self.about.as_ref()?;
        let links = self.own_links();
        let neighbours = links.into_iter().take(MAX_NEIGHBOURS).map(|(peer, cost)| Neighbour {
            site: peer.site,
            replica: peer.replica,
            cost,
        });
        Some(Record {
            origin: self.me.site,
            replica: self.me.replica,
            epoch: 0,
            counter: 0,
            name: name.clone(),
            mode: *mode,
            software: software.clone(),
            neighbours: neighbours.collect(),
            offers: offers.iter().take(MAX_OFFERS).cloned().collect(),
            labels: labels.iter().take(MAX_LABELS).map(|(k, v)| (k.clone(), v.clone())).collect(),
            revoked,
            admitted,
        })
    }

    /// This site's word on each admission that it shows; said once, so that it stays the same.
    fn own_admissions(&mut self, vouchers: &[Voucher]) -> Vec<Admission> {
        let shown = vouchers.iter().filter(|v| v.kind == VoucherKind::Admission);
        let signers: BTreeSet<SiteId> = shown.map(|voucher| voucher.signer).collect();
        self.words.retain(|by, _| signers.contains(by));
        let word = |by: SiteId| {
            self.words.entry(by).or_insert_with(|| Admission::sign(&self.authority, by)).clone()
        };
        signers.into_iter().map(word).collect()
    }

    /// What this site says of others, each with the other's word where that is known.
    fn own_statements(&self) -> Vec<Statement> {
        let revoked = self.trust.revoked.iter().take(MAX_REVOKED);
        let proof = |site| self.proofs.get(site).cloned();
        revoked.map(|(site, s)| Statement { site: *site, serial: *s, proof: proof(site) }).collect()
    }

    /// The neighbours, each with the cost of the cheapest link to it.
    pub(crate) fn own_links(&self) -> BTreeMap<RouterId, u16> {
        let mut links = BTreeMap::new();
        for adjacency in self.links.values().filter(|a| !self.is_revoked(a.peer.site)) {
            let cost = links.entry(adjacency.peer).or_insert(adjacency.cost);
            *cost = adjacency.cost.min(*cost);
        }
        links
    }

    /// The vouchers to show: those of present neighbours first, interior ones before edges.
    fn own_vouchers(&self) -> Vec<Voucher> {
        let neighbours: BTreeMap<_, bool> =
            self.links.values().map(|a| (a.peer.site, self.is_edge(a.peer))).collect();
        let admissions = self.trust.vouchers.iter().filter(|v| v.subject == self.me.site);
        let mut all: Vec<_> = admissions
            .chain(self.held.values())
            .filter(|v| !self.is_revoked(v.signer))
            .map(|v| (neighbours.get(&v.signer).map_or(2, |edge| u8::from(*edge)), v))
            .collect();
        all.sort_by_key(|(rank, v)| (*rank, v.kind == VoucherKind::Peer, v.signer));
        all.dedup_by_key(|(_, v)| (v.signer, v.kind));
        all.truncate(MAX_VOUCHERS);
        all.into_iter().map(|(_, v)| v.clone()).collect()
    }
}
