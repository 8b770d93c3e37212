//! Giving each flow to a site that can serve it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use tracing::debug;
use van_http::Way;
use van_model::api::FlowEnd;
use van_model::{Address, AddressChoice, ListenerSpec, SiteId, Strategy};
use van_mux::ResetCode;
use van_net::{FlowLog, Link, Meter, NewFlow, Retry, Tasks, Workers};
use van_routing::Choice;
use van_trace::Tracer;

use crate::connectors::Connectors;
use crate::local;
use crate::penalty::Penalties;
use crate::plan::{Look, Plan};
use crate::services::{Candidate, ServiceTable, Via};
use crate::watch::{Watch, Watchers};
use crate::wish::Wish;

/// How often a flow may go back to a site whose session was lost before anything was sent.
const MAX_LOST: usize = 4;

/// Stands in `tried` for a session that was lost; no site's key.
const LOST: u64 = u64::MAX;

/// Picks a site for each flow, and another one where that site can't serve it.
#[derive(Debug)]
pub struct Dispatcher {
    table: ArcSwap<ServiceTable>,
    watchers: Arc<Watchers>,
    connectors: Arc<Connectors>,
    /// The workers, under a cancellation that ends the flows which stay at this site.
    local: Vec<Tasks>,
    penalties: Penalties,
    meter: Arc<Meter>,
    flow_log: Arc<FlowLog>,
    max_flows: AtomicU32,
    turn: AtomicU64,
    next_worker: AtomicUsize,
    tracer: Option<Arc<Tracer>>,
}

