//! Brings about what the objects of the namespace want, again whenever something changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};
use van_model::Address;

use crate::index::{Index, Key, Kind};
use crate::outbox::{self, Act, MANAGER, token_secret};
use crate::plan::{Context, Made, Offered, Plan, Verdict, WantedGrant, plan};
use crate::secrets::Secrets;
use crate::status::{Running, same, status};
use crate::watches::{Watches, resource};

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
    /// Issues a token of this name: the line that admits another site. The error is a sentence.
    fn issue(&self, name: &str, grant: &WantedGrant) -> Result<String, String>;
    /// Revokes a token.
    fn revoke(&self, name: &str);
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
    secrets: Arc<Secrets>,
    recorder: Recorder,
    leads: watch::Receiver<bool>,
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
    /// Begins to follow. `leads`: whether this replica writes.
    pub fn start(client: Client, config: ControllerConfig, leads: watch::Receiver<bool>) -> Self {
        let mut tasks = JoinSet::new();
        let watches = Watches::start(&client, &config.namespace, &mut tasks);
        let secrets = Secrets::new(client.clone(), &config.namespace, config.secret_files.clone());
        let reporter = Reporter { controller: MANAGER.into(), instance: Some(config.pod.clone()) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, config, watches, secrets, recorder, leads, tasks }
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
            self.watches.changed().await;
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
        let mut leads = self.leads.clone();
        loop {
            changes.mark_unchanged();
            leads.mark_unchanged();
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
                () = self.watches.changed() => {}
                () = self.secrets.changed() => {}
                changed = changes.changed() => if changed.is_err() { break },
                _ = leads.changed() => {}
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
            secret_files: self.config.secret_files.clone(),
        }
    }

    /// Makes a plan and brings it about; returns whether nothing is to be tried again.
    async fn turn(&self, host: &impl Host, memory: &mut Memory) -> bool {
        memory.hear(host.offered());
        let index = self.watches.index();
        let fresh = plan(&index, &self.context(&memory.offered, &host.linked()));
        self.secrets.follow(&fresh.secret_files, &fresh.tokens);
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
        if *self.leads.borrow() {
            done &= self.make(&index, memory).await;
            done &= self.grant(host, memory).await;
            done &= self.tell(host, &index, memory).await;
        }
        done
    }

    /// Makes and deletes objects.
    async fn make(&self, index: &Index, memory: &mut Memory) -> bool {
        if memory.plan.site.is_none() {
            return true;
        }
        let own = index.labelled().with(&self.config.own_labels);
        let pods: Vec<IpAddr> = own
            .iter()
            .filter(|pod| pod.is_ready && !pod.is_ending)
            .filter_map(|pod| pod.ip)
            .collect();
        let mut done = true;
        for act in outbox::due(&memory.plan, index, &self.config.own_labels, &pods) {
            if let Err((what, error)) = self.act(&act).await {
                warn!(what, error = %error, "it is tried again");
                done = false;
            }
        }
        for made in memory.plan.made.clone() {
            if memory.made.contains(&made) {
                continue;
            }
            let params = PatchParams::apply(MANAGER).force();
            let (api, patch) = (self.api_of(&made), Patch::Apply(&made.object));
            match timely(api.patch(&made.name, &params, &patch)).await {
                Ok(_) => {
                    memory
                        .made
                        .retain(|old| (old.resource, &old.name) != (made.resource, &made.name));
                    memory.made.push(made);
                }
                Err(error) => {
                    warn!(kind = made.resource.2, name = made.name, %error, "it can't be made");
                    done = false;
                }
            }
        }
        let wanted = &memory.plan.made;
        let is_wanted = |made: &Made| {
            wanted.iter().any(|w| (w.resource, &w.name) == (made.resource, &made.name))
        };
        let (kept, gone): (Vec<_>, Vec<_>) = memory.made.drain(..).partition(is_wanted);
        memory.made = kept;
        for made in gone {
            let sent =
                timely(self.api_of(&made).delete(&made.name, &DeleteParams::default())).await;
            if let Err(error) = sent
                && !matches!(&error, Error::Api(status) if status.code == 404)
            {
                warn!(kind = made.resource.2, name = made.name, %error, "it can't be deleted");
                memory.made.push(made);
                done = false;
            }
        }
        done
    }

    fn api_of(&self, made: &Made) -> Api<DynamicObject> {
        let (group, version, kind, plural) = made.resource;
        let of = kube::api::GroupVersionKind::gvk(group, version, kind);
        let resource = kube::api::ApiResource::from_gvk_with_plural(&of, plural);
        Api::namespaced_with(self.client.clone(), &self.config.namespace, &resource)
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.config.namespace, &resource(kind))
    }

    async fn act(&self, act: &Act) -> Result<(), (String, Error)> {
        match act {
            Act::Apply { kind, name, object } => {
                let params = PatchParams::apply(MANAGER).force();
                let api = self.api(*kind);
                timely(api.patch(name, &params, &Patch::Apply(object)))
                    .await
                    .map(drop)
                    .map_err(|e| (format!("{} {name} can't be made", kind.as_str()), e))
            }
            Act::Delete { kind, name } => {
                let api = self.api(*kind);
                match timely(api.delete(name, &DeleteParams::default())).await {
                    Err(Error::Api(status)) if status.code == 404 => Ok(()),
                    other => other
                        .map(drop)
                        .map_err(|e| (format!("{} {name} can't be deleted", kind.as_str()), e)),
                }
            }
        }
    }

    /// Issues tokens into Secrets, and revokes those whose grants are gone.
    async fn grant(&self, host: &impl Host, memory: &mut Memory) -> bool {
        if memory.plan.site.is_none() {
            return true;
        }
        let issued = host.tokens();
        for name in issued.keys().filter(|name| !memory.plan.grants.contains_key(*name)) {
            host.revoke(name);
        }
        memory.secrets_written.retain(|name| memory.plan.grants.contains_key(name));
        let mut done = true;
        for (name, wanted) in memory.plan.grants.clone() {
            if memory.secrets_written.contains(&name) {
                continue;
            }
            let verdict =
                match self.grant_one(host, &name, &wanted, issued.contains_key(&name)).await {
                    Ok(()) => {
                        memory.secrets_written.insert(name);
                        continue;
                    }
                    Err(verdict) => verdict,
                };
            done &= matches!(verdict, Verdict::Refused(..));
            memory.plan.verdicts.insert(Key::new(Kind::AccessGrant, &name), verdict);
        }
        done
    }

    /// Has the Secret of a grant hold its token; the error is what is to be said of the grant.
    async fn grant_one(
        &self,
        host: &impl Host,
        name: &str,
        wanted: &WantedGrant,
        was_issued: bool,
    ) -> Result<(), Verdict> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let secret = &wanted.secret;
        let there = timely(secrets.get_opt(secret)).await.map_err(|error| {
            Verdict::Waiting("NoSecret", format!("the Secret {secret} can't be read: {error}"))
        })?;
        let is_ours = |there: &Secret| {
            let owners = there.metadata.owner_references.as_deref().unwrap_or_default();
            owners.iter().any(|owner| owner.uid == wanted.owner.uid)
        };
        match there.as_ref().map(is_ours) {
            Some(false) => {
                let why = format!(
                    "there is a Secret {secret} that is not the grant's: set spec.secret, or delete it"
                );
                return Err(Verdict::Refused("SecretExists", why));
            }
            Some(true) if was_issued => return Ok(()),
            // Its token was told to nobody, or is not known any more.
            _ if was_issued => host.revoke(name),
            _ => {}
        }
        let token = host.issue(name, wanted).map_err(|why| Verdict::Waiting("NoToken", why))?;
        let object = token_secret(secret, &wanted.owner, &token);
        let params = PatchParams::apply(MANAGER).force();
        match timely(secrets.patch(secret, &params, &Patch::Apply(object))).await {
            Ok(_) => Ok(()),
            Err(error) => {
                host.revoke(name);
                let why = format!("the Secret {secret} can't be written: {error}");
                Err(Verdict::Waiting("NoSecret", why))
            }
        }
    }

    /// Writes down what came of each object, where it is not written yet.
    async fn tell(&self, host: &impl Host, index: &Index, memory: &mut Memory) -> bool {
        let mut running = host.running(&memory.plan);
        let issued = host.tokens();
        for (name, wanted) in &memory.plan.grants {
            if let Some(issued) = issued.get(name) {
                running.insert(Key::new(Kind::AccessGrant, name), granted(issued, &wanted.secret));
            }
        }
        let now = jiff::Timestamp::now();
        let mut done = true;
        for (key, verdict) in &memory.plan.verdicts {
            self.record(key, verdict, index, &mut memory.told).await;
            let Some(object) = index.get(key).filter(|_| key.kind.is_custom()) else { continue };
            let verdict = match (&memory.applied, verdict) {
                (Some(Err(why)), Verdict::Accepted) => Verdict::Waiting("NotApplied", why.clone()),
                _ => verdict.clone(),
            };
            let wanted = status(object, &verdict, running.get(key), now);
            if same(&wanted, &object.status) {
                continue;
            }
            if let Err(error) = self.write_status(key, wanted).await {
                warn!(%key, %error, "the status can't be written; it is tried again");
                done = false;
            }
        }
        memory.told.retain(|key, _| memory.plan.verdicts.contains_key(key));
        done
    }

    async fn write_status(&self, key: &Key, status: Value) -> Result<(), Error> {
        let (group, version, _) = key.kind.resource();
        let object = json!({
            "apiVersion": format!("{group}/{version}"),
            "kind": key.kind.as_str(),
            "metadata": { "name": key.name },
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        let api = self.api(key.kind);
        match timely(api.patch_status(&key.name, &params, &Patch::Apply(object))).await {
            // It was deleted meanwhile.
            Err(Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    /// Tells of an object's change from good to bad, and back, as an event of the cluster.
    async fn record(
        &self,
        key: &Key,
        verdict: &Verdict,
        index: &Index,
        told: &mut BTreeMap<Key, Verdict>,
    ) {
        let before = told.insert(key.clone(), verdict.clone());
        let (kind, reason, note) = match (verdict, before) {
            (now, Some(before)) if *now == before => return,
            (Verdict::Accepted, None) => return,
            (Verdict::Accepted, Some(_)) => {
                (EventType::Normal, "Accepted", "it is used now".into())
            }
            (Verdict::Refused(reason, why) | Verdict::Waiting(reason, why), _) => {
                (EventType::Warning, *reason, why.clone())
            }
        };
        info!(object = %key, reason, note, "told the cluster");
        let event = Event {
            type_: kind,
            reason: reason.into(),
            note: Some(note.chars().take(1000).collect()),
            action: "Reconcile".into(),
            secondary: None,
        };
        let (group, version, _) = key.kind.resource();
        let reference = ObjectReference {
            api_version: Some(if group.is_empty() {
                version.into()
            } else {
                format!("{group}/{version}")
            }),
            kind: Some(key.kind.as_str().into()),
            name: Some(key.name.clone()),
            namespace: Some(self.config.namespace.clone()),
            uid: uid(key, index),
            ..ObjectReference::default()
        };
        if let Err(error) = timely(self.recorder.publish(&event, &reference)).await {
            warn!(%error, "an event can't be written");
        }
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

fn granted(issued: &Issued, secret: &str) -> Running {
    let (reason, message) = match (issued.is_usable, issued.redeemed_by.len()) {
        (true, _) => ("Usable", String::new()),
        (false, 0) => ("Expired", "it has expired: delete it, and apply another".into()),
        (false, n) => ("Used", format!("{n} sites redeemed it, or it has expired")),
    };
    let fields = json!({
        "secret": secret,
        "expires": issued.expires,
        "redeemedBy": issued.redeemed_by,
    });
    let Value::Object(fields) = fields else { return Running::default() };
    Running { is_ready: issued.is_usable, reason: reason.into(), message, fields }
}

fn same_specs(one: &Plan, other: &Plan) -> bool {
    one.site == other.site
        && one.endpoints == other.endpoints
        && one.links == other.links
        && one.listeners == other.listeners
        && one.connectors == other.connectors
}

fn uid(key: &Key, index: &Index) -> Option<String> {
    let meta = match key.kind {
        Kind::Service => &index.service(&key.name)?.meta,
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => &index.workload(key)?.meta,
        _ => &index.get(key)?.meta,
    };
    Some(meta.uid.clone())
}

async fn timely<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(result) => result,
        Err(_) => Err(Error::Service("the API server does not answer".into())),
    }
}

/// Between a half and the whole of a time, so that several replicas don't come at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
