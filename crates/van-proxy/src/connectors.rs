//! All connectors of a site.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use van_model::{Address, ConnectorSpec, Name, Protocol};
use van_mux::{Kind, Open, ResetCode};
use van_net::{Connected, Egress, Link, Meter, Tasks};

use crate::connector::{Connector, Observer};
use crate::services::TargetGroup;
use crate::wish::Wish;
use crate::workloads::Workloads;

/// The running connectors; reaches workloads for flows.
pub struct Connectors {
    by_name: Mutex<BTreeMap<Name, Arc<Connector>>>,
    /// What the data plane reads: made from `by_name` whenever that changes.
    by_address: ArcSwap<BTreeMap<Address, Vec<Arc<Connector>>>>,
    turn: AtomicU64,
    workloads: Arc<dyn Workloads>,
    observer: Observer,
    tasks: Tasks,
}

/// A connector as it runs.
#[derive(Debug, Clone)]
pub struct ConnectorState {
    /// What is wanted.
    pub spec: ConnectorSpec,
    /// Whether the target passed its last check, or is not watched.
    pub healthy: bool,
    /// Why the last check or connection failed.
    pub reason: Option<String>,
    /// Its flows; `sent` is what came from the workload.
    pub meter: Arc<Meter>,
}

/// What a site tells others of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Healthy targets, at least 1.
    pub targets: u32,
    /// The same by priority, the lowest number first.
    pub groups: Vec<TargetGroup>,
    /// What the service speaks: that of the first connector in name order.
    pub protocol: Protocol,
    /// The lowest explicit service port.
    pub service_port: Option<u16>,
    /// The lowest port of a target.
    pub target_port: Option<u16>,
}

impl Connectors {
    /// Makes an empty set. `workloads` knows where containers are; `observer` is called when a
    /// target's health changes, outside any lock; `tasks` runs checks and resolves names.
    pub fn new(workloads: Arc<dyn Workloads>, observer: Observer, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self {
            workloads,
            by_name: Mutex::default(),
            by_address: ArcSwap::default(),
            turn: AtomicU64::new(0),
            observer,
            tasks,
        })
    }

    /// Adds a connector, or replaces the one of that name where its spec differs; open flows go on.
    ///
    /// Where the target is another, the old one serves until the first word of the new one.
    pub fn set(&self, spec: ConnectorSpec) {
        let mut by_name = self.by_name.lock();
        let before = by_name.get(&spec.name).cloned();
        if before.as_ref().is_some_and(|old| old.spec == spec) {
            return;
        }
        let name = spec.name.clone();
        let connector = Connector::start(
            spec,
            before.as_ref(),
            &self.workloads,
            self.observer.clone(),
            &self.tasks,
        );
        by_name.insert(name, connector.clone());
        self.publish(&by_name);
        if let Some(old) = before {
            old.give_way(&connector);
        }
    }

    /// Removes a connector; open flows go on. Returns whether there was one.
    pub fn remove(&self, name: &Name) -> bool {
        let mut by_name = self.by_name.lock();
        let Some(old) = by_name.remove(name) else { return false };
        self.publish(&by_name);
        old.stop();
        true
    }

    /// Hears that containers or pods were started, stopped or moved.
    pub fn look_again(&self) {
        let all: Vec<_> = self.by_name.lock().values().cloned().collect();
        all.iter().for_each(|connector| connector.look_again());
    }

    fn publish(&self, by_name: &BTreeMap<Name, Arc<Connector>>) {
        let mut table: BTreeMap<Address, Vec<Arc<Connector>>> = BTreeMap::new();
        for connector in by_name.values() {
            table.entry(connector.spec.address.clone()).or_default().push(connector.clone());
        }
        self.by_address.store(Arc::new(table));
    }

    /// The connector of this name.
    pub fn get(&self, name: &Name) -> Option<ConnectorState> {
        self.by_name.lock().get(name).map(|c| ConnectorState::of(c))
    }

    /// All connectors in name order.
    pub fn all(&self) -> Vec<ConnectorState> {
        self.by_name.lock().values().map(|c| ConnectorState::of(c)).collect()
    }

    /// What this site offers now: addresses with at least one healthy target.
    pub fn offers(&self) -> BTreeMap<Address, Offer> {
        let table = self.by_address.load();
        let offer = |(address, connectors): (&Address, &Vec<Arc<Connector>>)| {
            let serving = connectors.iter().map(|c| c.stand_in().unwrap_or_else(|| c.clone()));
            let healthy: Vec<_> = serving.filter(|c| c.is_healthy()).collect();
            let first = healthy.first()?;
            let offer = Offer {
                targets: u32::try_from(healthy.len()).unwrap_or(u32::MAX),
                groups: groups(&healthy),
                protocol: first.spec.protocol,
                service_port: healthy
                    .iter()
                    .filter_map(|c| c.spec.service_port)
                    .min()
                    .map(u16::from),
                target_port: healthy.iter().filter_map(|c| c.spec.target.port()).min(),
            };
            Some((address.clone(), offer))
        };
        table.iter().filter_map(offer).collect()
    }

    /// Connects to a target of the address: those that the ingress wishes for first, of these the
    /// one with the least open, equal ones in turn; where one refuses, the next.
    pub(crate) fn reach(&self, open: Open) -> BoxFuture<'static, Result<Connected, ResetCode>> {
        let table = self.by_address.load();
        let wanted = table.get(&open.address).into_iter().flatten();
        let mut order: Vec<_> =
            wanted.flat_map(|c| c.stand_in().into_iter().chain([c.clone()])).collect();
        let datagrams = open.kind == Kind::Datagrams;
        order.retain(|c| c.may_answer() && (c.spec.protocol == Protocol::Udp) == datagrams);
        if order.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % order.len() as u64;
            order.rotate_left(usize::try_from(turn).unwrap_or(0));
            let wish = Wish::of(&open.hint);
            order.sort_by_cached_key(|c| (!c.is_healthy(), c.was_refused(), c.rank(wish)));
        }
        async move {
            let mut cause = ResetCode::Unreachable;
            for connector in order {
                match connector.connect(&open).await {
                    Ok(connected) => return Ok(connected),
                    Err(code) => cause = code,
                }
            }
            Err(cause)
        }
        .boxed()
    }
}

/// Targets by priority.
fn groups(healthy: &[Arc<Connector>]) -> Vec<TargetGroup> {
    let mut groups: BTreeMap<u16, TargetGroup> = BTreeMap::new();
    for connector in healthy {
        let priority = connector.spec.priority;
        let group =
            groups.entry(priority).or_insert(TargetGroup { priority, weight: 0, targets: 0 });
        group.weight = group.weight.saturating_add(connector.spec.weight.get().into());
        group.targets = group.targets.saturating_add(1);
    }
    groups.into_values().collect()
}

impl Egress for Connectors {
    fn connect(
        &self,
        open: Open,
        _from: Arc<Link>,
    ) -> BoxFuture<'static, Result<Connected, ResetCode>> {
        self.reach(open)
    }
}

impl ConnectorState {
    fn of(connector: &Connector) -> Self {
        let health = connector.health();
        Self {
            spec: connector.spec.clone(),
            healthy: health.is_healthy(),
            reason: health.reason().map(Into::into),
            meter: connector.meter.clone(),
        }
    }
}

impl fmt::Debug for Connectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.by_address.load().iter()).finish()
    }
}
