//! Records as they come, each looked at as little as it deserves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use van_pki::{Voucher, VoucherKind};

use super::Router;
use super::sweep::MAX_AGE;
use crate::adjacency::Due;
use crate::database::Entry;
use crate::event::RouterEvent;
use crate::rate::Rate;
use crate::record::{Head, RecordError};
use crate::router_id::{LinkId, RouterId};
use crate::signed::SignedRecord;
use crate::version::{MAX_EPOCH, Version};

/// Records of one site that are taken in one go, and the time for each of the next.
pub(super) const ARRIVALS: (u32, Duration) = (10, Duration::from_millis(100));

/// A record as it came.
struct Arrival<'a> {
    link: LinkId,
    from: RouterId,
    age: Duration,
    bytes: &'a [u8],
    router: RouterId,
    version: Version,
}

impl Router {
    /// Takes a record: what is not newer costs no signature check, what comes too fast is left to
    /// be sent again.
    pub(super) fn take_record(
        &mut self,
        now: Instant,
        link: LinkId,
        from: RouterId,
        age: u32,
        bytes: &[u8],
    ) {
        let Head { router, epoch, counter } = match SignedRecord::head(bytes) {
            Ok(head) => head,
            Err(error) => return self.refuse(now, from, None, error),
        };
        if epoch > MAX_EPOCH {
            return self.refuse(now, from, Some(router), RecordError::Epoch);
        }
        // Most of what comes is known already, and compared faster than its checksum is made.
        let same = self.database.entry(router).filter(|entry| entry.signed.as_bytes() == bytes);
        let version =
            same.map_or_else(|| Version::of((epoch, counter), bytes), |entry| entry.version);
        let age = Duration::from_secs(u64::from(age));
        let arrival = Arrival { link, from, age, bytes, router, version };
        let passes_on = !self.is_own_mode_edge() || router == self.me || router == from;
        let Some(adjacency) = self.links.get_mut(&link) else { return };
        let known = self.database.entry(router).map(|entry| (entry.version, entry.member));
        match known {
            Some((known, _)) if known == version => {
                adjacency.pending.remove(&router);
            }
            Some((known, member)) if known > version => {
                if member && passes_on {
                    adjacency.pend_once(now, router);
                }
                if router == self.me {
                    self.recover_proofs(now, bytes);
                }
            }
            _ if router == self.me => self.take_own(now, &arrival),
            _ if age >= MAX_AGE => {}
            _ if self.is_revoked(router.site) => self.lost = true,
            _ => {
                if !self.take_newer(now, &arrival) {
                    return;
                }
            }
        }
        if let Some(adjacency) = self.links.get_mut(&link) {
            adjacency.acks.push((router, version));
        }
    }

    fn refuse(
        &mut self,
        now: Instant,
        from: RouterId,
        origin: Option<RouterId>,
        error: RecordError,
    ) {
        self.events.push(now, RouterEvent::BadRecord { from, origin, error });
    }

    /// Meets a record of this router that it did not make: a restored state or a fail-over.
    ///
    /// It goes on at the next epoch; at the last one there is, with the counter behind that record's.
    fn take_own(&mut self, now: Instant, arrival: &Arrival<'_>) {
        let own = self.authority.certificate();
        let checked = SignedRecord::check(arrival.bytes, &*self.signatures, Some(own));
        if let Err(error) = checked {
            return self.refuse(now, arrival.from, Some(arrival.router), error);
        }
        self.recover_proofs(now, arrival.bytes);
        let Version { epoch: met, counter, .. } = arrival.version;
        if Some(arrival.version) <= self.version_of(self.me) {
            return;
        }
        if met < MAX_EPOCH {
            (self.origin.epoch, self.origin.counter) = (met + 1, 0);
        } else {
            (self.origin.epoch, self.origin.counter) = (met, counter);
        }
        self.origin.forced = true;
        self.events.push(now, RouterEvent::NewEpoch { epoch: self.origin.epoch, met });
    }

