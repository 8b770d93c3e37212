//! Objects followed: one watch for each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Client, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::index::{Any, Index, Kind};
use crate::object::{Object, Pod, Service, Slice, Workload, wire};

/// Objects of a list that are asked for at once: bounds the memory that a list takes.
const PAGE: u32 = 500;

/// What the watches of a namespace know.
pub(crate) struct Watches {
    kinds: &'static [Kind],
    state: Mutex<State>,
    /// Shared by the watches of several namespaces.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    index: Arc<Index>,
    /// Kinds of which a whole list was read once, or can't be.
    settled: BTreeSet<Kind>,
    /// Why a kind can't be followed now.
    troubles: BTreeMap<Kind, String>,
    /// Kinds that may not be seen now.
    refused: BTreeSet<Kind>,
}

impl Watches {
    /// Follows these kinds, for as long as the tasks live.
    pub(crate) fn start(
        client: &Client,
        namespace: &str,
        kinds: &'static [Kind],
        changed: Arc<Notify>,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let watches = Arc::new(Self { kinds, state: Mutex::default(), changed });
        for kind in kinds.iter().copied() {
            let (client, namespace, watches) =
                (client.clone(), namespace.to_owned(), watches.clone());
            match kind {
                Kind::Pod => {
                    tasks.spawn(follow::<wire::Pod>(watches, client, namespace, kind, |o| {
                        Any::Pod(Pod::from(o))
                    }))
                }
                Kind::Service => {
                    tasks.spawn(follow::<wire::Service>(watches, client, namespace, kind, |o| {
                        Any::Service(Service::from(o))
                    }))
                }
                Kind::EndpointSlice => {
                    tasks.spawn(follow::<wire::Slice>(watches, client, namespace, kind, |o| {
                        Any::Slice(Slice::from(o))
                    }))
                }
                Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                    tasks.spawn(follow::<wire::Workload>(watches, client, namespace, kind, |o| {
                        Any::Workload(Workload::from(o))
                    }))
                }
                _ => tasks.spawn(follow::<wire::Object>(watches, client, namespace, kind, |o| {
                    Any::Custom(Object::from(o))
                })),
            };
        }
        watches
    }

    /// What is known now.
    pub(crate) fn index(&self) -> Arc<Index> {
        self.state.lock().index.clone()
    }

    /// Whether every kind was read once, or can't be.
    pub(crate) fn is_settled(&self) -> bool {
        self.state.lock().settled.len() == self.kinds.len()
    }

    /// Kinds that can't be followed now, and why.
    pub(crate) fn troubles(&self) -> BTreeMap<Kind, String> {
        self.state.lock().troubles.clone()
    }

    /// Kinds that may not be seen now, which is another thing than an API server that is away.
    pub(crate) fn refused(&self) -> BTreeSet<Kind> {
        self.state.lock().refused.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut self.state.lock()) {
            self.changed.notify_one();
        }
    }
}

impl State {
    fn index(&mut self) -> &mut Index {
        // Copied only while a plan is being made of the one before.
        Arc::make_mut(&mut self.index)
    }
}

/// Follows one kind for ever.
async fn follow<W>(
    watches: Arc<Watches>,
    client: Client,
    namespace: String,
    kind: Kind,
    read: fn(W) -> Any,
) where
    W: Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    let api: Api<W> = Api::namespaced_with(client, &namespace, &resource(kind));
    let stream = watch(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    pin_mut!(stream);
    let mut listed = BTreeSet::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                watches.change(|state| {
                    let recovered = state.troubles.remove(&kind).is_some();
                    state.refused.remove(&kind);
                    state.take(kind, event, &mut listed, read) || recovered
                });
            }
            Err(error) => watches.change(|state| state.fail(kind, &error)),
        }
    }
}

impl State {
    /// Takes an event; returns whether anything follows from it.
    fn take<W: Resource>(
        &mut self,
        kind: Kind,
        event: Event<W>,
        listed: &mut BTreeSet<String>,
        read: fn(W) -> Any,
    ) -> bool {
        let name = |object: &W| object.meta().name.clone().unwrap_or_default();
        match event {
            Event::Init => {
                listed.clear();
                false
            }
            Event::InitApply(object) => {
                listed.insert(name(&object));
                self.index().set(kind, read(object)) && self.settled.contains(&kind)
            }
            Event::InitDone => {
                let gone = self.index().keep_only(kind, listed);
                listed.clear();
                self.settled.insert(kind) || gone
            }
            Event::Apply(object) => self.index().set(kind, read(object)),
            Event::Delete(object) => {
                let name = name(&object);
                self.index().remove(kind, &name)
            }
        }
    }

    fn fail(&mut self, kind: Kind, error: &watcher::Error) -> bool {
        let text = error.to_string();
        let code = status_code(error);
        // A version that is too old is how a watch ends in the order of things: it begins again.
        if code == Some(410) {
            return false;
        }
        let fresh = self.troubles.get(&kind) != Some(&text);
        if fresh {
            tracing::warn!(
                kind = kind.as_str(),
                error = text,
                "objects can't be followed; it is tried again"
            );
        }
        self.troubles.insert(kind, text);
        if code == Some(403) {
            self.refused.insert(kind);
        }
        // Workloads that may not be seen are not waited for, nor a kind that an older definition or Role lacks.
        // Of all else an empty list would be taken for the wish that nothing be there.
        let optional = matches!(
            kind,
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::AttachedConnectorBinding
        );
        let refused = code.is_some_and(|code| code == 403 || code == 404);
        (optional && refused && self.settled.insert(kind)) || fresh
    }
}

fn status_code(error: &watcher::Error) -> Option<u16> {
    let of_client = |error: &kube::Error| match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    };
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => of_client(error),
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}

/// A kind as the client wants it.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    let (group, version, plural) = kind.resource();
    let api_version = if group.is_empty() { version.into() } else { format!("{group}/{version}") };
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version,
        kind: kind.as_str().into(),
        plural: plural.into(),
    }
}

macro_rules! followed {
    ($($type:ident),*) => { $(
        impl Resource for wire::$type {
            type DynamicType = ApiResource;
            type Scope = kube::core::DynamicResourceScope;

            fn kind(of: &ApiResource) -> std::borrow::Cow<'_, str> {
                of.kind.as_str().into()
            }

            fn group(of: &ApiResource) -> std::borrow::Cow<'_, str> {
                of.group.as_str().into()
            }

            fn version(of: &ApiResource) -> std::borrow::Cow<'_, str> {
                of.version.as_str().into()
            }

            fn plural(of: &ApiResource) -> std::borrow::Cow<'_, str> {
                of.plural.as_str().into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    )* };
}

followed!(Object, Pod, Workload, Service, Slice);
