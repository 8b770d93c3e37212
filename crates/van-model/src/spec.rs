//! Wanted state: one spec for each kind of resource.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Address, Bind, Check, ConnectorTls, HostPort, ListenerTls, Mode, Name, Protocol, RouteSpec,
    Strategy, Target,
};

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
    /// A credential of this name, which the service manager gives the daemon.
    Credential(String),
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
    /// When the target is checked, and what counts.
    #[serde(default)]
    pub timing: CheckTiming,
    /// Whether to send a PROXY protocol v2 header to the workload.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Lower is preferred by the `failover` strategy.
    #[serde(default)]
    pub priority: u16,
    /// Share under the `weighted` strategy, 1..=65535.
    #[serde(default = "one")]
    pub weight: NonZeroU16,
    /// TLS towards the workload. `None`: its bytes as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ConnectorTls>,
}

impl ConnectorSpec {
    /// Says what does not go together.
    ///
    /// # Errors
    /// TLS with datagrams, with a PROXY header, without a name to verify, or half a key pair.
    pub fn check_tls(&self) -> Result<(), String> {
        let Some(tls) = &self.tls else { return Ok(()) };
        if self.protocol == Protocol::Udp {
            return Err("tls goes with protocol tcp, http and http2, not with udp".into());
        }
        if tls.server_name.is_none() && !matches!(self.target, Target::Tcp(_)) {
            return Err(
                "tls.server_name is missing: the target has no host that a certificate could be \
                        of"
                .into(),
            );
        }
        tls.check()
    }

    /// Sets what follows from the rest: a target of datagrams is not asked for a TCP connection.
    #[must_use]
    pub fn settled(mut self) -> Self {
        if self.protocol == Protocol::Udp && self.check == Check::Tcp {
            self.check = Check::None;
        }
        self
    }
}

/// When a target is checked, and how many checks count: `check_idle` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckTiming {
    /// Time without a new flow after which the target is checked, in milliseconds. Default: 10 s.
    pub idle_ms: u64,
    /// Time between two checks of a target that fails, in milliseconds. Default: 2 s.
    pub interval_ms: u64,
    /// Time for one check, in milliseconds. Default: 5 s.
    pub timeout_ms: u64,
    /// Failures in a row after which a healthy target is left out, 1..=100. Default: 2.
    pub failures: u32,
    /// Successes in a row after which a failed target is offered again, 1..=100. Default: 1.
    pub successes: u32,
}

impl Default for CheckTiming {
    fn default() -> Self {
        let (idle_ms, interval_ms, timeout_ms) = (10_000, 2_000, 5_000);
        Self { idle_ms, interval_ms, timeout_ms, failures: 2, successes: 1 }
    }
}

impl CheckTiming {
    /// The least and the most of a time, in milliseconds: 100 ms and an hour.
    pub const TIMES: (u64, u64) = (100, 3_600_000);
    /// The least and the most of a count.
    pub const COUNTS: (u32, u32) = (1, 100);

    /// Says what is out of range.
    pub fn check(&self) -> Result<(), String> {
        let times = [
            ("check_idle", self.idle_ms),
            ("check_interval", self.interval_ms),
            ("check_timeout", self.timeout_ms),
        ];
        for (what, ms) in times {
            if !(Self::TIMES.0..=Self::TIMES.1).contains(&ms) {
                return Err(format!("{what} is out of range: from 100ms to 1h"));
            }
        }
        for (what, n) in [("check_failures", self.failures), ("check_successes", self.successes)] {
            if !(Self::COUNTS.0..=Self::COUNTS.1).contains(&n) {
                return Err(format!("{what} is out of range: from 1 to 100"));
            }
        }
        Ok(())
    }
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
    /// How a target is chosen. Default: balanced.
    #[serde(default)]
    pub strategy: Strategy,
    /// Several addresses in the order of `failover`, `address` the first of them. Empty: `address`
    /// alone.
    #[serde(default)]
    pub addresses: Vec<AddressChoice>,
    /// Of datagrams: time without one after which a client's session ends, in milliseconds; half of it
    /// while only one side has spoken. Default: 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_idle_ms: Option<u64>,
    /// Where requests go by what they ask for; of `tcp`, connections by their TLS server name. Empty: all
    /// go to the listener's addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteSpec>,
    /// Whether what matches no route goes nowhere; `address` is no more than a name then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_routes: bool,
    /// TLS towards the clients. `None`: their bytes as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
}

