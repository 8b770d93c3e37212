//! What a router is told from inside its own site.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use van_model::{Mode, SiteId};
use van_pki::{CertificateDer, Voucher};

use crate::record::OfferRecord;

/// What a site says of itself, beside its links.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The site's name.
    pub name: String,
    /// Interior or edge.
    pub mode: Mode,
    /// The software's version.
    pub software: String,
    /// What its operator wrote down about it.
    pub labels: BTreeMap<String, String>,
    /// What it offers; sorted by address when it is taken.
    pub offers: Vec<OfferRecord>,
}

/// Whether an organisation's bundle admits an authority.
pub type Accepts = Arc<dyn Fn(&CertificateDer<'static>) -> bool + Send + Sync>;

/// Whom a site trusts.
#[derive(Clone)]
pub struct Trust {
    /// Authorities of peers that this site pins.
    pub pins: BTreeMap<SiteId, CertificateDer<'static>>,
    /// Sites that this one revoked (an odd serial) or pardoned (an even one).
    pub revoked: BTreeMap<SiteId, u64>,
    /// Signatures of sites' words that this one admitted them, as [`Router::take_proofs`] gave them.
    ///
    /// [`Router::take_proofs`]: crate::Router::take_proofs
    pub proofs: BTreeMap<SiteId, Vec<u8>>,
    /// This site's id signed by sites that admitted it.
    pub vouchers: Vec<Voucher>,
    /// Whether an authority may be a member's at all.
    pub accepts: Accepts,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            pins: BTreeMap::new(),
            revoked: BTreeMap::new(),
            proofs: BTreeMap::new(),
            vouchers: Vec::new(),
            accepts: Arc::new(|_| true),
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("pins", &self.pins.keys())
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}
