//! The whole wanted state of one site, as files, environment and defaults give it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{AcceptSpec, ByteSize, ConnectorSpec, LinkSpec, ListenerSpec, SiteSpec};

/// The merged configuration of one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// `[site]`
    pub site: SiteSpec,
    /// `[accept]`; absent: this site only dials.
    pub accept: Option<AcceptSpec>,
    /// `[[link]]`, names unique.
    pub links: Vec<LinkSpec>,
    /// `[[connector]]`, names unique.
    pub connectors: Vec<ConnectorSpec>,
    /// `[[listener]]`, names and binds unique.
    pub listeners: Vec<ListenerSpec>,
    /// `[services]`
    pub services: ServicesSpec,
    /// `[podman]`
    pub podman: PodmanSpec,
    /// `[identity]`; absent: the site makes its own authority.
    pub identity: Option<IdentitySpec>,
    /// `[api]`
    pub api: ApiSpec,
    /// `[metrics]`; absent: only the socket in the runtime directory tells them.
    pub metrics: Option<MetricsSpec>,
    /// `[tracing]`; absent: requests have no spans.
    pub tracing: Option<TracingSpec>,
    /// `[log]`
    pub log: LogSpec,
    /// `[limits]`
    pub limits: LimitsSpec,
}

/// `[services]`: services that appear here by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicesSpec {
    /// Globs of addresses; empty: none. Default: `*`.
    pub import: Vec<String>,
    /// The domain of their names; empty: they have none. Default: `van.internal`.
    pub domain: String,
    /// The network of their addresses, at most 2^24 of them. Default: `198.18.0.0/16`, which is set
    /// aside for tests between networks (RFC 2544) and in use nowhere else.
    pub subnet: Ipv4Net,
}

/// `[podman]`: where containers and pods are looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodmanSpec {
    /// Whether containers offer themselves by labels: `van.address`, `van.port` and so on.
    pub expose_labels: bool,
    /// Paths of podman's API sockets. Empty: that of whose daemon this is, the host's or a user's.
    #[serde(default)]
    pub sockets: Vec<PathBuf>,
    /// Users whose rootless podman is asked, too; names or numbers.
    #[serde(default)]
    pub users: Vec<String>,
}

/// `[identity]`: an intermediate authority of the organisation's own, PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentitySpec {
    /// The intermediate authority's certificate.
    pub ca: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities that may have issued peers' authorities.
    pub bundle: PathBuf,
}

/// `[api]`: the socket that vanctl talks to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiSpec {
    /// Path of the Unix socket. `None`: `vand.sock` in the runtime directory.
    pub socket: Option<PathBuf>,
    /// The group that may write. Default: `vand`.
    pub group: String,
}

/// `[metrics]`: where Prometheus asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSpec {
    /// The place of an HTTP server that tells counts to whoever asks.
    pub listen: SocketAddr,
}

/// `[tracing]`: where spans of requests go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracingSpec {
    /// The base of a collector that speaks OTLP over HTTP, as `http://127.0.0.1:4318`.
    pub otlp: String,
    /// The share of requests without a parent that get spans. Default: all.
    #[serde(default)]
    pub sample: SampleRate,
}

/// A share of all, 0 to 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct SampleRate(u32);

impl SampleRate {
    const ALL: u32 = 1_000_000;

    /// The share in millionths, 0..=1,000,000.
    pub fn millionths(self) -> u32 {
        self.0
    }
}

impl Default for SampleRate {
    fn default() -> Self {
        Self(Self::ALL)
    }
}

impl From<f64> for SampleRate {
    /// Rounds to a millionth; what is below 0 or above 1 is cut to that.
    fn from(share: f64) -> Self {
        let all = f64::from(Self::ALL);
        Self((share * all).round().clamp(0.0, all) as u32)
    }
}

impl From<SampleRate> for f64 {
    fn from(rate: SampleRate) -> Self {
        Self::from(rate.0) / Self::from(SampleRate::ALL)
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter as in `RUST_LOG`. Default: `info`.
    pub level: String,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsSpec {
    /// The most flows open at once, 1..=1,000,000. Default: 100,000.
    pub flows: u32,
    /// The most bytes that one direction of a flow may have under way, 64 KiB..=256 MiB.
    /// Default: 16 MiB.
    pub flow_window_max: ByteSize,
}

impl Default for ServicesSpec {
    fn default() -> Self {
        let subnet = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 16);
        Self { import: vec!["*".into()], domain: "van.internal".into(), subnet }
    }
}

impl Default for ApiSpec {
    fn default() -> Self {
        Self { socket: None, group: "vand".into() }
    }
}

impl Default for LogSpec {
    fn default() -> Self {
        Self { level: "info".into() }
    }
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self { flows: 100_000, flow_window_max: ByteSize::bytes(16 << 20) }
    }
}

impl Config {
    /// The configuration of a site of which nothing is said but its name.
    pub fn new(site: SiteSpec) -> Self {
        Self {
            site,
            accept: None,
            links: Vec::new(),
            connectors: Vec::new(),
            listeners: Vec::new(),
            services: ServicesSpec::default(),
            podman: PodmanSpec::default(),
            identity: None,
            api: ApiSpec::default(),
            metrics: None,
            tracing: None,
            log: LogSpec::default(),
            limits: LimitsSpec::default(),
        }
    }
}
