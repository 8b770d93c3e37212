//! Wanted state: one spec for each kind of resource.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Address, Bind, Check, HostPort, Mode, Name, Protocol, Target};

/// The cost of a link, 1..=65535; both ends use the dialler's.
pub type Cost = NonZeroU16;

/// `[site]`: who this site is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSpec {
    /// The site's name, unique in the network. Default: the host's name.
    pub name: Name,
    /// Default: interior.
    #[serde(default)]
    pub mode: Mode,
    /// Free labels, used by policies and shown.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `[accept]`: where this site accepts links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptSpec {
    /// Addresses to listen at, at least one; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// What goes into tokens. Empty: the host's addresses.
    #[serde(default)]
    pub advertise: Vec<HostPort>,
}

/// `[[link]]`: a link that this site dials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// Unique among this site's links.
    pub name: Name,
    /// Where the token is read; only needed until it is redeemed.
    pub token: TokenSpec,
    /// Cost of the path over this link. `None`: the token's, else 1.
    #[serde(default)]
    pub cost: Option<Cost>,
    /// An HTTP CONNECT proxy, `http://[user[:password]@]host:port`. `None`: the environment's.
    #[serde(default)]
    pub proxy: Option<String>,
}

/// Where a link's token comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSpec {
    /// A file that holds it.
    File(PathBuf),
    /// The text itself (made with `vanctl link create`; never shown again).
    Text(String),
}

/// `[[connector]]`: a local workload offered to the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorSpec {
    /// Unique among this site's connectors.
    pub name: Name,
    /// The service's name in the whole network. Default: the connector's name.
    pub address: Address,
    /// Default: tcp.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where the workload is.
    pub target: Target,
    /// The port under which the service appears elsewhere.
    #[serde(default)]
    pub service_port: Option<NonZeroU16>,
    /// How the target is watched. Default: tcp.
    #[serde(default)]
    pub check: Check,
    /// Whether to send a PROXY protocol v2 header to the workload.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Lower is preferred by the `failover` strategy.
    #[serde(default)]
    pub priority: u16,
    /// Share under the `weighted` strategy, 1..=65535.
    #[serde(default = "one")]
    pub weight: NonZeroU16,
}

/// `[[listener]]`: a service of the network offered here at a fixed place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerSpec {
    /// Unique among this site's listeners.
    pub name: Name,
    /// The service's name in the network. Default: the listener's name.
    pub address: Address,
    /// Default: tcp.
    #[serde(default)]
    pub protocol: Protocol,
    /// Where clients connect; unique among this site's listeners.
    pub bind: Bind,
}

const fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}
