//! Connectors of Connector objects and of annotations: one for each target.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;

use van_crd::{Compat, ConnectorSpec, Invalid, Targets, Workload, WorkloadKind};
use van_model::{HostPort, Name};

use super::annotations::exposed;
use super::{Context, Plan, Verdict, secret_file, spec};
use crate::index::{Index, Key, Kind, Labelled};
use crate::object::{Pod, Service};

/// One place where a workload answers.
struct Found {
    place: HostPort,
    /// The pod, where it is one.
    pod: Option<String>,
}

/// Why a connector has no target.
enum Missing {
    Invalid(Invalid),
    Waiting(&'static str, String),
}

impl From<Invalid> for Missing {
    fn from(why: Invalid) -> Self {
        Self::Invalid(why)
    }
}

fn waiting<T>(reason: &'static str, why: String) -> Result<T, Missing> {
    Err(Missing::Waiting(reason, why))
}

/// The longest beginning of an object's name in the name of a connector for one of its targets.
const STEM: usize = 48;

impl Plan {
    pub(super) fn add_connectors(&mut self, index: &Index, context: &Context) {
        let labelled = index.labelled();
        for object in index.custom(Kind::Connector).filter(|object| !object.meta.is_deleted) {
            let key = Key::new(Kind::Connector, &object.meta.name);
            let verdict = match spec::<ConnectorSpec>(object) {
                Err(why) => Verdict::invalid(&why),
                Ok(spec) => self.offer(&key, &spec, index, &labelled, context),
            };
            self.verdicts.insert(key, verdict);
        }
        let compat = self.compat(index);
        for (key, workload) in index.workloads() {
            let itself = Workload { kind: kind_of(key.kind), name: key.name.clone() };
            if let Some(asked) = exposed(&workload.meta, &itself, &compat) {
                self.offer_annotated(key, asked.map(|e| e.connectors), index, &labelled, context);
            }
        }
        for service in index.services().filter(|service| !is_own(service)) {
            let itself = Workload { kind: WorkloadKind::Service, name: service.meta.name.clone() };
            let Some(asked) = exposed(&service.meta, &itself, &compat) else { continue };
            let key = Key::new(Kind::Service, &service.meta.name);
            let stands_in = |c: &ConnectorSpec| c.workload.as_deref() == Some(&*itself.to_string());
            if has_nobody(index, service)
                && asked.as_ref().is_ok_and(|asked| asked.connectors.iter().all(stands_in))
            {
                // It stands for a workload elsewhere: see the listeners.
                self.verdicts.insert(key, Verdict::Accepted);
                continue;
            }
            let asked = asked.map(|exposed| by_port(exposed.connectors, service));
            self.offer_annotated(&key, asked, index, &labelled, context);
        }
    }

    /// What the chosen Site understands for the sake of others.
    pub(super) fn compat(&self, index: &Index) -> Compat {
        let site =
            self.site.as_ref().and_then(|site| index.get(&Key::new(Kind::Site, &site.object)));
        let spec = site.and_then(|site| spec::<van_crd::SiteSpec>(site).ok());
        spec.map(|spec| spec.compat).unwrap_or_default()
    }

    fn offer_annotated(
        &mut self,
        key: &Key,
        asked: Result<Vec<ConnectorSpec>, Invalid>,
        index: &Index,
        labelled: &Labelled<'_>,
        context: &Context,
    ) {
        let verdict = match asked {
            Err(why) => Verdict::invalid(&why),
            Ok(connectors) => {
                let mut worst = Verdict::Accepted;
                let several = connectors.len() > 1;
                for mut connector in connectors {
                    // Of several ports each is a service of its own.
                    let port = connector.service_port.or(connector.port).filter(|_| several);
                    if let (Some(address), Some(port)) = (&connector.address, port) {
                        connector.address = Some(format!("{address}:{port}"));
                    }
                    let verdict = self.offer(key, &connector, index, labelled, context);
                    if verdict != Verdict::Accepted {
                        worst = verdict;
                    }
                }
                worst
            }
        };
        self.verdicts.insert(key.clone(), verdict);
    }

