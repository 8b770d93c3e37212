//! How a listener wants targets chosen, and the choice by it.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use van_model::{Address, AddressChoice, ListenerSpec, RouteSpec, Strategy};
use van_routing::{Choice, pick, pick_weighted};

use crate::services::{Candidate, Service, ServiceTable};
use crate::wish::Wish;

/// What a listener offers and how a target is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) strategy: Strategy,
    /// The addresses in the order of `failover`; none leads nowhere.
    pub(crate) choices: Vec<AddressChoice>,
    /// Of a route, the choices so far: its weights share among its addresses, and the strategy chooses
    /// within one.
    turns: Option<Arc<AtomicU64>>,
}

/// What a choice may take, and how it stands.
pub(crate) trait Look {
    /// How a candidate stands; `None` where it can't be used now.
    fn look(&self, service: usize, candidate: &Candidate) -> Option<Choice>;
}

/// A target that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Which of the plan's addresses.
    pub(crate) service: usize,
    /// Which of its candidates.
    pub(crate) candidate: usize,
    /// What its egress is asked.
    pub(crate) hint: String,
}

impl Plan {
    pub(crate) fn of(spec: &ListenerSpec) -> Self {
        Self::over(spec.strategy, spec.choices())
    }

    /// Of addresses in the order of `failover`.
    pub(crate) fn over(strategy: Strategy, choices: Vec<AddressChoice>) -> Self {
        Self { strategy, choices, turns: None }
    }

    /// Of a listener's route.
    pub(crate) fn of_route(strategy: Strategy, route: &RouteSpec) -> Self {
        Self { strategy, choices: route.choices(), turns: Some(Arc::default()) }
    }

    /// One address, with every default.
    pub(crate) fn balanced_over(address: Address) -> Self {
        let weight = NonZeroU16::MIN;
        Self::over(Strategy::Balanced, vec![AddressChoice { address, weight }])
    }

