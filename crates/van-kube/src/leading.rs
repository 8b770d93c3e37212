//! Several pods of one site: each has a number, and one of them leads.

use std::time::Duration;

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Error};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

use crate::controller::timely;
use crate::outbox::{MANAGER, ROLE};

/// The Lease of the pod that leads.
const LEASE: &str = "vand";

/// Time for which a leader that says nothing any more is waited for, in seconds; it renews its word 5 s
/// earlier.
const LIFE: (u64, u64) = (15, 5);

/// The most pods of one site at once, those among them that are about to end.
const MAX_REPLICAS: u16 = 32;

/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Gives this pod the lowest number that no other pod has, and the same again after a restart of its container.
///
/// A number is a Lease that goes with its pod, so that no two pods have one at a time, whatever their clocks say.
///
/// # Errors
/// The API server can't be asked, or refuses.
pub async fn number(client: &Client, namespace: &str, pod: &str) -> Result<u16, Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let uid = timely(pods.get(pod)).await?.metadata.uid.unwrap_or_default();
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    for number in 0..MAX_REPLICAS {
        let name = format!("{LEASE}-replica-{number}");
        let lease = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": { "app.kubernetes.io/managed-by": MANAGER, ROLE: "replica" },
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid },
                ],
            },
            "spec": { "holderIdentity": pod },
        }));
        let lease: Lease = lease.map_err(Error::SerdeError)?;
        match timely(leases.create(&PostParams::default(), &lease)).await {
            Ok(_) => return Ok(number),
            Err(Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        let taken = timely(leases.get_opt(&name)).await?;
        let owners = taken.and_then(|lease| lease.metadata.owner_references).unwrap_or_default();
        if owners.iter().any(|owner| owner.uid == uid) {
            return Ok(number);
        }
    }
    let text = format!("there are {MAX_REPLICAS} pods of this site already");
    Err(Error::Service(text.into()))
}

/// The part that this pod has in leading.
#[derive(Debug, Clone)]
pub struct Leading {
    /// Whether it leads.
    pub leads: watch::Receiver<bool>,
    /// The pod that leads, by name, as far as that is known.
    pub leader: watch::Receiver<Option<String>>,
}

/// Keeps up this pod's part in leading.
pub struct Candidate {
    leading: Leading,
    /// Follows the Lease, and stands for election.
    tasks: JoinSet<()>,
}

impl Candidate {
    /// Stands for election from now on.
    pub fn start(client: &Client, namespace: &str, pod: &str) -> Self {
        let (leads, leads_now) = watch::channel(false);
        let (leader, leader_now) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let standing = Standing {
            client: client.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            leader: leader_now.clone(),
        };
        tasks.spawn(standing.run(leads));
        tasks.spawn(follow(client.clone(), namespace.to_owned(), leader));
        Self { leading: Leading { leads: leads_now, leader: leader_now }, tasks }
    }

    /// What comes of it.
    pub fn leading(&self) -> Leading {
        self.leading.clone()
    }

    /// Gives the lead back, so that another need not wait for its end; at most so long.
    pub async fn resign(self, patience: Duration) {
        let Self { leading, mut tasks } = self;
        drop(leading);
        // The one that stands for election ends once nobody listens, and gives the lead back then.
        let _ = tokio::time::timeout(patience, tasks.join_next()).await;
    }
}

/// A pod that stands for election.
struct Standing {
    client: Client,
    namespace: String,
    pod: String,
    leader: watch::Receiver<Option<String>>,
}

/// Why one round of standing for election is over.
enum Over {
    /// Nobody listens any more.
    Unheard,
    /// The lead was given back, and may be had at once.
    Vacant,
}

impl Standing {
    /// Stands for election for as long as anybody listens.
    async fn run(mut self, leads: watch::Sender<bool>) {
        let mut pause = PAUSES.0;
        loop {
            match self.manager().await {
                Ok(manager) => {
                    pause = PAUSES.0;
                    match self.round(manager, &leads).await {
                        Over::Unheard => return,
                        Over::Vacant => continue,
                    }
                }
                Err(error) => {
                    warn!(%error, lease = LEASE, "no pod is told to lead; it is tried again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = leads.closed() => return,
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn manager(&self) -> kube_lease_manager::Result<LeaseManager> {
        let Self { client, namespace, pod, .. } = self;
        let builder = LeaseManagerBuilder::new(client.clone(), LEASE).with_namespace(namespace);
        let builder = builder.with_identity(pod).with_field_manager(format!("{MANAGER}-{pod}"));
        builder.with_duration(LIFE.0).with_grace(LIFE.1).build().await
    }

    /// Tells whether this pod leads, until that is to be asked anew.
    async fn round(&mut self, manager: LeaseManager, leads: &watch::Sender<bool>) -> Over {
        let (mut holds, task) = manager.watch().await;
        self.leader.mark_unchanged();
        let over = loop {
            tokio::select! {
                changed = holds.changed() => match changed {
                    Ok(()) => {
                        leads.send_replace(*holds.borrow_and_update());
                    }
                    Err(_) => break Over::Vacant,
                },
                // The manager itself would wait until the word of the one that led is over.
                Ok(()) = self.leader.changed() => {
                    if self.leader.borrow_and_update().is_none() && !*leads.borrow() {
                        break Over::Vacant;
                    }
                }
                () = leads.closed() => break Over::Unheard,
            }
        };
        drop(holds);
        if let Ok(Err(error)) = task.await {
            warn!(%error, lease = LEASE, "the lead is not given back; it ends by itself");
        }
        over
    }
}

/// Follows who leads.
async fn follow(client: Client, namespace: String, leader: watch::Sender<Option<String>>) {
    let api: Api<Lease> = Api::namespaced(client, &namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={LEASE}"));
    let stream = watcher(api, only).default_backoff();
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        // Who led stays known while the API server is away.
        let Ok(watcher::Event::InitApply(lease) | watcher::Event::Apply(lease)) = event else {
            continue;
        };
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        leader.send_if_modified(|known| std::mem::replace(known, holder.clone()) != holder);
    }
}
