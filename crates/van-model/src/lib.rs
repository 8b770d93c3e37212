//! The words that every part of vand shares.
//!
//! A [`Config`] is the wanted state of one site: a set of *specs*. What runs is told as *statuses*
//! ([`status`]), each with [`Condition`]s. The socket API sends both as [`Resource`]s ([`api`]).
//!
//! Invariant: this crate is pure. It knows no runtime, socket, file or clock, and every type that
//! comes from outside (a name, an id, a target) is valid once it exists.

pub mod api;
mod condition;
mod config;
mod endpoint;
mod explain;
mod host_pattern;
mod name;
mod protocol;
mod route;
mod site_id;
mod spec;
pub mod status;
mod tls;
mod unit;
mod workload;

pub use api::{ApiError, ErrorCode, List, Resource, Source};
pub use condition::{Condition, ConditionStatus, Conditions};
pub use config::{
    ApiSpec, Config, IdentitySpec, LimitsSpec, LogSpec, MetricsSpec, PodmanSpec, SampleRate,
    ServicesSpec, TracingSpec,
};
pub use endpoint::{Bind, EndpointError, HostPort, Target, is_metadata};
pub use explain::{EXPLANATIONS, Explanation, catalogue, explain, message_id};
pub use host_pattern::{HostPattern, HostPatternError};
pub use name::{Address, Name, NameError};
pub use protocol::{Check, Mode, ParseWordError, Protocol, Strategy};
pub use route::{RouteError, RouteSpec, RouteTarget};
pub use site_id::{SiteId, SiteIdError};
pub use spec::{
    AcceptSpec, AddressChoice, AddressChoiceError, CheckTiming, ConnectorSpec, Cost, LinkSpec,
    ListenerSpec, SiteSpec, TokenSpec,
};
pub use tls::{ConnectorTls, ListenerTls};
pub use unit::{ByteSize, UnitError, parse_duration};
pub use workload::{Workload, WorkloadKind};

/// The TCP port on which sites accept links (V-A-N-D on a telephone's keypad).
pub const LINK_PORT: u16 = 8263;
