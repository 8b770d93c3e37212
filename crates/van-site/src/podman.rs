//! Containers and pods: which podmans are asked about them, and what labels offer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::User;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use van_model::api::{Severity, Source};
use van_model::{ConnectorSpec, PodmanSpec, Target, Workload};
use van_net::Tasks;
use van_podman::{Interest, Offers, Refused, Snapshot, Watcher};
use van_proxy::Workloads;

use crate::blocking::blocking;
use crate::reconcile::Wanted;
use crate::site::Site;

/// Where the socket of a user's podman is handed on to the daemon; see `vand-podman@.socket`.
const HANDED_ON: &str = "/run/vand-podman";

/// The podmans of this host, as far as somebody needs them.
pub(crate) struct Podman {
    /// The socket of whose daemon this is.
    own: PathBuf,
    interest: watch::Sender<Interest>,
    changed: Arc<Notify>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order in which they are asked.
    watched: Vec<Watched>,
    /// Users of the configuration that this host has not.
    unknown_users: Vec<String>,
    /// What labels offer, of what was last applied.
    offers: Offers,
    /// What was told already.
    refused: BTreeSet<Refused>,
    troubles: BTreeMap<PathBuf, String>,
}

struct Watched {
    socket: PathBuf,
    watcher: Arc<Watcher>,
    tasks: Tasks,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// What is known of the podmans of this host.
pub(crate) struct PodmanState {
    pub(crate) snapshots: Vec<Arc<Snapshot>>,
    pub(crate) unknown_users: Vec<String>,
    pub(crate) refused: BTreeSet<Refused>,
}

impl Podman {
    /// Asks nobody yet; `own`: the socket that is asked where the configuration names none.
    pub(crate) fn new(own: PathBuf) -> Arc<Self> {
        let interest = watch::Sender::new(Interest::default());
        Arc::new(Self { own, interest, changed: Arc::default(), inner: Mutex::default() })
    }

    /// What is known now.
    pub(crate) fn state(&self) -> PodmanState {
        let inner = self.inner.lock();
        PodmanState {
            snapshots: inner.watched.iter().map(|watched| watched.watcher.snapshot()).collect(),
            unknown_users: inner.unknown_users.clone(),
            refused: inner.offers.refused.clone(),
        }
    }

    /// Follows the podmans that connectors and labels need, and leaves the others alone.
    fn follow<'a>(
        &self,
        spec: &PodmanSpec,
        connectors: impl Iterator<Item = &'a ConnectorSpec>,
        tasks: &Tasks,
    ) {
        let mut interest = Interest { labels: spec.expose_labels, ..Interest::default() };
        for connector in connectors {
            if let Target::Workload(workload) = &connector.target {
                interest.add(workload);
            }
        }
        let (sockets, unknown) = match interest.is_empty() {
            true => (Vec::new(), Vec::new()),
            false => sockets(spec, &self.own),
        };
        self.interest.send_if_modified(|held| {
            let differs = *held != interest;
            *held = interest;
            differs
        });
        let mut inner = self.inner.lock();
        inner.unknown_users = unknown;
        let mut before = std::mem::take(&mut inner.watched);
        for socket in sockets {
            let kept = before.iter().position(|watched| watched.socket == socket);
            let watched = match kept {
                Some(place) => before.swap_remove(place),
                None => self.watch(socket, tasks.child()),
            };
            inner.watched.push(watched);
        }
    }

    fn watch(&self, socket: PathBuf, tasks: Tasks) -> Watched {
        let changed = self.changed.clone();
        let tell = Box::new(move || changed.notify_one());
        let watcher = Watcher::new(&socket, self.interest.subscribe(), tell);
        tasks.spawn("podman", watcher.clone().run());
        Watched { socket, watcher, tasks }
    }

    /// What labels offer now, beside connectors that are wanted otherwise.
    fn labelled(&self, spec: &PodmanSpec, others: &[&ConnectorSpec]) -> Offers {
        if !spec.expose_labels {
            return Offers::default();
        }
        let snapshots = self.state().snapshots;
        let containers = snapshots.iter().flat_map(|snapshot| &snapshot.containers);
        van_podman::offers(containers.map(|container| &**container), others)
    }
}

impl Workloads for Podman {
    fn locate(&self, workload: &Workload) -> Result<Vec<SocketAddr>, String> {
        let snapshots: Vec<_> =
            self.inner.lock().watched.iter().map(|watched| watched.watcher.snapshot()).collect();
        van_podman::locate(workload, snapshots.iter().map(|snapshot| &**snapshot))
            .map_err(|why| why.to_string())
    }
}

