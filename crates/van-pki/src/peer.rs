//! Who is at the other end: the check that every handshake must pass.

use std::fmt::Debug;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::{CertificateError, RootCertStore};
use van_model::SiteId;

use crate::{PkiError, certificate, clock, tls};

/// The most certificates that a peer may send.
const MAX_CHAIN: usize = 4;

/// The peers that a site trusts directly.
pub trait Peers: Send + Sync + Debug {
    /// The pinned authority of a site; `None` where it is unknown or revoked.
    ///
    /// Called within handshakes: it must not block.
    fn authority(&self, id: &SiteId) -> Option<CertificateDer<'static>>;
}

/// A peer that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Its id, from the leaf that was verified.
    pub id: SiteId,
    /// The authority certificate that the leaf was verified with.
    pub authority: CertificateDer<'static>,
    /// When its leaf expires.
    pub leaf_not_after: Timestamp,
}

/// Why the other end of a connection is not who it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No certificate was shown.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// A certificate can't be read, or the chain is too long.
    #[error("the peer's certificate can't be used: {0}")]
    Malformed(&'static str),
    /// An authority's certificate was shown in place of a leaf.
    #[error("the peer showed an authority's certificate in place of a leaf")]
    AuthorityAsLeaf,
    /// The leaf has another name than exactly one `<id>.site.van`.
    #[error("the peer's certificate must have the one name ID.site.van, this one has {0}")]
    WrongName(String),
    /// The leaf isn't made for both ends of a TLS connection.
    #[error("the peer's certificate isn't made for both ends of a TLS connection")]
    WrongPurpose,
    /// The site is not pinned, or revoked.
    #[error("site {0} is not a peer of this one, or was revoked: link the sites with a new token")]
    UnknownPeer(SiteId),
    /// The leaf is not signed by the authority of the site that it names.
    #[error("the peer's certificate is not signed by the authority of the site that it names")]
    WrongAuthority,
    /// The leaf has run out.
    #[error("the peer's certificate expired at {not_after}: check the clocks of both sites")]
    Expired {
        /// The end of its life.
        not_after: Timestamp,
    },
    /// The leaf's life hasn't begun.
    #[error("the peer's certificate is valid from {not_before}: check the clocks of both sites")]
    NotYetValid {
        /// The start of its life.
        not_before: Timestamp,
    },
    /// The site is a good one, but not the one that was dialled.
    #[error("site {found} answered in place of site {expected}: check the link's endpoints")]
    OtherSite {
        /// The site that was dialled.
        expected: SiteId,
        /// The site that answered.
        found: SiteId,
    },
    /// The authority is not one that the organisation's bundle admits.
    #[error("the peer's authority is not signed by one of `[identity] bundle`")]
    NotAdmitted,
    /// The connection was made for another protocol, or for none.
    #[error(
        "the connection's ALPN is not {expected:?}: the other end is no vand, or another version"
    )]
    WrongProtocol {
        /// The protocol that it should be.
        expected: String,
    },
}

impl PeerError {
    /// The short stable word for logs, metrics and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Malformed(_) => "malformed_certificate",
            Self::AuthorityAsLeaf => "authority_as_leaf",
            Self::WrongName(_) => "wrong_name",
            Self::WrongPurpose => "wrong_purpose",
            Self::UnknownPeer(_) => "unknown_peer",
            Self::WrongAuthority => "wrong_authority",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::OtherSite { .. } => "other_site",
            Self::NotAdmitted => "not_admitted",
            Self::WrongProtocol { .. } => "wrong_protocol",
        }
    }
}

impl From<PkiError> for PeerError {
    fn from(error: PkiError) -> Self {
        match error {
            PkiError::Certificate(why) => Self::Malformed(why),
            _ => Self::Malformed("it can't be read"),
        }
    }
}

