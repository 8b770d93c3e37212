//! A site that only remembers, for tests of the server and of its clients.
//!
//! What happens is said by what is asked for. A link's token: one that has `slow` in it never
//! connects, one with `refused` is refused for good, any other connects to the site `public`. A
//! connector with the target port 1 is never healthy. A listener at port 1 never gets its port.
//! The site `silent` doesn't answer, and there is no way to `cut-off`. The connector `from-file` belongs to a file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::watch;
use van_model::api::{
    CheckLine, ConfigValue, ConnectorResource, ConnectorView, Event, FlowEnd, FlowQuery,
    FlowRecord, LinkPut, LinkResource, ListenerResource, ListenerView, LogRequest, NetworkSite,
    PeerPut, PeerResource, PeerView, PingReply, PingRequest, Resource, ServiceResource,
    ServiceView, Severity, SitePut, TapLine, TokenCreate, TokenCreated, TokenResource, Trace,
    TraceRequest,
};
use van_model::status::{
    LinkState, ListenerStatus, PeerStatus, Quantiles, ServiceStatus, SiteRef, SiteStatus,
    TokenStatus, Warning,
};
use van_model::{Address, ApiError, Bind, Conditions, ErrorCode, Mode, Name, SiteId, Source};

use crate::site::{Reply, SiteApi, TapLines};

mod network;
mod resources;

use resources::{connector, link};

#[derive(Default)]
struct State {
    links: BTreeMap<String, LinkResource>,
    listeners: BTreeMap<String, ListenerResource>,
    connectors: BTreeMap<String, ConnectorResource>,
    tokens: BTreeMap<String, TokenResource>,
    peers: BTreeMap<String, PeerResource>,
    events: Vec<Event>,
    flows: Vec<FlowRecord>,
    level: String,
}

/// A site that only remembers.
pub struct FakeSite {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

/// The time at which everything in the fake happened.
pub fn fake_time() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn ready(is: bool, reason: &str, message: &str) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.set_ready(fake_time(), is, reason, message);
    conditions
}

pub(crate) fn public() -> SiteRef {
    SiteRef { id: SiteId::from_bytes(*b"public-public-public"), name: "public".into() }
}

fn done<T: Send + 'static>(result: Result<T, ApiError>) -> Reply<'static, T> {
    Box::pin(std::future::ready(result))
}

fn missing(kind: &str, name: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("no {kind} named {name:?}"))
}

fn refuse_file<S, T>(resource: Option<&Resource<S, T>>) -> Result<(), ApiError> {
    match resource.and_then(|resource| resource.file.as_deref()) {
        Some(file) => Err(ApiError::new(ErrorCode::Conflict, format!("it comes from {file}"))
            .hint("change the file and run: vanctl reload")),
        None => Ok(()),
    }
}

impl FakeSite {
    /// Makes a site with one connector from a file and nothing else.
    pub fn new() -> Arc<Self> {
        let site = Self { state: Mutex::default(), changed: watch::channel(0).0 };
        let view = ConnectorView {
            address: None,
            protocol: van_model::Protocol::Tcp,
            target: van_model::Target::Unix("/run/fake.sock".into()),
            service_port: None,
            check: van_model::Check::None,
            timing: van_model::CheckTiming::default(),
            proxy_protocol: false,
            priority: 0,
            weight: None,
            tls: None,
        };
        let mut owned = connector("from-file", view);
        owned.source = Source::File;
        owned.file = Some("/etc/vand/vand.toml".into());
        site.lock().connectors.insert("from-file".into(), owned);
        Arc::new(site)
    }

    /// Adds an event and ticks.
    pub fn happen(&self, reason: &str, subject: &str, message: &str) {
        let mut state = self.lock();
        let sequence = state.events.len() as u64 + 1;
        state.events.push(Event {
            sequence,
            time: fake_time(),
            severity: Severity::Info,
            reason: reason.into(),
            subject: subject.into(),
            message: message.into(),
        });
        drop(state);
        self.changed.send_modify(|tick| *tick += 1);
    }

