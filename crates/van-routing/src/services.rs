//! Who offers which address.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;
use van_model::{Address, Protocol};

use crate::record::{OfferGroup, OfferRecord};
use crate::router_id::RouterId;
use crate::signed::SignedRecord;
use crate::spf::RecordChange;

/// Everything that is offered under one address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceOffers {
    /// By router.
    pub offers: BTreeMap<RouterId, RouterOffer>,
    /// Two offers that don't go together, as a sentence that names both sites.
    pub conflict: Option<String>,
}

/// What one router offers under an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterOffer {
    /// What it speaks.
    pub protocol: Protocol,
    /// The port under which it is to appear, where one was given.
    pub service_port: Option<u16>,
    /// The lowest port of its targets.
    pub target_port: Option<u16>,
    /// Healthy targets.
    pub targets: u32,
    /// Targets by preference; never empty.
    pub groups: Vec<OfferGroup>,
}

impl From<&OfferRecord> for RouterOffer {
    fn from(offer: &OfferRecord) -> Self {
        let mut groups = offer.groups.clone();
        if groups.is_empty() {
            groups.push(OfferGroup { priority: 0, weight: 1, targets: offer.targets });
        }
        groups.sort_unstable();
        Self {
            protocol: offer.protocol,
            service_port: offer.service_port,
            target_port: offer.target_port,
            targets: offer.targets,
            groups,
        }
    }
}

/// Everything that is offered, by address. A copy shares all that did not change.
pub type ServiceMap = RedBlackTreeMapSync<Address, Arc<ServiceOffers>>;

/// The index of services, brought up to date by what changed.
#[derive(Debug, Default)]
pub(crate) struct ServiceIndex {
    indexed: BTreeMap<RouterId, Arc<SignedRecord>>,
    services: ServiceMap,
}

impl ServiceIndex {
    /// Takes what these routers offer now, nothing where there is no record; returns the addresses in
    /// which a conflict is new, each with its sentence.
    pub(crate) fn update(&mut self, changes: Vec<RecordChange>) -> Vec<(Address, String)> {
        // What is touched, without what the changed routers offered before.
        let mut fresh: BTreeMap<Address, ServiceOffers> = BTreeMap::new();
        let mut added = Vec::new();
        for (router, new) in changes {
            let old = match &new {
                Some(new) => self.indexed.insert(router, new.clone()),
                None => self.indexed.remove(&router),
            };
            let same = |old: &SignedRecord, new: &SignedRecord| {
                old.record.offers == new.record.offers && old.record.name == new.record.name
            };
            match (&old, &new) {
                (Some(old), Some(new)) if Arc::ptr_eq(old, new) || same(old, new) => continue,
                _ => {}
            }
            for offer in old.iter().flat_map(|old| &old.record.offers) {
                self.touched(&mut fresh, &offer.address).offers.remove(&router);
            }
            added.extend(new.map(|new| (router, new)));
        }
        for (router, new) in &added {
            for offer in &new.record.offers {
                let service = self.touched(&mut fresh, &offer.address);
                service.offers.entry(*router).or_insert(offer.into());
            }
        }
        let mut told = Vec::new();
        for (address, mut service) in fresh {
            if service.offers.is_empty() {
                self.services.remove_mut(&address);
                continue;
            }
            let conflict = conflict(&address, &service.offers, &self.indexed);
            if conflict != service.conflict {
                told.extend(conflict.clone().map(|text| (address.clone(), text)));
                service.conflict = conflict;
            }
            if self.services.get(&address).is_none_or(|known| **known != service) {
                self.services.insert_mut(address, Arc::new(service));
            }
        }
        told
    }

    /// A copy of what is offered under an address, to be changed.
    fn touched<'a>(
        &self,
        fresh: &'a mut BTreeMap<Address, ServiceOffers>,
        address: &Address,
    ) -> &'a mut ServiceOffers {
        let known = || self.services.get(address).map(|s| ServiceOffers::clone(s));
        fresh.entry(address.clone()).or_insert_with(|| known().unwrap_or_default())
    }

    pub(crate) fn services(&self) -> &ServiceMap {
        &self.services
    }
}

/// Only different protocols, or two different ports that were both given, don't go together.
fn conflict(
    address: &Address,
    offers: &BTreeMap<RouterId, RouterOffer>,
    records: &BTreeMap<RouterId, Arc<SignedRecord>>,
) -> Option<String> {
    let site = |router: &RouterId| match records.get(router) {
        Some(signed) => format!("site {} ({router})", signed.record.name),
        None => format!("site {router}"),
    };
    let (first, offer) = offers.first_key_value()?;
    if let Some((other, found)) = offers.iter().find(|(_, o)| o.protocol != offer.protocol) {
        return Some(format!(
            "address {address} is offered as {} by {} and as {} by {}: give one of them another \
             address or the same protocol",
            offer.protocol,
            site(first),
            found.protocol,
            site(other)
        ));
    }
    let mut ported = offers.iter().filter_map(|(r, o)| Some((r, o.service_port?)));
    let (first, port) = ported.next()?;
    let (other, found) = ported.find(|(_, p)| *p != port)?;
    Some(format!(
        "address {address} is offered on service port {port} by {} and on {found} by {}: give one \
         of them another address or the same service port",
        site(first),
        site(other)
    ))
}
