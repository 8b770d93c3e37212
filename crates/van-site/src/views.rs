//! Resources as the API shows them: wanted and observed side by side.

use std::sync::Arc;

use van_model::api::{
    ConnectorResource, ConnectorView, LinkResource, LinkView, ListenerResource, ListenerView,
    PeerResource, PeerView, Resource, ServiceResource, ServiceView, Source, TokenResource,
    TokenView,
};
use van_model::status::{
    ConnectorStatus, DatagramStatus, Direction, LinkState, LinkStatus, ListenerStatus, PeerStatus,
    ServiceStatus, SiteRef, TokenStatus,
};
use van_model::{ConnectorSpec, ListenerSpec, TokenSpec};
use van_net::{DialStatus, Link};
use van_proxy::{Candidate, Offer, Service};
use van_routing::{RouterId, Routes};

use crate::clock;
use crate::imports::ImportState;
use crate::network_view::{Names, claimed};
use crate::reconcile::{LinkRun, ListenerRun, Wanted};
use crate::services::KnownService;
use crate::site::Site;
use crate::status::ready;

impl Site {
    pub(crate) fn link_resources(&self) -> Vec<LinkResource> {
        let up = self.links.all();
        let running = self.running.lock();
        let mut shown: Vec<*const Link> = Vec::new();
        let mut items: Vec<LinkResource> = Vec::new();
        for (name, run) in &running.links {
            let to_peer = |l: &&Arc<Link>| l.peer.id == run.dial.peer;
            let own = up.iter().find(|l| Arc::ptr_eq(&l.meter, &run.meter));
            // The peer's own link may stand in for this one.
            let link = own.or_else(|| up.iter().find(to_peer));
            shown.extend(link.map(Arc::as_ptr));
            items.push(self.dialled(name, run, link));
        }
        // What this site dialled and no longer wants drains; it is not shown as another link.
        let others = up.iter().filter(|l| l.direction == Direction::Incoming);
        for link in others.filter(|l| !shown.contains(&Arc::as_ptr(l))) {
            let taken = items.iter().any(|item| item.name == link.name);
            let name =
                if taken { format!("{}-{}", link.peer.name, link.name) } else { link.name.clone() };
            items.push(self.incoming(name, link));
        }
        items.sort_by(|a, b| a.name.cmp(&b.name));
        items
    }

    fn dialled(&self, name: &str, run: &LinkRun, link: Option<&Arc<Link>>) -> LinkResource {
        let dial = run.status.borrow().clone();
        let mut status = self.link_status(link, &dial, run);
        if link.is_none() {
            status.bytes_sent = run.meter.sent.get();
            status.bytes_received = run.meter.received.get();
            status.flows_total = run.meter.total.get();
            status.peer = self
                .peers
                .get(&run.dial.peer)
                .map(|pin| SiteRef { id: run.dial.peer, name: pin.name });
            status.remote = run.dial.endpoints.first().map(ToString::to_string);
        }
        let spec = &run.wanted.spec;
        Resource {
            name: name.to_owned(),
            source: run.wanted.source,
            file: run.wanted.file.clone(),
            spec: LinkView {
                cost: spec.cost,
                token_file: match &spec.token {
                    TokenSpec::File(path) => Some(path.display().to_string()),
                    TokenSpec::Credential(name) => Some(format!("credential:{name}")),
                    TokenSpec::Text(_) => None,
                },
                proxy: spec.proxy.as_deref().map(masked),
            },
            status,
        }
    }

    fn link_status(
        &self,
        link: Option<&Arc<Link>>,
        dial: &DialStatus,
        run: &LinkRun,
    ) -> LinkStatus {
        let key = format!("link/{}", run.wanted.spec.name);
        match link {
            Some(link) => {
                let mut status = self.up_status(&key, link);
                status.reconnects = dial.reconnects;
                status
            }
            None => {
                // A connection that just ended is told by the dialler a moment later.
                let state = match dial.state {
                    LinkState::Connected => LinkState::Connecting,
                    other => other,
                };
                let text = dial.message.clone().unwrap_or_default();
                let conditions = self.conditions(&key, &ready(false, dial.reason, &text));
                let since =
                    conditions.get("Ready").map_or_else(clock::now, |c| c.last_transition_time);
                LinkStatus {
                    state,
                    reason: dial.message.clone(),
                    hint: dial.hint.clone(),
                    peer: None,
                    direction: Direction::Outgoing,
                    cost: run.dial.cost.get(),
                    peer_cost: None,
                    rtt_ms: None,
                    since,
                    remote: None,
                    connections: Vec::new(),
                    reconnects: dial.reconnects,
                    bytes_sent: 0,
                    bytes_received: 0,
                    flows_open: 0,
                    flows_total: 0,
                    certificate_expires: None,
                    conditions,
                }
            }
        }
    }

