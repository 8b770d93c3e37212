//! One connector: a local workload, its health and what is open to it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use van_model::{Check, ConnectorSpec, Protocol, Target};
use van_mux::{Open, ResetCode};
use van_net::{Connected, Count, Meter, Socket, Tasks};
use van_tls::ClientSide;

use crate::check::check;
use crate::connect::{ConnectError, Place};
use crate::edge;
use crate::health::Health;
use crate::metered::{End, Metered};
use crate::proxy_header;
use crate::stream::Stream;
use crate::wish::Wish;
use crate::workloads::Workloads;

/// Half the time until the second check of a container that was started or moved; it doubles from
/// check to check.
const SOON: Duration = Duration::from_millis(25);

/// Time for which a target of datagrams that refused is taken last.
const REFUSED: Duration = Duration::from_secs(5);

/// What a target was reached by.
enum Reached {
    Stream(Stream),
    Datagrams(std::net::UdpSocket),
}

/// Called when a connector's health changes.
pub(crate) type Observer = Arc<dyn Fn() + Send + Sync>;

/// A running connector.
pub(crate) struct Connector {
    pub(crate) spec: ConnectorSpec,
    pub(crate) meter: Arc<Meter>,
    place: Place,
    /// Flows whose connection is under way, which the meter does not count yet.
    connecting: Count,
    health: Mutex<Health>,
    /// The connector with another target that this one replaces: it serves until this one's target
    /// has been heard of.
    stand_in: Mutex<Option<Arc<Self>>>,
    /// When the target was last found well, in milliseconds since `started`.
    well_at: AtomicU64,
    started: Instant,
    failed: Notify,
    /// Whoever moves the target about has news of it.
    news: Notify,
    /// The target is elsewhere, or gone: who connects to where it was need not wait for an answer.
    moved: Notify,
    /// Where the target was by the last word of whoever moves it about.
    located: Mutex<Option<Vec<SocketAddr>>>,
    observer: Observer,
    /// What starts TLS towards the target.
    tls: Option<Arc<ClientSide>>,
    tasks: Tasks,
    /// What carries open flows, which go on without the connector.
    flows: Tasks,
}

impl Connector {
    /// Starts a connector; `before`: the one of the same name that it replaces.
    pub(crate) fn start(
        spec: ConnectorSpec,
        before: Option<&Arc<Self>>,
        workloads: &Arc<dyn Workloads>,
        observer: Observer,
        flows: &Tasks,
    ) -> Arc<Self> {
        let tasks = flows.child();
        let tls = spec.tls.as_ref().map(|tls| {
            let host = match &spec.target {
                Target::Tcp(tcp) => tcp.host(),
                Target::Unix(_) | Target::Workload(_) => "",
            };
            Arc::new(ClientSide::new(tls, host, edge::offered_to_workload(spec.protocol)))
        });
        let fresh = || if is_checked(&spec) { Health::checked() } else { Health::unchecked() };
        let same_target = |old: &&Arc<Self>| {
            (&old.spec.target, &old.spec.check, &old.spec.tls)
                == (&spec.target, &spec.check, &spec.tls)
        };
        let health = before.filter(same_target).map_or_else(fresh, |old| old.health.lock().clone());
        let stand_in = before
            .filter(|old| health.is_new() && old.spec.address == spec.address)
            .and_then(|old| if old.is_healthy() { Some(old.clone()) } else { old.stand_in() });
        let connector = Arc::new(Self {
            place: Place::new(&spec.target, workloads, tasks.clone()),
            meter: before.map_or_else(Arc::default, |old| old.meter.clone()),
            spec,
            connecting: Count::default(),
            health: Mutex::new(health),
            stand_in: Mutex::new(stand_in),
            well_at: AtomicU64::new(0),
            started: Instant::now(),
            failed: Notify::new(),
            news: Notify::new(),
            moved: Notify::new(),
            located: Mutex::default(),
            observer,
            tls,
            tasks,
            flows: flows.clone(),
        });
        if let Some(tls) = connector.tls.clone() {
            // Whether or not the target is checked: files count from the next connection on.
            let tended = connector.clone();
            connector.tasks.spawn("tls files", async move {
                let look = move || tls.look().then(|| tls.standing());
                let name = tended.spec.name.as_str();
                edge::tend(name, look, || tended.failed.notify_one()).await;
            });
        }
        if connector.is_checked() {
            let watched = connector.clone();
            connector.tasks.spawn("connector check", async move { watched.watch().await });
        }
        connector
    }

