//! A site's word for another that it admitted.

use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use van_model::SiteId;

use crate::{Authority, PkiError, certificate, signature};

/// What a voucher of an admission is signed for.
const ADMISSION: &str = "vand voucher 1";
/// What a voucher of a peer is signed for.
const PEER: &str = "vand peer voucher 1";
/// The longest signature, in bytes: that of an 8192-bit RSA key.
const MAX_SIGNATURE: usize = 1024;

/// What a voucher says of its subject.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum VoucherKind {
    /// The signer admitted it by a token, and so may revoke it.
    #[default]
    Admission,
    /// The signer pins it as a peer, which gives no right to revoke it.
    Peer,
}

/// A site's id, signed by a site that admitted it or pins it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Voucher {
    /// The site that is vouched for.
    pub subject: SiteId,
    /// The site that vouches.
    pub signer: SiteId,
    /// What is said; an admission where a stored form has no such field.
    #[serde(default)]
    pub kind: VoucherKind,
    /// The signer's signature; in text forms base64.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub signature: Vec<u8>,
}

impl VoucherKind {
    /// The purpose that such a voucher is signed for, so that one kind never stands for the other.
    pub const fn context(self) -> &'static str {
        match self {
            Self::Admission => ADMISSION,
            Self::Peer => PEER,
        }
    }
}

impl Voucher {
    /// Vouches with this site's authority that it admitted `subject`.
    pub fn issue(authority: &Authority, subject: SiteId) -> Self {
        Self::of_kind(VoucherKind::Admission, authority, subject)
    }

    /// Vouches with this site's authority that it pins `subject`.
    pub fn issue_peer(authority: &Authority, subject: SiteId) -> Self {
        Self::of_kind(VoucherKind::Peer, authority, subject)
    }

    fn of_kind(kind: VoucherKind, authority: &Authority, subject: SiteId) -> Self {
        let signature = authority.sign(kind.context(), subject.as_bytes());
        Self { subject, signer: authority.id(), kind, signature }
    }

    /// Checks the voucher against its signer's authority.
    ///
    /// Fails where the certificate is another site's, or the signature is not its.
    pub fn verify(&self, signer_certificate: &CertificateDer<'_>) -> Result<(), PkiError> {
        let found = certificate::site_id(signer_certificate)?;
        if found != self.signer {
            return Err(PkiError::OtherSite { expected: self.signer, found });
        }
        let context = self.kind.context();
        signature::verify(signer_certificate, context, self.subject.as_bytes(), &self.signature)
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
