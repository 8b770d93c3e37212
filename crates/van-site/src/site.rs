//! The site itself: what it is made of, its start, its one task, and its stop.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use van_config::Loaded;
use van_model::api::Severity;
use van_model::{Name, SiteId};
use van_mux::Budget;
use van_net::{Acceptor, Links, LinksConfig, Local, Tasks, Workers};
use van_proxy::{Connectors, Dispatcher, Listener};
use van_routing::RouterConfig;
use van_store::Store;

use crate::blocking::blocking;
use crate::clock::{self, SystemClock};
use crate::environment::{Environment, Start};
use crate::error::SiteError;
use crate::events::EventLog;
use crate::foreign::ForeignSpecs;
use crate::identity::OwnIdentity;
use crate::imports::Imports;
use crate::mailbox::{Letters, Mailbox};
use crate::naming::Naming;
use crate::network::Network;
use crate::paths::{Map, Members};
use crate::peers::PeerBook;
use crate::podman::Podman;
use crate::reconcile::Running;
use crate::replicas::Replicas;
use crate::resources::{Kept, LinkPeers, MadeBook};
use crate::services::Services;
use crate::spans;
use crate::status::Remembered;
use crate::tokens::TokenBook;

/// One running site.
pub struct Site {
    pub(crate) store: Store,
    pub(crate) own: OwnIdentity,
    pub(crate) peers: Arc<PeerBook>,
    pub(crate) tokens: TokenBook,
    pub(crate) made: MadeBook,
    pub(crate) link_peers: LinkPeers,
    pub(crate) links: Arc<Links>,
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) podman: Arc<Podman>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) tasks: Tasks,
    pub(crate) network: Network,
    pub(crate) services: Services,
    pub(crate) imports: Imports,
    pub(crate) naming: Naming,
    pub(crate) map: Arc<Map>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) environment: Environment,
    pub(crate) loaded: Mutex<Loaded>,
    pub(crate) foreign: Mutex<ForeignSpecs>,
    pub(crate) replicas: Replicas,
    pub(crate) running: Mutex<Running>,
    /// Held over a whole redemption and a whole revocation: neither may come into the other.
    pub(crate) trust: Mutex<()>,
    /// Held while wanted state is changed, so that changes come one after the other.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Rises with each start, so that records of this run are newer than those before.
    pub(crate) epoch: u32,
    pub(crate) kept_epoch: Kept<u32>,
    pub(crate) started: Instant,
    /// When the site's task turned last, in milliseconds after the start.
    turn: AtomicU64,
    pub(crate) remembered: Remembered,
    /// Why the state directory can't be written, if so.
    pub(crate) state_problem: Mutex<Option<String>>,
    /// Rung when there is something to be kept on the disk.
    pub(crate) noted: Notify,
    /// Rung when something waits for the upkeep.
    pub(crate) upkeep: Notify,
    events: EventLog,
    changed: watch::Sender<u64>,
    pub(crate) this: Weak<Self>,
}

/// The document that keeps the epoch.
const EPOCH: &str = "epoch";

/// How often the site looks at what only time changes, while something is to be tried again or waits.
const TICK: Duration = Duration::from_secs(1);

/// The same while all is done: an idle daemon is to sleep.
const CALM_TICK: Duration = Duration::from_secs(5);

/// Time that open flows get when the daemon stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Time for the resets of flows that did not end by themselves.
const RESET_PATIENCE: Duration = Duration::from_secs(1);

/// The share of the memory limit that windows may take beyond their initial credit.
pub(crate) const BUDGET_SHARE: u64 = 4;

/// Taken for the memory limit where none can be read.
const MEMORY_UNKNOWN: u64 = 1 << 30;

