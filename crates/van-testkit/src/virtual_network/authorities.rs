//! Authorities and signature checks that all virtual networks of a process share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use van_model::SiteId;
use van_pki::{Authority, CertificateDer};
use van_routing::{RealSignatures, Signatures};

static POOL: Mutex<Vec<Arc<Authority>>> = Mutex::new(Vec::new());

/// The first `count` authorities of this process, sorted by id: so that with one seed the order of
/// the sites' ids is the same in each run, though the keys are not.
pub(super) fn authorities(count: usize) -> Vec<Arc<Authority>> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    while pool.len() < count {
        let now = "2026-11-22T00:00:00Z".parse().expect("a time");
        pool.push(Arc::new(Authority::generate(now).expect("a key is made")));
    }
    let mut some: Vec<_> = pool.iter().take(count).cloned().collect();
    some.sort_by_key(|authority| authority.id());
    some
}

/// Real checks, each made once: a thousand virtual routers ask the same.
#[derive(Debug, Default)]
pub struct RememberedSignatures {
    sites: Mutex<HashMap<Vec<u8>, Option<SiteId>>>,
    checks: Mutex<HashMap<Vec<u8>, bool>>,
}

impl Signatures for RememberedSignatures {
    fn site_id(&self, certificate: &CertificateDer<'static>) -> Option<SiteId> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sites.get(certificate.as_ref()) {
            return *known;
        }
        let site = RealSignatures.site_id(certificate);
        sites.insert(certificate.to_vec(), site);
        site
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'static>,
        context: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let mut key = Vec::with_capacity(certificate.len() + message.len() + 128);
        for part in [certificate.as_ref(), context.as_bytes(), message, signature] {
            key.extend_from_slice(&part.len().to_be_bytes());
            key.extend_from_slice(part);
        }
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        *checks
            .entry(key)
            .or_insert_with(|| RealSignatures.verify(certificate, context, message, signature))
    }
}