    /// The services of its addresses, in their order.
    pub(crate) fn services<'a>(&self, table: &'a ServiceTable) -> Vec<Option<&'a Service>> {
        self.choices.iter().map(|c| table.get(&c.address).map(|s| &**s)).collect()
    }

    /// Chooses among the services of the plan's addresses, in their order; `None` for an address
    /// that nobody offers.
    pub(crate) fn choose(
        &self,
        services: &[Option<&Service>],
        turn: u64,
        look: &impl Look,
    ) -> Option<Chosen> {
        match &self.turns {
            Some(turns) if self.choices.len() > 1 => {
                self.by_share(services, turns.fetch_add(1, Ordering::Relaxed), turn, look)
            }
            _ => self.by_strategy(services, turn, look),
        }
    }

    /// Chooses an address by its share, of those left another where that one has nothing to choose.
    fn by_share(
        &self,
        services: &[Option<&Service>],
        share: u64,
        turn: u64,
        look: &impl Look,
    ) -> Option<Chosen> {
        let mut left = services.to_vec();
        while left.iter().any(Option::is_some) {
            let mut sum = 0;
            let weights = left.iter().zip(&self.choices);
            let ends: Vec<u64> = weights
                .map(|(service, choice)| {
                    sum += service.map_or(0, |_| u64::from(choice.weight.get()));
                    sum
                })
                .collect();
            let drawn = pick_weighted(&ends, share, false)?;
            let mut alone = vec![None; left.len()];
            alone[drawn] = left[drawn].take();
            let found = self.by_strategy(&alone, turn, look);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn by_strategy(
        &self,
        services: &[Option<&Service>],
        turn: u64,
        look: &impl Look,
    ) -> Option<Chosen> {
        let known = || services.iter().enumerate().filter_map(|(i, s)| Some((i, (*s)?)));
        match self.strategy {
            Strategy::Balanced => self.balanced(known(), turn, look),
            Strategy::LocalFirst => {
                let local = known().find_map(|(i, service)| self.local(i, service, look));
                local.or_else(|| self.balanced(known(), turn, look))
            }
            Strategy::Failover => {
                known().find_map(|(i, service)| self.by_priority(i, service, turn, look))
            }
            Strategy::Weighted => self.weighted(services, turn, look),
        }
    }

    fn chosen(&self, service: usize, candidate: usize, priority: u16) -> Chosen {
        Chosen { service, candidate, hint: Wish::hint(self.strategy, priority) }
    }

    fn balanced<'a>(
        &self,
        services: impl Iterator<Item = (usize, &'a Service)>,
        turn: u64,
        look: &impl Look,
    ) -> Option<Chosen> {
        let best = services.filter_map(|(i, service)| {
            let candidates = &service.candidates;
            let found =
                pick(candidates.len(), service.cheapest, turn, |c| look.look(i, &candidates[c]));
            found.map(|(candidate, score)| (score, i, candidate))
        });
        best.min().map(|(_, service, candidate)| self.chosen(service, candidate, 0))
    }

    /// This site's targets, unless they failed lately.
    fn local(&self, index: usize, service: &Service, look: &impl Look) -> Option<Chosen> {
        let first = service.candidates.first().filter(|candidate| candidate.cost == 0)?;
        look.look(index, first).filter(|choice| choice.targets > 0 && choice.penalty == 0)?;
        Some(self.chosen(index, 0, 0))
    }

    fn by_priority(
        &self,
        index: usize,
        service: &Service,
        turn: u64,
        look: &impl Look,
    ) -> Option<Chosen> {
        // Those that failed lately are left to the second round.
        [false, true].into_iter().find_map(|penalized| {
            service.priorities.iter().find_map(|(priority, members)| {
                let found = pick(members.len(), members.len(), turn, |m| {
                    let (candidate, targets) = members[m];
                    let choice = look.look(index, &service.candidates[candidate])?;
                    (penalized || choice.penalty == 0).then_some(Choice { targets, ..choice })
                });
                found.map(|(member, _)| self.chosen(index, members[member].0, *priority))
            })
        })
    }

    fn weighted(
        &self,
        services: &[Option<&Service>],
        turn: u64,
        look: &impl Look,
    ) -> Option<Chosen> {
        let usable = |(i, c): (usize, usize), patient: bool| {
            let candidate = &services[i]?.candidates[c];
            let choice = look.look(i, candidate)?;
            (choice.targets > 0 && (patient || choice.penalty == 0)).then_some((i, c))
        };
        // By the address's share, then the site's; a turn for each of the two.
        let mut sum = 0;
        let ends: Vec<u64> = services
            .iter()
            .zip(&self.choices)
            .map(|(service, choice)| {
                let offered = service.is_some_and(|s| s.weight_ends.last().is_some_and(|w| *w > 0));
                sum += if offered { u64::from(choice.weight.get()) } else { 0 };
                sum
            })
            .collect();
        let drawn = pick_weighted(&ends, turn, false).and_then(|i| {
            let ends = &services[i]?.weight_ends;
            usable((i, pick_weighted(ends, turn, true)?), false)
        });
        let found = drawn.or_else(|| {
            // Shares of what is left, in the order of weights.
            let all = || {
                let each = services.iter().enumerate();
                each.filter_map(|(i, s)| Some((i, (*s)?)))
                    .flat_map(|(i, s)| (0..s.candidates.len()).map(move |c| (i, c)))
            };
            [false, true].into_iter().find_map(|patient| {
                let mut sum = 0;
                let left: Vec<_> = all().filter_map(|at| usable(at, patient)).collect();
                let ends: Vec<u64> = left
                    .iter()
                    .map(|(i, c)| {
                        sum += services[*i].map_or(0, |service| weight(service, *c))
                            * u64::from(self.choices[*i].weight.get());
                        sum
                    })
                    .collect();
                pick_weighted(&ends, turn, false).map(|at| left[at])
            })
        });
        found.map(|(service, candidate)| self.chosen(service, candidate, 0))
    }
}

fn weight(service: &Service, candidate: usize) -> u64 {
    let before = candidate.checked_sub(1).map_or(0, |c| service.weight_ends[c]);
    service.weight_ends[candidate] - before
}

#[cfg(test)]
mod tests {
    use van_model::SiteId;

    use super::*;
    use crate::services::{TargetGroup, Via};

    /// All can be used but those whose (service, site) is listed.
    #[derive(Default)]
    struct Open(Vec<(usize, u8)>, Vec<u8>);

    impl Look for Open {
        fn look(&self, service: usize, candidate: &Candidate) -> Option<Choice> {
            let site = candidate.site.as_bytes()[0];
            (!self.0.contains(&(service, site))).then(|| Choice {
                cost: candidate.cost,
                outstanding: candidate.meter.open.get(),
                targets: candidate.targets,
                penalty: if self.1.contains(&site) { 100 } else { 0 },
            })
        }
    }

    fn candidate(site: u8, cost: u32, groups: &[(u16, u32, u32)]) -> Candidate {
        let groups: Vec<_> = groups
            .iter()
            .map(|(priority, weight, targets)| TargetGroup {
                priority: *priority,
                weight: *weight,
                targets: *targets,
            })
            .collect();
        let targets = groups.iter().map(|g| g.targets).sum();
        let site = SiteId::from_bytes([site; 20]);
        Candidate { site, via: Via::Local, targets, groups, cost, meter: Arc::default() }
    }

    fn plan(strategy: Strategy, choices: &[&str]) -> Plan {
        Plan::over(strategy, choices.iter().map(|c| c.parse().unwrap()).collect())
    }

    fn sites(plan: &Plan, services: &[Option<&Service>], look: &Open, turns: u64) -> Vec<usize> {
        let mut count = vec![0; 10];
        for turn in 0..turns {
            if let Some(chosen) = plan.choose(services, turn, look) {
                let service = services[chosen.service].unwrap();
                count[usize::from(service.candidates[chosen.candidate].site.as_bytes()[0])] += 1;
            }
        }
        count
    }

    #[test]
    fn local_first_stays_at_home_until_home_fails() {
        let there = [candidate(1, 0, &[(0, 1, 1)]), candidate(2, 1, &[(0, 9, 9)])];
        let service = Service::new(there.into(), Arc::default());
        service.candidates[0].meter.open.add(500);
        let plan = plan(Strategy::LocalFirst, &["a"]);
        let services = [Some(&service)];
        assert_eq!(sites(&plan, &services, &Open::default(), 10)[1], 10);
        assert_eq!(sites(&plan, &services, &Open(vec![], vec![1]), 10)[2], 10, "it failed lately");
        assert_eq!(sites(&plan, &services, &Open(vec![(0, 1)], vec![]), 10)[2], 10);
    }

    #[test]
    fn failover_follows_priorities_over_sites_then_addresses() {
        let candidates = vec![
            candidate(1, 9, &[(0, 1, 1)]),
            candidate(2, 1, &[(5, 1, 4)]),
            candidate(3, 2, &[(5, 1, 4), (7, 1, 1)]),
        ];
        let first = Service::new(candidates, Arc::default());
        let second = Service::new(vec![candidate(4, 1, &[(0, 1, 1)])], Arc::default());
        let plan = plan(Strategy::Failover, &["a", "b"]);
        let services = [Some(&first), Some(&second)];
        let mut closed = Open::default();
        for (site, hint) in [(1, "#0"), (2, "#5"), (3, "#5"), (4, "#0")] {
            let chosen = plan.choose(&services, 3, &closed).unwrap();
            assert_eq!(chosen.hint, hint);
            assert_eq!(sites(&plan, &services, &closed, 10)[site], 10, "site {site}");
            closed.0.push((if site == 4 { 1 } else { 0 }, site as u8));
        }
        assert_eq!(plan.choose(&services, 0, &closed), None);
        assert!(plan.choose(&[None, Some(&second)], 0, &Open::default()).is_some());
        let penalized = Open(vec![], vec![1]);
        assert_eq!(sites(&plan, &services, &penalized, 10)[2], 10, "a failed one waits its turn");
    }

    #[test]
    fn weights_share_over_sites_and_addresses() {
        let blue = Service::new(
            vec![candidate(1, 1, &[(0, 3, 1)]), candidate(2, 50, &[(0, 1, 1)])],
            Arc::default(),
        );
        let green = Service::new(vec![candidate(3, 1, &[(0, 7, 7)])], Arc::default());
        let plan = plan(Strategy::Weighted, &["blue=90", "green=10"]);
        let services = [Some(&blue), Some(&green)];
        let count = sites(&plan, &services, &Open::default(), 10_000);
        assert!((850..=1150).contains(&count[3]), "{count:?}");
        assert!((2050..=2450).contains(&count[2]), "{count:?}");
        let count = sites(&plan, &services, &Open(vec![(0, 1), (0, 2)], vec![]), 100);
        assert_eq!(count[3], 100);
        let count = sites(&plan, &[None, Some(&green)], &Open::default(), 100);
        assert_eq!(count[3], 100);
    }

    #[test]
    fn a_routes_shares_hold_under_every_strategy_and_pass_over_what_has_no_target() {
        let near = Service::new(vec![candidate(1, 1, &[(0, 1, 1)])], Arc::default());
        let far = Service::new(vec![candidate(2, 50, &[(0, 9, 9)])], Arc::default());
        for strategy in
            [Strategy::Balanced, Strategy::LocalFirst, Strategy::Failover, Strategy::Weighted]
        {
            let to = ["near=90", "far=10", "none=0"].map(|to| to.parse().unwrap()).into();
            let plan = Plan::of_route(strategy, &RouteSpec { to, ..RouteSpec::default() });
            let services = [Some(&near), Some(&far)];
            let count = sites(&plan, &services, &Open::default(), 1000);
            assert!((890..=910).contains(&count[1]), "{strategy}: {count:?}");
            assert_eq!(count[1] + count[2], 1000);
            let closed = Open(vec![(0, 1)], vec![]);
            assert_eq!(sites(&plan, &services, &closed, 100)[2], 100, "{strategy}");
            assert_eq!(sites(&plan, &[None, Some(&far)], &Open::default(), 100)[2], 100);
            assert_eq!(plan.choose(&[None, None], 0, &Open::default()), None);
        }
    }

    #[test]
    fn balanced_looks_at_all_addresses() {
        let near = Service::new(vec![candidate(1, 1, &[(0, 1, 1)])], Arc::default());
        let far = Service::new(vec![candidate(2, 5, &[(0, 1, 1)])], Arc::default());
        let plan = plan(Strategy::Balanced, &["far", "near"]);
        let services = [Some(&far), Some(&near)];
        assert_eq!(sites(&plan, &services, &Open::default(), 10)[1], 10);
        near.candidates[0].meter.open.add(10);
        assert_eq!(sites(&plan, &services, &Open::default(), 10)[2], 10);
    }
}
