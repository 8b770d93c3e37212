//! Ways to sites that are not neighbours.

use std::sync::Arc;

use van_net::{Link, Paths, Router};

/// Knows no way.
pub(crate) struct NoPaths;

impl Paths for NoPaths {
    fn next_hops(&self, _: Router) -> Vec<Arc<Link>> {
        Vec::new()
    }

    fn path(&self, _: Router) -> Option<(u32, Vec<Router>)> {
        None
    }
}