impl Dispatcher {
    /// Makes a dispatcher that knows no service yet. `max_flows`: listeners accept no more clients
    /// while as many flows are open. `tracer`: what begins the spans of requests, if anybody wants them.
    pub fn new(
        connectors: Arc<Connectors>,
        workers: &Workers,
        max_flows: u32,
        tracer: Option<Arc<Tracer>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::default(),
            watchers: Arc::default(),
            connectors,
            local: (0..workers.count()).map(|index| workers.get(index).child()).collect(),
            penalties: Penalties::default(),
            meter: Arc::default(),
            flow_log: Arc::default(),
            max_flows: AtomicU32::new(max_flows),
            turn: AtomicU64::new(0),
            next_worker: AtomicUsize::new(0),
            tracer,
        })
    }

    /// Replaces what is known of services; listeners of those that changed open and close
    /// accordingly. A service that is the same in both tables counts as unchanged.
    pub fn publish(&self, table: ServiceTable) {
        let table = Arc::new(table);
        let old = self.table.swap(table.clone());
        self.watchers.wake(old.differing(&table));
    }

    /// What is known of services.
    pub fn table(&self) -> Arc<ServiceTable> {
        self.table.load_full()
    }

    /// Tells of each [`Dispatcher::publish`] that changes one of these.
    pub(crate) fn watch(&self, addresses: Vec<Address>) -> Watch {
        self.watchers.watch(addresses)
    }

    /// What begins the spans of requests.
    pub fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// Flows of this site's listeners that are open now.
    pub fn flows_open(&self) -> u64 {
        self.meter.open.get()
    }

    /// The most flows that listeners let in.
    pub fn max_flows(&self) -> u32 {
        self.max_flows.load(Ordering::Relaxed)
    }

    /// What stands against a site serving an address after failures, in units of cost; 0 to 1000,
    /// decaying to 0 within 10 s.
    pub fn penalty(&self, site: SiteId, address: &Address) -> u32 {
        self.penalties.of(Instant::now(), site, address)
    }

    /// Changes the most flows that listeners let in; open ones go on.
    pub fn set_max_flows(&self, max_flows: u32) {
        self.max_flows.store(max_flows, Ordering::Relaxed);
    }

    /// Resets the flows between this site's own listeners and connectors, and those to come.
    pub fn reset_local(&self) {
        self.local.iter().for_each(Tasks::cancel);
    }

    /// What is known of this site's flows.
    pub fn flow_log(&self) -> &Arc<FlowLog> {
        &self.flow_log
    }

    /// Where all flows of this site's listeners are counted.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// What the next flow of a listener with this strategy and these addresses would take, by the very
    /// choice that takes it: which of the addresses, and which of its candidates in `table`.
    pub fn preview(
        &self,
        table: &ServiceTable,
        strategy: Strategy,
        choices: &[AddressChoice],
    ) -> Option<(usize, usize)> {
        let plan = Plan::over(strategy, choices.to_vec());
        let now = Instant::now();
        let look = Looking { dispatcher: self, plan: &plan, now, tried: &[], by_request: false };
        let turn = self.turn.load(Ordering::Relaxed);
        let chosen = plan.choose(&plan.services(table), turn, &look)?;
        Some((chosen.service, chosen.candidate))
    }

    /// Chooses a site for a request, none of those in `tried`.
    pub(crate) fn choose_way(&self, plan: &Plan, tried: &[u64]) -> Option<Way> {
        let table = self.table.load();
        let services = plan.services(&table);
        let look = Looking { dispatcher: self, plan, now: Instant::now(), tried, by_request: true };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let chosen = plan.choose(&services, turn, &look)?;
        let service = services[chosen.service]?;
        let candidate = &service.candidates[chosen.candidate];
        let address = &plan.choices[chosen.service].address;
        Some(Way {
            key: key(&candidate.site, address),
            site: candidate.site,
            address: address.clone(),
            targets: candidate.targets_of(Wish::of(&chosen.hint)),
            hint: chosen.hint,
            meter: candidate.meter.clone(),
            service: service.meter.clone(),
        })
    }

    /// Hands a flow to a site, where it counts as open from then; if it can be, over a connection of
    /// the worker `near`.
    pub(crate) fn hand_over_counted(
        &self,
        candidate: &Candidate,
        flow: Box<NewFlow>,
        near: Option<usize>,
    ) -> Result<(), Box<NewFlow>> {
        candidate.meter.open.add(1);
        let handed = self.hand_over(candidate, flow, near);
        match &handed {
            Ok(()) => candidate.meter.total.add(1),
            Err(_) => candidate.meter.open.sub(1),
        }
        handed
    }

    /// Hears that a site failed to serve an address.
    pub(crate) fn failed(&self, site: SiteId, address: &Address) {
        self.penalties.raise(Instant::now(), site, address);
    }

    /// What reaches this site's own workloads.
    pub(crate) fn connectors(&self) -> &Arc<Connectors> {
        &self.connectors
    }

    /// The workers in turn, under the cancellation of the flows that stay at this site.
    pub(crate) fn worker(&self) -> (usize, &Tasks) {
        let turn = self.next_worker.fetch_add(1, Ordering::Relaxed) % self.local.len();
        (turn, &self.local[turn])
    }

    /// Hands a flow to a site with a target among those not tried yet, as the plan wants it; where
    /// there is none, the client sees a reset. Never blocks.
    fn dispatch(&self, plan: &Plan, flow: NewFlow) {
        let mut flow = Box::new(flow);
        let table = self.table.load();
        let services = plan.services(&table);
        let now = Instant::now();
        loop {
            let look =
                Looking { dispatcher: self, plan, now, tried: &flow.tried, by_request: false };
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let Some(chosen) = plan.choose(&services, turn, &look) else { break };
            let Some(service) = services[chosen.service] else { break };
            let candidate = &service.candidates[chosen.candidate];
            let address = &plan.choices[chosen.service].address;
            if flow.tried.is_empty() {
                flow.counted.add(service.meter.clone());
            }
            flow.tried.push(key(&candidate.site, address));
            flow.open.hint = chosen.hint;
            if flow.open.address != *address {
                flow.open.address = address.clone();
            }
            flow.meter = candidate.meter.clone();
            if let Some(log) = flow.counted.log() {
                log.to_address(address);
                log.to_site(candidate.site);
            }
            match self.hand_over_counted(candidate, flow, None) {
                Ok(()) => return,
                Err(back) => flow = back,
            }
            self.penalties.raise(now, candidate.site, address);
        }
        debug!(address = %flow.open.address, tried = flow.tried.len(), "flow without a target");
        if let Some(service) = services.iter().flatten().next() {
            service.meter.errors.add(1);
        }
        flow.counted.ends(FlowEnd::NoTarget);
        flow.socket.abort();
    }

    /// Finds another target for a flow that came back, or ends it.
    fn again(&self, plan: &Plan, mut flow: NewFlow, why: ResetCode) {
        debug!(address = %flow.open.address, %why, "flow is tried elsewhere");
        let table = self.table.load();
        let failed = flow.tried.last().copied();
        let service = table.get(&flow.open.address);
        let candidate = service.and_then(|service| {
            let is_it = |c: &&Candidate| Some(key(&c.site, &flow.open.address)) == failed;
            service.candidates.iter().find(is_it)
        });
        if let Some(candidate) = candidate {
            if why == ResetCode::Gone && may_go_back(candidate, &flow) {
                // Only its session was lost: another of its links or connections may do.
                flow.tried.pop();
                flow.tried.insert(0, LOST);
            } else {
                self.penalties.raise(Instant::now(), candidate.site, &flow.open.address);
            }
        }
        drop(table);
        self.dispatch(plan, flow);
    }

    fn hand_over(
        &self,
        candidate: &Candidate,
        flow: Box<NewFlow>,
        near: Option<usize>,
    ) -> Result<(), Box<NewFlow>> {
        match &candidate.via {
            Via::Local => {
                local::spawn(self.worker().1, self.connectors.reach(flow.open.clone()), *flow);
                Ok(())
            }
            Via::Links(links) => over_links(links, flow, near),
            Via::Remote(remote) => remote.open(flow),
        }
    }
}

