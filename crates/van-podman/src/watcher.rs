//! Following one podman.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use van_model::{Workload, WorkloadKind};

use crate::client::{Client, Events, PodmanError};
use crate::container::Container;
use crate::labels::has_labels;
use crate::locate::is_id_of;
use crate::snapshot::Snapshot;
use crate::wire::{self, Inspected, Listed, MAX_CONTAINERS};

/// Events that come within this time are one change.
const TOGETHER: Duration = Duration::from_millis(25);

/// Time after a change until a last look: podman may tell of a thing a moment before it is so.
const SETTLED: Duration = Duration::from_millis(500);

/// How often a podman without events is asked.
const WITHOUT_EVENTS: Duration = Duration::from_secs(1);

/// Time until the next try, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Whether a container is cared about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Containers and pods that connectors name.
    pub workloads: BTreeSet<(WorkloadKind, Box<str>)>,
    /// Whether those whose labels offer something are cared about.
    pub labels: bool,
}

impl Interest {
    /// Cares about a workload as well.
    pub fn add(&mut self, workload: &Workload) {
        self.workloads.insert((workload.kind, workload.name.clone()));
    }

    /// Whether nobody cares about anything.
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty() && !self.labels
    }

    fn holds(&self, listed: &Listed) -> bool {
        let named = self.workloads.iter().any(|(kind, name)| match kind {
            WorkloadKind::Pod => *listed.pod_name == **name,
            WorkloadKind::Container => {
                listed.names.iter().any(|own| **own == **name) || is_id_of(name, &listed.id)
            }
        });
        named || self.labels && has_labels(&listed.labels)
    }
}

/// Follows one podman.
pub struct Watcher {
    client: Client,
    interest: watch::Receiver<Interest>,
    snapshot: Mutex<Arc<Snapshot>>,
    changed: Box<dyn Fn() + Send + Sync>,
}

impl Watcher {
    /// Prepares following the podman at a socket; `changed` is called after the snapshot has changed.
    pub fn new(
        socket: &Path,
        interest: watch::Receiver<Interest>,
        changed: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        let snapshot = Mutex::new(Arc::new(Snapshot::new(PathBuf::from(socket))));
        Arc::new(Self { client: Client::new(socket), interest, snapshot, changed })
    }

    /// What is known now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.lock().clone()
    }

    /// Follows podman for ever, through its restarts.
    pub async fn run(self: Arc<Self>) {
        let mut interest = self.interest.clone();
        let mut pause = RETRY.0;
        loop {
            let start = Instant::now();
            let Err(error) = self.follow(&mut interest).await;
            tracing::debug!(socket = %self.snapshot().socket.display(), %error, "podman is away");
            if start.elapsed() > RETRY.1 {
                pause = RETRY.0;
            }
            // One that only ended an idle connection is back before anybody notices.
            if !matches!(error, PodmanError::Ended) || pause > RETRY.0 {
                self.publish(|snapshot| snapshot.trouble = Some(error.to_string()));
            }
            sleep(pause.mul_f64(rand::random_range(0.75..1.25))).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn follow(
        &self,
        interest: &mut watch::Receiver<Interest>,
    ) -> Result<std::convert::Infallible, PodmanError> {
        // It is the slowest question of all, and the answer stays the same.
        let engine = match self.snapshot().engine.clone() {
            Some(engine) => engine,
            None => self.client.engine().await?,
        };
        // Listening first: nothing happens between the list and the events.
        let mut events = match self.client.events().await {
            Ok(events) => Some(events),
            Err(error @ PodmanError::Status { .. }) => {
                tracing::debug!(%error, "podman has no events, it is asked again and again");
                None
            }
            Err(error) => return Err(error),
        };
        let mut settled = true;
        loop {
            let wanted = interest.borrow_and_update().clone();
            let (total, containers) = self.look(&wanted).await?;
            self.publish(|snapshot| {
                snapshot.engine = Some(engine.clone());
                (snapshot.total, snapshot.containers) = (total, containers);
                snapshot.trouble = None;
            });
            tokio::select! {
                changed = change(events.as_mut(), settled) => settled = !changed?,
                // Where the sender is gone, this task is about to be, too.
                _ = interest.changed() => {}
            }
        }
    }

    /// Looks at every container that is cared about.
    async fn look(&self, interest: &Interest) -> Result<(usize, Vec<Arc<Container>>), PodmanError> {
        let mut listed = self.client.list().await?;
        let total = listed.iter().filter(|container| !container.is_infra).count();
        listed.truncate(MAX_CONTAINERS);
        listed.retain(|container| !container.is_infra && interest.holds(container));
        let mut shared: BTreeMap<String, Option<Inspected>> = BTreeMap::new();
        let mut found = Vec::with_capacity(listed.len());
        for listed in listed {
            // One that is removed meanwhile is told of by an event, too.
            let Some(own) = self.inspect(&listed.id).await? else { continue };
            let network = match own.network_of() {
                None => None,
                Some(id) => {
                    if !shared.contains_key(id) {
                        shared.insert(id.into(), self.inspect(id).await?);
                    }
                    shared.get(id).and_then(Option::as_ref)
                }
            };
            found.push(Arc::new(wire::container(listed, &own, network)));
        }
        found.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
        Ok((total, found))
    }

    async fn inspect(&self, id: &str) -> Result<Option<Inspected>, PodmanError> {
        // An id of podman's has no other characters; what has some is none.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        match self.client.inspect(id).await {
            Ok(inspected) => Ok(Some(inspected)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut held = self.snapshot.lock();
        let mut fresh = Snapshot::clone(&held);
        change(&mut fresh);
        if fresh == **held {
            return;
        }
        *held = Arc::new(fresh);
        drop(held);
        (self.changed)();
    }
}

/// Waits for an event that tells of a change, and for those right behind it; where the last change is
/// not settled, no longer than until it is. Returns whether there was an event.
async fn change(events: Option<&mut Events>, settled: bool) -> Result<bool, PodmanError> {
    let Some(events) = events else {
        sleep(WITHOUT_EVENTS).await;
        return Ok(false);
    };
    let patience = if settled { Duration::MAX } else { SETTLED };
    let told = async {
        while !events.next().await?.tells() {}
        Ok::<_, PodmanError>(())
    };
    match timeout(patience, told).await {
        Ok(told) => told?,
        Err(_) => return Ok(false),
    }
    let until = Instant::now() + TOGETHER;
    loop {
        match timeout(until.saturating_duration_since(Instant::now()), events.next()).await {
            Ok(event) => event.map(drop)?,
            Err(_) => return Ok(true),
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}
