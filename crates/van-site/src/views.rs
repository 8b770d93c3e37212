//! Resources as the API shows them: wanted and observed side by side.

mod services;

use std::sync::Arc;

use van_model::api::{
    ConnectorResource, ConnectorView, LinkResource, LinkView, ListenerResource, ListenerView,
    PeerResource, PeerView, Resource, Source, TokenResource, TokenView,
};
use van_model::status::{
    ConnectorStatus, Direction, LinkState, LinkStatus, ListenerStatus, PeerStatus, SiteRef,
    TokenStatus,
};
use van_model::{ConnectorSpec, ListenerSpec, TokenSpec};
use van_net::{DialStatus, Link};
use van_proxy::{Candidate, Service};
use van_routing::{RouterId, Routes};

use crate::clock;
use crate::network_view::{Names, claimed};
use crate::reconcile::{LinkRun, ListenerRun, Wanted};
use crate::replicas::is_within;
use crate::site::Site;
use crate::status::ready;

use services::{datagrams, is_udp};

impl Site {
    pub(crate) fn link_resources(&self) -> Vec<LinkResource> {
        let mut up = self.links.all();
        up.retain(|link| !is_within(self.own_id(), link));
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
        let (table, addresses) = (self.dispatcher.table(), spec.all_addresses());
        let targets = addresses.iter().map(|address| table.targets(address) as usize).sum();
        let key = format!("listener/{name}");
        let status = match &run.listener {
            Err(why) => ListenerStatus {
                bound: None,
                accepting: false,
                targets,
                flows_open: 0,
                flows_total: 0,
                datagrams: None,
                certificate_expires: None,
                conditions: self.conditions(&key, &ready(false, "BindFailed", why)),
            },
            Ok(listener) => {
                let state = listener.state();
                let offered = addresses.iter().find_map(|address| {
                    let offered = self.protocol_of(address)?;
                    (is_udp(offered) != is_udp(spec.protocol)).then_some((address, offered))
                });
                let names = || addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
                let tls = state.tls.as_ref();
                let lasting = match &state.problem {
                    _ if let Some(problem) = tls.and_then(|tls| tls.problem.as_ref()) => {
                        ready(false, "TlsFiles", problem)
                    }
                    _ if let Some((address, offered)) = offered => {
                        let text = format!(
                            "{address} is offered as {offered} and this listener speaks {}; \
                             set protocol = \"{offered}\"",
                            spec.protocol
                        );
                        ready(false, "ProtocolMismatch", &text)
                    }
                    _ if targets == 0 => {
                        let names = names().join(", ");
                        let text = format!("no site offers a healthy target for {names}");
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
                    certificate_expires: tls
                        .and_then(|tls| jiff::Timestamp::from_second(tls.not_after?).ok()),
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
}

pub(crate) fn listener_view(spec: &ListenerSpec) -> ListenerView {
    ListenerView {
        address: (!spec.only_routes).then(|| spec.address.clone()),
        protocol: spec.protocol,
        bind: spec.bind.clone(),
        strategy: spec.strategy,
        addresses: spec.addresses.clone(),
        udp_idle_ms: spec.udp_idle_ms,
        routes: spec.routes.clone(),
        tls: spec.tls.clone(),
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
        tls: spec.tls.clone(),
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
}
