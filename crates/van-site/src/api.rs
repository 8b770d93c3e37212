//! What the socket API asks of the site.

use std::num::NonZeroU16;
use std::time::Duration;

use tokio::sync::watch;
use van_api::{Reply, SiteApi, TapLines};
use van_model::api::{
    CheckLine, ConfigValue, ConnectorResource, ConnectorView, Event, FlowQuery, FlowRecord,
    LinkPut, LinkResource, ListenerResource, ListenerView, LogRequest, NetworkSite, PeerPut,
    PeerResource, PingReply, PingRequest, ServiceResource, Severity, SitePut, Source, TokenCreate,
    TokenCreated, TokenResource, Trace, TraceRequest,
};
use van_model::status::SiteStatus;
use van_model::{
    ApiError, ConnectorSpec, ErrorCode, LinkSpec, ListenerSpec, Name, Protocol, TokenSpec,
};
use van_mux::GoAwayReason;
use van_store::StoreError;

use crate::error::SiteError;
use crate::network_view;
use crate::resources::Made;
use crate::site::Site;

/// Time for a revoked peer's flows: none.
const REVOKE_GRACE: Duration = Duration::from_millis(200);

impl SiteApi for Site {
    fn status(&self) -> SiteStatus {
        self.glance()
    }

    fn site(&self) -> serde_json::Value {
        let loaded = self.loaded.lock().clone();
        let file = loaded.origins.get("site.name").file().map(ToOwned::to_owned);
        serde_json::json!({
            "name": loaded.config.site.name,
            "source": Source::File,
            "file": file,
            "spec": loaded.config.site,
            "status": self.glance(),
        })
    }

    fn links(&self) -> Vec<LinkResource> {
        self.link_resources()
    }

    fn wants_link(&self, name: &str) -> bool {
        self.running.lock().links.contains_key(name) || self.made.get().links.contains_key(name)
    }

