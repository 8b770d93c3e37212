//! Services of the network as this site sees them, and the table that the data plane chooses from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use van_model::{Address, SiteId};
use van_net::{Link, Meter};
use van_proxy::{Candidate, Offer, Service, ServiceTable, TargetGroup, Via};
use van_routing::{RouterId, RouterOffer, Routes};

use crate::site::Site;

/// The counts of services used here, and what was last published.
#[derive(Default)]
pub(crate) struct Services {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    services: BTreeMap<Address, Arc<Meter>>,
    candidates: BTreeMap<(Address, SiteId), Arc<Meter>>,
    published: Option<(u64, BTreeMap<Address, Offer>)>,
}

/// A service as this site sees it.
pub(crate) struct KnownService {
    pub(crate) address: Address,
    pub(crate) offers: BTreeMap<SiteId, Offer>,
    pub(crate) conflict: Option<String>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) meters: Vec<Arc<Meter>>,
}

impl KnownService {
    /// A service that is used here and offered nowhere.
    pub(crate) fn unknown(address: Address) -> Self {
        let (offers, conflict) = (BTreeMap::new(), None);
        Self { address, offers, conflict, meter: Arc::default(), meters: Vec::new() }
    }
}

/// What others offer, site by site.
fn offers_of_others(routes: &Routes) -> BTreeMap<Address, BTreeMap<SiteId, Offer>> {
    let services = routes.services.iter().map(|(address, service)| {
        let mut sites: BTreeMap<SiteId, Offer> = BTreeMap::new();
        for (router, offer) in service.offers.iter().filter(|(r, _)| r.site != routes.me.site) {
            let fresh = shown(offer);
            sites
                .entry(router.site)
                .and_modify(|seen| seen.targets = seen.targets.saturating_add(fresh.targets))
                .or_insert(fresh);
        }
        (address.clone(), sites)
    });
    services.filter(|(_, sites)| !sites.is_empty()).collect()
}

fn shown(offer: &RouterOffer) -> Offer {
    Offer {
        targets: offer.targets,
        groups: groups(offer),
        protocol: offer.protocol,
        service_port: offer.service_port,
        target_port: offer.target_port,
    }
}

fn groups(offer: &RouterOffer) -> Vec<TargetGroup> {
    let group = |g: &van_routing::OfferGroup| TargetGroup {
        priority: g.priority,
        weight: g.weight.into(),
        targets: g.targets,
    };
    offer.groups.iter().map(group).collect()
}

impl Services {
    /// Services offered anywhere or used here.
    pub(crate) fn known(
        &self,
        routes: &Routes,
        own: SiteId,
        local: &BTreeMap<Address, Offer>,
    ) -> Vec<KnownService> {
        let mut known = offers_of_others(routes);
        for (address, offer) in local {
            known.entry(address.clone()).or_default().insert(own, offer.clone());
        }
        let mut inner = self.inner.lock();
        for address in inner.services.keys() {
            known.entry(address.clone()).or_default();
        }
        let make = |(address, offers): (Address, BTreeMap<SiteId, Offer>)| KnownService {
            meter: inner.services.entry(address.clone()).or_default().clone(),
            meters: inner
                .candidates
                .range((address.clone(), SiteId::from_bytes([0; SiteId::BYTES]))..)
                .take_while(|((a, _), _)| *a == address)
                .map(|(_, meter)| meter.clone())
                .collect(),
            conflict: routes.services.get(&address).and_then(|s| s.conflict.clone()),
            offers,
            address,
        };
        known.into_iter().map(make).collect()
    }

    /// Flows open between this site's own listeners and connectors.
    pub(crate) fn local_flows(&self, own: SiteId) -> u64 {
        let inner = self.inner.lock();
        let own = inner.candidates.iter().filter(|((_, site), _)| *site == own);
        own.map(|(_, m)| m.open.get()).sum()
    }
}

impl Inner {
    /// Drops the counts of what is offered nowhere, used by no listener and carries no flow.
    ///
    /// Runs after the new table is published, so that no new flow counts where nobody looks.
    fn forget_unused(
        &mut self,
        offered: impl Fn(&Address, &SiteId) -> bool,
        known: impl Fn(&Address) -> bool,
    ) {
        let Self { services, candidates, .. } = self;
        candidates.retain(|(address, site), meter| {
            let keep = offered(address, site) || meter.open.get() > 0;
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
            known(address) || carrying.contains(address) || meter.open.get() > 0
        });
    }
}

