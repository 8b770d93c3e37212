//! Telling neighbours what they lack, until they say that they have it.

use std::time::{Duration, Instant};

use van_pki::Voucher;

use crate::adjacency::{Adjacency, Due};
use crate::message::{FULL, MAX_VERSIONS, Message};
use crate::router::Router;
use crate::router_id::{LinkId, RouterId};
use crate::version::Version;

/// Bytes of records on their way to one neighbour, before its acknowledgements are waited for.
const MAX_IN_FLIGHT: usize = 1 << 20;
/// The least time between two passes to one neighbour. A pass is seldom more than three messages, and a
/// neighbour closes a link above 200 a second (`van-mux`), so that churn from many sides at once must be
/// told together.
const PASS: Duration = Duration::from_millis(20);
/// How often a neighbour is asked for a record that doesn't come.
const MAX_ASKED: u8 = 5;
/// How often a neighbour is told that it is pinned here while its record doesn't show that.
const MAX_VOUCHED: u8 = 5;

impl Router {
    /// Notes for each neighbour what it lacks of what is new here.
    pub(crate) fn settle_flood(&mut self, now: Instant) {
        for (router, from) in std::mem::take(&mut self.unflooded) {
            let passed_on = router == self.me || !self.is_own_mode_edge();
            if !passed_on || !self.database.entry(router).is_some_and(|entry| entry.member) {
                continue;
            }
            for (link, adjacency) in &mut self.links {
                if Some(*link) != from && adjacency.peer != router {
                    adjacency.pend(now, router);
                }
            }
        }
    }

