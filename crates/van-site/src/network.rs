//! What this site knows of others, and what it tells them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use van_model::api::Severity;
use van_model::{Address, SiteId};
use van_net::{Link, Meter};
use van_proxy::{Candidate, Offer, Service, ServiceTable, Via};
use van_routing::{Neighbour, OfferRecord, Record, SignedRecord};

use crate::site::Site;

/// Records of neighbours, this site's own, and the counts of services used here.
#[derive(Default)]
pub(crate) struct Network {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    records: BTreeMap<(SiteId, u16), SignedRecord>,
    counter: u32,
    /// What the own record last said.
    told: Option<(BTreeMap<Address, Offer>, Vec<Neighbour>, String)>,
    message: Option<Arc<[u8]>>,
    /// Who was told the present record.
    heard: BTreeMap<SiteId, Heard>,
    services: BTreeMap<Address, Arc<Meter>>,
    candidates: BTreeMap<(Address, SiteId), Arc<Meter>>,
}

/// Over which link a neighbour was told, and the link's generation then: what was sent before one of
/// its connections ended may be lost.
struct Heard {
    link: Weak<Link>,
    generation: u64,
}

impl Heard {
    fn is_over(&self, link: &Arc<Link>) -> bool {
        // The weak reference keeps the place in memory, so that no later link can have it.
        self.link.as_ptr() == Arc::as_ptr(link) && self.generation == link.generation()
    }
}

/// A service as this site sees it.
pub(crate) struct KnownService {
    pub(crate) address: Address,
    pub(crate) offers: BTreeMap<SiteId, Offer>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) meters: Vec<Arc<Meter>>,
}

impl KnownService {
    /// A service that is used here and offered nowhere.
    pub(crate) fn unknown(address: Address) -> Self {
        Self { address, offers: BTreeMap::new(), meter: Arc::default(), meters: Vec::new() }
    }
}

impl Network {
    /// Services offered anywhere or used here.
    pub(crate) fn services(
        &self,
        own: SiteId,
        local: &BTreeMap<Address, Offer>,
    ) -> Vec<KnownService> {
        let mut inner = self.inner.lock();
        let mut known = inner.offers(own, local);
        for address in inner.services.keys() {
            known.entry(address.clone()).or_default();
        }
        let make = |(address, offers): (Address, BTreeMap<SiteId, Offer>)| KnownService {
            meter: inner.services.entry(address.clone()).or_default().clone(),
            meters: inner
                .candidates
                .iter()
                .filter(|((a, _), _)| *a == address)
                .map(|(_, meter)| meter.clone())
                .collect(),
            offers,
            address,
        };
        known.into_iter().map(make).collect()
    }

    /// The names of sites by id, as their records say.
    pub(crate) fn names(&self) -> BTreeMap<SiteId, String> {
        let inner = self.inner.lock();
        inner.records.values().map(|r| (r.record.origin, r.record.name.clone())).collect()
    }

    /// Flows open between this site's own listeners and connectors.
    pub(crate) fn local_flows(&self, own: SiteId) -> u64 {
        let inner = self.inner.lock();
        inner
            .candidates
            .iter()
            .filter(|((_, site), _)| *site == own)
            .map(|(_, m)| m.open.get())
            .sum()
    }

    /// How many neighbours know what is offered now.
    pub(crate) fn told(&self) -> usize {
        let inner = self.inner.lock();
        let holds = |heard: &&Heard| heard.link.upgrade().is_some_and(|link| heard.is_over(&link));
        inner.heard.values().filter(holds).count()
    }
}

impl Inner {
    fn offers(
        &self,
        own: SiteId,
        local: &BTreeMap<Address, Offer>,
    ) -> BTreeMap<Address, BTreeMap<SiteId, Offer>> {
        let mut known: BTreeMap<Address, BTreeMap<SiteId, Offer>> = BTreeMap::new();
        for (address, offer) in local {
            known.entry(address.clone()).or_default().insert(own, offer.clone());
        }
        for signed in self.records.values() {
            for offer in &signed.record.offers {
                let entry = Offer {
                    targets: offer.targets,
                    groups: Vec::new(),
                    protocol: offer.protocol,
                    service_port: offer.service_port,
                    target_port: offer.target_port,
                };
                let sites = known.entry(offer.address.clone()).or_default();
                sites.insert(signed.record.origin, entry);
            }
        }
        known
    }