    /// The cost of a link as its other end tells it to the network.
    fn cost_there(&self, link: &Link) -> Option<u16> {
        let routes = self.map.routes();
        let there = RouterId { site: link.peer.id, replica: link.peer.replica };
        claimed(&routes, there, routes.me)
    }

    /// The neighbours over which new flows of a service go, by the site where its targets are.
    fn via(
        &self,
        routes: &Routes,
        names: &Names,
        service: &Service,
    ) -> std::collections::BTreeMap<String, Vec<String>> {
        let others = service.candidates.iter().filter(|c| c.site != self.own_id());
        let first = |candidate: &Candidate| {
            let paths = routes.site(candidate.site).filter_map(|(_, node)| node.path.as_ref());
            let best = paths.min_by_key(|path| (path.cost, path.hops));
            let next = best.map_or(&[][..], |path| &path.next);
            next.iter().map(|router| names.label(router.site)).collect()
        };
        others.map(|candidate| (names.label(candidate.site), first(candidate))).collect()
    }

    fn incoming(&self, name: String, link: &Arc<Link>) -> LinkResource {
        let status = self.up_status(&format!("link/{name}"), link);
        Resource {
            name,
            source: Source::Api,
            file: None,
            spec: LinkView { cost: van_model::Cost::new(link.cost), token_file: None, proxy: None },
            status,
        }
    }

    fn up_status(&self, key: &str, link: &Arc<Link>) -> LinkStatus {
        LinkStatus {
            state: LinkState::Connected,
            reason: None,
            hint: None,
            peer: Some(SiteRef { id: link.peer.id, name: link.peer.name.clone() }),
            direction: link.direction,
            cost: link.cost,
            peer_cost: self.cost_there(link),
            rtt_ms: link.round_trip().map(|d| (d.as_secs_f64() * 1e6).round() / 1e3),
            since: link.since,
            remote: link.remote(),
            connections: link.connections(),
            reconnects: 0,
            bytes_sent: link.meter.sent.get(),
            bytes_received: link.meter.received.get(),
            flows_open: link.meter.open.get(),
            flows_total: link.meter.total.get(),
            certificate_expires: link.certificate_expires(),
            conditions: self.conditions(key, &ready(true, "Connected", "")),
        }
    }

    pub(crate) fn listener_resources(&self) -> Vec<ListenerResource> {
        let running = self.running.lock();
        running.listeners.iter().map(|(name, run)| self.listener(name, run)).collect()
    }

    fn listener(&self, name: &str, run: &ListenerRun) -> ListenerResource {
        let spec = &run.wanted.spec;
        let targets = self.dispatcher.table().targets(&spec.address) as usize;
        let key = format!("listener/{name}");
        let status = match &run.listener {
            Err(why) => ListenerStatus {
                bound: None,
                accepting: false,
                targets,
                flows_open: 0,
                flows_total: 0,
                datagrams: None,
                conditions: self.conditions(&key, &ready(false, "BindFailed", why)),
            },
            Ok(listener) => {
                let state = listener.state();
                let offered = self.protocol_of(&spec.address);
                let lasting = match &state.problem {
                    _ if offered.is_some_and(|p| is_udp(p) != is_udp(spec.protocol)) => {
                        let offered = offered.unwrap_or_default();
                        let text = format!(
                            "{} is offered as {offered} and this listener speaks {}; \
                             set protocol = \"{offered}\"",
                            spec.address, spec.protocol
                        );
                        ready(false, "ProtocolMismatch", &text)
                    }
                    _ if targets == 0 => {
                        let text = format!("no site offers a healthy target for {}", spec.address);
                        ready(false, "NoTarget", &text)
                    }
                    Some(problem) => ready(false, "NotAccepting", problem),
                    None => ready(true, "Accepting", ""),
                };
                ListenerStatus {
                    bound: state.bound,
                    accepting: state.accepting,
                    targets,
                    flows_open: state.meter.open.get(),
                    flows_total: state.meter.total.get(),
                    datagrams: is_udp(spec.protocol).then(|| datagrams([&state.meter])),
                    conditions: self.conditions(&key, &lasting),
                }
            }
        };
        resource(&run.wanted, name, listener_view(spec), status)
    }