    /// Ends its checks, and those of the one that stands in for it; open flows go on.
    pub(crate) fn stop(&self) {
        self.tasks.cancel();
        self.end_stand_in();
    }

    /// Gives way to its successor: stops, unless it or the one that stands in for it serves on.
    pub(crate) fn give_way(&self, successor: &Self) {
        match successor.stand_in() {
            Some(serving) if std::ptr::eq(&*serving, self) => {}
            Some(_) => self.tasks.cancel(),
            None => self.stop(),
        }
    }

    /// The one that serves until this one's target has been heard of.
    pub(crate) fn stand_in(&self) -> Option<Arc<Self>> {
        self.stand_in.lock().clone()
    }

    fn end_stand_in(&self) {
        let stand_in = self.stand_in.lock().take();
        if let Some(old) = stand_in {
            old.stop();
        }
    }

    fn is_checked(&self) -> bool {
        is_checked(&self.spec)
    }

    /// Hears that targets may have been started, stopped or moved: checks at once where its own was.
    pub(crate) fn look_again(&self) {
        let Some(located) = self.place.located() else { return };
        let places = located.as_ref().ok().cloned();
        let moved = std::mem::replace(&mut *self.located.lock(), places.clone()) != places;
        if moved {
            self.moved.notify_waiters();
        }
        match located {
            // Nobody need connect to hear that it is gone.
            Err(error) => self.heard_of_failure(&error),
            Ok(_) if moved || !self.is_healthy() => self.news.notify_one(),
            Ok(_) => {}
        }
    }

    /// What is known of the target's health.
    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// Whether a connection is worth trying: the target is well, or a connection is all that its
    /// check would do.
    pub(crate) fn may_answer(&self) -> bool {
        self.is_healthy() || matches!(self.spec.check, Check::Tcp)
    }

    /// Whether the target is well.
    pub(crate) fn is_healthy(&self) -> bool {
        self.health.lock().is_healthy()
    }

    /// Flows open or on their way.
    fn load(&self) -> u64 {
        self.meter.open.get() + self.connecting.get()
    }

    /// Where it stands among the targets of its address: the lowest is taken first.
    pub(crate) fn rank(&self, wish: Wish<'_>) -> (bool, u16, u64) {
        /// Fractions of a flow that weights tell apart.
        const SCALE: u64 = 1 << 16;
        let load = self.load();
        match wish {
            Wish::Any => (false, 0, load),
            Wish::Named(name) => (self.spec.name.as_str() != name, 0, load),
            Wish::Priority(priority) => (self.spec.priority != priority, self.spec.priority, load),
            Wish::Weighted => (false, 0, (load + 1) * SCALE / u64::from(self.spec.weight.get())),
        }
    }

    /// Connects for a flow.
    pub(crate) async fn connect(&self, open: &Open) -> Result<Connected, ResetCode> {
        let _counted = Connecting::start(&self.connecting);
        let start = Instant::now();
        let reached = match self.spec.protocol {
            Protocol::Udp => self.place.connect_datagrams().await.map(Reached::Datagrams),
            _ => self.reach().await.map(Reached::Stream),
        };
        let reached = match reached {
            Ok(reached) => reached,
            Err(error) => {
                self.heard_of_failure(&error);
                return Err(error.code());
            }
        };
        let (took, target) = (start.elapsed(), self.spec.name.as_str().into());
        let stream = match reached {
            Reached::Stream(stream) => stream,
            Reached::Datagrams(socket) => {
                // That somebody listens there is not known.
                let (socket, preface) = (Socket::Udp(socket), Vec::new());
                return Ok(Connected { socket, target, preface, took, meter: self.meter.clone() });
            }
        };
        let (stream, peer) = match (&self.tls, stream.peer()) {
            (None, peer) => (stream, peer),
            (Some(tls), peer) => match self.secure(tls, stream, open.client).await {
                Ok(near) => (Stream::Pipe(near), peer),
                Err(error) => {
                    self.heard_of_failure(&error);
                    return Err(error.code());
                }
            },
        };
        if !matches!(self.spec.check, Check::Http(_)) {
            self.note(Ok(()));
        }
        let preface = if self.spec.proxy_protocol && self.tls.is_none() {
            proxy_header::encode(open.client, peer)
        } else {
            Vec::new()
        };
        let socket = stream.unregister().map_err(|_| ResetCode::Overload)?;
        Ok(Connected { socket, target, preface, took, meter: self.meter.clone() })
    }

