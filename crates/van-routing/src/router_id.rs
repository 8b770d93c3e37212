//! Names of routers and of the links between them.

use std::cmp::Ordering;
use std::fmt;

use van_model::SiteId;

/// A node of the graph: one of a site's routers. The order is that of the sites' bytes, then of the
/// replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouterId {
    /// The site.
    pub site: SiteId,
    /// Which of its routers; 0 unless it runs several.
    pub replica: u16,
}

/// A link of this router, as the shell numbers it; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl RouterId {
    /// The id as numbers that have its order: most of what a router does is comparing ids, and three
    /// numbers are compared faster than twenty bytes.
    fn key(&self) -> (u64, u64, u32, u16) {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = *self.site.as_bytes();
        (
            u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            u32::from_be_bytes([q, r, s, t]),
            self.replica,
        )
    }
}

impl Ord for RouterId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for RouterId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<SiteId> for RouterId {
    fn from(site: SiteId) -> Self {
        Self { site, replica: 0 }
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.replica {
            0 => f.write_str(&self.site.short()),
            replica => write!(f, "{}/{replica}", self.site.short()),
        }
    }
}
