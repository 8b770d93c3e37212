//! All links of a site: who is connected, and which connection belongs to which link.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use tokio::sync::{Notify, Semaphore, oneshot};
use tracing::{debug, info};
use van_model::status::Direction;
use van_model::{Mode, SiteId};
use van_mux::{Budget, Config, DATAGRAMS, GoAwayReason, Hello, Session, Side, VERSION};
use van_pki::{Identity, PeerIdentity, Peers, TimeProvider};

use crate::connection::{Connection, EndReason, Handle};
use crate::establish::Handshake;
use crate::flow_log::FlowLog;
use crate::link::{Link, Making, Member, Peer};
use crate::meter::Meter;
use crate::remote::{Paths, Remote, Router};
use crate::tasks::Tasks;
use crate::tls::TlsInfo;
use crate::workers::Workers;

mod config;
mod registered;

pub use config::{Egress, LinksConfig, Local, Observer};
pub(crate) use registered::Registered;

/// Bytes that each direction of a new stream may send before any CREDIT.
const INITIAL_CREDIT: u32 = 64 * 1024;

/// Handshakes of circuits to this site under way at once: each takes a worker for half a millisecond.
const CIRCUIT_HANDSHAKES: usize = 256;

/// All links of a site.
pub struct Links {
    pub(crate) identity: Arc<Identity>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) members: Arc<dyn Peers>,
    pub(crate) members_config: Arc<ServerConfig>,
    pub(crate) paths: Arc<dyn Paths>,
    /// Circuits that begin or end here.
    pub(crate) circuits_meter: Arc<Meter>,
    /// Circuits that pass through.
    pub(crate) transit_meter: Arc<Meter>,
    pub(crate) circuit_handshakes: Arc<Semaphore>,
    flow_log: Arc<FlowLog>,
    remotes: Mutex<BTreeMap<Router, Weak<Remote>>>,
    pub(crate) clock: Arc<dyn TimeProvider>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) observer: Arc<dyn Observer>,
    budget: Arc<Budget>,
    egress: Arc<dyn Egress>,
    local: RwLock<Local>,
    table: Mutex<BTreeMap<Key, Arc<Link>>>,
    /// The ways through the network are others.
    rerouted: Notify,
}

/// A link's place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    circuit: bool,
    peer: SiteId,
    replica: u16,
    outgoing: bool,
    number: u64,
}

/// What is known of a connection before HELLO.
pub(crate) struct Context {
    pub(crate) identity: PeerIdentity,
    pub(crate) tls: TlsInfo,
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) worker: usize,
    pub(crate) dialled: Option<Dialled>,
    pub(crate) place: Place,
}

/// What a connection is part of.
pub(crate) enum Place {
    /// A link with a neighbour.
    Link,
    /// The end-to-end session with another site.
    Circuit {
        /// Which router must answer, where this side dialled.
        replica: Option<u16>,
        /// Who waits for the session to be up.
        up: Option<oneshot::Sender<Arc<Link>>>,
    },
}

/// What the dialler knows beforehand.
#[derive(Clone)]
pub(crate) struct Dialled {
    pub(crate) name: String,
    pub(crate) number: u64,
    pub(crate) index: u16,
    pub(crate) cost: u16,
    pub(crate) meter: Arc<Meter>,
    /// Cancelled when the link is not wanted any more.
    pub(crate) scope: Tasks,
}

impl Links {
    /// Makes an empty table.
    pub fn new(config: LinksConfig) -> Arc<Self> {
        let LinksConfig { local, identity, peers, members, paths, .. } = config;
        let LinksConfig { clock, workers, budget, egress, observer, flow_log, .. } = config;
        let members_config =
            van_pki::session_server_config(&identity, members.clone(), clock.clone());
        Arc::new(Self {
            identity,
            peers,
            members,
            members_config,
            paths,
            circuits_meter: Arc::default(),
            transit_meter: Arc::default(),
            circuit_handshakes: Arc::new(Semaphore::new(CIRCUIT_HANDSHAKES)),
            flow_log,
            remotes: Mutex::default(),
            clock,
            workers,
            observer,
            budget,
            egress,
            local: RwLock::new(local),
            table: Mutex::default(),
            rerouted: Notify::new(),
        })
    }

    /// Tells that the ways through the network are others.
    pub fn note_routes(&self) {
        self.rerouted.notify_waiters();
    }

    pub(crate) async fn rerouted(&self) {
        self.rerouted.notified().await;
    }

    /// Who this site says it is.
    pub fn local(&self) -> Local {
        self.local.read().clone()
    }

    /// Changes what later connections say of this site.
    pub fn set_local(&self, change: impl FnOnce(&mut Local)) {
        change(&mut self.local.write());
    }

    /// The links that are up.
    pub fn all(&self) -> Vec<Arc<Link>> {
        self.table.lock().values().filter(|l| !l.is_circuit()).cloned().collect()
    }

