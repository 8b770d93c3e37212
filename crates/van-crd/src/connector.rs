//! `Connector`: a workload of this namespace offered to the network.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use van_model::{Address, Check, HostPort, Name, Protocol, Target};

use crate::invalid::{Invalid, in_range, parse};
use crate::link::object_name;
use crate::status::Condition;
use crate::tls::ConnectorTls;

/// A Connector offers pods of this namespace, or a host that vand's pods reach, to the network under an
/// address. Exactly one of selector, workload and host says which.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "vand.dev",
    version = "v1alpha1",
    kind = "Connector",
    namespaced,
    status = "ConnectorStatus",
    shortname = "vconnector",
    category = "vand",
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".status.address"}"#,
    printcolumn = r#"{"name":"Port","type":"integer","jsonPath":".spec.port"}"#,
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".spec.protocol"}"#,
    printcolumn = r#"{"name":"Targets","type":"integer","jsonPath":".status.targets"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorSpec {
    /// The service's name in the network, NAME or NAME:PORT. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The port at each target. Default with a workload: the first port of its containers or of the
    /// Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// The port under which the service appears at other sites. Default: the targets' port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub service_port: Option<i64>,
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
    /// A host name or IP address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether each pod gets an address of its own, POD.ADDRESS, beside the address of all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub headless: bool,
    /// Whether pods count that are not ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_not_ready: bool,
    /// How targets are watched beside the cluster's own probes: tcp, http:/path or none. Default: none
    /// for pods, tcp for a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Whether a PROXY protocol v2 header is sent to targets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
    /// Lower is preferred by the failover strategy, 0 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub priority: Option<i64>,
    /// Each target's share under the weighted strategy, 1 to 65535. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub weight: Option<i64>,
    /// TLS towards the targets. Default: their bytes as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ConnectorTls>,
}

/// What is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorStatus {
    /// Ready: at least one target is offered.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The generation that was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The service's name in the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Targets that are offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<i64>,
}

/// A controller of pods, or a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// Which kind it is of.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// What pods may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A Service.
    Service,
}

impl WorkloadKind {
    /// The word before the slash.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Service => "service",
        }
    }
}

/// A text that names no workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no workload: write deployment/NAME, statefulset/NAME, daemonset/NAME or service/NAME"
)]
pub struct ParseWorkloadError(String);

impl FromStr for Workload {
    type Err = ParseWorkloadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseWorkloadError(text.into());
        let (kind, name) = text.split_once('/').ok_or_else(error)?;
        let kind = match kind.to_ascii_lowercase().as_str() {
            "deployment" | "deployments" | "deploy" => WorkloadKind::Deployment,
            "statefulset" | "statefulsets" | "sts" => WorkloadKind::StatefulSet,
            "daemonset" | "daemonsets" | "ds" => WorkloadKind::DaemonSet,
            "service" | "services" | "svc" => WorkloadKind::Service,
            _ => return Err(error()),
        };
        if name.is_empty() || name.contains('/') {
            return Err(error());
        }
        Ok(Self { kind, name: name.into() })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// Where a connector's targets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Pods with these labels.
    Selector(BTreeMap<String, String>),
    /// The pods of a workload.
    Workload(Workload),
    /// One host.
    Host(String),
}

impl ConnectorSpec {
    /// Where the targets are.
    ///
    /// # Errors
    /// None or several of the fields that say it are set.
    pub fn targets(&self) -> Result<Targets, Invalid> {
        let workload: Option<Workload> = parse("spec.workload", self.workload.as_deref())?;
        match (self.selector.is_empty(), workload, &self.host) {
            (false, None, None) => Ok(Targets::Selector(self.selector.clone())),
            (true, Some(workload), None) => Ok(Targets::Workload(workload)),
            (true, None, Some(host)) => Ok(Targets::Host(host.clone())),
            (true, None, None) => Err(Invalid::new(
                "spec",
                "one of selector, workload and host is needed: they say where the targets are",
            )),
            _ => Err(Invalid::new(
                "spec",
                "selector, workload and host exclude each other: keep one",
            )),
        }
    }

    /// The port at each target, where it is given.
    ///
    /// # Errors
    /// It is not 1 to 65535.
    pub fn port(&self) -> Result<Option<NonZeroU16>, Invalid> {
        port("spec.port", self.port)
    }

    /// The service's name in the network.
    ///
    /// # Errors
    /// It is none.
    pub fn address(&self, object: &str) -> Result<Address, Invalid> {
        let field = self.address.as_ref().map_or("metadata.name", |_| "spec.address");
        let address = self.address.as_deref().unwrap_or(object);
        address.parse().map_err(|why| Invalid::new(field, why))
    }

    /// The connector for one target as the daemon wants it. `file`: where a key of a Secret is found as
    /// a file.
    ///
    /// # Errors
    /// The first field that can't be used.
    pub fn to_spec(
        &self,
        object: &str,
        target: HostPort,
        file: impl Fn(&str, &str) -> String,
    ) -> Result<van_model::ConnectorSpec, Invalid> {
        let name: Name = object_name(object)?;
        let protocol: Option<Protocol> = parse("spec.protocol", self.protocol.as_deref())?;
        let check: Option<Check> = parse("spec.check", self.check.as_deref())?;
        // The cluster's probes watch pods already.
        let by_default = if self.host.is_some() { Check::Tcp } else { Check::None };
        let weight = port("spec.weight", self.weight)?.unwrap_or(NonZeroU16::MIN);
        let spec = van_model::ConnectorSpec {
            name,
            address: self.address(object)?,
            protocol: protocol.unwrap_or_default(),
            target: Target::Tcp(target),
            service_port: port("spec.servicePort", self.service_port)?,
            check: check.unwrap_or(by_default),
            timing: van_model::CheckTiming::default(),
            proxy_protocol: self.proxy_protocol,
            priority: in_range("spec.priority", self.priority.unwrap_or(0), "from 0 to 65535")?,
            weight,
            tls: self.tls.as_ref().map(|tls| tls_files(tls, file)),
        };
        spec.check_tls().map_err(|why| Invalid::new("spec.tls", why))?;
        Ok(spec.settled())
    }
}

fn tls_files(tls: &ConnectorTls, file: impl Fn(&str, &str) -> String) -> van_model::ConnectorTls {
    let shown = tls.secret.as_ref().filter(|_| tls.client_certificate);
    van_model::ConnectorTls {
        server_name: tls.server_name.clone(),
        ca: tls.secret.as_ref().map(|secret| file(secret, "ca.crt")),
        certificate: shown.map(|secret| file(secret, "tls.crt")),
        key: shown.map(|secret| file(secret, "tls.key")),
    }
}

fn port(field: &str, number: Option<i64>) -> Result<Option<NonZeroU16>, Invalid> {
    let read = |number: i64| {
        let small: u16 = in_range(field, number, "from 1 to 65535")?;
        NonZeroU16::new(small).ok_or_else(|| Invalid::new(field, "0 is not from 1 to 65535"))
    };
    number.map(read).transpose()
}
