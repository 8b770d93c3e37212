//! Ways by which other sites reach this one: what is made for them, and where they lead.

use serde_json::{Value, json};
use van_crd::Access;
use van_model::{HostPort, LINK_PORT};

use super::{Context, Owner, Plan};
use crate::index::{Index, Key, Kind};
use crate::object::Service;
use crate::outbox::metadata;

/// The Service of the link port within the cluster; those of other ways have its name and theirs.
const SERVICE: &str = "vand";

/// The port of Ingresses, Routes and Gateways.
const HTTPS: u16 = 443;

/// An object of a kind that is not followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Group, version, kind and plural.
    pub resource: (&'static str, &'static str, &'static str, &'static str),
    /// Its name.
    pub name: String,
    /// The whole of it.
    pub object: Value,
}

const SERVICES: (&str, &str, &str, &str) = ("", "v1", "Service", "services");
const INGRESSES: (&str, &str, &str, &str) = ("networking.k8s.io", "v1", "Ingress", "ingresses");
const ROUTES: (&str, &str, &str, &str) = ("route.openshift.io", "v1", "Route", "routes");
const TLS_ROUTES: (&str, &str, &str, &str) =
    ("gateway.networking.k8s.io", "v1alpha2", "TLSRoute", "tlsroutes");

impl Plan {
    pub(super) fn add_access(&mut self, index: &Index, context: &Context) {
        let Some(site) = &self.site else { return };
        let owner = Owner { key: Key::new(Kind::Site, &site.object), uid: site.uid.clone() };
        if site.spec.mode == van_model::Mode::Edge {
            return;
        }
        let mut made = vec![service(SERVICE, "ClusterIP", &owner, context, None)];
        let mut endpoints = Vec::new();
        for access in &site.access {
            let object = object(access, &owner, context);
            let there = object.as_ref().and_then(|made| index.service(&made.name));
            endpoints.extend(found(access, there.map(|there| &**there)));
            made.extend(object);
        }
        if site.access.is_empty() {
            let inside = format!("{SERVICE}.{}.svc:{LINK_PORT}", context.namespace);
            endpoints.extend(inside.parse());
        }
        endpoints.dedup();
        self.made = made;
        self.endpoints = endpoints;
    }
}

/// Where a way leads, as far as it is known.
fn found(access: &Access, there: Option<&Service>) -> Vec<HostPort> {
    let by_hand: Vec<HostPort> = access.by_hand().collect();
    if !by_hand.is_empty() {
        return by_hand;
    }
    let at = |host: &str, port: u16| bracketed(host, port).parse().ok();
    match access.kind.as_str() {
        "LoadBalancer" => {
            let hosts = there.into_iter().flat_map(|service| &service.ingress);
            hosts.filter_map(|host| at(host, LINK_PORT)).collect()
        }
        "NodePort" => {
            let port =
                there.and_then(|service| service.ports.iter().find_map(|port| port.node_port));
            access.host.iter().zip(port).filter_map(|(host, port)| at(host, port)).collect()
        }
        _ => access.host.iter().filter_map(|host| at(host, HTTPS)).collect(),
    }
}

fn bracketed(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What is made for a way.
fn object(access: &Access, owner: &Owner, context: &Context) -> Option<Made> {
    let host = access.host.as_deref();
    let backend = json!({ "service": { "name": SERVICE, "port": { "number": LINK_PORT } } });
    let (resource, name, mut object) = match access.kind.as_str() {
        "LoadBalancer" | "NodePort" => {
            let name = format!("{SERVICE}-{}", access.kind.to_ascii_lowercase());
            let mut made = service(&name, &access.kind, owner, context, access.node_port);
            annotate(&mut made.object, access);
            return Some(made);
        }
        "Ingress" => {
            let rule = json!({
                "host": host,
                "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] },
            });
            let mut spec = json!({ "rules": [rule] });
            if let Some(class) = &access.class {
                spec["ingressClassName"] = class.as_str().into();
            }
            let mut object =
                json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": spec });
            // Controllers pass TLS through when they are told so, each in its own words.
            object["metadata"]["annotations"] = json!({
                "nginx.ingress.kubernetes.io/ssl-passthrough": "true",
                "ingress.kubernetes.io/ssl-passthrough": "true",
                "haproxy.org/ssl-passthrough": "true",
            });
            (INGRESSES, format!("{SERVICE}-ingress"), object)
        }
        "Route" => {
            let mut spec = json!({
                "to": { "kind": "Service", "name": SERVICE },
                "port": { "targetPort": "links" },
                "tls": { "termination": "passthrough", "insecureEdgeTerminationPolicy": "None" },
            });
            if let Some(host) = host {
                spec["host"] = host.into();
            }
            let object =
                json!({ "apiVersion": "route.openshift.io/v1", "kind": "Route", "spec": spec });
            (ROUTES, format!("{SERVICE}-route"), object)
        }
        "Gateway" => {
            let spec = json!({
                "parentRefs": [{ "name": access.class.as_deref().unwrap_or("gateway") }],
                "hostnames": [host],
                "rules": [{ "backendRefs": [{ "name": SERVICE, "port": LINK_PORT }] }],
            });
            let object = json!({
                "apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "TLSRoute", "spec": spec,
            });
            (TLS_ROUTES, format!("{SERVICE}-gateway"), object)
        }
        _ => return None,
    };
    let annotations = object["metadata"]["annotations"].take();
    object["metadata"] = metadata(&name, "access", owner);
    object["metadata"]["annotations"] = annotations;
    annotate(&mut object, access);
    Some(Made { resource, name, object })
}

fn annotate(object: &mut Value, access: &Access) {
    for (key, value) in &access.annotations {
        object["metadata"]["annotations"][key] = value.as_str().into();
    }
}

fn service(
    name: &str,
    kind: &str,
    owner: &Owner,
    context: &Context,
    node_port: Option<i32>,
) -> Made {
    let mut port =
        json!({ "name": "links", "port": LINK_PORT, "targetPort": LINK_PORT, "protocol": "TCP" });
    if let Some(node_port) = node_port {
        port["nodePort"] = node_port.into();
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, "access", owner),
        "spec": { "type": kind, "selector": context.own_labels, "ports": [port] },
    });
    Made { resource: SERVICES, name: name.into(), object }
}