/// The sockets of the podmans that are to be asked, and users whom this host has not.
fn sockets(spec: &PodmanSpec, own: &Path) -> (Vec<PathBuf>, Vec<String>) {
    let mut sockets = match &spec.sockets[..] {
        [] => vec![own.to_owned()],
        several => several.to_vec(),
    };
    let mut unknown = Vec::new();
    for user in &spec.users {
        let uid = user.parse().ok().or_else(|| {
            let found = blocking(|| User::from_name(user));
            found.ok().flatten().map(|user| user.uid.as_raw())
        });
        match uid {
            Some(uid) => sockets.push(socket_of(uid)),
            None => unknown.push(user.clone()),
        }
    }
    let mut seen = BTreeSet::new();
    sockets.retain(|socket| seen.insert(socket.clone()));
    (sockets, unknown)
}

/// The socket of a user's podman: as it is handed on, else its own, which only root and that user
/// may open.
fn socket_of(uid: u32) -> PathBuf {
    let handed_on = Path::new(HANDED_ON).join(format!("{uid}.sock"));
    if handed_on.exists() {
        return handed_on;
    }
    PathBuf::from(format!("/run/user/{uid}/podman/podman.sock"))
}

impl Site {
    /// Adds what labels offer to the connectors that are wanted, and follows the podmans that all of
    /// them need.
    pub(crate) fn with_labelled(
        &self,
        spec: &PodmanSpec,
        connectors: &mut BTreeMap<String, Wanted<ConnectorSpec>>,
    ) {
        let others: Vec<&ConnectorSpec> = connectors.values().map(|wanted| &wanted.spec).collect();
        let offers = self.podman.labelled(spec, &others);
        self.podman.follow(spec, others.into_iter(), &self.tasks);
        for (name, spec) in &offers.connectors {
            let wanted = Wanted { spec: spec.clone(), source: Source::Podman, file: None };
            connectors.entry(name.clone()).or_insert(wanted);
        }
        self.podman.inner.lock().offers = offers;
    }

    /// Follows what happens to containers, for ever.
    pub(crate) async fn follow_containers(&self) {
        loop {
            self.podman.changed.notified().await;
            self.connectors.look_again();
            if self.labels_differ() {
                let _change = self.changing.lock().await;
                if let Err(error) = self.reconcile() {
                    tracing::warn!(%error, "what labels offer is not applied");
                }
            }
            self.tell_of_podman();
            self.notify();
        }
    }

    fn labels_differ(&self) -> bool {
        let spec = self.loaded.lock().config.podman.clone();
        let others: Vec<ConnectorSpec> = {
            let running = self.running.lock();
            let wanted = running.connectors.values();
            let others = wanted.filter(|wanted| wanted.source != Source::Podman);
            others.map(|wanted| wanted.spec.clone()).collect()
        };
        let fresh = self.podman.labelled(&spec, &others.iter().collect::<Vec<_>>());
        self.podman.inner.lock().offers != fresh
    }

    /// Tells once of each podman that can't be asked, and of labels that offer nothing.
    fn tell_of_podman(&self) {
        let state = self.podman.state();
        let troubles: BTreeMap<PathBuf, String> = state
            .snapshots
            .iter()
            .filter_map(|podman| Some((podman.socket.clone(), podman.trouble.clone()?)))
            .collect();
        let (before, told) = {
            let mut inner = self.podman.inner.lock();
            let before = std::mem::replace(&mut inner.troubles, troubles.clone());
            let told = std::mem::replace(&mut inner.refused, state.refused.clone());
            (before, told)
        };
        for (socket, why) in troubles.iter().filter(|(socket, _)| !before.contains_key(*socket)) {
            let subject = format!("podman{}", socket.display());
            let text = format!("podman can't be asked, what is known of it stays: {why}");
            self.event(Severity::Warning, "PodmanAway", subject, text);
        }
        for socket in before.keys().filter(|socket| !troubles.contains_key(*socket)) {
            let subject = format!("podman{}", socket.display());
            let text = format!("podman answers at {}", socket.display());
            self.event(Severity::Info, "PodmanBack", subject, text);
        }
        for refused in state.refused.difference(&told) {
            let subject = format!("container/{}", refused.container);
            self.event(Severity::Warning, "LabelsRefused", subject, refused.why.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_podman_is_asked() {
        let own = Path::new("/run/podman/podman.sock");
        let ask = |sockets_: &[&str], users: &[&str]| {
            let spec = PodmanSpec {
                expose_labels: false,
                sockets: sockets_.iter().map(PathBuf::from).collect(),
                users: users.iter().map(ToString::to_string).collect(),
            };
            sockets(&spec, own)
        };
        assert_eq!(ask(&[], &[]), (vec![own.into()], vec![]));
        let (found, unknown) = ask(&["/a", "/b", "/a"], &["4294967294", "no-such-user"]);
        let users = PathBuf::from("/run/user/4294967294/podman/podman.sock");
        assert_eq!(found, [PathBuf::from("/a"), PathBuf::from("/b"), users]);
        assert_eq!(unknown, ["no-such-user"]);
    }
}