    pub(crate) fn connector_resources(&self) -> Vec<ConnectorResource> {
        let running = self.running.lock();
        let told = self.network.told();
        running
            .connectors
            .iter()
            .filter_map(|(name, wanted)| {
                let state = self.connectors.get(&wanted.spec.name)?;
                let why = state.reason.clone().unwrap_or_default();
                let lasting = if state.healthy {
                    ready(true, "Healthy", "")
                } else if why.is_empty() {
                    ready(false, "Checking", "the first check is under way")
                } else {
                    ready(false, "Unhealthy", &why)
                };
                let status = ConnectorStatus {
                    healthy: state.healthy,
                    reason: state.reason,
                    advertised_to: if state.healthy { told } else { 0 },
                    flows_open: state.meter.open.get(),
                    flows_total: state.meter.total.get(),
                    datagrams: is_udp(wanted.spec.protocol).then(|| datagrams([&state.meter])),
                    conditions: self.conditions(&format!("connector/{name}"), &lasting),
                };
                Some(resource(wanted, name, connector_view(&wanted.spec), status))
            })
            .collect()
    }

    pub(crate) fn token_resources(&self) -> Vec<TokenResource> {
        let now = clock::now();
        let show = |(name, token): (String, crate::tokens::IssuedToken)| {
            let used = u32::try_from(token.redeemed_by.len()).unwrap_or(u32::MAX);
            let lasting = if now >= token.expires {
                ready(false, "Expired", "it has expired")
            } else if used >= token.uses {
                ready(false, "Used", "all its uses are used")
            } else {
                ready(true, "Usable", "")
            };
            let lifetime = token.expires.duration_since(token.created).as_secs();
            Resource {
                source: Source::Api,
                file: None,
                spec: TokenView {
                    expires_seconds: u64::try_from(lifetime).ok(),
                    uses: Some(token.uses),
                    cost: token.cost,
                    accept: false,
                },
                status: TokenStatus {
                    created: token.created,
                    expires: token.expires,
                    uses: token.uses,
                    used,
                    redeemed_by: token.redeemed_by,
                    conditions: self.conditions(&format!("token/{name}"), &lasting),
                },
                name,
            }
        };
        self.tokens.all().into_iter().map(show).collect()
    }

    pub(crate) fn peer_resources(&self) -> Vec<PeerResource> {
        let peers = self.peers.all().into_iter();
        peers
            .map(|(id, pin)| {
                let connected = !self.links.to(&id).is_empty();
                let lasting = if pin.revoked {
                    ready(
                        false,
                        "Revoked",
                        "it is refused until it redeems a token that was made since",
                    )
                } else if connected {
                    ready(true, "Connected", "")
                } else {
                    ready(false, "NotConnected", "no link to it is up")
                };
                Resource {
                    name: id.to_string(),
                    source: Source::Api,
                    file: None,
                    spec: PeerView { id },
                    status: PeerStatus {
                        name: pin.name,
                        connected,
                        since: pin.since,
                        last_seen: if connected { Some(clock::now()) } else { pin.last_seen },
                        ephemeral: pin.ephemeral,
                        revoked: pin.revoked,
                        conditions: self.conditions(&format!("peer/{id}"), &lasting),
                    },
                }
            })
            .collect()
    }