    /// Drops the counts of what is offered nowhere, used by no listener and carries no flow.
    ///
    /// Runs after the new table is published, so that no new flow counts where nobody looks.
    fn forget_unused(
        &mut self,
        own: SiteId,
        local: &BTreeMap<Address, Offer>,
        used: &BTreeSet<Address>,
    ) {
        let known = self.offers(own, local);
        let Self { services, candidates, .. } = self;
        candidates.retain(|(address, site), meter| {
            let offered = known.get(address).is_some_and(|sites| sites.contains_key(site));
            let keep = offered || meter.open.get() > 0;
            // Of a site that left, what it did for a service that stays goes on to count.
            if !keep && let Some(service) = services.get(address) {
                service.sent.add(meter.sent.get());
                service.received.add(meter.received.get());
                service.errors.add(meter.errors.get());
            }
            keep
        });
        let carrying: BTreeSet<&Address> = candidates.keys().map(|(address, _)| address).collect();
        services.retain(|address, meter| {
            known.contains_key(address)
                || used.contains(address)
                || carrying.contains(address)
                || meter.open.get() > 0
        });
    }
}

impl Site {
    /// Takes a neighbour's record; only its own origin may send it in this version.
    pub(crate) fn take_record(&self, link: &Arc<Link>, message: &[u8]) {
        let subject = format!("site/{}", link.peer.id);
        let signed = match SignedRecord::decode(message) {
            Ok(signed) => signed,
            Err(error) => {
                let text = format!("site {} sent a bad record: {error}", link.peer.name);
                return self.event(Severity::Warning, "BadRecord", subject, text);
            }
        };
        let key = (signed.record.origin, signed.record.replica);
        if key != (link.peer.id, link.peer.replica) {
            return;
        }
        let mut inner = self.network.inner.lock();
        let newer = inner
            .records
            .get(&key)
            .is_none_or(|old| old.record.sequence() < signed.record.sequence());
        if newer {
            inner.records.insert(key, signed);
        }
    }

    /// Brings everything that follows from links, records and connectors up to date.
    pub(crate) fn refresh_network(&self) {
        let links = self.links.all();
        let offers = self.connectors.offers();
        let used = self.used_addresses();
        self.forget_unreachable(&links);
        self.tell_neighbours(&links, &offers);
        self.publish(&links, &offers);
        self.network.inner.lock().forget_unused(self.own_id(), &offers, &used);
    }

    fn used_addresses(&self) -> BTreeSet<Address> {
        let running = self.running.lock();
        running.listeners.values().map(|run| run.wanted.spec.address.clone()).collect()
    }

    fn forget_unreachable(&self, links: &[Arc<Link>]) {
        let mut inner = self.network.inner.lock();
        let linked = |id: &SiteId, replica: u16| {
            links.iter().any(|l| l.peer.id == *id && l.peer.replica == replica)
        };
        inner.records.retain(|(id, replica), _| linked(id, *replica));
        inner.heard.retain(|_, heard| links.iter().any(|link| heard.is_over(link)));
    }

    /// Sends the own record to who has not heard it.
    fn tell_neighbours(&self, links: &[Arc<Link>], offers: &BTreeMap<Address, Offer>) {
        let neighbours: Vec<Neighbour> = links
            .iter()
            .map(|l| Neighbour { site: l.peer.id, replica: l.peer.replica, cost: l.cost.max(1) })
            .collect();
        let said = (offers.clone(), neighbours, self.name());
        let mut inner = self.network.inner.lock();
        if inner.told.as_ref() != Some(&said) || inner.message.is_none() {
            inner.counter += 1;
            let record = self.own_record(inner.counter, &said);
            let vouchers = self.peers.all().into_values().filter_map(|p| p.voucher).collect();
            let signed = SignedRecord::sign(record, &self.own.authority, vouchers);
            inner.message = Some(signed.as_bytes().into());
            inner.told = Some(said);
            inner.heard.clear();
        }
        let Some(message) = inner.message.clone() else { return };
        for link in links {
            if inner.heard.contains_key(&link.peer.id) {
                continue;
            }
            // Read before it is sent: a connection that ends meanwhile makes it be sent again.
            let heard = Heard { link: Arc::downgrade(link), generation: link.generation() };
            if link.send_route(&message) {
                inner.heard.insert(link.peer.id, heard);
            }
        }
    }

