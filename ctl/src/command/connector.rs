//! `vanctl connector`.

use std::num::NonZeroU16;
use std::time::Duration;

use clap::{Args, Subcommand};
use van_model::api::{ConnectorResource, ConnectorView, LinkResource, List};
use van_model::status::LinkState;
use van_model::{
    Address, Check, CheckTiming, ConditionStatus, ConnectorTls, Name, Protocol, Target,
    parse_duration,
};

use crate::cli::Session;
use crate::client::{Client, Mode, path, understood};
use crate::error::{Outcome, Problem};
use crate::output::Output;
use crate::table::Table;
use crate::wait::{self, Verdict};

/// The commands of `vanctl connector`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Offer a local workload to the network
    #[command(after_help = "Example:\n  \
        vanctl connector create pg 127.0.0.1:5432 --address postgres --service-port 5432")]
    Create(Box<Create>),
    /// Remove a connector
    #[command(after_help = "Example:\n  vanctl connector delete pg")]
    Delete {
        /// The connector's name
        name: String,
    },
    /// Show connectors
    #[command(after_help = "Example:\n  vanctl connector status")]
    Status(super::Which),
}

/// The options of `vanctl connector create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The connector's name
    name: Name,
    /// Where the workload is: host:port, unix:/path, container/NAME:port or pod/NAME:port
    target: Target,
    /// The service's name in the network; default: the connector's name
    #[arg(long)]
    address: Option<Address>,
    /// What the service speaks
    #[arg(long, default_value_t)]
    protocol: Protocol,
    /// The port under which the service appears elsewhere
    #[arg(long, value_parser = port, value_name = "PORT")]
    service_port: Option<NonZeroU16>,
    /// How the target is watched: tcp, http:/path or none
    #[arg(long, default_value_t)]
    check: Check,
    /// Send a PROXY protocol v2 header to the workload
    #[arg(long)]
    proxy_protocol: bool,
    /// Lower is preferred
    #[arg(long, default_value_t)]
    priority: u16,
    /// Its share of the load
    #[arg(long, value_parser = weight, value_name = "WEIGHT")]
    weight: Option<NonZeroU16>,
    #[command(flatten)]
    tls: Tls,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    wait: super::Wait,
}

/// Reads a port.
pub(super) fn port(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse().map_err(|_| "a port is a whole number from 1 to 65535")
}

fn weight(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse().map_err(|_| "a weight is a whole number from 1 to 65535")
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        match self {
            Self::Create(create) => create.run(session).await,
            Self::Delete { name } => super::remove(session, "connector", &name, "deleted").await,
            Self::Status(which) => {
                let document = session.client.get(&which.path("connectors")).await?;
                let output = session.output;
                output.resources("connector", document, |items| Ok(table(output, items)))
            }
        }
    }
}

/// TLS towards the workload; files are of the daemon's host.
#[derive(Debug, Args)]
pub(super) struct Tls {
    /// Start TLS towards the workload, whose certificate must be of its host and of an authority that
    /// the daemon's host trusts
    #[arg(long)]
    tls: bool,
    /// The name that its certificate must have
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Authorities that its certificate must be of: a PEM file, or credential:NAME
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<String>,
    /// A certificate to show to it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<String>,
    /// That certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<String>,
}

impl Tls {
    pub(super) fn read(self) -> Option<ConnectorTls> {
        let file = |text: Option<String>| text.as_deref().map(super::file);
        let tls = ConnectorTls {
            server_name: self.tls_server_name,
            ca: file(self.tls_ca),
            certificate: file(self.tls_certificate),
            key: file(self.tls_key),
        };
        (self.tls || tls != ConnectorTls::default()).then_some(tls)
    }
}

/// When the target is checked, and what counts.
#[derive(Debug, Args)]
struct Timing {
    /// Time without a new flow after which the target is checked
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    check_idle: Duration,
    /// Time between two checks of a target that fails
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    check_interval: Duration,
    /// Time for one check
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    check_timeout: Duration,
    /// Failures in a row after which a healthy target is left out
    #[arg(long, value_name = "N", default_value = "2")]
    check_failures: u32,
    /// Successes in a row after which a failed target is offered again
    #[arg(long, value_name = "N", default_value = "1")]
    check_successes: u32,
}

