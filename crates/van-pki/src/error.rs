//! What goes wrong with a site's own keys and certificates.

use van_model::SiteId;

/// Why a key, certificate or signature can't be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    /// A PEM text has no usable block of the kind.
    #[error("reading the {what}: no readable PEM block in it: write PEM as openssl does")]
    Pem {
        /// Which text.
        what: &'static str,
    },
    /// A certificate isn't one, or has something that no site's certificate has.
    #[error("reading a certificate: {0}")]
    Certificate(&'static str),
    /// The certificate may not issue others.
    #[error(
        "using the certificate as an authority: it may not issue certificates: \
         give a certificate with basicConstraints CA:TRUE and keyUsage keyCertSign"
    )]
    NotAnAuthority,
    /// The key isn't the certificate's.
    #[error("using the key with the certificate: they don't belong together: give a matching pair")]
    KeyMismatch,
    /// The key's kind isn't supported.
    #[error(
        "using the authority's key: its kind isn't supported: \
         use ECDSA P-256, ECDSA P-384, Ed25519 or RSA with 2048 to 8192 bits"
    )]
    UnsupportedKey,
    /// The authority's certificate has run out.
    #[error("issuing a leaf certificate: the authority expired at {0}: renew its certificate")]
    AuthorityExpired(jiff::Timestamp),
    /// The authority's certificate is not yet valid.
    #[error("issuing a leaf certificate: the authority is valid from {0}: check the clock")]
    AuthorityNotYetValid(jiff::Timestamp),
    /// The clock shows a time that no certificate can hold.
    #[error("making a certificate: the clock shows {0}, outside of 1970 to 9900: set the clock")]
    Clock(jiff::Timestamp),
    /// A signature doesn't fit.
    #[error("checking a signature: it isn't the authority's over this message")]
    Signature,
    /// A certificate belongs to another site.
    #[error("checking an authority: it is site {found}'s, not site {expected}'s")]
    OtherSite {
        /// The site that it should be.
        expected: SiteId,
        /// The site that it is.
        found: SiteId,
    },
    /// Making a key or a certificate failed.
    #[error("making a key or a certificate: {0}")]
    Make(String),
}

impl From<rcgen::Error> for PkiError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error.to_string())
    }
}
