//! Brings about what the objects of the namespace want, again whenever something changes.

mod grants;
mod making;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Error};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::warn;
use van_model::Address;

use crate::index::{Index, Key, Kind};
use crate::leading::Leading;
use crate::neighbours::Neighbours;
use crate::object::Pod;
use crate::outbox::MANAGER;
use crate::plan::{Context, Made, Offered, Plan, Verdict, WantedGrant, plan};
use crate::secrets::Secrets;
use crate::status::Running;
use crate::watches::Watches;

/// Time in which changes are gathered before a plan is made.
const GATHER: Duration = Duration::from_millis(25);

/// Time for one write.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first pause after a write that failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Time for which a service that nobody offers any more keeps its Service, and refuses.
const KEPT: Duration = Duration::from_secs(600);

/// The site that a controller steers.
pub trait Host: Send + Sync + 'static {
    /// Services that the network offers.
    fn offered(&self) -> BTreeMap<Address, Offered>;
    /// The names of links whose peers are known.
    fn linked(&self) -> BTreeSet<String>;
    /// Ticks when something that the others tell may have changed.
    fn changes(&self) -> watch::Receiver<u64>;
    /// Applies the specs of a plan; the error is a sentence.
    fn apply(&self, plan: &Plan) -> impl Future<Output = Result<(), String>> + Send;
    /// What runs of the objects that have a verdict.
    fn running(&self, plan: &Plan) -> BTreeMap<Key, Running>;
    /// The tokens that can be redeemed or were, by name: until when, and by whom.
    fn tokens(&self) -> BTreeMap<String, Issued>;
    /// Says which other pods are this site's, and which of all leads.
    fn replicas(&self, replicas: &Replicas);
    /// Issues a token of this name: the line that admits another site. The error is a sentence.
    fn issue(&self, name: &str, grant: &WantedGrant) -> Result<String, String>;
    /// Revokes a token.
    fn revoke(&self, name: &str);
}

/// The other pods of the site, and the one that leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replicas {
    /// The others that run, by name: where they are, and whether they are ready.
    pub others: BTreeMap<String, (IpAddr, bool)>,
    /// Whether this pod leads. One that has no others does what a leader does for the site, though it may not
    /// write to the API server yet.
    pub leads: bool,
    /// The one that leads, where it is another.
    pub leader: Option<IpAddr>,
}

/// A token that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Until when it can be redeemed, as RFC 3339.
    pub expires: String,
    /// Whether it can still be redeemed.
    pub is_usable: bool,
    /// The names of the sites that did.
    pub redeemed_by: Vec<String>,
}

/// What a controller has to know.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// The namespace.
    pub namespace: String,
    /// The pod's name, for events.
    pub pod: String,
    /// Where listeners bind in the pod.
    pub bind: IpAddr,
    /// The labels of vand's own pods.
    pub own_labels: BTreeMap<String, String>,
    /// Where keys of Secrets are kept as files.
    pub secret_files: PathBuf,
}

/// Follows a namespace.
pub struct Controller {
    client: Client,
    config: ControllerConfig,
    watches: Arc<Watches>,
    neighbours: Neighbours,
    /// Something that is followed is another.
    changed: Arc<Notify>,
    secrets: Arc<Secrets>,
    recorder: Recorder,
    leading: Leading,
    /// The watches end with it.
    tasks: JoinSet<()>,
}

/// What one run of the controller remembers.
#[derive(Default)]
struct Memory {
    plan: Plan,
    applied: Option<Result<(), String>>,
    offered: BTreeMap<Address, (Offered, Option<Instant>)>,
    told: BTreeMap<Key, Verdict>,
    /// What was made of kinds that are not followed, as it was sent.
    made: Vec<Made>,
    /// Tokens whose Secrets were written by this run.
    secrets_written: BTreeSet<String>,
    pause: Option<Duration>,
}

impl Controller {
    /// Begins to follow; of several pods the one that leads writes.
    pub fn start(client: Client, config: ControllerConfig, leading: Leading) -> Self {
        let mut tasks = JoinSet::new();
        let changed: Arc<Notify> = Arc::default();
        let (namespace, kinds) = (&config.namespace, &Kind::ALL);
        let watches = Watches::start(&client, namespace, kinds, changed.clone(), &mut tasks);
        let neighbours = Neighbours::new(client.clone(), changed.clone());
        let secrets = Secrets::new(client.clone(), &config.namespace, config.secret_files.clone());
        let reporter = Reporter { controller: MANAGER.into(), instance: Some(config.pod.clone()) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, config, watches, neighbours, changed, secrets, recorder, leading, tasks }
    }

    /// Waits until the namespace has a Site that can be used: what it wants. `waiting` is told, again
    /// whenever it changes, what it waits for.
    pub async fn first_plan(&self, mut waiting: impl FnMut(&str)) -> Plan {
        loop {
            if self.watches.is_settled() {
                let plan =
                    plan(&self.watches.index(), &self.context(&BTreeMap::new(), &BTreeSet::new()));
                if plan.site.is_some() {
                    return plan;
                }
                let sites = plan.verdicts.iter().filter(|(key, _)| key.kind == Kind::Site);
                let refused = sites.filter_map(|(key, verdict)| match verdict {
                    Verdict::Refused(_, why) => Some(format!("{key}: {why}")),
                    _ => None,
                });
                let troubles = self.watches.troubles();
                let refused = refused.chain(troubles.get(&Kind::Site).cloned());
                match refused.collect::<Vec<_>>().join("; ") {
                    none if none.is_empty() => waiting("the namespace has no Site: apply one"),
                    why => waiting(&why),
                }
            } else {
                waiting(&self.unread());
            }
            self.changed.notified().await;
        }
    }

