//! Messages of the socket API (`/v1`), shared by the daemon and `vanctl`.
//!
//! JSON; field names in snake_case; times RFC 3339 UTC; durations in seconds or with the unit in
//! the name; sizes in bytes. Fields are only ever added.

mod check;
mod network;
mod tap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::status::{
    ConnectorStatus, LinkStatus, ListenerStatus, PeerStatus, ServiceStatus, TokenStatus,
};
use crate::{Bind, Check, Cost, Name, Protocol, SiteId, Target};

pub use check::{CheckLine, CheckOutcome};
pub use network::{
    FlowQuery, NetworkLink, NetworkOffer, NetworkSite, PingHop, PingReply, PingRequest, Trace,
    TraceCandidate, TraceHop, TraceRequest,
};
pub use tap::{RequestRecord, TapLine, is_secret, shown_field, shown_query};

/// Who said that a resource is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A configuration file or the environment; can't be changed over the API.
    File,
    /// `vanctl` or another user of the API; kept in the state directory.
    Api,
    /// A custom resource or annotation.
    Kubernetes,
    /// Labels of a container.
    Podman,
}

/// One resource: what is wanted and what is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource<S, T> {
    /// Unique among its kind at this site.
    pub name: String,
    /// Who wants it.
    pub source: Source,
    /// The file that says so, where the source is `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What is wanted.
    pub spec: S,
    /// What is.
    pub status: T,
}

/// Several resources: `{"items": [...]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// In name order.
    pub items: Vec<T>,
}

/// Body of `PUT /v1/KIND/NAME`: `{"spec": {...}}`; other fields of a resource are passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Put<S> {
    /// What is wanted.
    pub spec: S,
}

/// A link, as the API shows it.
pub type LinkResource = Resource<LinkView, LinkStatus>;
/// A listener.
pub type ListenerResource = Resource<ListenerView, ListenerStatus>;
/// A connector.
pub type ConnectorResource = Resource<ConnectorView, ConnectorStatus>;
/// A token, without its secret.
pub type TokenResource = Resource<TokenView, TokenStatus>;
/// A site that this one trusts directly; named by its id.
pub type PeerResource = Resource<PeerView, PeerStatus>;
/// A service of the network.
pub type ServiceResource = Resource<ServiceView, ServiceStatus>;

/// A link's spec without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// As wanted; `null` where the token's or the default holds.
    pub cost: Option<Cost>,
    /// The file from which the token comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// The HTTP CONNECT proxy, its password masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

/// Spec of `PUT /v1/links/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPut {
    /// The token's text, one line or the `AccessToken` form.
    pub token: String,
    /// Default: the token's cost, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// `http://[user[:password]@]host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

/// A listener's spec; also that of `PUT /v1/listeners/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerView {
    /// Default: the listener's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<crate::Address>,
    /// Default: tcp.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where clients connect.
    pub bind: Bind,
    /// Default: balanced.
    #[serde(default)]
    pub strategy: crate::Strategy,
    /// Several addresses, as `ADDRESS` or `ADDRESS=WEIGHT`; `address` is the first of them then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<crate::AddressChoice>,
    /// Of datagrams: time without one after which a client's session ends, 1,000 to 3,600,000 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_idle_ms: Option<u64>,
    /// Where requests go by what they ask for; what matches none goes to `address`, or nowhere where
    /// there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<crate::RouteSpec>,
    /// TLS towards the clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<crate::ListenerTls>,
}

/// A connector's spec; also that of `PUT /v1/connectors/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorView {
    /// Default: the connector's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<crate::Address>,
    /// Default: tcp.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where the workload is.
    pub target: Target,
    /// The port under which the service appears elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_port: Option<std::num::NonZeroU16>,
    /// Default: tcp.
    #[serde(default)]
    pub check: Check,
    /// When the target is checked, and what counts.
    #[serde(default)]
    pub timing: crate::CheckTiming,
    /// PROXY protocol v2 towards the workload.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Lower is preferred by `failover`.
    #[serde(default)]
    pub priority: u16,
    /// Share under `weighted`; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<std::num::NonZeroU16>,
    /// TLS towards the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<crate::ConnectorTls>,
}

/// A token's spec; also the body of `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenView {
    /// Seconds until it expires, 1..=31,536,000. Default: 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u64>,
    /// How many sites may redeem it, 1..=10,000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Cost that links made with it get unless they say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Accept links at the link port from now on, where the configuration has no `[accept]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept: bool,
}

/// Body of `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// Default: one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// What is wanted.
    #[serde(default)]
    pub spec: TokenView,
}

