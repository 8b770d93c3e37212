//! The table of metrics.

use std::collections::BTreeMap;

use van_model::status::LinkState;

use crate::metrics::Look;

/// The most series of one metric; the rest is summed up as [`REST`].
const MOST: usize = 2000;

/// The label of what is beyond [`MOST`].
const REST: &str = "other";

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A count since the start; Prometheus sees its name with `_total`.
    Counter,
}

/// One metric.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// Its name without the prefix `van_`; its unit is in it.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) kind: Kind,
    /// One sentence without a full stop.
    pub(crate) help: &'static str,
    /// The names of its labels.
    pub(crate) labels: &'static [&'static str],
    pub(crate) read: fn(&Look, &mut Samples),
}

/// Values by their labels.
pub(crate) struct Samples {
    labels: usize,
    values: BTreeMap<Vec<String>, f64>,
}

impl Samples {
    pub(crate) fn new(labels: &[&str]) -> Self {
        Self { labels: labels.len(), values: BTreeMap::new() }
    }

    fn add(&mut self, labels: &[&str], value: f64) {
        assert_eq!(labels.len(), self.labels, "each label has a value");
        let key = labels.iter().map(|label| (*label).to_owned()).collect();
        *self.values.entry(key).or_default() += value;
    }

    /// At most [`MOST`] of them, in the order of their labels, and one for the rest.
    pub(crate) fn bounded(self) -> Vec<(Vec<String>, f64)> {
        let (count, labels) = (self.values.len(), self.labels);
        let mut all = self.values.into_iter();
        let mut kept: Vec<_> = all.by_ref().take(MOST).collect();
        if count > MOST {
            kept.push((vec![REST.to_owned(); labels], all.map(|(_, value)| value).sum()));
        }
        kept
    }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    read: fn(&Look, &mut Samples),
) -> Family {
    Family { name, kind: Kind::Gauge, help, labels, read }
}

const fn counter(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    read: fn(&Look, &mut Samples),
) -> Family {
    Family { name, kind: Kind::Counter, help, labels, read }
}

const SITE: &[&str] = &["site", "id", "mode", "version"];
const LINK: &[&str] = &["link", "peer"];
const LISTENER: &[&str] = &["listener", "address"];
const CONNECTOR: &[&str] = &["connector", "address"];
const ADDRESS: &[&str] = &["address"];

