//! A chain of sites in one process, each linked to the next.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::RwLock;
use van_model::{Cost, Mode, SiteId};
use van_mux::{Budget, Open, ResetCode};
use van_net::{
    Acceptor, Admission, Connected, Counted, DialSpec, Dialler, Egress, EndReason, JoinRefusal,
    JoinRequest, Joined, Link, Links, LinksConfig, Local, NewFlow, Observer, Paths, Pin, Retry,
    Router, Socket, Tasks, Workers,
};
use van_pki::{Authority, CertificateDer, Identity, PeerIdentity, Peers};

/// The longest that anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::yield_now();
    }
}

/// All sites know all authorities.
#[derive(Debug, Default)]
pub(crate) struct Known(RwLock<BTreeMap<SiteId, CertificateDer<'static>>>);

impl Known {
    /// Is no longer trusted by anybody.
    pub(crate) fn forget(&self, site: &SiteId) {
        self.0.write().remove(site);
    }
}

impl Peers for Known {
    fn authority(&self, id: &SiteId) -> Option<CertificateDer<'static>> {
        self.0.read().get(id).cloned()
    }
}

/// The order of the chain and each site's links.
#[derive(Default)]
struct Chain {
    order: RwLock<Vec<SiteId>>,
}

/// One site's look at the chain.
struct Way {
    chain: Arc<Chain>,
    me: SiteId,
    links: RwLock<Option<std::sync::Weak<Links>>>,
}

impl Paths for Way {
    fn next_hops(&self, to: Router) -> Vec<Arc<Link>> {
        let Some((_, path)) = self.path(to) else { return Vec::new() };
        let links = self.links.read().as_ref().and_then(std::sync::Weak::upgrade).unwrap();
        links.to(&path[0].0)
    }

    fn path(&self, to: Router) -> Option<(u32, Vec<Router>)> {
        let order = self.chain.order.read();
        let at = |id: &SiteId| order.iter().position(|site| site == id);
        let (from, to) = (at(&self.me)?, at(&to.0)?);
        let path: Vec<Router> = if from < to {
            order[from + 1..=to].iter().map(|id| (*id, 0)).collect()
        } else {
            order[to..from].iter().rev().map(|id| (*id, 0)).collect()
        };
        Some((path.len() as u32, path))
    }
}

/// Connects each flow to the site's workload.
struct Workload(SocketAddr);

impl Egress for Workload {
    fn connect(
        &self,
        _: Open,
        from: Arc<Link>,
    ) -> BoxFuture<'static, Result<Connected, ResetCode>> {
        let place = self.0;
        Box::pin(async move {
            let socket = TcpStream::connect(place).map_err(|_| ResetCode::Refused)?;
            socket.set_nonblocking(true).unwrap();
            Ok(Connected {
                socket: Socket::Tcp(socket),
                target: from.peer.name.clone(),
                preface: from.peer.name.clone().into_bytes(),
                took: Duration::ZERO,
                meter: Arc::default(),
            })
        })
    }
}

struct Silent;

impl Observer for Silent {
    fn link_up(&self, _: &Arc<Link>) {}
    fn link_down(&self, _: &Arc<Link>, _: &EndReason) {}
    fn route(&self, _: &Arc<Link>, _: Vec<u8>) {}
    fn join(&self, _: &PeerIdentity, _: &JoinRequest) -> Result<Admission, JoinRefusal> {
        Err(JoinRefusal::Refused)
    }
    fn refused(&self, _: SocketAddr, _: &str) {}
    fn changed(&self) {}
}

struct NoPin;

impl Pin for NoPin {
    fn pin(&self, _: &str, _: &Joined) -> Result<(), String> {
        Err("not here".into())
    }
    fn may_trust(&self, _: &CertificateDer<'_>) -> Result<(), String> {
        Ok(())
    }
    fn is_revoked(&self, _: &SiteId) -> bool {
        false
    }
}

/// Resets a client whose flow nobody took.
#[derive(Debug)]
struct GiveUp;

impl Retry for GiveUp {
    fn retry(&self, flow: NewFlow, _: ResetCode) {
        flow.socket.abort();
    }
}

/// One site.
pub(crate) struct Site {
    pub(crate) id: SiteId,
    pub(crate) links: Arc<Links>,
    pub(crate) tasks: Tasks,
    port: SocketAddr,
}

