//! Signatures by an authority's key over things other than certificates.
//!
//! The signed bytes are a 16-bit big-endian length of the context, the context and the message. No
//! context is longer than 255 bytes, so they begin with a zero byte, which neither a certificate
//! (0x30) nor a TLS 1.3 signature (0x20) does.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::CertificateDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{PkiError, certificate};

/// The longest context, in bytes.
const MAX_CONTEXT: usize = 255;

/// Checks that `signature` is the authority's over `message` for the purpose `context`.
///
/// Fails with [`PkiError::Signature`] for any other signer, message or context.
pub fn verify(
    certificate: &CertificateDer<'_>,
    context: &str,
    message: &[u8],
    signature: &[u8],
) -> Result<(), PkiError> {
    if context.len() > MAX_CONTEXT {
        return Err(PkiError::Signature);
    }
    let parsed = certificate::parse(certificate)?;
    let spki = parsed.public_key();
    UnparsedPublicKey::new(algorithm(spki)?, &spki.subject_public_key.data)
        .verify(&preimage(context, message), signature)
        .map_err(|_| PkiError::Signature)
}

/// The bytes that are signed.
pub(crate) fn preimage(context: &str, message: &[u8]) -> Vec<u8> {
    assert!(context.len() <= MAX_CONTEXT, "a signature's context is a short constant");
    let length = u16::try_from(context.len()).expect("at most 255");
    let mut bytes = Vec::with_capacity(2 + context.len() + message.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(context.as_bytes());
    bytes.extend_from_slice(message);
    bytes
}

/// The one signature algorithm that goes with a key.
pub(crate) fn algorithm(
    spki: &SubjectPublicKeyInfo<'_>,
) -> Result<&'static dyn VerificationAlgorithm, PkiError> {
    const P256: &str = "1.2.840.10045.3.1.7";
    const P384: &str = "1.3.132.0.34";
    const ED25519_KEY: &str = "1.3.101.112";
    let parameter = || {
        let oid = spki.algorithm.parameters.as_ref()?.as_oid().ok()?;
        Some(oid.to_id_string())
    };
    match spki.parsed() {
        Ok(PublicKey::EC(_)) => match parameter().as_deref() {
            Some(P256) => Ok(&ECDSA_P256_SHA256_ASN1),
            Some(P384) => Ok(&ECDSA_P384_SHA384_ASN1),
            _ => Err(PkiError::UnsupportedKey),
        },
        Ok(PublicKey::RSA(key)) if (2048..=8192).contains(&key.key_size()) => {
            Ok(&RSA_PKCS1_2048_8192_SHA256)
        }
        Ok(PublicKey::Unknown(_)) if spki.algorithm.algorithm.to_id_string() == ED25519_KEY => {
            Ok(&ED25519)
        }
        _ => Err(PkiError::UnsupportedKey),
    }
}
