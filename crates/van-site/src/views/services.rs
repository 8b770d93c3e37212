//! Services as the API shows them: what all sites offer under an address, and how it goes here.

use std::sync::Arc;

use van_model::api::{Resource, ServiceResource, ServiceView, Source};
use van_model::status::{DatagramStatus, RequestStatus, ServiceStatus};
use van_proxy::Offer;

use crate::imports::ImportState;
use crate::network_view::Names;
use crate::services::KnownService;
use crate::site::Site;
use crate::status::ready;

impl Site {
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
                .flat_map(|(name, run)| {
                    let all = run.wanted.spec.all_addresses().into_iter();
                    all.map(|address| (name.clone(), address))
                })
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
                requests: is_by_request(protocol).then(|| requests(&meter, &meters)),
                conditions: self.conditions(&format!("service/{address}"), &lasting),
            },
        }
    }
}

impl Site {
    /// What an address is offered as, here or elsewhere.
    pub(super) fn protocol_of(&self, address: &van_model::Address) -> Option<van_model::Protocol> {
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

pub(super) fn is_udp(protocol: van_model::Protocol) -> bool {
    protocol == van_model::Protocol::Udp
}

fn is_by_request(protocol: van_model::Protocol) -> bool {
    matches!(protocol, van_model::Protocol::Http | van_model::Protocol::Http2)
}

/// What was counted of a service's requests; those that last are counted at each of its sites.
fn requests(service: &van_net::Meter, sites: &[Arc<van_net::Meter>]) -> RequestStatus {
    let mut all = RequestStatus {
        open: sites.iter().map(|meter| meter.requests.open.get()).sum(),
        latency_ms: service.requests.latency().and_then(van_net::Histogram::quantiles),
        ..RequestStatus::default()
    };
    for (method, status, count) in service.requests.each() {
        all.total += count;
        *all.answered.entry(method.into()).or_default().entry(status.into()).or_default() += count;
    }
    all
}

/// The sum of what was counted of datagrams.
pub(super) fn datagrams<'a>(
    meters: impl IntoIterator<Item = &'a Arc<van_net::Meter>>,
) -> DatagramStatus {
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

#[cfg(test)]
mod tests {
    use super::*;

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