    /// The end-to-end sessions that are up.
    pub fn sessions(&self) -> Vec<Arc<Link>> {
        self.table.lock().values().filter(|l| l.is_circuit()).cloned().collect()
    }

    /// The way to a router that is not a neighbour.
    pub fn remote(self: &Arc<Self>, to: Router) -> Arc<Remote> {
        let mut remotes = self.remotes.lock();
        if let Some(known) = remotes.get(&to).and_then(Weak::upgrade) {
            return known;
        }
        // Of sites that left nothing stays here.
        remotes.retain(|_, remote| remote.strong_count() > 0);
        let remote = Remote::new(to, self);
        remotes.insert(to, Arc::downgrade(&remote));
        remote
    }

    /// Circuits that begin or end here, and those that pass through.
    pub fn circuit_meters(&self) -> (Arc<Meter>, Arc<Meter>) {
        (self.circuits_meter.clone(), self.transit_meter.clone())
    }

    /// The links to a site that take flows.
    pub fn to(&self, peer: &SiteId) -> Vec<Arc<Link>> {
        let table = self.table.lock();
        let fit = |l: &&Arc<Link>| !l.is_circuit() && l.peer.id == *peer && l.takes_flows();
        table.values().filter(fit).cloned().collect()
    }

    /// Closes all links to a site.
    pub fn close_peer(&self, peer: &SiteId, reason: GoAwayReason, grace: Duration) {
        let table = self.table.lock();
        for link in table.values().filter(|l| l.peer.id == *peer) {
            link.go_away(reason, grace);
        }
    }

    /// Closes all links: no new flows, the open ones may end within `grace`.
    pub fn close_all(&self, grace: Duration) {
        for link in self.table.lock().values() {
            link.go_away(GoAwayReason::Shutdown, grace);
        }
    }

    /// Now, by the clock of certificates.
    pub(crate) fn now(&self) -> Timestamp {
        let seconds = self.clock.current_time().map_or(0, |t| t.as_secs());
        Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
    }

    /// Runs a connection on a worker until it ends.
    pub(crate) async fn run(
        self: &Arc<Self>,
        worker: usize,
        handshake: Handshake,
        dialled: Option<Dialled>,
        place: Place,
    ) -> Result<EndReason, EndReason> {
        let chain = handshake.tls().peer_chain();
        let identity = van_pki::check_peer(&chain, self.trusted(&place), self.now())
            .map_err(|e| EndReason::Refused(e.to_string()))?;
        let (local, remote) = handshake.places()?;
        let tls = handshake.tls().info();
        let context = Context { identity, tls, local, remote, worker, dialled, place };
        let side = if context.dialled.is_some() { Side::Dialler } else { Side::Acceptor };
        let hello = self.hello(context.dialled.as_ref());
        let window_max = self.local.read().flow_window_max;
        let config = Config { window_max, ..Config::new(self.budget.clone()) };
        let established = handshake.into_established()?;
        let links = self.clone();
        let tasks = self.workers.get(worker).clone();
        let (done, ended) = oneshot::channel();
        tasks.clone().spawn_to_end("connection", async move {
            let now = std::time::Instant::now();
            let session = Session::new(now, side, hello, &config);
            let register = Box::new(move |hello: &Hello, handle: &Handle| {
                links.register(context, hello, handle)
            });
            let reason = match Connection::new(established, session, register, tasks) {
                Ok(connection) => connection.run().await,
                Err(error) => error.into(),
            };
            // The one who waits may have been cancelled.
            let _ = done.send(reason);
        });
        Ok(ended.await.unwrap_or(EndReason::Closed))
    }

    fn trusted(&self, place: &Place) -> &dyn Peers {
        match place {
            Place::Link => &*self.peers,
            Place::Circuit { .. } => &*self.members,
        }
    }

    fn hello(&self, dialled: Option<&Dialled>) -> Hello {
        let local = self.local.read().clone();
        Hello {
            version_min: VERSION,
            version_max: VERSION,
            site: local.id,
            replica: local.replica,
            instance: local.instance,
            name: local.name,
            edge: local.mode == Mode::Edge,
            ephemeral: local.ephemeral,
            software: local.software,
            link: dialled.map_or(0, |d| d.number),
            cost: dialled.map_or(1, |d| d.cost),
            connection: dialled.map_or(0, |d| d.index),
            initial_credit: INITIAL_CREDIT,
            max_streams: local.max_streams,
            capabilities: vec![DATAGRAMS.into()],
            link_name: dialled.map(|d| d.name.clone()),
        }
    }