    pub(crate) fn service_resources(&self) -> Vec<ServiceResource> {
        let own = self.own_id();
        let routes = self.map.routes();
        let names = self.names(&routes);
        let table = self.dispatcher.table();
        let listeners: Vec<(String, van_model::Address)> = {
            let running = self.running.lock();
            running
                .listeners
                .iter()
                .map(|(n, l)| (n.clone(), l.wanted.spec.address.clone()))
                .collect()
        };
        let mut known = self.services.known(&routes, own, &self.connectors.offers());
        for (_, address) in &listeners {
            if known.iter().all(|k| k.address != *address) {
                known.push(KnownService::unknown(address.clone()));
            }
        }
        known.sort_by(|a, b| a.address.cmp(&b.address));
        let imports: std::collections::BTreeMap<_, _> =
            self.imports.all().into_iter().map(|import| (import.address.clone(), import)).collect();
        let show = |service: KnownService| {
            let import = imports.get(&service.address);
            let used: Vec<String> = listeners
                .iter()
                .filter(|(_, address)| *address == service.address)
                .map(|(name, _)| name.clone())
                .collect();
            let via = table.get(&service.address).map(|s| self.via(&routes, &names, s));
            self.service(service, &used, import, (&names, via.unwrap_or_default()))
        };
        known.into_iter().map(show).collect()
    }

    fn service(
        &self,
        service: KnownService,
        listeners: &[String],
        import: Option<&ImportState>,
        (names, via): (&Names, std::collections::BTreeMap<String, Vec<String>>),
    ) -> ServiceResource {
        let KnownService { address, offers, conflict: told, meter, meters } = service;
        let targets = offers
            .iter()
            .filter(|(_, offer)| offer.targets > 0)
            .map(|(id, offer)| (names.label(*id), offer.targets as usize))
            .collect();
        let total: u32 = offers.values().map(|o| o.targets).sum();
        let protocol = offers.values().next().map(|o| o.protocol).unwrap_or_default();
        let sum = |f: &dyn Fn(&van_net::Meter) -> u64| meters.iter().map(|m| f(m)).sum::<u64>();
        let lasting = match told.or_else(|| conflict(offers.values())) {
            Some(why) => ready(false, "Conflict", &why),
            None if total == 0 => ready(false, "NoTarget", "no healthy target is known"),
            None => match import.and_then(|import| import.state.as_ref().err()) {
                Some(why) => {
                    ready(true, "ImportFailed", &format!("it does not appear here: {why}"))
                }
                None => ready(true, "Reachable", ""),
            },
        };
        Resource {
            name: address.to_string(),
            source: Source::Api,
            file: None,
            spec: ServiceView {
                protocol,
                service_port: port(offers.values()),
                address: address.clone(),
            },
            status: ServiceStatus {
                targets,
                listeners: listeners.to_vec(),
                import: import.map(|import| import.place.to_string()),
                via,
                flows_open: sum(&|m| m.open.get()),
                flows_total: meter.total.get(),
                errors: meter.errors.get() + sum(&|m| m.errors.get()),
                bytes_sent: meter.sent.get() + sum(&|m| m.sent.get()),
                bytes_received: meter.received.get() + sum(&|m| m.received.get()),
                connect_ms: busiest(&meters).and_then(|m| m.connect.quantiles()),
                datagrams: is_udp(protocol).then(|| {
                    let mut all = datagrams(&meters);
                    self.add_dropped_before_the_choice(&mut all, listeners, import);
                    all
                }),
                conditions: self.conditions(&format!("service/{address}"), &lasting),
            },
        }
    }
}

impl Site {
    /// What an address is offered as, here or elsewhere.
    fn protocol_of(&self, address: &van_model::Address) -> Option<van_model::Protocol> {
        let here = self.connectors.offers().get(address).map(|offer| offer.protocol);
        let routes = self.map.routes();
        let there = || routes.services.get(address)?.offers.values().next().map(|o| o.protocol);
        here.or_else(there)
    }

    /// Adds what this site's listeners of a service dropped.
    fn add_dropped_before_the_choice(
        &self,
        all: &mut DatagramStatus,
        listeners: &[String],
        import: Option<&ImportState>,
    ) {
        let running = self.running.lock();
        let own = listeners.iter().filter_map(|name| {
            Some(running.listeners.get(name)?.listener.as_ref().ok()?.state().meter)
        });
        let import = import.and_then(|import| Some(import.state.as_ref().ok()?.meter.clone()));
        for meter in own.chain(import) {
            for (reason, count) in datagrams([&meter]).dropped {
                *all.dropped.entry(reason).or_default() += count;
            }
        }
    }
}

