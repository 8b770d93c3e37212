//! The router: a state machine over links, records and time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use van_model::{Mode, SiteId};
use van_pki::{Authority, Voucher};

use crate::about::{About, Trust};
use crate::adjacency::{Adjacency, Due};
use crate::admission::Admission;
use crate::database::{Database, Limits};
use crate::event::RouterEvent;
use crate::event_queue::EventQueue;
use crate::members::Members;
use crate::origin::Origin;
use crate::rate::Rate;
use crate::revocations::Revocations;
use crate::router_id::{LinkId, RouterId};
use crate::routes::Routes;
use crate::services::ServiceIndex;
use crate::signatures::Signatures;
use crate::spf::Graph;

mod config;
mod proofs;
mod publish;
mod receive;
mod records;
mod sweep;
#[cfg(test)]
mod tests;

pub use config::{Held, RouterConfig};

/// The time between two sweeps of what is too old.
const SWEEP: Duration = Duration::from_secs(30);

/// What is to be worked out anew.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Who is a member, from the pinned sites on.
    pub(crate) members: bool,
    /// Who of those that wait is a member, and what members revoke.
    pub(crate) waiting: bool,
    /// The paths, whatever records say.
    pub(crate) paths: bool,
    /// Routers whose record is another for the snapshot.
    pub(crate) records: BTreeSet<RouterId>,
}

/// One router of the network; every input takes the time, and outputs are taken afterwards.
pub struct Router {
    pub(crate) me: RouterId,
    pub(crate) authority: Arc<Authority>,
    pub(crate) signatures: Arc<dyn Signatures>,
    pub(crate) limits: Limits,
    pub(crate) about: Option<About>,
    pub(crate) trust: Trust,
    pub(crate) origin: Origin,
    pub(crate) links: BTreeMap<LinkId, Adjacency>,
    pub(crate) database: Database,
    pub(crate) members: Members,
    pub(crate) revocations: Revocations,
    /// Of sites that revoke this one whether they admitted it, once that was looked at.
    pub(crate) admitted_by: BTreeMap<SiteId, bool>,
    /// This site's words on who admitted it, by that.
    pub(crate) words: BTreeMap<SiteId, Admission>,
    /// Sites' words that this one admitted them, to be shown with a revocation.
    pub(crate) proofs: BTreeMap<SiteId, Vec<u8>>,
    /// Those of them that are to be kept.
    pub(crate) new_proofs: Vec<(SiteId, Vec<u8>)>,
    /// How fast proofs of each site are looked at, and whether some were left for later.
    pub(crate) proof_rates: BTreeMap<SiteId, Rate>,
    pub(crate) unproven: bool,
    /// Vouchers that neighbours sent, by signer.
    pub(crate) held: BTreeMap<SiteId, Voucher>,
    /// Vouchers that neighbours were sent, by subject.
    pub(crate) issued: BTreeMap<SiteId, Voucher>,
    /// Sites that came up and may turn out to be no members.
    pub(crate) foreign: Vec<RouterEvent>,
    /// Records that no neighbour was told of yet, each with the link that brought it.
    pub(crate) unflooded: BTreeMap<RouterId, Option<LinkId>>,
    pub(crate) changed: Changed,
    /// Whether waiting records were dropped that may be wanted once there are more members.
    pub(crate) lost: bool,
    pub(crate) arrivals: BTreeMap<SiteId, Rate>,
    pub(crate) digest_number: u64,
    pub(crate) next_snapshot: Instant,
    pub(crate) next_sweep: Instant,
    pub(crate) index: ServiceIndex,
    pub(crate) graph: Graph,
    pub(crate) routes: Arc<Routes>,
    pub(crate) same_names: BTreeSet<(SiteId, SiteId)>,
    pub(crate) outbox: Vec<(LinkId, Arc<[u8]>)>,
    pub(crate) events: EventQueue,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("me", &self.me.to_string())
            .field("links", &self.links.len())
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

impl Router {
    /// Makes a router without links; it says nothing before it is told what to say
    /// ([`Router::set_about`]).
    pub fn new(now: Instant, config: RouterConfig) -> Self {
        let RouterConfig { me, authority, epoch, limits, signatures } = config;
        Self {
            me,
            authority,
            signatures,
            limits,
            about: None,
            trust: Trust::default(),
            origin: Origin::new(epoch),
            links: BTreeMap::new(),
            database: Database::default(),
            members: Members::pinned([me.site].into_iter()),
            revocations: Revocations::default(),
            admitted_by: BTreeMap::new(),
            words: BTreeMap::new(),
            proofs: BTreeMap::new(),
            new_proofs: Vec::new(),
            proof_rates: BTreeMap::new(),
            unproven: false,
            held: BTreeMap::new(),
            issued: BTreeMap::new(),
            foreign: Vec::new(),
            unflooded: BTreeMap::new(),
            changed: Changed::default(),
            lost: false,
            arrivals: BTreeMap::new(),
            digest_number: 0,
            next_snapshot: now,
            next_sweep: now + SWEEP,
            index: ServiceIndex::default(),
            graph: Graph::default(),
            routes: Arc::new(Routes::empty(me)),
            same_names: BTreeSet::new(),
            outbox: Vec::new(),
            events: EventQueue::default(),
        }
    }