/// Checks a `van/1` peer after a handshake, full or resumed: the id in `chain[0]`, that it is pinned
/// (not revoked), that its authority signed that very leaf, and the leaf's life at `now`.
pub fn check_peer(
    chain: &[CertificateDer<'_>],
    peers: &dyn Peers,
    now: Timestamp,
) -> Result<PeerIdentity, PeerError> {
    let claim = Claim::read(chain)?;
    let pinned = peers.authority(&claim.id).ok_or(PeerError::UnknownPeer(claim.id))?;
    if certificate::site_id(&pinned)? != claim.id {
        return Err(PeerError::WrongAuthority);
    }
    // An authority issued again for the same key is the same authority; the newer one is shown.
    let authority = match chain.get(1) {
        Some(shown) if certificate::site_id(shown) == Ok(claim.id) => shown.clone().into_owned(),
        _ => pinned,
    };
    claim.verify(&chain[0], authority, now)
}

/// Checks a `van-join/1` peer: as [`check_peer`], but by the authority that it shows as `chain[1]`,
/// whose key must be the one that the leaf's id names.
pub fn check_joiner(
    chain: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<PeerIdentity, PeerError> {
    let claim = Claim::read(chain)?;
    let authority = chain.get(1).ok_or(PeerError::WrongAuthority)?;
    if certificate::site_id(authority)? != claim.id {
        return Err(PeerError::WrongAuthority);
    }
    claim.verify(&chain[0], authority.clone().into_owned(), now)
}

/// Checks that a connection speaks the protocol that it was made for; rustls lets a peer answer
/// without any.
pub fn check_alpn(selected: Option<&[u8]>, expected: &[u8]) -> Result<(), PeerError> {
    if selected == Some(expected) {
        return Ok(());
    }
    Err(PeerError::WrongProtocol { expected: String::from_utf8_lossy(expected).into_owned() })
}

/// What a leaf says of itself; nothing of it is proven yet.
struct Claim {
    id: SiteId,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Claim {
    fn read(chain: &[CertificateDer<'_>]) -> Result<Self, PeerError> {
        let leaf = chain.first().ok_or(PeerError::NoCertificate)?;
        if chain.len() > MAX_CHAIN {
            return Err(PeerError::Malformed("more than four certificates were sent"));
        }
        let leaf = certificate::parse(leaf)?;
        let constraints = leaf
            .basic_constraints()
            .map_err(|_| PeerError::Malformed("its basicConstraints can't be read"))?;
        if constraints.is_some_and(|c| c.value.ca) {
            return Err(PeerError::AuthorityAsLeaf);
        }
        if !certificate::serves_both_ends(&leaf)? {
            return Err(PeerError::WrongPurpose);
        }
        let name = certificate::only_dns_name(&leaf).map_err(PeerError::WrongName)?;
        let id = SiteId::from_dns_name(name)
            .map_err(|_| PeerError::WrongName(format!("{:?}", shortened(name))))?;
        let (not_before, not_after) = certificate::validity(&leaf);
        Ok(Self { id, not_before, not_after })
    }

    /// Proves the claim with webpki: `leaf`, its signature by `authority` alone, name and life.
    fn verify(
        self,
        leaf: &CertificateDer<'_>,
        authority: CertificateDer<'static>,
        now: Timestamp,
    ) -> Result<PeerIdentity, PeerError> {
        if now > self.not_after {
            return Err(PeerError::Expired { not_after: self.not_after });
        }
        if now < self.not_before {
            return Err(PeerError::NotYetValid { not_before: self.not_before });
        }
        if !certificate::is_authority(&certificate::parse(&authority)?)? {
            return Err(PeerError::WrongAuthority);
        }
        let mut roots = RootCertStore::empty();
        roots
            .add(authority.clone())
            .map_err(|_| PeerError::Malformed("its authority can't be used"))?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider())
                .build()
                .map_err(|_| PeerError::Malformed("its authority can't be used"))?;
        let name = DnsName::try_from(self.id.dns_name()).expect("an id's name is a DNS name");
        // No intermediates: only the site's own authority may stand above its leaf.
        verifier
            .verify_server_cert(leaf, &[], &ServerName::DnsName(name), &[], clock::unix(now))
            .map_err(|error| self.refusal(&error))?;
        Ok(PeerIdentity { id: self.id, authority, leaf_not_after: self.not_after })
    }

    fn refusal(&self, error: &rustls::Error) -> PeerError {
        let rustls::Error::InvalidCertificate(error) = error else {
            return PeerError::Malformed("it has something that no leaf has");
        };
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                PeerError::WrongAuthority
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                PeerError::Expired { not_after: self.not_after }
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                PeerError::NotYetValid { not_before: self.not_before }
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                PeerError::WrongName("another".to_owned())
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                PeerError::WrongPurpose
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                PeerError::WrongAuthority
            }
            CertificateError::UnhandledCriticalExtension => {
                PeerError::Malformed("it has a critical extension that is not known")
            }
            _ => PeerError::Malformed("it can't be verified"),
        }
    }
}

/// The head of a name that a stranger chose.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}
