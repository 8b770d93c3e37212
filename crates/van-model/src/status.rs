//! Observed state: what runs, as the API, `vanctl` and the journal tell it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Conditions, Mode, SiteId};

/// `GET /v1/status`: this site at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// The site's name.
    pub name: String,
    /// The site's id.
    pub id: SiteId,
    /// Interior or edge.
    pub mode: Mode,
    /// `host`, or the Kubernetes namespace's platform word.
    pub platform: String,
    /// In Kubernetes: the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The daemon's version.
    pub version: String,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
    /// Where links are accepted; empty: this site only dials.
    pub accepting: Vec<String>,
    /// Links that are up, both directions.
    pub links_up: usize,
    /// Links that this site is to dial.
    pub links_configured: usize,
    /// Other sites that can be reached.
    pub sites_reached: usize,
    /// Addresses that this site offers.
    pub services_offered: usize,
    /// Addresses that can be used here: those of listeners, and services that appear by themselves.
    pub services_used: usize,
    /// Flows open now.
    pub flows_open: u64,
    /// What is wrong, worst first, each with what to do.
    pub warnings: Vec<Warning>,
    /// `Ready`, and what else is known.
    pub conditions: Conditions,
}

/// Something that is wrong and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it is about, as `link/to-public`.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The state of a link in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// At least one connection carries flows.
    Connected,
    /// The first attempt is under way.
    Connecting,
    /// The last attempt failed; it is tried again where that may help.
    Failed,
}

/// Who dialled a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// This site.
    Outgoing,
    /// The peer.
    Incoming,
}

/// A site named by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRef {
    /// Its id.
    pub id: SiteId,
    /// Its name, as far as known.
    pub name: String,
}

/// A link as seen from this end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// In one word.
    pub state: LinkState,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The site at the other end, once known.
    pub peer: Option<SiteRef>,
    /// Who dialled.
    pub direction: Direction,
    /// The cost that both ends use.
    pub cost: u16,
    /// The cost as the other end tells it to the network; absent where it tells none.
    #[serde(default)]
    pub peer_cost: Option<u16>,
    /// The last round-trip time in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// Where the other end is reached or came from.
    pub remote: Option<String>,
    /// The connections that carry it.
    pub connections: Vec<ConnectionStatus>,
    /// How often it came up again after it was up.
    pub reconnects: u64,
    /// Bytes of flows sent to the peer.
    pub bytes_sent: u64,
    /// Bytes of flows received from the peer.
    pub bytes_received: u64,
    /// Flows open now.
    pub flows_open: u64,
    /// Flows since the daemon started.
    pub flows_total: u64,
    /// When the peer's present certificate expires.
    pub certificate_expires: Option<Timestamp>,
    /// `Ready`, and what else is known.
    pub conditions: Conditions,
}

/// One TLS connection of a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Number within the link.
    pub index: u16,
    /// This end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// The TLS version.
    pub tls: String,
    /// The cipher suite.
    pub cipher: String,
    /// The key exchange group.
    pub key_exchange: String,
    /// Whether the handshake resumed an earlier session.
    pub resumed: bool,
    /// Since when.
    pub since: Timestamp,
    /// Flows open on it.
    pub flows_open: u64,
}

/// A listener as it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Where it listens or has its port reserved; with a port of 0, the one taken.
    pub bound: Option<String>,
    /// Whether clients are accepted now (they are refused while no target can be reached).
    pub accepting: bool,
    /// Targets that can be reached, all sites.
    pub targets: usize,
    /// Flows open now.
    pub flows_open: u64,
    /// Flows since the daemon started.
    pub flows_total: u64,
    /// Datagrams, of a service that carries these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<DatagramStatus>,
    /// When the certificate expires with which it ends its clients' TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<Timestamp>,
    /// `Ready`: the port is reserved and a target can be reached.
    pub conditions: Conditions,
}

/// Counts of datagrams since the daemon started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramStatus {
    /// From this end into the network: from clients, or from a connector's workload.
    pub sent: u64,
    /// From the network to this end.
    pub received: u64,
    /// Dropped, by reason: `queue` (too many waited), `late` (waited for more than 50 ms), `sessions`
    /// (no room for one more client), `no_target`, `socket` (the system did not take it).
    pub dropped: BTreeMap<String, u64>,
}

/// A connector as it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorStatus {
    /// Whether the target passed its last check, or is not watched.
    pub healthy: bool,
    /// Why the last check or connection failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Sites that were told of it.
    pub advertised_to: usize,
    /// Flows open now.
    pub flows_open: u64,
    /// Flows since the daemon started.
    pub flows_total: u64,
    /// Datagrams, of a service that carries these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<DatagramStatus>,
    /// `Ready`: the target passed its check.
    pub conditions: Conditions,
}

/// A token as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenStatus {
    /// When it was made.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Timestamp,
    /// How many sites may redeem it in all.
    pub uses: u32,
    /// How many have.
    pub used: u32,
    /// Who has.
    pub redeemed_by: Vec<SiteRef>,
    /// `Ready`: it can still be redeemed.
    pub conditions: Conditions,
}

/// A pinned peer as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name, as it last told.
    pub name: String,
    /// Whether a link to it is up.
    pub connected: bool,
    /// When it was pinned.
    pub since: Timestamp,
    /// When a link to it was last up.
    pub last_seen: Option<Timestamp>,
    /// Whether it is forgotten 24 h after its last link.
    pub ephemeral: bool,
    /// Whether it is refused for ever.
    pub revoked: bool,
    /// `Ready`: trusted and connected.
    pub conditions: Conditions,
}

/// A service of the network, as this site knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Healthy targets by site name (and by id where two sites have one name).
    pub targets: BTreeMap<String, usize>,
    /// Listeners of this site that use it.
    pub listeners: Vec<String>,
    /// Where it appears here by itself (`[services] import`), as `address:port`.
    #[serde(default)]
    pub import: Option<String>,
    /// The neighbours over which new flows go, by the site where the targets are.
    #[serde(default)]
    pub via: BTreeMap<String, Vec<String>>,
    /// Flows from here open now.
    pub flows_open: u64,
    /// Flows from here since the daemon started.
    pub flows_total: u64,
    /// Flows from here that found no target or were broken.
    pub errors: u64,
    /// Bytes from clients here to the service.
    pub bytes_sent: u64,
    /// Bytes from the service to clients here.
    pub bytes_received: u64,
    /// Median and 99th percentile of the time to reach a target, in milliseconds.
    pub connect_ms: Option<Quantiles>,
    /// Datagrams, of a service that carries these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<DatagramStatus>,
    /// Requests, of a service that is balanced by request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestStatus>,
    /// `Ready`: a target can be reached; `Conflict`: sites offer it differently.
    pub conditions: Conditions,
}

/// Counts of requests since the daemon started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestStatus {
    /// Requests that last now.
    pub open: u64,
    /// Requests that were answered.
    pub total: u64,
    /// The same by method (rare ones as `other`), then by the class of the answer's status: `2xx`.
    pub answered: BTreeMap<String, BTreeMap<String, u64>>,
    /// Median and 99th percentile of the time to the head of the answer, in milliseconds.
    pub latency_ms: Option<Quantiles>,
}

/// Two points of a distribution, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}
