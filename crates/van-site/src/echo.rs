//! Echoes: round trips to any site of the network, and to each site on the way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use van_model::api::{PingHop, PingReply, PingRequest};
use van_model::{ApiError, ErrorCode, SiteId};
use van_net::Link;
use van_routing::{RouterId, Routes};

use crate::network_view::Names;
use crate::site::Site;

/// Time for one echo, the session with its site included.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to a site, this one first.
///
/// # Errors
/// `unavailable` where there is none.
pub(crate) fn way(routes: &Routes, names: &Names, site: SiteId) -> Result<Vec<RouterId>, ApiError> {
    let reached = routes.site(site).filter_map(|(r, node)| Some((node.path.as_ref()?.cost, *r)));
    let nearest = reached.min().map(|(_, router)| router);
    nearest.and_then(|router| routes.path(router)).ok_or_else(|| {
        let message = format!("there is no way to site {} now", names.label(site));
        ApiError::new(ErrorCode::Unavailable, message)
            .hint("'vanctl network status' shows its links, 'vanctl check' what is wrong here")
    })
}

pub(crate) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Site {
    pub(crate) async fn echo(&self, request: PingRequest) -> Result<PingReply, ApiError> {
        let routes = self.map.routes();
        let names = self.names(&routes);
        let wanted = names.find(&request.site)?;
        if wanted.id == self.own_id() {
            return Ok(PingReply { id: wanted.id, site: wanted.name, rtt_ms: 0.0, hops: vec![] });
        }
        let way = way(&routes, &names, wanted.id)?;
        let asked = if request.hops { &way[1..] } else { &way[way.len() - 1..] };
        let times = self.round_trips(&routes, asked).await;
        let rtt_ms = times.last().copied().flatten().ok_or_else(|| {
            let message = format!("site {} does not answer", names.label(wanted.id));
            let silent = asked.iter().zip(&times).find(|(_, time)| time.is_none());
            let error = ApiError::new(ErrorCode::Timeout, message);
            match silent.filter(|(router, _)| router.site != wanted.id) {
                Some((router, _)) => {
                    error.hint(format!("on the way, {} is silent", names.label(router.site)))
                }
                None => error,
            }
        })?;
        let hop = |(router, rtt_ms): (&RouterId, &Option<f64>)| PingHop {
            site: names.site(router.site).name,
            id: router.site,
            rtt_ms: *rtt_ms,
        };
        let hops = if request.hops { asked.iter().zip(&times).map(hop).collect() } else { vec![] };
        Ok(PingReply { id: wanted.id, site: wanted.name, rtt_ms, hops })
    }

    /// The round-trip times to routers in milliseconds, all asked at once; `None` for the silent.
    pub(crate) async fn round_trips(
        &self,
        routes: &Routes,
        routers: &[RouterId],
    ) -> Vec<Option<f64>> {
        let asked = routers.iter().map(|router| async {
            let ask = async { self.session_with(routes, *router).await?.ping(PATIENCE).await };
            tokio::time::timeout(PATIENCE, ask).await.ok().flatten().map(millis)
        });
        join_all(asked).await
    }

    /// The link to a router where it is the way to it, else the session with it, which is brought
    /// up where it is not.
    async fn session_with(&self, routes: &Routes, router: RouterId) -> Option<Arc<Link>> {
        if let Some(link) = self.link_on_way(routes, router) {
            return Some(link);
        }
        self.links.remote((router.site, router.replica)).connect(PATIENCE).await
    }

    /// The link to a neighbour that is on the way of least cost to it.
    pub(crate) fn link_on_way(&self, routes: &Routes, router: RouterId) -> Option<Arc<Link>> {
        let path = routes.routers.get(&router)?.path.as_ref()?;
        let direct = path.next.contains(&router);
        let mut links = self.links.to(&router.site);
        links.retain(|link| direct && link.peer.replica == router.replica);
        links.into_iter().min_by_key(|link| link.cost)
    }
}
