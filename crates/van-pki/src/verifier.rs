//! The checks of [`crate::check_peer`] and [`crate::check_joiner`] within rustls' handshakes.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, PeerIncompatible, SignatureScheme,
};
use van_model::SiteId;

use crate::{PeerError, PeerIdentity, Peers, check_joiner, check_peer, clock, tls};

/// Verifies the certificates of one protocol's peers.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    trust: Trust,
    /// The one site that may answer; `None` at the accepting end.
    expected: Option<SiteId>,
}

/// Where a peer's authority comes from.
#[derive(Debug)]
pub(crate) enum Trust {
    /// From the pinned peers.
    Pinned(Arc<dyn Peers>),
    /// From the chain itself: anyone may join who has a token.
    Shown,
}

impl PeerVerifier {
    pub(crate) fn new(trust: Trust, expected: Option<SiteId>) -> Arc<Self> {
        Arc::new(Self { trust, expected })
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, PeerError> {
        let chain: Vec<_> =
            std::iter::once(leaf).chain(rest).map(|c| CertificateDer::from(c.as_ref())).collect();
        let now = clock::from_unix(now);
        let peer = match &self.trust {
            Trust::Pinned(peers) => check_peer(&chain, &**peers, now)?,
            Trust::Shown => check_joiner(&chain, now)?,
        };
        match self.expected {
            Some(expected) if expected != peer.id => {
                Err(PeerError::OtherSite { expected, found: peer.id })
            }
            _ => Ok(peer),
        }
    }
}

impl ServerCertVerifier for PeerVerifier {
    /// The name that was dialled is whatever the endpoint is called; the id decides instead.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now).map_err(by_dialler)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::SupportedVersionsExtensionRequired.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    /// None: a stranger learns nothing about who the peers are.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, now).map_err(by_acceptor)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

/// The dialler's refusal, which keeps the whole reason for its own user.
fn by_dialler(error: PeerError) -> Error {
    match error {
        PeerError::Expired { .. } | PeerError::NotYetValid { .. } => by_acceptor(error),
        _ => whole(error),
    }
}

/// The acceptor's refusal: only an unknown peer gets the alert `certificate_unknown`, for that is
/// how the dialler learns that it must redeem a token.
fn by_acceptor(error: PeerError) -> Error {
    Error::InvalidCertificate(match error {
        PeerError::UnknownPeer(_) => return whole(error),
        PeerError::Expired { not_after } => {
            let not_after = clock::unix(not_after);
            CertificateError::ExpiredContext { time: not_after, not_after }
        }
        PeerError::NotYetValid { not_before } => {
            let not_before = clock::unix(not_before);
            CertificateError::NotValidYetContext { time: not_before, not_before }
        }
        PeerError::WrongAuthority => CertificateError::UnknownIssuer,
        PeerError::WrongName(_) | PeerError::OtherSite { .. } => CertificateError::NotValidForName,
        PeerError::WrongPurpose | PeerError::AuthorityAsLeaf => CertificateError::InvalidPurpose,
        PeerError::NotAdmitted => CertificateError::ApplicationVerificationFailure,
        PeerError::NoCertificate | PeerError::WrongProtocol { .. } | PeerError::Malformed(_) => {
            CertificateError::BadEncoding
        }
    })
}

/// An error from which [`PeerError::of`] gets the reason back.
fn whole(error: PeerError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

impl PeerError {
    /// Whether a dialled connection failed because the far end doesn't know this site: never
    /// linked, or revoked there.
    pub fn refused_as_unknown(error: &Error) -> bool {
        matches!(error, Error::AlertReceived(AlertDescription::CertificateUnknown))
    }

    /// The reason for which this end refused the peer in a handshake, as far as rustls kept it.
    pub fn of(error: &Error) -> Option<Self> {
        let Error::InvalidCertificate(error) = error else {
            return (*error == Error::NoCertificatesPresented).then_some(Self::NoCertificate);
        };
        match error {
            CertificateError::Other(OtherError(why)) => why.downcast_ref().cloned(),
            CertificateError::ExpiredContext { not_after, .. } => {
                Some(Self::Expired { not_after: clock::from_unix(*not_after) })
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                Some(Self::NotYetValid { not_before: clock::from_unix(*not_before) })
            }
            CertificateError::UnknownIssuer => Some(Self::WrongAuthority),
            CertificateError::NotValidForName => Some(Self::WrongName("another".to_owned())),
            CertificateError::InvalidPurpose => Some(Self::WrongPurpose),
            CertificateError::BadEncoding => Some(Self::Malformed("it can't be read")),
            _ => None,
        }
    }
}
