//! What a router has to tell its site.

use van_model::{Address, SiteId};

use crate::record::RecordError;
use crate::router_id::RouterId;

/// Something that an operator or the shell should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouterEvent {
    /// A site can be reached.
    SiteAppeared {
        /// The site.
        site: SiteId,
        /// Its name.
        name: String,
    },
    /// A site can no longer be reached, or is no member any more.
    SiteLeft {
        /// The site.
        site: SiteId,
        /// Its name.
        name: String,
    },
    /// Two sites have one name; both stay, told apart by their ids.
    SameName {
        /// The name.
        name: String,
        /// The sites.
        sites: [SiteId; 2],
    },
    /// A neighbour brings several sites that are new here, and learns several that are new there.
    NetworksMerged {
        /// The neighbour.
        neighbour: RouterId,
        /// Sites that only this side knew.
        here: Vec<SiteId>,
        /// Sites that only the other side knew.
        there: Vec<SiteId>,
    },
    /// The network knew a newer record of this router than its own (restored state, fail-over), so
    /// it goes on at another epoch, which is to be stored.
    NewEpoch {
        /// The epoch from now on.
        epoch: u32,
        /// The epoch of the record that was met.
        met: u32,
    },
    /// A record was refused.
    BadRecord {
        /// The neighbour that sent it.
        from: RouterId,
        /// Whose record it says it is, where that could be read.
        origin: Option<RouterId>,
        /// Why it was refused.
        error: RecordError,
    },
    /// A site is known to which no voucher leads from here; nothing is sent to it.
    ForeignSite {
        /// The site.
        site: SiteId,
        /// What it calls itself.
        name: String,
    },
    /// A site sends more records than are taken.
    Flood {
        /// The site.
        origin: SiteId,
        /// The neighbour that sent the last one.
        from: RouterId,
    },
    /// A router was refused because as many as may be are known already.
    DatabaseFull {
        /// The router.
        refused: RouterId,
    },
    /// A site was revoked by one who may.
    Revoked {
        /// The site.
        site: SiteId,
        /// Who revoked it.
        by: SiteId,
    },
    /// A revocation was taken back.
    Pardoned {
        /// The site.
        site: SiteId,
        /// Who took it back.
        by: SiteId,
    },
    /// A site says that it revokes one that it did not admit; that counts for nothing.
    RevocationIgnored {
        /// The site that it speaks of.
        site: SiteId,
        /// Who says it.
        by: SiteId,
    },
    /// Sites offer one address in ways that don't go together.
    ServiceConflict {
        /// The address.
        address: Address,
        /// A sentence that names both sites.
        text: String,
    },
    /// This site offers more than a record holds; the last addresses are not told.
    TooManyOffers {
        /// Addresses that are not told.
        left_out: usize,
    },
}

impl RouterEvent {
    /// The kind's number and its subject, by which repetitions are held back.
    pub(crate) fn key(&self) -> (u8, Option<SiteId>) {
        match self {
            Self::SiteAppeared { site, .. } => (0, Some(*site)),
            Self::SiteLeft { site, .. } => (1, Some(*site)),
            Self::SameName { sites, .. } => (2, Some(sites[1])),
            Self::NetworksMerged { neighbour, .. } => (3, Some(neighbour.site)),
            Self::NewEpoch { .. } => (4, None),
            Self::BadRecord { from, .. } => (5, Some(from.site)),
            Self::ForeignSite { site, .. } => (6, Some(*site)),
            Self::Flood { origin, .. } => (7, Some(*origin)),
            Self::DatabaseFull { .. } => (8, None),
            Self::Revoked { site, .. } => (9, Some(*site)),
            Self::Pardoned { site, .. } => (10, Some(*site)),
            Self::RevocationIgnored { site, .. } => (11, Some(*site)),
            Self::ServiceConflict { .. } => (12, None),
            Self::TooManyOffers { .. } => (13, None),
        }
    }

    /// Whether something follows from it that nothing else brings about; these are few.
    pub(crate) fn must_be_told(&self) -> bool {
        matches!(self, Self::NewEpoch { .. } | Self::Revoked { .. } | Self::Pardoned { .. })
    }

    /// Whether others can make this come as often as they like.
    pub(crate) fn is_limited(&self) -> bool {
        matches!(self.key().0, 3 | 5..=8 | 11)
    }
}