impl Site {
    /// Gives the data plane a new snapshot of where each address can be reached, if that changed.
    pub(crate) fn publish_services(
        &self,
        routes: &Routes,
        links: &[Arc<Link>],
        local: BTreeMap<Address, Offer>,
        links_changed: bool,
    ) {
        let own = self.own_id();
        let mut inner = self.services.inner.lock();
        let same = |(version, offers): &(u64, BTreeMap<Address, Offer>)| {
            *version == routes.version && *offers == local
        };
        if !links_changed && inner.published.as_ref().is_some_and(same) {
            return;
        }
        let mut candidates: BTreeMap<Address, Vec<Candidate>> = BTreeMap::new();
        for (address, offer) in local.iter().filter(|(_, offer)| offer.targets > 0) {
            let meter = inner.candidates.entry((address.clone(), own)).or_default().clone();
            candidates.entry(address.clone()).or_default().push(Candidate {
                site: own,
                via: Via::Local,
                targets: offer.targets,
                groups: offer.groups.clone(),
                cost: 0,
                meter,
            });
        }
        for (address, service) in &routes.services {
            let others = service.offers.iter().filter(|(r, o)| r.site != own && o.targets > 0);
            for (router, offer) in others {
                let Some((via, cost)) = self.way(routes, links, *router) else { continue };
                let key = (address.clone(), router.site);
                let meter = inner.candidates.entry(key).or_default().clone();
                candidates.entry(address.clone()).or_default().push(Candidate {
                    site: router.site,
                    via,
                    targets: offer.targets,
                    groups: groups(offer),
                    cost,
                    meter,
                });
            }
        }
        let mut table = Vec::new();
        for (address, candidates) in candidates {
            let meter = inner.services.entry(address.clone()).or_default().clone();
            table.push((address, Arc::new(Service::new(candidates, meter))));
        }
        self.dispatcher.publish(table.into_iter().collect::<ServiceTable>());
        let used = self.used_addresses();
        let offered = |address: &Address, site: &SiteId| {
            if *site == own {
                return local.contains_key(address);
            }
            let service = routes.services.get(address);
            service.is_some_and(|s| s.offers.keys().any(|router| router.site == *site))
        };
        let known = |address: &Address| {
            used.contains(address)
                || local.contains_key(address)
                || routes.services.contains_key(address)
        };
        inner.forget_unused(offered, known);
        inner.published = Some((routes.version, local));
    }

    /// The way to a router and its cost: a link where it is a neighbour on a path of least cost,
    /// else an end-to-end session.
    fn way(&self, routes: &Routes, links: &[Arc<Link>], router: RouterId) -> Option<(Via, u32)> {
        let path = routes.routers.get(&router)?.path.as_ref()?;
        if path.next.contains(&router) {
            let fit = |l: &&Arc<Link>| {
                l.peer.id == router.site && l.peer.replica == router.replica && l.takes_flows()
            };
            let direct: Vec<_> = links.iter().filter(fit).cloned().collect();
            if !direct.is_empty() {
                return Some((Via::Links(direct), path.cost));
            }
        }
        let remote = self.links.remote((router.site, router.replica));
        Some((Via::Remote(remote), path.cost))
    }

    fn used_addresses(&self) -> BTreeSet<Address> {
        let running = self.running.lock();
        let listeners = running.listeners.values();
        let choices = listeners.flat_map(|run| run.wanted.spec.choices());
        choices.map(|choice| choice.address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_forgotten_when_nobody_offers_uses_or_carries_them() {
        let other = SiteId::from_bytes([2; 20]);
        let mut inner = Inner::default();
        for name in ["offered", "used", "busy", "gone"] {
            inner.services.entry(address(name)).or_default();
            let meter = inner.candidates.entry((address(name), other)).or_default();
            meter.sent.add(7);
        }
        inner.candidates[&(address("busy"), other)].open.add(1);
        let nowhere = |_: &Address, _: &SiteId| false;
        let known = |a: &Address| ["offered", "used"].contains(&a.as_str());

        inner.forget_unused(nowhere, known);
        let names: Vec<String> = inner.services.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["busy", "offered", "used"]);
        let carried: Vec<_> = inner.candidates.keys().cloned().collect();
        assert_eq!(carried, [(address("busy"), other)]);
        let sent = |inner: &Inner, name| inner.services[&address(name)].sent.get();
        assert_eq!((sent(&inner, "used"), sent(&inner, "busy")), (7, 0));

        inner.candidates[&(address("busy"), other)].open.sub(1);
        inner.forget_unused(nowhere, known);
        assert!(inner.candidates.is_empty() && inner.services.len() == 2);
        inner.forget_unused(nowhere, known);
        assert_eq!(sent(&inner, "used"), 7, "counted once");
    }
}