    /// Adds a connector for each target of what an object asks for.
    pub(super) fn offer(
        &mut self,
        key: &Key,
        spec: &ConnectorSpec,
        index: &Index,
        labelled: &Labelled<'_>,
        context: &Context,
    ) -> Verdict {
        let mut add = || -> Result<(), Missing> {
            for found in find(spec, index, labelled, context)? {
                self.add_target(key, spec, &found, context)?;
            }
            Ok(())
        };
        match add() {
            Ok(()) => Verdict::Accepted,
            Err(Missing::Invalid(why)) => Verdict::invalid(&why),
            Err(Missing::Waiting(reason, why)) => Verdict::Waiting(reason, why),
        }
    }

    fn add_target(
        &mut self,
        key: &Key,
        spec: &ConnectorSpec,
        found: &Found,
        context: &Context,
    ) -> Result<(), Invalid> {
        let file = |secret: &str, key: &str| secret_file(context, secret, key);
        if let Some(secret) = spec.tls.as_ref().and_then(|tls| tls.secret.as_ref()) {
            self.secret_files.insert(secret.clone());
        }
        let address = spec.address(&key.name)?;
        let mut connector = spec.to_spec(&key.name, found.place.clone(), file)?;
        let mut addresses = vec![address.clone()];
        if let Some(pod) = found.pod.as_ref().filter(|_| spec.headless) {
            let own = format!("{pod}.{address}");
            addresses.push(own.parse().map_err(|why| Invalid::new("spec.headless", why))?);
        }
        for address in addresses {
            connector.name = target_name(key, address.as_str(), found);
            connector.address = address;
            self.targets.entry(key.clone()).or_default().push(connector.name.to_string());
            self.connectors.push(connector.clone());
        }
        Ok(())
    }
}

/// Where the targets are, at least one.
fn find(
    spec: &ConnectorSpec,
    index: &Index,
    labelled: &Labelled<'_>,
    context: &Context,
) -> Result<Vec<Found>, Missing> {
    let port = spec.port()?.map(u16::from);
    let given = || {
        port.ok_or_else(|| {
            Invalid::new("spec.port", "it is missing: at which port do the targets answer?")
        })
    };
    match spec.targets()? {
        Targets::Host(host) => {
            let port = given()?;
            let place = match host.parse::<IpAddr>() {
                Ok(ip) => HostPort::new(ip, port),
                Err(_) => format!("{host}:{port}")
                    .parse()
                    .map_err(|why| Invalid::new("spec.host", why))?,
            };
            Ok(vec![Found { place, pod: None }])
        }
        Targets::Selector(selector) => {
            let of_pods = of_pods(&labelled.with(&selector), given()?, spec, context);
            of_pods.or_else(|why| {
                waiting("NoTargets", format!("of the pods that spec.selector finds, {why}"))
            })
        }
        Targets::Workload(workload) if workload.kind == WorkloadKind::Service => {
            of_service(&workload.name, port, spec, index, context)
        }
        Targets::Workload(workload) => {
            let kind = match workload.kind {
                WorkloadKind::Deployment => Kind::Deployment,
                WorkloadKind::StatefulSet => Kind::StatefulSet,
                WorkloadKind::DaemonSet | WorkloadKind::Service => Kind::DaemonSet,
            };
            let Some(found) = index.workload(&Key::new(kind, &workload.name)) else {
                return waiting("NoWorkload", format!("there is no {workload} in this namespace"));
            };
            let Some(selector) = &found.selector else {
                let why = format!(
                    "{workload} finds its pods by expressions: use spec.selector, or a Service"
                );
                return Err(Invalid::new("spec.workload", why).into());
            };
            let first = found.ports.first().map(|port| port.container_port);
            let Some(port) = port.or(first) else {
                let why = format!("it is missing, and no container of {workload} names a port");
                return Err(Invalid::new("spec.port", why).into());
            };
            let of_pods = of_pods(&labelled.with(selector), port, spec, context);
            of_pods.or_else(|why| waiting("NoTargets", format!("of the pods of {workload}, {why}")))
        }
    }
}

/// The pods that can be used; the error says how many there are.
fn of_pods(
    pods: &[&Pod],
    port: u16,
    spec: &ConnectorSpec,
    context: &Context,
) -> Result<Vec<Found>, String> {
    let others: Vec<&&Pod> =
        pods.iter().filter(|pod| !pod.has_labels(&context.own_labels)).collect();
    let usable = |pod: &&&&Pod| !pod.is_ending && (pod.is_ready || spec.include_not_ready);
    let found: Vec<Found> = others
        .iter()
        .filter(usable)
        .filter_map(|pod| {
            Some(Found { place: HostPort::new(pod.ip?, port), pod: Some(pod.meta.name.clone()) })
        })
        .collect();
    match (found.is_empty(), others.len()) {
        (false, _) => Ok(found),
        (true, 0) => Err("there is none".into()),
        (true, 1) => Err("there is 1, and it is not ready".into()),
        (true, n) => Err(format!("there are {n}, and none is ready")),
    }
}

fn of_service(
    name: &str,
    port: Option<u16>,
    spec: &ConnectorSpec,
    index: &Index,
    context: &Context,
) -> Result<Vec<Found>, Missing> {
    let Some(service) = index.service(name) else {
        return waiting("NoWorkload", format!("there is no service/{name} in this namespace"));
    };
    if is_own(service) {
        let why = format!("service/{name} is made by vand: it would lead back into the network");
        return Err(Invalid::new("spec.workload", why).into());
    }
    // The number of the Service's port, or none of its ports: then the number at its endpoints.
    let named = match port {
        Some(number) => service.ports.iter().find(|port| port.port == number),
        None => service.ports.first(),
    };
    let mut found = Vec::new();
    let mut all = 0;
    for slice in index.slices_of(name).filter(|slice| !is_own_meta(&slice.meta)) {
        let at_slice = named.and_then(|named| {
            slice.ports.iter().find(|(name, _)| *name == named.name).map(|(_, number)| *number)
        });
        let Some(at) = at_slice.or(port) else { continue };
        for endpoint in &slice.endpoints {
            let own = endpoint.pod.as_deref().and_then(|pod| index.pod(pod));
            if own.is_some_and(|pod| pod.has_labels(&context.own_labels)) {
                continue;
            }
            all += 1;
            if !endpoint.is_ending && (endpoint.is_ready || spec.include_not_ready) {
                found.push(Found {
                    place: HostPort::new(endpoint.ip, at),
                    pod: endpoint.pod.clone(),
                });
            }
        }
    }
    if found.is_empty() {
        let ready = if all == 0 { "has no endpoints" } else { "has no ready endpoint" };
        return waiting("NoTargets", format!("service/{name} {ready}"));
    }
    Ok(found)
}

/// What is asked for without ports, once for each port of the Service.
fn by_port(connectors: Vec<ConnectorSpec>, service: &Service) -> Vec<ConnectorSpec> {
    let [only] = &connectors[..] else { return connectors };
    if only.port.is_some() {
        return connectors;
    }
    let with = |port: &crate::object::ServicePort| ConnectorSpec {
        port: Some(port.port.into()),
        service_port: Some(port.port.into()),
        ..only.clone()
    };
    service.ports.iter().map(with).collect()
}

/// Whether vand makes and keeps a Service.
pub(crate) fn is_own(service: &Service) -> bool {
    is_own_meta(&service.meta)
}

/// Whether vand makes and keeps an object.
pub(crate) fn is_own_meta(meta: &crate::object::Meta) -> bool {
    meta.labels.contains_key(crate::outbox::ROLE)
}

/// Whether a Service has no endpoints but vand's.
pub(crate) fn has_nobody(index: &Index, service: &Service) -> bool {
    let others = index.slices_of(&service.meta.name).filter(|slice| !is_own_meta(&slice.meta));
    others.flat_map(|slice| &slice.endpoints).next().is_none()
}

fn kind_of(kind: Kind) -> WorkloadKind {
    match kind {
        Kind::StatefulSet => WorkloadKind::StatefulSet,
        Kind::DaemonSet => WorkloadKind::DaemonSet,
        _ => WorkloadKind::Deployment,
    }
}

/// The name of the connector for one target: it stays while the target does.
fn target_name(key: &Key, address: &str, found: &Found) -> Name {
    let mut hasher = DefaultHasher::new();
    (key, address, &found.place).hash(&mut hasher);
    let stem: String = key.name.chars().take(STEM).collect();
    let name = format!("{}-{:010x}", stem.trim_end_matches('-'), hasher.finish() & 0xff_ffff_ffff);
    Name::from_lossy(&name).expect("it ends with hex digits")
}
