//! The schemas as a cluster takes them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use schemars::{Schema, SchemaGenerator, json_schema};

/// The kinds and their plural names, as they appear in addresses of the API.
pub const KINDS: [(&str, &str); 6] = [
    ("Site", "sites"),
    ("Link", "links"),
    ("Listener", "listeners"),
    ("Connector", "connectors"),
    ("AccessGrant", "accessgrants"),
    ("AccessToken", "accesstokens"),
];

/// All definitions, in the order of [`KINDS`].
pub fn crds() -> [CustomResourceDefinition; 6] {
    [
        crate::Site::crd(),
        crate::Link::crd(),
        crate::Listener::crd(),
        crate::Connector::crd(),
        crate::AccessGrant::crd(),
        crate::AccessToken::crd(),
    ]
}

/// Routes: their fields are checked where files' are, with better words than a schema has.
pub(crate) fn routes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 1000,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}
