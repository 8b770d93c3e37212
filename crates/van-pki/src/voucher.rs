//! A site's word for another that it admitted.

use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use van_model::SiteId;

use crate::{Authority, PkiError, certificate, signature};

/// What vouchers are signed for.
const CONTEXT: &str = "vand voucher 1";
/// The longest signature, in bytes: that of an 8192-bit RSA key.
const MAX_SIGNATURE: usize = 1024;

/// A site's id, signed by the site whose token admitted it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Voucher {
    /// The site that was admitted.
    pub subject: SiteId,
    /// The site that admitted it.
    pub signer: SiteId,
    /// The signer's signature; in text forms base64.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub signature: Vec<u8>,
}

impl Voucher {
    /// Vouches for `subject` with this site's authority.
    pub fn issue(authority: &Authority, subject: SiteId) -> Self {
        let signature = authority.sign(CONTEXT, subject.as_bytes());
        Self { subject, signer: authority.id(), signature }
    }

    /// Checks the voucher against its signer's authority.
    ///
    /// Fails where the certificate is another site's, or the signature is not its.
    pub fn verify(&self, signer_certificate: &CertificateDer<'_>) -> Result<(), PkiError> {
        let found = certificate::site_id(signer_certificate)?;
        if found != self.signer {
            return Err(PkiError::OtherSite { expected: self.signer, found });
        }
        signature::verify(signer_certificate, CONTEXT, self.subject.as_bytes(), &self.signature)
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|_| serde::de::Error::custom("a voucher's signature is base64"))?;
    if bytes.len() > MAX_SIGNATURE {
        return Err(serde::de::Error::custom("a voucher's signature has at most 1024 bytes"));
    }
    Ok(bytes)
}
