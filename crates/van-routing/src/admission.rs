//! A site's own word on who admitted it, from which the right to revoke it follows.
//!
//! A voucher alone can't show that right: any member could sign one for any site. So the admitted
//! site says in its record whose admissions it shows, and signs each of them by itself: that signature
//! is what a revoker shows later, when the site has stopped showing it.

use van_model::SiteId;
use van_pki::{Authority, CertificateDer};

use crate::signatures::Signatures;

/// What such a word is signed for.
const CONTEXT: &str = "van admitted 1";

/// The longest signature, in bytes: that of an 8192-bit RSA key.
pub(crate) const MAX_SIGNATURE: usize = 1024;

/// An origin's word that a site admitted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The site that admitted it.
    pub by: SiteId,
    /// The origin's signature over that site's id.
    pub signature: Vec<u8>,
}

/// What a site says of another that it admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The other site.
    pub site: SiteId,
    /// Odd where that is revoked, even where it is pardoned; the highest serial counts.
    pub serial: u64,
    /// The signature of the other site's [`Admission`], where it is known.
    pub proof: Option<Vec<u8>>,
}

impl Admission {
    /// Says with a site's authority that `by` admitted it.
    pub(crate) fn sign(authority: &Authority, by: SiteId) -> Self {
        Self { by, signature: authority.sign(CONTEXT, by.as_bytes()) }
    }
}

/// Whether `signature` is this authority's word that `by` admitted its site.
pub(crate) fn is_admission(
    signatures: &dyn Signatures,
    authority: &CertificateDer<'static>,
    by: SiteId,
    signature: &[u8],
) -> bool {
    signatures.verify(authority, CONTEXT, by.as_bytes(), signature)
}
