//! What is known of the namespace's objects.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::object::{Object, Pod, Service, Slice, Workload};

/// The kinds of objects that are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `sites.vand.dev`
    Site,
    /// `links.vand.dev`
    Link,
    /// `listeners.vand.dev`
    Listener,
    /// `connectors.vand.dev`
    Connector,
    /// `accessgrants.vand.dev`
    AccessGrant,
    /// `accesstokens.vand.dev`
    AccessToken,
    /// `attachedconnectorbindings.vand.dev`
    AttachedConnectorBinding,
    /// `attachedconnectors.vand.dev`: of other namespaces only.
    AttachedConnector,
    /// Pods.
    Pod,
    /// Deployments.
    Deployment,
    /// StatefulSets.
    StatefulSet,
    /// DaemonSets.
    DaemonSet,
    /// Services.
    Service,
    /// Parts of Services' endpoints.
    EndpointSlice,
    /// Secrets: only events are told of them.
    Secret,
}

impl Kind {
    /// Those of the site's own namespace, custom resources first.
    pub const ALL: [Self; 13] = [
        Self::Site,
        Self::Link,
        Self::Listener,
        Self::Connector,
        Self::AccessGrant,
        Self::AccessToken,
        Self::AttachedConnectorBinding,
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
    ];

    /// Those of a namespace of which workloads are attached.
    pub const ATTACHED: [Self; 7] = [
        Self::AttachedConnector,
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
    ];

    /// The kind's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Site => "Site",
            Self::Link => "Link",
            Self::Listener => "Listener",
            Self::Connector => "Connector",
            Self::AccessGrant => "AccessGrant",
            Self::AccessToken => "AccessToken",
            Self::AttachedConnectorBinding => "AttachedConnectorBinding",
            Self::AttachedConnector => "AttachedConnector",
            Self::Pod => "Pod",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
        }
    }

    /// Group, version and plural, as addresses of the API have them.
    pub const fn resource(self) -> (&'static str, &'static str, &'static str) {
        const VAND: (&str, &str) = (van_crd::GROUP, van_crd::VERSION);
        match self {
            Self::Site => (VAND.0, VAND.1, "sites"),
            Self::Link => (VAND.0, VAND.1, "links"),
            Self::Listener => (VAND.0, VAND.1, "listeners"),
            Self::Connector => (VAND.0, VAND.1, "connectors"),
            Self::AccessGrant => (VAND.0, VAND.1, "accessgrants"),
            Self::AccessToken => (VAND.0, VAND.1, "accesstokens"),
            Self::AttachedConnectorBinding => (VAND.0, VAND.1, "attachedconnectorbindings"),
            Self::AttachedConnector => (VAND.0, VAND.1, "attachedconnectors"),
            Self::Pod => ("", "v1", "pods"),
            Self::Deployment => ("apps", "v1", "deployments"),
            Self::StatefulSet => ("apps", "v1", "statefulsets"),
            Self::DaemonSet => ("apps", "v1", "daemonsets"),
            Self::Service => ("", "v1", "services"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "endpointslices"),
            Self::Secret => ("", "v1", "secrets"),
        }
    }

    /// Whether it is one of vand's own.
    pub const fn is_custom(self) -> bool {
        matches!(
            self,
            Self::Site
                | Self::Link
                | Self::Listener
                | Self::Connector
                | Self::AccessGrant
                | Self::AccessToken
                | Self::AttachedConnectorBinding
                | Self::AttachedConnector
        )
    }
}

/// One object of the namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The object of this kind and name.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str().to_ascii_lowercase(), self.name)
    }
}

/// Any object that is followed.
#[derive(Debug, Clone, PartialEq)]
pub enum Any {
    /// A custom resource.
    Custom(Object),
    /// A pod.
    Pod(Pod),
    /// A controller of pods.
    Workload(Workload),
    /// A Service.
    Service(Service),
    /// A part of a Service's endpoints.
    Slice(Slice),
}

impl Any {
    fn name(&self) -> &str {
        match self {
            Self::Custom(object) => &object.meta.name,
            Self::Pod(pod) => &pod.meta.name,
            Self::Workload(workload) => &workload.meta.name,
            Self::Service(service) => &service.meta.name,
            Self::Slice(slice) => &slice.meta.name,
        }
    }
}

/// The objects of a namespace, as they were heard of last.
#[derive(Debug, Clone, Default)]
pub struct Index {
    custom: BTreeMap<Key, Arc<Object>>,
    workloads: BTreeMap<Key, Arc<Workload>>,
    pods: BTreeMap<String, Arc<Pod>>,
    services: BTreeMap<String, Arc<Service>>,
    slices: BTreeMap<String, Arc<Slice>>,
}

