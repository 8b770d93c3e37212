//! A listener: where clients of one service connect at this site.

mod datagrams;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use van_model::{ListenerSpec, Protocol};
use van_mux::Open;
use van_net::{Counted, Meter, NewFlow, Socket, Tasks};

use crate::dispatch::{Dispatcher, Route};
use crate::gate::{Door, Gate};
use crate::listener_error::ListenerError;
use crate::plan::Plan;
use crate::watch::Watch;

/// Clients accepted before other tasks of the worker get their turn.
const BATCH: usize = 64;

/// Pause after the process ran out of descriptors, so that others close first.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Time between two lines in the log about the same shortage.
const EXHAUSTED_LOG: Duration = Duration::from_secs(1);

/// Time between two looks whether flows have ended, at the most that may be open.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// Pause before a place that could not be listened at is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long clients of a socket that was handed over wait for the first target after the start.
const FIRST_TARGET: Duration = Duration::from_secs(5);

/// The longest wait for a worker to let go of a place; one poll of a busy one takes far less.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// A running listener; dropping it stops it.
pub struct Listener {
    shared: Arc<Shared>,
    tasks: Tasks,
    released: Arc<Released>,
}

/// A listener as it runs.
#[derive(Debug, Clone)]
pub struct ListenerState {
    /// Where it listens or has its place reserved, with the port that was taken.
    pub bound: Option<String>,
    /// Whether clients are accepted now; they are refused while no target can be reached.
    pub accepting: bool,
    /// Its flows.
    pub meter: Arc<Meter>,
    /// What keeps it from accepting although there is a target.
    pub problem: Option<String>,
}

/// What the listener and its task share.
struct Shared {
    spec: ListenerSpec,
    dispatcher: Arc<Dispatcher>,
    route: Arc<Route>,
    meter: Arc<Meter>,
    state: Mutex<(bool, Option<String>)>,
    bound: String,
    changed: Arc<dyn Fn() + Send + Sync>,
}

/// The place and the word that it is free, in the order in which they are dropped.
struct Held {
    gate: Gate,
    /// Whether clients can connect already.
    listens: bool,
    _release: Release,
}

/// Whether the listener's place is free again.
#[derive(Debug, Default)]
struct Released {
    done: Mutex<bool>,
    bell: Condvar,
}

/// Tells, when dropped, that the place is free.
struct Release(Arc<Released>);

impl Drop for Release {
    fn drop(&mut self) {
        *self.0.done.lock() = true;
        self.0.bell.notify_all();
    }
}

