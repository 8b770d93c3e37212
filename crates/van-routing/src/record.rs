//! What a router says of itself.

use std::collections::BTreeMap;

use van_model::{Address, Mode, Protocol, SiteId};

use crate::admission::{Admission, Statement};
use crate::router_id::RouterId;

mod wire;

pub(crate) use wire::{Head, VouchersHash};

/// The most addresses that a site may offer.
pub const MAX_OFFERS: usize = 10_000;

/// The most neighbours of a router.
pub(crate) const MAX_NEIGHBOURS: usize = 4096;

/// The most labels of a site.
pub(crate) const MAX_LABELS: usize = 64;

/// The most sites that a site may speak of as revoked or pardoned.
pub(crate) const MAX_REVOKED: usize = 1024;

/// The most sites that a site may name as having admitted it: one for each voucher.
pub(crate) const MAX_ADMITTED: usize = 16;

/// The most groups of one offer.
pub(crate) const MAX_GROUPS: usize = 64;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the form that is due.
    #[error("the record can't be read: {0}")]
    Malformed(&'static str),
    /// More than a site may say.
    #[error("the record says more than a site may: {0}")]
    TooMuch(&'static str),
    /// An epoch that would lock its origin out.
    #[error("the record's epoch is the last there is, which no router may use")]
    Epoch,
    /// Not signed by the authority that it names, or that authority is not its origin's.
    #[error("the record is not signed by the site that it speaks of")]
    Signature,
    /// Other vouchers than its origin put beside it.
    #[error("the record's vouchers are not those that its site sent with it")]
    Vouchers,
}

/// An address that a site offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRecord {
    /// The service's name.
    pub address: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// The port under which it is to appear, where one was given.
    pub service_port: Option<u16>,
    /// The lowest port of its targets.
    pub target_port: Option<u16>,
    /// Healthy targets: the sum over the groups.
    pub targets: u32,
    /// Targets by preference; none stands for one group of priority 0 and weight 1 with all targets.
    pub groups: Vec<OfferGroup>,
}

/// Some of an offer's targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferGroup {
    /// The lower is the preferred.
    pub priority: u16,
    /// Its share among groups of one priority.
    pub weight: u16,
    /// Healthy targets.
    pub targets: u32,
}

/// A link of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The site at the other end.
    pub site: SiteId,
    /// Which of its routers.
    pub replica: u16,
    /// The link's cost, 1..=65535.
    pub cost: u16,
}

/// What a router says of itself; a newer one has a higher (epoch, counter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who says it.
    pub origin: SiteId,
    /// Which of the site's routers.
    pub replica: u16,
    /// Rises with each start.
    pub epoch: u32,
    /// Rises with each change.
    pub counter: u32,
    /// The site's name.
    pub name: String,
    /// Interior or edge.
    pub mode: Mode,
    /// The software's version.
    pub software: String,
    /// Its links.
    pub neighbours: Vec<Neighbour>,
    /// What it offers.
    pub offers: Vec<OfferRecord>,
    /// What its operator wrote down about it.
    pub labels: BTreeMap<String, String>,
    /// Sites that it revoked or pardoned.
    pub revoked: Vec<Statement>,
    /// Who admitted it, of those whose vouchers it shows; none in the record of a version that did not
    /// say so.
    pub admitted: Option<Vec<Admission>>,
}

impl Record {
    /// (epoch, counter): the higher is the newer.
    pub fn sequence(&self) -> (u32, u32) {
        (self.epoch, self.counter)
    }

    /// The router that says it.
    pub fn router(&self) -> RouterId {
        RouterId { site: self.origin, replica: self.replica }
    }
}
