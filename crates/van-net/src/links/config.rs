//! What links are made with, and whom they call.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use van_model::{Mode, SiteId};
use van_mux::{Budget, Open, ResetCode};
use van_pki::{Identity, PeerIdentity, Peers, TimeProvider};

use crate::connection::EndReason;
use crate::flow::Connected;
use crate::flow_log::FlowLog;
use crate::join::{Admission, JoinRefusal, JoinRequest};
use crate::link::Link;
use crate::remote::Paths;
use crate::workers::Workers;

/// Reaches workloads for flows that come over links.
pub trait Egress: Send + Sync {
    /// Connects to a target of the address that is asked for.
    fn connect(
        &self,
        open: Open,
        from: Arc<Link>,
    ) -> BoxFuture<'static, Result<Connected, ResetCode>>;
}

/// Is told what happens to links. Must not block.
pub trait Observer: Send + Sync {
    /// A link can carry flows.
    fn link_up(&self, link: &Arc<Link>);
    /// The last connection of a link ended.
    fn link_down(&self, link: &Arc<Link>, reason: &EndReason);
    /// A link-state message came.
    fn route(&self, link: &Arc<Link>, message: Vec<u8>);
    /// A site that is not pinned shows a token's secret.
    fn join(&self, joiner: &PeerIdentity, request: &JoinRequest) -> Result<Admission, JoinRefusal>;
    /// Somebody was refused at the link port.
    fn refused(&self, remote: SocketAddr, why: &str);
    /// Something that status shows has changed.
    fn changed(&self);
}

/// Who this site says it is.
#[derive(Debug, Clone)]
pub struct Local {
    /// The site's id.
    pub id: SiteId,
    /// Which of the site's routers: 0 unless it runs several.
    pub replica: u16,
    /// New at each start.
    pub instance: u64,
    /// The site's name.
    pub name: String,
    /// Interior or edge.
    pub mode: Mode,
    /// Whether peers forget it a day after its last link.
    pub ephemeral: bool,
    /// The software's version.
    pub software: String,
    /// The most streams that a peer may have open.
    pub max_streams: u32,
    /// The largest window of a flow in bytes.
    pub flow_window_max: u32,
}

/// What links are made with.
pub struct LinksConfig {
    /// Who this site is.
    pub local: Local,
    /// Its certificates.
    pub identity: Arc<Identity>,
    /// Whom it trusts as neighbours.
    pub peers: Arc<dyn Peers>,
    /// Whom it trusts as members of the network, at the other end of a circuit.
    pub members: Arc<dyn Peers>,
    /// Where circuits go.
    pub paths: Arc<dyn Paths>,
    /// The clock of certificates.
    pub clock: Arc<dyn TimeProvider>,
    /// The data plane.
    pub workers: Arc<Workers>,
    /// Memory for windows, in bytes, over all links.
    pub budget: Arc<Budget>,
    /// Where flows go.
    pub egress: Arc<dyn Egress>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Where flows from other sites are noted.
    pub flow_log: Arc<FlowLog>,
}
