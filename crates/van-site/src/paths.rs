//! The way to every site, and whom the network vouches for: what the data plane reads without a lock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwap;
use van_model::SiteId;
use van_net::{Link, Links, Paths, Router};
use van_pki::{CertificateDer, Peers};
use van_routing::{RouterId, Routes};

use crate::peers::PeerBook;

/// The routes as they were last published, and the links that begin them.
pub(crate) struct Map {
    routes: ArcSwap<Routes>,
    peers: Arc<PeerBook>,
    links: OnceLock<Weak<Links>>,
    turn: AtomicUsize,
}

impl Map {
    pub(crate) fn new(routes: Arc<Routes>, peers: Arc<PeerBook>) -> Arc<Self> {
        let (links, turn) = (OnceLock::new(), AtomicUsize::new(0));
        Arc::new(Self { routes: ArcSwap::new(routes), peers, links, turn })
    }

    /// Tells whose links they are.
    pub(crate) fn belongs_to(&self, links: &Arc<Links>) {
        // Set once, at the start.
        let _ = self.links.set(Arc::downgrade(links));
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        self.routes.load_full()
    }

    pub(crate) fn publish(&self, routes: &Arc<Routes>) {
        let is_new = self.routes.swap(routes.clone()).version != routes.version;
        if let Some(links) = self.links.get().and_then(Weak::upgrade).filter(|_| is_new) {
            links.note_routes();
        }
    }

    /// The links to one router that take flows.
    fn links_to(&self, router: RouterId) -> Vec<Arc<Link>> {
        let Some(links) = self.links.get().and_then(Weak::upgrade) else { return Vec::new() };
        let mut fit = links.to(&router.site);
        fit.retain(|link| link.peer.replica == router.replica);
        fit
    }
}

pub(crate) fn router_id((site, replica): Router) -> RouterId {
    RouterId { site, replica }
}

impl Paths for Map {
    fn replicas(&self, site: &SiteId) -> Vec<u16> {
        let routes = self.routes.load();
        let reached = routes.site(*site).filter(|(_, node)| node.path.is_some());
        reached.map(|(router, _)| router.replica).collect()
    }

    fn next_hops(&self, to: Router) -> Vec<Arc<Link>> {
        let routes = self.routes.load();
        let Some(path) = routes.routers.get(&router_id(to)).and_then(|n| n.path.as_ref()) else {
            return Vec::new();
        };
        let mut hops: Vec<_> = path.next.iter().flat_map(|next| self.links_to(*next)).collect();
        if !hops.is_empty() {
            // Paths of equal cost share the circuits.
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % hops.len();
            hops.rotate_left(turn);
        }
        hops
    }

    fn path(&self, to: Router) -> Option<(u32, Vec<Router>)> {
        let (routes, to) = (self.routes.load(), router_id(to));
        let cost = routes.routers.get(&to)?.path.as_ref()?.cost;
        let way = routes.path(to)?;
        Some((cost, way.into_iter().skip(1).map(|r| (r.site, r.replica)).collect()))
    }
}

/// Members of the network: those that this site pins, and those that vouchers lead to.
pub(crate) struct Members(pub(crate) Arc<Map>);

impl Peers for Members {
    fn authority(&self, id: &SiteId) -> Option<CertificateDer<'static>> {
        self.0.peers.authority(id).or_else(|| {
            if self.0.peers.is_revoked(id) || self.0.peers.is_barred(id) {
                return None;
            }
            self.0.routes.load().authority(*id)
        })
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Members({} routers)", self.0.routes.load().routers.len())
    }
}