    /// Notes that a link to a neighbour is up; a cost of 0 is taken for 1.
    pub fn link_up(&mut self, now: Instant, link: LinkId, peer: RouterId, cost: u16) {
        self.links.insert(link, Adjacency::new(now, peer, cost.max(1)));
        self.links_changed(now);
    }

    /// Notes that a link's cost is another; flows on it don't notice.
    pub fn link_cost(&mut self, now: Instant, link: LinkId, cost: u16) {
        if let Some(adjacency) = self.links.get_mut(&link) {
            adjacency.cost = cost.max(1);
            self.links_changed(now);
        }
    }

    /// Notes that a link is down.
    pub fn link_down(&mut self, now: Instant, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.links_changed(now);
        }
    }

    /// Notes that what was sent over a link may be lost, because a connection of it ended.
    pub fn resend(&mut self, now: Instant, link: LinkId) {
        if let Some(adjacency) = self.links.get_mut(&link) {
            adjacency.resend(now);
            self.settle(now);
        }
    }

    /// Sets what this site says of itself.
    pub fn set_about(&mut self, now: Instant, mut about: About) {
        about.offers.sort_by(|a, b| a.address.cmp(&b.address));
        about.offers.dedup_by(|a, b| a.address == b.address);
        self.about = Some(about);
        self.origin.dirty = true;
        self.settle(now);
    }

    /// Sets whom this site trusts; authorities are asked of the bundle anew.
    pub fn set_trust(&mut self, now: Instant, trust: Trust) {
        self.trust = trust;
        self.take_kept_proofs();
        for (_, entry) in self.database.iter_mut() {
            entry.accepted = None;
            entry.proven.clear();
        }
        self.admitted_by.clear();
        let pins = &self.trust.pins;
        self.held.retain(|signer, _| pins.contains_key(signer));
        self.issued.retain(|subject, _| pins.contains_key(subject));
        for adjacency in self.links.values_mut() {
            adjacency.voucher.get_or_insert(Due::at(now));
        }
        self.changed.members = true;
        self.origin.dirty = true;
        self.settle(now);
    }

    /// Does what is due; see [`Router::next_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            self.sweep(now);
        }
        self.settle(now);
    }

    /// Takes the messages to send, in their order on each link.
    pub fn take_messages(&mut self) -> Vec<(LinkId, Arc<[u8]>)> {
        std::mem::take(&mut self.outbox)
    }

    /// Takes what there is to tell.
    pub fn take_events(&mut self) -> Vec<RouterEvent> {
        self.events.take()
    }

    /// When [`Router::handle_timeout`] is to be called next, if nothing comes before.
    pub fn next_timeout(&self) -> Option<Instant> {
        let links = self.links.values().filter(|a| !self.is_revoked(a.peer.site));
        let links = links.filter_map(Adjacency::next_timeout).min();
        let snapshot = self.is_snapshot_due().then_some(self.next_snapshot);
        let origin = self.about.is_some().then(|| self.origin.due(self.next_sweep));
        [Some(self.next_sweep), links, snapshot, origin].into_iter().flatten().min()
    }

    /// The network as it was last worked out.
    pub fn routes(&self) -> Arc<Routes> {
        self.routes.clone()
    }

    /// How many neighbours have acknowledged what this router says now.
    pub fn told(&self) -> usize {
        if self.origin.dirty {
            return 0;
        }
        let knows = |a: &&Adjacency| a.met && !a.pending.contains_key(&self.me);
        let told: BTreeSet<_> = self.links.values().filter(knows).map(|a| a.peer).collect();
        told.len()
    }

    /// How much is held.
    pub fn held(&self) -> Held {
        Held {
            records: self.database.len(),
            bytes: self.database.bytes(),
            unacknowledged: self.links.values().map(Adjacency::unanswered).sum(),
        }
    }

    pub(crate) fn is_own_mode_edge(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.mode == Mode::Edge)
    }

    pub(crate) fn is_edge(&self, router: RouterId) -> bool {
        let entry = self.database.entry(router);
        entry.is_some_and(|entry| entry.signed.record.mode == Mode::Edge)
    }

    fn links_changed(&mut self, now: Instant) {
        self.origin.dirty = true;
        self.changed.paths = true;
        self.settle(now);
    }

    fn is_snapshot_due(&self) -> bool {
        self.changed.paths || !self.changed.records.is_empty()
    }

    /// Draws all conclusions from what was just taken.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.settle_membership(now);
        self.settle_origin(now);
        self.settle_flood(now);
        if self.is_snapshot_due() && now >= self.next_snapshot {
            self.publish(now);
        }
        self.flush(now);
    }
}
