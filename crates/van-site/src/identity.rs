//! The site's own key: made once, kept twice, its leaf renewed at half life.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::{error, info};
use van_model::IdentitySpec;
use van_pki::{Authority, Bundle, Identity};
use van_store::Store;

use crate::clock;
use crate::error::SiteError;

/// The document that keeps the identity.
const DOCUMENT: &str = "identity";

#[derive(Serialize, Deserialize)]
struct Kept {
    certificate: String,
    key: String,
}

/// The site's authority and what it presents.
pub(crate) struct OwnIdentity {
    pub(crate) authority: Arc<Authority>,
    pub(crate) identity: Arc<Identity>,
    /// When a failed renewal was last told.
    told: Mutex<Option<Instant>>,
}

/// Time between two lines in the log about a renewal that fails; it is tried every second, since the
/// clock may be set right.
const TELL_AGAIN: Duration = Duration::from_secs(60);

impl OwnIdentity {
    /// Reads the identity, or makes it at the first start; with the bundle that restricts further
    /// who may be a peer.
    pub(crate) fn load(
        store: &Store,
        spec: Option<&IdentitySpec>,
    ) -> Result<(Self, Option<Bundle>), SiteError> {
        let (authority, bundle) = match spec {
            Some(spec) => from_files(spec)?,
            None => (from_store(store)?, None),
        };
        let identity = Identity::new(&authority, authority.issue_leaf(clock::now())?);
        Ok((Self { authority: Arc::new(authority), identity, told: Mutex::default() }, bundle))
    }

    /// Issues a new leaf when half of the old one's life is over, or the clock was set.
    pub(crate) fn renew_if_due(&self) {
        self.renew_at(clock::now(), Instant::now());
    }

    fn renew_at(&self, now: jiff::Timestamp, since_boot: Instant) {
        let fresh = now < self.identity.renew_at() && now > self.issued_before();
        if fresh {
            return;
        }
        match self.authority.issue_leaf(now) {
            Ok(leaf) => {
                info!(not_after = %leaf.not_after, "leaf certificate renewed");
                self.identity.renew(leaf);
            }
            Err(error) if self.is_told(since_boot) => {
                error!(%error, "the leaf certificate can't be renewed");
            }
            Err(_) => {}
        }
    }

    /// Whether it is time to tell of a failed renewal; `true` marks that.
    fn is_told(&self, now: Instant) -> bool {
        let mut told = self.told.lock();
        let due = told.is_none_or(|at| now.saturating_duration_since(at) >= TELL_AGAIN);
        if due {
            *told = Some(now);
        }
        due
    }

    /// A leaf from the future: the clock was set back since it was issued.
    fn issued_before(&self) -> jiff::Timestamp {
        const LIFE: jiff::SignedDuration = jiff::SignedDuration::from_hours(26);
        self.identity.leaf_not_after().checked_sub(LIFE).unwrap_or(jiff::Timestamp::MIN)
    }
}

fn from_store(store: &Store) -> Result<Authority, SiteError> {
    match store.read_precious::<Kept>(DOCUMENT)? {
        Some(kept) => Ok(Authority::from_pem(kept.certificate.as_bytes(), kept.key.as_bytes())?),
        None => {
            let torn = store.set_aside();
            if torn.iter().any(|t| t.name == DOCUMENT) {
                let place = store.location().map(|p| p.display().to_string());
                return Err(SiteError::IdentityLost(place.unwrap_or_default()));
            }
            let authority = Authority::generate(clock::now())?;
            let certificate = authority.certificate_pem();
            let kept = Kept { certificate, key: authority.key_pem().to_string() };
            store.write_precious(DOCUMENT, &kept)?;
            info!(id = %authority.id(), "made this site's identity");
            Ok(authority)
        }
    }
}

fn from_files(spec: &IdentitySpec) -> Result<(Authority, Option<Bundle>), SiteError> {
    let read = |key: &str, path: &Path| {
        std::fs::read(path).map_err(|error| SiteError::File {
            key: format!("identity.{key}"),
            path: path.display().to_string(),
            error,
        })
    };
    let authority = Authority::from_pem(&read("ca", &spec.ca)?, &read("key", &spec.key)?)?;
    let bundle = Bundle::from_pem(&read("bundle", &spec.bundle)?)?;
    Ok((authority, Some(bundle)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_that_fails_is_told_once_a_minute() {
        let (own, _) = OwnIdentity::load(&Store::in_memory(), None).unwrap();
        let start = Instant::now();
        let told = (0..180).filter(|s| own.is_told(start + Duration::from_secs(*s))).count();
        assert_eq!(told, 3);
    }
}
