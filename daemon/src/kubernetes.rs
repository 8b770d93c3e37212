//! `vand run --kubernetes`: a site from the objects of a namespace.

mod host;
mod probes;
mod readiness;
mod state;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use van_api::Ready;
use van_config::Loaded;
use van_kube::{Candidate, Client, Controller, ControllerConfig, Plan, StateSecret};
use van_model::{AcceptSpec, LINK_PORT, MetricsSpec, Mode};
use van_net::Tasks;
use van_site::Site;
use van_store::Store;

use crate::process::Exit;
use crate::run::store_exit;
use host::SiteHost;
use readiness::Readiness;

/// The port of metrics and probes, unless the configuration says otherwise.
const METRICS_PORT: u16 = 8265;

/// The label by which vand's own pods are known; policies of networks may use it.
const OWN_LABEL: (&str, &str) = ("application", "vand-router");

/// The first and the longest pause between two attempts to reach the API server at the start.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Time for giving back the lead.
const RESIGN: Duration = Duration::from_secs(2);

/// A namespace that has a Site, and the state that the site had.
pub(crate) struct Namespace {
    controller: Controller,
    state: StateSecret,
    name: String,
    replica: u16,
    ip: IpAddr,
    candidate: Candidate,
    readiness: Arc<Readiness>,
}

/// A site that is steered by its namespace.
pub(crate) struct Steered {
    candidate: Candidate,
    readiness: Arc<Readiness>,
}

/// What a pod is told of itself.
struct Pod {
    namespace: String,
    name: String,
    ip: IpAddr,
}

