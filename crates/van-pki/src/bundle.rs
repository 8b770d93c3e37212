//! The authorities of an organisation, which restrict who may be a peer.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS,
};

use crate::{PeerError, PkiError, certificate};

/// The most certificates in a bundle.
const MAX_AUTHORITIES: usize = 256;

/// The certificates of `[identity] bundle`: a peer's authority must be one of them, or be signed
/// directly by one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    authorities: Vec<CertificateDer<'static>>,
}

impl Bundle {
    /// Reads a bundle of 1 to 256 certificates in PEM, each of an authority.
    ///
    /// Name constraints are refused: an id says nothing about an organisation's names.
    pub fn from_pem(pem: &[u8]) -> Result<Self, PkiError> {
        let authorities = CertificateDer::pem_slice_iter(pem)
            .take(MAX_AUTHORITIES + 1)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| PkiError::Pem { what: "identity's bundle" })?;
        if authorities.is_empty() {
            return Err(PkiError::Pem { what: "identity's bundle" });
        }
        if authorities.len() > MAX_AUTHORITIES {
            return Err(PkiError::Certificate("a bundle has at most 256"));
        }
        for authority in &authorities {
            let parsed = certificate::parse(authority)?;
            if !certificate::is_authority(&parsed)? {
                return Err(PkiError::NotAnAuthority);
            }
            if !matches!(parsed.name_constraints(), Ok(None)) {
                return Err(PkiError::Certificate(
                    "name constraints are not supported in a bundle",
                ));
            }
        }
        Ok(Self { authorities })
    }

    /// Checks that a site's authority belongs to the organisation at `now`.
    ///
    /// Fails with [`PeerError::NotAdmitted`], or with the life of a certificate that has run out.
    pub fn admits(&self, authority: &CertificateDer<'_>, now: Timestamp) -> Result<(), PeerError> {
        let site = certificate::parse(authority)?;
        if !certificate::is_authority(&site)? || has_unknown_critical(&site) {
            return Err(PeerError::NotAdmitted);
        }
        in_time(&site, now)?;
        let mut refusal = PeerError::NotAdmitted;
        for signer in &self.authorities {
            let parsed = certificate::parse(signer)?;
            if signer == authority {
                return Ok(());
            }
            if !signed(&site, &parsed) {
                continue;
            }
            match in_time(&parsed, now) {
                Ok(()) => return Ok(()),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

/// Whether `signer` may have signed `site` and did.
fn signed(site: &X509Certificate<'_>, signer: &X509Certificate<'_>) -> bool {
    let room = match signer.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.path_len_constraint.is_none_or(|n| n >= 1),
        _ => false,
    };
    room && site.issuer().as_raw() == signer.subject().as_raw()
        && site.verify_signature(Some(signer.public_key())).is_ok()
}

fn in_time(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), PeerError> {
    let (not_before, not_after) = certificate::validity(certificate);
    if now > not_after {
        return Err(PeerError::Expired { not_after });
    }
    if now < not_before {
        return Err(PeerError::NotYetValid { not_before });
    }
    Ok(())
}

/// Whether a critical extension stands there that neither this check nor webpki's understands.
fn has_unknown_critical(certificate: &X509Certificate<'_>) -> bool {
    let known = [
        OID_X509_EXT_BASIC_CONSTRAINTS,
        OID_X509_EXT_KEY_USAGE,
        // webpki holds the leaf to its own authority's name constraints.
        OID_X509_EXT_NAME_CONSTRAINTS,
    ];
    certificate.extensions().iter().any(|e| e.critical && !known.contains(&e.oid))
}
