//! What members say of sites that they admitted, and whether they may.

use std::time::{Duration, Instant};

use van_model::SiteId;
use van_pki::{Voucher, VoucherKind};

use crate::admission::is_admission;
use crate::event::RouterEvent;
use crate::rate::Rate;
use crate::router::Router;
use crate::router_id::RouterId;

/// Proofs of one site that are looked at in one go, as many as one record has, and the time for each of
/// the next: who sends others all the time doesn't get more work out of this router.
const PROOFS: (u32, Duration) = (1024, Duration::from_millis(100));

/// A statement of another site: where it stands, and what it says.
#[derive(Clone, Copy)]
struct Said {
    by: RouterId,
    index: usize,
    site: SiteId,
    serial: u64,
}

impl Router {
    /// Takes what members say of sites that they admitted; returns whether that changed anything.
    pub(super) fn take_revocations(&mut self, now: Instant) -> bool {
        let mut changed = false;
        let own: Vec<_> = self.trust.revoked.iter().map(|(site, s)| (*site, *s)).collect();
        for (site, serial) in own {
            changed |= self.take_revocation(now, site, self.me.site, serial);
        }
        for said in self.said_newly() {
            let Said { by: RouterId { site: by, .. }, site, serial, .. } = said;
            // Another router of the same site may have said it meanwhile.
            if site == by || !self.revocations.is_newer(site, by, serial) {
                continue;
            }
            if self.may_revoke(now, &said) {
                changed |= self.take_revocation(now, site, by, serial);
            } else if self.authority_of(site).is_some() {
                // Of a site that is not known yet it may turn out to be proven.
                self.events.push(now, RouterEvent::RevocationIgnored { site, by });
            }
        }
        changed
    }

    /// Members' statements that were not taken yet.
    fn said_newly(&self) -> Vec<Said> {
        let mut said = Vec::new();
        let speak = self.database.iter().filter(|(_, e)| !e.signed.record.revoked.is_empty());
        for (by, entry) in speak {
            if by.site == self.me.site || !self.members.contains(&by.site) {
                continue;
            }
            let all = entry.signed.record.revoked.iter().enumerate();
            said.extend(
                all.map(|(index, s)| Said { by: *by, index, site: s.site, serial: s.serial })
                    .filter(|s| self.revocations.is_newer(s.site, by.site, s.serial)),
            );
        }
        said
    }

    fn take_revocation(&mut self, now: Instant, site: SiteId, by: SiteId, serial: u64) -> bool {
        let was_out = self.revocations.is_out(site);
        let own = by == self.me.site;
        if site == by || !self.revocations.take(site, by, serial, own) {
            return false;
        }
        match (was_out, self.revocations.is_out(site)) {
            (false, true) => self.events.push(now, RouterEvent::Revoked { site, by }),
            (true, false) => self.events.push(now, RouterEvent::Pardoned { site, by }),
            _ => {}
        }
        true
    }

    /// Whether the speaker admitted the site: as that site's record shows or once showed, or as the
    /// speaker proves.
    fn may_revoke(&mut self, now: Instant, said: &Said) -> bool {
        let (site, by) = (said.site, said.by.site);
        self.revocations.admission(site, by).is_some()
            || self.is_shown_admission(site, by)
            || self.is_own_admission(site, by)
            || self.is_proven(now, said)
    }

    fn is_shown_admission(&mut self, site: SiteId, by: SiteId) -> bool {
        let of_site = self.database.routers_of(site);
        let shown = of_site.flat_map(|(router, entry)| {
            let vouchers = entry.signed.vouchers.iter().enumerate();
            vouchers
                .filter(|(_, v)| v.kind == VoucherKind::Admission && v.signer == by)
                .map(|(index, _)| (*router, index))
        });
        let shown: Vec<_> = shown.collect();
        let Some(authority) = self.authority_of(by) else { return false };
        shown.into_iter().any(|(router, index)| self.is_shown(router, index, &authority))
    }

    /// Whether `by` admitted this site; looked at once until the trust is another.
    fn is_own_admission(&mut self, site: SiteId, by: SiteId) -> bool {
        if site != self.me.site {
            return false;
        }
        if let Some(known) = self.admitted_by.get(&by) {
            return *known;
        }
        let of_by =
            |v: &&Voucher| v.subject == site && v.signer == by && v.kind == VoucherKind::Admission;
        let vouchers: Vec<_> = self.trust.vouchers.iter().filter(of_by).collect();
        let authority = self.authority_of(by).filter(|_| !vouchers.is_empty());
        let Some(authority) = authority else { return false };
        let is_good = vouchers.into_iter().any(|v| self.is_signed_by(v, &authority));
        self.admitted_by.insert(by, is_good);
        is_good
    }

    /// Whether the site's own word comes with a statement; each is looked at once.
    fn is_proven(&mut self, now: Instant, said: &Said) -> bool {
        let Some(authority) = self.authority_of(said.site) else { return false };
        let by = said.by.site;
        let Some(entry) = self.database.entry_mut(said.by) else { return false };
        let signed = &entry.signed;
        let Some(proof) = &signed.record.revoked[said.index].proof else { return false };
        if let Some(known) = entry.proven.get(&said.site) {
            return *known;
        }
        let rate = self.proof_rates.entry(by);
        if !rate.or_insert_with(|| Rate::new(now, PROOFS.0, PROOFS.1)).take(now) {
            self.unproven = true;
            return false;
        }
        let is_proven = is_admission(&*self.signatures, &authority, by, proof);
        entry.proven.insert(said.site, is_proven);
        is_proven
    }

    /// Remembers the admissions that a site's newer record shows no longer.
    pub(crate) fn remember_admissions(&mut self, router: RouterId, gone: &[Voucher]) {
        for voucher in gone {
            let Some(authority) = self.authority_of(voucher.signer) else { continue };
            let Some(entry) = self.database.entry(router) else { return };
            let index = entry.signed.vouchers.iter().position(|v| v == voucher);
            // Only what is true, of members: a site could fill the memory with others to hide its own.
            if self.members.contains(&voucher.signer)
                && index.is_some_and(|index| self.is_shown(router, index, &authority))
            {
                self.revocations.remember(voucher);
            }
        }
    }
}
