//! Names of routers and of the links between them.

use std::fmt;

use van_model::SiteId;

/// A node of the graph: one of a site's routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId {
    /// The site.
    pub site: SiteId,
    /// Which of its routers; 0 unless it runs several.
    pub replica: u16,
}

/// A link of this router, as the shell numbers it; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

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