impl ListenerSpec {
    /// The least and the most of `udp_idle`, in milliseconds: 1 s and an hour.
    pub const UDP_IDLE: (u64, u64) = (1000, 3_600_000);

    /// Says what is out of range or does not go together.
    pub fn check(&self) -> Result<(), String> {
        let range = Self::UDP_IDLE.0..=Self::UDP_IDLE.1;
        if self.udp_idle_ms.is_some_and(|ms| !range.contains(&ms)) {
            return Err("udp_idle is out of range: from 1s to 1h".into());
        }
        if self.tls.is_some() && self.protocol == Protocol::Udp {
            return Err("tls goes with protocol tcp, http and http2, not with udp".into());
        }
        if self.tls.is_some() && self.protocol == Protocol::Tcp && !self.routes.is_empty() {
            return Err(
                "routes of tcp read the server name that clients ask for and leave their TLS as \
                        it is: take out tls, or set protocol = \"http\""
                    .into(),
            );
        }
        match (self.protocol, &self.bind) {
            (Protocol::Udp, Bind::Unix(_)) => {
                Err("a listener of datagrams binds host:port, not unix:/path".into())
            }
            _ => self.check_routes(),
        }
    }

    fn check_routes(&self) -> Result<(), String> {
        if self.routes.len() > RouteSpec::MOST {
            return Err(format!("a listener has {} routes at most", RouteSpec::MOST));
        }
        if self.only_routes && self.routes.is_empty() {
            return Err("a listener needs an address or routes".into());
        }
        let wrong = |(n, route): (usize, &RouteSpec)| {
            let error = route.check(self.protocol).err()?;
            Some(format!("routes[{n}].{error}"))
        };
        self.routes.iter().enumerate().find_map(wrong).map_or(Ok(()), Err)
    }

    /// Time without a datagram after which a client's session ends.
    pub fn udp_idle(&self) -> Duration {
        Duration::from_millis(self.udp_idle_ms.unwrap_or(60_000))
    }

    /// A listener for one address with every default.
    pub fn new(name: Name, address: Address, bind: Bind) -> Self {
        let (protocol, strategy) = (Protocol::default(), Strategy::default());
        let (addresses, routes) = (Vec::new(), Vec::new());
        let (udp_idle_ms, only_routes) = (None, false);
        Self {
            name,
            address,
            protocol,
            bind,
            strategy,
            addresses,
            udp_idle_ms,
            routes,
            only_routes,
            tls: None,
        }
    }

    /// Every address that it leads to, by a route or without one: each once, at least one.
    pub fn all_addresses(&self) -> Vec<Address> {
        let routed = self.routes.iter().flat_map(RouteSpec::choices);
        let mut all: Vec<Address> = Vec::new();
        for choice in self.choices().into_iter().chain(routed) {
            if !all.contains(&choice.address) {
                all.push(choice.address);
            }
        }
        all
    }

    /// The addresses where what matches no route goes; none where it goes nowhere.
    pub fn choices(&self) -> Vec<AddressChoice> {
        match &self.addresses[..] {
            _ if self.only_routes => Vec::new(),
            [] => vec![AddressChoice { address: self.address.clone(), weight: one() }],
            several => several.to_vec(),
        }
    }
}

/// One of several addresses of a listener: `ADDRESS` or `ADDRESS=WEIGHT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressChoice {
    /// The service's name in the network.
    pub address: Address,
    /// Its share under the `weighted` strategy, 1..=65535. Default: 1.
    pub weight: NonZeroU16,
}

/// A text that is no address with a weight.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressChoiceError {
    /// The address.
    #[error(transparent)]
    Address(#[from] crate::NameError),
    /// The weight.
    #[error("{0:?} is no weight from 1 to 65535")]
    Weight(String),
    /// The weight of a route's address.
    #[error("{0:?} is no weight from 0 to 65535")]
    Share(String),
}

impl std::str::FromStr for AddressChoice {
    type Err = AddressChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, weight) = match text.split_once('=') {
            Some((address, weight)) => {
                let number = weight.parse();
                (address, number.map_err(|_| AddressChoiceError::Weight(weight.into()))?)
            }
            None => (text, one()),
        };
        Ok(Self { address: address.parse()?, weight })
    }
}

impl std::fmt::Display for AddressChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.weight {
            NonZeroU16::MIN => write!(f, "{}", self.address),
            weight => write!(f, "{}={weight}", self.address),
        }
    }
}

impl Serialize for AddressChoice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AddressChoice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}