    fn put_link(&self, name: Name, put: LinkPut) -> Reply<'_, LinkResource> {
        Box::pin(async move {
            let spec = LinkSpec {
                name: name.clone(),
                token: TokenSpec::Text(put.token),
                cost: put.cost,
                proxy: put.proxy,
            };
            let _change = self.changing.lock().await;
            self.own_by_api("link", name.as_str())?;
            self.dial_spec(&spec)?;
            self.make(|made| {
                made.links.insert(name.to_string(), spec);
            })?;
            found("link", name.as_str(), self.links())
        })
    }

    fn delete_link(&self, name: Name) -> Reply<'_, ()> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            self.own_by_api("link", name.as_str())?;
            let removed = self.make(|made| made.links.remove(name.as_str()).is_some())?;
            if !removed {
                let incoming = self.links().iter().any(|l| l.name == name.as_str());
                return Err(if incoming {
                    not_ours(&name)
                } else {
                    not_found("link", name.as_str())
                });
            }
            self.link_peers
                .change(&self.store, |kept| kept.remove(name.as_str()))
                .map_err(state)?;
            Ok(())
        })
    }

    fn listeners(&self) -> Vec<ListenerResource> {
        self.listener_resources()
    }

    fn put_listener(&self, name: Name, view: ListenerView) -> Reply<'_, ListenerResource> {
        Box::pin(async move {
            let unnamed = view.address.is_none() && view.addresses.is_empty();
            let spec = ListenerSpec {
                only_routes: unnamed && !view.routes.is_empty(),
                routes: view.routes,
                address: match view.addresses.first() {
                    Some(first) => first.address.clone(),
                    None => view.address.unwrap_or_else(|| name.clone().into()),
                },
                protocol: view.protocol,
                bind: view.bind,
                strategy: view.strategy,
                addresses: view.addresses,
                udp_idle_ms: view.udp_idle_ms,
                tls: view.tls,
                name: name.clone(),
            };
            if let Err(why) = spec.check() {
                return Err(ApiError::new(ErrorCode::Invalid, why));
            }
            let _change = self.changing.lock().await;
            self.own_by_api("listener", name.as_str())?;
            self.check_bind(&spec)?;
            self.make(|made| {
                made.listeners.insert(name.to_string(), spec);
            })?;
            found("listener", name.as_str(), self.listeners())
        })
    }

    fn delete_listener(&self, name: Name) -> Reply<'_, ()> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            self.own_by_api("listener", name.as_str())?;
            let removed = self.make(|made| made.listeners.remove(name.as_str()).is_some())?;
            if removed { Ok(()) } else { Err(not_found("listener", name.as_str())) }
        })
    }

    fn connectors(&self) -> Vec<ConnectorResource> {
        self.connector_resources()
    }

    fn put_connector(&self, name: Name, view: ConnectorView) -> Reply<'_, ConnectorResource> {
        Box::pin(async move {
            if let Err(why) = view.timing.check() {
                return Err(ApiError::new(ErrorCode::Invalid, why));
            }
            if view.target.is_metadata() {
                let text = "the cloud's metadata service tells this host's secrets; \
                            it can be offered by a configuration file only";
                return Err(ApiError::new(ErrorCode::NotAllowed, text));
            }
            let spec = ConnectorSpec {
                address: view.address.unwrap_or_else(|| name.clone().into()),
                protocol: view.protocol,
                target: view.target,
                service_port: view.service_port,
                check: view.check,
                timing: view.timing,
                proxy_protocol: view.proxy_protocol,
                priority: view.priority,
                weight: view.weight.unwrap_or(NonZeroU16::MIN),
                tls: view.tls,
                name: name.clone(),
            }
            .settled();
            if let Err(why) = spec.check_tls() {
                return Err(ApiError::new(ErrorCode::Invalid, why));
            }
            let _change = self.changing.lock().await;
            self.own_by_api("connector", name.as_str())?;
            self.no_label_says(name.as_str())?;
            self.make(|made| {
                made.connectors.insert(name.to_string(), spec);
            })?;
            found("connector", name.as_str(), self.connectors())
        })
    }

    fn delete_connector(&self, name: Name) -> Reply<'_, ()> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            self.own_by_api("connector", name.as_str())?;
            self.no_label_says(name.as_str())?;
            let removed = self.make(|made| made.connectors.remove(name.as_str()).is_some())?;
            if removed { Ok(()) } else { Err(not_found("connector", name.as_str())) }
        })
    }

    fn tokens(&self) -> Vec<TokenResource> {
        self.token_resources()
    }

    fn create_token(&self, create: TokenCreate) -> Reply<'_, TokenCreated> {
        Box::pin(async move {
            if create.spec.accept && self.advertised().is_empty() {
                let _change = self.changing.lock().await;
                self.open_link_port()?;
            }
            self.issue_token(create)
        })
    }

    fn delete_token(&self, name: Name) -> Reply<'_, ()> {
        Box::pin(async move { self.revoke_token(name.as_str()) })
    }

    fn peers(&self) -> Vec<PeerResource> {
        self.peer_resources()
    }

    fn put_peer(&self, peer: String, put: PeerPut) -> Reply<'_, PeerResource> {
        Box::pin(async move {
            let id = self.wanted_peer(&peer)?;
            if put.trusted {
                self.trust_again(id).map_err(state)?;
            } else {
                self.end_trust(id)?;
            }
            let all = self.peer_resources();
            all.into_iter().find(|p| p.spec.id == id).ok_or_else(|| not_found("peer", &peer))
        })
    }

    fn delete_peer(&self, peer: String) -> Reply<'_, ()> {
        Box::pin(async move {
            let id = self.wanted_peer(&peer)?;
            self.end_trust(id)
        })
    }

    fn debug(&self) -> std::collections::BTreeMap<String, String> {
        self.debug_texts()
    }

    fn set_site(&self, put: SitePut) -> Reply<'_, ()> {
        Box::pin(async move {
            let _change = self.changing.lock().await;
            match put.accept {
                Some(true) => self.open_link_port(),
                Some(false) => self.close_link_port(),
                None => Ok(()),
            }
        })
    }

    fn metrics(&self) -> String {
        Self::metrics(self)
    }

    fn services(&self) -> Vec<ServiceResource> {
        self.service_resources()
    }

    fn events(&self, after: u64) -> Vec<Event> {
        self.events_after(after)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changes()
    }

    fn network(&self) -> Vec<NetworkSite> {
        network_view::sites(&self.map.routes())
    }

    fn flows(&self, query: &FlowQuery) -> Result<Vec<FlowRecord>, ApiError> {
        self.flow_records(query)
    }

    fn tap(&self, address: &str, values: bool) -> Result<TapLines, ApiError> {
        self.tap_service(address, values)
    }

    fn ping(&self, request: PingRequest) -> Reply<'_, PingReply> {
        Box::pin(self.echo(request))
    }

    fn trace(&self, request: TraceRequest) -> Reply<'_, Trace> {
        Box::pin(self.trace_flow(request))
    }

    fn check(&self) -> Reply<'_, Vec<CheckLine>> {
        Box::pin(async move { Ok(self.check_all().await) })
    }

    fn config(&self) -> Vec<ConfigValue> {
        self.loaded.lock().values()
    }

    fn reload(&self) -> Reply<'_, Vec<String>> {
        Box::pin(async move { self.reload_now().await })
    }

    fn log(&self, request: LogRequest) -> Result<(), ApiError> {
        (self.environment.set_log)(&request.level)
            .map_err(|why| ApiError::new(ErrorCode::Invalid, why))
    }
}

