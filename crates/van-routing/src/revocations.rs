//! Which sites are revoked, and by whom.
//!
//! A statement has a serial: an odd one revokes, an even one pardons, and of one signer's
//! statements on a site the highest counts, for as long as this router runs. Only who admitted the
//! site by a token may say so for all; what this site says counts here in any case.

use std::collections::BTreeMap;

use van_model::SiteId;
use van_pki::Voucher;

/// Admissions that are remembered at most.
const MAX_REMEMBERED: usize = 4096;

/// Statements that are remembered of one signer: as many as its record can make.
const MAX_EACH: usize = 1024;

/// Statements that are remembered in all, this site's own aside.
const MAX_STATEMENTS: usize = 65_536;

/// What is known of revocations; keys are (subject, signer).
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    serials: BTreeMap<(SiteId, SiteId), u64>,
    /// How many statements there are of each signer.
    signers: BTreeMap<SiteId, usize>,
    /// Admissions that their subject no longer shows.
    admissions: BTreeMap<(SiteId, SiteId), Voucher>,
}

impl Revocations {
    /// Takes a statement of one who may make it; returns whether it is newer than what was known.
    /// Nothing keeps this site's `own` from being taken.
    pub(crate) fn take(&mut self, subject: SiteId, signer: SiteId, serial: u64, own: bool) -> bool {
        if !self.is_newer(subject, signer, serial) {
            return false;
        }
        let is_new = !self.serials.contains_key(&(subject, signer));
        if is_new && !own {
            let by_signer = self.signers.get(&signer).copied().unwrap_or(0);
            if by_signer >= MAX_EACH || self.serials.len() >= MAX_STATEMENTS {
                return false;
            }
        }
        if is_new {
            *self.signers.entry(signer).or_default() += 1;
        }
        self.serials.insert((subject, signer), serial);
        true
    }

    /// Remembers a voucher that its subject no longer shows.
    pub(crate) fn remember(&mut self, voucher: &Voucher) {
        if self.admissions.len() < MAX_REMEMBERED {
            self.admissions.insert((voucher.subject, voucher.signer), voucher.clone());
        }
    }

    /// Forgets admissions of sites of which nothing is known any more.
    pub(crate) fn forget(&mut self, is_known: impl Fn(SiteId) -> bool) {
        self.admissions.retain(|(subject, _), _| is_known(*subject));
    }

    pub(crate) fn is_newer(&self, subject: SiteId, signer: SiteId, serial: u64) -> bool {
        self.serials.get(&(subject, signer)).is_none_or(|known| *known < serial)
    }

    pub(crate) fn admission(&self, subject: SiteId, signer: SiteId) -> Option<&Voucher> {
        self.admissions.get(&(subject, signer))
    }

    /// Whether somebody's last word revokes this site.
    pub(crate) fn is_out(&self, site: SiteId) -> bool {
        let lowest = SiteId::from_bytes([0; SiteId::BYTES]);
        let highest = SiteId::from_bytes([0xff; SiteId::BYTES]);
        let mut said = self.serials.range((site, lowest)..=(site, highest));
        said.any(|(_, serial)| serial % 2 == 1)
    }
}