/// Every metric.
pub(crate) const FAMILIES: &[Family] = &[
    gauge("site_info", "This site; always 1", SITE, |look, out| {
        let site = &look.site;
        out.add(&[&site.name, &site.id.to_string(), site.mode.as_str(), &site.version], 1.0);
    }),
    gauge("uptime_seconds", "Seconds since the daemon started", &[], |look, out| {
        out.add(&[], look.site.uptime_seconds as f64);
    }),
    gauge("warnings", "What is wrong now, as 'vanctl status' lists it", &[], |look, out| {
        out.add(&[], look.site.warnings.len() as f64);
    }),
    counter("events", "Events since the start, by reason", &["reason"], |look, out| {
        look.events.iter().for_each(|(reason, count)| out.add(&[reason], *count as f64));
    }),
    counter(
        "spans",
        "Spans of requests, with [tracing]: exported, dropped as the queue was full, failed at the collector",
        &["result"],
        |look, out| {
            let Some(spans) = &look.spans else { return };
            out.add(&["exported"], spans.exported as f64);
            out.add(&["dropped"], spans.dropped as f64);
            out.add(&["failed"], spans.failed as f64);
        },
    ),
    gauge("sites_known", "Sites of the network, this one among them", &[], |look, out| {
        out.add(&[], look.sites_known as f64);
    }),
    gauge("sites_reached", "Other sites that can be reached", &[], |look, out| {
        out.add(&[], look.site.sites_reached as f64);
    }),
    gauge(
        "identity_remaining_seconds",
        "Seconds until this site's own certificate ends; it is renewed at half its life",
        &[],
        |look, out| out.add(&[], look.identity_seconds as f64),
    ),
    gauge("links_configured", "Links that this site dials", &[], |look, out| {
        out.add(&[], look.site.links_configured as f64);
    }),
    gauge("link_up", "Whether a link is connected", LINK, |look, out| {
        for_links(look, out, |link| f64::from(link.status.state == LinkState::Connected));
    }),
    gauge("link_connections", "TCP connections of a link", LINK, |look, out| {
        for_links(look, out, |link| link.status.connections.len() as f64);
    }),
    gauge("link_cost", "The cost of a link as this end sees it", LINK, |look, out| {
        for_links(look, out, |link| f64::from(link.status.cost));
    }),
    gauge("link_rtt_seconds", "The round-trip time over a link", LINK, |look, out| {
        for link in look.links.iter().filter(|link| link.status.rtt_ms.is_some()) {
            out.add(&link_labels(link), link.status.rtt_ms.unwrap_or_default() / 1000.0);
        }
    }),
    counter("link_reconnects", "How often a link was dialled anew", LINK, |look, out| {
        for_links(look, out, |link| link.status.reconnects as f64);
    }),
    counter("link_sent_bytes", "Bytes of flows sent over a link", LINK, |look, out| {
        for_links(look, out, |link| link.status.bytes_sent as f64);
    }),
    counter("link_received_bytes", "Bytes of flows received over a link", LINK, |look, out| {
        for_links(look, out, |link| link.status.bytes_received as f64);
    }),
    gauge("link_flows_open", "Flows that go over a link now", LINK, |look, out| {
        for_links(look, out, |link| link.status.flows_open as f64);
    }),
    counter("link_flows", "Flows that went over a link", LINK, |look, out| {
        for_links(look, out, |link| link.status.flows_total as f64);
    }),
    gauge(
        "link_certificate_remaining_seconds",
        "Seconds until the certificate of a link's peer ends",
        LINK,
        |look, out| {
            for link in &look.links {
                if let Some(end) = link.status.certificate_expires {
                    out.add(&link_labels(link), end.duration_since(look.now).as_secs() as f64);
                }
            }
        },
    ),
    gauge("circuits_open", "Circuits that begin or end here", &[], |look, out| {
        out.add(&[], look.circuits[0] as f64);
    }),
    gauge("transit_circuits_open", "Circuits of others that pass here", &[], |look, out| {
        out.add(&[], look.circuits[1] as f64);
    }),
    gauge("flows_open", "Flows of this site's listeners that are open", &[], |look, out| {
        out.add(&[], look.site.flows_open as f64);
    }),
    gauge("flows_limit", "The most flows that may be open (limits.flows)", &[], |look, out| {
        out.add(&[], f64::from(look.flows_limit));
    }),
    gauge(
        "service_targets",
        "Healthy targets of a service, over all sites",
        ADDRESS,
        |look, out| {
            for service in &look.services {
                let targets: usize = service.status.targets.values().sum();
                out.add(&[service.spec.address.as_str()], targets as f64);
            }
        },
    ),
    gauge("service_sites", "Sites that offer a service", ADDRESS, |look, out| {
        for_services(look, out, |status| status.targets.len() as f64);
    }),
    gauge(
        "service_flows_open",
        "Flows from here to a service that are open",
        ADDRESS,
        |look, out| {
            for_services(look, out, |status| status.flows_open as f64);
        },
    ),
    counter("service_flows", "Flows from here to a service", ADDRESS, |look, out| {
        for_services(look, out, |status| status.flows_total as f64);
    }),
    counter("service_errors", "Flows to a service that found no target", ADDRESS, |look, out| {
        for_services(look, out, |status| status.errors as f64);
    }),
    counter("service_sent_bytes", "Bytes sent from here to a service", ADDRESS, |look, out| {
        for_services(look, out, |status| status.bytes_sent as f64);
    }),
    counter(
        "service_received_bytes",
        "Bytes received here from a service",
        ADDRESS,
        |look, out| {
            for_services(look, out, |status| status.bytes_received as f64);
        },
    ),
    gauge(
        "service_connect_seconds",
        "Time to reach a target of a service, by quantile (0.5 and 0.99)",
        &["address", "quantile"],
        |look, out| {
            for service in &look.services {
                let Some(times) = service.status.connect_ms else { continue };
                let address = service.spec.address.as_str();
                out.add(&[address, "0.5"], times.p50 / 1000.0);
                out.add(&[address, "0.99"], times.p99 / 1000.0);
            }
        },
    ),
    counter(
        "service_requests",
        "Requests from here to a service that were answered, by method and class of status",
        &["address", "method", "status"],
        |look, out| {
            for service in &look.services {
                let Some(requests) = &service.status.requests else { continue };
                for (method, classes) in &requests.answered {
                    for (status, count) in classes {
                        out.add(&[service.spec.address.as_str(), method, status], *count as f64);
                    }
                }
            }
        },
    ),
    gauge(
        "service_requests_open",
        "Requests from here to a service that last",
        ADDRESS,
        |look, out| {
            for service in &look.services {
                let Some(requests) = &service.status.requests else { continue };
                out.add(&[service.spec.address.as_str()], requests.open as f64);
            }
        },
    ),
    gauge(
        "service_latency_seconds",
        "Time to the head of an answer of a service, by quantile (0.5 and 0.99)",
        &["address", "quantile"],
        |look, out| {
            for service in &look.services {
                let requests = service.status.requests.as_ref();
                let Some(times) = requests.and_then(|all| all.latency_ms) else { continue };
                let address = service.spec.address.as_str();
                out.add(&[address, "0.5"], times.p50 / 1000.0);
                out.add(&[address, "0.99"], times.p99 / 1000.0);
            }
        },
    ),
    gauge("listener_accepting", "Whether a listener accepts clients", LISTENER, |look, out| {
        for_listeners(look, out, |status| f64::from(status.accepting));
    }),
    gauge(
        "listener_certificate_remaining_seconds",
        "Seconds until the certificate ends with which a listener ends TLS",
        LISTENER,
        |look, out| {
            for listener in &look.listeners {
                let address = listener.spec.address.as_ref().map_or("", |address| address.as_str());
                if let Some(end) = listener.status.certificate_expires {
                    let left = end.duration_since(look.now).as_secs() as f64;
                    out.add(&[&listener.name, address], left);
                }
            }
        },
    ),
    gauge("listener_flows_open", "Flows of a listener that are open", LISTENER, |look, out| {
        for_listeners(look, out, |status| status.flows_open as f64);
    }),
    counter("listener_flows", "Flows of a listener", LISTENER, |look, out| {
        for_listeners(look, out, |status| status.flows_total as f64);
    }),
    counter(
        "listener_datagrams_sent",
        "Datagrams from a listener's clients",
        LISTENER,
        |look, out| {
            for_listener_datagrams(look, out, |datagrams| datagrams.sent);
        },
    ),
    counter(
        "listener_datagrams_received",
        "Datagrams to a listener's clients",
        LISTENER,
        |look, out| {
            for_listener_datagrams(look, out, |datagrams| datagrams.received);
        },
    ),
    counter(
        "listener_datagrams_dropped",
        "Datagrams that a listener dropped, by reason",
        &["listener", "address", "reason"],
        |look, out| {
            for listener in &look.listeners {
                let Some(datagrams) = &listener.status.datagrams else { continue };
                let address = listener.spec.address.as_ref().map_or("", |address| address.as_str());
                for (reason, count) in &datagrams.dropped {
                    out.add(&[&listener.name, address, reason], *count as f64);
                }
            }
        },
    ),
    counter(
        "service_datagrams_dropped",
        "Datagrams to and from a service that were dropped here, by reason",
        &["address", "reason"],
        |look, out| {
            for service in &look.services {
                let Some(datagrams) = &service.status.datagrams else { continue };
                for (reason, count) in &datagrams.dropped {
                    out.add(&[service.spec.address.as_str(), reason], *count as f64);
                }
            }
        },
    ),
    gauge("connector_healthy", "Whether a connector's target answers", CONNECTOR, |look, out| {
        for_connectors(look, out, |status| f64::from(status.healthy));
    }),
    gauge("connector_flows_open", "Flows to a connector that are open", CONNECTOR, |look, out| {
        for_connectors(look, out, |status| status.flows_open as f64);
    }),
    counter("connector_flows", "Flows to a connector", CONNECTOR, |look, out| {
        for_connectors(look, out, |status| status.flows_total as f64);
    }),
    gauge("imports", "Services that appear here by themselves", &["state"], |look, out| {
        out.add(&["bound"], look.imports[0] as f64);
        out.add(&["failed"], look.imports[1] as f64);
    }),
    gauge("names", "Names that the name server answers", &[], |look, out| {
        look.names.into_iter().for_each(|names| out.add(&[], names as f64));
    }),
    gauge("tokens", "Tokens of this site", &["state"], |look, out| {
        for token in &look.tokens {
            let ready = token.status.conditions.get("Ready");
            out.add(&[ready.map_or("unknown", |ready| &ready.reason)], 1.0);
        }
    }),
    gauge("process_resident_memory_bytes", "Memory in use", &[], |look, out| {
        out.add(&[], look.process.resident_bytes as f64);
    }),
    gauge("process_open_descriptors", "Open file descriptors", &[], |look, out| {
        out.add(&[], look.process.descriptors as f64);
    }),
    gauge(
        "process_descriptors_limit",
        "The most descriptors that may be open",
        &[],
        |look, out| {
            out.add(&[], look.process.descriptors_limit as f64);
        },
    ),
    gauge("process_threads", "Threads of the daemon", &[], |look, out| {
        out.add(&[], look.process.threads as f64);
    }),
    counter("process_cpu_seconds", "Processor time of the daemon", &[], |look, out| {
        out.add(&[], look.process.cpu_seconds);
    }),
];

