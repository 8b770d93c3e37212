//! `vanctl listener`.

use std::time::Duration;

use clap::{Args, Subcommand};
use van_model::api::{ListenerResource, ListenerView};
use van_model::{
    Address, AddressChoice, Bind, ListenerTls, Name, Protocol, Source, Strategy, parse_duration,
};

use crate::cli::Session;
use crate::client::{Mode, path, understood};
use crate::command::route::Route;
use crate::error::Outcome;
use crate::output::Output;
use crate::table::Table;
use crate::wait::{self, Verdict};

/// The commands of `vanctl listener`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Offer a service of the network here
    #[command(after_help = "Examples:\n  \
        vanctl listener create echo 127.0.0.1:12000 --address echo\n  \
        vanctl listener create db unix:/run/db.sock\n  \
        vanctl listener create db 127.0.0.1:5432 --address db-main,db-spare --strategy failover\n  \
        vanctl listener create web 0.0.0.0:8080 --protocol http \\\n      \
        --route host=shop.example.org,path=/api,to=api=90,to=api-next=10 --route to=shop")]
    Create(Create),
    /// Lead a listener's clients elsewhere, while they stay connected
    #[command(after_help = "Examples:\n  \
        vanctl listener set web --route to=api=50,to=api-next=50\n  \
        vanctl listener set db --address db-spare --no-routes")]
    Set(Set),
    /// Remove a listener
    #[command(after_help = "Example:\n  vanctl listener delete echo")]
    Delete {
        /// The listener's name
        name: String,
    },
    /// Show listeners
    #[command(after_help = "Example:\n  vanctl listener status")]
    Status(super::Which),
}

/// The options of `vanctl listener create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The listener's name
    name: Name,
    /// Where clients connect: host:port or unix:/path
    bind: Bind,
    /// The service's name in the network; default: the listener's name. Several in the order of
    /// failover: repeat it, or separate them by commas; ADDRESS=WEIGHT gives a share
    #[arg(long, value_delimiter = ',')]
    address: Vec<AddressChoice>,
    /// How a target is chosen: balanced, local-first, failover or weighted
    #[arg(long, default_value_t)]
    strategy: Strategy,
    /// What the service speaks
    #[arg(long, default_value_t)]
    protocol: Protocol,
    /// Of datagrams: time without one after which a client's session ends, 1s to 1h; default: 60s
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    udp_idle: Option<Duration>,
    /// Where requests go by what they ask for, as KEY=VALUE joined by commas; repeat it for each route.
    /// Keys: host, path, path_exact, method, header, query, to, rewrite_host, rewrite_path, set_header,
    /// remove_header, timeout; `to` is ADDRESS or ADDRESS=WEIGHT and may stand there several times
    #[arg(long, value_name = "ROUTE")]
    route: Vec<Route>,
    /// End the clients' TLS with this certificate: a PEM file of the daemon's host, or credential:NAME
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<String>,
    /// The certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<String>,
    /// Authorities of which clients need a certificate
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_client_ca: Option<String>,
    #[command(flatten)]
    wait: super::Wait,
}

/// The options of `vanctl listener set`; what is not named stays.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The listener's name
    name: Name,
    /// The service's name in the network; several as `listener create` takes them
    #[arg(long, value_delimiter = ',')]
    address: Vec<AddressChoice>,
    /// How a target is chosen: balanced, local-first, failover or weighted
    #[arg(long)]
    strategy: Option<Strategy>,
    /// Routes in the place of those that it has, as `listener create` takes them
    #[arg(long, value_name = "ROUTE")]
    route: Vec<Route>,
    /// Take all routes out
    #[arg(long, conflicts_with = "route")]
    no_routes: bool,
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        match self {
            Self::Create(create) => create.run(session).await,
            Self::Set(set) => set.run(session).await,
            Self::Delete { name } => super::remove(session, "listener", &name, "deleted").await,
            Self::Status(which) => {
                let document = session.client.get(&which.path("listeners")).await?;
                let output = session.output;
                output.resources("listener", document, |listeners| Ok(table(output, listeners)))
            }
        }
    }
}