    fn unread(&self) -> String {
        let troubles = self.watches.troubles();
        match troubles.first_key_value() {
            Some((kind, why)) => {
                format!("the API server does not tell of {}s: {why}", kind.as_str())
            }
            None => "the objects of the namespace are being read".into(),
        }
    }

    /// Kinds of objects that can't be followed now, and why.
    pub fn troubles(&self) -> BTreeMap<&'static str, String> {
        let troubles = self.watches.troubles();
        troubles.into_iter().map(|(kind, why)| (kind.as_str(), why)).collect()
    }

    /// Steers the site, for ever.
    pub async fn run(mut self, host: Arc<impl Host>) {
        let mut memory = Memory::default();
        let mut changes = host.changes();
        let Leading { mut leads, mut leader } = self.leading.clone();
        loop {
            changes.mark_unchanged();
            leads.mark_unchanged();
            leader.mark_unchanged();
            let done = self.turn(&*host, &mut memory).await;
            memory.pause = match (done, memory.pause) {
                (true, _) => None,
                (false, None) => Some(PAUSES.0),
                (false, Some(pause)) => Some((pause * 2).min(PAUSES.1)),
            };
            let again = async {
                match memory.pause {
                    Some(pause) => tokio::time::sleep(jittered(pause)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.secrets.changed() => {}
                changed = changes.changed() => if changed.is_err() { break },
                Ok(()) = leads.changed() => {}
                Ok(()) = leader.changed() => {}
                () = again => {}
            }
            tokio::time::sleep(GATHER).await;
        }
        self.tasks.shutdown().await;
    }

    fn context(
        &self,
        offered: &BTreeMap<Address, (Offered, Option<Instant>)>,
        linked: &BTreeSet<String>,
    ) -> Context {
        Context {
            namespace: self.config.namespace.clone(),
            linked: linked.clone(),
            bind: self.config.bind,
            own_labels: self.config.own_labels.clone(),
            offered: offered
                .iter()
                .map(|(address, (offered, _))| (address.clone(), offered.clone()))
                .collect(),
            secrets: self.secrets.tokens(),
            link_secrets: self.secrets.links(),
            secret_files: self.config.secret_files.clone(),
            neighbours: self.neighbours.all(),
        }
    }

    fn replicas(&self, index: &Index) -> Replicas {
        let pods = index.labelled();
        let pods = pods.with(&self.config.own_labels).into_iter();
        // One that is being deleted carries what it has until the others are linked as it was; one that is over
        // but still listed does nothing.
        let runs = |pod: &&&Pod| !pod.is_ending || pod.meta.is_deleted;
        let others = pods.filter(|pod| pod.meta.name != self.config.pod).filter(|pod| runs(&pod));
        let ready = |pod: &Pod| pod.is_ready && !pod.is_ending;
        let others: BTreeMap<_, _> =
            others.filter_map(|pod| Some((pod.meta.name.clone(), (pod.ip?, ready(pod))))).collect();
        let leads = *self.leading.leads.borrow() || others.is_empty();
        let leader = self.leading.leader.borrow();
        let leader = leader.as_ref().and_then(|leader| others.get(leader)).filter(|_| !leads);
        Replicas { leads, leader: leader.map(|(ip, _)| *ip), others }
    }

    /// Makes a plan and brings it about; returns whether nothing is to be tried again.
    async fn turn(&self, host: &impl Host, memory: &mut Memory) -> bool {
        memory.hear(host.offered());
        let index = self.watches.index();
        host.replicas(&self.replicas(&index));
        let fresh = plan(&index, &self.context(&memory.offered, &host.linked()));
        self.secrets.follow(&fresh.secret_files, &fresh.tokens);
        self.neighbours.follow(&fresh.neighbours);
        // A Site that is gone, or was broken, does not end what runs.
        if fresh.site.is_some()
            && (memory.applied != Some(Ok(())) || !same_specs(&fresh, &memory.plan))
        {
            let applied = host.apply(&fresh).await;
            if let Err(why) = &applied {
                warn!(why, "what the namespace wants is not applied");
            }
            memory.applied = Some(applied);
        }
        memory.plan = fresh;
        let mut done = memory.applied.as_ref().is_none_or(Result::is_ok);
        if *self.leading.leads.borrow() {
            done &= self.make(&index, memory).await;
            done &= self.grant(host, memory).await;
            done &= self.tell(host, &index, memory).await;
        }
        done
    }
}

impl Memory {
    /// Takes what is offered now; what is gone is kept for a while, so that its name stays.
    fn hear(&mut self, offered: BTreeMap<Address, Offered>) {
        let now = Instant::now();
        for (address, known) in &mut self.offered {
            if !offered.contains_key(address) {
                known.1.get_or_insert(now);
            }
        }
        self.offered.retain(|_, (_, gone)| gone.is_none_or(|gone| now.duration_since(gone) < KEPT));
        for (address, offered) in offered {
            self.offered.insert(address, (offered, None));
        }
    }
}

fn same_specs(one: &Plan, other: &Plan) -> bool {
    one.site == other.site
        && one.endpoints == other.endpoints
        && one.links == other.links
        && one.listeners == other.listeners
        && one.connectors == other.connectors
}

pub(crate) async fn timely<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(result) => result,
        Err(_) => Err(Error::Service("the API server does not answer".into())),
    }
}

/// Between a half and the whole of a time, so that several replicas don't come at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
