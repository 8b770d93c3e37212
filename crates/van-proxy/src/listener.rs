//! A listener: where clients of one service connect at this site.

mod by_name;
mod datagrams;
mod refused;
mod requests;
mod shortage;
mod tls;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use van_http::{Front, Routes};
use van_model::{ListenerSpec, Protocol};
use van_mux::Open;
use van_net::{Counted, Meter, NewFlow, Socket, Tasks};
use van_tls::Standing;

use crate::dispatch::{Dispatcher, Route};
use crate::gate::{Door, Gate};
use crate::listener_error::ListenerError;
use crate::watch::Watch;

use shortage::{Exhausted, Refusal};

/// Clients accepted before other tasks of the worker get their turn.
const BATCH: usize = 64;

/// Pause after the process ran out of descriptors, so that others close first.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

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
    /// How the files stand with which it ends TLS; `None`: it does not.
    pub tls: Option<Standing>,
}

/// What the listener and its task share.
struct Shared {
    /// As it was started; what of it may change while it runs is read of `leads`.
    spec: ListenerSpec,
    dispatcher: Arc<Dispatcher>,
    leads: ArcSwap<Leads>,
    /// What serves the clients, where they speak HTTP.
    front: Option<Arc<Front>>,
    /// What ends their TLS.
    tls: Option<Arc<tls::Tls>>,
    /// What reads the names that clients ask for, where TLS is passed on.
    greetings: by_name::Greetings,
    tasks: Tasks,
    meter: Arc<Meter>,
    state: Mutex<(bool, Option<String>)>,
    bound: String,
    changed: Arc<dyn Fn() + Send + Sync>,
}

/// Where a listener leads now.
struct Leads {
    spec: ListenerSpec,
    route: Arc<Route>,
    /// Which route a connection takes by the name that is asked for, of TLS that is passed on.
    names: Routes,
    /// Tells of news of its addresses.
    changes: Watch,
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
        let (tasks, released) = (worker.child(), Arc::<Released>::default());
        let shared = Shared::new(gate.bound(), spec, dispatcher, &tasks, changed);
        if let Some(front) = shared.front.clone() {
            tasks.spawn("http flows", async move { front.tend().await });
        }
        if let Some(tls) = shared.tls.clone() {
            let changed = shared.changed.clone();
            tasks.spawn("tls files", tls.tend(changed));
        }
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
        let (tasks, released) = (worker.child(), Arc::<Released>::default());
        let shared = Shared::new(place.bound.clone(), spec, dispatcher, &tasks, changed);
        let (running, release) = (shared.clone(), Release(released.clone()));
        tasks.spawn("datagrams", async move { datagrams::run(&running, place, release).await });
        Self { shared, tasks, released }
    }

    /// Lets clients go elsewhere from now on, without a connection less: for a spec that differs from the
    /// one that runs in addresses, routes and strategy only. Returns whether it does; else nothing is
    /// changed.
    pub fn redirect(&self, spec: &ListenerSpec) -> bool {
        let now = self.shared.leads.load();
        let alike = ListenerSpec {
            address: now.spec.address.clone(),
            addresses: now.spec.addresses.clone(),
            strategy: now.spec.strategy,
            routes: now.spec.routes.clone(),
            only_routes: now.spec.only_routes,
            ..spec.clone()
        };
        if alike != now.spec || spec.protocol == Protocol::Udp {
            return false;
        }
        let fresh = Leads::new(spec.clone(), &self.shared.dispatcher);
        if let Some(front) = &self.shared.front {
            front.change(requests::routing(spec, &fresh.route));
        }
        self.shared.leads.store(Arc::new(fresh));
        // Whoever waits for news of the old addresses looks at the new ones.
        now.changes.ring();
        true
    }

    /// How it runs.
    pub fn state(&self) -> ListenerState {
        let (accepting, problem) = self.shared.state.lock().clone();
        let (bound, meter) = (Some(self.shared.bound.clone()), self.shared.meter.clone());
        let tls = self.shared.tls.as_ref().map(|tls| tls.standing());
        ListenerState { bound, accepting, meter, problem, tls }
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
        let spec = &self.shared.leads.load().spec;
        f.debug_struct("Listener").field("spec", spec).finish_non_exhaustive()
    }
}

