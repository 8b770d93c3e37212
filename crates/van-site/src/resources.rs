//! What the API wants, kept over restarts; and which peer each dialled link has.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use van_model::{ConnectorSpec, Cost, HostPort, LinkSpec, ListenerSpec, SiteId};
use van_store::{Store, StoreError};

use crate::blocking::blocking;

/// The document that keeps what the API wants.
const RESOURCES: &str = "resources";

/// The document that keeps the peers of dialled links.
pub(crate) const LINKS: &str = "links";

/// What was made with `vanctl`, by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Made {
    #[serde(default)]
    pub(crate) links: BTreeMap<String, LinkSpec>,
    #[serde(default)]
    pub(crate) listeners: BTreeMap<String, ListenerSpec>,
    #[serde(default)]
    pub(crate) connectors: BTreeMap<String, ConnectorSpec>,
    /// Whether links are accepted where the configuration does not say so.
    #[serde(default)]
    pub(crate) accept: bool,
}

/// The other end of a dialled link, from its token; it outlives the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkPeer {
    pub(crate) peer: SiteId,
    pub(crate) endpoints: Vec<HostPort>,
    #[serde(default)]
    pub(crate) cost: Option<Cost>,
}

/// A document in memory and on disk, which differ only while it is written.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    name: &'static str,
    /// Held while it is changed; who reads does not wait for the disk.
    changing: Mutex<()>,
    value: Mutex<T>,
}

/// The API's resources.
pub(crate) type MadeBook = Kept<Made>;
/// The dialled links' peers.
pub(crate) type LinkPeers = Kept<BTreeMap<String, LinkPeer>>;

impl MadeBook {
    pub(crate) fn load_made(store: &Store) -> Result<Self, StoreError> {
        Self::load(store, RESOURCES)
    }
}

impl LinkPeers {
    pub(crate) fn load_peers(store: &Store) -> Result<Self, StoreError> {
        Self::load(store, LINKS)
    }
}

impl<T: Clone + Default + Serialize + for<'de> Deserialize<'de>> Kept<T> {
    pub(crate) fn load(store: &Store, name: &'static str) -> Result<Self, StoreError> {
        Ok(Self {
            name,
            changing: Mutex::default(),
            value: Mutex::new(store.read(name)?.unwrap_or_default()),
        })
    }

    pub(crate) fn get(&self) -> T {
        self.value.lock().clone()
    }

    /// Changes the document and keeps it; on a failed write it stays as it was.
    pub(crate) fn change<R>(
        &self,
        store: &Store,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, StoreError> {
        blocking(|| {
            let _changing = self.changing.lock();
            let mut fresh = self.get();
            let result = change(&mut fresh);
            store.write(self.name, &fresh)?;
            *self.value.lock() = fresh;
            Ok(result)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_does_not_wait_for_a_change() {
        let store = Store::in_memory();
        let kept: Kept<u32> = Kept::load(&store, "number").unwrap();
        let during = kept.change(&store, |number| {
            *number = 7;
            kept.get()
        });
        assert_eq!((during.unwrap(), kept.get()), (0, 7));
    }
}
