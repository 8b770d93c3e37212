//! The objects of a cluster, as far as they count here: a namespace may have thousands.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use serde_json::Value;

/// What every object has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    /// Unique among its kind in the namespace.
    pub name: String,
    /// Unique for ever.
    pub uid: String,
    /// Rises with each change of what is wanted.
    pub generation: Option<i64>,
    /// When it was made.
    pub created: Option<Time>,
    /// Whether somebody deleted it, and it goes when all finalizers are done.
    pub is_deleted: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations of vand and of Skupper; others don't count.
    pub annotations: BTreeMap<String, String>,
    /// The uid of the object that controls it.
    pub owner: Option<String>,
}

/// Prefixes of annotations that count.
const ANNOTATIONS: [&str; 2] = ["vand.dev/", "skupper.io/"];

impl From<ObjectMeta> for Meta {
    fn from(meta: ObjectMeta) -> Self {
        let counts = |key: &str| ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix));
        let owners = meta.owner_references.unwrap_or_default();
        Self {
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            generation: meta.generation,
            created: meta.creation_timestamp,
            is_deleted: meta.deletion_timestamp.is_some(),
            labels: meta.labels.unwrap_or_default(),
            annotations: meta
                .annotations
                .unwrap_or_default()
                .into_iter()
                .filter(|(key, _)| counts(key))
                .collect(),
            owner: owners.into_iter().find(|o| o.controller == Some(true)).map(|o| o.uid),
        }
    }
}

/// A custom resource, its spec unread: one that can't be read must not hide the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What every object has.
    pub meta: Meta,
    /// What is wanted.
    pub spec: Value,
    /// What was said of it last.
    pub status: Value,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pod {
    /// What every object has.
    pub meta: Meta,
    /// Its address, once it has one.
    pub ip: Option<IpAddr>,
    /// Whether its probes let it take traffic.
    pub is_ready: bool,
    /// Whether it is over, or about to be.
    pub is_ending: bool,
}

/// A Deployment, StatefulSet or DaemonSet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workload {
    /// What every object has.
    pub meta: Meta,
    /// The labels by which it knows its pods. Expressions are not read: `None` where there are some.
    pub selector: Option<BTreeMap<String, String>>,
    /// The ports of its containers, in their order.
    pub ports: Vec<PodPort>,
}

/// A port of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodPort {
    /// Its name; may be empty.
    pub name: String,
    /// Its number.
    pub container_port: u16,
}

/// A Service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    /// What every object has.
    pub meta: Meta,
    /// The labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Whether it is headless.
    pub is_headless: bool,
    /// The address of its own, where it has one.
    pub ip: Option<IpAddr>,
    /// What kind of Service it is: `ClusterIP` and so on.
    pub kind: String,
    /// Where a load balancer has put it: names and addresses.
    pub ingress: Vec<String>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; may be empty.
    pub name: String,
    /// The port of the Service.
    pub port: u16,
    /// Whether it is one of datagrams.
    pub is_udp: bool,
    /// The port at its pods, where it is a number.
    pub target: Option<u16>,
    /// The port at every node, with NodePort and LoadBalancer.
    pub node_port: Option<u16>,
}

/// A part of a Service's endpoints.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slice {
    /// What every object has.
    pub meta: Meta,
    /// The Service.
    pub service: String,
    /// Numbers by names; a name may be empty.
    pub ports: Vec<(String, u16)>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Whether it takes traffic.
    pub is_ready: bool,
    /// Whether it is about to end.
    pub is_ending: bool,
    /// The pod behind it.
    pub pod: Option<String>,
    /// Its name below the Service's.
    pub hostname: Option<String>,
}

impl Pod {
    /// Whether its labels have all of these.
    pub fn has_labels(&self, selector: &BTreeMap<String, String>) -> bool {
        selector.iter().all(|(key, value)| self.meta.labels.get(key) == Some(value))
    }
}

/// The form in which a cluster sends objects: only what is read above.
pub(crate) mod wire {
    use super::{BTreeMap, Deserialize, Meta, ObjectMeta, PodPort, ServicePort, Value};

    #[derive(Debug, Clone, Deserialize)]
    pub(crate) struct Object {
        #[serde(default)]
        pub(crate) metadata: ObjectMeta,
        #[serde(default)]
        pub(crate) spec: Value,
        #[serde(default)]
        pub(crate) status: Value,
    }

    impl From<Object> for super::Object {
        fn from(wire: Object) -> Self {
            Self { meta: wire.metadata.into(), spec: wire.spec, status: wire.status }
        }
    }