impl Leads {
    fn new(spec: ListenerSpec, dispatcher: &Arc<Dispatcher>) -> Self {
        let route = Route::of(&spec, dispatcher.clone());
        let changes = dispatcher.watch(route.addresses());
        let by_name: &[_] = if spec.protocol == Protocol::Tcp { &spec.routes } else { &[] };
        let names = Routes::new(by_name, spec.only_routes);
        Self { spec, route, names, changes }
    }

    /// Whether clients go by the name that they ask for.
    fn goes_by_name(&self) -> bool {
        self.spec.protocol == Protocol::Tcp && !self.spec.routes.is_empty()
    }
}

impl Shared {
    fn new(
        bound: String,
        spec: ListenerSpec,
        dispatcher: Arc<Dispatcher>,
        tasks: &Tasks,
        changed: Arc<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        let leads = Leads::new(spec.clone(), &dispatcher);
        let (meter, state, tasks) = (Arc::default(), Mutex::default(), tasks.clone());
        let front = requests::front(&spec, &leads.route, &meter);
        let leads = ArcSwap::from_pointee(leads);
        let tls = tls::Tls::of(&spec, &meter);
        let greetings = by_name::Greetings::default();
        Arc::new(Self {
            spec,
            dispatcher,
            leads,
            front,
            tls,
            greetings,
            tasks,
            meter,
            state,
            bound,
            changed,
        })
    }

    /// Opens and closes the place as targets come and go.
    async fn run(self: &Arc<Self>, mut held: Held) {
        if held.listens {
            let first = async {
                while !self.has_target() {
                    self.changed().await;
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
                self.changed().await;
                continue;
            }
            let problem = match held.gate.open() {
                Ok(door) => {
                    self.show(true, None);
                    self.serve(door).await
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
    async fn serve(self: &Arc<Self>, door: Door) -> Option<io::Error> {
        info!(listener = %self.spec.name, bind = self.bound, "accepting clients");
        let no_target = async {
            while self.has_target() {
                self.changed().await;
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

    async fn accept_all(self: &Arc<Self>, door: &Door) -> io::Error {
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

    fn take(self: &Arc<Self>, socket: Socket, client: Option<SocketAddr>) {
        let log = self.dispatcher.flow_log();
        let name = self.spec.name.as_str();
        let leads = self.leads.load();
        let address = &leads.spec.address;
        let mut counted = Counted::logged(log.ingress(name, address, client));
        counted.add(self.meter.clone());
        counted.add(self.dispatcher.meter().clone());
        match (&self.front, &self.tls) {
            (Some(front), _) => self.serve_requests(front, socket, client, counted, &self.tasks),
            (None, Some(tls)) => self.serve_tls(tls, socket, client, counted),
            (None, None) if leads.goes_by_name() => self.serve_by_name(socket, client, counted),
            (None, None) => self.dispatch(&leads, None, socket, Vec::new(), client, counted),
        }
    }

    /// Hands a client, of whom `read` was read already, on as a flow by one of the routes or by none.
    fn dispatch(
        &self,
        leads: &Leads,
        place: Option<usize>,
        socket: Socket,
        read: Vec<u8>,
        client: Option<SocketAddr>,
        counted: Counted,
    ) {
        let (address, route) = (&leads.spec.address, &leads.route);
        route.dispatch(
            place,
            NewFlow {
                socket,
                open: Open::flow(address.clone(), client),
                read,
                ended: false,
                retry: route.retry_of(place),
                meter: self.meter.clone(),
                counted,
                tried: Vec::new(),
            },
        );
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
        self.leads.load().route.has_target()
    }

    /// Waits for news of the addresses where it leads, or for other ones.
    async fn changed(&self) {
        // A listener that leads elsewhere rings the old bell, which is heard even where it rings first.
        let leads = self.leads.load_full();
        leads.changes.changed().await;
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