    /// Does the TLS handshake with the workload; the end that is returned is what is under TLS.
    async fn secure(
        &self,
        tls: &ClientSide,
        stream: Stream,
        client: Option<SocketAddr>,
    ) -> Result<van_net::Pipe, ConnectError> {
        if self.spec.proxy_protocol {
            // Before TLS, and a new socket's buffer takes it whole.
            let header = proxy_header::encode(client, stream.peer());
            stream.write(&header).map_err(ConnectError::new)?;
        }
        let io = tls.connect(Metered::new(stream, End::Edge)).await?;
        let (near, far) = van_net::Pipe::pair();
        self.flows.here().spawn("tls workload", edge::join(io, far));
        Ok(near)
    }

    /// Whether somebody said lately that nobody listens at the target.
    pub(crate) fn was_refused(&self) -> bool {
        self.meter.datagrams.was_refused_within(REFUSED)
    }

    async fn reach(&self) -> Result<Stream, ConnectError> {
        loop {
            let moved = self.moved.notified();
            tokio::select! {
                result = self.place.connect() => return result,
                () = moved => {}
            }
        }
    }

    fn heard_of_failure(&self, error: &ConnectError) {
        tracing::debug!(connector = %self.spec.name, %error, "target not reached");
        // A shortage here says nothing of the target.
        if !matches!(error, ConnectError::Overload(_)) {
            self.note(Err((error.to_string(), error.is_certain())));
            self.failed.notify_one();
        }
    }

    /// Takes what was heard of the target: well, or why not, and whether that is certain.
    fn note(&self, result: Result<(), (String, bool)>) {
        let changed = match result {
            Ok(()) => {
                let now = self.started.elapsed().as_millis();
                self.well_at.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
                self.health.lock().succeeded(self.spec.timing.successes)
            }
            Err((reason, certain)) => {
                let most = if certain { 1 } else { self.spec.timing.failures };
                let tolerated = self.is_checked().then_some(most);
                self.health.lock().failed(tolerated, reason)
            }
        };
        self.end_stand_in();
        if changed {
            (self.observer)();
        }
    }

    /// Checks at once, then after a failed flow, when its target has moved, when idle, and again and again while failing.
    async fn watch(&self) {
        let mut pause = SOON;
        loop {
            let spec = &self.spec;
            let patience = Duration::from_millis(spec.timing.timeout_ms);
            let announced = spec.proxy_protocol;
            let moved = self.moved.notified();
            let tls = self.tls.as_deref();
            let check = check(&spec.check, &spec.target, &self.place, tls, announced, patience);
            let result = tokio::select! {
                result = check => result,
                () = moved => continue,
            };
            match result {
                Err(error) if error.is_own_shortage() => {
                    tracing::debug!(connector = %spec.name, %error, "target not checked");
                }
                result => {
                    self.note(result.map_err(|error| (error.to_string(), error.is_certain())));
                    if !self.health.lock().is_failing() {
                        self.wait_for_need().await;
                        pause = SOON;
                        continue;
                    }
                }
            }
            let interval = Duration::from_millis(spec.timing.interval_ms);
            if self.place.located().is_none() {
                sleep(interval).await;
                continue;
            }
            // What was just started may listen at any moment.
            pause = (pause * 2).min(interval);
            if timeout(pause, self.news.notified()).await.is_ok() {
                pause = SOON;
            }
        }
    }

    /// Waits until a flow fails, or the target has been idle for long enough.
    async fn wait_for_need(&self) {
        while let Some(left) = self.until_idle() {
            let needed = async {
                tokio::select! {
                    () = self.failed.notified() => {}
                    () = self.news.notified() => {}
                }
            };
            if timeout(left, needed).await.is_ok() {
                break;
            }
        }
    }

    /// Time until the target has been idle for long enough; `None`: it has been.
    fn until_idle(&self) -> Option<Duration> {
        let well_at = Duration::from_millis(self.well_at.load(Ordering::Relaxed));
        let idle = self.started.elapsed().saturating_sub(well_at);
        Duration::from_millis(self.spec.timing.idle_ms)
            .checked_sub(idle)
            .filter(|left| !left.is_zero())
    }
}

/// Whether its target is watched: that of a container is, as to whether the container runs.
fn is_checked(spec: &ConnectorSpec) -> bool {
    !matches!(spec.check, Check::None) || matches!(spec.target, Target::Workload(_))
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// Counts a connection while it is under way.
struct Connecting<'a>(&'a Count);

impl<'a> Connecting<'a> {
    fn start(count: &'a Count) -> Self {
        count.add(1);
        Self(count)
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}
