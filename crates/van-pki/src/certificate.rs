//! Certificates as they come from outside, read once.

use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use van_model::SiteId;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

use crate::PkiError;

/// The largest certificate that is looked at, in bytes.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// Reads one certificate: DER, version 3, at most 16 KiB, nothing behind it.
pub(crate) fn parse<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, PkiError> {
    if certificate.len() > MAX_CERTIFICATE {
        return Err(PkiError::Certificate("it is larger than 16 KiB"));
    }
    let (rest, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| PkiError::Certificate("it isn't a DER-encoded X.509 certificate"))?;
    if !rest.is_empty() {
        return Err(PkiError::Certificate("there are bytes behind it"));
    }
    if parsed.version() != X509Version::V3 {
        return Err(PkiError::Certificate("it isn't of X.509 version 3"));
    }
    Ok(parsed)
}

/// Computes the id of the site whose authority this is: the first 160 bits of the SHA-256 of the
/// certificate's SubjectPublicKeyInfo (DER).
pub fn site_id(certificate: &CertificateDer<'_>) -> Result<SiteId, PkiError> {
    Ok(id_of_key(parse(certificate)?.public_key().raw))
}

/// The id that belongs to a SubjectPublicKeyInfo (DER).
pub(crate) fn id_of_key(spki: &[u8]) -> SiteId {
    let hash = digest::digest(&digest::SHA256, spki);
    let (head, _) = hash.as_ref().split_first_chunk().expect("SHA-256 has more than 20 bytes");
    SiteId::from_bytes(*head)
}

/// Computes the SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The start and the end of a certificate's life.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let time = |second: i64| {
        Timestamp::from_second(second).unwrap_or(if second < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    };
    let validity = certificate.validity();
    (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()))
}

/// Whether the certificate may issue others: basicConstraints and, where present, keyUsage say so.
pub(crate) fn is_authority(certificate: &X509Certificate<'_>) -> Result<bool, PkiError> {
    let constraints = certificate
        .basic_constraints()
        .map_err(|_| PkiError::Certificate("its basicConstraints can't be read"))?;
    let usage =
        certificate.key_usage().map_err(|_| PkiError::Certificate("its keyUsage can't be read"))?;
    Ok(constraints.is_some_and(|c| c.value.ca) && usage.is_none_or(|u| u.value.key_cert_sign()))
}

/// Whether the extended key usage names both ends of a TLS connection.
pub(crate) fn serves_both_ends(certificate: &X509Certificate<'_>) -> Result<bool, PkiError> {
    let usage = certificate
        .extended_key_usage()
        .map_err(|_| PkiError::Certificate("its extendedKeyUsage can't be read"))?;
    Ok(usage.is_some_and(|u| u.value.client_auth && u.value.server_auth))
}

/// The one subject alternative name, if it is a DNS name; else what stands there instead.
pub(crate) fn only_dns_name<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, String> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| "unreadable names".to_owned())?
        .map_or(&[][..], |san| &san.value.general_names[..]);
    match names {
        [GeneralName::DNSName(name)] => Ok(name),
        [] => Err("no name".to_owned()),
        [_] => Err("a name that is no DNS name".to_owned()),
        _ => Err(format!("{} names", names.len())),
    }
}
