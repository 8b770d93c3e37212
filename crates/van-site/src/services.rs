//! Services of the network as this site sees them, and the table that the data plane chooses from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use van_model::{Address, SiteId};
use van_net::{Link, Meter};
use van_proxy::{Candidate, Offer, Service, ServiceTable, TargetGroup, Via};
use van_routing::{RouterId, RouterOffer, Routes, ServiceOffers};

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
    ways: BTreeMap<RouterId, Way>,
    built: BTreeMap<Address, Built>,
}

/// How a router is reached at the moment.
#[derive(Clone, PartialEq, Eq)]
struct Way {
    cost: u32,
    /// Its links that take flows, where it is a neighbour on a path of least cost; none: through
    /// other sites.
    direct: Vec<ByIdentity>,
}

/// A link that is equal to itself alone.
#[derive(Clone)]
struct ByIdentity(Arc<Link>);

impl PartialEq for ByIdentity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByIdentity {}

/// A service of the published table, and what it was made of.
struct Built {
    elsewhere: Option<Arc<ServiceOffers>>,
    here: Option<Offer>,
    service: Arc<Service>,
}

impl Built {
    /// Whether the same would be made now; `moved` are the routers that are reached in another way.
    fn holds(
        &self,
        elsewhere: Option<&Arc<ServiceOffers>>,
        here: Option<&Offer>,
        moved: &BTreeSet<RouterId>,
    ) -> bool {
        let same = match (&self.elsewhere, elsewhere) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        };
        let stays = |offers: &Arc<ServiceOffers>| offers.offers.keys().all(|r| !moved.contains(r));
        same && self.here.as_ref() == here && (moved.is_empty() || elsewhere.is_none_or(stays))
    }
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
                .and_modify(|seen| seen.targets = seen.targets.max(fresh.targets))
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

/// A router that offers a service, and how it is reached.
#[derive(Clone, Copy)]
struct Reached<'a>(RouterId, &'a RouterOffer, &'a Way);

/// Of one site's routers, which all have the same targets, those of least cost. Which of them comes first differs
/// from site to site, so that they share the work.
fn nearest<'a>(own: SiteId, replicas: &[Reached<'a>]) -> Vec<Reached<'a>> {
    let least = replicas.iter().map(|Reached(_, _, way)| way.cost).min();
    let mut nearest: Vec<_> =
        replicas.iter().filter(|Reached(_, _, way)| Some(way.cost) == least).copied().collect();
    if !nearest.is_empty() {
        let turn = usize::from(own.as_bytes()[0]) % nearest.len();
        nearest.rotate_left(turn);
    }
    nearest
}

/// How each router that can be reached is reached.
fn ways(routes: &Routes, links: &[Arc<Link>]) -> BTreeMap<RouterId, Way> {
    let way = |(router, node): (&RouterId, &van_routing::Node)| {
        let path = node.path.as_ref()?;
        let fit = |link: &&Arc<Link>| {
            link.peer.id == router.site && link.peer.replica == router.replica && link.takes_flows()
        };
        let direct = if path.next.contains(router) {
            links.iter().filter(fit).cloned().map(ByIdentity).collect()
        } else {
            Vec::new()
        };
        Some((*router, Way { cost: path.cost, direct }))
    };
    routes.routers.iter().filter_map(way).collect()
}

