//! The way that a new flow would go now.

use std::sync::Arc;

use van_model::api::{Trace, TraceCandidate, TraceHop, TraceRequest};
use van_model::status::SiteRef;
use van_model::{Address, AddressChoice, ApiError, ErrorCode, Strategy};
use van_proxy::{Candidate, ServiceTable, Via};
use van_routing::{Choice, RouterId, Routes};

use crate::network_view::{Names, claimed, like};
use crate::site::Site;
use crate::trace::judge::{Group, Standing, judge};

mod judge;

/// How a listener chooses, or how a flow of no listener is.
struct Wish {
    listener: Option<String>,
    strategy: Strategy,
    choices: Vec<AddressChoice>,
}

impl Site {
    pub(crate) async fn trace_flow(&self, request: TraceRequest) -> Result<Trace, ApiError> {
        let asked: Address = request.address.parse().map_err(|error| {
            let message = format!("{:?} is no address: {error}", request.address);
            ApiError::new(ErrorCode::Invalid, message)
        })?;
        let wish = self.wish(&asked, request.listener)?;
        let (routes, table) = (self.map.routes(), self.dispatcher.table());
        if wish.choices.iter().all(|choice| !self.is_offered(&routes, &choice.address)) {
            return Err(self.offered_nowhere(&routes, &asked));
        }
        let names = self.names(&routes);
        let found = candidates(&table, &wish.choices);
        let standings: Vec<Standing> = found
            .iter()
            .map(|(index, candidate)| {
                let choice = &wish.choices[*index];
                let penalty = self.dispatcher.penalty(candidate.site, &choice.address);
                standing(*index, choice, candidate, penalty, &names)
            })
            .collect();
        let next = self.dispatcher.preview(&table, wish.strategy, &wish.choices);
        let chosen = next.and_then(|(index, at)| {
            let service = table.get(&wish.choices.get(index)?.address)?;
            let chosen = service.candidates.get(at)?;
            found.iter().position(|(i, c)| *i == index && std::ptr::eq(*c, chosen))
        });
        let verdict = judge(wish.strategy, &standings, chosen);
        let chosen = verdict.chosen.map(|at| found[at].1);
        let path = match chosen {
            Some(candidate) => self.hops(&routes, &names, router(candidate)).await,
            None => Vec::new(),
        };
        let mut shown: Vec<TraceCandidate> = standings
            .iter()
            .zip(&found)
            .enumerate()
            .map(|(at, (standing, (_, candidate)))| TraceCandidate {
                address: standing.address.clone(),
                site: names.site(candidate.site).name,
                id: candidate.site,
                targets: standing.targets,
                cost: standing.cost,
                flows_open: standing.flows,
                penalty: Some(standing.penalty),
                score: standing.score() as f64 / 1e3,
                priority: standing.priority(),
                share: verdict.shares[at],
                usable: standing.usable,
                chosen: verdict.chosen == Some(at),
            })
            .collect();
        shown.sort_by(|a, b| {
            (b.chosen, b.usable).cmp(&(a.chosen, a.usable)).then(a.score.total_cmp(&b.score))
        });
        Ok(Trace {
            address: asked,
            listener: wish.listener,
            strategy: wish.strategy,
            candidates: shown,
            chosen: chosen.map(|candidate| names.site(candidate.site)),
            why: verdict.why,
            path,
        })
    }

    fn wish(&self, asked: &Address, listener: Option<String>) -> Result<Wish, ApiError> {
        let Some(name) = listener else {
            let weight = std::num::NonZeroU16::MIN;
            let choices = vec![AddressChoice { address: asked.clone(), weight }];
            return Ok(Wish { listener: None, strategy: Strategy::Balanced, choices });
        };
        let running = self.running.lock();
        let Some(run) = running.listeners.get(&name) else {
            return Err(ApiError::new(ErrorCode::NotFound, format!("no listener named {name:?}"))
                .hint("'vanctl listener status' shows the listeners"));
        };
        let spec = &run.wanted.spec;
        let all = spec.all_addresses();
        let mut choices = spec.choices();
        if all.contains(asked) && choices.iter().all(|choice| choice.address != *asked) {
            // A route leads there.
            let weight = std::num::NonZeroU16::MIN;
            choices = vec![AddressChoice { address: asked.clone(), weight }];
        }
        if !all.contains(asked) {
            let message = format!("listener {name:?} does not offer {asked}");
            let all: Vec<_> = all.iter().map(Address::as_str).collect();
            let own = format!("it offers {}", all.join(", "));
            return Err(ApiError::new(ErrorCode::Invalid, message).hint(own));
        }
        Ok(Wish { listener: Some(name), strategy: spec.strategy, choices })
    }