impl Create {
    async fn run(mut self, session: &mut Session) -> Outcome {
        let name = self.name.as_str();
        let at = path("listeners", name);
        let (address, addresses) = addressed(std::mem::take(&mut self.address));
        let Self { protocol, bind, strategy, .. } = self;
        let udp_idle_ms =
            self.udp_idle.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let routes = self.route.into_iter().map(|route| route.0).collect();
        let client_ca = self.tls_client_ca.as_deref().map(super::file);
        let pair = self.tls_certificate.as_deref().zip(self.tls_key.as_deref());
        let tls = pair.map(|(certificate, key)| {
            let (certificate, key) = (super::file(certificate), super::file(key));
            ListenerTls { certificate, key, client_ca }
        });
        let view =
            ListenerView { address, protocol, bind, strategy, addresses, udp_idle_ms, routes, tls };
        if session.cluster().await?.is_some() {
            let manifest = super::cluster::listener(name, &view)?;
            return super::cluster::make(session, &manifest, Mode::Fresh, self.wait.wait).await;
        }
        let mut document = session.client.put(&at, &view, Mode::Fresh).await?;
        if !self.wait.wait.is_zero() {
            let client = &mut session.client;
            let what = format!("listener {name}");
            document = wait::until(session.output, &what, self.wait.wait, async || {
                let document = client.get(&at).await?;
                let listener: ListenerResource = understood(document.clone())?;
                Ok(judge(&listener, document))
            })
            .await?;
        }
        let listener: ListenerResource = understood(document.clone())?;
        session.output.done("listener", name, "created", &document)?;
        if listener.status.bound.is_some() && listener.status.targets == 0 {
            session.output.note("note: no target yet");
        }
        Ok(())
    }
}

impl Set {
    async fn run(self, session: &mut Session) -> Outcome {
        let at = path("listeners", self.name.as_str());
        let listener: ListenerResource = understood(session.client.get(&at).await?)?;
        let mut view = listener.spec;
        if !self.address.is_empty() {
            (view.address, view.addresses) = addressed(self.address);
        }
        view.strategy = self.strategy.unwrap_or(view.strategy);
        if self.no_routes || !self.route.is_empty() {
            view.routes = self.route.into_iter().map(|route| route.0).collect();
        }
        let document = session.client.put(&at, &view, Mode::Replace).await?;
        session.output.done("listener", self.name.as_str(), "changed", &document)
    }
}

/// One address, or several in their order.
fn addressed(mut all: Vec<AddressChoice>) -> (Option<Address>, Vec<AddressChoice>) {
    let single = all.len() == 1;
    let address = all.pop_if(|_| single).map(|choice| choice.address);
    (address, all)
}

fn judge<T>(listener: &ListenerResource, document: T) -> Verdict<T> {
    if listener.status.bound.is_some() {
        return Verdict::Done(document);
    }
    let why = listener.status.conditions.get("Ready").map(|ready| ready.message.clone());
    Verdict::Pending(
        why.filter(|why| !why.is_empty()).unwrap_or_else(|| "its port is not reserved".into()),
    )
}

/// All that a listener leads to, each once.
fn addresses(listener: &ListenerResource) -> Vec<String> {
    let spec = &listener.spec;
    let own = match (&spec.address, spec.routes.is_empty()) {
        (Some(address), _) => Some(address.to_string()),
        (None, true) => Some(listener.name.clone()),
        (None, false) => None,
    };
    let routed = spec.routes.iter().flat_map(|route| &route.to).map(|to| to.address.to_string());
    let mut all: Vec<String> = Vec::new();
    for address in own.into_iter().chain(routed) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// Who wants a resource, and the file that says so.
pub(super) fn source(source: Source, file: Option<&str>) -> String {
    match (source, file) {
        (Source::File, Some(file)) => file.into(),
        (Source::File, None) => "file".into(),
        (Source::Api, _) => "api".into(),
        (Source::Kubernetes, _) => "kubernetes".into(),
        (Source::Podman, _) => "podman".into(),
    }
}

fn table(output: Output, listeners: &[ListenerResource]) -> String {
    let mut table = Table::new(&["NAME", "STATUS", "ADDRESS", "PROTOCOL", "BIND", "TARGETS"]);
    if output.wide() {
        table.columns(&["FLOWS", "FLOWS-TOTAL", "SOURCE"]);
    }
    for listener in listeners {
        let status = &listener.status;
        let stands = match &status.bound {
            None => {
                let ready = status.conditions.get("Ready").filter(|c| !c.message.is_empty());
                let why = ready.map_or("the port is not reserved", |ready| &ready.message);
                format!("failed: {why}")
            }
            Some(_) if status.accepting => "accepting".into(),
            Some(_) => "no target".into(),
        };
        let address = addresses(listener).join(",");
        let mut row = vec![
            listener.name.clone(),
            stands,
            address,
            listener.spec.protocol.to_string(),
            status.bound.clone().unwrap_or_else(|| listener.spec.bind.to_string()),
            status.targets.to_string(),
        ];
        if output.wide() {
            row.push(status.flows_open.to_string());
            row.push(status.flows_total.to_string());
            row.push(source(listener.source, listener.file.as_deref()));
        }
        table.row(row);
    }
    table.render(output.color)
}