/// Answer of `POST /v1/tokens`: the only time that the secret is told.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// The token's name.
    pub name: String,
    /// The one-line form, `van1.…`.
    pub token: String,
    /// The Kubernetes `AccessToken` form, YAML.
    pub access_token: String,
    /// When it stops working.
    pub expires: Timestamp,
    /// How many sites may redeem it.
    pub uses: u32,
}

/// Spec of `PUT /v1/site`: what of the site may be changed while it runs. What is left out stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitePut {
    /// Whether links are accepted at the link port, where the configuration has no `[accept]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<bool>,
}

/// Spec of `PUT /v1/peers/NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerPut {
    /// `false` revokes the peer; `true` ends a revocation by this site.
    pub trusted: bool,
}

/// A peer as wanted: its name and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Who it is.
    pub id: SiteId,
}

/// A service as wanted somewhere in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name in the network.
    pub address: crate::Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// The port under which it appears.
    pub service_port: Option<u16>,
}

/// At which end of a flow this site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowSide {
    /// Its client is here.
    Ingress,
    /// Its workload is here, its client at another site.
    Egress,
}

/// How a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowEnd {
    /// Both directions ended in order.
    Closed,
    /// The end that is at this site broke: the client or the workload was gone.
    Broken,
    /// The other end reset it.
    Reset,
    /// No target could be reached.
    NoTarget,
    /// The link or the way to the other site was lost.
    LinkLost,
    /// The daemon stopped, or the link was deleted.
    Stopped,
}

impl FlowEnd {
    /// The words for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Reset => "reset",
            Self::NoTarget => "no target",
            Self::LinkLost => "link lost",
            Self::Stopped => "stopped",
        }
    }
}

/// A user connection, open or ended lately (`GET /v1/flows`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowRecord {
    /// Rises by one with each flow of this run of the daemon.
    pub id: u64,
    /// Which end is here.
    pub side: FlowSide,
    /// The service.
    pub address: crate::Address,
    /// The listener that took it, at the ingress.
    pub listener: Option<String>,
    /// Who connected, as far as that is known.
    pub client: Option<String>,
    /// The site at the other end; this one for a flow that stays here.
    pub peer: Option<SiteId>,
    /// That site's name.
    pub peer_name: Option<String>,
    /// The connector that took it.
    pub target: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; absent: it is open.
    pub ended: Option<Timestamp>,
    /// Time to reach the target, in milliseconds.
    pub connect_ms: Option<f64>,
    /// Bytes from the client to the workload.
    pub bytes_sent: u64,
    /// Bytes from the workload to the client.
    pub bytes_received: u64,
    /// How it ended.
    pub end: Option<FlowEnd>,
    /// Of a client's connection to a service of requests: those that were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<FlowRequests>,
}

/// The requests of one client's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRequests {
    /// How many were answered.
    pub count: u64,
    /// The method of the last.
    pub method: String,
    /// The path of the last, without the query, the first 256 bytes.
    pub path: String,
    /// The status of the last.
    pub status: u16,
}

/// Body of `POST /v1/log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// A level or a filter as in `RUST_LOG`.
    pub level: String,
}

/// One value of the effective configuration and where it came from (`GET /v1/config`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigValue {
    /// For instance `site.name` or `connector.postgres.target`.
    pub key: String,
    /// The value, secrets masked.
    pub value: serde_json::Value,
    /// `default`, `FILE:LINE` or the environment variable's name.
    pub origin: String,
}

/// One thing that happened (`GET /v1/events`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Rises by one with each event of this run of the daemon.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// `info`, `warning` or `error`.
    pub severity: Severity,
    /// One word in CamelCase, stable, for programs.
    pub reason: String,
    /// What it is about, as `link/to-public`, `service/db`, `token/x`, `site/ID`.
    pub subject: String,
    /// A sentence for people.
    pub message: String,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A change that a user would notice.
    Info,
    /// Degraded but working.
    Warning,
    /// An operator must act.
    Error,
}

/// What kind of failure an [`ApiError`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is malformed or a value is out of range (HTTP 400).
    Invalid,
    /// The caller may not do this (403).
    NotAllowed,
    /// No such resource, site or path (404).
    NotFound,
    /// It exists already, or a file owns it (409).
    Conflict,
    /// Something needed is not there now (503).
    Unavailable,
    /// It took too long (504).
    Timeout,
    /// The daemon failed (500).
    Internal,
}

impl Severity {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl ErrorCode {
    /// The HTTP status that carries it.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotAllowed => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// Why a request failed: what, why and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind of failure.
    pub code: ErrorCode,
    /// What failed and why, lower case, no full stop.
    pub message: String,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ApiError {
    /// Makes an error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An error as the API sends it: `{"error": {...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Why the request failed.
    pub error: ApiError,
}