    /// Takes a record that is newer than what is known; false where it is to be sent again later.
    fn take_newer(&mut self, now: Instant, arrival: &Arrival<'_>) -> bool {
        let Arrival { link, from, age, bytes, router, version } = *arrival;
        let is_member = self.members.contains(&router.site);
        if !is_member {
            // Before anything is kept of a site that may be invented.
            let adjacency = self.links.get_mut(&link);
            if !adjacency.is_some_and(|adjacency| adjacency.strangers.take(now)) {
                self.events.push(now, RouterEvent::Flood { origin: from.site, from });
                return false;
            }
        }
        let known = self.arrivals.contains_key(&router.site);
        if !known && self.arrivals.len() >= self.limits.routers {
            self.events.push(now, RouterEvent::Flood { origin: from.site, from });
            return false;
        }
        let rate = self.arrivals.entry(router.site);
        let rate = rate.or_insert_with(|| Rate::new(now, ARRIVALS.0, ARRIVALS.1));
        if !rate.take(now) {
            self.events.push(now, RouterEvent::Flood { origin: router.site, from });
            return false;
        }
        if !self.database.has_room(router, bytes.len(), &self.limits) {
            self.events.push(now, RouterEvent::DatabaseFull { refused: router });
            return true;
        }
        let known = self.database.of_site(router.site).next();
        let known = known.map(|entry| &entry.signed.authority);
        match SignedRecord::check(bytes, &*self.signatures, known) {
            Ok(signed) => self.store(now, link, age, version, router, signed),
            Err(error) => self.refuse(now, from, Some(router), error),
        }
        true
    }

    fn store(
        &mut self,
        now: Instant,
        link: LinkId,
        age: Duration,
        version: Version,
        router: RouterId,
        signed: SignedRecord,
    ) {
        let old = self.database.entry(router).map(|entry| entry.signed.clone());
        if let Some(old) = &old {
            let of_old = old.vouchers.iter().filter(|v| v.kind == VoucherKind::Admission);
            let gone = of_old.filter(|v| !(signed.vouchers.contains(v) && signed.shows(v)));
            self.remember_admissions(router, &gone.cloned().collect::<Vec<_>>());
            self.return_proofs(link, old, &signed);
        }
        self.keep_proof(&signed);
        let is_member = self.members.contains(&router.site);
        if !is_member && old.is_none() {
            let event =
                RouterEvent::ForeignSite { site: router.site, name: signed.record.name.clone() };
            self.foreign.push(event);
        }
        self.note_trust(router, is_member, old.as_deref(), &signed);
        if is_member {
            self.changed.records.insert(router);
        }
        // A neighbour that started anew shows no longer what it was told.
        let is_vouched = signed.vouchers.iter().any(|v| v.signer == self.me.site);
        for adjacency in self.links.values_mut().filter(|a| a.peer == router && !is_vouched) {
            if adjacency.voucher.is_none_or(|due| due.tries == 0) {
                adjacency.voucher = Some(Due::at(now));
            }
        }
        let entry = Entry::new(now, Arc::new(signed), version, age, Some(link));
        self.database.put(router, entry);
        self.unflooded.insert(router, Some(link));
        if let Some(adjacency) = self.links.get_mut(&link) {
            adjacency.pending.remove(&router);
        }
    }
    /// Notes what of the membership may be another after a newer record.
    fn note_trust(
        &mut self,
        router: RouterId,
        is_member: bool,
        old: Option<&SignedRecord>,
        new: &SignedRecord,
    ) {
        let Some(old) = old.filter(|_| is_member) else {
            self.changed.waiting = true;
            return;
        };
        if old.authority != new.authority {
            // Whatever was proven by that site's word is looked at again.
            self.changed.members = true;
            for (_, entry) in self.database.iter_mut() {
                entry.proven.remove(&router.site);
            }
            return;
        }
        let said = &new.record;
        if old.vouchers == new.vouchers && old.record.admitted == said.admitted {
            self.changed.waiting |= old.record.revoked != said.revoked;
            return;
        }
        // The chain that leads to this site stands while it shows the voucher at its end.
        let end = self.members.signer(&router.site);
        let shown = |signed: &SignedRecord, voucher: &Voucher| {
            signed.vouchers.contains(voucher) && signed.shows(voucher)
        };
        let mut ends = old.vouchers.iter().filter(|v| Some(v.signer) == end);
        self.changed.members |= ends.any(|v| old.shows(v) && !shown(new, v));
        // Who admitted it may have revoked it already.
        let is_new = |v: &&Voucher| v.kind == VoucherKind::Admission && !shown(old, v);
        self.changed.waiting |=
            old.record.revoked != said.revoked || new.vouchers.iter().any(|v| is_new(&v));
    }
}