impl Site {
    /// Starts a site: reads its state, applies what is wanted, and keeps it so.
    pub fn start(start: Start) -> Result<Arc<Self>, SiteError> {
        let Start { mut loaded, store, workers, tasks, environment } = start;
        let (own, bundle) = OwnIdentity::load(&store, loaded.config.identity.as_ref())?;
        if let Some(prefix) = &environment.name_prefix {
            loaded.config.site.name = name_after(prefix, own.identity.id());
        }
        let peers = Arc::new(PeerBook::load(&store, bundle)?);
        let tokens = TokenBook::load(&store)?;
        let made = MadeBook::load_made(&store)?;
        let link_peers = LinkPeers::load_peers(&store)?;
        let kept_epoch: Kept<u32> = Kept::load(&store, EPOCH)?;
        // The number of a replica may have been another pod's before, which counted for itself.
        let floor = environment.replica.map_or(0, |_| seconds(clock::now()));
        let (epoch, problem) = next_epoch(&store, &kept_epoch, floor, clock::now());
        let imports = Imports::load(&store)?;
        let network = Network::new(router(&own, &environment, &peers, epoch));
        let map = Map::new(network.routes(), peers.clone());
        let mailbox: Arc<Mailbox> = Arc::default();
        let bell = mailbox.clone();
        let podman = Podman::new(environment.podman.clone());
        let connectors =
            Connectors::new(podman.clone(), Arc::new(move || bell.ring()), tasks.clone());
        let flows = loaded.config.limits.flows;
        let (exporter, tracer) = spans::exporter(loaded.config.tracing.as_ref());
        let dispatcher = Dispatcher::new(connectors.clone(), &workers, flows, tracer);
        let links = Links::new(LinksConfig {
            local: local(&own, &loaded, &environment),
            identity: own.identity.clone(),
            peers: peers.clone(),
            members: Arc::new(Members(map.clone())),
            paths: map.clone(),
            clock: Arc::new(SystemClock),
            workers: workers.clone(),
            budget: Budget::new(memory_limit() / BUDGET_SHARE),
            egress: connectors.clone(),
            observer: mailbox.clone(),
            flow_log: dispatcher.flow_log().clone(),
        });
        let site = Arc::new_cyclic(|this| Self {
            acceptor: Acceptor::new(links.clone()),
            store,
            own,
            peers,
            tokens,
            made,
            link_peers,
            links,
            connectors,
            podman,
            dispatcher,
            workers,
            tasks,
            network,
            services: Services::default(),
            imports,
            naming: Naming::default(),
            map,
            mailbox,
            environment,
            loaded: Mutex::new(loaded),
            foreign: Mutex::default(),
            replicas: Replicas::default(),
            running: Mutex::default(),
            trust: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            epoch,
            kept_epoch,
            started: Instant::now(),
            turn: AtomicU64::new(0),
            remembered: Remembered::default(),
            state_problem: Mutex::default(),
            noted: Notify::new(),
            upkeep: Notify::new(),
            events: EventLog::default(),
            changed: watch::Sender::new(0),
            this: this.clone(),
        });
        site.begin(problem, exporter)?;
        Ok(site)
    }

    /// Applies what is wanted, and goes on doing so.
    fn begin(
        self: &Arc<Self>,
        problem: Option<String>,
        exporter: Option<van_trace::Exporter>,
    ) -> Result<(), SiteError> {
        self.introduce();
        self.tell_set_aside();
        self.tell_uncounted(problem);
        self.reconcile()?;
        self.tell_unused_sockets();
        self.refresh_network();
        self.spawn_tasks(exporter);
        Ok(())
    }

    /// Tells its parts where they belong.
    fn introduce(self: &Arc<Self>) {
        self.mailbox.belongs_to(self);
        self.map.belongs_to(&self.links);
    }

    fn spawn_tasks(&self, exporter: Option<van_trace::Exporter>) {
        if let Some(exporter) = exporter {
            self.export(exporter);
        }
        let (site, keeper, follower) = (self.arc(), self.arc(), self.arc());
        self.tasks.spawn("site", async move { site.run().await });
        self.tasks.spawn("upkeep", async move { keeper.keep_up().await });
        self.tasks.spawn("containers", async move { follower.follow_containers().await });
    }