fn link_labels(link: &van_model::api::LinkResource) -> [&str; 2] {
    [&link.name, link.status.peer.as_ref().map_or("", |peer| &peer.name)]
}

fn for_links(look: &Look, out: &mut Samples, value: fn(&van_model::api::LinkResource) -> f64) {
    look.links.iter().for_each(|link| out.add(&link_labels(link), value(link)));
}

fn for_services(
    look: &Look,
    out: &mut Samples,
    value: fn(&van_model::status::ServiceStatus) -> f64,
) {
    for service in &look.services {
        out.add(&[service.spec.address.as_str()], value(&service.status));
    }
}

fn for_listeners(
    look: &Look,
    out: &mut Samples,
    value: fn(&van_model::status::ListenerStatus) -> f64,
) {
    for listener in &look.listeners {
        let address = listener.spec.address.as_ref().map_or("", |address| address.as_str());
        out.add(&[&listener.name, address], value(&listener.status));
    }
}

fn for_listener_datagrams(
    look: &Look,
    out: &mut Samples,
    value: fn(&van_model::status::DatagramStatus) -> u64,
) {
    for listener in &look.listeners {
        let Some(datagrams) = &listener.status.datagrams else { continue };
        let address = listener.spec.address.as_ref().map_or("", |address| address.as_str());
        out.add(&[&listener.name, address], value(datagrams) as f64);
    }
}

