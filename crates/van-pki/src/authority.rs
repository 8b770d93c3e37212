//! A site's own certificate authority.

use std::fmt;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use van_model::SiteId;
use zeroize::Zeroizing;

use crate::{Leaf, PkiError, certificate, clock, signature};

/// Seconds by which certificates begin in the past, for clocks that are behind.
const BACKDATED: i64 = 3600;
/// Seconds of a leaf's life from now.
const LEAF_LIFE: i64 = 24 * 3600;
/// Seconds of a self-made authority's life: 20 years.
const AUTHORITY_LIFE: i64 = 20 * 365 * 24 * 3600;

/// A site's certificate authority: its key and its certificate.
///
/// The site's id comes from the key. The key leaves this type only through
/// [`Authority::key_pem`], to be kept by the site itself.
pub struct Authority {
    id: SiteId,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new site: a fresh ECDSA P-256 key and a certificate signed by itself, valid for 20
    /// years and since an hour ago.
    pub fn generate(now: Timestamp) -> Result<Self, PkiError> {
        clock::check(now)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let id = certificate::id_of_key(&key.subject_public_key_info());
        let mut params = CertificateParams::default();
        // webpki finds an anchor by its subject, so each authority's must be its own.
        params.distinguished_name = common_name(&format!("vand site {id}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let (not_before, not_after) =
            (clock::shift(now, -BACKDATED), clock::shift(now, AUTHORITY_LIFE));
        clock::set_validity(&mut params, not_before, not_after);
        let certificate = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(params, key);
        Ok(Self { id, certificate, issuer, not_before, not_after })
    }

    /// Reads an authority from PEM: the first certificate of `ca_pem` and its private key (PKCS #8,
    /// SEC 1 or PKCS #1), the site's own or an intermediate that an organisation gave it.
    ///
    /// Fails where the certificate may not issue others, the key is another's or of a kind that
    /// isn't supported, or a leaf issued with them would not verify.
    pub fn from_pem(ca_pem: &[u8], key_pem: &[u8]) -> Result<Self, PkiError> {
        let certificate = CertificateDer::from_pem_slice(ca_pem)
            .map_err(|_| PkiError::Pem { what: "authority's certificate" })?;
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|_| PkiError::Pem { what: "authority's key" })?;
        let key = KeyPair::try_from(&key).map_err(|_| PkiError::UnsupportedKey)?;

        let parsed = certificate::parse(&certificate)?;
        let spki = parsed.public_key();
        if spki.raw != key.subject_public_key_info() {
            return Err(PkiError::KeyMismatch);
        }
        signature::algorithm(spki)?;
        if !certificate::is_authority(&parsed)? {
            return Err(PkiError::NotAnAuthority);
        }
        if parsed.subject().iter().any(|part| part.iter().count() != 1) {
            return Err(PkiError::Certificate("its subject has a part with several attributes"));
        }
        let (not_before, not_after) = certificate::validity(&parsed);
        let id = certificate::id_of_key(spki.raw);
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|_| PkiError::Certificate("its subject or keyUsage can't be read"))?;
        let authority =
            Self { id, certificate: certificate.clone(), issuer, not_before, not_after };
        authority.try_out()?;
        Ok(authority)
    }

    /// The site's id.
    pub fn id(&self) -> SiteId {
        self.id
    }

    /// The authority's certificate, which peers pin.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// When the authority's certificate runs out.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The authority's certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        const LINE: usize = 64;
        let body = data_encoding::BASE64.encode(&self.certificate);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// The authority's private key as PEM (PKCS #8).
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// Issues the certificate that the site shows in handshakes: a fresh ECDSA P-256 key, the one
    /// name `<id>.site.van`, valid for 24 hours (not beyond the authority) and since an hour ago.
    pub fn issue_leaf(&self, now: Timestamp) -> Result<Leaf, PkiError> {
        clock::check(now)?;
        if now >= self.not_after {
            return Err(PkiError::AuthorityExpired(self.not_after));
        }
        if clock::shift(now, BACKDATED) < self.not_before {
            return Err(PkiError::AuthorityNotYetValid(self.not_before));
        }
        let not_before = clock::shift(now, -BACKDATED);
        let not_after = clock::shift(now, LEAF_LIFE).min(self.not_after);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(vec![self.id.dns_name()])?;
        params.distinguished_name = common_name(&self.id.to_string());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        clock::set_validity(&mut params, not_before, not_after);
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        Leaf::new(self.id, certificate, &key, not_before, not_after)
    }

    /// Signs `message` for the purpose `context` (a short constant), so that the signature counts
    /// for nothing else; [`crate::verify`] checks it. DER for ECDSA keys.
    pub fn sign(&self, context: &str, message: &[u8]) -> Vec<u8> {
        self.issuer
            .key()
            .sign(&signature::preimage(context, message))
            .expect("a key that was loaded signs")
    }

    /// Checks that what this authority makes can be verified with its certificate.
    fn try_out(&self) -> Result<(), PkiError> {
        let now = self.not_before.max(clock::shift(Timestamp::UNIX_EPOCH, LEAF_LIFE));
        let leaf = self.issue_leaf(now)?;
        let chain = [leaf.certificate, self.certificate.clone()];
        crate::check_joiner(&chain, now)
            .map_err(|error| PkiError::Make(format!("a leaf by this authority is bad: {error}")))?;
        let message = b"tried out when it was read";
        crate::verify(
            &self.certificate,
            "vand try out",
            message,
            &self.sign("vand try out", message),
        )
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}
