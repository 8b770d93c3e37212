//! The custom resources of vand (group `vand.dev`, version `v1alpha1`): their types, the schemas that
//! a cluster checks them by, and the specs that they become.
//!
//! The types say what a cluster accepts and what `kubectl explain` tells; [`k8s/crds`] is written from
//! them by a test. An object becomes a spec of [`van_model`] by `to_spec` of its type, so that files and
//! clusters have one validator. [`skupper`] reads the resources of Skupper's second version.
//!
//! Invariants: nothing here talks to a cluster; an object that can't be read is an [`Invalid`] that names
//! the field, never a panic; words that this version does not know are refused there, not by the type, so
//! that one object of a newer version does not hide the others.
//!
//! [`k8s/crds`]: https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/

mod access_grant;
mod access_token;
mod attached;
mod connector;
mod invalid;
mod link;
mod listener;
mod schema;
mod site;
mod status;
mod tls;

pub use access_grant::{AccessGrant, AccessGrantSpec, AccessGrantStatus, Granted};
pub use access_token::{AccessToken, AccessTokenSpec, AccessTokenStatus};
pub use attached::{
    AttachedConnector, AttachedConnectorBinding, AttachedConnectorBindingSpec,
    AttachedConnectorSpec,
};
pub use connector::{Connector, ConnectorSpec, ConnectorStatus, Targets, Workload, WorkloadKind};
pub use invalid::Invalid;
pub use link::{Link, LinkSpec, LinkStatus, SecretKey};
pub use listener::{Listener, ListenerSpec, ListenerStatus};
pub use schema::{KINDS, crds};
pub use site::{Access, Compat, Site, SiteServices, SiteSpec, SiteStatus};
pub use status::Condition;
pub use tls::{ConnectorTls, ListenerTls};

/// The API group of the custom resources.
pub const GROUP: &str = "vand.dev";

/// Their version.
pub const VERSION: &str = "v1alpha1";