    /// The site's task: takes notes from the data plane, and does what time asks for.
    async fn run(&self) {
        let mut changes = self.changes();
        self.tick();
        let mut looked = Instant::now();
        loop {
            changes.mark_unchanged();
            let look = looked + if self.has_unfinished() { TICK } else { CALM_TICK };
            let due = self.network.next_timeout();
            let routing = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.mailbox.rung() => self.take_letters(),
                () = routing => {
                    self.refresh_network();
                    self.notify();
                }
                () = tokio::time::sleep_until(look.into()) => {
                    self.tick();
                    looked = Instant::now();
                }
                // Something may have begun that wants a look sooner.
                _ = changes.changed() => {}
            }
            let turn = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.turn.store(turn, Ordering::Relaxed);
        }
    }

    fn take_letters(&self) {
        let Letters { up, down, routes, refused, route_bytes: _ } = self.mailbox.take();
        for link in up {
            self.peers.seen(&link.peer.id, &link.peer.name);
            self.noted.notify_one();
            let text = format!("link {} to site {} is up", link.name, link.peer.name);
            self.event(Severity::Info, "LinkUp", format!("link/{}", link.name), text);
        }
        for (link, why) in down {
            self.peers.seen(&link.peer.id, &link.peer.name);
            self.noted.notify_one();
            let text = format!("link {} to site {} is down: {why}", link.name, link.peer.name);
            self.event(Severity::Warning, "LinkDown", format!("link/{}", link.name), text);
        }
        self.drain_replaced();
        for (remote, why) in refused {
            let subject = format!("remote/{}", remote.ip());
            self.event(Severity::Warning, "Refused", subject, format!("{remote}: {why}"));
        }
        self.take_messages(routes);
        self.refresh_network();
        self.notify();
    }

    /// Whether something is to be tried again, or waits for a moment to pass.
    fn has_unfinished(&self) -> bool {
        self.is_upkeep_due() || self.has_replaced()
    }

    fn tick(&self) {
        self.own.renew_if_due();
        self.drain_replaced();
        self.look_at_upkeep();
        self.refresh_network();
        self.notify();
    }

    /// Whether the site's task and every worker of the data plane go on; the error is a sentence.
    pub async fn pulse(&self, patience: Duration) -> Result<(), String> {
        let turn = Duration::from_millis(self.turn.load(Ordering::Relaxed));
        let quiet = self.started.elapsed().saturating_sub(turn);
        if quiet > patience + CALM_TICK {
            return Err(format!("the site's task is stuck for {} s", quiet.as_secs()));
        }
        self.workers.pulse(patience).await
    }

    /// Says that something which status shows has changed.
    pub(crate) fn notify(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Ticks when something that status shows has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn event(&self, severity: Severity, reason: &str, subject: String, message: String) {
        self.events.add(severity, reason, subject, message);
        self.notify();
    }

    pub(crate) fn events_by_reason(&self) -> std::collections::BTreeMap<String, u64> {
        self.events.counts()
    }

    pub(crate) fn events_after(&self, sequence: u64) -> Vec<van_model::api::Event> {
        self.events.after(sequence)
    }

    /// This site's id.
    pub fn own_id(&self) -> SiteId {
        self.own.identity.id()
    }

    /// This site's name.
    pub fn name(&self) -> String {
        self.loaded.lock().config.site.name.to_string()
    }

    /// Where links are accepted now.
    pub fn accepting(&self) -> Vec<SocketAddr> {
        self.running.lock().accepting()
    }

    pub(crate) fn arc(&self) -> Arc<Self> {
        self.this.upgrade().expect("a method runs on a living site")
    }

    /// Stops in order: no new flows, open ones may end for 10 s or until `hurry` comes, then what is
    /// left is reset and everything closes.
    pub async fn stop(&self, hurry: impl Future<Output = ()>) {
        let stopped = self.running.lock().stop_taking();
        blocking(|| stopped.into_iter().for_each(Listener::stop));
        self.imports.stop();
        self.stop_naming().await;
        self.links.close_all(DRAIN);
        tokio::select! {
            () = self.until_idle(DRAIN) => {}
            () = hurry => self.links.close_all(Duration::ZERO),
        }
        self.dispatcher.reset_local();
        self.until_idle(RESET_PATIENCE).await;
        self.keep_peers();
        self.tasks.cancel();
    }

    /// Waits until no flow is open, at most so long.
    async fn until_idle(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && self.dispatcher.flows_open() + self.egress_flows() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn egress_flows(&self) -> u64 {
        self.connectors.all().iter().map(|c| c.meter.open.get()).sum()
    }

    fn tell_unused_sockets(&self) {
        for (name, place) in self.environment.handed.unused() {
            let text =
                format!("systemd's socket {name}, {place}, fits no listener or accept.listen");
            self.event(Severity::Warning, "SocketUnused", format!("socket/{name}"), text);
        }
    }

    /// Tells that this start could not be counted, if so.
    fn tell_uncounted(&self, problem: Option<String>) {
        let Some(why) = problem else { return };
        let text = format!("the start is not counted, vand goes on without: {why}");
        self.event(Severity::Warning, "StateNotWritten", "state".into(), text);
        *self.state_problem.lock() = Some(why);
    }

    /// Tells of state files that were unusable; each is a loss that an operator must know.
    fn tell_set_aside(&self) {
        for aside in self.store.set_aside() {
            let severity = if aside.repaired { Severity::Warning } else { Severity::Error };
            self.event(
                severity,
                "StateSetAside",
                format!("state/{}", aside.name),
                aside.to_string(),
            );
        }
    }
}

/// What the router is made of; one of several trusts the others, which have the same key.
fn router(
    own: &OwnIdentity,
    environment: &Environment,
    peers: &PeerBook,
    epoch: u32,
) -> RouterConfig {
    let mut config = RouterConfig::new(own.authority.clone(), epoch);
    if let Some(replica) = environment.replica {
        config.me.replica = replica;
        peers.trust_own(own.identity.id(), own.authority.certificate().clone());
    }
    config
}

pub(crate) fn local(own: &OwnIdentity, loaded: &Loaded, environment: &Environment) -> Local {
    let config = &loaded.config;
    Local {
        id: own.identity.id(),
        replica: environment.replica.unwrap_or(0),
        instance: rand::random(),
        name: config.site.name.to_string(),
        mode: config.site.mode,
        ephemeral: environment.ephemeral,
        software: environment.version.clone(),
        max_streams: config.limits.flows,
        flow_window_max: u32::try_from(config.limits.flow_window_max.as_u64()).unwrap_or(u32::MAX),
    }
}

/// `PREFIX-` and 6 characters of the id, cut to what a name may have.
fn name_after(prefix: &str, id: SiteId) -> Name {
    const SUFFIX: usize = 7;
    let prefix: String = prefix.chars().take(Name::MAX - SUFFIX).collect();
    let short = &id.to_string()[..SUFFIX - 1];
    let whole = format!("{}-{short}", prefix.trim_end_matches(|c: char| !c.is_alphanumeric()));
    Name::from_lossy(&whole).expect("an id's characters make a name")
}

/// The number of this start, and why it can't be kept, if so.
///
/// It is no less than `floor`. Where it can't be kept it is at least the time, so that the next start's is higher all the same.
fn next_epoch(
    store: &Store,
    kept: &Kept<u32>,
    floor: u32,
    now: Timestamp,
) -> (u32, Option<String>) {
    let next = kept.get().saturating_add(1).max(floor);
    match kept.change(store, |epoch| *epoch = next) {
        Ok(()) => (next, None),
        Err(error) => (next.max(seconds(now)), Some(error.to_string())),
    }
}

fn seconds(now: Timestamp) -> u32 {
    u32::try_from(now.as_second()).unwrap_or(0)
}

/// The least of the machine's memory and the control group's limit, in bytes.
pub(crate) fn memory_limit() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?.trim();
        kib.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let path = text.lines().find_map(|l| l.strip_prefix("0::"))?.to_owned();
        number(&format!("/sys/fs/cgroup{path}/memory.max"))
    });
    total.into_iter().chain(group).min().unwrap_or(MEMORY_UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_counted_and_without_a_disk_it_is_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("state");
        let store = Store::open(&place).unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for count in 1..=2 {
            let kept = Kept::load(&store, EPOCH).unwrap();
            assert_eq!(next_epoch(&store, &kept, 0, now), (count, None));
        }
        let kept = Kept::load(&store, EPOCH).unwrap();
        std::fs::remove_dir_all(&place).unwrap();
        std::fs::write(&place, "").unwrap();
        let (epoch, problem) = next_epoch(&store, &kept, 0, now);
        assert_eq!((epoch, kept.get()), (1_800_000_000, 2));
        assert!(problem.unwrap().contains("state"));
        let early = Timestamp::from_second(-5).unwrap();
        assert_eq!(next_epoch(&store, &kept, 0, early).0, 3);
    }
}
