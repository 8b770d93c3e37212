//! The end-to-end session with a site that is not a neighbour: TLS in circuits through other sites.
//!
//! A [`Remote`] brings its session up when a flow wants it and lets it go when nobody does. What the
//! sites on the way see of it is one stream for each circuit.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::{DnsName, ServerName};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use tracing::debug;
use van_model::SiteId;
use van_mux::{Class, GoAwayReason, Open, ResetCode};

use crate::establish::Handshake;
use crate::flow::{NewFlow, Retry};
use crate::link::Link;
use crate::links::{Dialled, Links, Place};
use crate::meter::{Counted, Meter};
use crate::pipe::Pipe;
use crate::socket::Socket;
use crate::tasks::Tasks;
use crate::transport::Transport;

/// A site's router: the site and which of its replicas.
pub type Router = (SiteId, u16);

/// Knows the way to routers that are not neighbours. Must not block.
pub trait Paths: Send + Sync {
    /// Which routers of a site can be reached.
    fn replicas(&self, site: &SiteId) -> Vec<u16> {
        let _ = site;
        Vec::new()
    }

    /// Links that begin a path of least cost to a router, the one to take first in front.
    fn next_hops(&self, to: Router) -> Vec<Arc<Link>>;

    /// The cost of the path and its routers, this one left out; `None` where there is none.
    fn path(&self, to: Router) -> Option<(u32, Vec<Router>)>;
}

/// Circuits that a session starts with: a bulk flow on one leaves the other to small requests.
const CIRCUITS: u16 = 2;

/// The most circuits of a session.
const MAX_CIRCUITS: u16 = 8;

/// Flows that wait for a session; more are refused.
const MAX_WAITING: usize = 4096;

/// Attempts to bring a session up for flows that wait, each over the next path.
const ATTEMPTS: u32 = 3;

/// Time between two attempts.
const AGAIN: Duration = Duration::from_millis(50);

/// Time for HELLO once TLS is up.
const HELLO_PATIENCE: Duration = Duration::from_secs(4);

/// How often a session's path and use are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// A session without flows ends after this.
const IDLE: Duration = Duration::from_secs(60);

/// Time for the flows of a session whose place another takes: it ends by itself when they have.
const MOVED_GRACE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Time between two circuits that are added.
const GROWTH: Duration = Duration::from_secs(1);

/// The way to a router that is not a neighbour.
pub struct Remote {
    to: Router,
    links: Weak<Links>,
    config: Arc<ClientConfig>,
    session: ArcSwapOption<Link>,
    waiting: Mutex<Waiting>,
    /// Rung when a flow waits: the session may be gone.
    bell: Notify,
    /// Rung when the session is up, or could not be brought up.
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    flows: Vec<NewFlow>,
    dialling: bool,
}

/// A circuit that nobody took: its handshake finds out by the pipe's reset.
#[derive(Debug)]
struct NotTaken;

impl Retry for NotTaken {
    fn retry(&self, flow: NewFlow, _: ResetCode) {
        flow.socket.abort();
    }
}

impl Remote {
    pub(crate) fn new(to: Router, links: &Arc<Links>) -> Arc<Self> {
        let config = van_pki::session_client_config(
            &links.identity,
            to.0,
            links.members.clone(),
            links.clock.clone(),
        );
        Arc::new(Self {
            to,
            links: Arc::downgrade(links),
            config,
            session: ArcSwapOption::empty(),
            waiting: Mutex::default(),
            bell: Notify::new(),
            news: Notify::new(),
        })
    }

    /// The router.
    pub fn router(&self) -> Router {
        self.to
    }

    /// The session, while it is up and takes flows.
    pub fn session(&self) -> Option<Arc<Link>> {
        self.session.load_full().filter(|link| link.takes_flows())
    }

    /// Hands a flow to the session, or keeps it until the session is up; gives it back where too
    /// many wait.
    pub fn open(self: &Arc<Self>, mut flow: Box<NewFlow>) -> Result<(), Box<NewFlow>> {
        if let Some(link) = self.session() {
            match link.open(flow, None) {
                Ok(()) => return Ok(()),
                Err(back) => flow = back,
            }
        }
        let mut waiting = self.waiting.lock();
        // It may have come up since.
        if let Some(link) = self.session() {
            drop(waiting);
            return link.open(flow, None);
        }
        if waiting.flows.len() >= MAX_WAITING {
            return Err(flow);
        }
        waiting.flows.push(*flow);
        self.start(&mut waiting);
        Ok(())
    }

