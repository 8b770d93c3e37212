//! What this site can show with its own revocations: the revoked sites' words that it admitted them.
//!
//! They are taken from those sites' records while they show them, and given to the shell to be kept.
//! To a router that starts anew without them its neighbours send its last record, which has them.

use std::time::Instant;

use van_model::SiteId;

use super::Router;
use crate::admission::is_admission;
use crate::message::Message;
use crate::rate::Rate;
use crate::router_id::LinkId;
use crate::signed::SignedRecord;

use super::records::ARRIVALS;

/// Sites' words that are kept.
const MAX_PROOFS: usize = 4096;

impl Router {
    /// Takes the proofs that came since the last call, to be kept and to be given back with
    /// [`Router::set_trust`] after a restart.
    pub fn take_proofs(&mut self) -> Vec<(SiteId, Vec<u8>)> {
        std::mem::take(&mut self.new_proofs)
    }

    /// Knows again what was kept.
    pub(super) fn take_kept_proofs(&mut self) {
        for (site, proof) in &self.trust.proofs {
            if self.proofs.len() < MAX_PROOFS {
                self.proofs.entry(*site).or_insert_with(|| proof.clone());
            }
        }
    }

    /// Keeps a site's word that this one admitted it.
    pub(super) fn keep_proof(&mut self, signed: &SignedRecord) {
        let (site, me) = (signed.record.origin, self.me.site);
        let mut words = signed.record.admitted.iter().flatten();
        let Some(word) = words.find(|word| word.by == me) else { return };
        if !self.proofs.contains_key(&site)
            && self.proofs.len() < MAX_PROOFS
            && is_admission(&*self.signatures, &signed.authority, me, &word.signature)
        {
            self.new_proofs.push((site, word.signature.clone()));
            self.proofs.insert(site, word.signature.clone());
            self.origin.dirty |= self.trust.revoked.contains_key(&site);
        }
    }

    /// Sends a neighbour its record of before, where that proves more than the one that it says now.
    pub(super) fn return_proofs(&mut self, link: LinkId, old: &SignedRecord, new: &SignedRecord) {
        let is_proven = |signed: &SignedRecord, of| {
            signed.record.revoked.iter().any(|s| s.site == of && s.proof.is_some())
        };
        let is_lost =
            new.record.revoked.iter().any(|s| s.proof.is_none() && is_proven(old, s.site));
        let is_from_it = self.links.get(&link).is_some_and(|a| a.peer == new.record.router());
        if is_lost && is_from_it {
            let message = Message::Records(vec![(0, old.as_bytes())]);
            self.outbox.push((link, message.encode()));
        }
    }

    /// Takes from an older record of this router what it could prove then.
    pub(super) fn recover_proofs(&mut self, now: Instant, bytes: &[u8]) {
        let unproven = |site: &_| !self.proofs.contains_key(site);
        if !self.trust.revoked.keys().any(unproven) {
            return;
        }
        let rate = self.arrivals.entry(self.me.site);
        if !rate.or_insert_with(|| Rate::new(now, ARRIVALS.0, ARRIVALS.1)).take(now) {
            return;
        }
        let own = self.authority.certificate();
        let Ok(signed) = SignedRecord::check(bytes, &*self.signatures, Some(own)) else { return };
        for said in signed.record.revoked {
            let Some(proof) = said.proof.filter(|_| self.trust.revoked.contains_key(&said.site))
            else {
                continue;
            };
            if self.proofs.len() < MAX_PROOFS && !self.proofs.contains_key(&said.site) {
                self.new_proofs.push((said.site, proof.clone()));
                self.proofs.insert(said.site, proof);
                self.origin.dirty = true;
            }
        }
    }
}
