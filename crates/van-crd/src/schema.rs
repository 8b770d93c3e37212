//! The schemas as a cluster takes them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use schemars::{Schema, SchemaGenerator, json_schema};

/// The kinds and their plural names, as they appear in addresses of the API.
pub const KINDS: [(&str, &str); 8] = [
    ("Site", "sites"),
    ("Link", "links"),
    ("Listener", "listeners"),
    ("Connector", "connectors"),
    ("AccessGrant", "accessgrants"),
    ("AccessToken", "accesstokens"),
    ("AttachedConnector", "attachedconnectors"),
    ("AttachedConnectorBinding", "attachedconnectorbindings"),
];

/// All definitions, in the order of [`KINDS`].
pub fn crds() -> [CustomResourceDefinition; 8] {
    [
        without_spec(crate::Site::crd()),
        crate::Link::crd(),
        crate::Listener::crd(),
        crate::Connector::crd(),
        without_spec(crate::AccessGrant::crd()),
        crate::AccessToken::crd(),
        crate::AttachedConnector::crd(),
        crate::AttachedConnectorBinding::crd(),
    ]
}

/// Lets objects do without a spec of which every field has a default.
fn without_spec(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let schemas = definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        schema.required = None;
    }
    definition
}

/// Routes: their fields are checked where files' are, with better words than a schema has.
pub(crate) fn routes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 1000,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}