    /// Sends every neighbour what is due.
    pub(crate) fn flush(&mut self, now: Instant) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            let Some(mut adjacency) = self.links.remove(&link) else { continue };
            if now >= adjacency.next_pass && !self.is_revoked(adjacency.peer.site) {
                let before = self.outbox.len();
                self.flush_digest(now, link, &mut adjacency);
                self.flush_acks(link, &mut adjacency);
                self.flush_records(now, link, &mut adjacency);
                self.flush_requests(now, link, &mut adjacency);
                self.flush_voucher(now, link, &mut adjacency);
                if self.outbox.len() > before {
                    adjacency.next_pass = now + PASS;
                }
            }
            self.links.insert(link, adjacency);
        }
    }

    /// Sends every neighbour a digest, so that it sends again what was dropped here.
    pub(crate) fn ask_again(&mut self, now: Instant) {
        for adjacency in self.links.values_mut() {
            adjacency.digest.get_or_insert(Due::at(now));
        }
    }

    fn send(&mut self, link: LinkId, message: &Message<'_>) {
        self.outbox.push((link, message.encode()));
    }

    fn flush_digest(&mut self, now: Instant, link: LinkId, adjacency: &mut Adjacency) {
        let Some(due) = adjacency.digest.as_mut().filter(|due| due.at <= now) else { return };
        due.sent(now);
        self.digest_number += 1;
        adjacency.digest_number = self.digest_number;
        let held = self.database.iter().filter(|(_, entry)| entry.member);
        let versions = held.map(|(router, entry)| (*router, entry.version));
        let message = Message::Digest {
            number: self.digest_number,
            edge: self.is_own_mode_edge(),
            versions: versions.take(MAX_VERSIONS).collect(),
        };
        self.send(link, &message);
    }

    fn flush_acks(&mut self, link: LinkId, adjacency: &mut Adjacency) {
        for number in adjacency.digest_acks.drain(..) {
            self.send(link, &Message::Ack { digest: Some(number), versions: Vec::new() });
        }
        if adjacency.acks.is_empty() {
            return;
        }
        let mut versions = std::mem::take(&mut adjacency.acks);
        versions.sort_unstable();
        versions.dedup();
        for some in versions.chunks(MAX_VERSIONS) {
            self.send(link, &Message::Ack { digest: None, versions: some.to_vec() });
        }
    }

    fn flush_records(&mut self, now: Instant, link: LinkId, adjacency: &mut Adjacency) {
        adjacency.full_until = None;
        if adjacency.pending.is_empty() {
            return;
        }
        adjacency
            .pending
            .retain(|router, _| self.database.entry(*router).is_some_and(|entry| entry.member));
        let len = |router: &RouterId| {
            self.database.entry(*router).map_or(0, |entry| entry.signed.as_bytes().len())
        };
        let waiting = adjacency.pending.iter().filter(|(_, due)| due.at > now);
        let mut in_flight: usize = waiting.map(|(router, _)| len(router)).sum();
        let mut batch = Vec::new();
        let mut batches = Vec::new();
        let mut bytes = 0;
        let mut is_full = false;
        for (router, due) in adjacency.pending.iter_mut().filter(|(_, due)| due.at <= now) {
            let Some(entry) = self.database.entry(*router) else { continue };
            let len = entry.signed.as_bytes().len();
            if in_flight > 0 && in_flight + len > MAX_IN_FLIGHT {
                is_full = true;
                break;
            }
            if bytes > 0 && bytes + len > FULL {
                batches.push(std::mem::take(&mut batch));
                bytes = 0;
            }
            let age = u32::try_from(entry.age(now).as_secs()).unwrap_or(u32::MAX);
            batch.push((age, entry.signed.clone()));
            bytes += len;
            in_flight += len;
            due.sent(now);
        }
        if is_full {
            let on_their_way = adjacency.pending.values().map(|due| due.at);
            adjacency.full_until = on_their_way.filter(|at| *at > now).min();
        }
        batches.push(batch);
        for batch in batches.iter().filter(|batch| !batch.is_empty()) {
            let records = batch.iter().map(|(age, signed)| (*age, signed.as_bytes())).collect();
            self.send(link, &Message::Records(records));
        }
    }

    fn flush_requests(&mut self, now: Instant, link: LinkId, adjacency: &mut Adjacency) {
        adjacency.wants.retain(|router, want| {
            want.due.tries < MAX_ASKED && self.version_of(*router) < Some(want.version)
        });
        let due = adjacency.wants.iter_mut().filter(|(_, want)| want.due.at <= now);
        let asked: Vec<RouterId> = due
            .map(|(router, want)| {
                want.due.sent(now);
                *router
            })
            .collect();
        for some in asked.chunks(MAX_VERSIONS) {
            self.send(link, &Message::Request(some.to_vec()));
        }
    }

    /// Tells a pinned neighbour so, for its record, where that does not show it yet.
    fn flush_voucher(&mut self, now: Instant, link: LinkId, adjacency: &mut Adjacency) {
        let Some(due) = adjacency.voucher.as_mut().filter(|due| due.at <= now) else { return };
        let subject = adjacency.peer.site;
        let shown = self.database.entry(adjacency.peer).is_some_and(|entry| {
            entry.signed.vouchers.iter().any(|voucher| voucher.signer == self.me.site)
        });
        let is_ours = subject == self.me.site || self.trust.pins.contains_key(&subject);
        if shown || !is_ours || subject == self.me.site || due.tries >= MAX_VOUCHED {
            adjacency.voucher = None;
            return;
        }
        due.sent(now);
        let authority = &self.authority;
        let voucher =
            self.issued.entry(subject).or_insert_with(|| Voucher::issue_peer(authority, subject));
        let signature = voucher.signature.clone();
        self.send(link, &Message::Voucher(signature));
    }

    pub(crate) fn version_of(&self, router: RouterId) -> Option<Version> {
        if router == self.me {
            let (epoch, counter) = (self.origin.epoch, self.origin.counter);
            let none = Version { epoch, counter, tie: 0 };
            return Some(self.database.entry(router).map_or(none, |entry| entry.version.max(none)));
        }
        self.database.entry(router).map(|entry| entry.version)
    }
}
