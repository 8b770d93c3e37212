//! The sites that this one trusts directly.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use van_model::SiteId;
use van_pki::{Bundle, CertificateDer, Peers, Voucher};
use van_store::{Store, StoreError};

use crate::blocking::blocking;
use crate::clock;

/// The document that keeps the peers.
pub(crate) const DOCUMENT: &str = "peers";

/// The document that keeps the sites that the network has revoked.
const BARRED: &str = "barred";

/// An ephemeral peer is forgotten so long after its last link.
const EPHEMERAL_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// A pinned peer, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PinnedPeer {
    pub(crate) name: String,
    /// The authority's certificate, DER in base64.
    authority: String,
    pub(crate) since: Timestamp,
    #[serde(default)]
    pub(crate) last_seen: Option<Timestamp>,
    #[serde(default)]
    pub(crate) ephemeral: bool,
    #[serde(default)]
    pub(crate) revoked: bool,
    /// Rises with each revocation and each end of one, so that the newest word counts everywhere:
    /// odd while revoked.
    #[serde(default)]
    pub(crate) revocations: u64,
    /// This site's id signed by the peer, where its token admitted this site.
    #[serde(default)]
    pub(crate) voucher: Option<Voucher>,
    /// The signature, in base64, of the peer's word that this site admitted it: what its revocation
    /// is proven with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

type Pins = BTreeMap<SiteId, PinnedPeer>;

/// All pinned peers.
pub(crate) struct PeerBook {
    /// Held while the peers are changed; who reads does not wait for the disk.
    changing: Mutex<()>,
    pins: RwLock<Pins>,
    /// Sites that one who admitted them has revoked, as the network tells.
    barred: RwLock<BTreeSet<SiteId>>,
    bundle: Option<Bundle>,
    /// This site itself, where it runs several routers.
    own: OnceLock<(SiteId, CertificateDer<'static>)>,
    /// Rises with each change of whom this site trusts.
    version: AtomicU64,
}

impl fmt::Debug for PeerBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerBook({} peers)", self.pins.read().len())
    }
}

impl Peers for PeerBook {
    fn authority(&self, id: &SiteId) -> Option<CertificateDer<'static>> {
        if let Some((own, authority)) = self.own.get()
            && own == id
        {
            return Some(authority.clone());
        }
        if self.barred.read().contains(id) {
            return None;
        }
        let authority = {
            let pins = self.pins.read();
            pins.get(id).filter(|p| !p.revoked)?.authority()?
        };
        let admitted = |bundle: &Bundle| bundle.admits(&authority, clock::now()).is_ok();
        self.bundle.as_ref().is_none_or(admitted).then_some(authority)
    }
}

impl PinnedPeer {
    pub(crate) fn new(name: String, authority: &CertificateDer<'_>, ephemeral: bool) -> Self {
        Self {
            name,
            authority: BASE64_STANDARD.encode(authority),
            since: clock::now(),
            last_seen: None,
            ephemeral,
            revoked: false,
            revocations: 0,
            voucher: None,
            proof: None,
        }
    }

    /// Revokes the peer, or ends that.
    pub(crate) fn set_revoked(&mut self, revoked: bool) {
        self.revoked = revoked;
        if (self.revocations % 2 == 1) != revoked {
            self.revocations += 1;
        }
    }

    /// Whether it is an ephemeral one that was last seen long ago. Of one that was revoked once, the
    /// count of revocations must not start anew.
    fn is_over(&self) -> bool {
        let last = self.last_seen.unwrap_or(self.since);
        self.ephemeral
            && self.revocations == 0
            && clock::now().duration_since(last) >= EPHEMERAL_LIFE
    }

    /// What others are told of the trust in it.
    fn trust(&self) -> (&str, bool, u64, Option<&Voucher>) {
        (&self.authority, self.revoked, self.revocations, self.voucher.as_ref())
    }

