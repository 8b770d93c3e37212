//! What this site knows of services: the snapshot that the data plane reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use van_model::status::Quantiles;
use van_model::{Address, SiteId};
use van_net::{Histogram, Link, Meter, Remote};

use crate::wish::Wish;

/// Every service that can be reached, by address; replaced as a whole.
#[derive(Debug, Default)]
pub struct ServiceTable(BTreeMap<Address, Arc<Service>>);

/// One service, as this site sees it.
#[derive(Debug, Default)]
pub struct Service {
    /// The sites that offer it, the cheapest first.
    pub candidates: Vec<Candidate>,
    /// Flows from here, open and in total, and those that found no target.
    pub meter: Arc<Meter>,
    /// How many of the candidates cost as little as the first.
    pub(crate) cheapest: usize,
    /// The candidates that have targets of each priority, the lowest number first, and how many.
    pub(crate) priorities: Vec<(u16, Vec<(usize, u32)>)>,
    /// The sum of the weights up to and with each candidate.
    pub(crate) weight_ends: Vec<u64>,
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
    /// The same by priority and weight; empty: all of priority 0 and weight 1.
    pub groups: Vec<TargetGroup>,
    /// The cost of the path; 0 for this site.
    pub cost: u32,
    /// Flows from here to there: open ones, bytes, broken ones, times to reach a target.
    pub meter: Arc<Meter>,
}

/// Targets of one priority at one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetGroup {
    /// Lower is preferred by the `failover` strategy.
    pub priority: u16,
    /// The sum of the targets' weights.
    pub weight: u32,
    /// How many.
    pub targets: u32,
}

/// The way to a site.
#[derive(Debug)]
pub enum Via {
    /// It is this site.
    Local,
    /// Over any of these links.
    Links(Vec<Arc<Link>>),
    /// Through other sites.
    Remote(Arc<Remote>),
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

    /// The addresses of services that are in one table only, or not the same in both.
    pub(crate) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Address> {
        let same = |one: &Arc<Service>, table: &Self, address: &Address| {
            table.get(address).is_some_and(|service| Arc::ptr_eq(one, service))
        };
        let gone = self.iter().filter(|(address, _)| other.get(address).is_none());
        let fresh = other.iter().filter(move |(address, service)| !same(service, self, address));
        gone.chain(fresh).map(|(address, _)| address)
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
    /// Puts the candidates of a service in order.
    pub fn new(mut candidates: Vec<Candidate>, meter: Arc<Meter>) -> Self {
        candidates.sort_by_key(|candidate| (candidate.cost, candidate.site));
        let least = candidates.first().map(|candidate| candidate.cost);
        let cheapest = candidates.partition_point(|candidate| Some(candidate.cost) == least);
        let mut priorities: BTreeMap<u16, Vec<(usize, u32)>> = BTreeMap::new();
        let mut weight_ends = Vec::with_capacity(candidates.len());
        let mut weights = 0;
        for (index, candidate) in candidates.iter().enumerate() {
            for group in candidate.groups().iter().filter(|group| group.targets > 0) {
                weights += u64::from(group.weight);
                priorities.entry(group.priority).or_default().push((index, group.targets));
            }
            weight_ends.push(weights);
        }
        let priorities = priorities.into_iter().collect();
        Self { candidates, meter, cheapest, priorities, weight_ends }
    }

    /// The median and the 99th percentile of the time to reach a target, over all sites.
    pub fn connect_times(&self) -> Option<Quantiles> {
        let all = Histogram::default();
        self.candidates.iter().for_each(|c| all.merge(&c.meter.connect));
        all.quantiles()
    }
}

impl Candidate {
    /// How many of its targets a wish leads to.
    pub(crate) fn targets_of(&self, wish: Wish<'_>) -> u32 {
        match wish {
            Wish::Priority(priority) => {
                let groups = self.groups();
                groups.iter().find(|g| g.priority == priority).map_or(self.targets, |g| g.targets)
            }
            _ => self.targets,
        }
    }

    fn groups(&self) -> Vec<TargetGroup> {
        if self.groups.is_empty() {
            vec![TargetGroup { priority: 0, weight: self.targets, targets: self.targets }]
        } else {
            self.groups.clone()
        }
    }
}

impl Via {
    /// Whether a new flow can go this way.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            // A session comes up when a flow wants it.
            Self::Local | Self::Remote(_) => true,
            Self::Links(links) => links.iter().any(|link| link.takes_flows()),
        }
    }
}
