//! The objects that vand makes, as they are sent; and what is to be done so that they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Value, json};
use van_model::Protocol;

use crate::index::{Index, Kind};
use crate::object::{Service, Slice};
use crate::plan::{Owner, Plan, WantedHeadless, WantedPort, WantedService, WantedSlice};

/// The label of everything that vand makes; its value says why it is there.
pub(crate) const ROLE: &str = "vand.dev/role";

/// The field manager of all that vand writes.
pub(crate) const MANAGER: &str = "vand";

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// Server-side apply.
    Apply { kind: Kind, name: String, object: Value },
    /// Delete.
    Delete { kind: Kind, name: String },
}

/// What is to be done so that the namespace has what the plan wants, and nothing else of vand's.
/// `pods`: addresses of vand's own pods, for endpoints.
pub(crate) fn due(
    plan: &Plan,
    index: &Index,
    own_labels: &BTreeMap<String, String>,
    pods: &[IpAddr],
) -> Vec<Act> {
    let mut acts = Vec::new();
    for (name, wanted) in &plan.services {
        let there = index.service(name);
        if there.is_none_or(|there| differs(there, wanted, own_labels)) {
            let object = service(name, wanted, own_labels);
            acts.push(Act::Apply { kind: Kind::Service, name: name.clone(), object });
        }
    }
    for (name, wanted) in &plan.headless {
        match index.service(name) {
            // Whether a Service is headless can't be changed.
            Some(there) if !there.is_headless => {
                acts.push(Act::Delete { kind: Kind::Service, name: name.clone() });
            }
            Some(there) if !headless_differs(there, wanted) => {}
            _ => {
                let object = headless(name, wanted);
                acts.push(Act::Apply { kind: Kind::Service, name: name.clone(), object });
            }
        }
    }
    for there in index.services() {
        let role = there.meta.labels.get(ROLE).map(String::as_str);
        let ours = matches!(role, Some("listener" | "import" | "headless"));
        let name = &there.meta.name;
        let is_way = role == Some("access");
        let wanted = plan.services.contains_key(name)
            || plan.headless.contains_key(name)
            || plan.made.iter().any(|made| made.resource.2 == "Service" && made.name == *name);
        if (ours || is_way) && !wanted && !there.meta.is_deleted {
            acts.push(Act::Delete { kind: Kind::Service, name: there.meta.name.clone() });
        }
    }
    let slices: BTreeMap<String, (&String, &WantedSlice)> = plan
        .slices
        .iter()
        .map(|(service, wanted)| (slice_name(service), (service, wanted)))
        .collect();
    for (name, (service, wanted)) in &slices {
        let there = index.slices().find(|slice| slice.meta.name == *name);
        if there.is_none_or(|there| slice_differs(there, wanted, pods)) {
            let object = slice(name, service, wanted, pods);
            acts.push(Act::Apply { kind: Kind::EndpointSlice, name: name.clone(), object });
        }
    }
    for (service, wanted) in &plan.headless {
        let name = slice_name(service);
        let hosts: Vec<(&String, IpAddr)> =
            wanted.hosts.iter().filter_map(|host| Some((host, index.service(host)?.ip?))).collect();
        let there = index.slices().find(|slice| slice.meta.name == name);
        if there.is_none_or(|there| hosts_differ(there, &hosts)) && !hosts.is_empty() {
            let object = hosts_slice(&name, service, wanted, &hosts);
            acts.push(Act::Apply { kind: Kind::EndpointSlice, name, object });
        }
    }
    for there in index.slices().filter(|slice| slice.meta.labels.contains_key(ROLE)) {
        // Those of the Services that vand makes bear the Services' labels, and are the cluster's.
        let ours = there.meta.labels.get(MANAGED_BY).is_some_and(|by| by == MANAGER);
        let wanted =
            slices.contains_key(&there.meta.name) || plan.headless.contains_key(&there.service);
        if ours && !wanted && !there.meta.is_deleted {
            acts.push(Act::Delete { kind: Kind::EndpointSlice, name: there.meta.name.clone() });
        }
    }
    acts
}

/// The label by which controllers of endpoints know their own.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

fn slice_name(service: &str) -> String {
    format!("{service}-vand")
}

fn differs(there: &Service, wanted: &WantedService, own_labels: &BTreeMap<String, String>) -> bool {
    let mut ports: Vec<_> = wanted.ports.iter().map(|p| (p.port, p.target, is_udp(p))).collect();
    let mut found: Vec<_> =
        there.ports.iter().map(|p| (p.port, p.target.unwrap_or(0), p.is_udp)).collect();
    ports.sort_unstable();
    found.sort_unstable();
    ports != found
        || there.selector != *own_labels
        || there.meta.labels.get(ROLE).map(String::as_str) != Some(wanted.role)
        || there.meta.owner.as_ref() != Some(&wanted.owner.uid)
}

fn slice_differs(there: &Slice, wanted: &WantedSlice, pods: &[IpAddr]) -> bool {
    let mut ports: Vec<_> = wanted.ports.iter().map(|(name, p)| (name.clone(), p.target)).collect();
    let (mut found, mut ips) =
        (there.ports.clone(), there.endpoints.iter().map(|e| e.ip).collect::<Vec<_>>());
    let mut pods = pods.to_vec();
    ports.sort();
    found.sort();
    pods.sort();
    ips.sort();
    ports != found || pods != ips
}