    /// Finds or makes the link that a connection belongs to, by its peer's HELLO.
    fn register(
        self: &Arc<Self>,
        context: Context,
        hello: &Hello,
        handle: &Handle,
    ) -> Result<Registered, GoAwayReason> {
        let own = {
            let local = self.local.read();
            (local.id, local.replica)
        };
        if hello.site != context.identity.id {
            return Err(GoAwayReason::Protocol);
        }
        if (hello.site, hello.replica) == own {
            return Err(GoAwayReason::SelfLink);
        }
        let outgoing = context.dialled.is_some();
        let number = context.dialled.as_ref().map_or(hello.link, |d| d.number);
        let circuit = matches!(context.place, Place::Circuit { .. });
        if let Place::Circuit { replica: Some(replica), .. } = context.place
            && replica != hello.replica
        {
            return Err(GoAwayReason::Protocol);
        }
        let key = Key { circuit, peer: hello.site, replica: hello.replica, outgoing, number };
        let member = Arc::new(Member {
            handle: handle.clone(),
            index: context.dialled.as_ref().map_or(hello.connection, |d| d.index),
            tls: context.tls,
            local: context.local,
            remote: context.remote,
            worker: context.worker,
            since: self.now(),
        });
        let mut table = self.table.lock();
        // Both are asked under the lock: who revokes or deletes looks at the table afterwards.
        if self.trusted(&context.place).authority(&hello.site).is_none() {
            return Err(GoAwayReason::Revoked);
        }
        if context.dialled.as_ref().is_some_and(|d| d.scope.is_cancelled()) {
            return Err(GoAwayReason::Deleted);
        }
        if !circuit {
            self.resolve_duplicates(&table, own, key)?;
        }
        // The peer has restarted: its old connections are dead, whatever TCP thinks.
        let stale: Vec<Arc<Link>> = table
            .iter()
            .filter(|(k, l)| {
                k.peer == key.peer && k.replica == key.replica && l.peer.instance != hello.instance
            })
            .map(|(_, link)| link.clone())
            .collect();
        let known = table
            .get(&key)
            .filter(|l| l.peer.instance == hello.instance && !l.is_going_away())
            .cloned();
        let is_new = known.is_none();
        let link = known.unwrap_or_else(|| self.make_link(key, context.dialled, hello));
        link.set_certificate_expires(context.identity.leaf_not_after);
        link.add(&member);
        if is_new && let Some(draining) = table.insert(key, link.clone()) {
            // Its flows go on; who revokes or stops must still find it.
            table.insert(Key { number: rand::random(), ..key }, draining);
        }
        drop(table);
        for link in stale {
            link.go_away(GoAwayReason::Shutdown, Duration::ZERO);
        }
        if let Place::Circuit { replica, up } = context.place {
            self.session_up(&link, replica.is_none(), up);
        } else if is_new {
            info!(van.link = %link.name, van.site = %link.peer.name, id = %link.peer.id, "link is up");
            self.observer.link_up(&link);
        }
        self.observer.changed();
        Ok(Registered::new(self.clone(), link, member))
    }

    fn make_link(&self, key: Key, dialled: Option<Dialled>, hello: &Hello) -> Arc<Link> {
        let Key { circuit, number, .. } = key;
        let since = self.now();
        let making = match dialled {
            Some(Dialled { name, cost, meter, .. }) => {
                let direction = Direction::Outgoing;
                Making { circuit, name, direction, cost, number, since, meter }
            }
            None => {
                let name = hello.link_name.clone().unwrap_or_else(|| hello.name.clone());
                let (direction, meter) = (Direction::Incoming, Arc::default());
                Making { circuit, name, direction, cost: hello.cost, number, since, meter }
            }
        };
        Arc::new(Link::new(Peer::new(hello), making))
    }

    /// Tells who waits for an end-to-end session that one of its circuits is up.
    fn session_up(
        self: &Arc<Self>,
        link: &Arc<Link>,
        incoming: bool,
        up: Option<oneshot::Sender<Arc<Link>>>,
    ) {
        debug!(van.site = %link.peer.name, incoming, "circuit is up");
        if let Some(up) = up {
            // The one who waited may have given up.
            let _ = up.send(link.clone());
        }
        if incoming {
            let remote = self.remotes.lock().get(&(link.peer.id, link.peer.replica)).cloned();
            if let Some(remote) = remote.and_then(|r| r.upgrade()) {
                remote.offer(link);
            }
        }
    }

    /// Two routers that dial each other keep the link whose dialler has the lower id.
    fn resolve_duplicates(
        &self,
        table: &BTreeMap<Key, Arc<Link>>,
        own: Router,
        new: Key,
    ) -> Result<(), GoAwayReason> {
        let peer = (new.peer, new.replica);
        let new_wins = if new.outgoing { own < peer } else { peer < own };
        let opposite = table.iter().filter(|(key, link)| {
            !key.circuit
                && key.peer == new.peer
                && key.replica == new.replica
                && key.outgoing != new.outgoing
                && link.takes_flows()
        });
        for (_, link) in opposite {
            if !new_wins {
                return Err(GoAwayReason::Duplicate);
            }
            // Flows that are open on the other link may end there.
            link.go_away(GoAwayReason::Duplicate, DUPLICATE_GRACE);
        }
        Ok(())
    }
}

/// Time for the flows of a link that another replaces.
const DUPLICATE_GRACE: Duration = Duration::from_secs(3600);
