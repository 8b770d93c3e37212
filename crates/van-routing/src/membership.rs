//! Which sites are members: those to which a chain of vouchers leads from a pinned site or this one.
//!
//! They are worked out from the pinned sites on only where a member may have lost what made it one. Else
//! those that wait are looked at, because a record that came can only have made more of them members.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use van_model::SiteId;
use van_pki::{CertificateDer, Voucher};

use crate::admission::is_admission;
use crate::members::Members;
use crate::router::Router;
use crate::router_id::RouterId;

mod statements;

/// Rounds in which revocations may uncover others; more only in a network made for it.
const MAX_ROUNDS: usize = 16;

impl Router {
    /// Works out the members where they may be others, and takes the revocations that they may make.
    pub(crate) fn settle_membership(&mut self, now: Instant) {
        let waiting = std::mem::take(&mut self.changed.waiting);
        if std::mem::take(&mut self.changed.members) {
            self.settle_all(now);
        } else if waiting {
            self.settle_waiting(now);
        } else {
            return;
        }
        for event in std::mem::take(&mut self.foreign) {
            if event.key().1.is_some_and(|site| !self.members.contains(&site)) {
                self.events.push(now, event);
            }
        }
        self.lost |= self.database.shed_waiting(self.limits.waiting) > 0;
    }

    /// Works out the members from the pinned sites on.
    fn settle_all(&mut self, now: Instant) {
        for _ in 0..MAX_ROUNDS {
            let members = self.chain();
            let grown = !members.is_subset(&self.members);
            self.members = members;
            let changed = self.take_revocations(now);
            if grown {
                self.ask_for_lost(now);
            }
            if !changed {
                break;
            }
        }
        self.mark_members(now, true);
    }

    /// Looks whether those that wait are members, while all others stay.
    fn settle_waiting(&mut self, now: Instant) {
        let grown = self.admit_waiting();
        if self.take_revocations(now) {
            self.settle_all(now);
            return;
        }
        if grown {
            self.ask_for_lost(now);
        }
        self.mark_members(now, false);
    }

    fn ask_for_lost(&mut self, now: Instant) {
        if std::mem::take(&mut self.lost) {
            self.ask_again(now);
        }
    }

    /// Notes of each record whether its site is a member; `all`, or those that wait.
    fn mark_members(&mut self, now: Instant, all: bool) {
        for (router, entry) in self.database.iter_mut().filter(|(_, e)| all || !e.member) {
            let member = self.members.contains(&router.site);
            if member && !entry.member {
                self.unflooded.insert(*router, entry.from);
            }
            if !member {
                entry.unreachable.get_or_insert(now);
            }
            if member != entry.member {
                // The own record shows no link to a revoked neighbour, and no voucher of one.
                self.origin.dirty = true;
                self.changed.records.insert(*router);
            }
            entry.member = member;
        }
    }

    /// Whether a site was revoked by one who may.
    pub(crate) fn is_revoked(&self, site: SiteId) -> bool {
        site != self.me.site && self.revocations.is_out(site)
    }

    fn chain(&mut self) -> Members {
        let mut by_signer: BTreeMap<SiteId, Vec<(RouterId, usize)>> = BTreeMap::new();
        for (router, entry) in self.database.iter().filter(|(r, _)| r.site != self.me.site) {
            for (index, voucher) in entry.signed.vouchers.iter().enumerate() {
                by_signer.entry(voucher.signer).or_default().push((*router, index));
            }
        }
        let pins = self.trust.pins.iter();
        let pinned = pins.filter(|(id, pin)| !self.is_revoked(**id) && (self.trust.accepts)(pin));
        let pinned = pinned.map(|(id, _)| *id).chain([self.me.site]);
        let mut members = Members::pinned(pinned);
        let mut queue: VecDeque<SiteId> = members.iter().copied().collect();
        while let Some(signer) = queue.pop_front() {
            let Some(vouched) = by_signer.remove(&signer) else { continue };
            let Some(authority) = self.authority_of(signer) else { continue };
            for (router, index) in vouched {
                if !members.contains(&router.site) && self.is_good(router, index, &authority) {
                    members.insert(router.site, signer);
                    queue.push_back(router.site);
                }
            }
        }
        members
    }

    /// Adds the sites that wait and to which members' vouchers lead; returns whether there are any.
    fn admit_waiting(&mut self) -> bool {
        let waiting = self.database.iter().filter(|(_, entry)| !entry.member);
        let waiting = waiting.map(|(router, _)| *router);
        let mut waiting: Vec<_> = waiting.filter(|r| !self.members.contains(&r.site)).collect();
        let mut grown = false;
        loop {
            let before = waiting.len();
            waiting.retain(|router| !self.admit(*router));
            if waiting.len() == before {
                return grown;
            }
            grown = true;
        }
    }

    /// Makes a router's site a member, where a member's voucher is shown; returns whether it is one.
    fn admit(&mut self, router: RouterId) -> bool {
        let Some(entry) = self.database.entry(router) else { return false };
        let signers = entry.signed.vouchers.iter().map(|voucher| voucher.signer).enumerate();
        let signers: Vec<_> = signers.filter(|(_, s)| self.members.contains(s)).collect();
        for (index, signer) in signers {
            let Some(authority) = self.authority_of(signer) else { continue };
            if self.is_good(router, index, &authority) {
                self.members.insert(router.site, signer);
                return true;
            }
        }
        false
    }

    /// Whether a voucher makes its subject a member.
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
        let accepts = &self.trust.accepts;
        *entry.accepted.get_or_insert_with(|| accepts(&entry.signed.authority))
            && self.is_shown(router, index, authority)
    }

    /// Whether a record shows a voucher that is its signer's, and the origin's word on it where it is
    /// due; each is checked once.
    fn is_shown(
        &mut self,
        router: RouterId,
        index: usize,
        authority: &CertificateDer<'static>,
    ) -> bool {
        let Some(entry) = self.database.entry_mut(router) else { return false };
        let signed = &entry.signed;
        let voucher = &signed.vouchers[index];
        let signatures = &*self.signatures;
        *entry.verified[index].get_or_insert_with(|| {
            let (context, subject) = (voucher.kind.context(), voucher.subject.as_bytes());
            let is_meant = match signed.word_on(voucher) {
                Some(word) => is_admission(signatures, &signed.authority, word.by, &word.signature),
                None => signed.shows(voucher),
            };
            is_meant && signatures.verify(authority, context, subject, &voucher.signature)
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

    fn is_signed_by(&self, voucher: &Voucher, authority: &CertificateDer<'static>) -> bool {
        let (context, subject) = (voucher.kind.context(), voucher.subject.as_bytes());
        self.signatures.verify(authority, context, subject, &voucher.signature)
    }
}