fn headless_differs(there: &Service, wanted: &WantedHeadless) -> bool {
    let found: BTreeSet<_> = there.ports.iter().map(|port| (port.port, port.is_udp)).collect();
    found != wanted.ports
        || !there.selector.is_empty()
        || there.meta.labels.get(ROLE).is_none_or(|role| role != "headless")
}

fn hosts_differ(there: &Slice, hosts: &[(&String, IpAddr)]) -> bool {
    let found: BTreeSet<_> =
        there.endpoints.iter().map(|e| (e.hostname.clone().unwrap_or_default(), e.ip)).collect();
    let wanted: BTreeSet<_> = hosts.iter().map(|(host, ip)| ((*host).clone(), *ip)).collect();
    found != wanted
}

/// Ports as a Service and as its endpoints have them.
fn headless_ports(wanted: &WantedHeadless) -> Vec<Value> {
    let port = |(port, is_udp): &(u16, bool)| {
        let transport = if *is_udp { "UDP" } else { "TCP" };
        let name = format!("{}-{port}", transport.to_ascii_lowercase());
        json!({ "name": name, "port": port, "protocol": transport })
    };
    wanted.ports.iter().map(port).collect()
}

fn headless(name: &str, wanted: &WantedHeadless) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, "headless", &wanted.owner),
        "spec": { "clusterIP": "None", "ports": headless_ports(wanted) },
    })
}

/// Endpoints that are other Services: each has its name below the headless one's.
fn hosts_slice(
    name: &str,
    service: &str,
    wanted: &WantedHeadless,
    hosts: &[(&String, IpAddr)],
) -> Value {
    let endpoint = |(host, ip): &(&String, IpAddr)| json!({ "addresses": [ip], "hostname": host, "conditions": { "ready": true } });
    let mut metadata = metadata(name, "headless", &wanted.owner);
    metadata["labels"]["kubernetes.io/service-name"] = service.into();
    metadata["labels"][MANAGED_BY] = MANAGER.into();
    let v6 = hosts.iter().any(|(_, ip)| ip.is_ipv6());
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": if v6 { "IPv6" } else { "IPv4" },
        "ports": headless_ports(wanted),
        "endpoints": hosts.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn is_udp(port: &WantedPort) -> bool {
    port.protocol == Protocol::Udp
}

fn transport(port: &WantedPort) -> &'static str {
    if is_udp(port) { "UDP" } else { "TCP" }
}

/// A reference that has an object go with its owner.
pub(crate) fn owner_reference(owner: &Owner) -> Value {
    let kind = owner.key.kind;
    let (group, version, _) = kind.resource();
    let api_version = if group.is_empty() { version.into() } else { format!("{group}/{version}") };
    json!([{
        "apiVersion": api_version,
        "kind": kind.as_str(),
        "name": owner.key.name,
        "uid": owner.uid,
        "controller": true,
    }])
}

pub(crate) fn metadata(name: &str, role: &str, owner: &Owner) -> Value {
    json!({
        "name": name,
        "labels": { "app.kubernetes.io/managed-by": MANAGER, ROLE: role },
        "ownerReferences": owner_reference(owner),
    })
}

fn service(name: &str, wanted: &WantedService, own_labels: &BTreeMap<String, String>) -> Value {
    let port = |port: &WantedPort| {
        let transport = transport(port);
        let mut object = json!({
            "name": format!("{}-{}", transport.to_ascii_lowercase(), port.port),
            "port": port.port,
            "protocol": transport,
            "targetPort": port.target,
        });
        // Meshes and load balancers look at it.
        if let Some(word) = app_protocol(port.protocol) {
            object["appProtocol"] = word.into();
        }
        object
    };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, wanted.role, &wanted.owner),
        "spec": {
            "selector": own_labels,
            "ports": wanted.ports.iter().map(port).collect::<Vec<_>>(),
        },
    })
}

fn app_protocol(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Http => Some("http"),
        Protocol::Http2 => Some("kubernetes.io/h2c"),
        Protocol::Tcp | Protocol::Udp => None,
    }
}

fn slice(name: &str, service: &str, wanted: &WantedSlice, pods: &[IpAddr]) -> Value {
    let port = |(name, port): &(String, WantedPort)| json!({ "name": name, "port": port.target, "protocol": transport(port) });
    let endpoint = |ip: &IpAddr| json!({ "addresses": [ip], "conditions": { "ready": true } });
    let mut metadata = metadata(name, "stand-in", &wanted.owner);
    metadata["labels"]["kubernetes.io/service-name"] = service.into();
    metadata["labels"][MANAGED_BY] = MANAGER.into();
    let v6 = pods.iter().any(IpAddr::is_ipv6);
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": if v6 { "IPv6" } else { "IPv4" },
        "ports": wanted.ports.iter().map(port).collect::<Vec<_>>(),
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

/// A Secret that holds a token.
pub(crate) fn token_secret(name: &str, owner: &Owner, token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, "token", owner),
        "type": "vand.dev/token",
        "stringData": { "token": token },
    })
}
