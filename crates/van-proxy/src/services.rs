//! What this site knows of services: the snapshot that the data plane reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use van_model::status::Quantiles;
use van_model::{Address, SiteId};
use van_net::{Histogram, Link, Meter};

/// Every service that can be reached, by address; replaced as a whole.
#[derive(Debug, Default)]
pub struct ServiceTable(BTreeMap<Address, Arc<Service>>);

/// One service, as this site sees it.
#[derive(Debug, Default)]
pub struct Service {
    /// The sites that offer it.
    pub candidates: Vec<Candidate>,
    /// Flows from here, open and in total, and those that found no target.
    pub meter: Arc<Meter>,
}

/// One site that offers a service.
#[derive(Debug)]
pub struct Candidate {
    /// Which site.
    pub site: SiteId,
    /// The way to it.
    pub via: Via,
    /// Its healthy targets.
    pub targets: u32,
    /// The cost of the path; 0 for this site.
    pub cost: u32,
    /// Flows from here to there: open ones, bytes, broken ones, times to reach a target.
    pub meter: Arc<Meter>,
}

/// The way to a site.
#[derive(Debug)]
pub enum Via {
    /// It is this site.
    Local,
    /// Over any of these links.
    Links(Vec<Arc<Link>>),
}

impl ServiceTable {
    /// The service of this address.
    pub fn get(&self, address: &Address) -> Option<&Arc<Service>> {
        self.0.get(address)
    }

    /// Targets that can be reached now, over all sites.
    pub fn targets(&self, address: &Address) -> u32 {
        self.get(address).map_or(0, |service| {
            let reachable = service.candidates.iter().filter(|c| c.via.is_open());
            reachable.fold(0, |sum, c| sum.saturating_add(c.targets))
        })
    }

    /// All services in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, &Arc<Service>)> {
        self.0.iter()
    }
}

impl FromIterator<(Address, Arc<Service>)> for ServiceTable {
    fn from_iter<I: IntoIterator<Item = (Address, Arc<Service>)>>(services: I) -> Self {
        Self(services.into_iter().collect())
    }
}

impl Service {
    /// The median and the 99th percentile of the time to reach a target, over all sites.
    pub fn connect_times(&self) -> Option<Quantiles> {
        let all = Histogram::default();
        self.candidates.iter().for_each(|c| all.merge(&c.meter.connect));
        all.quantiles()
    }
}

impl Via {
    /// Whether a new flow can go this way.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Local => true,
            Self::Links(links) => links.iter().any(|link| link.takes_flows()),
        }
    }
}