impl Listener {
    /// Takes the place and accepts on `worker` while the service has a target. `changed` is called
    /// when its state changes, outside any lock. Blocks while a name to bind is resolved.
    pub fn start(
        spec: ListenerSpec,
        dispatcher: Arc<Dispatcher>,
        worker: &Tasks,
        changed: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, ListenerError> {
        if spec.protocol == Protocol::Udp {
            let place = datagrams::Place::bind(&spec.bind)?;
            return Ok(Self::start_datagrams(place, spec, dispatcher, worker, changed));
        }
        let gate = Gate::bind(&spec.bind)?;
        Ok(Self::start_at(gate, false, spec, dispatcher, worker, changed))
    }

    /// The same on a socket that listens already: clients that come before the first target is
    /// known wait for it a while.
    pub fn start_on(
        socket: socket2::Socket,
        spec: ListenerSpec,
        dispatcher: Arc<Dispatcher>,
        worker: &Tasks,
        changed: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, ListenerError> {
        let bind = spec.bind.to_string();
        let gate = Gate::adopt(socket).map_err(|source| ListenerError::Io { bind, source })?;
        Ok(Self::start_at(gate, true, spec, dispatcher, worker, changed))
    }

    fn start_at(
        gate: Gate,
        listens: bool,
        spec: ListenerSpec,
        dispatcher: Arc<Dispatcher>,
        worker: &Tasks,
        changed: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let shared = Shared::new(gate.bound(), spec, dispatcher, changed);
        let (tasks, released) = (worker.child(), Arc::<Released>::default());
        let held = Held { gate, listens, _release: Release(released.clone()) };
        let running = shared.clone();
        tasks.spawn("listener", async move { running.run(held).await });
        Self { shared, tasks, released }
    }

    fn start_datagrams(
        place: datagrams::Place,
        spec: ListenerSpec,
        dispatcher: Arc<Dispatcher>,
        worker: &Tasks,
        changed: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let shared = Shared::new(place.bound.clone(), spec, dispatcher, changed);
        let (tasks, released) = (worker.child(), Arc::<Released>::default());
        let (running, release) = (shared.clone(), Release(released.clone()));
        tasks.spawn("datagrams", async move { datagrams::run(&running, place, release).await });
        Self { shared, tasks, released }
    }

    /// What is wanted.
    pub fn spec(&self) -> &ListenerSpec {
        &self.shared.spec
    }

    /// How it runs.
    pub fn state(&self) -> ListenerState {
        let (accepting, problem) = self.shared.state.lock().clone();
        let (bound, meter) = (Some(self.shared.bound.clone()), self.shared.meter.clone());
        ListenerState { bound, accepting, meter, problem }
    }

    /// Stops; open flows go on. Waits until the worker has let go of the place, so that it can be
    /// taken again at once; must not be called on that worker.
    pub fn stop(self) {
        self.tasks.cancel();
        let mut done = self.released.done.lock();
        if !*done {
            self.released.bell.wait_for(&mut done, STOP_PATIENCE);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("spec", &self.shared.spec).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(
        bound: String,
        spec: ListenerSpec,
        dispatcher: Arc<Dispatcher>,
        changed: Arc<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        let route = Route { dispatcher: dispatcher.clone(), plan: Plan::of(&spec) };
        let (route, meter, state) = (Arc::new(route), Arc::default(), Mutex::default());
        Arc::new(Self { spec, dispatcher, route, meter, state, bound, changed })
    }

    /// Opens and closes the place as targets come and go.
    async fn run(&self, mut held: Held) {
        let changes = self.dispatcher.watch(self.route.addresses());
        if held.listens {
            let first = async {
                while !self.has_target() {
                    changes.changed().await;
                }
            };
            if timeout(FIRST_TARGET, first).await.is_err()
                && let Err(error) = held.gate.close()
            {
                self.show(false, Some(format!("refusing failed: {error}")));
            }
        }
        loop {
            if !self.has_target() {
                changes.changed().await;
                continue;
            }
            let problem = match held.gate.open() {
                Ok(door) => {
                    self.show(true, None);
                    self.serve(door, &changes).await
                }
                Err(error) => Some(error),
            };
            let problem = problem.or(held.gate.close().err());
            self.show(false, problem.as_ref().map(|e| format!("listening failed: {e}")));
            if let Some(error) = problem {
                warn!(listener = %self.spec.name, bind = self.bound, %error, "listening failed");
                sleep(AGAIN).await;
            }
        }
    }

    /// Accepts until no target is left, or the place fails.
    async fn serve(&self, door: Door, changes: &Watch) -> Option<io::Error> {
        info!(listener = %self.spec.name, bind = self.bound, "accepting clients");
        let no_target = async {
            while self.has_target() {
                changes.changed().await;
            }
        };
        tokio::select! {
            biased;
            () = no_target => {
                info!(listener = %self.spec.name, bind = self.bound, "no target: refusing clients");
                None
            }
            error = self.accept_all(&door) => Some(error),
        }
    }

    async fn accept_all(&self, door: &Door) -> io::Error {
        let mut exhausted = Exhausted::default();
        loop {
            self.wait_for_room().await;
            let mut ready = match door.ready().await {
                Ok(ready) => ready,
                Err(error) => return error,
            };
            for _ in 0..BATCH {
                if self.is_full() {
                    break;
                }
                match door.accept() {
                    Ok((socket, client)) => {
                        if exhausted.is_over() {
                            self.show(true, None);
                        }
                        self.take(socket, client);
                    }
                    Err(error) => match Refusal::of(&error) {
                        Refusal::Nobody => {
                            ready.clear_ready();
                            break;
                        }
                        Refusal::Client => {}
                        Refusal::Exhausted => {
                            drop(ready);
                            self.exhausted(&mut exhausted, &error);
                            sleep(EXHAUSTED_PAUSE).await;
                            break;
                        }
                        Refusal::Place => return error,
                    },
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn take(&self, socket: Socket, client: Option<SocketAddr>) {
        let log = self.dispatcher.flow_log();
        let name = self.spec.name.as_str();
        let mut counted = Counted::logged(log.ingress(name, &self.spec.address, client));
        counted.add(self.meter.clone());
        counted.add(self.dispatcher.meter().clone());
        self.route.dispatch(NewFlow {
            socket,
            open: Open::flow(self.spec.address.clone(), client),
            read: Vec::new(),
            ended: false,
            retry: self.route.clone(),
            meter: self.meter.clone(),
            counted,
            tried: Vec::new(),
        });
    }

    /// Waits while as many flows are open as may be; clients wait in the backlog.
    async fn wait_for_room(&self) {
        if !self.is_full() {
            return;
        }
        let most = self.dispatcher.max_flows();
        self.show(true, Some(format!("{most} flows are open, the most that limits.flows allows")));
        warn!(listener = %self.spec.name, most, "the limit of flows is reached: clients wait");
        while self.is_full() {
            sleep(FULL_PAUSE).await;
        }
        self.show(true, None);
    }

    fn exhausted(&self, exhausted: &mut Exhausted, error: &io::Error) {
        if exhausted.is_due() {
            warn!(listener = %self.spec.name, %error, "accepting pauses");
        }
        self.show(true, Some(format!("accepting pauses: {error}; raise LimitNOFILE")));
    }

    fn is_full(&self) -> bool {
        self.dispatcher.flows_open() >= u64::from(self.dispatcher.max_flows())
    }

    fn has_target(&self) -> bool {
        self.route.has_target()
    }

    fn show(&self, accepting: bool, problem: Option<String>) {
        let fresh = (accepting, problem);
        let mut state = self.state.lock();
        if *state != fresh {
            *state = fresh;
            drop(state);
            (self.changed)();
        }
    }
}

/// A shortage of descriptors or memory that keeps clients from being accepted.
#[derive(Debug, Default)]
struct Exhausted {
    lasts: bool,
    logged: Option<Instant>,
}

impl Exhausted {
    /// Marks the shortage. Returns whether it is time to tell.
    fn is_due(&mut self) -> bool {
        self.lasts = true;
        let due = self.logged.is_none_or(|at| at.elapsed() >= EXHAUSTED_LOG);
        if due {
            self.logged = Some(Instant::now());
        }
        due
    }

    /// Marks its end. Returns whether there was one.
    fn is_over(&mut self) -> bool {
        std::mem::take(&mut self.lasts)
    }
}

/// Why no client was accepted (accept(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// There is none now.
    Nobody,
    /// The client itself is gone, or its network is: on with the next.
    Client,
    /// The process or the system is out of descriptors or memory.
    Exhausted,
    /// The socket does not listen any more.
    Place,
}

impl Refusal {
    fn of(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::AGAIN) => Self::Nobody,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Exhausted,
            Some(Errno::INVAL | Errno::BADF | Errno::NOTSOCK | Errno::OPNOTSUPP) => Self::Place,
            _ => Self::Client,
        }
    }
}