fn for_connectors(
    look: &Look,
    out: &mut Samples,
    value: fn(&van_model::status::ConnectorStatus) -> f64,
) {
    for connector in &look.connectors {
        let address = connector.spec.address.as_ref().map_or("", |address| address.as_str());
        out.add(&[&connector.name, address], value(&connector.status));
    }
}

/// The table for people, as Markdown: `docs/metrics.md`.
#[cfg(test)]
fn table() -> String {
    let mut text = String::from(
        "# Metrics\n\nMade from `crates/van-site/src/metrics/families.rs` by `make metrics`; a test holds \
         it.\n\nA site tells them in the text format of OpenMetrics at `/metrics` of `[metrics] listen`, \
         at the\nsocket `metrics.sock` of its runtime directory, and at `GET /v1/metrics` of the API. They \
         are read when\nthey are asked for. Of one metric there are at most 2,000 series; the rest is \
         summed up under the label\n`other`. `/livez` and `/readyz` answer beside them.\n\n\
         | metric | type | labels | what |\n|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let (kind, total) = match family.kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
        };
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, help, labels) = (family.name, family.help, labels.join(", "));
        text.push_str(&format!("| `van_{name}{total}` | {kind} | {labels} | {help} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_and_sentences_have_no_full_stop() {
        let mut names: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAMILIES.len());
        assert!(FAMILIES.iter().all(|f| !f.name.ends_with("total") && !f.help.ends_with('.')));
    }

    #[test]
    fn series_are_bounded_and_the_rest_is_summed() {
        let mut samples = Samples::new(&["a", "b"]);
        for n in 0..MOST + 10 {
            samples.add(&[&format!("{n:05}"), "x"], 2.0);
        }
        samples.add(&["00000", "x"], 1.0);
        let all = samples.bounded();
        assert_eq!(all.len(), MOST + 1);
        assert_eq!(all[0], (vec!["00000".to_owned(), "x".to_owned()], 3.0));
        assert_eq!(all[MOST], (vec![REST.to_owned(), REST.to_owned()], 20.0));
    }

    #[test]
    fn the_page_of_metrics_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        if std::env::var_os("VAN_WRITE_METRICS").is_some() {
            std::fs::write(&path, table()).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page == table(), "docs/metrics.md is not current: run 'make metrics'");
    }
}
