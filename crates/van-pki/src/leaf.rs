//! The short-lived certificate that a site shows in handshakes.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;
use van_model::SiteId;

use crate::{PkiError, clock, tls};

/// A leaf certificate with its key, which never leaves the process.
#[derive(Clone)]
pub struct Leaf {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The start of its life, an hour before it was made.
    pub not_before: Timestamp,
    /// The end of its life.
    pub not_after: Timestamp,
    pub(crate) site: SiteId,
    pub(crate) key: Arc<dyn SigningKey>,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("site", &self.site)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Leaf {
    pub(crate) fn new(
        site: SiteId,
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Self, PkiError> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialized_der()));
        let key = tls::provider()
            .key_provider
            .load_private_key(der.clone_key())
            .map_err(|error| PkiError::Make(error.to_string()))?;
        Ok(Self { certificate, not_before, not_after, site, key })
    }

    /// When to issue the next one: in the middle of this one's life.
    pub fn renew_at(&self) -> Timestamp {
        let life = self.not_after.as_second().saturating_sub(self.not_before.as_second());
        clock::shift(self.not_before, life / 2)
    }
}
