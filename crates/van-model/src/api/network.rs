//! The network as one site sees it, the flows to ask for, echoes, and the way of a new flow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::status::SiteRef;
use crate::{Address, Mode, Protocol, SiteId, Strategy};

/// A site of the network (`GET /v1/network`), its replicas merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSite {
    /// Its name; two sites may have one.
    pub name: String,
    /// Its id.
    pub id: SiteId,
    /// Interior or edge.
    pub mode: Mode,
    /// Its software's version.
    pub version: String,
    /// Whether it is the site that answers.
    pub this_site: bool,
    /// Whether there is a way to it.
    pub reachable: bool,
    /// The cost of the way from here; absent where there is none.
    pub cost: Option<u32>,
    /// Links on the way from here; absent where there is none.
    pub hops: Option<u8>,
    /// Neighbours of this site that stand first on the ways of least cost; none for this site.
    pub via: Vec<SiteRef>,
    /// Its links, as its own record tells, by the peer's name.
    pub links: Vec<NetworkLink>,
    /// What it offers, in address order.
    pub services: Vec<NetworkOffer>,
    /// What its operator wrote down about it.
    pub labels: BTreeMap<String, String>,
    /// How many routers it runs.
    pub replicas: usize,
}

/// A link as the records of its two ends tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkLink {
    /// The site at the other end.
    pub peer: SiteRef,
    /// The cost as this end says it.
    pub cost: u16,
    /// The cost as the other end says it; absent where that end claims no such link, which carries
    /// no traffic then.
    pub peer_cost: Option<u16>,
}

/// What a site offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOffer {
    /// The service.
    pub address: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its healthy targets there.
    pub targets: u32,
}

/// Which flows are asked for (`GET /v1/flows`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowQuery {
    /// Only those of this service.
    pub address: Option<String>,
    /// Only those whose other end is this site: its name, its id or a prefix of it.
    pub site: Option<String>,
    /// At most so many: open ones first, then those that ended last.
    pub limit: usize,
}

impl FlowQuery {
    /// Flows that are told unless more are asked for.
    pub const DEFAULT_LIMIT: usize = 1000;
    /// The most flows that one answer tells.
    pub const MAX_LIMIT: usize = 100_000;
}

impl Default for FlowQuery {
    fn default() -> Self {
        Self { address: None, site: None, limit: Self::DEFAULT_LIMIT }
    }
}

/// Body of `POST /v1/ping`: one echo to a site of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingRequest {
    /// A site's name, id, or a prefix of the id of at least 6 characters.
    pub site: String,
    /// Whether each site on the way is asked, too. Default: true.
    #[serde(default = "yes")]
    pub hops: bool,
}

fn yes() -> bool {
    true
}

/// Answer of `POST /v1/ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PingReply {
    /// Who answered.
    pub id: SiteId,
    /// Its name.
    pub site: String,
    /// The round-trip time in milliseconds.
    pub rtt_ms: f64,
    /// The sites on the way, the one that was asked for last; empty where they were not asked.
    #[serde(default)]
    pub hops: Vec<PingHop>,
}

/// A site on the way of an echo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PingHop {
    /// Its name.
    pub site: String,
    /// Its id.
    pub id: SiteId,
    /// The round-trip time from here to it in milliseconds; absent where it did not answer.
    pub rtt_ms: Option<f64>,
}

/// Body of `POST /v1/trace`: which way a new flow would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest {
    /// The service.
    pub address: String,
    /// The listener whose strategy decides. Default: balanced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
}

/// Answer of `POST /v1/trace`: the way that a flow would go now, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The service that was asked for.
    pub address: Address,
    /// The listener whose strategy decides.
    pub listener: Option<String>,
    /// How a site is chosen.
    pub strategy: Strategy,
    /// The sites that offer it, the one that is chosen first, then the best.
    pub candidates: Vec<TraceCandidate>,
    /// The site that is chosen; absent where none can be.
    pub chosen: Option<SiteRef>,
    /// Why that one, or why none: a sentence.
    pub why: String,
    /// The sites on the way, this one first, the chosen one last; empty where none is chosen.
    pub path: Vec<TraceHop>,
}

/// A site to which a new flow may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceCandidate {
    /// The service; of a listener with several addresses it may be another than the one asked for.
    pub address: Address,
    /// Its name.
    pub site: String,
    /// Its id.
    pub id: SiteId,
    /// Healthy targets there.
    pub targets: u32,
    /// The cost of the way.
    pub cost: u32,
    /// Flows from here that are open there.
    pub flows_open: u64,
    /// What failures of late add to its cost; absent where that is not told.
    pub penalty: Option<u32>,
    /// Cost, penalty and flows per target as one number: the lowest is chosen by `balanced`.
    pub score: f64,
    /// The priority of its best targets: the lowest is chosen by `failover`.
    pub priority: u16,
    /// Its share of new flows under `weighted`, 0 to 1.
    pub share: f64,
    /// Whether a flow can go there now.
    pub usable: bool,
    /// Whether a flow would go there now.
    pub chosen: bool,
}

/// A site on the way of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceHop {
    /// Its name.
    pub site: String,
    /// Its id.
    pub id: SiteId,
    /// This site's link to it; only the first of the way is known by name.
    pub link: Option<String>,
    /// The cost of the link that leads to it; absent for this site itself.
    pub cost: Option<u16>,
    /// The round-trip time from here to it in milliseconds; absent where it did not answer.
    pub rtt_ms: Option<f64>,
}