    fn own_record(
        &self,
        counter: u32,
        (offers, neighbours, name): &(BTreeMap<Address, Offer>, Vec<Neighbour>, String),
    ) -> Record {
        let local = self.links.local();
        Record {
            origin: local.id,
            replica: 0,
            epoch: self.epoch,
            counter,
            name: name.clone(),
            mode: local.mode,
            software: local.software,
            neighbours: neighbours.clone(),
            offers: offers
                .iter()
                .map(|(address, offer)| OfferRecord {
                    address: address.clone(),
                    protocol: offer.protocol,
                    service_port: offer.service_port,
                    target_port: offer.target_port,
                    targets: offer.targets,
                    groups: Vec::new(),
                })
                .collect(),
            labels: BTreeMap::new(),
            revoked: Vec::new(),
        }
    }

    /// Gives the data plane a new snapshot of where each address can be reached.
    fn publish(&self, links: &[Arc<Link>], local: &BTreeMap<Address, Offer>) {
        let own = self.own_id();
        let mut inner = self.network.inner.lock();
        let known = inner.offers(own, local);
        let mut table = Vec::new();
        for (address, sites) in known {
            let mut candidates = Vec::new();
            for (site, offer) in sites {
                let usable: Vec<_> = links
                    .iter()
                    .filter(|l| l.peer.id == site && l.takes_flows())
                    .cloned()
                    .collect();
                let via = if site == own { Via::Local } else { Via::Links(usable) };
                let cost = match &via {
                    Via::Local => Some(0),
                    Via::Links(links) => links.iter().map(|l| u32::from(l.cost)).min(),
                    Via::Remote(_) => None,
                };
                let Some(cost) = cost.filter(|_| offer.targets > 0) else { continue };
                let meter = inner.candidates.entry((address.clone(), site)).or_default().clone();
                let (targets, groups) = (offer.targets, offer.groups);
                candidates.push(Candidate { site, via, targets, groups, cost, meter });
            }
            let meter = inner.services.entry(address.clone()).or_default().clone();
            table.push((address, Arc::new(Service::new(candidates, meter))));
        }
        drop(inner);
        self.dispatcher.publish(table.into_iter().collect::<ServiceTable>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn offer() -> Offer {
        Offer {
            targets: 1,
            groups: Vec::new(),
            protocol: van_model::Protocol::Tcp,
            service_port: None,
            target_port: None,
        }
    }

    #[test]
    fn addresses_are_forgotten_when_nobody_offers_uses_or_carries_them() {
        let (own, other) = (SiteId::from_bytes([1; 20]), SiteId::from_bytes([2; 20]));
        let mut inner = Inner::default();
        for name in ["offered", "used", "busy", "gone"] {
            inner.services.entry(address(name)).or_default();
            let meter = inner.candidates.entry((address(name), other)).or_default();
            meter.sent.add(7);
        }
        inner.candidates[&(address("busy"), other)].open.add(1);
        let local = BTreeMap::from([(address("offered"), offer())]);
        let used = BTreeSet::from([address("used")]);

        inner.forget_unused(own, &local, &used);
        let names: Vec<String> = inner.services.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["busy", "offered", "used"]);
        let carried: Vec<_> = inner.candidates.keys().cloned().collect();
        assert_eq!(carried, [(address("busy"), other)]);
        let sent = |inner: &Inner, name| inner.services[&address(name)].sent.get();
        assert_eq!((sent(&inner, "used"), sent(&inner, "busy")), (7, 0));

        inner.candidates[&(address("busy"), other)].open.sub(1);
        inner.forget_unused(own, &local, &used);
        assert!(inner.candidates.is_empty() && inner.services.len() == 2);
        inner.forget_unused(own, &local, &used);
        assert_eq!(sent(&inner, "used"), 7, "counted once");
    }
}