    /// Begins a flow of `db` from a client here to the site `public`, or ends it, and ticks.
    pub fn flow(&self, id: u64, end: Option<FlowEnd>) {
        let mut state = self.lock();
        state.flows.retain(|flow| flow.id != id);
        state.flows.push(network::flow(id, end));
        drop(state);
        self.changed.send_modify(|tick| *tick += 1);
    }

    /// The level that was last asked for.
    pub fn level(&self) -> String {
        self.lock().level.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl SiteApi for FakeSite {
    fn status(&self) -> SiteStatus {
        let state = self.lock();
        let up = state.links.values().filter(|l| l.status.state == LinkState::Connected).count();
        SiteStatus {
            name: "laptop".into(),
            id: SiteId::from_bytes(*b"laptop-laptop-laptop"),
            mode: Mode::Interior,
            platform: "host".into(),
            namespace: None,
            version: "0.1.0".into(),
            uptime_seconds: 3725,
            accepting: Vec::new(),
            links_up: up,
            links_configured: state.links.len(),
            sites_reached: up,
            services_offered: state.connectors.len(),
            services_used: state.listeners.len(),
            flows_open: 0,
            warnings: vec![Warning {
                subject: "site/laptop".into(),
                message: "this is a fake".into(),
                hint: Some("use a real one".into()),
            }],
            conditions: ready(true, "Running", ""),
        }
    }

    fn site(&self) -> serde_json::Value {
        serde_json::json!({
            "name": "laptop", "source": "file", "file": "/etc/vand/vand.toml",
            "spec": {"name": "laptop", "mode": "interior", "labels": {"region": "eu"}},
            "status": {"conditions": []}, "later": {"field": 1},
        })
    }

    fn links(&self) -> Vec<LinkResource> {
        self.lock().links.values().cloned().collect()
    }

    fn wants_link(&self, name: &str) -> bool {
        self.lock().links.contains_key(name)
    }

    fn put_link(&self, name: Name, put: LinkPut) -> Reply<'_, LinkResource> {
        let made = link(name.as_str(), put);
        self.lock().links.insert(made.name.clone(), made.clone());
        self.happen("LinkWanted", &format!("link/{name}"), "a link was made");
        done(Ok(made))
    }

    fn delete_link(&self, name: Name) -> Reply<'_, ()> {
        let gone = self.lock().links.remove(name.as_str());
        self.happen("LinkRemoved", &format!("link/{name}"), "a link was removed");
        done(gone.map(drop).ok_or_else(|| missing("link", name.as_str())))
    }

    fn listeners(&self) -> Vec<ListenerResource> {
        self.lock().listeners.values().cloned().collect()
    }

