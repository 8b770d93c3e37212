//! What carries requests: sites to choose among, and flows to their targets.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use van_model::{Address, SiteId};
use van_mux::ResetCode;
use van_net::Meter;

/// A connection's bytes. Dropping it before it was shut down lets the other end see a reset.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A site that was chosen for a request.
#[derive(Debug, Clone)]
pub struct Way {
    /// Which site, for which address: what a later choice leaves out.
    pub key: u64,
    /// The site.
    pub site: SiteId,
    /// The service that it offers.
    pub address: Address,
    /// What its egress is asked, as the listener's strategy wants it.
    pub hint: String,
    /// How many targets of the kind that is asked for it has.
    pub targets: u32,
    /// Where requests to it are counted while they last.
    pub meter: Arc<Meter>,
    /// Where the service's requests are counted.
    pub service: Arc<Meter>,
}

/// A flow to a target.
pub struct Opened {
    /// Its bytes.
    pub io: Box<dyn Io>,
    /// The connector's name; empty where it was not told.
    pub target: Arc<str>,
}

/// Knows the sites that serve a listener's requests, and opens flows to them.
pub trait Ways: Send + Sync + fmt::Debug {
    /// Chooses a site for a request, none of those in `tried`; `route`: the place in the listener's list of
    /// the route that it takes, `None`: it takes none. Must not block.
    fn choose(&self, route: Option<usize>, tried: &[u64]) -> Option<Way>;

    /// Opens a flow to a target there, to the one of this name if it can be; it will be used on this
    /// worker.
    fn open(
        &self,
        way: &Way,
        target: Option<&str>,
        worker: usize,
    ) -> BoxFuture<'static, Result<Opened, ResetCode>>;

    /// Where requests of a route are counted that no site was found for.
    fn service(&self, route: Option<usize>) -> Option<Arc<Meter>>;

    /// Hears that a site failed to serve.
    fn failed(&self, way: &Way);
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("target", &self.target).finish_non_exhaustive()
    }
}
