//! What Prometheus is told: one table of metrics over one look at the site.
//!
//! Everything is read when it is asked for; the data plane does nothing for it.

mod encode;
mod families;
mod process;

use std::collections::{BTreeMap, BTreeSet};

use van_model::api::{
    ConnectorResource, LinkResource, ListenerResource, ServiceResource, TokenResource,
};
use van_model::status::SiteStatus;

use crate::site::Site;

/// One look at a site.
pub(crate) struct Look {
    pub(crate) site: SiteStatus,
    pub(crate) sites_known: usize,
    pub(crate) links: Vec<LinkResource>,
    pub(crate) listeners: Vec<ListenerResource>,
    pub(crate) connectors: Vec<ConnectorResource>,
    pub(crate) services: Vec<ServiceResource>,
    pub(crate) tokens: Vec<TokenResource>,
    pub(crate) flows_limit: u32,
    pub(crate) circuits: [u64; 2],
    /// Names that the name server answers; `None` without one.
    pub(crate) names: Option<usize>,
    pub(crate) imports: [usize; 2],
    pub(crate) identity_seconds: i64,
    /// Events since the start, by reason.
    pub(crate) events: BTreeMap<String, u64>,
    /// What became of spans; `None`: nobody wants any.
    pub(crate) spans: Option<van_trace::Counts>,
    pub(crate) process: process::Process,
    pub(crate) now: jiff::Timestamp,
}

impl Site {
    /// What is observed, in the text format of OpenMetrics, which Prometheus reads.
    pub fn metrics(&self) -> String {
        encode::text(self.look())
    }

    fn look(&self) -> Look {
        let imports = self.imports.all();
        let routes = self.map.routes();
        let known: BTreeSet<_> = routes.routers.keys().map(|router| router.site).collect();
        let now = crate::clock::now();
        Look {
            site: self.glance(),
            sites_known: known.len(),
            links: self.link_resources(),
            listeners: self.listener_resources(),
            connectors: self.connector_resources(),
            services: self.service_resources(),
            tokens: self.token_resources(),
            flows_limit: self.dispatcher.max_flows(),
            circuits: {
                let (ours, transit) = self.links.circuit_meters();
                [ours.open.get(), transit.open.get()]
            },
            names: self.naming.state().and_then(|s| s.server.ok().flatten()).map(|(_, n)| n),
            imports: [
                imports.iter().filter(|i| i.state.is_ok()).count(),
                imports.iter().filter(|i| i.state.is_err()).count(),
            ],
            identity_seconds: self.own.identity.leaf_not_after().duration_since(now).as_secs(),
            events: self.events_by_reason(),
            spans: self.dispatcher.tracer().map(|tracer| tracer.counts()),
            process: process::Process::read(),
            now,
        }
    }
}
