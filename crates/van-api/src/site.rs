//! What the server asks of the running site.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_util::stream::BoxStream;
use tokio::sync::watch;
use van_model::api::{
    CheckLine, ConfigValue, ConnectorResource, ConnectorView, Event, FlowQuery, FlowRecord,
    LinkPut, LinkResource, ListenerResource, ListenerView, LogRequest, NetworkSite, PeerPut,
    PeerResource, PingReply, PingRequest, ServiceResource, SitePut, TapLine, TokenCreate,
    TokenCreated, TokenResource, Trace, TraceRequest,
};
use van_model::status::SiteStatus;
use van_model::{ApiError, Name};

/// An answer that may take a while.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// Lines as they come.
pub type TapLines = BoxStream<'static, TapLine>;

/// The running site as the API sees it.
///
/// Reads answer at once from what is known; changes return when they are stored and under way.
pub trait SiteApi: Send + Sync + 'static {
    /// This site at a glance.
    fn status(&self) -> SiteStatus;
    /// The site's own resource: `{"name", "source", "spec", "status"}`.
    fn site(&self) -> serde_json::Value;

    /// Changes the site itself.
    fn set_site(&self, put: SitePut) -> Reply<'_, ()>;

    /// Every link, incoming ones too, in name order.
    fn links(&self) -> Vec<LinkResource>;
    /// Whether this site itself wants a link of this name; an incoming one is the peer's.
    fn wants_link(&self, name: &str) -> bool;
    /// Makes or replaces a link.
    fn put_link(&self, name: Name, put: LinkPut) -> Reply<'_, LinkResource>;
    /// Removes a link; the pinned peer stays.
    fn delete_link(&self, name: Name) -> Reply<'_, ()>;

    /// Every listener, in name order.
    fn listeners(&self) -> Vec<ListenerResource>;
    /// Makes or replaces a listener.
    fn put_listener(&self, name: Name, spec: ListenerView) -> Reply<'_, ListenerResource>;
    /// Removes a listener.
    fn delete_listener(&self, name: Name) -> Reply<'_, ()>;

    /// Every connector, in name order.
    fn connectors(&self) -> Vec<ConnectorResource>;
    /// Makes or replaces a connector.
    fn put_connector(&self, name: Name, spec: ConnectorView) -> Reply<'_, ConnectorResource>;
    /// Removes a connector.
    fn delete_connector(&self, name: Name) -> Reply<'_, ()>;

    /// Every token, without its secret, in name order.
    fn tokens(&self) -> Vec<TokenResource>;
    /// Makes a token; the answer holds the secret.
    fn create_token(&self, create: TokenCreate) -> Reply<'_, TokenCreated>;
    /// Revokes a token.
    fn delete_token(&self, name: Name) -> Reply<'_, ()>;

    /// Every site that this one trusts directly; each is named by its id.
    fn peers(&self) -> Vec<PeerResource>;
    /// Trusts a peer again, or revokes it; it is named as in [`SiteApi::delete_peer`].
    fn put_peer(&self, peer: String, put: PeerPut) -> Reply<'_, PeerResource>;
    /// Revokes a peer, named by its id, a prefix of it of at least 6 characters, or its name.
    fn delete_peer(&self, peer: String) -> Reply<'_, ()>;

    /// What only the daemon knows of itself, for a report: texts by name, without secrets.
    fn debug(&self) -> BTreeMap<String, String>;
    /// What is observed, in the text format of OpenMetrics.
    fn metrics(&self) -> String;

    /// Every service of the network, in address order.
    fn services(&self) -> Vec<ServiceResource>;
    /// The kept events whose sequence is above `after`, oldest first.
    fn events(&self, after: u64) -> Vec<Event>;
    /// Ticks whenever anything that the other reads tell has changed.
    fn changed(&self) -> watch::Receiver<u64>;

    /// Every site of the network, in the order of names, then ids.
    fn network(&self) -> Vec<NetworkSite>;
    /// The flows that are asked for, open and ended, in the order in which they began.
    fn flows(&self, query: &FlowQuery) -> Result<Vec<FlowRecord>, ApiError>;
    /// Each request and flow of a service from now on; with the values of queries, or with these masked.
    fn tap(&self, address: &str, values: bool) -> Result<TapLines, ApiError>;
    /// Sends one echo to a site.
    fn ping(&self, request: PingRequest) -> Reply<'_, PingReply>;
    /// Tells which way a new flow would go.
    fn trace(&self, request: TraceRequest) -> Reply<'_, Trace>;
    /// Looks for what is wrong.
    fn check(&self) -> Reply<'_, Vec<CheckLine>>;
    /// The effective configuration.
    fn config(&self) -> Vec<ConfigValue>;
    /// Reads the configuration again and applies the difference; tells what changed, as `link/x`.
    fn reload(&self) -> Reply<'_, Vec<String>>;
    /// Changes what is logged.
    fn log(&self, request: LogRequest) -> Result<(), ApiError>;
}
