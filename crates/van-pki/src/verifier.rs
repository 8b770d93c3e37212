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
        self.check(end_entity, intermediates, now)?;
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
        self.check(end_entity, intermediates, now)?;
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

/// Only an unknown peer becomes [`CertificateError::Other`], and with it the alert
/// `certificate_unknown`: that is how the far end learns that it must redeem a token.
impl From<PeerError> for Error {
    fn from(error: PeerError) -> Self {
        let error = match error {
            PeerError::UnknownPeer(_) => CertificateError::Other(OtherError(Arc::new(error))),
            PeerError::Expired { not_after } => CertificateError::ExpiredContext {
                time: clock::unix(not_after),
                not_after: clock::unix(not_after),
            },
            PeerError::NotYetValid { not_before } => CertificateError::NotValidYetContext {
                time: clock::unix(not_before),
                not_before: clock::unix(not_before),
            },
            PeerError::WrongAuthority => CertificateError::UnknownIssuer,
            PeerError::WrongName(_) | PeerError::OtherSite { .. } => {
                CertificateError::NotValidForName
            }
            PeerError::WrongPurpose | PeerError::AuthorityAsLeaf => {
                CertificateError::InvalidPurpose
            }
            PeerError::NotAdmitted => CertificateError::ApplicationVerificationFailure,
            PeerError::NoCertificate => return Self::NoCertificatesPresented,
            PeerError::WrongProtocol { .. } => return Self::NoApplicationProtocol,
            PeerError::Malformed(_) => CertificateError::BadEncoding,
        };
        Self::InvalidCertificate(error)
    }
}

impl PeerError {
    /// Whether a connection failed because the far end doesn't know this site: never linked, or
    /// revoked there.
    pub fn refused_as_unknown(error: &Error) -> bool {
        matches!(error, Error::AlertReceived(AlertDescription::CertificateUnknown))
    }
}