impl Timing {
    fn read(&self) -> Result<CheckTiming, Problem> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let timing = CheckTiming {
            idle_ms: ms(self.check_idle),
            interval_ms: ms(self.check_interval),
            timeout_ms: ms(self.check_timeout),
            failures: self.check_failures,
            successes: self.check_successes,
        };
        timing.check().map_err(Problem::usage)?;
        Ok(timing)
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Outcome {
        let view = ConnectorView {
            address: self.address,
            protocol: self.protocol,
            target: self.target,
            service_port: self.service_port,
            check: self.check,
            timing: self.timing.read()?,
            proxy_protocol: self.proxy_protocol,
            priority: self.priority,
            weight: self.weight,
            tls: self.tls.read(),
        };
        if session.cluster().await?.is_some() {
            let manifest = super::cluster::connector(self.name.as_str(), &view)?;
            return super::cluster::make(session, &manifest, Mode::Fresh, self.wait.wait).await;
        }
        make(session, self.name.as_str(), &view, Mode::Fresh, &self.wait).await
    }
}

/// Makes a connector and waits until its target passed its check and the neighbours know of it.
pub(super) async fn make(
    session: &mut Session,
    name: &str,
    view: &ConnectorView,
    mode: Mode,
    wait: &super::Wait,
) -> Outcome {
    let at = path("connectors", name);
    let mut document = session.client.put(&at, view, mode).await?;
    if !wait.wait.is_zero() {
        let client = &mut session.client;
        let what = format!("connector {name}");
        document = wait::until(session.output, &what, wait.wait, async || {
            let document = client.get(&at).await?;
            let connector: ConnectorResource = understood(document.clone())?;
            judge(client, &connector, document).await
        })
        .await?;
    }
    session.output.done("connector", name, "created", &document)
}

async fn judge<T>(
    client: &mut Client,
    connector: &ConnectorResource,
    document: T,
) -> Outcome<Verdict<T>> {
    let status = &connector.status;
    if !status.healthy {
        let why = status.reason.clone().unwrap_or_else(|| "its target is being checked".into());
        return Ok(Verdict::Pending(why));
    }
    let told = status.conditions.get("Advertised");
    if told.is_some_and(|told| told.status == ConditionStatus::True)
        || status.advertised_to >= neighbours(client).await?
    {
        return Ok(Verdict::Done(document));
    }
    Ok(Verdict::Pending("the neighbours are being told".into()))
}

/// The sites to which a link is up.
async fn neighbours(client: &mut Client) -> Outcome<usize> {
    let links: List<LinkResource> = client.read("/v1/links").await?;
    let mut sites: Vec<_> = links
        .items
        .iter()
        .filter(|link| link.status.state == LinkState::Connected)
        .filter_map(|link| link.status.peer.as_ref().map(|peer| peer.id))
        .collect();
    sites.sort_unstable();
    sites.dedup();
    Ok(sites.len())
}

fn table(output: Output, connectors: &[ConnectorResource]) -> String {
    let mut table = Table::new(&["NAME", "STATUS", "ADDRESS", "PROTOCOL", "TARGET"]);
    if output.wide() {
        table.columns(&["CHECK", "TOLD", "FLOWS", "FLOWS-TOTAL", "SOURCE"]);
    }
    for connector in connectors {
        let (spec, status) = (&connector.spec, &connector.status);
        let stands = match (status.healthy, &status.reason) {
            (true, _) => "healthy".into(),
            (false, Some(why)) => format!("failed: {why}"),
            (false, None) => "connecting".into(),
        };
        let address = spec.address.as_ref().map_or(&*connector.name, Address::as_str);
        let mut row = vec![
            connector.name.clone(),
            stands,
            address.into(),
            spec.protocol.to_string(),
            spec.target.to_string(),
        ];
        if output.wide() {
            row.push(spec.check.to_string());
            row.push(status.advertised_to.to_string());
            row.push(status.flows_open.to_string());
            row.push(status.flows_total.to_string());
            row.push(super::listener::source(connector.source, connector.file.as_deref()));
        }
        table.row(row);
    }
    table.render(output.color)
}
