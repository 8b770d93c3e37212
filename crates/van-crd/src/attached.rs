//! `AttachedConnector` and `AttachedConnectorBinding`: a workload of another namespace, offered where both
//! namespaces say so.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connector::{ConnectorSpec, ConnectorStatus};
use crate::invalid::Invalid;

/// An AttachedConnector allows the site of another namespace to offer pods of this one. The
/// AttachedConnectorBinding of the same name there has to ask for it, and the site's pods need the right to see
/// this namespace's pods (k8s/attached). One of selector and workload says which pods.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "vand.dev",
    version = "v1alpha1",
    kind = "AttachedConnector",
    namespaced,
    shortname = "vattached",
    category = "vand",
    printcolumn = r#"{"name":"Site namespace","type":"string","jsonPath":".spec.siteNamespace"}"#,
    printcolumn = r#"{"name":"Port","type":"integer","jsonPath":".spec.port"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AttachedConnectorSpec {
    /// The namespace of the site that may offer the pods.
    pub site_namespace: String,
    /// The port at each pod. Default with a workload: the first port of its containers or of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// What the service speaks: tcp, http, http2 or udp. Default: tcp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["tcp", "http", "http2", "udp", null]))]
    pub protocol: Option<String>,
    /// Labels that the pods have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// The pods of deployment/NAME, statefulset/NAME, daemonset/NAME or service/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Whether pods count that are not ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_not_ready: bool,
}

/// An AttachedConnectorBinding offers pods of another namespace, which the AttachedConnector of the same name
/// there allows.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "vand.dev",
    version = "v1alpha1",
    kind = "AttachedConnectorBinding",
    namespaced,
    status = "ConnectorStatus",
    shortname = "vbinding",
    category = "vand",
    printcolumn = r#"{"name":"Connector namespace","type":"string","jsonPath":".spec.connectorNamespace"}"#,
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".status.address"}"#,
    printcolumn = r#"{"name":"Targets","type":"integer","jsonPath":".status.targets"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AttachedConnectorBindingSpec {
    /// The namespace of the AttachedConnector.
    pub connector_namespace: String,
    /// The service's name in the network, NAME or NAME:PORT. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The port under which the service appears at other sites. Default: the pods' port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub service_port: Option<i64>,
    /// Whether each pod gets an address of its own, POD.ADDRESS, beside the address of all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub headless: bool,
    /// Lower is preferred by the failover strategy, 0 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub priority: Option<i64>,
    /// Each target's share under the weighted strategy, 1 to 65535. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub weight: Option<i64>,
}

impl AttachedConnectorBindingSpec {
    /// The namespace of the other half.
    ///
    /// # Errors
    /// It is the binding's own, where a Connector does.
    pub fn namespace(&self, own: &str) -> Result<&str, Invalid> {
        if self.connector_namespace == own {
            let why = "it is this very namespace: use a Connector";
            return Err(Invalid::new("spec.connectorNamespace", why));
        }
        Ok(&self.connector_namespace)
    }

    /// What both halves want together, as a Connector says it.
    pub fn with(&self, attached: AttachedConnectorSpec) -> ConnectorSpec {
        let AttachedConnectorSpec { port, protocol, selector, workload, include_not_ready, .. } =
            attached;
        ConnectorSpec {
            address: self.address.clone(),
            port,
            service_port: self.service_port,
            protocol,
            selector,
            workload,
            headless: self.headless,
            include_not_ready,
            priority: self.priority,
            weight: self.weight,
            ..ConnectorSpec::default()
        }
    }
}
