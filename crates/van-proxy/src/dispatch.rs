//! Giving each flow to a site that can serve it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tracing::debug;
use van_model::SiteId;
use van_mux::ResetCode;
use van_net::{Link, Meter, NewFlow, Retry, Tasks, Workers};
use van_routing::{Choice, pick};

use crate::connectors::Connectors;
use crate::local;
use crate::penalty::Penalties;
use crate::services::{Candidate, Service, ServiceTable, Via};

/// How often a flow may go back to a site whose session was lost before anything was sent.
const MAX_LOST: usize = 4;

/// Stands in `tried` for a session that was lost; no site's key.
const LOST: u64 = u64::MAX;

/// Picks a site for each flow, and another one where that site can't serve it.
#[derive(Debug)]
pub struct Dispatcher {
    table: ArcSwap<ServiceTable>,
    changes: watch::Sender<u64>,
    connectors: Arc<Connectors>,
    /// The workers, under a cancellation that ends the flows which stay at this site.
    local: Vec<Tasks>,
    penalties: Penalties,
    meter: Arc<Meter>,
    max_flows: AtomicU32,
    turn: AtomicU64,
    next_worker: AtomicUsize,
}

impl Dispatcher {
    /// Makes a dispatcher that knows no service yet. `max_flows`: listeners accept no more clients
    /// while as many flows are open.
    pub fn new(connectors: Arc<Connectors>, workers: &Workers, max_flows: u32) -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::default(),
            changes: watch::Sender::new(0),
            connectors,
            local: (0..workers.count()).map(|index| workers.get(index).child()).collect(),
            penalties: Penalties::default(),
            meter: Arc::default(),
            max_flows: AtomicU32::new(max_flows),
            turn: AtomicU64::new(0),
            next_worker: AtomicUsize::new(0),
        })
    }

    /// Replaces what is known of services; listeners open and close accordingly.
    pub fn publish(&self, table: ServiceTable) {
        self.table.store(Arc::new(table));
        self.changes.send_modify(|version| *version += 1);
    }

    /// What is known of services.
    pub fn table(&self) -> Arc<ServiceTable> {
        self.table.load_full()
    }

    /// Tells of each [`Dispatcher::publish`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Flows of this site's listeners that are open now.
    pub fn flows_open(&self) -> u64 {
        self.meter.open.get()
    }

    /// The most flows that listeners let in.
    pub fn max_flows(&self) -> u32 {
        self.max_flows.load(Ordering::Relaxed)
    }

    /// Changes the most flows that listeners let in; open ones go on.
    pub fn set_max_flows(&self, max_flows: u32) {
        self.max_flows.store(max_flows, Ordering::Relaxed);
    }

    /// Resets the flows between this site's own listeners and connectors, and those to come.
    pub fn reset_local(&self) {
        self.local.iter().for_each(Tasks::cancel);
    }

    /// Where all flows of this site's listeners are counted.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Hands a flow to the site with the lowest cost, penalty and open flows per target among those
    /// not tried yet; where there is none, the client sees a reset. Never blocks.
    pub fn dispatch(&self, flow: NewFlow) {
        let mut flow = Box::new(flow);
        let table = self.table.load();
        let Some(service) = table.get(&flow.open.address) else {
            debug!(address = %flow.open.address, "flow without a service");
            return flow.socket.abort();
        };
        if flow.tried.is_empty() {
            flow.counted.add(service.meter.clone());
        }
        let now = Instant::now();
        while let Some(candidate) = self.choose(now, service, &flow) {
            flow.tried.push(key(&candidate.site));
            flow.meter = candidate.meter.clone();
            candidate.meter.open.add(1);
            match self.hand_over(candidate, flow) {
                Ok(()) => return candidate.meter.total.add(1),
                Err(back) => flow = back,
            }
            candidate.meter.open.sub(1);
            self.penalties.raise(now, candidate.site, &flow.open.address);
        }
        debug!(address = %flow.open.address, tried = flow.tried.len(), "flow without a target");
        service.meter.errors.add(1);
        flow.socket.abort();
    }

    fn choose<'a>(
        &self,
        now: Instant,
        service: &'a Service,
        flow: &NewFlow,
    ) -> Option<&'a Candidate> {
        let choice = |candidate: &'a Candidate| {
            let fit = candidate.targets > 0
                && !flow.tried.contains(&key(&candidate.site))
                && candidate.via.is_open();
            fit.then(|| {
                let choice = Choice {
                    cost: candidate.cost,
                    outstanding: candidate.meter.open.get(),
                    targets: candidate.targets,
                    penalty: self.penalties.of(now, candidate.site, &flow.open.address),
                };
                (candidate, choice)
            })
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        pick(service.candidates.iter().filter_map(choice), turn)
    }

    fn hand_over(&self, candidate: &Candidate, flow: Box<NewFlow>) -> Result<(), Box<NewFlow>> {
        match &candidate.via {
            Via::Local => {
                let turn = self.next_worker.fetch_add(1, Ordering::Relaxed);
                let worker = &self.local[turn % self.local.len()];
                local::spawn(worker, self.connectors.reach(flow.open.clone()), *flow);
                Ok(())
            }
            Via::Links(links) => over_links(links, flow),
        }
    }
}

/// Hands a flow to the link with the least cost, then the least to do, that takes it.
fn over_links(links: &[Arc<Link>], mut flow: Box<NewFlow>) -> Result<(), Box<NewFlow>> {
    let mut order: Vec<_> = links.iter().collect();
    order.sort_by_cached_key(|link| (link.cost, link.meter.open.get()));
    for link in order {
        match link.open(flow) {
            Ok(()) => return Ok(()),
            Err(back) => flow = back,
        }
    }
    Err(flow)
}

impl Retry for Dispatcher {
    fn retry(&self, mut flow: NewFlow, why: ResetCode) {
        debug!(address = %flow.open.address, %why, "flow is tried elsewhere");
        let table = self.table.load();
        let service = table.get(&flow.open.address);
        let failed = flow.tried.last().copied();
        let candidate = service
            .and_then(|service| service.candidates.iter().find(|c| Some(key(&c.site)) == failed));
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
        self.dispatch(flow);
    }
}

fn may_go_back(candidate: &Candidate, flow: &NewFlow) -> bool {
    let lost = flow.tried.iter().filter(|key| **key == LOST).count();
    matches!(candidate.via, Via::Links(_)) && candidate.via.is_open() && lost < MAX_LOST
}

/// A site in [`NewFlow::tried`]: an id is a hash, of which 64 bits tell sites apart.
fn key(site: &SiteId) -> u64 {
    let first = site.as_bytes().first_chunk().expect("an id has 20 bytes");
    u64::from_be_bytes(*first)
}
