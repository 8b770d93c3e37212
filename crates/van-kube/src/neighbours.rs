//! Other namespaces of which workloads are attached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::Client;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::index::{Index, Kind};
use crate::watches::Watches;

/// What is known of another namespace.
#[derive(Debug, Clone, Default)]
pub struct Neighbour {
    /// Its objects, as far as they may be seen.
    pub index: Arc<Index>,
    /// What keeps it from being known; `None`: nothing.
    pub trouble: Option<String>,
}

/// The other namespaces that are followed.
pub(crate) struct Neighbours {
    client: Client,
    changed: Arc<Notify>,
    followed: Mutex<BTreeMap<String, Followed>>,
}

struct Followed {
    watches: Arc<Watches>,
    /// The watches end with it.
    _tasks: JoinSet<()>,
}

impl Followed {
    /// What was read once stays while the API server is away, but not where the right was taken back.
    fn trouble(&self) -> Option<String> {
        let needed = [Kind::AttachedConnector, Kind::Pod];
        let refused = self.watches.refused();
        if self.watches.is_settled() && !needed.iter().any(|kind| refused.contains(kind)) {
            return None;
        }
        let troubles = self.watches.troubles();
        let trouble = needed.iter().find_map(|kind| troubles.get(kind)).cloned();
        Some(trouble.unwrap_or_else(|| "it is being read".into()))
    }
}

impl Neighbours {
    pub(crate) fn new(client: Client, changed: Arc<Notify>) -> Self {
        Self { client, changed, followed: Mutex::default() }
    }

    /// Follows these namespaces and no others.
    pub(crate) fn follow(&self, wanted: &BTreeSet<String>) {
        let mut followed = self.followed.lock();
        followed.retain(|namespace, _| wanted.contains(namespace));
        for namespace in wanted {
            if followed.contains_key(namespace) {
                continue;
            }
            let mut tasks = JoinSet::new();
            let (kinds, changed) = (&Kind::ATTACHED, self.changed.clone());
            let watches = Watches::start(&self.client, namespace, kinds, changed, &mut tasks);
            followed.insert(namespace.clone(), Followed { watches, _tasks: tasks });
        }
    }

    /// What is known of each.
    pub(crate) fn all(&self) -> BTreeMap<String, Neighbour> {
        let followed = self.followed.lock();
        let known = followed.iter().map(|(namespace, of)| {
            (namespace.clone(), Neighbour { index: of.watches.index(), trouble: of.trouble() })
        });
        known.collect()
    }
}