/// The sites and what they share.
pub(crate) struct Network {
    pub(crate) sites: Vec<Site>,
    pub(crate) known: Arc<Known>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// Sites with these modes, each linked to the next; every flow goes to `workload`, which is told
    /// the ingress's name first.
    pub(crate) fn chain(modes: &[Mode], workload: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let known = Arc::<Known>::default();
        let chain = Arc::<Chain>::default();
        let sites: Vec<Site> = modes
            .iter()
            .enumerate()
            .map(|(index, mode)| {
                let guard = runtime.enter();
                let site = start(&known, &chain, (index, *mode), workload, &runtime);
                drop(guard);
                site
            })
            .collect();
        let network = Self { sites, known, runtime: Some(runtime) };
        for pair in network.sites.windows(2) {
            network.link(&pair[0], &pair[1]);
        }
        for pair in network.sites.windows(2) {
            until("the link is up", || pair[0].links.to(&pair[1].id).len() == 1);
            until("the link is up", || pair[1].links.to(&pair[0].id).len() == 1);
        }
        network
    }

    fn link(&self, from: &Site, to: &Site) {
        let spec = DialSpec {
            name: "next".into(),
            peer: to.id,
            endpoints: vec![to.port.to_string().parse().unwrap()],
            cost: Cost::MIN,
            proxy: None,
            token: None,
        };
        let _entered = self.runtime.as_ref().unwrap().enter();
        Dialler::start(from.links.clone(), spec, Arc::new(NoPin), &from.tasks);
    }

    /// A client whose flow goes from the first site to the last.
    pub(crate) fn client(&self) -> TcpStream {
        let (client, flow) = self.flow();
        let (first, last) = (&self.sites[0], &self.sites[self.sites.len() - 1]);
        let remote = first.links.remote((last.id, 0));
        remote.open(Box::new(flow)).unwrap();
        client
    }

    /// A client and its flow, which nobody has taken yet.
    pub(crate) fn flow(&self) -> (TcpStream, NewFlow) {
        let front = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(front.local_addr().unwrap()).unwrap();
        let (socket, from) = front.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let meter = Arc::<van_net::Meter>::default();
        meter.open.add(1);
        let flow = NewFlow {
            socket: Socket::Tcp(socket),
            open: Open::flow("work".parse().unwrap(), Some(from)),
            read: Vec::new(),
            ended: false,
            retry: Arc::new(GiveUp),
            meter,
            counted: Counted::default(),
            tried: Vec::new(),
        };
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        (client, flow)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for site in &self.sites {
            site.tasks.cancel();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn start(
    known: &Arc<Known>,
    chain: &Arc<Chain>,
    (index, mode): (usize, Mode),
    workload: SocketAddr,
    runtime: &tokio::runtime::Runtime,
) -> Site {
    let now = Timestamp::now();
    let authority = Authority::generate(now).unwrap();
    let id = authority.id();
    let identity = Identity::new(&authority, authority.issue_leaf(now).unwrap());
    known.0.write().insert(id, authority.certificate().clone());
    chain.order.write().push(id);
    let way = Arc::new(Way { chain: chain.clone(), me: id, links: RwLock::default() });
    let links = Links::new(LinksConfig {
        local: Local {
            id,
            replica: 0,
            instance: index as u64,
            name: format!("site-{index}"),
            mode,
            ephemeral: false,
            software: "test".into(),
            max_streams: 10_000,
            flow_window_max: 16 << 20,
        },
        identity,
        peers: known.clone(),
        members: known.clone(),
        paths: way.clone(),
        clock: Arc::new(rustls::time_provider::DefaultTimeProvider),
        workers: Arc::new(Workers::start(Some(1)).unwrap()),
        budget: Budget::new(1 << 30),
        egress: Arc::new(Workload(workload)),
        observer: Arc::new(Silent),
        flow_log: Arc::default(),
    });
    *way.links.write() = Some(Arc::downgrade(&links));
    let tasks = Tasks::new(runtime.handle().clone(), Default::default());
    let listener = Acceptor::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap();
    tasks.spawn("accept", Acceptor::new(links.clone()).run(listener, tasks.clone()));
    Site { id, links, tasks, port }
}

/// Echoes what comes, after the ingress's name.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    place
}
