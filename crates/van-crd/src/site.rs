//! `Site`: the namespace's part in the network.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use van_model::{HostPort, Mode, Name};

use crate::invalid::{Invalid, parse};
use crate::status::Condition;

/// A Site makes this namespace a site of a network: vand's pods in it hold the links and carry the
/// traffic. A namespace has one Site.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "vand.dev",
    version = "v1alpha1",
    kind = "Site",
    namespaced,
    status = "SiteStatus",
    shortname = "vsite",
    category = "vand",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Sites","type":"integer","jsonPath":".status.sitesReached","description":"Other sites that can be reached"}"#,
    printcolumn = r#"{"name":"Links","type":"integer","jsonPath":".status.linksUp"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SiteSpec {
    /// The site's name, unique in the network, at most 63 of a-z, 0-9 and '-'. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
    /// Its part: an interior site accepts links and carries others' traffic, an edge site does neither.
    /// Default: interior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["interior", "edge", null]))]
    pub mode: Option<String>,
    /// Free labels, used by policies and shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How other sites reach this one to link to it; several at once. Empty: links are accepted from
    /// within the cluster only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<Access>,
    /// Services of other sites that appear here by themselves.
    #[serde(default)]
    pub services: SiteServices,
    /// What is written to the log: error, warn, info, debug, trace, or a filter. Default: info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// What is understood for the sake of those who come from elsewhere.
    #[serde(default)]
    pub compat: Compat,
}

/// One way by which other sites reach this one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// LoadBalancer, NodePort, Ingress (TLS passthrough), Route (OpenShift, TLS passthrough), Gateway
    /// (a TLSRoute of the Gateway API), or Manual: nothing is made, `endpoints` are told.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["LoadBalancer", "NodePort", "Ingress", "Route", "Gateway", "Manual"]))]
    pub kind: String,
    /// HOST:PORT as it goes into tokens. Needed with Manual; with NodePort a host that reaches the
    /// nodes; with others in the place of what is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The host name of an Ingress, a Route or a TLSRoute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port at each node, with NodePort. Default: the cluster picks one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
    /// The class of the Ingress, or the name of the Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Annotations of what is made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Services of other sites that appear here by themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteServices {
    /// Globs of addresses for which Services are made here; an empty list makes none. Default: all.
    #[serde(default = "all")]
    #[schemars(length(max = 1000))]
    pub import: Vec<String>,
}

impl Default for SiteServices {
    fn default() -> Self {
        Self { import: all() }
    }
}

fn all() -> Vec<String> {
    vec!["*".into()]
}

/// What is understood for the sake of those who come from elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compat {
    /// Whether the annotations skupper.io/proxy, address, port, target and headless are understood.
    #[serde(default)]
    pub skupper: bool,
}

/// What is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatus {
    /// Ready: vand's pods run this site.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The generation that was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The site's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The version of vand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// HOST:PORT where links are accepted, as it goes into tokens.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Other sites that can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites_reached: Option<i64>,
    /// Links that are up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links_up: Option<i64>,
}

impl SiteSpec {
    /// The site as the daemon wants it; `object`: the object's name.
    ///
    /// # Errors
    /// A name that is no label, or a word that is not known.
    pub fn to_spec(&self, object: &str) -> Result<van_model::SiteSpec, Invalid> {
        let name: Option<Name> = parse("spec.name", self.name.as_deref())?;
        let name = match name {
            Some(name) => name,
            None => Name::from_lossy(object)
                .ok_or_else(|| Invalid::new("metadata.name", "no site can be named after it"))?,
        };
        let mode: Option<Mode> = parse("spec.mode", self.mode.as_deref())?;
        for (n, access) in self.access.iter().enumerate() {
            access.check(n)?;
        }
        Ok(van_model::SiteSpec {
            name,
            mode: mode.unwrap_or_default(),
            labels: self.labels.clone(),
        })
    }
}

impl Access {
    /// The endpoints that are given by hand.
    pub fn by_hand(&self) -> impl Iterator<Item = HostPort> {
        self.endpoints.iter().filter_map(|text| text.parse().ok())
    }

    fn check(&self, n: usize) -> Result<(), Invalid> {
        let at = |field: &str| format!("spec.access[{n}].{field}");
        for endpoint in &self.endpoints {
            endpoint.parse::<HostPort>().map_err(|why| Invalid::new(at("endpoints"), why))?;
        }
        match self.kind.as_str() {
            "LoadBalancer" | "NodePort" => Ok(()),
            "Ingress" | "Route" | "Gateway" if self.host.is_some() => Ok(()),
            "Ingress" | "Gateway" => {
                Err(Invalid::new(at("host"), "it is missing: clients ask for it"))
            }
            "Route" => Ok(()),
            "Manual" if !self.endpoints.is_empty() => Ok(()),
            "Manual" => Err(Invalid::new(
                at("endpoints"),
                "they are missing: say where this site is reached, as van.example.com:8263",
            )),
            other => Err(Invalid::new(
                at("type"),
                format!(
                    "{other:?} is not one of LoadBalancer, NodePort, Ingress, Route, Gateway, Manual"
                ),
            )),
        }
    }
}