    #[derive(Debug, Clone, Deserialize)]
    pub(crate) struct Pod {
        #[serde(default)]
        pub(crate) metadata: ObjectMeta,
        #[serde(default)]
        status: PodStatus,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct PodStatus {
        phase: String,
        #[serde(rename = "podIP")]
        pod_ip: Option<String>,
        conditions: Vec<PodCondition>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct PodCondition {
        #[serde(rename = "type")]
        kind: String,
        status: String,
    }

    impl From<Pod> for super::Pod {
        fn from(wire: Pod) -> Self {
            let meta = Meta::from(wire.metadata);
            let ready = |c: &PodCondition| c.kind == "Ready" && c.status == "True";
            Self {
                ip: wire.status.pod_ip.and_then(|ip| ip.parse().ok()),
                is_ready: wire.status.conditions.iter().any(ready),
                is_ending: meta.is_deleted
                    || matches!(wire.status.phase.as_str(), "Succeeded" | "Failed"),
                meta,
            }
        }
    }

    #[derive(Debug, Clone, Deserialize)]
    pub(crate) struct Workload {
        #[serde(default)]
        pub(crate) metadata: ObjectMeta,
        #[serde(default)]
        spec: WorkloadSpec,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct WorkloadSpec {
        selector: Selector,
        template: Template,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Selector {
        match_labels: BTreeMap<String, String>,
        match_expressions: Vec<Value>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct Template {
        spec: TemplateSpec,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct TemplateSpec {
        containers: Vec<Container>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct Container {
        ports: Vec<PodPort>,
    }

    impl From<Workload> for super::Workload {
        fn from(wire: Workload) -> Self {
            let selector = wire.spec.selector;
            let containers = wire.spec.template.spec.containers;
            Self {
                meta: wire.metadata.into(),
                selector: selector.match_expressions.is_empty().then_some(selector.match_labels),
                ports: containers.into_iter().flat_map(|container| container.ports).collect(),
            }
        }
    }

    #[derive(Debug, Clone, Deserialize)]
    pub(crate) struct Service {
        #[serde(default)]
        pub(crate) metadata: ObjectMeta,
        #[serde(default)]
        spec: ServiceSpec,
        #[serde(default)]
        status: ServiceStatus,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct ServiceSpec {
        selector: BTreeMap<String, String>,
        ports: Vec<Port>,
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
        #[serde(rename = "type")]
        kind: String,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Port {
        name: String,
        port: u16,
        protocol: String,
        target_port: Value,
        node_port: Option<u16>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct ServiceStatus {
        load_balancer: LoadBalancer,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct LoadBalancer {
        ingress: Vec<Ingress>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct Ingress {
        hostname: Option<String>,
        ip: Option<String>,
    }

    impl From<Service> for super::Service {
        fn from(wire: Service) -> Self {
            let port = |port: Port| ServicePort {
                name: port.name,
                port: port.port,
                is_udp: port.protocol == "UDP",
                target: port.target_port.as_u64().and_then(|number| u16::try_from(number).ok()),
                node_port: port.node_port.filter(|port| *port != 0),
            };
            let ingress = wire.status.load_balancer.ingress.into_iter();
            Self {
                meta: wire.metadata.into(),
                selector: wire.spec.selector,
                ports: wire.spec.ports.into_iter().map(port).collect(),
                is_headless: wire.spec.cluster_ip == "None",
                ip: wire.spec.cluster_ip.parse().ok(),
                kind: wire.spec.kind,
                ingress: ingress.filter_map(|i| i.hostname.or(i.ip)).collect(),
            }
        }
    }

    #[derive(Debug, Clone, Deserialize)]
    pub(crate) struct Slice {
        #[serde(default)]
        pub(crate) metadata: ObjectMeta,
        // A cluster may send null for either.
        endpoints: Option<Vec<Endpoint>>,
        ports: Option<Vec<SlicePort>>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct SlicePort {
        name: Option<String>,
        port: Option<u16>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Endpoint {
        addresses: Vec<String>,
        conditions: EndpointConditions,
        target_ref: Option<TargetRef>,
        hostname: Option<String>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct EndpointConditions {
        ready: Option<bool>,
        terminating: Option<bool>,
    }

    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    struct TargetRef {
        kind: String,
        name: String,
    }

    impl From<Slice> for super::Slice {
        fn from(wire: Slice) -> Self {
            let meta = Meta::from(wire.metadata);
            let endpoint = |endpoint: Endpoint| {
                Some(super::Endpoint {
                    ip: endpoint.addresses.first()?.parse().ok()?,
                    // What nobody said is taken for ready, as the API wants it.
                    is_ready: endpoint.conditions.ready.unwrap_or(true),
                    is_ending: endpoint.conditions.terminating.unwrap_or(false),
                    pod: endpoint.target_ref.filter(|r| r.kind == "Pod").map(|r| r.name),
                    hostname: endpoint.hostname,
                })
            };
            let port = |port: SlicePort| Some((port.name.unwrap_or_default(), port.port?));
            Self {
                service: meta.labels.get(SERVICE_NAME).cloned().unwrap_or_default(),
                meta,
                ports: wire.ports.unwrap_or_default().into_iter().filter_map(port).collect(),
                endpoints: wire
                    .endpoints
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(endpoint)
                    .collect(),
            }
        }
    }

    /// The label that says of which Service a slice is.
    const SERVICE_NAME: &str = "kubernetes.io/service-name";
}