    /// Waits at most `patience` for the session; brings it up where it is not.
    pub async fn connect(self: &Arc<Self>, patience: Duration) -> Option<Arc<Link>> {
        let up = async {
            loop {
                // Asked for before it is looked at, so that none comes up unseen between.
                let news = self.news.notified();
                if let Some(link) = self.session() {
                    return link;
                }
                self.start(&mut self.waiting.lock());
                news.await;
            }
        };
        timeout(patience, up).await.ok()
    }

    /// The peer dialled: flows of this side may use its session, too.
    pub(crate) fn offer(&self, link: &Arc<Link>) {
        let waiting = std::mem::take(&mut self.waiting.lock().flows);
        if self.session().is_none() {
            self.session.store(Some(link.clone()));
            self.news.notify_waiters();
        }
        give(waiting, link);
    }

    fn start(self: &Arc<Self>, waiting: &mut Waiting) {
        let Some(links) = self.links.upgrade() else { return };
        if !waiting.dialling {
            waiting.dialling = true;
            let remote = self.clone();
            let tasks = links.workers.get(links.workers.next()).clone();
            tasks.clone().spawn("remote session", async move { remote.run(&tasks).await });
        } else {
            self.bell.notify_one();
        }
    }

    /// Brings the session up for as long as flows wait for it, and looks after it while it lasts.
    async fn run(self: Arc<Self>, tasks: &Tasks) {
        loop {
            let mut attempt = 0;
            let kept = loop {
                attempt += 1;
                match self.bring_up(tasks, attempt).await {
                    Ok(kept) => break Some(kept),
                    Err(why) => debug!(site = %self.to.0.short(), attempt, why, "no session"),
                }
                if attempt >= ATTEMPTS {
                    break None;
                }
                sleep(AGAIN).await;
            };
            match kept {
                Some(kept) => self.look_after(kept).await,
                None => self.refuse_waiting(),
            }
            let mut waiting = self.waiting.lock();
            if waiting.flows.is_empty() {
                waiting.dialling = false;
                drop(waiting);
                self.news.notify_waiters();
                return;
            }
        }
    }

    fn refuse_waiting(&self) {
        let waiting = std::mem::take(&mut self.waiting.lock().flows);
        for flow in waiting {
            flow.send_back(ResetCode::Unreachable);
        }
    }

