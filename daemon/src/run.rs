//! `vand run`: a site from its configuration until a signal ends it.

use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use van_api::{ApiSocket, Server};
use van_config::Loaded;
use van_net::{Proxy, Tasks, Workers};
use van_site::{Environment, Reload, Site, SiteError, Start};
use van_store::{Store, StoreError};

use crate::cli::RunArgs;
use crate::kubernetes::{self, Namespace};
use crate::metrics::Places;
use crate::process::{Exit, IN_USE};
use crate::{Outcome, files, log, metrics, paths, sockets, systemd};

/// Threads of the control runtime: the API, dialling and handshakes; flows have their own.
const CONTROL_THREADS: usize = 2;

/// Time between two words to systemd on how the site stands.
const STATUS_PAUSE: Duration = Duration::from_millis(200);

/// Time for the control runtime's tasks to end.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &RunArgs) -> Outcome {
    let loaded = files::read(args.config.as_deref()).map_err(Exit::lines)?;
    let (log, lines) = log::start(&loaded.config.log.level);
    raise_descriptor_limit();
    let state = args.state_dir.clone().unwrap_or_else(paths::state_dir);
    let runtime_dir = args.runtime_dir.clone().unwrap_or_else(paths::runtime_dir);
    make_folder(&runtime_dir)
        .map_err(|e| Exit::failed("start", format!("{}: {e}", runtime_dir.display())))?;
    let runtime = control_runtime().map_err(|e| Exit::failed("start", e))?;
    let (loaded, store, namespace) = if kubernetes::is_wanted(args.kubernetes) {
        let (loaded, store, namespace) = runtime.block_on(kubernetes::prepare(loaded, &state))?;
        (loaded, store, Some(namespace))
    } else {
        (loaded, Store::open(&state).map_err(store_exit)?, None)
    };
    let socket = loaded.config.api.socket.clone().unwrap_or_else(|| runtime_dir.join("vand.sock"));
    let handed = sockets::take();
    let config = args.config.clone();
    let reload = move || files::read(config.as_deref()).map_err(|lines| lines.join("\n"));
    let environment = Environment {
        version: env!("CARGO_PKG_VERSION").into(),
        namespace: namespace.as_ref().map(|namespace| namespace.name().to_owned()),
        replica: namespace.as_ref().map(Namespace::replica),
        ephemeral: false,
        name_prefix: None,
        runtime_dir: Some(runtime_dir),
        recent_log: Box::new(move || lines.text()),
        handed: handed.others,
        podman: paths::podman(),
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        proxy: Proxy::from_environment(|name| std::env::var(name).ok()),
        // In a cluster the objects say what is wanted, and are followed.
        reload: namespace.is_none().then(|| Box::new(reload) as Reload),
        set_log: Box::new(move |level| {
            let filter = log::filter(level)?;
            log.reload(filter).map_err(|e| e.to_string())
        }),
    };
    runtime.block_on(serve(loaded, store, (handed.api, socket), environment, namespace))
}

/// The runtime of everything but flows.
pub(crate) fn control_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
}

