//! What a site shows in handshakes.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use van_model::SiteId;

use crate::{Authority, Leaf};

/// A site's id and authority certificate with the current leaf, which can be renewed at any time
/// without touching running connections.
///
/// The chain that is sent is the leaf and the authority's certificate.
pub struct Identity {
    id: SiteId,
    authority: CertificateDer<'static>,
    current: ArcSwap<Current>,
}

struct Current {
    shown: Arc<CertifiedKey>,
    not_after: Timestamp,
    renew_at: Timestamp,
}

impl Identity {
    /// Joins a site's authority and a leaf that it issued; another site's leaf is a mistake in the
    /// program and panics.
    pub fn new(authority: &Authority, leaf: Leaf) -> Arc<Self> {
        let (id, authority) = (authority.id(), authority.certificate().clone());
        let current = ArcSwap::from_pointee(Current::new(id, &authority, leaf));
        Arc::new(Self { id, authority, current })
    }

    /// Shows `leaf`, issued by the same authority, from the next handshake on.
    pub fn renew(&self, leaf: Leaf) {
        self.current.store(Arc::new(Current::new(self.id, &self.authority, leaf)));
    }

    /// The site's id.
    pub fn id(&self) -> SiteId {
        self.id
    }

    /// The authority's certificate.
    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    /// When the current leaf expires.
    pub fn leaf_not_after(&self) -> Timestamp {
        self.current.load().not_after
    }

    /// When to issue the next leaf.
    pub fn renew_at(&self) -> Timestamp {
        self.current.load().renew_at
    }

    fn shown(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.load().shown)
    }
}

impl Current {
    fn new(site: SiteId, authority: &CertificateDer<'static>, leaf: Leaf) -> Self {
        assert_eq!(leaf.site, site, "a site shows leafs of its own authority");
        let (not_after, renew_at) = (leaf.not_after, leaf.renew_at());
        let chain = vec![leaf.certificate, authority.clone()];
        Self { shown: Arc::new(CertifiedKey::new(chain, leaf.key)), not_after, renew_at }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id)
            .field("leaf_not_after", &self.leaf_not_after())
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown())
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.shown())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Shows the identity to clients that name a protocol, and to no others: rustls refuses one that
/// names the wrong protocol, but would go on with a client that names none.
#[derive(Debug)]
pub(crate) struct WithProtocol(pub(crate) Arc<Identity>);

impl ResolvesServerCert for WithProtocol {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.alpn().map(|_| self.0.shown())
    }
}