/// How candidates stand towards one flow.
struct Looking<'a> {
    dispatcher: &'a Dispatcher,
    plan: &'a Plan,
    now: Instant,
    tried: &'a [u64],
    /// Requests count as what is to be done, not the flows that carry them.
    by_request: bool,
}

impl Look for Looking<'_> {
    fn look(&self, service: usize, candidate: &Candidate) -> Option<Choice> {
        let address = &self.plan.choices[service].address;
        let fit = candidate.targets > 0
            && (self.tried.is_empty() || !self.tried.contains(&key(&candidate.site, address)))
            && candidate.via.is_open();
        fit.then(|| Choice {
            cost: candidate.cost,
            outstanding: match self.by_request {
                true => candidate.meter.requests.open.get(),
                false => candidate.meter.open.get(),
            },
            targets: candidate.targets,
            penalty: self.dispatcher.penalties.of(self.now, candidate.site, address),
        })
    }
}

/// A listener's way to targets: flows come back to it where they can be tried elsewhere.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) dispatcher: Arc<Dispatcher>,
    /// For what matches no route of the listener.
    pub(crate) plan: Plan,
    /// Of each of the listener's routes, in the order of its list.
    pub(crate) routed: Vec<Plan>,
}

impl Route {
    /// The way of a listener.
    pub(crate) fn of(spec: &ListenerSpec, dispatcher: Arc<Dispatcher>) -> Arc<Self> {
        let routed = spec.routes.iter().map(|route| Plan::of_route(spec.strategy, route)).collect();
        Arc::new(Self { dispatcher, plan: Plan::of(spec), routed })
    }

    /// The plan for a route, by its place in the list, or for what matches none.
    pub(crate) fn plan_of(&self, route: Option<usize>) -> &Plan {
        route.and_then(|route| self.routed.get(route)).unwrap_or(&self.plan)
    }

    fn plans(&self) -> impl Iterator<Item = &Plan> {
        std::iter::once(&self.plan).chain(&self.routed)
    }

    /// Hands a flow to a site with a target, by one of the routes or by none. Never blocks.
    pub(crate) fn dispatch(&self, route: Option<usize>, flow: NewFlow) {
        self.dispatcher.dispatch(self.plan_of(route), flow);
    }

    /// Where flows of a route come back to.
    pub(crate) fn retry_of(self: &Arc<Self>, route: Option<usize>) -> Arc<dyn Retry> {
        match route {
            None => self.clone(),
            Some(_) => Arc::new(Routed { way: self.clone(), route }),
        }
    }

    /// The addresses that it leads to.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let all = self.plans().flat_map(|plan| &plan.choices).map(|choice| choice.address.clone());
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether the table has a target for any of its addresses; it changes only with the table, so
    /// that [`Dispatcher::watch`] tells of each change.
    pub(crate) fn has_target(&self) -> bool {
        let table = self.dispatcher.table();
        let has_target = |plan: &Plan| {
            let services = plan.services(&table);
            services.into_iter().flatten().any(|s| s.candidates.iter().any(|c| c.targets > 0))
        };
        self.plans().any(has_target)
    }
}

impl Retry for Route {
    fn retry(&self, flow: NewFlow, why: ResetCode) {
        self.dispatcher.again(&self.plan, flow, why);
    }
}

/// The way by one of a listener's routes.
#[derive(Debug)]
struct Routed {
    way: Arc<Route>,
    route: Option<usize>,
}

impl Retry for Routed {
    fn retry(&self, flow: NewFlow, why: ResetCode) {
        self.way.dispatcher.again(self.way.plan_of(self.route), flow, why);
    }
}

/// Hands a flow to the link with the least cost, then the least to do, that takes it.
fn over_links(
    links: &[Arc<Link>],
    mut flow: Box<NewFlow>,
    near: Option<usize>,
) -> Result<(), Box<NewFlow>> {
    let mut order: Vec<_> = links.iter().collect();
    order.sort_by_cached_key(|link| (link.cost, link.meter.open.get()));
    for link in order {
        match link.open(flow, near) {
            Ok(()) => return Ok(()),
            Err(back) => flow = back,
        }
    }
    Err(flow)
}

/// Flows of no listener: balanced over their address's targets.
impl Retry for Dispatcher {
    fn retry(&self, flow: NewFlow, why: ResetCode) {
        let plan = Plan::balanced_over(flow.open.address.clone());
        self.again(&plan, flow, why);
    }
}

fn may_go_back(candidate: &Candidate, flow: &NewFlow) -> bool {
    let lost = flow.tried.iter().filter(|key| **key == LOST).count();
    !matches!(candidate.via, Via::Local) && candidate.via.is_open() && lost < MAX_LOST
}

/// A site's offer of an address in [`NewFlow::tried`]: 64 bits of hashes tell them apart.
fn key(site: &SiteId, address: &Address) -> u64 {
    let mut hasher = DefaultHasher::new();
    (site, address.as_str()).hash(&mut hasher);
    hasher.finish()
}