fn is_udp(protocol: van_model::Protocol) -> bool {
    protocol == van_model::Protocol::Udp
}

/// The sum of what was counted of datagrams.
fn datagrams<'a>(meters: impl IntoIterator<Item = &'a Arc<van_net::Meter>>) -> DatagramStatus {
    let mut all = DatagramStatus::default();
    for counts in meters.into_iter().map(|meter| &meter.datagrams) {
        all.sent += counts.sent.get();
        all.received += counts.received.get();
        for why in van_net::Lost::ALL {
            *all.dropped.entry(why.as_str().into()).or_default() += counts.of(why);
        }
    }
    all
}

/// The counts that say most of how long connecting takes.
fn busiest(meters: &[Arc<van_net::Meter>]) -> Option<&van_net::Meter> {
    meters.iter().max_by_key(|m| m.total.get()).map(|m| &**m)
}

/// The port under which a service appears: an explicit one, else the lowest of its targets.
fn port<'a>(offers: impl Iterator<Item = &'a Offer> + Clone) -> Option<u16> {
    let explicit = offers.clone().filter_map(|o| o.service_port).min();
    explicit.or_else(|| offers.filter_map(|o| o.target_port).min())
}

/// Why the offers of one address do not go together.
fn conflict<'a>(offers: impl Iterator<Item = &'a Offer> + Clone) -> Option<String> {
    let mut ports: Vec<u16> = offers.clone().filter_map(|o| o.service_port).collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.len() > 1 {
        return Some(format!("sites offer it under different service ports: {ports:?}"));
    }
    let mut protocols: Vec<_> = offers.map(|o| o.protocol).collect();
    protocols.sort_unstable();
    protocols.dedup();
    (protocols.len() > 1).then(|| "sites offer it with different protocols".into())
}

pub(crate) fn listener_view(spec: &ListenerSpec) -> ListenerView {
    ListenerView {
        address: Some(spec.address.clone()),
        protocol: spec.protocol,
        bind: spec.bind.clone(),
        strategy: spec.strategy,
        addresses: spec.addresses.clone(),
        udp_idle_ms: spec.udp_idle_ms,
    }
}

pub(crate) fn connector_view(spec: &ConnectorSpec) -> ConnectorView {
    ConnectorView {
        address: Some(spec.address.clone()),
        protocol: spec.protocol,
        target: spec.target.clone(),
        service_port: spec.service_port,
        check: spec.check.clone(),
        timing: spec.timing,
        proxy_protocol: spec.proxy_protocol,
        priority: spec.priority,
        weight: Some(spec.weight),
    }
}

fn resource<S, V, T>(wanted: &Wanted<S>, name: &str, spec: V, status: T) -> Resource<V, T> {
    Resource {
        name: name.to_owned(),
        source: wanted.source,
        file: wanted.file.clone(),
        spec,
        status,
    }
}

/// A proxy's URL without its password.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".into() };
    match rest.rsplit_once('@') {
        Some((credentials, place)) => {
            let user = credentials.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:***@{place}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        assert_eq!(masked("http://anna:s3cret@p:1"), "http://anna:***@p:1");
        assert_eq!(masked("http://p:1"), "http://p:1");
    }

    #[test]
    fn only_two_explicit_ports_conflict() {
        let offer = |service_port, target_port| Offer {
            groups: Vec::new(),
            targets: 1,
            protocol: van_model::Protocol::Tcp,
            service_port,
            target_port: Some(target_port),
        };
        let joined = [offer(None, 8081), offer(Some(80), 8080)];
        assert_eq!((conflict(joined.iter()), port(joined.iter())), (None, Some(80)));
        let apart = [offer(Some(80), 1), offer(Some(81), 1)];
        assert!(conflict(apart.iter()).unwrap().contains("[80, 81]"));
        assert_eq!(port([offer(None, 9), offer(None, 8)].iter()), Some(8));
    }
}
