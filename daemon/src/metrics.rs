//! The places where Prometheus asks.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use van_api::{ApiSocket, MetricsServer, Ready};
use van_net::Tasks;
use van_site::Site;

/// Time until a place that was taken is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Where and how probes and metrics are answered.
pub(crate) struct Places<'a> {
    pub(crate) runtime_dir: &'a Path,
    /// Who may ask at the socket.
    pub(crate) group: &'a str,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) ready: Ready,
}

/// Serves metrics at `metrics.sock` of the runtime directory and, where wanted, at a port. What can't
/// be had is told and does not keep the site from its work.
pub(crate) fn start(site: &Arc<Site>, tasks: &Tasks, places: Places<'_>, stop: &CancellationToken) {
    let Places { runtime_dir, group, listen, ready } = places;
    let server = MetricsServer::new(site.clone(), stop.clone(), ready);
    match ApiSocket::bind(&runtime_dir.join("metrics.sock"), group) {
        Ok(socket) => tasks.spawn_to_end("metrics socket", server.clone().run_unix(socket)),
        Err(error) => warn!(%error, "there is no socket for metrics"),
    }
    if let Some(place) = listen {
        let stop = stop.clone();
        tasks.spawn("metrics", async move {
            let listener = tokio::select! {
                () = stop.cancelled() => return,
                listener = bind(place) => listener,
            };
            server.run_tcp(listener).await;
        });
    }
}

async fn bind(place: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(place).await {
            Ok(listener) => {
                info!(%place, "metrics are told");
                return listener;
            }
            Err(error) if !told => {
                warn!(%place, %error, "metrics.listen can't be had; it is tried again");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}
