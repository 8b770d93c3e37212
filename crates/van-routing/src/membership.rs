//! Which sites are members: those to which a chain of vouchers leads from a pinned site or this one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use van_model::SiteId;
use van_pki::{CertificateDer, Voucher, VoucherKind};

use crate::event::RouterEvent;
use crate::router::Router;
use crate::router_id::RouterId;

/// Rounds in which revocations may uncover others; more only in a network made for it.
const MAX_ROUNDS: usize = 16;

impl Router {
    /// Works out the members anew, and takes the revocations that they may make.
    pub(crate) fn settle_membership(&mut self, now: Instant) {
        for _ in 0..MAX_ROUNDS {
            let members = self.chain();
            let changed = self.take_revocations(now, &members);
            let grown = !members.is_subset(&self.members);
            self.members = members;
            if grown && self.lost {
                self.lost = false;
                self.ask_again(now);
            }
            if !changed {
                break;
            }
        }
        let mut changed = false;
        for (router, entry) in self.database.iter_mut() {
            let member = self.members.contains(&router.site);
            if member && !entry.member {
                self.unflooded.insert(*router, entry.from);
            }
            if !member {
                entry.unreachable.get_or_insert(now);
            }
            changed |= member != entry.member;
            entry.member = member;
        }
        for event in std::mem::take(&mut self.foreign) {
            if event.key().1.is_some_and(|site| !self.members.contains(&site)) {
                self.events.push(now, event);
            }
        }
        self.lost |= self.database.shed_waiting(self.limits.waiting) > 0;
        // The own record shows no link to a revoked neighbour, and no voucher of one.
        self.origin.dirty |= changed;
        self.changed.paths |= changed;
    }

    /// Whether a site was revoked by one who may.
    pub(crate) fn is_revoked(&self, site: SiteId) -> bool {
        site != self.me.site && self.revocations.is_out(site)
    }

    fn chain(&mut self) -> BTreeSet<SiteId> {
        let mut by_signer: BTreeMap<SiteId, Vec<(RouterId, usize)>> = BTreeMap::new();
        for (router, entry) in self.database.iter().filter(|(r, _)| r.site != self.me.site) {
            for (index, voucher) in entry.signed.vouchers.iter().enumerate() {
                by_signer.entry(voucher.signer).or_default().push((*router, index));
            }
        }
        let pins = self.trust.pins.iter();
        let pinned = pins.filter(|(id, pin)| !self.is_revoked(**id) && (self.trust.accepts)(pin));
        let mut members: BTreeSet<SiteId> = pinned.map(|(id, _)| *id).collect();
        members.insert(self.me.site);
        let mut queue: VecDeque<SiteId> = members.iter().copied().collect();
        while let Some(signer) = queue.pop_front() {
            let Some(vouched) = by_signer.remove(&signer) else { continue };
            let Some(authority) = self.authority_of(signer) else { continue };
            for (router, index) in vouched {
                if !members.contains(&router.site) && self.is_good(router, index, &authority) {
                    members.insert(router.site);
                    queue.push_back(router.site);
                }
            }
        }
        members
    }

    /// Whether a voucher makes its subject a member; each signature is checked once.
    fn is_good(
        &mut self,
        router: RouterId,
        index: usize,
        authority: &CertificateDer<'static>,
    ) -> bool {
        if self.is_revoked(router.site) {
            return false;
        }
        let Some(entry) = self.database.entry_mut(router) else { return false };
        let signed = &entry.signed;
        let accepts = &self.trust.accepts;
        if !*entry.accepted.get_or_insert_with(|| accepts(&signed.authority)) {
            return false;
        }
        let voucher = &signed.vouchers[index];
        *entry.verified[index].get_or_insert_with(|| {
            let (context, subject) = (voucher.kind.context(), voucher.subject.as_bytes());
            self.signatures.verify(authority, context, subject, &voucher.signature)
        })
    }

    /// The authority of this site, a pinned one, or one whose record is here.
    pub(crate) fn authority_of(&self, site: SiteId) -> Option<CertificateDer<'static>> {
        if site == self.me.site {
            return Some(self.authority.certificate().clone());
        }
        let pinned = self.trust.pins.get(&site);
        pinned.or_else(|| Some(&self.database.of_site(site).next()?.signed.authority)).cloned()
    }

    /// Takes what members say of sites that they admitted; returns whether that changed anything.
    fn take_revocations(&mut self, now: Instant, members: &BTreeSet<SiteId>) -> bool {
        let by_members = self.database.iter().filter(|(router, _)| members.contains(&router.site));
        let said = by_members.flat_map(|(router, entry)| {
            let revoked = entry.signed.record.revoked.iter();
            revoked.map(|(subject, serial)| (*subject, router.site, *serial))
        });
        let mut said: Vec<_> = said.filter(|s| self.revocations.is_newer(s.0, s.1, s.2)).collect();
        let own = self.trust.revoked.iter().map(|(site, serial)| (*site, self.me.site, *serial));
        said.extend(own);
        let mut changed = false;
        for (site, by, serial) in said {
            if site == by || !self.revocations.is_newer(site, by, serial) {
                continue;
            }
            if by != self.me.site && !self.may_revoke(site, by) {
                self.events.push(now, RouterEvent::RevocationIgnored { site, by });
                continue;
            }
            let was_out = self.revocations.is_out(site);
            if !self.revocations.take(site, by, serial, by == self.me.site) {
                continue;
            }
            changed = true;
            match (was_out, self.revocations.is_out(site)) {
                (false, true) => self.events.push(now, RouterEvent::Revoked { site, by }),
                (true, false) => self.events.push(now, RouterEvent::Pardoned { site, by }),
                _ => {}
            }
        }
        changed
    }

    /// Whether `by` admitted `site`, as that site's record shows or once showed.
    fn may_revoke(&self, site: SiteId, by: SiteId) -> bool {
        let Some(authority) = self.authority_of(by) else { return false };
        let shown = self.database.of_site(site).flat_map(|entry| &entry.signed.vouchers);
        let own = self.trust.vouchers.iter().filter(|v| v.subject == site);
        let mut admissions = shown
            .chain(self.revocations.admission(site, by))
            .chain(own)
            .filter(|v| v.kind == VoucherKind::Admission && v.signer == by);
        admissions.any(|v| self.is_signed_by(v, &authority))
    }

    /// Whether a voucher is its signer's.
    pub(crate) fn is_signed(&self, voucher: &Voucher) -> bool {
        let authority = self.authority_of(voucher.signer);
        authority.is_some_and(|authority| self.is_signed_by(voucher, &authority))
    }

    fn is_signed_by(&self, voucher: &Voucher, authority: &CertificateDer<'static>) -> bool {
        let (context, subject) = (voucher.kind.context(), voucher.subject.as_bytes());
        self.signatures.verify(authority, context, subject, &voucher.signature)
    }
}