/// The routers that are reached in another way than before, or by none in one of the two.
fn moved(old: &BTreeMap<RouterId, Way>, new: &BTreeMap<RouterId, Way>) -> BTreeSet<RouterId> {
    let gone = old.keys().filter(|router| !new.contains_key(router));
    let other = new.iter().filter(|(router, way)| old.get(router) != Some(*way));
    gone.chain(other.map(|(router, _)| router)).copied().collect()
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
        let ways = ways(routes, links);
        let moved = moved(&inner.ways, &ways);
        let addresses: BTreeSet<&Address> = routes.services.keys().chain(local.keys()).collect();
        let mut built = BTreeMap::new();
        for address in addresses {
            let elsewhere = routes.services.get(address);
            let here = local.get(address);
            let kept = inner.built.remove(address).filter(|b| b.holds(elsewhere, here, &moved));
            let fresh = kept.or_else(|| self.build(&mut inner, address, elsewhere, here, &ways));
            built.extend(fresh.map(|built| (address.clone(), built)));
        }
        let table = built.iter().map(|(address, built)| (address.clone(), built.service.clone()));
        self.dispatcher.publish(table.collect::<ServiceTable>());
        (inner.ways, inner.built) = (ways, built);
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

    /// A service as the data plane wants it; `None` where no target of it can be reached.
    fn build(
        &self,
        inner: &mut Inner,
        address: &Address,
        elsewhere: Option<&Arc<ServiceOffers>>,
        here: Option<&Offer>,
        ways: &BTreeMap<RouterId, Way>,
    ) -> Option<Built> {
        let own = self.own_id();
        let mut candidates = Vec::new();
        if let Some(offer) = here.filter(|offer| offer.targets > 0) {
            candidates.push(Candidate {
                site: own,
                via: Via::Local,
                targets: offer.targets,
                groups: offer.groups.clone(),
                cost: 0,
                meter: inner.candidates.entry((address.clone(), own)).or_default().clone(),
            });
        }
        let others = elsewhere.into_iter().flat_map(|service| &service.offers);
        let others = others.filter(|(r, o)| r.site != own && o.targets > 0);
        let others: Vec<_> =
            others.filter_map(|(r, o)| Some(Reached(*r, o, ways.get(r)?))).collect();
        for replicas in others.chunk_by(|one, other| one.0.site == other.0.site) {
            let nearest = nearest(own, replicas);
            let Some(Reached(router, offer, way)) = nearest.first() else { continue };
            candidates.push(Candidate {
                site: router.site,
                via: self.way_to(&nearest),
                targets: offer.targets,
                groups: groups(offer),
                cost: way.cost,
                meter: inner.candidates.entry((address.clone(), router.site)).or_default().clone(),
            });
        }
        if candidates.is_empty() {
            return None;
        }
        let meter = inner.services.entry(address.clone()).or_default().clone();
        let service = Arc::new(Service::new(candidates, meter));
        Some(Built { elsewhere: elsewhere.cloned(), here: here.cloned(), service })
    }

    /// The way to a site by its replicas that are nearest.
    fn way_to(&self, nearest: &[Reached<'_>]) -> Via {
        let direct = nearest.iter().flat_map(|Reached(_, _, way)| &way.direct);
        let direct: Vec<_> = direct.map(|link| link.0.clone()).collect();
        match nearest.first() {
            Some(Reached(router, _, _)) if direct.is_empty() => {
                Via::Remote(self.links.remote((router.site, router.replica)))
            }
            _ => Via::Links(direct),
        }
    }

    fn used_addresses(&self) -> BTreeSet<Address> {
        let running = self.running.lock();
        let listeners = running.listeners.values();
        listeners.flat_map(|run| run.wanted.spec.all_addresses()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn replicas_of_a_site_are_one_candidate_by_those_that_are_nearest() {
        let site = SiteId::from_bytes([2; 20]);
        let offer = RouterOffer {
            targets: 3,
            groups: Vec::new(),
            protocol: van_model::Protocol::Tcp,
            service_port: None,
            target_port: None,
        };
        let ways = [2, 1, 1].map(|cost| Way { cost, direct: Vec::new() });
        let replicas: Vec<_> = (0..3)
            .map(|r: u16| Reached(RouterId { site, replica: r }, &offer, &ways[usize::from(r)]))
            .collect();
        let chosen = |own: u8| -> Vec<u16> {
            let nearest = nearest(SiteId::from_bytes([own; 20]), &replicas);
            nearest.iter().map(|Reached(router, _, _)| router.replica).collect()
        };
        assert_eq!((chosen(4), chosen(5)), (vec![1, 2], vec![2, 1]));
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