    /// What its revocation is proven with, once known.
    pub(crate) fn proof(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(self.proof.as_ref()?).ok()
    }

    fn authority(&self) -> Option<CertificateDer<'static>> {
        BASE64_STANDARD.decode(&self.authority).ok().map(CertificateDer::from)
    }
}

impl PeerBook {
    pub(crate) fn load(store: &Store, bundle: Option<Bundle>) -> Result<Self, StoreError> {
        let mut pins: Pins = store.read(DOCUMENT)?.unwrap_or_default();
        for pin in pins.values_mut() {
            // Of a state from before revocations were counted.
            pin.set_revoked(pin.revoked);
        }
        let pins = RwLock::new(pins);
        let changing = Mutex::default();
        let barred = RwLock::new(store.read(BARRED)?.unwrap_or_default());
        let version = AtomicU64::new(1);
        Ok(Self { changing, pins, barred, bundle, own: OnceLock::new(), version })
    }

    /// Trusts this site itself from now on: the other routers that it runs.
    pub(crate) fn trust_own(&self, id: SiteId, authority: CertificateDer<'static>) {
        // Set once, at the start.
        let _ = self.own.set((id, authority));
    }

    /// Takes over the peers that another replica keeps; what was noted here and is newer stays.
    pub(crate) fn adopt(&self, store: &Store, bytes: &[u8]) -> Result<(), String> {
        let mut fresh: Pins = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        fresh.values_mut().for_each(|pin| pin.set_revoked(pin.revoked));
        let known = self.all();
        let is_same = fresh.len() == known.len()
            && fresh
                .iter()
                .all(|(id, pin)| known.get(id).is_some_and(|k| k.trust() == pin.trust()));
        if is_same {
            return Ok(());
        }
        self.change(store, |pins| *pins = fresh).map_err(|error| error.to_string())
    }

    /// Whether an organisation's bundle admits this authority.
    pub(crate) fn bundle_admits(&self, authority: &CertificateDer<'_>) -> bool {
        self.bundle.as_ref().is_none_or(|b| b.admits(authority, clock::now()).is_ok())
    }

    /// Takes the network's word that a site is revoked, or is so no longer; it counts at once, and
    /// after a restart as far as it could be kept.
    pub(crate) fn bar(&self, store: &Store, id: &SiteId, barred: bool) -> Result<(), StoreError> {
        let _changing = self.changing.lock();
        let fresh = {
            let mut all = self.barred.write();
            let changed = if barred { all.insert(*id) } else { all.remove(id) };
            if !changed {
                return Ok(());
            }
            all.clone()
        };
        self.version.fetch_add(1, Ordering::Relaxed);
        blocking(|| store.write(BARRED, &fresh))
    }

    /// Whether the network says that a site is revoked.
    pub(crate) fn is_barred(&self, id: &SiteId) -> bool {
        self.barred.read().contains(id)
    }

    /// Whether this site has revoked the peer.
    pub(crate) fn is_revoked(&self, id: &SiteId) -> bool {
        self.pins.read().get(id).is_some_and(|pin| pin.revoked)
    }

