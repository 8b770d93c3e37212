//! The records that a router holds.

use std::collections::BTreeMap;
use std::collections::btree_map::{Iter, IterMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use van_model::SiteId;

use crate::router_id::{LinkId, RouterId};
use crate::signed::SignedRecord;
use crate::version::Version;

/// A record, and what this router makes of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) signed: Arc<SignedRecord>,
    pub(crate) version: Version,
    /// Whether vouchers lead to its site; others' records wait, and are neither used nor passed on.
    pub(crate) member: bool,
    /// What the organisation's bundle said of its authority, once it was asked.
    pub(crate) accepted: Option<bool>,
    /// Of each voucher whether its signature is good, once that was looked at.
    pub(crate) verified: Vec<Option<bool>>,
    /// Of statements with a proof whether it is one, by their sites, once that was looked at.
    pub(crate) proven: BTreeMap<SiteId, bool>,
    /// The link over which it came; none for this router's own.
    pub(crate) from: Option<LinkId>,
    /// Since when no path leads to it.
    pub(crate) unreachable: Option<Instant>,
    received: Instant,
    age: Duration,
    order: u64,
}

impl Entry {
    /// An entry for a record that was `age` old when it came.
    pub(crate) fn new(
        now: Instant,
        signed: Arc<SignedRecord>,
        version: Version,
        age: Duration,
        from: Option<LinkId>,
    ) -> Self {
        Self {
            verified: vec![None; signed.vouchers.len()],
            proven: BTreeMap::new(),
            signed,
            version,
            member: false,
            accepted: None,
            from,
            unreachable: Some(now),
            received: now,
            age,
            order: 0,
        }
    }

    /// The time since its origin made it, as its holders counted it.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.received)
    }
}

/// How much a router holds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Routers, at most.
    pub routers: usize,
    /// Bytes of signed records, at most.
    pub bytes: usize,
    /// Records of sites that no voucher leads to, at most; the oldest go first.
    pub waiting: usize,
    /// Routers of one site, at most.
    pub replicas: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { routers: 2000, bytes: 64 << 20, waiting: 256, replicas: 32 }
    }
}

/// All records that a router holds, by router.
#[derive(Debug, Default)]
pub(crate) struct Database {
    entries: BTreeMap<RouterId, Entry>,
    bytes: usize,
    order: u64,
}

impl Database {
    /// Puts a record in the place of an older one, what is known of both taken over.
    pub(crate) fn put(&mut self, router: RouterId, mut entry: Entry) {
        self.order += 1;
        entry.order = self.order;
        self.bytes += entry.signed.as_bytes().len();
        let Some(old) = self.entries.remove(&router) else {
            self.entries.insert(router, entry);
            return;
        };
        self.bytes -= old.signed.as_bytes().len();
        entry.order = old.order;
        entry.unreachable = old.unreachable;
        entry.member = old.member;
        if entry.signed.authority == old.signed.authority {
            entry.accepted = old.accepted;
        }
        for (voucher, verified) in entry.signed.vouchers.iter().zip(&mut entry.verified) {
            let before = old.signed.vouchers.iter().position(|v| v == voucher);
            let is_same = entry.signed.word_on(voucher) == old.signed.word_on(voucher)
                && entry.signed.shows(voucher) == old.signed.shows(voucher);
            *verified = before.filter(|_| is_same).and_then(|i| old.verified[i]);
        }
        if !old.proven.is_empty() {
            let before = &old.signed.record.revoked;
            let before: BTreeMap<_, _> = before.iter().map(|s| (s.site, &s.proof)).collect();
            let now = entry.signed.record.revoked.iter();
            let same = now.filter(|s| before.get(&s.site) == Some(&&s.proof)).map(|s| s.site);
            entry.proven = same.filter_map(|site| Some((site, *old.proven.get(&site)?))).collect();
        }
        self.entries.insert(router, entry);
    }

    pub(crate) fn remove(&mut self, router: RouterId) -> Option<Entry> {
        let entry = self.entries.remove(&router)?;
        self.bytes -= entry.signed.as_bytes().len();
        Some(entry)
    }

    /// Removes the oldest waiting records beyond `limit`; returns how many.
    pub(crate) fn shed_waiting(&mut self, limit: usize) -> usize {
        let waiting = self.entries.iter().filter(|(_, e)| !e.member);
        let mut waiting: Vec<_> = waiting.map(|(router, e)| (e.order, *router)).collect();
        waiting.sort_unstable();
        let excess = waiting.len().saturating_sub(limit);
        for (_, router) in waiting.drain(..excess) {
            self.remove(router);
        }
        excess
    }

    pub(crate) fn entry(&self, router: RouterId) -> Option<&Entry> {
        self.entries.get(&router)
    }

    pub(crate) fn entry_mut(&mut self, router: RouterId) -> Option<&mut Entry> {
        self.entries.get_mut(&router)
    }

    pub(crate) fn iter(&self) -> Iter<'_, RouterId, Entry> {
        self.entries.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> IterMut<'_, RouterId, Entry> {
        self.entries.iter_mut()
    }

    /// One site's routers.
    pub(crate) fn routers_of(&self, site: SiteId) -> impl Iterator<Item = (&RouterId, &Entry)> {
        let router = |replica| RouterId { site, replica };
        self.entries.range(router(0)..=router(u16::MAX))
    }

    /// Entries of one site's routers.
    pub(crate) fn of_site(&self, site: SiteId) -> impl Iterator<Item = &Entry> {
        self.routers_of(site).map(|(_, entry)| entry)
    }

    /// Whether a record of `len` bytes of this router may be held.
    pub(crate) fn has_room(&self, router: RouterId, len: usize, limits: &Limits) -> bool {
        let old = self.entries.get(&router).map(|e| e.signed.as_bytes().len());
        let fits = self.bytes - old.unwrap_or(0) + len <= limits.bytes;
        let is_new_fits = || {
            self.entries.len() < limits.routers
                && self.of_site(router.site).count() < limits.replicas
        };
        fits && (old.is_some() || is_new_fits())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
