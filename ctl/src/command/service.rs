//! `vanctl service`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use van_model::api::ServiceResource;
use van_model::status::{DatagramStatus, RequestStatus};

use crate::cli::Session;
use crate::error::Outcome;
use crate::output::{Output, bytes, millis};
use crate::table::Table;

/// The commands of `vanctl service`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the services of the network
    #[command(after_help = "Examples:\n  vanctl service status\n  \
        vanctl service status backend --verbose")]
    Status(Status),
}

/// The options of `vanctl service status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    which: super::Which,
    /// Show flows, bytes, errors and latency too
    #[arg(long, short)]
    verbose: bool,
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let Self::Status(status) = self;
        let document = session.client.get(&status.which.path("services")).await?;
        let output = session.output;
        output.resources("service", document, |services| {
            conflicts(services).for_each(|note| output.note(&note));
            Ok(table(output, services, status.verbose))
        })
    }
}

/// A note on each service whose offers don't go together.
fn conflicts(services: &[ServiceResource]) -> impl Iterator<Item = String> {
    services.iter().filter_map(|service| {
        let ready = service.status.conditions.get("Ready");
        let conflict = ready.filter(|condition| condition.reason == "Conflict")?;
        Some(format!("warning: service/{}: {}", service.name, conflict.message))
    })
}

/// The ways to a service's sites, as `db-host: public`.
fn via(service: &ServiceResource) -> String {
    let ways = service.status.via.iter();
    ways.map(|(site, next)| format!("{site}: {}", next.join("/"))).collect::<Vec<_>>().join(", ")
}

fn table(output: Output, services: &[ServiceResource], verbose: bool) -> String {
    let mut table = Table::new(&["NAME", "ADDRESS", "PROTOCOL", "TARGETS"]);
    if output.wide() || verbose {
        table.columns(&["LISTENERS", "IMPORT", "VIA", "CONDITION"]);
    }
    if verbose {
        table.columns(&[
            "FLOWS",
            "FLOWS-TOTAL",
            "SENT",
            "RECEIVED",
            "ERRORS",
            "CONNECT-P50",
            "CONNECT-P99",
            "DATAGRAMS",
            "DROPPED",
            "REQUESTS",
            "ANSWERS",
            "LATENCY-P50",
            "LATENCY-P99",
        ]);
    }
    for service in services {
        let (spec, status) = (&service.spec, &service.status);
        let address = match spec.service_port {
            // An address of several ports has its own already.
            Some(port) if spec.address.port().is_none() => format!("{}:{port}", spec.address),
            _ => spec.address.to_string(),
        };
        let targets: Vec<_> =
            status.targets.iter().map(|(site, count)| format!("{site}: {count}")).collect();
        let mut row =
            vec![service.name.clone(), address, spec.protocol.to_string(), targets.join(", ")];
        if output.wide() || verbose {
            row.push(status.listeners.join(", "));
            row.push(status.import.clone().unwrap_or_default());
            row.push(via(service));
            row.push(status.conditions.get("Ready").map(|c| c.reason.clone()).unwrap_or_default());
        }
        if verbose {
            row.push(status.flows_open.to_string());
            row.push(status.flows_total.to_string());
            row.push(bytes(status.bytes_sent));
            row.push(bytes(status.bytes_received));
            row.push(status.errors.to_string());
            row.push(millis(status.connect_ms.map(|q| q.p50)));
            row.push(millis(status.connect_ms.map(|q| q.p99)));
            let datagrams = status.datagrams.as_ref();
            let both = datagrams.map(|d| format!("{} / {}", d.sent, d.received));
            row.push(both.unwrap_or_default());
            row.push(datagrams.map(dropped).unwrap_or_default());
            let requests = status.requests.as_ref();
            let latency = requests.and_then(|all| all.latency_ms);
            row.push(requests.map(|all| all.total.to_string()).unwrap_or_default());
            row.push(requests.map(answers).unwrap_or_default());
            row.push(millis(latency.map(|q| q.p50)));
            row.push(millis(latency.map(|q| q.p99)));
        }
        table.row(row);
    }
    table.render(output.color)
}

/// How many answers there were of each class.
fn answers(requests: &RequestStatus) -> String {
    let mut classes: BTreeMap<&str, u64> = BTreeMap::new();
    for (class, count) in requests.answered.values().flatten() {
        *classes.entry(class).or_default() += count;
    }
    let each: Vec<_> = classes.iter().map(|(class, count)| format!("{class}: {count}")).collect();
    each.join(", ")
}

/// How many datagrams were dropped, and why.
fn dropped(datagrams: &DatagramStatus) -> String {
    let total: u64 = datagrams.dropped.values().sum();
    let by_reason = datagrams.dropped.iter().filter(|(_, count)| **count > 0);
    let why: Vec<_> = by_reason.map(|(reason, count)| format!("{reason}: {count}")).collect();
    if why.is_empty() { "0".into() } else { format!("{total} ({})", why.join(", ")) }
}
