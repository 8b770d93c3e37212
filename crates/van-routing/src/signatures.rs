//! Who checks signatures.

use van_model::SiteId;
use van_pki::CertificateDer;

/// Checks signatures for a router; a simulation remembers answers here, so that a thousand routers
/// don't each compute the same one.
pub trait Signatures: Send + Sync {
    /// The site whose authority this is; `None` where it is no certificate.
    fn site_id(&self, certificate: &CertificateDer<'static>) -> Option<SiteId>;

    /// Whether `signature` is this authority's over `message` for the purpose `context`.
    fn verify(
        &self,
        certificate: &CertificateDer<'static>,
        context: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool;
}

/// Signatures as `van-pki` checks them.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealSignatures;

impl Signatures for RealSignatures {
    fn site_id(&self, certificate: &CertificateDer<'static>) -> Option<SiteId> {
        van_pki::site_id(certificate).ok()
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'static>,
        context: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        van_pki::verify(certificate, context, message, signature).is_ok()
    }
}