async fn serve(
    loaded: Loaded,
    store: Store,
    (handed, socket): (Option<UnixListener>, PathBuf),
    environment: Environment,
    namespace: Option<Namespace>,
) -> Outcome {
    let group = loaded.config.api.group.clone();
    let listen = loaded.config.metrics.map(|metrics| metrics.listen);
    let runtime_dir = environment.runtime_dir.clone();
    let (site, tasks) = start_site(loaded, store, environment)?;
    let api = match handed {
        Some(handed) => ApiSocket::adopt(handed, &group),
        None => ApiSocket::bind(&socket, &group),
    };
    let api = api
        .map_err(|e| Exit::failed("start", format!("the API socket {}: {e}", socket.display())))?;
    let stop_api = CancellationToken::new();
    let server = Server::new(api, site.clone()).refusing_itself();
    tasks.spawn_to_end("api", server.run(stop_api.clone()));
    if let Some(folder) = &runtime_dir {
        let ready = namespace.as_ref().map_or_else(|| Arc::new(|| Ok(())) as _, Namespace::ready);
        let places = Places { runtime_dir: folder, group: &group, listen, ready };
        metrics::start(&site, &tasks, places, &stop_api);
    }
    let mut signals = Signals::new().map_err(|e| Exit::failed("start", e))?;
    info!(site = %site.name(), id = %site.own_id(), socket = %socket.display(), "ready");
    systemd::ready(&status_line(&site));
    tasks.spawn("status", tell_status(site.clone()));
    let steered = namespace.map(|namespace| namespace.steer(&site, &tasks));
    if let Some(interval) = systemd::watchdog_interval() {
        tasks.spawn("watchdog", feed_watchdog(site.clone(), interval));
    }
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => reload(&site).await,
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    info!("stopping");
    systemd::stopping();
    if let Some(steered) = &steered {
        steered.hand_over(signals.end()).await;
    }
    site.stop(signals.end()).await;
    stop_api.cancel();
    tasks.cancel();
    // What is being written is written; the timers that tasks wait for end with the runtime.
    let _ = tokio::time::timeout(STOP_PATIENCE, tasks.wait()).await;
    if let Some(steered) = steered {
        steered.resign().await;
    }
    Ok(())
}

/// Keeps the line that `systemctl status` shows.
async fn tell_status(site: Arc<Site>) {
    let mut changes = site.changes();
    let mut told = String::new();
    while changes.changed().await.is_ok() {
        let line = status_line(&site);
        if line != told {
            systemd::status(&line);
            told = line;
            // Counts may change all the time; systemd need not hear of each.
            tokio::time::sleep(STATUS_PAUSE).await;
        }
    }
}

/// Tells systemd that the daemon works, for as long as everything that does the work turns.
async fn feed_watchdog(site: Arc<Site>, interval: Duration) {
    let mut beat = tokio::time::interval(interval);
    loop {
        beat.tick().await;
        match site.pulse(interval / 2).await {
            Ok(()) => systemd::alive(),
            Err(why) => error!(why, "systemd's watchdog is not fed"),
        }
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal that ends the daemon; the second one of two ends its drain.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn reload(site: &Arc<Site>) {
    systemd::reloading();
    // A refusal is an event and in the log; the old configuration goes on.
    let refused = site.reload_now().await.err();
    match refused {
        None => systemd::ready(&status_line(site)),
        Some(error) => {
            let line =
                format!("reload refused: {}", error.message.lines().next().unwrap_or_default());
            systemd::ready(&line);
        }
    }
}

fn status_line(site: &Site) -> String {
    let status = site.glance();
    let services = status.services_offered + status.services_used;
    let counted =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let [links, services, warnings] = [
        counted(status.links_up, "link"),
        counted(services, "service"),
        counted(status.warnings.len(), "warning"),
    ];
    format!("{links} up, {services}, {warnings}")
}

/// Starts the data plane and the site on it.
pub(crate) fn start_site(
    loaded: Loaded,
    store: Store,
    environment: Environment,
) -> Result<(Arc<Site>, Tasks), Exit> {
    let workers = Workers::start(None).map_err(|e| Exit::failed("start", e))?;
    let tasks = Tasks::new(tokio::runtime::Handle::current(), CancellationToken::new());
    let start =
        Start { loaded, store, workers: Arc::new(workers), tasks: tasks.clone(), environment };
    let site = Site::start(start).map_err(|error| match error {
        SiteError::Store(error) => store_exit(error),
        error => Exit::failed("start", error),
    })?;
    Ok((site, tasks))
}

pub(crate) fn store_exit(error: StoreError) -> Exit {
    match &error {
        StoreError::Locked { .. } => Exit::with_code(IN_USE, "start", error),
        _ => Exit::failed("start", error),
    }
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    // Whoever made it decides where the API's socket is, and who may come to it.
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        let text = "it is a symbolic link: remove it, or name another folder with --runtime-dir";
        return Err(std::io::Error::other(text));
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Each flow takes a descriptor: the soft limit is raised to the hard one where that is allowed.
pub(crate) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        info!(soft, hard, %error, "the limit of open files stays as it is");
    }
}