    fn is_offered(&self, routes: &Routes, address: &Address) -> bool {
        routes.services.contains_key(address) || self.connectors.offers().contains_key(address)
    }

    fn offered_nowhere(&self, routes: &Routes, asked: &Address) -> ApiError {
        let local = self.connectors.offers();
        let known = routes.services.keys().chain(local.keys()).map(Address::as_str);
        let hint = like(asked.as_str(), known).map_or_else(
            || "'vanctl service status' shows what is offered".into(),
            |near| format!("did you mean {near:?}? 'vanctl service status' shows all"),
        );
        let message = format!("no site that can be reached offers {asked}");
        ApiError::new(ErrorCode::NotFound, message).hint(hint)
    }

    /// The sites on the way to a router, this one first.
    async fn hops(&self, routes: &Routes, names: &Names, to: RouterId) -> Vec<TraceHop> {
        let Some(way) = routes.path(to) else { return Vec::new() };
        let times = self.round_trips(routes, &way[1..]).await;
        let hop = |(at, router): (usize, &RouterId)| {
            let SiteRef { id, name: site } = names.site(router.site);
            let before = at.checked_sub(1).map(|before| way[before]);
            let link = before.filter(|_| at == 1).and_then(|_| self.link_on_way(routes, *router));
            TraceHop {
                site,
                id,
                link: link.as_ref().map(|link| link.name.clone()),
                cost: match link {
                    Some(link) => Some(link.cost),
                    None => before.and_then(|before| claimed(routes, before, *router)),
                },
                rtt_ms: before.and_then(|_| times.get(at - 1).copied().flatten()),
            }
        };
        way.iter().enumerate().map(hop).collect()
    }
}

/// The candidates of all addresses, each with the place of its address.
fn candidates<'a>(
    table: &'a Arc<ServiceTable>,
    choices: &[AddressChoice],
) -> Vec<(usize, &'a Candidate)> {
    let of = |(index, choice): (usize, &AddressChoice)| {
        let service = table.get(&choice.address);
        let candidates = service.map_or(&[][..], |service| &service.candidates);
        candidates.iter().map(move |candidate| (index, candidate)).collect::<Vec<_>>()
    };
    choices.iter().enumerate().flat_map(of).collect()
}

fn standing(
    index: usize,
    choice: &AddressChoice,
    candidate: &Candidate,
    penalty: u32,
    names: &Names,
) -> Standing {
    let group = |g: &van_proxy::TargetGroup| Group {
        priority: g.priority,
        weight: g.weight.into(),
        targets: g.targets,
    };
    let usable = match &candidate.via {
        Via::Local | Via::Remote(_) => true,
        Via::Links(links) => links.iter().any(|link| link.takes_flows()),
    };
    Standing {
        index,
        address: choice.address.clone(),
        address_weight: choice.weight.get().into(),
        label: names.label(candidate.site),
        local: matches!(candidate.via, Via::Local),
        targets: candidate.targets,
        groups: candidate.groups.iter().map(group).collect(),
        cost: candidate.cost,
        flows: candidate.meter.open.get(),
        penalty,
        usable: usable && candidate.targets > 0,
    }
}

impl Standing {
    fn score(&self) -> u64 {
        let Self { cost, targets, flows, penalty, .. } = *self;
        Choice { cost, outstanding: flows, targets, penalty }.score()
    }
}

/// The router to which a candidate's flows go.
fn router(candidate: &Candidate) -> RouterId {
    let replica = match &candidate.via {
        Via::Local => 0,
        Via::Links(links) => links.first().map_or(0, |link| link.peer.replica),
        Via::Remote(remote) => remote.router().1,
    };
    RouterId { site: candidate.site, replica }
}