    fn put_listener(&self, name: Name, spec: ListenerView) -> Reply<'_, ListenerResource> {
        let free = !matches!(&spec.bind, Bind::Tcp(place) if place.port() == 1);
        let mut state = self.lock();
        let address = spec.address.clone().unwrap_or_else(|| name.clone().into());
        let targets = state
            .connectors
            .values()
            .filter(|c| {
                c.spec.address.as_ref().map_or(&*c.name, Address::as_str) == address.as_str()
            })
            .count();
        let status = ListenerStatus {
            certificate_expires: None,
            datagrams: None,
            bound: free.then(|| spec.bind.to_string()),
            accepting: targets > 0,
            targets,
            flows_open: 0,
            flows_total: 0,
            conditions: match (free, targets) {
                (false, _) => ready(false, "BindFailed", "the port is taken"),
                (true, 0) => ready(false, "NoTarget", "no target can be reached"),
                (true, _) => ready(true, "Accepting", ""),
            },
        };
        let made =
            Resource { name: name.to_string(), source: Source::Api, file: None, spec, status };
        state.listeners.insert(made.name.clone(), made.clone());
        drop(state);
        self.changed.send_modify(|tick| *tick += 1);
        done(Ok(made))
    }

    fn delete_listener(&self, name: Name) -> Reply<'_, ()> {
        let gone = self.lock().listeners.remove(name.as_str());
        done(gone.map(drop).ok_or_else(|| missing("listener", name.as_str())))
    }

    fn connectors(&self) -> Vec<ConnectorResource> {
        self.lock().connectors.values().cloned().collect()
    }

    fn put_connector(&self, name: Name, spec: ConnectorView) -> Reply<'_, ConnectorResource> {
        let mut state = self.lock();
        if let Err(error) = refuse_file(state.connectors.get(name.as_str())) {
            return done(Err(error));
        }
        let made = connector(name.as_str(), spec);
        state.connectors.insert(made.name.clone(), made.clone());
        drop(state);
        self.changed.send_modify(|tick| *tick += 1);
        done(Ok(made))
    }

    fn delete_connector(&self, name: Name) -> Reply<'_, ()> {
        let mut state = self.lock();
        if let Err(error) = refuse_file(state.connectors.get(name.as_str())) {
            return done(Err(error));
        }
        let gone = state.connectors.remove(name.as_str());
        done(gone.map(drop).ok_or_else(|| missing("connector", name.as_str())))
    }

    fn tokens(&self) -> Vec<TokenResource> {
        self.lock().tokens.values().cloned().collect()
    }

    fn create_token(&self, create: TokenCreate) -> Reply<'_, TokenCreated> {
        let mut state = self.lock();
        let name = create
            .name
            .map_or_else(|| format!("token{}", state.tokens.len() + 1), |name| name.to_string());
        let uses = create.spec.uses.unwrap_or(1);
        let seconds = i64::try_from(create.spec.expires_seconds.unwrap_or(900)).unwrap_or(900);
        let expires = fake_time() + std::time::Duration::from_secs(seconds.unsigned_abs());
        let status = TokenStatus {
            created: fake_time(),
            expires,
            uses,
            used: 0,
            redeemed_by: Vec::new(),
            conditions: ready(true, "Redeemable", ""),
        };
        let kept = Resource {
            name: name.clone(),
            source: Source::Api,
            file: None,
            spec: create.spec,
            status,
        };
        state.tokens.insert(name.clone(), kept);
        let access_token = format!("kind: AccessToken\nmetadata:\n  name: {name}\n");
        done(Ok(TokenCreated { token: format!("van1.{name}"), name, access_token, expires, uses }))
    }

    fn delete_token(&self, name: Name) -> Reply<'_, ()> {
        let gone = self.lock().tokens.remove(name.as_str());
        done(gone.map(drop).ok_or_else(|| missing("token", name.as_str())))
    }

    fn peers(&self) -> Vec<PeerResource> {
        let state = self.lock();
        if state.links.is_empty() && state.peers.is_empty() {
            return Vec::new();
        }
        let revoked = !state.peers.is_empty();
        let peer = public();
        vec![Resource {
            name: peer.id.to_string(),
            source: Source::Api,
            file: None,
            spec: PeerView { id: peer.id },
            status: PeerStatus {
                name: peer.name,
                connected: !revoked,
                since: fake_time(),
                last_seen: Some(fake_time()),
                ephemeral: false,
                revoked,
                conditions: ready(!revoked, "Connected", ""),
            },
        }]
    }

    fn put_peer(&self, peer: String, _put: PeerPut) -> Reply<'_, PeerResource> {
        let found = self.peers().into_iter().find(|known| known.status.name == peer);
        done(found.ok_or_else(|| missing("peer", &peer)))
    }

    fn delete_peer(&self, peer: String) -> Reply<'_, ()> {
        let found = self.peers().into_iter().find(|known| {
            known.name == peer || known.spec.id.has_prefix(&peer) || known.status.name == peer
        });
        match found {
            Some(known) => {
                self.lock().peers.insert(known.name.clone(), known);
                done(Ok(()))
            }
            None => done(Err(missing("peer", &peer))),
        }
    }

    fn debug(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("log".into(), "a line\n".into())])
    }

    fn set_site(&self, _put: SitePut) -> Reply<'_, ()> {
        done(Ok(()))
    }

    fn metrics(&self) -> String {
        "# EOF\n".into()
    }

    fn services(&self) -> Vec<ServiceResource> {
        let state = self.lock();
        let service = |connector: &ConnectorResource| {
            let address = match &connector.spec.address {
                Some(address) => address.clone(),
                None => connector.name.parse().ok()?,
            };
            Some(Resource {
                name: address.to_string(),
                source: connector.source,
                file: None,
                spec: ServiceView {
                    address,
                    protocol: connector.spec.protocol,
                    service_port: connector.spec.service_port.map(u16::from),
                },
                status: ServiceStatus {
                    datagrams: None,
                    requests: None,
                    targets: BTreeMap::from([("laptop".into(), 1), ("public".into(), 2)]),
                    import: None,
                    via: BTreeMap::from([("public".into(), vec!["public".into()])]),
                    listeners: Vec::new(),
                    flows_open: 1,
                    flows_total: 2,
                    errors: 0,
                    bytes_sent: 10,
                    bytes_received: 20,
                    connect_ms: Some(Quantiles { p50: 0.4, p99: 1.5 }),
                    conditions: ready(true, "Reachable", ""),
                },
            })
        };
        state.connectors.values().filter_map(service).collect()
    }

    fn events(&self, after: u64) -> Vec<Event> {
        self.lock().events.iter().filter(|event| event.sequence > after).cloned().collect()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn network(&self) -> Vec<NetworkSite> {
        network::sites()
    }

    fn flows(&self, query: &FlowQuery) -> Result<Vec<FlowRecord>, ApiError> {
        if query.site.as_deref().is_some_and(|site| site == "nowhere") {
            return Err(missing("site", "nowhere"));
        }
        let mut flows = self.lock().flows.clone();
        flows.retain(|f| query.address.as_ref().is_none_or(|a| f.address.as_str() == a));
        flows.retain(|f| query.site.is_none() || f.peer_name == query.site);
        flows.truncate(query.limit);
        Ok(flows)
    }

    fn tap(&self, address: &str, _: bool) -> Result<TapLines, ApiError> {
        let flow = network::flow(1, None);
        if flow.address.as_str() != address {
            return Err(missing("service", address));
        }
        Ok(futures_util::stream::iter([TapLine::Flow(flow.into())]).boxed())
    }

    fn ping(&self, request: PingRequest) -> Reply<'_, PingReply> {
        done(match request.site.as_str() {
            "public" => Ok(network::reply(&request)),
            "silent" => Err(ApiError::new(ErrorCode::Timeout, "no answer from silent in 5 s")),
            "cut-off" => {
                Err(ApiError::new(ErrorCode::Unavailable, "there is no way to site cut-off"))
            }
            other => Err(missing("site", other)),
        })
    }

    fn trace(&self, request: TraceRequest) -> Reply<'_, Trace> {
        done(match request.address.parse() {
            Ok(address) if request.address.starts_with("db") => {
                Ok(network::trace(address, request.listener))
            }
            Ok(_) => Err(missing("service", &request.address).hint("did you mean \"db\"?")),
            Err(error) => Err(ApiError::new(ErrorCode::Invalid, error.to_string())),
        })
    }

    fn check(&self) -> Reply<'_, Vec<CheckLine>> {
        let mut lines = vec![
            CheckLine::passed("config", "it is as on the disk"),
            CheckLine::warning("version", "sites run 2 versions").hint("update the older ones"),
        ];
        let state = self.lock();
        for name in state.links.values().filter(|l| l.status.reason.is_some()).map(|l| &l.name) {
            lines.push(CheckLine::failed(format!("link/{name}"), "the token was refused"));
        }
        drop(state);
        done(Ok(lines))
    }

    fn config(&self) -> Vec<ConfigValue> {
        vec![ConfigValue {
            key: "site.name".into(),
            value: "laptop".into(),
            origin: "/etc/vand/vand.toml:2".into(),
        }]
    }

    fn reload(&self) -> Reply<'_, Vec<String>> {
        done(Ok(vec!["listener/web".into()]))
    }

    fn log(&self, request: LogRequest) -> Result<(), ApiError> {
        if request.level == "loudest" {
            return Err(ApiError::new(ErrorCode::Invalid, "\"loudest\" is no log level")
                .hint("use error, warn, info, debug or trace"));
        }
        self.lock().level = request.level;
        Ok(())
    }
}
