//! The sites that are members, and by whose word.

use std::collections::BTreeMap;

use van_model::SiteId;

/// Members, each with the site whose voucher made it one; pinned sites and this one need none.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by: BTreeMap<SiteId, Option<SiteId>>,
}

impl Members {
    /// Members that need no voucher.
    pub(crate) fn pinned(sites: impl Iterator<Item = SiteId>) -> Self {
        Self { by: sites.map(|site| (site, None)).collect() }
    }

    /// Adds a site by the word of a member.
    pub(crate) fn insert(&mut self, site: SiteId, signer: SiteId) {
        self.by.entry(site).or_insert(Some(signer));
    }

    pub(crate) fn contains(&self, site: &SiteId) -> bool {
        self.by.contains_key(site)
    }

    /// Whose voucher made a site a member, where it took one.
    pub(crate) fn signer(&self, site: &SiteId) -> Option<SiteId> {
        self.by.get(site).copied().flatten()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SiteId> {
        self.by.keys()
    }

    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.by.keys().all(|site| other.contains(site))
    }
}