impl Pod {
    fn of_environment(client: &Client) -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let host = || nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        Self {
            namespace: text("POD_NAMESPACE").unwrap_or_else(|| client.default_namespace().into()),
            name: text("POD_NAME").or_else(host).unwrap_or_else(|| "vand".into()),
            ip: text("POD_IP")
                .and_then(|ip| ip.parse().ok())
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        }
    }

    /// All addresses of the family that the pod has.
    fn any(&self) -> IpAddr {
        match self.ip {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// Waits until the namespace has a Site, and gives the state and the configuration to start with.
/// Meanwhile probes are answered: alive, and not ready.
pub(crate) async fn prepare(
    mut loaded: Loaded,
    state_dir: &Path,
) -> Result<(Loaded, Store, Namespace), Exit> {
    let client = Client::try_default().await.map_err(|error| {
        Exit::failed("start", format!("no cluster is found: {error}; --kubernetes is for pods"))
    })?;
    let pod = Pod::of_environment(&client);
    let any = pod.any();
    let probes = SocketAddr::new(any, METRICS_PORT);
    let listen = loaded.config.metrics.get_or_insert(MetricsSpec { listen: probes }).listen;
    let probes = probes::Probes::start(listen).await;
    let secret = StateSecret::new(client.clone(), &pod.namespace, "vand-state");
    let store = open(&secret, state_dir, &probes).await?;
    let replica = number(&client, &pod, &probes).await;
    let candidate = Candidate::start(&client, &pod.namespace, &pod.name);
    let config = ControllerConfig {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        bind: any,
        own_labels: BTreeMap::from([(OWN_LABEL.0.into(), OWN_LABEL.1.into())]),
        secret_files: state_dir.join("secrets"),
    };
    let controller = Controller::start(client, config, candidate.leading());
    let mut told = String::new();
    let plan = controller
        .first_plan(|why| {
            if told != why {
                info!(why, "the site is not started yet");
                probes.waits_for(why);
                why.clone_into(&mut told);
            }
        })
        .await;
    configure(&mut loaded, &plan, any);
    probes.end().await;
    let (state, name, ip, readiness) = (secret, pod.namespace, pod.ip, Arc::default());
    Ok((loaded, store, Namespace { controller, state, name, replica, ip, candidate, readiness }))
}

/// The number of this pod among those of the site.
async fn number(client: &Client, pod: &Pod, probes: &probes::Probes) -> u16 {
    let mut pause = PAUSES.0;
    loop {
        match van_kube::number(client, &pod.namespace, &pod.name).await {
            Ok(number) => return number,
            Err(error) => {
                let why = format!("this pod has no number among those of the site: {error}");
                warn!(why, "it is tried again");
                probes.waits_for(&why);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Opens the state: that of the Secret where the folder has none, which is so in a new pod.
async fn open(secret: &StateSecret, folder: &Path, probes: &probes::Probes) -> Result<Store, Exit> {
    let mut pause = PAUSES.0;
    loop {
        let failed = |e| Exit::failed("start", format!("{}: {e}", folder.display()));
        let why = match secret.load().await {
            Ok(Some(documents)) => {
                state::unpack(folder, &documents).map_err(failed)?;
                return Store::open(folder).map_err(store_exit);
            }
            Ok(None) => match first(secret, folder).await? {
                Ok(Some(store)) => return Ok(store),
                // Another pod was faster: this one is of the same site.
                Ok(None) => {
                    std::fs::remove_dir_all(folder).map_err(failed)?;
                    continue;
                }
                Err(error) => {
                    format!("the Secret with the site's state can't be made: {error}")
                }
            },
            Err(error) => format!("the Secret with the site's state can't be read: {error}"),
        };
        warn!(why, "it is tried again");
        probes.waits_for(&why);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Makes the site's state, and the Secret with it, before anything of it is told; `None`: another pod was faster.
async fn first(secret: &StateSecret, folder: &Path) -> Result<Result<Option<Store>, String>, Exit> {
    let store = Store::open(folder).map_err(store_exit)?;
    van_site::make_identity(&store).map_err(|error| Exit::failed("start", error))?;
    let documents = store.documents().map_err(store_exit)?;
    let made = secret.create(&documents).await.map_err(|error| error.to_string());
    Ok(made.map(|made| made.then_some(store)))
}

/// What follows from the namespace's objects for the configuration.
fn configure(loaded: &mut Loaded, plan: &Plan, any: IpAddr) {
    let Some(site) = &plan.site else { return };
    let config = &mut loaded.config;
    config.site = site.spec.clone();
    config.accept = (site.spec.mode == Mode::Interior).then(|| AcceptSpec {
        listen: vec![SocketAddr::new(any, LINK_PORT)],
        advertise: plan.endpoints.clone(),
    });
    // Services take the place of addresses and names of the daemon's own.
    config.services.import = Vec::new();
    config.services.domain = String::new();
    if let Some(level) = &site.log_level {
        config.log.level.clone_from(level);
    }
}

impl Namespace {
    /// The namespace's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// This pod's number among those of the site.
    pub(crate) fn replica(&self) -> u16 {
        self.replica
    }

    /// Whether this pod is ready for traffic.
    pub(crate) fn ready(&self) -> Ready {
        let readiness = self.readiness.clone();
        Arc::new(move || readiness.get())
    }

    /// Steers the site by the namespace's objects, and keeps its state in the Secret.
    pub(crate) fn steer(self, site: &Arc<Site>, tasks: &Tasks) -> Steered {
        let Self { controller, state, candidate, readiness, ip, .. } = self;
        let host = Arc::new(SiteHost::new(site.clone(), readiness.clone(), ip));
        tasks.spawn("kubernetes", async move { controller.run(host).await });
        let leads = candidate.leading().leads;
        tasks.spawn("state in a Secret", state::keep(site.clone(), state, leads));
        tasks.spawn("readiness", readiness.clone().watch(site.clone()));
        Steered { candidate, readiness }
    }
}

impl Steered {
    /// Lets other pods take over before this one takes no more flows; until then all goes on.
    pub(crate) async fn hand_over(&self, hurry: impl Future<Output = ()>) {
        self.readiness.end(hurry).await;
    }

    /// Gives the lead back; after the site's tasks have ended.
    pub(crate) async fn resign(self) {
        self.candidate.resign(RESIGN).await;
    }
}

/// Where state is kept in a pod.
pub(crate) fn is_wanted(flag: bool) -> bool {
    flag || std::env::var_os("VAND_PLATFORM").is_some_and(|platform| platform == "kubernetes")
}
