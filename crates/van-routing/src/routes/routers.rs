//! The routers of a snapshot.

use std::ops::{Bound, Index, RangeBounds};

use rpds::RedBlackTreeMapSync;

use super::Node;
use crate::router_id::RouterId;

/// Routers by id. A copy shares all that does not change, so that a snapshot costs what is new in it.
#[derive(Debug, Clone, Default)]
pub struct Routers {
    nodes: RedBlackTreeMapSync<RouterId, Node>,
}

impl Routers {
    pub(crate) fn insert(&mut self, router: RouterId, node: Node) {
        self.nodes.insert_mut(router, node);
    }

    pub(crate) fn remove(&mut self, router: &RouterId) {
        self.nodes.remove_mut(router);
    }

    pub(crate) fn get_mut(&mut self, router: &RouterId) -> Option<&mut Node> {
        self.nodes.get_mut(router)
    }

    /// A router; `None` where it is no member's, or unknown.
    pub fn get(&self, router: &RouterId) -> Option<&Node> {
        self.nodes.get(router)
    }

    /// Whether a router is known.
    pub fn contains_key(&self, router: &RouterId) -> bool {
        self.nodes.contains_key(router)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = (&RouterId, &Node)> {
        self.nodes.iter()
    }

    /// All ids, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &RouterId> {
        self.nodes.keys()
    }

    /// All nodes, sorted by id.
    pub fn values(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Those whose ids are in a range.
    pub fn range(
        &self,
        ids: impl RangeBounds<RouterId>,
    ) -> impl Iterator<Item = (&RouterId, &Node)> {
        let bounds: (Bound<RouterId>, Bound<RouterId>) =
            (ids.start_bound().cloned(), ids.end_bound().cloned());
        self.nodes.range(bounds)
    }
}

impl Index<&RouterId> for Routers {
    type Output = Node;

    fn index(&self, router: &RouterId) -> &Node {
        &self.nodes[router]
    }
}

impl<'a> IntoIterator for &'a Routers {
    type Item = (&'a RouterId, &'a Node);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.nodes.iter())
    }
}