impl Site {
    /// Reads the configuration again and applies the difference.
    pub async fn reload_now(&self) -> Result<Vec<String>, ApiError> {
        let _change = self.changing.lock().await;
        let Some(reload) = &self.environment.reload else {
            return Err(ApiError::new(ErrorCode::Invalid, "this site has no configuration file"));
        };
        let refused = |why: String| {
            self.event(Severity::Error, "ReloadRefused", "config".into(), why.clone());
            ApiError::new(ErrorCode::Invalid, why).hint("the old configuration goes on as it was")
        };
        let loaded = reload().map_err(refused)?;
        let changed = self.apply(loaded).map_err(|e| refused(e.to_string()))?;
        let text = match changed.len() {
            0 => "configuration read again; nothing changed".to_owned(),
            _ => format!("configuration read again; changed: {}", changed.join(", ")),
        };
        self.event(Severity::Info, "Reloaded", "config".into(), text);
        Ok(changed)
    }

    /// A resource that a file owns can't be changed over the API.
    fn own_by_api(&self, kind: &str, name: &str) -> Result<(), ApiError> {
        let loaded = self.loaded.lock();
        let origin = loaded.origins.get(&format!("{kind}.{name}.name"));
        match origin.file() {
            Some(file) => Err(ApiError::new(
                ErrorCode::Conflict,
                format!("{kind} {name:?} comes from {file} and can't be changed over the API"),
            )
            .hint(format!("edit {file} and run 'vanctl reload'"))),
            None => Ok(()),
        }
    }

    /// What a container's labels say can't be changed over the API.
    fn no_label_says(&self, name: &str) -> Result<(), ApiError> {
        let running = self.running.lock();
        match running.connectors.get(name).filter(|wanted| wanted.source == Source::Podman) {
            Some(_) => Err(ApiError::new(
                ErrorCode::Conflict,
                format!("connector {name:?} comes from a container's labels"),
            )
            .hint("make the container anew with other labels, or choose another name")),
            None => Ok(()),
        }
    }

    /// Two listeners can't have one place.
    fn check_bind(&self, spec: &ListenerSpec) -> Result<(), ApiError> {
        let running = self.running.lock();
        let other = running.listeners.iter().find(|(name, run)| {
            *name != spec.name.as_str()
                && run.wanted.spec.bind == spec.bind
                && (run.wanted.spec.protocol == Protocol::Udp) == (spec.protocol == Protocol::Udp)
                && !matches!(&spec.bind, van_model::Bind::Tcp(place) if place.port() == 0)
        });
        match other {
            Some((name, _)) => Err(ApiError::new(
                ErrorCode::Conflict,
                format!("listener {name:?} is bound to {} already", spec.bind),
            )),
            None => Ok(()),
        }
    }

    /// Changes what the API wants, keeps it, and makes it so.
    pub(crate) fn make<T>(&self, change: impl FnOnce(&mut Made) -> T) -> Result<T, ApiError> {
        let before = self.made.get();
        let result = self.made.change(&self.store, change).map_err(state)?;
        if let Err(error) = self.reconcile() {
            // What can't be applied is not kept.
            self.made.change(&self.store, |made| *made = before).map_err(state)?;
            return Err(error.into());
        }
        Ok(result)
    }
}

fn found<S, T>(
    kind: &str,
    name: &str,
    items: Vec<van_model::Resource<S, T>>,
) -> Result<van_model::Resource<S, T>, ApiError> {
    items.into_iter().find(|item| item.name == name).ok_or_else(|| not_found(kind, name))
}

impl Site {
    fn wanted_peer(&self, peer: &str) -> Result<van_model::SiteId, ApiError> {
        let hint = "'vanctl peer list' shows the sites that are trusted";
        self.find_peer(peer).ok_or_else(|| not_found("peer", peer).hint(hint))
    }

    fn end_trust(&self, id: van_model::SiteId) -> Result<(), ApiError> {
        let name = self.revoke(id).map_err(state)?;
        self.links.close_peer(&id, GoAwayReason::Revoked, REVOKE_GRACE);
        let text = format!("site {name} ({}) was revoked", id.short());
        self.event(Severity::Warning, "PeerRevoked", format!("site/{id}"), text);
        Ok(())
    }
}

pub(crate) fn not_found(kind: &str, name: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("no {kind} named {name:?}"))
}

fn not_ours(name: &Name) -> ApiError {
    let message = format!("link {:?} was made by the site at its other end", name.as_str());
    ApiError::new(ErrorCode::Conflict, message)
        .hint("delete it there, or end the trust with 'vanctl peer revoke SITE'")
}

pub(crate) fn state(error: StoreError) -> ApiError {
    SiteError::from(error).into()
}
