//! What the routers should have found, worked out from the true graph.

use std::collections::{BTreeMap, BTreeSet};

use van_model::Mode;
use van_routing::RouterId;

use super::VirtualNetwork;

/// How far a flow may go: the data plane's hop limit.
const HOP_LIMIT: usize = 16;

impl VirtualNetwork {
    /// Compares every running site's routes with the true graph; says the first difference.
    pub fn check(&self) -> Result<(), String> {
        for from in self.live() {
            let truth = self.least_costs(from);
            let routes = self.routes(from);
            for to in self.live() {
                let found = routes.routers.get(&self.id(to)).and_then(|node| node.path.as_ref());
                let (found, due) = (found.map(|path| path.cost), truth.get(&to).copied());
                if found != due {
                    let (from, to) = (&self.sites[from].name, &self.sites[to].name);
                    return Err(format!("{from} to {to}: cost {found:?} instead of {due:?}"));
                }
            }
            for (router, node) in &routes.routers {
                let runs = self.live().iter().any(|site| self.id(*site) == *router);
                if node.path.is_some() && !runs {
                    let (from, to) = (&self.sites[from].name, self.name(router.site));
                    return Err(format!("{from} reaches {to}, which does not run"));
                }
            }
            self.check_services(from, &truth)?;
            for to in truth.keys() {
                self.check_ways(from, *to)?;
            }
        }
        Ok(())
    }

    /// Follows snapshots from one site to another, by chance where there are several next hops.
    ///
    /// Returns the hops, or `None` where it is dropped: without a route, at a site that doesn't
    /// run, or at the hop limit.
    pub fn walk(&mut self, from: usize, to: usize) -> Option<usize> {
        let mut at = from;
        for hops in 0..=HOP_LIMIT {
            if at == to {
                return Some(hops);
            }
            let routes = self.runs(at).then(|| self.routes(at))?;
            let next = &routes.routers.get(&self.id(to))?.path.as_ref()?.next;
            let choice = next.get(self.below(next.len()))?;
            at = self.number(*choice)?;
        }
        None
    }

    /// Of each site that is reached from this one, this one included, the least cost.
    pub fn least_costs(&self, from: usize) -> BTreeMap<usize, u32> {
        let mut found = BTreeMap::new();
        let mut open = BTreeSet::from([(0u32, from)]);
        while let Some((cost, at)) = open.pop_first() {
            if found.contains_key(&at) {
                continue;
            }
            found.insert(at, cost);
            if at != from && self.sites[at].about.mode == Mode::Edge {
                continue;
            }
            for (number, wire) in self.wires.iter().enumerate() {
                let Some(side) = wire.ends.iter().position(|end| *end == at) else { continue };
                if self.is_usable(number) {
                    open.insert((cost + u32::from(wire.costs[side]), wire.ends[1 - side]));
                }
            }
        }
        found
    }

    fn check_services(&self, from: usize, truth: &BTreeMap<usize, u32>) -> Result<(), String> {
        let mut due = BTreeSet::new();
        for site in truth.keys() {
            let offers = self.sites[*site].about.offers.iter();
            due.extend(offers.map(|o| (o.address.to_string(), self.id(*site), o.targets)));
        }
        let routes = self.routes(from);
        let services = routes.services.iter();
        let found: BTreeSet<_> = services
            .flat_map(|(address, service)| {
                service.offers.iter().map(|(r, offer)| (address.to_string(), *r, offer.targets))
            })
            .collect();
        match due.symmetric_difference(&found).next() {
            None => Ok(()),
            Some(wrong) => {
                let name = &self.sites[from].name;
                Err(format!("{name} and the truth differ on the offer {wrong:?}"))
            }
        }
    }

    /// Whether each next hop stands nearer to the end by what the step to it costs: then no walk
    /// over any of them comes back.
    fn check_ways(&self, from: usize, to: usize) -> Result<(), String> {
        if from == to {
            return Ok(());
        }
        let routes = self.routes(from);
        let path = routes.routers[&self.id(to)].path.as_ref().expect("it was compared");
        let names = || format!("{} to {}", self.sites[from].name, self.sites[to].name);
        if path.next.is_empty() {
            return Err(format!("{}: a path without a next hop", names()));
        }
        for next in &path.next {
            let number = self.number(*next).ok_or_else(|| format!("{}: unknown hop", names()))?;
            let rest = self.least_costs(number).get(&to).copied();
            let step = self.step(from, number);
            let passes = number == to || self.sites[number].about.mode == Mode::Interior;
            if !passes || step.zip(rest).map(|(a, b)| a + b) != Some(path.cost) {
                return Err(format!("{}: not nearer by way of {number}", names()));
            }
        }
        let way = routes.path(self.id(to)).ok_or_else(|| format!("{}: no way", names()))?;
        if way.len() != usize::from(path.hops) + 1 || way.first() != Some(&self.id(from)) {
            return Err(format!("{}: a way of {} for {} hops", names(), way.len(), path.hops));
        }
        Ok(())
    }

    fn step(&self, from: usize, to: usize) -> Option<u32> {
        let wires = self.wires.iter().enumerate();
        let usable = wires.filter(|(number, _)| self.is_usable(*number)).map(|(_, wire)| wire);
        let costs = usable.filter_map(|wire| match wire.ends {
            [a, b] if (a, b) == (from, to) => Some(wire.costs[0]),
            [a, b] if (b, a) == (from, to) => Some(wire.costs[1]),
            _ => None,
        });
        costs.min().map(u32::from)
    }

    fn number(&self, router: RouterId) -> Option<usize> {
        (0..self.sites.len()).find(|site| self.id(*site) == router)
    }
}