    /// Rises with each change of whom this site trusts.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    pub(crate) fn all(&self) -> Pins {
        self.pins.read().clone()
    }

    pub(crate) fn get(&self, id: &SiteId) -> Option<PinnedPeer> {
        self.pins.read().get(id).cloned()
    }

    /// Changes the peers and keeps the change; on a failed write all stays as it was.
    pub(crate) fn change<T>(
        &self,
        store: &Store,
        change: impl FnOnce(&mut Pins) -> T,
    ) -> Result<T, StoreError> {
        let trusts = |pins: &Pins| -> Vec<_> {
            pins.iter().map(|(id, pin)| format!("{id} {:?}", pin.trust())).collect()
        };
        blocking(|| {
            let _changing = self.changing.lock();
            let mut fresh = self.all();
            let before = trusts(&fresh);
            let result = change(&mut fresh);
            store.write(DOCUMENT, &fresh)?;
            let is_other = before != trusts(&fresh);
            let mut pins = self.pins.write();
            for (id, old) in &*pins {
                // What was noted meanwhile is newer.
                let Some(new) = fresh.get_mut(id) else { continue };
                if new.last_seen < old.last_seen {
                    new.last_seen = old.last_seen;
                    new.name.clone_from(&old.name);
                }
                if new.proof.is_none() && new.authority == old.authority {
                    new.proof.clone_from(&old.proof);
                }
            }
            *pins = fresh;
            drop(pins);
            if is_other {
                self.version.fetch_add(1, Ordering::Relaxed);
            }
            Ok(result)
        })
    }

    /// Notes that a link to a peer is up or was until now; kept with the next change.
    pub(crate) fn seen(&self, id: &SiteId, name: &str) {
        if let Some(pin) = self.pins.write().get_mut(id) {
            pin.last_seen = Some(clock::now());
            name.clone_into(&mut pin.name);
        }
    }

    /// Notes what a peer's revocation is proven with; kept with the next change. Returns whether that
    /// is news.
    pub(crate) fn prove(&self, id: &SiteId, proof: &[u8]) -> bool {
        let proof = Some(BASE64_STANDARD.encode(proof));
        let mut pins = self.pins.write();
        let Some(pin) = pins.get_mut(id).filter(|pin| pin.proof != proof) else { return false };
        pin.proof = proof;
        true
    }

    /// Keeps what was only noted.
    pub(crate) fn keep(&self, store: &Store) -> Result<(), StoreError> {
        self.change(store, |_| ())
    }

    /// Whether there is one to forget.
    pub(crate) fn has_forgotten(&self, linked: impl Fn(&SiteId) -> bool) -> bool {
        self.pins.read().iter().any(|(id, pin)| pin.is_over() && !linked(id))
    }

    /// Forgets ephemeral peers a day after their last link. `linked` says who has one now.
    pub(crate) fn forget_ephemeral(
        &self,
        store: &Store,
        linked: impl Fn(&SiteId) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        let old = |id: &SiteId, pin: &PinnedPeer| pin.is_over() && !linked(id);
        if !self.has_forgotten(&linked) {
            return Ok(Vec::new());
        }
        self.change(store, |pins| {
            let gone = pins.iter().filter(|(id, pin)| old(id, pin));
            let gone: Vec<(SiteId, String)> = gone.map(|(id, p)| (*id, p.name.clone())).collect();
            pins.retain(|id, _| !gone.iter().any(|(g, _)| g == id));
            gone.into_iter().map(|(_, name)| name).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_noted_during_a_change_does_not_wait_and_is_not_lost() {
        let store = Store::in_memory();
        let book = PeerBook::load(&store, None).unwrap();
        let [one, two] = [1, 2].map(|byte| SiteId::from_bytes([byte; 20]));
        let pin = |name: &str| PinnedPeer::new(name.into(), &CertificateDer::from(vec![1]), false);
        book.change(&store, |pins| pins.insert(one, pin("old"))).unwrap();
        book.change(&store, |pins| {
            assert!(book.get(&two).is_none() && book.all().len() == 1);
            book.seen(&one, "new");
            assert!(book.prove(&one, b"word") && !book.prove(&one, b"word"));
            pins.insert(two, pin("two"))
        })
        .unwrap();
        let one = book.get(&one).unwrap();
        assert!(one.name == "new" && one.last_seen.is_some());
        assert_eq!(one.proof().as_deref(), Some(&b"word"[..]));
        assert!(book.get(&two).is_some_and(|two| two.proof().is_none()));
        assert!(!book.prove(&SiteId::from_bytes([3; 20]), b"word"), "it is no peer");
        book.keep(&store).unwrap();
        let again = PeerBook::load(&store, None).unwrap();
        assert_eq!(again.all().values().filter_map(PinnedPeer::proof).count(), 1);
    }
}