    async fn bring_up(self: &Arc<Self>, tasks: &Tasks, attempt: u32) -> Result<Kept, &'static str> {
        let links = self.links.upgrade().ok_or("the daemon ends")?;
        let (path_cost, _) = links.paths.path(self.to).ok_or("no path")?;
        let mut kept = Kept {
            number: rand::random(),
            cost: u16::try_from(path_cost).unwrap_or(u16::MAX),
            path_cost,
            meter: Arc::default(),
            scope: tasks.child(),
            circuits: 0,
            added: Instant::now(),
        };
        let link = timeout(HELLO_PATIENCE, self.add_circuit(&links, &mut kept, attempt - 1)?)
            .await
            .map_err(|_| "no HELLO in time")?
            .map_err(|_| "the circuit ended")?;
        let flows = {
            let mut waiting = self.waiting.lock();
            self.session.store(Some(link.clone()));
            std::mem::take(&mut waiting.flows)
        };
        self.news.notify_waiters();
        give(flows, &link);
        Ok(kept)
    }

    /// Starts one more circuit; the receiver gets the session's link once the circuit is part of it.
    fn add_circuit(
        self: &Arc<Self>,
        links: &Arc<Links>,
        kept: &mut Kept,
        skip: u32,
    ) -> Result<oneshot::Receiver<Arc<Link>>, &'static str> {
        let mut hops = links.paths.next_hops(self.to);
        let (near, far) = Pipe::pair();
        let class = if kept.circuits == 0 { Class::Interactive } else { Class::Bulk };
        let open = Open::circuit(self.to.0, self.to.1, class);
        let mut flow = Box::new(carrier(far, open, Arc::new(NotTaken), &links.circuits_meter));
        // Another try begins with another of the hops.
        let first = skip as usize % hops.len().max(1);
        hops.rotate_left(first);
        let mut worker = None;
        for hop in hops {
            match hop.open_on(flow, None) {
                Ok(on) => {
                    worker = Some(on);
                    break;
                }
                Err(back) => flow = back,
            }
        }
        let Some(worker) = worker else {
            links.circuits_meter.open.sub(1);
            return Err("no link takes the circuit");
        };
        let dialled = Dialled {
            name: self.to.0.to_string(),
            number: kept.number,
            index: kept.circuits,
            cost: kept.cost,
            meter: kept.meter.clone(),
            scope: kept.scope.clone(),
        };
        kept.circuits += 1;
        let (up, is_up) = oneshot::channel();
        let (remote, links) = (self.clone(), links.clone());
        links.workers.get(worker).clone().spawn("circuit", async move {
            let name = DnsName::try_from(remote.to.0.dns_name()).expect("an id is a DNS label");
            let name = ServerName::DnsName(name);
            let transport = Transport::Circuit(near);
            let session = Handshake::dial(transport, remote.config.clone(), name, "van/1").await;
            let outcome = match session {
                Ok(session) => {
                    let place = Place::Circuit { replica: Some(remote.to.1), up: Some(up) };
                    links.run(worker, session, Some(dialled), place).await
                }
                Err(error) => return debug!(%error, "circuit's handshake failed"),
            };
            debug!(?outcome, "circuit ended");
        });
        Ok(is_up)
    }

    /// Adds circuits where they are wanted; returns when flows need another session, or none.
    async fn look_after(self: &Arc<Self>, mut kept: Kept) {
        let mut used = Instant::now();
        let mut congested = 0;
        loop {
            let Some(links) = self.links.upgrade() else { return };
            let Some(link) = self.session().filter(|link| link.number == kept.number) else {
                return;
            };
            congested = if link.is_congested() { congested + 1 } else { 0 };
            let living = link.members.load().len();
            let grow = congested >= 2 && living < usize::from(MAX_CIRCUITS);
            let due = kept.circuits < CIRCUITS || kept.added.elapsed() >= GROWTH;
            if due && (living < usize::from(CIRCUITS) || grow) {
                congested = 0;
                kept.added = Instant::now();
                let skip = u32::from(kept.circuits);
                if let Err(why) = self.add_circuit(&links, &mut kept, skip) {
                    debug!(site = %self.to.0.short(), why, "no further circuit");
                }
            }
            if link.flows_open() > 0 {
                used = Instant::now();
            }
            // Another path of the same cost is no reason to move.
            if links.paths.path(self.to).is_some_and(|(cost, _)| cost != kept.path_cost) {
                self.session.store(None);
                link.go_away(GoAwayReason::Shutdown, MOVED_GRACE);
                return;
            }
            if used.elapsed() >= IDLE {
                self.session.store(None);
                // A flow that opens this very moment may end there.
                link.go_away(GoAwayReason::Shutdown, MOVED_GRACE);
                return;
            }
            drop((links, link));
            // It ends early where a flow found no session.
            let _ = timeout(LOOK, self.bell.notified()).await;
        }
    }
}

/// A session that is up, at the side that dialled it.
struct Kept {
    number: u64,
    cost: u16,
    path_cost: u32,
    meter: Arc<Meter>,
    scope: Tasks,
    /// Circuits that were dialled: the next one's index.
    circuits: u16,
    added: Instant,
}

impl Drop for Kept {
    /// A circuit that is still in its handshake finds that nobody wants it.
    fn drop(&mut self) {
        self.scope.cancel();
    }
}

fn give(flows: Vec<NewFlow>, link: &Arc<Link>) {
    for flow in flows {
        if let Err(back) = link.open(Box::new(flow), None) {
            back.send_back(ResetCode::Gone);
        }
    }
}

/// A stream of a neighbour's session that carries a circuit.
pub(crate) fn carrier(
    pipe: Pipe,
    open: Open,
    retry: Arc<dyn Retry>,
    meter: &Arc<Meter>,
) -> NewFlow {
    meter.open.add(1);
    meter.total.add(1);
    NewFlow {
        socket: Socket::Pipe(pipe),
        open,
        read: Vec::new(),
        ended: false,
        retry,
        meter: meter.clone(),
        counted: Counted::default(),
        tried: Vec::new(),
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("to", &self.to).finish_non_exhaustive()
    }
}