/// Pods by a label.
pub(crate) struct Labelled<'a> {
    by_label: HashMap<(&'a str, &'a str), Vec<&'a Pod>>,
}

impl Index {
    /// Takes an object as it is now. Returns whether anything differs.
    pub fn set(&mut self, kind: Kind, object: Any) -> bool {
        let name = object.name().to_owned();
        match object {
            Any::Custom(object) => replace(&mut self.custom, Key::new(kind, name), object),
            Any::Workload(workload) => replace(&mut self.workloads, Key::new(kind, name), workload),
            Any::Pod(pod) => replace(&mut self.pods, name, pod),
            Any::Service(service) => replace(&mut self.services, name, service),
            Any::Slice(slice) => replace(&mut self.slices, name, slice),
        }
    }

    /// Forgets an object. Returns whether it was known.
    pub fn remove(&mut self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Pod => self.pods.remove(name).is_some(),
            Kind::Service => self.services.remove(name).is_some(),
            Kind::EndpointSlice => self.slices.remove(name).is_some(),
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                self.workloads.remove(&Key::new(kind, name)).is_some()
            }
            _ => self.custom.remove(&Key::new(kind, name)).is_some(),
        }
    }

    /// Forgets all objects of a kind but those of these names. Returns whether any was known.
    pub fn keep_only(&mut self, kind: Kind, names: &std::collections::BTreeSet<String>) -> bool {
        let known: Vec<String> = match kind {
            Kind::Pod => self.pods.keys().cloned().collect(),
            Kind::Service => self.services.keys().cloned().collect(),
            Kind::EndpointSlice => self.slices.keys().cloned().collect(),
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                self.workloads.keys().filter(|k| k.kind == kind).map(|k| k.name.clone()).collect()
            }
            _ => self.custom.keys().filter(|k| k.kind == kind).map(|k| k.name.clone()).collect(),
        };
        let mut any = false;
        for name in known.iter().filter(|name| !names.contains(*name)) {
            any |= self.remove(kind, name);
        }
        any
    }

    /// The custom resources of a kind, by name.
    pub fn custom(&self, kind: Kind) -> impl Iterator<Item = &Arc<Object>> {
        self.custom
            .range(Key::new(kind, "")..)
            .take_while(move |(key, _)| key.kind == kind)
            .map(|(_, o)| o)
    }

    /// One custom resource.
    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.custom.get(key)
    }

    /// A Deployment, StatefulSet or DaemonSet.
    pub fn workload(&self, key: &Key) -> Option<&Arc<Workload>> {
        self.workloads.get(key)
    }

    /// All of them.
    pub fn workloads(&self) -> impl Iterator<Item = (&Key, &Arc<Workload>)> {
        self.workloads.iter()
    }

    /// A Service.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// All Services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// A pod.
    pub fn pod(&self, name: &str) -> Option<&Arc<Pod>> {
        self.pods.get(name)
    }

    /// The parts of a Service's endpoints.
    pub fn slices_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Arc<Slice>> {
        self.slices.values().filter(move |slice| slice.service == service)
    }

    /// All parts of endpoints.
    pub fn slices(&self) -> impl Iterator<Item = &Arc<Slice>> {
        self.slices.values()
    }

    /// The pods by their labels, for many questions.
    pub(crate) fn labelled(&self) -> Labelled<'_> {
        let mut by_label: HashMap<_, Vec<&Pod>> = HashMap::new();
        for pod in self.pods.values() {
            for (key, value) in &pod.meta.labels {
                by_label.entry((key.as_str(), value.as_str())).or_default().push(pod);
            }
        }
        Labelled { by_label }
    }
}

impl<'a> Labelled<'a> {
    /// The pods that have all of these labels, by name; none where no label is asked for.
    pub(crate) fn with(&self, selector: &BTreeMap<String, String>) -> Vec<&'a Pod> {
        let mut rarest: Option<&[&'a Pod]> = None;
        for (key, value) in selector {
            let Some(pods) = self.by_label.get(&(key.as_str(), value.as_str())) else {
                return Vec::new();
            };
            if rarest.is_none_or(|fewer| pods.len() < fewer.len()) {
                rarest = Some(pods);
            }
        }
        let found = rarest.unwrap_or(&[]).iter();
        found.filter(|pod| pod.has_labels(selector)).copied().collect()
    }
}

fn replace<K: Ord, V: PartialEq>(map: &mut BTreeMap<K, Arc<V>>, key: K, value: V) -> bool {
    if map.get(&key).is_some_and(|old| **old == value) {
        return false;
    }
    map.insert(key, Arc::new(value));
    true
}
